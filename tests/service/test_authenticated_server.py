"""Servers and clients with keys, on every poller: every stream service behind the gate, stopping, and JSON."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain, repeat
from pathlib import Path

import pytest

import reactor
from reactor.auth import Key, KeyRing
from reactor.errors import (
    AuthenticationFailed,
    ConnectionFailure,
    OptionError,
    PayloadRefused,
)
from reactor.service.client import Client
from reactor.service.server import Server
from tests.auth.sides import ANOTHER_SECRET, RING
from tests.service.peer import Peer, turn_until

PATIENCE = 10.0

WRONG = KeyRing([Key("app-1", ANOTHER_SECRET)])


@pytest.fixture
def loop(poller_name: str) -> Iterator[reactor.Reactor]:
    """A reactor on each poller."""
    with reactor.Reactor(poller_name) as made:
        yield made


def call(loop: reactor.Reactor, server: Server, *messages: bytes, **options: object) -> list[bytes]:
    """Send *messages* to *server* in its mode, with the key unless told otherwise, and return the replies."""
    options = {"keys": RING, "mode": server.mode, "timeout": PATIENCE, **options}
    client = Client(loop, messages, **options)  # type: ignore[arg-type]
    client.connect(server.addresses[0])
    return loop.run_until(client, PATIENCE)


@pytest.mark.parametrize("mode", ["framed", "line", "raw"])
@pytest.mark.parametrize(
    ("service", "reply"),
    [("echo", "ab"), ("upper", "AB"), ("hello", "ab好"), ("greet", "welcome to my service~"), ("json", "error")],
)
def test_every_stream_service_can_be_behind_the_gate(
    loop: reactor.Reactor, service: str, reply: str, mode: str
) -> None:
    """In each of its modes, for those who have the key and nobody else."""
    if service == "json" and mode == "raw":
        with pytest.raises(OptionError, match="needs the mode framed or line, not raw"):
            Server(loop, service, mode=mode)
        return
    server = Server(loop, service, mode=mode, keys=RING)
    server.listen_tcp("127.0.0.1")
    assert reply in b"".join(call(loop, server, b"ab")).decode()
    with pytest.raises(AuthenticationFailed):
        call(loop, server, b"ab", keys=WRONG)
    assert (server.counters.connections, server.counters.errors) == (1, 1)


def test_a_unix_socket_can_be_behind_the_gate(loop: reactor.Reactor, tmp_path: Path) -> None:
    """The path is no secret, and its permissions are another matter."""
    server = Server(loop, "upper", mode="framed", keys=RING, context=b"here")
    server.listen_unix(str(tmp_path / "s"))
    assert call(loop, server, b"a", context=b"here") == [b"A"]


def test_a_client_without_a_key_says_nothing_that_the_service_hears(loop: reactor.Reactor) -> None:
    """It is no session: not counted as a connection, and noted by nobody but the log."""
    lines: list[str] = []
    server = Server(loop, "upper", mode="framed", keys=RING, journal=lines.append)
    server.listen_tcp("127.0.0.1")
    with Peer(loop, server.addresses[0]) as peer:
        peer.send(b"\0\0\0\1a")
        peer.receive_all()
    assert (server.counters.connections, server.counters.messages, server.counters.errors, lines) == (0, 0, 1, [])


def test_the_journal_says_with_which_key_somebody_came(loop: reactor.Reactor) -> None:
    """So an administrator knows when the old one is no longer used."""
    lines: list[str] = []
    server = Server(loop, "echo", mode="framed", keys=RING, journal=lines.append)
    server.listen_tcp("127.0.0.1")
    call(loop, server, b"x")
    assert lines[0].endswith(" connected with key app-1")


def test_datagrams_are_refused_when_there_are_keys(loop: reactor.Reactor) -> None:
    """There is no handshake for them, and nobody should believe that there was."""
    with pytest.raises(OptionError, match="datagrams are not authenticated"):
        Server(loop, "echo", keys=RING).open_datagram(("127.0.0.1", 0))


def test_a_server_that_stops_aborts_the_handshakes_and_is_stopped(loop: reactor.Reactor) -> None:
    """Nobody in front of the gate holds up the end, and who is behind it is closed as ever."""
    server = Server(loop, "echo", mode="framed", keys=RING)
    server.listen_tcp("127.0.0.1")
    client = Client(loop, chain([b"x"], repeat(None)), keys=RING, timeout=PATIENCE)
    client.connect(server.addresses[0])
    loop.run_until(lambda: client.received == 1, PATIENCE)
    with Peer(loop, server.addresses[0]) as waiting:
        waiting.receive(44)
        server.stop()
        assert waiting.receive_all() == b""
        loop.run_until(lambda: server.is_stopped and client.done(), PATIENCE)
    assert server.counters.errors == 0
    with pytest.raises(ConnectionFailure, match="closed the connection"):
        client.result()


def test_silent_connections_cannot_fill_a_listener_with_a_limit(loop: reactor.Reactor) -> None:
    """Handshakes have at most half of the connections that there may be, so there is always room for the next."""
    server = Server(loop, "upper", mode="framed", keys=RING)
    server.listen_tcp("127.0.0.1", max_connections=4)
    with ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(Peer(loop, server.addresses[0])).receive(44)
        assert call(loop, server, b"a") == [b"A"]


def test_a_client_that_gives_up_in_its_handshake_is_done_at_once(loop: reactor.Reactor) -> None:
    """It does not wait for a server that may never answer."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = Client(loop, [b"x"], keys=RING, timeout=PATIENCE)
        connector = client.connect(silent.getsockname())
        loop.run_until(connector.is_done, PATIENCE)
        client.abort(ZeroDivisionError("enough"))
        with pytest.raises(ZeroDivisionError, match="enough"):
            loop.run_until(client, 1.0)


