"""``reactor call --json``: what is sent and what comes back are JSON texts, each on a line of its own.

The texts pass as they were written, not as Python would write them again: 1.10 stays 1.10, and a number of thirty
digits keeps them.  Only line ends become spaces, which between the tokens of JSON mean the same, and inside a
string cannot be.  Read next: ``call``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NoReturn

from reactor.errors import OptionError, TextMalformed

#: Line ends, in every way in which they are written.
TO_SPACES = bytes.maketrans(b"\r\n", b"  ")


def on_one_line(text: bytes) -> bytes:
    """Return the JSON *text* without line ends.  Raises ValueError, saying why, if it is no JSON in UTF-8."""
    try:
        json.loads(text.decode(), parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("it is too deeply nested") from None
    return text.translate(TO_SPACES).strip()


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def json_messages(messages: Iterator[bytes | None]) -> Iterator[bytes | None]:
    """Yield *messages* on one line each.  Raises OptionError for one that is no JSON: it is not sent."""
    for message in messages:
        try:
            yield None if message is None else on_one_line(message)
        except ValueError as exc:
            shown = (message or b"").decode(errors="replace")
            raise OptionError(f"this message is not JSON: {shown[:60]!r}: {exc}") from None


def json_reply(reply: bytes) -> bytes:
    """Return *reply* on one line.  Raises TextMalformed if it is no JSON."""
    try:
        return on_one_line(reply)
    except ValueError as exc:
        raise TextMalformed(f"the server's reply is not JSON: {reply[:60]!r}: {exc}") from None
