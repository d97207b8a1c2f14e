"""What the pump does when a turn takes its time, when a number changes hands, and when C refuses."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from reactor.limits import OUTBOX_SECONDS, OUTBOX_STREAMS, TURN_SECONDS
from reactor.net.pump.choice import with_pump
from reactor.testing import VirtualClock
from tests.net.framed import Frames, echo, heard, pair
from tests.net.pump.test_pump import ON, Teller, has_something, pumped_pair, pytestmark
from tests.net.pump.test_pump_frames import Spy
from tests.net.stage import Stage, stage_on

__all__ = ["pytestmark"]

COUNT = 8


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def stage(clock: VirtualClock, pump_few: int) -> Iterator[Stage]:
    """A stage with a pump, whose clock the callbacks move."""
    with stage_on(with_pump("epoll", ON), clock=clock) as stage:
        yield stage


class Busy:
    """Streams whose protocols take *seconds* for each frame; ``order`` is what was delivered to whom."""

    def __init__(self, stage: Stage, clock: VirtualClock, seconds: float) -> None:
        self.order: list[tuple[int, bytes]] = []
        self.protocols = [Frames() for _ in range(COUNT)]
        self.peers = [pair(stage, protocol) for protocol in self.protocols]

        def react(me: Frames, frame: bytes) -> None:
            self.order.append((self.protocols.index(me), frame))
            me.send_frame(frame)
            clock.advance(seconds)

        for protocol in self.protocols:
            protocol.react = react

    def ask(self, data: bytes = b"\0\1a") -> None:
        for peer in self.peers:
            peer.send(data)

    def close(self) -> None:
        for peer in self.peers:
            peer.close()


def test_the_first_replies_leave_before_the_last_request_is_delivered(stage: Stage) -> None:
    """The outbox is bounded: with many streams in one turn, some are answered in its midst."""
    pairs = [pumped_pair(stage) for _ in range(OUTBOX_STREAMS + 1)]
    answered_before_the_last: list[int] = []

    def answer(teller: Teller) -> None:
        teller.transport.write(b"reply")
        if sum(bool(other.received) for other, _, _ in pairs) == len(pairs):
            answered_before_the_last.append(sum(has_something(peer) for _, _, peer in pairs))

    for teller, _, peer in pairs:
        teller.play.react = answer  # type: ignore[method-assign]
        peer.send(b"request")
    stage.run_once(0)
    assert answered_before_the_last == [OUTBOX_STREAMS]
    for _, _, peer in pairs:
        assert peer.recv(10) == b"reply"
        peer.close()


@pytest.mark.parametrize("data", [b"\0\1a", b"\0\1a\0\1b", b"\0\1a\0"])
def test_a_delivery_that_was_broken_off_goes_on_in_the_next_turn_with_nothing_doubled(
    stage: Stage, clock: VirtualClock, data: bytes
) -> None:
    """Whatever the arrivals were cut into; the others, timers among them, come in between, and all is answered."""
    busy = Busy(stage, clock, TURN_SECONDS / 3)
    ticks: list[int] = []
    busy.ask(data)
    stage.call_later(0, lambda: ticks.append(len(busy.order)))
    stage.run_once(0)
    assert 0 < len(busy.order) < COUNT
    assert stage.next_timeout() == 0, "a host would leave the rest where it is"
    stage.run_once(0)
    assert ticks[0] < COUNT
    if data.endswith(b"\0"):
        busy.ask(b"\1b")  # the other half of what had begun
        data += b"\1b"
    stage.settle(40)
    assert len(set(busy.order)) == len(busy.order)
    assert [heard(peer) for peer in busy.peers] == [data] * COUNT
    busy.close()


def test_who_is_answered_and_asks_again_waits_for_those_who_have_yet_to_be_answered(
    stage: Stage, clock: VirtualClock
) -> None:
    """With a handler so slow that no turn has time for all, everybody is served once in each round.

    Those who ask again were once served from the poller while others still lay in the arena: with 60 clients and
    2 ms each some were served six times as often as others, whose p99 was five rounds.
    """
    busy = Busy(stage, clock, TURN_SECONDS / 3)
    busy.ask()
    for _ in range(60):
        stage.run_once(0)
        for peer in busy.peers:
            if heard(peer):
                peer.send(b"\0\1a")
    served = [sum(number == other for other, _ in busy.order) for number in range(COUNT)]
    assert max(served) - min(served) <= 1, served
    assert min(served) >= 60 // COUNT
    busy.close()


def test_the_first_replies_leave_when_they_have_waited_long_enough(stage: Stage, clock: VirtualClock) -> None:
    """With a handler that takes its time nobody waits for the last client of the turn."""
    busy = Busy(stage, clock, OUTBOX_SECONDS / 2)
    busy.ask()
    answered: list[int] = []
    react = busy.protocols[0].react
    for protocol in busy.protocols:
        protocol.react = lambda me, frame: (
            answered.append(sum(has_something(peer) for peer in busy.peers)), react(me, frame)
        )
    stage.run_once(0)
    assert answered == [0, 0, 2, 2, 4, 4, 6, 6]
    busy.close()


def test_each_stream_sends_by_itself_when_the_call_for_all_refuses(stage: Stage) -> None:
    """-EINVAL: nothing was sent, by its contract; so nothing is lost, doubled, or out of order."""
    pump: Any = stage.registry.poller
    refusals: list[int] = []
    pump._lib = Spy(pump._lib, lambda *args: refusals.append(1) or -errno.EINVAL)
    protocols = [Frames(echo) for _ in range(COUNT)]
    peers = [pair(stage, protocol) for protocol in protocols]
    for number, peer in enumerate(peers):
        peer.send(b"\0\1%d\0\0" % number)
    stage.run_once(0)
    assert refusals
    for number, peer in enumerate(peers):
        assert heard(peer) == b"\0\1%d\0\0" % number
        peer.close()


def test_a_stranger_who_has_a_streams_number_hears_and_says_nothing_there(stage: Stage) -> None:
    """A callback closes the socket of a stream whose bytes have arrived, and of one that has replied, and the
    numbers are taken by other files in the same moment."""
    strangers: list[socket.socket] = []
    others: list[socket.socket] = []

    def steal(me: Frames, frame: bytes) -> None:
        me.send_frame(frame)
        if protocols.index(me) == 3:
            for victim in (protocols[0], protocols[-1]):
                sock = victim.transport.get_extra_info("socket")
                number = sock.fileno()
                near, far = socket.socketpair()
                os.dup2(near.fileno(), sock.detach())
                near.close()
                strangers.append(socket.socket(fileno=number))
                others.append(far)
                far.send(b"not for the stream")

    protocols = [Frames(steal) for _ in range(COUNT)]
    peers = [pair(stage, protocol) for protocol in protocols]
    for number, peer in enumerate(peers):
        peer.send(b"\0\1%d" % number)
    stage.settle(5)
    assert not any(has_something(far) for far in others), "a stranger was sent a reply"
    for stranger in strangers:
        assert stranger.recv(100) == b"not for the stream"
    assert protocols[-1].frames == []
    assert [type(exc) for exc in protocols[-1].end] == [OSError]
    protocols[0].transport.abort()  # nothing comes for it any more, so it has not noticed
    stage.settle()
    assert protocols[0].end == [None]
    assert not any(has_something(far) for far in others)
    for protocol, peer in zip(protocols[1:-1], peers[1:-1], strict=True):
        assert heard(peer) == b"\0\1" + protocol.frames[0]
    for sock in (*strangers, *others, *peers):
        sock.close()
