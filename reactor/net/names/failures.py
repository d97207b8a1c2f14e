"""Why there is no answer about a name: what of the system's errors is kept, and what is added.

getaddrinfo(3) and gethostbyaddr(3) have two different sets of numbers for the same mishaps, and programs catch
them by class (``socket.gaierror``, ``socket.herror``) and compare the numbers.  So an error of ours is of the same
class, with the number and the text that the system gave, and says besides whose question it was and what can be
done.  What the system never says (no thread or descriptor was left, no answer came in time) is given the
number that comes nearest to it.

Only some numbers say that there *is* no answer; the others say that there is none now, and must not be remembered.

Read next: ``requests``.
"""

from __future__ import annotations

import errno
import socket

from reactor.errors import (
    HostTimeout,
    HostUnknown,
    LookupFailed,
    LookupTimeout,
    ResolutionFailed,
    ResolutionTimeout,
    ServiceUnknown,
)

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from typing import Any

#: What a person can do about some answers of getaddrinfo(3); the others speak for themselves.
ADVICE = {
    socket.EAI_AGAIN: "; the name servers do not answer: try again later",
    socket.EAI_NONAME: "; check the spelling",
}

#: Not every system tells "the name exists and has no address" from "there is no such name".
EAI_NODATA = getattr(socket, "EAI_NODATA", socket.EAI_NONAME)

#: The numbers of <netdb.h>, which Python does not name.
HOST_NOT_FOUND, TRY_AGAIN, NO_RECOVERY, NO_DATA = 1, 2, 3, 4

#: The numbers that say for certain that there is no answer.
DEFINITE_EAI = frozenset({socket.EAI_NONAME, EAI_NODATA, getattr(socket, "EAI_ADDRFAMILY", EAI_NODATA)})
DEFINITE_H = frozenset({HOST_NOT_FOUND, NO_DATA})


class Kind:
    """How a kind of question fails: in which words, with which errors, and with which numbers for "again",
    "there is none such" and "for good"."""

    __slots__ = ("again", "failure", "lack", "lost", "none", "timeout")

    def __init__(self, lack: str, failure: Any, timeout: Any, numbers: tuple[int, int, int]) -> None:
        self.lack = lack
        self.failure = failure
        self.timeout = timeout
        self.again, self.none, self.lost = numbers

    def failure_of(self, subject: object, cause: Exception) -> Exception:
        """Return what tells that there is no answer about *subject*, because of *cause*."""
        text = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
        advice = ADVICE.get(cause.errno or 0, "") if isinstance(cause, socket.gaierror) else ""
        message = f"{subject!r} {self.lack}: {text}{advice}"
        made: Exception
        if isinstance(cause, socket.gaierror):
            made = ResolutionFailed(message, cause.errno, text)
        elif isinstance(cause, socket.herror):
            made = HostUnknown(message, cause.errno, text)
        elif self is SERVICE and (isinstance(cause, UnicodeError) or _says_unknown(cause)):
            made = ServiceUnknown(message)
        else:
            error = self.timeout if isinstance(cause, TimeoutError) else self.failure
            made = error(message, self._number_of(cause), text)
        made.__cause__ = cause
        return made

    def _number_of(self, cause: Exception) -> int:
        if isinstance(cause, UnicodeError):
            return self.none
        return self.again if isinstance(cause, OSError | RuntimeError | MemoryError) else self.lost


NAME = Kind(
    "has no address", ResolutionFailed, ResolutionTimeout, (socket.EAI_AGAIN, socket.EAI_NONAME, socket.EAI_FAIL)
)
HOST = Kind("has no name", HostUnknown, HostTimeout, (TRY_AGAIN, HOST_NOT_FOUND, NO_RECOVERY))
SERVICE = Kind(
    "is not known as a service or protocol", LookupFailed, LookupTimeout,
    (errno.EAGAIN, errno.ENOENT, errno.EIO),
)  # fmt: skip


def is_lasting(answer: Any) -> bool:
    """Return True if *answer* of the system may be remembered: not if it is that there is no answer just now."""
    if isinstance(answer, socket.gaierror):
        return answer.errno in DEFINITE_EAI
    if isinstance(answer, socket.herror):
        return answer.errno in DEFINITE_H
    return not isinstance(answer, Exception) or _says_unknown(answer)


def _says_unknown(answer: Exception) -> bool:
    """Return True if *answer* is what getservbyname and its kin raise: an OSError without a number."""
    return type(answer) is OSError and answer.errno is None


def no_data() -> socket.gaierror:
    """Return what the system says of a name that exists and has no address (of that family)."""
    return socket.gaierror(EAI_NODATA, "No address associated with hostname")
