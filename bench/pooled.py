"""A live client among ten thousand silent ones: ``PooledMixIn`` against ``ThreadingMixIn``.

``python -m bench.pooled`` starts each server in a process of its own, has two other processes connect ten thousand
clients that say nothing, and asks three things: how many threads the server has, how much memory, what a client
feels that does say something: on a connection that it keeps, and when it comes for one request.  It asks with
nobody else there, with the silent ones, and when each of these has been answered once and is silent again.

Server and clients have a core each where there are two.  The servers differ in their mix-in, and in that the
pooled one's handler answers a line at a time; both send lines back.
"""

from __future__ import annotations

import argparse
import json
import resource
import socket
import socketserver
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import reactor.compat.socketserver as ours
from bench.machine import pin, placement, preparation

ROOT = Path(__file__).resolve().parent.parent

if TYPE_CHECKING:
    from bench.machine import Placement

#: Processes among which the silent clients are divided.
CROWDS = 2

#: Seconds for one answer: a server may have ten thousand threads to start first.
PATIENCE = 120.0

LINE = b"a line of thirty-two bytes, or so\n"


# -- the servers -----------------------------------------------------------------------------------------------


def lines_of(module: Any) -> Any:
    """Return a handler that sends lines back until its client ends."""

    class Lines(module.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                self.wfile.write(line)

    return Lines


class OneLine(ours.PooledStreamRequestHandler):
    """Sends a line back."""

    def handle_one(self) -> None:
        """Answer the next line."""
        self.wfile.write(self.rfile.readline())


class CollectedLine(OneLine):
    """The same; the reactor collects the line before it takes a thread."""

    request_end = b"\n"


#: The contestants: mix-in and server, and the handler.
SERVERS = {
    "ThreadingMixIn": ((socketserver.ThreadingMixIn, socketserver.TCPServer), lines_of(socketserver)),
    "ThreadingMixIn on the reactor": ((ours.ThreadingMixIn, ours.TCPServer), lines_of(ours)),
    "PooledMixIn": ((ours.PooledMixIn, ours.TCPServer), OneLine),
    "PooledMixIn, collecting": ((ours.PooledMixIn, ours.TCPServer), CollectedLine),
}


def serve(name: str) -> None:
    """Serve until killed; print the port first."""
    raise_limit()
    bases, handler = SERVERS[name]
    server = type("Server", bases, {"request_queue_size": 1024})(("127.0.0.1", 0), handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


# -- the silent clients ----------------------------------------------------------------------------------------


def crowd(port: int, count: int) -> None:
    """Connect *count* clients; then, for each line on the input, have each of them say something once."""
    raise_limit()
    clients = [socket.create_connection(("127.0.0.1", port), PATIENCE) for _ in range(count)]
    print("connected", flush=True)
    while sys.stdin.readline():
        for client in clients:
            client.sendall(LINE)
            if client.recv(len(LINE), socket.MSG_WAITALL) != LINE:
                raise SystemExit("a silent client was answered wrongly")
        print("talked", flush=True)


@contextmanager
def child(core: int | None, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Run this module with *words* in a process of its own, on *core*, and end it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.pooled", *words],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=preparation(core),
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def hear(process: subprocess.Popen[str]) -> str:
    """Return the next line that *process* prints."""
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line:
        raise SystemExit(f"{process.args!r} has ended")
    return line


def say(process: subprocess.Popen[str]) -> None:
    """Have *process* do the next thing."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def raise_limit() -> None:
    """Allow as many descriptors as the system does."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


# -- the live client -------------------------------------------------------------------------------------------


def status_of(pid: int) -> tuple[int, float]:
    """Return the threads of a process and its resident memory in MiB, see proc(5)."""
    lines = (Path("/proc") / str(pid) / "status").read_text(encoding="ascii").splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["Threads"]), int(fields["VmRSS"].split()[0]) / 1024


def ask(client: socket.socket) -> None:
    """Send a line and wait until it has come back."""
    client.sendall(LINE)
    if client.recv(len(LINE), socket.MSG_WAITALL) != LINE:
        raise SystemExit("the live client was answered wrongly")


def kept(port: int, count: int) -> list[float]:
    """Return the seconds of *count* requests on one connection."""
    durations = []
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        for _ in range(count):
            start = time.perf_counter()
            ask(client)
            durations.append(time.perf_counter() - start)
    return durations


def visits(port: int, count: int) -> list[float]:
    """Return the seconds of *count* visits: to connect, to ask, to be answered."""
    durations = []
    for _ in range(count):
        start = time.perf_counter()
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
            ask(client)
            durations.append(time.perf_counter() - start)
    return durations


def percentiles(durations: list[float]) -> tuple[float, float]:
    """Return median and 99th percentile in microseconds."""
    return statistics.median(durations) * 1e6, statistics.quantiles(durations, n=100)[98] * 1e6


def measure(pid: int, port: int, count: int) -> dict[str, Any]:
    """Return what a live client feels, and what the server has meanwhile."""
    visits(port, count // 20)  # nobody is measured while the server wakes up
    found = {"kept": percentiles(kept(port, count)), "visit": percentiles(visits(port, count // 4))}
    threads, resident = status_of(pid)
    return {**found, "threads": threads, "resident": resident}


def contest(name: str, connections: int, count: int, place: Placement) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the figures of one server: alone, among silent clients, among silent ones that have talked."""
    with child(place.server, "serve", name) as server:
        port = int(hear(server))
        yield "alone", measure(server.pid, port, count)
        crowds = [("crowd", str(port), str(connections // CROWDS))] * CROWDS
        start = time.perf_counter()
        with child(place.client, *crowds[0]) as first, child(place.client, *crowds[1]) as second:
            for each in (first, second):
                hear(each)
            taken = time.perf_counter() - start
            yield f"{connections:,} silent", {**measure(server.pid, port, count), "connecting": taken}
            for each in (first, second):
                say(each)
                hear(each)
            yield f"{connections:,} have talked", measure(server.pid, port, count)


COLUMNS = "{:<30}  {:<18} {:>8} {:>5} {:>11}   {:>6} {:>7}   {:>6} {:>7}"

HEADER = COLUMNS.format("server", "other clients", "threads", "MiB", "connecting", "kept", "p99", "visit", "p99")


def row(name: str, clients: str, found: dict[str, Any]) -> str:
    """Return a line of the table."""
    connecting = f"{found['connecting']:.1f} s" if "connecting" in found else ""
    figures = [f"{value:,.0f}" for value in (found["resident"], *found["kept"], *found["visit"])]
    return COLUMNS.format(name, clients, f"{found['threads']:,}", figures[0], connecting, *figures[1:])


def main() -> None:
    """Run the contest, or be one of its processes."""
    if sys.argv[1:2] == ["serve"]:
        return serve(sys.argv[2])
    if sys.argv[1:2] == ["crowd"]:
        return crowd(int(sys.argv[2]), int(sys.argv[3]))
    parser = argparse.ArgumentParser(prog="python -m bench.pooled", description=__doc__.partition("\n")[0])
    parser.add_argument("--connections", type=int, default=10_000, help="silent clients (10000)")
    parser.add_argument("--requests", type=int, default=4000, help="requests of the live client (4000)")
    parser.add_argument("--server", action="append", choices=SERVERS, help="only this one (repeatable)")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each row")
    options = parser.parse_args()
    place = placement()
    pin(place.client)
    print(place.text, "; latencies of the live client in microseconds", sep="", file=sys.stderr)
    if not options.json:
        print(HEADER)
    for name in options.server or SERVERS:
        for clients, found in contest(name, options.connections, options.requests, place):
            table = {"server": name, "clients": clients, **found}
            print(json.dumps(table) if options.json else row(name, clients, found), flush=True)


if __name__ == "__main__":
    main()
