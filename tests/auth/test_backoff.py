"""The table of those who failed: how long they wait, what is forgiven, and that it stays as large as it is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor.auth.backoff import FIRST, LONGEST, PEERS, Backoff
from reactor.errors import OptionError


def test_each_failure_doubles_the_wait_up_to_the_longest() -> None:
    """A tenth of a second at first, a minute at last, however often it fails."""
    backoff, now, waits = Backoff(), 0.0, []
    for _ in range(2000):
        waits.append(backoff.failed("peer", now))
        now += waits[-1]
    assert waits[:4] == [FIRST, 2 * FIRST, 4 * FIRST, 8 * FIRST]
    assert set(waits[11:]) == {LONGEST}


def test_a_peer_waits_for_exactly_as_long_as_it_has_to() -> None:
    """And nobody else does."""
    backoff = Backoff(first=4.0)
    assert backoff.wait("peer", 0.0) == 0.0
    backoff.failed("peer", 100.0)
    assert [backoff.wait("peer", now) for now in (100.0, 103.0, 104.0, 105.0)] == [4.0, 1.0, 0.0, 0.0]
    assert backoff.wait("other", 100.0) == 0.0


def test_what_fails_while_a_peer_has_to_wait_does_not_count() -> None:
    """Ten connections that were made together fail together: that is one failure, and the wait is the first."""
    backoff = Backoff(first=4.0)
    for now in (0.0, 0.0, 1.0, 3.9):
        assert backoff.failed("peer", now) == pytest.approx(4.0 - now)
    assert backoff.failures("peer", 3.9) == 1
    assert backoff.failed("peer", 4.0) == 8.0


def test_a_success_clears_the_account() -> None:
    """The next failure is the first."""
    backoff = Backoff()
    for now in range(5):
        backoff.failed("peer", 100.0 * now)
    backoff.succeeded("peer")
    assert (backoff.wait("peer", 0.0), len(backoff)) == (0.0, 0)
    assert backoff.failed("peer", 0.0) == FIRST
    backoff.succeeded("nobody")


def test_failures_are_forgiven_when_nothing_happened_for_a_while() -> None:
    """After the wait, and the longest wait once more; not sooner."""
    backoff = Backoff(first=1.0, longest=60.0)
    backoff.failed("peer", 0.0)
    assert backoff.failures("peer", 61.0) == 1
    assert backoff.failures("peer", 61.5) == 0
    assert backoff.failed("peer", 61.0) == 2.0
    assert backoff.failed("peer", 200.0) == 1.0


def test_the_one_who_failed_longest_ago_makes_room_when_the_table_is_full() -> None:
    """A flood of addresses makes it forget, never grow."""
    backoff = Backoff(first=1.0, peers=3)
    for now, peer in enumerate("abcad"):
        backoff.failed(peer, float(now))
    assert [backoff.failures(peer, 4.0) for peer in "abcd"] == [2, 0, 1, 1]
    many = Backoff()
    for peer in range(3 * PEERS):
        many.failed(peer, 0.0)
    assert len(many) == PEERS


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans(), st.floats(0, 100)), max_size=60))
def test_the_table_obeys_its_bounds_whatever_happens(events: list[tuple[str, bool, float]]) -> None:
    """Whoever fails, succeeds and waits in whatever order: no wait exceeds the longest, no table its size."""
    backoff, now = Backoff(first=1.0, longest=10.0, peers=4), 0.0
    for peer, is_success, passed in events:
        now += passed
        if is_success:
            backoff.succeeded(peer)
            assert backoff.wait(peer, now) == 0.0
        else:
            assert 0.0 < backoff.failed(peer, now) <= 10.0
            assert backoff.wait(peer, now) > 0.0
        assert len(backoff) <= 4


@pytest.mark.parametrize(
    "options", [{"first": 0.0}, {"first": 2.0, "longest": 1.0}, {"peers": 0}, {"first": float("nan")}]
)
def test_bounds_that_cannot_be_are_refused(options: dict[str, float]) -> None:
    """The message names all three."""
    with pytest.raises(OptionError, match="back-off"):
        Backoff(**options)  # type: ignore[arg-type]
