"""Each way in which a server can be wrong is found, is called by its name, and makes the result invalid.

Both engines meet the same servers and must say the same: the C engine hands whatever is odd to the judges of the
other one, and these tests hold it to that.
"""

from __future__ import annotations

import socket
from typing import Any

import pytest

from reactor.load import Plan, Result, run
from tests.load.conftest import StartServer

#: What is counted when a server does this once to a client with four messages in flight; by content.
BY_NAME = {
    "hang_up": {"hung_up", "lost"},
    "corrupt": {"corrupted"},
    "twice": {"duplicated"},
    "swallow": {"lost"},
    "reorder": {"reordered"},
}


def drive(target: str, **options: Any) -> Result:
    """Run a short plan of 60 messages over three connections."""
    settings = {"connections": 3, "in_flight": 4, "messages": 60, "timeout": 0.2, "size": "40"}
    return run(Plan(target, **{**settings, **options}))


def counted(result: Result) -> dict[str, int]:
    """Return the kinds of faults that were counted."""
    return {kind: count for kind, count in result.faults.items() if count}


@pytest.mark.parametrize("mode", ["line", "framed"])
@pytest.mark.parametrize("fault", ["corrupt", "twice", "reorder"])
def test_a_fault_is_named_and_counted_once_when_it_happens_once(
    serve_faulty: StartServer, engine: str, fault: str, mode: str
) -> None:
    """One changed, doubled or reordered reply is exactly that, and all other messages are answered."""
    result = drive(serve_faulty(fault, mode), mode=mode, engine=engine)
    assert counted(result) == dict.fromkeys(BY_NAME[fault], 1)
    assert not result.is_valid
    assert result.sent == 60
    assert result.answered == 60 - (fault == "corrupt")
    assert any("connection" in example for example in result.examples)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["line", "framed"])
def test_a_message_is_lost_when_it_is_not_answered_in_time(
    serve_faulty: StartServer, engine: str, mode: str
) -> None:
    """The swallowed one is lost, the others go on."""
    result = drive(serve_faulty("swallow", mode), mode=mode, engine=engine)
    assert counted(result) == {"lost": 1}
    assert result.answered == 59


@pytest.mark.parametrize("mode", ["raw", "line", "framed"])
def test_a_hung_up_connection_is_told_when_the_others_go_on(
    serve_faulty: StartServer, engine: str, mode: str
) -> None:
    """The connection is counted, what it owed is lost, the rest of the messages goes to the other two."""
    result = drive(serve_faulty("hang_up", mode), mode=mode, engine=engine, in_flight=1)
    assert counted(result) == {"hung_up": 1, "lost": 1}
    assert result.answered == result.sent - 1 == 59


def test_a_changed_byte_is_found_by_position_when_the_stream_is_raw(serve_faulty: StartServer, engine: str) -> None:
    """A raw stream is compared byte by byte; the message that the byte belongs to is corrupted."""
    result = drive(serve_faulty("corrupt"), engine=engine, in_flight=1)
    assert counted(result) == {"corrupted": 1}
    assert "byte 39 is" in result.examples[0]


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["twice", "swallow"])
def test_a_raw_result_is_invalid_when_bytes_are_missing_or_too_many(
    serve_faulty: StartServer, engine: str, fault: str
) -> None:
    """Without boundaries nothing can be told apart after that, but the result is never valid."""
    result = drive(serve_faulty(fault), engine=engine, in_flight=1)
    assert not result.is_valid
    assert set(counted(result)) <= {"corrupted", "unasked", "lost"}


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["corrupt", "twice", "swallow", "reorder"])
def test_a_datagram_fault_is_named_when_it_happens_once(
    serve_faulty: StartServer, engine: str, fault: str
) -> None:
    """Datagrams have boundaries of their own, so even raw ones are told apart."""
    result = drive(serve_faulty(fault, "raw", "udp"), udp=True, engine=engine)
    assert counted(result) == dict.fromkeys(BY_NAME[fault], 1)


@pytest.mark.parametrize("udp", [False, True])
def test_the_result_is_invalid_when_nobody_listens(engine: str, udp: bool) -> None:
    """Every connection is counted as refused; nothing is raised."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM) as taken:
        taken.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{taken.getsockname()[1]}"
        if udp:
            taken.close()
        result = drive(target, udp=udp, engine=engine)
    assert not result.is_valid
    assert result.faults["refused"] == 3
    assert result.answered == 0


def test_a_missing_unix_socket_is_refused(engine: str) -> None:
    """The reason names what is missing."""
    result = drive("unix:/nonexistent/socket", engine=engine)
    assert result.faults["refused"] == 3
    assert "/nonexistent/socket" in result.examples[0]


@pytest.mark.slow
def test_a_frozen_server_shows_in_the_open_loop_and_hardly_in_the_closed_one(
    serve_faulty: StartServer, engine: str
) -> None:
    """Half a second without an answer at 500 messages a second is 250 messages that waited, not one.

    Counted from when they were due, the worst tenth of the two seconds shows it; the closed loop stops asking,
    and its one slow reply hides behind thousands of quick ones.  Both are measured against the same kind of freeze.
    """
    target = serve_faulty("frozen", "framed")
    plan = Plan(target, connections=1, mode="framed", engine=engine, duration=2, warm_up=0)
    opened = run(plan._replace(rate=500.0))
    closed = run(plan._replace(target=serve_faulty("frozen", "framed", "unix"), messages=5000, duration=None))
    assert opened.is_valid, opened.reasons
    assert closed.is_valid, closed.reasons
    assert opened.latency is not None
    assert closed.latency is not None
    assert 0.4 < opened.latency["p99"] <= opened.latency["max"]
    assert opened.latency["p90"] > 0.1
    assert closed.latency["max"] > 0.4
    assert closed.latency["p99.9"] < opened.latency["p99.9"] / 2


def test_upper_case_is_verified_when_it_is_expected(serve_faulty: StartServer, engine: str) -> None:
    """What the service makes of a message is a function of it; an echo in its place is corrupted."""
    target = serve_faulty("upper", "framed")
    assert drive(target, mode="framed", expect="upper", engine=engine).is_valid
    echoed = drive(serve_faulty("good", "framed", "unix"), mode="framed", expect="upper", engine=engine)
    assert counted(echoed) == {"corrupted": 60}
