"""Real servers of the standard library on the reactor: http.server and xmlrpc.server, with plain clients."""

from __future__ import annotations

import http.client
import http.server
import socket
import subprocess
import sys
import threading
import xmlrpc.client
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import reactor.compat.socketserver as ours
from reactor.compat.pooled.http import PooledHTTPMixIn
from reactor.compat.pooled.mixin import PooledMixIn
from reactor.compat.stdlib_modules import on_reactor, replace_socketserver
from reactor.errors import OptionError
from tests.cli.running import environment
from tests.compat.socketserver.serving import PATIENCE, ask, connected, receive_all, serving, until


@pytest.fixture(params=["http.server", "on_reactor"])
def http_server(request: pytest.FixtureRequest) -> Any:
    """``http.server``: the standard library's, and the copy that stands on the reactor."""
    return http.server if request.param == "http.server" else on_reactor("http.server")


def quiet(base: Any, **attributes: Any) -> Any:
    """Return a handler class that writes no log, and speaks HTTP/1.1 unless told otherwise."""
    silent = {"log_message": lambda self, *args: None, "protocol_version": "HTTP/1.1"}
    return type("Handler", base if isinstance(base, tuple) else (base,), {**silent, **attributes})


def do_post(self: Any) -> None:
    """Send the body back."""
    body = self.rfile.read(int(self.headers["Content-Length"]))
    self.send_response(200)
    self.send_header("Content-Length", str(len(body)))
    self.end_headers()
    self.wfile.write(body)


def pooled_server(http_server: Any, **settings: Any) -> Any:
    """Return a pooled HTTP server that sends bodies back, on one thread."""
    handler = quiet((PooledHTTPMixIn, http_server.BaseHTTPRequestHandler), do_POST=do_post)
    settings = {"max_threads": 1, "request_queue_size": 64, **settings}
    return type("Server", (PooledMixIn, http_server.HTTPServer), settings)(("127.0.0.1", 0), handler)


def browser(server: Any) -> http.client.HTTPConnection:
    """Return a client that keeps its connection."""
    return http.client.HTTPConnection(*server.server_address, timeout=PATIENCE)


def post(client: http.client.HTTPConnection, body: bytes) -> bytes:
    """Send *body*, and return what comes back."""
    client.request("POST", "/", body)
    return client.getresponse().read()


# -- http.server as it is --------------------------------------------------------------------------------------


def test_files_are_served_by_a_threading_server_on_the_reactor(tmp_path: Path) -> None:
    """``ThreadingHTTPServer`` and ``SimpleHTTPRequestHandler``, over one connection that is kept."""
    server_module = on_reactor("http.server")
    assert issubclass(server_module.ThreadingHTTPServer, ours.ThreadingMixIn)
    (tmp_path / "page.txt").write_text("grüße", encoding="utf-8")
    handler = partial(quiet(server_module.SimpleHTTPRequestHandler), directory=str(tmp_path))
    with serving(server_module.ThreadingHTTPServer(("127.0.0.1", 0), handler)) as server:
        client = browser(server)
        for path, status in [("/page.txt", 200), ("/", 200), ("/page.txt", 200), ("/missing", 404)]:
            client.request("GET", path)
            answer = client.getresponse()
            assert answer.status == status
            assert ("grüße".encode() in answer.read()) == (path == "/page.txt")
            assert (client.sock is not None) == (status == 200)  # the module ends it after an error
        client.close()


def test_many_clients_keep_their_connections(http_server: Any) -> None:
    """With a thread for each, as the module has it."""
    server = http_server.ThreadingHTTPServer(
        ("127.0.0.1", 0), quiet(http_server.BaseHTTPRequestHandler, do_POST=do_post)
    )
    with serving(server):
        clients = [browser(server) for _ in range(5)]
        for turn in range(3):
            assert [post(client, b"%d" % turn) for client in clients] == [b"%d" % turn] * 5
        for client in clients:
            client.close()


def test_functions_are_called_over_xml_rpc() -> None:
    """``xmlrpc.server`` on the reactor: a result, a fault, several calls on a connection."""
    module = on_reactor("xmlrpc.server")
    assert issubclass(module.SimpleXMLRPCServer, ours.TCPServer)
    kind = type("Server", (ours.ThreadingMixIn, module.SimpleXMLRPCServer), {"daemon_threads": True})
    server = kind(("127.0.0.1", 0), logRequests=False, allow_none=True)
    server.register_function(pow)
    server.register_introspection_functions()
    with serving(server):
        host, port = server.server_address
        with xmlrpc.client.ServerProxy(f"http://{host}:{port}") as proxy:
            assert proxy.pow(2, 10) == 1024
            assert "pow" in proxy.system.listMethods()  # type: ignore[operator]
            with pytest.raises(xmlrpc.client.Fault, match="ZeroDivisionError"):
                proxy.pow(0, -1)


