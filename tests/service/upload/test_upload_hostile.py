"""Clients of the upload server that break the protocol, by malice or mistake, on every poller.

Each is cut off alone: a counted line that names the fault, a closed connection, nothing in the directory.
"""

from __future__ import annotations

import errno
import struct

import pytest

from reactor.service.upload.messages import WINDOW, Reason
from tests.service.upload.peer import HELLO, KEY, UploadPeer, cancel, data, end, frame, offer
from tests.service.upload.serving import Serving

A = offer(0, 6, b"a")

#: What is sent after hello, and a word of the line that tells about it.
OFFENCES = {
    "unknown kind": (frame(b"?"), "unknown kind"),
    "empty frame": (frame(b""), "unknown kind"),
    "a reply": (frame(b"K\0\0\0\0"), "unknown kind"),
    "hello again": (frame(HELLO), "once"),
    "offer without a name": (offer(0, 6, b""), "name of 0 bytes"),
    "long offer": (offer(0, 6, b"x" * 256), "name of 256 bytes"),
    "huge control frame": (frame(b"C" + bytes(100_000)), "cannot have 100001 bytes"),
    "frame beyond the limit": (struct.pack(">I", 2**31), "2147483648"),
    "impossible size": (offer(0, 2**64 - 1, b"a"), "no file can be larger"),
    "number again": (A + offer(0, 6, b"b"), "after file 0"),
    "number backwards": (offer(5, 6, b"b") + offer(4, 6, b"c"), "after file 5"),
    "too many offers": (b"".join(offer(n, 6, b"%d" % n) for n in range(WINDOW + 1)), "at once"),
    "data of nothing": (data(3, b"x"), "no file 3"),
    "empty data": (A + data(0, b""), "without any"),
    "end of nothing": (end(3, b"x"), "no file 3"),
    "short end": (frame(b"E\0\0\0\0abc"), "cannot have"),
    "cancel of nothing": (cancel(3), "no file 3"),
    "data before go": (A + data(0, b"x"), "out of turn"),
    "end before go": (A + end(0, b""), "out of turn"),
}  # fmt: skip

#: What is sent after the answer to an offer of six bytes.
OFFENCES_IN_MIDST = {
    "more than announced": (data(0, b"1234567"), "beyond its end"),
    "more, in pieces": (data(0, b"123456") + data(0, b"7"), "beyond its end"),
    "fewer than announced": (data(0, b"12345") + end(0, b"12345"), "after 5 of 6 bytes"),
    "end twice": (data(0, b"123456") + end(0, b"123456") * 2, "file 0"),
    "cancel after end": (data(0, b"123456") + end(0, b"123456") + cancel(0), "file 0"),
    "data after end": (data(0, b"123456") + end(0, b"123456") + data(0, b"7"), "file 0"),
}


def expect_line(serving: Serving, caplog: pytest.LogCaptureFixture, word: str) -> None:
    """The connection is gone, one line without a traceback says why, and everybody else is served."""
    serving.until(lambda: serving.server.counters.open == 0)
    assert serving.loop.counters.peer_errors == serving.server.counters.errors == 1
    (record,) = caplog.records
    assert record.exc_info is None
    assert word in record.message
    with serving.peer() as other:
        assert other.upload(0, b"other", b"abc").letter == "K"
    assert serving.files()["other"] == b"abc"


@pytest.mark.parametrize("name", OFFENCES)
def test_whoever_breaks_the_protocol_is_cut_off_alone(
    serving: Serving, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """A counted line that names the fault, a closed connection, and nothing in the directory."""
    wire, word = OFFENCES[name]
    with serving.peer() as peer:
        peer.send(wire)
        peer.receive_all()
    expect_line(serving, caplog, word)


@pytest.mark.parametrize("name", OFFENCES_IN_MIDST)
def test_whoever_breaks_the_protocol_in_a_file_is_cut_off_alone(
    serving: Serving, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """The same in the middle of a file."""
    wire, word = OFFENCES_IN_MIDST[name]
    with serving.peer() as peer:
        peer.send(A)
        assert peer.answer().letter == "G"
        peer.send(wire)
        peer.receive_all()
    serving.until(lambda: not serving.server.claims)
    assert serving.files() in ({}, {"a": b"123456"})
    expect_line(serving, caplog, word)


#: First words: a size as text, another protocol, and messages that are not (quite) a hello.
STRANGERS = [b"12345", b"GET / HTTP/1.1\r\n\r\n", frame(b"Hello"), A, frame(HELLO[:-2] + b"e\1")]


@pytest.mark.parametrize("first", STRANGERS)
def test_whoever_is_no_upload_client_is_cut_off_at_the_first_word(
    serving: Serving, caplog: pytest.LogCaptureFixture, first: bytes
) -> None:
    """The size as text that a textbook client sends first is a length of 825 million here."""
    with UploadPeer(serving.loop, serving.address) as peer:
        peer.send(first)
        assert peer.receive_all() == b""
    serving.until(lambda: serving.server.counters.open == 0)
    assert len(caplog.records) == 1


def test_data_beyond_the_end_of_a_refused_file_is_an_offence_too(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    """What is thrown away is bounded by what was announced."""
    serving.disk.script("pwrite", OSError(errno.ENOSPC, "full"))
    with serving.peer() as peer:
        peer.send(A)
        peer.answer()
        peer.send(data(0, b"abc"))
        assert peer.answer().letter == "R"
        peer.send(data(0, b"defg"))
        assert peer.receive_all() == b""
    expect_line(serving, caplog, "beyond its end")


def test_a_wrong_digest_is_refused_and_nothing_is_kept(serving: Serving) -> None:
    """Flipped bits, or a client that lies."""
    with serving.peer() as peer:
        peer.send(A)
        peer.answer()
        peer.send(data(0, b"abcdef") + end(0, b"abcdeF"))
        answer = peer.answer()
        assert (answer.letter, answer.reason) == ("R", Reason.DIGEST)
        assert peer.upload(1, b"b", b"abc", KEY).letter == "K"
    assert (serving.files(), serving.parts()) == ({"b": b"abc"}, [])
