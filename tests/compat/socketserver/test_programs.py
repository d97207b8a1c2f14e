"""Whole programs, as manuals and textbooks have them, with one import exchanged, and their blocking clients.

Each runs in a process of its own, with the standard library's module and with ours on each poller, is talked to by
plain sockets, and is ended as one ends such programs: by Ctrl-C.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.cli.running import environment
from tests.compat.socketserver.conftest import POLLERS
from tests.compat.socketserver.serving import PATIENCE, connected, receive_all, receive_line

pytestmark = pytest.mark.slow

#: What is put before each program, by the name of a test's parameter.
IMPORTS = {
    "stdlib": "import socketserver",
    **dict.fromkeys(POLLERS, "import reactor.compat.socketserver as socketserver"),
}

#: A manual's first server: it reads what comes at once, and answers in capitals.
RECEIVING = """
class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        self.data = self.request.recv(1024).strip()
        print(self.client_address[0], "wrote:", self.data)
        self.request.sendall(self.data.upper())

server_class = socketserver.TCPServer
"""

#: The same with files instead of socket calls.
READING = """
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        self.data = self.rfile.readline(10000).rstrip()
        print(self.client_address[0], "wrote:", self.data)
        self.wfile.write(self.data.upper())

server_class = socketserver.TCPServer
"""

#: A thread for each client, which says in which thread it was answered.
THREADED = """
import threading

class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        data = str(self.request.recv(1024), "ascii")
        self.request.sendall(bytes(f"{threading.current_thread().name}: {data}", "ascii"))

class server_class(socketserver.ThreadingMixIn, socketserver.TCPServer):
    pass
"""

#: Datagrams: a request is a pair.
DATAGRAMS = """
class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        sock.sendto(data.strip().upper(), self.client_address)

server_class = socketserver.UDPServer
"""

#: The textbook's: a thread for each client, one message, one greeting in UTF-8.
GREETING = """
class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        data = self.request.recv(1024)
        print(str(data, encoding="utf-8"))
        self.request.sendall(bytes("这里是socketserver,你好", encoding="utf-8"))

server_class = socketserver.ThreadingTCPServer
"""

#: What a textbook gets to in the end: a conversation, until the client says "exit" or is gone.
CONVERSATION = """
class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        while True:
            data = self.request.recv(1024)
            if not data or data == b"exit":
                break
            self.request.sendall(data.upper())

server_class = socketserver.ThreadingTCPServer
"""

#: Ctrl-C works as in a terminal, also where the tests run in the background and it is ignored.
END = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
with server_class(("127.0.0.1", 0), Handler) as server:
    print(server.server_address[1], flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print("bye")
"""


@pytest.fixture(params=list(IMPORTS))
def start(request: pytest.FixtureRequest) -> Any:
    """A function that runs a program: on the standard library, or on the reactor with one of the pollers."""
    selector = {} if request.param == "stdlib" else {"REACTOR_SELECTOR": request.param}

    @contextmanager
    def run(program: str) -> Iterator[Program]:
        with Program(IMPORTS[request.param] + program + END, environment(**selector)) as running:
            yield running

    return run


class Program:
    """A running program; ``address`` is where it serves, ``printed`` what it has printed, once it has ended."""

    def __init__(self, text: str, variables: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", text], env={**variables, "PYTHONIOENCODING": "utf-8"},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
        )  # fmt: skip
        assert self._process.stdout is not None
        self.address = ("127.0.0.1", int(self._process.stdout.readline()))
        self.printed: list[str] = []

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.send_signal(signal.SIGINT)
        stdout, stderr = self._process.communicate(timeout=PATIENCE)
        assert (self._process.returncode, stderr) == (0, "")
        self.printed = stdout.splitlines()
        assert self.printed.pop() == "bye"


def send_and_receive(address: Any, message: bytes) -> bytes:
    """The client of the manual: it connects, sends, and reads what there is."""
    with connected(address) as client:
        client.sendall(message)
        return receive_all(client)


@pytest.mark.parametrize("program", [RECEIVING, READING])
def test_the_manuals_server_answers_in_capitals(start: Any, program: str) -> None:
    """With socket calls and with files."""
    with start(program) as running:
        assert send_and_receive(running.address, b"hello world\n") == b"HELLO WORLD"
        assert send_and_receive(running.address, b"Python is nice\n") == b"PYTHON IS NICE"
    assert running.printed == ["127.0.0.1 wrote: b'hello world'", "127.0.0.1 wrote: b'Python is nice'"]


def test_the_manuals_threads_answer_each_in_its_own_name(start: Any) -> None:
    """Three clients, all connected before the first one speaks."""
    with start(THREADED) as running:
        clients = [connected(running.address) for _ in range(3)]
        answers = []
        for number, client in enumerate(clients):
            client.sendall(b"Hello World %d" % number)
        for client in clients:
            answers.append(receive_all(client).decode())
            client.close()
    names, messages = zip(*(answer.split(": ") for answer in answers), strict=True)
    assert messages == ("Hello World 0", "Hello World 1", "Hello World 2")
    assert len(set(names)) == 3
    assert all(name.startswith("Thread-") for name in names)


def test_the_manuals_datagrams_are_answered(start: Any) -> None:
    """To whoever sent them."""
    with start(DATAGRAMS) as running, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        for message in (b"one\n", b"two\n"):
            client.sendto(message, running.address)
            assert client.recv(1024) == message.strip().upper()


def test_the_textbooks_server_greets_in_utf_8(start: Any) -> None:
    """Its client sends one word and prints what it gets."""
    with start(GREETING) as running:
        assert str(send_and_receive(running.address, b"hello"), "utf-8") == "这里是socketserver,你好"
        assert str(send_and_receive(running.address, "你".encode()), "utf-8") == "这里是socketserver,你好"
    assert running.printed == ["hello", "你"]


def test_the_textbooks_conversation_goes_on_until_the_client_has_enough(start: Any) -> None:
    """Two at the same time; one says so, the other one is simply gone."""
    with start(CONVERSATION) as running, connected(running.address) as first, connected(running.address) as second:
        for word in (b"hello\n", b"world\n"):
            for client in (first, second):
                client.sendall(word)
                assert receive_line(client) == word.upper()
        first.sendall(b"exit")
        assert receive_all(first) == b""
        # Ctrl-C while the server is still starting the thread of a request closes that request under its thread.
        # Who comes later and is served shows that it has done so.
        assert send_and_receive(running.address, b"exit") == b""
