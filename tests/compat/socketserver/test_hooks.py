"""The order in which a server calls its hooks, and what becomes of an exception in each of them."""

from __future__ import annotations

import errno
import socket
import ssl
import sys
import threading
from typing import Any

import pytest

from tests.compat.socketserver.serving import PATIENCE, ask, connected, receive_all, serving


def recording(module: Any, *bases: str, **raising: BaseException) -> Any:
    """Return a server class that notes each hook in ``server.calls``, and raises what is given for its name."""

    class Server(*(getattr(module, base) for base in bases)):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            self.calls: list[str] = []
            self.errors: list[BaseException] = []
            self.requests: list[Any] = []
            super().__init__(*args, **options)

        def handle_error(self, request: Any, client_address: Any) -> None:
            self.calls.append("handle_error")
            self.errors.append(sys.exc_info()[1])  # type: ignore[arg-type]
            if "handle_error" in raising:
                raise raising["handle_error"]

    def hook(name: str) -> Any:
        def call(self: Any, *args: Any, **options: Any) -> Any:
            self.calls.append(name)
            if name in raising:
                raise raising[name]
            returned = getattr(super(Server, self), name)(*args, **options)
            if name == "get_request":
                self.requests.append(returned[0])
            return returned

        return call

    for name in (
        "server_bind", "server_activate", "server_close", "get_request", "verify_request", "process_request",
        "finish_request", "shutdown_request", "close_request", "handle_timeout",
    ):  # fmt: skip
        setattr(Server, name, hook(name))
    return Server


def recording_handler(module: Any, **raising: BaseException) -> Any:
    """Return a handler that notes its steps in ``server.calls``, and raises what is given for one."""

    class Handler(module.BaseRequestHandler):
        def setup(self) -> None:
            self.step("setup")

        def handle(self) -> None:
            self.step("handle")

        def finish(self) -> None:
            self.step("finish")

        def step(self, name: str) -> None:
            self.server.calls.append(name)
            if name in raising:
                raise raising[name]

    return Handler


def visited(server: Any) -> list[str]:
    """Have one client come, handle his request, close the server; return the calls since it was activated."""
    with server, connected(server.server_address) as client:
        server.calls.clear()
        server.handle_request()
        assert receive_all(client) == b""
    server.calls.remove("server_close")
    return list(server.calls)


SUCCESS = [
    "get_request", "verify_request", "process_request", "finish_request", "setup", "handle", "finish",
    "shutdown_request", "close_request",
]  # fmt: skip


def test_the_hooks_are_called_in_the_documented_order(module: Any) -> None:
    """From binding to closing, each once."""
    server = recording(module, "TCPServer")(("127.0.0.1", 0), recording_handler(module))
    assert server.calls == ["server_bind", "server_activate"]
    assert visited(server) == SUCCESS


def test_the_hooks_are_called_in_a_thread_when_the_server_has_threads(module: Any) -> None:
    """The order is the same; waiting for the thread is part of closing."""
    server = recording(module, "ThreadingMixIn", "TCPServer")(("127.0.0.1", 0), recording_handler(module))
    assert visited(server) == SUCCESS


def test_a_request_is_only_shut_down_when_it_is_not_verified(module: Any) -> None:
    """No handler is made; the client sees an end."""
    kind = type(
        "Choosy", (recording(module, "TCPServer"),), {"verify_request": lambda self, request, address: False}
    )
    server = kind(("127.0.0.1", 0), recording_handler(module))
    assert visited(server) == ["get_request", "shutdown_request", "close_request"]


@pytest.mark.parametrize(
    ("step", "after"),
    [
        ("setup", ["setup"]),
        ("handle", ["setup", "handle", "finish"]),
        ("finish", ["setup", "handle", "finish"]),
    ],
)
def test_an_exception_of_a_handler_goes_to_handle_error(module: Any, step: str, after: list[str]) -> None:
    """``finish`` runs unless ``setup`` failed; then the request is shut down, and the server goes on."""
    error = ValueError(step)
    handler = recording_handler(module, **{step: error})
    server = recording(module, "TCPServer")(("127.0.0.1", 0), handler)
    calls = visited(server)
    assert calls == [*SUCCESS[:4], *after, "handle_error", "shutdown_request", "close_request"]
    assert server.errors == [error]


@pytest.mark.parametrize("mixin", ["ThreadingMixIn", None])
def test_an_exception_of_finish_request_goes_to_handle_error(module: Any, mixin: str | None) -> None:
    """Whether it is raised in the server's thread or in the request's."""
    bases = [name for name in (mixin, "TCPServer") if name]
    error = OSError("finish")
    server = recording(module, *bases, finish_request=error)(("127.0.0.1", 0), recording_handler(module))
    calls = visited(server)
    assert calls == [*SUCCESS[:4], "handle_error", "shutdown_request", "close_request"]
    assert server.errors == [error]


def test_an_exception_of_process_request_goes_to_handle_error(module: Any) -> None:
    """So it is when a thread or a process cannot be started."""
    error = RuntimeError("can't start new thread")
    server = recording(module, "TCPServer", process_request=error)(("127.0.0.1", 0), recording_handler(module))
    assert visited(server) == [*SUCCESS[:3], "handle_error", "shutdown_request", "close_request"]
    assert server.errors == [error]


