"""Text from outside stays inside its line."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.printable import printable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain text, with (signs) & spaces", None),
        ("Grüße, привет, 日本語, 🎉", None),
        (r"C:\new", None),
        ("one\ntwo\r\n\ttab", r"one\ntwo\r\n\ttab"),
        ("\x1b]0;title\x07\x9b2J\x7f\0", r"\x1b]0;title\x07\x9b2J\x7f\x00"),
        ("a\u2028b\u2029c\x85d\x0b\x0c", r"a\u2028b\u2029c\x85d\x0b\x0c"),
        ("exe.\u202egnp\u2066\u200f\u061c", r"exe.\u202egnp\u2066\u200f\u061c"),
        (b"/tmp/\xff".decode(errors="surrogateescape"), r"/tmp/\udcff"),
    ],
)
def test_what_is_not_printable_is_escaped(text: str, expected: str | None) -> None:
    """Controls, separators, bidirectional marks and lone surrogates; letters of any script stay."""
    assert printable(text) == (text if expected is None else expected)


def test_every_character_gives_one_line_that_can_be_written() -> None:
    """None of them ends the line, moves the cursor, or fails to be encoded."""
    line = printable("".join(map(chr, range(sys.maxunicode + 1))))
    assert line.isprintable()
    assert len(line.splitlines()) == 1
    line.encode()


@given(st.text())
def test_escaping_twice_is_escaping_once(text: str) -> None:
    """A line may be made of parts that were escaped already."""
    assert printable(printable(text)) == printable(text)
