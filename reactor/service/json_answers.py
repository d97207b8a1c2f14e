"""The service ``json``: a request is a JSON text, and so is its answer.

A request is an object that says with "op" what is wanted and with "value" of what; an "id", if it has one,
comes back with the answer, so that a client can tell which request it belongs to.  The answer has either a
"result" or an "error", never both::

    {"op": "upper", "value": "hello", "id": 1}      {"result": "HELLO", "id": 1}
    {"op": "sum", "value": [1, 2, 3.5]}             {"result": 6.5}
    {"op": "time"}                                  {"result": {"unix": 0.0, "utc": "1970-01-01T00:00:00Z"}}
    {"op": "echo", "value": [true, null]}           {"result": [true, null]}
    {"a": 1}                                        {"result": {"a": 1}}
    {"op": "steal"}                                 {"error": {"code": "unknown_op", "message": "..."}}

Whatever has no "op" is returned as it is, because that is what the server of the textbook does.  A text that is no
JSON, or not of this form, is answered with an error, and the connection goes on: the frame around it was in order.

**What a client may ask for is bounded**, because a short text can be a large object: its length, its depth, and its
integers, which Python would compute with any number of digits.  And it is read strictly.  NaN and Infinity are no
JSON, 1e999 is not a number, and of two members with the same name one program takes the first and another the last:
all of these are errors.  Read next: ``catalog``.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

#: Characters of a request.  A list of empty lists takes some thirty times as much memory as its text.
LONGEST = 65_536

#: How many arrays and objects may be inside of each other.
DEEPEST = 32

#: What opens and closes, and strings, in which nothing does; one without an end goes on to the end of the text.
#: Possessive (*+), so that no text takes longer than its length.
STRUCTURE = re.compile(r'[][{}]|"(?:[^"\\]|\\.)*+"?', re.DOTALL)

#: Integers are those of 64 bits with a sign: what every other language can read.
GREATEST = 2**63 - 1


class RequestRefused(ValueError):
    """A request cannot be answered; ``code`` says for a program what its text says for a person."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def json_answer(text: str) -> str:
    """Return the answer to the request *text*: one line of JSON.  Never raises."""
    answer: dict[str, Any] = {}
    request: Any = None
    try:
        request = parsed(text)
        answer["result"] = _result(request)
    except RequestRefused as exc:
        answer["error"] = {"code": exc.code, "message": str(exc)}
    if _is_operation(request) and "id" in request:
        answer["id"] = request["id"]
    return one_line(answer)


def one_line(value: Any) -> str:
    """Return *value* as JSON without needless spaces, in text that UTF-8 can carry."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # JSON can name half a surrogate pair, "\ud800"; then it has to be named again
        text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text


def parsed(text: str) -> Any:
    """Return the value of a JSON text.  Raises RequestRefused for what is none, or is out of bounds."""
    if len(text) > LONGEST:
        raise RequestRefused("too_large", f"a request has at most {LONGEST} characters, not {len(text)}")
    if is_deeper(text, DEEPEST):
        raise RequestRefused("too_deep", f"at most {DEEPEST} arrays and objects may be inside of each other")
    try:
        return DECODER.decode(text)
    except json.JSONDecodeError as exc:
        raise RequestRefused("invalid_json", f"this is not JSON: {exc}") from None


def is_deeper(text: str, limit: int) -> bool:
    """Return True if more than *limit* arrays and objects are inside of each other in *text*, JSON or not.

    The text is asked and not the parser, which recurses: how deep it can go, and how it says that it cannot, is
    different in each version of Python.
    """
    if text.count("[") + text.count("{") <= limit:
        return False  # as in nearly every request
    depth = 0
    for token in STRUCTURE.finditer(text):
        if token[0] in ("[", "{"):
            depth += 1
            if depth > limit:
                return True
        elif token[0] in ("]", "}"):
            depth -= 1
    return False


# -- a stricter reader -----------------------------------------------------------------------------------------


def _integer(digits: str) -> int:
    if len(digits) > 20 or not -GREATEST - 1 <= int(digits) <= GREATEST:
        raise RequestRefused("invalid_number", "an integer has at most 64 bits")
    return int(digits)


def _number(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise RequestRefused("invalid_number", "a number is too large for a double")
    return value


def _constant(name: str) -> Any:
    raise RequestRefused("invalid_json", f"{name} is not JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise RequestRefused("invalid_json", "an object has two members of the same name")
    return members


DECODER = json.JSONDecoder(
    parse_int=_integer, parse_float=_number, parse_constant=_constant, object_pairs_hook=_object
)


# -- what can be asked for -------------------------------------------------------------------------------------


def _is_operation(request: Any) -> bool:
    return isinstance(request, dict) and "op" in request


def _result(request: Any) -> Any:
    if not _is_operation(request):
        return request
    op = request["op"]
    operation = OPERATIONS.get(op) if isinstance(op, str) else None
    if operation is None:
        raise RequestRefused("unknown_op", f"the op is one of {', '.join(OPERATIONS)}")
    return operation(request.get("value"))


def _echo(value: Any) -> Any:
    return value


def _upper(value: Any) -> str:
    if not isinstance(value, str):
        raise RequestRefused("invalid_value", "upper needs a string as its value")
    return value.upper()


def _sum(value: Any) -> int | float:
    # A bool is an int in Python, and a literal of its own in JSON.
    if not isinstance(value, list) or not all(type(item) in (int, float) for item in value):
        raise RequestRefused("invalid_value", "sum needs a list of numbers as its value")
    total: int | float = sum(value)
    if not (math.isfinite(total) and (isinstance(total, float) or -GREATEST - 1 <= total <= GREATEST)):
        raise RequestRefused("invalid_value", "the sum is larger than a number may be")
    return total


def _time(value: Any) -> dict[str, Any]:
    now = time.time()
    return {"unix": now, "utc": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))}


#: The operations by name: each is a function from the value to the result.
OPERATIONS: dict[str, Callable[[Any], Any]] = {"echo": _echo, "upper": _upper, "sum": _sum, "time": _time}
