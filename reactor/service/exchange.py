"""What every client keeps of its conversation: what was sent, what is owed, and how it ended.

A future as well: ``done()`` and ``result()``, so that ``loop.run_until(client)`` waits for it.  The transports
differ in everything else.  A program has few clients: they have no slots.

Read next: ``client``, on a connection, and ``datagram_client``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reactor.arguments import checked_instance, checked_seconds, checked_whole, not_iterable, shown
from reactor.errors import ArgumentError
from reactor.net.reactor import Reactor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from reactor.core.handles import Timer

#: Seconds without a reply, while one is owed, after which a client gives up.
REPLY_TIMEOUT = 10.0


class Exchange:
    """Counts messages and replies, waits for the next one, and is over at some time."""

    _error: BaseException | None
    _expected: int | None
    _is_done: bool
    _is_ended: bool
    _loop: Reactor
    _messages: Iterator[bytes | None]
    _patience: Timer | None
    _timeout: float | None
    received: int
    replies: list[bytes]
    sent: int
    transport: Any

    def _begin(
        self, loop: Reactor, messages: Iterable[bytes | None], timeout: float | None, expected: int | None
    ) -> None:
        checked_instance("loop", loop, Reactor, "a Reactor")
        checked_seconds("timeout", timeout)
        checked_whole("expected", expected, none=True)
        if isinstance(messages, (str, bytes)):  # type: ignore[unreachable]  # an iterable, but of letters
            raise ArgumentError(f"messages is an iterable of messages, such as a list, not {shown(messages)}")
        try:
            self._messages = iter(messages)
        except TypeError as exc:
            raise not_iterable("messages", messages, exc) from None
        self.replies = []
        #: Messages sent, and replies received; a raw reply is a chunk.
        self.sent = self.received = 0
        self._loop = loop
        self._timeout = timeout
        self._expected = expected
        self._patience = None
        self._error = None
        self._is_ended = self._is_done = False
        self.transport = None

    def reply_received(self, reply: bytes) -> None:
        """The next reply has come.  Here it is put into ``replies``; override it to check or to print."""
        self.replies.append(reply)

    def done(self) -> bool:
        """Return True if the conversation is over, well or not."""
        return self._is_done

    def result(self) -> list[bytes]:
        """Return the replies, or raise what went wrong."""
        if self._error is not None:
            raise self._error
        return self.replies

    def _owed(self) -> int:
        """Return how many replies the server owes: without *expected*, one for each message."""
        return 0 if self._expected == 0 else max(0, self.sent - self.received)

    def _target(self) -> int:
        return self.sent if self._expected is None else self._expected

    def _progress(self) -> str:
        """Return how far it got, for the message of an error."""
        target = self._target()
        return f"{self.received} of {target} {'reply' if target == 1 else 'replies'} came"

    def _wait(self, limit: float | None) -> None:
        """Begin to wait anew, *limit* seconds; None: for nothing."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if limit is not None:
            self._patience = self._loop.call_later(limit, self._lose_patience)

    def _lose_patience(self) -> None:
        """Nothing has come in time."""
        raise NotImplementedError
