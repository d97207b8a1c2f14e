"""The service json: what can be asked, and that whatever is asked is answered in one line of JSON."""

from __future__ import annotations

import json
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.service.json_answers import DEEPEST, LONGEST, is_deeper, json_answer

#: Any JSON value within the bounds of the service, and some beside them.
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def answer(text: str) -> Any:
    """Return the answer, read again."""
    line = json_answer(text)
    assert "\n" not in line
    line.encode()
    return json.loads(line)


@pytest.mark.parametrize(
    ("request_text", "expected"),
    [
        ('{"a": 1}', {"result": {"a": 1}}),
        ('"exit"', {"result": "exit"}),
        ("null", {"result": None}),
        (" [ ] ", {"result": []}),
        ('{"op": "echo", "value": [true, null]}', {"result": [True, None]}),
        ('{"op": "echo"}', {"result": None}),
        ('{"op": "echo", "id": null}', {"result": None, "id": None}),
        ('{"op": "upper", "value": "grüße", "id": "x"}', {"result": "GRÜSSE", "id": "x"}),
        ('{"op": "sum", "value": [1, 2, 3.5], "id": [1]}', {"result": 6.5, "id": [1]}),
        ('{"op": "sum", "value": []}', {"result": 0}),
        ('{"op": "sum", "value": [9007199254740993, 1]}', {"result": 9007199254740994}),
        ("-9223372036854775808", {"result": -(2**63)}),
        ('{"id": 5}', {"result": {"id": 5}}),
    ],
)
def test_a_request_is_answered_with_its_result(request_text: str, expected: Any) -> None:
    """And with its id, if it has one."""
    assert answer(request_text) == expected


def test_the_time_is_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds for programs and words for people, both universal."""
    monkeypatch.setattr(time, "time", lambda: 1767225600.5)
    assert answer('{"op": "time"}') == {"result": {"unix": 1767225600.5, "utc": "2026-01-01T00:00:00Z"}}


@pytest.mark.parametrize(
    ("request_text", "code"),
    [
        ("", "invalid_json"),
        ("{", "invalid_json"),
        ("{'a': 1}", "invalid_json"),
        ("[1] [2]", "invalid_json"),
        ("NaN", "invalid_json"),
        ("[-Infinity]", "invalid_json"),
        ('{"a": 1, "a": 2}', "invalid_json"),
        ("1e999", "invalid_number"),
        ("9223372036854775808", "invalid_number"),
        ("1" * 5000, "invalid_number"),
        ('{"op": "steal"}', "unknown_op"),
        ('{"op": {}}', "unknown_op"),
        ('{"op": "upper"}', "invalid_value"),
        ('{"op": "upper", "value": 1}', "invalid_value"),
        ('{"op": "sum", "value": "12"}', "invalid_value"),
        ('{"op": "sum", "value": [true]}', "invalid_value"),
        ('{"op": "sum", "value": [9223372036854775807, 1]}', "invalid_value"),
        ('{"op": "sum", "value": [1e308, 1e308]}', "invalid_value"),
        ('"' + "x" * LONGEST + '"', "too_large"),
        ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), "too_deep"),
        ('{"a":' * DEEPEST + "[]" + "}" * DEEPEST, "too_deep"),
        ("[" * LONGEST, "too_deep"),
        ('{"a":' * 10_000, "too_deep"),
    ],
)
def test_a_request_that_cannot_be_answered_gets_an_error(request_text: str, code: str) -> None:
    """A code for programs, a sentence for people, and no result."""
    reply = answer(request_text)
    assert reply.keys() == {"error"}
    assert reply["error"]["code"] == code
    assert len(reply["error"]["message"]) > 10


def test_an_error_carries_the_id_of_its_request() -> None:
    """As far as the request could be read."""
    assert answer('{"op": "steal", "id": 3}')["id"] == 3


def test_what_is_inside_of_each_other_may_be_as_deep_as_the_limit() -> None:
    """Not one deeper; empty or not."""
    for inner in ("", "1"):
        text = "[" * DEEPEST + inner + "]" * DEEPEST
        assert answer(text) == {"result": json.loads(text)}
        assert answer(f"[{text}]")["error"]["code"] == "too_deep"


@pytest.mark.parametrize(
    ("request_text", "code"),
    [
        ('"' + "[" * 100 + '"', None),
        (json.dumps({"a": '\\"' + "[" * 100, "{" * 50: "\\"}), None),
        ("[" + ",".join(["[]"] * 1000) + "]", None),
        ("[" * 40 + '"', "too_deep"),
        ('"' + "[" * 40, "invalid_json"),
        ('"\\', "invalid_json"),
        ("]" * 50 + "[" * 30, "invalid_json"),
        ('["\\\\", ' + "[" * 40, "too_deep"),
    ],
)
def test_depth_is_that_of_arrays_and_objects_and_not_of_brackets_in_strings(
    request_text: str, code: str | None
) -> None:
    """Escapes and strings without an end included, whether the text is JSON or not."""
    reply = answer(request_text)
    assert reply.get("error", {}).get("code") == code


def test_a_deep_request_is_too_deep_whatever_the_parser_would_say_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some versions of Python raise RecursionError, others find an unfinished text: the parser is not asked."""
    monkeypatch.setattr("reactor.service.json_answers.DECODER", None)
    assert answer("[" * LONGEST)["error"]["code"] == "too_deep"


def depth_of(value: object) -> int:
    """Return how many arrays and objects are inside of each other in *value*."""
    if not isinstance(value, dict | list):
        return 0
    return 1 + max(map(depth_of, value.values() if isinstance(value, dict) else value), default=0)


NESTED = st.recursive(
    st.text(alphabet='[]{}"\\,:a', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='[{"\\', max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(NESTED, st.integers(0, 4))
def test_a_text_is_deeper_than_a_limit_exactly_if_its_value_is(value: object, limit: int) -> None:
    """Counted in the text or in what it means, it is the same."""
    assert is_deeper(json.dumps(value), limit) == (depth_of(value) > limit)


def test_half_a_character_that_json_can_name_is_named_again() -> None:
    """UTF-8 cannot carry it, so the answer is in ASCII."""
    assert json_answer(r'["\ud800", "好"]') == r'{"result":["\ud800","\u597d"]}'


@pytest.mark.slow
@given(st.text(max_size=50))
def test_any_text_is_answered(text: str) -> None:
    """With a result or an error, never with an exception."""
    reply = answer(text)
    assert ("result" in reply) is not ("error" in reply)


@pytest.mark.slow
@given(VALUES.filter(lambda value: not (isinstance(value, dict) and "op" in value)))
def test_any_value_without_an_op_is_returned_as_it_is(value: Any) -> None:
    """What goes in comes back."""
    assert answer(json.dumps(value)) == {"result": value}


@pytest.mark.parametrize(
    "text", ["[" + "[]," * 20_000 + "[]]", "[" + "{}," * 20_000 + "{}]", "[" + "1," * 30_000 + "1]"]
)
def test_the_memory_of_a_request_is_bounded(text: str) -> None:
    """A text of many small objects is the worst there is: a few megabytes, for the time of one answer."""
    tracemalloc.start()
    try:
        json_answer(text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8_000_000
