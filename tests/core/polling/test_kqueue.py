"""The books of the kqueue poller, kept against a kernel made of a dictionary: this system need not have kqueue."""

from __future__ import annotations

import errno
import select
from collections.abc import Iterator
from selectors import EVENT_READ, EVENT_WRITE
from types import SimpleNamespace
from typing import Any

import pytest

from reactor.core.polling import by_kqueue
from reactor.core.polling.by_kqueue import KqueuePoller
from reactor.core.polling.choose import open_poller
from reactor.core.polling.contract import EVENT_BOTH
from reactor.ops import Ops

READ, WRITE, ADD, DELETE = -1, -2, 1, 2


class FakeKqueue:
    """The kernel's side: filters by (fd, filter), and what it will say next."""

    def __init__(self) -> None:
        self.filters: set[tuple[int, int]] = set()
        self.pending: list[tuple[int, int]] = []
        self.refused: tuple[int, int] | None = None
        self.error = errno.EPERM
        self.waits: list[float | None] = []
        self.is_closed = False

    def fileno(self) -> int:
        """A number."""
        return 99

    def control(self, changes: list[Any] | None, most: int, timeout: float | None) -> list[Any]:
        """kevent(2)."""
        for change in changes or ():
            pair = change.ident, change.filter
            if pair == self.refused:
                raise OSError(self.error, "refused")
            if change.flags == ADD:
                self.filters.add(pair)
            elif pair in self.filters:
                self.filters.discard(pair)
            else:
                raise OSError(errno.ENOENT, "no such filter")
        if changes is not None:
            return []
        self.waits.append(timeout)
        return [SimpleNamespace(ident=fd, filter=kind) for fd, kind in self.pending]

    def close(self) -> None:
        """A forked child has no such descriptor."""
        if self.is_closed:
            raise OSError(errno.EBADF, "closed")
        self.is_closed = True


@pytest.fixture
def poller(monkeypatch: pytest.MonkeyPatch) -> Iterator[KqueuePoller]:
    """A kqueue poller on the fake kernel, chosen by its name."""
    fake = SimpleNamespace(
        kqueue=FakeKqueue,
        kevent=lambda fd, kind, flags: SimpleNamespace(ident=fd, filter=kind, flags=flags),
        KQ_FILTER_READ=READ,
        KQ_FILTER_WRITE=WRITE,
        KQ_EV_ADD=ADD,
        KQ_EV_DELETE=DELETE,
    )
    monkeypatch.setattr(by_kqueue, "select", fake)
    monkeypatch.setattr(select, "kqueue", FakeKqueue, raising=False)
    made = open_poller("kqueue", Ops(), {})
    assert isinstance(made, KqueuePoller)
    yield made
    made.close()


def filters(poller: KqueuePoller) -> set[tuple[int, int]]:
    """What the kernel watches."""
    return set(poller._kqueue.filters)


def test_each_direction_is_a_filter_of_its_own(poller: KqueuePoller) -> None:
    """Every change is computed against what the kernel already has."""
    poller.register(5, EVENT_READ)
    assert filters(poller) == {(5, READ)}
    poller.modify(5, EVENT_BOTH)
    assert filters(poller) == {(5, READ), (5, WRITE)}
    poller.modify(5, EVENT_WRITE)
    assert filters(poller) == {(5, WRITE)}
    poller.modify(5, EVENT_READ)
    assert filters(poller) == {(5, READ)}
    poller.unregister(5)
    assert filters(poller) == set()


def test_a_filter_that_vanished_is_added_again(poller: KqueuePoller) -> None:
    """The descriptor was closed, its number reused: the kernel has forgotten, the books have not."""
    poller.register(5, EVENT_BOTH)
    poller._kqueue.filters.clear()
    poller.modify(5, EVENT_READ)
    assert filters(poller) == {(5, READ)}
    poller._kqueue.filters.clear()
    poller.unregister(5)


@pytest.mark.parametrize("error", [errno.EPERM, errno.EINVAL])
def test_the_first_filter_is_taken_back_when_the_second_is_refused(poller: KqueuePoller, error: int) -> None:
    """Undo on the way out: neither the kernel nor the books know the descriptor afterwards."""
    poller._kqueue.refused, poller._kqueue.error = (5, WRITE), error
    with pytest.raises(OSError, match="refused"):
        poller.register(5, EVENT_BOTH)
    poller._kqueue.refused = None
    assert filters(poller) == set()
    assert not poller.get_map()


def test_what_was_watched_stays_watched_when_a_change_is_refused(poller: KqueuePoller) -> None:
    """A reader does not die of a writer that cannot be added."""
    poller.register(5, EVENT_READ)
    poller._kqueue.refused = (5, WRITE)
    with pytest.raises(OSError, match="refused"):
        poller.modify(5, EVENT_BOTH)
    poller._kqueue.refused = None
    assert filters(poller) == {(5, READ)}
    assert poller.get_key(5).events == EVENT_READ


def test_an_error_other_than_forgotten_is_raised_when_a_filter_is_deleted(poller: KqueuePoller) -> None:
    """ENOENT and EBADF say that it is gone already; anything else is news."""
    poller.register(5, EVENT_READ)
    poller._kqueue.refused = (5, READ)
    with pytest.raises(OSError, match="refused"):
        poller.unregister(5)
    poller._kqueue.refused = None


def test_both_filters_of_one_descriptor_are_one_event(poller: KqueuePoller) -> None:
    """And what nobody waits for is a stray."""
    key = poller.register(5, EVENT_BOTH)
    poller._kqueue.pending = [(5, READ), (5, WRITE), (7, READ)]
    assert poller.select(2.5) == [(key, EVENT_BOTH)]
    assert poller.strays == 1
    poller.modify(5, EVENT_READ)
    assert [mask for _, mask in poller.select(None)] == [EVENT_READ]
    assert poller._kqueue.waits == [2.5, None]


def test_the_queue_can_be_watched_and_is_closed_once(poller: KqueuePoller) -> None:
    """A forked child does not inherit the queue: closing what is not there is no error."""
    assert poller.fileno() == 99
    poller.register(5, EVENT_READ)
    poller.drop()
    assert poller._kqueue.is_closed
    poller.drop()
    assert not poller.get_map()
    assert WRITE != EVENT_WRITE
