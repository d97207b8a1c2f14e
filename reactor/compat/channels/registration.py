"""One channel of a map, as the reactor knows it: what it wants, what is watched for it, what has happened to it.

What is known of a descriptor goes out of date when it is closed and its number reused, perhaps by the very same
channel: an asyncore client that reconnects does just that.  So a registration remembers the channel *and* its
socket object.  If either is another one now, the registration is a predecessor's, and what happened to it is not
told.

The reactor's callbacks only take notes.  Read next: ``watch``, which reads them.
"""

from __future__ import annotations

from selectors import EVENT_READ, EVENT_WRITE
from typing import TYPE_CHECKING

from reactor.errors import DescriptorClosed
from reactor.telling.reports import log_failure

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Channels = dict[int, Any]

#: What can happen to a channel, as bits.  The first two are also what it can wait for, and be deaf to.
READ, WRITE, URGENT, HUNG_UP = EVENT_READ, EVENT_WRITE, 4, 8

#: A bit of ``_deaf``: the end was told, so a hang-up would be no news.
ENDED = 16


class Watched:
    """One channel, with the socket that it had when the reactor was told of it."""

    __slots__ = (
        "channel", "events", "fd", "fileno", "happened", "has_edges", "is_always_ready", "is_lost", "noted", "sock",
    )  # fmt: skip

    def __init__(self, fd: int, channel: Any, sock: Any, noted: dict[int, Watched]) -> None:
        self.fd = fd
        self.channel = channel
        self.sock = sock
        #: Returns -1 if the socket was closed and the channel left in the map.  Only of a socket can this be told.
        self.fileno: Callable[[], int] = getattr(sock, "fileno", None) or self._unknown
        #: What the reactor watches for.
        self.events = 0
        #: What happened and was not told yet; whoever has something stands in ``noted``.
        self.happened = 0
        self.noted = noted
        #: Urgent data and hang-ups are reported as well.
        self.has_edges = False
        #: A regular file: no poller watches it, and it never blocks.
        self.is_always_ready = False
        #: Its descriptor was closed, and it was told.
        self.is_lost = False

    def _unknown(self) -> int:
        return self.fd

    def note(self, event: int) -> None:
        """Remember that *event* happened."""
        self.happened |= event
        self.noted[self.fd] = self

    def on_readable(self) -> None:
        """For the reactor."""
        self.note(READ)

    def on_writable(self) -> None:
        """For the reactor."""
        self.note(WRITE)

    def lose(self) -> None:
        """The descriptor was closed and the channel left in the map: say so, once."""
        self.is_lost = True
        self.events = 0
        self.note(HUNG_UP)

    def is_same(self, channels: Channels) -> bool:
        """Return True if the channel is still in the map and has still the same socket."""
        return channels.get(self.fd) is self.channel and getattr(self.channel, "socket", None) is self.sock


def handles_urgent(channel: Any) -> bool:
    """Return True if the channel has a method of its own for urgent data."""
    handler = getattr(channel, "handle_expt", None)
    event = getattr(channel, "handle_expt_event", None)
    return not (getattr(handler, "is_default", False) and getattr(event, "is_default", False))


def on_failure(exc: BaseException, source: object) -> None:
    """What the reactor reports: mostly that a descriptor was closed, which is the channel's affair."""
    watched = getattr(source, "__self__", None)
    if isinstance(exc, DescriptorClosed) and isinstance(watched, Watched):
        watched.lose()
    else:
        log_failure(exc, source)
