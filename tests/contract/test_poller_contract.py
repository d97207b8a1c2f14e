"""What every poller owes the loop, run for each of ours, and for the stdlib's own: bare, and dressed as ours.

The stdlib's selectors stand here for every foreign selector that a user may hand to the loop.
"""

from __future__ import annotations

import errno
import os
import select
import selectors
import signal
import socket
import time
from collections.abc import Iterator
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector

import pytest

from reactor.core.loop import Loop
from reactor.core.polling.choose import open_poller
from reactor.core.polling.contract import EVENT_BOTH, Poller, bounded, descriptor_of
from reactor.errors import DescriptorClosed
from reactor.limits import MAX_WAIT
from reactor.ops import Ops
from tests.core.doubles import real_loop, signalled, socket_pair, turns

OURS = [name for name in ("select", "poll", "epoll", "kqueue") if hasattr(select, name)]
FOREIGN = [name for name in ("SelectSelector", "PollSelector", "EpollSelector") if hasattr(selectors, name)]


def open_any(name: str) -> BaseSelector:
    """A poller of ours, or a selector of the standard library, by name."""
    if name in OURS:
        return open_poller(name, Ops(), {})
    selector: BaseSelector = getattr(selectors, name)()
    return selector


@pytest.fixture(params=OURS + FOREIGN)
def selector(request: pytest.FixtureRequest) -> Iterator[BaseSelector]:
    """Each poller of ours, and each selector of the standard library."""
    poller = open_any(request.param)
    yield poller
    poller.close()


@pytest.fixture(params=OURS + FOREIGN)
def poller(request: pytest.FixtureRequest) -> Iterator[Poller]:
    """Each poller of ours, and each selector of the standard library as the loop sees it."""
    made = open_poller(open_any(request.param), Ops(), {})
    yield made
    made.close()


def ready(selector: BaseSelector, timeout: float | None = 0) -> dict[int, int]:
    """What is ready now, as a mask for each descriptor."""
    return {key.fd: mask for key, mask in selector.select(timeout)}


# -- shared with every selector --------------------------------------------------------------------------------


def test_nothing_is_ready_when_nothing_is_registered(selector: BaseSelector) -> None:
    """A look costs nothing and returns an empty list."""
    assert selector.select(0) == []


def test_only_the_wanted_direction_is_reported_when_both_are_possible(selector: BaseSelector) -> None:
    """A descriptor that can be read and written is reported for what was asked."""
    with socket_pair() as (left, right):
        right.send(b"x")
        selector.register(left, EVENT_READ, "data")
        assert ready(selector) == {left.fileno(): EVENT_READ}
        selector.modify(left, EVENT_WRITE, "data")
        assert ready(selector) == {left.fileno(): EVENT_WRITE}
        selector.modify(left, EVENT_BOTH, "data")
        assert ready(selector) == {left.fileno(): EVENT_BOTH}


def test_readiness_is_repeated_when_it_was_not_used(selector: BaseSelector) -> None:
    """Level-triggered: what was not read is reported again."""
    with socket_pair() as (left, right):
        right.send(b"x")
        selector.register(left, EVENT_READ)
        assert ready(selector) == ready(selector) == {left.fileno(): EVENT_READ}
        left.recv(1)
        assert ready(selector) == {}


def test_the_key_holds_what_was_registered(selector: BaseSelector) -> None:
    """A key is (fileobj, fd, events, data), the same from register, get_key, get_map and select."""
    with socket_pair() as (left, _):
        key = selector.register(left, EVENT_WRITE, "data")
        assert key == (left, left.fileno(), EVENT_WRITE, "data")
        assert selector.get_key(left) == key
        assert selector.get_map()[left.fileno()] == key
        assert selector.select(0) == [(key, EVENT_WRITE)]
        assert selector.unregister(left) == key
        assert list(selector.get_map()) == []


@pytest.mark.parametrize("end", ["close", "shutdown"])
def test_an_end_of_file_is_readable_when_the_peer_is_gone(selector: BaseSelector, end: str) -> None:
    """A hang-up reaches the reader, with whatever data came before it."""
    with socket_pair() as (left, right):
        selector.register(left, EVENT_READ)
        right.send(b"last words")
        right.close() if end == "close" else right.shutdown(socket.SHUT_WR)
        assert ready(selector) == {left.fileno(): EVENT_READ}
        assert left.recv(100) == b"last words"
        assert ready(selector) == {left.fileno(): EVENT_READ}
        assert left.recv(100) == b""


def test_a_hang_up_reaches_the_writer_when_nobody_reads(selector: BaseSelector) -> None:
    """Whoever waits is told, in whichever direction: the next call on the socket will say what it is."""
    with socket_pair() as (left, right):
        selector.register(left, EVENT_WRITE)
        right.close()
        assert ready(selector) == {left.fileno(): EVENT_WRITE}


