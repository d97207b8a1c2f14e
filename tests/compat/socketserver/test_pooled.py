"""A bounded number of threads for any number of connections: who has one, who waits, who is told to go."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

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


def pooled(module: Any, handler: Any, base: str = "TCPServer", **settings: Any) -> Any:
    """Return a pooled server with *settings*, over the servers of *module*."""
    settings = {"request_queue_size": 128, **settings}
    return type("Server", (PooledMixIn, getattr(module, base)), settings)(("127.0.0.1", 0), handler)


def lines(module: Any) -> Any:
    """Return a handler that answers lines until its client ends, in one ``handle`` as everybody writes it."""

    class Lines(module.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                self.wfile.write(line.upper())

    return Lines


@contextmanager
def silent(address: Any, count: int) -> Iterator[list[socket.socket]]:
    """Connect *count* clients that say nothing."""
    with ExitStack() as stack:
        yield [stack.enter_context(connected(address)) for _ in range(count)]


def test_a_client_is_answered(module: Any) -> None:
    """Over the servers of the standard library as over ours."""
    with serving(pooled(module, lines(module))) as server:
        assert ask(server.server_address, b"one\ntwo\n") == b"ONE\nTWO\n"


def test_silent_connections_have_no_thread(module: Any) -> None:
    """Fifty wait, two threads are enough for everybody who speaks, and nobody is left out."""
    with serving(pooled(module, lines(module), max_threads=2)) as server:
        with silent(server.server_address, 50) as clients:
            until(lambda: server.pool_counts().waiting == 50)
            assert server.pool_counts() == PoolCounts(open=50, waiting=50, queued=0, threads=0)
            assert ask(server.server_address, b"live\n") == b"LIVE\n"
            for client in clients:
                client.sendall(b"now\n")
                client.shutdown(socket.SHUT_WR)
            assert [receive_all(client) for client in clients] == [b"NOW\n"] * 50
            assert server.pool_counts().threads <= 2
        until(lambda: server.pool_counts().open == 0)


def test_connections_are_served_in_the_order_in_which_they_spoke(ours: Any) -> None:
    """The queue is one, first come, first served, and holds each connection once."""
    order: list[bytes] = []
    go, begun = threading.Event(), threading.Event()

    class Handler(ours.StreamRequestHandler):
        def handle(self) -> None:
            begun.set()
            go.wait(PATIENCE)
            order.append(self.rfile.readline())

    with serving(pooled(ours, Handler, max_threads=1)) as server, silent(server.server_address, 8) as clients:
        for number, client in enumerate(clients):
            client.sendall(b"%d\n" % number)
            until(lambda number=number: begun.is_set() and server.pool_counts().queued == number)
        assert server.pool_counts() == PoolCounts(open=8, waiting=0, queued=7, threads=1)
        go.set()
        for client in clients:
            assert receive_all(client) == b""
    assert order == [b"%d\n" % number for number in range(8)]


def test_a_connection_that_ends_without_a_word_gets_its_handler(module: Any) -> None:
    """As with threads: the handler sees the end, and the request is shut down."""
    seen: list[bytes] = []
    done = threading.Event()

    class Handler(module.StreamRequestHandler):
        def handle(self) -> None:
            seen.append(self.rfile.read())
            done.set()

    with serving(pooled(module, Handler)) as server:
        connected(server.server_address).close()
        wait_for(done)
    assert seen == [b""]


def test_a_connection_may_be_greeted_before_it_speaks(module: Any) -> None:
    """With ``speaks_first``, a new connection gets its thread at once."""

    class Handler(module.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"welcome to my service~\n")
            self.wfile.write(self.rfile.readline())

    with serving(pooled(module, Handler, speaks_first=True)) as server, connected(server.server_address) as client:
        assert receive_line(client) == b"welcome to my service~\n"
        client.sendall(b"thanks\n")
        assert receive_line(client) == b"thanks\n"


def test_one_request_is_handled_without_serving_forever(module: Any) -> None:
    """As with threads, the connection is answered although nobody runs the server's own loop any more."""
    with pooled(module, lines(module)) as server, connected(server.server_address) as client:
        server.handle_request()
        client.sendall(b"still there\n")
        assert receive_line(client) == b"STILL THERE\n"
        client.shutdown(socket.SHUT_WR)
        assert receive_all(client) == b""


