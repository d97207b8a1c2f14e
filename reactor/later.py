"""Names of a package that are loaded when they are first asked for.

A program pays for each file that it imports, and most programs have one format and no datagrams.  So a package may
say where a name is instead of importing it (PEP 562: a module's ``__getattr__``)::

    if TYPE_CHECKING:
        from reactor.framing.delimiter import Lines
    else:
        __getattr__ = later(__name__, {"Lines": "reactor.framing.delimiter"})

Whoever reads the package, and the type checker, finds the names in the first half.  The checker must not see the
other one: to it a module with a ``__getattr__`` has every name that anybody can think of.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping


def later(package: str, places: Mapping[str, str]) -> Callable[[str], object]:
    """Return a ``__getattr__`` for *package* that finds the names in *places*, by the modules that have them."""

    def __getattr__(name: str) -> object:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        __import__(places[name])
        value = getattr(sys.modules[places[name]], name)
        setattr(sys.modules[package], name, value)
        return value

    return __getattr__
