"""What the loop cannot use is refused by the call that brings it, and leaves nothing behind.

A wrong argument that is only stored fails later, in the loop, where nobody knows any more who it came from: a heap
that cannot compare, a callback that cannot be called.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reactor.core.handles import Handle, Timer
from reactor.core.loop import Loop
from reactor.errors import OptionError, WrongThread
from reactor.testing import ScriptedSocket
from tests.core.doubles import Virtual, turns, virtual_loop


@pytest.fixture
def virtual() -> Iterator[Virtual]:
    """A loop in virtual time."""
    with virtual_loop() as made:
        yield made


def state_of(virtual: Virtual) -> tuple[object, ...]:
    """Everything of a loop that a call could change."""
    loop = virtual.loop
    return (
        list(loop.engine.timers.heap), list(loop.engine.ready), list(loop.engine.due),
        list(loop.engine.flushes), dict(virtual.poller.get_map()), list(virtual.poller.calls),
        dict(virtual.ops.handlers), loop.reports.handler, loop.registry.turn, loop.engine.wakeup._rung,
    )  # fmt: skip


#: Every verb that takes a function to be called later.
TAKING_CALLBACKS: dict[str, Callable[[Loop, Any], object]] = {
    "call_soon": lambda loop, callback: loop.call_soon(callback),
    "call_later": lambda loop, callback: loop.call_later(1, callback),
    "call_at": lambda loop, callback: loop.call_at(1, callback),
    "call_every": lambda loop, callback: loop.call_every(1, callback),
    "call_soon_threadsafe": lambda loop, callback: loop.call_soon_threadsafe(callback),
    "call_at_turn_end": lambda loop, callback: loop.call_at_turn_end(callback),
    "add_reader": lambda loop, callback: loop.add_reader(ScriptedSocket(), callback),
    "add_writer": lambda loop, callback: loop.add_writer(ScriptedSocket(), callback, "argument"),
    "add_signal_handler": lambda loop, callback: loop.add_signal_handler(10, callback),
    "set_exception_handler": lambda loop, callback: loop.set_exception_handler(callback),
    "run_until": lambda loop, callback: loop.run_until(callback),
}


#: To the exception handler and to a timeout None means something.
NONE_IS_FINE = {"set_exception_handler", "timeout of a turn", "timeout of a run"}

NO_FUNCTIONS: list[object] = [None, 5, "name"]


@pytest.mark.parametrize(
    ("verb", "callback"),
    [(verb, it) for verb in TAKING_CALLBACKS for it in NO_FUNCTIONS if it is not None or verb not in NONE_IS_FINE],
)
def test_what_cannot_be_called_is_refused_by_the_verb_that_takes_it(
    virtual: Virtual, verb: str, callback: object
) -> None:
    """``call_soon(f())`` instead of ``call_soon(f)`` is the classic: it was ignored if f returned None."""
    before = state_of(virtual)
    with pytest.raises(TypeError, match=rf"{verb}\(\) takes a .*{type(callback).__name__}"):
        TAKING_CALLBACKS[verb](virtual.loop, callback)
    assert state_of(virtual) == before


#: Every verb that takes seconds.
TAKING_SECONDS: dict[str, Callable[[Loop, Any], object]] = {
    "when": lambda loop, value: loop.call_at(value, print),
    "delay": lambda loop, value: loop.call_later(value, print),
    "interval": lambda loop, value: loop.call_every(value, print),
    "timeout of a turn": lambda loop, value: loop.run_once(value),
    "timeout of a run": lambda loop, value: loop.run_until(lambda: True, value),
}


#: None of these is a number of seconds that the clock can reckon with.
NO_SECONDS: list[object] = [None, "5", "", b"5", 1j, [], math.nan, 10**400]


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, it) for name in TAKING_SECONDS for it in NO_SECONDS if it is not None or name not in NONE_IS_FINE],
    ids=lambda it: it if isinstance(it, str) and it[:1].isalpha() else type(it).__name__,
)
def test_what_is_no_number_of_seconds_is_refused(virtual: Virtual, name: str, value: object) -> None:
    """In the heap it would fail, or put the order out, when another timer is compared with it: in ``run()``."""
    virtual.loop.call_later(5, print)
    before = state_of(virtual)
    with pytest.raises((TypeError, OptionError), match=f"{name.partition(' ')[0]} is a number of seconds"):
        TAKING_SECONDS[name](virtual.loop, value)
    assert state_of(virtual) == before
    virtual.loop.call_later(4, print)
    assert virtual.loop.next_timeout() == 4


#: What a timer can be told by the thread that runs the loop, and by no other.
MOVING: dict[str, Callable[[Timer], object]] = {
    "cancel": Timer.cancel,
    "reschedule": lambda timer: timer.reschedule(1e9),
    "reschedule to an earlier instant": lambda timer: timer.reschedule(0.0),
    "postpone to an earlier instant": lambda timer: timer.postpone(0.0),
}


@pytest.mark.parametrize("state", ["waiting", "due", "ran", "cancelled"])
@pytest.mark.parametrize("way", MOVING)
def test_a_timer_is_refused_to_another_thread_while_the_loop_runs(virtual: Virtual, way: str, state: str) -> None:
    """Nothing was checked: two threads in one heap lose timers, or run one that was cancelled."""
    loop, outcome = virtual.loop, []
    timer = loop.call_later(60, print)

    def look() -> tuple[object, ...]:
        return (*state_of(virtual), timer.when, timer._entry, timer.callback, timer._target, timer.args)

    def from_thread() -> None:
        if state == "due":
            timer.reschedule(loop.time())
            loop.engine.timers.take_due(loop.time(), loop.engine.ready.append)
        before, owner = look(), virtual.ops.thread
        virtual.ops.thread = 4711
        with pytest.raises(WrongThread, match="call_soon_threadsafe"):
            MOVING[way](timer)
        virtual.ops.thread = owner
        outcome.append(look() == before)

    if state == "cancelled":
        timer.cancel()
    elif state == "ran":
        timer.reschedule(loop.time())
        turns(loop, 2)
    loop.call_soon(from_thread)
    turns(loop)
    assert outcome == [True]


def test_a_timer_can_be_cancelled_by_any_thread_when_nobody_runs_the_loop(virtual: Virtual) -> None:
    """A loop belongs to who runs it: between two runs, and when it is closed, nobody is disturbed."""
    timers = [virtual.loop.call_later(60, print) for _ in range(2)]
    virtual.ops.thread = 4711
    timers[0].cancel()
    virtual.loop.close()
    timers[1].cancel()
    timers[1].reschedule(5.0)
    assert timers[0].is_cancelled()
    assert timers[1].is_cancelled()


def test_a_thread_may_take_back_what_it_has_asked_for(virtual: Virtual) -> None:
    """The handle of ``call_soon_threadsafe`` is cancelled by one assignment: seen in time, or not at all."""
    steps: list[str] = []
    handles: list[Handle] = []

    def from_thread() -> None:
        virtual.ops.thread, owner = 4711, virtual.ops.thread
        handles.extend(virtual.loop.call_soon_threadsafe(steps.append, name) for name in ("one", "two"))
        handles[0].cancel()
        virtual.ops.thread = owner

    virtual.loop.call_soon(from_thread)
    virtual.poller.hold(virtual.loop.engine.wakeup.fd)
    turns(virtual.loop, 3)
    assert steps == ["two"]
    assert handles[0].is_cancelled()


def test_the_arguments_are_whole_when_a_callback_is_cancelled_while_it_is_being_called(virtual: Virtual) -> None:
    """A thread may cancel while the loop has read the callback and not yet the arguments."""
    steps: list[tuple[object, ...]] = []

    class Late(Handle):
        """Is cancelled by somebody at the moment when its arguments are read."""

        @property
        def args(self) -> tuple[object, ...]:  # type: ignore[override]
            Handle.cancel(self)
            return Handle.args.__get__(self)  # type: ignore[attr-defined]

        @args.setter
        def args(self, value: tuple[object, ...]) -> None:
            Handle.args.__set__(self, value)  # type: ignore[attr-defined]

    virtual.loop.engine.ready.append(Late(lambda *args: steps.append(args), ("whole",)))
    turns(virtual.loop)
    assert steps == [("whole",)]


def test_a_tiny_interval_beats_once_a_turn(virtual: Virtual) -> None:
    """It beat once and never again: the number of beats that it had missed was infinite."""
    beats: list[float] = []
    virtual.loop.call_every(5e-324, lambda: beats.append(virtual.clock.now))
    for _ in range(5):
        turns(virtual.loop)
        virtual.clock.advance_to(virtual.clock.now + 1)
    assert len(beats) == 5
