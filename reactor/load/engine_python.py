"""The engine on the reactor: every system, every poller, and the specification of the one in C.

A protocol for each connection hands what it receives to its judge and sends the next messages: as many as its
window allows in the closed loop, what a timer says is due in the open one.  Replies never wait for sends and sends
never for replies; but no more than ``Watermarks.high`` bytes of a connection wait here, since a server that does
not read must not fill this machine's memory.  Read next: ``engine_native``.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from reactor.errors import DeadlineExceeded
from reactor.flow import Watermarks
from reactor.load.engine import CHUNK, FAREWELL, UNLIMITED
from reactor.load.schedule import Schedule
from reactor.net.protocol import BaseProtocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence
    from typing import Any

    from reactor.core.handles import Timer
    from reactor.load.judge import Judge
    from reactor.load.material import Material
    from reactor.net.reactor import Reactor

#: Unsent bytes of one connection at which it is sent nothing more, and below which it is again.
WATERMARKS = Watermarks(high=1024 * 1024, low=CHUNK, cap=1 << 40)

#: Messages that are sent in one go before replies are looked at.
BURST = 1024

#: Seconds until an open loop that was held looks again.
HELD_DELAY = 0.001

#: Seconds for which datagrams that are too many may still come.
DATAGRAM_FAREWELL = 0.05


class PythonEngine:
    """See ``engine`` for what it owes.  Takes *sockets* over; None stands for a connection that is gone already."""

    __slots__ = (
        "_is_held", "_is_leaving", "_is_started", "_loop", "_owed", "_schedule", "_speakers", "_timer", "_turn",
        "alive", "budget", "material",
    )  # fmt: skip

    name = "python"

    def __init__(
        self, loop: Reactor, material: Material, sockets: Sequence[socket.socket | None], judges: Sequence[Judge]
    ) -> None:
        self.material = material
        self.budget = UNLIMITED
        self.alive = len(sockets) - sockets.count(None)
        self._loop = loop
        self._owed = sum(judge.owed for judge, sock in zip(judges, sockets, strict=True) if sock is not None)
        self._is_started = self._is_leaving = self._is_held = False
        self._schedule: Schedule | None = None
        self._timer: Timer | None = None
        self._turn = 0
        self._speakers = []
        for sock, judge in zip(sockets, judges, strict=True):
            if sock is not None:
                self._speakers.append(self._adopted(sock, judge))

    def _adopted(self, sock: socket.socket, judge: Judge) -> Speaker:
        speaker = Speaker(self, judge)
        if self.material.plan.udp:
            self._loop.adopt_datagram(lambda: speaker, sock, watermarks=WATERMARKS)
        else:
            self._loop.adopt_stream(lambda: speaker, sock, watermarks=WATERMARKS)
        return speaker

    # -- the face ----------------------------------------------------------------------------------------------

    def advance(self, until: int) -> None:
        """Drive until the instant, or until there is nothing to do."""
        if not self._is_started:
            self._is_started = True
            self._start()
        if not self._is_idle():
            timer = self._loop.call_at(until / 1e9, self._loop.stop)
            self._loop.run()
            timer.cancel()

    def give_up(self, before: int) -> None:
        """Cease to wait for what was sent before the instant."""
        for speaker in self._speakers:
            if not speaker.is_gone:
                with_judge = speaker.judge
                settled = with_judge.settled
                with_judge.give_up(before)
                self.settled(speaker, with_judge.settled - settled)

    def owed(self) -> int:
        """Return how many replies are waited for."""
        return self._owed

    def leave(self) -> None:
        """End every connection in an orderly way, judging what still comes."""
        self._is_leaving = True
        is_datagram = self.material.plan.udp
        for speaker in self._speakers:
            if not (is_datagram or speaker.is_gone):
                speaker.transport.write_eof()
        try:
            self._loop.run_until(lambda: not self.alive, DATAGRAM_FAREWELL if is_datagram else FAREWELL)
        except DeadlineExceeded:
            pass
        for speaker in self._speakers:
            if not (speaker.judge.is_clean() or speaker.judge.is_broken):
                self.material.faults.note("unasked", f"connection {speaker.judge.connection}: a piece of a reply")
        self.close()

    def close(self) -> None:
        """Close all sockets at once."""
        self._is_leaving = True
        if self._timer is not None:
            self._timer.cancel()
        for speaker in self._speakers:
            if not speaker.is_gone:
                speaker.transport.abort()
        while self.alive:
            self._loop.run_once(0)

    # -- what speakers tell ------------------------------------------------------------------------------------

    def settled(self, speaker: Speaker, count: int) -> None:
        """*count* messages of *speaker* are settled: send the next ones, or see that nothing is left to do."""
        self._owed -= count
        if speaker.judge.is_broken:
            self._owed -= speaker.judge.owed
            speaker.judge.lose_all("the connection was given up")
            speaker.transport.abort()
        elif self._schedule is None:
            self.refill(speaker)
        elif self._is_held:
            self._send_due()
        if self._is_idle():
            self._loop.stop()

    def ended(self, speaker: Speaker, kind: str, why: str) -> None:
        """A connection is gone."""
        self.alive -= 1
        if not self._is_leaving and not speaker.judge.is_broken:
            self.material.faults.note(kind, f"connection {speaker.judge.connection}: {why}")
            self._owed -= speaker.judge.owed
            speaker.judge.lose_all(why)
        if self._is_idle() and self._loop.is_running():
            self._loop.stop()

    def refill(self, speaker: Speaker) -> None:
        """Closed loop: send *speaker*'s next messages, as many as its window allows."""
        window = self.material.window
        while self.budget and speaker.has_room(window):
            now = time.monotonic_ns()
            batch, size = [], 0
            while self.budget and size < CHUNK and speaker.judge.has_room(window):
                batch.append(self._next_of(speaker, now, now))
                size += len(batch[-1])
                if self.material.plan.udp:
                    break
            speaker.send(batch)

    # -- sending -----------------------------------------------------------------------------------------------

    def _is_idle(self) -> bool:
        return not self.alive or not (self.budget or self._owed)

    def _start(self) -> None:
        if self.material.gaps is None:
            for speaker in self._speakers:
                self.refill(speaker)
        else:
            self._schedule = Schedule(self.material.gaps, time.monotonic_ns())
            self._send_due()

    def _next_of(self, speaker: Speaker, due: int, now: int) -> bytes:
        """Return the next message of *speaker* as it is sent, and note that it is."""
        judge, meter = speaker.judge, self.material.meter
        number = judge.queued
        judge.queued += 1
        self.budget -= 1
        self._owed += 1
        self.material.starts.note(judge.connection, number, due, now)
        meter.sent(due, now)
        meter.messages_out += 1
        meter.bytes_out += self.material.messages.size(judge.connection, number)
        return self.material.wire(judge.connection, number)

    def _send_due(self) -> None:
        """Open loop: send what is due, and be woken when the next message is."""
        schedule = self._schedule
        assert schedule is not None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = time.monotonic_ns()
        batches: dict[Speaker, list[bytes]] = {}
        self._is_held = False
        for _ in range(BURST):
            if not self.budget or schedule.due > now or self._is_held:
                break
            speaker = self._next_speaker()
            if speaker is None:
                self._is_held = True
                self.material.meter.held += 1
            else:
                batches.setdefault(speaker, []).append(self._next_of(speaker, int(schedule.due), now))
                schedule.advance()
        for speaker, batch in batches.items():
            speaker.send(batch)
        if self.budget:
            when = now / 1e9 + HELD_DELAY if self._is_held else schedule.due / 1e9
            self._timer = self._loop.call_at(when, self._send_due)

    def _next_speaker(self) -> Speaker | None:
        """Return whose turn it is among those that have room, None if nobody has."""
        window, count = self.material.window, len(self._speakers)
        for _ in range(count):
            speaker = self._speakers[self._turn]
            self._turn = (self._turn + 1) % count
            if speaker.has_room(window):
                return speaker
        return None


