"""The parts of the load generator that need no server, from sizes to judges."""

from __future__ import annotations

import io
import sys
from array import array
from itertools import pairwise
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reactor
from reactor.errors import AccelUnavailable, OptionError, ReactorError
from reactor.framing.length import LengthPrefixed
from reactor.load import buckets
from reactor.load.course import choose_engine
from reactor.load.engine_native import NativeEngine
from reactor.load.faults import Faults
from reactor.load.judge import ByContent, ByPosition, Judge
from reactor.load.messages import HEADER, Messages, header, named_by
from reactor.load.meter import Meter
from reactor.load.plan import Plan, check_plan
from reactor.load.progress import LineProgress, Moment, make_progress
from reactor.load.report import bytes_text, duration_text
from reactor.load.schedule import GAPS, Schedule, gap_table
from reactor.load.sizes import LARGEST, size_table
from reactor.load.starts import Starts, ring_size


@pytest.mark.parametrize(
    ("spec", "least", "most", "mean"),
    [
        ("64", 64, 64, 64),
        ("1-1024", 1, 1024, 512.5),
        ("64,1024x3", 64, 1024, 784),
        ("~512", 1, 512 * 9.1, 512),
        ("~512/1", 1, 512 * 32, 512 * 1.6487),
    ],
)
def test_sizes_have_the_mean_of_their_distribution(spec: str, least: int, most: float, mean: float) -> None:
    """Drawn by quantiles, the table misses the mean by less than two per cent."""
    table = size_table(spec, 1)
    assert least <= min(table) <= max(table) <= most
    assert sum(table) / len(table) == pytest.approx(mean, rel=0.02)
    assert table == size_table(spec, 1)


@pytest.mark.parametrize(
    "spec",
    [*"|0|-1|1-|9-1|a|64,|64x|64x0|~|~0|~5/|~5/x|~5/-1|~5/nan|1_0|+1| 1".split("|"), str(LARGEST + 1)],
)
def test_a_size_is_refused_when_it_is_none_of_the_forms(spec: str) -> None:
    """The message quotes what was wrong."""
    with pytest.raises(OptionError, match="size"):
        size_table(spec, 1)


@given(st.integers(0, 32**4 - 1), st.integers(0, 32**8 - 1))
def test_a_header_names_its_connection_and_number(connection: int, number: int) -> None:
    """What is written is read, and stays the same in upper case."""
    text = header(connection, number)
    assert len(text) == HEADER
    assert text == text.upper()
    assert named_by(text + b"body") == (connection, number)
    assert named_by(text[:-1]) is None
    assert named_by(text.lower() + b"z") in (None, (connection, number))


def test_messages_differ_between_connections_and_numbers() -> None:
    """So a reply to somebody else, or to another message, is never taken for the right one."""
    messages = Messages("40", 1)
    assert len({messages.message(c, n) for c in range(40) for n in range(40)}) == 1600


@pytest.mark.parametrize(("expect", "is_text"), [("echo", True), ("upper", False)])
def test_text_messages_are_text_when_they_have_to_be(expect: str, is_text: bool) -> None:
    """No line end is in them, they are ASCII, and the reply is their upper case if that is expected."""
    messages = Messages("500", 1, expect=expect, is_text=is_text)
    message = messages.message(3, 5)
    assert message.isascii()
    assert not {*b"\r\n"} & {*message}
    assert messages.reply(3, 5) == (message if expect == "echo" else message.upper())


@given(st.integers(0, 2**45))
def test_a_bucket_holds_what_is_counted_in_it(value: int) -> None:
    """To within a thousandth, up to the longest duration that there is a bucket for."""
    index = buckets.bucket_of(value)
    assert 0 <= index < buckets.BUCKETS
    if value < 2**buckets.MOST_BITS:
        assert buckets.least_of(index) <= value <= buckets.most_of(index)
        assert buckets.most_of(index) - buckets.least_of(index) <= value / 1000


