"""Descriptors that are closed, duplicated or reused while they are registered: the traps that the kernel lays.

Each story is told on every poller, since what the kernel does differs with each system call.
"""

from __future__ import annotations

import os
import resource
import select
import selectors
import socket
from collections.abc import Iterator
from selectors import EVENT_READ

import pytest

from reactor.core.loop import Loop
from reactor.core.polling.by_select import FD_SETSIZE
from reactor.errors import DescriptorClosed, DescriptorTooLarge
from reactor.testing import ScriptedSocket
from tests.core.doubles import Failures, real_loop, socket_pair, turns, virtual_loop

epoll_only = pytest.mark.skipif(
    not hasattr(select, "epoll"), reason="only epoll has entries that outlive their number"
)


@pytest.fixture
def loop_and_failures(poller_name: str) -> Iterator[tuple[Loop, Failures]]:
    """A loop on each poller."""
    with real_loop(poller_name) as made:
        yield made


@epoll_only
def test_a_closed_descriptor_with_a_duplicate_does_not_spin_the_loop() -> None:
    """epoll watches the open file, not the number.

    A socket is closed before it is removed, while a duplicate (a child process, ``dup``) keeps its file alive.  The
    kernel goes on to report the dead number, forever, and ``epoll_ctl`` cannot remove what has no number.  asyncio
    and uvloop spin at full speed.  Here the stray event is counted, the set is replaced, and the next wait is
    quiet.
    """
    with real_loop("epoll") as (loop, failures), socket_pair() as (left, right), left.dup() as duplicate:
        loop.add_reader(left, pytest.fail, "nobody may hear this")
        left.close()
        assert loop.remove_reader(left)
        right.send(b"x")
        turns(loop, 5)
        assert loop.counters.stray_wakeups == 1
        assert loop.counters.poller_rebuilds == 1
        assert loop.registry.poller.select(0.01) == []  # it really sleeps again
        loop.add_reader(duplicate, loop.stop)
        loop.run()
        loop.remove_reader(duplicate)
        assert not failures


@epoll_only
def test_the_others_are_watched_as_before_when_the_set_was_replaced() -> None:
    """The new set has the same members, the bell among them, and leaves out what is closed."""
    with real_loop("epoll") as (loop, failures), socket_pair() as (left, right), socket_pair() as (one, two):
        steps: list[str] = []
        loop.add_reader(one, lambda: (steps.append("reader"), one.recv(1)))
        loop.add_reader(two.fileno(), print)
        with left.dup():
            loop.add_reader(left, print)
            left.close()
            loop.remove_reader(left)
            two_fd = two.fileno()
            right.send(b"x")
            two.send(b"x")
            two.close()  # without a duplicate: the kernel forgets it, and the rebuild finds out
            turns(loop, 2)
        loop.call_soon_threadsafe(steps.append, "bell")
        turns(loop)
        assert list(dict.fromkeys(steps)) == ["reader", "bell"]
        assert failures.types() == [DescriptorClosed]
        assert str(two_fd) in str(failures[0][0])
        assert loop.counters.closed_descriptors == 1
        loop.remove_reader(one)


@epoll_only
def test_an_orphan_is_not_heard_in_the_name_of_the_new_owner_of_its_number() -> None:
    """The worst form of the same mistake: the dead number comes back for another file, which is registered.

    The kernel's set then has two entries of one number, and reports the orphan, which nobody can read empty, as if
    it were the new file: a reader that is woken in every turn and finds nothing.
    """
    with real_loop("epoll") as (loop, _), socket_pair() as (left, right), left.dup():
        number = left.fileno()
        loop.add_reader(left, pytest.fail, "closed")
        left.close()
        right.send(b"for the orphan")
        new, other = socket.socketpair()
        with new, other:
            if new.fileno() != number:
                os.dup2(new.fileno(), number)
                new.close()
                new = socket.socket(fileno=number)
            calls: list[int] = []
            loop.add_reader(new, calls.append, 1)
            turns(loop, 5)
            assert calls == []
            loop.remove_reader(new)
            new.close()


