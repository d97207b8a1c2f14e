"""One attempt to connect to one address, without waiting for it.

connect(2) of a non-blocking socket says EINPROGRESS; the socket becomes writable when the matter is decided,
and SO_ERROR tells how.  Loopback and Unix sockets often decide at once; that is told from the loop as well, so that
whoever made the attempt sees one order of events only.  Three traps are on the way:

- **A Unix socket is never in progress.**  If the queue of its listener is full, connect(2) says EAGAIN, and no
  readiness will ever tell that there is room again; it is tried anew every ``RETRY_DELAY`` seconds.
- **Writable is not connected.**  A socket that was reset right after it connected has told its error already,
  or has none; only a socket with a peer is connected.
- **A connection to oneself.**  When nobody listens on a port of this machine, the kernel may choose just that
  port as the local one for the attempt, and TCP's simultaneous open then connects the socket to itself (RFC
  9293, section 3.5).  That is treated as what it is: a refusal.

Read next: ``connector``, which makes several attempts and keeps one.
"""

from __future__ import annotations

import errno
import os
import socket
from selectors import EVENT_WRITE

from reactor.net.sockets.options import INTERNET, SocketOptions, set_reset_on_close

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from reactor.core.handles import Handle, Timer
    from reactor.net.names.requests import Target
    from reactor.net.shared import Shared

    #: ``then(attempt, exc)``: *exc* is None if the attempt's socket is connected.
    Then = Callable[["Attempt", Exception | None], object]

#: Seconds until a Unix socket whose listener's queue was full is tried again.
RETRY_DELAY = 0.01

#: What connect(2) says when the answer is still to come.  Windows says EWOULDBLOCK; on Unix that is another name
#: for EAGAIN, which means something else here (see above) and is taken out again.
PENDING = frozenset({errno.EINPROGRESS, errno.EALREADY, errno.EINTR, errno.EWOULDBLOCK} - {errno.EAGAIN})


class Attempt:
    """One socket on its way to one address; ``then`` is called from the loop, once, unless it is closed before."""

    __slots__ = ("_later", "_shared", "_then", "address", "sock")

    def __init__(self, shared: Shared, sock: socket.socket, address: Any, then: Then) -> None:
        self._shared = shared
        self._then = then
        self._later: Handle | Timer | None = None
        self.sock = sock
        self.address = address
        self._connect()

    def close(self) -> None:
        """Drop the attempt: unregister first, then close.  Idempotent."""
        if self._later is not None:
            self._later.cancel()
        # In this order: a poller cannot be told of a descriptor that is closed.
        self._shared.loop.registry.remove(self.sock, EVENT_WRITE)
        self.sock.close()

    def _connect(self) -> None:
        """Ask for the connection, and arrange for the answer."""
        number = self.sock.connect_ex(self.address)  # an errno, not an exception: EINPROGRESS is the normal case
        loop = self._shared.loop
        if number in PENDING:
            # TCP's handshake is under way.  The kernel says "writable" when it has ended, well or badly.
            loop.registry.add(self.sock, EVENT_WRITE, self._on_writable)
        elif number == errno.EAGAIN and self.sock.family not in INTERNET:
            # A Unix listener's queue is full, and no event tells when there is room: only asking again does.
            self._later = loop.call_later(RETRY_DELAY, self._connect)
        else:
            # Decided at once.  EISCONN: an earlier connect(2) of this very socket has succeeded.
            self._later = loop.call_soon(self._decide, 0 if number == errno.EISCONN else number)

    def _on_writable(self) -> None:
        # A connected socket is writable nearly always: watched any longer, it would be reported in every turn.
        self._shared.loop.registry.remove(self.sock, EVENT_WRITE)
        # Reading SO_ERROR also clears it: this is the only chance to learn why the handshake failed.
        self._decide(self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def _decide(self, number: int) -> None:
        exc = self._fault(number)
        if exc is not None:
            self.close()
        self._then(self, exc)

    def _fault(self, number: int) -> OSError | None:
        """Return why the socket, whose connect(2) came to *number*, is of no use; None if it is."""
        if number:
            return OSError(number, os.strerror(number))
        try:
            peer = self.sock.getpeername()  # ENOTCONN if it was reset since: writable is not connected
            if self.sock.family in INTERNET and self.sock.getsockname() == peer:
                set_reset_on_close(self.sock)  # or the port would be kept for a minute by a connection to nobody
                return ConnectionRefusedError(errno.ECONNREFUSED, "nobody listens; it had connected to itself")
        except OSError as exc:
            return exc
        return None


def open_attempt(
    shared: Shared, target: Target, local: tuple[int, Any] | None, options: SocketOptions, then: Then
) -> Attempt:
    """Begin to connect to *target*, from *local* (family, 0 for any, and address) if given; see ``Attempt`` for
    *then*.

    Raises OSError (also for a *local* of another family), OptionError, DescriptorTooLarge; nothing stays open then.
    """
    family, kind, proto, address = target
    if local is not None and local[0] not in (0, family):
        raise OSError(errno.EAFNOSUPPORT, "the local address is of another family")
    sock = shared.ops.socket(family, kind, proto)
    try:
        options.apply_stream(sock)
        if local is not None:
            _bind(sock, local[1])
        return Attempt(shared, sock, address, then)
    except BaseException:
        # Ctrl-C may have come behind the registration, in an ``Attempt`` that nobody got.
        shared.loop.registry.remove(sock, EVENT_WRITE)
        sock.close()
        raise


def _bind(sock: socket.socket, local: Any) -> None:
    """Bind to *local*; a fixed port may be in the state that the last connection from it left behind, TIME-WAIT."""
    if local[1] and os.name == "posix":
        # With port 0 the kernel chooses a port that is in no such state.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(local)
