"""The page that a student reads first names functions, in the order of their calls: here they are called.

``docs/life-of-a-frame.md`` has two tables, one for the plain path and one for the pump.  One frame is answered
under a profiler, and each row must be a call of that function in that file, in the order of the rows.
"""

from __future__ import annotations

import re
import socket
import sys
from types import FrameType

import pytest

import reactor
from reactor.limits import PUMP_FEW
from tests.house.sources import ROOT, text_of

PAGE = ROOT / "docs" / "life-of-a-frame.md"
ROW = re.compile(r"^\| (\d) \| `([\w/.]+)` \| `([\w.]+)` \|", re.MULTILINE)
ELSEWHERE = re.compile(r"^\|[^|]+\|[^|]+\| `(\w+)\.(\w+)`", re.MULTILINE)


class Shout(reactor.FramedProtocol):
    """The page's own."""

    codec = reactor.LengthPrefixed(4)

    def frame_received(self, frame: bytes) -> None:
        """Answer it."""
        self.send_frame(frame.upper())


def rows_of(section: str) -> list[tuple[str, str]]:
    """Return the (file, function) of each row of the table in *section*, checked for their numbers."""
    text = re.split(r"^## ", text_of(PAGE), flags=re.MULTILINE)
    table = ROW.findall(next(part for part in text if part.startswith(section + "\n")))
    assert [int(number) for number, _, _ in table] == list(range(1, len(table) + 1))
    return [(file, function) for _, file, function in table]


def calls_of_a_turn(streams: int, frames: int = 1) -> list[tuple[str, str]]:
    """Answer so many *frames*, which come together, on each of so many *streams*, and return what one turn calls:
    (file, function)."""
    calls: list[tuple[str, str]] = []

    def note(frame: FrameType, event: str, arg: object) -> None:
        if event == "call":
            code = frame.f_code
            calls.append((code.co_filename.rpartition("/reactor/")[2], code.co_qualname))

    pairs = [socket.socketpair() for _ in range(streams)]
    with reactor.Reactor("epoll") as loop:
        for near, _ in pairs:
            loop.adopt_stream(Shout, near)
        for is_watched in (False, False, True):  # a pump that has just begun looks for a turn whether it pays
            for _, far in pairs:
                far.send(b"\0\0\0\5hello" * frames)
            if is_watched:
                sys.setprofile(note)
            try:
                loop.run_once(5)
            finally:
                sys.setprofile(None)
            for _, far in pairs:
                far.settimeout(5)
                assert far.recv(100) == b"\0\0\0\5HELLO" * frames
        for _, far in pairs:
            far.close()
    return calls


def in_order(rows: list[tuple[str, str]], calls: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the *rows* that are not among the *calls* behind the row before them."""
    at, missing = 0, []
    for file, function in rows:
        row = (file.removeprefix("reactor/"), function)
        if row in calls[at:]:
            at = calls.index(row, at) + 1
        else:
            missing.append(row)
    return missing


@pytest.mark.skipif(not hasattr(__import__("select"), "epoll"), reason="the page follows a frame on epoll")
def test_the_nine_functions_are_called_in_order_when_a_frame_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the plain path, and there are nine of them, as the page says; one that comes alone is spared some."""
    monkeypatch.setenv("REACTOR_PUMP", "off")
    rows = rows_of("Nine calls")
    assert len(rows) == 9
    assert in_order(rows, calls_of_a_turn(1, frames=2)) == []
    alone = [*rows[:3], (rows[3][0], "Stream._frame_arrived"), *rows[7:]]
    assert in_order(alone, calls_of_a_turn(1)) == []
    assert set(rows[3:7]).isdisjoint({(f"reactor/{file}", function) for file, function in calls_of_a_turn(1)})


def test_the_functions_of_the_pump_are_called_in_order_when_frames_are_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With more streams than are left to the plain path."""
    pytest.importorskip("reactor._accel")
    monkeypatch.setenv("REACTOR_PUMP", "on")
    monkeypatch.setenv("REACTOR_ACCEL", "native")
    rows = rows_of("The same on the pump")
    assert rows
    assert in_order(rows, calls_of_a_turn(PUMP_FEW + 4)) == []


def test_what_may_happen_instead_names_functions_that_exist() -> None:
    """The table of exceptions points at code, too."""
    text = text_of(PAGE).partition("## What may happen instead")[2].partition("## The same on the pump")[0]
    named = ELSEWHERE.findall(text)
    assert len(named) > 5
    known = {"Codec": reactor.Codec, "Stream": reactor.Stream, "Transport": reactor.Stream.__mro__[1]}
    for owner, function in named:
        assert hasattr(known[owner], function), f"{owner}.{function}"


def test_a_row_is_missing_when_it_is_called_too_early_or_not_at_all() -> None:
    """The order counts."""
    rows = [("reactor/a.py", "f"), ("reactor/b.py", "g")]
    assert in_order(rows, [("a.py", "f"), ("c.py", "h"), ("b.py", "g")]) == []
    assert in_order(rows, [("b.py", "g"), ("a.py", "f")]) == [("b.py", "g")]
    assert in_order(rows, [("b.py", "g")]) == [("a.py", "f")]
