"""The server half of the demo: a process of its own, so that its CPU time can be told from that of its clients.

It runs the same two servers as ``reactor serve upper`` and ``reactor serve echo``, framed.  A socket that it
inherits connects it to the demo; on it, in lines, it says where it listens and on which poller, and answers each
line with the CPU time that it has used so far.  When that socket ends, so does the process: it cannot outlive
whoever started it.  Read next: ``demo_process``, the other end of that socket.
"""

from __future__ import annotations

import json
import signal
import sys
import traceback
from typing import TYPE_CHECKING

import reactor
from reactor.cli.arguments import poller_text, use_accel
from reactor.service.server import Server

if TYPE_CHECKING:
    from typing import Any, NoReturn


class Control(reactor.FramedProtocol):
    """The line to the demo."""

    __slots__ = ("_greeting", "_loop")

    codec = reactor.Lines()

    def __init__(self, loop: reactor.Reactor, greeting: dict[str, Any]) -> None:
        self._loop = loop
        self._greeting = greeting

    def connection_made(self, transport: Any) -> None:
        """Say where the servers listen."""
        super().connection_made(transport)
        self.send_frame(json.dumps(self._greeting).encode())

    def frame_received(self, frame: bytes) -> None:
        """Answer any line with the CPU seconds of this process."""
        self.send_frame(json.dumps({"cpu_seconds": cpu_seconds()}).encode())

    def connection_lost(self, exc: BaseException | None) -> None:
        """The demo is over."""
        self._loop.stop()


def cpu_seconds() -> float:
    """Return the user and system time that this process has used, see getrusage(2)."""
    import resource

    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def end_with(exc: BaseException, source: object) -> NoReturn:
    """End the process at the first bug: here nobody is served by going on, and one traceback is enough."""
    traceback.print_exception(exc)
    raise SystemExit(1)


def main(selector: str, accel: str, control_fd: int, services: tuple[Any, ...] = ("upper", "echo")) -> None:
    """Serve until the socket with the number *control_fd* ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the demo will hang up
    use_accel(accel)
    with reactor.Reactor(selector) as loop:
        loop.set_exception_handler(end_with)
        ports = {}
        for service in services:
            server = Server(loop, service, mode="framed", accel=accel)
            ports[server.service.name] = server.listen_tcp("127.0.0.1").address[1]
        loop.adopt_stream(lambda: Control(loop, {"ports": ports, "poller": poller_text(loop)}), control_fd)
        loop.run()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
