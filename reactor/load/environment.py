"""What a figure was measured on: without it, the figure means nothing to anybody else.

Everything here is read from the system when a run begins, in plain words, for people as well as for programs.
Read next: ``result``.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

#: Where Linux describes the processor.
CPUINFO = Path("/proc/cpuinfo")


def environment() -> dict[str, object]:
    """Return what is known of the machine, the interpreter, and where this process may run."""
    found: dict[str, object] = {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": sys.platform,
        "kernel": platform.release(),
        "machine": platform.machine(),
        "processor": _processor(),
        "processors": os.cpu_count(),
    }
    if hasattr(os, "sched_getaffinity"):
        found["affinity"] = sorted(os.sched_getaffinity(0))
    if hasattr(os, "getloadavg"):
        found["load_average"] = round(os.getloadavg()[0], 2)
    return found


def _processor() -> str:
    try:
        lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
