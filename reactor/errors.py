"""Every error that the reactor raises, as one tree: whose fault it is, what is left, and what to do about it.

The first level below ``ReactorError`` assigns the blame; each leaf also derives from the builtin class that people
already catch (``except ConnectionError`` and ``except TimeoutError`` keep working)::

    ReactorError
      UsageError          the caller broke a rule; nothing was changed; correct the call
      PeerError           the other end broke the protocol; its connection is closed, the others go on
      ConnectionFailure   no connection, or no longer one; reconnect if you like
      SystemLimit         this machine or build cannot do it; the message names the limit

Every message says what happened, with the values, and what to do.  Read next: ``reactor.core.loop`` raises most of
the first family, ``reactor.framing`` the second, ``reactor.net`` the rest.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from typing import Any


class ReactorError(Exception):
    """The root: ``except ReactorError`` catches whatever this library itself decided to raise."""


# -- the caller's fault ----------------------------------------------------------------------------------------


class UsageError(ReactorError):
    """The caller broke a rule.  Nothing was changed."""


class ReactorClosed(UsageError, RuntimeError):
    """The reactor was used after ``close()``."""


class NestedRun(UsageError, RuntimeError):
    """``run``, ``run_once`` or ``run_until`` was called from inside a callback of the same reactor."""


class WrongThread(UsageError, RuntimeError):
    """A method other than ``call_soon_threadsafe`` was called from a thread that does not run the reactor."""


class ForkedReactor(UsageError, RuntimeError):
    """The reactor was used in a child process that was forked while it was open; ``reopen()`` makes it usable."""


class NotRegistered(UsageError, KeyError):
    """The file descriptor is not registered with this reactor."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class TransportClosed(UsageError, ConnectionError, RuntimeError):
    """The transport cannot do that any more: it is closing, closed, or its writing side has ended.

    asyncio raises a RuntimeError in that place, and this is one.
    """


class AddressError(UsageError, ValueError):
    """An address is not of the form that its family needs."""


class DeadlineExceeded(UsageError, TimeoutError):
    """``run_until`` came to its timeout before what it waited for; the reactor can go on running."""


class OptionError(UsageError, ValueError):
    """An argument has a value that it cannot have; the message says which values it takes."""


class ArgumentError(UsageError, TypeError):
    """A call has an argument that it does not take: an unknown keyword, a factory that makes no protocols, a thing
    of the wrong kind."""


class ScriptExhausted(UsageError, AssertionError):
    """A loop on a scripted poller would wait forever: nothing more is scripted and no timer is set."""


class PayloadRefused(UsageError, ValueError):
    """``send_frame`` was given what the codec cannot carry, ``send_message`` what the socket cannot; ``__cause__``
    is the codec's FramingError, or the system's OSError (EMSGSIZE)."""


class KeyRefused(UsageError, ValueError):
    """A secret key, or the file that holds it, is not fit for use; the message says why, and never the secret."""


# -- the peer's fault ------------------------------------------------------------------------------------------


class PeerError(ReactorError):
    """The other end broke the protocol.  Its connection is closed; every other one goes on."""


