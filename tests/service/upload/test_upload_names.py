"""Which names an uploaded file may have: what is refused, and that nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.errors import OptionError
from reactor.service.upload.names import NAME_BYTES, checked_name


@pytest.mark.parametrize(
    "name",
    ["a", "windows编程模型.jpg", "a b.txt", "-rf", "12:30", "x" * NAME_BYTES, "é", "e\u0301", "a..b", "👩\u200d"],
)
def test_an_ordinary_name_is_taken_as_it_is_when_it_is_sent(name: str) -> None:
    """Any script, any punctuation, up to the limit of the file system, and no normalization."""
    assert checked_name(name.encode()) == name


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"", "empty"),
        (b"/etc/passwd", "separator"),
        (b"../x", "separator"),
        (b"a/b", "separator"),
        (b"a\\b", "separator"),
        (b".", "dot"),
        (b"..", "dot"),
        (b".htaccess", "dot"),
        (b".reactor-upload", "dot"),
        (b"a\0b", "control"),
        (b"a\nb", "control"),
        (b"\x1b[2J", "control"),
        (b"a\x7f", "control"),
        ("a\u0085b".encode(), "control"),
        ("gpj\u202eexe".encode(), "reorders"),
        ("a\u2028b".encode(), "reorders"),
        (b"x" * (NAME_BYTES + 1), "longer"),
        ("好".encode() * 86, "longer"),
        (b"\xff", "UTF-8"),
        (b"\xed\xa0\x80", "UTF-8"),
    ],
)
def test_a_name_is_refused_with_the_reason_when_it_could_do_harm(raw: bytes, fault: str) -> None:
    """Ways out of the directory, hidden files, what drives a terminal, what lies about itself, what does not
    fit."""
    with pytest.raises(OptionError, match=fault):
        checked_name(raw)


@given(st.binary(max_size=300))
def test_a_name_that_is_taken_is_one_component_whatever_was_sent(raw: bytes) -> None:
    """Whatever passes can be handed to the file system as it stands."""
    try:
        name = checked_name(raw)
    except OptionError:
        return
    assert name.encode() == raw
    assert 0 < len(raw) <= NAME_BYTES
    assert not set("/\\\0") & set(name)
    assert name not in (".", "..")
