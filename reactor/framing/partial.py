"""What a codec holds between two reads: the bytes of one incomplete frame, or the fault that ended the stream.

A codec between two frames holds nothing at all (``None``), and that is the state the fast path looks for.  The
other states are small objects with the same methods, so the codec never asks which one it has:

    Partial   some bytes of a frame whose total size is known, or of a header whose least size is known
    Broken    the peer broke the format; whatever arrives now raises the same error again
    Uncut     there was more in a chunk than one call may return, and nobody has looked at the rest of it yet

**Invariant:** ``len(partial) < partial.need``.  As long as that holds nobody looks at the bytes again, so a peer
that drips one byte at a time costs linear time: each byte is appended once and scanned once.

**Large frames** are received where they will lie: ``vacancy`` lends the unfilled rest of the buffer to
``recv_into``.  It would be simplest to allocate ``bytearray(need)`` as soon as the header is known.  But CPython
writes zeros to every byte of a bytearray that it makes or extends, and a page that was written to is resident: a
peer could buy a mebibyte with four bytes.  Therefore the room grows with what has really arrived: nothing is lent
for the first 16 KiB, then half of what is there already, and never more than one turn may fill.  So a started frame
takes at most half as much memory again as its peer has sent, and a mebibyte is received in ten steps.  Growing is
cheap: realloc(3) of a large block moves page tables (mremap(2)), not bytes.

**Spares.**  A frame that was received is copied once more, into the bytes that the application keeps, and its
buffer is free again.  To give it back to malloc and to ask for another costs far more than the copy: the C library
returns what lies at the end of the heap to the kernel, and each page that comes back has to be cleared and mapped.
So a few buffers are kept, by the template, for whichever connection comes next.  A spare is memory that is there
already, so it is lent whole.

Rejected: a list of chunks, joined at the end.  A peer that sends two bytes at a time makes each pair cost 43.
Read next: ``codec``.
"""

from __future__ import annotations

from reactor.errors import FramingError, OptionError, UsageError
from reactor.limits import LARGE_FRAME_BYTES, MAX_FRAME_LENGTH, TURN_BYTES

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from typing import NoReturn

#: Bytes of a large frame that must have arrived before room is lent for the rest of it.
TRUSTED_BYTES = LARGE_FRAME_BYTES // 4

#: What has arrived, divided by this, is the room that is lent, at most for one turn.
ROOM_DIVISOR = 2

#: Buffers that a template keeps, and the largest that it does: a frame of the default limit, with its header.
SPARES = 2
SPARE_BYTES = MAX_FRAME_LENGTH + 64

#: What room is extended with.  CPython has these pages from calloc(3) and never writes to them, so the kernel lets
#: them all be its one page of zeros: they are cheap to read.  Their copy, the room, is resident from then on.
ZEROS = memoryview(bytes(TURN_BYTES))


def no_room() -> UsageError:
    """Return the error for a ``buffer_updated`` that follows no ``receive_buffer``."""
    return UsageError("buffer_updated() was called, but no receive_buffer is active: feed() the bytes instead")


