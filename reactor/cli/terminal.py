"""What a command writes, and to whom: results to stdout, everything else to stderr.

Two accidents of Unix are dealt with here once.  A reader may go away before we are done (``| head -1``): then a
result has nobody to go to, and the command ends, while a server goes on serving, because its log is not what it
is for.  And a program may be started with its standard descriptors closed: then the next *socket* would get
number 1 or 2, and a stray message would be sent to a client.  So /dev/null is put into their places first.
"""

from __future__ import annotations

import os
import sys
from io import FileIO, TextIOWrapper
from typing import TYPE_CHECKING

from reactor.printable import printable

if TYPE_CHECKING:
    from typing import TextIO


def prepare_streams() -> None:
    """Open /dev/null where the caller has closed stdin, stdout or stderr; let no character be impossible to
    print."""
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # open(2) returns the lowest number that is free: this one
        if getattr(sys, name) is None:  # what the interpreter makes of a closed descriptor
            setattr(sys, name, TextIOWrapper(FileIO(fd, "r" if fd == 0 else "w", closefd=False), encoding="utf-8"))
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def result(text: str) -> None:
    """Write a line of the result.  Raises BrokenPipeError if nobody reads it."""
    print(text, flush=True)


def tell(text: str) -> None:
    """Write a line about what goes on, for a person; what is not printable is escaped, for a peer may be quoted.

    Never raises: if nobody reads it, nothing is lost.
    """
    _write(sys.stderr, f"{printable(text)}\n")


def announce(text: str) -> None:
    """Write a line to stdout for whoever waits for it, a script perhaps; a server does not care if nobody does."""
    _write(sys.stdout, f"{printable(text)}\n")


def progress(text: str) -> None:
    """Show *text* in place of the last one, if a person is looking; "" wipes it out."""
    if sys.stderr.isatty():
        _write(sys.stderr, f"\r\033[K{text}")


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError):
        drop(stream)


def drop(stream: TextIO) -> None:
    """Let what is still buffered for *stream* go nowhere, so that the interpreter does not fail on it at exit."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
    except (OSError, ValueError):
        pass
