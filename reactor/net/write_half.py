"""The sending half of a stream: what is written leaves in as few pieces as possible, and never too late.

While something is delivered the stream is *corked*: replies are collected and leave in one piece when the protocol
returns.  Outside of a delivery the first write goes out at once, and what follows in the same turn is collected
until the turn ends.  Whoever corks a stream uncorks it.  What the kernel refuses waits for writability.  Nagle's
algorithm has the same aim and waits for an acknowledgement of the peer; this waits for nothing but the program
itself, so TCP_NODELAY is on.

Bytes wait in two places, and these are all there are:

    corked    pieces collected since the stream was corked, as they were given: payloads that ``_codec`` has yet
              to make frames of, or, without a codec, bytes.  ``room`` is how many bytes more may be collected;
              negative if the stream is not corked, can send nothing more, or has something pending
    pending   bytes, counted in ``_pending_bytes``, that come before all that is corked

Collecting is the hot path, so those who write put their piece into ``corked`` themselves if there is room;
everything else is ``_settle``'s business, which makes pending bytes of what is corked, in order.  ``_enqueue`` adds
to what is pending, ``_account`` takes away, and no other method touches it but to drop all.  The watermarks are
looked at whenever the kernel has refused something, and when enough of it has gone.  Read next: ``read_half``.
"""

from __future__ import annotations

import os
import socket
from selectors import EVENT_WRITE

from reactor.errors import TransportClosed
from reactor.framing.seam import RAW
from reactor.limits import CORK_BYTES
from reactor.net.outgoing import NO_SIGNAL, Buffer, drop_sent, frozen, transmit
from reactor.net.transport import Transport

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from reactor.flow import Watermarks
    from reactor.framing.codec import Codec
    from reactor.net.hub import Hub


