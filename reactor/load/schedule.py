"""When messages are due in the open loop: a table of gaps, and the sum of those that have passed.

Evenly spread, or as a Poisson process, which is how independent users arrive: the gaps are exponential, so that
bursts and pauses happen.  The gaps of a Poisson process are drawn by quantiles and shuffled, as sizes are, and
scaled so that the rate is met exactly.  ``GAPS`` of them are used over and over.  Both engines add up the same
numbers.

Read next: ``plan``.
"""

from __future__ import annotations

import math
import random
from array import array

#: Entries of the table; DRIVE_GAPS in ``_accel/drive.h``.
GAPS = 4096

#: How arrivals may be spread.
ARRIVALS = ("even", "poisson")


def gap_table(rate: float, arrivals: str, seed: int) -> array[float]:
    """Return ``GAPS`` nanoseconds between two sends, at *rate* messages a second; *arrivals* is one of ARRIVALS."""
    mean = 1e9 / rate
    if arrivals == "even":
        return array("d", [mean]) * GAPS
    drawn = [-math.log1p(-(i + 0.5) / GAPS) for i in range(GAPS)]
    random.Random(f"gaps {seed}").shuffle(drawn)
    scale = mean * GAPS / sum(drawn)
    return array("d", [gap * scale for gap in drawn])


class Schedule:
    """Says when the next message is due, in nanoseconds of the monotonic clock."""

    __slots__ = ("_count", "_gaps", "due")

    def __init__(self, gaps: array[float], start: int) -> None:
        self._gaps = gaps
        self._count = 0
        self.due = float(start)

    def advance(self) -> None:
        """The message that was due is dealt with."""
        self.due += self._gaps[self._count & (GAPS - 1)]
        self._count += 1
