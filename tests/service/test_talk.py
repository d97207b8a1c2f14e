"""Conversations without a network: what each service says, and what happens to text that is cut or broken."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor.errors import OptionError, TextMalformed
from reactor.service.catalog import SERVICES, service_named
from reactor.service.modes import MODES, codec_for
from reactor.service.talk import Talk


def talk_of(name: str, mode: str = "framed", heard: list[str] | None = None) -> Talk:
    """Return a new conversation with the service *name*."""
    return Talk(SERVICES[name], mode, (heard if heard is not None else []).append)


@pytest.mark.parametrize(
    ("name", "message", "reply"),
    [
        ("echo", b"\xff\x00", b"\xff\x00"),
        ("upper", b"hello world", b"HELLO WORLD"),
        ("upper", "grüße".encode(), "GRÜSSE".encode()),
        ("upper", b"", b""),
        ("hello", "你".encode(), "你好".encode()),
        ("datagram", "服务器,我来了".encode(), "你好,我是服务器~".encode()),
    ],
)
def test_a_service_answers_as_the_catalog_says(name: str, message: bytes, reply: bytes) -> None:
    """Each service has one answer to a message, an empty one included."""
    assert talk_of(name).replies([message]) == [reply]


def test_greet_speaks_first_and_then_only_listens() -> None:
    """It says its welcome before anything was said, notes what it hears, and answers nothing."""
    heard: list[str] = []
    talk = talk_of("greet", heard=heard)
    assert talk.opening() == [b"welcome to my service~"]
    assert talk.replies(["你好,服务器,我来找你了~".encode()]) == []
    assert heard == ["你好,服务器,我来找你了~"]


def test_other_services_say_nothing_until_they_are_asked() -> None:
    """Only greet has a greeting."""
    assert [name for name in SERVICES if talk_of(name).opening()] == ["greet"]


def test_the_last_word_ends_a_session_when_lines_have_ends() -> None:
    """The line ``exit`` is not answered; messages before it are, those after it are not."""
    talk = talk_of("upper", "line")
    assert talk.replies([b"one", b"exit", b"two"]) == [b"ONE"]
    assert talk.is_over


@pytest.mark.parametrize("mode", ["raw", "framed"])
def test_the_last_word_is_a_word_like_others_when_there_are_no_lines(mode: str) -> None:
    """In a raw stream ``exit`` may be a piece of anything, and a frame is data."""
    talk = talk_of("upper", mode)
    assert talk.replies([b"exit"]) == [b"EXIT"]
    assert not talk.is_over


@pytest.mark.slow
@settings(max_examples=100)
@given(text=st.text(max_size=50), cuts=st.lists(st.integers(0, 200), max_size=8))
def test_raw_text_is_answered_alike_wherever_the_network_cuts_it(text: str, cuts: list[int]) -> None:
    """A character cut in two is waited for, and upper-casing the pieces is upper-casing the whole."""
    data = text.encode()
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in pairwise(places)]
    talk = talk_of("upper", "raw")
    replies = [reply for piece in pieces for reply in talk.replies([piece])]
    talk.end()
    assert b"".join(replies) == text.upper().encode()


def test_half_a_character_gets_no_reply_when_the_rest_may_come() -> None:
    """hello answers a whole character once, not its halves."""
    talk = talk_of("hello", "raw")
    first, second = "你".encode()[:1], "你".encode()[1:]
    assert talk.replies([first]) == []
    assert talk.replies([second]) == ["你好".encode()]


def test_half_a_character_is_an_error_when_the_stream_ends() -> None:
    """What is still awaited at the end will not come."""
    talk = talk_of("upper", "raw")
    talk.replies(["你".encode()[:2]])
    with pytest.raises(TextMalformed, match="UTF-8"):
        talk.end()


@pytest.mark.parametrize("mode", list(MODES))
def test_bytes_that_are_no_text_are_an_error_in_every_mode(mode: str) -> None:
    """A text service does not guess: it says that this is not UTF-8."""
    with pytest.raises(TextMalformed, match="UTF-8"):
        talk_of("upper", mode).replies([b"fine\xff"])


def test_the_fault_holds_the_replies_to_what_came_before_it() -> None:
    """They are the peer's due."""
    with pytest.raises(TextMalformed) as caught:
        talk_of("upper", "line").replies([b"abc", b"\xff", b"def"])
    assert caught.value.replies == [b"ABC"]


@pytest.mark.parametrize("mode", ["line", "framed"])
def test_half_a_character_is_an_error_when_the_message_is_whole(mode: str) -> None:
    """Where messages have ends, nothing can complete it any more."""
    with pytest.raises(TextMalformed):
        talk_of("upper", mode).replies(["你".encode()[:2]])


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    """The message lists the services and the modes."""
    with pytest.raises(OptionError, match="echo, upper, greet, hello, datagram"):
        service_named("ecko")
    with pytest.raises(OptionError, match="raw, line, framed"):
        codec_for("cooked")
