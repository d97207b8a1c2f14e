"""What is shown while a run goes on: one line that is rewritten at a terminal, one line a second elsewhere.

The ``rich`` package draws it if it is there and the stream is a terminal; nothing depends on it.  Read next:
``course``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from reactor.load.report import bytes_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO


class Moment(NamedTuple):
    """How far a run is.  *rate* and *bytes_rate* are those since the last moment."""

    phase: str
    elapsed: float
    total: float | None
    answered: int
    rate: float
    bytes_rate: float
    faults: int


def moment_text(moment: Moment) -> str:
    """Return one line."""
    total = "" if moment.total is None else f"/{moment.total:g}"
    faults = f", {moment.faults} faults" if moment.faults else ""
    return (
        f"{moment.phase} {moment.elapsed:.0f}{total} s: {moment.rate:,.0f} messages/s, "
        f"{bytes_text(moment.bytes_rate)}/s, {moment.answered:,} verified{faults}"
    )


class LineProgress:
    """Writes a line for each moment to *stream*.  Call it with each; call ``close`` at the end."""

    __slots__ = ("_stream",)

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, moment: Moment) -> None:
        """Show *moment*."""
        self._stream.write(moment_text(moment) + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Nothing is left to be cleaned up."""


class RichProgress:
    """Shows the last moment as a status line of the rich package, which vanishes at the end."""

    __slots__ = ("_status",)

    def __init__(self, status: Any) -> None:
        self._status = status
        status.start()

    def __call__(self, moment: Moment) -> None:
        """Show *moment*."""
        self._status.update(moment_text(moment))

    def close(self) -> None:
        """Remove the line."""
        self._status.stop()


def make_progress(stream: TextIO) -> LineProgress | RichProgress:
    """Return what suits *stream*."""
    open_status = _rich_status() if stream.isatty() else None
    return LineProgress(stream) if open_status is None else RichProgress(open_status(stream))


def _rich_status() -> Callable[[TextIO], Any] | None:
    try:
        console = import_module("rich.console").Console
    except ImportError:
        return None
    return lambda stream: console(file=stream).status("connecting")
