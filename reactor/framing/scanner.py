"""Which scanner a codec gets: C if it is there, Python if not, or what the user demands.

The argument of the codec counts first, then the environment variable ``REACTOR_ACCEL``:

    pure      Python, always available
    native    C, or AccelUnavailable with the reason: whoever demands it wants to know, not to run at half speed
    auto      C if it can be loaded, else Python without a word (the default)

The compiled module is loaded when the first codec that can use it is made, not by ``import reactor``: cffi's
run-time costs milliseconds that a program without such a codec never pays.  Nothing is remembered here; the import
system does that.  Read next: ``length``.
"""

from __future__ import annotations

import os

from reactor.errors import AccelUnavailable, OptionError
from reactor.framing import scanner_pure

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from typing import Protocol

    from reactor.framing.seam import Layout, Packer, Scanner

    class Backend(Protocol):
        """The functions of one scanner module, see ``seam``."""

        NAME: str

        def length_scanner(self, layout: Layout) -> Scanner: ...
        def varint_scanner(self, limit: int) -> Scanner: ...
        def netstring_scanner(self, limit: int) -> Scanner: ...
        def packer(self, size: int, order: str, bias: int) -> Packer: ...


CHOICES = ("auto", "native", "pure")

#: What brings a module that was not built.  From its cache pip would take the wheel without C that it made before.
REMEDY = (
    "it takes cffi, a C compiler and Python's headers (Debian: gcc, python3-dev); "
    "with these, install reactor-loop again (pip install --force-reinstall --no-cache-dir)"
)


def backend(accel: str | None = None) -> Backend:
    """Return the module that scans: by *accel*, else by ``REACTOR_ACCEL``, else automatically.

    Raises AccelUnavailable if native is demanded and cannot be loaded, OptionError for an unknown word.
    """
    choice = wanted(accel)
    if choice == "pure":
        return scanner_pure
    try:
        return native_backend()
    except ImportError as exc:
        if choice == "auto":
            return scanner_pure
        raise AccelUnavailable(f"accel='native' was demanded, but {reason_for(exc)}") from exc


def accel_status(accel: str | None = None) -> tuple[str, str]:
    """Return which scanner ``backend(accel)`` would choose, ``"native"`` or ``"pure"``, and why, for a human.

    Raises only OptionError: a native scanner that is demanded and missing is reported as the reason.
    """
    choice = wanted(accel)
    source = "the argument" if accel is not None else f"REACTOR_ACCEL={choice}" if choice != "auto" else "automatic"
    if choice == "pure":
        return "pure", f"chosen by {source}"
    try:
        native_backend()
    except ImportError as exc:
        fate = "an error on first use" if choice == "native" else "falling back"
        return "pure", f"{reason_for(exc)} ({source}: {fate})"
    return "native", f"the compiled module is loaded ({source})"


def wanted(accel: str | None) -> str:
    """Return the word that counts; OptionError if it is none of ``CHOICES``."""
    choice = accel if accel is not None else os.environ.get("REACTOR_ACCEL") or "auto"
    if choice not in CHOICES:
        name = "accel" if accel is not None else "REACTOR_ACCEL"
        raise OptionError(f"{name} is one of {', '.join(CHOICES)}, not {choice!r}")
    return choice


def native_backend() -> Backend:
    """Import the scanner in C; ImportError if the module is missing, does not fit, or lacks cffi's run-time."""
    from reactor.framing import scanner_accel

    return scanner_accel


def reason_for(exc: ImportError) -> str:
    """Return why the compiled module cannot be loaded, as a sentence without its stop."""
    if exc.name == "_cffi_backend":
        return "the package cffi is not installed: pip install cffi"
    if isinstance(exc, ModuleNotFoundError):
        return f"the module {exc.name} was not built: {REMEDY}"
    # It is there, but its interface is another one, or the linker refused it.
    return f"a compiled module cannot be loaded: {exc}"
