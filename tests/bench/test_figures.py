"""What is concluded from samples: on synthetic numbers, where the right conclusion is known."""

from __future__ import annotations

import pytest

from bench.figures import Spread, crossing, is_shown, noise_floor, ratios, spread, spread_of
from bench.sample import Sample
from tests.bench.samples import samples


def test_a_spread_is_the_median_with_its_extremes() -> None:
    """What is not known does not count."""
    assert spread([3.0, None, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0, 3)
    assert spread([None]) is None


def test_there_is_no_figure_when_one_round_is_invalid() -> None:
    """Six good rounds do not make up for one in which replies were lost."""
    assert spread_of(samples(1, 2, 3), "throughput") == Spread(2, 1, 3, 3)
    assert spread_of(samples(1, None, 3), "throughput") is None
    assert ratios(samples(1, 2), samples(1, None), "throughput") is None
    assert ratios(samples(1, None), samples(1, 2), "throughput") is None
    assert noise_floor(samples(1, 2), samples(None, 2), "throughput") is None


def test_ratios_are_taken_round_by_round_when_the_machine_slows_down() -> None:
    """Everything halves after the first round; the ratio is 1.5 all the same, and without any spread."""
    found = ratios(samples(300, 150, 75), samples(200, 100, 50), "throughput")
    assert found == Spread(1.5, 1.5, 1.5, 3)


def test_there_is_no_ratio_when_a_figure_is_too_small_to_be_seen() -> None:
    """Nothing is divided by it, and it is nobody's infinite advantage."""
    unseen = [Sample({"cpu_user": 0.0}, [], [])]
    seen = [Sample({"cpu_user": 1.0}, [], [])]
    assert ratios(unseen, seen, "cpu_user") is None
    assert ratios(seen, unseen, "cpu_user") is None
    assert noise_floor(unseen, seen, "cpu_user") is None


@pytest.mark.parametrize(("again", "floor"), [((100, 100), 0.0), ((110, 100), 0.1), ((100, 80), 0.25)])
def test_the_floor_is_the_largest_deviation_when_two_equals_are_compared(
    again: tuple[float, float], floor: float
) -> None:
    """As a factor: 0.8 is as far from 1 as 1.25."""
    assert noise_floor(samples(*again), samples(100, 100), "throughput") == pytest.approx(floor)


@pytest.mark.parametrize(
    ("ratio", "floor", "shown"),
    [
        (Spread(1.30, 1.25, 1.35, 5), 0.1, True),
        (Spread(0.70, 0.65, 0.75, 5), 0.1, True),
        (Spread(1.05, 1.04, 1.06, 5), 0.1, False),  # within the noise
        (Spread(0.95, 0.94, 0.96, 5), 0.1, False),
        (Spread(1.30, 0.98, 1.60, 5), 0.1, False),  # the rounds do not agree
        (Spread(1.30, 1.25, 1.35, 5), None, False),  # nobody knows the noise
    ],
)
def test_a_difference_is_shown_when_it_is_beyond_the_floor_in_every_round(
    ratio: Spread, floor: float | None, shown: bool
) -> None:
    """Both conditions are needed, and a floor to begin with."""
    assert is_shown(ratio, floor) is shown


def test_lines_cross_where_the_cheaper_one_becomes_the_dearer_one() -> None:
    """Between two points they are straight."""
    rising = [(0.0, 1.0), (10.0, 2.0), (100.0, 11.0)]
    flat = [(0.0, 1.5), (10.0, 1.5), (100.0, 1.5)]
    assert crossing(rising, flat) == pytest.approx(5.0)
    assert crossing(flat, rising) is None


def test_lines_that_never_meet_do_not_cross() -> None:
    """Neither when one is dearer all the way, nor when there is only one point."""
    assert crossing([(0, 2), (1, 2)], [(0, 1), (1, 1)]) is None
    assert crossing([(0, 1)], [(0, 2)]) is None