class Speaker(BaseProtocol):
    """One connection: stream and datagram protocol in one."""

    __slots__ = ("_engine", "_is_datagram", "_is_paused", "is_gone", "judge")

    def __init__(self, engine: PythonEngine, judge: Judge) -> None:
        self._engine = engine
        self._is_datagram = engine.material.plan.udp
        self._is_paused = False
        self.is_gone = False
        self.judge = judge

    def has_room(self, window: int) -> bool:
        """Return True if it may be sent another message."""
        return not (self._is_paused or self.is_gone) and self.judge.has_room(window)

    def send(self, batch: list[bytes]) -> None:
        """Send messages, which are as they go over the wire."""
        if self._is_datagram:
            for message in batch:
                self.transport.sendto(message)
        else:
            self.transport.write(b"".join(batch))

    # -- what the transport tells ------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Have it judged."""
        settled = self.judge.settled
        self.judge.feed(data, time.monotonic_ns())
        self._engine.settled(self, self.judge.settled - settled)

    def datagram_received(self, data: bytes, address: Any) -> None:
        """Have it judged."""
        settled = self.judge.settled
        self.judge.feed_datagram(data, time.monotonic_ns())
        self._engine.settled(self, self.judge.settled - settled)

    def eof_received(self) -> None:
        """The server ends the connection; so does this side."""

    def error_received(self, exc: OSError) -> None:
        """A datagram could not be delivered: nobody listens there any more."""
        self._end("refused", str(exc))
        self.transport.abort()

    def pause_writing(self) -> None:
        """The server does not read."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """It does again."""
        self._is_paused = False
        self._engine.settled(self, 0)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The end."""
        self._end("hung_up", str(exc or "the server ended it"))

    def _end(self, kind: str, why: str) -> None:
        if not self.is_gone:
            self.is_gone = True
            self._engine.ended(self, kind, why)
