"""Names are looked up in threads, and answered from the loop."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reactor.errors import AddressError, OptionError, ReactorClosed, ResolutionFailed
from reactor.limits import RESOLVER_THREADS
from reactor.ops import Ops
from reactor.testing import ScriptedOps, ScriptedPoller, VirtualClock
from tests.net.stage import Stage, stage_on

FOUND = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", 80))]
TARGET = (socket.AF_INET, socket.SOCK_STREAM, 6, ("192.0.2.7", 80))


class SlowOps(Ops):
    """A system that answers a name when the test lets it: ``gates[name].set()``; ``asked`` is what was asked for.

    ``threads`` are those that were started.
    """

    def __init__(self) -> None:
        self.gates: dict[str, threading.Event] = {}
        self.asked: list[str] = []
        self.threads: list[threading.Thread] = []
        self.arrival = threading.Semaphore(0)

    def getaddrinfo(self, host: Any, *rest: Any) -> list[Any]:
        gate = self.gates.setdefault(host, threading.Event())
        self.asked.append(host)
        self.arrival.release()
        gate.wait()
        return FOUND

    def start_thread(self, target: Callable[[], None], name: str) -> threading.Thread:
        self.threads.append(super().start_thread(target, name))
        return self.threads[-1]

    def await_asked(self, count: int) -> None:
        """Wait until *count* more names have been asked for."""
        for _ in range(count):
            assert self.arrival.acquire(timeout=10)

    def open_all(self) -> None:
        """Let every question be answered, and wait for the threads."""
        for gate in self.gates.values():
            gate.set()
        for thread in self.threads:
            thread.join(10)


@pytest.fixture
def slow() -> Iterator[SlowOps]:
    """A slow resolver, whose threads are let go at the end."""
    ops = SlowOps()
    yield ops
    ops.open_all()


def answered(answers: list[Any], count: int) -> Callable[[], bool]:
    """Return the condition that *count* answers have come."""
    return lambda: len(answers) >= count


def test_a_name_is_answered_from_a_thread_when_the_system_knows_it(poller_name: str) -> None:
    """The callback runs in the loop's thread, with the addresses and without their canonical names."""
    answers: list[Any] = []
    with stage_on(poller_name) as stage:
        stage.resolver.lookup(
            "localhost", 80, callback=lambda result: answers.append((result, threading.get_ident()))
        )
        assert not answers
        stage.until(answered(answers, 1))
    [(result, ident)] = answers
    assert ident == threading.get_ident()
    assert ("127.0.0.1", 80) in [target[3] for target in result] or ("::1", 80, 0, 0) in [
        target[3] for target in result
    ]
    assert all(len(target) == 4 for target in result)


@pytest.mark.parametrize(("host", "address"), [("127.0.0.1", ("127.0.0.1", 80)), ("::1", ("::1", 80, 0, 0))])
def test_a_numeric_host_is_answered_without_a_thread_but_not_at_once(host: str, address: Any) -> None:
    """The callback never runs inside ``lookup``."""
    answers: list[Any] = []
    ops = ScriptedOps()
    with stage_on(ops=ops) as stage:
        stage.resolver.lookup(host, 80, callback=answers.append)
        assert not answers
        stage.settle(1)
        assert [target[3] for target in answers[0]] == [address]
    assert "start_thread" not in [call[0] for call in ops.calls]


def test_no_host_means_this_machine_or_every_interface() -> None:
    """As getaddrinfo(3) has it, with AI_PASSIVE and without."""
    answers: list[Any] = []
    with stage_on() as stage:
        for flags in (0, socket.AI_PASSIVE):
            stage.resolver.lookup(None, 80, family=socket.AF_INET, flags=flags, callback=answers.append)
        stage.settle()
    assert [answer[0][3][0] for answer in answers] == ["127.0.0.1", "0.0.0.0"]


