"""A demo server with a fault, so that the demo can be seen to find it.  Run as a program, by ``test_demo``.

It is the real one but for its upper-casing service, which after some hundred messages flips a byte, loses a
message, stops answering, or kills or stops its process.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys

from reactor.cli.demo_server import main
from reactor.service.catalog import Service

#: The message with which the fault begins.
WHEN = 300

count = itertools.count()


def flipping(text: str) -> str:
    """Change one character of one reply."""
    return text.upper() if next(count) != WHEN else "?" + text.upper()[1:]


def losing(text: str) -> str | None:
    """Do not answer one message."""
    return text.upper() if next(count) != WHEN else None


def stalling(text: str) -> str | None:
    """Answer no more messages."""
    return text.upper() if next(count) < WHEN else None


def dying(text: str) -> str:
    """Kill the process."""
    if next(count) == WHEN:
        os.kill(os.getpid(), signal.SIGKILL)
    return text.upper()


def stopping(text: str) -> str:
    """Stop the process, which then neither answers nor notices that it is hung up on."""
    if next(count) == WHEN:
        os.kill(os.getpid(), signal.SIGSTOP)
    return text.upper()


def raising(text: str) -> str:
    """Have a bug."""
    if next(count) == WHEN:
        raise ZeroDivisionError("a bug")
    return text.upper()


def serve(fault: str) -> None:
    """Serve with *fault* until the demo hangs up."""
    upper = Service("upper", "upper case, with a fault", globals()[fault])
    main(sys.argv[2], sys.argv[3], int(sys.argv[4]), (upper, "echo"))
