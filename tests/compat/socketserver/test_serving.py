"""How serving begins, what it does between requests, and how it ends: from outside, from inside, by Ctrl-C."""

from __future__ import annotations

import os
import signal
import socket
import threading
from typing import Any

import pytest

from reactor.compat.serving import server_selector
from tests.compat.socketserver.serving import PATIENCE, ask, connected, receive_all, serving, wait_for


def echoing(module: Any) -> Any:
    """Return a handler that sends a line back."""

    class Echo(module.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(self.rfile.readline())

    return Echo


# -- one request -----------------------------------------------------------------------------------------------


def test_one_request_is_handled_without_serving_forever(module: Any) -> None:
    """And then another; who comes in between waits in the kernel's queue."""
    with module.TCPServer(("127.0.0.1", 0), echoing(module)) as server:
        for line in (b"one\n", b"two\n"):
            with connected(server.server_address) as client:
                client.sendall(line)
                server.handle_request()
                assert receive_all(client) == line


@pytest.mark.parametrize("where", ["class", "socket", "both"])
def test_handle_timeout_is_called_when_no_request_comes(module: Any, where: str) -> None:
    """A timeout of the server and one of its socket both count; the shorter one holds."""
    called: list[str] = []

    class Server(module.TCPServer):
        timeout = {"class": 0.01, "socket": None, "both": 3600}[where]

        def handle_timeout(self) -> None:
            called.append("handle_timeout")

    with Server(("127.0.0.1", 0), echoing(module)) as server:
        if where != "class":
            server.socket.settimeout(0.01)
        server.handle_request()
        assert called == ["handle_timeout"]


def test_a_request_that_is_there_is_handled_when_the_timeout_is_zero(module: Any) -> None:
    """Zero asks once and does not wait."""
    called: list[str] = []

    class Server(module.TCPServer):
        timeout = 0

        def handle_timeout(self) -> None:
            called.append("handle_timeout")

    with Server(("127.0.0.1", 0), echoing(module)) as server, connected(server.server_address) as client:
        client.sendall(b"there\n")
        server.handle_request()
        assert receive_all(client) == b"there\n"
        assert called == []
        server.handle_request()
        assert called == ["handle_timeout"]


# -- between requests ------------------------------------------------------------------------------------------


def test_service_actions_are_called_while_nobody_comes(module: Any) -> None:
    """Every ``poll_interval`` seconds, in the serving thread, and after requests."""
    often = threading.Event()
    called: list[int] = []

    class Server(module.TCPServer):
        def service_actions(self) -> None:
            called.append(threading.get_ident())
            if len(called) == 5:
                often.set()

    with serving(Server(("127.0.0.1", 0), echoing(module))) as server:
        wait_for(often)
        assert ask(server.server_address, b"x\n") == b"x\n"
    assert len(set(called)) == 1
    assert called[0] != threading.get_ident()


def test_an_exception_of_service_actions_ends_serving(module: Any) -> None:
    """It reaches the caller, and the server can serve again."""

    class Server(module.TCPServer):
        def service_actions(self) -> None:
            raise LookupError("enough")

    with Server(("127.0.0.1", 0), echoing(module)) as server:
        for _ in range(2):
            with pytest.raises(LookupError):
                server.serve_forever(poll_interval=0.001)


def test_nobody_is_woken_when_nobody_has_anything_to_do(ours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ``service_actions`` the wait has no end but a request or ``shutdown``."""
    waits: list[float | None] = []
    wait = server_selector.ServerSelector.wait

    def noted(self: Any, timeout: float | None) -> bool:
        waits.append(timeout)
        return wait(self, timeout)

    monkeypatch.setattr(server_selector.ServerSelector, "wait", noted)
    with serving(ours.ThreadingTCPServer(("127.0.0.1", 0), echoing(ours))) as server:
        assert ask(server.server_address, b"x\n") == b"x\n"
    assert len(waits) <= 3  # for the client, for the end, and perhaps one in between
    assert set(waits) == {None}


# -- the end ---------------------------------------------------------------------------------------------------


def test_the_server_serves_again_after_a_shutdown(module: Any) -> None:
    """On the same address, as often as one likes."""
    with module.TCPServer(("127.0.0.1", 0), echoing(module)) as server:
        for line in (b"one\n", b"two\n"):
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            assert ask(server.server_address, line) == line
            server.shutdown()
            thread.join(PATIENCE)
            assert not thread.is_alive()


def test_shutdown_returns_only_when_serving_has_ended(module: Any) -> None:
    """From another thread: what the server is doing is done by then."""
    busy, go = threading.Event(), threading.Event()

    def service_actions(self: Any) -> None:
        busy.set()
        go.wait(PATIENCE)

    kind = type("Server", (module.TCPServer,), {"service_actions": service_actions})
    with kind(("127.0.0.1", 0), echoing(module)) as server:
        serving_thread = threading.Thread(target=server.serve_forever, args=(0.001,))
        serving_thread.start()
        wait_for(busy)
        shutting = threading.Thread(target=server.shutdown)
        shutting.start()
        shutting.join(0.05)
        assert shutting.is_alive()
        go.set()
        for thread in (shutting, serving_thread):
            thread.join(PATIENCE)
            assert not thread.is_alive()


def test_serving_ends_at_once_when_shutdown_came_first(module: Any) -> None:
    """A thread that is only about to serve is not missed: shutdown waits for it to begin and to end."""
    with module.TCPServer(("127.0.0.1", 0), echoing(module)) as server:
        shutting = threading.Thread(target=server.shutdown)
        shutting.start()
        server.serve_forever(0.01)
        shutting.join(PATIENCE)
        assert not shutting.is_alive()


def test_shutdown_returns_at_once_when_serving_has_ended_already(module: Any) -> None:
    """And what it asked for holds for the next time."""
    with serving(module.TCPServer(("127.0.0.1", 0), echoing(module))) as server:
        pass
    server.shutdown()


def test_a_handler_shuts_the_server_down_when_it_has_a_thread(module: Any) -> None:
    """Its client is answered all the same."""

    class Handler(module.StreamRequestHandler):
        def handle(self) -> None:
            self.server.shutdown()
            self.wfile.write(b"the last one")

    with module.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        assert ask(server.server_address, b"") == b"the last one"
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_a_handler_ends_serving_when_it_sets_the_private_flag(module: Any) -> None:
    """What programs do that have no thread for the handler, because ``shutdown`` would wait for itself."""

    class Handler(module.StreamRequestHandler):
        def handle(self) -> None:
            self.server._BaseServer__shutdown_request = True
            self.wfile.write(b"the last one")

    with module.TCPServer(("127.0.0.1", 0), Handler) as server, connected(server.server_address) as client:
        server.serve_forever(0.01)
        assert receive_all(client) == b"the last one"


def test_serving_ends_when_another_thread_sets_the_private_flag(ours: Any) -> None:
    """It wakes the server, which would not look otherwise."""
    with ours.TCPServer(("127.0.0.1", 0), echoing(ours)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        assert ask(server.server_address, b"x\n") == b"x\n"
        server._BaseServer__shutdown_request = True
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_a_handler_shuts_the_server_down_when_it_has_no_thread(ours: Any) -> None:
    """In the standard library this waits for itself, forever."""

    class Handler(ours.StreamRequestHandler):
        def handle(self) -> None:
            self.server.shutdown()
            self.wfile.write(b"the last one")

    with ours.TCPServer(("127.0.0.1", 0), Handler) as server, connected(server.server_address) as client:
        server.serve_forever()
        assert receive_all(client) == b"the last one"


def test_a_signal_handler_shuts_the_server_down(ours: Any) -> None:
    """In the main thread, where the server serves: another place where the standard library waits for itself."""
    with ours.TCPServer(("127.0.0.1", 0), echoing(ours)) as server:
        previous = signal.signal(signal.SIGUSR1, lambda signum, frame: server.shutdown())
        try:
            client = threading.Thread(
                target=lambda: (ask(server.server_address, b"x\n"), os.kill(os.getpid(), signal.SIGUSR1))
            )
            client.start()
            server.serve_forever()
            client.join(PATIENCE)
        finally:
            signal.signal(signal.SIGUSR1, previous)


def test_ctrl_c_ends_serving_with_its_exception(module: Any) -> None:
    """``KeyboardInterrupt`` reaches the caller, who may go on serving; this is how most programs end."""
    is_idle = threading.Event()
    kind = type("Server", (module.TCPServer,), {"service_actions": lambda self: is_idle.set()})

    def visit() -> None:
        ask(server.server_address, b"x\n")
        is_idle.clear()
        wait_for(is_idle)
        os.kill(os.getpid(), signal.SIGINT)

    # A run in the background may have been started with the signal ignored.
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with kind(("127.0.0.1", 0), echoing(module)) as server:
            for _ in range(2):
                client = threading.Thread(target=visit)
                client.start()
                with pytest.raises(KeyboardInterrupt):
                    server.serve_forever(0.01)
                client.join(PATIENCE)
    finally:
        signal.signal(signal.SIGINT, previous)


def test_serving_can_be_ended_when_the_socket_was_closed_under_it(ours: Any) -> None:
    """The standard library spins until then; here nobody comes any more, and shutdown is heard."""
    with ours.TCPServer(("127.0.0.1", 0), echoing(ours)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        assert ask(server.server_address, b"x\n") == b"x\n"
        server.server_close()
        server.shutdown()
        thread.join(PATIENCE)
        assert not thread.is_alive()


# -- the poller ----------------------------------------------------------------------------------------------


def test_the_poller_is_the_one_that_the_class_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """``reactor_selector`` goes before the environment."""
    import reactor.compat.socketserver as ours

    asked: list[Any] = []
    make = server_selector.Loop
    monkeypatch.setattr(server_selector, "Loop", lambda selector: (asked.append(selector), make(selector))[1])
    kind = type("Server", (ours.TCPServer,), {"reactor_selector": "select", "timeout": 0})
    with kind(("127.0.0.1", 0), echoing(ours)) as server:
        server.handle_request()
    assert asked == ["select"]


def test_a_datagram_socket_is_waited_for_like_any_other(module: Any) -> None:
    """``handle_request`` on a UDP server takes one datagram."""

    class Handler(module.DatagramRequestHandler):
        def handle(self) -> None:
            self.wfile.write(self.packet[::-1])

    with (
        module.UDPServer(("127.0.0.1", 0), Handler) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        client.settimeout(PATIENCE)
        client.sendto(b"abc", server.server_address)
        server.handle_request()
        assert client.recv(10) == b"cba"
