"""Handlers that give their thread back between two requests.  Read next: ``test_collecting``."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from reactor.compat.pooled.handler import PooledStreamRequestHandler
from reactor.compat.pooled.mixin import PoolCounts, PooledMixIn
from tests.compat.socketserver.serving import (
    PATIENCE,
    ask,
    connected,
    receive_all,
    receive_line,
    serving,
    until,
    wait_for,
)
from tests.compat.socketserver.test_pooled import pooled, silent


class Shout(PooledStreamRequestHandler):
    """Answers a line in capitals; "bye" is the last one."""

    def handle_one(self) -> None:
        line = self.rfile.readline()
        self.wfile.write(line.upper())
        self.close_connection = line == b"bye\n"


class CollectedShout(Shout):
    """The same, but no thread is taken before the line is there."""

    request_end = b"\n"


BOTH = pytest.mark.parametrize("handler", [Shout, CollectedShout])


def idle(server: Any, count: int) -> None:
    """Wait until *count* connections are open and all of them wait in the reactor."""
    until(lambda: server.pool_counts()[:3] == (count, count, 0))


@BOTH
def test_a_connection_waits_in_the_reactor_between_two_requests(module: Any, handler: Any) -> None:
    """One thread serves twenty connections, each of which is kept for many requests."""
    with serving(pooled(module, handler, max_threads=1)) as server:
        with silent(server.server_address, 20) as clients:
            for turn in range(5):
                for number, client in enumerate(clients):
                    client.sendall(b"turn %d of %d\n" % (turn, number))
                for number, client in enumerate(clients):
                    assert receive_line(client) == b"TURN %d OF %d\n" % (turn, number)
                idle(server, 20)
        until(lambda: server.pool_counts().open == 0)


@BOTH
def test_requests_that_come_together_are_answered_in_order(module: Any, handler: Any) -> None:
    """What ``rfile`` has read ahead is not forgotten while the connection waits."""
    with serving(pooled(module, handler)) as server:
        asked = b"".join(b"line %d\n" % number for number in range(5000))
        with connected(server.server_address) as client:
            client.sendall(asked[:-3])
            until(lambda: server.pool_counts().waiting == 1 or handler is Shout)
            client.sendall(asked[-3:])
            client.shutdown(socket.SHUT_WR)
            assert receive_all(client) == asked.upper()


@BOTH
def test_a_connection_ends_when_its_handler_says_so(module: Any, handler: Any) -> None:
    """What the peer has sent behind the last request is not answered."""
    with serving(pooled(module, handler)) as server:
        with connected(server.server_address) as client:
            client.sendall(b"one\n")
            assert receive_line(client) == b"ONE\n"
            client.sendall(b"bye\n")
            assert receive_all(client) == b"BYE\n"
        until(lambda: server.pool_counts().open == 0)


@pytest.mark.parametrize("base", ["TCPServer", "ThreadingTCPServer"])
@BOTH
def test_the_same_handler_runs_on_a_server_without_a_pool(module: Any, base: str, handler: Any) -> None:
    """In a loop, as one would have written it by hand."""
    with serving(getattr(module, base)(("127.0.0.1", 0), handler)) as server:
        assert ask(server.server_address, b"one\ntwo\n") == b"ONE\nTWO\n"
        with connected(server.server_address) as client:
            client.sendall(b"bye\n")
            assert receive_all(client) == b"BYE\n"


def test_setup_and_finish_are_called_once_for_each_connection(ours: Any) -> None:
    """However many requests there were; ``finish`` of a subclass too, and only at the end."""
    calls: list[str] = []

    class Handler(Shout):
        def setup(self) -> None:
            calls.append("setup")
            super().setup()

        def handle_one(self) -> None:
            calls.append("handle_one")
            super().handle_one()

        def finish(self) -> None:
            calls.append("finish")
            super().finish()

    with serving(pooled(ours, Handler)) as server, connected(server.server_address) as client:
        for _ in range(3):
            client.sendall(b"x\n")
            assert receive_line(client) == b"X\n"
            idle(server, 1)
        assert calls == ["setup", *["handle_one"] * 3]
    assert calls == ["setup", *["handle_one"] * 3, "finish"]


def test_a_greeting_is_sent_from_setup(ours: Any) -> None:
    """With ``speaks_first``; the thread is given back until the client answers."""

    class Polite(Shout):
        def setup(self) -> None:
            super().setup()
            self.wfile.write(b"welcome to my service~\n")

    with (
        serving(pooled(ours, Polite, speaks_first=True, max_threads=1)) as server,
        silent(server.server_address, 5) as clients,
    ):
        for client in clients:
            assert receive_line(client) == b"welcome to my service~\n"
        idle(server, 5)
        clients[3].sendall(b"thanks\n")
        assert receive_line(clients[3]) == b"THANKS\n"


def test_a_buffered_answer_is_sent_before_the_connection_waits(ours: Any) -> None:
    """The client would wait for it, and the server for the client."""
    handler = type("Buffered", (Shout,), {"wbufsize": 4096, "rbufsize": 0})
    with serving(pooled(ours, handler)) as server, connected(server.server_address) as client:
        client.sendall(b"x\n")
        assert receive_line(client) == b"X\n"


def test_everybody_has_a_turn_when_one_client_never_stops(ours: Any) -> None:
    """A connection whose next request is at hand goes to the end of the queue if others wait."""
    order: list[bytes] = []
    go, begun = threading.Event(), threading.Event()

    class Handler(Shout):
        def handle_one(self) -> None:
            order.append(self.rfile.readline())
            begun.set()
            go.wait(PATIENCE)

    with (
        serving(pooled(ours, Handler, max_threads=1)) as server,
        silent(server.server_address, 3) as (greedy, second, third),
    ):
        greedy.sendall(b"greedy\n" * 4)
        wait_for(begun)
        for number, (client, line) in enumerate([(second, b"second\n"), (third, b"third\n")], 1):
            client.sendall(line)
            until(lambda number=number: server.pool_counts().queued == number)
        go.set()
        until(lambda: len(order) == 6)
    assert order == [b"greedy\n", b"second\n", b"third\n", b"greedy\n", b"greedy\n", b"greedy\n"]


def test_an_error_ends_the_connection_and_finishes_its_handler(
    ours: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a later turn as in the first; the server goes on."""
    finished: list[int] = []

    class Handler(Shout):
        def handle_one(self) -> None:
            self.wfile.write(b"%d\n" % (10 // int(self.rfile.readline())))

        def finish(self) -> None:
            finished.append(1)
            super().finish()

    with serving(pooled(ours, Handler)) as server:
        for before in (0, 2):
            with connected(server.server_address) as client:
                for _ in range(before):
                    client.sendall(b"5\n")
                    assert receive_line(client) == b"2\n"
                client.sendall(b"0\n")
                assert receive_all(client) == b""
        until(lambda: server.pool_counts().open == 0)
    assert finished == [1, 1]
    assert capsys.readouterr().err.count("ZeroDivisionError") == 2


@pytest.mark.parametrize("setting", ["idle_timeout", "timeout"])
def test_a_connection_that_says_nothing_more_is_ended(ours: Any, setting: str) -> None:
    """After the server's ``idle_timeout`` or the handler's ``timeout``; its handler finishes."""
    finished = threading.Event()

    class Handler(Shout):
        timeout = 0.05 if setting == "timeout" else None

        def finish(self) -> None:
            super().finish()
            finished.set()

    settings = {"idle_timeout": 0.05} if setting == "idle_timeout" else {}
    with serving(pooled(ours, Handler, speaks_first=True, **settings)) as server:
        with connected(server.server_address) as client:
            assert receive_all(client) == b""
        wait_for(finished)


def test_kept_handlers_finish_when_the_server_is_closed(ours: Any) -> None:
    """They wait for requests that will not come; a failing one does not keep the others from it."""
    finished: list[int] = []

    class Handler(Shout):
        def finish(self) -> None:
            finished.append(1)
            super().finish()
            if len(finished) == 1:
                raise LookupError("finish")

    errors: list[int] = []
    server = pooled(ours, Handler, speaks_first=True, handle_error=lambda *args: errors.append(1))
    with serving(server):
        clients = [connected(server.server_address) for _ in range(5)]
        idle(server, 5)
    for client in clients:
        assert receive_all(client) == b""
        client.close()
    assert (sum(finished), sum(errors)) == (5, 1)


def test_a_handler_that_closes_its_files_is_at_its_end(ours: Any) -> None:
    """Whoever closes ``rfile`` reads no more; that is no error."""

    class Handler(Shout):
        def handle_one(self) -> None:
            super().handle_one()
            self.rfile.close()

    errors: list[int] = []
    server = pooled(ours, Handler, handle_error=lambda *args: errors.append(1))
    with serving(server), connected(server.server_address) as client:
        client.sendall(b"x\n")
        assert receive_all(client) == b"X\n"
    assert errors == []


def test_a_connection_ends_when_its_handler_fails_after_it_was_kept(ours: Any) -> None:
    """A constructor that goes on behind the standard one may raise; then nobody is left to be kept."""

    class Handler(Shout):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            raise LookupError("behind")

    errors: list[int] = []
    server = pooled(ours, Handler, handle_error=lambda *args: errors.append(1))
    with serving(server), connected(server.server_address) as client:
        client.sendall(b"x\n")
        assert receive_all(client) == b"X\n"
        until(lambda: server.pool_counts().open == 0)
    assert errors == [1]


def test_a_connection_ends_when_its_server_was_closed_during_its_turn(ours: Any) -> None:
    """Its request is answered, its handler finishes, and it does not wait for another."""
    begun, go, finished = threading.Event(), threading.Event(), threading.Event()

    class Handler(Shout):
        def handle_one(self) -> None:
            begun.set()
            go.wait(PATIENCE)
            super().handle_one()

        def finish(self) -> None:
            super().finish()
            finished.set()

    with pooled(ours, Handler) as server, connected(server.server_address) as client:
        server.handle_request()
        client.sendall(b"x\n")
        wait_for(begun)
        closing = threading.Thread(target=server.server_close)
        closing.start()
        until(lambda: not server._pool._room._thread.is_alive())
        go.set()
        assert receive_all(client) == b"X\n"
        closing.join(PATIENCE)
        assert finished.is_set()
        assert server.pool_counts() == (0, 0, 0, 0)


def test_a_turn_that_is_over_is_not_cut_off(ours: Any) -> None:
    """The time of one turn may be up when the next has begun; that one is not meant."""
    with serving(pooled(ours, Shout)) as server, connected(server.server_address) as client:
        client.sendall(b"x\n")
        assert receive_line(client) == b"X\n"
        idle(server, 1)
        [connection] = server._pool.open
        server._pool._cut(connection, connection.turn - 1)
        client.sendall(b"y\n")
        assert receive_line(client) == b"Y\n"


def test_a_connection_is_cut_off_below_whatever_wraps_it(ours: Any) -> None:
    """Not by the method of its own class: that of a TLS socket drops TLS, and would go on in clear."""

    class Wrapping(socket.socket):
        def shutdown(self, how: int) -> None:
            raise AssertionError("its own method was called")

    with serving(pooled(ours, Shout, speaks_first=True)) as server, connected(server.server_address) as client:
        idle(server, 1)
        [connection] = server._pool.open
        with Wrapping(fileno=connection.sock.dup().detach()) as wrapping:
            connection.sock = wrapping
            server._pool._cut(connection, connection.turn)
            assert receive_all(client) == b""
            connection.sock = connection.request


def test_an_answer_that_its_peer_does_not_take_ends_the_connection(ours: Any) -> None:
    """Quietly, as at the end of any handler: the peer has gone."""

    class Handler(Shout):
        wbufsize = 100

        def handle_one(self) -> None:
            self.rfile.readline()
            self.connection.shutdown(socket.SHUT_WR)
            self.wfile.write(b"nobody reads this")

    errors: list[int] = []
    server = pooled(ours, Handler, handle_error=lambda *args: errors.append(1))
    with serving(server), connected(server.server_address) as client:
        client.sendall(b"x\n")
        assert receive_all(client) == b""
        until(lambda: server.pool_counts().open == 0)
    assert errors == []


def test_a_handler_without_handle_one_says_what_is_missing(
    ours: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names the class."""
    with (
        serving(pooled(ours, type("Empty", (PooledStreamRequestHandler,), {}))) as server,
        connected(server.server_address) as client,
    ):
        client.sendall(b"x\n")
        assert receive_all(client) == b""
    assert "NotImplementedError: Empty has no handle_one()" in capsys.readouterr().err


def test_the_counts_have_names() -> None:
    """For whoever watches a server."""
    assert PoolCounts(1, 2, 3, 4)._asdict() == {"open": 1, "waiting": 2, "queued": 3, "threads": 4}
    assert issubclass(PooledMixIn, object)
