"""The threads that ask: which of them count, who is waited for, and who may have them ask."""

from __future__ import annotations

import threading
from typing import Any

from reactor.errors import WrongThread
from tests.net.name_service import NameService, found
from tests.net.stage import stage_on

HOST = {("getaddrinfo", "x"): found("192.0.2.7")}


class Lingering:
    """A thread that has done its work and is seen alive for a while, as any may be on a busy machine."""

    def __init__(self, thread: threading.Thread) -> None:
        self.thread = thread
        self.joined = 0

    def is_alive(self) -> bool:
        return True

    def join(self, timeout: float | None = None) -> None:
        self.joined += 1
        self.thread.join(timeout)


def test_a_thread_that_is_ending_keeps_no_place_and_is_waited_for_by_close() -> None:
    """It has its answer: the next question need not wait for its end.  One that hangs is waited for by nobody."""
    threads: list[Any] = []

    class Busy(NameService):
        def start_thread(self, target: Any, name: str) -> Any:
            threads.append(Lingering(super().start_thread(target, name)))
            return threads[-1]

    service = Busy(HOST, is_slow=True)
    with stage_on(ops=service) as stage:
        stage.resolver.threads = 1
        first, second = (stage.resolver.gethostbyname(name) for name in ("x", "y"))
        service.await_asked()
        service.release()
        stage.until(first.done)
        service.await_asked()
        assert not second.done()
    assert [thread.joined for thread in threads] == [1, 0]
    service.release()
    for thread in threads:
        thread.join(10)


def test_a_question_of_another_thread_is_refused() -> None:
    """While the loop runs its names belong to its thread, with and without a timeout."""
    refused: list[Exception] = []

    def foreign() -> None:
        for timeout in (None, 1.0):
            try:
                stage.resolver.gethostbyname("x", timeout=timeout)
            except WrongThread as exc:
                refused.append(exc)
        stage.call_soon_threadsafe(stage.stop)

    with stage_on(ops=(service := NameService(HOST))) as stage:
        thread = threading.Thread(target=foreign)
        stage.call_soon(thread.start)
        stage.run()
        thread.join()
    assert len(refused) == 2
    assert service.asked == []
