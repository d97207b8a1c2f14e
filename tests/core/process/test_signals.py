"""Signals as callbacks: nothing lost, nothing hijacked, everything put back.

Most tests deliver signals by hand; a few let the kernel do it, since only the kernel knows how.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

from reactor.errors import OptionError, WrongThread
from tests.core.doubles import Virtual, real_loop, turns, virtual_loop

USR1 = signal.SIGUSR1


@pytest.fixture
def virtual() -> Iterator[Virtual]:
    """A loop in virtual time."""
    with virtual_loop() as made:
        yield made


def foreign_handler(signum: int, frame: FrameType | None) -> None:
    """A handler that somebody else installed."""


def test_a_callback_runs_for_each_arrival(virtual: Virtual) -> None:
    """Three arrivals before the loop looks are three calls, in order, with the signal's own arguments."""
    steps: list[str] = []
    virtual.loop.add_signal_handler(10, steps.append, "ten")
    virtual.loop.add_signal_handler(12, steps.append, "twelve")
    for signum in (10, 12, 10):
        virtual.ops.deliver(signum)
    turns(virtual.loop, 2)
    assert steps == ["ten", "twelve", "ten"]


def test_the_latest_callback_runs_when_a_signal_is_given_another(virtual: Virtual) -> None:
    """One callback per signal; the handler is installed once."""
    steps: list[str] = []
    virtual.loop.add_signal_handler(10, steps.append, "old")
    virtual.loop.add_signal_handler(10, steps.append, "new")
    virtual.ops.deliver(10)
    turns(virtual.loop, 2)
    assert steps == ["new"]
    assert len([call for call in virtual.ops.calls if call[0] == "set_signal"]) == 1


def test_a_signal_that_arrived_is_dropped_when_its_handler_was_removed_meanwhile(virtual: Virtual) -> None:
    """Whoever removes a handler does not want to hear of it any more."""
    virtual.loop.add_signal_handler(10, pytest.fail, "it was removed")
    virtual.ops.deliver(10)
    assert virtual.loop.remove_signal_handler(10)
    assert not virtual.loop.remove_signal_handler(10)
    turns(virtual.loop, 2)
    assert virtual.ops.handlers == {10: signal.SIG_DFL}


@pytest.mark.parametrize("how", ["remove", "close"])
def test_the_previous_handler_is_put_back(virtual: Virtual, how: str) -> None:
    """Nothing is hijacked: handler and wakeup descriptor are as they were."""
    virtual.ops.handlers[10] = foreign_handler
    virtual.loop.add_signal_handler(10, print)
    assert virtual.ops.wakeup_fd >= 0
    virtual.loop.remove_signal_handler(10) if how == "remove" else virtual.loop.close()
    assert virtual.ops.handlers == {10: foreign_handler}
    assert virtual.ops.wakeup_fd == -1


def test_a_handler_that_was_installed_over_ours_stays_when_ours_is_removed(virtual: Virtual) -> None:
    """Two loops, or a library that takes the signal later: removing ours must not silence theirs."""
    virtual.loop.add_signal_handler(10, print)
    virtual.ops.handlers[10] = foreign_handler
    assert virtual.loop.remove_signal_handler(10)
    assert virtual.ops.handlers == {10: foreign_handler}


@pytest.mark.parametrize("in_place", [False, True])
def test_a_wakeup_descriptor_of_somebody_else_stays_in_place(virtual: Virtual, in_place: bool) -> None:
    """A hosting asyncio loop has its own; ours is not pressed upon it, neither at the beginning nor at the end."""
    if in_place:
        virtual.ops.wakeup_fd = 777
    virtual.loop.add_signal_handler(10, print)
    virtual.ops.wakeup_fd = 777
    virtual.loop.remove_signal_handler(10)
    assert virtual.ops.wakeup_fd == 777


@pytest.mark.parametrize(
    ("operation", "error"),
    [
        ("set_signal", ValueError("signal only works in main thread")),
        ("set_signal", OSError(errno.EINVAL, "invalid")),
    ],
)
def test_nothing_is_changed_when_no_handler_can_be_set(virtual: Virtual, operation: str, error: Exception) -> None:
    """OptionError says why; no handler, no pair of sockets and no wakeup descriptor is left behind."""
    virtual.ops.script(operation, error)
    with pytest.raises(OptionError, match="only the main thread"):
        virtual.loop.add_signal_handler(10, print)
    assert virtual.ops.handlers == {}
    assert virtual.ops.wakeup_fd == -1
    assert len(virtual.poller.get_map()) == 1  # the bell
    assert not virtual.loop.remove_signal_handler(10)


