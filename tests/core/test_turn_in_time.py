"""A turn has its time: what takes longer is broken off, and nothing is lost, doubled or passed over for that.

The clock is one that callbacks move, so every order below is the only possible one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from selectors import EVENT_READ
from typing import Any

import pytest

from reactor.limits import TURN_BATCH, TURN_SECONDS
from reactor.testing import ScriptedSocket
from tests.core.doubles import Virtual, fail, interrupt, turns, virtual_loop

#: How many callbacks there are, and how long each takes: two looks at the clock, and the turn is over.
COUNT = 5 * TURN_BATCH
SLOW = TURN_SECONDS / (2 * TURN_BATCH)
SHARE = 2 * TURN_BATCH


@pytest.fixture
def virtual() -> Iterator[Virtual]:
    """A loop in virtual time."""
    with virtual_loop() as made:
        yield made


class Crowd:
    """Callbacks that take their time, and note what happened in ``steps``; ``deeds`` are what some do besides."""

    def __init__(self, virtual: Virtual) -> None:
        self.virtual = virtual
        self.steps: list[Any] = []
        self.deeds: dict[int, Callable[[], object]] = {}
        self.socks: list[ScriptedSocket] = []

    def step(self, number: int) -> None:
        self.steps.append(number)
        self.virtual.clock.advance(SLOW)
        self.deeds.get(number, lambda: None)()

    def called(self) -> None:
        """Have all called soon."""
        for number in range(COUNT):
            self.virtual.loop.call_soon(self.step, number)

    def ready(self) -> None:
        """Have all be readers of sockets that become ready in one turn, and stay ready until they were read."""
        for number in range(COUNT):
            sock = ScriptedSocket()
            self.socks.append(sock)
            self.virtual.loop.add_reader(sock, self.read, number)
            self.virtual.poller.hold(sock, EVENT_READ)

    def read(self, number: int) -> None:
        self.virtual.poller.release(self.socks[number].fileno())
        self.step(number)


@pytest.fixture(params=["called", "ready"])
def crowd(virtual: Virtual, request: pytest.FixtureRequest) -> Crowd:
    """A crowd that has something to do, in one of the two steps of a turn that are bounded."""
    made = Crowd(virtual)
    getattr(made, request.param)()
    return made


def test_a_turn_that_takes_too_long_is_broken_off_and_goes_on_in_the_next(virtual: Virtual, crowd: Crowd) -> None:
    """In the same order, each once; the turns that follow do not wait."""
    for turn in range(1, 4):
        virtual.loop.run_once()
        assert crowd.steps == list(range(min(turn * SHARE, COUNT)))
    assert not any(virtual.poller.waits[1:])
    turns(virtual.loop, 2)
    assert crowd.steps == list(range(COUNT))


def test_a_turn_is_not_broken_off_when_its_callbacks_are_quick(virtual: Virtual) -> None:
    """However many they are."""
    steps: list[int] = []
    for number in range(10_000):
        virtual.loop.call_soon(steps.append, number)
    virtual.loop.run_once()
    assert len(steps) == 10_000


def test_timers_and_calls_from_threads_come_in_between_when_a_turn_is_broken_off(
    virtual: Virtual, crowd: Crowd
) -> None:
    """Everybody else waits for one share of it at most, not for all of it; and no bell is unheard."""

    def ask() -> None:
        virtual.loop.call_later(0, crowd.steps.append, "timer")
        virtual.loop.call_soon_threadsafe(crowd.steps.append, "thread")
        virtual.loop.add_signal_handler(10, crowd.steps.append, "signal")
        virtual.ops.deliver(10)

    crowd.deeds[0] = ask
    turns(virtual.loop, 5)
    numbers = [step for step in crowd.steps if isinstance(step, int)]
    assert numbers == list(range(COUNT))
    words = [step for step in crowd.steps if isinstance(step, str)]
    assert sorted(words) == ["signal", "thread", "timer"]
    if crowd.socks:  # these are a step of their own, behind which the others come
        assert max(map(crowd.steps.index, words)) <= 2 * SHARE + len(words)


def test_a_timer_waits_for_one_share_only_when_descriptors_take_too_long(virtual: Virtual) -> None:
    """Each step is bounded by itself: none starves another."""
    crowd = Crowd(virtual)
    crowd.ready()
    virtual.loop.call_later(0, crowd.steps.append, "timer")
    turns(virtual.loop)
    assert crowd.steps == [*range(SHARE), "timer"]


def test_descriptors_are_heard_when_what_was_called_soon_takes_too_long(virtual: Virtual) -> None:
    """In each turn, between two shares."""
    crowd = Crowd(virtual)
    crowd.called()
    sock = ScriptedSocket()
    virtual.loop.add_reader(sock, crowd.steps.append, "reader")
    virtual.poller.hold(sock, EVENT_READ)
    turns(virtual.loop, 3)
    assert [at for at, step in enumerate(crowd.steps) if step == "reader"] == [SHARE, 2 * SHARE + 1, COUNT + 2]


def test_nobody_else_is_looked_for_before_those_who_were_ready_are_served(virtual: Virtual) -> None:
    """A descriptor that is ready again at once has its next turn behind all who waited: a round."""
    crowd = Crowd(virtual)
    crowd.ready()
    virtual.poller.hold(crowd.socks[0], EVENT_READ)
    crowd.deeds[0] = lambda: virtual.poller.hold(crowd.socks[0], EVENT_READ)
    turns(virtual.loop, 4)
    assert crowd.steps[: COUNT + 1] == [*range(COUNT), 0]


@pytest.mark.parametrize("replaced", [False, True])
def test_a_callback_that_was_removed_meanwhile_does_not_run_when_the_turn_goes_on(
    virtual: Virtual, crowd: Crowd, replaced: bool
) -> None:
    """Neither in the turn in which that happened nor in those that follow; what replaced it hears of its own
    readiness only."""
    handles = list(virtual.loop.engine.ready)
    victims = (SHARE - 1, SHARE, COUNT - 1)

    def remove() -> None:
        for victim in victims:
            if not crowd.socks:
                handles[victim].cancel()
                continue
            sock = crowd.socks[victim]
            virtual.poller.release(sock.fileno())
            virtual.loop.remove_reader(sock)
            if replaced:
                virtual.loop.add_reader(sock, crowd.steps.append, "a stranger's readiness")

    crowd.deeds[1] = remove
    turns(virtual.loop, 5)
    assert crowd.steps == [number for number in range(COUNT) if number not in victims]


def test_a_callback_that_was_removed_between_two_turns_does_not_run(virtual: Virtual) -> None:
    """A program that hosts the loop may do that too, and give the number to another file."""
    crowd = Crowd(virtual)
    crowd.ready()
    turns(virtual.loop)
    last = crowd.socks[-1]
    virtual.loop.remove_reader(last)
    virtual.poller.release(last.fileno())
    reborn = ScriptedSocket()
    reborn._fd = last.detach()
    virtual.loop.add_reader(reborn, crowd.steps.append, "new file")
    turns(virtual.loop, 4)
    assert crowd.steps == list(range(COUNT - 1))


@pytest.mark.parametrize("victim", [0, TURN_BATCH - 1, TURN_BATCH, SHARE - 1, SHARE, COUNT - 1])
def test_nothing_is_lost_at_an_interruption(virtual: Virtual, crowd: Crowd, victim: int) -> None:
    """Ctrl-C in any callback: it alone is not called again, and all others are, once."""
    crowd.deeds[victim] = interrupt
    with pytest.raises(KeyboardInterrupt):
        turns(virtual.loop, 4)
    turns(virtual.loop, 5)
    assert sorted(crowd.steps) == list(range(COUNT))
    assert virtual.loop.next_timeout() is None


def test_the_share_goes_on_when_a_callback_raises(virtual: Virtual, crowd: Crowd) -> None:
    """Reported; the others are called in order all the same, each once."""
    for victim in (0, TURN_BATCH, SHARE - 1, SHARE, COUNT - 1):
        crowd.deeds[victim] = fail
    turns(virtual.loop, 5)
    assert crowd.steps == list(range(COUNT))
    assert virtual.failures.types() == [RuntimeError] * 5
    virtual.failures.clear()


def test_a_host_is_told_that_a_turn_was_broken_off(virtual: Virtual, crowd: Crowd) -> None:
    """Nothing will make the descriptor ready for it, so the next turn is due at once."""
    turns(virtual.loop)
    assert len(crowd.steps) == SHARE
    assert virtual.loop.next_timeout() == 0
    turns(virtual.loop, 4)
    assert virtual.loop.next_timeout() is None


def test_a_loop_that_is_stopped_keeps_what_is_left_for_the_next_run(virtual: Virtual, crowd: Crowd) -> None:
    """``stop`` ends the turn under way as ever, and no call is lost."""
    crowd.deeds[3] = virtual.loop.stop
    virtual.loop.run()
    assert len(crowd.steps) < COUNT
    virtual.loop.call_later(1, virtual.loop.stop)
    virtual.loop.run()
    assert crowd.steps == list(range(COUNT))
