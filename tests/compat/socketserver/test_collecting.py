"""Requests that the reactor collects before a thread is taken for them: what slow clients cost, and what is
bounded."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from reactor.compat.pooled.handler import REQUEST_LIMIT, PooledHandlerMixIn
from reactor.compat.pooled.mixin import wanted_by
from tests.compat.socketserver.serving import ask, connected, receive_all, receive_line, serving, until
from tests.compat.socketserver.test_pooled import pooled, silent
from tests.compat.socketserver.test_pooled_handler import CollectedShout, Shout, idle


def test_a_client_that_sends_byte_by_byte_takes_no_thread(ours: Any) -> None:
    """Ten of them dribble; the only thread is free for whoever has a whole request, until they have one too."""
    with serving(pooled(ours, CollectedShout, max_threads=1)) as server, silent(server.server_address, 10) as slow:
        for byte in (b"s", b"l", b"o", b"w"):
            for client in slow:
                client.sendall(byte)
            assert ask(server.server_address, b"quick\n") == b"QUICK\n"
        idle(server, 10)
        for client in slow:
            client.sendall(b"\n")
            assert receive_line(client) == b"SLOW\n"


def test_a_client_that_never_completes_its_request_is_ended(ours: Any) -> None:
    """After ``collect_timeout`` seconds; no handler was made for it."""
    made: list[int] = []
    handler = type("Handler", (CollectedShout,), {"setup": lambda self: made.append(1)})
    with serving(pooled(ours, handler, collect_timeout=0.02)) as server:
        with connected(server.server_address) as client:
            client.sendall(b"never com")
            assert receive_all(client) == b""
        until(lambda: server.pool_counts().open == 0)
    assert made == []


def test_a_request_that_is_too_long_is_given_to_a_thread_as_it_is(ours: Any) -> None:
    """The handler reads the rest itself, and decides what to do about it."""
    handler = type("Handler", (CollectedShout,), {"request_limit": 100})
    with serving(pooled(ours, handler)) as server:
        assert ask(server.server_address, b"x" * 50_000 + b"\ny\n") == b"X" * 50_000 + b"\nY\n"


def test_a_long_request_is_collected_behind_a_short_one(ours: Any) -> None:
    """Longer than the buffer of ``rfile``, and read into it in part with the one before."""
    sizes: list[int] = []

    class Handler(CollectedShout):
        request_limit = 60_000

        def handle_one(self) -> None:
            sizes.append(len(self.rfile.readline()))

    with serving(pooled(ours, Handler)) as server, connected(server.server_address) as client:
        client.sendall(b"short\n" + b"x" * 20_000)
        until(lambda: server.pool_counts()[:2] == (1, 1) and sizes == [6])
        client.sendall(b"y" * 20_000)
        assert server.pool_counts().queued == 0
        client.sendall(b"\nlast\n")
        until(lambda: len(sizes) == 3)
    assert sizes == [6, 40_001, 5]


def test_a_delimiter_is_found_when_half_of_it_came_with_the_request_before(ours: Any) -> None:
    """What ``rfile`` has read of the next request is given back to whoever looks for its end."""

    class Handler(CollectedShout):
        request_end = b"--"

        def handle_one(self) -> None:
            request = b""
            while not request.endswith(b"--"):
                request += self.rfile.read(1)
            self.wfile.write(request.upper() + b"\n")

    with serving(pooled(ours, Handler)) as server, connected(server.server_address) as client:
        client.sendall(b"one--two-")
        assert receive_line(client) == b"ONE--\n"
        idle(server, 1)
        client.sendall(b"-")
        assert receive_line(client) == b"TWO--\n"


def test_half_a_request_is_given_to_a_thread_when_its_client_has_gone(ours: Any) -> None:
    """As any handler sees it: a line without its end."""
    with serving(pooled(ours, CollectedShout)) as server:
        assert ask(server.server_address, b"whole\nhalf") == b"WHOLE\nHALF"


def test_what_was_collected_is_not_lost_when_a_socket_is_wrapped_too_late(
    ours: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is an error that says where to wrap it instead."""

    def finish_request(self: Any, request: Any, client_address: Any) -> None:
        with request.dup() as wrapped:
            self.RequestHandlerClass(wrapped, client_address, self)

    with (
        serving(pooled(ours, CollectedShout, finish_request=finish_request)) as server,
        connected(server.server_address) as client,
    ):
        client.sendall(b"x\n")
        assert receive_all(client) == b""
    assert "UsageError: a request was collected before its socket was wrapped" in capsys.readouterr().err


def test_the_handler_class_says_what_is_collected() -> None:
    """Also behind ``functools.partial``; who is no such class gets nothing collected."""
    wanted = wanted_by(partial(partial(CollectedShout), 1), 7.0)
    assert wanted is not None
    assert (wanted.limit, wanted.timeout) == (REQUEST_LIMIT, 7.0)
    assert wanted.is_complete(bytearray(b"one\n"), 0)
    assert not wanted.is_complete(bytearray(b"one\ntwo"), 4)
    assert wanted_by(Shout, 7.0) is None
    assert wanted_by(lambda *args: None, 7.0) is None


def test_a_delimiter_is_found_across_two_pieces() -> None:
    """The search goes back as far as the delimiter is long."""
    handler = type("Handler", (PooledHandlerMixIn,), {"request_end": b"\r\n\r\n"})
    for cut in range(1, 5):
        data = bytearray(b"head\r\n\r\n")
        assert not handler.is_request_complete(data[:-cut], 0)
        assert handler.is_request_complete(data, len(data) - cut)
