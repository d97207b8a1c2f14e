"""Samples and outcomes made of plain numbers, for tests of what is concluded from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.course import Outcome
from bench.machine import Placement
from bench.sample import Sample, invalid
from bench.settings import Settings
from bench.workloads import WORKLOADS


def sample(throughput: float, **values: float) -> Sample:
    """Return a valid sample of a busy server."""
    return Sample({"throughput": throughput, "cpu": 1 / throughput, **values}, [], [], 1.0, 0.5, 0.0)


def samples(*throughputs: float | None) -> list[Sample]:
    """Return samples, an invalid one for None."""
    return [invalid("2 replies were lost") if value is None else sample(value) for value in throughputs]


def outcome(reference: str = "uvloop-joined", workload: str = "ping-pong", **rounds: list[Sample]) -> Outcome:
    """Return an outcome; in the names of *rounds*, two underscores stand for the mark of the A/A pair."""
    named = {name.replace("__", " (again)").replace("_", "-"): taken for name, taken in rounds.items()}
    return Outcome(WORKLOADS[workload], named, {}, reference)


def settings(folder: Path, **changes: Any) -> Settings:
    """Return settings for a brief run that is not pinned."""
    return Settings(rounds=2, seconds=0.05, placement=Placement(None, None), workshop=folder)._replace(**changes)
