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
whichever
  is first.  More than ``CORK_BYTES`` do not wait: the stream sends them itself.

It needs epoll and the compiled module; everywhere else the same streams run on the plain path, which is also the
specification of this one: the tests put both through the same scripts.  Read next: ``stream``.
"""

from __future__ import annotations

import math
import os
from array import array
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector, SelectorKey

from reactor.core.polling.by_epoll import EPOLLIN, EPOLLOUT, EpollPoller
from reactor.core.polling.choose import poller_choice
from reactor.core.polling.contract import bounded
from reactor.core.registry import Registration
from reactor.errors import AccelUnavailable, OptionError
from reactor.framing.scanner import native_backend, reason_for, wanted
from reactor.limits import ARENA_BYTES, OUTBOX_STREAMS, SCRATCH_BYTES

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, Protocol

    from reactor.net.outgoing import Buffer

    class Pumped(Protocol):
        """What the pump knows of a stream."""

        def on_arrival(self, arena: memoryview, start: int, size: int) -> bool: ...
        def take_outgoing(self) -> Buffer | None: ...
        def take_back(self, data: Buffer, sent: int) -> None: ...
        def after_sending(self, sent: int) -> None: ...
        def forget_outgoing(self) -> None: ...


class Pump(EpollPoller):
    """A poller on epoll(7) that receives and sends.  Raises ImportError if the compiled module cannot do it."""

    __slots__ = (
        "_arena", "_arrivals", "_arrived", "_bell", "_from_buffer", "_lib", "_marks", "_passed_over", "_place",
        "_readiness", "_refs", "_streams", "outbox",
    )  # fmt: skip

    def __init__(self) -> None:
        native_backend()  # which finds out whether the module fits
        from reactor._accel import ffi, lib

        if not lib.PUMP_WORKS:
            raise ImportError("the pump needs epoll")
        super().__init__()
        self._lib = lib
        self._from_buffer = ffi.from_buffer
        room = bytearray(ARENA_BYTES)
        arrivals, readiness = array("q", bytes(8 * 3 * lib.PUMP_EVENTS)), array("q", bytes(8 * 2 * lib.PUMP_EVENTS))
        self._arena, self._arrivals, self._readiness = memoryview(room), memoryview(arrivals), memoryview(readiness)
        self._place = ffi.new("pump_place *")
        self._place.room, self._place.share = ARENA_BYTES, SCRATCH_BYTES
        #: What the C structure points to, kept alive here: memory of C's does not hold references.
        self._refs = [
            ffi.from_buffer("char[]", room),
            ffi.from_buffer("int64_t[]", arrivals),
            ffi.from_buffer("int64_t[]", readiness),
        ]
        self._place.arena, self._place.arrivals, self._place.readiness = self._refs
        self._marks = bytearray()
        self._streams: dict[int, Pumped] = {}
        #: Of these, the ones that receive by themselves for the time being.
        self._passed_over: set[int] = set()
        #: Arrivals of this turn that have yet to be delivered: descriptor, start, size.
        self._arrived: Iterator[tuple[int, int, int]] | None = None
        self.outbox: list[tuple[int, Pumped]] = []
        ringer = Registration()
        ringer.reader = self._deliver
        #: Stands for all arrivals in the list of what is ready, as if it were one descriptor.
        self._bell = (SelectorKey(self, -1, EVENT_READ, ringer), EVENT_READ)

    # -- which streams are pumped ------------------------------------------------------------------------------

    def admit(self, fd: int, stream: Pumped) -> None:
        """Receive for *stream* from now on, whenever its descriptor *fd* is watched for reading."""
        self._streams[fd] = stream
        self._passed_over.discard(fd)
        if fd >= len(self._marks):
            self._grow(fd)
        self._mark(fd)

    def pass_over(self, fd: int, stream: Pumped) -> None:
        """Only tell that *fd* is ready, until ``admit``; what has arrived already is still delivered."""
        self.admit(fd, stream)
        self._passed_over.add(fd)
        self._marks[fd] = 0

    def dismiss(self, fd: int) -> None:
        """Forget the stream of *fd*, which has ended, and what has arrived for it."""
        if self._streams.pop(fd, None) is not None:
            self._passed_over.discard(fd)
            self._marks[fd] = 0

    def _mark(self, fd: int) -> None:
        """Have *fd* received from exactly if it is watched for reading and not passed over."""
        if fd in self._streams:
            key = self._keys.get(fd)
            is_read = key is not None and key.events & EVENT_READ
            self._marks[fd] = bool(is_read and fd not in self._passed_over)

    def _grow(self, fd: int) -> None:
        self._marks = self._marks + bytes(fd + 1024 - len(self._marks))
        pointer = self._from_buffer("unsigned char[]", self._marks)
        self._refs[3:] = [pointer]
        self._place.pumped, self._place.known = pointer, len(self._marks)

    def register(self, fileobj: Any, events: int, data: Any = None) -> SelectorKey:
        """Watch *fileobj*; see ``Poller.register``."""
        key = super().register(fileobj, events, data)
        self._mark(key.fd)
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> SelectorKey:
        """Watch *fileobj* for other events; see ``Poller.modify``."""
        key = super().modify(fileobj, events, data)
        self._mark(key.fd)
        return key

    def unregister(self, fileobj: Any) -> SelectorKey:
        """Watch *fileobj* no more; see ``Poller.unregister``."""
        key = super().unregister(fileobj)
        self._mark(key.fd)
        return key

    def drop(self) -> None:
        """Let go of the epoll set and of what this turn still had to do: in a forked child that is the parent's."""
        super().drop()
        for _ in self._arrived or ():
            pass
        for _, stream in self.outbox:
            stream.forget_outgoing()
        self.outbox.clear()

    # -- receiving ---------------------------------------------------------------------------------------------

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """Wait at most *timeout* seconds and return ``(key, events)`` for all that is ready; one more, if anything
        arrived for pumped streams, whose reader delivers it."""
        if self._arrived is not None:
            return [self._bell]  # a turn was broken off in their midst, and the arena is still theirs
        wait = bounded(timeout)
        place = self._place
        failure = self._lib.pump_wait(self._epoll.fileno(), -1 if wait is None else math.ceil(wait * 1000), place)
        if failure:
            raise OSError(-failure, os.strerror(-failure))
        ready = []
        count = place.arrival_count
        if count:
            numbers = iter(self._arrivals[: 3 * count].tolist())
            self._arrived = zip(numbers, numbers, numbers, strict=True)
            ready.append(self._bell)  # first: a stream reads before it writes, as on the plain path
        count = place.readiness_count
        if count:
            known = self._keys.get
            numbers = iter(self._readiness[: 2 * count].tolist())
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
        arrived = self._arrived
        if arrived is not None:
            arena = self._arena
            stream_of = self._streams.get
            for fd, start, size in arrived:
                stream = stream_of(fd)
                if stream is not None and stream.on_arrival(arena, start, size):
                    self.outbox.append((fd, stream))
                    if len(self.outbox) >= OUTBOX_STREAMS:
                        self.send_all()
            self._arrived = None
            self.send_all()

    # -- sending -----------------------------------------------------------------------------------------------

    def post(self, fd: int, stream: Pumped, call_at_turn_end: Callable[[Callable[[], object]], object]) -> None:
        """Send what *stream* has corked at the end of this turn, or along with what has arrived for others."""
        self.outbox.append((fd, stream))
        call_at_turn_end(self.send_all)

    def send_all(self) -> None:
        """Send what the streams in the outbox have corked, in one call, and tell each how much of it went."""
        if not self.outbox:
            return
        posted, self.outbox = self.outbox, []
        streams: list[Pumped] = []
        pieces: list[Buffer] = []
        jobs: list[int] = []
        for fd, stream in posted:
            data = stream.take_outgoing()
            if data is not None:
                streams.append(stream)
                pieces.append(data)
                jobs += (fd, len(data))
        if not streams:
            return
        table = array("q", jobs)
        joined = b"".join(pieces)
        pointer: Any = self._from_buffer("int64_t[]", table)
        short = self._lib.pump_send(pointer, len(streams), joined, len(joined))
        assert short >= 0, "the jobs do not add up"
        if short:
            self._take_back(streams, pieces, table[1::2])

    def _take_back(self, streams: list[Pumped], pieces: list[Buffer], sizes: array[int]) -> None:
        """Give back what the kernel did not take: first the bytes, to all; then do what follows: user code."""
        rest = [row for row in zip(streams, pieces, sizes, strict=True) if row[2] != len(row[1])]
        for stream, data, sent in rest:
            stream.take_back(data, sent)
        for stream, _, sent in rest:
            stream.after_sending(sent)