@given(st.lists(st.integers(0, 2**44), min_size=1, max_size=50))
def test_percentiles_are_those_of_the_sorted_durations(values: list[int]) -> None:
    """Computed by walking the buckets, they are the values at these ranks, to within a bucket."""
    record = buckets.Record()
    for value in values:
        record.add(value)
    found = buckets._by_walking(record.counts, buckets.PERCENTILES)
    ranks = [max(1, -int(-percentile / 100 * len(values) // 1)) for percentile in buckets.PERCENTILES]
    exact = [sorted(values)[rank - 1] for rank in ranks]
    assert [buckets.bucket_of(int(value)) for value in found] == [buckets.bucket_of(value) for value in exact]
    summary = record.summary()
    assert summary is not None
    assert (summary["min"], summary["max"]) == (min(values) / 1e9, max(values) / 1e9)
    assert summary["mean"] == pytest.approx(sum(values) / len(values) / 1e9)


@pytest.mark.slow
@settings(max_examples=10)
@given(st.lists(st.integers(1, 2**40), min_size=1, max_size=200))
def test_the_package_says_the_same_as_walking_but_for_one_rank(values: list[int]) -> None:
    """hdrhistogram rounds a rank where the built-in way takes the next one; both name the bucket at theirs."""
    pytest.importorskip("hdrh.histogram")
    record = buckets.Record()
    for value in values:
        record.add(value)
    packaged = buckets._by_package(record.counts, buckets.PERCENTILES)
    ranks = [max(1, int(percentile / 100 * len(values) + 0.5)) for percentile in buckets.PERCENTILES]
    assert packaged == pytest.approx([sorted(values)[rank - 1] for rank in ranks], rel=0.002, abs=2)


@pytest.mark.parametrize("engine", ["native"], indirect=True)
def test_c_counts_into_the_same_buckets(engine: str) -> None:
    """``drive_bucket`` and ``bucket_of`` agree, at the edges above all."""
    from reactor.load._drive import lib

    edges = [2**bits + step for bits in range(45) for step in (-1, 0, 1)]
    assert [lib.drive_bucket(value) for value in edges] == [buckets.bucket_of(value) for value in edges]
    assert lib.DRIVE_BUCKETS == buckets.BUCKETS


@pytest.mark.parametrize("arrivals", ["even", "poisson"])
def test_a_schedule_meets_its_rate(arrivals: str) -> None:
    """After one round of the table exactly the time of so many messages has passed."""
    gaps = gap_table(1000.0, arrivals, 1)
    schedule = Schedule(gaps, 5_000)
    for _ in range(GAPS):
        schedule.advance()
    assert schedule.due == pytest.approx(5_000 + GAPS * 1e6)
    assert len(set(gaps)) == (1 if arrivals == "even" else GAPS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"target": "nowhere"}, {"connections": 0}, {"connections": 32**4 + 1}, {"in_flight": 0}, {"mode": "xml"},
        {"expect": "lower"}, {"engine": "gpu"}, {"arrivals": "late"}, {"duration": 0.0}, {"timeout": -1.0},
        {"rate": 0.0}, {"messages": 0}, {"messages": 1, "duration": 1.0}, {"messages": 1, "warm_up": 1.0},
        {"warm_up": -1.0}, {"connections": True},
    ],
)  # fmt: skip
def test_a_plan_is_refused_when_a_value_cannot_be(wrong: dict[str, Any]) -> None:
    """Before anything is sent, with an error that the caller caused."""
    check_plan(Plan("127.0.0.1:1"))
    with pytest.raises(ReactorError):
        check_plan(Plan(**{"target": "127.0.0.1:1", **wrong}))


@pytest.mark.parametrize(("connections", "in_flight"), [(1, 1), (64, 64), (10_000, 3), (1_000_000, 1)])
def test_a_ring_has_room_for_twice_the_window(connections: int, in_flight: int) -> None:
    """And is a power of two; all rings of an open loop together are bounded."""
    closed = ring_size(connections, in_flight, is_open=False)
    opened = ring_size(connections, in_flight, is_open=True)
    assert closed >= 2 * in_flight
    assert closed & (closed - 1) == opened & (opened - 1) == 0
    assert 16 <= opened <= 65536


def judge_of(kind: str) -> Judge:
    """Return a judge of connection 2 on which eight messages of five bytes were sent."""
    messages, starts, meter, faults = Messages("5", 1), Starts(3, 16), Meter(is_open=False), Faults()
    judge: Judge = ByPosition(2, messages, starts, meter, faults)
    if kind == "content":
        judge = ByContent(2, messages, starts, meter, faults, LengthPrefixed(4))
    for number in range(8):
        starts.note(2, number, 100 + number, 100 + number)
    judge.queued = 8
    return judge


@given(cuts=st.lists(st.integers(0, 72), max_size=8), kind=st.sampled_from(["content", "position"]))
def test_right_replies_are_right_however_they_are_cut(cuts: list[int], kind: str) -> None:
    """Every message is answered once, and the judge is clean at the end."""
    judge = judge_of(kind)
    codec = LengthPrefixed(4)
    replies = [judge.messages.reply(2, number) for number in range(8)]
    stream = codec.encode_many(replies) if kind == "content" else b"".join(replies)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    for begin, end in pairwise(edges):
        judge.feed(stream[begin:end], 1000)
    assert not judge.faults
    assert (judge.owed, judge.expected, judge.meter.messages_in) == (0, 8, 8)
    assert judge.is_clean()


@given(st.permutations(range(8)))
def test_each_message_is_answered_once_when_replies_come_in_any_order(order: list[int]) -> None:
    """None is lost, and whatever came after a later one is called reordered."""
    judge = judge_of("content")
    for number in order:
        judge.feed(LengthPrefixed(4).encode(judge.messages.reply(2, number)), 1000)
    assert judge.meter.messages_in == 8
    assert (judge.owed, judge.is_clean()) == (0, True)
    assert {kind for kind, count in judge.faults.counts.items() if count} <= {"reordered"}
    assert bool(judge.faults) == (order != sorted(order))


def test_a_late_reply_is_late_and_a_second_one_is_a_duplicate() -> None:
    """What was given up is lost first; its reply is then recognised, once."""
    judge = judge_of("content")
    judge.give_up(103)
    assert (judge.faults.counts["lost"], judge.expected, judge.owed) == (3, 3, 5)
    frame = LengthPrefixed(4).encode(judge.messages.reply(2, 1))
    judge.feed(frame, 1000)
    judge.feed(frame, 1000)
    assert (judge.faults.counts["late"], judge.faults.counts["duplicated"]) == (1, 1)


def test_bytes_that_are_no_frame_break_the_connection() -> None:
    """They are malformed, once; what was owed can then be given up."""
    judge = judge_of("content")
    judge.feed(b"\xff\xff\xff\xff", 1000)
    judge.feed(b"more", 1000)
    assert judge.is_broken
    assert judge.faults.counts["malformed"] == 1
    judge.lose_all("given up")
    assert (judge.owed, judge.faults.counts["lost"]) == (0, 8)


@pytest.mark.parametrize("kind", ["content", "position"])
def test_what_nobody_asked_for_is_unasked(kind: str) -> None:
    """Once everything is answered, further bytes answer nothing."""
    judge = judge_of(kind)
    judge.queued = 0
    judge.feed(b"\0\0\0\4what", 1000)
    assert judge.faults.counts["unasked"] == 1


def test_the_native_engine_is_refused_when_its_module_was_built_for_another_interface(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stale build is reported by both that ask, not trusted with memory."""
    stale = ModuleType("reactor.load._drive")
    stale.lib = type("lib", (), {"REACTOR_DRIVE_INTERFACE": 0})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "reactor.load._drive", stale)
    chosen, why = choose_engine("auto")
    assert (chosen.name, "interface 0" in why, "build it anew" in why) == ("python", True, True)
    with reactor.Reactor() as loop, pytest.raises(AccelUnavailable, match=r"interface 0.*build it anew"):
        NativeEngine(loop, None, [], [])  # type: ignore[arg-type]


def test_the_reason_says_how_to_get_the_native_engine_when_its_module_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The generator runs in Python then, and its report says what is missing."""
    monkeypatch.setitem(sys.modules, "reactor.load._drive", None)
    chosen, why = choose_engine("auto")
    assert chosen.name == "python"
    assert "reactor.load._drive was not built: it takes cffi, a C compiler" in why


@pytest.mark.parametrize("engine", ["native"], indirect=True)
def test_c_refuses_a_drive_when_a_size_would_leave_its_memory(engine: str) -> None:
    """Each size that an index depends on is checked, and a slice of an unsound drive does nothing."""
    from reactor.load._drive import ffi, lib

    sizes, memory = ffi.from_buffer("uint32_t[]", array("I", [10]) * 4096), ffi.new("char[]", 40_000)
    peers, starts = ffi.new("drive_peer[]", 1), ffi.new("int64_t[]", 32)
    sound = {
        "pool": memory, "replies": memory, "pool_size": 16384 + 10, "sizes": sizes, "largest": 10, "framing": 2,
        "peers": peers, "peer_count": 1, "starts": starts, "ring": 16, "window": 1, "inbox": memory,
        "outbox": memory, "in_room": 40_000, "out_room": 40_000, "epoll_fd": -1,
    }  # fmt: skip
    assert lib.drive_is_sound(ffi.new("drive *", sound))
    for change in (
        {"pool_size": 16384 + 9}, {"largest": 9}, {"largest": 2**40}, {"ring": 15}, {"ring": 0}, {"window": 17},
        {"window": 0}, {"in_room": 0}, {"out_room": 4095}, {"peer_count": 0}, {"turn": 1}, {"framing": 3},
        {"datagrams": 1, "in_room": 15},
    ):  # fmt: skip
        drive = ffi.new("drive *", {**sound, **change})
        assert not lib.drive_is_sound(drive), change
        assert lib.drive_slice(drive, 2**62) == 4


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0.00ns"), (83.2e-6, "83.2us"), (1.0e-3, "1.00ms"), (0.9996, "1.00s"), (12, "12.0s")]
)
def test_a_duration_is_written_with_three_digits(seconds: float, text: str) -> None:
    """With the unit that suits it."""
    assert duration_text(seconds) == text


def test_progress_is_a_plain_line_when_nobody_watches() -> None:
    """A stream that is no terminal gets one line for each moment."""
    stream = io.StringIO()
    progress = make_progress(stream)
    progress(Moment("measuring", 3.0, 10.0, 1500, 500.0, 32_000.0, 2))
    progress.close()
    assert isinstance(progress, LineProgress)
    assert stream.getvalue() == "measuring 3/10 s: 500 messages/s, 32.0 kB/s, 1,500 verified, 2 faults\n"
    assert bytes_text(2.5e9) == "2.50 GB"
