"""Timers that come early, storms of them, signals in the middle of a wait, and Ctrl-C."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from types import FrameType

import pytest

from reactor.limits import TIMER_SWEEP_MIN
from tests.core.doubles import Virtual, interrupt, real_loop, signalled, socket_pair, turns, virtual_loop


@pytest.fixture
def virtual() -> Iterator[Virtual]:
    """A loop in virtual time."""
    with virtual_loop() as made:
        yield made


@pytest.mark.parametrize("delay", [0.0004, 0.0021])
def test_a_real_timer_is_never_early(poller_name: str, delay: float) -> None:
    """poll() and epoll_wait() count milliseconds; rounded down, the loop would spin through the last one.

    The turns are counted: one that waits, one that finds the timer due, and one for each wait that the system
    itself cut short by less than a microsecond (select).
    """
    with real_loop(poller_name) as (loop, failures):
        for _ in range(5):
            fired: list[float] = []
            before = loop.registry.turn
            when = time.monotonic() + delay
            loop.call_at(when, lambda fired=fired: fired.append(time.monotonic()))
            loop.run_until(lambda fired=fired: fired)
            assert fired[0] >= when
            assert loop.registry.turn - before <= 5
    assert not failures


def test_a_storm_of_timers_runs_in_order_and_in_one_turn(virtual: Virtual) -> None:
    """Ten thousand timers for a hundred instants: in order of instant, and of making."""
    fired: list[tuple[int, int]] = []
    for number in range(10_000):
        virtual.loop.call_at(2000 + number % 100, fired.append, (number % 100, number))
    virtual.clock.advance_to(3000)
    turns(virtual.loop)
    assert fired == sorted(fired)
    assert len(fired) == 10_000


def test_a_timer_that_arms_itself_for_now_does_not_stop_the_loop(virtual: Virtual) -> None:
    """A delay of zero is "in the next turn", forever, and the descriptors have their turn in between."""
    counts = [0, 0]

    def again() -> None:
        counts[0] += 1
        virtual.loop.call_later(0, again)

    with socket_pair() as (left, _):
        virtual.loop.add_reader(left, lambda: counts.__setitem__(1, counts[1] + 1))
        virtual.poller.hold(left)
        again()
        turns(virtual.loop, 10)
        virtual.loop.remove_reader(left)
    assert counts == [11, 10]


@pytest.mark.slow
def test_a_million_cancelled_timeouts_leave_no_trace(virtual: Virtual) -> None:
    """The same as in the queue's own test, through the loop's face: memory is bounded by what is alive."""
    for _ in range(1_000_000):
        virtual.loop.call_later(30, print).cancel()
    assert len(virtual.loop.engine.timers.heap) <= TIMER_SWEEP_MIN + 1
    assert virtual.loop.next_timeout() is None


def test_one_beat_runs_after_a_pause_of_an_hour(virtual: Virtual) -> None:
    """A laptop that slept, a debugger that held the process: the beat goes on, without a burst."""
    beats: list[float] = []
    virtual.loop.call_every(10, lambda: beats.append(virtual.clock.now))
    virtual.clock.advance(3605)
    turns(virtual.loop, 3)
    assert beats == [4605]
    virtual.loop.run_until(lambda: len(beats) == 3)
    assert beats == [4605, 4610, 4620]


def test_a_beat_ends_when_it_cancels_itself(virtual: Virtual) -> None:
    """From inside its own callback."""
    beats: list[int] = []
    timer = virtual.loop.call_every(1, lambda: (beats.append(1), len(beats) == 3 and timer.cancel()))
    for _ in range(10):
        virtual.clock.advance(1)
        turns(virtual.loop)
    assert len(beats) == 3


@pytest.mark.parametrize("handled", [False, True], ids=["foreign handler", "our handler"])
def test_a_signal_in_the_middle_of_a_wait_breaks_nothing(poller_name: str, handled: bool) -> None:
    """EINTR: the wait goes on for what is left of it; the signal's callback, if it is ours, runs at once."""
    arrived: list[str] = []
    previous = signal.signal(signal.SIGUSR1, lambda signum, frame: arrived.append("foreign"))
    try:
        with real_loop(poller_name) as (loop, failures):
            if handled:
                loop.add_signal_handler(signal.SIGUSR1, arrived.append, "ours")
            with signalled(signal.SIGUSR1):
                if handled:
                    loop.run_until(lambda: len(arrived) > 3)
                else:
                    when = loop.time() + 0.02
                    before = loop.registry.turn
                    loop.call_at(when, loop.stop)
                    loop.run()
                    assert loop.time() >= when
                    assert loop.registry.turn - before <= 4 + len(arrived)  # each is looked after once
            loop.remove_signal_handler(signal.SIGUSR1)
            assert not failures
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert set(arrived) == ({"ours"} if handled else {"foreign"})


def test_ctrl_c_ends_a_wait_without_timers_and_the_loop_runs_again(poller_name: str) -> None:
    """A real SIGINT, while the loop sleeps forever; what is registered is still there afterwards.

    It strikes in the poller's ``select`` and nowhere else: a tool that traces this run (coverage) holds locks of
    its own between any two lines, and would never give them back.
    """
    struck: list[int] = []

    def strike(signum: int, frame: FrameType | None) -> None:
        if frame is not None and frame.f_code.co_name == "select" and not struck:
            struck.append(signum)
            raise KeyboardInterrupt

    previous = signal.getsignal(signal.SIGINT)
    try:
        with real_loop(poller_name) as (loop, failures), socket_pair() as (left, right):
            loop.add_reader(left, loop.stop)
            signal.signal(signal.SIGINT, strike)
            with signalled(signal.SIGINT), pytest.raises(KeyboardInterrupt):
                loop.run()
            right.send(b"x")
            loop.run()
            loop.remove_reader(left)
            assert not failures
    finally:
        signal.signal(signal.SIGINT, previous)


def test_readers_that_were_ready_are_served_after_ctrl_c_struck_in_one_of_them(poller_name: str) -> None:
    """Step 4 is left in the middle; level-triggered pollers say it again, so no event is lost."""
    with real_loop(poller_name) as (loop, failures), socket_pair() as (left, right):
        steps: list[bytes] = []
        other = left.dup()
        with other:
            right.send(b"x")
            loop.add_reader(left, interrupt)
            loop.add_reader(other, interrupt)
            with pytest.raises(KeyboardInterrupt):
                loop.run()
            loop.remove_reader(left)
            loop.add_reader(other, lambda: (steps.append(other.recv(10)), loop.stop()))
            loop.run()
            loop.remove_reader(other)
    assert steps == [b"x"]
    assert not failures
