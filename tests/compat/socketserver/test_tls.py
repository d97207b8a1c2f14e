"""Servers that wrap their sockets in TLS, in each of the ways that people use."""

from __future__ import annotations

import socket
import ssl
import threading
from typing import Any

import pytest

from reactor.compat.pooled.handler import PooledStreamRequestHandler
from reactor.compat.pooled.mixin import PooledMixIn
from tests.compat.socketserver.serving import (
    connected,
    receive_line,
    serving,
    tls_connected,
    tls_context,
    until,
)


def shouting(module: Any) -> Any:
    """Return a handler that answers lines in capitals."""

    class Shout(module.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                self.wfile.write(line.upper())

    return Shout


class InGetRequest:
    """Wraps each connection when it is accepted; the handshake comes with the first byte that is read."""

    def get_request(self) -> Any:
        """Accept and wrap."""
        sock, address = super().get_request()  # type: ignore[misc]
        context = tls_context(ssl.PROTOCOL_TLS_SERVER)
        return context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False), address


class InFinishRequest:
    """Wraps each connection in its own thread."""

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Wrap and handle."""
        with tls_context(ssl.PROTOCOL_TLS_SERVER).wrap_socket(request, server_side=True) as wrapped:
            super().finish_request(wrapped, client_address)  # type: ignore[misc]


def server_with(module: Any, way: str, mixin: Any, handler: Any, **settings: Any) -> Any:
    """Return a TLS server that wraps in one of the ways."""
    wrapping = {"get_request": (InGetRequest,), "finish_request": (InFinishRequest,), "socket": ()}[way]
    server = type("Server", (*wrapping, mixin, module.TCPServer), settings)(("127.0.0.1", 0), handler)
    if way == "socket":
        server.socket = tls_context(ssl.PROTOCOL_TLS_SERVER).wrap_socket(server.socket, server_side=True)
    return server


@pytest.mark.parametrize("way", ["socket", "get_request", "finish_request"])
@pytest.mark.parametrize("is_pooled", [False, True])
def test_a_client_is_answered_over_tls(module: Any, way: str, is_pooled: bool) -> None:
    """Whether the server's socket is wrapped, or the connection's, by whichever hook; with threads or a pool."""
    mixin = PooledMixIn if is_pooled else module.ThreadingMixIn
    with (
        serving(server_with(module, way, mixin, shouting(module))) as server,
        tls_connected(server.server_address) as client,
    ):
        for line in (b"one\n", b"two\n"):
            client.sendall(line)
            assert receive_line(client) == line.upper()


@pytest.mark.parametrize("way", ["socket", "get_request"])
def test_a_client_that_speaks_no_tls_harms_nobody(module: Any, way: str, monkeypatch: Any) -> None:
    """Its connection is closed, the next client is answered, and nothing escapes to the serving thread."""
    told: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append(args))
    quiet = {"handle_error": lambda self, request, client_address: None}
    with serving(server_with(module, way, module.ThreadingMixIn, shouting(module), **quiet)) as server:
        with connected(server.server_address) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            try:
                while stranger.recv(100):
                    pass
            except ConnectionResetError:
                pass
        with tls_connected(server.server_address) as client:
            client.sendall(b"x\n")
            assert receive_line(client) == b"X\n"
    assert told == []


class Shout(PooledStreamRequestHandler):
    """Answers a line at a time."""

    def handle_one(self) -> None:
        self.wfile.write(self.rfile.readline().upper())


class CollectedShout(Shout):
    """The same, collected by the reactor."""

    request_end = b"\n"


@pytest.mark.parametrize("handler", [Shout, CollectedShout])
@pytest.mark.parametrize("way", ["socket", "get_request"])
def test_a_connection_is_kept_over_tls(ours: Any, way: str, handler: Any) -> None:
    """Between two requests it waits in the reactor, although a poller sees nothing of what TLS holds."""
    server = server_with(ours, way, PooledMixIn, handler, max_threads=1, request_queue_size=64)
    with serving(server):
        clients = [tls_connected(server.server_address) for _ in range(3)] if way == "socket" else []
        if not clients:
            # The handshake is the reactor's, or the thread's, so it needs the first line of each client.
            clients = [tls_connected(server.server_address)]
        for turn in range(3):
            for client in clients:
                client.sendall(b"turn %d\nagain\n" % turn)
                assert [receive_line(client), receive_line(client)] == [b"TURN %d\n" % turn, b"AGAIN\n"]
            until(lambda: server.pool_counts()[:2] == (len(clients), len(clients)))
        for client in clients:
            client.close()


def test_a_tls_client_that_sends_byte_by_byte_takes_no_thread(ours: Any) -> None:
    """Not for its handshake either: the reactor does that, and collects what was decrypted."""
    server = server_with(ours, "get_request", PooledMixIn, CollectedShout, max_threads=1)
    with serving(server), tls_connected(server.server_address) as slow:
        for byte in (b"s", b"l", b"o", b"w"):
            slow.sendall(byte)
        until(lambda: server.pool_counts() == (1, 1, 0, 0))
        slow.sendall(b"\n")
        assert receive_line(slow) == b"SLOW\n"


def test_a_tls_connection_that_is_cut_off_says_nothing_in_clear(ours: Any) -> None:
    """The socket is shut down below TLS: the handler reads an end and cannot go on in plain text."""
    read: list[bytes] = []

    class Handler(ours.StreamRequestHandler):
        def handle(self) -> None:
            try:
                read.append(self.rfile.readline())
                read.append(self.rfile.readline())
                self.wfile.write(b"secret")
            except OSError as exc:
                read.append(type(exc).__name__.encode())

    server = server_with(ours, "get_request", PooledMixIn, Handler, request_timeout=3600)
    raw = connected(server.server_address)
    with serving(server):
        context = tls_context(ssl.PROTOCOL_TLS_CLIENT)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing)
        with raw:
            shake_hands(raw, tls, incoming, outgoing)
            tls.write(b"first\n")
            raw.sendall(outgoing.read())
            until(lambda: read)
            [connection] = server._pool.open
            server._pool._cut(connection, connection.turn)  # what happens when the hour is over
            received = b""
            try:
                while data := raw.recv(1000):
                    received += data
            except ConnectionResetError:
                pass
    assert b"secret" not in received
    assert read[0] == b"first\n"


def shake_hands(raw: socket.socket, tls: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> None:
    """Do a client's handshake by hand, so that what comes later can be seen as it is on the wire."""
    while True:
        try:
            tls.do_handshake()
            raw.sendall(outgoing.read())
            return
        except ssl.SSLWantReadError:
            raw.sendall(outgoing.read())
            incoming.write(raw.recv(10_000))
