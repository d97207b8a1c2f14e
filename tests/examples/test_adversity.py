"""What no reader of the examples can avoid: Ctrl-C in the middle, mistyped words, and peers that mean no good."""

from __future__ import annotations

import io
import shutil
import signal
import socket
import struct
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.running import PATIENCE, run
from tests.examples.running import RESET, Example, framed, interrupted, run_example, temporary

pytestmark = pytest.mark.slow

#: Each server for connections, what it is asked to see whether it lives, and how the answer begins.
SERVERS = {
    "upper": (b"alive", b"ALIVE"),
    "session": (b"alive\n", b"ALIVE\n"),
    "empty_messages": (framed(b"alive"), framed(b"ALIVE")),
    "killed_clients": (b"alive", b"ALIVE"),
    "greet": (b"alive", b"welcome"),
    "hello": ("你".encode(), "你好".encode()),
    "listen_again": (b"", b"bye\n"),
    "byte_order": (framed(b""), b"\0\0\0\6\x7f\0\0\1"),
    "chat": (b"alive\n", b"alive\n"),
    "blocking_handlers": (b"alive", "这里是socketserver,你好".encode()),
    "authenticated_json": (b"", b"\0\0\0"),
    "upload": (b"", b""),
}

#: Cut characters, lengths that cannot be, lines without an end, brackets without an end, what scanners send.
GARBAGE = (
    b"\xff" * 70_000,
    b"\0" * 5_000,
    "好".encode()[:2],
    b"[" * 60_000,
    struct.pack("!I", 2**31) + b"x",
    framed(b"[" * 50_000),
    b"\0\0\0\5abc",
    b"GET / HTTP/1.0\r\n\r\n",
    b"exit\n" * 500,
)


@pytest.mark.parametrize("name", SERVERS)
def test_peers_that_mean_no_good_harm_nobody_else(name: str, poller_name: str, tmp_path: Path) -> None:
    """Garbage, resets, clients that send and never read: there is no traceback, and the next one is served."""
    arguments: list[str | Path] = []
    if name == "authenticated_json":
        arguments.append(tmp_path / "app.key")
        assert run("keygen", str(arguments[0])).status == 0
    elif name == "upload":
        arguments.append(tmp_path)
    question, answer = SERVERS[name]
    with Example(poller_name, name, *arguments, "0") as server:
        printed = io.StringIO()
        reader = threading.Thread(target=shutil.copyfileobj, args=(server.process.stdout, printed))
        reader.start()  # or a server that prints what it hears would wait for somebody to read it
        deaf = [server.connect() for _ in range(5)]
        for garbage in GARBAGE:
            with server.connect() as client, suppress(ConnectionError):
                client.sendall(garbage)
        for client in deaf:
            send_without_reading(client, question or b"x")
        for _ in range(20):
            with server.connect() as client, suppress(ConnectionError):
                client.sendall(question or b"x")
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        if name == "upload":
            assert " kept " in run_example(poller_name, name, server.address.strip(), __file__).stdout
        with server.connect() as client:
            client.sendall(question)
            heard = b""
            while answer not in heard:
                heard += (piece := client.recv(65536))
                assert piece, heard[-100:]
        for client in deaf:
            client.close()
        server.process.send_signal(signal.SIGINT)
        reader.join(PATIENCE)
        ended = server.wait()
    assert ended.status == 0
    assert "Traceback" not in printed.getvalue() + ended.stderr


def send_without_reading(client: socket.socket, data: bytes) -> None:
    """Send *data* again and again, until nothing more goes in, or the server has had enough."""
    client.setblocking(False)
    piece = data * (10_000 // len(data))
    with suppress(BlockingIOError, ConnectionError):
        for _ in range(500):
            client.send(piece)


def test_ctrl_c_ends_a_client_that_waits_without_a_traceback(poller_name: str, tmp_path: Path) -> None:
    """Whatever it waits for; and what is not complete is not called so."""
    assert interrupted(poller_name, "connect", "ADDRESS").stderr == ""
    with temporary(100) as question:
        done = interrupted(poller_name, "half_close", "ADDRESS", stdin=question.fileno())
        assert done == (0, "no delay: False\ngiven up\n", "")
    done = interrupted(poller_name, "upload", "ADDRESS", __file__)
    assert done == (1, "", "interrupted: the same command goes on from here\n")
    key = tmp_path / "app.key"
    assert run("keygen", str(key)).status == 0
    done = interrupted(poller_name, "authenticated_json", key, "ADDRESS")
    assert (done.status, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["connect", "upload", "authenticated_json"])
def test_a_program_without_its_arguments_says_how_it_is_called(name: str) -> None:
    """It is the head of its text."""
    done = run_example("poll", name)
    assert (done.status, done.stdout) == (1, "")
    assert f"python {name}.py " in done.stderr
    assert "Traceback" not in done.stderr


def test_an_upload_that_cannot_begin_says_why_in_one_line(poller_name: str, tmp_path: Path) -> None:
    """Nobody listens there; or there is no such directory."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        done = run_example(poller_name, "upload", f"127.0.0.1:{taken.getsockname()[1]}", __file__)
    assert (done.status, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "refused" in done.stderr
    done = run_example(poller_name, "upload", tmp_path / "nowhere", "0")
    assert (done.status, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "nowhere" in done.stderr
