"""What can be watched, counted and logged."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

import pytest

import reactor.telling.reports
from reactor.core.loop import Loop
from reactor.telling.counters import Counters
from reactor.telling.probe import Probe
from reactor.telling.reports import REPEAT_LINES, REPEAT_SPAN, Reports, describe
from reactor.testing import ScriptedSocket, VirtualClock
from tests.core.doubles import Virtual, fail, interrupt, turns, virtual_loop


@pytest.fixture
def virtual() -> Iterator[Virtual]:
    """A loop in virtual time."""
    with virtual_loop() as made:
        yield made


class Recorder(Probe):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def turn_began(self, turn: int, wait: float | None) -> None:
        """Record."""
        self.seen.append(("turn", turn, wait))

    def polled(self, ready: int) -> None:
        """Record."""
        self.seen.append(("polled", ready))

    def run(self, callback: Callable[..., object], *args: object) -> None:
        """Record before and after."""
        self.seen.append(("begin", *args))
        try:
            callback(*args)
        finally:
            self.seen.append(("end", *args))

    def registered(self, fd: int, events: int) -> None:
        """Record."""
        self.seen.append(("registered", fd, events))


def test_every_step_of_a_turn_is_told_in_its_order(virtual: Virtual) -> None:
    """Registration, the turn with its wait, what the poller found, and each callback with its beginning and end."""
    probe = Recorder()
    virtual.loop.set_probe(probe)
    sock = ScriptedSocket()
    fd = sock.fileno()
    virtual.loop.add_reader(sock, str)
    virtual.loop.add_writer(sock, str)
    virtual.loop.add_reader(sock, str)
    virtual.loop.remove_reader(sock)
    virtual.loop.remove_writer(sock)
    assert [events for _, _, events in probe.seen] == [
        EVENT_READ, EVENT_READ | EVENT_WRITE, EVENT_READ | EVENT_WRITE, EVENT_WRITE, 0,
    ]  # fmt: skip
    assert {seen[1] for seen in probe.seen} == {fd}
    probe.seen.clear()
    virtual.loop.add_reader(sock, str)
    virtual.poller.script([(sock, EVENT_READ)])
    virtual.loop.call_soon(str, "soon")
    virtual.loop.run_once(5)
    assert probe.seen == [
        ("registered", fd, EVENT_READ), ("turn", 1, 0), ("polled", 1), ("begin",), ("end",), ("begin", "soon"),
        ("end", "soon"),
    ]  # fmt: skip


def test_failures_pass_through_the_probe(virtual: Virtual) -> None:
    """What a callback raises is seen by ``run`` and reported all the same, for each kind of callback."""
    probe = Recorder()
    virtual.loop.set_probe(probe)
    sock = ScriptedSocket()
    virtual.loop.add_reader(sock, fail)
    virtual.loop.add_writer(sock, fail)
    virtual.poller.script([(sock, EVENT_READ)], [(sock, EVENT_WRITE)])
    virtual.loop.call_soon(fail, "soon")
    turns(virtual.loop, 2)
    assert [seen for seen in probe.seen if seen[0] == "end"] == [("end",), ("end", "soon"), ("end",)]
    assert [source for _, source in virtual.failures] == [fail] * 3
    virtual.failures.clear()


def test_a_base_probe_changes_nothing(virtual: Virtual) -> None:
    """Every place does nothing by default, and the callbacks run."""
    steps: list[str] = []
    probe = Probe()
    virtual.loop.set_probe(probe)
    virtual.loop.add_reader(sock := ScriptedSocket(), steps.append, "reader")
    virtual.poller.script([(sock, EVENT_READ)])
    virtual.loop.call_soon(steps.append, "soon")
    turns(virtual.loop)
    probe.opened(sock)
    probe.received(sock, 1)
    probe.sent(sock, 1)
    probe.closed(sock, None)
    virtual.loop.set_probe(None)
    virtual.loop.call_soon(steps.append, "unwatched")
    turns(virtual.loop)
    assert steps == ["reader", "soon", "unwatched"]


def test_counters_begin_at_zero_and_are_readable_by_name() -> None:
    """A dictionary of every counter."""
    counters = Counters()
    counters.shed += 2
    assert counters.as_dict()["shed"] == 2
    assert set(counters.as_dict().values()) == {0, 2}


def test_lines_of_one_kind_are_rationed_and_those_of_another_are_not(caplog: pytest.LogCaptureFixture) -> None:
    """A peer cannot fill a disk; what was left out is told with the next line."""
    clock = VirtualClock()
    reports = Reports(clock, Counters())
    for number in range(20):
        reports.fault("reset", f"line {number}")
    reports.fault("other", "another kind")
    assert len(caplog.records) == REPEAT_LINES + 1
    clock.advance(REPEAT_SPAN + 1)
    reports.fault("reset", "later")
    assert caplog.records[-1].getMessage() == f"later ({20 - REPEAT_LINES} more of this kind were not told)"
    reports.fault("reset", "again")
    assert caplog.records[-1].getMessage() == "again"


def test_an_interrupt_passes_through_the_handler() -> None:
    """The exception handler may end the program."""
    reports = Reports(VirtualClock(), Counters())
    reports.handler = interrupt
    with pytest.raises(KeyboardInterrupt):
        reports.failure(ValueError(), fail)


def test_a_failure_that_cannot_be_logged_is_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last resort is the standard error: nothing goes unseen."""
    monkeypatch.setattr(reactor.telling.reports, "logger", fail)
    Reports(VirtualClock(), Counters()).failure(ValueError("first"), fail)
    assert "ValueError('first')" in capsys.readouterr().err