def test_family_and_kind_are_passed_on_and_duplicates_are_dropped() -> None:
    """A name that stands twice in the hosts file has one address all the same."""
    answers: list[Any] = []
    ops = ScriptedOps()
    ops.script("getaddrinfo", FOUND + FOUND)
    with stage_on(ops=ops) as stage:
        stage.resolver.lookup(
            "name", 80, family=socket.AF_INET, kind=socket.SOCK_DGRAM, flags=7, callback=answers.append
        )
        stage.until(answered(answers, 1))
    assert answers == [[TARGET]]
    assert ("getaddrinfo", "name", 0, socket.AF_INET, socket.SOCK_DGRAM, 0, 7) in ops.calls


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "check the spelling"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), "try again later"),
        (UnicodeError("label too long"), "label too long"),
        (ZeroDivisionError("a bug"), "a bug"),
        ([], "No address associated"),
    ],
)
def test_the_answer_is_a_failure_with_its_cause_when_there_is_no_address(step: Any, text: str) -> None:
    """Whatever goes wrong in the thread is an answer too, and not a traceback on the console."""
    answers: list[Any] = []
    ops = ScriptedOps()
    ops.script("getaddrinfo", step)
    with stage_on(ops=ops) as stage:
        stage.resolver.lookup("no.such.name", 80, callback=answers.append)
        stage.until(answered(answers, 1))
    [failure] = answers
    assert isinstance(failure, ResolutionFailed)
    assert text in str(failure)
    assert "no.such.name" in str(failure)
    assert failure.__cause__ is step or isinstance(failure.__cause__, socket.gaierror)


@pytest.mark.parametrize(
    ("keywords", "error"),
    [
        ({"host": ""}, AddressError),
        ({"host": "a\0b"}, AddressError),
        ({"host": b"name"}, AddressError),
        ({"port": -1}, AddressError),
        ({"port": "http"}, AddressError),
        ({"timeout": 0}, OptionError),
        ({"timeout": float("nan")}, OptionError),
    ],
)
def test_a_question_is_refused_when_it_makes_no_sense(keywords: dict[str, Any], error: type[Exception]) -> None:
    """Nothing is started."""
    with stage_on(ops=(ops := ScriptedOps())) as stage:
        arguments = {"host": "name", "port": 80, "callback": print, **keywords}
        with pytest.raises(error):
            stage.resolver.lookup(**arguments)
    assert "getaddrinfo" not in [call[0] for call in ops.calls]


def test_a_cancelled_lookup_is_never_answered(slow: SlowOps) -> None:
    """Numeric, waiting for a thread, or in one; twice is once."""
    answers: list[Any] = []
    with stage_on(ops=slow) as stage:
        hosts = ["127.0.0.1", *(f"name{number}" for number in range(RESOLVER_THREADS + 1))]
        lookups = [stage.resolver.lookup(host, 80, callback=answers.append) for host in hosts]
        slow.await_asked(RESOLVER_THREADS)
        for lookup in lookups * 2:
            lookup.cancel()
        last: list[Any] = []
        stage.resolver.lookup("last", 80, callback=last.append)
        slow.gates["last"] = threading.Event()
        slow.open_all()
        stage.until(answered(last, 1))
    assert all(lookup.is_done() for lookup in lookups)
    assert answers == []
    assert f"name{RESOLVER_THREADS}" not in slow.asked


def test_no_more_than_so_many_threads_ask_at_a_time(slow: SlowOps) -> None:
    """The others wait their turn, and every question is answered in the end."""
    answers: list[Any] = []
    names = [f"name{number}" for number in range(3 * RESOLVER_THREADS)]
    with stage_on(ops=slow) as stage:
        for name in names:
            stage.resolver.lookup(name, 80, callback=answers.append)
        slow.await_asked(RESOLVER_THREADS)
        assert sum(thread.is_alive() for thread in slow.threads) == len(slow.threads) == RESOLVER_THREADS
        slow.gates["name0"].set()
        stage.until(answered(answers, 1))
        slow.await_asked(1)
        assert len(slow.asked) == RESOLVER_THREADS + 1
        for name in names:
            slow.gates.setdefault(name, threading.Event()).set()
        stage.until(answered(answers, len(names)))
    assert answers == [[TARGET]] * len(names)


