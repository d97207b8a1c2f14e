"""``run_until``: a condition or a future, a deadline, and every way in which the wait for them ends."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from reactor.core.loop import Loop
from reactor.errors import DeadlineExceeded, NestedRun
from tests.core.doubles import Virtual, interrupt, real_loop, turns, virtual_loop


@pytest.fixture
def virtual() -> Iterator[Virtual]:
    """A loop in virtual time."""
    with virtual_loop() as made:
        yield made


def test_the_value_of_the_condition_is_returned_when_it_is_true(virtual: Virtual) -> None:
    """A predicate is called before every turn until it returns something true."""
    answers = iter([0, "", None, "yes"])
    virtual.poller.script([], [], [])
    assert virtual.loop.run_until(lambda: next(answers)) == "yes"
    assert virtual.poller.waits == [None, None, None]


@pytest.mark.parametrize("timeout", [0, 1.5])
def test_the_deadline_is_told_when_the_condition_does_not_come_true(virtual: Virtual, timeout: float) -> None:
    """DeadlineExceeded is a TimeoutError; the loop can go on running."""
    with pytest.raises(TimeoutError, match=f"within {timeout} s") as caught:
        virtual.loop.run_until(lambda: False, timeout=timeout)
    assert isinstance(caught.value, DeadlineExceeded)
    assert virtual.clock.now == 1000 + timeout
    assert virtual.loop.run_until(lambda: True)


def test_the_wait_for_a_condition_ends_at_its_deadline(virtual: Virtual) -> None:
    """A busy timer does not push the deadline back."""
    virtual.loop.call_every(1, int)
    with pytest.raises(DeadlineExceeded):
        virtual.loop.run_until(lambda: False, timeout=3.5)
    assert virtual.clock.now == 1003.5


def test_none_is_returned_when_the_loop_is_stopped_before_the_condition_holds(virtual: Virtual) -> None:
    """``stop`` ends every kind of run."""
    virtual.loop.call_soon(virtual.loop.stop)
    assert virtual.loop.run_until(lambda: False) is None


def test_what_the_condition_raises_passes(virtual: Virtual) -> None:
    """It is the caller's own function, not a callback; the loop is idle again."""
    with pytest.raises(KeyboardInterrupt):
        virtual.loop.run_until(interrupt)
    turns(virtual.loop)


def test_the_loop_wakes_when_a_thread_completes_the_future(poller_name: str) -> None:
    """No timer, no descriptor: only the future's own callback can end this sleep."""
    future: Future[int] = Future()
    thread = threading.Thread(target=future.set_result, args=(42,))
    with real_loop(poller_name) as (loop, failures):
        loop.call_soon(thread.start)
        assert loop.run_until(future) == 42
        thread.join()
    assert not failures


def test_the_exception_of_the_future_is_raised(virtual: Virtual) -> None:
    """``run_until`` returns what ``result()`` returns, and raises what it raises."""
    future: Future[int] = Future()
    virtual.loop.call_later(9, future.set_exception, ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        virtual.loop.run_until(future)


def test_a_future_without_callbacks_is_asked_before_every_turn(virtual: Virtual) -> None:
    """Anything with done() and result() is a future."""

    class Plain:
        def done(self) -> bool:
            return virtual.clock.now >= 1003

        def result(self) -> str:
            return "result"

    virtual.loop.call_every(1, int)
    assert virtual.loop.run_until(Plain()) == "result"


def test_a_future_may_be_completed_when_the_loop_is_gone() -> None:
    """The future outlives the loop that waited for it in vain."""
    future: Future[int] = Future()
    with virtual_loop() as virtual, pytest.raises(DeadlineExceeded):
        virtual.loop.run_until(future, timeout=1)
    future.set_result(1)


@pytest.fixture
def promise() -> Iterator[asyncio.Future[int]]:
    """A future of asyncio, which takes its callbacks back."""
    host = asyncio.new_event_loop()
    yield host.create_future()
    host.close()


def test_nothing_is_left_on_a_future_that_takes_its_callbacks_back(
    virtual: Virtual, promise: asyncio.Future[int]
) -> None:
    """Whether it came, did not come in time, or the run was refused: each wait used to leave a callback."""

    def callbacks() -> object:
        return promise._callbacks  # type: ignore[attr-defined]

    with pytest.raises(DeadlineExceeded):
        virtual.loop.run_until(promise, timeout=1)
    assert not callbacks()
    virtual.loop.call_soon(virtual.loop.run_until, promise)
    turns(virtual.loop)
    assert virtual.failures.types() == [NestedRun]
    virtual.failures.clear()
    assert not callbacks()
    virtual.loop.call_soon(virtual.loop.stop)
    assert virtual.loop.run_until(promise) is None
    assert not callbacks()


def test_callbacks_do_not_pile_up_on_a_future_that_keeps_them(virtual: Virtual) -> None:
    """A program that asks a thread's future again and again, for a moment each time, leaves one callback there."""
    future: Future[int] = Future()
    for _ in range(100):
        with pytest.raises(DeadlineExceeded):
            virtual.loop.run_until(future, timeout=0.001)
    assert len(future._done_callbacks) == 1
    virtual.loop.call_later(9, future.set_result, 42)
    assert virtual.loop.run_until(future) == 42


def test_a_refused_wait_leaves_nothing_on_the_future(virtual: Virtual) -> None:
    """Neither the nested run nor the timeout that is none has touched it."""
    future: Future[int] = Future()
    virtual.loop.call_soon(virtual.loop.run_until, future)
    turns(virtual.loop)
    assert virtual.failures.types() == [NestedRun]
    virtual.failures.clear()
    with pytest.raises(TypeError):
        virtual.loop.run_until(future, "1")  # type: ignore[arg-type]
    assert not future._done_callbacks


def test_a_future_does_not_keep_the_loop_alive() -> None:
    """The one callback that stays knows the loop weakly."""
    future: Future[int] = Future()
    loop = Loop()
    with pytest.raises(DeadlineExceeded):
        loop.run_until(future, timeout=0)
    loop.close()
    gone = weakref.ref(loop)
    del loop
    gc.collect()
    assert gone() is None
    future.set_result(1)


def test_a_future_without_weak_references_is_waited_for(virtual: Virtual) -> None:
    """It cannot be remembered; it is given a callback each time."""

    class Slotted:
        __slots__ = ("callbacks",)

        def __init__(self) -> None:
            self.callbacks: list[object] = []

        def add_done_callback(self, callback: object) -> None:
            self.callbacks.append(callback)

        def done(self) -> bool:
            return virtual.clock.now >= 1003

        def result(self) -> str:
            return "result"

    virtual.loop.call_every(1, int)
    assert virtual.loop.run_until(Slotted()) == "result"