# -- the same, pooled ------------------------------------------------------------------------------------------


def test_kept_connections_wait_in_the_reactor(http_server: Any) -> None:
    """Twenty clients, each with a connection that it keeps, and one thread."""
    with serving(pooled_server(http_server)) as server:
        clients = [browser(server) for _ in range(20)]
        for turn in range(3):
            for number, client in enumerate(clients):
                assert post(client, b"%d %d" % (turn, number)) == b"%d %d" % (turn, number)
            until(lambda: server.pool_counts()[:3] == (20, 20, 0))
        assert server.pool_counts().threads == 1
        for client in clients:
            client.close()
        until(lambda: server.pool_counts().open == 0)


def test_a_connection_ends_as_its_head_says(http_server: Any) -> None:
    """"Connection: close", and HTTP/1.0."""
    with serving(pooled_server(http_server)) as server:
        for head in (b"POST / HTTP/1.1\r\nConnection: close\r\n", b"POST / HTTP/1.0\r\n"):
            with connected(server.server_address) as client:
                client.sendall(head + b"Content-Length: 2\r\n\r\nhi")
                assert receive_all(client).endswith(b"\r\n\r\nhi")


def test_requests_that_come_together_are_answered_in_order(http_server: Any) -> None:
    """Pipelined, all in one piece, with the last one cut in two."""
    request = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n%03d"
    asked = b"".join(request % number for number in range(50))
    with serving(pooled_server(http_server)) as server, connected(server.server_address) as client:
        client.sendall(asked[:-20])
        client.sendall(asked[-20:])
        client.shutdown(socket.SHUT_WR)
        answers = receive_all(client)
    assert answers.count(b"200 OK") == 50
    assert [answers.index(b"\r\n\r\n%03d" % number) for number in range(50)] == sorted(
        answers.index(b"\r\n\r\n%03d" % number) for number in range(50)
    )


def test_a_slow_request_takes_no_thread(http_server: Any) -> None:
    """Neither its head nor its body, byte by byte, while the only thread serves others."""
    request = b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"
    with serving(pooled_server(http_server)) as server, connected(server.server_address) as slow:
        quick = browser(server)
        for byte in request[:-1]:
            slow.sendall(bytes([byte]))
        assert post(quick, b"quick") == b"quick"
        until(lambda: server.pool_counts()[:3] == (2, 2, 0))
        quick.close()
        slow.sendall(request[-1:])
        slow.shutdown(socket.SHUT_WR)
        assert receive_all(slow).endswith(b"\r\n\r\nhello")


def test_a_long_body_is_read_by_the_handler(http_server: Any) -> None:
    """Longer than what is collected: the head is enough to begin with."""
    with serving(pooled_server(http_server)) as server:
        client = browser(server)
        body = bytes(range(256)) * 4000
        assert post(client, body) == body
        assert post(client, b"short") == b"short"
        client.close()


