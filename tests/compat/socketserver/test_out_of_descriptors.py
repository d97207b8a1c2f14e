"""A server when the process has no descriptor left: it rests instead of spinning, and goes on."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from typing import Any

import pytest

from reactor.compat.serving import base_server, server_selector
from tests.cli.running import environment
from tests.compat.socketserver.serving import connected, receive_all, serving, wait_for
from tests.compat.socketserver.test_serving import echoing


class Exhausted:
    """For a server class: fails to accept *times* times as if no descriptor were left, and counts how often."""

    times = 3

    def get_request(self) -> Any:
        """Fail, or accept."""
        self.tries = getattr(self, "tries", 0) + 1
        if self.tries <= self.times:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return super().get_request()  # type: ignore[misc]


@pytest.mark.parametrize("way", ["forever", "one"])
def test_a_server_rests_when_there_is_no_descriptor_left(
    ours: Any, way: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It tries again after a while instead of as fast as it can, and the client is served in the end."""
    monkeypatch.setattr(server_selector, "ACCEPT_BACKOFF", 0.02)
    server = type("Server", (Exhausted, ours.TCPServer), {})(("127.0.0.1", 0), echoing(ours))
    with connected(server.server_address) as client:
        client.sendall(b"patient\n")
        if way == "forever":
            with serving(server):
                assert receive_all(client) == b"patient\n"
        else:
            with server:
                server.handle_request()
            assert receive_all(client) == b"patient\n"
    assert server.tries == 4
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3
    assert lines[0].startswith("cannot accept connections for 0.02 s: [Errno 24]")


def test_a_server_that_rests_does_not_look_at_its_socket(ours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is woken for other things; and it can be shut down."""
    monkeypatch.setattr(server_selector, "ACCEPT_BACKOFF", 3600.0)
    often = threading.Event()

    class Server(ours.TCPServer):
        tries = rounds = 0

        def get_request(self) -> Any:
            self.tries += 1
            raise OSError(errno.ENFILE, os.strerror(errno.ENFILE))

        def service_actions(self) -> None:
            self.rounds += bool(self.tries)
            if self.rounds == 5:
                often.set()

    with serving(Server(("127.0.0.1", 0), echoing(ours))) as server, connected(server.server_address):
        wait_for(often)
    assert server.tries == 1


def test_one_request_is_waited_for_when_there_is_no_descriptor_to_wait_with(
    ours: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """``handle_request`` needs a descriptor or two for itself; without one it tries again instead of raising."""
    monkeypatch.setattr(base_server, "ACCEPT_BACKOFF", 0.01)
    tries: list[int] = []
    make = base_server.ServerSelector

    def failing(*args: Any) -> Any:
        tries.append(1)
        if len(tries) < 3:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return make(*args)

    monkeypatch.setattr(base_server, "ServerSelector", failing)
    with ours.TCPServer(("127.0.0.1", 0), echoing(ours)) as server, connected(server.server_address) as client:
        client.sendall(b"x\n")
        server.handle_request()
        assert receive_all(client) == b"x\n"
    assert len(tries) == 3
    assert len(caplog.records) == 1


def test_handle_timeout_is_called_when_there_is_no_descriptor_in_time(
    ours: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The timeout of ``handle_request`` holds here as well."""
    called: list[str] = []

    class Server(ours.TCPServer):
        timeout = 0.01

        def handle_timeout(self) -> None:
            called.append("handle_timeout")

    def failing(*args: Any) -> Any:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with Server(("127.0.0.1", 0), echoing(ours)) as server:
        monkeypatch.setattr(base_server, "ServerSelector", failing)
        server.handle_request()
    assert called == ["handle_timeout"]


def test_any_other_error_of_the_poller_is_raised(ours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a lack of descriptors passes by itself."""

    def failing(*args: Any) -> Any:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    with ours.TCPServer(("127.0.0.1", 0), echoing(ours)) as server:
        monkeypatch.setattr(base_server, "ServerSelector", failing)
        with pytest.raises(PermissionError):
            server.handle_request()


STORY = """
import os, resource, socket, threading, time
import reactor.compat.socketserver as socketserver
from reactor.compat.serving import server_selector

server_selector.ACCEPT_BACKOFF = 0.05
failed, tries = threading.Event(), []

class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(self.rfile.readline())

class Server(socketserver.ThreadingTCPServer):
    def get_request(self):
        tries.append(1)
        try:
            return super().get_request()
        except OSError:
            failed.set()
            raise

with Server(("127.0.0.1", 0), Handler) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with socket.create_connection(server.server_address) as first:  # it serves, and has what it needs for that
        first.sendall(b"first\\n")
        assert first.recv(100) == b"first\\n"
    while threading.active_count() > 2:
        threading.Event().wait(0.001)  # until its handler has given its descriptor back
    client = socket.socket()
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 5, 4096))
    filler = []
    try:
        while True:
            filler.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
    client.connect(server.server_address)  # the kernel has the connection, the server no descriptor for it
    client.sendall(b"patient\\n")
    assert failed.wait(10)
    began, before = time.monotonic(), len(tries)
    threading.Event().wait(0.3)  # with the limit still in force: how often is it tried?
    several, seconds = len(tries) - before, time.monotonic() - began
    for descriptor in filler:
        os.close(descriptor)
    client.settimeout(10)
    print(client.recv(100), several, seconds)
    client.close()
    server.shutdown()
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="looks up the descriptors in /proc")
def test_a_client_is_served_when_there_are_descriptors_again(ours: Any) -> None:
    """With a real limit, in a process of its own: a few tries while it lasts, not thousands, and then an answer."""
    done = subprocess.run(
        [sys.executable, "-c", STORY],
        env=environment(REACTOR_SELECTOR=os.environ["REACTOR_SELECTOR"]),
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer, tries, seconds = done.stdout.split()
    assert "cannot accept connections for 0.05 s: [Errno 24]" in done.stderr
    assert answer == repr(b"patient\n")
    assert int(tries) <= float(seconds) / 0.05 + 1
