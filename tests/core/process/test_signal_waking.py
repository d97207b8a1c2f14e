"""What wakes a loop that sleeps in the main thread: any signal, Ctrl-C too; and that nothing of it stays behind.

Read next: ``test_signals``, about the signals that a program asks for.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from reactor.core.loop import Loop
from reactor.ops import Ops
from reactor.testing import ScriptedOps
from tests.core.doubles import real_loop

USR1 = signal.SIGUSR1


def test_a_signal_that_arrives_just_before_the_loop_sleeps_wakes_it(poller_name: str) -> None:
    """The C-level handler runs between the last instruction of Python and the system call: only its byte wakes.

    The signal is blocked until a thread that is not the main one opens it for itself: so the kernel delivers it
    there, and the main thread, asleep, is not even interrupted.
    """
    with real_loop(poller_name) as (loop, failures):
        loop.add_signal_handler(USR1, loop.stop)

        def receive() -> None:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {USR1})
            signal.pthread_kill(threading.get_ident(), USR1)

        previous = signal.pthread_sigmask(signal.SIG_BLOCK, {USR1})
        try:
            thread = threading.Thread(target=receive)
            loop.call_soon(thread.start)
            loop.run()
            thread.join()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, previous)
    assert not failures


@contextmanager
def heard_by_another_thread(loop: Loop) -> Iterator[None]:
    """Have USR1, whose handler raises KeyboardInterrupt, arrive in another thread than the main one, in ``run``.

    So the main thread is not interrupted in its system call, as if the signal had come just before that.
    """

    def receive() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {USR1})
        signal.pthread_kill(threading.get_ident(), USR1)

    handler = signal.signal(USR1, signal.default_int_handler)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {USR1})
    thread = threading.Timer(0.05, receive)  # the main thread sleeps by then; if not, the test is weaker
    try:
        loop.call_soon(thread.start)
        yield
        thread.join()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(USR1, handler)


@pytest.mark.parametrize("run", [Loop.run, lambda loop: loop.run_until(lambda: False)])
def test_a_signal_of_which_the_loop_knows_nothing_wakes_it_too(
    poller_name: str, run: Callable[[Loop], object]
) -> None:
    """Ctrl-C, say: its handler, which raises, runs at once, and not at the next event, which may never come."""
    with real_loop(poller_name) as (loop, failures):
        with heard_by_another_thread(loop), pytest.raises(KeyboardInterrupt):
            run(loop)
        assert signal.set_wakeup_fd(-1) == -1
    assert not failures


def wakeup_fd() -> int:
    """Return the wakeup descriptor that is set, and leave it."""
    found = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(found)
    return found


@pytest.mark.parametrize("has_handler", [False, True])
def test_a_loop_that_is_run_in_a_callback_of_another_is_woken_too(poller_name: str, has_handler: bool) -> None:
    """The main thread sleeps in the inner one; the outer one is woken again afterwards, whatever is set inside."""
    with real_loop(poller_name) as (outer, _), real_loop(poller_name) as (inner, _):
        if has_handler:
            inner.add_signal_handler(signal.SIGUSR2, print)

        def nest() -> None:
            before = wakeup_fd()
            with heard_by_another_thread(inner), pytest.raises(KeyboardInterrupt):
                inner.run_until(lambda: False, 10)
            assert wakeup_fd() == before != -1
            outer.stop()

        outer.call_soon(nest)
        outer.run()
        inner.run_once(0.0001)
        assert (wakeup_fd() == -1) is not has_handler, "the outer one runs no more"


def test_a_wakeup_descriptor_that_was_closed_meanwhile_is_not_put_back() -> None:
    """Its number may be that of another file: the bytes of signals must not get in there."""
    with real_loop() as (idle, _), real_loop() as (inner, _):
        idle.add_signal_handler(USR1, print)
        number = wakeup_fd()
        assert number != -1
        with socket.socket() as other:
            other.setblocking(False)
            inner.call_soon(idle.close)
            inner.call_soon(os.dup2, other.fileno(), number)
            inner.call_soon(inner.stop)
            inner.run()
            os.close(number)
        assert wakeup_fd() == -1


def test_a_handler_that_is_added_to_an_idle_loop_leaves_the_one_that_runs_awake() -> None:
    """Only who runs displaces another."""
    with real_loop() as (running, _), real_loop() as (idle, _):
        found: list[int] = []
        running.call_soon(lambda: found.append(wakeup_fd()))
        running.call_soon(idle.add_signal_handler, USR1, print)
        running.call_soon(lambda: found.append(wakeup_fd()))
        running.call_soon(running.stop)
        running.run()
        assert found[0] == found[1] != -1


def test_one_turn_that_sleeps_is_woken_by_any_signal(poller_name: str) -> None:
    """``run_once`` in a program's own loop is no worse than ``run``."""

    def sleep() -> None:
        while True:
            loop.run_once()

    with real_loop(poller_name) as (loop, _), heard_by_another_thread(loop), pytest.raises(KeyboardInterrupt):
        sleep()


