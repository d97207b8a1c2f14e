"""The contract of every codec: bytes in, frames or an error out.

A codec is two things.  What a protocol class names (``codec = LengthPrefixed(4)``) is a *template*: settings,
checked once.  What a connection owns is a *decoder*, made by ``fresh()``: the same settings plus the bytes of at
most one incomplete frame.  The life of a decoder, as a grammar::

    decoder = fresh, { feed -> frames | receive_buffer, buffer_updated -> frames }, ( feed_eof -> frames | fault )
    fault   = FramingError with the frames before it, { any call -> the same FramingError, no frames }

**Idea.**  ``feed`` is a template method: join what was held with what came, let the scanner cut it (one call for
the whole chunk, never one per frame), keep the rest.  A format supplies a scanner and an encoder, nothing more.  A
format of a program's own need not even have a scanner: ``next_frame`` cuts one frame, of whatever type.

**Invariant.**  Between two calls a codec holds less than one frame and never a byte that it knows to be wrong; but
if it was told how many frames a call may return at most (``most``), it holds what is behind these as it came.
The frames do not depend on how the stream was cut into chunks, nor on which scanner cut it.

Rejected: a callback per frame (the caller could not batch, and could close the codec under its own loop), and
``frames`` as a generator (state would live in a suspended function, and a fault would come too late to be seen).
What a scanner owes is in ``seam``.  Read next: ``scanner_pure``, which cuts; then any format.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import copy
from types import GenericAlias

from reactor.arguments import not_iterable, shown
from reactor.errors import FrameTooLong, FrameTruncated, FramingError, OptionError, UsageError
from reactor.framing.partial import Broken, Partial, Uncut, no_room
from reactor.framing.seam import ALL, FAULTS, FULL, MORE, Payload, Scanner, Wire
from reactor.limits import MAX_FRAME_LENGTH

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, ClassVar, Generic, NoReturn, Self

    from typing_extensions import TypeVar  # of the type checkers' own stubs: this one has a default

    #: What a codec cuts, and what it makes frames of.
    F = TypeVar("F", default=bytes)
    S = TypeVar("S", default=Payload)
else:
    # The class is generic for the type checker, and derives from nothing more at run time.
    F = S = None
    Generic = {(F, S): object}

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


class Codec(ABC, Generic[F, S]):
    """A template for decoders and a decoder in one; see the grammar at the head of this module.

    A format of your own derives from this and has two methods, ``next_frame`` and ``encode``: frames may then
    be any objects.  What it keeps in attributes from one frame to the next is the connection's own: ``fresh``
    copies the template's, but not what these refer to: a list is shared.  For the type checker it is a
    ``Codec[what it cuts, what it encodes]``.

    ``max_frame_length`` binds on both ends: ``encode`` refuses longer payloads and ``feed`` raises FrameTooLong as
    soon as a longer frame is certain, before it is buffered.  A decoder belongs to one connection and one thread;
    a template may be shared by any number of threads, because ``fresh`` only reads it.
    """

    if not TYPE_CHECKING:
        __class_getitem__ = classmethod(GenericAlias)

    __slots__ = ("_scan", "_spares", "max_frame_length", "most", "partial")

    #: The attributes that ``fresh`` hands on.  A subclass that adds settings lists them in its own tuple.
    settings: ClassVar[tuple[str, ...]] = ("_scan", "_spares", "max_frame_length")

    _scan: Scanner | None
    _spares: list[bytearray]
    max_frame_length: int

    def __init__(self, scan: Scanner | None = None, max_frame_length: int = MAX_FRAME_LENGTH) -> None:
        """Without a scanner ``next_frame`` cuts.  Raises OptionError for a limit that cannot be, UsageError if
        there is neither."""
        if scan is None:
            checked_limit(max_frame_length)
            if type(self).next_frame is Codec.next_frame:
                raise UsageError(f"{type(self).__name__} has no next_frame(): write one, which cuts a frame")
        #: What cuts a chunk; None: ``next_frame`` does, frame by frame.
        self._scan = scan
        #: What is held of an incomplete frame, or the fault that has ended the stream; None between two frames.
        self.partial: Partial | Broken | Uncut | None = None
        #: How many frames one ``feed`` of this decoder may return; see ``is_uncut``.
        self.most = ALL
        self._spares = []
        self.max_frame_length = max_frame_length

    def fresh(self) -> Self:
        """Return a new decoder with the same settings and no state.

        Settings are shared, not validated again.  A subclass with attributes outside of ``settings`` extends this;
        one that has ``next_frame`` need not: all its attributes are copied, as by ``copy.copy``.
        """
        kind = type(self)
        twin = copy(self) if self._scan is None else kind.__new__(kind)
        twin.partial = None
        twin.most = ALL
        for name in kind.settings:
            setattr(twin, name, getattr(self, name))
        return twin

    # -- receiving ---------------------------------------------------------------------------------------------

    def whole_frame(self, buffer: memoryview, size: int) -> bytes | None:
        """Return the frame that ``buffer[:size]`` is, if it is one, nothing is held, and it shows at a glance."""
        return None

    @property
    def is_of_bytes(self) -> bool:
        """Whether its frames are bytes: those of a format without a scanner may be anything."""
        return self._scan is not None

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

    def next_frame(self, data: bytes, at: int) -> tuple[F, int] | int | None:
        """For a format of your own: cut the frame that begins at ``data[at]``; *data* never ends before that.

        Return the frame, any object, and where it ends, which is where the next one begins.  If it is not whole,
        return how many bytes from *at* on it takes before another look is worth it; None if nobody can know, and
        then you are asked again whenever more has come.  Raise FrameMalformed, or a FramingError of your own, as
        soon as these bytes cannot become a frame.  A frame that occupies more than ``max_frame_length`` bytes is
        refused without your help.
        """
        raise NotImplementedError

    def feed(self, data: Payload) -> list[F]:
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
        scan = self._scan
        cut: Any = self._scan_one_by_one if scan is None else scan
        frames, end, verdict, value = cut(data, at, self.most)
        if verdict:
            if verdict != FULL:
                self._refuse(frames, verdict, value)
            if end != len(data):
                self.partial = Uncut(data, end)
        elif end != len(data):  # the last frame is not whole: its start is all that is kept
            self.partial = self._held(data[end:], value)
        whole: list[F] = frames
        return whole

    def feed_eof(self) -> list[F]:
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

    def buffer_updated(self, size: int) -> list[F]:
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
    def encode(self, payload: S) -> bytes:
        """Return the bytes that ``feed`` at the other end turns into exactly *payload*.

        Raises FrameTooLong if it is longer than ``max_frame_length``, FrameMalformed if the format cannot carry
        it, TypeError if it is not bytes-like.  The codec itself stays usable: encoding has no state.
        """

    def encode_many(self, payloads: Iterable[S]) -> bytes:
        """Return ``encode`` of each of *payloads*, joined; raise what it raises, and then nothing is returned."""
        try:
            return b"".join(map(self.encode, payloads))
        except TypeError as exc:
            raise not_iterable("payloads", payloads, exc) from None

    def frame(self, payloads: list[bytes]) -> bytes:
        """Return ``encode`` of each of *payloads*, joined, where ``carries_any_bytes``: bytes, and each within the
        limit."""
        return self.encode_many(payloads)  # type: ignore[arg-type]  # one that carries any bytes encodes bytes

    @property
    def carries_any_bytes(self) -> bool:
        """Whether ``encode`` takes every payload of at most ``max_frame_length`` bytes, whatever is in it."""
        return False

    @property
    def wire(self) -> Wire | None:
        """The format in numbers, by which the pump may cut and make its frames in C; None if there is none."""
        return None

    def encode_pieces(self, payload: S) -> list[bytes]:
        """Return ``encode``'s result in pieces that make it when joined, so that a large payload need not be
        copied."""
        return [self.encode(payload)]

    # -- for the formats ---------------------------------------------------------------------------------------

    def _held(self, rest: bytes, need: int) -> Partial:
        """Return the state that holds *rest* of a chunk, which is worth another look from *need* bytes on."""
        return Partial(rest, need, self._spares)

    def _cut(self, whole: memoryview) -> list[F]:
        """Return the frame in *whole*, all bytes of a large one; a format that can does it with one copy."""
        return self.feed(whole)

    def _last(self, partial: Partial) -> list[F]:
        """Return the frames in what is held when the stream ends; here: none, it is a fault."""
        self._fail(FrameTruncated(f"the stream ended inside a frame, after {len(partial)} bytes of it"))

    def _fail(self, fault: FramingError) -> NoReturn:
        self.partial = Broken(fault)
        raise fault

    # -- a format without a scanner ----------------------------------------------------------------------------

    def _scan_one_by_one(self, data: bytes, at: int, most: int) -> tuple[list[Any], int, int, int]:
        """Scan with ``next_frame``; see ``seam`` for what a scanner owes."""
        frames: list[Any] = []
        end, limit = len(data), self.max_frame_length
        while at < end:
            if len(frames) >= most:
                return frames, at, FULL, 0
            try:
                found = self.next_frame(data, at)
                if found is None or isinstance(found, int):
                    need = max(found or 0, end - at + 1)
                    if need > limit:
                        raise FrameTooLong(f"the peer sends a frame of more than max_frame_length, {limit} bytes")
                    return frames, at, MORE, need
                frame, stop = self._checked(found, at, end)
                if stop - at > limit:
                    raise FrameTooLong(f"the peer sent a frame of {stop - at} bytes; max_frame_length is {limit}")
            except FramingError as fault:
                fault.frames = frames
                self._fail(fault)
            except Exception as exc:
                exc.add_note(f"raised by {type(self).__name__}.next_frame()")
                raise
            frames.append(frame)
            at = stop
        return frames, at, MORE, 0

    def _checked(self, found: Any, at: int, end: int) -> tuple[Any, int]:
        """Return what ``next_frame`` has found, if that is a frame that ends in ``data[:end]``."""
        if isinstance(found, tuple) and len(found) == 2 and isinstance(found[1], int) and at < found[1] <= end:
            return found
        raise UsageError(
            f"{type(self).__name__}.next_frame() returned {shown(found)}: return the frame and where it ends, from "
            f"{at + 1} to {end} here, or how many bytes it takes, or None"
        )

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

    def _refuse(self, frames: list[Any], verdict: int, value: int) -> NoReturn:
        kind, text = FAULTS[verdict]
        self._fail(kind(text.format(value=value, limit=self.max_frame_length), frames))

    def _too_long(self, size: int) -> NoReturn:
        raise FrameTooLong(f"a payload of {size} bytes cannot be sent: max_frame_length is {self.max_frame_length}")
