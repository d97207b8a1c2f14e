"""System calls per message of a real server process, counted by strace(1) while it serves.

The client keeps step: it sends, and waits for the answer before it sends again, so each message is one turn of the
server and the counts are exact but for a handful at the ends.  *All* calls are counted: a buffer that is mapped and
unmapped for each read costs as much as the read, and no scripted socket would show it.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SERVER = ROOT / "bench" / "peers" / "serve_reactor.py"

PURE = {"REACTOR_ACCEL": "pure", "REACTOR_PUMP": "off"}
NATIVE = {"REACTOR_ACCEL": "native", "REACTOR_PUMP": "off"}
PUMP = {"REACTOR_ACCEL": "native", "REACTOR_PUMP": "on"}

MESSAGES = 200

#: Calls in all that belong to the beginning and the end: accept, register, the end of the connection.
AROUND = 40

#: The calls that receive: a connection without a socket object is read by its number.
RECEIVING = ("recv", "read")

MESSAGE = (64).to_bytes(4, "big") + b"x" * 64
LARGE = (2**20).to_bytes(4, "big") + b"y" * 2**20

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")]


@cache
def has_native() -> bool:
    """Return True if a process of its own finds the compiled module."""
    done = subprocess.run([sys.executable, "-c", "import reactor._accel"], cwd=ROOT, capture_output=True)
    return done.returncode == 0


@pytest.fixture(params=["pure", "native", "pump"])
def kind(request: pytest.FixtureRequest) -> dict[str, str]:
    """The environment of a server."""
    if request.param != "pure" and not has_native():
        pytest.skip("the compiled module is not installed: other processes cannot load it")
    return {"pure": PURE, "native": NATIVE, "pump": PUMP}[request.param]


@contextmanager
def serving(kind: dict[str, str], style: str = "each") -> Iterator[tuple[int, int]]:
    """Run a server; give its process number and its port."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **kind}
    process = subprocess.Popen(
        [sys.executable, str(SERVER), style, "framed"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate(timeout=30)


@contextmanager
def counting(pid: int, counts: dict[str, int], report: Path) -> Iterator[None]:
    """Count the system calls of a process while the block lasts; afterwards *counts* holds them by name."""
    tracer = subprocess.Popen(
        ["strace", "-f", "-c", "-U", "name,calls", "-o", str(report), "-p", str(pid)],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert tracer.stderr is not None
        line = tracer.stderr.readline()
        if "attached" not in line:
            pytest.skip(f"strace may not look at processes here: {line.strip()}")
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.communicate(timeout=30)
    found = re.findall(r"^(\w+)\s+(\d+)\s*$", report.read_text(encoding="ascii"), re.MULTILINE)
    counts.update({name: int(calls) for name, calls in found if name != "total"})


def converse(port: int, message: bytes, times: int) -> None:
    """Send and await the answer, so many times."""
    with socket.create_connection(("127.0.0.1", port), 30) as client, client.makefile("rb") as answers:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(times):
            client.sendall(message)
            assert answers.read(len(message)) == message


def counted(kind: dict[str, str], folder: Path, message: bytes, times: int, style: str = "each") -> dict[str, int]:
    """Return the system calls of a server that answers *message* so many times."""
    counts: dict[str, int] = {}
    with serving(kind, style) as (pid, port):
        converse(port, message, 2)
        with counting(pid, counts, folder / "counts"):
            converse(port, message, times)
    return counts


def total(counts: dict[str, int], *prefixes: str) -> int:
    """Return how many calls there were whose names begin so."""
    return sum(calls for name, calls in counts.items() if name.startswith(prefixes))


@pytest.mark.parametrize("count", [1, 16, 64])
def test_a_turn_costs_three_system_calls_when_messages_are_answered(
    kind: dict[str, str], count: int, tmp_path: Path
) -> None:
    """One wait, one receive, one send, for one message as for sixty-four that come together; and no other call."""
    counts = counted(kind, tmp_path, MESSAGE * count, MESSAGES)
    for prefixes in (("epoll_",), RECEIVING, ("send",)):
        assert MESSAGES <= total(counts, *prefixes) <= MESSAGES + AROUND, counts
    assert sum(counts.values()) <= 3 * MESSAGES + AROUND, counts


def test_a_large_frame_costs_few_system_calls_when_it_is_answered(kind: dict[str, str], tmp_path: Path) -> None:
    """At least 32 KiB for each receive and each send on the average, and a wait for each at the most.

    Nothing else: memory that goes back to the system after each frame has to be asked for, mapped and cleared anew.
    """
    frames, pieces = 40, 2**20 // 32_768
    counts = counted(kind, tmp_path, LARGE, frames)
    for prefixes in (RECEIVING, ("send",)):
        assert frames <= total(counts, *prefixes) <= frames * pieces + AROUND, counts
    assert total(counts, "epoll_wait", "epoll_pwait") <= 2 * frames * pieces + AROUND, counts
    assert total(counts, "brk", "mmap", "munmap", "mremap", "madvise") <= AROUND, counts


def test_calls_that_should_not_be_there_show_when_a_server_makes_them(tmp_path: Path) -> None:
    """The count can fail: answers that leave one by one are more calls than the budget has."""
    code = (
        "import socket\n"
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "print(listener.getsockname()[1], flush=True)\n"
        "while True:\n"
        "    peer, _ = listener.accept()\n"
        "    while data := peer.recv(65536):\n"
        "        for at in range(0, len(data), 68): peer.send(data[at : at + 68])\n"
    )
    server = tmp_path / "server.py"
    server.write_text(code, encoding="ascii")
    process = subprocess.Popen([sys.executable, str(server)], stdout=subprocess.PIPE, text=True)
    counts: dict[str, int] = {}
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with counting(process.pid, counts, tmp_path / "counts"):
            converse(port, MESSAGE * 16, 20)
    finally:
        process.kill()
        process.communicate(timeout=30)
    assert total(counts, "send") == 16 * 20
