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

Sending: each message is one call into the kernel.  Messages are not collected, as the bytes of a stream are:
joined they would be one message.  The first that the kernel has no room for waits for writability, and all that
come behind it wait too, so the order is kept.  Nothing may be lost in the middle of a sequence.  So a message that
is too long is refused while its sender can still be told, before anything is sent of it; and when the peer is gone,
all that waits is dropped and nothing more is taken.

Its life is ``transport``'s, and its methods are those of ``net.stream``, with ``send_message`` for ``write``.  Loop
thread.  Read next: ``listener`` and ``connector``, which make both kinds.
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
from collections import deque
from selectors import EVENT_WRITE

from reactor.arguments import checked_whole
from reactor.errors import MessageTooLong, PayloadRefused, TransportClosed
from reactor.flow import DEFAULT_WATERMARKS, Watermarks
from reactor.limits import DATAGRAM_BATCH, SCRATCH_BYTES, STREAM_SECONDS
from reactor.net.stream.outgoing import NO_SIGNAL, frozen
from reactor.net.stream.transport import Transport

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from reactor.net.shared import Shared
    from reactor.ops import Ops

#: What a waiting message counts in addition to its bytes, so that empty ones cannot fill the memory either.
ENTRY_BYTES = 128

#: What Linux keeps back of the send buffer for each message, see unix_dgram_sendmsg() in its source.
KERNEL_SHARE = 32

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
    # A peer may send descriptors along, and they are open in this process by now: each that is kept is one less.
    for level, kind, data in notes:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            for (fd,) in struct.iter_unpack("i", data[: len(data) // 4 * 4]):
                ops.close(fd)
    if flags & socket.MSG_TRUNC and size <= len(buffer):
        return len(buffer) + 1  # a system that does not say how long it was
    # No bytes, no credentials, no mark: nobody sent it, so it is the end (see the head of this module).
    return size if size or notes or flags & socket.MSG_EOR else END


class MessageStream(Transport):
    """One open connection of messages.  Made by ``listen_unix``, ``connect_unix`` and ``adopt_seqpacket``.

    The protocol is a ``MessageProtocol``, or has its methods.  Raises OptionError if its ``max_message_size`` is no
    positive number.
    """

    __slots__ = ("_buffer", "_limit", "_pending_bytes", "_queue")

    _unit = "message"
    _receiver = "message_received"

    def __init__(
        self,
        shared: Shared,
        sock: socket.socket,
        protocol: Any,
        peer: Any = None,
        watermarks: Watermarks = DEFAULT_WATERMARKS,
        on_lost: Callable[[Any], object] | None = None,
    ) -> None:
        limit: int = getattr(protocol, "max_message_size", SCRATCH_BYTES)
        checked_whole("max_message_size", limit, 1, what="number of bytes")
        super().__init__(shared, sock, protocol, peer, watermarks, on_lost)
        self._limit = limit
        # Messages rest in the buffer only until they are handed on, so all streams can share one; but a longer
        # message than that needs its own, since recv(2) throws away what does not fit.
        is_small = limit <= len(shared.scratch)
        self._buffer = shared.scratch[:limit] if is_small else memoryview(bytearray(limit))
        self._queue: deque[bytes] = deque()
        self._pending_bytes = 0

    def _start(self) -> None:
        """Tell the protocol that the connection is made, and begin to read.  Called once, by whoever made this."""
        if SENDER_OPTION is not None:
            self._sock.setsockopt(socket.SOL_SOCKET, SENDER_OPTION, 1)
        super()._start()

    # -- receiving ---------------------------------------------------------------------------------------------

    def _on_readable(self) -> None:
        """Take a batch of messages, but not more bytes than a stream may, nor for longer."""
        left = SCRATCH_BYTES
        turn = self._shared.loop.registry.turn
        stop_at = self._shared.clock() + STREAM_SECONDS
        for _ in range(DATAGRAM_BATCH):
            try:
                size = receive_message(self._shared.ops, self._sock, self._buffer)
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
            # A callback may have paused or ended this, forked (then the rest is the parent's), or taken its time.
            if left <= 0 or not self.is_reading():
                return
            if self._shared.loop.registry.turn != turn or self._shared.clock() >= stop_at:
                return

    def _on_message(self, size: int) -> None:
        self.note_progress()
        if size > self._limit:
            self.fail(MessageTooLong(f"a message of more than {self._limit} bytes arrived, and its end is lost"))
            return
        if self._shared.probe is not None:
            self._shared.probe.received(self, size)
        self._deliver(self._protocol.message_received, self._buffer[:size].tobytes())

    def _discard(self, buffer: memoryview) -> int:
        size = receive_message(self._shared.ops, self._sock, buffer)
        return 0 if size == END else max(size, 1)

    # -- sending -----------------------------------------------------------------------------------------------

    def send_message(self, data: bytes | bytearray | memoryview) -> None:
        """Send *data*, which may be empty, as one message, in the order of the calls.

        Ignored when the transport is closing.  Raises PayloadRefused if it is longer than ``max_message_size`` or
        than the kernel can take in one piece (the keyword *send_buffer* makes room), TransportClosed after
        ``write_eof``, TypeError for what is not bytes-like.
        """
        data = frozen(data)
        if self._is_write_ended:
            if not self._is_closing and self._error is None:
                raise TransportClosed("send_message() after write_eof(): this side has said that it sends no more")
            return
        self._shared.loop.check()
        if len(data) > self._limit:
            raise PayloadRefused(f"a message of {len(data)} bytes exceeds max_message_size, {self._limit}")
        if self._queue:
            self._check_room(len(data))  # now, while the sender can be told; ``_flush`` could only drop it
        elif self._transmit(data):
            return
        if not self._has_overflowed():
            self._enqueue(data)

    def _transmit(self, data: bytes) -> bool:
        """Hand one message to the kernel; return True if it is done with, False if there is no room for it now."""
        try:
            self._sock.send(data, NO_SIGNAL)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as exc:
            if exc.errno == errno.EMSGSIZE:
                raise self._refusal(len(data)) from exc
            self._on_unwritable(exc)
            return True
        self.note_progress()
        if self._shared.probe is not None:
            self._shared.probe.sent(self, len(data))
        return True

    def _check_room(self, size: int) -> None:
        """Raise PayloadRefused for a message that the kernel will refuse when its turn comes."""
        if size > self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) - KERNEL_SHARE:
            raise self._refusal(size)

    def _refusal(self, size: int) -> PayloadRefused:
        room = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        return PayloadRefused(
            f"the system cannot carry a message of {size} bytes: its send buffer has {room}; set send_buffer, "
            "and net.core.wmem_max if that is smaller, or send it in pieces"
        )

    def _enqueue(self, data: bytes) -> None:
        self._queue.append(data)
        self._pending_bytes += len(data) + ENTRY_BYTES
        if len(self._queue) == 1:
            self._shared.loop.registry.add(self, EVENT_WRITE, self._flush)
        self._check_watermarks()

    def _flush(self) -> None:
        """Hand the kernel what waits, a batch of it, until it takes no more."""
        try:
            for _ in range(DATAGRAM_BATCH):
                # It is taken out only when it has left: the order, and the count, stay right if the kernel refuses.
                if not (self._queue and self._transmit(self._queue[0])):
                    break
                if self._queue:  # else the peer is gone, and all was dropped
                    self._pending_bytes -= len(self._queue.popleft()) + ENTRY_BYTES
        except PayloadRefused as exc:  # the send buffer was made smaller meanwhile
            self._lose(exc)
        if self._is_lost or self._error is not None:
            return
        if not self._queue:
            self._shared.loop.registry.remove(self, EVENT_WRITE)
        is_last = self._is_write_ended  # before the protocol is called: its own write_eof() ends writing by itself
        self._check_watermarks()
        if is_last and not self._queue:
            self._end_writing()

    def _pending_size(self) -> int:
        return self._pending_bytes

    def _has_unsent(self) -> bool:
        return bool(self._queue)

    def _drop_unsent(self) -> None:
        if self._queue:
            self._queue.clear()
            self._pending_bytes = 0
            self._shared.loop.registry.remove(self, EVENT_WRITE)
