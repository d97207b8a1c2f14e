"""The books of a directory: what is promised is never more than what there is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.service.upload.quota import Ledger, OverQuota


def test_a_promise_counts_with_its_whole_size_before_a_byte_has_come() -> None:
    """The second of two files that fit one at a time is refused at once."""
    ledger = Ledger(100, 10)
    ledger.promise("a", 60, None)
    with pytest.raises(OverQuota, match="60 bytes do not fit: 40 of 100"):
        ledger.promise("b", 60, None)
    assert ledger.used_bytes == 60
    ledger.settle("a", None)
    ledger.promise("b", 60, None)


def test_what_is_there_already_counts_once_when_a_transfer_goes_on() -> None:
    """Fifty bytes of a hundred are here: only the other fifty need room."""
    ledger = Ledger(100, 1)
    ledger.recount(50, 1)
    ledger.promise("a", 100, 50)
    assert (ledger.used_bytes, ledger.used_files) == (100, 1)
    ledger.settle("a", 100)
    assert (ledger.used_bytes, ledger.used_files) == (100, 1)


def test_files_without_bytes_are_bounded_by_their_number() -> None:
    """A quota of bytes alone would let a peer make files forever."""
    ledger = Ledger(0, 2)
    ledger.promise("a", 0, None)
    ledger.promise("b", 0, None)
    with pytest.raises(OverQuota, match="2 files already, of at most 2"):
        ledger.promise("c", 0, None)


def test_a_file_that_was_replaced_counts_no_more() -> None:
    """Both count for as long as both exist, and then one."""
    ledger = Ledger(100, 5)
    ledger.recount(40, 1)
    ledger.promise("a", 60, None)
    ledger.settle("a", 60)
    ledger.forget(40)
    assert (ledger.used_bytes, ledger.used_files) == (60, 1)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 60), st.booleans()), max_size=60))
def test_the_promises_never_exceed_the_limits_whatever_happens(steps: list[tuple[int, int, bool]]) -> None:
    """Any sequence of promises and ends keeps to the invariant, and the end of all leaves what was kept."""
    ledger = Ledger(100, 5)
    kept = 0
    for number, size, is_kept in steps:
        part = str(number)
        if part in ledger.under_way:
            held = ledger.under_way[part] if is_kept else None
            kept += held or 0
            ledger.settle(part, held)
        else:
            try:
                ledger.promise(part, size, None)
            except OverQuota:
                pass
        assert ledger.used_bytes <= 100
        assert ledger.used_files <= 5
    for part in list(ledger.under_way):
        ledger.settle(part, None)
    assert ledger.used_bytes == kept
