"""The demo's hold on its server process: it is started, asked, and ended through one socket.

The child is given the import path of this process word for word.  Left to itself it would put the working
directory in front, where anything may lie: a file called ``socket.py``, say.  Read next: ``demo_clients``.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import reactor

if TYPE_CHECKING:
    from typing import Any

#: The child's program; its arguments are the import path, then those of ``demo_server.main``.
PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from reactor.cli.demo_server import main; main(sys.argv[2], sys.argv[3], int(sys.argv[4]))"
)

#: Seconds for a process that was hung up on to be gone, before it is killed.
PATIENCE = 2.0


class ServerProcess(reactor.FramedProtocol):
    """A running ``demo_server``.  ``ports`` and ``poller`` are empty until it has said where it listens."""

    __slots__ = ("_process", "cpu_seconds", "is_gone", "poller", "ports")

    codec = reactor.Lines()

    def __init__(self, loop: reactor.Reactor, selector: str, accel: str, program: str = PROGRAM) -> None:
        self.ports: dict[str, int] = {}
        #: Its poller, "epoll+pump" if that is a pump.
        self.poller = ""
        self.cpu_seconds: float | None = None
        self.is_gone = False
        ours, theirs = socket.socketpair()
        with theirs:
            number = theirs.fileno()
            command = [sys.executable, "-P", "-c", program, json.dumps(sys.path), selector, accel, str(number)]
            try:
                self._process = subprocess.Popen(command, pass_fds=[number], stdin=subprocess.DEVNULL)
            except BaseException:
                ours.close()
                raise
        loop.adopt_stream(lambda: self, ours)

    def ask(self) -> None:
        """Ask for the CPU time that it has used; ``cpu_seconds`` is None until it has answered."""
        self.cpu_seconds = None
        self.send_frame(b"usage")

    def frame_received(self, frame: bytes) -> None:
        """Take its answer."""
        answer: dict[str, Any] = json.loads(frame)
        self.ports = answer.get("ports", self.ports)
        self.poller = answer.get("poller", self.poller)
        self.cpu_seconds = answer.get("cpu_seconds")

    def connection_lost(self, exc: BaseException | None) -> None:
        """It has ended, or was ended."""
        self.is_gone = True

    def fate(self) -> str:
        """Return how it ended, once it is gone."""
        try:
            status = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return "the server process hung up"
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        return f"the server process {how}"

    def end(self) -> None:
        """Hang up, wait until it is gone, and kill it if it does not go.  After the loop was closed."""
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
