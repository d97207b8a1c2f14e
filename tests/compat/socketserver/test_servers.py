"""Each server with each mix-in, talked to by plain blocking clients: over TCP, UDP, IPv6 and Unix sockets."""

from __future__ import annotations

import errno
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.compat.socketserver.serving import PATIENCE, ask, connected, family_of, receive_line, serving

MIXINS = [None, "ThreadingMixIn", "ForkingMixIn"]

#: A process is forked while the serving thread and the client's live: Python 3.12 and later warn of that.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


def server_class(module: Any, mixin: str | None, base: str) -> Any:
    """Return *base* with *mixin*, made as the documentation says."""
    bases = [getattr(module, name) for name in (mixin, base) if name]
    return type("Server", tuple(bases), {"allow_reuse_address": True})


def shouting(base: Any) -> Any:
    """Return a handler that answers a line in capitals, on a stream or in a datagram."""

    class Shout(base):
        def handle(self) -> None:
            self.wfile.write(self.rfile.readline().upper())

    return Shout


@pytest.mark.parametrize("mixin", MIXINS)
def test_a_tcp_client_is_answered(module: Any, mixin: str | None) -> None:
    """One after the other, each on a connection of his own, up to the server's end."""
    server = server_class(module, mixin, "TCPServer")(("127.0.0.1", 0), shouting(module.StreamRequestHandler))
    with serving(server):
        assert [ask(server.server_address, b"hello %d\n" % n) for n in range(3)] == [
            b"HELLO 0\n", b"HELLO 1\n", b"HELLO 2\n",
        ]  # fmt: skip


@pytest.mark.parametrize("mixin", MIXINS)
def test_a_client_on_a_unix_socket_is_answered(module: Any, mixin: str | None, tmp_path: Path) -> None:
    """The address is a path, and stays there."""
    path = str(tmp_path / "socket")
    server = server_class(module, mixin, "UnixStreamServer")(path, shouting(module.StreamRequestHandler))
    assert server.server_address == path
    with serving(server):
        assert ask(path, "grüße\n".encode()) == b"GR\xc3\xbc\xc3\x9fE\n"
    assert Path(path).is_socket()


@pytest.mark.parametrize("mixin", MIXINS)
def test_a_datagram_is_answered_to_its_sender(module: Any, mixin: str | None) -> None:
    """``rfile`` holds the datagram, ``wfile`` becomes the answer; an empty one is answered too."""
    server = server_class(module, mixin, "UDPServer")(("127.0.0.1", 0), shouting(module.DatagramRequestHandler))
    with serving(server), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        for sent in (b"hello\n", b"", b"again\n"):
            client.sendto(sent, server.server_address)
            assert client.recvfrom(100) == (sent.upper(), server.server_address)


@pytest.mark.parametrize("mixin", MIXINS)
def test_a_unix_datagram_is_answered_to_its_sender(module: Any, mixin: str | None, tmp_path: Path) -> None:
    """The client has a path too, or there would be nowhere to answer to."""
    path, own = str(tmp_path / "server"), str(tmp_path / "client")
    server = server_class(module, mixin, "UnixDatagramServer")(path, shouting(module.DatagramRequestHandler))
    with serving(server), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.bind(own)
        client.sendto(b"hello\n", path)
        assert client.recv(100) == b"HELLO\n"


@pytest.mark.skipif(not socket.has_ipv6, reason="this Python has no IPv6")
def test_a_client_is_answered_over_ipv6(module: Any) -> None:
    """The family is an attribute of the class; addresses have four parts then."""
    kind = type("Server", (module.ThreadingTCPServer,), {"address_family": socket.AF_INET6})
    try:
        server = kind(("::1", 0), shouting(module.StreamRequestHandler))
    except OSError as exc:
        pytest.skip(f"this machine has no IPv6 loopback: {exc}")
    assert family_of(server.server_address) == socket.AF_INET6
    with serving(server):
        assert ask(server.server_address, b"six\n") == b"SIX\n"


