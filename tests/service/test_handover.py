"""A server hands its sockets over to its successor, and goes on serving if the successor is none.

Both ends are in one process here, the successor in a thread, since it blocks.  ``tests/service/test_restart.py``
has real processes.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from reactor.errors import BindFailed, HandoverFailed, OptionError, ReactorClosed
from reactor.net.reactor import Reactor
from reactor.service.handover import GREETING, TAKEN, HandoverPoint, take_over
from reactor.service.passing import send_descriptors
from reactor.service.server import Server
from tests.cli.running import PATIENCE


class Stage:
    """A server with a handover point, and what its successors met."""

    def __init__(self, loop: Reactor, folder: Path) -> None:
        self.loop = loop
        self.path = str(folder / "handover")
        self.server = Server(loop, "echo")
        self.listener = self.server.listen_tcp("127.0.0.1")
        self.taken: list[str] = []
        self.point = self.wait({"web": self.listener})

    def wait(self, listeners: dict[str, Any], **keywords: Any) -> HandoverPoint:
        """Return a handover point at the path."""
        return HandoverPoint(self.loop, self.path, listeners, lambda: self.taken.append("taken"), **keywords)

    def in_thread(self, story: Callable[[], object]) -> Any:
        """Run *story* beside the loop, and return what it returned, or raise what it raised."""
        future: Future[Any] = Future()

        def play() -> None:
            try:
                future.set_result(story())
            except BaseException as exc:
                future.set_exception(exc)

        thread = threading.Thread(target=play)
        thread.start()
        try:
            return self.loop.run_until(future, PATIENCE)
        finally:
            thread.join(PATIENCE)

    def is_serving(self) -> bool:
        """Return True if a client is answered."""

        def call() -> bytes:
            with socket.create_connection(self.listener.address, timeout=PATIENCE) as client:
                client.sendall(b"hello")
                return client.recv(100)

        return bool(self.in_thread(call) == b"hello")


@pytest.fixture
def stage(poller_name: str, tmp_path: Path) -> Iterator[Stage]:
    """A serving stage."""
    with Reactor(poller_name) as loop:
        stage = Stage(loop, tmp_path)
        yield stage
        stage.point.close()


def test_a_successor_gets_the_sockets_and_the_path(stage: Stage) -> None:
    """It may wait there itself as soon as it has confirmed; the old server was told, and closed nothing else."""
    address = stage.listener.address

    def succeed() -> Any:
        with take_over(stage.path) as handed:
            assert not stage.taken
            assert os.path.exists(stage.path)
            handed.confirm()
            assert not os.path.exists(stage.path)
            return handed.sockets

    [inherited] = stage.in_thread(succeed)
    with inherited.sock as sock:
        assert (inherited.name, inherited.role) == ("web", "listener")
        assert sock.getsockname() == address
        assert not sock.get_inheritable()
        assert sock.gettimeout() == 0
        assert stage.taken == ["taken"]
        assert stage.loop.next_timeout() is None, "a deadline was left behind"
        stage.server.stop()
        with socket.create_connection(address, timeout=PATIENCE):
            sock.setblocking(True)
            sock.accept()[0].close()


def test_nobody_waits_when_there_is_no_server(tmp_path: Path) -> None:
    """Neither where there is nothing, nor where a dead one has left its path: then the first server starts."""
    path = str(tmp_path / "handover")
    assert take_over(path) is None
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    assert take_over(path) is None


def test_all_kinds_of_sockets_are_handed_over(stage: Stage, tmp_path: Path) -> None:
    """A listener on several sockets, a Unix path that stays where it is, a datagram endpoint, a bare socket."""
    unix, datagrams = str(tmp_path / "service"), str(tmp_path / "datagrams")
    bare = socket.create_server(("127.0.0.1", 0))
    both = stage.server.listen_tcp("localhost")
    stage.point.close()
    listeners = {
        "both": both,
        "unix": stage.server.listen_unix(unix),
        "udp": stage.server.open_datagram(datagrams),
        "bare": bare,
    }
    stage.point = stage.wait(listeners)

    def succeed() -> Any:
        with take_over(stage.path) as handed:
            handed.confirm()
            return handed.sockets

    found = stage.in_thread(succeed)
    stage.server.stop()
    bare.close()
    assert os.path.exists(unix)
    assert os.path.exists(datagrams)
    expected = [("both", "listener")] * len(both.sockets)
    assert [(one.name, one.role) for one in found] == [
        *expected, ("unix", "listener"), ("udp", "datagram"), ("bare", "listener"),
    ]  # fmt: skip
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(unix)
    for one in found:
        one.sock.close()


@pytest.mark.parametrize("answer", [None, b"", b"no", b"taken", b"taken\nand more", b"\0" * 100_000])
def test_a_successor_that_does_not_take_over_is_forgotten(
    stage: Stage, answer: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    """It goes away, or says something else: one line, the service goes on, and the next one gets everything."""

    def fail() -> None:
        with socket.socket(socket.AF_UNIX) as channel:
            channel.connect(stage.path)
            channel.settimeout(PATIENCE)
            assert channel.recv(100).startswith(GREETING)
            if answer is not None:
                try:
                    channel.sendall(answer)
                except OSError:
                    return
            channel.shutdown(socket.SHUT_WR)
            try:
                assert channel.recv(100) == b""
            except ConnectionResetError:
                pass  # it closed with our answer half read

    stage.in_thread(fail)
    if answer is not None and answer.startswith(b"taken\n"):
        assert stage.taken == ["taken"]
        return
    assert stage.taken == []
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    reason = "it went away" if answer in (None, b"", b"taken") else f"it said {answer[: len(TAKEN)]!r}"
    assert f"a successor did not take over: {reason}; serving goes on" in caplog.text
    assert stage.loop.counters.peer_errors == 1
    assert stage.is_serving()

    def succeed() -> Any:
        with take_over(stage.path) as handed:
            handed.confirm()
            return handed.sockets

    [inherited] = stage.in_thread(succeed)
    inherited.sock.close()
    assert stage.taken == ["taken"]


def test_a_successor_takes_over_even_if_the_predecessor_fails_to_stop(stage: Stage) -> None:
    """What ``on_taken`` raises is told to the loop's owner; the path is free, and the successor knows."""
    failures: list[BaseException] = []
    stage.loop.set_exception_handler(lambda exc, source: failures.append(exc))
    stage.point.close()
    stage.point = HandoverPoint(stage.loop, stage.path, {"web": stage.listener}, lambda: 1 / 0)

    def succeed() -> Any:
        with take_over(stage.path) as handed:
            handed.confirm()
            assert not os.path.exists(stage.path)
            return handed.sockets

    [inherited] = stage.in_thread(succeed)
    inherited.sock.close()
    assert [type(exc) for exc in failures] == [ZeroDivisionError]


