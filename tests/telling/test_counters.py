"""What is counted."""

from __future__ import annotations

from reactor.telling.counters import Counters


def test_counters_begin_at_zero_and_are_readable_by_name() -> None:
    """A dictionary of every counter."""
    counters = Counters()
    counters.shed += 2
    assert counters.as_dict()["shed"] == 2
    assert set(counters.as_dict().values()) == {0, 2}
