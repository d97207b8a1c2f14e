"""Where things run and what on: placement on cores, and the environment that belongs to every figure.

A server and its client on one core would take turns, and half of each figure would be the other's.  So the server
has the first core of those that this process may use, the client the second.  On a machine with one core both share
it, and the record says so.  Read next: ``process``.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from reactor.load.environment import environment

#: prctl(2): the signal that a child gets when its parent is gone, so that no server outlives an interrupted run.
PR_SET_PDEATHSIG = 1

PACKAGES = "uvloop gevent twisted tornado trio cffi hdrhistogram matplotlib".split()


class Placement(NamedTuple):
    """The core of the server and that of the client; None where the system does not let us choose."""

    server: int | None
    client: int | None

    @property
    def text(self) -> str:
        """What the record says."""
        if self.server is None:
            return "not pinned: this system does not offer it"
        if self.server == self.client:
            return f"server and client share core {self.server}: there is no second one"
        return f"server on core {self.server}, client on core {self.client}"


def placement() -> Placement:
    """Return where the two sides go."""
    if not hasattr(os, "sched_getaffinity"):
        return Placement(None, None)
    cores = sorted(os.sched_getaffinity(0))
    return Placement(cores[0], cores[min(1, len(cores) - 1)])


def pin(core: int | None) -> None:
    """Bind this process to *core*."""
    if core is not None:
        os.sched_setaffinity(0, {core})


def preparation(core: int | None) -> Callable[[], None]:
    """Return what a child does between fork and exec: go to its core, and end with its parent."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def prepare() -> None:
        pin(core)
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    return prepare


def raise_descriptor_limit() -> int:
    """Allow this process and its children as many descriptors as the system lets them have; return how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def surroundings(where: Placement) -> dict[str, object]:
    """Return what a stranger has to know of this run: machine, system, versions, load, placement, command, date."""
    found = environment()
    found["governor"] = _first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    found["placement"] = where.text
    found["versions"] = {name: _version(name) for name in PACKAGES}
    found["command"] = " ".join(["reactor bench", *sys.argv[2:]])
    found["date"] = time.strftime("%Y-%m-%d %H:%M:%S %z")
    return found


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _first_line(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return None
