"""The gate, on every poller: who does not get through, what he is told, and that nobody else pays for it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import reactor
from reactor.auth import AUTHENTICATED, Handshake, Key, KeyRing, wire
from reactor.auth.challenge import refusal
from reactor.errors import OptionError, WrongThread
from reactor.service.gate import HANDSHAKE_TIMEOUT, ServerGate
from tests.auth.sides import RING, SECRET
from tests.net.recorder import Recorder, echo
from tests.service.peer import PATIENCE
from tests.service.scene import WRONG, Caller, Scene, scene_on


@pytest.fixture
def scene(poller_name: str) -> Iterator[Scene]:
    """A gate on each poller, in front of an echo."""
    with scene_on(poller_name) as made:
        made.reactions["data_received"] = echo
        yield made


def fail_once(scene: Scene) -> None:
    """Have a client with a wrong key fail."""
    with scene.caller(keys=WRONG) as caller:
        caller.send(caller.response())
        assert caller.receive_all() == refusal(wire.NO_PROOF)
    scene.settle()


def is_let_in(scene: Scene) -> bool:
    """Return True if an honest client is listened to at present."""
    with scene.caller() as caller:
        caller.authenticate()
        return True


def test_a_failure_is_counted_and_told_in_one_line_without_a_traceback(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """The line says who it was and why; the protocol behind the gate has not heard of it."""
    faults: list[Exception] = []
    scene.gate._on_failed = faults.append
    fail_once(scene)
    (record,) = caplog.records
    assert record.exc_info is None
    assert "closed the connection of 127.0.0.1:" in record.getMessage()
    assert "key 'app-1': its proof is wrong" in record.getMessage()
    assert (scene.gate.failed, scene.stage.counters.peer_errors, len(faults)) == (1, 1, 1)
    assert scene.made == []


def test_a_listener_to_failures_that_fails_itself_is_reported_and_changes_nothing(scene: Scene) -> None:
    """The connection is closed all the same, and those that are due later are as well."""
    scene.gate._on_failed = lambda fault: 1 / 0
    with scene.caller() as first:
        scene.pass_time(1.0)
        with scene.caller() as second:
            scene.pass_time(HANDSHAKE_TIMEOUT)
            for caller in (first, second):
                caller.frame()
                assert caller.receive_all() == b""
    assert [type(exc) for exc in scene.stage.take_failures()] == [ZeroDivisionError] * 2
    assert scene.gate.waiting == 0


def test_many_failures_are_told_in_few_lines(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """A log is not filled by whoever knocks."""
    for _ in range(30):
        with scene.caller() as caller:
            caller.send(b"GET / HTTP/1.1\r\n\r\n")
            caller.receive_all()
    assert scene.gate.failed == 30
    assert len(caplog.records) <= 10


def test_whoever_has_the_key_is_served_at_once_whatever_fails_at_the_same_address(scene: Scene) -> None:
    """A client without a key, behind the same NAT, fails in the middle of each of 400 attempts with the right key.
    All 400 are served, and no time passes for any of them."""
    began = scene.clock.now
    for _ in range(400):
        with scene.caller(keys=WRONG) as hostile, scene.caller() as honest:
            hostile.send(hostile.response())
            response = honest.response()
            assert hostile.receive_all() == refusal(wire.NO_PROOF)
            honest.send(response)
            honest.side.receive(honest.frame(), 0.0)
    assert (scene.gate.passed, scene.gate.failed, scene.clock.now) == (400, 400, began)


@pytest.mark.slow
def test_the_key_is_proved_promptly_while_another_process_fails_without_a_pause(poller_name: str) -> None:
    """The same with real time and four connections at once that do nothing but fail: 400 of 400 are served."""
    key, stop = KeyRing([Key("app-1", SECRET)]), threading.Event()
    with reactor.Reactor(poller_name) as loop:
        gate = ServerGate(loop, Recorder, key)
        address = loop.listen_tcp(gate, "127.0.0.1").address

        def fail() -> None:
            while not stop.is_set():
                with socket.create_connection(address, timeout=PATIENCE) as sock:
                    try:
                        sock.sendall(b"\xff" * 100)
                        while sock.recv(1000):
                            pass
                    except ConnectionError:
                        pass

        def prove() -> None:
            try:
                while gate.failed < 4:  # the hostile ones are at work from here on
                    stop.wait(0.001)
                for _ in range(400):
                    began = time.monotonic()
                    with socket.create_connection(address, timeout=PATIENCE) as sock:
                        side = Handshake("client", key, deadline=float("inf"))
                        while side.state is not AUTHENTICATED:
                            sock.sendall(side.receive(sock.recv(1000), 0.0))
                    waits.append(time.monotonic() - began)
            finally:
                stop.set()
                loop.call_soon_threadsafe(loop.stop)

        waits: list[float] = []
        threads = [threading.Thread(target=target) for target in (fail, fail, fail, fail, prove)]
        for thread in threads:
            thread.start()
        loop.run()
        loop.run_until(lambda: not any(thread.is_alive() for thread in threads), timeout=PATIENCE)
        for thread in threads:
            thread.join()
    assert len(waits) == gate.passed == 400
    assert sorted(waits)[200] < 1.0, "the wait after a failure was up to a minute"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="all of 127.0.0.0/8 is this machine on Linux only")
def test_nothing_is_remembered_of_those_who_failed_however_many_addresses_they_have(scene: Scene) -> None:
    """A table of peers could be filled by whoever has many addresses; there is none."""
    for host in range(2, 200):
        with socket.socket() as sock:
            sock.bind((f"127.0.0.{host}", 0))
            sock.connect(scene.address)
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
            scene.until(lambda failed=host - 1: scene.gate.failed == failed)
    assert (scene.gate.waiting, len(scene.gate._by_peer)) == (0, 0)
    assert is_let_in(scene)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="all of 127.0.0.0/8 is this machine on Linux only")
def test_the_address_with_most_handshakes_makes_room_and_not_the_oldest_of_another(poller_name: str) -> None:
    """A flood from one address displaces itself: whoever came from elsewhere before it is still served."""
    with scene_on(poller_name, most=4) as scene, socket.socket() as plain, ExitStack() as flood:
        plain.bind(("127.0.0.2", 0))
        plain.connect(scene.address)
        scene.until(lambda: scene.gate.waiting == 1)
        for _ in range(50):
            flood.enter_context(scene.caller())
        assert (scene.gate.waiting, scene.gate.displaced) == (4, 47)
        plain.settimeout(0)
        side = Handshake("client", RING, deadline=float("inf"))
        plain.sendall(side.receive(plain.recv(1000), 0.0))
        scene.until(lambda: scene.gate.passed == 1)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="all of 127.0.0.0/8 is this machine on Linux only")
def test_the_oldest_handshake_makes_room_when_each_address_has_one(poller_name: str) -> None:
    """Nobody asks for more than another, so the one that has had most time goes."""
    with scene_on(poller_name, most=3) as scene, ExitStack() as stack:
        peers = []
        for host in range(2, 6):
            sock = stack.enter_context(socket.socket())
            sock.bind((f"127.0.0.{host}", 0))
            sock.connect(scene.address)
            scene.until(lambda arrived=host - 1: scene.gate.waiting + scene.gate.displaced == arrived)
            peers.append(sock)
        peers[0].settimeout(PATIENCE)
        scene.settle()
        assert peers[0].recv(1000).endswith(refusal(wire.LATER))
        assert (scene.gate.waiting, scene.gate.displaced) == (3, 1)


def test_a_peer_that_leaves_without_a_word_has_not_failed(scene: Scene) -> None:
    """Load balancers look in like that; an end and a reset are the same here."""
    for leave in (Caller.reset, lambda caller: caller.socket.close()):
        with scene.caller() as caller:
            leave(caller)
            scene.until(lambda: scene.gate.waiting == 0)
    assert scene.gate.failed == 0
    assert is_let_in(scene)


@pytest.mark.parametrize("leave", [Caller.reset, lambda caller: caller.socket.shutdown(socket.SHUT_WR)])
def test_a_peer_that_leaves_in_the_middle_of_a_word_has_failed(scene: Scene, leave: Any) -> None:
    """It is counted."""
    with scene.caller() as caller:
        caller.send(b"\0\0")
        scene.settle()
        leave(caller)
        scene.until(lambda: scene.gate.failed == 1)
    scene.settle()
    assert scene.gate.waiting == 0


def test_a_silent_peer_is_closed_at_the_deadline_and_has_failed(scene: Scene) -> None:
    """Not sooner, and each at its own time, although there is one timer for all."""
    with scene.caller() as first:
        scene.pass_time(4.0)
        with scene.caller() as second:
            scene.pass_time(HANDSHAKE_TIMEOUT - 4.1)
            assert scene.gate.waiting == 2
            scene.pass_time(0.2)
            assert scene.gate.waiting == 1
            first.frame()
            assert first.receive_all() == b""
            scene.pass_time(4.0)
            second.frame()
            assert second.receive_all() == b""
    assert (scene.gate.waiting, scene.gate.failed) == (0, 2)


def test_no_timer_is_left_when_nobody_waits(scene: Scene) -> None:
    """A loop with a gate that is idle has nothing to wake up for."""
    with scene.caller() as caller:
        assert scene.stage.next_timeout() is not None
        caller.authenticate()
        scene.settle()
        assert scene.stage.next_timeout() is None


def test_the_oldest_handshake_makes_room_when_there_are_too_many(poller_name: str) -> None:
    """Silent ones cannot lock anybody out: whoever comes is listened to, and the one that waited longest goes."""
    with scene_on(poller_name, most=2) as scene:
        with scene.caller() as oldest, scene.caller() as older, scene.caller() as caller:
            oldest.frame()
            assert oldest.receive_all() == refusal(wire.LATER)
            assert scene.gate.waiting == 2
            caller.authenticate()
            with scene.caller(), scene.caller():
                older.frame()
                assert older.receive_all() == refusal(wire.LATER)
        scene.until(lambda: scene.gate.waiting == 0)
        assert (scene.gate.passed, scene.gate.failed, scene.gate.displaced) == (1, 2, 2)
        assert is_let_in(scene), "it is not held against anybody"


def test_as_many_make_room_as_there_are_too_many(scene: Scene) -> None:
    """The bound may be lowered while handshakes go on; it holds from the next connection on."""
    with scene.caller(), scene.caller(), scene.caller():
        scene.gate.most = 1
        assert scene.gate.waiting == 3
        with scene.caller() as last:
            assert (scene.gate.waiting, scene.gate.displaced) == (1, 3)
            last.authenticate()


def test_an_idle_timeout_of_the_listener_counts_as_a_failure(poller_name: str) -> None:
    """Whoever set one meant it for those who have not come in as well."""
    with scene_on(poller_name) as scene:
        scene.listener._idle_timeout = 1.0
        with scene.caller() as caller:
            scene.pass_time(1.0)
            caller.frame()
            assert caller.receive_all() == b""
            scene.until(lambda: scene.gate.failed == 1)


def test_a_gate_that_is_closed_by_whoever_is_told_of_a_failure_lets_nobody_through() -> None:
    """The one for whom room was being made was let in all the same."""
    with (
        scene_on("poll", most=1, on_failed=lambda error: scene.gate.close()) as scene,
        scene.caller() as silent,
        scene.caller() as honest,
    ):
        assert honest.receive_all() == b""
        assert (scene.gate.waiting, scene.gate.passed) == (0, 0)
        silent.receive_all()


def test_a_gate_is_closed_by_its_own_thread_only(scene: Scene) -> None:
    """A refused call changes nothing: who is in the handshake still has a deadline."""
    refused: list[BaseException] = []

    def close() -> None:
        try:
            scene.gate.close()
        except WrongThread as exc:
            refused.append(exc)

    def call_from_elsewhere() -> None:
        thread = threading.Thread(target=close)
        thread.start()
        thread.join()

    with scene.caller() as waiting:
        scene.until(lambda: scene.gate.waiting == 1)
        scene.stage.call_soon(call_from_elsewhere)
        scene.settle()
        assert len(refused) == 1
        assert scene.gate.waiting == 1
        scene.pass_time(60)
        waiting.receive_all()
        assert (scene.gate.waiting, scene.gate.failed) == (0, 1), "its deadline went with the refused call"


def test_a_closed_gate_lets_nobody_through_and_leaves_the_others_alone(scene: Scene) -> None:
    """Handshakes are aborted, and no new one begins; nobody is blamed for it."""
    with scene.caller() as inside, scene.caller() as waiting:
        inside.authenticate()
        scene.gate.close()
        waiting.frame()
        assert waiting.receive_all() == b""
        with scene.caller() as late:
            assert late.receive_all() == b""
        inside.send(b"still")
        assert inside.receive(5) == b"still"
    assert (scene.gate.waiting, scene.gate.failed) == (0, 0)
    assert scene.stage.next_timeout() is None


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"timeout": 0}, "positive number of seconds"),
        ({"timeout": float("nan")}, "positive number of seconds"),
        ({"most": 0}, "at least 1"),
        ({"context": bytes(2000)}, "at most 1024"),
        ({"algorithms": ["md5"]}, "algorithms are some of"),
    ],
)
def test_options_that_cannot_be_are_refused_when_the_gate_is_made(options: dict[str, Any], text: str) -> None:
    """Not when the first client comes."""
    with scene_on(None) as scene, pytest.raises(OptionError, match=text):
        ServerGate(scene.stage, Recorder, RING, **options)
