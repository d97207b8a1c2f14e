"""What a program provides: protocols, in the shape that asyncio made familiar.

A protocol is told what happens on one transport.  The life of a stream protocol, as a grammar::

    life   = connection_made, { data_received | pause_writing | resume_writing }, [ eof_received, { ... } ],
             connection_lost(exc)
           | connection_failed(exc)                       only where it was this side that connected

``connection_lost`` comes exactly once for each ``connection_made``, and after ``close``, ``abort`` or ``reset``
it is the only thing that comes.  ``exc`` is None if the end was orderly or of this side's making.

``FramedProtocol`` puts a codec in between: whole frames instead of bytes, whole frames even when the last call of
the program was ``pause_reading`` in the middle of a chunk.  It keeps to what every asyncio transport offers, so
the same class runs on a stock asyncio loop; what our own streams offer beyond that, it uses where it finds it.

No base class is required: any object with these methods will do, asyncio's own ``Protocol`` and
``BufferedProtocol`` among them.  Read next: ``stream``, which calls them.
"""

from __future__ import annotations

from _thread import get_ident
from collections.abc import Iterable
from types import GenericAlias

from reactor.arguments import not_iterable, shown
from reactor.errors import ArgumentError, FramingError, PayloadRefused
from reactor.framing.codec import ONLY_BYTES
from reactor.limits import JOIN_BYTES, TURN_FRAMES
from reactor.net.stream.outbox import NO_OUTBOX, Outbox

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    import asyncio
    import typing
    from collections.abc import Callable
    from typing import Any, Generic

    from reactor.framing.codec import Codec, F, S
    from reactor.net.datagrams.endpoint import DatagramEndpoint
    from reactor.net.messages.stream import MessageStream
    from reactor.net.stream.stream import Stream

    T_contra = typing.TypeVar("T_contra", contravariant=True)

    class Told(typing.Protocol[T_contra]):
        """What the protocols of every kind of transport have."""

        def connection_made(self, transport: T_contra, /) -> object: ...

        def connection_lost(self, exc: Exception | None, /) -> object: ...

    class BytesTaker(Told[Stream], typing.Protocol):
        """A stream protocol that is given bytes."""

        def data_received(self, data: bytes, /) -> object: ...

    class BufferLender(Told[Stream], typing.Protocol):
        """A stream protocol that has its own memory received into."""

        def get_buffer(self, size_hint: int, /) -> bytearray | memoryview: ...

        def buffer_updated(self, size: int, /) -> object: ...

    class MessageTaker(Told[MessageStream], typing.Protocol):
        """A protocol for whole messages."""

        def message_received(self, data: bytes, /) -> object: ...

    class DatagramTaker(Told[DatagramEndpoint], typing.Protocol):
        """A protocol for datagrams."""

        def datagram_received(self, data: bytes, address: Any, /) -> object: ...

    #: What may be made for each kind of transport.  Those of asyncio name its own transports as what they are told.
    StreamProtocol = BytesTaker | BufferLender | asyncio.Protocol | asyncio.BufferedProtocol
    AnyDatagramProtocol = DatagramTaker | asyncio.DatagramProtocol

    #: What makes them: most often the class itself.
    StreamFactory = Callable[[], StreamProtocol]
    MessageFactory = Callable[[], MessageTaker]
    DatagramFactory = Callable[[], AnyDatagramProtocol]
else:
    # A framed protocol is generic for the type checker, and derives from nothing more at run time.
    F = S = None
    Generic = {(F, S): object}


class BaseProtocol:
    """What stream and datagram protocols share; the methods do nothing, but for remembering the transport.

    Each kind says for the type checker which transport it is told of; at run time there is one method for all.
    What a method is given has no name of its own here (``/``): whoever overrides it calls it what it is there.
    """

    __slots__ = ("transport",)

    transport: Any

    def connection_made(self, transport: Any, /) -> None:
        """The transport is open.  Whoever overrides this calls it, or sets ``self.transport`` itself."""
        self.transport = transport

    def connection_lost(self, exc: BaseException | None, /) -> None:
        """The transport is gone; *exc* says why, None for an orderly end or one of this side's making."""

    def connection_failed(self, exc: Exception, /) -> None:
        """No connection could be made: *exc* is a ``reactor.errors.ConnectionFailure``."""

    def pause_writing(self) -> None:
        """More than the high watermark waits to be sent: stop writing.  What is written all the same still
        counts."""

    def resume_writing(self) -> None:
        """What waits to be sent has fallen to the low watermark: go on writing."""


class Protocol(BaseProtocol):
    """A protocol for bytes as they come."""

    __slots__ = ()

    transport: Stream

    if TYPE_CHECKING:

        def connection_made(self, transport: Stream, /) -> None: ...

    def data_received(self, data: bytes, /) -> None:
        """Some bytes arrived; where one call ends and the next begins means nothing."""

    def eof_received(self) -> bool | None:
        """The peer will send no more.  Return true to keep the transport open for writing; else it is closed."""
        return None