def test_the_wakeup_descriptor_of_a_host_stays_while_the_loop_runs() -> None:
    """asyncio reads the numbers of its signals from it: to take them away would be to lose them."""
    near, far = socket.socketpair()
    with near, far, real_loop() as (loop, _):
        near.setblocking(False)
        signal.set_wakeup_fd(near.fileno())
        try:
            loop.call_soon(signal.raise_signal, signal.SIGCHLD)
            loop.call_soon(loop.stop)
            handler = signal.signal(signal.SIGCHLD, lambda *_: None)
            loop.run()
            signal.signal(signal.SIGCHLD, handler)
        finally:
            assert signal.set_wakeup_fd(-1) == near.fileno()
        assert far.recv(1) == bytes([signal.SIGCHLD])


@pytest.mark.parametrize("moment", ["before", "during"])
@pytest.mark.parametrize("state", ["closed", "blocking"])
def test_a_wakeup_descriptor_that_its_owner_has_left_behind_dead_is_no_obstacle(state: str, moment: str) -> None:
    """``set_wakeup_fd`` refuses to put back what is closed or blocks; it wakes nobody, so nothing is lost."""
    with real_loop() as (loop, failures):
        loop.run_once(0.0001)  # its pair of sockets is open from here on, and takes no number that becomes free
        near, far = socket.socketpair()
        near.setblocking(False)

        def leave_behind() -> None:
            signal.set_wakeup_fd(near.fileno())
            near.close() if state == "closed" else near.setblocking(True)

        if moment == "before":
            leave_behind()
        else:
            loop.call_soon(leave_behind)
        loop.call_soon(loop.stop)
        loop.run()
        loop.run_once(0.0001)
        assert signal.set_wakeup_fd(-1) == -1
        near.close()
        far.close()
    assert not failures


class Struck(Ops):
    """A system in which Ctrl-C strikes at a call of *method*, just before or just after it is carried out."""

    def __init__(self, method: str, count: int, *, is_after: bool) -> None:
        self.method = method
        self.left = count
        self.is_after = is_after

    def _call(self, method: str, *args: int) -> object:
        self.left -= method == self.method
        is_hit = method == self.method and self.left == 0
        if is_hit and not self.is_after:
            raise KeyboardInterrupt
        result = getattr(super(), method)(*args)
        if is_hit:
            raise KeyboardInterrupt
        return result

    def set_wakeup_fd(self, fd: int) -> int:
        return int(self._call("set_wakeup_fd", fd))  # type: ignore[call-overload,no-any-return]

    def is_main_thread(self) -> bool:
        return bool(self._call("is_main_thread"))


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("method", "count"), [("is_main_thread", 1), ("set_wakeup_fd", 1), ("set_wakeup_fd", 2)])
def test_ctrl_c_at_the_edge_of_a_run_leaves_a_loop_that_can_be_run(
    method: str, count: int, is_after: bool
) -> None:
    """At the latest after the next run the wakeup descriptor is given back; at the beginning, at once."""
    with Loop(ops=Struck(method, count, is_after=is_after)) as loop:
        loop.call_soon(loop.stop)
        with pytest.raises(KeyboardInterrupt):
            loop.run()
        assert not loop.is_running()
        if count == 1:
            assert signal.set_wakeup_fd(-1) == -1
        ran: list[int] = []
        loop.call_soon(ran.append, 1)
        loop.call_soon(loop.stop)
        loop.run()
        assert ran == [1]
        assert signal.set_wakeup_fd(-1) == -1


@pytest.mark.parametrize("run", [Loop.run, Loop.run_once, lambda loop: loop.run_until(lambda: True)])
def test_ctrl_c_when_a_run_is_over_leaves_nobody_the_owner_of_the_loop(run: Callable[[Loop], object]) -> None:
    """It strikes where a function is called; else the loop would be "running already" forever, and never end."""

    class Late(Loop):
        __slots__ = ()

        def _end(self) -> None:
            raise KeyboardInterrupt

    with Late() as loop:
        for _ in range(2):
            loop.call_soon(loop.stop)
            with pytest.raises(KeyboardInterrupt):
                run(loop)
            assert not loop.is_running()