class WriteHalf(Transport):
    """What a stream sends with.  ``Stream`` derives from it and decides about reading and about the end."""

    __slots__ = ("_codec", "_cork_bytes", "_is_writing", "corked", "format", "pending", "room")

    def __init__(self, hub: Hub, sock: socket.socket, protocol: Any, watermarks: Watermarks) -> None:
        super().__init__(hub, sock, protocol, watermarks)
        #: Makes frames of what is corked; None: it is bytes already.
        self._codec: Codec | None = None
        #: The room of a stream that is corked now: negative if nothing can be sent, or is pending.
        self._cork_bytes = CORK_BYTES
        self.corked: list[bytes] | None = None
        self.room = -1
        #: The number by which the pump knows how frames are made of what is corked: see ``Pump.format_of``.
        self.format = RAW
        self.pending: list[Buffer] | None = None
        #: The kernel refused something, and its writability is waited for.
        self._is_writing = False

    # -- writing -----------------------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send *data* as soon as the kernel takes it, in the order of the calls; see the head of this module.

        A mutable buffer may be changed as soon as this returns.  Ignored when the stream is closing; raises
        TransportClosed after ``write_eof``, TypeError for what is not bytes-like.
        """
        if type(data) is not bytes:
            data = frozen(data)
        room = self.room - len(data)
        if room >= 0 and data and self._codec is None:
            self.room = room
            self.corked.append(data)  # type: ignore[union-attr]  # there is room
        elif self._is_write_ended:
            self._refuse_write()
        elif data:
            self._write_all([data])

    def writelines(self, buffers: Iterable[bytes | bytearray | memoryview]) -> None:
        """Send all of *buffers* in one piece; otherwise as ``write``.  If it raises, none of them is sent."""
        pieces = list(filter(None, map(frozen, buffers)))
        if self._is_write_ended:
            self._refuse_write()
        elif pieces:
            self._write_all(pieces)

    def _refuse_write(self) -> None:
        if not self._is_closing and self._error is None:
            raise TransportClosed("write() after write_eof(): this side has said that it sends no more")

    def _write_all(self, pieces: list[bytes]) -> None:
        """Send *pieces*, behind what is corked: in time if the stream is corked, else now."""
        self._hub.loop.check()
        self._settle()
        for data in pieces:
            if not self._is_lost:
                self._enqueue(data)
        if self.corked is None and self.pending is not None and not self._is_writing:
            self._flush()
            if self._hub.loop.is_running():
                # The first write of this turn went out at once; collect what follows until the turn ends.
                self._cork()
                self._hub.loop.call_at_turn_end(self.uncork)

    def _enqueue(self, data: bytes) -> None:
        if self.pending is None:
            self.pending = [data]
            self._cork_bytes = self.room = -1
        else:
            self.pending.append(data)
        self._pending_bytes += len(data)
        if self._is_writing:
            self._check_watermarks()
        elif self._pending_bytes > CORK_BYTES:
            self._flush()

    # -- corking -----------------------------------------------------------------------------------------------

    def _cork(self) -> bool:
        """Collect what is written from now on; tell whether it was not so already: whoever corks, uncorks."""
        if self.corked is not None:
            return False
        self.corked = []
        self.room = self._cork_bytes
        return True

    def _measure_cork(self) -> None:
        """Find out how much may be collected now."""
        if self._is_write_ended or self.pending is not None:
            self._cork_bytes = -1
        else:
            self._cork_bytes = CORK_BYTES if self._codec is None else min(CORK_BYTES, self._codec.max_frame_length)
        if self.corked is not None:
            self.room = self._cork_bytes

    def _settle(self) -> None:
        """Make pending bytes of what is corked: something has to come behind it, or wants to know how much it
        is."""
        if self.corked:
            data = self.joined(self.corked)
            self.corked = []
            self._enqueue(data)

    def joined(self, corked: list[bytes]) -> bytes:
        """Return the bytes that *corked* pieces come to."""
        if self._codec is None:
            return corked[0] if len(corked) == 1 else b"".join(corked)
        return self._codec.frame(corked)

    def uncork(self) -> None:
        """Send what was collected."""
        corked, self.corked, self.room = self.corked, None, -1
        if corked:
            data = self.joined(corked)
            if self.pending is None and self._hub.probe is None:
                # What is below would do the same; this is the hot path.
                try:
                    sent = self._sock.send(data, NO_SIGNAL)
                except (BlockingIOError, InterruptedError):
                    sent = 0
                except OSError as exc:
                    self._on_unwritable(exc)
                    return
                if sent != len(data):
                    self.take_back(data, sent)
                    self._after_flush()
                return
            self._enqueue(data)
        if self.pending is not None and not self._is_writing:
            self._flush()

    # -- with the pump -----------------------------------------------------------------------------------------

    def forget_unsent(self) -> None:
        """In a forked child: what was collected before the fork is the parent's to send."""
        if self.corked:
            self.corked = []
        if not self._is_writing:
            self.pending = None
            self._pending_bytes = 0
            self._measure_cork()

    def take_back(self, data: bytes, sent: int) -> None:
        """Of *data* the kernel took only *sent* bytes (a negative number: an errno): the rest is pending."""
        self.pending = [data]
        self._pending_bytes = len(data)
        self._cork_bytes = self.room = -1
        if sent >= 0:
            self._account(sent)

    def after_sending(self, sent: int) -> None:
        """Do what follows from that, once every stream has its bytes back."""
        if self.pending is None:
            return
        if sent < 0:
            self._on_unwritable(OSError(-sent, os.strerror(-sent)))
        else:
            self._after_flush()

    # -- what is pending ---------------------------------------------------------------------------------------

    def _account(self, sent: int) -> bool:
        """The kernel took *sent* bytes of what was pending; tell whether it may take more at once."""
        if self._hub.probe is not None:
            self._hub.probe.sent(self, sent)
        self._pending_bytes -= sent
        if not self._pending_bytes:
            self.pending = None
            self._measure_cork()
            return False
        assert self.pending is not None
        return not drop_sent(self.pending, sent) and sent > 0

    def _flush(self) -> None:
        """Hand the kernel what waits, until it takes no more of it."""
        pending = self.pending
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
        if self.pending is not None:
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
        if is_last and self.pending is None:
            self._end_writing()

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait to be sent."""
        self._settle()
        return self._pending_bytes

    def write_eof(self) -> None:
        """Send what waits, then tell the peer that no more comes; reading goes on."""
        self._hub.loop.check()
        if not self._is_write_ended:
            self._settle()
            self._is_write_ended = True
            self._cork_bytes = self.room = -1
            if self.pending is None:
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
        self._drop_unsent()
        if self._is_writing:
            self._is_writing = False
            self._hub.loop.registry.remove(self._sock, EVENT_WRITE)

    def _drop_unsent(self) -> None:
        """Nothing more leaves, ever."""
        self.corked = None
        self._cork_bytes = self.room = -1
        self.pending = None
        self._pending_bytes = 0
