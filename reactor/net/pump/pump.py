"""The pump: epoll that comes back with bytes instead of readiness, and sends for many streams at once.

On the plain path every message costs two calls from Python into the kernel, one ``recv_into`` and one ``send``,
and around each of them stand a method call, a release of the GIL and its return: about half a microsecond that is
not the kernel's.  The pump makes two calls *a turn*: one waits, and receives from every ready stream; one sends
what many streams of the turn have to say (see ``_accel/pump.h``).  It is a poller like any other to the loop, it
takes part only for streams that asked for it (``admit``), and every decision stays with the stream.

**Its books are hints.**  What it knows of a stream was true when the stream said it.  So

- a descriptor is received from only as long as nobody changes what is watched on it: whatever is registered,
  modified or unregistered there ends the admission, and the stream asks anew;
- whom an arrival belongs to is looked up right behind the call that received it, before any Python code runs;
- what was cut into frames is used only if the stream, asked when its turn comes, is where such a frame may begin;
  else the bytes, which still lie in the arena, go the plain way;
- to which descriptor something is sent, the socket is asked when it is sent.

**Nobody is passed over.**  Each stream may fill so much of the arena (``SCRATCH_BYTES``).  When that, or the room
for frames, is used up, a descriptor stays ready, and its stream receives by itself in the same turn.

**Nobody waits long.**  Replies leave together when all arrivals of the turn are delivered, when ``OUTBOX_STREAMS``
have some, or ``OUTBOX_SECONDS`` after the last time, whichever is first.  After ``TURN_SECONDS`` the delivery is
broken off; the rest of it comes first in the next turn.

Frames behind a length are cut where they are received, and made where they are sent, if the compiled scanner would
do it anyway.  Arrivals become Python objects all at once, by one program for the arena (see ``_accel/scan.h``).

It needs epoll and the compiled module; everywhere else the same streams run on the plain path, which is also the
specification of this one: the tests put both through the same scripts.  Read next: ``choice``.
"""

from __future__ import annotations

import errno
import math
import os
import time
from array import array
from itertools import chain, islice
from selectors import EVENT_READ, EVENT_WRITE, SelectorKey
from struct import Struct

from reactor.core.polling.by_epoll import EPOLLIN, EPOLLOUT, EpollPoller
from reactor.core.polling.contract import bounded
from reactor.core.registry import Registration
from reactor.framing.seam import UNKNOWN
from reactor.limits import (
    ACCEPT_BATCH,
    CORK_BYTES,
    JOIN_BYTES,
    MAX_WAIT,
    OUTBOX_SECONDS,
    OUTBOX_STREAMS,
    PUMP_FEW,
    TURN_SECONDS,
)
from reactor.net.pump.memory import GUEST_NUMBERS, PumpMemory

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from socket import socket
    from typing import Any, Protocol, Self

    from reactor.framing.codec import Codec
    from reactor.framing.seam import Wire
    from reactor.net.stream.outbox import Outbox

    class Pumped(Protocol):
        """What the pump knows of a stream: what waits to be sent, and whom to tell what."""

        _outbox: Outbox
        _fd: int
        _sock: socket | None

        def _takes_frames(self, format: int) -> bool: ...
        def _frame_arrived(self, format: int, frame: bytes) -> bool | None: ...
        def _arrived(self, data: bytes, frames: list[bytes] | None = None, size: int = 0) -> None: ...
        def _end_arrived(self, size: int) -> None: ...
        def _uncork(self) -> None: ...
        def _sent_by_pump(self, data: bytes, sent: int) -> None: ...
        def _after_pump(self, sent: int) -> None: ...

    #: An arrival that has yet to be delivered: its stream, its descriptor, the format by which it was cut, how many
    #: frames that made (see ``pump_arrival``), and the piece, if each arrival of the turn makes just one, else the
    #: size.
    Row = tuple[Pumped | None, int, int, int, Any]


#: What stands in ``taken`` of a posting until the C code has told: no number of bytes, and no errno.
UNTOLD = -(1 << 62)

