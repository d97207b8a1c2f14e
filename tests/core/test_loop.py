"""The face of the loop: running and stopping, who may call what and when, what ``close`` gives back."""

from __future__ import annotations

import errno
import gc
import math
import select
import selectors
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reactor.core.loop import Loop
from reactor.errors import (
    NestedRun,
    NotHostable,
    OptionError,
    ReactorClosed,
    SelectorUnavailable,
    UsageError,
    WrongThread,
)
from reactor.testing import ORDINARY, ScriptedOps, ScriptedPoller, ScriptedSocket, VirtualClock
from tests.core.doubles import Virtual, real_loop, socket_pair, turns, virtual_loop


@pytest.fixture
def virtual() -> Iterator[Virtual]:
    """A loop in virtual time."""
    with virtual_loop() as made:
        yield made


#: Every public method but ``call_soon_threadsafe``, with a call that is right in the right thread.
METHODS: dict[str, Callable[[Loop], object]] = {
    "add_reader": lambda loop: loop.add_reader(ScriptedSocket(), print),
    "remove_reader": lambda loop: loop.remove_reader(5),
    "add_writer": lambda loop: loop.add_writer(ScriptedSocket(), print),
    "remove_writer": lambda loop: loop.remove_writer(5),
    "call_soon": lambda loop: loop.call_soon(int),
    "call_later": lambda loop: loop.call_later(1, int),
    "call_at": lambda loop: loop.call_at(1, int),
    "call_every": lambda loop: loop.call_every(1, int),
    "add_signal_handler": lambda loop: loop.add_signal_handler(10, int),
    "remove_signal_handler": lambda loop: loop.remove_signal_handler(10),
    "run": lambda loop: loop.run(),
    "run_once": lambda loop: loop.run_once(0),
    "run_until": lambda loop: loop.run_until(lambda: True),
    "stop": lambda loop: loop.stop(),
    "next_timeout": lambda loop: loop.next_timeout(),
    "fileno": lambda loop: loop.fileno(),
    "set_probe": lambda loop: loop.set_probe(None),
    "set_exception_handler": lambda loop: loop.set_exception_handler(None),
    "call_at_turn_end": lambda loop: loop.call_at_turn_end(print),
    "call_inside": lambda loop: loop.call_inside(int),
    "reopen": lambda loop: loop.reopen(),
}


#: What any thread may call: it changes nothing, or is made for it, or is the check itself.
FREE = {"call_soon_threadsafe", "check", "is_closed", "is_running", "time"}


@pytest.mark.parametrize("method", [*METHODS, "close"])
def test_a_foreign_thread_is_refused_while_the_loop_runs(virtual: Virtual, method: str) -> None:
    """Each method says so, and names the one that threads may call.  Nothing is changed."""
    call = METHODS.get(method, Loop.close)
    found: list[str] = []

    def from_thread() -> None:
        owner, virtual.ops.thread = virtual.ops.thread, 4711
        with pytest.raises(WrongThread, match="call_soon_threadsafe") as caught:
            call(virtual.loop)
        found.append(str(caught.value))
        virtual.ops.thread = owner

    virtual.loop.call_soon(from_thread)
    virtual.loop.call_soon(virtual.loop.stop)
    virtual.loop.run()
    assert found


def test_every_public_method_is_among_those_that_are_tried() -> None:
    """A method that is added to the loop is refused to other threads as well, or said to be free."""
    public = {name for name in dir(Loop) if not name.startswith("_") and callable(getattr(Loop, name))}
    assert public == FREE | {*METHODS, "close"}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_refused_when_the_loop_is_closed(method: str) -> None:
    """A closed reactor says so, and does not come back to life."""
    with virtual_loop() as virtual:
        virtual.loop.close()
        with pytest.raises(ReactorClosed, match="closed"):
            METHODS[method](virtual.loop)
        with pytest.raises(ReactorClosed, match="closed"):
            virtual.loop.call_soon_threadsafe(print)
        assert "closed" in repr(virtual.loop)


def test_a_real_thread_is_refused_while_the_loop_runs(poller_name: str) -> None:
    """The same with a thread of flesh and blood, on every poller."""
    found: list[BaseException] = []

    def other() -> None:
        try:
            loop.call_soon(print)
        except WrongThread as exc:
            found.append(exc)
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=other)
    with real_loop(poller_name) as (loop, failures):
        loop.call_soon(thread.start)
        loop.run()
        thread.join()
    assert len(found) == 1
    assert not failures


