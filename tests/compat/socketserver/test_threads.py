"""A thread for each request: who waits for it, who knows of it, and what its failures do."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import pytest

from reactor.compat.serving.thread_mixin import SWEEP_MIN, _Threads
from tests.cli.running import environment
from tests.compat.socketserver.serving import PATIENCE, ask, connected, receive_all, serving, wait_for


def waiting(module: Any) -> Any:
    """Return a handler that waits for ``server.go``, after it has set ``server.begun``."""

    class Handler(module.StreamRequestHandler):
        def handle(self) -> None:
            self.server.daemon = threading.current_thread().daemon
            self.server.begun.set()
            self.server.go.wait(PATIENCE)
            self.wfile.write(b"done")

    return Handler


def threading_server(module: Any, **settings: Any) -> Any:
    """Return a threading server with *settings* whose handler waits."""
    events = {"begun": threading.Event(), "go": threading.Event(), "daemon": None}
    return type("Server", (module.ThreadingTCPServer,), {**events, **settings})(("127.0.0.1", 0), waiting(module))


def test_closing_waits_for_the_threads(module: Any) -> None:
    """The client of a request that is being answered is answered to the end."""
    server = threading_server(module)
    with connected(server.server_address) as client:
        server.handle_request()
        wait_for(server.begun)
        closing = threading.Thread(target=server.server_close)
        closing.start()
        assert closing.is_alive()
        server.go.set()
        closing.join(PATIENCE)
        assert not closing.is_alive()
        assert receive_all(client) == b"done"
    assert server.daemon is False


@pytest.mark.parametrize("setting", [{"block_on_close": False}, {"daemon_threads": True}])
def test_closing_waits_for_nobody_when_it_is_not_to(module: Any, setting: dict[str, bool]) -> None:
    """The threads go on behind its back."""
    server = threading_server(module, **setting)
    with connected(server.server_address) as client:
        server.handle_request()
        wait_for(server.begun)
        server.server_close()
        server.go.set()
        assert receive_all(client) == b"done"
    assert server.daemon is setting.get("daemon_threads", False)


def test_the_list_of_threads_does_not_grow_with_the_requests(module: Any) -> None:
    """Threads that have ended are forgotten, while the server goes on."""

    class Handler(module.StreamRequestHandler):
        pass

    with serving(module.ThreadingTCPServer(("127.0.0.1", 0), Handler)) as server:
        for _ in range(50):
            assert ask(server.server_address, b"") == b""
        assert len(server._threads) < 20


def test_the_list_is_swept_when_it_has_doubled() -> None:
    """Not at each request: ten thousand live threads are not looked at for the next one."""
    threads, end = _Threads(), threading.Event()
    alive = [threading.Thread(target=end.wait, args=(PATIENCE,)) for _ in range(SWEEP_MIN)]
    for thread in alive:
        thread.start()
        threads.append(thread)
    sweeps: list[int] = []
    reap = threads.reap
    threads.reap = lambda: (sweeps.append(len(threads)), reap())[1]  # type: ignore[method-assign]
    ended = threading.Thread(target=lambda: None)
    ended.start()
    ended.join()
    for _ in range(4 * SWEEP_MIN):
        threads.append(ended)
    assert sweeps == [SWEEP_MIN, 2 * SWEEP_MIN, 2 * SWEEP_MIN, 2 * SWEEP_MIN]  # of 32, not 32 times
    end.set()
    threads.join()
    assert not any(thread.is_alive() for thread in alive)


def test_a_request_is_an_error_when_there_is_no_thread_for_it(
    ours: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is shut down and told, and closing does not trip over a thread that never ran, as the model's does."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with (
        ours.ThreadingTCPServer(("127.0.0.1", 0), ours.StreamRequestHandler) as server,
        connected(server.server_address) as client,
    ):
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            server.handle_request()
        assert receive_all(client) == b""
    assert "can't start new thread" in capsys.readouterr().err


def test_a_handler_closes_the_server_without_waiting_for_itself(ours: Any) -> None:
    """The model raises ``RuntimeError: cannot join current thread``."""

    class Handler(ours.StreamRequestHandler):
        def handle(self) -> None:
            self.server.shutdown()
            self.server.server_close()
            self.wfile.write(b"closed")

    with serving(ours.ThreadingTCPServer(("127.0.0.1", 0), Handler)) as server:
        assert ask(server.server_address, b"") == b"closed"


def test_what_handle_error_raises_is_told_as_that_of_any_thread(
    module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes to ``threading.excepthook``; the request is shut down, the server goes on."""
    told: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append(args.exc_type))

    class Server(module.ThreadingTCPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            raise LookupError("error")

    class Handler(module.StreamRequestHandler):
        def handle(self) -> None:
            raise ValueError("handle")

    with serving(Server(("127.0.0.1", 0), Handler)) as server:
        for _ in range(2):
            assert ask(server.server_address, b"") == b""
    assert told == [LookupError, LookupError]


PROGRAM = """
import sys, threading
import {module} as socketserver

class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        print("handling", flush=True)
        threading.Event().wait({seconds})
        print("handled", flush=True)

class Server(socketserver.ThreadingTCPServer):
    daemon_threads = {daemon}

server = Server(("127.0.0.1", 0), Handler)
import socket
client = socket.create_connection(server.server_address)
server.handle_request()
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["socketserver", "reactor.compat.socketserver"])
@pytest.mark.parametrize(("daemon", "seconds"), [(True, 3600), (False, 0.01)])
def test_a_program_ends_with_its_daemon_threads(name: str, daemon: bool, seconds: float) -> None:
    """The others are waited for."""
    program = PROGRAM.format(module=name, daemon=daemon, seconds=seconds)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env=environment(), capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert ("handled" in done.stdout) is not daemon
