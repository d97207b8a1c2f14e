"""Keys, rings, and the text in which keys are kept: what is accepted, what is refused, and what is never told."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.auth.keys import Key, KeyRing, format_key, new_key, parse_keys
from reactor.errors import KeyRefused, UsageError
from tests.auth.sides import ANOTHER_SECRET, SECRET


def test_a_new_key_is_random_and_has_a_name_of_its_own() -> None:
    """Two of them have nothing in common."""
    first, second = new_key(), new_key()
    assert first.id != second.id
    assert first.secret != second.secret
    assert len(first.secret) == 32
    assert new_key("app").id == "app"


@pytest.mark.parametrize("id", ["", "a" * 65, "two words", "ключ", "a\n", "a:b", "a/b", "\uff41"])
def test_a_name_is_refused_when_it_is_none(id: str) -> None:
    """It stands in a line of text and in logs: letters, digits and four signs."""
    with pytest.raises(KeyRefused, match="key id"):
        Key(id, SECRET)


@pytest.mark.parametrize("secret", [b"", SECRET[:31], bytes(range(65)), bytes(32), b"password" * 4])
def test_a_secret_is_refused_when_it_cannot_be_one(secret: bytes) -> None:
    """Too short, too long for one block of the hash, or not drawn at random."""
    with pytest.raises(KeyRefused, match="secret"):
        Key("app", secret)


def test_a_secret_of_either_bound_is_accepted() -> None:
    """From 32 bytes, as long as a SHA-256, to 64, the block of it."""
    assert Key("app", SECRET).secret == SECRET
    assert Key("app", ANOTHER_SECRET).secret == ANOTHER_SECRET


def test_a_ring_accepts_all_of_its_keys_and_proves_itself_with_the_first() -> None:
    """That is what rotation needs."""
    ring = KeyRing([Key("new", SECRET), Key("old", ANOTHER_SECRET)])
    assert (ring.first.id, list(ring), len(ring)) == ("new", ["new", "old"], 2)
    assert ring.secret_of("old") == ANOTHER_SECRET
    assert "new" in ring
    assert "other" not in ring


def test_a_ring_has_a_secret_of_its_own_for_names_that_it_does_not_know() -> None:
    """It is nobody's: no key's, and not that of another ring."""
    ring, other = (KeyRing([Key("app", SECRET)]) for _ in range(2))
    unknown = ring.secret_of("nobody")
    assert len(unknown) == 32
    assert unknown == ring.secret_of("anybody")
    assert unknown not in (SECRET, other.secret_of("nobody"))


@pytest.mark.parametrize(
    ("keys", "text"), [([], "no key"), ([Key("a", SECRET), Key("a", ANOTHER_SECRET)], "two keys")]
)
def test_a_ring_is_refused_when_it_is_empty_or_ambiguous(keys: list[Key], text: str) -> None:
    """An empty ring would be an authentication that nobody passes, and two keys of a name one by luck."""
    with pytest.raises(KeyRefused, match=text):
        KeyRing(keys)


@given(secret=st.binary(min_size=32, max_size=64).filter(lambda secret: len(set(secret)) >= 16))
def test_a_key_comes_back_from_its_line(secret: bytes) -> None:
    """What was written is what is read."""
    ring = parse_keys(format_key(Key("app-1", secret)))
    assert (list(ring), ring.first.secret) == (["app-1"], secret)


def test_keys_are_read_in_order_between_comments_and_empty_lines() -> None:
    """In both notations, with any white space, whatever the line ends."""
    new = f"  new\tbase64:{base64.b64encode(SECRET).decode()}  "
    old = f"old hex:{ANOTHER_SECRET.hex().upper()}"
    ring = parse_keys(f"# of May\r\n\n{new}\n#old x\n{old}\n")
    assert list(ring) == ["new", "old"]
    assert ring.secret_of("new") == SECRET
    assert ring.secret_of("old") == ANOTHER_SECRET


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("app", "not 1 words"),
        (f"app hex:{SECRET.hex()} x", "not 3 words"),
        (f"app {SECRET.hex()}", "base64:... or as hex:"),
        (f"hex:{SECRET.hex()} app", "key id, the first word"),
        (f"{SECRET.hex()} app", "base64:... or as hex:"),
        (f"app hex:{SECRET.hex()[:-1]}", "is not hex"),
        (f"app hex:{SECRET.hex()[:-1]}é", "is not hex"),
        (f"app base64:{base64.b64encode(SECRET).decode()[:-1]}", "is not base64"),
        (f"app base64:{base64.b64encode(SECRET).decode()}*", "is not base64"),
        (f"app base64:{base64.b64encode(SECRET[:16]).decode()}", "16 bytes: it needs 32 to 64"),
    ],
)
def test_a_line_is_refused_with_its_number_and_without_its_secret(line: str, text: str) -> None:
    """The message helps to find the mistake, and can be shown to anybody."""
    with pytest.raises(KeyRefused, match=r"^line 3: ") as caught:
        parse_keys(f"# first\n\n{line}\n")
    assert text in str(caught.value)
    for word in line.split():
        digits = word.partition(":")[2] or word
        assert digits == "app" or len(digits) < 2 or digits not in str(caught.value)
    assert isinstance(caught.value, UsageError)
    assert isinstance(caught.value, ValueError)


def test_neither_a_key_nor_a_ring_shows_its_secret() -> None:
    """What a debugger or a log makes of them is the name."""
    key = Key("app", SECRET)
    for shown in (repr(key), repr(KeyRing([key])), str(key), f"{[key]}"):
        assert "app" in shown
        assert repr(SECRET)[2:10] not in shown
        assert SECRET.hex()[:8] not in shown
