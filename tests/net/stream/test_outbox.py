"""What waits to be sent, without a socket: nothing is lost, nothing overtakes, and room is only where it may be."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.framing import LengthPrefixed
from reactor.limits import CORK_BYTES
from reactor.net.stream.outbox import NO_OUTBOX, Outbox

CODEC = LengthPrefixed(1)


def collect(outbox: Outbox, *pieces: bytes) -> None:
    """Put *pieces* in, as a protocol does where there is room; where there is none, make frames as it does then."""
    for piece in pieces:
        room = outbox.room - len(piece)
        if room >= 0:
            outbox.room = room
            assert outbox.corked is not None
            outbox.corked.append(piece)
        else:
            outbox.settle()
            outbox.add(piece if outbox.codec is None else outbox.codec.encode(piece))


class File:
    """Stands for a file that is sent; an outbox never looks into it."""

    def __init__(self, content: bytes) -> None:
        self.content = content


def content_of(entry: Any) -> bytes:
    """Return the bytes that an entry of ``files`` comes to."""
    return entry.content if isinstance(entry, File) else entry


def waiting(outbox: Outbox) -> bytes:
    """Return all that waits, in order; only for looking: what was corked is pending afterwards."""
    outbox.settle()
    return b"".join([*(outbox.pending or []), *map(content_of, outbox.files or [])])


def check(outbox: Outbox) -> None:
    """See that the invariants hold, and that what is pending, and what is behind a file, is counted."""
    assert outbox.room < 0 or (outbox.corked is not None and outbox.pending is None)
    assert outbox.pending_bytes == sum(map(len, outbox.pending or []))
    behind = [entry for entry in outbox.files or [] if isinstance(entry, bytes)]
    assert (outbox.files.size if outbox.files else 0) == sum(map(len, behind))
    if outbox.files is None:
        assert outbox.pending != []
    else:
        assert outbox.pending is not None
        assert isinstance(outbox.files[0], File)


def test_there_is_room_only_while_it_is_corked() -> None:
    """So many bytes; whoever corks a second time is told that somebody else will uncork."""
    outbox = Outbox()
    assert outbox.room < 0
    assert outbox.cork()
    assert outbox.room == CORK_BYTES
    assert not outbox.cork()
    collect(outbox, b"a", b"bc")
    assert outbox.room == CORK_BYTES - 3
    assert outbox.uncork() == [b"a", b"bc"]
    assert outbox.uncork() is None
    assert outbox.room < 0


def test_no_more_is_collected_than_one_frame_may_hold() -> None:
    """What has room needs no look at the limit of the codec: no piece can be longer than that."""
    outbox = Outbox(codec=LengthPrefixed(2, max_frame_length=1000))
    outbox.cork()
    assert outbox.room == 1000


def test_frames_are_made_of_what_was_collected() -> None:
    """Pieces are payloads if there is a codec, else bytes."""
    assert Outbox(codec=CODEC).joined([b"a", b"", b"bc"]) == b"\1a\0\2bc"
    assert Outbox().joined([b"a", b"", b"bc"]) == b"abc"


def test_there_is_no_room_while_something_is_pending() -> None:
    """What comes then has to come behind it; when all of it has left, there is room again."""
    outbox = Outbox(codec=CODEC)
    outbox.cork()
    collect(outbox, b"a")
    outbox.settle()
    check(outbox)
    assert outbox.room < 0
    outbox.uncork()
    outbox.cork()
    assert outbox.room < 0
    outbox.took(1)
    assert outbox.room < 0
    outbox.took(1)
    assert outbox.pending is None
    assert outbox.room == outbox.capacity
    check(outbox)


@pytest.mark.parametrize(("sent", "may_go_on"), [(0, False), (1, False), (2, True), (3, False), (4, True)])
def test_sending_goes_on_only_when_the_kernel_stopped_at_an_edge(sent: int, may_go_on: bool) -> None:
    """It may have taken all that one call described; inside of a buffer it is full."""
    outbox = Outbox()
    for piece in (b"ab", b"cd", b"ef"):
        outbox.add(piece)
    assert outbox.took(sent) == may_go_on


@pytest.mark.parametrize(("sent", "left"), [(-32, b"abc"), (0, b"abc"), (2, b"c")])
def test_the_rest_is_pending_when_the_kernel_takes_a_part(sent: int, left: bytes) -> None:
    """An error takes nothing: what waited is still there to be counted, or dropped."""
    outbox = Outbox()
    outbox.put_back(b"abc", sent)
    assert waiting(outbox) == left
    check(outbox)


def test_nothing_is_taken_after_it_was_shut_but_what_is_there_may_leave() -> None:
    """``write_eof`` and ``close``: neither corking nor an empty outbox makes room again."""
    outbox = Outbox(codec=CODEC)
    outbox.cork()
    collect(outbox, b"last")
    outbox.shut()
    assert outbox.room < 0
    assert outbox.uncork() == [b"last"]
    outbox.put_back(b"\4last", 1)
    outbox.cork()
    outbox.took(4)
    assert outbox.room < 0
    outbox.clear()
    assert outbox.room < 0


def test_all_is_forgotten_when_it_is_cleared_and_the_cork_stays() -> None:
    """In the midst of a delivery: whoever has corked still uncorks."""
    outbox = Outbox()
    outbox.add(b"pending")
    outbox.cork()
    collect(outbox, b"corked")
    outbox.clear()
    check(outbox)
    assert waiting(outbox) == b""
    assert not outbox.cork()
    assert outbox.room == CORK_BYTES


def test_nothing_that_waits_is_lost_when_another_protocol_takes_over() -> None:
    """Framed by the codec that it was given to, in order, before anything of the new one; corked as before, and the
    pump still knows of it."""
    old = Outbox(codec=CODEC, format=7)
    old.add(b"first ")
    old.cork()
    collect(old, b"hi")
    old.settle()
    old.is_posted = True
    new = old.succeed(LengthPrefixed(2), 8)
    check(new)
    assert (new.format, new.is_posted, old.is_posted) == (8, True, False)
    collect(new, b"ho")
    assert waiting(new) == b"first \2hi\0\2ho"
    assert new.corked is not None


def test_a_protocol_that_was_replaced_has_no_room_ever() -> None:
    """It could else put a payload where another codec would frame it."""
    old = Outbox(codec=CODEC)
    old.cork()
    collect(old, b"hi")
    new = old.succeed()
    for step in (lambda: None, old.settle, old.clear, old.uncork, old.cork, old.clear):
        step()
        assert old.room < 0
    assert waiting(new) == b"\2hi"


def test_an_heir_is_shut_when_its_predecessor_was() -> None:
    """Another protocol is no way to write after the end."""
    old = Outbox(codec=CODEC)
    old.shut()
    new = old.succeed(CODEC)
    new.cork()
    assert new.room < 0


def test_the_outbox_that_stands_for_none_has_no_room() -> None:
    """It is shared by all foreign transports."""
    assert NO_OUTBOX.room < 0
    assert NO_OUTBOX.corked is None


STEPS = st.one_of(
    st.tuples(st.just("collect"), st.binary(max_size=200)),
    st.tuples(st.just("take"), st.integers(0, 500)),
    st.tuples(st.just("file"), st.binary(max_size=9)),
    st.tuples(st.just("cancel"), st.integers(0, 3)),
    st.tuples(st.sampled_from(["cork", "uncork", "settle", "succeed", "succeed raw", "file is sent"]), st.none()),
)


@given(st.lists(STEPS, max_size=30))
def test_bytes_leave_in_the_order_in_which_they_came_whatever_is_done(script: list[tuple[str, Any]]) -> None:
    """Any mix of collecting, settling, sending in part, files, and changing the protocol: what left, and what
    waits, is all that was ever put in, each piece framed by the codec of its time, without cancelled files."""
    outbox, left, want = Outbox(codec=CODEC), b"", list[Any]()
    for word, detail in script:
        files: list[Any] = [entry for entry in outbox.files or [] if isinstance(entry, File)]
        if word == "collect":
            collect(outbox, detail)
            want.append(detail if outbox.codec is None else outbox.codec.encode(detail))
        elif word == "take":
            sent = min(detail, outbox.pending_bytes)
            if sent:
                left += b"".join(outbox.pending or [])[:sent]
                outbox.took(sent)
        elif word == "file":
            file: Any = File(b"<%s>" % detail)
            outbox.add_file(file)
            want.append(file)
        elif word == "file is sent":
            if files and not outbox.pending_bytes:
                left += files[0].content
                outbox.drop_file(files[0])
        elif word == "cancel":
            if detail < len(files):
                outbox.drop_file(files[detail])
                want.remove(files[detail])
        elif word == "cork":
            outbox.cork()
        elif word == "uncork":
            corked = outbox.uncork()
            if corked:
                outbox.add(outbox.joined(corked))
        elif word == "settle":
            outbox.settle()
        else:
            outbox = outbox.succeed(None if word == "succeed raw" else CODEC)
        check(outbox)
    assert left + waiting(outbox) == b"".join(map(content_of, want))
