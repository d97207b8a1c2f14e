"""The pump: epoll that comes back with bytes instead of readiness, and sends for many streams at once.

On the plain path every message costs two calls from Python into the kernel, one ``recv_into`` and one ``send``,
and around each of them stand a method call, a release of the GIL and its return: about half a microsecond that is
not the kernel's.  The pump makes two calls *a turn*: one waits, and receives from every ready stream; one sends
what all streams of the turn have to say (see ``_accel/pump.h``).  Nothing else changes.  It is a poller like any
other to the loop, it takes part only for streams that asked for it (``admit``), and every decision stays with the
stream:

- A stream that is paused, or receives into a buffer of its own, is not pumped: its readiness is told, as ever.
- Bytes that arrived for a stream which another callback of the same turn has paused are kept (by the hub) and come
  first when it resumes.  Bytes for a stream that has ended are dropped, as the kernel would have dropped them.
- Each stream may fill so much of the arena (``SCRATCH_BYTES``) and no more, so a greedy one does not own the turn.
- What a stream sends waits until all arrivals of the turn are delivered, or for ``OUTBOX_STREAMS`` others,
  whichever is first.  More than ``CORK_BYTES`` do not wait: the stream sends them itself.
- Frames behind a length are cut where they are received, and made where they are sent, if the compiled scanner
  would do it anyway.  Only whole frames are: what is left behind the last one of an arrival is for the stream's
  codec, which then holds the start of a frame or reports a fault, and until it is between two frames again the
  stream receives bytes.

Arrivals become Python objects all at once, by one program for the arena (see ``_accel/scan.h``).

It needs epoll and the compiled module; everywhere else the same streams run on the plain path, which is also the
specification of this one: the tests put both through the same scripts.  Read next: ``pump_choice``.
"""

from __future__ import annotations

import math
import os
from array import array
from itertools import chain, islice
from selectors import EVENT_READ, EVENT_WRITE, SelectorKey
from struct import Struct

from reactor.core.polling.by_epoll import EPOLLIN, EPOLLOUT, EpollPoller
from reactor.core.polling.contract import bounded
from reactor.core.registry import Registration
from reactor.framing.seam import RAW
from reactor.limits import CORK_BYTES, JOIN_BYTES, OUTBOX_STREAMS, PUMP_FEW
from reactor.net.pump_memory import PumpMemory

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, Protocol, Self

    from reactor.framing.codec import Codec
    from reactor.net.outgoing import Buffer

    class Pumped(Protocol):
        """What the pump knows of a stream; ``write_half`` says what is corked and what is pending."""

        corked: list[bytes] | None
        room: int
        pending: list[Buffer] | None
        format: int

        def cut_format(self) -> int: ...
        def on_frame(self, frame: bytes) -> bool: ...
        def on_frames(self, frames: list[bytes], rest: bytes) -> bool: ...
        def on_bytes(self, data: bytes) -> bool: ...
        def on_end(self, size: int) -> None: ...
        def joined(self, corked: list[bytes]) -> bytes: ...
        def uncork(self) -> None: ...
        def take_back(self, data: bytes, sent: int) -> None: ...
        def after_sending(self, sent: int) -> None: ...
        def forget_unsent(self) -> None: ...


#: Bytes that the longest length field takes: a varint of 64 bits.
LONGEST_FIELD = 10