# -- JSON --------------------------------------------------------------------------------------------------------


def test_json_is_framed_unless_another_mode_is_asked_for(loop: reactor.Reactor) -> None:
    """Objects need an end; the other services are raw as ever."""
    assert [Server(loop, name).mode for name in ("json", "upper")] == ["framed", "raw"]
    assert Server(loop, "json", mode="line").mode == "line"


@pytest.mark.parametrize("mode", ["framed", "line"])
def test_what_is_no_json_is_answered_and_the_connection_goes_on(loop: reactor.Reactor, mode: str) -> None:
    """An error object in its place, in order, among the results of the others."""
    server = Server(loop, "json", mode=mode, keys=RING)
    server.listen_tcp("127.0.0.1")
    deep = b"[" * 5000 + b"]" * 5000
    replies = call(loop, server, b'{"op":"upper","value":"a"}', b"{", b"", deep, '"好"'.encode())
    kinds = [reply.get("result") or reply["error"]["code"] for reply in map(json.loads, replies)]
    assert kinds == ["A", "invalid_json", "invalid_json", "too_deep", "好"]
    assert server.counters.errors == 0


def test_what_is_no_text_ends_the_connection_as_with_every_text_service(loop: reactor.Reactor) -> None:
    """It is no JSON either, but there is no text to which an error would be the answer."""
    server = Server(loop, "json", keys=RING)
    server.listen_tcp("127.0.0.1")
    with pytest.raises(ConnectionFailure, match="1 of 2 replies"):
        call(loop, server, b"1", b"\xff")
    assert server.counters.errors == 1


def test_a_request_that_is_too_long_for_the_frame_is_refused_where_it_is_sent(loop: reactor.Reactor) -> None:
    """The limit binds on both sides; below it the service has its own."""
    server = Server(loop, "json", keys=RING)
    server.listen_tcp("127.0.0.1")
    assert b"too_large" in call(loop, server, b'"' + b"x" * 100_000 + b'"')[0]
    with pytest.raises(PayloadRefused):
        call(loop, server, bytes(2_000_000))
    turn_until(loop, lambda: not server.counters.open)