class DatagramProtocol(BaseProtocol):
    """A protocol for datagrams: each arrives whole or not at all, in any order, and may be empty."""

    __slots__ = ()

    transport: DatagramEndpoint

    if TYPE_CHECKING:

        def connection_made(self, transport: DatagramEndpoint, /) -> None: ...

    def datagram_received(self, data: bytes, address: Any, /) -> None:
        """One datagram arrived from *address*, the socket address of its sender.

        Its shape is that of the socket's family, which the program knows: whoever overrides this may say so.
        """

    def error_received(self, exc: OSError, /) -> None:
        """An earlier datagram could not be delivered, or was dropped here; the endpoint lives on."""


class FramedProtocol(Protocol, Generic[F, S]):
    """A protocol for whole frames.

    ``codec`` is a template: each connection gets a decoder of its own from it, when the connection is made, and
    sends by the same settings.  Frames are bytes, unless the codec is one of your own: then it is a
    ``FramedProtocol[what it cuts, what it encodes]`` for the type checker.  A peer that breaks the format is given
    up, after the frames that came before the fault have been delivered; ``fault_received`` may still answer, and
    ``connection_lost`` then receives the FramingError.
    """

    if not TYPE_CHECKING:
        __class_getitem__ = classmethod(GenericAlias)

    __slots__ = ("_decoder", "_link", "_outbox")

    codec: Codec[F, S]
    #: Whether a subclass wants frames by the batch, and whether it leaves the cutting to us.
    _is_batched = False
    _is_cut_here = True

    _outbox: Outbox
    _decoder: Codec[F, S]

    def __init_subclass__(cls, **options: object) -> None:
        """See what the subclass overrides: now, and not at each frame."""
        super().__init_subclass__(**options)
        cls._is_batched = cls.frames_received is not FramedProtocol.frames_received
        cls._is_cut_here = cls.data_received is FramedProtocol.data_received

    def connection_made(self, transport: Stream, /) -> None:
        """Take the transport and make this connection's decoder.  Whoever overrides this must call it."""
        self.transport = transport
        self._decoder = self.codec.fresh()
        self._link = transport if hasattr(transport, "_deliver_frames") else ForeignLink(transport)
        if self._link is transport:
            self._decoder.most = TURN_FRAMES  # and it asks for the rest in the next turns, see _cut_on
        #: Where payloads are put while the transport collects what leaves together, and it makes frames of them.
        self._outbox = self._link._outbox_for(self, self._decoder)

    # -- frames ------------------------------------------------------------------------------------------------

    def frame_received(self, frame: F, /) -> None:
        """One frame arrived."""

    def fault_received(self, fault: FramingError, /) -> None:
        """The peer has broken the format, or ended inside a frame; the connection ends when this returns.

        What is sent here still leaves, as far as the kernel takes it at once: an error in the protocol's own words.
        """

    def frames_received(self, frames: list[F], /) -> None:
        """Frames arrived, in order: what one chunk of bytes completed, or a part of it.

        As it stands, it hands them to ``frame_received`` one by one, stops when the transport closes and, on our
        own streams, has the rest held when reading is paused, until it is resumed.  Override it to answer a whole
        batch with one ``send_frames``.
        """
        received = self.frame_received
        link = self._link
        pending = iter(frames)
        for frame in pending:
            received(frame)
            if link._is_halted:
                link._put_back(self, list(pending))
                return

    def send_frame(self, payload: S) -> None:
        """Send one frame.  Raises PayloadRefused if the codec cannot carry it; nothing is sent then."""
        if type(payload) is bytes:
            outbox = self._outbox
            room = outbox.room - len(payload)  # type: ignore[arg-type]  # it is bytes
            if room >= 0 and get_ident() == outbox.loop.owner:
                outbox.room = room
                outbox.corked.append(payload)  # type: ignore[union-attr, arg-type]  # there is room for bytes
                return
        is_of_bytes = self._decoder.is_of_bytes
        if is_of_bytes and not isinstance(payload, bytes | bytearray | memoryview):
            raise ArgumentError(f"a payload is bytes, bytearray or memoryview, not {shown(payload)}")
        try:
            if is_of_bytes and len(payload) >= GATHERED_BYTES:  # type: ignore[arg-type]  # they have a size
                self.transport.writelines(self._decoder.encode_pieces(payload))
            else:
                self.transport.write(self._decoder.encode(payload))
        except FramingError as exc:
            # Else a mistake of ours, on its way up through data_received, would be taken for the peer's.
            raise PayloadRefused(str(exc)) from exc

    def send_frames(self, payloads: Iterable[S]) -> None:
        """Send many frames in one piece; raises as ``send_frame`` does, and then none of them is sent."""
        try:
            payloads = payloads if isinstance(payloads, list) else list(payloads)
        except TypeError as exc:
            raise not_iterable("payloads", payloads, exc) from None
        outbox = self._outbox
        if outbox.room >= 0 and ONLY_BYTES.issuperset(map(type, payloads)):
            room = outbox.room - sum(map(len, payloads))
            if room >= 0 and get_ident() == outbox.loop.owner:
                outbox.room = room
                outbox.corked += payloads  # type: ignore[operator]  # there is room
                return
        try:
            data = self._decoder.encode_many(payloads)
        except FramingError as exc:
            raise PayloadRefused(str(exc)) from exc
        self.transport.write(data)

    # -- bytes -------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes, /) -> None:
        """Cut *data* into frames.  A large frame's missing bytes are from then on received into its own buffer."""
        decoder = self._decoder
        if decoder.partial is not None and decoder.is_uncut:
            # A layer hands on piece after piece, and a part of the last is still to be cut: ``_cut_on`` will do it.
            decoder.postpone(bytes(data))
            return
        try:
            frames = decoder.feed(data)
        except FramingError as fault:
            self._link._deliver_frames(self, fault.frames, fault)
            return
        self._pass_on(frames)

    def _cut_received(self, frames: list[Any], rest: bytes) -> None:
        """What ``data_received`` does with bytes that the pump has cut already: *frames*, and the *rest* behind
        them, which is the start of another one, or of none."""
        if rest and len(frames) >= TURN_FRAMES:
            self._decoder.postpone(rest)
        elif rest:
            try:
                frames += self._decoder.feed(rest)
            except FramingError as fault:
                self._link._deliver_frames(self, frames + fault.frames, fault)
                return
        self._pass_on(frames)

    def _cut_on(self) -> None:
        """Go on where cutting was left off: all frames of the turn's share have been delivered."""
        try:
            frames = self._decoder.feed(b"")
        except FramingError as fault:
            self._link._deliver_frames(self, fault.frames, fault)
            return
        self._pass_on(frames)

    def _large_frame_updated(self, size: int) -> None:
        """*size* bytes arrived in the buffer that ``LargeFrame`` lent."""
        try:
            frames = self._decoder.buffer_updated(size)
        except FramingError as fault:
            self._link._deliver_frames(self, fault.frames, fault)
            return
        if self._decoder.receive_buffer is None:
            self._link._receive_into(None)
        if frames:
            self._pass_on(frames)

    def _pass_on(self, frames: list[F]) -> None:
        link = self._link
        if len(frames) == 1 and not self._is_batched and not link._is_halted and link._held is None:
            self.frame_received(frames[0])
        elif frames:
            is_uncut = len(frames) >= TURN_FRAMES and self._decoder.is_uncut
            link._deliver_frames(self, frames, None, is_uncut)
        elif self._decoder.receive_buffer is not None:
            self._link._receive_into(LargeFrame(self))

    def eof_received(self) -> bool | None:
        """The stream ends: in between two frames all is well, inside one the connection is given up."""
        decoder = self._decoder
        while decoder.partial is not None and decoder.is_uncut:
            self._cut_on()  # nothing comes behind it any more, so there is nothing to wait for
        try:
            frames = decoder.feed_eof()
        except FramingError as fault:
            self._link._deliver_frames(self, fault.frames, fault)
            return None
        if frames:
            self._pass_on(frames)
        return None


