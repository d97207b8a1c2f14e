"""A connection of bytes: TCP and Unix sockets of the kind SOCK_STREAM.

Its methods are those of asyncio's transports, so a protocol does not notice where it runs.  How it begins and ends
is ``transport``'s; what waits to be sent is in its ``outbox``.  Here is what moves.

**One way in.**  Bytes come from the socket (``_on_readable``), or the pump has received them, and cut them if their
codec lets it; all go through ``_arrived``, and from there the protocol is called in one manner (``_deliver``): the
stream is corked, the method runs, what it raised ends this stream and no other, and whoever has corked the stream
uncorks it.  After that the state is read anew: the protocol may have closed, paused, written, or raised.  A
protocol with ``get_buffer`` receives into its own memory.

**A share of the turn.**  What a stream delivers in one turn is bounded in bytes (one buffer), in frames
(``TURN_FRAMES``) and in time (``STREAM_SECONDS``).  What is cut and exceeds that is *held*: the socket is not read,
and the stream goes on in the next turn, behind those who wait as well.  So it is with what was cut, or had arrived
already, when the protocol paused: it is held until reading is resumed.  ``_held`` is in order, and comes before
anything that still lies in the kernel.

**One way out.**  While something is delivered replies are collected, and leave in one piece afterwards.  Outside of
a delivery the first write goes out at once, and what follows in the same turn is collected until the turn ends.
What the kernel refuses waits for writability.  Nagle's algorithm has the same aim and waits for an acknowledgement
of the peer; this waits for nothing but the program itself, so TCP_NODELAY is on.  A file (``send_file``) waits
among the bytes, in the order of the calls, and the kernel sends it, a piece in a turn.

All methods belong to the loop's thread.  ``pump`` is what receives and sends for many streams at once.  Read next:
``listener`` and ``connector``, which make streams.
"""

from __future__ import annotations

import errno
import os
from _thread import get_ident
from collections import deque
from functools import partial
from itertools import islice
from selectors import EVENT_READ, EVENT_WRITE

from reactor.arguments import not_iterable
from reactor.errors import TransportClosed, UsageError
from reactor.flow import DEFAULT_WATERMARKS, Watermarks
from reactor.framing.seam import RAW, UNKNOWN
from reactor.limits import (
    CORK_BYTES,
    SCRATCH_BYTES,
    STREAM_SECONDS,
    TURN_BYTES,
    TURN_FRAMES,
)
from reactor.net.protocol import FramedProtocol
from reactor.net.stream.outbox import NO_OUTBOX, Outbox
from reactor.net.stream.outgoing import NO_SIGNAL, frozen, transmit
from reactor.net.stream.transport import Transport

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable
    from typing import Any

    from reactor.errors import FramingError
    from reactor.framing.codec import Codec
    from reactor.net.protocol import StreamProtocol
    from reactor.net.shared import Shared
    from reactor.net.stream.sendfile import FileSending, Source

#: Frames that a stream delivers from one look at the clock to the next: so many at first, and so many at most.
FIRST_FRAMES = 4
MOST_FRAMES = 256

#: Stands for the number of a format that the pump does not know, of a protocol that leaves cutting to its codec.
OWN = -2

#: Stands for an argument that is not there.
NOTHING = object()


