"""Samples of what a loop does by itself: timers, calls, calls from another thread, an import, memory that is held.

Each is taken in a fresh interpreter on the server's core, which prints one line of JSON and ends; see ``loops``.
An import is timed inside of the new interpreter around the one statement; the first one compiles,
and the fastest of several counts.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from typing import TYPE_CHECKING

from bench.machine import preparation
from bench.memory import measure
from bench.process import environment_of
from bench.sample import Sample, invalid
from bench.servers import ROOT

if TYPE_CHECKING:
    from bench.settings import Settings
    from bench.workloads import Workload

#: Seconds for one child.
PATIENCE = 120.0

#: Imports in one sample, each in an interpreter of its own; the fastest counts: an import has no work that varies.
IMPORTS = 6

#: Idle connections among which the resident memory is divided.
HELD = 2000

IMPORT = """
import time
start, cpu = time.perf_counter(), time.process_time()
import {package}
print('{{"operations": 1, "seconds": %r, "cpu": %r}}' % (time.perf_counter() - start, time.process_time() - cpu))
"""


def problem(name: str) -> str | None:
    """Return why *name* cannot take part, or None."""
    package = name.partition("-")[0]
    return None if importlib.util.find_spec(package) is not None else f"{package} is not installed"


def take(name: str, workload: Workload, settings: Settings) -> Sample:
    """Run the child, and return what it found."""
    try:
        if workload.kind == "memory":
            return _memory(name.replace("-", " "))
        if workload.kind == "import":
            code = ["-c", IMPORT.format(package=name)]
            found = [_run(code, settings) for _ in range(IMPORTS)]
            return _sample(min(found, key=lambda one: one["seconds"]))
        return _sample(_run(["-m", "bench.loops", name, workload.name, f"{settings.seconds}"], settings))
    except subprocess.CalledProcessError as exc:
        last = (exc.stderr.strip().splitlines() or ["without a word"])[-1]
        return invalid(f"{name} ended with status {exc.returncode}: {last}")
    except (subprocess.TimeoutExpired, ValueError, KeyError) as exc:
        return invalid(f"{name}: {exc}")


def _memory(contestant: str) -> Sample:
    cost = measure(contestant, HELD)
    return Sample({"throughput": 2**20 / cost}, [], []) if cost > 0 else invalid(f"{cost:.0f} bytes a connection")


def _run(arguments: list[str], settings: Settings) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment_of(settings, {}),
        capture_output=True, text=True, check=True, timeout=PATIENCE,
        preexec_fn=preparation(settings.placement.server),
    )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _sample(found: dict[str, float]) -> Sample:
    values = {
        "throughput": found["operations"] / found["seconds"],
        "cpu": found["cpu"] / found["operations"],
    }
    return Sample(values, [], [], disturbed=1 - found["cpu"] / found["seconds"])
