"""A reactor that is run by somebody else's loop: a bare select, asyncio, another reactor, Tk.

The contract has three methods: the host watches ``fileno()``, sleeps no longer than ``next_timeout()``, and then
calls ``run_once(0)``.  Whatever would need an earlier call makes ``fileno()`` readable.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import select
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reactor.core.loop import Loop
from reactor.testing import VirtualClock
from tests.core.doubles import real_loop, socket_pair, turns

HOSTABLE = [name for name in ("epoll", "kqueue") if hasattr(select, name)]

pytestmark = pytest.mark.skipif(not HOSTABLE, reason="this system has neither epoll nor kqueue")


@pytest.fixture(params=HOSTABLE)
def guest(request: pytest.FixtureRequest) -> Iterator[Loop]:
    """A reactor that can be hosted; nothing may fail in it unseen."""
    with real_loop(request.param) as (loop, failures):
        yield loop
    assert not failures


def is_readable(loop: Loop) -> bool:
    """What a host sees."""
    return bool(select.select([loop.fileno()], [], [], 0)[0])


def host_by_select(loop: Loop, is_done: Callable[[], object]) -> None:
    """The smallest host: ten lines that any foreign loop can copy."""
    while not is_done():
        select.select([loop.fileno()], [], [], loop.next_timeout())
        loop.run_once(0)


class HostedByReactor:
    """A reactor inside another: one reader and one timer, armed anew after every turn of the guest."""

    def __init__(self, outer: Loop, inner: Loop) -> None:
        self.outer, self.inner = outer, inner
        self.timer = outer.call_later(0, self.turn)
        outer.add_reader(inner.fileno(), self.turn)

    def turn(self) -> None:
        """Let the guest do what is ready."""
        self.inner.run_once(0)
        wait = self.inner.next_timeout()
        self.timer.cancel()
        if wait is not None:
            self.timer = self.outer.call_later(wait, self.turn)

    def close(self) -> None:
        """Part from the guest."""
        self.timer.cancel()
        self.outer.remove_reader(self.inner.fileno())


class HostedByAsyncio:
    """The same inside asyncio."""

    def __init__(self, inner: Loop) -> None:
        self.outer = asyncio.get_running_loop()
        self.inner = inner
        self.timer = self.outer.call_soon(self.turn)
        self.outer.add_reader(inner.fileno(), self.turn)

    def turn(self) -> None:
        """Let the guest do what is ready."""
        self.timer.cancel()
        self.inner.run_once(0)
        wait = self.inner.next_timeout()
        if wait is not None:
            self.timer = self.outer.call_later(wait, self.turn)

    def close(self) -> None:
        """Part from the guest."""
        self.timer.cancel()
        self.outer.remove_reader(self.inner.fileno())


def play(loop: Loop, left: socket.socket, right: socket.socket, steps: list[str]) -> None:
    """A bit of everything: a call, a timer that writes, a reader, a call from a thread, a timer that ends it."""
    thread = threading.Thread(target=loop.call_soon_threadsafe, args=(steps.append, "thread"))

    def read() -> None:
        steps.append(left.recv(10).decode())
        loop.remove_reader(left)
        thread.start()
        loop.call_later(0.001, finish)

    def finish() -> None:
        thread.join()
        loop.call_soon(lambda: loop.call_soon(steps.append, "end"))

    loop.add_reader(left, read)
    loop.call_soon(steps.append, "soon")
    loop.call_later(0.002, right.send, b"data")


STEPS = {"soon", "data", "thread", "end"}


def test_a_bare_select_hosts_the_reactor(guest: Loop) -> None:
    """No framework at all."""
    steps: list[str] = []
    with socket_pair() as (left, right):
        play(guest, left, right, steps)
        host_by_select(guest, lambda: "end" in steps)
    assert set(steps) == STEPS


@pytest.mark.parametrize("outer_poller", ["select", "poll", "epoll"])
def test_another_reactor_hosts_the_reactor(guest: Loop, outer_poller: str) -> None:
    """Whatever the poller of the host."""
    if not hasattr(select, outer_poller):
        pytest.skip(f"this system has no {outer_poller}")
    steps: list[str] = []
    with real_loop(outer_poller) as (outer, failures), socket_pair() as (left, right):
        play(guest, left, right, steps)
        hosted = HostedByReactor(outer, guest)
        outer.run_until(lambda: "end" in steps, timeout=10)
        hosted.close()
        assert not failures
    assert set(steps) == STEPS


def test_asyncio_hosts_the_reactor(guest: Loop) -> None:
    """Both loops in one thread, and a coroutine that waits for what the reactor does."""
    steps: list[str] = []

    async def main() -> None:
        hosted = HostedByAsyncio(guest)
        done = asyncio.get_running_loop().create_future()
        with socket_pair() as (left, right):
            play(guest, left, right, steps)
            guest.call_later(0.01, done.set_result, None)
            await done
            while "end" not in steps:
                await asyncio.sleep(0)
        hosted.close()

    asyncio.run(main())
    assert set(steps) == STEPS


def test_signals_reach_a_reactor_that_asyncio_hosts(guest: Loop) -> None:
    """asyncio's wakeup descriptor was there first and stays; it wakes the thread, the bell wakes the reactor."""
    steps: list[str] = []

    async def main() -> None:
        outer = asyncio.get_running_loop()
        done = outer.create_future()
        outer.add_signal_handler(signal.SIGUSR2, steps.append, "asyncio's")
        in_place = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(in_place)
        hosted = HostedByAsyncio(guest)
        guest.add_signal_handler(signal.SIGUSR1, lambda: (steps.append("ours"), done.set_result(None)))
        outer.call_later(0.001, os.kill, os.getpid(), signal.SIGUSR2)
        outer.call_later(0.002, os.kill, os.getpid(), signal.SIGUSR1)
        await done
        guest.remove_signal_handler(signal.SIGUSR1)
        assert signal.set_wakeup_fd(in_place) == in_place
        hosted.close()
        outer.remove_signal_handler(signal.SIGUSR2)

    asyncio.run(main())
    assert set(steps) == {"asyncio's", "ours"}


