"""One file on its way out: the client's half of the dialogue, and what the kernel and the workers do for it.

::

    WAITING     it is being opened                          opened -> OFFERED
    OFFERED     the server looks                            go -> SENDING, refused -> REFUSED
    SENDING     bytes go out, a worker hashes behind them   through -> ENDED, changed -> FAILED, refused -> REFUSED
    ENDED       the digest is out                           kept -> KEPT, refused -> REFUSED, go -> SENDING

Bytes go out by sendfile(2), so this process never sees them; it reads them all the same, for the digest.  It does
so close behind the sending, a slice at a time and in a worker, while they are still in memory: a file is read from
the disk once.

A file that has changed, or is shorter than it was, is given up by a message.  Each message of data is announced
with its length, so one that has been begun is filled up with zeros first: the frames behind it stay where they
belong, and nobody takes the zeros for the file, because the message after them says so.

The file is closed when neither the kernel nor a worker has it in hand.  Loop thread only.  Read next:
``client``.
"""

from __future__ import annotations

from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from reactor.errors import MessageMalformed, os_error_text
from reactor.service.upload import messages

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from reactor.service.upload.source import Source
    from reactor.service.workers import Workers

    class Link(Protocol):
        """What a file needs of its connection."""

        workers: Workers
        data_bytes: int
        is_open: bool

        def send(self, message: bytes) -> None: ...
        def send_data(
            self, head: bytes, fd: int, offset: int, size: int, then: Callable[[int, Exception | None], object]
        ) -> None: ...
        def opened(self, sending: Sending) -> None: ...
        def moved(self) -> None: ...
        def turn_over(self) -> None: ...
        def settled(self) -> None: ...
        def put_away(self) -> None: ...


#: Bytes that are read and hashed in one job.
SLICE_BYTES = 8 * 1024 * 1024


class State(Enum):
    """How far a file is."""

    WAITING = 1
    OFFERED = 2
    SENDING = 3
    ENDED = 4
    KEPT = 5
    REFUSED = 6
    FAILED = 7


#: Nothing more happens to a file in one of these.
SETTLED = frozenset({State.KEPT, State.REFUSED, State.FAILED})


class Outcome(NamedTuple):
    """What became of a file: *state* is KEPT, REFUSED (by the server), FAILED (here), or how far it got; *text*
    says why.  Of its *size* bytes, *skipped* needed not to be sent, because they were at the other end already."""

    path: str
    name: str
    state: State
    text: str
    size: int
    skipped: int


