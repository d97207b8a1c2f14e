"""A contestant at work: started on its core, asked for its port, looked at from outside, killed.

Nothing runs inside of a server that is not its own: what it used is read from proc(5).  ``stat`` counts time in
ticks of 10 ms but splits it into user and system; ``schedstat`` counts nanoseconds.  So the total is taken from the
second where the kernel keeps it, and the share from the first.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from bench.machine import preparation
from bench.servers import ROOT, command

if TYPE_CHECKING:
    from bench.servers import Server
    from bench.settings import Settings

#: Seconds that a server has to print its port; a compiler or a slow import may be in between.
PATIENCE = 20.0

#: Variables that would change what a contestant is.
OURS = (
    "REACTOR_ACCEL", "REACTOR_PUMP", "REACTOR_SELECTOR", "PYTHONPATH", "PYTHONASYNCIODEBUG", "PYTHONDEVMODE",
    "PYTHONDONTWRITEBYTECODE", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_",
)  # fmt: skip


class ServerFailed(Exception):
    """A server ended before it had told its port; the message has its last line."""


class Usage(NamedTuple):
    """Seconds so far: in user mode and in the kernel (in ticks), in all (exactly), and ready to run while somebody
    else had the processor."""

    user: float
    system: float
    total: float
    waited: float = 0.0

    def since(self, before: Usage) -> Usage:
        """Return what was used since *before*."""
        return Usage(*(mine - theirs for mine, theirs in zip(self, before, strict=True)))

    @property
    def user_share(self) -> float | None:
        """The share that was user mode, from 0 to 1; None if no tick has passed."""
        ticks = self.user + self.system
        return self.user / ticks if ticks > 0 else None


class Running:
    """A running server."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port
        self._folder = Path("/proc") / str(process.pid)

    def is_alive(self) -> bool:
        """Return True if it has not ended."""
        return self.process.poll() is None

    def usage(self) -> Usage:
        """Return what it has used so far; zeros where proc(5) does not exist."""
        try:
            text = (self._folder / "stat").read_text(encoding="ascii")
            fields = text.rpartition(")")[2].split()
            user, system = (int(field) / os.sysconf("SC_CLK_TCK") for field in fields[11:13])
        except OSError:
            return Usage(0.0, 0.0, 0.0)
        ran, waited = self._scheduled()
        return Usage(user, system, ran or user + system, waited)

    def _scheduled(self) -> tuple[float, float]:
        """Return the seconds that all threads ran, and those that they waited for a processor."""
        try:
            files = (self._folder / "task").glob("*/schedstat")
            lines = [file.read_text(encoding="ascii").split() for file in files]
            return sum(int(line[0]) for line in lines) / 1e9, sum(int(line[1]) for line in lines) / 1e9
        except (OSError, IndexError):
            return 0.0, 0.0

    def resident_bytes(self) -> int:
        """Return its resident memory, 0 where that is not known."""
        try:
            pages = (self._folder / "statm").read_text(encoding="ascii").split()[1]
        except OSError:
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def running(
    server: Server, shape: str, settings: Settings, environment: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Running]:
    """Run *server* on its core for as long as the block lasts.  Raises ServerFailed if it does not come up."""
    workshop = settings.workshop
    complaints = workshop / f"{server.name}.stderr"  # a pipe that nobody empties would stop a server that complains
    with complaints.open("w", encoding="utf-8") as stderr:
        process = subprocess.Popen(
            command(server, shape, workshop, fresh=settings.fresh_allocator),
            cwd=workshop, env=environment_of(settings, {**server.environment, **environment}),
            preexec_fn=preparation(settings.placement.server),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True,
        )  # fmt: skip
    try:
        yield Running(process, _port_of(process, server.name, complaints))
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)


def environment_of(settings: Settings, own: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a contestant: ours, without what would change it, and with its *own*."""
    inherited = {name: value for name, value in os.environ.items() if name not in OURS}
    ours = {
        "PYTHONPATH": str(ROOT),
        "PYTHONPYCACHEPREFIX": str(settings.workshop / "compiled"),
        "PYTHONWARNINGS": "ignore",
    }
    return {**inherited, **ours, **own}


def _port_of(process: subprocess.Popen[str], name: str, complaints: Path) -> int:
    assert process.stdout is not None
    told, _, _ = select.select([process.stdout], [], [], PATIENCE)
    line = process.stdout.readline().strip() if told else ""
    if line.isdigit():
        return int(line)
    process.kill()
    process.wait(timeout=PATIENCE)
    last = (complaints.read_text(encoding="utf-8").strip().splitlines() or ["without a word"])[-1]
    raise ServerFailed(f"{name} did not start: {last}")
