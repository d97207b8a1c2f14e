"""Progress for a person: the arithmetic of rate and remaining time, and what each display shows of it."""

from __future__ import annotations

import io
import sys
from types import ModuleType
from typing import Any

import pytest

from reactor.cli.send_progress import (
    LINE_INTERVAL,
    SPAN,
    LineDisplay,
    NoDisplay,
    Rate,
    RichDisplay,
    bytes_text,
    line_of,
    make_display,
    remaining_text,
    spell_time,
)  # fmt: skip
from reactor.service.upload.client import Progress

HALF = Progress(1, 3, 500_000, 1_000_000, 100_000, "大文件.bin")


class Terminal(io.StringIO):
    """A stream that says that a person looks at it."""

    def isatty(self) -> bool:
        return True


def test_the_rate_is_that_of_the_last_seconds() -> None:
    """Fast at first, then slow: after the span only the slow part counts."""
    rate = Rate()
    rate.add(0, 100.0)
    assert rate.per_second() == 0.0
    rate.add(1000, 101.0)
    assert rate.per_second() == 1000.0
    for second in range(1, int(SPAN) + 3):
        rate.add(1000 + 10 * second, 101.0 + second)
    assert rate.per_second() == pytest.approx(10.0)


def test_the_rate_is_never_negative() -> None:
    """A file that is sent once more takes the bar back."""
    rate = Rate()
    rate.add(1000, 0.0)
    rate.add(10, 1.0)
    assert rate.per_second() == 0.0


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "0.0 s"), (9.94, "9.9 s"), (10.0, "0:10"), (65.9, "1:05"), (7201, "2:00:01")]
)
def test_a_duration_is_spelt_as_a_person_reads_it(seconds: float, text: str) -> None:
    """Tenths while it is short, then minutes, then hours."""
    assert spell_time(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB"), (2e18, "2000.0 PB")],
)
def test_a_size_has_the_unit_that_keeps_it_short(size: float, text: str) -> None:
    """Never "1000.0 kB"."""
    assert bytes_text(size) == text


def test_the_time_that_is_left_is_unknown_while_nothing_moves() -> None:
    """Rather than infinite."""
    assert remaining_text(1000, 0.0) == "--:--"
    assert remaining_text(1000, 100.0) == "0:10"


def test_a_line_says_all_of_it_and_fits() -> None:
    """Share, bytes, files, rate, time left, name."""
    assert line_of(HALF, 100_000.0, 200) == (
        "[############------------]  50% 500.0 kB of 1.0 MB, 1/3 files, 100.0 kB/s, 5.0 s left 大文件.bin"
    )
    assert len(line_of(HALF, 100_000.0, 30)) <= 30
    assert " 33% " in line_of(Progress(1, 3, 0, 0, 0, ""), 0.0, 200)  # files without bytes count as files
    assert line_of(Progress(0, 1, 0, 10, 0, "x" * 50), 0.0, 200).endswith("left " + "x" * 23 + "…")


def test_a_terminal_shows_one_line_and_is_left_as_it_was() -> None:
    """Each picture replaces the last one."""
    stream = Terminal()
    display = LineDisplay(stream, True)
    display.show(HALF, 0.0)
    display.show(HALF, 0.1)
    display.close()
    shown = stream.getvalue().split("\r\033[K")
    assert len(shown) == 4
    assert shown[1] == shown[2]
    assert shown[3] == ""


def test_what_was_there_already_does_not_count_for_the_rate() -> None:
    """It moves the bar at once, and would make the rest look quick."""
    stream = Terminal()
    display = LineDisplay(stream, True)
    display.show(Progress(0, 1, 0, 1_000_000, 0, ""), 0.0)
    display.show(Progress(0, 1, 900_000, 1_000_000, 900_000, ""), 1.0)
    assert " 90% 900.0 kB of 1.0 MB, 0 B/s, " in stream.getvalue()


def test_a_log_gets_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    """Not one for each picture."""
    display = LineDisplay(sys.stderr, False)
    for tenth in range(int(20 * LINE_INTERVAL)):
        display.show(HALF, tenth / 10)
    display.close()
    assert capsys.readouterr().err.count("\n") == 2


def test_a_display_lives_on_when_nobody_reads_it_any_more() -> None:
    """The transfer is what counts."""
    stream = Terminal()
    display = LineDisplay(stream, True)
    stream.close()
    display.show(HALF, 0.0)
    display.close()


class FakeBar:
    """What of rich's Progress is used."""

    def __init__(self, *columns: Any, **options: Any) -> None:
        self.calls: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **options: self.calls.append((name, args, options))


def test_rich_is_told_the_same_when_it_is_there() -> None:
    """The bar is started, updated, and removed at the end."""
    bar = FakeBar()
    display = RichDisplay(bar)
    display.show(HALF, 0.0)
    display.close()
    assert [name for name, *_ in bar.calls] == ["add_task", "start", "update", "stop"]
    options = bar.calls[2][2]
    assert (options["completed"], options["total"], options["description"]) == (500_000, 1_000_000, "大文件.bin")
    assert options["detail"] == "500.0 kB of 1.0 MB, 1/3 files, 0 B/s, --:-- left"


@pytest.mark.parametrize("has_rich", [False, True])
def test_the_display_suits_the_stream(monkeypatch: pytest.MonkeyPatch, has_rich: bool) -> None:
    """rich at a terminal if it is installed, a line if it is not, nothing for a log unless it is asked for."""
    rich: dict[str, Any] = {"rich": None, "rich.console": None, "rich.progress": None}
    if has_rich:
        rich = {name: ModuleType(name) for name in rich}
        rich["rich.console"].Console = lambda **options: None
        rich["rich.progress"].Progress = FakeBar
        rich["rich.progress"].TextColumn = rich["rich.progress"].BarColumn = lambda *args, **options: None
    for name, module in rich.items():
        monkeypatch.setitem(sys.modules, name, module)
    assert isinstance(make_display(Terminal(), False, False), RichDisplay if has_rich else LineDisplay)
    assert isinstance(make_display(Terminal(), True, True), NoDisplay)
    assert isinstance(make_display(io.StringIO(), False, False), NoDisplay)
    assert isinstance(make_display(io.StringIO(), False, True), LineDisplay)


def test_the_real_rich_draws_it_when_it_is_installed() -> None:
    """Whatever its version does with the columns that it is given."""
    pytest.importorskip("rich", reason="the package rich is not installed")
    stream = Terminal()
    display = make_display(stream, False, False)
    assert isinstance(display, RichDisplay)
    display.show(HALF, 0.0)
    assert "500.0 kB of 1.0 MB" in stream.getvalue()
    display.close()
