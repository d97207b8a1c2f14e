"""The engine in C: one call for each slice of time, and the judges for whatever is not as it should be.

**The idea.**  A well-behaved server gives C nothing to decide, so C never leaves its loop but to let Python breathe
(signals, progress).  The first byte that is not the expected one ends the slice: the peer becomes a *suspect*, its
judge is told where the peer stands and what came, and says what that is.  While a suspect is unclear, C goes on to
send on it and brings every chunk here; once its judge is clean again, it is C's.  So both engines have one
specification, and C has no rare paths.  The C is a module of its own, which nobody else loads: a server does not
map what only measures it.

**The invariant**: the judge of a suspect is up to date; that of any other peer is only when ``_taken`` has brought
it there.  Read next: ``_accel/drive.h``.
"""

from __future__ import annotations

import errno
import os
import select
import time
from typing import TYPE_CHECKING, Any

from reactor.errors import AccelUnavailable
from reactor.framing.scanner import reason_for
from reactor.load.engine import CHUNK, UNLIMITED
from reactor.load.engine_python import PythonEngine

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from reactor.load.buckets import Record
    from reactor.load.judge import Judge
    from reactor.load.material import Material
    from reactor.net.reactor import Reactor

#: Nanoseconds of one call into C: how long an interrupt may have to wait.
SLICE = 100_000_000

#: The declarations that this file was written for, see ``_accel/build.py``.
INTERFACE = 1

#: Values of ``_accel/drive.h``.
TIME, IDLE, STRANGE, ENDED, FAILED = range(5)
CLEAN, SUSPECT, GONE = range(3)
FRAMINGS = {"raw": 0, "line": 1, "framed": 2}


def native_problem() -> str | None:
    """Return why this engine cannot be used here, None if it can."""
    try:
        from reactor.load._drive import lib
    except ImportError as exc:
        return reason_for(exc)
    built = lib.REACTOR_DRIVE_INTERFACE
    if built != INTERFACE:
        return f"reactor.load._drive was built for interface {built}, this version needs {INTERFACE}: build it anew"
    return None if lib.DRIVE_WORKS else "the native engine needs epoll, which this system does not have"