@pytest.mark.parametrize("events", [0, 4, 7])
def test_bad_events_are_refused(selector: BaseSelector, events: int) -> None:
    """There are two events, and at least one must be asked for."""
    with socket_pair() as (left, _):
        with pytest.raises(ValueError, match=r"[Ee]vent"):
            selector.register(left, events)
        assert list(selector.get_map()) == []


@pytest.mark.parametrize("fileobj", [-1, "no file", None, 1.5])
def test_what_is_no_file_is_refused(selector: BaseSelector, fileobj: object) -> None:
    """A negative number, and what has no fileno(), is a ValueError."""
    with pytest.raises(ValueError):  # noqa: PT011 (each selector has its own words)
        selector.register(fileobj, EVENT_READ)  # type: ignore[arg-type]


def test_a_closed_file_is_refused(selector: BaseSelector) -> None:
    """A closed socket has no descriptor."""
    left, right = socket.socketpair()
    left.close()
    right.close()
    with pytest.raises(ValueError, match=r"-1|not an open file"):
        selector.register(left, EVENT_READ)


def test_registering_twice_is_refused(selector: BaseSelector) -> None:
    """One descriptor, one key."""
    with socket_pair() as (left, _):
        selector.register(left, EVENT_READ)
        with pytest.raises(KeyError, match="registered"):
            selector.register(left.fileno(), EVENT_WRITE)
        assert selector.get_key(left).events == EVENT_READ


@pytest.mark.parametrize("method", ["modify", "unregister", "get_key"])
def test_what_is_not_registered_is_a_key_error(selector: BaseSelector, method: str) -> None:
    """Each method that needs a key says that there is none."""
    with socket_pair() as (left, _):
        args = (left, EVENT_READ) if method == "modify" else (left,)
        with pytest.raises(KeyError, match="not registered"):
            getattr(selector, method)(*args)


def test_a_file_is_found_when_it_was_closed_before_it_was_unregistered(selector: BaseSelector) -> None:
    """The wrong order is forgiven: the object itself is the key then."""
    with socket_pair() as (left, _):
        fd = left.fileno()
        selector.register(left, EVENT_READ)
        left.close()
        assert selector.unregister(left).fd == fd
        assert selector.select(0) == []


def test_the_wait_is_never_shorter_than_asked(selector: BaseSelector) -> None:
    """A system call that counts milliseconds rounds up: a timer is never early.  Three real waits of a few ms."""
    for timeout in (0.0001, 0.0035, 0.01):
        began = time.monotonic()
        assert selector.select(timeout) == []
        assert time.monotonic() - began >= timeout - 2e-6  # select(2) counts microseconds


def test_a_negative_timeout_does_not_wait(selector: BaseSelector) -> None:
    """Less than nothing is nothing."""
    assert selector.select(-5) == []


def test_an_interrupted_wait_goes_on_when_the_handler_returns(selector: BaseSelector) -> None:
    """EINTR is not an event (PEP 475): after the handler the wait goes on for what is left of it."""
    arrived: list[int] = []
    with socket_pair() as (left, right):
        selector.register(left, EVENT_READ)

        def poke(signum: int, frame: object) -> None:
            arrived.append(signum)
            if len(arrived) == 3:
                right.send(b"x")

        previous = signal.signal(signal.SIGUSR1, poke)
        try:
            with signalled(signal.SIGUSR1):
                assert ready(selector, None) == {left.fileno(): EVENT_READ}
        finally:
            signal.signal(signal.SIGUSR1, previous)
    assert len(arrived) >= 3


# -- promised by ours, and by those that are dressed as ours ---------------------------------------------------


def test_a_day_is_the_longest_wait_when_infinity_is_asked(poller: Poller) -> None:
    """The system calls count in an int; no instant, however far, overflows it."""
    with socket_pair() as (left, _):
        poller.register(left, EVENT_WRITE)
        for timeout in (float("inf"), 1e30, 10 * MAX_WAIT):
            assert ready(poller, timeout) == {left.fileno(): EVENT_WRITE}


def test_the_kernel_is_told_again_when_nothing_seems_to_change(poller: Poller) -> None:
    """A number that was closed and reused is watched anew by a ``modify`` that changes nothing in the books."""
    with socket_pair() as (left, right):
        fd = left.fileno()
        poller.register(fd, EVENT_READ)
        os.dup2(right.fileno(), left.detach())
        try:
            poller.modify(fd, EVENT_READ)
            assert ready(poller) == {fd: EVENT_READ}  # the other end of what was closed: an end of file
            poller.unregister(fd)
        finally:
            os.close(fd)