def test_what_ends_a_program_is_no_error_of_a_request(module: Any) -> None:
    """``SystemExit`` and its like pass through ``handle_request``, after the request was shut down."""
    handler = recording_handler(module, handle=SystemExit(3))
    server = recording(module, "TCPServer")(("127.0.0.1", 0), handler)
    with server, connected(server.server_address) as client:
        server.calls.clear()
        with pytest.raises(SystemExit):
            server.handle_request()
        assert receive_all(client) == b""
        assert server.calls == [*SUCCESS[:7], "shutdown_request", "close_request"]


@pytest.mark.parametrize("hook", ["get_request", "verify_request", "handle_error"])
def test_an_exception_of_a_hook_reaches_the_caller(module: Any, hook: str) -> None:
    """Of ``handle_request`` as of ``serve_forever``: nobody hides it in a log."""
    error = LookupError(hook)
    handler = recording_handler(module, handle=ValueError("the handler's"))
    server = recording(module, "TCPServer", **{hook: error})(("127.0.0.1", 0), handler)
    with server, connected(server.server_address), connected(server.server_address):
        with pytest.raises(LookupError) as caught:
            server.handle_request()
        assert caught.value is error
        with pytest.raises(LookupError) as caught:
            server.serve_forever()
        assert caught.value is error
    for request in server.requests:
        request.close()  # the standard library leaves that to the garbage collector


def test_an_oserror_of_get_request_means_that_there_was_no_request(module: Any) -> None:
    """No other hook is called, and nothing is raised."""
    error = ConnectionAbortedError("gone")
    server = recording(module, "TCPServer", get_request=error)(("127.0.0.1", 0), recording_handler(module))
    with server, connected(server.server_address):
        server.calls.clear()
        server.handle_request()
        assert server.calls == ["get_request"]


def test_an_error_is_printed_with_its_traceback(module: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The default ``handle_error`` writes to stderr, names the client, and the server answers the next one."""

    class Handler(module.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"%d" % (10 // int(self.rfile.readline())))

    with serving(module.TCPServer(("127.0.0.1", 0), Handler)) as server:
        assert ask(server.server_address, b"0\n") == b""
        assert ask(server.server_address, b"5\n") == b"2"
    told = capsys.readouterr().err
    assert told.count("-" * 40) == 2
    assert "Exception occurred during processing of request from ('127.0.0.1', " in told
    assert "ZeroDivisionError" in told
    assert told.count("Traceback") == 1


def test_get_request_may_take_requests_from_elsewhere(module: Any) -> None:
    """A server need not know of connections: here a request is a line from a pipe, and there is no ``socket``."""
    answered: list[tuple[bytes, str]] = []
    ours, theirs = socket.socketpair()

    class Server(module.BaseServer):
        def fileno(self) -> int:
            return ours.fileno()

        def get_request(self) -> tuple[Any, Any]:
            return ours.recv(100), "a pipe"

        def server_close(self) -> None:
            ours.close()
            theirs.close()

    def handler(request: bytes, client_address: str, server: Any) -> None:
        answered.append((request, client_address))
        done.set()

    done = threading.Event()
    with serving(Server("nowhere", handler)):
        theirs.send(b"a line")
        assert done.wait(PATIENCE)
    assert answered == [(b"a line", "a pipe")]


def test_a_server_without_a_descriptor_cannot_serve(ours: Any) -> None:
    """The error says what is missing."""
    with pytest.raises(ValueError, match="fileno"):
        ours.BaseServer("nowhere", ours.BaseRequestHandler).serve_forever()


@pytest.mark.parametrize("hook", ["verify_request", "handle_error"])
def test_a_request_is_closed_when_a_hook_raised(ours: Any, hook: str) -> None:
    """The standard library leaves it to the garbage collector; the client waits meanwhile."""
    error = LookupError(hook)
    handler = recording_handler(ours, handle=ValueError("the handler's"))
    server = recording(ours, "TCPServer", **{hook: error})(("127.0.0.1", 0), handler)
    with server, connected(server.server_address) as client:
        with pytest.raises(LookupError) as caught:
            server.handle_request()
        assert receive_all(client) == b""
        assert caught.value is error
        assert server.calls[-2:] == ["shutdown_request", "close_request"]


@pytest.mark.parametrize(
    "error", [BlockingIOError(), TimeoutError(), ConnectionAbortedError(errno.ECONNABORTED, "gone")]
)
def test_nothing_is_told_when_there_was_nobody_after_all(
    ours: Any, error: OSError, caplog: pytest.LogCaptureFixture
) -> None:
    """Another process was faster, or the client has changed its mind: everyday life."""
    server = recording(ours, "TCPServer", get_request=error)(("127.0.0.1", 0), recording_handler(ours))
    with server, connected(server.server_address):
        server.handle_request()
    assert caplog.records == []


def test_a_failed_handshake_is_told_in_one_line(ours: Any, caplog: pytest.LogCaptureFixture) -> None:
    """An exception of ``get_request`` is not lost without a word, and it is no traceback."""
    error = ssl.SSLError(ssl.SSL_ERROR_SSL, "bad handshake")  # its number is that of EPERM, and means another thing
    server = recording(ours, "TCPServer", get_request=error)(("127.0.0.1", 0), recording_handler(ours))
    with server, connected(server.server_address):
        server.handle_request()
    [record] = caplog.records
    assert record.getMessage() .startswith("a request could not be taken: SSLError")
    assert record.exc_info is None