class NativeEngine:
    """See ``engine`` for what it owes.  Takes *sockets* over.  Raises AccelUnavailable, OSError."""

    __slots__ = (
        "_epoll", "_ffi", "_is_started", "_judges", "_kept", "_lib", "_loop", "_peers", "_records", "_sockets",
        "_state", "_suspects", "alive", "material",
    )  # fmt: skip

    name = "native"

    def __init__(
        self, loop: Reactor, material: Material, sockets: Sequence[socket.socket], judges: Sequence[Judge]
    ) -> None:
        problem = native_problem()
        if problem is not None:
            raise AccelUnavailable(f"engine='native' was demanded, but {problem}")
        from reactor.load._drive import ffi, lib

        self._ffi, self._lib = ffi, lib
        self._loop = loop
        self.material = material
        self.alive = len(sockets)
        self._sockets: list[socket.socket | None] = list(sockets)
        self._judges = list(judges)
        self._suspects: set[int] = set()
        self._is_started = False
        self._epoll = select.epoll()
        self._state = ffi.new("drive *")
        #: What C points to, to be kept alive as long as it does.
        self._kept: list[Any] = []
        self._records: list[tuple[Any, Record]] = []
        self._set_up()

    # -- setting up --------------------------------------------------------------------------------------------

    def _set_up(self) -> None:
        material, state, lent = self.material, self._state, self._lent
        state.pool = lent("char[]", material.messages.pool)
        state.replies = lent("char[]", material.messages.replies)
        state.pool_size = len(material.messages.pool)
        state.sizes = lent("uint32_t[]", material.messages.sizes)
        state.largest = material.messages.largest
        state.framing = FRAMINGS[material.plan.mode]
        state.datagrams = material.plan.udp
        state.starts = lent("int64_t[]", material.starts.times)
        state.ring = material.starts.ring
        state.window = material.window
        state.budget = UNLIMITED
        if material.gaps is not None:
            state.gaps = lent("double[]", material.gaps)
        state.in_room = state.out_room = CHUNK
        state.inbox, state.outbox = lent("char[]", bytearray(CHUNK)), lent("char[]", bytearray(CHUNK))
        meter = material.meter
        for name, record in (("latency", meter.latency), ("service", meter.service), ("lateness", meter.lateness)):
            self._set_up_record(getattr(state, name), record)
        self._set_up_peers()

    def _set_up_record(self, counted: Any, record: Record) -> None:
        counted.counts = self._lent("uint64_t[]", record.counts)
        counted.least = record.NOTHING
        self._records.append((counted, record))

    def _set_up_peers(self) -> None:
        state = self._state
        self._peers = state.peers = self._ffi.new("drive_peer[]", len(self._sockets))
        state.peer_count = len(self._sockets)
        state.epoll_fd = self._epoll.fileno()
        for number, sock in enumerate(self._sockets):
            assert sock is not None
            self._peers[number].fd = sock.fileno()
            problem = self._lib.drive_watch(state, number)
            if problem:
                raise OSError(problem, os.strerror(problem))
        if not self._lib.drive_is_sound(state):
            raise SystemError("drive_is_sound refused the tables of a run: this is a bug of reactor")

    def _lent(self, kind: str, memory: Any) -> Any:
        pointer = self._ffi.from_buffer(kind, memory)
        self._kept.append(pointer)
        return pointer

    # -- the face ----------------------------------------------------------------------------------------------

    @property
    def budget(self) -> int:
        """How many messages may still be sent."""
        return int(self._state.budget)

    @budget.setter
    def budget(self, count: int) -> None:
        self._state.budget = count

    def advance(self, until: int) -> None:
        """Drive until the instant, or until there is nothing to do."""
        state = self._state
        state.record_from = self.material.meter.record_from
        if not self._is_started:
            self._is_started = True
            state.due = float(time.monotonic_ns())
        try:
            while self.alive:
                end = min(until, time.monotonic_ns() + SLICE)
                why = self._lib.drive_slice(state, end)
                if why == IDLE or (why == TIME and end == until):
                    return
                self._answer(why)
        finally:
            self._collect()

    def give_up(self, before: int) -> None:
        """Cease to wait for what was sent before the instant."""
        number = self._lib.drive_overdue(self._state, 0, before)
        while number < len(self._sockets):
            judge = self._taken(number)
            judge.give_up(before)
            self._given_back(number)
            number = self._lib.drive_overdue(self._state, number + 1, before)

    def owed(self) -> int:
        """Return how many replies are waited for."""
        return sum(peer.queued - peer.settled for peer in self._peers if peer.state != GONE)

    def leave(self) -> None:
        """End every connection in an orderly way: on the reactor, with the same judges."""
        for number, sock in enumerate(self._sockets):
            if sock is not None:
                self._taken(number)
        sockets, self._sockets = self._sockets, []
        self._epoll.close()
        PythonEngine(self._loop, self.material, sockets, self._judges).leave()

    def close(self) -> None:
        """Close all sockets at once."""
        self._epoll.close()
        for sock in self._sockets:
            if sock is not None:
                sock.close()
        self._sockets = []

    # -- what C tells ------------------------------------------------------------------------------------------

    def _answer(self, why: int) -> None:
        number = self._state.peer
        if why == STRANGE:
            self._judge_strange(number)
        elif why == ENDED:
            self._end(number)
        elif why == FAILED:
            raise OSError(self._state.error, os.strerror(self._state.error))

    def _judge_strange(self, number: int) -> None:
        state = self._state
        # What comes before was as it should be, and is counted already.
        data = bytes(self._ffi.buffer(state.inbox + state.in_at, state.in_size))
        judge = self._taken(number)
        if self.material.plan.udp:
            judge.feed_datagram(data, time.monotonic_ns())
        else:
            judge.feed(data, time.monotonic_ns())
        self._given_back(number)

    def _taken(self, number: int) -> Judge:
        """Return the judge of a peer, brought to where C has got with it."""
        peer, judge = self._peers[number], self._judges[number]
        judge.queued = peer.queued
        if number not in self._suspects:
            judge.expected, judge.settled = peer.expected, peer.settled
            if peer.expected_offset:
                begun = self.material.reply_wire(number, judge.expected)[: peer.expected_offset]
                peer.expected_offset = 0
                judge.feed(begun, time.monotonic_ns())
            self._suspects.add(number)
        return judge

    def _given_back(self, number: int) -> None:
        """Tell C where the judge has got, and whether the peer is its own again."""
        peer, judge = self._peers[number], self._judges[number]
        if judge.is_broken:
            judge.lose_all("the connection was given up")
            self._drop(number)
            return
        peer.expected, peer.settled = judge.expected, judge.settled
        peer.state = SUSPECT
        if judge.is_clean():
            peer.state = CLEAN
            self._suspects.discard(number)

    def _end(self, number: int) -> None:
        error = self._state.error
        judge = self._taken(number)
        why = os.strerror(error) if error else "the server ended it"
        is_refusal = self.material.plan.udp and error == errno.ECONNREFUSED
        self.material.faults.note("refused" if is_refusal else "hung_up", f"connection {number}: {why}")
        judge.lose_all(why)
        self._drop(number)

    def _drop(self, number: int) -> None:
        sock, self._sockets[number] = self._sockets[number], None
        self._peers[number].state = GONE
        self.alive -= 1
        if sock is not None:
            sock.close()

    def _collect(self) -> None:
        """Take over what C has counted, and let it count from nothing."""
        state, meter = self._state, self.material.meter
        meter.messages_out += state.messages_out
        meter.messages_in += state.messages_in
        meter.bytes_out += state.bytes_out
        meter.bytes_in += state.bytes_in
        meter.held += state.held
        state.messages_out = state.messages_in = state.bytes_out = state.bytes_in = state.held = 0
        for counted, record in self._records:
            record.absorb(counted.count, counted.sum, counted.least, counted.most)
            counted.count = counted.sum = counted.most = 0
            counted.least = record.NOTHING