@pytest.mark.parametrize("run", ["run", "run_once", "run_until"])
def test_a_nested_run_is_refused_inside_a_callback(virtual: Virtual, run: str) -> None:
    """A callback must return, not run the loop again."""
    virtual.loop.call_soon(METHODS[run], virtual.loop)
    turns(virtual.loop)
    assert virtual.failures.types() == [NestedRun]
    virtual.failures.clear()


def test_a_second_loop_runs_inside_a_callback_of_the_first(virtual: Virtual) -> None:
    """Loops are independent: nesting is forbidden within one loop only."""
    with virtual_loop() as inner:
        inner.loop.call_later(60, inner.loop.stop)
        virtual.loop.call_soon(inner.loop.run)
        turns(virtual.loop)
        assert inner.clock.now == virtual.clock.now + 60


# -- run, stop, run again --------------------------------------------------------------------------------------


def test_the_turn_is_finished_when_a_callback_stops_the_loop(virtual: Virtual) -> None:
    """``stop`` ends ``run`` after the present turn; what is ready runs, what it adds waits."""
    steps: list[str] = []
    loop = virtual.loop
    loop.call_soon(loop.stop)
    loop.call_soon(steps.append, "same turn")
    loop.call_soon(loop.call_soon, steps.append, "next run")
    loop.call_soon(loop.call_at_turn_end, lambda: steps.append("flush"))
    loop.run()
    assert steps == ["same turn", "flush"]
    loop.call_soon(loop.stop)
    loop.run()
    assert steps == ["same turn", "flush", "next run"]


def test_run_returns_at_once_when_it_was_stopped_before(virtual: Virtual) -> None:
    """``stop`` before ``run`` is remembered, for one run."""
    virtual.loop.stop()
    virtual.loop.run()
    assert virtual.poller.waits == []
    virtual.loop.call_soon(virtual.loop.stop)
    virtual.loop.run()
    assert virtual.poller.waits == [0]


def test_a_loop_runs_again_after_it_was_stopped(poller_name: str) -> None:
    """Any number of times, with what is registered still there."""
    steps: list[bytes] = []
    with real_loop(poller_name) as (loop, failures), socket_pair() as (left, right):
        loop.add_reader(left, lambda: (steps.append(left.recv(1)), loop.stop()))
        for byte in (b"a", b"b", b"c"):
            right.send(byte)
            loop.run()
        loop.remove_reader(left)
    assert steps == [b"a", b"b", b"c"]
    assert not failures


def test_a_loop_can_be_run_by_one_thread_after_the_other() -> None:
    """It belongs to whoever runs it, not to whoever made it."""
    steps: list[int] = []
    with real_loop() as (loop, _):
        for number in range(3):
            loop.call_soon(steps.append, number)
            thread = threading.Thread(target=loop.run_once, args=(0,))
            thread.start()
            thread.join()
    assert steps == [0, 1, 2]


