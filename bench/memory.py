"""What an idle connection costs: resident memory of a server before and after many clients have connected.

Usage: ``python bench/memory.py [CONNECTIONS]``, from the root of the project (5,000 unless told otherwise).

Each contestant is an echo server in a process of its own; this process holds the clients.  Every client connects,
sends one message, reads the answer, and is silent from then on.  The difference of the resident memory, divided by
the number of clients, is what one of them costs the server.  The kernel's own memory for sockets is not in it: that
is the same for everybody.  "framed" cuts the stream into frames with a four-byte length; the others cut nothing.
"""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MESSAGE = (12).to_bytes(4, "big") + b"hello, world"
PATIENCE = 60.0


# -- the contestants -------------------------------------------------------------------------------------------


def serve_reactor(framed: bool) -> None:
    """Echo with this project's streams."""
    from reactor.framing import LengthPrefixed
    from reactor.net.protocol import FramedProtocol, Protocol
    from reactor.net.reactor import Reactor

    class Raw(Protocol):
        __slots__ = ()

        def data_received(self, data: bytes) -> None:
            self.transport.write(data)

    class Framed(FramedProtocol):
        __slots__ = ()
        codec = LengthPrefixed(4)

        def frame_received(self, frame: bytes) -> None:
            self.send_frame(frame)

    with Reactor() as loop:
        listener = loop.listen_tcp(Framed if framed else Raw, "127.0.0.1", 0)
        answer_questions(listener.address[1], lambda: loop.call_soon_threadsafe(loop.stop))
        loop.run()


def serve_asyncio() -> None:
    """Echo with a protocol on an asyncio loop: the stock one, or whichever policy is set."""

    class Echo(asyncio.Protocol):
        __slots__ = ("transport",)

        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(data)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        server = await loop.create_server(Echo, "127.0.0.1", 0, backlog=1024)
        port = server.sockets[0].getsockname()[1]
        answer_questions(port, lambda: loop.call_soon_threadsafe(ended.set))
        await ended.wait()
        server.close()

    if "uvloop" in sys.argv:
        import uvloop

        uvloop.run(run())
    else:
        asyncio.run(run())


CONTESTANTS: dict[str, Callable[[], None]] = {
    "reactor raw": lambda: serve_reactor(framed=False),
    "reactor framed": lambda: serve_reactor(framed=True),
    "asyncio": serve_asyncio,
    "uvloop": serve_asyncio,
}


def answer_questions(port: int, stop: Callable[[], object]) -> None:
    """Print *port*, and from a thread the resident bytes for each line of input; *stop* at its end."""

    def answer() -> None:
        for _ in sys.stdin:
            gc.collect()
            pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
            print(int(pages) * resource.getpagesize(), flush=True)
        stop()

    print(port, flush=True)
    threading.Thread(target=answer).start()


# -- the measurement -------------------------------------------------------------------------------------------


def raise_limit() -> None:
    """Allow this process and its children as many descriptors as the system lets them have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def measure(contestant: str, connections: int) -> float:
    """Return the resident bytes that each of *connections* idle clients costs *contestant*."""
    server = subprocess.Popen(
        [sys.executable, __file__, "serve", *contestant.split()],
        cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    questions, answers = server.stdin, server.stdout
    assert questions is not None
    assert answers is not None
    clients = []

    def resident() -> int:
        questions.write("?\n")
        questions.flush()
        return int(answers.readline())

    try:
        port = int(answers.readline())
        greet(port).close()  # so that what the first connection imports is not counted
        before = resident()
        for _ in range(connections):
            clients.append(greet(port))
        return (resident() - before) / connections
    finally:
        for client in clients:
            client.close()
        server.communicate(timeout=PATIENCE)


def greet(port: int) -> socket.socket:
    """Return a client that has connected and has been answered."""
    client = socket.create_connection(("127.0.0.1", port), PATIENCE)
    client.sendall(MESSAGE)
    if client.recv(len(MESSAGE), socket.MSG_WAITALL) != MESSAGE:
        raise SystemExit("that is no echo")
    return client


def main(arguments: list[str]) -> None:
    """Measure every contestant that is installed, or be one."""
    raise_limit()
    if arguments[:1] == ["serve"]:
        CONTESTANTS[" ".join(arguments[1:])]()
        return
    connections = int(arguments[0]) if arguments else 5000
    for name in CONTESTANTS:
        if name == "uvloop" and importlib.util.find_spec("uvloop") is None:
            print(f"{name:15} not installed")
        else:
            print(f"{name:15} {measure(name, connections):7.0f} bytes for each of {connections} idle connections")


if __name__ == "__main__":
    main(sys.argv[1:])
