"""A connection of messages: Unix sockets of the kind SOCK_SEQPACKET, in which the kernel does the framing.

In between a stream and a datagram: there is a peer, an order, flow control and an end, as in a stream, and every
``send`` is one ``recv``, as with datagrams.  So there is no codec.  Four things are peculiar.

- **An empty message looks like the end.**  recv(2) returns 0 for both, and Linux never sets MSG_EOR, which POSIX
  has for the purpose.  But a socket with SO_PASSCRED is told with each message who sent it, and an end was sent by
  nobody: a result without bytes and without credentials is the end.  The price is 16 bytes beside each message, and
  a name in the abstract namespace that Linux gives to a socket that sends and has none (see unix(7)).  Where there
  is no such option, an empty message *is* the end, unless the system marks it with MSG_EOR.
- **A message may be cut.**  What does not fit into the buffer is lost, and MSG_TRUNC tells.  A sequence with a hole
  in it is worth nothing, so the connection is given up: a peer must keep to ``max_message_size``.  The kernel has a
  limit of its own, the sender's send buffer less a few bytes (EMSGSIZE): ``send_message`` raises PayloadRefused.
- **A reset overtakes.**  When the peer closes with messages unread, our next recv(2) says ECONNRESET before it
  gives out what the peer had sent; reading goes on to the end, and ``connection_lost`` tells of the reset.
- **Descriptors may come along** (SCM_RIGHTS) that nobody asked for.  They are closed at once.

Its life and its methods are those of ``net.stream``, with ``send_message`` for ``write``; see ``writer``.  Loop
thread.  Read next: ``listener`` and ``connector``, which make both kinds.
"""

from __future__ import annotations

import socket
import struct
import sys
from functools import partial
from selectors import EVENT_READ

from reactor.errors import MessageTooLong, OptionError, PeerError
from reactor.flow import DEFAULT_WATERMARKS, Watermarks
from reactor.limits import DATAGRAM_BATCH, SCRATCH_BYTES
from reactor.net.addresses import format_address
from reactor.net.messages.writer import MessageWriter
from reactor.net.sockets import peer_credentials

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from reactor.core.ops import Ops
    from reactor.net.hub import Hub

#: What tells a message from the end, and the room for it: ``struct ucred``, and no room for a descriptor beside it.
SENDER_OPTION = getattr(socket, "SO_PASSCRED", None)
SENDER_BYTES = socket.CMSG_SPACE(struct.calcsize("iII"))

#: Linux then tells the whole length of a message that did not fit, see recv(2).
TELL_LENGTH = socket.MSG_TRUNC if sys.platform == "linux" else 0

#: ``receive_message``: the peer has sent everything.
END = -1


