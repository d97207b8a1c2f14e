"""One file on its way into the store: a dialogue with the client, and jobs for the workers.

The two go at their own pace.  Messages arrive faster than a disk works, or slower; jobs take as long as they take.
So a transfer keeps two things apart.  ``talk`` is where the dialogue is, and says what the client may say next::

    EXAMINED    offered; the next word is ours      go -> GOING, refused -> SETTLED
    GOING       it sends                            end -> ENDED, cancel -> SETTLED, refused -> SILENCED
    ENDED       all is here; the word is ours       kept, refused -> SETTLED, go -> GOING
    SILENCED    refused while it was sending: what comes is thrown away until it says that it has heard
    SETTLED     there is nothing more to be said

The other is what happens to the temporary file.  At most one job is at the workers; when it is done, a look at what
has come in the meantime says what is next, always in this order::

    the file was given up           drop the temporary file
    an earlier try left bytes       read them
    bytes have arrived              write what is there, in jobs of about ``JOB_BYTES``
    the digest has arrived          compare, make durable, publish
    the connection is gone          keep the temporary file for another time

So the order of the bytes is that of the jobs, what has been received before a connection broke is still written,
and nobody touches a temporary file while a job has it in hand.

Two connections may send the same file at once: a client that lost its network has come back before the server
noticed, say.  The second one waits (``Claims``), and then finds the whole file, or its beginning.  All methods
belong to the loop's thread.  Read next: ``session``.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import TYPE_CHECKING

from reactor.errors import MessageMalformed, os_error_text
from reactor.service.upload import messages
from reactor.service.upload.existing import Existing
from reactor.service.upload.messages import Reason
from reactor.service.upload.partial import Partial
from reactor.service.upload.store import Refusal, Store, part_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from reactor.service.upload.messages import Offer
    from reactor.service.workers import Workers

    class Host(Protocol):
        """What a transfer needs of its server."""

        store: Store
        workers: Workers
        claims: Claims

        def file_kept(self, transfer: Transfer) -> None: ...
        def file_refused(self, transfer: Transfer, reason: Reason, text: str) -> None: ...
        def transfer_over(self) -> None: ...

    class Link(Protocol):
        """What a transfer needs of its connection; after the end of that, the methods do nothing."""

        transport: Any

        def answer(self, message: bytes) -> None: ...
        def forget(self, transfer: Transfer) -> None: ...
        def written(self, weight: int) -> None: ...


#: Bytes that are enough for one job: while a worker writes them, as many more are received.
JOB_BYTES = 1024 * 1024

#: Bytes of memory that a message of data takes beside its content: the objects around it.
MESSAGE_WEIGHT = 512


def weight_of(data: memoryview) -> int:
    """Return how much memory it takes to keep *data*: a peer that sends single bytes must not get around a
    limit."""
    return len(data) + MESSAGE_WEIGHT


class Talk(Enum):
    """Where the dialogue about a file is."""

    EXAMINED = 1
    GOING = 2
    ENDED = 3
    SILENCED = 4
    SETTLED = 5


class Fate(Enum):
    """What becomes of a temporary file whose transfer does not go on."""

    KEPT = 1
    DROPPED = 2


class Transfer:
    """One offered file; ``talk`` is where its dialogue is.  Call ``start`` once, then what the client says."""

    __slots__ = (
        "_chunks", "_digest", "_existing", "_fate", "_host", "_is_at_work", "_partial", "link", "offer", "part",
        "received", "talk",
    )  # fmt: skip

    def __init__(self, host: Host, link: Link, offer: Offer) -> None:
        self.offer = offer
        #: The name of its temporary file, by which transfers of the same file know each other.
        self.part = part_name(offer)
        self.talk = Talk.EXAMINED
        #: Bytes of the file that are here: written, or about to be.
        self.received = 0
        self._host = host
        self.link = link
        #: Where its bytes go; or what has its name already.
        self._partial: Partial | None = None
        self._existing: Existing | None = None
        self._chunks: deque[memoryview] = deque()
        self._digest: bytes | None = None
        self._fate: Fate | None = None
        self._is_at_work = False

    def start(self) -> None:
        """Have the offer examined as soon as nobody else has the same file in hand."""
        self._host.claims.claim(self)

    # -- what the client says ----------------------------------------------------------------------------------

    def add(self, data: memoryview) -> None:
        """The next bytes have come.  Raises MessageMalformed if they should not have."""
        self._expect(self.talk in (Talk.GOING, Talk.SILENCED), "sent data of", "out of turn")
        self._expect(self.received + len(data) <= self.offer.size, "sent data of", "beyond its end")
        self.received += len(data)
        if self.talk is Talk.SILENCED:
            self.link.written(weight_of(data))
        else:
            self._chunks.append(data)
            self._go_on()

    def end(self, digest: bytes) -> None:
        """All bytes have come.  Raises MessageMalformed if they have not."""
        if self.talk is Talk.SILENCED:
            self._end_talk()
            return
        self._expect(self.talk is Talk.GOING, "ended", "out of turn")
        self._expect(self.received == self.offer.size, "ended", f"after {self.received} of {self.offer.size} bytes")
        self.talk = Talk.ENDED
        self._digest = digest
        self._go_on()

    def cancel(self) -> None:
        """The client gives the file up.  Raises MessageMalformed if it has ended it already."""
        if self.talk is Talk.SILENCED:
            self._end_talk()
            return
        self._expect(self.talk is not Talk.ENDED, "gave up", "after its end")
        self._fate = Fate.DROPPED
        self._throw_away()
        self._refuse(Reason.CANCELLED, "the client gave it up")
        self._end_talk()
        self._go_on()

    def lose(self) -> None:
        """The connection is gone."""
        self.talk = Talk.SETTLED
        self._fate = self._fate or Fate.KEPT
        self._go_on()

    def _expect(self, is_so: bool, what: str, fault: str) -> None:
        if not is_so:
            raise MessageMalformed(f"the client {what} file {self.offer.number} {fault}")

    def awaits_bytes(self) -> bool:
        """Return True if room in the store is promised for bytes that the client may send now, and has not sent."""
        return self.talk is Talk.GOING and self._partial is not None and self.received < self.offer.size

    # -- what is answered --------------------------------------------------------------------------------------

    def _say_go(self, offset: int) -> None:
        self.received = offset
        self._digest = None
        if self.talk is not Talk.SETTLED:
            self.talk = Talk.GOING
            self.link.answer(messages.go(self.offer.number, offset))
        self._go_on()

    def _refuse(self, reason: Reason, text: str) -> None:
        """Say no; a client that is in the middle of sending will say that it has heard."""
        if self.talk is not Talk.SETTLED:
            self._host.file_refused(self, reason, text)
            self.link.answer(messages.refused(self.offer.number, reason, text))
            if self.talk is Talk.GOING:
                self.talk = Talk.SILENCED
            else:
                self._end_talk()

    def _keep(self) -> None:
        self._host.file_kept(self)
        if self.talk is not Talk.SETTLED:
            self.link.answer(messages.kept(self.offer.number))
            self._end_talk()
        self._let_go()

    def _end_talk(self) -> None:
        self.talk = Talk.SETTLED
        self.link.forget(self)

    # -- jobs --------------------------------------------------------------------------------------------------

    def granted(self) -> None:
        """For ``Claims``: nobody else has the file in hand.  One that is lost while it waits has left the queue."""
        self._run(lambda: self._host.store.admit(self.offer), self._on_admitted)

    def _run(self, work: Callable[[], Any], then: Callable[[Any], object]) -> None:
        def on_done(result: Any, error: Exception | None) -> None:
            self._is_at_work = False
            if error is None:
                then(result)
            else:
                self._on_failed(error)

        self._is_at_work = True
        self._host.workers.submit(work, on_done)

    def _go_on(self) -> None:
        """Submit the job that is due, if none is under way; see the head of this module."""
        if self._is_at_work:
            return
        if not self._host.claims.has(self) or self._partial is None:
            self._go_on_without()
        elif self._fate is Fate.DROPPED:
            self._finish_with(self._host.store.drop)
        elif not self._partial.is_caught_up and (self._fate is None or self._digest is not None):
            self._run(self._partial.catch_up, lambda _: self._go_on())
        elif self._chunks and self._partial.is_caught_up:
            self._write(self._partial)
        elif self._digest is not None:
            self._commit(self._partial, self._digest)
        elif self._fate is Fate.KEPT:
            self._finish_with(self._host.store.suspend)

    def _go_on_without(self) -> None:
        """There is no temporary file: it waits for its turn, or for the digest of what already has the name."""
        existing, digest = self._existing, self._digest
        if self._fate is not None:
            self._let_go()
        elif existing is not None and not existing.is_caught_up:
            self._run(existing.catch_up, lambda _: self._go_on())
        elif existing is not None and digest is not None:
            self._run(lambda: existing.has_digest(digest), self._on_compared)

    def _on_admitted(self, found: Partial | Existing) -> None:
        if isinstance(found, Partial):
            self._partial = found
            self._say_go(found.held)
        else:
            self._existing = found
            self._say_go(self.offer.size)

    def _on_compared(self, is_same: bool) -> None:
        if is_same:
            self._keep()
        else:
            self._digest = None
            self._close_existing()
            self._run(lambda: self._host.store.admit(self.offer, is_other=True), self._on_admitted)

    def _write(self, partial: Partial) -> None:
        chunks: list[memoryview] = []
        weight = 0
        while self._chunks and weight < JOB_BYTES:
            chunks.append(self._chunks.popleft())
            weight += weight_of(chunks[-1])

        def on_written(_: object) -> None:
            self.link.written(weight)
            self._go_on()

        self._run(lambda: partial.append(chunks), on_written)

    def _commit(self, partial: Partial, digest: bytes) -> None:
        def on_committed(is_kept: bool) -> None:
            if is_kept:
                self._keep()
            else:
                self._partial = partial
                self._say_go(0)

        self._partial = None  # it is the job's now, whatever comes of it
        self._run(lambda: self._host.store.commit(partial, self.offer, digest), on_committed)

    def _finish_with(self, last_job: Callable[[Partial], object]) -> None:
        partial, self._partial = self._partial, None
        assert partial is not None
        self._throw_away()
        self._run(lambda: last_job(partial), lambda _: self._let_go())

    def _on_failed(self, error: Exception) -> None:
        """A job has raised *error*.  The temporary file is this object's to put away unless the job was its
        last."""
        self._throw_away()
        self._digest = None
        self._fate = self._fate or Fate.KEPT
        if isinstance(error, Refusal):
            self._refuse(error.reason, str(error))
        else:
            text = os_error_text(error) if isinstance(error, OSError) else "a fault of the server"
            self._refuse(Reason.STORAGE, f"it cannot be stored: {text}")
        self._go_on()
        if not isinstance(error, Refusal | OSError):
            raise error

    def _throw_away(self) -> None:
        """What has arrived and was not written will not be."""
        weight = sum(map(weight_of, self._chunks))
        self._chunks.clear()
        if weight:
            self.link.written(weight)

    def _close_existing(self) -> None:
        existing, self._existing = self._existing, None
        if existing is not None:
            existing.close()

    def _let_go(self) -> None:
        self._close_existing()
        self._fate = self._fate or Fate.KEPT
        self._host.claims.release(self)
        self._host.transfer_over()


class Claims:
    """Who has which file in hand, and who waits for it.  A file is what ``part_name`` says that it is."""

    __slots__ = ("_queues",)

    def __init__(self) -> None:
        #: For each file its transfers, the one that has it first.
        self._queues: dict[str, deque[Transfer]] = {}

    def __len__(self) -> int:
        """How many files are in hand: each is let go when its last job is done."""
        return len(self._queues)

    def has(self, transfer: Transfer) -> bool:
        """Return True if *transfer* has its file in hand."""
        queue = self._queues.get(transfer.part)
        return queue is not None and queue[0] is transfer

    def claim(self, transfer: Transfer) -> None:
        """Have ``transfer.granted()`` called when it is its turn: at once, if nobody has the file."""
        queue = self._queues.setdefault(transfer.part, deque())
        queue.append(transfer)
        if len(queue) == 1:
            transfer.granted()

    def release(self, transfer: Transfer) -> None:
        """*transfer* lets go of its file, or waits for it no longer.  Calling it twice does nothing."""
        queue = self._queues.get(transfer.part)
        if queue is None or transfer not in queue:
            return
        had_it = queue[0] is transfer
        queue.remove(transfer)
        if not queue:
            del self._queues[transfer.part]
        elif had_it:
            queue[0].granted()
