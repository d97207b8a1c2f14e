"""Whether a reactor has a pump: where epoll is the poller and the compiled module is there, unless somebody says
no.

``REACTOR_PUMP`` is the word that counts: "on" is an error where there can be none, "off" is no, "auto" (the
default) takes what is there.  ``REACTOR_ACCEL=pure`` says that nothing compiled is wanted, and so no pump.

Read next: ``reactor.net.shared``, where the streams find it.
"""

from __future__ import annotations

from selectors import BaseSelector

from reactor.core.polling.choose import poller_choice
from reactor.errors import AccelUnavailable, OptionError
from reactor.framing.scanner import native_backend, reason_for, wanted

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The poller that a pump is.
EPOLL = "epoll"

#: The environment variable that decides: "on" (or an error), "off", or "auto": if it can be had.
VARIABLE = "REACTOR_PUMP"
CHOICES = ("auto", "on", "off")


def with_pump(selector: str | BaseSelector | None, environ: Mapping[str, str]) -> str | BaseSelector | None:
    """Return a pump in the place of *selector* if that comes to epoll and a pump is to be had; else *selector*.

    ``REACTOR_ACCEL=pure`` means: nothing compiled, and so no pump.  Raises AccelUnavailable if the environment
    demands a pump and there is none, OptionError for an unknown word.
    """
    choice = wanted_pump(environ)
    if isinstance(selector, BaseSelector) or poller_choice(selector, environ) != EPOLL:
        return selector
    if choice == "off" or (choice == "auto" and wanted(None) == "pure"):
        return selector
    try:
        from reactor.net.pump.pump import Pump  # it is not loaded by those who have none

        return Pump()
    except ImportError as exc:
        if choice == "on":
            raise AccelUnavailable(f"{VARIABLE}=on was demanded, but {reason_for(exc)}") from exc
        return selector


def wanted_pump(environ: Mapping[str, str]) -> str:
    """Return the word that counts; OptionError if it is none of ``CHOICES``."""
    choice = environ.get(VARIABLE) or "auto"
    if choice not in CHOICES:
        raise OptionError(f"{VARIABLE} is one of {', '.join(CHOICES)}, not {choice!r}")
    return choice


def pump_status(environ: Mapping[str, str]) -> tuple[str, str]:
    """Return "on" or "off" for a reactor made now without arguments, and why, for a human."""
    choice = wanted_pump(environ)
    if poller_choice(None, environ) != EPOLL:
        return "off", f"it needs epoll, and the poller is {poller_choice(None, environ)}"
    if choice == "off":
        return "off", f"chosen by {VARIABLE}=off"
    if choice == "auto" and wanted(None) == "pure":
        return "off", "REACTOR_ACCEL=pure: nothing compiled"
    try:
        native_backend()
    except ImportError as exc:
        return "off", reason_for(exc)
    return "on", "the compiled module is loaded" + (f" ({VARIABLE}=on)" if choice == "on" else " (automatic)")