def test_no_handler_is_installed_when_the_pair_of_sockets_cannot_be_opened(virtual: Virtual) -> None:
    """EMFILE in the second step: the first must not have happened."""
    virtual.ops.script("socketpair", OSError(errno.EMFILE, "full"))
    with pytest.raises(OSError, match="full"):
        virtual.loop.add_signal_handler(10, print)
    assert virtual.ops.handlers == {}
    virtual.loop.add_signal_handler(10, print)


def test_closing_from_another_thread_is_refused_while_handlers_are_set(virtual: Virtual) -> None:
    """Only the main thread can put a handler back; refused as a whole, and possible later."""
    virtual.loop.add_signal_handler(10, print)
    virtual.ops.script("set_signal", ValueError("signal only works in main thread"))
    with pytest.raises(WrongThread, match="main thread"):
        virtual.loop.close()
    assert virtual.loop.remove_signal_handler(10)


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGSTOP, 0, 4711])
def test_a_signal_that_cannot_be_caught_is_refused(signum: int) -> None:
    """The real ``signal`` module decides; what it raises is told in the reactor's own words."""
    with real_loop() as (loop, _), pytest.raises(OptionError, match=f"signal {signum:d}"):
        loop.add_signal_handler(signum, print)


def test_a_handler_cannot_be_set_in_another_thread() -> None:
    """Python allows it in the main thread only."""
    found: list[BaseException] = []

    def other() -> None:
        try:
            loop.add_signal_handler(USR1, print)
        except OptionError as exc:
            found.append(exc)

    with real_loop() as (loop, _):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(found) == 1
    assert "main thread" in str(found[0])


def test_a_real_signal_wakes_a_sleeping_loop(poller_name: str) -> None:
    """No timer is set.  A child process sends the signal, and the callback stops the loop."""
    with real_loop(poller_name) as (loop, failures):
        loop.add_signal_handler(USR1, loop.stop)
        parent, child = os.getpid(), os.fork()
        if child == 0:
            os.kill(parent, USR1)
            os._exit(0)
        loop.run()
        os.waitpid(child, 0)
    assert not failures


def test_no_signal_is_lost_when_the_wakeup_pipe_is_full() -> None:
    """The byte only wakes; the signal itself lies in a queue, however full the pair of sockets is."""
    count = 0

    def arrived() -> None:
        nonlocal count
        count += 1

    with real_loop() as (loop, failures):
        loop.add_signal_handler(USR1, arrived)
        pair = loop.engine.signals._pair
        assert pair is not None
        try:
            while True:
                pair[1].send(b"\0" * 4096)
        except BlockingIOError:
            pass
        for _ in range(300):
            signal.raise_signal(USR1)
        turns(loop, 2)
        assert count == 300
        with pytest.raises(BlockingIOError):
            pair[0].recv(1)
    assert not failures


def test_a_signal_runs_when_it_comes_inside_a_callback(virtual: Virtual) -> None:
    """It is taken in at the next turn, which does not sleep."""
    steps: list[str] = []
    virtual.loop.add_signal_handler(10, steps.append, "signal")
    virtual.loop.call_soon(lambda: (virtual.ops.deliver(10), steps.append("callback")))
    virtual.loop.run_until(lambda: len(steps) == 2)
    assert steps == ["callback", "signal"]


def test_other_system_calls_are_not_interrupted_by_our_handlers(virtual: Virtual) -> None:
    """The handler is installed with SA_RESTART, for the sake of C libraries that know no PEP 475."""
    virtual.loop.add_signal_handler(10, print)
    assert ("restart_system_calls", 10) in virtual.ops.calls


def test_the_pair_of_sockets_is_given_back_when_it_cannot_be_watched(virtual: Virtual) -> None:
    """The second step fails, the first is undone: nothing is open, nothing is set."""
    left, right = socket.socketpair()
    virtual.ops.script("socketpair", (left, right))

    def refuse(fd: int, events: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    class Refusing(type(virtual.poller)):  # type: ignore[misc]
        __slots__ = ()
        _watch = staticmethod(refuse)

    virtual.poller.__class__ = Refusing
    with pytest.raises(OSError, match="full"):
        virtual.loop.add_signal_handler(10, print)
    assert left.fileno() == right.fileno() == -1
    assert virtual.ops.handlers == {}
