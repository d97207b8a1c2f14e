"""The cache against a model that keeps all in the order of its use, and a handful of its promises by name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.errors import OptionError
from reactor.net.names.cache import NameCache

KEYS = st.sampled_from("abcde")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("get"), KEYS),
        st.tuples(st.just("put"), KEYS, st.one_of(st.integers(), st.builds(OSError, st.integers()))),
        st.tuples(st.just("discard"), KEYS),
        st.tuples(st.just("clear")),
        st.tuples(st.just("wait"), st.floats(0, 8)),
    ),
    max_size=30,
)


class Model:
    """The same as a list of ``(key, answer, deadline)``, the one used last at the end."""

    def __init__(self, lifetime: float, negative: float, capacity: int) -> None:
        self.lifetimes = {False: lifetime, True: negative}
        self.capacity = capacity
        self.entries: list[tuple[str, Any, float]] = []

    def get(self, key: str, now: float) -> Any:
        taken = [entry for entry in self.entries if entry[0] == key]
        self.entries = [entry for entry in self.entries if entry[0] != key]
        if not taken or taken[0][2] <= now:
            return None
        self.entries.append(taken[0])
        return taken[0][1]

    def put(self, key: str, answer: Any, now: float) -> None:
        self.discard(key)
        lifetime = self.lifetimes[isinstance(answer, Exception)]
        if lifetime > 0 and self.capacity > 0:
            self.entries.append((key, answer, now + lifetime))
            self.entries = self.entries[-self.capacity :]

    def discard(self, key: str) -> None:
        self.entries = [entry for entry in self.entries if entry[0] != key]


@given(STEPS, st.floats(0, 6), st.floats(0, 6), st.integers(0, 4))
def test_the_cache_gives_what_the_model_gives_whatever_is_done_to_it(
    steps: list[Any], lifetime: float, negative: float, capacity: int
) -> None:
    """Every answer, how many are held, and which of them goes first."""
    cache, model, now = NameCache(lifetime, negative, capacity), Model(lifetime, negative, capacity), 100.0
    hits = misses = 0
    for name, *args in steps:
        if name == "get":
            answer = cache.get(args[0], now)
            assert answer is model.get(args[0], now)
            hits += answer is not None
            misses += answer is None
        elif name == "put":
            cache.put(*args, now)
            model.put(*args, now)
        elif name == "discard":
            cache.discard(lambda key, doomed=args[0]: key == doomed)
            model.discard(args[0])
        elif name == "clear":
            cache.clear()
            model.entries.clear()
        else:
            now += args[0]
        assert len(cache) == len(model.entries) <= capacity
    assert (cache.hits, cache.misses) == (hits, misses)


def test_an_answer_is_given_until_its_lifetime_is_over() -> None:
    """And not in that very instant."""
    cache = NameCache(lifetime=60)
    cache.put("a", 1, 1000.0)
    assert cache.get("a", 1059.9) == 1
    assert cache.get("a", 1060.0) is None
    assert len(cache) == 0


def test_a_negative_answer_is_believed_for_a_shorter_time() -> None:
    """A typing mistake is not asked again at once, and a new name is found soon."""
    cache = NameCache(lifetime=60, negative_lifetime=10)
    failure = OSError("unknown")
    cache.put("a", failure, 1000.0)
    assert cache.get("a", 1009.9) is failure
    assert cache.get("a", 1010.0) is None


def test_the_answer_that_was_not_used_for_longest_makes_room() -> None:
    """Reading is using."""
    cache = NameCache(capacity=2)
    cache.put("a", 1, 0.0)
    cache.put("b", 2, 0.0)
    cache.get("a", 0.0)
    cache.put("c", 3, 0.0)
    assert [cache.get(key, 0.0) for key in "abc"] == [1, None, 3]
    assert repr(cache) == "<NameCache 2 of 2, 3 hits, 1 misses>"


@pytest.mark.parametrize("wrong", [{"lifetime": -1}, {"negative_lifetime": float("nan")}, {"capacity": -1}])
def test_a_negative_number_is_refused_when_a_cache_is_made(wrong: dict[str, Any]) -> None:
    """NaN as well."""
    with pytest.raises(OptionError, match=r"^(negative_)?(lifetime|capacity) is a "):
        NameCache(**wrong)