class Stream(Transport):
    """One open connection.  Made by the reactor's ``listen_*``, ``connect_*`` and ``adopt_stream``."""

    __slots__ = (
        "_buffers", "_cut_format", "_delivering", "_held", "_hinted_format", "_is_due", "_is_writing", "_pace",
        "_outbox",
    )  # fmt: skip

    def __init__(
        self,
        shared: Shared,
        sock: socket.socket | int,
        protocol: Any,
        peer: Any = None,
        watermarks: Watermarks = DEFAULT_WATERMARKS,
        on_lost: Callable[[Any], object] | None = None,
    ) -> None:
        super().__init__(shared, sock, protocol, peer, watermarks, on_lost)
        #: Whose buffers are received into; None: the one that all streams share.
        self._buffers = None if hasattr(protocol, "data_received") else buffers_of(protocol)
        self._outbox = Outbox(shared.loop)
        #: The number of the format by which the pump may cut what arrives; OWN: by its codec alone; UNKNOWN: by its
        #: protocol.
        self._cut_format = UNKNOWN
        #: The one that the pump was last told to cut by.
        self._hinted_format = RAW
        #: What was received and has yet to be delivered: calls that do so.  They come before what the kernel has.
        self._held: deque[Callable[[], object]] | None = None
        #: The frames of which some are being delivered.
        self._delivering: list[Any] | None = None
        #: Frames that are delivered from one look at the clock to the next.
        self._pace = FIRST_FRAMES
        #: ``_go_on`` will be called in the next turn.
        self._is_due = False
        #: The kernel refused something, and its writability is waited for.
        self._is_writing = False

    # -- who is told, and how ----------------------------------------------------------------------------------

    def set_protocol(self, protocol: StreamProtocol) -> None:
        """Have *protocol* told what happens from now on.  ``connection_made`` is not called again.

        As in asyncio, whoever wants *protocol* to hear of its transport calls ``protocol.connection_made(stream)``
        himself, after this or before.  A FramedProtocol that has never heard it is given what it cannot do without,
        the transport and a decoder, and nothing that a subclass does in its own ``connection_made``.  Raises
        UsageError for what is no stream protocol, and for a FramedProtocol without a codec.
        """
        if not self._is_lost:
            self._shared.loop.check()
            buffers = buffers_of(protocol)
            unmade = protocol if isinstance(protocol, FramedProtocol) and not hasattr(protocol, "_link") else None
            if unmade is not None and not hasattr(protocol, "codec"):
                raise UsageError(f"{type(protocol).__name__} has no codec: set one, as codec = LengthPrefixed(4)")
            self._protocol = protocol
            self._cut_format = UNKNOWN
            self._outbox = self._outbox.succeed()
            self._receive_into(buffers)
            if unmade is not None:
                FramedProtocol.connection_made(unmade, self)

    def _outbox_for(self, protocol: Any, codec: Codec[Any, Any]) -> Outbox:
        """Return where *protocol* may put payloads, of which this stream makes frames with *codec*.

        If it is this stream's own protocol, what arrives may be cut by the pump and come as frames.  For a codec
        that does not take every payload there is no such place.
        """
        if self._is_lost or not codec.carries_any_bytes:
            return NO_OUTBOX
        pump = self._shared.pump
        format = UNKNOWN if pump is None else pump.format_of(codec)
        if self._outbox.codec is None:
            self._outbox.frame_with(codec, format)  # nobody but this stream has put anything into it
        else:
            self._outbox = self._outbox.succeed(codec, format)
        is_own = protocol is self._protocol and protocol._is_cut_here
        self._cut_format = UNKNOWN if not is_own else format if format > RAW else OWN
        if self._is_watched:
            self._advise_pump()
        return self._outbox

    def _receive_into(self, buffers: Any) -> None:
        """Receive into what *buffers* has: ``get_buffer`` and ``buffer_updated``, as asyncio's BufferedProtocol.
        None: receive into the shared buffer, and hand on bytes."""
        self._buffers = buffers
        self._advise_pump()

    # -- whether it is received --------------------------------------------------------------------------------

    def resume_reading(self) -> None:
        """Take bytes again; what was received before it was paused comes first, from the loop."""
        if self._held is None:
            super().resume_reading()
        elif not self._is_closing:
            self._shared.loop.check()
            self._is_halted = False
            self._go_on_soon()

    def _watch_reads(self) -> None:
        fd = self._shared.loop.registry.add(self, EVENT_READ, self._on_readable)
        self._is_watched = True
        pump = self._shared.pump
        if pump is not None and self._buffers is None:  # what ``_advise_pump`` does, for a new registration
            self._hinted_format = self._wanted_format()
            pump.admit(fd, self, self._hinted_format)

    def _advise_pump(self) -> None:
        """Have the pump receive for this stream, if there is one and this stream reads into the shared buffer.

        The pump forgets what it was told whenever anybody changes what is watched on the descriptor.
        """
        pump = self._shared.pump
        if pump is not None and self._is_watched:
            key = self._shared.loop.registry.key_of(self.fileno())
            if key is None or key.data.reader != self._on_readable:
                return
            if self._buffers is None:
                self._hinted_format = self._wanted_format()
                pump.admit(key.fd, self, self._hinted_format)
            else:
                pump.dismiss(key.fd)

    def _wanted_format(self) -> int:
        """Return the format by which the next arrival is best cut.  Only a hint: see ``_takes_frames``."""
        format, codec = self._cut_format, self._outbox.codec
        return format if format > RAW and codec is not None and codec.partial is None else RAW

    # -- the plain way in --------------------------------------------------------------------------------------

    def _on_readable(self) -> None:
        if self._buffers is not None:
            self._fill_buffers()
            return
        try:
            scratch = self._shared.scratch
            if self._sock is None:
                size = self._shared.ops.readv(self._fd, (scratch,))
            else:
                size = self._sock.recv_into(scratch)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as exc:
            self._on_broken(exc)
            return
        if not size:
            self._note_arrival(0)
            self._on_eof()
            return
        if self._cut_format != UNKNOWN and self._shared.probe is None:
            # One whole frame and nothing else, as it is in request and reply: the shortest way, see _frame_arrived.
            frame = self._outbox.codec.whole_frame(scratch, size)  # type: ignore[union-attr]  # it cuts by that
            if frame is not None and self._frame_arrived(self._cut_format, frame, is_alone=True) is not None:
                return
        self._arrived(scratch[:size].tobytes())
        if size == SCRATCH_BYTES:
            self._fill_buffers()

    def _fill_buffers(self) -> None:
        """Receive into buffers of the protocol's, as long as they are filled, up to ``TURN_BYTES``."""
        left = TURN_BYTES
        registry = self._shared.loop.registry
        turn = registry.turn
        while left > 0 and (buffers := self._buffers) is not None and self._may_take() and registry.turn == turn:
            view = self._lent_view(buffers)
            if view is None:
                return
            room = len(view)
            try:
                size = self._socket().recv_into(view)
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
            self._deliver(buffers.buffer_updated, size)
            left -= size if size == room else left

    def _lent_view(self, buffers: Any) -> memoryview | None:
        """Return the buffer that *buffers* lends; None if it has paused or ended the stream, or given it another
        protocol, instead."""
        view: memoryview | None = self._deliver(checked_view, buffers)
        return view if self._may_take() and self._buffers is buffers else None

    # -- one way in --------------------------------------------------------------------------------------------

    def _arrived(self, data: bytes, frames: list[Any] | None = None, size: int = 0) -> None:
        """The one way in: *data* has arrived, or *frames* with *data* behind them, *size* bytes in all.

        It is held if reading is paused, or something that came before it is held.
        """
        if self._is_halted or self._held is not None:
            self._hold(partial(self._arrived, data, frames, size))
            return
        if self._idle is not None or self._shared.probe is not None:
            self._note_arrival(size or len(data))
        if self._buffers is not None:
            self._copy_into_buffers(memoryview(data))
        elif frames is None:
            self._deliver(self._protocol.data_received, data)
        elif not data:
            self._deliver(self._deliver_frames, self._protocol, frames)
        else:
            self._deliver(self._protocol._cut_received, frames, data)
        if self._cut_format > RAW and data and self._wanted_format() != self._hinted_format:
            self._hint_pump()

    def _hint_pump(self) -> None:
        """Have what arrives next be cut in another manner: a frame has begun, or the last one is whole again."""
        if self._shared.pump is not None and not self._is_lost:
            self._hinted_format = self._wanted_format()
            self._shared.pump.hint(self.fileno(), self, self._hinted_format)

    def _note_arrival(self, size: int) -> None:
        if self._idle is not None:
            self.note_progress()
        if self._shared.probe is not None:
            self._shared.probe.received(self, size)

    def take_in(self, data: bytes) -> None:
        """Hand *data* on as if it had just arrived: what somebody who read from this connection before has left."""
        if not self._is_closing:
            self._shared.loop.check()
            self._shared.loop.call_inside(self._arrived, data)

    def _end_arrived(self, size: int) -> None:
        """The end of the stream has arrived (0), or an error: a negative errno."""
        if self._is_halted or self._held is not None:
            self._hold(partial(self._end_arrived, size))
        elif size < 0:
            self._on_broken(OSError(-size, os.strerror(-size)))
        else:
            if self._idle is not None or self._shared.probe is not None:
                self._note_arrival(0)
            self._on_eof()

    def _takes_frames(self, format: int) -> bool:
        """Return True if a frame cut by *format* may begin here, now: the protocol wants that format, is between
        two frames, and reads.  What the pump believed when it received may be over by the time when it delivers."""
        codec = self._outbox.codec
        return self._cut_format == format and codec is not None and codec.partial is None and self._may_take()

    def _frame_arrived(self, format: int, frame: bytes, is_alone: bool = False) -> bool | None:
        """One frame has arrived and nothing else, while no probe watches.  Return None, having done nothing, if it
        cannot be taken as one; else True if there are replies that the pump is to send: with others, so not if it
        *is_alone*."""
        outbox = self._outbox
        codec = outbox.codec
        if (
            self._cut_format != format or codec is None or codec.partial is not None or outbox.corked is not None
            or self._is_halted or self._held is not None
        ):  # fmt: skip
            return None
        # The hot twin of arrived: it saves 0.5 us of the 5 that a message costs, and does the same by
        # tests/contract/test_delivery_differential.py.
        if self._idle is not None:
            self.note_progress()
        outbox.corked = []
        outbox.room = outbox.capacity if outbox.pending is None else -1
        protocol = self._protocol
        try:
            if protocol._is_batched:
                protocol.frames_received([frame])
            else:
                protocol.frame_received(frame)
        except BaseException as exc:
            self._on_raised(exc, protocol.frame_received)
        if outbox.corked and not is_alone and outbox is self._outbox:
            outbox.is_posted = True
            return True
        self._uncork()
        return False

    def _may_take(self) -> bool:
        """Return True if the protocol may be given something now, and nothing waits to come before it."""
        return not self._is_halted and self._held is None

    def _copy_into_buffers(self, data: memoryview) -> None:
        """Hand bytes to a protocol that lends buffers, but did not when they were received."""
        while data and (buffers := self._buffers) is not None and self._may_take():
            view = self._lent_view(buffers)
            if view is None:
                break
            size = min(len(view), len(data))
            view[:size] = data[:size]
            del view
            self._deliver(buffers.buffer_updated, size)
            data = data[size:]
        if data and not self._is_closing:
            if self._may_take() and self._buffers is None:
                self._arrived(data.tobytes())
            else:
                self._hold_first(partial(self._arrived, data.tobytes()))

    # -- what is held ------------------------------------------------------------------------------------------

    def _hold(self, delivery: Callable[[], object]) -> None:
        """Have *delivery* wait behind all that is held."""
        if not self._is_closing:
            if self._held is None:
                self._held = deque()
            self._held.append(delivery)
            self._stop_taking()

    def _hold_first(self, delivery: Callable[[], object], behind: int = 0) -> None:
        """Have *delivery* wait before all that is held, but for the first *behind*."""
        if not self._is_closing:
            if self._held is None:
                self._held = deque()
            self._held.insert(behind, delivery)
            self._stop_taking()

    def _stop_taking(self) -> None:
        """Leave what comes in the kernel until what is held has been delivered."""
        self._unwatch_reads()
        if not self._is_halted:
            self._go_on_soon()

    def _go_on_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            # In the next turn, where timers run: behind the descriptors, so that who has just spoken comes first.
            self._shared.loop.call_soon(self._shared.loop.call_later, 0, self._go_on)

    def _go_on(self) -> None:
        """Deliver the first of what is held: this stream's share of this turn."""
        self._is_due = False
        held = self._held
        if held is None or self._is_halted:
            return
        if self._idle is not None:
            self.note_progress()
        if held:
            # What it delivers finds nothing before it; what it leaves, or what is held meanwhile, comes first
            # again.
            first = held.popleft()
            self._held = None
            try:
                first()
            finally:
                if not self._is_closing:
                    held.extendleft(reversed(self._held or ()))
                    self._held = held if held else None
        if self._held:
            self._stop_taking()
        elif self.is_reading():
            self._watch_reads()

    # -- frames ------------------------------------------------------------------------------------------------

    def _deliver_frames(
        self, protocol: Any, frames: list[Any], fault: FramingError | None = None, is_uncut: bool = False
    ) -> None:
        """Hand *frames* to *protocol*, as many as this stream's share of the turn; hold the rest.  Behind the last
        of them the peer has broken the format, if there is a *fault*; or there are more, which have yet to be cut:
        then *protocol* is asked to ``_cut_on`` in a later turn."""
        if self._held is not None:
            self._hold(self._rest_of(protocol, frames, fault, is_uncut))
            return
        size, done = len(frames), 0
        _is_batched = protocol._is_batched
        if _is_batched and size < MOST_FRAMES and fault is None and not is_uncut:
            protocol.frames_received(frames)  # one call: there is nothing to break off
            return
        clock, turn = self._shared.clock, self._shared.loop.registry.turn
        stop_at = clock() + STREAM_SECONDS
        pending = iter(frames)
        try:
            while done < size:
                count = self._pace
                done += count
                # A forked child empties the list that is gone through: the rest of it is its parent's to deliver.
                if _is_batched:
                    self._delivering = batch = list(islice(pending, count))
                    protocol.frames_received(batch)
                else:
                    self._delivering, received = frames, protocol.frame_received
                    for frame in pending if done >= size else islice(pending, count):
                        received(frame)
                        if self._is_halted:
                            break
                if self._is_halted:
                    break
                # Learn after how many frames to look: one protocol's may cost a thousand times what another's do.
                if clock() >= stop_at or done >= TURN_FRAMES:
                    self._pace = max(1, count // 4)
                    break
                if count < MOST_FRAMES:
                    self._pace = 2 * count
        except (KeyboardInterrupt, SystemExit):
            # It strikes in one frame, and the others are not lost for it.
            self._hold_frames(protocol, list(pending), fault, is_uncut)
            raise
        finally:
            self._delivering = None
        is_whole = done >= size and not self._is_halted and fault is None and not is_uncut
        if not is_whole and self._shared.loop.registry.turn == turn:
            self._after_part(protocol, list(pending), fault, is_uncut)

    def _after_part(self, protocol: Any, rest: list[bytes], fault: FramingError | None, is_uncut: bool) -> None:
        """Hold the *rest* of what was being delivered, and what has yet to be cut.  If there is neither, the
        *fault* behind it is due."""
        if rest or is_uncut or (fault is not None and not self._may_take()):
            self._hold_frames(protocol, rest, fault, is_uncut)
        elif fault is not None:
            protocol.fault_received(fault)
            self.fail(fault)

    def _hold_frames(
        self, protocol: Any, frames: list[Any], fault: FramingError | None, is_uncut: bool
    ) -> None:
        behind = 0 if self._held is None else len(self._held)
        if frames or not is_uncut:
            rest = self._rest_of(protocol, frames, fault, is_uncut)
        else:
            rest = partial(self._deliver, protocol._cut_on)
        self._hold_first(rest, behind)

    def _rest_of(
        self, protocol: Any, frames: list[Any], fault: FramingError | None, is_uncut: bool
    ) -> Callable[[], object]:
        """Return what delivers *frames* later, as ``_deliver_frames`` was to do it now."""
        deliver = partial(self._deliver_frames, protocol, fault=fault, is_uncut=is_uncut)
        return partial(self._deliver, deliver, frames)

    def _put_back(self, protocol: Any, frames: list[Any]) -> None:
        """Hold *frames*, which *protocol* was handed and has not taken: reading was paused in their midst."""
        if frames:
            self._hold_first(partial(self._deliver, partial(self._deliver_frames, protocol), frames))

    # -- calling the protocol ----------------------------------------------------------------------------------

    def _deliver(  # type: ignore[override]  # nothing that happens to a stream takes more than two arguments
        self, method: Callable[..., Any], what: Any = NOTHING, more: Any = None
    ) -> Any:
        """Call *method* of the protocol with *what* has come, if that is anything, and *more*, unless that is None;
        the stream is corked meanwhile, and what it wrote is sent.

        What it raises ends this stream and no other: a PeerError is the peer's fault, anything else a bug of ours.
        """
        outbox = self._outbox
        if outbox.is_posted:
            self._uncork()  # what was replied to an earlier delivery is said before what is replied to this one
        is_corked_here = outbox.corked is None
        if is_corked_here:  # what Outbox.cork does, 50 ns cheaper
            outbox.corked = []
            outbox.room = outbox.capacity if outbox.pending is None else -1
        try:
            # Three calls instead of one with *args: that is 60 ns cheaper.
            if more is not None:
                return method(what, more)
            return method() if what is NOTHING else method(what)
        except BaseException as exc:
            self._on_raised(exc, method)
            return True
        finally:
            if is_corked_here:
                # What was written leaves now; while the pump delivers, along with what others have to say.
                outbox = self._outbox
                if outbox.corked:
                    pump = self._shared.pump
                    if pump is not None and pump.is_delivering and outbox.format >= RAW:
                        outbox.is_posted = True
                        pump.posted.append(self)
                    else:
                        self._uncork()
                elif outbox.pending is None:
                    outbox.corked = None
                    outbox.room = -1
                else:
                    self._uncork()

    def _on_raised(self, exc: BaseException, method: object) -> None:
        if isinstance(exc, KeyboardInterrupt | SystemExit):
            self._uncork()
        protocol = self._protocol
        if isinstance(protocol, FramedProtocol) and getattr(method, "__module__", "").startswith("reactor.net."):
            # What a reader of the log can look for is the method of the program that ours has called.
            method = protocol.frames_received if protocol._is_batched else protocol.frame_received
        super()._on_raised(exc, method)

    # -- one way out -------------------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send *data* as soon as the kernel takes it, in the order of the calls; see the head of this module.

        A mutable buffer may be changed as soon as this returns.  Ignored when the stream is closing; raises
        TransportClosed after ``write_eof``, TypeError for what is not bytes-like.
        """
        if type(data) is not bytes:
            data = frozen(data)
        outbox = self._outbox
        room = outbox.room - len(data)
        if room >= 0 and data and outbox.codec is None and get_ident() == outbox.loop.owner:
            outbox.room = room
            outbox.corked.append(data)  # type: ignore[union-attr]  # there is room
        elif self._is_write_ended:
            self._refuse("write")
        else:
            self._shared.loop.check()
            if data:
                self._write_all([data])

    def writelines(self, buffers: Iterable[bytes | bytearray | memoryview]) -> None:
        """Send all of *buffers* in one piece; otherwise as ``write``.  If it raises, none of them is sent."""
        try:
            pieces = list(filter(None, map(frozen, buffers)))
        except TypeError as exc:
            raise not_iterable("buffers", buffers, exc) from None
        if self._is_write_ended:
            self._refuse("writelines")
            return
        self._shared.loop.check()
        if pieces:
            self._write_all(pieces)

    def _refuse(self, verb: str) -> None:
        if not self._is_closing and self._error is None:
            raise TransportClosed(f"{verb}() after write_eof(): this side has said that it sends no more")

    def _write_all(self, pieces: list[bytes]) -> None:
        """Send *pieces*, behind what is corked: in time if the stream is corked, else now."""
        self._outbox.settle()
        if self._has_overflowed():
            return
        for data in pieces:
            self._outbox.add(data)
            if not self._is_writing and self._outbox.pending_bytes > CORK_BYTES:
                self._flush()
                if self._is_write_ended:  # the peer is gone, or a callback has ended the stream
                    return
        if self._is_writing:
            self._check_watermarks()
        elif self._outbox.corked is None and self._outbox.pending is not None:
            self._flush()
            if self._shared.loop.is_running() and self._outbox.cork():
                # The first write of this turn went out at once; collect what follows until the turn ends.
                self._shared.loop.call_at_turn_end(self._uncork)

    def send_file(
        self,
        file: Source,
        offset: int = 0,
        count: int | None = None,
        on_done: Callable[[FileSending], object] | None = None,
    ) -> FileSending:
        """Send *count* bytes of *file* from *offset* on (None: up to its end), by sendfile(2) where that works,
        else by reading them; return the sending, a future that can be cancelled.

        *file* is open for reading in binary mode: a file object, which must stay open, or a descriptor; what such
        an object has yet to write to its file is not seen, so flush it.  What was written before is sent before it,
        what is written meanwhile behind it; at most 1 MiB leaves in a turn.

        ``on_done(sending)`` is called exactly once, from the loop: when all is sent, the file ends or cannot be
        read, it is cancelled, or the connection has ended (then before ``connection_lost``).  Unless it was
        cancelled, nothing that was written behind the file leaves before that call, so a protocol that has
        announced more bytes than came may still abort.  The watermarks count what is in memory, so not the file.

        The position of a file object is afterwards behind the last byte that was sent, as asyncio leaves it; that
        of a descriptor is neither looked at nor changed.  On a stream that is closing the sending fails, as if the
        end had come in its midst.  Raises OptionError for a file in text mode and for numbers that are negative,
        ValueError for a closed file, TypeError for what is no file or no number, TransportClosed after
        ``write_eof`` and when the connection has ended, WrongThread, ReactorClosed.
        """
        from reactor.net.stream.sendfile import FileSending

        sending = FileSending(file, offset, count, on_done, self._cancel_file)
        self._shared.loop.check()
        if self._is_lost:
            # Its protocol has heard the last word, or is about to: nothing may be told behind that.
            raise TransportClosed("send_file() after the end of the connection")
        if self._is_write_ended:
            self._refuse("send_file")
            self._end_files([sending], self._error)
            return sending
        self._outbox.add_file(sending)
        if not self._is_writing and self._outbox.corked is None:
            self._flush()  # what is before it; then writability is waited for, as the file does
        return sending

    def _cancel_file(self, sending: FileSending) -> None:
        self._shared.loop.check()
        sending._end(is_cancelled=True)
        self._shared.loop.call_at_turn_end(partial(self._deliver, sending._tell))
        self._outbox.drop_file(sending)
        if self._outbox.pending is None:
            self._after_flush()

    def _end_files(self, sendings: list[FileSending], reason: BaseException | None) -> None:
        """The connection has ended before *sendings* did, for *reason*."""
        for sending in sendings:
            error = TransportClosed("the connection ended before the file was sent")
            error.__cause__ = reason
            sending._end(error)
            self._shared.loop.call_at_turn_end(partial(self._deliver, sending._tell))  # so before connection_lost

    def _uncork(self) -> None:
        """Send what was collected."""
        outbox = self._outbox
        if outbox.is_posted:
            self._shared.pump.posted.remove(self)  # type: ignore[union-attr]  # it was posted there
            outbox.is_posted = False
        corked = outbox.corked
        outbox.corked = None  # what Outbox.uncork does, 50 ns cheaper
        outbox.room = -1
        if corked:
            codec = outbox.codec
            data = outbox.joined(corked) if codec is None else codec.frame(corked)
            if outbox.pending is None and self._shared.probe is None:
                # What is below would do the same; this saves 0.3 us a reply.
                if self._sock is None and (pump := self._shared.pump) is not None:
                    sent = pump.write(self._fd, data, len(data))
                    if sent < 0:
                        if -sent not in (errno.EAGAIN, errno.EINTR):
                            self._on_unwritable(OSError(-sent, os.strerror(-sent)))
                            return
                        sent = 0
                else:
                    try:
                        sent = self._socket().send(data, NO_SIGNAL)
                    except (BlockingIOError, InterruptedError):
                        sent = 0
                    except OSError as exc:
                        self._on_unwritable(exc)
                        return
                if self._idle is not None and sent:
                    self.note_progress()
                if sent != len(data):
                    outbox.put_back(data, sent)
                    self._after_flush()
                return
            outbox.add(data)
        if outbox.pending is not None and not self._is_writing:
            self._flush()

    def _sent_by_pump(self, data: bytes, sent: int) -> None:
        """Of *data*, which was uncorked, the kernel took only *sent* bytes; a negative number is an errno."""
        self._outbox.put_back(data, sent)

    def _after_pump(self, sent: int) -> None:
        """Do what follows from that, once every stream has its bytes back: the protocol may be called."""
        if self._outbox.pending is not None and not self._is_lost:
            if sent < 0:
                self._on_unwritable(OSError(-sent, os.strerror(-sent)))
            else:
                self._after_flush()

    def _flush(self) -> None:
        """Hand the kernel the bytes that wait, until it takes no more of them, or a file comes first."""
        outbox = self._outbox
        outbox.settle()
        if outbox.pending is None or self._is_lost:
            return
        try:
            while outbox.pending_bytes:
                sent = transmit(self._socket(), outbox.pending, outbox.pending_bytes)
                if sent and self._idle is not None:
                    self.note_progress()
                if self._shared.probe is not None:
                    self._shared.probe.sent(self, sent)
                if not outbox.took(sent):
                    break
        except OSError as exc:
            self._on_unwritable(exc)
            return
        self._after_flush()

    def _on_writable(self) -> None:
        outbox = self._outbox
        if outbox.pending_bytes or outbox.files is None:
            self._flush()
        else:
            self._send_file(outbox.files[0])  # what comes first there is a file

    def _send_file(self, sending: FileSending) -> None:
        """Send a piece of the file that is first.  Only the loop calls this, never a method of this stream."""
        try:
            sent = sending._push(self._shared.ops, self._socket())
        except OSError as exc:
            self._on_unwritable(exc)
            return
        if sent and self._idle is not None:
            self.note_progress()
        if self._shared.probe is not None:
            self._shared.probe.sent(self, sent)
        files = self._outbox.files
        if files is not None and files[0] is sending and sending.done():  # else its own code has cancelled it
            self._outbox.drop_file(sending)
            self._deliver(sending._tell)  # before anything that is behind it leaves: it may have ended too soon
            if self._outbox.pending is None:
                if not self._is_lost:
                    self._after_flush()
            elif self._outbox.pending_bytes:
                self._flush()

    def _after_flush(self) -> None:
        """Wait for writability exactly as long as something waits to be sent; then do what had to wait for that."""
        outbox = self._outbox
        if outbox.pending is not None:
            if not self._is_writing:
                self._is_writing = True
                self._shared.loop.registry.add(self, EVENT_WRITE, self._on_writable)
                self._advise_pump()
            self._check_watermarks()
            return
        self._stop_writing()
        is_last = self._is_write_ended
        if self._is_write_paused:
            self._check_watermarks()
        if is_last and self._outbox.pending is None and not self._is_lost:
            self._end_writing()

    def _stop_writing(self) -> None:
        if self._is_writing:
            self._is_writing = False
            self._shared.loop.registry.remove(self, EVENT_WRITE)
            self._advise_pump()

    def _pending_size(self) -> int:
        outbox = self._outbox
        outbox.settle()
        return outbox.pending_bytes if outbox.files is None else outbox.pending_bytes + outbox.files.size

    def _has_unsent(self) -> bool:
        if self._outbox.corked:
            self._outbox.settle()
        return self._outbox.pending is not None

    def _end_outgoing(self) -> None:
        self._is_write_ended = True
        outbox = self._outbox
        outbox.capacity = outbox.room = -1  # what ``Outbox.shut`` does

    def _drop_unsent(self) -> None:
        outbox = self._outbox
        if outbox.pending is not None or outbox.corked:
            self._end_files(outbox.clear(), self._error)
        if self._is_writing:
            self._stop_writing()

    def _forget_unsent(self) -> None:
        """In a forked child: what waits to be sent, or to be delivered, is the parent's."""
        self._held = None
        if self._delivering is not None:
            self._delivering.clear()
        self._outbox.is_posted = False  # the pump was dropped, and has forgotten whom it was to send for
        for sending in self._outbox.clear():
            sending._forget(TransportClosed("the process that sends the file is the parent of this one"))
        super()._forget_unsent()

    # -- the end -----------------------------------------------------------------------------------------------

    def _lose(self, exc: BaseException | None, *, linger: bool = False) -> None:
        if self._outbox.is_posted:
            self._uncork()  # on the plain path it has left by now
        if self._outbox.files is not None:
            self._end_files(self._outbox.clear(), self._error or exc)
        super()._lose(exc, linger=linger)
        self._held = self._buffers = None


def checked_view(buffers: Any) -> memoryview:
    """Return the buffer that *buffers* lends.  Raises UsageError if nothing can be received into it."""
    view = memoryview(buffers.get_buffer(-1))
    if view.readonly or not view.nbytes:
        # recv(2) into no room returns 0, as it does at the end: what still comes would be lost without a word.
        raise UsageError("get_buffer() must return a writable buffer with room for at least one byte")
    return view


def buffers_of(protocol: Any) -> Any:
    """Return *protocol* if it is like asyncio's BufferedProtocol, which has nothing but ``get_buffer`` to receive
    with; None if it takes bytes.  Raises UsageError if it has neither."""
    if hasattr(protocol, "data_received"):
        return None
    if hasattr(protocol, "get_buffer"):
        return protocol
    raise UsageError(f"{protocol!r} has neither data_received() nor get_buffer(): it is no stream protocol")
