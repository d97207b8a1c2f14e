"""A whole comparison: workload by workload, round by round, everybody in turn.

The order within a round is the order of the table, and each round is the same: A B C A B C.  What drifts in the
machine (temperature, neighbours) then touches everybody alike, which A A A B B B would not give.  The reference
comes a second time at the end of each round, under another name: the A/A pair.  Read next: ``table``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from bench import figures, inside, traffic, visits
from bench.sample import METRICS, Sample
from bench.servers import LIMIT, REFERENCE, SERVERS, problem
from bench.settings import Settings
from bench.workloads import Workload

#: What the reference is called the second time.
AGAIN = "(again)"


class Outcome(NamedTuple):
    """All samples of one workload, by contestant, in the order of the rounds."""

    workload: Workload
    samples: dict[str, list[Sample]]
    #: Who was left out, and why.
    skipped: dict[str, str]
    #: What ratios are taken to.
    reference: str

    def floor(self, metric: str = "throughput") -> float | None:
        """Return the noise floor of *metric* in this workload."""
        again = self.samples.get(again_name(self.reference), [])
        return figures.noise_floor(self.samples.get(self.reference, []), again, metric) if again else None

    def ratio(self, name: str, to: str, metric: str = "throughput") -> figures.Spread | None:
        """Return the ratio of *name* to another contestant; None if one of them is not there or not valid."""
        if to not in self.samples:
            return None
        return figures.ratios(self.samples[name], self.samples[to], metric)

    def as_dict(self) -> dict[str, object]:
        """Return the JSON form: every sample, and what was made of them."""
        return {
            "workload": self.workload._asdict(),
            "reference": self.reference,
            "noise_floor": {metric: self.floor(metric) for metric in METRICS},
            "skipped": self.skipped,
            "servers": {name: self._server(name) for name in self.samples},
        }

    def _server(self, name: str) -> dict[str, object]:
        samples = self.samples[name]
        spreads = {metric: figures.spread_of(samples, metric) for metric in METRICS}
        return {
            "valid": all(sample.is_valid for sample in samples),
            "reasons": sorted({reason for sample in samples for reason in sample.reasons}),
            "warnings": sorted({warning for sample in samples for warning in sample.warnings}),
            **{metric: found._asdict() if found else None for metric, found in spreads.items()},
            "ratio_to_reference": _as_dict(self.ratio(name, self.reference)),
            "ratio_to_limit": _as_dict(self.ratio(name, LIMIT)),
            "samples": [sample._asdict() for sample in samples],
        }


def _as_dict(found: figures.Spread | None) -> dict[str, float] | None:
    return found._asdict() if found else None


Taker = Callable[[str], Sample]


def compare(
    workloads: Iterable[Workload], settings: Settings, tell: Callable[[str], object] = lambda text: None
) -> Iterable[Outcome]:
    """Yield the outcome of each workload when it is there; *tell* is called with what is being done."""
    for workload in workloads:
        yield measure(workload, settings, tell)


def measure(workload: Workload, settings: Settings, tell: Callable[[str], object]) -> Outcome:
    """Measure one workload."""
    names, skipped = contestants(workload, settings)
    reference = reference_of(workload, names)
    order = [*names, again_name(reference)] if reference else names
    samples: dict[str, list[Sample]] = {name: [] for name in order}
    for number in range(settings.rounds):
        for name in order:
            tell(f"{workload.name}: round {number + 1} of {settings.rounds}: {name}")
            samples[name].append(take(workload, name.removesuffix(AGAIN).strip(), settings))
    return Outcome(workload, samples, skipped, reference)


def contestants(workload: Workload, settings: Settings) -> tuple[list[str], dict[str, str]]:
    """Return who takes part, and who does not and why."""
    if workload.kind in ("traffic", "visits"):
        wanted = [name for name in workload.servers if not settings.servers or name in settings.servers]
        if workload.group != "crossing":
            wanted += [name for name in settings.servers if name not in wanted]
        problems = {name: problem(SERVERS[name]) for name in wanted if workload.shape in SERVERS[name].shapes}
    else:
        families = {name.partition("-")[0] for name in settings.servers}
        wanted = [name for name in workload.servers if not families or name.partition("-")[0] in families]
        problems = {name: inside.problem(name) for name in wanted}
    skipped = {name: reason for name, reason in problems.items() if reason is not None}
    return [name for name in problems if name not in skipped], skipped


def reference_of(workload: Workload, names: list[str]) -> str:
    """Return what ratios are taken to: uvloop by hand, uvloop, asyncio, epoll among the pollers, or the first."""
    for name in (REFERENCE, "uvloop", "asyncio", "reactor-epoll"):
        if name in names:
            return name
    return names[0] if names else ""


def again_name(name: str) -> str:
    """Return how the second half of the A/A pair is called."""
    return f"{name} {AGAIN}"


def take(workload: Workload, name: str, settings: Settings) -> Sample:
    """Take one sample of one contestant."""
    if workload.kind == "traffic":
        return traffic.take(SERVERS[name], workload, settings)
    if workload.kind == "visits":
        return visits.take(SERVERS[name], workload, settings)
    return inside.take(name, workload, settings)
