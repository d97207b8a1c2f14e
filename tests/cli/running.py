"""The command line as it is used: in processes of its own, with plain sockets, pipes and signals around it.

Nothing waits for time: a server is up when it has said where it listens, and a command is done when it has ended.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Self

ROOT = Path(__file__).resolve().parent.parent.parent

#: Seconds after which a process that has not ended fails the test.
PATIENCE = 20.0

#: Runs the command line after loading all that it needs, as somebody without any privilege, to read it for one.
UNPRIVILEGED = (
    "import os, sys, logging, resource, encodings.idna; import reactor.cli.main as door; "
    "import reactor; reactor.Reactor().close(); "
    "os.setgid(65534); os.setuid(65534); sys.exit(door.main(sys.argv[1:]))"
)


@cache
def framings() -> tuple[str, ...]:
    """Return which framings a child process has: there the C module must be installed, not only built."""
    code = "import reactor._accel"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, timeout=PATIENCE)
    return ("pure",) if done.returncode else ("pure", "native")


class Ended(NamedTuple):
    """What a command left behind."""

    status: int
    stdout: str
    stderr: str


def environment(**changes: str) -> dict[str, str]:
    """Return an environment in which the package is found, and no choice is made by variables."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("REACTOR_")}
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))  # an empty entry is "here"
    return {**plain, "PYTHONPATH": path, "PYTHONWARNINGS": "error", **changes}


def command(*words: str) -> list[str]:
    """Return the command line of ``reactor`` with *words*."""
    return [sys.executable, "-m", "reactor", *words]


def run(*words: str, stdin: bytes | None = None, env: dict[str, str] | None = None, **options: Any) -> Ended:
    """Run a command to its end.  Without *stdin* it has an empty one."""
    options = {"input": stdin or b"", "env": env or environment(), **options}
    done = subprocess.run(command(*words), capture_output=True, timeout=PATIENCE, **options)
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


class Serving:
    """A running ``reactor serve``; ``address`` is where it said that it listens, in words and for a socket."""

    def __init__(self, *words: str, program: list[str] | None = None, env: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            program or command("serve", *words), env=env or environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
        )  # fmt: skip
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        if not self.line.startswith("listening on "):
            _, stderr = self.process.communicate(timeout=PATIENCE)
            raise AssertionError(f"it did not listen: {self.line!r} {stderr!r}")
        self.address = self.line.removeprefix("listening on ").partition(": ")[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop(signal.SIGKILL)

    @property
    def socket_address(self) -> Any:
        """The address as plain sockets want it."""
        if self.address.startswith("unix:"):
            return self.address.removeprefix("unix:")
        host, _, port = self.address.rpartition(":")
        return host.strip("[]"), int(port)

    def connect(self) -> socket.socket:
        """Return a plain blocking socket that is connected to it."""
        if isinstance(self.socket_address, str):
            plain = socket.socket(socket.AF_UNIX)
            plain.connect(self.socket_address)
        else:
            plain = socket.create_connection(self.socket_address)
        plain.settimeout(PATIENCE)
        return plain

    def stop(self, signum: int = signal.SIGTERM) -> Ended:
        """Send a signal and wait for the end; stdout is what came after the first line."""
        if self.process.returncode is None:
            self.process.send_signal(signum)
        return self.wait()

    def wait(self) -> Ended:
        """Wait for its end without a signal, which might meet it on its way out, when its handlers are gone."""
        stdout, stderr = self.process.communicate(timeout=PATIENCE) if not self._is_read() else ("", "")
        return Ended(self.process.returncode, stdout, stderr)

    def _is_read(self) -> bool:
        assert self.process.stdout is not None
        return self.process.stdout.closed
