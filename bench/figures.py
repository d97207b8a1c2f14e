"""What many samples say: medians, spreads, ratios round by round, and when a difference is one.  Pure arithmetic.

**Ratios are taken within a round**, of two samples that stood a few seconds apart, and then the median of them:
what slows the whole machine down for a minute slows both and cancels.  The ratio of two medians would not have
that.

**The noise floor** comes from an A/A pair: the reference is measured twice in each round under two names.  The
largest deviation from 1 that it shows in any round is what this machine does to two equal things.  A difference is
only called one if its median is beyond that floor *and* all rounds agree on its direction.  Everything else is "no
difference shown", which does not say that there is none.  Read next: ``course``.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from bench.sample import Sample

#: Rounds from which a floor is worth the name.
ROUNDS = 3


class Spread(NamedTuple):
    """A median with the extremes that it comes from."""

    median: float
    least: float
    most: float
    rounds: int


def spread(values: Sequence[float | None]) -> Spread | None:
    """Return the spread of the values that are there; None if there is none."""
    known = [value for value in values if value is not None]
    return Spread(median(known), min(known), max(known), len(known)) if known else None


def spread_of(samples: Sequence[Sample], metric: str) -> Spread | None:
    """Return the spread of *metric*; None if one sample is invalid or nothing was measured.

    One invalid round in seven makes all seven worthless: the other six were lucky.
    """
    if not all(sample.is_valid for sample in samples):
        return None
    return spread([sample.value(metric) for sample in samples])


def ratios(ours: Sequence[Sample], theirs: Sequence[Sample], metric: str) -> Spread | None:
    """Return the spread of the ratios of *metric*, round by round; None if there are none to be had.

    A zero is a figure too small to be seen (no tick of user time, say), and has no ratio to anything.
    """
    if not all(sample.is_valid for sample in (*ours, *theirs)):
        return None
    pairs = [(a.value(metric), b.value(metric)) for a, b in zip(ours, theirs, strict=False)]
    return spread([a / b if a and b else None for a, b in pairs])


def noise_floor(ours: Sequence[Sample], again: Sequence[Sample], metric: str) -> float | None:
    """Return the largest deviation from 1 of a ratio between two equals, such as 0.03; None if unknown."""
    found = ratios(ours, again, metric)
    if found is None:
        return None
    # As factors: 0.8 is as far from 1 as 1.25.
    return max(found.most, 1 / found.least) - 1


def is_shown(ratio: Spread, floor: float | None) -> bool:
    """Return True if a difference is shown: beyond the floor, and in all rounds in the same direction."""
    if floor is None:
        return False
    beyond = max(ratio.median, 1 / ratio.median) - 1 > floor
    return beyond and (ratio.least > 1 or ratio.most < 1)


def crossing(first: Sequence[tuple[float, float]], second: Sequence[tuple[float, float]]) -> float | None:
    """Return where *first* becomes the dearer one; None if that never happens.

    Both are points ``(x, cost)`` with the same ascending x; between two of them lines are drawn.
    """
    before: tuple[float, float] | None = None
    for (x, ours), (_, theirs) in zip(first, second, strict=True):
        lead = theirs - ours
        if lead < 0 and before is not None and before[1] >= 0:
            left, distance = before
            return left + (x - left) * distance / (distance - lead)
        before = (x, lead)
    return None
