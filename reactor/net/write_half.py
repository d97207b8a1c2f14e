"""The sending half of a stream: what is written leaves in as few pieces as possible, and never too late.

While a read event is delivered the stream is *corked*: replies are collected and leave in one piece when the
protocol returns.  Outside of a delivery the first write goes out at once, and what follows in the same turn is
collected until the turn ends.  What the kernel refuses waits for writability.  Nagle's algorithm has the same aim
and waits for an acknowledgement of the peer; this waits for nothing but the program itself, so TCP_NODELAY is on.

Every byte that waits is in ``_pending`` and is counted in ``_pending_bytes``: ``_enqueue`` adds, ``_flush`` takes
away, and no other method touches them but to drop all.  The watermarks are looked at whenever the kernel has
refused something, and when enough of it has gone.  Read next: ``stream``, the other half and the end of both.
"""

from __future__ import annotations

import os
import socket
from abc import ABC, abstractmethod
from selectors import EVENT_WRITE

from reactor.errors import PeerError, TransportClosed, WriteBufferFull
from reactor.flow import DEFAULT_WATERMARKS, Watermarks
from reactor.limits import CORK_BYTES
from reactor.net.outgoing import Buffer, drop_sent, frozen, transmit

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from reactor.core.handles import Timer
    from reactor.net.hub import Hub


