"""A child that was forked while its parent's reactor was open: it cannot disturb the parent, and knows what it is.

The children here do what they have to do and exit with the number of what went wrong, 0 for nothing.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
import threading
import traceback
import warnings
from collections.abc import Callable

import pytest

from reactor.core.loop import Loop
from reactor.errors import ForkedReactor, ReactorClosed, UsageError
from tests.core.doubles import real_loop, socket_pair, turns

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


def in_child(work: Callable[[], object]) -> int:
    """Fork, do *work* in the child, and return the child's number; it exits with 1 if *work* raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: a fork while threads run
        child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    return child


def succeeded(child: int) -> bool:
    """Wait for *child* and return True if it raised nothing."""
    return os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("foreign", [False, True], ids=["ours", "stdlib"])
def test_the_parent_goes_on_receiving_when_the_child_has_closed_everything(poller_name: str, foreign: bool) -> None:
    """An epoll set is shared, not copied: whoever unregisters something there does it for parent and child."""
    selector = getattr(selectors, f"{poller_name.capitalize()}Selector")() if foreign else poller_name
    with real_loop(selector) as (loop, failures), socket_pair() as (left, right):
        loop.add_reader(left, lambda: received.append(left.recv(100)))
        received: list[bytes] = []

        def let_go() -> None:
            loop.remove_reader(left)
            loop.close()
            left.close()

        assert succeeded(in_child(let_go))
        right.send(b"to the parent")
        turns(loop)
        loop.call_soon_threadsafe(received.append, b"from a thread")
        turns(loop)
        loop.remove_reader(left)
    assert received == [b"to the parent", b"from a thread"]
    assert not failures


@pytest.mark.parametrize("method", ["run", "run_once", "run_until", "add_reader", "add_writer"])
def test_the_child_refuses_until_it_is_opened_anew(poller_name: str, method: str) -> None:
    """A clear error instead of events that belong to somebody else."""
    with real_loop(poller_name) as (loop, _), socket_pair() as (left, _right):

        def refuse() -> None:
            args = {"run_until": (bool,), "add_reader": (left, print), "add_writer": (left, print)}.get(method, ())
            with pytest.raises(ForkedReactor, match="reopen"):
                getattr(loop, method)(*args)

        assert succeeded(in_child(refuse))


def test_the_child_serves_what_was_registered_when_it_is_opened_anew(poller_name: str) -> None:
    """Readers, timers and calls of before are there; threads can wake it; its deeds are not seen here."""
    with real_loop(poller_name) as (loop, failures), socket_pair() as (left, right):
        steps: list[bytes] = []
        loop.add_reader(left, lambda: steps.append(left.recv(100)))
        loop.call_soon(steps.append, b"soon")
        right.send(b"data")

        def serve() -> None:
            loop.call_soon_threadsafe(steps.append, b"posted before reopen")
            loop.reopen()
            assert loop.selector_name == poller_name
            thread = threading.Thread(target=loop.call_soon_threadsafe, args=(steps.append, b"thread"))
            loop.call_soon(thread.start)
            loop.run_until(lambda: len(steps) == 4, timeout=10)
            assert set(steps) == {b"soon", b"data", b"posted before reopen", b"thread"}
            with pytest.raises(UsageError, match="forked"):
                loop.reopen()
            loop.close()
            with pytest.raises(ReactorClosed):
                loop.reopen()

        assert succeeded(in_child(serve))
        turns(loop)
        assert steps == [b"soon"]  # the child has read the data: the socket is shared, the loop is not
        loop.remove_reader(left)
    assert not failures


def test_what_the_child_has_closed_is_left_out_when_it_is_opened_anew(poller_name: str) -> None:
    """ "Close those first that are not this process's business", says ``reopen``: sockets and bare numbers."""
    with real_loop(poller_name) as (loop, _), socket_pair() as (left, right), socket_pair() as (one, two):
        loop.add_reader(left, print)
        loop.add_reader(one.fileno(), print)
        loop.add_writer(right, loop.stop)

        def serve() -> None:
            left.close()
            os.close(one.fileno())
            loop.reopen()
            loop.run()
            assert not loop.remove_reader(left)
            turns(loop)
            assert not loop.remove_reader(two)

        assert succeeded(in_child(serve))
        for sock in (left, right, one):
            loop.remove_reader(sock)
            loop.remove_writer(sock)


