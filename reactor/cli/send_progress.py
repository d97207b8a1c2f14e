"""How far a transfer is, for a person: a bar, the rate, and the time that is left.

The rate is that of the last ``SPAN`` seconds, so it shows what the network does now, and the time that is left
follows it; what needed not to be sent, because it was there already, moves the bar and not the rate.  That part is
arithmetic and knows no terminal and no clock: instants are handed in.

Three displays show it.  The rich package draws a bar if it is installed and stderr is a terminal; without it one
line is rewritten in place; and where no person is looking nothing is shown, unless it is asked for: then a line now
and then, as a log needs it.  Read next: ``main``.
"""

from __future__ import annotations

import shutil
from collections import deque
from importlib import import_module
from typing import TYPE_CHECKING

from reactor.cli.terminal import tell
from reactor.printable import printable

if TYPE_CHECKING:
    from typing import Any, Protocol, TextIO

    from reactor.service.upload.client import Progress

    class Display(Protocol):
        """Shows progress, until it is closed."""

        def show(self, progress: Progress, now: float) -> None: ...
        def close(self) -> None: ...


#: Seconds of the past that the rate is taken from.
SPAN = 5.0

#: Seconds between two lines where they stay.
LINE_INTERVAL = 2.0

#: Characters of the bar in a line, and of a name beside it.
BAR, NAME = 24, 24

UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


class Rate:
    """How fast something grows: tell it how much there is, and when."""

    __slots__ = ("_past",)

    def __init__(self) -> None:
        self._past: deque[tuple[float, int]] = deque()

    def add(self, amount: int, now: float) -> None:
        """At the instant *now* there is *amount*."""
        past = self._past
        while len(past) > 1 and past[1][0] <= now - SPAN:
            past.popleft()
        past.append((now, amount))

    def per_second(self) -> float:
        """Return how much came in a second, lately; 0 while that cannot be known."""
        (since, before), (now, amount) = self._past[0], self._past[-1]
        return max(0.0, (amount - before) / (now - since)) if now > since else 0.0


def remaining_text(left: int, rate: float) -> str:
    """Return how long *left* bytes take at *rate* bytes a second."""
    return spell_time(left / rate) if rate > 0 else "--:--"


def spell_time(seconds: float) -> str:
    """Return a duration as a person reads it: "0.3 s", "1:05", "2:00:01"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def bytes_text(size: float) -> str:
    """Return *size* bytes in the unit that keeps the number short (powers of ten)."""
    power = 0
    while size >= 999.95 and power < len(UNITS) - 1:
        size /= 1000
        power += 1
    return f"{size:.0f} B" if not power else f"{size:.1f} {UNITS[power]}"


def line_of(progress: Progress, rate: float, width: int) -> str:
    """Return all of it in a line of at most *width* characters."""
    share = progress.bytes / progress.all_bytes if progress.all_bytes else progress.files / progress.all_files
    filled = int(BAR * share)
    files = f", {progress.files:,}/{progress.all_files:,} files" if progress.all_files > 1 else ""
    name = printable(progress.name)
    if len(name) > NAME:
        name = name[: NAME - 1] + "…"
    text = (
        f"[{'#' * filled}{'-' * (BAR - filled)}] {share:4.0%} {bytes_text(progress.bytes)} of "
        f"{bytes_text(progress.all_bytes)}{files}, {bytes_text(rate)}/s, "
        f"{remaining_text(progress.all_bytes - progress.bytes, rate)} left {name}"
    )
    return text[:width].rstrip()


class NoDisplay:
    """Shows nothing."""

    __slots__ = ()

    def show(self, progress: Progress, now: float) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Nothing is left."""


class LineDisplay:
    """Shows one line on *stream*: rewritten in place at a terminal, else a new one every ``LINE_INTERVAL``."""

    __slots__ = ("_is_terminal", "_last", "_rate", "_stream")

    def __init__(self, stream: TextIO, is_terminal: bool) -> None:
        self._stream = stream
        self._is_terminal = is_terminal
        self._rate = Rate()
        self._last = float("-inf")

    def show(self, progress: Progress, now: float) -> None:
        """Show it, if it is time."""
        self._rate.add(progress.bytes - progress.skipped, now)
        if self._is_terminal:
            width = shutil.get_terminal_size().columns - 1
            self._write(f"\r\033[K{line_of(progress, self._rate.per_second(), width)}")
        elif now >= self._last + LINE_INTERVAL:
            self._last = now
            tell(line_of(progress, self._rate.per_second(), 200))

    def close(self) -> None:
        """Leave a terminal as it was."""
        if self._is_terminal:
            self._write("\r\033[K")

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            pass  # whoever looked has gone


class RichDisplay:
    """Shows *bar*, a ``Progress`` of the rich package that is not refreshed by a thread of its own."""

    __slots__ = ("_bar", "_rate", "_task")

    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._rate = Rate()
        self._task = bar.add_task("connecting", total=None, detail="")
        bar.start()

    def show(self, progress: Progress, now: float) -> None:
        """Show it."""
        self._rate.add(progress.bytes - progress.skipped, now)
        rate = self._rate.per_second()
        files = f"{progress.files:,}/{progress.all_files:,} files, " if progress.all_files > 1 else ""
        detail = (
            f"{bytes_text(progress.bytes)} of {bytes_text(progress.all_bytes)}, {files}{bytes_text(rate)}/s, "
            f"{remaining_text(progress.all_bytes - progress.bytes, rate)} left"
        )
        self._bar.update(
            self._task, completed=progress.bytes, total=progress.all_bytes or None, detail=detail,
            description=printable(progress.name)[:NAME] or "waiting", refresh=True,
        )  # fmt: skip

    def close(self) -> None:
        """Remove the bar."""
        self._bar.stop()


def make_display(stream: TextIO, is_quiet: bool, is_demanded: bool) -> Display:
    """Return what suits *stream*: nothing for a log, unless it is demanded."""
    is_terminal = stream.isatty()
    if is_quiet or not (is_terminal or is_demanded):
        return NoDisplay()
    bar = _rich_bar(stream) if is_terminal else None
    return LineDisplay(stream, is_terminal) if bar is None else RichDisplay(bar)


def _rich_bar(stream: TextIO) -> Any:
    """Return a bar of the rich package, or None if that is not installed."""
    try:
        console, progress = import_module("rich.console"), import_module("rich.progress")
    except ImportError:
        return None
    return progress.Progress(
        progress.TextColumn("{task.description}", markup=False), progress.BarColumn(),
        progress.TextColumn("{task.percentage:>3.0f}%"), progress.TextColumn("{task.fields[detail]}"),
        console=console.Console(file=stream), transient=True, auto_refresh=False,
    )  # fmt: skip
