"""Threads that work for a loop: order, errors, bounds, and an end that waits for what was begun."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

import reactor
from reactor.errors import OptionError, UsageError
from reactor.service.workers import Workers
from reactor.testing import ORDINARY, ScriptedOps

PATIENCE = 10.0


@pytest.fixture
def loop(poller_name: str) -> Iterator[reactor.Reactor]:
    """A reactor on each poller."""
    with reactor.Reactor(poller_name) as made:
        yield made


def test_a_result_comes_back_into_the_loop_when_the_work_is_done(loop: reactor.Reactor) -> None:
    """The work runs in another thread, what follows in the loop's."""
    workers = Workers(loop)
    told: list[Any] = []
    workers.submit(threading.get_ident, lambda result, error: told.append((result, error, threading.get_ident())))
    assert workers.pending == 1
    loop.run_until(lambda: told, PATIENCE)
    workers.close()
    ((worker, error, here),) = told
    assert (error, here) == (None, threading.get_ident())
    assert worker != here
    assert workers.pending == 0


def test_an_error_comes_back_as_one_and_the_thread_lives_on(loop: reactor.Reactor) -> None:
    """The next job is done by the same thread."""
    workers = Workers(loop, 1)
    told: list[Any] = []
    workers.submit(lambda: 1 / 0, lambda result, error: told.append((result, type(error))))
    workers.submit(lambda: 7, lambda result, error: told.append((result, error)))
    loop.run_until(lambda: len(told) == 2, PATIENCE)
    workers.close()
    assert told == [(None, ZeroDivisionError), (7, None)]


def test_jobs_of_one_thread_are_done_in_their_order(loop: reactor.Reactor) -> None:
    """First come, first served."""
    workers = Workers(loop, 1)
    told: list[int] = []
    for number in range(100):
        workers.submit(lambda number=number: number, lambda result, error: told.append(result))  # type: ignore[misc]
    loop.run_until(lambda: len(told) == 100, PATIENCE)
    workers.close()
    assert told == list(range(100))


def test_no_more_threads_than_allowed_work_at_once(loop: reactor.Reactor) -> None:
    """And no fewer: all of them are at work together before any of them goes on."""
    workers = Workers(loop, 3)
    together = threading.Barrier(3, timeout=PATIENCE)
    threads: set[int] = set()
    told: list[object] = []

    def work() -> None:
        threads.add(threading.get_ident())
        together.wait()

    for _ in range(9):
        workers.submit(work, lambda result, error: told.append(error))
    loop.run_until(lambda: len(told) == 9, PATIENCE)
    workers.close()
    assert told == [None] * 9
    assert len(threads) == 3


def test_closing_waits_for_what_was_submitted(loop: reactor.Reactor) -> None:
    """The jobs are done when it returns; afterwards nothing more is taken."""
    workers = Workers(loop, 2)
    done: list[int] = []
    for number in range(20):
        workers.submit(lambda number=number: done.append(number), lambda result, error: None)  # type: ignore[misc]
    workers.close()
    workers.close()
    assert sorted(done) == list(range(20))
    with pytest.raises(UsageError, match="closed"):
        workers.submit(print, print)


def test_what_is_done_after_the_loop_is_closed_goes_nowhere() -> None:
    """The thread ends without a word, and nobody is called."""
    loop = reactor.Reactor()
    workers = Workers(loop, 1)
    may_go_on = threading.Event()
    told: list[object] = []
    workers.submit(lambda: may_go_on.wait(PATIENCE), lambda result, error: told.append(result))
    loop.close()
    may_go_on.set()
    workers.close()
    assert told == []


def test_no_thread_is_started_before_there_is_work() -> None:
    """And a pool of none is refused."""
    before = threading.active_count()
    with reactor.Reactor() as loop:
        Workers(loop).close()
        assert threading.active_count() == before
        with pytest.raises(OptionError, match="at least 1"):
            Workers(loop, 0)


def test_fewer_threads_do_the_work_when_the_system_has_no_more() -> None:
    """One is enough; only if there is none at all is it an error."""
    ops = ScriptedOps().script("start_thread", RuntimeError("can't start new thread"), ORDINARY, RuntimeError("no"))
    with reactor.Reactor(ops=ops) as loop:
        workers = Workers(loop, 2)
        with pytest.raises(RuntimeError, match="new thread"):
            workers.submit(print, print)
        assert workers.pending == 0
        told: list[object] = []
        for _ in range(3):
            workers.submit(threading.get_ident, lambda result, error: told.append(result))
        loop.run_until(lambda: len(told) == 3, PATIENCE)
        workers.close()
    assert [name for name, *_ in ops.calls].count("start_thread") == 4