def receive_message(ops: Ops, sock: socket.socket, buffer: memoryview) -> int:
    """Receive one message into *buffer* and return its size, more than there is room if it was cut; or END.

    Raises OSError as recvmsg(2).
    """
    size, notes, flags, _ = sock.recvmsg_into([buffer], SENDER_BYTES, TELL_LENGTH)
    for level, kind, data in notes:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            for (fd,) in struct.iter_unpack("i", data[: len(data) // 4 * 4]):
                ops.close(fd)
    if flags & socket.MSG_TRUNC and size <= len(buffer):
        return len(buffer) + 1
    return size if size or notes or flags & socket.MSG_EOR else END


class MessageStream(MessageWriter):
    """One open connection of messages.  Made by ``listen_unix``, ``connect_unix`` and ``adopt_seqpacket``.

    The protocol is a ``MessageProtocol``, or has its methods.  Raises OptionError if its ``max_message_size`` is no
    positive number.
    """

    __slots__ = ("_buffer", "_on_lost", "_peer")

    def __init__(
        self,
        hub: Hub,
        sock: socket.socket,
        protocol: Any,
        peer: Any = None,
        watermarks: Watermarks = DEFAULT_WATERMARKS,
        on_lost: Callable[[Any], object] | None = None,
    ) -> None:
        limit: int = getattr(protocol, "max_message_size", SCRATCH_BYTES)
        if not limit >= 1:
            raise OptionError(f"max_message_size is a positive number of bytes, not {limit!r}")
        super().__init__(hub, sock, protocol, limit, watermarks)
        is_small = limit <= len(hub.scratch)
        self._buffer = hub.scratch[:limit] if is_small else memoryview(bytearray(limit))
        self._peer = peer
        self._on_lost = on_lost

    def __repr__(self) -> str:
        state = "lost" if self._is_lost else "closing" if self._is_closing else "open"
        peer = format_address(self.get_extra_info("peername"))
        return f"<{type(self).__name__} {state} fd={self._sock.fileno()} peer={peer}>"

    def start(self) -> None:
        """Tell the protocol that the connection is made, and begin to read.  Called once, by whoever made this."""
        self._hub.opened(self)
        try:
            if SENDER_OPTION is not None:
                self._sock.setsockopt(socket.SOL_SOCKET, SENDER_OPTION, 1)
            self._tell(self._protocol.connection_made, self)
            if not self.is_halted:
                self._hub.loop.registry.add(self._sock, EVENT_READ, self._on_readable)
        except BaseException as exc:
            self._lose(exc)
            raise

    # -- what is known of it -----------------------------------------------------------------------------------

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return "socket", "peername", "sockname" (paths, "" if unnamed), or "peercred" (PeerCredentials).

        *default* for any other name, and where the system has no answer (any more).
        """
        try:
            if name == "peername":
                return self._sock.getpeername() if self._peer is None else self._peer
            if name == "peercred":
                return peer_credentials(self._sock)
            if name == "sockname":
                return self._sock.getsockname()
        except (OSError, OptionError):
            return default
        return self._sock if name == "socket" else default

    def set_protocol(self, protocol: Any) -> None:
        """Have *protocol* told what happens from now on; the limit on messages stays.  ``connection_made`` is not
        called again."""
        self._protocol = protocol

    # -- receiving ---------------------------------------------------------------------------------------------

    def pause_reading(self) -> None:
        """Take no more messages from the socket: soon its peer cannot send any more either."""
        if not self.is_halted:
            self._hub.loop.remove_reader(self._sock)
            self.is_halted = True

    def resume_reading(self) -> None:
        """Take messages again."""
        if self.is_halted and not self._is_closing:
            self.is_halted = False
            if not self._has_eof:
                self._hub.loop.add_reader(self._sock, self._on_readable)

    def is_reading(self) -> bool:
        """Tell whether messages are being received."""
        return not (self.is_halted or self._has_eof)

    def _on_readable(self) -> None:
        """Take a batch of messages, but not more bytes than a stream may."""
        left = SCRATCH_BYTES
        for _ in range(DATAGRAM_BATCH):
            try:
                size = receive_message(self._hub.ops, self._sock, self._buffer)
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionResetError as exc:
                if isinstance(self._error, ConnectionResetError):
                    self._on_broken(exc)
                    return
                self._error = exc  # said once, by recv or by send, and before what the peer had sent
                continue
            except OSError as exc:
                self._on_broken(exc)
                return
            if size == END:
                self._on_eof()
            else:
                self._on_message(size)
            left -= max(size, 0)
            if left <= 0 or not self.is_reading():
                return

    def _on_message(self, size: int) -> None:
        if self._idle is not None:
            self._touch(self._idle)
        if size > self._limit:
            self.fail(MessageTooLong(f"a message of more than {self._limit} bytes arrived, and its end is lost"))
            return
        if self._hub.probe is not None:
            self._hub.probe.received(self, size)
        self._tell(self._protocol.message_received, self._buffer[:size].tobytes())

    def _on_eof(self) -> None:
        """The peer has shut its sending side down, or closed: there is nothing more to read, ever."""
        self._has_eof = True
        self._hub.loop.registry.remove(self._sock, EVENT_READ)
        if self._error is not None:
            self._on_broken(self._error)
        elif not self._tell(self._protocol.eof_received) or self._is_write_ended:
            self.close()

    # -- ending ------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Send what waits, then end.  Nothing more is received, and ``connection_lost(None)`` is the next call."""
        if not self._is_closing:
            self._hub.loop.check()
            self._halt()
            if not self._queue:
                self._end_writing()

    def fail(self, exc: PeerError) -> None:
        """End because the peer broke a rule: count it and say so in one line."""
        if self._is_lost:
            return
        self._hub.loop.check()
        self._hub.counters.peer_errors += 1
        peer = format_address(self.get_extra_info("peername"))
        self._hub.reports.fault(type(exc).__name__, f"closed the connection of {peer}: {exc}")
        self._lose(exc.with_traceback(None), linger=not (self._queue or self._has_eof))

    def _halt(self) -> None:
        """No user call but ``connection_lost`` from here on, and no message but those that wait to be sent."""
        self._is_closing = self._is_write_ended = True
        if not self.is_halted:
            self.is_halted = True
            if not self._has_eof:
                self._hub.loop.registry.remove(self._sock, EVENT_READ)

    def _lose(self, exc: BaseException | None, *, linger: bool = False) -> None:
        """The one end of every transport: unregister, let go of everything, and have ``connection_lost`` called."""
        if self._is_lost:
            return
        self._is_lost = True
        self._halt()
        self._drop_unsent()
        self._stop_idling()
        self._hub.loop.call_soon(self._finish, exc, linger)

    def _finish(self, exc: BaseException | None, linger: bool) -> None:
        protocol, self._protocol = self._protocol, None
        self._hub.counters.closed_streams += 1
        self._hub.closed(self, exc)
        try:
            self._tell(protocol.connection_lost, exc)
        finally:
            if linger:
                self._hub.lingering.take(self._sock, partial(_thrown_away, self._hub.ops, self._sock))
            else:
                self._sock.close()
            if self._on_lost is not None:
                self._on_lost(self)

    def _tell(self, method: Callable[..., Any], *args: Any) -> Any:
        """Call *method* of the protocol.  What it raises ends this transport and no other: a PeerError is the
        peer's fault, anything else a bug of ours."""
        try:
            return method(*args)
        except (KeyboardInterrupt, SystemExit):
            raise
        except PeerError as exc:
            self.fail(exc)
        except BaseException as exc:
            self._hub.reports.failure(exc, method)
            self._lose(exc)
        return True


def _thrown_away(ops: Ops, sock: socket.socket, buffer: memoryview) -> int:
    """Receive one message for nobody, in the manner of ``recv_into``: 0 is the end, and nothing else is."""
    size = receive_message(ops, sock, buffer)
    return 0 if size == END else max(size, 1)