def test_the_pair_of_sockets_is_given_back_when_ctrl_c_strikes_while_it_is_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Watched already, and known to nobody, it would be readable forever."""
    with real_loop() as (loop, failures):
        watch = loop.engine.signals._watch

        def struck(sock: socket.socket, callback: Callable[[], object]) -> None:
            watch(sock, callback)
            raise KeyboardInterrupt

        monkeypatch.setattr(loop.engine.signals, "_watch", struck)
        loop.call_soon(loop.stop)
        with pytest.raises(KeyboardInterrupt):
            loop.run()
        assert loop.engine.signals._pair is None
        assert len(loop.registry.poller.get_map()) == 1  # the bell
        monkeypatch.undo()
        loop.run_once(0.0001)
    assert not failures


def test_a_turn_that_does_not_sleep_arranges_for_no_waking() -> None:
    """Neither without a wait, nor when something is ready: that is most turns of a host, and costs as much."""
    ops = ScriptedOps().script("is_main_thread", True)
    with Loop(ops=ops) as loop:
        loop.run_once(0)
        loop.call_soon(print)
        loop.run_once()
        assert "is_main_thread" not in [call[0] for call in ops.calls]
        loop.run_once(0.0001)
        assert "is_main_thread" in [call[0] for call in ops.calls]


def test_a_child_that_another_thread_forks_does_not_take_the_wakeup_descriptor_without_running() -> None:
    """The run that was woken by signals is the parent's."""
    statuses: list[int] = []

    def fork() -> None:
        child = os.fork()
        if child == 0:
            try:
                loop.reopen()
                os._exit(0 if signal.set_wakeup_fd(-1) == -1 else 1)
            finally:
                os._exit(2)
        statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        loop.call_soon_threadsafe(loop.stop)

    with real_loop() as (loop, failures):
        thread = threading.Thread(target=fork)
        loop.call_soon(thread.start)
        loop.run()
        thread.join()
    assert statuses == [0]
    assert not failures


def test_a_loop_in_another_thread_opens_nothing_for_signals() -> None:
    """No handler of Python's runs there."""
    with real_loop() as (loop, _):
        loop.call_soon(loop.stop)
        thread = threading.Thread(target=loop.run)
        thread.start()
        thread.join()
        assert loop.engine.signals._pair is None


def test_a_loop_runs_without_descriptors_for_signals() -> None:
    """EMFILE: whoever has a loop already can run it; the pair of sockets is tried for again the next time."""
    ops = ScriptedOps().script("is_main_thread", True, True).script("socketpair", OSError(errno.EMFILE, "full"))
    with Loop(ops=ops) as loop:
        for is_full in (True, False):
            loop.call_soon(loop.add_signal_handler, USR1, print)
            loop.call_soon(loop.remove_signal_handler, USR1)  # with the last one its pair of sockets goes
            loop.call_soon(loop.stop)
            loop.run()
            assert (loop.engine.signals._pair is None) is is_full


def test_a_handler_that_is_removed_during_a_run_leaves_the_loop_awake_for_others() -> None:
    """The wakeup descriptor is given back at the end of the run, not before."""
    with real_loop() as (loop, _):
        loop.add_signal_handler(USR1, print)
        loop.call_soon(loop.remove_signal_handler, USR1)
        found: list[int] = []

        def look() -> None:
            found.append(signal.set_wakeup_fd(-1))
            signal.set_wakeup_fd(found[0])
            loop.stop()

        loop.call_later(0, look)
        loop.run()
        assert found[0] >= 0
        assert signal.set_wakeup_fd(-1) == -1


def test_the_wakeup_descriptor_stays_between_runs_while_a_handler_is_set() -> None:
    """A signal of ours that comes in between is found by the next run, which it wakes."""
    with real_loop() as (loop, _):
        loop.add_signal_handler(USR1, print)
        loop.run_once(0.0001)
        found = signal.set_wakeup_fd(-1)
        assert found >= 0
        signal.set_wakeup_fd(found)
        loop.remove_signal_handler(USR1)
        assert signal.set_wakeup_fd(-1) == -1


def test_a_forked_child_that_goes_on_is_woken_by_any_signal() -> None:
    """It gives up the parent's pair of sockets and has, after ``reopen``, one of its own."""
    with real_loop() as (loop, _):

        def fork() -> None:
            child = os.fork()
            if child == 0:
                try:
                    before = loop.engine.signals._pair
                    loop.reopen()
                    os._exit(0 if before is None and loop.engine.signals._pair is not None else 1)
                finally:
                    os._exit(2)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            loop.stop()

        loop.call_soon(fork)
        loop.run()
