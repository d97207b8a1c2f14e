"""The bell: rung by any thread, heard once, never lost, and silent after the loop is closed."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator

import pytest

import reactor.core.wakeup
from reactor.core.loop import Loop
from reactor.core.wakeup import Wakeup
from reactor.errors import ReactorClosed
from reactor.ops import Ops
from reactor.testing import ScriptedOps
from tests.core.doubles import Virtual, real_loop, turns, virtual_loop


@pytest.fixture(params=["eventfd", "socketpair"])
def bell_kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of making a bell, on every system that has both."""
    kind: str = request.param
    if kind == "eventfd" and not hasattr(os, "eventfd"):
        pytest.skip("this system has no eventfd")
    monkeypatch.setattr(reactor.core.wakeup, "HAS_EVENTFD", kind == "eventfd")
    return kind


@pytest.fixture
def virtual() -> Iterator[Virtual]:
    """A loop in virtual time."""
    with virtual_loop() as made:
        yield made


def writes(ops: ScriptedOps) -> int:
    """How often a bell was rung through to the kernel."""
    return sum(call[0] == "eventfd_raise" for call in ops.calls)


def test_a_sleeping_loop_wakes_when_a_thread_calls(poller_name: str, bell_kind: str) -> None:
    """The loop has no timer: it would sleep forever."""
    with real_loop(poller_name) as (loop, failures):
        thread = threading.Thread(target=loop.call_soon_threadsafe, args=(loop.stop,))
        loop.call_soon(thread.start)
        loop.run()
        thread.join()
    assert not failures


def test_many_calls_cost_one_write_when_the_loop_has_not_heard_yet(virtual: Virtual) -> None:
    """A thousand calls, one byte; after it was heard, the next call rings again."""
    steps: list[int] = []
    for number in range(1000):
        virtual.loop.call_soon_threadsafe(steps.append, number)
    assert writes(virtual.ops) == 1
    turns(virtual.loop)
    assert steps == list(range(1000))
    virtual.loop.call_soon_threadsafe(steps.append, 1000)
    assert writes(virtual.ops) == 2
    turns(virtual.loop)
    assert steps[-1] == 1000


def test_a_call_that_arrives_while_the_bell_is_silenced_is_not_lost(virtual: Virtual) -> None:
    """The narrowest place: the counter is zero already, the flag still up; a thread appends and does not ring."""
    steps: list[str] = []
    clear = ScriptedOps.eventfd_clear

    class Racing(ScriptedOps):
        __slots__ = ()

        def eventfd_clear(self, fd: int) -> None:
            clear(self, fd)
            virtual.loop.call_soon_threadsafe(steps.append, "racing")

    virtual.loop.engine.wakeup._ops = Racing(virtual.poller)
    virtual.loop.call_soon_threadsafe(steps.append, "first")
    turns(virtual.loop)
    virtual.loop.engine.wakeup._ops = virtual.ops
    assert virtual.loop.next_timeout() == 0
    turns(virtual.loop)
    assert steps == ["first", "racing"]