@pytest.mark.skipif(importlib.util.find_spec("_tkinter") is None, reason="this Python was built without Tk")
def test_tk_hosts_the_reactor(guest: Loop) -> None:
    """Tk's ``createfilehandler`` and ``after``, on a display if there is one."""
    import tkinter

    steps: list[str] = []
    try:
        root = tkinter.Tk()
    except tkinter.TclError as exc:
        pytest.skip(f"no display: {exc}")
    root.withdraw()

    def turn(*_: Any) -> None:
        guest.run_once(0)
        wait = guest.next_timeout()
        if wait is not None:
            root.after(int(wait * 1000) + 1, turn)
        if "end" in steps:
            root.quit()

    with socket_pair() as (left, right):
        play(guest, left, right, steps)
        root.createfilehandler(guest, tkinter.READABLE, turn)
        root.after(0, turn)
        root.mainloop()
        root.deletefilehandler(guest)
    root.destroy()
    assert set(steps) == STEPS


# -- the contract itself, without a host -----------------------------------------------------------------------


def test_the_host_may_sleep_for_ever_when_there_is_nothing_to_do(guest: Loop) -> None:
    """No timer, nothing ready: None, and the descriptor is silent."""
    turns(guest)
    assert guest.next_timeout() is None
    assert not is_readable(guest)


def test_the_host_must_not_sleep_when_something_is_ready(guest: Loop) -> None:
    """A call that waits, or a stop that was asked for."""
    guest.call_soon(int)
    assert guest.next_timeout() == 0
    turns(guest)
    guest.call_at_turn_end(lambda: None)
    assert guest.next_timeout() == 0
    turns(guest)
    assert guest.next_timeout() is None


def test_the_host_sleeps_until_the_next_timer(guest: Loop) -> None:
    """In seconds, and never less than none."""
    timer = guest.call_later(50, print)
    wait = guest.next_timeout()
    assert wait is not None
    assert 49 < wait <= 50
    timer.reschedule(guest.time() - 5)
    assert guest.next_timeout() == 0
    timer.cancel()