def test_a_successor_that_says_taken_in_pieces_has_taken(stage: Stage) -> None:
    """A stream may be cut anywhere."""

    def succeed() -> None:
        with socket.socket(socket.AF_UNIX) as channel:
            channel.connect(stage.path)
            channel.settimeout(PATIENCE)
            assert channel.recv(100).startswith(GREETING)
            for byte in TAKEN:
                channel.sendall(bytes([byte]))
            assert channel.recv(100) == b""

    stage.in_thread(succeed)
    assert stage.taken == ["taken"]


def test_a_silent_successor_is_forgotten_and_the_next_one_waits_for_that(stage: Stage) -> None:
    """One at a time; here the deadline is short."""
    stage.point.close()
    stage.point = stage.wait({"web": stage.listener}, timeout=0.05)
    silent = socket.socket(socket.AF_UNIX)
    silent.connect(stage.path)

    def succeed() -> Any:
        with take_over(stage.path) as handed:
            handed.confirm()
            return handed.sockets

    [inherited] = stage.in_thread(succeed)
    inherited.sock.close()
    with silent:
        assert silent.recv(100).startswith(GREETING)
        assert silent.recv(100) == b""


def test_closing_the_point_ends_what_is_under_way(stage: Stage) -> None:
    """The successor is told that it cannot take over; the path is gone."""

    def succeed() -> None:
        with take_over(stage.path) as handed:
            stage.loop.call_soon_threadsafe(stage.point.close)
            for inherited in handed.sockets:
                inherited.sock.close()
            while os.path.exists(stage.path):
                pass
            with pytest.raises(HandoverFailed):
                handed.confirm()

    stage.in_thread(succeed)
    assert stage.taken == []
    stage.point.close()