def test_a_request_is_the_socket_itself_when_the_handler_is_the_base_class(module: Any) -> None:
    """``request``, ``client_address`` and ``server`` are there, and the socket blocks."""
    seen: list[Any] = []

    class Handler(module.BaseRequestHandler):
        def handle(self) -> None:
            seen.extend([self.client_address, self.server, self.request.gettimeout(), self.request.getpeername()])
            self.request.sendall(self.request.recv(100))

    with serving(module.TCPServer(("127.0.0.1", 0), Handler)) as server, connected(server.server_address) as client:
        client.sendall(b"raw")
        assert client.recv(100) == b"raw"
        name = client.getsockname()
    assert seen == [name, server, None, name]


def test_a_datagram_handler_gets_the_datagram_and_the_servers_socket(module: Any) -> None:
    """A request is ``(data, socket)``; what is longer than ``max_packet_size`` is cut."""
    seen: list[Any] = []

    class Handler(module.BaseRequestHandler):
        def handle(self) -> None:
            seen.append(self.request)
            self.request[1].sendto(b"taken", self.client_address)

    kind = type("Server", (module.UDPServer,), {"max_packet_size": 4})
    with (
        serving(kind(("127.0.0.1", 0), Handler)) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        client.settimeout(PATIENCE)
        client.sendto(b"abcdefgh", server.server_address)
        assert client.recv(100) == b"taken"
    assert seen == [(b"abcd", server.socket)]


def test_clients_are_served_at_once_when_each_has_a_thread(module: Any) -> None:
    """The first is answered last: he does not keep the others waiting."""
    with (
        serving(module.ThreadingTCPServer(("127.0.0.1", 0), shouting(module.StreamRequestHandler))) as server,
        connected(server.server_address) as slow,
    ):
        assert ask(server.server_address, b"quick\n") == b"QUICK\n"
        slow.sendall(b"slow\n")
        assert receive_line(slow) == b"SLOW\n"


def test_the_address_is_what_the_system_made_of_it_when_bound(module: Any) -> None:
    """Port 0 becomes a real one, and ``fileno`` is the socket's."""
    with module.TCPServer(("127.0.0.1", 0), module.BaseRequestHandler) as server:
        assert server.server_address == server.socket.getsockname()
        assert server.server_address[1] > 0
        assert server.fileno() == server.socket.fileno()
    assert server.socket.fileno() == -1


def test_nothing_is_bound_when_the_caller_wants_to_do_it(module: Any) -> None:
    """Between the constructor and the two calls the socket can be prepared."""
    server = module.TCPServer(("127.0.0.1", 0), shouting(module.StreamRequestHandler), bind_and_activate=False)
    assert server.server_address == ("127.0.0.1", 0)
    assert server.socket.getsockname()[1] == 0
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    server.server_bind()
    server.server_activate()
    with serving(server):
        assert ask(server.server_address, b"late\n") == b"LATE\n"


def test_the_socket_is_closed_when_the_address_is_taken(module: Any) -> None:
    """The constructor raises what bind(2) said, and the guard of the tests finds nothing open."""
    with (
        module.TCPServer(("127.0.0.1", 0), module.BaseRequestHandler) as first,
        pytest.raises(OSError, match="in use") as caught,
    ):
        module.TCPServer(first.server_address, module.BaseRequestHandler)
    assert caught.value.errno == errno.EADDRINUSE


@pytest.mark.parametrize("option", ["SO_REUSEADDR", "SO_REUSEPORT"])
def test_an_address_option_is_set_when_the_class_allows_it(module: Any, option: str) -> None:
    """And not otherwise."""
    attribute = {"SO_REUSEADDR": "allow_reuse_address", "SO_REUSEPORT": "allow_reuse_port"}[option]
    for allowed in (True, False):
        kind = type("Server", (module.TCPServer,), {attribute: allowed})
        with kind(("127.0.0.1", 0), module.BaseRequestHandler) as server:
            found = server.socket.getsockopt(socket.SOL_SOCKET, getattr(socket, option))
            assert bool(found) == allowed


def test_as_many_clients_wait_as_the_queue_is_long(module: Any) -> None:
    """``request_queue_size`` goes to listen(2)."""
    asked: list[int] = []

    class Server(module.TCPServer):
        request_queue_size = 17

        def server_activate(self) -> None:
            self.socket = Listening(self.socket, asked)
            super().server_activate()

    with Server(("127.0.0.1", 0), module.BaseRequestHandler):
        assert asked == [17]


class Listening:
    """A socket that notes how long a queue is asked for."""

    def __init__(self, sock: socket.socket, asked: list[int]) -> None:
        self._sock = sock
        self._asked = asked

    def listen(self, backlog: int) -> None:
        """Note it, and listen."""
        self._asked.append(backlog)
        self._sock.listen(backlog)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def test_a_handler_sets_the_options_of_its_connection(module: Any) -> None:
    """``timeout`` and ``disable_nagle_algorithm`` are set before ``handle``; buffers have the sizes asked for."""
    seen: list[Any] = []
    done = threading.Event()

    class Handler(module.StreamRequestHandler):
        timeout = 7.5
        disable_nagle_algorithm = True
        rbufsize = 0
        wbufsize = 100

        def handle(self) -> None:
            seen.append(self.connection.gettimeout())
            seen.append(bool(self.connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
            seen.append(hasattr(self.rfile, "peek"))
            self.wfile.write(b"held back")
            done.wait(PATIENCE)

    with (
        serving(module.ThreadingTCPServer(("127.0.0.1", 0), Handler)) as server,
        connected(server.server_address) as client,
    ):
        client.settimeout(0.02)
        with pytest.raises(TimeoutError):
            client.recv(100)
        done.set()
        client.settimeout(PATIENCE)
        assert client.recv(100) == b"held back"  # finish() has flushed it
    assert seen == [7.5, True, False]


def test_a_write_is_whole_when_it_is_larger_than_the_kernels_buffer(module: Any) -> None:
    """``wfile`` without a buffer sends all of it, and says how much that was, in bytes."""
    sizes: list[int] = []

    class Handler(module.StreamRequestHandler):
        timeout = PATIENCE  # with one, the kernel takes what fits and no more

        def handle(self) -> None:
            sizes.append(self.wfile.write(memoryview(bytes(8_000_000)).cast("Q")))
            sizes.append(self.wfile.fileno() - self.request.fileno())

    with serving(module.ThreadingTCPServer(("127.0.0.1", 0), Handler)) as server:
        assert len(ask(server.server_address, b"")) == 8_000_000
    assert sizes == [8_000_000, 0]


def test_an_answer_that_nobody_takes_is_no_error(ours: Any) -> None:
    """The model swallows the first complaint about the buffer and raises the second, leaving ``rfile`` open."""
    files: list[Any] = []
    errors: list[Any] = []

    class Handler(ours.StreamRequestHandler):
        wbufsize = 100

        def handle(self) -> None:
            files.extend([self.wfile, self.rfile])
            self.connection.shutdown(socket.SHUT_WR)
            self.wfile.write(b"held back")

    kind = type("Server", (ours.TCPServer,), {"handle_error": lambda self, *args: errors.append(args)})
    with serving(kind(("127.0.0.1", 0), Handler)) as server:
        assert ask(server.server_address, b"") == b""
    assert errors == []
    assert [file.closed for file in files] == [True, True]


def test_both_files_are_closed_when_the_request_is_finished(module: Any) -> None:
    """``wfile`` is flushed first, whatever file a handler has put there, unless it is closed already."""
    calls: list[str] = []

    class Noting:
        closed = False

        def flush(self) -> None:
            calls.append("flush")

        def close(self) -> None:
            calls.append("close")

    class Handler(module.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile = Noting()
            self.wfile.closed = bool(calls)

    with serving(module.TCPServer(("127.0.0.1", 0), Handler)) as server:
        assert ask(server.server_address, b"") == b""
        assert calls == ["flush", "close"]
        assert ask(server.server_address, b"") == b""
    assert calls == ["flush", "close", "close"]


def test_a_client_sees_the_end_when_a_copy_of_its_socket_is_open(module: Any) -> None:
    """A request is shut down before it is closed: another process may have a copy, which keeps it open."""
    copies: list[socket.socket] = []

    class Handler(module.BaseRequestHandler):
        def handle(self) -> None:
            copies.append(self.request.dup())

    with serving(module.TCPServer(("127.0.0.1", 0), Handler)) as server:
        assert ask(server.server_address, b"") == b""
    copies[0].close()
