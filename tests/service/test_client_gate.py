"""The gate on the client's side, on every poller: what a protocol hears that wants to talk to a server with a
key."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from reactor.auth import AUTHENTICATED, Handshake, Key, KeyRing, wire
from reactor.auth.challenge import refusal
from reactor.errors import (
    AuthenticationDelayed,
    AuthenticationFailed,
    AuthenticationTimeout,
    ConnectCancelled,
    ConnectFailed,
    ConnectionFailure,
)
from reactor.service.gate import ClientGate, ServerGate
from reactor.testing import VirtualClock
from tests.auth.sides import ANOTHER_SECRET, RING
from tests.net.recorder import Recorder, echo
from tests.net.stage import Stage
from tests.service.peer import Peer, turn_until


class Caller(Recorder):
    """A recorder that also hears why there is no connection."""

    def __init__(self, **reactions: Any) -> None:
        super().__init__(**reactions)
        self.failures: list[Exception] = []

    def connection_failed(self, exc: Exception) -> None:
        self.failures.append(exc)

    @property
    def failure(self) -> Exception:
        """What the only ``connection_failed`` said."""
        assert self.calls == []
        (failure,) = self.failures
        return failure


class Accepted(Peer):
    """The plain server's end of a connection, with the server's half of a handshake at hand."""

    def __init__(self, stage: Stage, sock: socket.socket, keys: KeyRing = RING) -> None:
        self._loop = stage
        self._received = bytearray()
        self._has_eof = False
        self.socket = sock
        self.socket.setblocking(False)
        self.side = Handshake("server", keys, deadline=float("inf"))

    def acceptance(self) -> bytes:
        """Have the client prove itself, and return the answer, which is not sent."""
        self.send(self.side.opening)
        head = self.receive(4)
        return self.side.receive(head + self.receive(int.from_bytes(head, "big")), 0.0)


class Scene:
    """A reactor whose clock stands still, and a plain listening socket."""

    def __init__(self, stage: Stage, clock: VirtualClock, listener: socket.socket) -> None:
        self.stage = stage
        self.clock = clock
        self.listener = listener
        self.address = listener.getsockname()

    def call(self, caller: Any, **options: Any) -> ClientGate:
        """Connect *caller* through a gate."""
        gate = ClientGate(self.stage, lambda: caller, options.pop("keys", RING), **options)
        self.stage.connect_tcp(gate, *self.address)
        return gate

    @contextmanager
    def accept(self, keys: KeyRing = RING) -> Iterator[Accepted]:
        """Take in the next client."""
        taken: list[socket.socket] = []

        def is_there() -> bool:
            try:
                taken.append(self.listener.accept()[0])
            except BlockingIOError:
                return False
            return True

        turn_until(self.stage, is_there)
        with Accepted(self.stage, taken[0], keys) as accepted:
            yield accepted


@pytest.fixture
def scene(poller_name: str) -> Iterator[Scene]:
    """A plain server, which does as the test says, and a reactor on each poller."""
    clock = VirtualClock()
    stage = Stage(poller_name, clock=clock)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        try:
            yield Scene(stage, clock, listener)
        finally:
            stage.close()
    assert stage.failures == []


def test_the_protocol_is_connected_when_both_have_proved_themselves(scene: Scene) -> None:
    """Not sooner: to a server that has not, nothing is sent but the proof.  What it said at once comes first."""
    caller = Caller(connection_made=lambda me: me.transport.write(b"hello"))
    gate = scene.call(caller)
    with scene.accept() as server:
        acceptance = server.acceptance()
        assert server.side.state is AUTHENTICATED
        assert caller.calls == []
        server.send(acceptance + b"welcome")
        assert server.receive(5) == b"hello"
        turn_until(scene.stage, lambda: caller.received == b"welcome")
        assert caller.transport.get_protocol() is caller
        assert (gate.key_id_of(caller.transport), gate.passed) == ("app-1", 1)
    turn_until(scene.stage, lambda: caller.is_lost)
    caller.check_grammar()
    assert caller.failures == []


def test_two_gates_let_each_other_through(scene: Scene) -> None:
    """The client's, the server's, and an echo behind it; both speak first."""
    servant = Recorder(connection_made=lambda me: me.transport.write(b"welcome"), data_received=echo)
    gate = ServerGate(scene.stage, lambda: servant, RING, context=b"here")
    scene.address = scene.stage.listen_tcp(gate, "127.0.0.1").address
    caller = Caller(connection_made=lambda me: me.transport.write(b" back"))
    scene.call(caller, context=b"here")
    turn_until(scene.stage, lambda: caller.received == b"welcome back")
    caller.transport.close()
    turn_until(scene.stage, lambda: caller.is_lost and servant.is_lost)


def test_a_server_with_another_key_is_not_trusted(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """It cannot know the answer; the caller is told, as the one who asked, and nobody's log is."""
    caller = Caller()
    gate = scene.call(caller)
    with scene.accept() as server:
        server.acceptance()
        server.send(wire.packed(wire.ACCEPTANCE, proof=bytes(64)))
        assert server.receive_all() == b""
        turn_until(scene.stage, lambda: caller.failures)
    assert type(caller.failure) is AuthenticationFailed
    assert "do not trust it" in str(caller.failure)
    assert (gate.failed, gate.passed, caplog.records) == (1, 0, [])


