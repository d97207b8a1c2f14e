"""One client that uploads: frames to messages, messages to transfers, and three ways to be patient.

**The disk is slower than the network.**  Bytes that have arrived and are not written yet are counted over all files
of the connection; above ``HIGH_BYTES`` nothing more is read from the socket, so the kernel's buffer fills and the
client cannot send, and at ``LOW_BYTES`` reading goes on.  What a client can have in memory here is therefore
``HIGH_BYTES`` and two frames, whatever it sends and however slow the disk is.

**The disk is slow and the client waits.**  Every ``SIGN_INTERVAL`` seconds in which this side owes the next word,
it gives a sign of life, so that a client can tell a server that reads 100 GB of an earlier try from one that is
gone.

**The client is slow.**  While it is this side that waits, a silence of the idle timeout ends the connection; while
it is the client that waits, it may be silent for as long as that takes.

**The client only talks.**  An offer that was accepted holds room that nobody else gets, so signs of life are not
enough to keep it: while a file waits for its bytes, bytes of files must come, ``PROGRESS_RATE`` of them for each
second of the idle timeout.  They may be those of another file, because a client sends one after the other.  A
client that has sent everything and is at work on the digest may take its time: what it holds then, it has paid for.

What breaks the protocol ends the connection in the manner of the reactor: a counted, named line.  The files that
were under way are kept for another time.  Read next: ``server``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reactor.errors import IdleTimeout, MessageMalformed
from reactor.net.protocol import FramedProtocol
from reactor.service.upload import messages
from reactor.service.upload.messages import Busy, Cancel, Data, End, Hello, Offer, Reason
from reactor.service.upload.transfer import JOB_BYTES, Talk, Transfer, weight_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from reactor.framing.codec import Codec
    from reactor.net.stream.stream import Stream
    from reactor.service.upload.transfer import Host as TransferHost

    class Host(TransferHost, Protocol):
        """What a session needs of its server; ``upload.UploadServer`` says what each of these is."""

        codec: Codec
        is_stopping: bool
        idle_timeout: float

        def client_came(self, session: UploadSession) -> None: ...
        def client_left(self, session: UploadSession, exc: BaseException | None) -> None: ...
        def bytes_received(self, size: int) -> None: ...


#: Memory for what one connection has sent and no worker has written, above which reading stops, and below which it
#: goes on: while one job's worth is being written the next lies ready.
HIGH_BYTES = 4 * JOB_BYTES
LOW_BYTES = 2 * JOB_BYTES

#: Seconds between two signs of life while the client can only wait.
SIGN_INTERVAL = 5.0

#: Bytes a second, on the average of one idle timeout, that a client must send to keep the room that it was
#: promised.
PROGRESS_RATE = 1024


class UploadSession(FramedProtocol):
    """The protocol of one connection.  Made by ``UploadServer``."""

    __slots__ = (
        "_has_greeted", "_host", "_is_timed", "_is_unheard", "_last_number", "_leases", "_taken_bytes",
        "_transfers", "_unwritten", "codec",
    )  # fmt: skip

    def __init__(self, host: Host) -> None:
        self.codec = host.codec
        self._host = host
        self._transfers: dict[int, Transfer] = {}
        self._last_number = -1
        self._unwritten = 0
        #: The client does not read what it is answered.
        self._is_unheard = False
        self._has_greeted = False
        #: Bytes of files that have come; and for each file that waits for its own, by when how many must have.
        self._taken_bytes = 0
        self._leases: dict[Transfer, tuple[float, float]] = {}
        #: Whether the idle timeout is set at present.
        self._is_timed = False

    def connection_made(self, transport: Stream) -> None:
        """Wait for the client to say what it is."""
        super().connection_made(transport)
        self._host.client_came(self)
        self._mind_the_clock()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Let every transfer put away what it has."""
        transfers, self._transfers = self._transfers, {}
        for transfer in transfers.values():
            transfer.lose()
        self._host.client_left(self, exc)

    # -- what the client says ----------------------------------------------------------------------------------

    def frame_received(self, frame: bytes) -> None:
        """Do what one message asks for.  Raises MessageMalformed."""
        message = messages.request(frame)
        if not self._has_greeted and not isinstance(message, Hello):
            raise MessageMalformed("a client must say hello first")
        HANDLERS[type(message)](self, message)

    def _on_hello(self, message: Hello) -> None:
        if self._has_greeted:
            raise MessageMalformed("a client says hello once")
        self._has_greeted = True
        self.answer(messages.welcome(messages.WINDOW, messages.DATA_BYTES))

    def _on_offer(self, offer: Offer) -> None:
        if offer.number <= self._last_number:
            raise MessageMalformed(f"file {offer.number} was offered after file {self._last_number}")
        if len(self._transfers) >= messages.WINDOW:
            raise MessageMalformed(f"more than {messages.WINDOW} files were offered at once")
        self._last_number = offer.number
        if self._host.is_stopping:
            self.answer(messages.refused(offer.number, Reason.STOPPING, "the server is going down"))
            return
        transfer = self._transfers[offer.number] = Transfer(self._host, self, offer)
        transfer.start()
        self._mind_the_clock()

    def _on_data(self, message: Data) -> None:
        self._host.bytes_received(len(message.data))
        self._unwritten += weight_of(message.data)
        transfer = self._named(message.number)
        if transfer.awaits_bytes():
            self._taken_bytes += len(message.data)
        transfer.add(message.data)
        if self._unwritten > HIGH_BYTES:
            self.transport.pause_reading()
            self._mind_the_clock()

    def _on_end(self, message: End) -> None:
        self._named(message.number).end(message.digest)
        self._mind_the_clock()

    def _on_cancel(self, message: Cancel) -> None:
        self._named(message.number).cancel()
        self._mind_the_clock()

    def _on_busy(self, message: Busy) -> None:
        """A sign of life: that it has come is all that there is to it."""

    def _named(self, number: int) -> Transfer:
        if number not in self._transfers:
            raise MessageMalformed(f"there is no file {number} under way")
        return self._transfers[number]

    # -- for transfers -----------------------------------------------------------------------------------------

    def answer(self, message: bytes) -> None:
        """Send *message*; nothing, if the connection is closing."""
        if not self.transport.is_closing():
            self.send_frame(message)
            self._mind_the_clock()

    def forget(self, transfer: Transfer) -> None:
        """Nothing more will be said about *transfer*."""
        self._transfers.pop(transfer.offer.number, None)
        self.close_if_idle() if self._host.is_stopping else self._mind_the_clock()

    def written(self, weight: int) -> None:
        """So much of what was received is out of memory."""
        self._unwritten -= weight
        self._go_on_reading()

    def pause_writing(self) -> None:
        """The client does not read: stop reading from it, or its questions and our answers would pile up here."""
        self._is_unheard = True
        self.transport.pause_reading()
        self._mind_the_clock()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._is_unheard = False
        self._go_on_reading()

    def _go_on_reading(self) -> None:
        if self._is_unheard or self._unwritten > LOW_BYTES:
            return
        if not self.transport.is_closing() and not self.transport.is_reading():
            self.transport.resume_reading()
            self._mind_the_clock()

    # -- patience ----------------------------------------------------------------------------------------------

    def is_waited_for(self) -> bool:
        """Return True if the next word is this side's, and the client can only wait."""
        if not self.transport.is_reading():
            return not self._is_unheard
        return any(transfer.talk in (Talk.EXAMINED, Talk.ENDED) for transfer in self._transfers.values())

    def give_sign(self) -> None:
        """Tell a client that waits that there is still somebody here."""
        if self._has_greeted and self.is_waited_for():
            self.answer(messages.BUSY)

    def check_progress(self, now: float) -> None:
        """End the connection if it holds room at the instant *now* for bytes that do not come."""
        previous, self._leases = self._leases, {}
        if self.transport.is_closing() or not (self.transport.is_reading() or self._is_unheard):
            return  # this side keeps the bytes from coming: the time begins anew when it takes them again
        timeout = self._host.idle_timeout
        for transfer in self._transfers.values():
            if transfer.awaits_bytes():
                due, wanted = previous.get(transfer, (0.0, float("-inf")))
                if self._taken_bytes >= wanted:
                    due, wanted = now + timeout, self._taken_bytes + PROGRESS_RATE * timeout
                elif now >= due:
                    name = transfer.offer.name.decode()
                    self.transport.fail(IdleTimeout(f"the bytes of {name!r} have not come for {timeout:g} s"))
                    return
                self._leases[transfer] = due, wanted

    def close_if_idle(self) -> None:
        """Close in an orderly way, unless the client is in the middle of something: then after that."""
        if not self._transfers:
            self.transport.close()

    def _mind_the_clock(self) -> None:
        """Set the idle timeout exactly as long as this side is the one that waits."""
        if self.transport.is_closing() or self.is_waited_for() != self._is_timed:
            return
        self._is_timed = not self._is_timed
        self.transport.set_idle_timeout(self._host.idle_timeout if self._is_timed else None)


#: Who does what a message asks for.
HANDLERS: dict[type, Callable[[UploadSession, Any], None]] = {
    Hello: UploadSession._on_hello,
    Offer: UploadSession._on_offer,
    Data: UploadSession._on_data,
    End: UploadSession._on_end,
    Cancel: UploadSession._on_cancel,
    Busy: UploadSession._on_busy,
}