@epoll_only
def test_strays_are_counted_and_cured_once() -> None:
    """The same in virtual time, with three of them at once."""
    with virtual_loop() as virtual:
        for _ in range(3):
            virtual.poller.orphan(ScriptedSocket())
        turns(virtual.loop, 5)
        assert virtual.loop.counters.stray_wakeups == 3
        assert virtual.loop.counters.poller_rebuilds == virtual.poller.rebuilds == 1


def test_the_loop_goes_on_when_a_registered_descriptor_is_closed(
    poller_name: str, loop_and_failures: tuple[Loop, Failures]
) -> None:
    """select() fails as a whole with EBADF, poll() says POLLNVAL, epoll forgets it in silence.

    The first two name the culprit and his callback; on all of them the others are served and nothing spins.
    """
    loop, failures = loop_and_failures
    with socket_pair() as (left, right), socket_pair() as (one, two):
        steps: list[bytes] = []
        loop.add_reader(left, print)
        loop.add_reader(one, lambda: steps.append(one.recv(10)))
        left.close()
        two.send(b"served")
        turns(loop, 3)
        assert steps == [b"served"]
        if poller_name in ("select", "poll"):
            assert failures.types() == [DescriptorClosed]
            assert failures[0][1] is print
            assert loop.counters.closed_descriptors == 1
            assert not loop.remove_reader(left)
        else:
            assert loop.remove_reader(left)
        loop.remove_reader(one)
        assert right.fileno() >= 0


@pytest.mark.parametrize("by_number", [False, True])
def test_a_closed_descriptor_can_be_removed_in_both_directions(
    loop_and_failures: tuple[Loop, Failures], by_number: bool
) -> None:
    """Close first and remove afterwards: the wrong order raises nothing, though the kernel says EBADF."""
    loop, failures = loop_and_failures
    with socket_pair() as (left, _right):
        name = left.fileno() if by_number else left
        loop.add_reader(name, print)
        loop.add_writer(name, print)
        left.close()
        assert loop.remove_reader(name)
        loop.remove_writer(name)
        turns(loop, 2)
        assert not loop.remove_reader(name)
        assert not loop.remove_writer(name)
        assert set(failures.types()) <= {DescriptorClosed}


@pytest.mark.parametrize("kind", ["socket", "number", "file"])
def test_a_reused_number_is_served_when_its_predecessor_was_never_removed(
    loop_and_failures: tuple[Loop, Failures], kind: str
) -> None:
    """The number of a closed file comes back for another one, and the books still know it.

    asyncio's loops, which trust their books, never tell the kernel, and the new file is never heard of.
    """
    loop, _ = loop_and_failures
    steps: list[bytes] = []
    reader, writer = os.pipe()
    old: object = reader
    if kind == "file":
        old = os.fdopen(reader, "rb", buffering=0)
    elif kind == "socket":
        os.close(reader)
        os.close(writer)
        old, other = socket.socketpair()
        other.close()
    loop.add_reader(old, steps.append, b"the old callback")
    number = old if isinstance(old, int) else old.fileno()  # type: ignore[attr-defined]
    os.close(number) if isinstance(old, int) else old.close()  # type: ignore[attr-defined]
    left, right = socket.socketpair()
    with left, right:
        if left.fileno() != number:
            os.dup2(left.fileno(), number)
            left.close()
            left = socket.socket(fileno=number)
        loop.add_reader(left, lambda: steps.append(left.recv(10)))
        right.send(b"new")
        turns(loop, 2)
        assert loop.remove_reader(left)
        left.close()
    if kind != "socket":
        os.close(writer)
    assert steps == [b"new"]


@pytest.mark.parametrize("foreign", ["SelectSelector", "PollSelector", "EpollSelector"])
def test_a_reused_number_is_served_on_a_foreign_selector(foreign: str) -> None:
    """The stdlib's selectors spare themselves a modification that changes nothing; so they are told twice."""
    if not hasattr(selectors, foreign):
        pytest.skip(f"this system has no {foreign}")
    with real_loop(getattr(selectors, foreign)()) as (loop, failures), socket_pair() as (left, right):
        steps: list[bytes] = []
        fd = left.fileno()
        for events in ("reader", "both"):
            loop.add_reader(fd, print)
            if events == "both":
                loop.add_writer(fd, loop.stop)
            one, two = socket.socketpair()
            os.dup2(one.fileno(), fd)
            one.close()
            with two:
                loop.add_reader(fd, lambda: steps.append(os.read(fd, 10)))
                two.send(events.encode())
                turns(loop, 2)
            loop.remove_reader(fd)
            loop.remove_writer(fd)
        assert right.fileno() >= 0
    assert steps == [b"reader", b"both"]
    assert not failures


