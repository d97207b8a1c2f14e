"""The timer queue against a list that is sorted anew each time, and each of its promises on its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from reactor.core.handles import Timer
from reactor.core.timers import TimerQueue
from reactor.errors import OptionError
from reactor.limits import TIMER_SWEEP_MIN


def armed(queue: TimerQueue, when: float, name: Any = None, interval: float | None = None) -> Timer:
    """A timer in the queue, that carries *name*."""
    timer = Timer(when, print, (name,), queue, interval)
    queue.push(timer)
    return timer


def due(queue: TimerQueue, now: float) -> list[Any]:
    """The names of the timers that are due and not cancelled, in order."""
    found: list[Timer] = []
    queue.take_due(now, found.append)
    assert all(timer.callback is timer._target is print for timer in found)
    return [timer.args[0] for timer in found]


INSTANTS = st.integers(0, 12).map(float)  # few enough to collide


class QueueAgainstList(RuleBasedStateMachine):
    """Push, cancel, move and advance in any order; the model is a plain list of (timer, when)."""

    timers: Bundle[Timer] = Bundle("timers")

    def __init__(self) -> None:
        super().__init__()
        self.queue = TimerQueue()
        self.model: dict[Timer, float] = {}
        self.now = 0.0

    @rule(target=timers, delay=INSTANTS)
    def push(self, delay: float) -> Timer:
        """A new timer."""
        timer = armed(self.queue, self.now + delay)
        self.model[timer] = self.now + delay
        return timer

    @rule(timer=timers)
    def cancel(self, timer: Timer) -> None:
        """Once or twice, waiting or spent."""
        timer.cancel()
        self.model.pop(timer, None)
        assert timer.is_cancelled()

    @rule(timer=timers, delay=INSTANTS, way=st.sampled_from([Timer.reschedule, Timer.postpone]))
    def move(self, timer: Timer, delay: float, way: Callable[[Timer, float], None]) -> None:
        """Earlier or later; a spent timer is armed again, a cancelled one is not."""
        way(timer, self.now + delay)
        if not timer.is_cancelled():
            self.model[timer] = self.now + delay

    @rule(delay=INSTANTS)
    def advance(self, delay: float) -> None:
        """What is due comes out once, earliest first."""
        self.now += delay
        found: list[Timer] = []
        self.queue.take_due(self.now, found.append)
        expected = {timer: when for timer, when in self.model.items() if when <= self.now}
        assert set(found) == set(expected)
        assert len(found) == len(expected)
        assert [timer.when for timer in found] == sorted(expected.values())
        for timer in found:
            del self.model[timer]

    @rule()
    def wake(self) -> None:
        """Whoever wakes up at the instants that the queue names comes to the earliest one, and finds nothing
        before."""
        earliest = min(self.model.values(), default=None)
        while (named := self.queue.next_when()) != earliest:
            self.queue.take_due(named, self.model.__delitem__)
            assert self.queue.next_when() > named
        assert len(self.queue) == len(self.model)

    @rule(timer=consumes(timers))
    def forget(self, timer: Timer) -> None:
        """Some timers are never touched again."""

    @invariant()
    def agrees(self) -> None:
        """The length is that of the list, the next instant not later; the dead are never the larger half for
        long."""
        assert len(self.queue) == len(self.model)
        named, earliest = self.queue.next_when(), min(self.model.values(), default=None)
        assert (named is None) == (earliest is None)
        assert named is None or earliest is None or named <= earliest
        assert len(self.queue.heap) <= 2 * len(self.model) + TIMER_SWEEP_MIN + 1


class SweepingQueueAgainstList(QueueAgainstList):
    """The same with so many dead timers that the sweep takes place in the middle of the game."""

    @rule(count=st.integers(1, 3 * TIMER_SWEEP_MIN), delay=INSTANTS)
    def cancel_many(self, count: int, delay: float) -> None:
        """Arm and cancel, as a server does with a timeout for each request."""
        for timer in [armed(self.queue, self.now + delay) for _ in range(count)]:
            timer.cancel()

    @rule(count=st.integers(1, 3 * TIMER_SWEEP_MIN), timer=QueueAgainstList.timers)
    def pull_in_many(self, count: int, timer: Timer) -> None:
        """Move one timer to ever earlier instants: each move leaves a dead triple."""
        if timer in self.model:
            for step in range(count):
                timer.reschedule(self.now + 1 - step / (2 * count))
            self.model[timer] = timer.when


TestQueueAgainstList = QueueAgainstList.TestCase
TestQueueAgainstList.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestSweepingQueueAgainstList = SweepingQueueAgainstList.TestCase
TestSweepingQueueAgainstList.settings = settings(max_examples=100, stateful_step_count=20, deadline=None)
TestQueueAgainstList.pytestmark = TestSweepingQueueAgainstList.pytestmark = [pytest.mark.slow]


def test_equal_instants_run_in_the_order_in_which_they_were_asked_for() -> None:
    """A heap alone would not promise it; the entry number does."""
    queue = TimerQueue()
    for name in range(50):
        armed(queue, 7.0, name)
    assert due(queue, 7.0) == list(range(50))


def test_a_timer_is_due_at_its_instant_and_not_before() -> None:
    """Not one representable float too early."""
    queue = TimerQueue()
    armed(queue, 7.0, "x")
    assert due(queue, math.nextafter(7.0, 0)) == []
    assert due(queue, 7.0) == ["x"]
    assert due(queue, 8.0) == []


def test_a_due_timer_does_not_run_when_it_is_cancelled_before_its_callback() -> None:
    """An earlier callback of the same turn may cancel it."""
    queue = TimerQueue()
    timer = armed(queue, 1.0)
    queue.take_due(1.0, lambda found: None)
    assert timer.callback is print
    timer.cancel()
    assert timer.callback is None


def test_a_due_timer_waits_again_when_it_is_moved_before_its_callback() -> None:
    """Moving it takes it out of the ready queue without a search, and puts it into the heap."""
    queue = TimerQueue()
    timer = armed(queue, 1.0, "x")
    due(queue, 1.0)
    timer.reschedule(3.0)
    assert timer.callback is None
    assert due(queue, 2.0) == []
    assert due(queue, 3.0) == ["x"]


def test_a_timer_that_is_pushed_back_costs_one_place_in_the_heap() -> None:
    """Ten thousand messages push an idle timeout back ten thousand times."""
    queue = TimerQueue()
    timer = armed(queue, 1.0, "idle")
    for step in range(10_000):
        timer.reschedule(1.0 + step)
    assert len(queue.heap) == len(queue) == 1
    assert due(queue, 1.0) == []
    assert queue.next_when() == 10_000.0
    assert due(queue, 10_000.0) == ["idle"]


def test_a_timer_that_was_pushed_back_takes_its_place_among_the_others_when_all_are_due() -> None:
    """Its triple is too early; it must not run before those that are due earlier than itself."""
    queue = TimerQueue()
    moved = armed(queue, 0.0, "moved")
    armed(queue, 1.0, "other")
    moved.reschedule(2.0)
    assert due(queue, 5.0) == ["other", "moved"]


def test_a_timer_that_is_pulled_in_leaves_a_bounded_number_of_dead_entries() -> None:
    """Each move to an earlier instant abandons a triple; the sweep may come in the middle of such a move."""
    queue = TimerQueue()
    timer = armed(queue, 1e6, "x")
    for step in range(10_000):
        timer.reschedule(1e6 - step)
        assert len(queue) == 1
        assert len(queue.heap) <= TIMER_SWEEP_MIN + 2
    assert due(queue, 1e6) == ["x"]
    assert len(queue) == 0
    assert queue.next_when() is None


@pytest.mark.slow
def test_a_million_cancelled_timers_are_swept_before_they_pile_up() -> None:
    """A server that arms and cancels a timeout for every request holds at most twice what is alive."""
    queue = TimerQueue()
    alive = [armed(queue, 1e9 + name, name) for name in range(1000)]
    longest = 0
    for _ in range(1_000_000):
        armed(queue, 30.0).cancel()
        longest = max(longest, len(queue.heap))
    assert len(queue) == 1000
    assert longest <= 2 * len(alive) + TIMER_SWEEP_MIN + 1
    assert due(queue, 1e9) == [0]


def test_a_periodic_timer_keeps_its_rhythm_when_it_is_served_late() -> None:
    """The beats are multiples of the interval from the beginning, whatever the delay: no drift."""
    queue = TimerQueue()
    timer = armed(queue, 10.0, "beat", interval=10.0)
    for now, following in ((10.0, 20.0), (23.0, 30.0), (39.9, 40.0)):
        assert due(queue, now) == ["beat"]
        assert timer.when == queue.next_when() == following


def test_missed_beats_are_left_out_when_the_loop_was_busy() -> None:
    """After a long pause there is one beat, not a burst of them."""
    queue = TimerQueue()
    timer = armed(queue, 1.0, "beat", interval=1.0)
    assert due(queue, 1_000_000.5) == ["beat"]
    assert timer.when == 1_000_001.0
    assert due(queue, 1_000_000.9) == []


@pytest.mark.parametrize("interval", [1e-9, 5e-324, 1e-3])
def test_a_periodic_timer_is_never_due_twice_at_one_instant(interval: float) -> None:
    """An interval below the resolution of the clock must not turn the queue into an endless loop."""
    queue = TimerQueue()
    timer = armed(queue, 1e9, "beat", interval=interval)
    assert due(queue, 1e9) == ["beat"]
    assert timer.when > 1e9
    assert due(queue, 1e9) == []


@pytest.mark.parametrize("interval", [1e-9, 5e-324, 1e-300, 1.0, 1e300])
def test_a_periodic_timer_has_a_next_beat_whatever_its_interval(interval: float) -> None:
    """The count of missed beats overflowed for a tiny interval: the next one was at infinity, and never came."""
    queue = TimerQueue()
    timer = armed(queue, 1e3, "beat", interval=interval)
    for now in (1e3, 1e3 + 1, 1e3 + 1.5):
        if timer.when <= now:
            assert due(queue, now) == ["beat"]
        assert now < timer.when <= max(math.nextafter(now, math.inf), now + interval)


def test_a_periodic_timer_has_a_next_beat_when_it_was_moved_to_the_beginning_of_time() -> None:
    """An infinite delay has no remainder; it must not become NaN, which would spoil the order of the others."""
    queue = TimerQueue()
    timer = armed(queue, 1.0, "beat", interval=1.0)
    timer.reschedule(-math.inf)
    assert due(queue, 7.0) == ["beat"]
    assert 7.0 < timer.when <= 8.0


@pytest.mark.parametrize("way", [Timer.reschedule, Timer.postpone])
@pytest.mark.parametrize("state", ["waiting", "due", "cancelled"])
@pytest.mark.parametrize("when", [None, "5", b"5", 1j, [], math.nan, 10**400], ids=lambda when: type(when).__name__)
def test_what_is_no_instant_is_refused_when_a_timer_is_moved(
    when: Any, state: str, way: Callable[[Timer, Any], None]
) -> None:
    """Neither the timer nor the order of the others changes; asyncio finds out when the heap compares them."""
    queue = TimerQueue()
    timer = armed(queue, 1.0, "x")
    if state == "due":
        queue.take_due(1.0, lambda found: None)
    elif state == "cancelled":
        timer.cancel()
    before = (timer.when, timer._entry, timer.callback)
    with pytest.raises((TypeError, OptionError), match="a timer's instant is a number of seconds"):
        way(timer, when)
    assert (timer.when, timer._entry, timer.callback) == before


def test_an_instant_may_be_any_real_number() -> None:
    """What can be made a float of, as time.sleep() takes it, becomes one."""
    queue = TimerQueue()
    timer = armed(queue, 1.0, "x")
    for when in (3, Fraction(7, 2), Decimal("4.5"), True):
        timer.postpone(when)  # type: ignore[arg-type]
        assert type(timer.when) is float
        assert timer.when == when


def test_a_periodic_timer_ends_when_it_is_cancelled_between_two_beats() -> None:
    """It lies in the heap for its next beat already, while it runs this one."""
    queue = TimerQueue()
    timer = armed(queue, 1.0, "beat", interval=1.0)
    due(queue, 1.0)
    timer.cancel()
    assert len(queue) == 0
    assert due(queue, 5.0) == []


def test_a_periodic_timer_goes_on_from_the_new_instant_when_it_is_moved() -> None:
    """``reschedule`` moves the next beat, and the rhythm with it."""
    queue = TimerQueue()
    timer = armed(queue, 1.0, "beat", interval=10.0)
    timer.reschedule(4.0)
    assert due(queue, 3.0) == []
    assert due(queue, 4.0) == ["beat"]
    assert timer.when == 14.0


def test_not_a_number_is_refused_when_a_timer_is_moved() -> None:
    """NaN has no place in an order: it would spoil the heap for every other timer."""
    queue = TimerQueue()
    timer = armed(queue, 1.0, "x")
    with pytest.raises(OptionError, match="NaN"):
        timer.reschedule(math.nan)
    assert due(queue, 1.0) == ["x"]
    with pytest.raises(OptionError, match="NaN"):
        timer.reschedule(math.nan)
    assert timer.callback is print  # still due


def test_a_timer_for_the_end_of_time_waits_quietly() -> None:
    """Infinity is an instant like any other; minus infinity has passed."""
    queue = TimerQueue()
    armed(queue, math.inf, "never")
    armed(queue, -math.inf, "long ago")
    assert due(queue, 1e300) == ["long ago"]
    assert queue.next_when() == math.inf


def test_whoever_wants_to_know_is_told_when_a_timer_moves_to_an_earlier_instant() -> None:
    """A host that sleeps until the first timer must hear of a new first one, and of nothing else."""
    queue = TimerQueue()
    told: list[float] = []
    queue.moved_earlier = told.append
    timer = armed(queue, 5.0)
    timer.reschedule(9.0)
    assert told == []
    timer.reschedule(2.0)
    assert told == [2.0]


def test_every_timer_is_forgotten_when_the_queue_is_cleared() -> None:
    """A timer that outlives its loop can still be cancelled."""
    queue = TimerQueue()
    timers = [armed(queue, 1.0), armed(queue, 2.0)]
    queue.clear()
    timers[0].cancel()
    assert len(queue) == 0
    assert queue.next_when() is None
