"""How fast an upload is, what it costs, and whether the loop stays awake: ``python -m tests.scale.measure_upload``.

One file is brought from one folder to another in several ways, in turn and several times: by cp, by cp with the
fsync that an acknowledgement is worth, by the way of the textbooks (a size as text, an acknowledgement, then 1,024
bytes at a time between two blocking sockets), by the same with what is missing there for a promise, and by
``UploadClient`` and ``UploadServer`` in a process each, with sendfile(2) and without.  The median of each is
printed, with the memory of both ends, the processor time, and the longest turn of the server's loop.
``--mebibytes``, ``--runs`` and ``--folder`` say how much, how often and where.
"""

from __future__ import annotations

import argparse
import errno
import hashlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import reactor
from reactor.ops import Ops
from reactor.service.upload.client import UploadClient
from reactor.service.upload.sending import State
from reactor.service.upload.server import UploadServer
from reactor.service.upload.store import Store
from reactor.telling.probe import Probe

MEBIBYTE = 2**20

Row = dict[str, Any]


# -- the two ends, each in a process of its own ----------------------------------------------------------------


class TurnProbe(Probe):
    """Keeps how long each turn worked, from the end of its wait to the beginning of the next turn: by the clock,
    and by what the thread itself had of the processor, so that a busy machine can be told from a busy loop."""

    __slots__ = ("_since", "turns")

    def __init__(self) -> None:
        self._since: tuple[float, float] | None = None
        self.turns: list[tuple[float, float]] = []

    def polled(self, ready: int) -> None:
        """The wait is over."""
        self._since = time.perf_counter(), time.thread_time()

    def turn_began(self, turn: int, wait: float | None) -> None:
        """So is the turn before this one."""
        if self._since is not None:
            wall, thread = self._since
            self.turns.append((time.perf_counter() - wall, time.thread_time() - thread))


class ReadingOps(Ops):
    """An operating system without sendfile(2)."""

    def sendfile(self, out_fd: int, in_fd: int, offset: int, count: int) -> int:
        """Refuse."""
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def costs() -> Row:
    """Return what this process has used: its most memory, in KiB, and processor seconds."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return {"peak": peak, "cpu": time.process_time()}


def serve(folder: str) -> None:
    """Serve until stdin ends; say first the port, then the costs."""
    probe = TurnProbe()
    with reactor.Reactor() as loop:
        server = UploadServer(loop, Store(folder, 2**50))
        print(server.listen_tcp("127.0.0.1").address[1], flush=True)
        loop.add_reader(sys.stdin.fileno(), server.stop, 0)
        loop.set_probe(probe)
        loop.run_until(lambda: server.is_stopped)
    wall, thread = (sorted(times) for times in zip(*probe.turns, strict=True))
    figures = {"longest": wall[-1], "p99": wall[len(wall) * 99 // 100], "own": thread[-1], "turns": len(wall)}
    print(json.dumps({**costs(), **figures}))


def send(port: str, how: str, *paths: str) -> None:
    """Send *paths*; say how long it took, and the costs."""
    began = time.perf_counter()
    with reactor.Reactor(ops=ReadingOps() if how == "read" else None) as loop:
        client = UploadClient(loop, paths)
        client.connect(("127.0.0.1", int(port)))
        outcomes = loop.run_until(client)
    assert {outcome.state for outcome in outcomes} == {State.KEPT}
    print(json.dumps({"seconds": time.perf_counter() - began, **costs()}))


# -- the ways --------------------------------------------------------------------------------------------------


def by_cp(path: Path, folder: Path) -> None:
    """Copy it with cp(1), which leaves it to the kernel when the bytes reach the disk."""
    subprocess.run(["cp", str(path), str(folder / path.name)], check=True)


def by_cp_and_fsync(path: Path, folder: Path) -> None:
    """Copy it, and wait until it is on the disk."""
    by_cp(path, folder)
    fd = os.open(folder / path.name, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def by_textbook(path: Path, folder: Path) -> None:
    """The size as text, an acknowledgement, then the bytes, 1,024 at a time; two processes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        child = os.fork()
        if not child:
            textbook_client(listener.getsockname(), path)
            os._exit(0)
        conn, _ = listener.accept()
        with conn, open(folder / path.name, "wb") as file:
            textbook_server(conn, file.write)
    os.waitpid(child, 0)


