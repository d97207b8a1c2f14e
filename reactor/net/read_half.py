"""The receiving half of a stream: whatever has arrived is handed on at once, and nothing is kept here.

There are two ways in.  On the plain path a stream is told that it can read (``_on_readable``) and receives into the
buffer that all streams of a reactor share, once for each readiness, so a greedy peer gets one buffer per turn, as
everyone else.  With the pump it is told *what has arrived* (``on_frame``, ``on_frames``, ``on_bytes``, ``on_end``).
A protocol that lends its own buffers receives into those, on the plain path.  Whatever is incomplete is kept by the
protocol's codec.

The protocol is called in one manner (``_deliver``, and the same without the call where it is hot): the stream is
corked, the method runs, what it raised ends this stream and no other, and whoever has corked the stream uncorks it.
After that the state is read anew: the protocol may have closed, paused, written, or raised.

**Paused too late.**  When the pump has received for a stream that another callback of the same turn has paused, the
bytes have left the kernel all the same.  They lie in ``hub.kept`` until reading is resumed, and come first.

Read next: ``stream``, the life of it all.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from selectors import EVENT_READ

from reactor.errors import PeerError, UsageError
from reactor.framing.seam import RAW
from reactor.limits import SCRATCH_BYTES, TURN_BYTES
from reactor.net.protocol import NO_BOX
from reactor.net.write_half import WriteHalf

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any

    from reactor.flow import Watermarks
    from reactor.framing.codec import Codec
    from reactor.net.hub import Hub
    from reactor.net.protocol import NoBox
    from reactor.net.pump import Pump


class ReadHalf(WriteHalf):
    """What a stream receives with.  ``Stream`` derives from it and decides about the end.

    ``is_halted`` tells in one look whether the protocol may be given more: False while reading goes on.
    """

    __slots__ = ("_is_cut", "_lender")

    def __init__(self, hub: Hub, sock: socket.socket, protocol: Any, watermarks: Watermarks) -> None:
        super().__init__(hub, sock, protocol, watermarks)
        #: Whose buffers are received into; None: the shared one.
        self._lender = lender_of(protocol)
        #: Whether the pump may cut what arrives into frames.
        self._is_cut = False

    # -- whether, and how --------------------------------------------------------------------------------------

    def pause_reading(self) -> None:
        """Take no more bytes from the socket: soon its peer cannot send any more either."""
        if not self.is_halted:
            self._hub.loop.remove_reader(self._sock)
            self.is_halted = True

    def resume_reading(self) -> None:
        """Take bytes again; what the protocol held back when it was paused comes first."""
        if self.is_halted and not self._is_closing:
            self._hub.loop.check()
            self.is_halted = False
            if hasattr(self._protocol, "reading_resumed") or self in self._hub.kept:
                self._hub.loop.call_soon(self._go_on_reading)
            else:
                self._go_on_reading()

    def _go_on_reading(self) -> None:
        held = getattr(self._protocol, "reading_resumed", None)
        if held is not None and not self.is_halted:
            self._deliver(held)
        if not self.is_halted and self in self._hub.kept:
            data, size = self._hub.kept.pop(self)
            if size <= 0:
                self.on_end(size)
            elif self.on_bytes(data):
                self._end_delivery()
        if not (self.is_halted or self._has_eof):
            self._hub.loop.registry.add(self._sock, EVENT_READ, self._on_readable)

    def take_in(self, data: bytes) -> None:
        """Hand *data* on as if it had just arrived: what somebody who read from this connection before has left.

        It is kept if reading is paused, and comes first then.
        """
        if not self.is_halted:
            if self.on_bytes(data):
                self._end_delivery()
        elif not self._is_closing:
            self._hub.kept[self] = data, len(data)

    def is_reading(self) -> bool:
        """Tell whether bytes are being received."""
        return not (self.is_halted or self._has_eof)

    def borrow_from(self, lender: Any) -> None:
        """Receive into the buffers that *lender* has: ``get_buffer`` and ``buffer_updated``, as asyncio's
        BufferedProtocol.  None: receive into the shared buffer, and hand on bytes."""
        self._lender = lender
        pump = self._hub.pump
        if pump is not None and not self._is_lost:
            if lender is None:
                pump.admit(self._sock.fileno(), self)
            else:
                pump.pass_over(self._sock.fileno(), self)

    def box_for(self, decoder: Codec, *, may_cut: bool) -> ReadHalf | NoBox:
        """Return where the protocol that *decoder* decodes for may put payloads, see ``write_half``: this
        stream, if every payload can be framed.  *may_cut*: what arrives may also be handed on in frames."""
        self._settle()
        self._frame_with(decoder if decoder.takes_any else None)
        pump = self._hub.pump
        if pump is not None and not self._is_lost:
            self.format = pump.format_of(self._codec)
            self._is_cut = may_cut and self.format > RAW
            pump.mark(self._sock.fileno())
        return self if self._codec is not None else NO_BOX

    def _frame_with(self, codec: Codec | None) -> None:
        self._codec = codec
        self._measure_cork()
        self.format = RAW
        self._is_cut = False

    def cut_format(self) -> int:
        """Return the number of the format by which the pump shall cut what arrives next: only whole frames are
        cut, so not while the decoder holds a part of one."""
        return self.format if self._is_cut and self._codec.is_between_frames else RAW  # type: ignore[union-attr]

    # -- the plain path ----------------------------------------------------------------------------------------

    def _on_readable(self) -> None:
        if self._lender is not None:
            self._fill_lent()
            return
        scratch = self._hub.scratch
        try:
            size = self._sock.recv_into(scratch)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as exc:
            self._on_broken(exc)
            return
        if not size or self._idle is not None or self._hub.probe is not None:
            self._note_arrival(size)
        if not size:
            self._on_eof()
        elif self.corked is not None:
            self._deliver(self._protocol.data_received, scratch[:size].tobytes())
        else:
            # What _deliver would do, without the calls: this is the hot path.
            self.corked = []
            self.room = self._cork_bytes
            try:
                self._protocol.data_received(scratch[:size].tobytes())
            except BaseException as exc:
                self._on_raised(exc, self._protocol.data_received)
            self.uncork()
            if size == SCRATCH_BYTES:
                self._fill_lent()

    def _fill_lent(self) -> None:
        """Receive into buffers of the protocol's, as long as they are filled, up to ``TURN_BYTES``."""
        left = TURN_BYTES
        while left > 0 and self._lender is not None and not self.is_halted:
            view = self._borrowed()
            if view is None:
                return
            room = len(view)
            try:
                size = self._sock.recv_into(view)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as exc:
                self._on_broken(exc)
                return
            del view  # a buffer cannot grow while somebody looks at it
            self._note_arrival(size)
            if not size:
                self._on_eof()
                return
            self._deliver(self._lender.buffer_updated, size)
            left -= size if size == room else left

    def _note_arrival(self, size: int) -> None:
        if self._idle is not None:
            self._touch(self._idle)
        if self._hub.probe is not None:
            self._hub.probe.received(self, size)

    def _borrowed(self) -> memoryview | None:
        """Return the protocol's own buffer; None if it has paused or ended the stream instead of lending one."""
        view: memoryview | None = self._deliver(self._writable_view)
        return None if self.is_halted else view

    def _writable_view(self) -> memoryview:
        view = memoryview(self._lender.get_buffer(-1))
        if view.readonly or not view.nbytes:
            # recv(2) into no room returns 0, as it does at the end: what still comes would be lost without a word.
            raise UsageError("get_buffer() must return a writable buffer with room for at least one byte")
        return view

    def _on_eof(self) -> None:
        """The peer has shut its writing side down, or closed: there is nothing more to read, ever."""
        self._has_eof = True
        self._hub.loop.registry.remove(self._sock, EVENT_READ)
        if self._error is not None:
            self._on_broken(self._error)
        elif not self._deliver(self._protocol.eof_received) or self._is_write_ended:
            self.close()

    # -- what the pump has received ----------------------------------------------------------------------------

    # The first three tell whether there are replies that the pump is to send: if this delivery corked the stream.

    def on_frame(self, frame: bytes) -> bool:
        """One frame has arrived, and nothing else, while no probe watches."""
        if self.is_halted or self.corked is not None:
            return self.on_frames([frame], b"")
        # What on_frames would do, without the calls: this is the hot path.
        if self._idle is not None:
            self._touch(self._idle)
        self.corked = []
        self.room = self._cork_bytes
        protocol = self._protocol
        try:
            if protocol.is_batched:
                protocol.frames_received([frame])
            else:
                protocol.frame_received(frame)
        except BaseException as exc:
            self._on_raised(exc, protocol.frame_received)
        return True if self.corked else self._has_replies()

    def on_frames(self, frames: list[bytes], rest: bytes) -> bool:
        """*frames* have arrived, and behind them the *rest*, which is none."""
        if self.is_halted:
            return self._on_too_late()
        if self._idle is not None or self._hub.probe is not None:
            self._note_arrival(self._pump().arrived_size(self._sock.fileno()))
        is_corked_here = self._cork()
        try:
            self._protocol.pieces_received(frames, rest)
        except BaseException as exc:
            self._on_raised(exc, self._protocol.pieces_received)
        if rest and not self._is_lost:
            self._pump().mark(self._sock.fileno())
        return is_corked_here and self._has_replies()

    def on_bytes(self, data: bytes) -> bool:
        """*data* has arrived, as it is."""
        if self.is_halted:
            return self._on_too_late()
        if self._lender is not None:
            return self._pour(memoryview(data))
        if self._idle is not None or self._hub.probe is not None:
            self._note_arrival(len(data))
        is_corked_here = self._cork()
        try:
            self._protocol.data_received(data)
        except BaseException as exc:
            self._on_raised(exc, self._protocol.data_received)
        if self._is_cut and not self._is_lost:
            self._pump().mark(self._sock.fileno())
        has_replies = is_corked_here and self._has_replies()
        if len(data) == SCRATCH_BYTES:
            self._fill_lent()
        return has_replies

    def on_end(self, size: int) -> None:
        """The end of the stream has arrived, or an error: a negative errno."""
        if self.is_halted:
            self._on_too_late(size)
        elif size < 0:
            self._on_broken(OSError(-size, os.strerror(-size)))
        else:
            self._note_arrival(0)
            self._on_eof()

    def _pump(self) -> Pump:
        """Return the pump that has called."""
        assert self._hub.pump is not None
        return self._hub.pump

    def _on_too_late(self, size: int = 1) -> bool:
        if not self._is_closing:
            self._hub.kept[self] = self._pump().arrived_bytes(self._sock.fileno()), size
        return False

    def _pour(self, data: memoryview) -> bool:
        """Copy *data* into the buffers of a lender who came while it was on its way."""
        while data and not self.is_halted and self._lender is not None:
            view = self._borrowed()
            if view is not None:
                size = min(len(view), len(data))
                view[:size] = data[:size]
                del view
                self._note_arrival(size)
                self._deliver(self._lender.buffer_updated, size)
                data = data[size:]
        if not data or self._is_closing:
            return False
        if self.is_halted:
            self._hub.kept[self] = data.tobytes(), len(data)
            return False
        return self.on_bytes(data.tobytes())

    # -- calling the protocol ----------------------------------------------------------------------------------

    def _deliver(self, method: Callable[..., Any], *args: Any) -> Any:
        """Call *method* of the protocol with this stream corked, and send what it wrote.

        What it raises ends this stream and no other: a PeerError is the peer's fault, anything else a bug of ours.
        """
        is_corked_here = self._cork()
        try:
            return method(*args)
        except BaseException as exc:
            self._on_raised(exc, method)
            return True
        finally:
            if is_corked_here:
                self._end_delivery()

    def _end_delivery(self) -> None:
        """What the protocol wrote while it was told something leaves now; with the pump, along with the others'."""
        if self._hub.pump is None:
            self.uncork()
        elif self._has_replies():
            self._post()

    def _post(self) -> None:
        pump = self._hub.pump
        assert pump is not None
        pump.post(self.fileno(), self)
        self._hub.loop.call_at_turn_end(pump.send_all)

    def _has_replies(self) -> bool:
        """Tell whether the pump is to send what is corked; if not, this is the end of it."""
        if self.corked and self.format >= RAW and self._hub.probe is None:
            return True
        self.uncork()
        return False

    def _on_raised(self, exc: BaseException, method: Callable[..., object]) -> None:
        """*method* of the protocol has raised *exc*."""
        if isinstance(exc, KeyboardInterrupt | SystemExit):
            self.uncork()
            raise exc
        if isinstance(exc, PeerError):
            self.fail(exc)
        else:
            self._hub.reports.failure(exc, method)
            self._lose(exc)

    # -- what the stream owes ----------------------------------------------------------------------------------

    @abstractmethod
    def close(self) -> None:
        """Send what waits, then end."""


def lender_of(protocol: Any) -> Any:
    """Return *protocol* if it is like asyncio's BufferedProtocol, which has nothing but ``get_buffer`` to receive
    with; None if it takes bytes.  Raises UsageError if it has neither."""
    if hasattr(protocol, "data_received"):
        return None
    if hasattr(protocol, "get_buffer"):
        return protocol
    raise UsageError(f"{protocol!r} has neither data_received() nor get_buffer(): it is no stream protocol")