def test_a_point_is_refused_when_it_cannot_be(stage: Stage) -> None:
    """Another server waits there; a name cannot be sent.  Nothing is left open."""
    with pytest.raises(BindFailed, match="somebody serves it"):
        stage.wait({"web": stage.listener})
    with pytest.raises(OptionError, match="1 to 255 ASCII characters"):
        stage.wait({"a b": stage.listener})
    closed = Reactor()
    closed.close()
    with pytest.raises(ReactorClosed):
        HandoverPoint(closed, stage.path + "2", {}, lambda: None)
    assert not os.path.exists(stage.path + "2")


def test_only_this_user_gets_the_sockets(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The path has mode 0600, and both ends ask the kernel who the other is."""
    assert os.stat(stage.path).st_mode & 0o777 == 0o600
    monkeypatch.setattr("reactor.service.handover.peer_credentials", lambda sock: Stranger)
    with pytest.raises(HandoverFailed, match="at the other end is user 4321"):
        stage.in_thread(lambda: take_over(stage.path))
    stage.loop.run_until(lambda: "user 4321" in caplog.text, PATIENCE)
    assert stage.taken == []


class Stranger:
    """Somebody else."""

    uid = 4321


@pytest.mark.parametrize(
    ("line", "count", "complaint"),
    [
        (b"", 0, "said b''"),
        (b"HTTP/1.1 400 Bad Request\r\n\n", 0, "instead of 'reactor-handover 1'"),
        (b"reactor-handover 2 web\n", 1, "reactor-handover 2"),
        (b"reactor-handover 1 web", 1, "instead of"),
        (b"reactor-handover 1 web\n", 0, "0 sockets with 1 names"),
        (b"reactor-handover 1\n", 1, "1 sockets with 0 names"),
        (b"reactor-handover 1 \xff\n", 1, "names that are none"),
        (b"reactor-handover 1 a:b\n", 1, "names that are none"),
    ],
)
def test_a_predecessor_that_is_none_is_refused(tmp_path: Path, line: bytes, count: int, complaint: str) -> None:
    """It says something else, or not as many sockets as names.  Nothing of it is kept."""
    path = str(tmp_path / "handover")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def serve() -> None:
            with listener.accept()[0] as channel:
                if line:
                    send_descriptors(channel, line, [listener] * count)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(HandoverFailed, match=complaint):
            take_over(path)
        thread.join(PATIENCE)


def test_a_predecessor_that_sends_no_sockets_is_refused(tmp_path: Path) -> None:
    """A pipe cannot be served on; the good socket beside it is closed as well.  Silence has an end."""
    path = str(tmp_path / "handover")
    reading, writing = os.pipe()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def serve() -> None:
            with listener.accept()[0] as channel:
                send_descriptors(channel, GREETING + b" a b c\n", [listener, reading, listener])

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(HandoverFailed, match="no socket to serve on"):
            take_over(path)
        thread.join(PATIENCE)
        with pytest.raises(HandoverFailed, match="hands nothing over: timed out"):
            take_over(path, timeout=0.01)
    os.close(reading)
    os.close(writing)
