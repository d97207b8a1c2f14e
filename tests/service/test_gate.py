"""The gate, on every poller: who gets through does so with every byte, and is then alone with the stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from reactor.auth import Key, KeyRing, wire
from reactor.auth.challenge import refusal
from tests.auth.sides import ANOTHER_SECRET, SECRET
from tests.net.recorder import Recorder, echo
from tests.service.scene import WRONG, Caller, Scene, scene_on


@pytest.fixture
def scene(poller_name: str) -> Iterator[Scene]:
    """A gate on each poller, in front of an echo."""
    with scene_on(poller_name) as made:
        made.reactions["data_received"] = echo
        yield made


def test_the_protocol_behind_the_gate_lives_on_the_stream_itself(scene: Scene) -> None:
    """It is made when the peer has proved itself, is told of the real transport, and nothing is in between."""
    with scene.caller() as caller:
        assert (scene.made, scene.gate.waiting) == ([], 1)
        caller.authenticate()
        (protocol,) = scene.made
        assert protocol.transport.get_protocol() is protocol
        assert protocol.calls == [("connection_made",)]
        caller.send(b"hello")
        assert caller.receive(5) == b"hello"
    scene.until(lambda: protocol.is_lost)
    protocol.check_grammar()
    assert (scene.gate.passed, scene.gate.failed, scene.gate.waiting) == (1, 0, 0)


def test_bytes_behind_the_response_are_the_first_that_the_protocol_receives(scene: Scene) -> None:
    """A client may send without waiting for the acceptance; order and number are kept."""
    with scene.caller() as caller:
        caller.authenticate(more=b"one")
        caller.send(b"two")
        assert caller.receive(6) == b"onetwo"
        assert scene.made[0].received == b"onetwo"


def test_nothing_is_lost_whatever_the_pieces_in_which_it_comes(scene: Scene) -> None:
    """Byte by byte, through the whole handshake and beyond it."""
    with scene.caller() as caller:
        for byte in caller.response() + b"tail":
            assert not scene.made or scene.made[0].received != b"tail"
            caller.send(bytes([byte]))
            scene.settle()
        caller.frame()
        assert caller.receive(4) == b"tail"


def test_a_protocol_that_pauses_at_once_is_given_the_rest_when_it_goes_on(scene: Scene) -> None:
    """What came behind the handshake waits, before what comes later."""
    scene.reactions["connection_made"] = lambda me: me.transport.pause_reading()
    with scene.caller() as caller:
        caller.authenticate(more=b"one")
        caller.send(b"two")
        scene.settle()
        (protocol,) = scene.made
        assert protocol.received == b""
        protocol.transport.resume_reading()
        assert caller.receive(6) == b"onetwo"
        assert protocol.received == b"onetwo"


@pytest.mark.parametrize("how", ["close", "abort"])
def test_a_protocol_that_closes_at_once_is_told_nothing_more(scene: Scene, how: str) -> None:
    """What came behind the handshake is for nobody then."""
    scene.reactions["connection_made"] = lambda me: getattr(me.transport, how)()
    with scene.caller() as caller:
        caller.send(caller.response() + b"more")
        caller.receive_all()
        scene.until(lambda: scene.made and scene.made[0].is_lost)
    assert scene.made[0].names == ["connection_made", "connection_lost"]


class Buffered:
    """A protocol that receives into a buffer of its own."""

    def __init__(self) -> None:
        self.buffer = bytearray(3)
        self.received = b""
        self.is_lost = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def get_buffer(self, size_hint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, size: int) -> None:
        self.received += self.buffer[:size]

    def eof_received(self) -> None:
        pass

    def connection_lost(self, exc: BaseException | None) -> None:
        self.is_lost = True


def test_a_protocol_with_a_buffer_of_its_own_is_given_the_rest_in_that(poller_name: str) -> None:
    """Whatever the size of its buffer."""
    buffered = Buffered()
    with scene_on(poller_name) as scene:
        scene.gate._factory = lambda: buffered
        with scene.caller() as caller:
            caller.authenticate(more=b"more than three")
            caller.send(b", and then some")
            scene.until(lambda: len(buffered.received) == 30)
        scene.until(lambda: buffered.is_lost)
    assert buffered.received == b"more than three, and then some"


@pytest.mark.parametrize("where", ["connection_made", "data_received"])
def test_an_exception_of_the_protocol_is_reported_once_and_ends_its_connection(scene: Scene, where: str) -> None:
    """It is a bug of ours, and not held against the peer."""

    def fail(me: Recorder, *args: object) -> None:
        raise ZeroDivisionError("a bug")

    scene.reactions[where] = fail
    with scene.caller() as caller:
        caller.send(caller.response() + b"more")
        caller.receive_all()
        scene.until(lambda: scene.made[0].is_lost)
    assert [type(exc) for exc in scene.stage.take_failures()] == [ZeroDivisionError]
    assert isinstance(scene.made[0].reason, ZeroDivisionError)
    assert (scene.gate.passed, scene.gate.failed) == (1, 0)


def test_a_factory_that_fails_ends_the_connection_and_nothing_else(scene: Scene) -> None:
    """The next client may have more luck."""
    with scene.caller() as caller:
        good, scene.gate._factory = scene.gate._factory, lambda: 1 / 0
        caller.send(caller.response())
        caller.receive_all()
        scene.gate._factory = good
    assert [type(exc) for exc in scene.stage.take_failures()] == [ZeroDivisionError]
    with scene.caller() as caller:
        caller.authenticate()
    assert (scene.gate.passed, scene.gate.failed, scene.gate.waiting) == (2, 0, 0)


def test_the_protocol_can_ask_with_which_key_its_peer_came(poller_name: str) -> None:
    """And is told up to its last call; of other transports nothing is known, nor of one that is gone."""
    ring = KeyRing([Key("alice", SECRET), Key("bob", ANOTHER_SECRET)])
    with scene_on(poller_name, keys=ring) as scene:
        last: list[Any] = []
        scene.reactions["connection_lost"] = lambda me, exc: last.append(me.transport.get_extra_info("key_id"))
        for key in (Key("bob", ANOTHER_SECRET), Key("alice", SECRET)):
            with scene.caller(keys=KeyRing([key])) as caller:
                caller.authenticate()
                protocol = scene.made[-1]
                assert scene.gate.key_id_of(protocol.transport) == key.id
            scene.until(lambda protocol=protocol: protocol.is_lost)
            assert last.pop() == key.id
            assert scene.gate.key_id_of(protocol.transport) is None
        assert not scene.stage._shared.extra
        other = scene.stage.listen_tcp(lambda: plain, "127.0.0.1")
        plain = Recorder()
        with Caller(scene.stage, other.address):
            scene.until(lambda: plain.transport is not None)
            assert scene.gate.key_id_of(plain.transport) is None


def test_new_keys_count_from_the_next_connection_on(scene: Scene) -> None:
    """Who is in his handshake goes on with those that he found; the rest is rotation."""
    with scene.caller() as early, scene.caller() as open_already:
        open_already.authenticate()
        scene.gate.keys = WRONG
        early.authenticate()
        open_already.send(b"still")
        assert open_already.receive(5) == b"still"
        with scene.caller(keys=WRONG) as late:
            late.authenticate()
        with scene.caller() as outdated:
            outdated.send(outdated.response())
            assert outdated.frame() == refusal(wire.NO_PROOF)


def test_a_context_has_to_be_the_same_on_both_sides(poller_name: str) -> None:
    """A proof that is meant for another server opens nothing here."""
    with scene_on(poller_name, context=b"payroll") as scene:
        with scene.caller(context=b"payroll") as caller:
            caller.authenticate()
        with scene.caller(context=b"forum") as caller:
            caller.send(caller.response())
            assert caller.receive_all() == refusal(wire.NO_PROOF)
