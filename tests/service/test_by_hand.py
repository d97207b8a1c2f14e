"""The textbook's blocking client and server against ours, on every poller; they know the page, and no code."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import reactor
from reactor.auth import Key, KeyRing
from reactor.errors import AuthenticationFailed
from reactor.service.client import Client
from reactor.service.server import Server
from tests.auth.by_hand import Refused, have_client_prove, prove_to_server, receive_frame
from tests.auth.sides import ANOTHER_SECRET, SECRET

PATIENCE = 10.0

RING = KeyRing([Key("alice", SECRET), Key("bob", ANOTHER_SECRET)])


@pytest.fixture
def loop(poller_name: str) -> Iterator[reactor.Reactor]:
    """A reactor on each poller."""
    with reactor.Reactor(poller_name) as made:
        yield made


def beside(loop: reactor.Reactor, blocking: Callable[..., Any], *args: Any) -> Any:
    """Run *blocking* in a thread while *loop* turns, and return what it returns."""
    with ThreadPoolExecutor(1) as pool:
        return loop.run_until(pool.submit(blocking, *args), PATIENCE)


def asked(address: Any, requests: list[object], *proof: Any, **options: Any) -> list[object]:
    """Connect, prove oneself, exchange JSON messages, close: the textbook's client."""
    with socket.create_connection(address, timeout=PATIENCE) as sock:
        prove_to_server(sock, *proof, **options)
        replies = []
        for request in requests:
            data = json.dumps(request).encode("utf-8")
            sock.sendall(struct.pack(">I", len(data)) + data)
            replies.append(json.loads(receive_frame(sock)[4:].decode("utf-8")))
        return replies


@pytest.mark.parametrize("algorithms", [b"\x01", b"\x02\x01", b"\x09\x01"])
def test_a_blocking_client_is_let_in_and_answered_in_json(loop: reactor.Reactor, algorithms: bytes) -> None:
    """As in the book: prove, then dictionaries out and dictionaries back."""
    server = Server(loop, "json", keys=RING, context=b"here")
    address = server.listen_tcp("127.0.0.1").address

    def client() -> list[object]:
        requests: list[object] = [{"a": 1}, {"op": "upper", "value": "hello", "id": 7}, [1, 2]]
        return asked(address, requests, b"bob", ANOTHER_SECRET, context=b"here", algorithms=algorithms)

    assert beside(loop, client) == [{"result": {"a": 1}}, {"result": "HELLO", "id": 7}, {"result": [1, 2]}]
    assert server.gate is not None
    assert (server.gate.passed, server.counters.messages, server.counters.errors) == (1, 3, 0)


@pytest.mark.parametrize(
    ("key_id", "secret", "context"),
    [(b"bob", SECRET, b""), (b"carol", SECRET, b""), (b"bob", ANOTHER_SECRET, b"x")],
)
def test_a_blocking_client_is_refused_when_its_proof_is_wrong(
    loop: reactor.Reactor, key_id: bytes, secret: bytes, context: bytes
) -> None:
    """Another secret, another name, another context: the same answer."""
    server = Server(loop, "json", keys=RING)
    address = server.listen_tcp("127.0.0.1").address

    def client() -> str:
        with pytest.raises(Refused) as caught:
            asked(address, [], key_id, secret, context=context)
        return str(caught.value)

    assert beside(loop, client) == "reason 1"
    assert (server.counters.connections, server.counters.errors) == (0, 1)


@pytest.mark.parametrize("algorithms", [b"\x01", b"\x02\x01"])
def test_our_client_proves_itself_to_a_blocking_server(loop: reactor.Reactor, algorithms: bytes) -> None:
    """And has the server prove itself; then their messages are exchanged."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = Client(loop, [b'{"a":1}', b"[]"], keys=RING, timeout=PATIENCE)
        client.connect(listener.getsockname())

        def server() -> bytes:
            sock, _ = listener.accept()
            with sock:
                sock.settimeout(PATIENCE)
                key_id = have_client_prove(sock, {b"alice": SECRET}, algorithms=algorithms)
                for _ in range(2):
                    sock.sendall(receive_frame(sock))
                assert sock.recv(1) == b""
            return key_id

        assert beside(loop, server) == b"alice"
    assert loop.run_until(client, PATIENCE) == [b'{"a":1}', b"[]"]


def test_our_client_is_refused_by_a_blocking_server_that_does_not_know_it(loop: reactor.Reactor) -> None:
    """The error is the result of the client."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = Client(loop, [b"secret"], keys=RING, timeout=PATIENCE)
        client.connect(listener.getsockname())

        def server() -> bytes:
            sock, _ = listener.accept()
            with sock:
                with pytest.raises(Refused):
                    have_client_prove(sock, {b"alice": ANOTHER_SECRET})
                return sock.recv(1000)

        assert beside(loop, server) == b""
    with pytest.raises(AuthenticationFailed, match="the key 'alice'"):
        loop.run_until(client, PATIENCE)


def test_our_client_sends_nothing_to_a_blocking_server_that_cannot_prove_itself(loop: reactor.Reactor) -> None:
    """Neither the message nor anything else but the proof."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = Client(loop, [b"secret"], keys=RING, timeout=PATIENCE)
        client.connect(listener.getsockname())

        def server() -> bytes:
            sock, _ = listener.accept()
            with sock:
                body = b"rxa\x01\x01\x01\x01" + bytes(32)
                sock.sendall(struct.pack(">I", len(body)) + body)
                receive_frame(sock)
                body = b"rxa\x01\x03" + bytes(32)
                sock.sendall(struct.pack(">I", len(body)) + body)
                return sock.recv(1000)

        assert beside(loop, server) == b""
    with pytest.raises(AuthenticationFailed, match="do not trust it"):
        loop.run_until(client, PATIENCE)
