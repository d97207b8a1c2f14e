"""How large messages are: a short text, made into a table from which both engines draw.

    64              all of 64 bytes
    1-1024          evenly from 1 to 1024
    64,1024x3       64 once, 1024 three times as often
    ~512            exponential with the mean 512: mostly small, sometimes large
    ~512/2          lognormal with the median 512 and sigma 2: the tail of real traffic

**The idea.**  A draw for each message would cost more than sending it and could not be repeated by the C
engine.  So ``TABLE`` sizes are drawn once, from a seed, and message n takes the entry that its number is hashed to
(``messages.mix``).  The table is drawn by *quantiles*, one from each of ``TABLE`` equal slices of probability, and
then shuffled: its mean is that of the distribution almost exactly, where 4,096 free draws would miss it by a per
cent.

Read next: ``messages``.
"""

from __future__ import annotations

import math
import random
from array import array
from statistics import NormalDist
from typing import TYPE_CHECKING

from reactor.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable

    Quantile = Callable[[float], float]

#: Entries of the table; DRIVE_SIZES in ``_accel/drive.h``.
TABLE = 4096

#: The largest message, in bytes: of a distribution without an end, what is larger becomes this.
LARGEST = 16 * 1024 * 1024

#: A distribution that never ends is cut at so many times its mean or median.
TAIL = 32

FORMS = "write 64, 1-1024, 64,1024x3, ~512 or ~512/2"


def size_table(spec: str, seed: int) -> array[int]:
    """Return ``TABLE`` sizes in bytes, as C's uint32_t, drawn as *spec* says; the same for the same *seed*.

    Raises OptionError for what is none of the forms, and for sizes below 1 or above ``LARGEST``.
    """
    quantile = _quantile(spec)
    drawn = [max(1, round(quantile((i + 0.5) / TABLE))) for i in range(TABLE)]
    random.Random(f"sizes {seed}").shuffle(drawn)
    return array("I", drawn)


def _quantile(spec: str) -> Quantile:
    """Return the function from a probability to a size."""
    if spec.startswith("~"):
        return _tailed(spec)
    if "," in spec or "x" in spec:
        return _choice(spec)
    low, dash, high = spec.partition("-")
    least, most = _size(low, spec), _size(high if dash else low, spec)
    if least > most:
        raise OptionError(f"the size {spec!r} ends before it begins: write {most}-{least}")
    return lambda p: min(most, math.floor(least + p * (most - least + 1)))


def _choice(spec: str) -> Quantile:
    weighted: list[int] = []
    for part in spec.split(","):
        size, times, weight = part.partition("x")
        weighted += [_size(size, spec)] * (_number(weight, spec, 1000) if times else 1)
    return lambda p: weighted[int(p * len(weighted))]


def _tailed(spec: str) -> Quantile:
    centre, slash, width = spec[1:].partition("/")
    size = _size(centre, spec)
    most = min(LARGEST, size * TAIL)
    if not slash:
        return lambda p: min(most, -size * math.log1p(-p))
    normal = NormalDist(math.log(size), _sigma(width, spec))
    return lambda p: min(most, math.exp(normal.inv_cdf(p)))


def _sigma(text: str, spec: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= 10:
        raise OptionError(f"sigma in the size {spec!r} is a number above 0, at most 10, not {text!r}")
    return value


def _size(text: str, spec: str) -> int:
    return _number(text, spec, LARGEST)


def _number(text: str, spec: str, most: int) -> int:
    if not text:
        raise OptionError(f"the size {spec!r} lacks a number: {FORMS}")
    if not (text.isascii() and text.isdigit() and len(text) < 12 and 1 <= int(text) <= most):
        raise OptionError(f"{text!r} in the size {spec!r} is not a number from 1 to {most}: {FORMS}")
    return int(text)