class Sending:
    """The file *source*, *number* of its connection once it is offered; ``start`` it once."""

    __slots__ = (
        "_has_turn", "_is_at_work", "_is_restarted", "_link", "number", "sent", "skipped", "source", "state",
        "text",
    )  # fmt: skip

    def __init__(self, link: Link, source: Source) -> None:
        self.source = source
        self.number = -1
        self.state = State.WAITING
        self.text = ""
        #: Bytes from the first on that are at the other end, or on their way there.
        self.sent = 0
        self.skipped = 0
        self._link = link
        self._has_turn = self._is_at_work = self._is_restarted = False

    def outcome(self) -> Outcome:
        """Return what has become of it, so far."""
        source = self.source
        return Outcome(source.path, source.name, self.state, self.text, source.size, self.skipped)

    def is_open(self) -> bool:
        """Return True if the kernel or a worker has the file in hand, or may have."""
        return self._is_at_work or self._has_turn or self.source.fd >= 0

    # -- stations ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Open the file; the connection is told when that is done, or has failed."""
        self._run(self.source.open, self._on_opened)

    def _on_opened(self) -> None:
        if self.state is State.WAITING:
            self.state = State.OFFERED
        self._link.opened(self)

    def go(self, offset: int) -> None:
        """The server wants the bytes from *offset* on.  Raises MessageMalformed if it cannot."""
        is_again = self.state is State.ENDED and not self._is_restarted
        if not (self.state is State.OFFERED or is_again) or offset > self.source.size:
            raise MessageMalformed(f"the server wants file {self.number} from {offset} on, out of turn or range")
        self._is_restarted = is_again
        self.sent = self.skipped = offset
        self.state = State.SENDING

    def kept(self) -> None:
        """The server has it.  Raises MessageMalformed if it cannot have."""
        if self.state is not State.ENDED:
            raise MessageMalformed(f"the server acknowledged file {self.number}, which was not sent")
        self._finish(State.KEPT)

    def refused(self, text: str) -> None:
        """The server does not want it, or not any more."""
        if self.state in SETTLED:
            return
        was_sending = self.state is State.SENDING
        self._finish(State.REFUSED, text)
        if was_sending and not self._has_turn:
            self._link.send(messages.cancel(self.number))

    def give_up(self, text: str) -> None:
        """It cannot be sent, for a reason on this side."""
        if self.state in SETTLED:
            return
        was_known = self.state in (State.OFFERED, State.SENDING)
        self._finish(State.FAILED, text)
        if was_known and not self._has_turn:
            self._link.send(messages.cancel(self.number))

    def lose(self) -> None:
        """The connection is gone; what the kernel had in hand it has no more."""
        self._has_turn = False
        if self.state not in SETTLED:
            self.text = "the connection ended before that"
        self._put_away()

    def _finish(self, state: State, text: str = "") -> None:
        self.state = state
        self.text = text
        self._link.settled()
        self._put_away()

    def _put_away(self) -> None:
        if not (self._is_at_work or self._has_turn):
            self.source.close()
            self._link.put_away()

    # -- sending -----------------------------------------------------------------------------------------------

    def take_turn(self) -> None:
        """Send: nobody else does.  The connection is told when the turn is over."""
        self._has_turn = True
        self._send_on()

    def _send_on(self) -> None:
        left = self.source.size - self.sent
        if self.state is State.SENDING and left and self._is_unchanged():
            size = min(left, self._link.data_bytes)
            head = messages.data_head(self.number, size)
            self._link.send_data(head, self.source.fd, self.sent, size, partial(self._on_sent, size))
            return
        self._has_turn = False
        if self.state in SETTLED:
            self._link.send(messages.cancel(self.number))
            self._put_away()
        else:
            self._hash_on()
        self._link.turn_over()

    def _on_sent(self, size: int, missing: int, error: Exception | None) -> None:
        if missing:
            why = os_error_text(error) if isinstance(error, OSError) else error or "it is shorter than it was"
            self.give_up(f"it cannot be read: {why}")
        else:
            self.sent += size
            self._link.moved()
            self._hash_on()
        self._send_on()

    def _is_unchanged(self) -> bool:
        if self.source.is_unchanged():
            return True
        self.give_up("it changed while it was sent")
        return False

    # -- hashing -----------------------------------------------------------------------------------------------

    def _hash_on(self) -> None:
        """Hash what has been sent, a slice at a time; when all has been, send the digest."""
        if self._is_at_work or self.state is not State.SENDING or not self._link.is_open:
            return
        source = self.source
        stop = min(self.sent, source.hashed + SLICE_BYTES)
        if source.hashed < stop:
            self._run(lambda: source.hash_up_to(stop), self._hash_on)
        elif source.hashed >= source.size == self.sent and not self._has_turn and self._is_unchanged():
            self.state = State.ENDED
            self._link.send(messages.end(self.number, source.digest()))

    def _run(self, work: Callable[[], None], then: Callable[[], None]) -> None:
        def on_done(result: None, error: Exception | None) -> None:
            self._is_at_work = False
            self._link.moved()
            if error is not None:
                self.give_up(f"it cannot be read: {os_error_text(error) if isinstance(error, OSError) else error}")
            then()
            if self.state in SETTLED or not self._link.is_open:
                self._put_away()

        self._is_at_work = True
        self._link.workers.submit(work, on_done)