class LargeFrame:
    """Lends the stream the buffer of an incomplete large frame, with the methods of asyncio's BufferedProtocol.

    It is not the protocol itself that has them: uvloop takes every object with a ``get_buffer`` for a protocol that
    can receive in no other way.
    """

    __slots__ = ("_protocol",)

    def __init__(self, protocol: FramedProtocol[Any, Any]) -> None:
        self._protocol = protocol

    def get_buffer(self, size_hint: int) -> memoryview | None:
        """Return where the missing bytes go."""
        return self._protocol._decoder.receive_buffer

    def buffer_updated(self, size: int) -> None:
        """*size* bytes arrived there."""
        self._protocol._large_frame_updated(size)


class ForeignLink:
    """An asyncio transport, seen as one of ours: what it lacks is made up as far as possible.

    It cannot say when reading is resumed, so frames are not held, and it takes no reason for an abortion.
    """

    __slots__ = ("_transport",)

    #: Nothing is held here, ever.
    _held = None

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def _outbox_for(self, protocol: object, codec: Codec[Any, Any]) -> Outbox:
        """A foreign transport makes no frames."""
        return NO_OUTBOX

    @property
    def _is_halted(self) -> bool:
        """Return True if no more frames may be delivered."""
        return bool(self._transport.is_closing())

    def _receive_into(self, buffers: object) -> None:
        """A foreign transport goes on to call ``data_received``, and the codec copies."""

    def _deliver_frames(
        self,
        protocol: FramedProtocol[Any, Any],
        frames: list[Any],
        fault: FramingError | None = None,
        is_uncut: bool = False,
    ) -> None:
        """Hand all *frames* to *protocol* now, and give the connection up if there is a *fault* behind them."""
        if frames:
            protocol.frames_received(frames)
        if fault is not None and not self._transport.is_closing():
            protocol.fault_received(fault)
            if self._transport.get_write_buffer_size():
                self._transport.close()  # when what it said has left
            else:
                self._transport.abort()

    def _put_back(self, protocol: FramedProtocol[Any, Any], frames: list[Any]) -> None:
        """They are not wanted: a foreign transport is halted only when it closes."""


#: Payloads from this size on are not copied behind their length, but sent along with it.
GATHERED_BYTES = JOIN_BYTES