@pytest.mark.parametrize(
    ("said", "kind", "text"),
    [
        (refusal(wire.LATER), AuthenticationDelayed, "try again later"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", AuthenticationFailed, "speaks something else"),
        (b"\0\0\0\5hello", AuthenticationFailed, "no message of the handshake"),
        (b"\0\0", AuthenticationFailed, "ended in the middle of the handshake"),
        (b"", ConnectionFailure, "gone before the handshake was over"),
    ],
)
def test_a_server_that_asks_for_no_key_is_told_of(scene: Scene, said: bytes, kind: type, text: str) -> None:
    """One that refuses, one that speaks something else, and one that closes."""
    caller = Caller()
    scene.call(caller)
    with scene.accept() as server:
        if said:
            server.send(said)
        server.socket.shutdown(socket.SHUT_WR)
        turn_until(scene.stage, lambda: caller.failures)
    assert type(caller.failure) is kind
    assert text in str(caller.failure)


def test_a_refused_key_is_told_of_with_its_name(scene: Scene) -> None:
    """And with what may be the reason, as far as the server lets it be known."""
    caller = Caller()
    scene.call(caller, keys=KeyRing([Key("mine", ANOTHER_SECRET)]))
    with scene.accept() as server:
        with pytest.raises(AuthenticationFailed) as caught:
            server.acceptance()
        server.send(caught.value.reply)
        turn_until(scene.stage, lambda: caller.failures)
    assert "the key 'mine'" in str(caller.failure)


def test_a_broken_connection_is_told_of_with_its_cause(scene: Scene) -> None:
    """A reset in the middle of the handshake."""
    caller = Caller()
    gate = scene.call(caller)
    with scene.accept() as server:
        turn_until(scene.stage, lambda: gate.waiting)
        server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    turn_until(scene.stage, lambda: caller.failures)
    assert type(caller.failure) is ConnectionFailure
    assert "ECONNRESET" in str(caller.failure)
    assert isinstance(caller.failure.__cause__, ConnectionResetError)


def test_a_server_that_is_silent_is_given_up_at_the_deadline(scene: Scene) -> None:
    """Whether it has said nothing at all or a part of it."""
    for said in (b"", b"\0\0\0"):
        caller = Caller()
        scene.call(caller, timeout=3.0)
        with scene.accept() as server:
            if said:
                server.send(said)
            scene.stage.settle()
            scene.clock.advance(2.99)
            scene.stage.settle()
            assert caller.failures == []
            scene.clock.advance(0.02)
            turn_until(scene.stage, lambda caller=caller: caller.failures)
        assert type(caller.failure) is AuthenticationTimeout
        assert "perhaps it asks for no key" in str(caller.failure)


def test_a_connection_that_was_never_made_is_told_of_as_without_a_gate(scene: Scene) -> None:
    """Refused, or cancelled: what the connector says."""
    caller, cancelled = Caller(), Caller()
    scene.listener.close()
    scene.call(caller)
    gate = ClientGate(scene.stage, lambda: cancelled, RING)
    scene.stage.connect_tcp(gate, *scene.address).cancel()
    turn_until(scene.stage, lambda: caller.failures and cancelled.failures)
    assert type(caller.failure) is ConnectFailed
    assert type(cancelled.failure) is ConnectCancelled


def test_a_failure_is_told_in_the_log_when_the_protocol_does_not_want_to_know(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """A protocol need not have ``connection_failed``; then the reason is not lost either."""
    scene.call(Recorder())
    with scene.accept() as server:
        server.send(refusal(wire.LATER))
        assert server.receive_all() == b""
        turn_until(scene.stage, lambda: caplog.records)
    (record,) = caplog.records
    assert "try again later" in record.getMessage()


def test_a_factory_that_fails_does_so_in_the_face_of_its_caller(scene: Scene) -> None:
    """Before anything is connected."""
    with pytest.raises(ZeroDivisionError):
        scene.stage.connect_tcp(ClientGate(scene.stage, lambda: 1 / 0, RING), *scene.address)


def test_closing_the_reactor_in_the_middle_of_a_handshake_is_told(poller_name: str) -> None:
    """Nobody waits for a word that does not come."""
    caller = Caller()
    with socket.create_server(("127.0.0.1", 0)) as listener, Stage(poller_name) as stage:
        gate = ClientGate(stage, lambda: caller, RING)
        stage.connect_tcp(gate, *listener.getsockname())
        stage.until(lambda: gate.waiting)
    assert type(caller.failure) is ConnectionFailure
