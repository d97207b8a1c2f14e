"""Three limits in order, and a clear error when they are not."""

from __future__ import annotations

import pytest

from reactor.errors import OptionError
from reactor.flow import DEFAULT_WATERMARKS, Watermarks
from reactor.limits import HIGH_WATER_BYTES, LOW_WATER_BYTES, WRITE_CAP_BYTES


def test_the_defaults_are_those_of_the_limits() -> None:
    """What a stream has unless it is told otherwise is written down in one place."""
    assert (DEFAULT_WATERMARKS.low, DEFAULT_WATERMARKS.high, DEFAULT_WATERMARKS.cap) == (
        LOW_WATER_BYTES,
        HIGH_WATER_BYTES,
        WRITE_CAP_BYTES,
    )


@pytest.mark.parametrize("limits", [(0, 0, 0), (5, 5, 5), (3, 0, 4)])
def test_limits_may_touch(limits: tuple[int, int, int]) -> None:
    """Equal limits are in order: pausing at the first byte that waits is lawful."""
    marks = Watermarks(*limits)
    assert (marks.high, marks.low, marks.cap) == limits


@pytest.mark.parametrize("limits", [(1, 2, 3), (5, 1, 4), (1, -1, 5)])
def test_limits_out_of_order_are_refused(limits: tuple[int, int, int]) -> None:
    """The message shows all three."""
    high, low, cap = limits
    with pytest.raises(OptionError, match=rf"{low} <= {high} <= {cap}"):
        Watermarks(*limits)


def test_the_repr_shows_the_limits() -> None:
    """What a person needs who prints it."""
    assert repr(Watermarks(3, 2, 4)) == "Watermarks(high=3, low=2, cap=4)"