class Partial:
    """The first bytes of a frame that needs *need* of them before it is worth another look.

    *spares* are buffers that nobody uses: one may be taken, and is given back by ``retire``.
    """

    __slots__ = ("_buffer", "_filled", "_room", "_spares", "need")

    def __init__(self, start: bytes, need: int, spares: list[bytearray]) -> None:
        self.need = need
        self._spares = spares
        self._buffer = bytearray(start)
        self._filled = -1  # -1: the buffer is exactly what has arrived; else how much of it has
        self._room: memoryview | None = None

    def __len__(self) -> int:
        return len(self._buffer) if self._filled < 0 else self._filled

    def add(self, data: bytes) -> bytes | None:
        """Append *data*; return all bytes when there are enough of them, else None."""
        if self._filled >= 0:
            return self._add_to_room(data)
        if len(self._buffer) + len(data) >= self.need:
            return b"".join((self._buffer, data))
        self._buffer += data  # amortised constant time a byte: a bytearray grows by an eighth more than it must
        return None

    def snapshot(self) -> bytes:
        """Return a copy of what has arrived."""
        return bytes(memoryview(self._buffer)[: len(self)])

    def vacancy(self) -> memoryview | None:
        """Return where the next bytes of a large frame may be received, or None if it is not (yet) a large one."""
        if self._room is None and self.need - len(self) >= LARGE_FRAME_BYTES and len(self) >= TRUSTED_BYTES:
            self._make_room()
        return self._room

    def advance(self, size: int) -> memoryview | None:
        """Account for *size* bytes received in the vacancy; return a view of the whole frame when it is
        complete."""
        room = self._room
        if room is None:
            raise no_room()
        if not 0 <= size <= len(room):
            raise OptionError(f"buffer_updated({size}): the receive_buffer takes 0 to {len(room)} bytes")
        self._filled += size
        if self._filled == self.need:
            room.release()
            return memoryview(self._buffer)[: self.need]
        if size < len(room):
            self._room = room[size:]  # a slice of a view: no byte is copied
        else:
            self._make_room()  # the peer has paid for what was lent, and is lent more
        return None

    def retire(self, whole: memoryview) -> None:
        """Let the buffer of *whole*, which ``advance`` has returned, serve another frame."""
        whole.release()
        if len(self._spares) < SPARES and len(self._buffer) <= SPARE_BYTES:
            try:
                # A bytearray refuses to be resized while a view of it is alive.  There is no other way to ask.
                self._buffer.append(self._buffer.pop())
            except BufferError:  # a caller looks at what it received still
                return
            self._spares.append(self._buffer)

    def _make_room(self) -> None:
        filled = len(self)
        if self._room is None and self._take_spare(filled):
            return
        more = min(self.need - filled, filled // ROOM_DIVISOR, TURN_BYTES)
        if self._room is not None:
            self._room.release()  # else our own view would keep the buffer from growing
        try:
            self._buffer += ZEROS[:more]
        except BufferError:  # the caller kept a slice, and bytes in view cannot move: it keeps the old buffer
            self._buffer = bytearray(self.snapshot())
            self._buffer += ZEROS[:more]
        self._filled = filled
        self._room = memoryview(self._buffer)[filled:]

    def _take_spare(self, filled: int) -> bool:
        """Go on in a buffer that is there already, if there is one and it is large enough."""
        try:
            spare = self._spares.pop()
        except IndexError:  # asking first whether there is one would leave time for another thread to take it
            return False
        if len(spare) < self.need:
            return False
        spare[:filled] = self._buffer
        self._buffer = spare
        self._filled = filled
        self._room = memoryview(spare)[filled : self.need]
        return True

    def _add_to_room(self, data: bytes) -> bytes | None:
        """``add`` while room is lent: the bytes go where they would have been received."""
        while self._filled + len(data) < self.need:
            assert self._room is not None
            part = data[: len(self._room)]
            self._room[: len(part)] = part
            self.advance(len(part))
            if len(part) == len(data):
                return None
            data = data[len(part) :]
        return b"".join((memoryview(self._buffer)[: self._filled], data))


class Uncut:
    """The bytes of a chunk from *at* on.  They stay where they are: to move them for each share would cost as much
    as there are shares."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at

    def __len__(self) -> int:
        return len(self.data) - self.at

    def followed_by(self, data: bytes) -> tuple[bytes, int]:
        """Return all bytes with *data* behind them, and where they begin."""
        return (self.data[self.at :] + data, 0) if data else (self.data, self.at)

    def vacancy(self) -> None:
        """Return None: there is something to look at first."""
        return None

    def advance(self, size: int) -> NoReturn:
        """Raise UsageError: no room was lent."""
        raise no_room()


class Broken:
    """The state after a fault: every call raises the same error again, without frames."""

    __slots__ = ("_fault",)

    def __init__(self, fault: FramingError) -> None:
        self._fault = fault

    def __len__(self) -> int:
        return 0

    def add(self, data: bytes) -> NoReturn:
        """Raise the fault again: itself, since nobody else knows how an error of a program's own is made."""
        self._fault.frames = []
        raise self._fault.with_traceback(None)

    def vacancy(self) -> None:
        """Return None: nothing more is received."""
        return None

    def advance(self, size: int) -> NoReturn:
        """Raise the fault again."""
        self.add(b"")
