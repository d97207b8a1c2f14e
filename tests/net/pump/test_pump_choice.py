"""Who gets a pump: epoll by choice or by default, unless somebody said no; and what is said about it."""

from __future__ import annotations

import sys

import pytest

from reactor.core.loop import Loop
from reactor.errors import AccelUnavailable, OptionError
from reactor.net.pump.choice import pump_status, with_pump
from reactor.net.pump.pump import Pump
from tests.conftest import native_problem

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or native_problem() is not None, reason=f"no pump: {native_problem()}"
)

ON, OFF = {"REACTOR_PUMP": "on"}, {"REACTOR_PUMP": "off"}


def test_who_gets_a_pump() -> None:
    """Epoll by choice or by default, and nobody else; "off" and "pure" are heeded; nonsense is refused."""
    for selector, environ, is_pumped in [
        (None, {}, True),
        ("epoll", {}, True),
        ("poll", {}, False),
        (None, {"REACTOR_SELECTOR": "select"}, False),
        (None, OFF, False),
        (None, ON, True),
    ]:
        given_back = with_pump(selector, environ)
        assert isinstance(given_back, Pump) == is_pumped, (selector, environ)
        if isinstance(given_back, Pump):
            given_back.close()
    with Loop("poll") as loop:
        assert with_pump(loop.registry.poller, ON) is loop.registry.poller
    with pytest.raises(OptionError, match="REACTOR_PUMP is one of auto, on, off, not 'yes'"):
        with_pump(None, {"REACTOR_PUMP": "yes"})


def test_the_status_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``reactor info`` prints."""
    monkeypatch.delenv("REACTOR_ACCEL", raising=False)
    assert pump_status({}) == ("on", "the compiled module is loaded (automatic)")
    assert pump_status(OFF) == ("off", "chosen by REACTOR_PUMP=off")
    assert pump_status({"REACTOR_SELECTOR": "poll"})[0] == "off"
    monkeypatch.setenv("REACTOR_ACCEL", "pure")
    assert pump_status({}) == ("off", "REACTOR_ACCEL=pure: nothing compiled")
    assert with_pump(None, {}) is None


def test_a_pump_that_is_demanded_and_missing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever demands it wants to know; whoever does not gets plain epoll."""
    monkeypatch.delenv("REACTOR_ACCEL", raising=False)
    monkeypatch.setitem(sys.modules, "reactor._accel", None)
    monkeypatch.delitem(sys.modules, "reactor.framing.scanner_accel", raising=False)
    monkeypatch.delattr("reactor.framing.scanner_accel", raising=False)
    assert with_pump(None, {}) is None
    with pytest.raises(AccelUnavailable, match="REACTOR_PUMP=on was demanded"):
        with_pump(None, ON)
    assert pump_status({})[0] == "off"
