"""A server that is right is found to be right: every transport, mode and engine, sizes of every kind.

The two engines count the same messages and bytes, since a message is a function of its connection and its number.
"""

from __future__ import annotations

from typing import Any

import pytest

from reactor.load import Moment, Plan, Result, run
from tests.load.conftest import StartServer


def drive(target: str, **options: Any) -> Result:
    """Run a short plan of 200 messages over four connections."""
    settings = {"connections": 4, "in_flight": 3, "messages": 200, "size": "1-300"}
    return run(Plan(target, **{**settings, **options}))


@pytest.mark.parametrize("mode", ["raw", "line", "framed"])
@pytest.mark.parametrize("transport", ["tcp", "unix", "udp"])
def test_every_message_is_answered_when_the_server_is_right(
    serve_faulty: StartServer, engine: str, transport: str, mode: str
) -> None:
    """All counts agree, and nothing is complained about."""
    result = drive(serve_faulty("good", mode, transport), mode=mode, udp=transport == "udp", engine=engine)
    assert result.reasons == []
    assert (result.sent, result.answered, result.latency_count) == (200, 200, 200)
    assert (result.engine, result.connections) == (engine, 4)
    assert result.window.bytes_in == result.window.bytes_out


def test_datagrams_work_on_a_unix_socket(serve_faulty: StartServer, engine: str) -> None:
    """Each sender has an address of its own there, so that it can be answered."""
    target = serve_faulty("good", "raw", "udp", is_unix=True)
    assert drive(target, udp=True, engine=engine).is_valid


@pytest.mark.parametrize("size", ["64", "1-1024", "64,1024x3", "~512", "~512/2", "300000"])
@pytest.mark.parametrize("mode", ["raw", "framed"])
def test_both_engines_send_the_same_bytes_when_the_plan_is_the_same(
    serve_faulty: StartServer, size: str, mode: str, engine: str
) -> None:
    """Messages of all sizes, larger than any buffer too; as many bytes as the messages have by themselves."""
    from reactor.load.messages import Messages

    plan = {"mode": mode, "size": size, "messages": 30, "connections": 1, "seed": 7}
    result = drive(serve_faulty("good", mode), **plan, engine=engine)
    messages = Messages(size, 7)
    assert result.reasons == []
    assert result.window.bytes_in == sum(messages.size(0, number) for number in range(30))


def test_an_open_loop_keeps_its_schedule_when_the_server_is_quick(serve_faulty: StartServer, engine: str) -> None:
    """So many messages at such a rate take so long, and how late each was sent is known."""
    result = drive(serve_faulty("good", "framed"), mode="framed", rate=2000.0, engine=engine, arrivals="poisson")
    assert result.reasons == []
    assert result.window.seconds >= 0.08
    assert result.lateness is not None
    assert result.service is not None
    assert result.latency is not None
    assert result.latency["min"] >= 0
    assert result.service["p50"] <= result.latency["p50"] * 1.01


@pytest.mark.slow
def test_a_duration_ends_the_run_and_every_reply_is_waited_for(serve_faulty: StartServer, engine: str) -> None:
    """Warm-up and measurement take as long as they should; nothing that was sent is left unanswered."""
    moments: list[Moment] = []
    plan = Plan(serve_faulty("good", "line"), mode="line", duration=1.2, warm_up=0.1, engine=engine)
    result = run(plan, progress=moments.append)
    assert result.reasons == []
    assert 1.2 <= result.window.seconds < 3
    assert result.sent == result.answered > result.latency_count
    assert moments
    assert 0 < result.utilisation <= 1.1


@pytest.mark.slow
def test_an_open_loop_says_so_when_it_had_to_wait(
    serve_faulty: StartServer, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection may owe a bounded number of replies; a frozen server brings it there, and the result tells."""
    monkeypatch.setattr("reactor.load.starts.OPEN_LIMIT", 16)
    target = serve_faulty("frozen", "framed")
    result = drive(target, mode="framed", connections=1, rate=1000.0, messages=300, engine=engine)
    assert result.reasons == []
    assert [warning for warning in result.warnings if "not quite open" in warning]


def test_the_json_form_has_every_promised_name_when_a_run_is_over(serve_faulty: StartServer, engine: str) -> None:
    """The names of the schema are those that ``docs/load.md`` lists."""
    found = drive(serve_faulty("good"), engine=engine).as_dict()
    assert found["schema"] == "reactor-load/1"
    assert set(found) == {
        "schema", "valid", "reasons", "warnings", "plan", "engine", "environment", "connections", "seconds",
        "messages", "throughput", "latency", "latency_count", "service", "lateness", "percentiles_by", "faults",
        "examples", "generator",
    }  # fmt: skip
