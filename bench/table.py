"""The outcome of a workload as text: one line for each contestant, best first, and what can be said about it.

What is not valid is shown as INVALID with the reason, and never as a number.  Letters behind the throughput
(``MARKS``) say that it needs care, and why.  ``x ref`` and ``x limit`` are ratios of throughput, ``CPU x`` is the
ratio of processor time per operation to the reference: less is better, and it holds where throughput does not.
Read next: ``plots``, ``record``.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.course import Outcome
from bench.figures import ROUNDS, Spread, is_shown, spread, spread_of
from bench.sample import DISTURBED, SATURATED, Sample
from bench.servers import LIMIT

MARKS = {
    "c": "the client was busy all the time, this may be its limit and not the server's",
    "d": "somebody else had the server's core for part of the time; compare CPU/op",
    "i": "the server was not busy all the time, this is not its limit; compare CPU/op",
}

HEAD = (
    f"{'':24}{'1/s':>7}{'min..max':>20}{'p50':>8}{'p99':>8}{'p99.9':>8}{'CPU/op':>8}{'user':>8}{'RSS':>7}"
    f"{'x ref':>7}{'min..max':>12}{'x limit':>8}{'CPU x':>7}  difference to the reference"
)


def table(outcome: Outcome) -> str:
    """Return the text, several lines without a newline at the end."""
    return "\n".join(_lines(outcome))


def _lines(outcome: Outcome) -> Iterator[str]:
    floor = outcome.floor()
    yield f"{outcome.workload.name}: {outcome.workload.title}  [{outcome.workload.unit}]"
    yield HEAD
    for name in ranked(outcome):
        yield line(outcome, name, floor)
    for name, reason in outcome.skipped.items():
        yield f"{name:24}left out: {reason}"
    yield _verdict(outcome, floor)
    yield from _warnings(outcome)


def ranked(outcome: Outcome) -> list[str]:
    """Return the contestants, the one with the highest throughput first, the invalid ones last."""

    def throughput(name: str) -> float:
        found = spread_of(outcome.samples[name], "throughput")
        return found.median if found else -1.0

    return sorted(outcome.samples, key=throughput, reverse=True)


def line(outcome: Outcome, name: str, floor: float | None) -> str:
    """Return the line of one contestant."""
    samples = outcome.samples[name]
    throughput = spread_of(samples, "throughput")
    if throughput is None:
        reasons = sorted({reason for sample in samples for reason in sample.reasons})
        return f"{name:24}INVALID: {'; '.join(reasons)[:120]}"
    cells = [f"{name:24}{_count(throughput.median):>7}{marks(samples):3}{_range(throughput):>17}"]
    cells += [_cell(spread_of(samples, metric)) for metric in ("p50", "p99", "p99.9", "cpu", "cpu_user")]
    cells.append(f"{_size(spread_of(samples, 'resident')):>7}")
    ratio = outcome.ratio(name, outcome.reference)
    cells.append(_ratio(ratio))
    limit = outcome.ratio(name, LIMIT)
    cells.append(f"{limit.median:>8.2f}" if limit else f"{'':>8}")
    cost = outcome.ratio(name, outcome.reference, "cpu")
    cells.append(f"{cost.median:>7.2f}" if cost else f"{'':>7}")
    cells.append(f"  {judgement(name, outcome.reference, ratio, floor)}")
    return "".join(cells).rstrip()


def judgement(name: str, reference: str, ratio: Spread | None, floor: float | None) -> str:
    """Return in words whether *name* differs from the reference."""
    if name == reference:
        return "the reference"
    if name.startswith(f"{reference} ("):
        return "the A/A pair"
    if ratio is None:
        return "cannot be compared"
    if not is_shown(ratio, floor):
        return "no difference shown"
    return "more" if ratio.median > 1 else "less"


def _verdict(outcome: Outcome, floor: float | None) -> str:
    if floor is None:
        return "noise floor: unknown, there is no valid A/A pair; so no difference is shown"
    rounds = len(outcome.samples[outcome.reference])
    few = f" (from {rounds} rounds only)" if rounds < ROUNDS else ""
    return f"noise floor of the A/A pair: {floor:.1%}{few}"


def _warnings(outcome: Outcome) -> Iterator[str]:
    seen = "".join(marks(samples) for samples in outcome.samples.values())
    for mark, meaning in MARKS.items():
        if mark in seen:
            yield f"{mark}: {meaning}"


def marks(samples: list[Sample]) -> str:
    """Return the letters that the throughput of these samples needs."""
    client = spread([sample.client_busy for sample in samples])
    server = spread([sample.server_busy for sample in samples])
    disturbed = spread([sample.disturbed for sample in samples])
    found = "d" if disturbed is not None and disturbed.median > DISTURBED else ""
    if client is not None and client.median > SATURATED:
        found += "c"
    if server is not None and server.median < SATURATED:
        found += "i"
    return found


def _ratio(ratio: Spread | None) -> str:
    if ratio is None:
        return f"{'':>19}"
    return f"{ratio.median:>7.2f}{f'{ratio.least:.2f}..{ratio.most:.2f}':>12}"


def _cell(found: Spread | None) -> str:
    return f"{duration(found.median) if found else '':>8}"


def _range(found: Spread) -> str:
    return f"{_count(found.least)}..{_count(found.most)}"


def _count(value: float) -> str:
    for factor, unit in ((1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.{3 - len(str(int(value / factor)))}f}{unit}"
    return f"{value:.1f}"


def _size(found: Spread | None) -> str:
    return f"{found.median / 2**20:.0f}M" if found else ""


def duration(seconds: float) -> str:
    """Return three digits with the unit that suits, such as ``83.2us``."""
    for factor, unit in ((1e9, "ns"), (1e6, "us"), (1e3, "ms")):
        value = seconds * factor
        if value < 999.5:
            return f"{value:.{max(0, 3 - len(str(int(value))))}f}{unit}"
    return f"{seconds:.2f}s"