# -- errors ----------------------------------------------------------------------------------------------------


def test_an_error_of_a_handler_goes_to_handle_error(module: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """In the thread, with the traceback; the request is shut down and the thread serves on."""

    class Handler(module.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"%d" % (10 // int(self.rfile.readline())))

    with serving(pooled(module, Handler, max_threads=1)) as server:
        for _ in range(3):
            assert ask(server.server_address, b"0\n") == b""
        assert ask(server.server_address, b"5\n") == b"2"
    assert capsys.readouterr().err.count("ZeroDivisionError") == 3


@pytest.mark.parametrize("error", [SystemExit(1), LookupError("of handle_error")])
def test_a_thread_survives_what_escapes_it(module: Any, error: BaseException, monkeypatch: Any) -> None:
    """What is no error of a request, or comes from ``handle_error``, is told as that of any thread is."""
    told: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append(args.exc_value))

    class Handler(module.StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.read()  # to close with unread input would reset the client
            raise error if isinstance(error, SystemExit) else ValueError("of handle")

    def handle_error(self: Any, request: Any, client_address: Any) -> None:
        raise error

    with serving(pooled(module, Handler, max_threads=1, handle_error=handle_error)) as server:
        assert [ask(server.server_address, b"x") for _ in range(3)] == [b""] * 3
    assert told == [error] * 3


def test_the_hook_around_each_request_can_be_extended(module: Any) -> None:
    """``process_request_thread`` is what programs override to clean up after a request in its thread."""
    threads: list[str] = []

    def process_request_thread(self: Any, request: Any, client_address: Any) -> None:
        PooledMixIn.process_request_thread(self, request, client_address)
        threads.append(threading.current_thread().name)

    server = pooled(module, lines(module), process_request_thread=process_request_thread)
    with serving(server):
        assert ask(server.server_address, b"x\n") == b"X\n"
    assert threads == ["pooled-1"]


def test_a_request_is_ended_when_there_is_no_thread_for_it(
    ours: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even one: the client sees an end, a line says why, and the next one is served."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with serving(pooled(ours, lines(ours))) as server:
        with connected(server.server_address) as client:
            until(lambda: server.pool_counts().waiting == 1)
            with monkeypatch.context() as patch:
                patch.setattr(threading.Thread, "start", refuse)
                client.sendall(b"hello\n")
                assert receive_all(client) == b""
        assert ask(server.server_address, b"x\n") == b"X\n"
        until(lambda: server.pool_counts().open == 0)
    assert "there is no thread for it: can't start new thread" in caplog.text


# -- time ------------------------------------------------------------------------------------------------------


def test_a_connection_that_says_nothing_is_ended(module: Any) -> None:
    """After ``idle_timeout`` seconds, without a handler, and without a word."""
    with serving(pooled(module, lines(module), idle_timeout=0.02)) as server:
        with connected(server.server_address) as client:
            assert receive_all(client) == b""
        until(lambda: server.pool_counts().open == 0)


def test_a_request_that_keeps_its_thread_too_long_is_cut_off(
    module: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The connection is shut down under the handler, which reads an end; a thread that blocks is free again."""
    seen: list[bytes] = []

    class Handler(module.StreamRequestHandler):
        def handle(self) -> None:
            seen.append(self.rfile.read())

    with serving(pooled(module, Handler, max_threads=1, request_timeout=0.02)) as server:
        with connected(server.server_address) as client:
            client.sendall(b"never more than this")
            assert receive_all(client) == b""
        server.request_timeout = 3600
        assert ask(server.server_address, b"next") == b""
    assert seen == [b"never more than this", b"next"]
    assert caplog.text.count("was cut off") == 1


# -- the end ---------------------------------------------------------------------------------------------------


def test_closing_waits_for_requests_and_ends_those_who_wait(module: Any) -> None:
    """Who is being answered, or is in the queue, gets the answer; who has said nothing gets an end."""
    go, begun = threading.Event(), threading.Event()

    class Handler(module.StreamRequestHandler):
        def handle(self) -> None:
            begun.set()
            go.wait(PATIENCE)
            self.wfile.write(self.rfile.readline())

    server = pooled(module, Handler, max_threads=1)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    with silent(server.server_address, 3) as (busy, queued, quiet):
        busy.sendall(b"busy\n")
        wait_for(begun)
        queued.sendall(b"queued\n")
        until(lambda: server.pool_counts() == PoolCounts(open=3, waiting=1, queued=1, threads=1))
        server.shutdown()
        closing = threading.Thread(target=server.server_close)
        closing.start()
        until(lambda: server.pool_counts().waiting == 0)
        assert closing.is_alive()
        go.set()
        closing.join(PATIENCE)
        assert not closing.is_alive()
        assert [receive_all(client) for client in (busy, queued, quiet)] == [b"busy\n", b"queued\n", b""]
    thread.join(PATIENCE)
    assert server.pool_counts() == PoolCounts(0, 0, 0, 0)


@pytest.mark.parametrize("setting", [{"block_on_close": False}, {"daemon_threads": True}])
def test_closing_waits_for_nobody_when_it_is_not_to(module: Any, setting: dict[str, bool]) -> None:
    """The thread answers behind its back, and ends."""
    go, begun = threading.Event(), threading.Event()

    class Handler(module.StreamRequestHandler):
        def handle(self) -> None:
            begun.set()
            go.wait(PATIENCE)
            self.wfile.write(self.rfile.readline())

    server = pooled(module, Handler, **setting)
    with connected(server.server_address) as client:
        server.handle_request()
        client.sendall(b"late\n")
        wait_for(begun)
        server.server_close()
        go.set()
        assert receive_all(client) == b"late\n"
    until(lambda: server.pool_counts() == PoolCounts(0, 0, 0, 0))


def test_a_handler_shuts_down_and_closes_its_server(module: Any) -> None:
    """From a thread of the pool, which does not wait for itself."""

    class Handler(module.StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.readline()
            self.server.shutdown()
            self.server.server_close()
            self.wfile.write(b"closed")

    with serving(pooled(module, Handler)) as server:
        assert ask(server.server_address, b"end\n") == b"closed"


def test_no_request_is_taken_when_the_server_is_closed(ours: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """It is shut down, and the error says why."""
    server = pooled(ours, lines(ours))
    with serving(server):
        assert ask(server.server_address, b"x\n") == b"X\n"
    left, right = socket.socketpair()
    with left, right:
        server.get_request = lambda: (left, "late")
        server._handle_request_noblock()
        assert right.recv(10) == b""
    assert "the server is closed" in capsys.readouterr().err


def test_nothing_is_started_when_nobody_came(module: Any) -> None:
    """A server that is only made and closed has no pool."""
    with pooled(module, lines(module)) as server:
        assert server.pool_counts() == PoolCounts(0, 0, 0, 0)
    assert threading.active_count() == 1


# -- datagrams -------------------------------------------------------------------------------------------------


def test_a_datagram_is_answered_by_a_thread_of_the_pool(module: Any) -> None:
    """There is nothing to wait for: it goes to the threads at once."""

    class Handler(module.DatagramRequestHandler):
        def handle(self) -> None:
            self.wfile.write(threading.current_thread().name.encode())

    with (
        serving(pooled(module, Handler, "UDPServer")) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        client.settimeout(PATIENCE)
        client.sendto(b"who?", server.server_address)
        assert client.recv(100) == b"pooled-1"


def test_datagrams_are_dropped_when_too_many_wait(ours: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What a sender may fill is bounded; what was dropped is told, and the rest is answered."""
    go, begun = threading.Event(), threading.Event()

    class Handler(ours.DatagramRequestHandler):
        def handle(self) -> None:
            begun.set()
            go.wait(PATIENCE)
            self.wfile.write(self.packet)

    with (
        pooled(ours, Handler, "UDPServer", max_threads=1, max_waiting_datagrams=3) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        client.settimeout(PATIENCE)
        for number in range(8):
            client.sendto(b"%d" % number, server.server_address)
            server.handle_request()
            wait_for(begun)
        assert server.pool_counts().queued == 3
        go.set()
        assert {client.recv(10) for _ in range(4)} == {b"0", b"1", b"2", b"3"}
    assert "a request was dropped: 3 wait; 4 so far" in caplog.text
