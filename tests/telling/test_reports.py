"""What is logged: each failure once, in a line that stays one, and whatever becomes of the logging itself."""

from __future__ import annotations

import functools

import pytest

import reactor.telling.reports
from reactor.core.loop import Loop
from reactor.telling.counters import Counters
from reactor.telling.probe import Probe
from reactor.telling.reports import REPEAT_LINES, REPEAT_SPAN, Reports, describe
from reactor.testing import VirtualClock
from tests.core.doubles import fail, interrupt


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