def test_a_fault_that_cannot_be_logged_is_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At EMFILE even ``import logging`` fails; whoever reports is in the middle of a repair and must go on."""
    monkeypatch.setattr(reactor.telling.reports, "logger", fail)
    Reports(VirtualClock(), Counters()).fault("accept", "no descriptor is left")
    assert "no descriptor is left" in capsys.readouterr().err


def test_the_name_of_a_callback_can_be_found_in_the_source() -> None:
    """A function, a method, what a partial holds, and what has no name."""
    assert describe(fail) == "tests.core.doubles.fail"
    assert describe(functools.partial(fail, 1)) == "tests.core.doubles.fail"
    assert describe(Probe().polled) == "reactor.telling.probe.Probe.polled"
    assert describe([].append) == "list.append"
    assert describe(5) == "5"


class Hostile:
    """An object that raises whatever it is asked."""

    def __init__(self, error: type[BaseException]) -> None:
        object.__setattr__(self, "error", error)

    def __getattribute__(self, name: str) -> object:
        raise object.__getattribute__(self, "error")(name)

    def __repr__(self) -> str:
        raise object.__getattribute__(self, "error")("repr")


class Unspeakable(BaseException):
    """An exception without words."""

    def __repr__(self) -> str:
        raise RuntimeError("repr")

    __str__ = __repr__


@pytest.mark.parametrize("error", [RuntimeError, AttributeError, GeneratorExit])
def test_a_source_is_described_when_everything_it_is_asked_raises(error: type[BaseException]) -> None:
    """What is left is the representation that every object has."""
    assert "Hostile object at 0x" in describe(Hostile(error))


@pytest.mark.parametrize("is_logged", [True, False], ids=["logged", "not logged"])
@pytest.mark.parametrize("error", [RuntimeError, GeneratorExit])
def test_the_loop_goes_on_when_a_failed_callback_has_no_repr(
    error: type[BaseException], is_logged: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The loop survived the fault, and died of the report: ``describe`` raised, and so did the way around it."""

    class Callback(Hostile):
        def __call__(self) -> None:
            raise Unspeakable

    if not is_logged:
        monkeypatch.setattr(reactor.telling.reports, "logger", fail)
    steps: list[str] = []
    with Loop() as loop:
        loop.call_soon(Callback(error))
        loop.call_soon(steps.append, "after")
        loop.call_soon(loop.stop)
        loop.run()
    assert steps == ["after"]
    assert not is_logged or "Callback object at 0x" in caplog.text


@pytest.mark.parametrize("stream", [None, object()], ids=["none", "broken"])
def test_a_report_is_dropped_when_there_is_nowhere_to_write_it(
    stream: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program without a console has no stderr; that is no reason to end it."""
    monkeypatch.setattr(reactor.telling.reports, "logger", fail)
    monkeypatch.setattr("sys.stderr", stream)
    reports = Reports(VirtualClock(), Counters())
    reports.failure(ValueError("first"), fail)
    reports.fault("accept", "no descriptor is left")


@pytest.mark.parametrize("is_logged", [True, False], ids=["logged", "not logged"])
def test_a_line_stays_one_line_whatever_a_peer_has_put_into_it(
    is_logged: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """A newline would begin a line that looks like one of ours, an escape sequence would reach the terminal."""
    if not is_logged:
        monkeypatch.setattr(reactor.telling.reports, "logger", fail)
    Reports(VirtualClock(), Counters()).fault("x", "said: \r\nWARNING all is well\x1b[2J\x85\u2028\u202e\udcff")
    told = caplog.records[0].getMessage() if is_logged else capsys.readouterr().err.strip()
    assert r"said: \r\nWARNING all is well\x1b[2J\x85\u2028\u202e\udcff" in told
    assert told.isprintable()
