"""Runs the programs in ``docs/examples`` as their reader would, and talks to them with plain blocking sockets.

Read next: ``test_streams``.
"""

from __future__ import annotations

import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.cli.running import PATIENCE, ROOT, Ended, Serving, environment

EXAMPLES = ROOT / "docs" / "examples"
PAGE = ROOT / "docs" / "articles.md"

#: For SO_LINGER: closing resets.
RESET = struct.pack("ii", 1, 0)


def example(name: str, *arguments: str | Path) -> list[str]:
    """Return the command line of an example; every warning is an error."""
    return [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py"), *map(str, arguments)]


class Example(Serving):
    """A server among the examples, on *poller*; with ``finish`` one sees what it has printed."""

    def __init__(self, poller: str, name: str, *arguments: str | Path) -> None:
        super().__init__(program=example(name, *arguments), env=environment(REACTOR_SELECTOR=poller))

    def finish(self) -> list[str]:
        """Press Ctrl-C; return the lines that it has printed after the first."""
        ended = self.stop(signal.SIGINT)
        assert (ended.status, ended.stderr) == (0, ""), ended
        return ended.stdout.splitlines()

    def next_line(self) -> str:
        """Return the next line that it prints; what is not printed in time kills it, and is no line."""
        assert self.process.stdout is not None
        clock = threading.Timer(PATIENCE, self.process.kill)
        clock.start()
        try:
            return str(self.process.stdout.readline()).rstrip("\n")
        finally:
            clock.cancel()
            clock.join()


def interrupted(poller: str, name: str, *arguments: str | Path, stdin: int = subprocess.DEVNULL) -> Ended:
    """Run an example that connects to ADDRESS among its arguments, a silent server, and press Ctrl-C then."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        address = "{}:{}".format(*server.getsockname())
        words = example(name, *(str(word).replace("ADDRESS", address) for word in arguments))
        process = subprocess.Popen(
            words, env=environment(REACTOR_SELECTOR=poller), stdin=stdin, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, encoding="utf-8",
        )  # fmt: skip
        try:
            with server.accept()[0]:
                process.send_signal(signal.SIGINT)
                stdout, stderr = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
            process.communicate()
    return Ended(process.returncode, stdout, stderr)


def run_example(poller: str, name: str, *arguments: str | Path, stdin: int = subprocess.DEVNULL) -> Ended:
    """Run an example that ends by itself."""
    done = subprocess.run(
        example(name, *arguments), env=environment(REACTOR_SELECTOR=poller), stdin=stdin, capture_output=True,
        timeout=PATIENCE, text=True, encoding="utf-8",
    )  # fmt: skip
    return Ended(done.returncode, done.stdout, done.stderr)


@contextmanager
def beside(serve: Callable[[], object]) -> Iterator[None]:
    """Run *serve*, a plain blocking server, in a thread; at the end it must have ended well."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            serve()
        except BaseException as exc:
            failures.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join(PATIENCE)
    assert (thread.is_alive(), failures) == (False, [])


@contextmanager
def temporary(size: int) -> Iterator[IO[bytes]]:
    """A file of *size* bytes, one line, to be read from its beginning."""
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * size)
        file.seek(0)
        yield file


def receive(client: socket.socket, size: int) -> bytes:
    """Receive exactly *size* bytes, or as many as there are before the end."""
    data = b""
    while len(data) < size and (more := client.recv(size - len(data))):
        data += more
    return data


def framed(payload: bytes) -> bytes:
    """Return *payload* behind its length."""
    return struct.pack("!I", len(payload)) + payload


def receive_frame(client: socket.socket) -> bytes:
    """Receive one frame; return its payload."""
    return receive(client, *struct.unpack("!I", receive(client, 4)))


def receive_line(client: socket.socket, least: int = 1) -> bytes:
    """Receive up to the next newline, which has at least *least* - 1 bytes before it."""
    line = receive(client, least)
    while not line.endswith(b"\n") and (byte := client.recv(1)):
        line += byte
    return line
