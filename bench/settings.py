"""How a comparison is made: what its parts agree on.  Read next: ``process``."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from bench.machine import Placement


class Settings(NamedTuple):
    """How a comparison is made."""

    rounds: int
    seconds: float
    placement: Placement
    workshop: Path
    #: Empty: those that the workload names.
    servers: tuple[str, ...] = ()
    engine: str = "auto"
    #: Leave malloc as it is in a process that has just begun, see ``servers.SETTLE``.
    fresh_allocator: bool = False
