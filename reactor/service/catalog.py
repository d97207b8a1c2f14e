"""The named services, as a table.

They are the programs with which people learn sockets, and their words are kept as they are, so that the plain
blocking client from a textbook has the same conversation with them.  What a service says is a function from
text to text; everything else (cutting messages, decoding, counting, closing) is the same for all and stands
elsewhere.

    echo      bytes come back as they are: the only service that does not read them
    upper     text comes back in upper case; in line mode, the line ``exit`` ends the session without an answer
    greet     says ``welcome to my service~`` to whoever connects, and listens
    hello     answers ``X`` with ``X好``
    datagram  answers every datagram with ``你好,我是服务器~`` and notes who sent it
    json      answers requests in JSON, see ``json_answers``

Text is UTF-8.  A character that the network cut in two is waited for; bytes that are no text end the
connection, or are dropped with their datagram, and are counted.  The rejected choice, U+FFFD in their place,
would return what nobody sent. Read next: ``talk``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from reactor.arguments import shown
from reactor.errors import OptionError
from reactor.service.json_answers import json_answer
from reactor.service.modes import MODES


class Service(NamedTuple):
    """One service: what it says, on which transports, and in which modes."""

    name: str
    summary: str
    #: What a text is answered with; None: messages are returned as bytes, unread.
    answer: Callable[[str], str | None] | None
    #: What is said first, to whoever connects.
    greeting: str = ""
    #: The line that ends a session in line mode.
    last_word: str = ""
    #: Whether what is received is noted in the journal.
    is_noted: bool = False
    #: "stream", "datagram" or both.
    transports: tuple[str, ...] = ("stream", "datagram")
    #: Some of ``modes.MODES``; the first is what it has if nobody asks for another.
    modes: tuple[str, ...] = tuple(MODES)


def _nothing(text: str) -> None:
    """Answer nothing."""


def _with_good(text: str) -> str:
    """Answer with what was said, and that it is good."""
    return text + "好"


def _as_server(text: str) -> str:
    """Answer anything in the same way."""
    return "你好,我是服务器~"


SERVICES: dict[str, Service] = {
    row.name: row
    for row in (
        Service("echo", "returns every message as it is", None),
        Service("upper", "returns text in upper case; the line 'exit' ends a session", str.upper, last_word="exit"),
        Service(
            "greet", "says 'welcome to my service~' to whoever connects, then listens", _nothing,
            greeting="welcome to my service~", is_noted=True, transports=("stream",),
        ),
        Service("hello", "answers X with X好", _with_good),
        Service(
            "datagram", "answers every datagram with '你好,我是服务器~' and notes its sender", _as_server,
            is_noted=True, transports=("datagram",),
        ),
        Service(
            "json", "answers requests in JSON, such as {\"op\": \"upper\", \"value\": \"x\"}, in JSON", json_answer,
            transports=("stream",), modes=("framed", "line"),
        ),
    )
}  # fmt: skip


def service_named(name: str) -> Service:
    """Return the service of that name; OptionError, with the names that there are, if there is none."""
    if not isinstance(name, str) or name not in SERVICES:
        raise OptionError(f"there is no service {shown(name)}; there are {', '.join(SERVICES)}")
    return SERVICES[name]