def test_calls_of_many_threads_all_arrive_in_their_order(poller_name: str, bell_kind: str) -> None:
    """Eight threads, each in its own order, while the loop wakes and sleeps in between."""
    arrived: list[tuple[int, int]] = []
    count, threads = 200, []
    with real_loop(poller_name) as (loop, failures):

        def post(thread: int) -> None:
            for number in range(count):
                loop.call_soon_threadsafe(arrived.append, (thread, number))

        threads = [threading.Thread(target=post, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        loop.run_until(lambda: len(arrived) == 8 * count, timeout=20)
        for thread in threads:
            thread.join()
    assert sorted(arrived) == [(t, n) for t in range(8) for n in range(count)]
    for thread_number in range(8):
        assert [n for t, n in arrived if t == thread_number] == list(range(count))
    assert not failures


def test_a_call_from_the_loops_own_thread_is_as_good(virtual: Virtual) -> None:
    """``call_soon_threadsafe`` may be called by anyone, a callback of the loop included."""
    steps: list[str] = []
    virtual.loop.call_soon(virtual.loop.call_soon_threadsafe, steps.append, "x")
    turns(virtual.loop, 2)
    assert steps == ["x"]


def test_ringing_after_close_touches_nothing(bell_kind: str) -> None:
    """The number may be somebody else's file by now: it is not written to."""
    bell = Wakeup(Ops())
    fd = bell.fd
    bell.close()
    reader, writer = os.pipe()
    try:
        os.dup2(reader, fd) if fd not in (reader, writer) else None
        bell.ring()
        bell.close()
        assert os.get_blocking(reader)
    finally:
        for number in {reader, writer, fd}:
            os.close(number)


@pytest.mark.slow
def test_posting_while_the_loop_is_closed_is_refused_or_ignored_but_never_harmful(bell_kind: str) -> None:
    """Two hundred rounds of a thread that posts for as long as it is allowed to, and a loop that closes under it.

    The one forbidden outcome is a write to a descriptor that has been given back: pipes that take the number over
    must stay empty.
    """
    for _ in range(200):
        loop = Loop()
        started = threading.Event()

        def post(loop: Loop = loop, started: threading.Event = started) -> None:
            started.set()
            try:
                while True:
                    loop.call_soon_threadsafe(int)
                    loop.engine.wakeup._rung = False  # so that every call really rings
            except (ReactorClosed, BlockingIOError):  # closed, or rung so often that the pair is full
                pass

        thread = threading.Thread(target=post)
        thread.start()
        started.wait()
        loop.run_once(0)
        loop.close()
        pipes = [os.pipe2(os.O_NONBLOCK) for _ in range(3)]
        thread.join()
        for reader, writer in pipes:
            with pytest.raises(BlockingIOError):
                os.read(reader, 1)
            os.close(reader)
            os.close(writer)


@pytest.mark.parametrize("operation", ["eventfd_raise", "eventfd_clear"])
def test_the_bell_is_rung_again_when_ctrl_c_struck_in_the_middle(virtual: Virtual, operation: str) -> None:
    """KeyboardInterrupt can come between the flag and the write; the flag must not stay up over a silent bell."""
    steps: list[str] = []
    if operation == "eventfd_clear":
        virtual.loop.call_soon_threadsafe(steps.append, "before")
        virtual.ops.script(operation, KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            virtual.loop.run_once()
    else:
        virtual.ops.script(operation, KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            virtual.loop.call_soon_threadsafe(steps.append, "before")
    virtual.loop.call_soon_threadsafe(steps.append, "after")
    turns(virtual.loop, 2)
    assert steps == ["before", "after"]


def test_the_bell_can_be_rung_again_when_ctrl_c_struck_just_after_it_was_cleared() -> None:
    """The counter is zero, the flag not lowered yet: it must come down on the way out."""

    class Struck(Ops):
        __slots__ = ()

        def eventfd_clear(self, fd: int) -> None:
            super().eventfd_clear(fd)
            raise KeyboardInterrupt

    steps: list[str] = []
    with Loop(ops=Struck()) as loop:
        loop.call_soon_threadsafe(steps.append, "posted")
        with pytest.raises(KeyboardInterrupt):
            loop.run_once(0)
        loop.engine.wakeup._ops = Ops()
        loop.run_until(lambda: steps, timeout=5)
    assert steps == ["posted"]


def test_what_threads_posted_is_not_forgotten_when_ctrl_c_struck_after_the_bell_was_silenced(
    virtual: Virtual,
) -> None:
    """The bell is silent, the queue is full, and ``run`` was left: the next run must not sleep over it."""
    steps: list[str] = []
    virtual.loop.call_soon_threadsafe(steps.append, "posted")
    virtual.loop.add_signal_handler(10, print)
    signals = virtual.loop.engine.signals

    class Interrupted:
        def take_arrived(self) -> object:
            raise KeyboardInterrupt

        def __getattr__(self, name: str) -> object:
            return getattr(signals, name)

    virtual.loop.engine.signals = Interrupted()  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        virtual.loop.run_once()
    virtual.loop.engine.signals = signals
    virtual.loop.run_until(lambda: steps)
    assert steps == ["posted"]


def test_silencing_a_silent_bell_is_harmless(bell_kind: str) -> None:
    """A poller may report what is not there; then there is nothing to read."""
    bell = Wakeup(Ops())
    bell.silence()
    bell.ring()
    bell.ring()
    bell.silence()
    bell.silence()
    bell.close()


def test_the_bell_still_works_when_a_signal_handler_rings_it_inside_ring(bell_kind: str) -> None:
    """A signal handler interrupts the holder of the lock, in the same thread, and rings as well."""

    class Interrupted(Ops):
        __slots__ = ()

        def eventfd_raise(self, fd: int) -> None:
            bell._rung = False
            if depth:
                depth.pop()
                bell.ring()
            super().eventfd_raise(fd)

    depth = [1, 1, 1]
    bell = Wakeup(Interrupted())
    bell.ring()
    bell.silence()
    assert not bell._rung
    bell.close()


def test_the_wrong_error_of_the_kernel_is_not_swallowed_when_ringing_fails() -> None:
    """If the bell cannot be rung, the caller is told, and the next caller tries again."""
    with virtual_loop() as virtual:
        virtual.ops.script("eventfd_raise", OSError(errno.EIO, "broken"))
        with pytest.raises(OSError, match="broken"):
            virtual.loop.call_soon_threadsafe(int)
        virtual.loop.call_soon_threadsafe(int)
        assert writes(virtual.ops) == 2
        turns(virtual.loop)
