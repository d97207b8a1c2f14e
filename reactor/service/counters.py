"""What a server counts, and how it says so in one line.

Plain integers of one thread.  The bytes are those of the messages, without the framing around them: what the
clients said and were told, not what it took to carry it; the reactor's own counters and a probe know the
latter. Read next: ``modes``.
"""

from __future__ import annotations


class ServerCounters:
    """Counts of one server; all start at zero."""

    __slots__ = ("bytes_in", "bytes_out", "connections", "errors", "messages", "open", "open_peak")

    open: int  #: connections that are open now
    open_peak: int  #: the most that ever were open together
    connections: int  #: connections that were ever made
    messages: int  #: messages received; in raw mode, the chunks in which the bytes arrived
    bytes_in: int  #: bytes of those messages
    bytes_out: int  #: bytes of the replies
    errors: int  #: connections that ended, and datagrams that were dropped, by somebody's fault

    def __init__(self) -> None:
        for name in self.__slots__:
            setattr(self, name, 0)

    def as_dict(self) -> dict[str, int]:
        """Return all counts by name."""
        return {name: getattr(self, name) for name in self.__slots__}

    def opened(self) -> None:
        """Count a connection that was made."""
        self.connections += 1
        self.open += 1
        self.open_peak = max(self.open_peak, self.open)

    def closed(self, exc: BaseException | None) -> None:
        """Count a connection that is gone, and *exc* as an error unless it is None."""
        self.open -= 1
        if exc is not None:
            self.errors += 1

    def __str__(self) -> str:
        at_once = f" ({self.open_peak:,} at once)" if self.open_peak > 1 else ""
        return (
            f"{counted(self.connections, 'connection')}{at_once}, {counted(self.messages, 'message')}, "
            f"{size_text(self.bytes_in)} in, {size_text(self.bytes_out)} out, {counted(self.errors, 'error')}"
        )


def counted(number: int, noun: str) -> str:
    """Return *number* and *noun* in the singular or plural: "1 error", "2,000 errors"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def size_text(size: int) -> str:
    """Return *size* bytes as a person reads it: exact below 10,000, then in kB or MB (powers of ten)."""
    if size < 10_000:
        return f"{size:,} B"
    return f"{size / 1e3:,.1f} kB" if size < 10_000_000 else f"{size / 1e6:,.1f} MB"