class WriteHalf(ABC):
    """What a stream sends with.  ``Stream`` derives from it and decides about reading and about the end."""

    __slots__ = (
        "_error", "_has_eof", "_hub", "_idle", "_idle_timeout", "_is_closing", "_is_corked", "_is_lost",
        "_is_write_ended", "_is_write_paused", "_is_writing", "_pending", "_pending_bytes", "_protocol", "_sock",
        "_watermarks", "is_halted",
    )  # fmt: skip

    def __init__(self, hub: Hub, sock: socket.socket, protocol: Any, watermarks: Watermarks) -> None:
        self._hub = hub
        self._sock = sock
        self._protocol = protocol
        self._watermarks = watermarks
        self._pending: list[Buffer] | None = None
        self._pending_bytes = 0
        #: Why nothing more can be sent, while there may still be something to read.
        self._error: BaseException | None = None
        self._idle: Timer | None = None
        self._idle_timeout = 0.0
        self._is_corked = False
        #: The kernel refused something, and its writability is waited for.
        self._is_writing = False
        self._is_write_paused = False
        self._is_write_ended = False
        self._is_closing = False
        self._is_lost = False
        self._has_eof = False
        self.is_halted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send *data* as soon as the kernel takes it, in the order of the calls; see the head of this module.

        A mutable buffer may be changed as soon as this returns.  Ignored when the stream is closing; raises
        TransportClosed after ``write_eof``, TypeError for what is not bytes-like.
        """
        if type(data) is not bytes:
            data = frozen(data)
        if self._is_write_ended:
            self._refuse_write()
        elif data:
            if self._is_corked:
                size = self._pending_bytes + len(data)
                if size > CORK_BYTES or self._is_writing:
                    self._enqueue(data)
                    return
                # What _enqueue would do, without the call: this is the hot path.
                self._pending_bytes = size
                if self._pending is None:
                    self._pending = [data]
                else:
                    self._pending.append(data)
                return
            self._hub.loop.check()
            self._enqueue(data)
            if not self._is_writing:
                self._flush()
                self._cork_turn()

    def writelines(self, buffers: Iterable[bytes | bytearray | memoryview]) -> None:
        """Send all of *buffers* in one piece; otherwise as ``write``.  If it raises, none of them is sent."""
        pieces = list(map(frozen, buffers))
        if self._is_write_ended:
            self._refuse_write()
            return
        self._hub.loop.check()
        for data in pieces:
            if data and not self._is_lost:
                self._enqueue(data)
        if self._pending is not None and not (self._is_corked or self._is_writing):
            self._flush()
            self._cork_turn()

    def _refuse_write(self) -> None:
        if not self._is_closing and self._error is None:
            raise TransportClosed("write() after write_eof(): this side has said that it sends no more")

    def _enqueue(self, data: bytes) -> None:
        if self._pending is None:
            self._pending = [data]
        else:
            self._pending.append(data)
        self._pending_bytes += len(data)
        if self._is_writing:
            self._check_watermarks()
        elif self._pending_bytes > CORK_BYTES:
            self._flush()

    def _cork_turn(self) -> None:
        """The first write of this turn went out at once; collect what follows until the turn ends."""
        loop = self._hub.loop
        if loop.is_running():
            self._is_corked = True
            loop.call_at_turn_end(self._uncork)

    def _uncork(self) -> None:
        self._is_corked = False
        if self._pending is not None and not self._is_writing:
            self._flush()

    # -- with the pump -----------------------------------------------------------------------------------------

    def _end_delivery(self) -> None:
        """What the protocol wrote while it was told something leaves now; with the pump, along with the others'."""
        pump = self._hub.pump
        if pump is not None and self._pending is not None and not (self._is_writing or self._is_closing):
            pump.post(self.fileno(), self, self._hub.loop.call_at_turn_end)
        else:
            self._uncork()

    def take_outgoing(self) -> Buffer | None:
        """Return what waits to be sent, and consider it sent; None if nothing does, or if it is better sent here,
        because something follows from it.  For the pump."""
        self._is_corked = False
        pending = self._pending
        if pending is None or self._is_writing:
            return None
        if self._is_write_ended or self._is_write_paused or self._idle is not None or self._hub.probe is not None:
            self._flush()
            return None
        self._pending = None
        self._pending_bytes = 0
        return pending[0] if len(pending) == 1 else b"".join(pending)

    def forget_outgoing(self) -> None:
        """In a forked child: what was posted before the fork is the parent's to send."""
        self._is_corked = False
        if not self._is_writing:
            self._pending = None
            self._pending_bytes = 0

    def take_back(self, data: Buffer, sent: int) -> None:
        """Of *data* the kernel took only *sent* bytes (a negative number: an errno): the rest waits again."""
        self._pending = [data]
        self._pending_bytes = len(data)
        if sent >= 0:
            self._account(sent)

    def after_sending(self, sent: int) -> None:
        """Do what follows from that, once every stream has its bytes back."""
        if self._pending is None:
            return
        if sent < 0:
            self._on_unwritable(OSError(-sent, os.strerror(-sent)))
        else:
            self._after_flush()

    def _account(self, sent: int) -> bool:
        """The kernel took *sent* bytes of what was pending; tell whether it may take more at once."""
        if self._hub.probe is not None:
            self._hub.probe.sent(self, sent)
        self._pending_bytes -= sent
        if not self._pending_bytes:
            self._pending = None
            return False
        assert self._pending is not None
        return not drop_sent(self._pending, sent) and sent > 0

    def _flush(self) -> None:
        """Hand the kernel what waits, until it takes no more of it."""
        pending = self._pending
        if pending is None or self._is_lost:
            return
        try:
            while self._account(transmit(self._sock, pending, self._pending_bytes)):
                pass
        except OSError as exc:
            self._on_unwritable(exc)
            return
        if self._idle is not None:
            self._touch(self._idle)
        self._after_flush()

    def _after_flush(self) -> None:
        """Wait for writability exactly as long as something waits to be sent; then do what had to wait for that."""
        if self._pending is not None:
            if not self._is_writing:
                self._is_writing = True
                self._hub.loop.registry.add(self._sock, EVENT_WRITE, self._flush)
            self._check_watermarks()
            return
        if self._is_writing:
            self._is_writing = False
            self._hub.loop.registry.remove(self._sock, EVENT_WRITE)
        is_last = self._is_write_ended
        if self._is_write_paused:
            self._check_watermarks()
        if is_last and self._pending is None:
            self._end_writing()

    def _touch(self, idle: Timer) -> None:
        """A byte moved: the idle timeout begins anew."""
        idle.reschedule(self._hub.loop.time() + self._idle_timeout)

    def _check_watermarks(self) -> None:
        """Tell the protocol to pause or to go on; give up a peer for whom too much has piled up."""
        size = self._pending_bytes
        limits = self._watermarks
        if size > limits.cap:
            self._hub.counters.write_overflows += 1
            self.fail(WriteBufferFull(f"{size} bytes wait for a peer that does not read; the cap is {limits.cap}"))
        elif self._is_closing:
            return
        elif size > limits.high and not self._is_write_paused:
            self._is_write_paused = True
            self._tell(self._protocol.pause_writing)
        elif size <= limits.low and self._is_write_paused:
            self._is_write_paused = False
            self._tell(self._protocol.resume_writing)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the watermarks in bytes; as in asyncio, low defaults to a quarter of high.  Raises OptionError."""
        if high is None:
            high = 4 * low if low is not None else DEFAULT_WATERMARKS.high
        if low is None:
            low = high // 4
        self._watermarks = Watermarks(high, low, max(self._watermarks.cap, high))
        self._check_watermarks()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the watermarks (low, high) in bytes."""
        return self._watermarks.low, self._watermarks.high

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait to be sent."""
        return self._pending_bytes

    def can_write_eof(self) -> bool:
        """Tell whether ``write_eof`` is possible: always."""
        return True

    def write_eof(self) -> None:
        """Send what waits, then tell the peer that no more comes; reading goes on."""
        self._hub.loop.check()
        if not self._is_write_ended:
            self._is_write_ended = True
            if self._pending is None:
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
        if self._is_closing or self.is_halted or self._has_eof:
            self._on_broken(exc)
            return
        self._error = exc
        self._is_write_ended = True
        self._pending = None
        self._pending_bytes = 0
        if self._is_writing:
            self._is_writing = False
            self._hub.loop.registry.remove(self._sock, EVENT_WRITE)

    # -- what the other half owes ------------------------------------------------------------------------------

    @abstractmethod
    def fileno(self) -> int:
        """Return the descriptor."""

    @abstractmethod
    def on_arrival(self, arena: memoryview, start: int, size: int) -> bool:
        """Take what the pump has received."""

    @abstractmethod
    def fail(self, exc: PeerError) -> None:
        """End now because of the peer."""

    @abstractmethod
    def _tell(self, method: Callable[..., object], *args: object) -> None:
        """Call *method* of the protocol and survive what it raises."""

    @abstractmethod
    def _on_broken(self, exc: BaseException) -> None:
        """The socket is of no more use."""

    @abstractmethod
    def _lose(self, exc: BaseException | None, *, linger: bool = False) -> None:
        """End."""
