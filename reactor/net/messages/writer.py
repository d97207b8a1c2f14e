"""The sending half of a message transport: each message is one call into the kernel, and what does not fit waits.

Messages are not collected, as the bytes of a stream are: joined they would be one message.  The first that the
kernel has no room for waits for writability, and all that come behind it, so the order is kept.  Three watermarks
bound what waits; an empty message counts as well.

Nothing may be lost in the middle of a sequence.  So a message that is too long is refused while its sender can
still be told, before anything is sent of it; and when the peer is gone, all that waits is dropped and nothing more
is taken.  Read next: ``stream``.
"""

from __future__ import annotations

import errno
import socket
from collections import deque
from selectors import EVENT_WRITE

from reactor.errors import PayloadRefused, TransportClosed
from reactor.limits import DATAGRAM_BATCH
from reactor.net.outgoing import NO_SIGNAL, frozen
from reactor.net.transport import Transport

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from typing import Any

    from reactor.flow import Watermarks
    from reactor.net.hub import Hub

#: What a waiting message counts in addition to its bytes, so that empty ones cannot fill the memory either.
ENTRY_BYTES = 128

#: What Linux keeps back of the send buffer for each message, see unix_dgram_sendmsg() in its source.
KERNEL_SHARE = 32


class MessageWriter(Transport):
    """What a message transport sends with.  ``MessageStream`` derives from it and decides about the rest."""

    __slots__ = ("_limit", "_queue")

    unit = "message"

    def __init__(self, hub: Hub, sock: socket.socket, protocol: Any, limit: int, watermarks: Watermarks) -> None:
        super().__init__(hub, sock, protocol, watermarks)
        self._limit = limit
        self._queue: deque[bytes] = deque()

    def send_message(self, data: bytes | bytearray | memoryview) -> None:
        """Send *data*, which may be empty, as one message, in the order of the calls.

        Ignored when the transport is closing.  Raises PayloadRefused if it is longer than ``max_message_size`` or
        than the kernel can take in one piece (the keyword *send_buffer* makes room), TransportClosed after
        ``write_eof``, TypeError for what is not bytes-like.
        """
        self._hub.loop.check()
        data = frozen(data)
        if self._is_write_ended:
            if not self._is_closing and self._error is None:
                raise TransportClosed("send_message() after write_eof(): this side has said that it sends no more")
            return
        if len(data) > self._limit:
            raise PayloadRefused(f"a message of {len(data)} bytes exceeds max_message_size, {self._limit}")
        if self._queue:
            self._check_room(len(data))
        elif self._transmit(data):
            return
        self._enqueue(data)

    def _transmit(self, data: bytes) -> bool:
        """Hand one message to the kernel; tell whether it is done with: False if there is no room for it now."""
        try:
            self._sock.send(data, NO_SIGNAL)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as exc:
            if exc.errno == errno.EMSGSIZE:
                raise self._refusal(len(data)) from exc
            self._on_unwritable(exc)
            return True
        if self._idle is not None:
            self._touch(self._idle)
        if self._hub.probe is not None:
            self._hub.probe.sent(self, len(data))
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
            self._hub.loop.registry.add(self._sock, EVENT_WRITE, self._on_writable)
        self._check_watermarks()

    def _on_writable(self) -> None:
        try:
            for _ in range(DATAGRAM_BATCH):
                if not (self._queue and self._transmit(self._queue[0])):
                    break
                if self._queue:  # else the peer is gone, and all was dropped
                    self._pending_bytes -= len(self._queue.popleft()) + ENTRY_BYTES
        except PayloadRefused as exc:  # the send buffer was made smaller meanwhile
            self._lose(exc)
        if self._is_lost or self._error is not None:
            return
        if not self._queue:
            self._hub.loop.registry.remove(self._sock, EVENT_WRITE)
        is_last = self._is_write_ended
        self._check_watermarks()
        if is_last and not self._queue:
            self._end_writing()

    def get_write_buffer_size(self) -> int:
        """Return what waits to be sent in bytes; each message counts ENTRY_BYTES more than it carries."""
        return self._pending_bytes

    def write_eof(self) -> None:
        """Send what waits, then tell the peer that no more comes; reading goes on."""
        self._hub.loop.check()
        if not self._is_write_ended:
            self._is_write_ended = True
            if not self._queue:
                self._end_writing()

    def _end_writing(self) -> None:
        """All is sent: close if that is what it was for, or if the peer has ended too; else shut this side down."""
        if self._is_closing:
            self._lose(self._error, linger=not self._has_eof)
            return
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError as exc:
            self._on_unwritable(exc)
            return
        if self._has_eof:
            self._lose(None)

    def _on_unwritable(self, exc: OSError) -> None:
        """The peer takes nothing more.  What it sent before that may still lie here: read it all, then end."""
        self._error = self._error or exc
        if self._is_closing or self.is_halted or self._has_eof:
            self._on_broken(exc)
            return
        self._is_write_ended = True
        self._drop_unsent()

    def _drop_unsent(self) -> None:
        """Nothing more leaves, ever."""
        if self._queue:
            self._queue.clear()
            self._pending_bytes = 0
            self._hub.loop.registry.remove(self._sock, EVENT_WRITE)