def test_a_lookup_ends_after_its_timeout_and_keeps_its_thread(slow: SlowOps) -> None:
    """The callback hears of a timeout; what the thread finds later is dropped."""
    answers: list[Any] = []
    clock = VirtualClock()
    with Stage(ScriptedPoller(clock), clock=clock, ops=slow) as stage:
        lookup = stage.resolver.lookup("name", 80, timeout=5.0, callback=answers.append)
        slow.await_asked(1)
        stage.run_once()
        stage.settle()
        assert lookup.is_done()
        assert clock.now == 1005.0
        slow.open_all()
        stage.settle()
    [failure] = answers
    assert isinstance(failure.__cause__, TimeoutError)
    assert "5 s" in str(failure)


def test_time_runs_while_a_question_waits_for_a_thread(slow: SlowOps) -> None:
    """A dead name server delays nobody beyond his own timeout."""
    answers: list[Any] = []
    clock = VirtualClock()
    with Stage(ScriptedPoller(clock), clock=clock, ops=slow) as stage:
        for number in range(RESOLVER_THREADS):
            stage.resolver.lookup(f"dead{number}", 80, timeout=None, callback=print)
        stage.resolver.lookup("waiting", 80, timeout=5.0, callback=answers.append)
        slow.await_asked(RESOLVER_THREADS)
        stage.run_once()
        stage.settle()
        assert len(answers) == 1
    assert "waiting" not in slow.asked


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), MemoryError()], ids=repr)
def test_a_question_is_answered_with_a_failure_when_no_thread_can_be_started(error: Exception) -> None:
    """RLIMIT_NPROC and the like; the same question may have more luck."""
    answers: list[Any] = []
    ops = ScriptedOps()
    ops.script("start_thread", error)
    with stage_on(ops=ops) as stage:
        for count in (1, 2):
            stage.resolver.lookup("localhost", 80, callback=answers.append)
            assert len(answers) < count
            stage.until(answered(answers, count))
    assert answers[0].__cause__ is error
    assert answers[0].errno == socket.EAI_AGAIN
    assert isinstance(answers[1], list)


def test_an_answer_is_dropped_when_the_reactor_is_closed_meanwhile(slow: SlowOps) -> None:
    """The thread ends silently, and the callback never runs."""
    answers: list[Any] = []
    with stage_on(ops=slow) as stage:
        stage.resolver.lookup("name", 80, callback=answers.append)
        slow.await_asked(1)
    slow.open_all()
    assert not any(thread.is_alive() for thread in slow.threads)
    assert answers == []
    with pytest.raises(ReactorClosed):
        stage.resolver.lookup("name", 80, callback=answers.append)


def test_a_callback_that_raises_disturbs_no_other_lookup() -> None:
    """It is reported as any other callback's exception."""
    answers: list[Any] = []
    with stage_on() as stage:
        stage.resolver.lookup("localhost", 80, callback=lambda result: 1 // 0)
        stage.resolver.lookup("localhost", 80, callback=answers.append)
        stage.until(lambda: answers and stage.failures)
        [failure] = stage.take_failures()
    assert isinstance(failure, ZeroDivisionError)


def test_a_lookup_may_be_made_from_the_callback_of_another() -> None:
    """The resolver is in order before it calls."""
    answers: list[Any] = []

    def again(result: Any) -> None:
        stage.resolver.lookup("localhost", 81, callback=answers.append)

    with stage_on() as stage:
        stage.resolver.lookup("localhost", 80, callback=again)
        stage.until(answered(answers, 1))
    assert answers[0][0][3][1] == 81