#: A ``pump_posting`` of ``_accel/pump.h`` that has yet to be filled in.
UNTOLD_POSTING = array("q", [0, 0, 0, UNTOLD])

#: Turns after which the pump looks again how much is said: few streams may say many frames at once.
QUIET_TURNS = 16

#: Bytes from which an arrival is better received by its stream: what it saves is nothing beside the copies, and one
#: stream's bytes are in the processor's cache, where an arena full of them is not.
LARGE_ARRIVAL = 16 * 1024

#: More streams than a poller returns at once.
ALL_READY = 1 << 20

#: Bytes that the longest length field takes: a varint of 64 bits.
LONGEST_FIELD = 10


class Pump(EpollPoller):
    """A poller on epoll(7) that receives and sends.  Raises ImportError if the compiled module cannot do it."""

    __slots__ = (
        "_arrivals", "_bell", "_from_buffer", "_is_spinning", "_is_uniform", "_last_format", "_lib",
        "_memory", "_pieces", "_quiet_most", "_quiet_turns", "_streams", "_unpack", "clock", "has_backlog",
        "is_delivering", "is_probed", "posted", "write",
    )  # fmt: skip

    def __init__(self) -> None:
        self._memory = PumpMemory()
        from reactor._accel import ffi, lib

        super().__init__()
        self._lib, self._from_buffer, self._unpack = lib, ffi.from_buffer, ffi.unpack
        #: ``write(fd, data, size)`` sends on a descriptor that has no socket object, see ``pump_write``.
        self.write = lib.pump_write
        #: The streams that are received for, by descriptor.  A list: 40 bytes a connection less than a dictionary.
        self._streams: list[Pumped | None] = []
        #: The format that was last asked for, and its number.
        self._last_format: tuple[Wire | None, int] = (None, UNKNOWN)
        #: Arrivals that have yet to be delivered.  Their bytes lie in the arena, so nothing is received meanwhile.
        self._arrivals: Iterator[Row] = iter(())
        self._pieces: Iterator[bytes] = iter(())
        self._is_uniform = False
        self.has_backlog = False
        #: So little was said that it was not worth to receive it here: for so many turns each stream does so.
        self._quiet_turns = 0
        #: ... as long as no more of them are ready.
        self._quiet_most = 0
        #: It polls for a while before it sleeps, in C, however few are ready.
        self._is_spinning = False
        #: A probe watches, and wants to know the sizes of arrivals.
        self.is_probed = False
        #: Monotonic seconds; the reactor puts its own clock here.
        self.clock: Callable[[], float] = time.monotonic
        #: Streams that have replies, which leave together.  They are put here only while arrivals are delivered.
        self.posted: list[Pumped] = []
        self.is_delivering = False
        ringer = Registration()
        ringer.reader = self._deliver
        #: Stands for all arrivals in the list of what is ready, as if it were one descriptor.
        self._bell = (SelectorKey(self, -1, EVENT_READ, ringer), EVENT_READ)

    @property
    def pump(self) -> Self:
        """The poller itself: by this a reactor finds out that it is a pump, without loading this module."""
        return self

    def spin(self, seconds: float) -> None:
        """Poll for so long without sleeping, before each wait: what arrives meanwhile is heard earlier, by as much
        as it takes to wake a thread, and a processor is kept busy.  The GIL is free meanwhile."""
        self._memory.place.spin = int(min(seconds, MAX_WAIT) * 1e9)
        self._is_spinning = True

    # -- which streams are pumped ------------------------------------------------------------------------------

    def admit(self, fd: int, stream: Pumped, format: int) -> None:
        """Receive for *stream* from now on, whenever *fd*, which it watches for reading, is ready; and cut what
        arrives by *format*.  Ends with the next change of what is watched on *fd*."""
        # No system call: the descriptor is in the epoll set already, and only the pump's own tables change.
        streams = self._streams
        if fd >= len(streams):
            streams += [None] * (self._memory.know(fd) - len(streams))
        streams[fd] = stream
        self._memory.marks[fd] = 1 + format

    def dismiss(self, fd: int) -> None:
        """Only tell that *fd* is ready, until ``admit``.  What has arrived already is still delivered."""
        streams = self._streams
        if fd < len(streams) and streams[fd] is not None:
            streams[fd] = None
            self._memory.marks[fd] = 0

    def hint(self, fd: int, stream: Pumped, format: int) -> None:
        """Cut what arrives next for *stream* by *format*, if it is still received for."""
        if 0 <= fd < len(self._streams) and self._streams[fd] is stream:
            self._memory.marks[fd] = 1 + format

    def format_of(self, codec: Codec[Any, Any]) -> int:
        """Return the number of *codec*'s format, see ``PumpMemory``."""
        wire = codec.wire
        known, number = self._last_format
        if wire is not known:  # it is that of the last connection, nearly always
            number = self._memory.format_of(wire)
            self._last_format = wire, number
        return number

    # Whatever changes what is watched ends the admission: the number may be another file's by now, and the callback
    # one that wants to receive by itself.

    def _change(self, fd: int, events: int) -> None:
        self.dismiss(fd)
        super()._change(fd, events)

    def _forget(self, fd: int) -> None:
        self.dismiss(fd)
        EpollPoller._forget(self, fd)

    def drop(self) -> None:
        """Let go of the epoll set and of what this turn still had to do: in a forked child that is the parent's."""
        super().drop()
        # Emptied, not replaced: if a callback forked, ``_deliver`` is in the middle of this very iterator.
        for _ in self._arrivals:
            pass
        self.has_backlog = False
        self.posted.clear()

    # -- accepting ---------------------------------------------------------------------------------------------

    def accept(self, listener: socket, most: int) -> tuple[list[tuple[int, Any]], OSError | None]:
        """Accept up to *most* connections from *listener*, a listening socket of IPv4 or IPv6.

        Return their descriptors, which do not block, each with its peer's address (see ``compact_address``), and
        what accept(2) said behind them; None if there may be more.
        """
        memory = self._memory
        count = self._lib.pump_accept(listener.fileno(), memory.place, min(most, ACCEPT_BATCH), memory.error)
        numbers = memory.guests[: GUEST_NUMBERS * count].tolist()
        peers: list[int] = numbers[1::GUEST_NUMBERS]
        if 0 in peers:  # what did not fit into one number
            rows = [memory.guests[at : at + GUEST_NUMBERS] for at in range(0, len(numbers), GUEST_NUMBERS)]
            peers = [row[1] or int.from_bytes(row[2:].tobytes()[: self._lib.PUMP_LONG_PEER], "big") for row in rows]
        number = memory.error[0]
        refusal = OSError(number, os.strerror(number)) if number else None
        return list(zip(numbers[::GUEST_NUMBERS], peers, strict=True)), refusal

    # -- receiving ---------------------------------------------------------------------------------------------

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """Wait at most *timeout* seconds and return ``(key, events)`` for all that is ready; one more, if anything
        arrived for pumped streams, whose reader delivers it."""
        if self.has_backlog:
            # Nobody else is looked for before these have had their turn; and to receive now would overwrite the
            # arena, where their bytes still lie.
            return [self._bell]
        if self._quiet_turns and not self._is_spinning:
            ready = EpollPoller.select(self, timeout)  # super() costs 60 ns
            self._quiet_turns = self._quiet_turns - 1 if len(ready) <= self._quiet_most else 0
            return ready
        # Up to here is the plain poller; from here on, what it does is done in C, along with every recv.
        wait = bounded(timeout)
        memory = self._memory
        place = memory.place
        # epoll_wait(2) counts whole milliseconds; rounded down, the last part of one would be spent spinning.
        failure = self._lib.pump_wait(self._epoll.fileno(), -1 if wait is None else math.ceil(wait * 1000), place)
        if failure:
            raise OSError(-failure, os.strerror(-failure))
        ready = []
        count = place.arrival_count
        if count <= PUMP_FEW and memory.cuts.count <= PUMP_FEW:
            self._quiet_turns, self._quiet_most = QUIET_TURNS, PUMP_FEW
        if count:
            self._take_arrivals(count)
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
                    # As in EpollPoller.select: an error or a hang-up is told to whoever waits.
                    mask = (event & ~EPOLLOUT and EVENT_READ) | (event & ~EPOLLIN and EVENT_WRITE)
                    ready.append((key, mask & key.events))
        return ready

    def _take_arrivals(self, count: int) -> None:
        """Make objects of *count* arrivals."""
        memory = self._memory
        # All bytes objects of the turn, made by one call: 30 ns a frame where slicing costs 90, see scan.h.
        program = Struct(self._unpack(memory.cuts.program, memory.cuts.length))
        pieces = self._pieces = iter(program.unpack_from(memory.arena))
        numbers = memory.arrivals[: 4 * count].tolist()  # rows of four: fd, format, size, count, as in pump.h
        fds = numbers[::4]
        if sum(numbers[2::4]) >= LARGE_ARRIVAL * count:
            self._quiet_turns, self._quiet_most = QUIET_TURNS, ALL_READY
        self._is_uniform = uniform = memory.place.uniform and not self.is_probed
        last = pieces if uniform else numbers[2::4]
        streams = list(map(self._streams.__getitem__, fds))  # now: the next Python code may open and close others
        self._arrivals = zip(streams, fds, numbers[1::4], numbers[3::4], last, strict=True)
        self.has_backlog = True

    def _deliver(self) -> None:
        """Hand every stream what has arrived for it, for so long; and send what is replied."""
        self.is_delivering = True
        clock, posted, is_uniform = self.clock, self.posted, self._is_uniform
        now = clock()
        send_at, stop_at, is_done = now + OUTBOX_SECONDS, now + TURN_SECONDS, False
        try:
            for stream, fd, format, count, last in self._arrivals:
                if not is_uniform:
                    self._deliver_pieces(stream, fd, format, count, last)
                elif stream is not None:
                    # The arrival is one piece: a frame, or bytes.
                    if stream._sock is not None and stream._sock.fileno() != fd:
                        self._deliver_to_closed(stream)
                    elif not count:
                        stream._arrived(last)
                    elif (has_replies := stream._frame_arrived(format, last)) is None:
                        # It is not where such a frame may begin.  The raw bytes hold the length as well.
                        stream._arrived(self._arrived_bytes(fd))
                    elif has_replies:
                        posted.append(stream)
                # After each stream: nobody knows what its callback will cost, and the replies of others wait.
                now = clock()
                if now >= send_at or len(posted) >= OUTBOX_STREAMS:
                    self.send_all()
                    send_at = now + OUTBOX_SECONDS
                    if now >= stop_at:
                        break
            else:
                is_done = True
        finally:
            # Also after Ctrl-C: nobody else sends for those who are posted.
            self.is_delivering = False
            self.send_all()
        # Not reached if something was raised: the flag stays, and the next turn goes on with the rest.
        self.has_backlog = not is_done

    def _deliver_pieces(self, stream: Pumped | None, fd: int, format: int, count: int, size: int) -> None:
        """The arrival is any number of frames, with or without something left behind them, or an end."""
        pieces = self._pieces
        # First taken, then judged: the pieces of all streams come from one iterator, and must stay in step.
        frames = list(islice(pieces, abs(count)))
        rest = next(pieces) if count <= 0 < size else b""
        if stream is None:
            return
        if stream._sock is not None and stream._sock.fileno() != fd:
            self._deliver_to_closed(stream)
        elif size <= 0:
            stream._end_arrived(size)
        elif not frames:
            stream._arrived(rest)
        elif stream._takes_frames(format):
            stream._arrived(rest, frames, size)
        else:
            stream._arrived(self._arrived_bytes(fd))

    def _deliver_to_closed(self, stream: Pumped) -> None:
        """Somebody has closed the socket under *stream*: what was received by that number is nobody's."""
        stream._end_arrived(-errno.EBADF)

    def _arrived_bytes(self, fd: int) -> bytes:
        """Return what has arrived for *fd* in this turn, as it came."""
        memory = self._memory
        numbers = memory.arrivals[: 4 * memory.place.arrival_count].tolist()
        at = numbers[::4].index(fd)
        sizes = numbers[2::4]
        start = sum(size for size in sizes[:at] if size > 0)  # an end or an error has no bytes in the arena
        return memory.arena[start : start + sizes[at]].tobytes()

    # -- sending -----------------------------------------------------------------------------------------------

    def send_all(self) -> None:
        """Send what the streams in ``posted`` have corked, in one call, and tell each how much of it went."""
        if not self.posted:
            return
        streams = self.posted[:]  # a copy: ``uncork`` takes a stream out of the list
        outboxes = [stream._outbox for stream in streams]
        corked: list[Any] = [outbox.corked for outbox in outboxes]
        payloads = list(chain.from_iterable(corked)) if len(streams) > 1 and all(corked) else []
        if not payloads or are_large(payloads, len(streams)) or not self._send(streams, outboxes, corked, payloads):
            # One is alone; or one has made pending bytes of what was corked, or has sent or dropped it; or to copy
            # them once more, into one place, costs more than the calls that it saves.  Nothing was sent.
            for stream in streams:
                stream._uncork()

    def _send(
        self, streams: list[Pumped], outboxes: list[Outbox], corked: list[list[bytes]], payloads: list[bytes]
    ) -> bool:
        """Send *payloads*, which are all that is *corked*, in one call.  Return False if nothing was sent."""
        rows = UNTOLD_POSTING * len(streams)
        # A closed socket's number is -1, which is refused.
        fds = [stream._fd if stream._sock is None else stream._sock.fileno() for stream in streams]
        rows[::4] = array("q", fds)
        rows[1::4] = array("q", [outbox.format for outbox in outboxes])
        rows[2::4] = array("q", list(map(len, corked)))
        sizes = array("Q", list(map(len, payloads)))
        joined = b"".join(payloads)  # one buffer for C, which then knows every payload by its size alone
        memory = self._memory
        memory.make_room(len(joined) + LONGEST_FIELD * len(sizes))
        short = None
        try:
            short = self._lib.pump_send(
                memory.place, self._from_buffer("pump_posting[]", rows), len(streams),
                self._from_buffer("uint64_t[]", sizes), len(sizes), joined, len(joined),
            )  # fmt: skip
        finally:
            # Ctrl-C may surface behind the call: the rows know what became of it, and no reply leaves twice.
            if short is None:
                short = -1 if UNTOLD in rows[3::4] else len(streams)
            if short >= 0:
                self.posted.clear()
                for outbox in outboxes:  # what Outbox.uncork does, 50 ns a stream cheaper
                    outbox.corked = None
                    outbox.room = -1
                    outbox.is_posted = False
                if short:
                    self._take_back(streams, corked, rows)
        return short >= 0

    def _take_back(self, streams: list[Pumped], corked: list[list[bytes]], rows: array[int]) -> None:
        """Give back what the kernel did not take: first the bytes, to all; then do what follows: user code."""
        posted = zip(streams, corked, rows[2::4], rows[3::4], strict=True)
        rest = [(stream, pieces, taken) for stream, pieces, size, taken in posted if taken != size]
        for stream, pieces, taken in rest:
            stream._sent_by_pump(stream._outbox.joined(pieces), taken)
        for stream, _, taken in rest:
            stream._after_pump(taken)


def are_large(payloads: list[bytes], streams: int) -> bool:
    """Return True if *payloads*, of so many *streams*, come to ``JOIN_BYTES`` or more for each: more than a few can
    not, since no stream corks more than ``CORK_BYTES``."""
    return len(payloads) <= streams * (CORK_BYTES // JOIN_BYTES) and sum(map(len, payloads)) >= streams * JOIN_BYTES
