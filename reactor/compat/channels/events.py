"""How asyncore tells a channel what has happened: four functions around the channel's own event methods.

A *channel* is any object in a map from descriptor to object that has ``readable``, ``writable``,
``handle_read_event``, ``handle_write_event``, ``handle_expt_event``, ``handle_close`` and ``handle_error``.

The rule of all four: ``ExitNow``, ``KeyboardInterrupt`` and ``SystemExit`` end the loop, whatever else a channel's
method lets escape is the channel's own affair, and is handed to its ``handle_error`` while it is being handled, so
that ``sys.exc_info()`` tells.  What ``handle_error`` itself raises ends the loop again: ``raise`` in an overridden
one is how programs and tests ask for that.

Two defects of the original are not here.  A channel that was closed by the first of two events, or has another
socket since, is not told the second: the original went on, wrote to a closed socket, and closed the channel again.
And a read that found nothing after all, because somebody else was quicker, is no error: the original closed the
channel for it.

Read next: ``watch``, which finds out what has happened.
"""

from __future__ import annotations

import errno
import os
import select
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: What a socket says when there is no connection any more, or never was one.
DISCONNECTED = frozenset(
    {errno.ECONNRESET, errno.ENOTCONN, errno.ESHUTDOWN, errno.ECONNABORTED, errno.EPIPE, errno.EBADF}
)


class ExitNow(Exception):
    """Raised by a channel's method, it passes through the loop to whoever called it."""


#: What passes through the loop.
RERAISED = (ExitNow, KeyboardInterrupt, SystemExit)


class NothingThere(BlockingIOError):
    """``dispatcher.recv`` found nothing to read: the readiness was somebody else's, or is over."""


def read(obj: Any) -> None:
    """Tell *obj* that it can be read from."""
    _tell(obj, obj.handle_read_event)


def write(obj: Any) -> None:
    """Tell *obj* that it can be written to."""
    _tell(obj, obj.handle_write_event)


def urge(obj: Any) -> None:
    """Tell *obj* of urgent (out-of-band) data.  ``asyncore._exception`` is this function."""
    _tell(obj, obj.handle_expt_event)


def hang_up(obj: Any) -> None:
    """Tell *obj* that its connection or its descriptor is gone."""
    _tell(obj, obj.handle_close)


def _tell(obj: Any, method: Callable[[], object]) -> None:
    try:
        method()
    except RERAISED:
        raise
    except NothingThere:
        return
    except BaseException:
        obj.handle_error()


def readwrite(obj: Any, flags: int) -> None:
    """Tell *obj* all that *flags* of poll(2) say, in this order: read, write, urgent data, hang-up.

    An OSError that means "no connection" is answered with ``handle_close``, any other exception with
    ``handle_error``.
    """
    was_open, sock = not is_out(obj), getattr(obj, "socket", None)
    try:
        for mask, name in _METHODS:
            if (was_open and is_out(obj)) or getattr(obj, "socket", None) is not sock:
                return
            if flags & mask:
                getattr(obj, name)()
    except RERAISED:
        raise
    except NothingThere:
        return
    except OSError as exc:
        if exc.errno not in DISCONNECTED:
            obj.handle_error()
        else:
            note_cause(obj, exc)
            obj.handle_close()
    except BaseException:
        obj.handle_error()


#: The flags of poll(2), in the order in which they are told, and the method that is called.
_METHODS = (
    (getattr(select, "POLLIN", 1), "handle_read_event"),
    (getattr(select, "POLLOUT", 4), "handle_write_event"),
    (getattr(select, "POLLPRI", 2), "handle_expt_event"),
    (
        getattr(select, "POLLHUP", 16) | getattr(select, "POLLERR", 8) | getattr(select, "POLLNVAL", 32),
        "handle_close",
    ),
)


def is_out(obj: Any) -> bool:
    """Return True if *obj* is a dispatcher in no map: closed, or not yet open.  Of others nobody can tell."""
    return getattr(obj, "_fileno", 0) is None


def note_cause(obj: Any, exc: BaseException | None) -> None:
    """Remember why the channel is about to be closed, if *obj* is one that has a place for it."""
    if hasattr(obj, "close_cause"):
        obj.close_cause = exc


def error_text(number: int) -> str:
    """Return the system's text for an errno, whatever the number."""
    try:
        return os.strerror(number)
    except (ValueError, OverflowError):
        return errno.errorcode.get(number, f"Unknown error {number}")


def compact_traceback() -> tuple[tuple[str, str, str], type[BaseException], BaseException, str]:
    """Return ``((file, function, line), type, value, text)`` of the exception that is being handled.

    *text* has one ``[file|function|line]`` for each frame.  Raises AssertionError when nothing is being handled.
    """
    kind, value, traceback = sys.exc_info()
    if kind is None or value is None or traceback is None:
        raise AssertionError("traceback does not exist")
    frames = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        frames.append((code.co_filename, code.co_name, str(traceback.tb_lineno)))
        traceback = traceback.tb_next
    return frames[-1], kind, value, " ".join("[{}|{}|{}]".format(*frame) for frame in frames)
