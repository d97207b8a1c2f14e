"""What settimeout is for, without anybody waiting: a reply in time, bytes taken in time, a datagram sent again."""

from __future__ import annotations

import socket
from typing import Any

import pytest

import reactor
from reactor.errors import ConnectFailed, OperationTimeout, OptionError, PeerError, ReactorClosed
from reactor.net.stream.deadline import Deadline
from reactor.testing import ScriptedPoller, VirtualClock
from tests.net.notes import Notes
from tests.net.recorder import Recorder
from tests.net.stage import KINDS, Stage, stage_on, wire_on


def virtual() -> tuple[Stage, VirtualClock, list[OperationTimeout]]:
    """A stage in virtual time, and the list of what was missed."""
    clock = VirtualClock()
    return Stage(ScriptedPoller(clock), clock=clock), clock, []


def test_it_is_missed_when_its_time_has_come_and_not_before() -> None:
    """Once, with an error that says what did not come; then it is not running, and may be started again."""
    stage, clock, missed = virtual()
    with stage:
        deadline = Deadline(stage, missed.append, "a greeting")
        assert not deadline.is_running()
        assert repr(deadline) == "<Deadline for a greeting, not running>"
        for start in (1000.0, 1002.5):
            deadline.start(2.5)
            assert repr(deadline) == "<Deadline for a greeting, 2.5 s>"
            assert clock.now == start
            stage.until(lambda: not deadline.is_running())
        assert clock.now == 1005.0
        assert [str(exc) for exc in missed] == ["a greeting did not come within 2.5 s"] * 2
        assert isinstance(missed[0], TimeoutError)
        assert isinstance(missed[0], PeerError)


def test_nothing_is_missed_when_it_has_come() -> None:
    """Stopped, also twice; started anew, it waits from then on."""
    stage, clock, missed = virtual()
    with stage:
        deadline = Deadline(stage, missed.append)
        deadline.start(5)
        clock.advance(4)
        deadline.start(5)
        clock.advance(4)
        stage.settle()
        assert deadline.is_running()
        deadline.stop()
        deadline.stop()
        clock.advance(99)
        stage.settle()
        assert missed == []
        assert stage.next_timeout() is None


def test_what_is_started_or_stopped_in_the_turn_in_which_it_is_due_is_not_missed() -> None:
    """The last word counts: the reply came in that very turn.  In the moment of missing, too."""
    stage, clock, missed = virtual()

    def told(exc: OperationTimeout) -> None:
        missed.append(exc)
        deadline.stop()
        deadline.start(7)

    with stage:
        deadline = Deadline(stage, told)
        for again in (lambda: deadline.start(5), deadline.stop):
            deadline.start(5)
            clock.advance(5)
            stage.call_soon(again)
            stage.run_once(0)
            assert not missed
        deadline.start(5)
        clock.advance(5)
        stage.settle()
        assert len(missed) == 1
        assert repr(deadline) == "<Deadline for a reply, 7 s>"


@pytest.mark.parametrize("is_running", [True, False])
def test_nothing_is_started_on_a_reactor_that_is_closed(is_running: bool) -> None:
    """It would never be missed, and say that it is running."""
    stage, _, missed = virtual()
    with stage:
        deadline = Deadline(stage, missed.append)
        if is_running:
            deadline.start(5)
    with pytest.raises(ReactorClosed):
        deadline.start(5)
    deadline.stop()
    assert not deadline.is_running()


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), 10**400, "5", None])
def test_a_time_that_is_none_is_refused(wrong: Any) -> None:
    """And what was running goes on."""
    stage, _, missed = virtual()
    with stage:
        deadline = Deadline(stage, missed.append)
        deadline.start(5)
        with pytest.raises(OptionError):
            deadline.start(wrong)
        assert deadline.is_running()


