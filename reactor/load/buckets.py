"""Durations, counted so that a percentile of a hundred million of them costs 270 KB and no sorting.

**The problem.**  Latencies span six orders of magnitude and the interesting ones are the rarest: a mean hides them,
a sample loses them, and keeping all of them makes the generator the thing that stalls.

**The idea** is Gil Tene's HDR histogram: buckets that are linear inside each power of two.  2,048 values are
counted one by one; each power of two above has 1,024 buckets.  So every duration is known to within 0.1 % (three
significant digits) from a nanosecond to 73 minutes, and counting one is an addition.  Least, most and mean are
exact.

Both engines count into such an array, because it is only an array.  The percentiles are computed from it by the
hdrhistogram package if that is installed, and by walking it otherwise, and the result says which: the buckets are
the same, so both say the same to within a bucket and a rank.  Read next: ``faults``.
"""

from __future__ import annotations

from array import array
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

#: Bits of a duration that are kept, and the largest number of bits that a duration may have, in nanoseconds.
KEPT_BITS = 11
MOST_BITS = 42

_HALF = 1 << (KEPT_BITS - 1)
_LAST_SHIFT = MOST_BITS - KEPT_BITS

#: How many buckets there are; DRIVE_BUCKETS in ``_accel/drive.h``.
BUCKETS = (_LAST_SHIFT + 2) * _HALF

#: What is reported, in per cent.
PERCENTILES = (50.0, 90.0, 99.0, 99.9, 99.99)


def bucket_of(nanoseconds: int) -> int:
    """Return the index of the bucket that counts this duration; the last one counts everything beyond."""
    shift = max(0, nanoseconds.bit_length() - KEPT_BITS)
    return BUCKETS - 1 if shift > _LAST_SHIFT else shift * _HALF + (nanoseconds >> shift)


def least_of(index: int) -> int:
    """Return the shortest duration that bucket *index* counts, in nanoseconds."""
    shift = max(0, index // _HALF - 1)
    return (index - shift * _HALF) << shift


def most_of(index: int) -> int:
    """Return the longest duration that bucket *index* counts, in nanoseconds (of the last: as if it had an end)."""
    shift = max(0, index // _HALF - 1)
    return least_of(index) + (1 << shift) - 1


class Record:
    """Counted durations, all in nanoseconds; ``counts`` may be written to by C."""

    __slots__ = ("count", "counts", "least", "most", "sum")

    #: What ``least`` is while nothing was counted.
    NOTHING = 2**64 - 1

    def __init__(self) -> None:
        self.counts = array("Q", bytes(8 * BUCKETS))
        self.count = self.sum = self.most = 0
        self.least = self.NOTHING

    def add(self, nanoseconds: int) -> None:
        """Count one duration; below 0, which only a clock that was set back could cause, is 0."""
        nanoseconds = max(0, nanoseconds)
        self.counts[bucket_of(nanoseconds)] += 1
        self.absorb(1, nanoseconds, nanoseconds, nanoseconds)

    def absorb(self, count: int, total: int, least: int, most: int) -> None:
        """Take over what was counted into ``counts`` elsewhere: how many, their sum, and the extremes."""
        self.count += count
        self.sum += total
        self.least = min(self.least, least)
        self.most = max(self.most, most)

    def summary(self) -> dict[str, float] | None:
        """Return "min", "mean", "p50" ... "p99.99" and "max" in seconds; None if nothing was counted."""
        if not self.count:
            return None
        values = (_by_package if has_package() else _by_walking)(self.counts, PERCENTILES)
        # A bucket may reach beyond the longest duration that it holds.
        shares = {f"p{p:g}": min(max(v, self.least), self.most) for p, v in zip(PERCENTILES, values, strict=True)}
        nanoseconds = {"min": self.least, "mean": self.sum / self.count, **shares, "max": self.most}
        return {name: value / 1e9 for name, value in nanoseconds.items()}


def has_package() -> bool:
    """Return True if the hdrhistogram package is here."""
    return find_spec("hdrh") is not None


def method() -> str:
    """Return how percentiles are computed here, for the result."""
    return "hdrhistogram" if has_package() else "built in (the package hdrhistogram is not installed)"


def _by_walking(counts: Sequence[int], percentiles: Sequence[float]) -> list[float]:
    """Return for each of the ascending *percentiles* the longest duration of the bucket that holds it."""
    total = sum(counts)
    wanted = iter(percentiles)
    values: list[float] = []
    rank, seen = next(wanted), 0
    for index, count in enumerate(counts):
        seen += count
        while count and seen >= max(1, rank / 100 * total - 1e-9):
            values.append(most_of(index))
            if len(values) == len(percentiles):
                return values
            rank = next(wanted)
    return values


def _by_package(counts: Sequence[int], percentiles: Sequence[float]) -> list[float]:
    """The same by the hdrhistogram package."""
    histogram: Any = import_module("hdrh.histogram").HdrHistogram(1, most_of(BUCKETS - 1), 3)
    for index, count in enumerate(counts):
        if count:
            histogram.record_value(least_of(index), count)
    found: dict[float, float] = histogram.get_percentile_to_value_dict(list(percentiles))
    return [histogram.get_highest_equivalent_value(found[percentile]) for percentile in percentiles]
