"""The bounded number of threads: how many are started, in which order tasks run, when the threads end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from reactor.compat.pooled import worker_threads as module
from reactor.compat.pooled.worker_threads import WorkerThreads
from reactor.errors import UsageError
from tests.compat.socketserver.serving import PATIENCE, until, wait_for


@pytest.fixture
def workers() -> Iterator[WorkerThreads]:
    """At most three worker threads; its threads are joined at the end."""
    made = WorkerThreads(lambda: 3, name="worker")
    yield made
    for thread in made.close():
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_no_more_threads_are_started_than_the_limit_allows(workers: WorkerThreads) -> None:
    """Ten tasks that block are served by three threads, and wait in a queue meanwhile."""
    go, begun, done = threading.Event(), threading.Semaphore(0), threading.Semaphore(0)

    def task() -> None:
        begun.release()
        go.wait(PATIENCE)
        done.release()

    for _ in range(10):
        workers.submit(task)
    for _ in range(3):
        assert begun.acquire(timeout=PATIENCE)
    assert (workers.threads, workers.waiting) == (3, 7)
    go.set()
    for _ in range(10):
        assert done.acquire(timeout=PATIENCE)
    assert (workers.threads, workers.waiting) == (3, 0)


def test_tasks_are_begun_in_the_order_in_which_they_came() -> None:
    """With one thread that is the order in which they run."""
    workers = WorkerThreads(lambda: 1, name="worker")
    order: list[int] = []
    for number in range(100):
        workers.submit(lambda number=number: order.append(number))
    for thread in workers.close():
        thread.join(PATIENCE)
    assert order == list(range(100))


def test_a_thread_that_is_free_is_used_before_another_is_started(workers: WorkerThreads) -> None:
    """Tasks that come one after the other need one thread, however many there are."""
    for _ in range(20):
        done = threading.Event()
        workers.submit(done.set)
        wait_for(done)
        until(lambda: workers._free == 1)
    assert workers.threads == 1


def test_threads_end_when_they_have_nothing_to_do(workers: WorkerThreads, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while; the next task gets a new one."""
    monkeypatch.setattr(module, "LINGER", 0.01)
    names: list[str] = []
    for _ in range(2):
        workers.submit(lambda: names.append(threading.current_thread().name))
        until(lambda: workers.threads == 0)
    assert names == ["worker-1", "worker-2"]


def test_a_thread_survives_what_a_task_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told as that of any thread is; ``SystemExit`` ends the task and nothing else."""
    told: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append((args.exc_type, args.thread.name)))

    def fail(error: BaseException) -> None:
        raise error

    workers, names = WorkerThreads(lambda: 1, name="worker"), []
    for error in (ValueError("first"), SystemExit(1), KeyboardInterrupt()):
        workers.submit(lambda error=error: fail(error))
        workers.submit(lambda: names.append(threading.current_thread().name))
    for thread in workers.close():
        thread.join(PATIENCE)
    assert told == [(ValueError, "worker-1"), (SystemExit, "worker-1"), (KeyboardInterrupt, "worker-1")]
    assert names == ["worker-1"] * 3


def test_what_waits_is_done_when_the_crew_is_closed() -> None:
    """Nothing that was taken is dropped; nothing more is taken."""
    workers, done = WorkerThreads(lambda: 2, name="worker"), threading.Semaphore(0)
    for _ in range(50):
        workers.submit(done.release)
    threads = workers.close()
    for thread in threads:
        thread.join(PATIENCE)
    assert all(done.acquire(blocking=False) for _ in range(50))
    with pytest.raises(UsageError):
        workers.submit(done.release)


def test_a_task_waits_for_a_busy_thread_when_the_system_has_no_other(
    workers: WorkerThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused only if there is nobody at all who could take it."""
    go, begun, done = threading.Event(), threading.Event(), threading.Event()

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            workers.submit(done.set)
    assert (workers.threads, workers.waiting) == (0, 0)
    workers.submit(lambda: (begun.set(), go.wait(PATIENCE)))
    wait_for(begun)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        workers.submit(done.set)
    go.set()
    wait_for(done)


def test_a_limit_below_one_still_leaves_one_thread() -> None:
    """Or the tasks would wait forever."""
    workers, done = WorkerThreads(lambda: 0, name="worker"), threading.Event()
    workers.submit(done.set)
    wait_for(done)
    for thread in workers.close():
        thread.join(PATIENCE)


def test_daemons_are_started_when_asked_for() -> None:
    """They do not keep the program from ending."""
    workers, found = WorkerThreads(lambda: 1, name="worker", is_daemon=True), threading.Event()
    workers.submit(lambda: found.set() if threading.current_thread().daemon else None)
    for thread in workers.close():
        thread.join(PATIENCE)
    assert found.is_set()