def test_several_loops_run_in_several_threads(poller_name: str) -> None:
    """One loop per thread, each with its own pipe, none disturbing another."""
    echoed: list[bytes] = []

    def serve(number: int) -> None:
        with real_loop(poller_name) as (loop, failures), socket_pair() as (left, right):
            loop.add_reader(left, lambda: (echoed.append(left.recv(10)), loop.stop()))
            loop.call_soon(right.send, b"%d" % number)
            loop.run()
            loop.remove_reader(left)
            assert not failures

    threads = [threading.Thread(target=serve, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(echoed) == [b"%d" % number for number in range(8)]


# -- close -----------------------------------------------------------------------------------------------------


def test_closing_is_refused_inside_a_callback(virtual: Virtual) -> None:
    """Stop first; a loop does not saw off the branch on which it sits."""
    virtual.loop.call_soon(virtual.loop.close)
    turns(virtual.loop)
    assert virtual.failures.types() == [UsageError]
    virtual.failures.clear()
    turns(virtual.loop)


def test_everything_is_given_back_when_the_loop_is_closed(poller_name: str) -> None:
    """Once, twice, with callbacks of every kind still waiting.  The leak guard looks at the descriptors."""
    with real_loop(poller_name) as (loop, _), socket_pair() as (left, _right):
        loop.add_reader(left, print)
        loop.call_soon(print)
        timer = loop.call_later(1, print)
        loop.call_soon_threadsafe(print)
        loop.call_at_turn_end(print)
        loop.close()
        loop.close()
        timer.cancel()
        timer.reschedule(5)


def test_nothing_is_left_open_when_the_loop_cannot_be_made() -> None:
    """Without a descriptor for the bell there is no loop."""
    ops = ScriptedOps()
    full = OSError(errno.EMFILE, "full")
    ops.script("eventfd", full).script("socketpair", full)
    with pytest.raises(OSError, match="full"):
        Loop(ops=ops)


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="epoll is what can refuse here")
def test_nothing_is_left_open_when_the_poller_cannot_watch_the_bell() -> None:
    """The poller is there and the bell is there, but epoll_ctl fails: both are given back."""

    class Full(selectors.SelectSelector):
        def register(self, fileobj: Any, events: int, data: Any = None) -> Any:
            raise OSError(errno.ENOSPC, "full")

    with pytest.raises(OSError, match="full"):
        Loop(Full())


# -- arguments -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interval", [0, -1, -math.inf])
def test_an_interval_that_is_not_positive_is_refused(virtual: Virtual, interval: float) -> None:
    """A beat of nothing would be a busy loop."""
    with pytest.raises(OptionError, match="positive"):
        virtual.loop.call_every(interval, print)


@pytest.mark.parametrize("method", ["call_at", "call_later"])
def test_not_a_number_is_refused_as_an_instant(virtual: Virtual, method: str) -> None:
    """NaN would spoil the order of all other timers."""
    with pytest.raises(OptionError, match="NaN"):
        getattr(virtual.loop, method)(math.nan, print)


def test_the_loop_sleeps_through_the_day_when_its_only_timer_is_at_the_end_of_time(poller_name: str) -> None:
    """No wait overflows the int of the system call, on any poller, foreign ones included."""
    for selector in (poller_name, getattr(selectors, f"{poller_name.capitalize()}Selector", poller_name)):
        with real_loop(selector if isinstance(selector, str) else selector()) as (loop, failures):
            loop.call_at(math.inf, print)
            loop.call_later(1e20, print)
            loop.call_soon_threadsafe(loop.stop)
            loop.run()
            assert not failures


def test_the_poller_is_the_one_asked_for(poller_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By argument, else by REACTOR_SELECTOR, else the best there is."""
    monkeypatch.setenv("REACTOR_SELECTOR", poller_name)
    with Loop() as loop:
        assert loop.selector_name == poller_name
    with Loop("select") as loop:
        assert loop.selector_name == "select"
    with Loop(selectors.SelectSelector()) as loop:
        assert loop.selector_name == "SelectSelector"
    monkeypatch.delenv("REACTOR_SELECTOR")
    with Loop() as loop:
        assert loop.selector_name in ("epoll", "kqueue", "poll")


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_an_unknown_poller_is_refused_with_the_names_of_the_known(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names who asked for it and what there is."""
    monkeypatch.setenv("REACTOR_SELECTOR", "iocp" if by == "environment" else "")
    with pytest.raises(
        SelectorUnavailable, match="REACTOR_SELECTOR='iocp'.*select" if by == "environment" else "'x'"
    ):
        Loop(None if by == "environment" else "x")


@pytest.mark.parametrize("poller", ["select", "poll", selectors.SelectSelector])
def test_a_poller_without_a_descriptor_cannot_be_hosted(poller: Any) -> None:
    """The message says which ones can."""
    with Loop(poller if isinstance(poller, str) else poller()) as loop, pytest.raises(NotHostable, match="epoll"):
        loop.fileno()


def test_the_clock_is_the_one_given() -> None:
    """``time()`` is the clock's instant, and timers are counted by it."""
    clock = VirtualClock(5.0)
    with Loop(ScriptedPoller(clock), clock=clock) as loop:
        assert loop.time() == 5.0
        assert loop.call_later(3, print).when == 8.0


def test_the_third_call_fails_when_two_ordinary_steps_stand_before_it() -> None:
    """The double itself, used as its docstring says."""
    ops = ScriptedOps().script("is_open", ORDINARY, ORDINARY, OSError(errno.EMFILE, "full"))
    assert ops.is_open(0) == ops.is_open(0)
    with pytest.raises(OSError, match="full"):
        ops.is_open(0)


def test_a_loop_that_nobody_closed_is_told_when_it_is_collected() -> None:
    """Its eventfd has no owner that would close it: like a socket, it warns instead of vanishing with
    descriptors."""
    loop = Loop()
    wakeup = loop.engine.wakeup
    loops = [loop]
    del loop
    with pytest.warns(ResourceWarning, match="unclosed <Loop idle") as told:
        collect(loops)
    told.clear()  # the warning names its source, and so has kept it alive
    gc.collect()
    wakeup.close()


def collect(owned: list[Loop]) -> None:
    """Drop what the list holds, for good."""
    owned.clear()
    gc.collect()