def test_a_client_that_waits_to_be_told_to_go_on_is_told(http_server: Any) -> None:
    """"Expect: 100-continue": the body comes only after the answer to the head."""
    with serving(pooled_server(http_server)) as server, connected(server.server_address) as client:
        client.sendall(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 100 Continue")
        client.sendall(b"hi")
        client.shutdown(socket.SHUT_WR)
        assert receive_all(client).endswith(b"\r\n\r\nhi")


@pytest.mark.parametrize(
    ("request_line", "answer"),
    [(b"nonsense\r\n", b"400"), (b"GET / HTTP/9.9\r\n\r\n", b"505"), (b"BREW / HTTP/1.1\r\n\r\n", b"501")],
)
def test_a_bad_request_is_answered(http_server: Any, request_line: bytes, answer: bytes) -> None:
    """By the module's own words, and without waiting for a head that will not come."""
    with serving(pooled_server(http_server)) as server, connected(server.server_address) as client:
        client.sendall(request_line)
        assert answer in client.recv(1000)


def test_the_handler_runs_on_a_server_without_a_pool(http_server: Any) -> None:
    """In the module's own loop."""
    handler = quiet((PooledHTTPMixIn, http_server.BaseHTTPRequestHandler), do_POST=do_post)
    with serving(http_server.ThreadingHTTPServer(("127.0.0.1", 0), handler)) as server:
        client = browser(server)
        assert [post(client, b"one"), post(client, b"two")] == [b"one", b"two"]
        client.close()


def test_xml_rpc_is_pooled_as_well() -> None:
    """Its handler is one of http.server's."""
    module = on_reactor("xmlrpc.server")
    handler = quiet((PooledHTTPMixIn, module.SimpleXMLRPCRequestHandler))
    server = type("Server", (PooledMixIn, module.SimpleXMLRPCServer), {"max_threads": 1})(
        ("127.0.0.1", 0), handler, logRequests=False
    )
    server.register_function(pow)
    with serving(server):
        host, port = server.server_address
        with xmlrpc.client.ServerProxy(f"http://{host}:{port}") as proxy:
            assert [proxy.pow(2, number) for number in range(5)] == [1, 2, 4, 8, 16]
            until(lambda: server.pool_counts()[:2] == (1, 1))


@pytest.mark.parametrize(
    ("data", "is_complete"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n", False),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", True),
        (b"GET / HTTP/1.1\nHost: x\n\n", True),
        (b"GET / HTTP/1.1\r\n\r\n", True),
        (b"GET /", False),
        (b"GET /\r\n", True),
        (b"\r\n", True),
        (b"POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\n12", False),
        (b"POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\n123", True),
        (b"POST / HTTP/1.1\r\nCONTENT-LENGTH:3 \r\nHost: x\r\n\r\n12", False),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", True),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n", True),
        (b"POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\n", True),
        (b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nX: \r\n content-length: 3\r\n\r\n", True),
    ],
)
def test_the_end_of_a_request_is_found(data: bytes, is_complete: bool) -> None:
    """What is no announced length, or too long to be collected, ends with the head."""
    assert PooledHTTPMixIn.is_request_complete(bytearray(data), 0) is is_complete


# -- how modules come to the reactor ---------------------------------------------------------------------------


def test_a_copy_leaves_the_original_alone() -> None:
    """The rest of the program sees what it saw before; the same copy is returned each time."""
    copy = on_reactor("http.server")
    assert copy is on_reactor("http.server")
    assert copy is not http.server is sys.modules["http.server"]
    assert not issubclass(http.server.HTTPServer, ours.TCPServer)
    assert sys.modules["socketserver"] is not ours


def test_a_module_that_is_not_there_is_an_import_error() -> None:
    """The usual one."""
    with pytest.raises(ModuleNotFoundError, match="nowhere"):
        on_reactor("nowhere")


def test_a_module_without_socketserver_is_refused() -> None:
    """A copy of it would be good for nothing."""
    with pytest.raises(OptionError, match="bisect does not import socketserver"):
        on_reactor("bisect")
    assert threading.active_count() == 1


def test_it_is_too_late_to_replace_what_is_in_use() -> None:
    """The error names who uses the original already; nothing is changed."""
    with pytest.raises(OptionError, match=r"http\.server"):
        replace_socketserver()
    assert sys.modules["socketserver"] is not ours


REPLACED = """
from reactor.compat.stdlib_modules import replace_socketserver
replace_socketserver()
replace_socketserver()
import socketserver, http.server, xmlrpc.server, logging.config, wsgiref.simple_server
import reactor.compat.socketserver as ours
assert socketserver is ours
for kind in (http.server.HTTPServer, xmlrpc.server.SimpleXMLRPCServer, wsgiref.simple_server.WSGIServer):
    assert issubclass(kind, ours.TCPServer), kind
assert issubclass(http.server.SimpleHTTPRequestHandler, ours.StreamRequestHandler)
"""


@pytest.mark.slow
def test_a_whole_program_stands_on_the_reactor_when_it_says_so_first() -> None:
    """Whoever imports ``socketserver`` from then on gets ours."""
    done = subprocess.run(
        [sys.executable, "-c", REPLACED], env=environment(), capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_simple_server_answers_a_plain_socket(http_server: Any) -> None:
    """HTTP/1.0 as everybody has typed it into a terminal once."""
    handler = quiet(http_server.BaseHTTPRequestHandler, do_POST=do_post, protocol_version="HTTP/1.0")
    with serving(http_server.HTTPServer(("127.0.0.1", 0), handler)) as server:
        answer = ask(server.server_address, b"POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi")
    assert answer.startswith(b"HTTP/1.0 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\nhi")