class Pump(EpollPoller):
    """A poller on epoll(7) that receives and sends.  Raises ImportError if the compiled module cannot do it."""

    __slots__ = (
        "_bell", "_from_buffer", "_is_quiet", "_is_uniform", "_lib", "_memory", "_passed_over", "_pieces", "_rows",
        "_stale", "_streams", "_unpack", "is_probed", "outbox", "outbox_fds",
    )  # fmt: skip

    def __init__(self) -> None:
        self._memory = PumpMemory()
        from reactor._accel import ffi, lib

        super().__init__()
        self._lib, self._from_buffer, self._unpack = lib, ffi.from_buffer, ffi.unpack
        self._streams: dict[int, Pumped] = {}
        #: Of these, the ones that receive by themselves for the time being.
        self._passed_over: set[int] = set()
        #: Of these, the ones whose protocol has changed since their arrival was cut.
        self._stale: set[int] = set()
        #: Arrivals of this turn that have yet to be delivered: descriptor, count of frames, and the piece, if each
        #: of them is one, else the size.  The pieces.
        self._rows: Iterator[tuple[int, int, Any]] | None = None
        self._is_uniform = False
        #: So few streams had anything to say that it was not worth to receive for them.
        self._is_quiet = False
        #: A probe watches, and wants to know the sizes of arrivals.
        self.is_probed = False
        self._pieces: Iterator[bytes] = iter(())
        #: Streams that have replies, and their descriptors.
        self.outbox: list[Pumped] = []
        self.outbox_fds: list[int] = []
        ringer = Registration()
        ringer.reader = self._deliver
        #: Stands for all arrivals in the list of what is ready, as if it were one descriptor.
        self._bell = (SelectorKey(self, -1, EVENT_READ, ringer), EVENT_READ)

    @property
    def pump(self) -> Self:
        """The poller itself: by this a hub finds out that it is a pump, without loading this module."""
        return self

    # -- which streams are pumped ------------------------------------------------------------------------------

    def admit(self, fd: int, stream: Pumped) -> None:
        """Receive for *stream* from now on, whenever its descriptor *fd* is watched for reading."""
        self._streams[fd] = stream
        self._passed_over.discard(fd)
        self._memory.know(fd)
        self.mark(fd)

    def pass_over(self, fd: int, stream: Pumped) -> None:
        """Only tell that *fd* is ready, until ``admit``; what has arrived already is still delivered."""
        self.admit(fd, stream)
        self._passed_over.add(fd)
        self._memory.marks[fd] = 0

    def dismiss(self, fd: int) -> None:
        """Forget the stream of *fd*, which has ended, and what has arrived for it."""
        if self._streams.pop(fd, None) is not None:
            self._passed_over.discard(fd)
            self._memory.marks[fd] = 0

    def mark(self, fd: int) -> None:
        """Have *fd* received from exactly if it is watched for reading and not passed over, and cut as its stream
        says."""
        stream = self._streams.get(fd)
        if stream is not None:
            memory = self._memory
            memory.framed[fd] = stream.format if stream.format > RAW else RAW
            key = self._keys.get(fd)
            if key is None or not key.events & EVENT_READ or fd in self._passed_over:
                memory.marks[fd] = 0
            else:
                memory.marks[fd] = 1 + stream.cut_format()

    def format_of(self, codec: Codec | None) -> int:
        """Return the number of *codec*'s format, see ``PumpMemory``."""
        return self._memory.format_of(codec)

    def recut(self, fd: int) -> None:
        """The stream of *fd* has another protocol: what has arrived for it is bytes again."""
        if self._rows is not None:
            self._stale.add(fd)

    def register(self, fileobj: Any, events: int, data: Any = None) -> SelectorKey:
        """Watch *fileobj*; see ``Poller.register``."""
        key = super().register(fileobj, events, data)
        self.mark(key.fd)
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> SelectorKey:
        """Watch *fileobj* for other events; see ``Poller.modify``."""
        key = super().modify(fileobj, events, data)
        self.mark(key.fd)
        return key

    def unregister(self, fileobj: Any) -> SelectorKey:
        """Watch *fileobj* no more; see ``Poller.unregister``."""
        key = super().unregister(fileobj)
        self.mark(key.fd)
        return key

    def drop(self) -> None:
        """Let go of the epoll set and of what this turn still had to do: in a forked child that is the parent's."""
        super().drop()
        for _ in self._rows or ():
            pass
        for stream in self.outbox:
            stream.forget_unsent()
        self.outbox.clear()
        self.outbox_fds.clear()

    # -- receiving ---------------------------------------------------------------------------------------------

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """Wait at most *timeout* seconds and return ``(key, events)`` for all that is ready; one more, if anything
        arrived for pumped streams, whose reader delivers it."""
        if self._rows is not None:
            return [self._bell]  # a turn was broken off in their midst, and the arena is still theirs
        if self._is_quiet:
            ready = super().select(timeout)
            self._is_quiet = len(ready) <= PUMP_FEW
            return ready
        wait = bounded(timeout)
        memory = self._memory
        place = memory.place
        failure = self._lib.pump_wait(self._epoll.fileno(), -1 if wait is None else math.ceil(wait * 1000), place)
        if failure:
            raise OSError(-failure, os.strerror(-failure))
        ready = []
        count = place.arrival_count
        self._is_quiet = count <= PUMP_FEW
        if count:
            program = Struct(self._unpack(memory.cuts.program, memory.cuts.length))
            pieces = self._pieces = iter(program.unpack_from(memory.arena))
            fds, counts = memory.fds[:count].tolist(), memory.counts[:count].tolist()
            self._is_uniform = uniform = place.uniform and not self.is_probed
            self._rows = zip(fds, counts, pieces if uniform else memory.sizes[:count].tolist(), strict=True)
            ready.append(self._bell)  # first: a stream reads before it writes, as on the plain path
        count = place.readiness_count
        if count:
            known = self._keys.get
            numbers = iter(memory.readiness[: 2 * count].tolist())
            for fd, event in zip(numbers, numbers, strict=True):
                key = known(fd)
                if key is None:
                    self.strays += 1
                else:
                    mask = (event & ~EPOLLOUT and EVENT_READ) | (event & ~EPOLLIN and EVENT_WRITE)
                    ready.append((key, mask & key.events))
        return ready

    def _deliver(self) -> None:
        """Hand every stream what has arrived for it.

        A descriptor is closed at the end of a turn at the earliest, so its number cannot have a new owner yet.
        """
        rows = self._rows
        if rows is not None:
            if self._is_uniform:
                self._deliver_single_pieces(rows)
            else:
                self._deliver_pieces(rows)
            self._rows = None
            self._stale.clear()
            self.send_all()

    def _deliver_single_pieces(self, rows: Iterator[tuple[int, int, Any]]) -> None:
        """Each arrival is one piece: a frame, or bytes."""
        outbox, fds, stale = self.outbox, self.outbox_fds, self._stale
        stream_of = self._streams.get
        for fd, count, piece in rows:
            stream = stream_of(fd)
            if stream is None:
                continue
            if stale and fd in stale:
                has_replies = stream.on_bytes(self.arrived_bytes(fd))
            elif count:
                has_replies = stream.on_frame(piece)
            else:
                has_replies = stream.on_bytes(piece)
            if has_replies:
                # What post would do, without the call: this is the hot path.
                outbox.append(stream)
                fds.append(fd)
                if len(fds) >= OUTBOX_STREAMS:
                    self.send_all()

    def _deliver_pieces(self, rows: Iterator[tuple[int, int, Any]]) -> None:
        """Arrivals are any number of frames, with or without something left behind them, and ends."""
        pieces, stale = self._pieces, self._stale
        for fd, count, size in rows:
            frames = list(islice(pieces, abs(count)))
            rest = next(pieces) if count <= 0 < size else b""
            stream = self._streams.get(fd)
            if stream is None:
                continue
            if size <= 0:
                stream.on_end(size)
                continue
            if stale and fd in stale:
                frames, rest = [], self.arrived_bytes(fd)
            if stream.on_frames(frames, rest) if frames else stream.on_bytes(rest):
                self.post(fd, stream)

    def arrived_size(self, fd: int) -> int:
        """Return how many bytes have arrived for *fd* in this turn."""
        return self._arrival(fd)[1]

    def arrived_bytes(self, fd: int) -> bytes:
        """Return what has arrived for *fd* in this turn, as it came."""
        start, size = self._arrival(fd)
        return self._memory.arena[start : start + size].tobytes()

    def _arrival(self, fd: int) -> tuple[int, int]:
        """Return where the arrival of *fd* begins in the arena, and its size."""
        start = 0
        for other, size in zip(self._memory.fds, self._memory.sizes, strict=True):
            if other == fd:
                return start, max(size, 0)
            start += max(size, 0)
        return start, 0

    # -- sending -----------------------------------------------------------------------------------------------

    def post(self, fd: int, stream: Pumped) -> None:
        """Send what *stream* has corked along with what others have, when ``send_all`` is called."""
        self.outbox.append(stream)
        self.outbox_fds.append(fd)
        if len(self.outbox) >= OUTBOX_STREAMS:
            self.send_all()

    def send_all(self) -> None:
        """Send what the streams in the outbox have corked, in one call, and tell each how much of it went."""
        streams, fds = self.outbox[:], self.outbox_fds[:]
        self.outbox.clear()
        self.outbox_fds.clear()
        corked: list[Any] = [stream.corked for stream in streams]
        payloads = list(chain.from_iterable(corked)) if len(streams) > 1 and all(corked) else []
        if not payloads or are_large(payloads, len(streams)):
            # One is alone; or one has made pending bytes of what was corked, or has sent or dropped it; or to copy
            # them once more, into one place, costs more than the calls that it saves.
            for stream in streams:
                stream.uncork()
            return
        for stream in streams:
            stream.corked = None
            stream.room = -1
        self._send(streams, fds, corked, payloads)

    def _send(self, streams: list[Pumped], fds: list[int], corked: list[Any], payloads: list[bytes]) -> None:
        table = array("q", [*fds, *map(len, corked)])
        sizes = array("Q", list(map(len, payloads)))
        joined = b"".join(payloads)
        memory = self._memory
        memory.make_room(len(joined) + LONGEST_FIELD * len(sizes))
        short = self._lib.pump_send(
            memory.place, self._from_buffer("int64_t[]", table), len(streams),
            self._from_buffer("uint64_t[]", sizes), len(sizes), joined, len(joined),
            self._from_buffer("int64_t[]", memory.taken),
        )  # fmt: skip
        assert short >= 0, "the numbers do not add up"
        if short:
            count = len(streams)
            self._take_back(zip(streams, corked, table[count:], memory.taken, strict=False))

    def _take_back(self, posted: Iterable[tuple[Pumped, list[bytes], int, int]]) -> None:
        """Give back what the kernel did not take: first the bytes, to all; then do what follows: user code."""
        rest = [(stream, corked, taken) for stream, corked, size, taken in posted if taken != size]
        for stream, corked, taken in rest:
            stream.take_back(stream.joined(corked), taken)
        for stream, _, taken in rest:
            stream.after_sending(taken)


def are_large(payloads: list[bytes], streams: int) -> bool:
    """Tell whether *payloads*, of so many *streams*, come to ``JOIN_BYTES`` or more for each: more than a few can
    not, since no stream corks more than ``CORK_BYTES``."""
    return len(payloads) <= streams * (CORK_BYTES // JOIN_BYTES) and sum(map(len, payloads)) >= streams * JOIN_BYTES