# -- whether there is one --------------------------------------------------------------------------------------

#: The environment variable that decides: "on" (or an error), "off", or "auto": if it can be had.
VARIABLE = "REACTOR_PUMP"
CHOICES = ("auto", "on", "off")


def with_pump(selector: str | BaseSelector | None, environ: Mapping[str, str]) -> str | BaseSelector | None:
    """Return a pump in the place of *selector* if that comes to epoll and a pump is to be had; else *selector*.

    ``REACTOR_ACCEL=pure`` means: nothing compiled, and so no pump.  Raises AccelUnavailable if the environment
    demands a pump and there is none, OptionError for an unknown word.
    """
    choice = wanted_pump(environ)
    if isinstance(selector, BaseSelector) or poller_choice(selector, environ) != EpollPoller.name:
        return selector
    if choice == "off" or (choice == "auto" and wanted(None) == "pure"):
        return selector
    try:
        return Pump()
    except ImportError as exc:
        if choice == "on":
            raise AccelUnavailable(f"{VARIABLE}=on was demanded, but {reason_for(exc)}") from exc
        return selector


def wanted_pump(environ: Mapping[str, str]) -> str:
    """Return the word that counts; OptionError if it is none of ``CHOICES``."""
    choice = environ.get(VARIABLE) or "auto"
    if choice not in CHOICES:
        raise OptionError(f"{VARIABLE} is one of {', '.join(CHOICES)}, not {choice!r}")
    return choice


def pump_status(environ: Mapping[str, str]) -> tuple[str, str]:
    """Return "on" or "off" for a reactor made now without arguments, and why, for a human."""
    choice = wanted_pump(environ)
    if poller_choice(None, environ) != EpollPoller.name:
        return "off", f"it needs epoll, and the poller is {poller_choice(None, environ)}"
    if choice == "off":
        return "off", f"chosen by {VARIABLE}=off"
    if choice == "auto" and wanted(None) == "pure":
        return "off", "REACTOR_ACCEL=pure: nothing compiled"
    try:
        native_backend()
    except ImportError as exc:
        return "off", reason_for(exc)
    return "on", "the compiled module is loaded" + (f" ({VARIABLE}=on)" if choice == "on" else " (automatic)")
