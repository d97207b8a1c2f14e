"""The contract of every codec: bytes in, frames or an error out.

A codec is two things.  What a protocol class names (``codec = LengthPrefixed(4)``) is a *template*: settings,
checked once.  What a connection owns is a *decoder*, made by ``fresh()``: the same settings plus the bytes of at
most one incomplete frame.  The life of a decoder, as a grammar::

    decoder = fresh, { feed -> frames | receive_buffer, buffer_updated -> frames }, ( feed_eof -> frames | fault )
    fault   = FramingError with the frames before it, { any call -> the same FramingError, no frames }

**Idea.**  ``feed`` is a template method: join what was held with what came, let the scanner cut it (one call for
the whole chunk, never one per frame), keep the rest.  A format supplies a scanner and an encoder, nothing more.

**Invariant.**  Between two calls a codec holds less than one frame and never a byte that it knows to be wrong; but
if it was told how many frames a call may return at most (``most``), it holds what is behind these as it came.
The frames do not depend on how the stream was cut into chunks, nor on which scanner cut it.

Rejected: a callback per frame (the caller could not batch, and could close the codec under its own loop), and
``frames`` as a generator (state would live in a suspended function, and a fault would come too late to be seen).
What a scanner owes is in ``seam``.  Read next: ``scanner_pure``, which cuts; then any format.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from reactor.arguments import not_iterable
from reactor.errors import FrameTooLong, FrameTruncated, FramingError, OptionError
from reactor.framing.partial import Broken, Partial, Uncut, no_room
from reactor.framing.seam import ALL, FAULTS, FULL, Payload, Scanner, Wire

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import ClassVar, NoReturn, Self

#: The largest limit that can be set: with a header added, or written in decimal, it stays far inside 64 bits.
LARGEST_LIMIT = 2**56


#: The payload types whose ``len`` is their size, and which nobody can change.
ONLY_BYTES = frozenset((bytes,))


def flat_bytes(data: Payload) -> bytes:
    """Return *data* as bytes: a bytearray or memoryview is copied, a shaped view flattened in C order.

    Raises TypeError for anything without the buffer interface, so that ``5`` does not become five zero bytes.
    """
    return data if type(data) is bytes else bytes(memoryview(data))


def checked_limit(limit: int) -> int:
    """Return *limit* if it can be a ``max_frame_length``, else raise OptionError."""
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= LARGEST_LIMIT:
        raise OptionError(f"max_frame_length is a number of bytes from 1 to 2**56, not {limit!r}")
    return limit


class Codec(ABC):
    """A template for decoders and a decoder in one; see the grammar at the head of this module.

    ``max_frame_length`` binds on both ends: ``encode`` refuses longer payloads and ``feed`` raises FrameTooLong as
    soon as a longer frame is certain, before it is buffered.  A decoder belongs to one connection and one thread;
    a template may be shared by any number of threads, because ``fresh`` only reads it.
    """

    __slots__ = ("_scan", "_spares", "max_frame_length", "most", "partial")

    #: The attributes that ``fresh`` hands on.  A subclass that adds settings lists them in its own tuple.
    settings: ClassVar[tuple[str, ...]] = ("_scan", "_spares", "max_frame_length")

    _scan: Scanner
    _spares: list[bytearray]
    max_frame_length: int

    def __init__(self, scan: Scanner, max_frame_length: int) -> None:
        self._scan = scan
        #: What is held of an incomplete frame, or the fault that has ended the stream; None between two frames.
        self.partial: Partial | Broken | Uncut | None = None
        #: How many frames one ``feed`` of this decoder may return; see ``is_uncut``.
        self.most = ALL
        self._spares = []
        self.max_frame_length = max_frame_length

    def fresh(self) -> Self:
        """Return a new decoder with the same settings and no state.

        Settings are shared, not validated again.  A subclass with attributes outside of ``settings`` extends this.
        """
        kind = type(self)
        twin = kind.__new__(kind)
        twin.partial = None
        twin.most = ALL
        for name in kind.settings:
            setattr(twin, name, getattr(self, name))
        return twin

    # -- receiving ---------------------------------------------------------------------------------------------

    @property
    def is_between_frames(self) -> bool:
        """Whether the next byte is the first of a frame: nothing is held, and no fault has ended the stream."""
        return self.partial is None

    @property
    def is_uncut(self) -> bool:
        """Whether the last call returned ``most`` frames and left what is behind them: ``feed(b"")`` goes on there,
        and has to be called until this is false before ``feed_eof`` is."""
        return type(self.partial) is Uncut

    def postpone(self, data: bytes) -> None:
        """Take *data*, which begins with a frame or comes behind what is uncut, and leave it uncut."""
        partial = self.partial
        self.partial = Uncut(*partial.followed_by(data)) if isinstance(partial, Uncut) else Uncut(data, 0)

    def feed(self, data: Payload) -> list[bytes]:
        """Take *data* and return the frames that it completes, in order, as bytes; often none, often many.

        bytes are taken as they are; a bytearray or memoryview is copied first, so the caller may reuse it.

        Raises FrameTooLong or FrameMalformed when the bytes so far cannot become a frame.  Its ``frames`` are the
        frames that this call had completed before the fault: they are valid.  From then on every call raises the
        same error with no frames.
        """
        at = 0
        if self.partial is not None or type(data) is not bytes:
            data, at = self._gathered(data)
            if not data:
                return []
        frames, end, verdict, value = self._scan(data, at, self.most)
        if verdict:
            if verdict != FULL:
                self._refuse(frames, verdict, value)
            if end != len(data):
                self.partial = Uncut(data, end)
        elif end != len(data):  # the last frame is not whole: its start is all that is kept
            self.partial = self._held(data[end:], value)
        return frames

    def feed_eof(self) -> list[bytes]:
        """Say that the stream has ended; return the frames that only its end completes (usually none).

        Raises FrameTruncated if it ended inside a frame, or again the fault that broke the codec earlier.
        """
        partial, self.partial = self.partial, None
        if partial is None:
            return []
        if isinstance(partial, Broken):
            self.partial = partial
            partial.add(b"")
        assert isinstance(partial, Partial)
        return self._last(partial)

    @property
    def buffered(self) -> int:
        """How many bytes of an incomplete frame are held; 0 between two frames and after a fault."""
        return 0 if self.partial is None else len(self.partial)

    @property
    def receive_buffer(self) -> memoryview | None:
        """Where the missing bytes of a large frame may be received (``recv_into``), or None: then ``feed`` them.

        It is offered while at least ``limits.LARGE_FRAME_BYTES`` are missing, once a quarter of that has arrived,
        and until the frame is complete.  Ask anew before each read: the next call of this codec may release it.
        """
        return None if self.partial is None else self.partial.vacancy()

    def buffer_updated(self, size: int) -> list[bytes]:
        """Say that *size* bytes were received into ``receive_buffer``; return the frame if that completed it.

        Raises UsageError if no buffer is active, OptionError if *size* exceeds it, FramingError as ``feed`` does.
        """
        if self.partial is None:
            raise no_room()
        partial = self.partial
        whole = partial.advance(size)
        if whole is None:
            return []
        assert isinstance(partial, Partial)
        self.partial = None
        try:
            return self._cut(whole)
        finally:
            partial.retire(whole)

    # -- sending -----------------------------------------------------------------------------------------------

    @abstractmethod
    def encode(self, payload: Payload) -> bytes:
        """Return the bytes that ``feed`` at the other end turns into exactly *payload*.

        Raises FrameTooLong if it is longer than ``max_frame_length``, FrameMalformed if the format cannot carry
        it, TypeError if it is not bytes-like.  The codec itself stays usable: encoding has no state.
        """

    def encode_many(self, payloads: Iterable[Payload]) -> bytes:
        """Return ``encode`` of each of *payloads*, joined; raise what it raises, and then nothing is returned."""
        try:
            return b"".join(map(self.encode, payloads))
        except TypeError as exc:
            raise not_iterable("payloads", payloads, exc) from None

    def frame(self, payloads: list[bytes]) -> bytes:
        """Return ``encode`` of each of *payloads*, joined, where ``carries_any_bytes``: bytes, and each within the
        limit."""
        return self.encode_many(payloads)

    @property
    def carries_any_bytes(self) -> bool:
        """Whether ``encode`` takes every payload of at most ``max_frame_length`` bytes, whatever is in it."""
        return False

    @property
    def wire(self) -> Wire | None:
        """The format in numbers, by which the pump may cut and make its frames in C; None if there is none."""
        return None

    def encode_pieces(self, payload: Payload) -> list[bytes]:
        """Return ``encode``'s result in pieces that make it when joined, so that a large payload need not be
        copied."""
        return [self.encode(payload)]

    # -- for the formats ---------------------------------------------------------------------------------------

    def _held(self, rest: bytes, need: int) -> Partial:
        """Return the state that holds *rest* of a chunk, which is worth another look from *need* bytes on."""
        return Partial(rest, need, self._spares)

    def _cut(self, whole: memoryview) -> list[bytes]:
        """Return the frame in *whole*, all bytes of a large one; a format that can does it with one copy."""
        return self.feed(whole)

    def _last(self, partial: Partial) -> list[bytes]:
        """Return the frames in what is held when the stream ends; here: none, it is a fault."""
        self._fail(FrameTruncated(f"the stream ended inside a frame, after {len(partial)} bytes of it"))

    def _fail(self, fault: FramingError) -> NoReturn:
        self.partial = Broken(fault)
        raise fault

    # -- the slow half of feed ---------------------------------------------------------------------------------

    def _gathered(self, data: Payload) -> tuple[bytes, int]:
        """Return what is held with *data* behind it, and where it begins, if that is worth a look; else keep it and
        return nothing."""
        data = flat_bytes(data)
        partial = self.partial
        if partial is None:
            return data, 0
        if isinstance(partial, Uncut):
            self.partial = None
            return partial.followed_by(data)
        joined = partial.add(data)
        if joined is None:
            return b"", 0
        self.partial = None
        return joined, 0

    def _refuse(self, frames: list[bytes], verdict: int, value: int) -> NoReturn:
        kind, text = FAULTS[verdict]
        self._fail(kind(text.format(value=value, limit=self.max_frame_length), frames))

    def _too_long(self, size: int) -> NoReturn:
        raise FrameTooLong(f"a payload of {size} bytes cannot be sent: max_frame_length is {self.max_frame_length}")