def by_verified_textbook(path: Path, folder: Path) -> None:
    """The same with what is missing for a promise: SHA-256 at both ends, and an fsync."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        child = os.fork()
        if not child:
            textbook_client(listener.getsockname(), path, hashlib.sha256())
            os._exit(0)
        conn, _ = listener.accept()
        digest = hashlib.sha256()
        with conn, open(folder / path.name, "wb") as file:
            textbook_server(conn, lambda data: (digest.update(data), file.write(data)))
            file.flush()
            os.fsync(file.fileno())
            digest.digest()
    os.waitpid(child, 0)


def textbook_server(conn: socket.socket, take: Callable[[bytes], object]) -> None:
    """Receive a file, and hand each piece to *take*."""
    total = int(str(conn.recv(1024), encoding="utf-8"))
    conn.sendall("已收到".encode())
    received = 0
    while received < total:
        data = conn.recv(1024)
        take(data)
        received += len(data)


def textbook_client(address: Any, path: Path, digest: Any = None) -> None:
    """The other end of it."""
    with socket.create_connection(address) as sock, open(path, "rb") as file:
        sock.send(bytes(str(os.stat(path).st_size), encoding="utf-8"))
        sock.recv(1024)
        while data := file.read(1024):
            if digest is not None:
                digest.update(data)
            sock.sendall(data)


def timed(way: Callable[[Path, Path], None]) -> Callable[[Path, Path], Row]:
    """Return *way* with a clock around it: what it took, and what it used of the processors, children included."""

    def run(path: Path, folder: Path) -> Row:
        began, before = time.perf_counter(), sum(os.times()[:4])
        way(path, folder)
        return {"seconds": time.perf_counter() - began, "cpu": sum(os.times()[:4]) - before}

    return run


def by_reactor(how: str) -> Callable[[Path, Path], Row]:
    """Return the way of this package; *how* is "sendfile" or "read"."""

    def way(path: Path, folder: Path) -> Row:
        own = [sys.executable, "-m", "tests.scale.measure_upload"]
        with subprocess.Popen(
            [*own, "serve", str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as server:
            assert server.stdout is not None
            port = server.stdout.readline().strip()
            done = subprocess.run([*own, "send", port, how, str(path)], capture_output=True, text=True, check=True)
            told, _ = server.communicate()
        client, served = json.loads(done.stdout), json.loads(told)
        cpu = client["cpu"] + served["cpu"]
        return {"seconds": client["seconds"], "cpu": cpu, "client": client, "server": served}

    return way


WAYS: dict[str, Callable[[Path, Path], Row]] = {
    "cp": timed(by_cp),
    "cp, then fsync": timed(by_cp_and_fsync),
    "textbook, 1,024 bytes at a time": timed(by_textbook),
    "the same, SHA-256 and fsync": timed(by_verified_textbook),
    "reactor send, sendfile": by_reactor("sendfile"),
    "reactor send, read and write": by_reactor("read"),
}


# -- the measurement -------------------------------------------------------------------------------------------


def measured(ways: dict[str, Callable[[Path, Path], Row]], path: Path, runs: int) -> dict[str, list[Row]]:
    """Return the rows of each way.  They take turns, in another order each time: what one leaves in the memory of
    the system helps the next, and a noise of the machine hits all of them."""
    rows: dict[str, list[Row]] = {name: [] for name in ways}
    for run in range(runs):
        order = [*ways.items()]
        for name, way in order[run % len(order) :] + order[: run % len(order)]:
            folder = Path(tempfile.mkdtemp(dir=path.parent))
            rows[name].append(way(path, folder))
            shutil.rmtree(folder)
            os.sync()
    return rows


def tell(rows: dict[str, list[Row]], mebibytes: int) -> None:
    """Print a table."""
    print(f"{f'{mebibytes} MiB':34}     MB/s    MB/s   CPU s  peak MiB        a turn of the server, ms")
    print(f"{'':34}   median    best   in all  client server   99 %  longest    own")
    for name, runs in rows.items():
        seconds = [run["seconds"] for run in runs]
        median, best = (mebibytes * MEBIBYTE / 1e6 / pick(seconds) for pick in (statistics.median, min))
        line = f"{name:34} {median:8.0f} {best:7.0f} {statistics.median(run['cpu'] for run in runs):8.2f}"
        if "server" in runs[0]:
            line += "".join(f" {median_of(runs, end, 'peak') / 1024:7.1f}" for end in ("client", "server"))
            line += "".join(f" {median_of(runs, 'server', key) * 1e3:7.1f}" for key in ("p99", "longest", "own"))
        print(line, flush=True)


def median_of(runs: list[Row], end: str, key: str) -> float:
    """Return the median of one figure of one end."""
    return float(statistics.median(run[end][key] for run in runs))


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mebibytes", type=int, default=1024)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", default=tempfile.gettempdir())
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for mebibytes in sorted({10, arguments.mebibytes}):
            path = Path(folder, f"{mebibytes}")
            with path.open("wb") as file:
                for _ in range(mebibytes):
                    file.write(os.urandom(MEBIBYTE))
            tell(measured(WAYS, path, arguments.runs), mebibytes)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2])
    elif sys.argv[1:2] == ["send"]:
        send(*sys.argv[2:])
    else:
        main()
