"""Modules of the standard library that are built on ``socketserver``, on the reactor instead.

``http.server``, ``xmlrpc.server``, ``wsgiref.simple_server`` and others begin with ``import socketserver`` and
derive their servers from it.  There are two ways to give them another one:

- for the whole program: ``replace_socketserver()`` before any of them is imported.  Whoever imports
  ``socketserver`` from then on gets the reactor's;
- for one part of it: ``on_reactor("http.server")`` returns a copy of the module that was loaded with the reactor's
  ``socketserver`` in its place.  ``sys.modules`` is as before afterwards, and so is the rest of the program.

A copy is another module: its classes are not those of the original.  Handlers of either run on servers of either,
for nobody asks a handler for its class.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from types import ModuleType

from reactor.compat import socketserver
from reactor.errors import OptionError

#: The copies that were made, by name.
_copies: dict[str, ModuleType] = {}

#: One at a time: for a moment ``sys.modules`` is not what others expect.
_loading = threading.RLock()

#: What is built on what: a copy of the first is made of copies of the others.
BUILT_ON = {
    "xmlrpc.server": ("http.server",),
    "wsgiref.simple_server": ("http.server",),
}


def replace_socketserver() -> None:
    """Let ``import socketserver`` mean the reactor's from now on, in the whole program.

    Raises OptionError if a module that is built on the standard library's has been imported already: too late.
    """
    original = sys.modules.get("socketserver")
    if original is socketserver:
        return
    late = [name for name, module in list(sys.modules.items()) if original and _is_built_on(module, original)]
    if late:
        users = ", ".join(sorted(late))
        raise OptionError(f"{users} uses the standard library's socketserver already: replace it before that")
    sys.modules["socketserver"] = socketserver


def _is_built_on(module: ModuleType | None, original: ModuleType) -> bool:
    return getattr(module, "socketserver", None) is original


def on_reactor(name: str) -> ModuleType:
    """Return a copy of the module *name*, such as "http.server", whose ``socketserver`` is the reactor's.

    The same copy each time.  Any thread, but while it loads, other threads should import nothing.  Raises
    ImportError for a module that does not exist, OptionError for one that does not use ``socketserver``.
    """
    with _loading:
        if name not in _copies:
            replaced = {"socketserver": socketserver}
            for base in BUILT_ON.get(name, ()):
                replaced[base] = on_reactor(base)
            copy = _load(name, replaced)
            if not _is_built_on(copy, socketserver) and name not in BUILT_ON:
                raise OptionError(f"{name} does not import socketserver: it has nothing to be put on the reactor")
            _copies[name] = copy
        return _copies[name]


def _load(name: str, replaced: dict[str, ModuleType]) -> ModuleType:
    """Execute the module *name* anew while ``sys.modules`` has *replaced*."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"there is no module {name!r}", name=name)
    copy = importlib.util.module_from_spec(spec)
    originals = {key: importlib.import_module(key) for key in replaced}
    sys.modules.update(replaced)
    try:
        spec.loader.exec_module(copy)
    finally:
        sys.modules.update(originals)
    return copy