def test_the_books_do_not_change_when_the_kernel_refuses(poller: Poller) -> None:
    """A descriptor that is not open fails when it is registered, or is found by ``select``; it is never hidden."""
    if poller.name == "PollSelector":
        pytest.skip("the stdlib's poll hides it: it is reported ready forever")
    with socket_pair() as (left, _):
        fd = left.fileno()
    try:
        poller.register(fd, EVENT_READ)
    except OSError:
        assert list(poller.get_map()) == []
    else:
        assert poller.select(0) == []
        assert poller.closed == [fd]


def test_every_kernel_resource_is_returned_when_dropped(poller_name: str) -> None:
    """``drop`` empties the books and closes what the poller holds; the leak guard looks after the rest."""
    poller = open_any(poller_name)
    assert isinstance(poller, Poller)
    with socket_pair() as (left, _):
        poller.register(left, EVENT_READ)
        poller.drop()
        assert list(poller.get_map()) == []
        poller.close()


def test_the_map_cannot_be_changed_from_outside(poller: Poller) -> None:
    """What ``get_map`` returns is a view."""
    with pytest.raises(TypeError):
        poller.get_map()[0] = None  # type: ignore[index]


@pytest.mark.parametrize(
    ("given", "expected"), [(None, None), (0, 0), (-1, 0), (1.5, 1.5), (float("inf"), MAX_WAIT)]
)
def test_a_timeout_is_bounded(given: float | None, expected: float | None) -> None:
    """None stays None; anything else lies between nothing and a day."""
    assert bounded(given) == expected


def test_a_descriptor_is_found_in_numbers_and_files() -> None:
    """An int is its own descriptor; a file is asked."""
    with socket_pair() as (left, _):
        assert descriptor_of(left) == descriptor_of(left.fileno()) == left.fileno()


# -- foreign selectors, dressed as ours ------------------------------------------------------------------------


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_selector_is_dressed_and_one_of_ours_is_not(name: str) -> None:
    """The loop knows one kind of poller; its name is that of the selector's class, its end the selector's end."""
    selector = open_any(name)
    with open_poller(selector, Ops(), {}) as poller:
        assert poller is not selector
        assert poller.name == name
        assert not poller.has_backlog
        assert open_poller(poller, Ops(), {}) is poller
        assert (poller.fileno() >= 0) == (name == "EpollSelector")
    with pytest.raises((RuntimeError, KeyError, ValueError)):
        selector.get_key(0)


@pytest.mark.parametrize("name", FOREIGN)
def test_what_the_owner_of_a_selector_has_registered_himself_is_not_the_loops(name: str) -> None:
    """It was ready, had no reader, and ended the loop with an AttributeError."""
    selector = open_any(name)
    with socket_pair() as (left, right), open_poller(selector, Ops(), {}) as poller:
        selector.register(left, EVENT_WRITE, "the owner's")
        assert poller.select(0) == []
        assert poller.key_of(left.fileno()) is None
        poller.register(right, EVENT_WRITE, "ours")
        assert [key.data for key, _ in poller.select(0)] == ["ours"]


def test_an_error_of_a_foreign_selector_is_raised_when_no_descriptor_explains_it() -> None:
    """EBADF with every descriptor open means that the selector itself is broken: the loop must not spin on it."""

    class Broken(selectors.SelectSelector):
        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            raise OSError(errno.EBADF, "broken")

    with socket_pair() as (left, _), open_poller(Broken(), Ops(), {}) as poller:
        poller.register(left, EVENT_READ)
        with pytest.raises(OSError, match="broken"):
            poller.select(0)
        assert poller.closed == []


def test_a_selector_is_left_open_when_no_loop_could_be_made_for_it() -> None:
    """It is its owner's, who may try again."""

    class Full(selectors.SelectSelector):
        def register(self, fileobj: object, events: int, data: object = None) -> selectors.SelectorKey:
            raise OSError(errno.ENOSPC, "full")

    selector = Full()
    with pytest.raises(OSError, match="full"):
        Loop(selector)
    assert list(selector.get_map()) == []
    assert selector.select(0) == []
    selector.close()


def test_a_closed_descriptor_does_not_end_a_loop_on_a_foreign_select() -> None:
    """select(2) fails as a whole for one of them; the loop ended, and never knew which one it was."""
    with real_loop(selectors.SelectSelector()) as (loop, failures), socket_pair() as (left, right):
        loop.add_reader(left.fileno(), print)
        left.close()
        loop.call_soon(right.fileno)
        turns(loop, 2)
        assert failures.types() == [DescriptorClosed]
        loop.call_soon_threadsafe(loop.stop)
        loop.run()