def test_a_foreign_selector_that_forgot_a_descriptor_is_told_again() -> None:
    """A modification answered with ENOENT, with the key still in the books or not."""

    class Forgetful(selectors.SelectSelector):
        forget = 0

        def modify(self, fileobj: object, events: int, data: object = None) -> selectors.SelectorKey:
            if self.forget:
                self.forget -= 1
                raise OSError(2, "no such entry")
            return super().modify(fileobj, events, data)  # type: ignore[arg-type]

    selector = Forgetful()
    with real_loop(selector) as (loop, _), socket_pair() as (left, _right):
        loop.add_reader(left, print)
        selector.forget = 1
        loop.add_writer(left, loop.stop)
        loop.run()
        assert selector.get_key(left).events == 3
        loop.remove_reader(left)
        loop.remove_writer(left)


def test_select_refuses_a_descriptor_beyond_its_sets() -> None:
    """FD_SETSIZE is 1024: the refusal comes at once and names the cure, not from inside a running loop."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard <= FD_SETSIZE:
        pytest.skip(f"this process may open {hard} descriptors only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FD_SETSIZE + 16), hard))
    try:
        with real_loop("select") as (loop, failures), socket_pair() as (left, right):
            os.dup2(left.fileno(), FD_SETSIZE)
            try:
                with pytest.raises(DescriptorTooLarge, match=r"1024.*use poll or epoll"):
                    loop.add_reader(FD_SETSIZE, print)
                with pytest.raises(ValueError, match="1023"):
                    loop.add_writer(FD_SETSIZE, print)
                loop.add_reader(left, loop.stop)
                right.send(b"x")
                loop.run()
                loop.remove_reader(left)
                assert not failures
            finally:
                os.close(FD_SETSIZE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@epoll_only
def test_a_regular_file_is_refused_by_epoll_and_nothing_is_changed() -> None:
    """EPERM: a file on disk is always ready, so epoll does not watch it; poll and select say so at every turn."""
    with open(__file__, "rb") as file, real_loop("epoll") as (loop, _):
        with pytest.raises(PermissionError):
            loop.add_reader(file, print)
        assert loop.registry.key_of(file.fileno()) is None
        assert not loop.remove_reader(file)


def test_a_hang_up_is_told_after_the_data_that_came_before_it(loop_and_failures: tuple[Loop, Failures]) -> None:
    """EPOLLHUP with bytes still unread: they are read first, all of them, and then the end."""
    loop, failures = loop_and_failures
    with socket_pair() as (left, right):
        chunks: list[bytes] = []

        def read() -> None:
            chunks.append(left.recv(3))
            if not chunks[-1]:
                loop.stop()

        loop.add_reader(left, read)
        right.send(b"last words")
        right.close()
        loop.run()
        loop.remove_reader(left)
    assert b"".join(chunks) == b"last words"
    assert not failures


def test_an_event_for_a_registration_that_was_dropped_in_the_same_turn_runs_nothing() -> None:
    """Two are ready; the first closes the other's file and gives its number to a third, registered at once."""
    with virtual_loop() as virtual:
        steps: list[str] = []
        one, two = ScriptedSocket(), ScriptedSocket()
        third = ScriptedSocket()

        def swap() -> None:
            third._fd = two.detach()  # closed without being removed
            virtual.loop.add_reader(third, steps.append, "third")

        virtual.loop.add_reader(one, swap)
        virtual.loop.add_reader(two, steps.append, "two")
        virtual.poller.script([(one, EVENT_READ), (two, EVENT_READ)])
        turns(virtual.loop)
        assert steps == []
        virtual.poller.script([(third, EVENT_READ)])
        turns(virtual.loop)
        assert steps == ["third"]