@pytest.mark.parametrize(
    "ask",
    [
        lambda loop, timer: loop.call_later(1, int),
        lambda loop, timer: loop.call_at(loop.time() + 1, int),
        lambda loop, timer: loop.call_every(1, int),
        lambda loop, timer: loop.call_soon(int),
        lambda loop, timer: loop.call_soon_threadsafe(int),
        lambda loop, timer: timer.reschedule(loop.time() + 1),
    ],
    ids=["call_later", "call_at", "call_every", "call_soon", "call_soon_threadsafe", "reschedule"],
)
@pytest.mark.parametrize("announced", ["a late timer", "nothing"])
def test_the_host_is_woken_when_its_own_code_asks_for_something_earlier(
    guest: Loop, ask: Callable[[Loop, Any], object], announced: str
) -> None:
    """Between two turns the host has been told how long it may sleep.  A button's callback then arms a timer."""
    timer = guest.call_later(50, print)
    if announced == "nothing":
        timer.reschedule(float("inf"))
    turns(guest)
    assert guest.next_timeout() != 0
    assert not is_readable(guest)
    ask(guest, timer)
    assert is_readable(guest)
    turns(guest)
    timer.cancel()


@pytest.mark.parametrize(
    "ask",
    [
        lambda loop, timer: loop.call_later(60, int),
        lambda loop, timer: timer.reschedule(loop.time() + 70),
        lambda loop, timer: timer.cancel(),
    ],
    ids=["a later timer", "pushed back", "cancelled"],
)
def test_the_host_is_left_asleep_when_nothing_earlier_is_asked_for(
    guest: Loop, ask: Callable[[Loop, Any], object]
) -> None:
    """It wakes in time anyway."""
    timer = guest.call_later(50, print)
    turns(guest)
    guest.next_timeout()
    ask(guest, timer)
    assert not is_readable(guest)
    timer.cancel()


def test_a_loop_that_nobody_hosts_is_not_woken_for_nothing(guest: Loop) -> None:
    """Without ``next_timeout`` nobody was told anything, and calls and timers cost no system call."""
    guest.call_soon(int)
    guest.call_later(1, int)
    assert not is_readable(guest)
    guest.next_timeout()
    guest.run_once(0)
    guest.call_soon(int)
    assert not is_readable(guest)


def test_the_host_is_woken_when_the_clock_is_still_below_zero() -> None:
    """An instant is a number like any other; only differences mean anything."""
    clock = VirtualClock(-100.0)
    with Loop(HOSTABLE[0], clock=clock) as loop:
        loop.call_later(50, int)
        assert loop.next_timeout() == 50
        loop.call_soon(int)
        assert is_readable(loop)
        turns(loop)


def test_a_ready_descriptor_of_the_guest_makes_it_readable(guest: Loop) -> None:
    """An epoll set is itself readable when one of its members is."""
    with socket_pair() as (left, right):
        chunks: list[bytes] = []
        guest.add_reader(left, lambda: chunks.append(left.recv(10)))
        assert not is_readable(guest)
        right.send(b"x")
        assert is_readable(guest)
        turns(guest)
        assert not is_readable(guest)
        guest.remove_reader(left)
    assert chunks == [b"x"]


def test_two_guests_live_in_one_host() -> None:
    """Each with a descriptor and a timer of its own; what one does not finish does not hold the other."""
    with real_loop(HOSTABLE[0]) as (one, _), real_loop(HOSTABLE[0]) as (two, _), real_loop() as (outer, failures):
        steps: list[str] = []
        hosts = [HostedByReactor(outer, one), HostedByReactor(outer, two)]
        one.call_soon(two.call_soon_threadsafe, one.call_soon_threadsafe, steps.append, "there and back")
        outer.run_until(lambda: steps, timeout=10)
        for host in hosts:
            host.close()
        assert not failures
    assert steps == ["there and back"]