class FramingError(PeerError, ValueError):
    """The bytes received are not a sequence of frames.

    ``frames`` holds the complete frames that the same chunk carried before the fault: deliver them first.  The
    codec that raised it stays broken and raises it again, with no frames, whatever it is fed.
    """

    def __init__(self, message: str, frames: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.frames: list[Any] = list(frames)


class FrameTooLong(FramingError):
    """A frame exceeds ``max_frame_length``: announced by a peer, or handed to ``encode`` by the caller."""


class FrameMalformed(FramingError):
    """A header or a terminator is not what the format prescribes."""


class FrameTruncated(FramingError, EOFError):
    """The stream ended inside a frame."""


class TextMalformed(PeerError, ValueError):
    """The peer sent bytes that are not UTF-8 where text was agreed on.

    ``replies`` holds the answers to the messages that the same chunk carried before the fault: send them first.
    """

    def __init__(self, message: str, replies: Sequence[bytes] = ()) -> None:
        super().__init__(message)
        self.replies: list[bytes] = list(replies)


class ReplyRefused(PeerError, ValueError):
    """The peer asked for a reply that the codec cannot carry: mostly one longer than ``max_frame_length``."""


class MessageMalformed(PeerError, ValueError):
    """The peer sent a whole frame that the protocol inside does not allow: unknown, misshapen, or out of turn."""


class IdleTimeout(PeerError, TimeoutError):
    """The peer sent nothing for longer than the stream's idle timeout."""


class OperationTimeout(PeerError, TimeoutError):
    """The peer did not do in time what it owed: send a reply, take what was sent to it.  See ``Deadline``."""


class MessageTooLong(PeerError, ValueError):
    """The peer sent a message longer than ``max_message_size``; what did not fit is lost."""


class AuthenticationFailed(PeerError, PermissionError):
    """The peer did not prove that it has the key, or could not be understood while it tried.

    ``reply`` is what it is owed before its connection is closed, and may be empty: send it first.
    """

    def __init__(self, message: str, reply: bytes = b"") -> None:
        super().__init__(message)
        self.reply = reply


class AuthenticationTimeout(AuthenticationFailed, TimeoutError):
    """The peer did not prove it in time."""


class AuthenticationDelayed(AuthenticationFailed):
    """Too many handshakes were under way at the server, and this one made room for another; try again later."""


class DescriptorsLost(PeerError, OSError):
    """Descriptors that came with a message were too many, or more than this process can hold; all were closed."""


class HandoverFailed(PeerError, ConnectionError):
    """The other server did not hand its sockets over, or take them, as agreed; who was serving goes on."""


class WriteBufferFull(PeerError, ConnectionError):
    """The peer reads too slowly and the hard cap on unsent bytes was reached; the stream was aborted."""


# -- no connection ---------------------------------------------------------------------------------------------


class ConnectionFailure(ReactorError, ConnectionError):
    """There is no connection."""


class ConnectFailed(ConnectionFailure):
    """Every address was tried and none answered; ``attempts`` holds one ``(address, exception)`` for each.

    ``errno`` is that of the last attempt, as connect_ex() would have returned it, or None.
    """

    def __init__(self, message: str, attempts: Sequence[tuple[object, BaseException]] = ()) -> None:
        super().__init__(message)
        self.attempts: list[tuple[object, BaseException]] = list(attempts)
        self.errno = getattr(self.attempts[-1][1], "errno", None) if self.attempts else None


class ConnectTimeout(ConnectFailed, TimeoutError):
    """No address answered within the time allowed for all of them."""


class ConnectCancelled(ConnectionFailure):
    """The attempt was cancelled by its owner."""


class LookupFailed(ConnectionFailure):
    """A name or an address could not be looked up.

    ``str()`` says so for a person, with what can be done; ``errno`` and ``strerror`` are those of the system, and
    ``__cause__`` is what it raised.
    """

    def __init__(self, message: str, number: int | None = None, strerror: str | None = None) -> None:
        super().__init__(*([message] if number is None else [number, strerror]))
        self.message = message

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.message, self.errno, self.strerror)


class ResolutionFailed(LookupFailed, socket.gaierror):
    """A name has no address, or none could be found out; ``errno`` is one of the EAI numbers of getaddrinfo(3)."""


class HostUnknown(LookupFailed, socket.herror):
    """An address has no name, or none could be found out; ``errno`` is an h_errno, see gethostbyaddr(3)."""


class LookupTimeout(LookupFailed, TimeoutError):
    """No answer came in the time allowed.  The question goes on in its thread, and what it finds is remembered."""


class ResolutionTimeout(LookupTimeout, ResolutionFailed):
    """No answer about a name came in time; ``errno`` is EAI_AGAIN."""


class HostTimeout(LookupTimeout, HostUnknown):
    """No answer about an address came in time; ``errno`` is TRY_AGAIN, 2."""


class LookupCancelled(LookupFailed):
    """The look-up was cancelled by its owner."""


# -- this machine's limits -------------------------------------------------------------------------------------


class SystemLimit(ReactorError):
    """This machine, this build or its configuration cannot do it."""


class SelectorUnavailable(SystemLimit, ValueError):
    """The poller asked for does not exist on this platform."""


class DescriptorTooLarge(SystemLimit, ValueError):
    """select(2) takes descriptors below FD_SETSIZE only (usually 1024); use poll or epoll."""


class NotHostable(SystemLimit, ValueError):
    """The poller has no descriptor of its own, so no other loop can watch it; use epoll or kqueue."""


class AccelUnavailable(SystemLimit, ImportError):
    """The compiled module was demanded and cannot be loaded; the message says why."""


class BindFailed(SystemLimit, OSError):
    """A local address cannot be bound; ``errno`` is the system's, the message says who or what stands in the
    way."""


class StoreUnavailable(SystemLimit, OSError):
    """A directory cannot keep uploads: another server has it, or its file system lacks what that takes."""


class ServiceUnknown(SystemLimit, OSError):
    """The tables of this system, services(5) and protocols(5), do not have that name or number."""


class NotWatchable(SystemLimit, PermissionError):
    """epoll cannot watch that file, a regular one or a directory.  It is always ready: nobody has to wait."""


class DescriptorClosed(SystemLimit, OSError):
    """A registered descriptor was closed without ``remove_reader``/``remove_writer``; its callbacks are dropped."""


def os_error_text(exc: OSError) -> str:
    """Return the system's text for *exc* with its symbolic name, such as ``Address already in use
    (EADDRINUSE)``."""
    if exc.errno is None:
        return str(exc)
    name = errno.errorcode.get(exc.errno, str(exc.errno))
    return f"{exc.strerror or os.strerror(exc.errno)} ({name})"