@pytest.mark.parametrize("kind", KINDS)
def test_a_peer_that_owes_a_reply_is_given_up_in_time(
    poller_name: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A textbook's recv with a timeout: connection_lost is told, in one line and without a traceback."""
    with stage_on(poller_name) as stage, wire_on(stage, Recorder(), kind) as wire:
        wire.stream.write(b"hello?")
        Deadline(stage, wire.stream.fail).start(0.01)
        stage.until(lambda: wire.protocol.is_lost)
        assert isinstance(wire.protocol.reason, OperationTimeout)
        assert "a reply did not come within 0.01 s" in caplog.text
        assert "Traceback" not in caplog.text


def test_a_deadline_is_not_pushed_back_by_single_bytes(poller_name: str) -> None:
    """As an idle timeout is, which such a peer never meets."""
    clock = VirtualClock()
    with stage_on(poller_name, clock=clock) as stage, wire_on(stage, Recorder()) as wire:
        wire.stream.set_idle_timeout(5)
        deadline = Deadline(stage, wire.stream.fail, "the whole request")
        deadline.start(20)
        for count in range(1, 20):
            wire.peer.send(b"x")
            stage.until(lambda count=count: len(wire.protocol.received) == count or wire.protocol.is_lost)
            clock.advance(1.1)
            stage.settle()
        assert isinstance(wire.protocol.reason, OperationTimeout)
        assert len(wire.protocol.received) == 19


def test_a_peer_that_does_not_take_what_is_sent_is_given_up_in_time(poller_name: str) -> None:
    """A textbook's sendall with a timeout: a write buffer limit of 0 tells when something waits, and when not."""
    finished: list[bool] = []

    class Sending(reactor.Protocol):
        transport: Any = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            transport.set_write_buffer_limits(high=0)
            self.sent = Deadline(stage, transport.fail, "taking what was sent")

        def pause_writing(self) -> None:
            self.sent.start(patience.pop(0))

        def resume_writing(self) -> None:
            self.sent.stop()
            finished.append(True)

        def connection_lost(self, exc: BaseException | None) -> None:
            reasons.append(exc)

    reasons: list[Any] = []
    patience = [30.0, 0.02]
    with stage_on(poller_name) as stage, wire_on(stage, Sending()) as wire:
        wire.stream.write(bytes(8_000_000))
        wire.peer.read()
        stage.until(lambda: finished)
        assert not reasons
        wire.stage.remove_reader(wire.peer.sock)
        wire.stream.write(bytes(8_000_000))
        stage.until(lambda: reasons)
        assert isinstance(reasons[0], OperationTimeout)


def test_a_datagram_is_sent_again_when_no_answer_came(poller_name: str) -> None:
    """Here nothing ends: what is called is the program's choice."""
    with stage_on(poller_name) as stage, socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        endpoint = stage.open_datagram(Notes, remote=server.getsockname())
        seen: list[bytes] = []

        def again(exc: OperationTimeout) -> None:
            seen.append(server.recv(10))
            if len(seen) < 3:
                endpoint.sendto(b"%d" % len(seen))
                deadline.start(0.005)

        deadline = Deadline(stage, again, "an answer")
        endpoint.sendto(b"0")
        deadline.start(0.005)
        stage.until(lambda: len(seen) == 3)
        assert seen == [b"0", b"1", b"2"]
        assert not endpoint.is_closing()


@pytest.mark.parametrize("default", [0.0, 0.000001, 30.0])
def test_the_default_timeout_of_the_socket_module_changes_nothing(poller_name: str, default: float) -> None:
    """It is a setting of the whole process, which other code may make: every socket here is non-blocking."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(default)
    try:
        with stage_on(poller_name) as stage, socket.socket() as reserved:
            reserved.bind(("127.0.0.1", 0))
            server, client, failed = Recorder(), Recorder(), Refused()
            listener = stage.listen_tcp(lambda: server, "127.0.0.1")
            stage.connect_tcp(lambda: client, *listener.address)
            stage.connect_tcp(lambda: failed, *reserved.getsockname())
            stage.until(lambda: server.calls and client.calls and failed.exc)
            for recorder in (server, client):
                assert recorder.transport.get_extra_info("socket").gettimeout() == 0.0
            assert isinstance(failed.exc, ConnectFailed)
            client.transport.write(b"x")
            stage.until(lambda: server.received)
    finally:
        socket.setdefaulttimeout(before)


class Refused(reactor.Protocol):
    """Keeps the error."""

    exc: Exception | None = None

    def connection_failed(self, exc: Exception) -> None:
        self.exc = exc
