"""Names that a program gives addresses to: both ways, in any spelling, and nothing else."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.errors import AddressError
from reactor.net.names.host_table import HostTable

NUMBERS = st.sampled_from(["10.0.0.1", "10.0.0.2", "::1", "0::1", "fe80::1%eth0", "FE80:0::1%eth0"])
NAMES = st.sampled_from(["a", "b", "c.d"])


def test_a_name_means_the_same_in_every_spelling() -> None:
    """Upper and lower case, and the dot at the end of a complete name."""
    table = HostTable({"DB.Example.": ["10.0.0.7", "fd00::7", "10.0.0.7"]})
    assert table["db.example"] == table.get("dB.eXample.") == ["10.0.0.7", "fd00::7"]
    assert "db.EXAMPLE" in table
    assert list(table) == ["db.example"]
    assert table.numbers("db.example") == ("10.0.0.7", "fd00::7")
    assert table.numbers("other") is table.numbers(None) is None


def test_an_address_has_the_names_that_were_given_it_in_that_order() -> None:
    """In every spelling that IPv6 allows; a name that is gone is gone from there too."""
    table = HostTable({"one": ["fd00::7"], "two": ["FD00:0::7"]})
    assert table.names("fd00:0:0::0007") == ["one", "two"]
    table["one"] = "10.0.0.1"
    assert table.names("fd00::7") == ["two"]
    del table["two"]
    assert table.names("fd00::7") == []
    assert table.names("10.0.0.1") == ["one"]
    assert repr(table) == "HostTable({'one': ['10.0.0.1']})"


def test_an_address_that_a_name_is_given_twice_is_one_whatever_its_spelling() -> None:
    """It keeps its first place, and its first spelling; and the name can be taken away again."""
    table = HostTable({"a": ["10.0.0.1", "0::1", "::1", "10.0.0.1", "::2"]})
    assert table["a"] == ["10.0.0.1", "0::1", "::2"]
    del table["a"]
    assert table.names("::1") == table.names("10.0.0.1") == list(table) == []


def test_a_list_that_is_read_is_nobodys_but_the_readers() -> None:
    """Changing it changes nothing."""
    table = HostTable({"a": []})
    table["a"].append("10.0.0.1")
    assert table["a"] == []
    assert table.numbers("a") == ()


@pytest.mark.parametrize(
    ("name", "addresses"),
    [("", "::1"), (".", "::1"), ("127.0.0.1", "::1"), ("a", "b"), ("a", ["10.0.0.1", "x"]), ("a", [7])],
)
def test_what_is_no_name_or_no_number_is_refused(name: str, addresses: Any) -> None:
    """And nothing has changed."""
    table = HostTable({"a": ["::1"]})
    with pytest.raises(AddressError):
        table[name] = addresses
    assert dict(table) == {"a": ["::1"]}
    assert table.names("::1") == ["a"]


def canonical(number: str) -> str:
    """Return the one spelling of *number*, by another way than the table's."""
    return ipaddress.ip_address(number).compressed


@given(st.lists(st.one_of(st.tuples(NAMES, st.lists(NUMBERS, max_size=3)), NAMES), max_size=30))
def test_both_directions_agree_whatever_is_done_to_the_table(steps: list[Any]) -> None:
    """Who has an address is named by it, and nobody else."""
    table = HostTable()
    for step in steps:
        if isinstance(step, tuple):
            table[step[0]] = step[1]
        else:
            table.pop(step, None)
    for number in ["10.0.0.1", "10.0.0.2", "::1", "fe80::1%eth0"]:
        assert sorted(table.names(number)) == sorted(
            name for name in table if number in [canonical(spelling) for spelling in table[name]]
        )
