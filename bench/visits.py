"""Samples of short visits: connect, one request, close.  The client is ``visits.c``, compiled on the spot.

The load generator keeps its connections; this is what a server does for those who do not.  A client in Python would
be busier than the servers.  What is wrong makes the sample invalid here as well.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from bench.machine import preparation
from bench.process import Running, ServerFailed, Usage, running
from bench.sample import PERCENTILES, SATURATED, Sample, invalid, sample_of
from bench.servers import ROOT, compiled

if TYPE_CHECKING:
    from bench.servers import Server
    from bench.settings import Settings
    from bench.workloads import Workload

SOURCE = ROOT / "bench" / "visits.c"


def take(server: Server, workload: Workload, settings: Settings) -> Sample:
    """Start *server*, have it visited, and return what was found."""
    try:
        with running(server, workload.shape, settings) as process:
            return _visit(process, workload, settings)
    except ServerFailed as exc:
        return invalid(str(exc))
    except (OSError, subprocess.SubprocessError, ValueError) as exc:
        return invalid(f"{type(exc).__name__}: {exc}")


def _visit(process: Running, workload: Workload, settings: Settings) -> Sample:
    program = compiled(SOURCE, settings.workshop)
    before = process.usage()
    done = subprocess.run(
        [str(program), str(process.port), str(settings.seconds), str(workload.size)],
        capture_output=True, text=True, check=True, timeout=settings.seconds + 60,
        preexec_fn=preparation(settings.placement.client),
    )  # fmt: skip
    used = process.usage().since(before)
    return read_sample(done.stdout, used, process.resident_bytes())


def read_sample(line: str, used: Usage, resident: int) -> Sample:
    """Return the sample for the *line* that ``visits`` printed.  Raises ValueError if it is no such line."""
    visits, seconds, cpu, wrong, *percentiles = map(float, line.split())
    if wrong or not visits:
        return invalid(f"{wrong:.0f} visits were refused or answered wrongly, {visits:.0f} were answered")
    client = cpu / seconds
    warnings = [f"the client was busy {client:.0%} of the time"] if client > SATURATED else []
    latency = dict(zip(PERCENTILES, percentiles, strict=True))
    return sample_of(visits, visits / seconds, used, resident, latency, client, warnings)