@pytest.mark.parametrize("where", ["soon", "reader", "timer", "turn end"])
def test_the_rest_of_the_turn_is_the_parents_when_a_callback_forks(poller_name: str, where: str) -> None:
    """The child returns from the callback into the middle of a turn.  It must not read what the parent is about to
    read, nor send a second time what the parent is about to send; its ``run`` raises at the next step.
    """
    steps: list[str] = []
    to_come = {"soon": {"soon", "timer", "flush"}, "turn end": {"flush"}}.get(where, {"timer", "flush"})
    child = -1

    def forks() -> None:
        nonlocal child
        if child < 0:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                child = os.fork()
            steps.clear()

    with real_loop(poller_name) as (loop, failures), socket_pair() as (left, right), socket_pair() as (one, two):
        right.send(b"x")
        two.send(b"x")
        for sock in (left, one):
            loop.add_reader(sock, forks if where == "reader" else lambda: None)
            loop.add_writer(sock, steps.append, "writer")
        if where == "soon":
            loop.call_soon(forks)
        loop.call_soon(steps.append, "soon")
        if where == "timer":
            loop.call_later(0, forks)
        loop.call_later(0, steps.append, "timer")
        if where == "turn end":
            loop.call_at_turn_end(forks)
        loop.call_at_turn_end(lambda: steps.append("flush"))
        try:
            loop.run_once(0)
            if child == 0:
                assert steps == []
                with pytest.raises(ForkedReactor):
                    loop.run_once(0)
                loop.reopen()
                loop.run_once(0)
                assert to_come <= set(steps)
        finally:
            if child == 0:
                if sys.exc_info()[0] or failures:
                    traceback.print_exc()
                    os._exit(1)
                os._exit(0)
        for sock in (left, one):
            loop.remove_reader(sock)
            loop.remove_writer(sock)
        assert succeeded(child)
        assert to_come == {step for step in steps if step != "writer"}


def test_the_child_can_run_when_it_was_forked_by_a_thread_that_does_not_run_the_loop(poller_name: str) -> None:
    """The thread that ran the loop does not exist in the child; the loop is idle there, not owned by a ghost."""
    results: list[bool] = []

    def serve() -> None:
        assert "idle" in repr(loop)
        loop.reopen()
        loop.call_soon(loop.stop)
        loop.run()

    def fork() -> None:
        results.append(succeeded(in_child(serve)))
        loop.call_soon_threadsafe(loop.stop)

    with real_loop(poller_name) as (loop, failures):
        thread = threading.Thread(target=fork)
        loop.call_soon(thread.start)
        loop.run()
        thread.join()
    assert results == [True]
    assert not failures


def test_a_child_of_a_child_is_told_as_well(poller_name: str) -> None:
    """Whether the first child opened its reactor anew or not."""
    with real_loop(poller_name) as (loop, _):

        def grandchild() -> None:
            with pytest.raises(ForkedReactor):
                loop.run_once(0)
            loop.reopen()
            turns(loop)

        def child(reopens: bool) -> None:
            if reopens:
                loop.reopen()
            assert succeeded(in_child(grandchild))

        assert succeeded(in_child(lambda: child(True)))
        assert succeeded(in_child(lambda: child(False)))


def test_signals_of_the_parent_are_not_run_in_the_child() -> None:
    """What had arrived before the fork was meant for the parent; the child's own arrive after ``reopen``."""
    with real_loop() as (loop, _):
        steps: list[str] = []
        loop.add_signal_handler(signal.SIGUSR1, steps.append, "signal")
        signal.raise_signal(signal.SIGUSR1)

        def serve() -> None:
            loop.reopen()
            turns(loop, 2)
            assert steps == []
            signal.raise_signal(signal.SIGUSR1)
            turns(loop, 2)
            assert steps == ["signal"]
            assert signal.set_wakeup_fd(-1) >= 0
            loop.close()
            assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL

        assert succeeded(in_child(serve))
        turns(loop, 2)
        assert steps == ["signal"]


def test_the_child_of_a_closed_reactor_hears_nothing() -> None:
    """A closed one, and one that was forgotten, are not watched any more."""
    loop = Loop()
    loop.close()

    def child() -> None:
        with pytest.raises(ReactorClosed):
            loop.run_once(0)
        with Loop() as own:
            turns(own)

    assert succeeded(in_child(child))


def test_the_parent_does_not_notice_when_its_child_dies_with_an_open_reactor() -> None:
    """No clean-up in the child, not even an exit handler: the shared socket lives on."""
    with real_loop() as (loop, failures), socket_pair() as (left, right):
        received: list[bytes] = []
        loop.add_reader(left, lambda: received.append(left.recv(100)))
        child = in_child(lambda: os.kill(os.getpid(), signal.SIGKILL))
        os.waitpid(child, 0)
        right.send(b"x")
        turns(loop)
        loop.remove_reader(left)
        assert isinstance(left, socket.socket)
    assert received == [b"x"]
    assert not failures
