"""A client that sends files: many on one connection, each read once, none of them in memory.

Up to a window of files are somewhere on their way at once (``sending``), so a small file costs no round
trip, and while a large one is being sent those behind it are opened and offered.  The bytes of one file at a time
are sent, in the order in which the server let them go.

What concerns one file is its ``Outcome`` and stops no other.  What concerns the connection ends everything; which
files were kept is known then as well, and sending all of them again goes on where this one stopped.

Like ``client.Client`` it is a protocol, and a future as well::

    client = UploadClient(loop, ["a.iso", "b.iso"])
    client.connect(("127.0.0.1", 8888))
    outcomes = loop.run_until(client)

**Patience.**  A server may have long work to do before its next word, and says so now and then; so does this side.
A silence of ``timeout`` seconds, in which neither a word came nor a byte could be sent, ends the connection; one
before the first word does so after ``WELCOME_TIMEOUT`` seconds.

This is the last file of the upload; ``reactor.cli.send`` shows its progress to a person.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from reactor.arguments import checked_seconds
from reactor.auth.challenge import checked_context
from reactor.errors import (
    ConnectionFailure,
    IdleTimeout,
    MessageMalformed,
    PeerError,
    ReactorError,
    TransportClosed,
    UsageError,
    os_error_text,
)
from reactor.framing.length import LengthPrefixed
from reactor.limits import CONNECT_TIMEOUT
from reactor.net.protocol import FramedProtocol
from reactor.service.counters import counted
from reactor.service.gate import abort_connecting, checked_keys, client_factory
from reactor.service.upload import messages
from reactor.service.upload.messages import (
    DATA_BYTES,
    FRAME_BYTES,
    VERSION,
    WINDOW,
    Busy,
    Go,
    Kept,
    Refused,
    Welcome,
)
from reactor.service.upload.sending import Outcome, Sending, State
from reactor.service.upload.source import sources_of
from reactor.service.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Unpack

    from reactor.auth.keys import KeyRing
    from reactor.core.handles import Timer
    from reactor.net.connections.connector import Connector
    from reactor.net.reactor import ConnectTcpKeywords, Reactor
    from reactor.net.stream.sendfile import FileSending
    from reactor.net.stream.stream import Stream

#: Seconds without a word of the server, or a byte that it takes, after which a client gives up.
TIMEOUT = 60.0

#: Seconds for its first word, at most: there is no work to do before that.
WELCOME_TIMEOUT = 10.0

#: Seconds between two signs of life while this side is at work.
SIGN_INTERVAL = 5.0

#: Threads that open and hash.
THREADS = 2


class Progress(NamedTuple):
    """How far a client is: files and bytes that are through, of those that there are; a file counts with its bytes
    once it has been opened.  *skipped* of the bytes were there already.  *name* is being sent, "" if none is."""

    files: int
    all_files: int
    bytes: int
    all_bytes: int
    skipped: int
    name: str


class UploadClient(FramedProtocol):
    """Sends the files *paths* on one connection.

    *timeout* bounds connecting and each silence of the server; *keys* and *context* are those of ``Client``.
    Raises OptionError for a name that cannot be used, and for two that are the same.

    As a future: ``done()``; ``result()`` returns an Outcome for each file, in their order, or raises what went
    wrong with the connection: ConnectionFailure, IdleTimeout, MessageMalformed, OSError.  ``outcomes()`` says in
    any case how far each is.  ``close()`` it when the loop was left in its midst.
    """

    __slots__ = (
        "_connector", "_context", "_error", "_held", "_is_done", "_keys", "_line", "_loop", "_next_number",
        "_opening", "_patience", "_settled", "_signs", "_timeout", "_touched", "_turn", "_under_way", "_waiting",
        "_welcome_timeout", "_window", "codec", "data_bytes", "is_open", "sendings", "workers",
    )  # fmt: skip

    #: None until there is a connection.
    transport: Any

    def __init__(
        self,
        loop: Reactor,
        paths: Iterable[str],
        *,
        timeout: float = TIMEOUT,
        keys: KeyRing | None = None,
        context: bytes = b"",
    ) -> None:
        checked_seconds("timeout", timeout, none=False)
        checked_keys(keys)
        checked_context(context)
        self.codec = LengthPrefixed(4, max_frame_length=FRAME_BYTES)
        self.workers = Workers(loop, THREADS)
        self.sendings = [Sending(self, source) for source in sources_of(paths)]
        self.data_bytes = DATA_BYTES
        #: Whether there is a connection.
        self.is_open = False
        self.transport = None
        self._loop = loop
        self._timeout = timeout
        self._welcome_timeout = min(timeout, WELCOME_TIMEOUT)
        self._keys = keys
        self._context = context
        self._connector: Connector | None = None
        self._error: BaseException | None = None
        self._is_done = False
        #: The files that have yet to be opened; those that are being; those that are offered, by number.
        self._waiting = deque(self.sendings)
        self._opening: deque[Sending] = deque()
        self._under_way: dict[int, Sending] = {}
        self._next_number = self._settled = 0
        #: How many files may be opened or offered at once; 0 until the server has said it.
        self._window = 0
        #: The file that sends at present, and those that may send next.
        self._turn: Sending | None = None
        self._line: deque[Sending] = deque()
        #: Messages that must not come into the midst of the one that is being sent; None: none is.
        self._held: list[bytes] | None = None
        #: When something last moved.
        self._touched = 0.0
        self._patience: Timer | None = None
        self._signs: Timer | None = None

    def connect(
        self, address: tuple[str, int] | str | bytes, **options: Unpack[ConnectTcpKeywords]
    ) -> Connector:
        """Connect to ``(host, port)`` or to a Unix path; options and errors are those of
        ``Reactor.connect_tcp``.

        Once: raises UsageError if it connects, is connected, or is over.
        """
        if self._connector is not None or self._is_done:
            raise UsageError("this client has its connection, or had it: make a new one")
        options.setdefault("timeout", min(self._timeout, CONNECT_TIMEOUT))
        factory = client_factory(self._loop, self, self._keys, self._context, self._timeout)
        if isinstance(address, tuple):
            self._connector = self._loop.connect_tcp(factory, *address, **options)
        else:
            of_both: Any = options  # those of TCP alone are refused there
            self._connector = self._loop.connect_unix(factory, address, **of_both)
        return self._connector

    # -- a future ----------------------------------------------------------------------------------------------

    def done(self) -> bool:
        """Return True if it is over, well or not."""
        return self._is_done

    def result(self) -> list[Outcome]:
        """Return what became of each file, or raise what went wrong with the connection."""
        if self._error is not None:
            raise self._error
        return self.outcomes()

    def outcomes(self) -> list[Outcome]:
        """Return what has become of each file so far."""
        return [sending.outcome() for sending in self.sendings]

    def progress(self) -> Progress:
        """Return how far it is."""
        outcomes = self.outcomes()
        return Progress(
            self._settled, len(outcomes), sum(sending.sent for sending in self.sendings),
            sum(outcome.size for outcome in outcomes), sum(outcome.skipped for outcome in outcomes),
            self._turn.source.name if self._turn is not None else "",
        )  # fmt: skip

    def abort(self, error: BaseException) -> None:
        """Give up: ``result()`` raises *error*.  Raises WrongThread."""
        if not self._loop.is_closed():
            self._loop.check()
        self._error = self._error or error
        if self.transport is not None:
            self.transport.abort()
        elif self._connector is not None:
            abort_connecting(self._connector)
        else:
            self._is_done = True  # before it has begun

    def close(self) -> None:
        """Hang up, and give back threads and files; blocks until the threads have finished what they have in hand.
        Idempotent."""
        if self.is_open:
            self.is_open = False
            self.abort(ConnectionFailure(f"this side has hung up; {self.how_far()}"))
        self.workers.close()
        for sending in self.sendings:
            sending.source.close()

    # -- what the transport tells ------------------------------------------------------------------------------

    def connection_made(self, transport: Stream) -> None:
        """Say what this is."""
        super().connection_made(transport)
        self.is_open = True
        self.send(messages.hello())
        self._touched = self._loop.time()
        self._patience = self._loop.call_later(self._welcome_timeout, self._lose_patience)
        self._signs = self._loop.call_every(SIGN_INTERVAL, self._give_sign)

    def frame_received(self, frame: bytes) -> None:
        """Do what one message asks for.  Raises MessageMalformed."""
        self._touched = self._loop.time()
        message = messages.reply(frame)
        if isinstance(message, Welcome):
            self._on_welcome(message)
        elif not self._window:
            raise MessageMalformed("the server must welcome first")
        elif not isinstance(message, Busy):
            self._on_answer(message)

    def connection_failed(self, exc: Exception) -> None:
        """There will be no connection."""
        self._error = self._error or exc
        self._end_if_done()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The end: a success if every file has its outcome."""
        for timer in (self._patience, self._signs):
            if timer is not None:
                timer.cancel()
        if self._error is None and self._settled < len(self.sendings):
            self._error = self._explained(exc)
        for sending in self.sendings:
            sending.lose()
        self.is_open = False
        self._end_if_done()

    def _explained(self, exc: BaseException | None) -> BaseException:
        if exc is None:
            return ConnectionFailure(f"the server closed the connection; {self.how_far()}")
        if isinstance(exc, PeerError) and not self._window:
            return ConnectionFailure(f"that is no upload server: {exc}")
        if not isinstance(exc, OSError) or isinstance(exc, ReactorError):
            return exc
        failure = ConnectionFailure(f"the connection broke: {os_error_text(exc)}; {self.how_far()}")
        failure.__cause__ = exc
        return failure

    def _end_if_done(self) -> None:
        """It is over when no file is in anybody's hands any more."""
        if not (self.is_open or self._is_done or any(sending.is_open() for sending in self.sendings)):
            self.close()  # nothing is left for the threads to do, so this waits for nothing
            self._is_done = True

    # -- what the server says ----------------------------------------------------------------------------------

    def _on_welcome(self, message: Welcome) -> None:
        if self._window or message.version != VERSION or not (message.window and message.data_bytes):
            raise MessageMalformed(f"the server's welcome makes no sense here: {message}")
        self._window = min(message.window, WINDOW)
        self.data_bytes = min(message.data_bytes, DATA_BYTES)
        self._start_more()

    def _on_answer(self, message: Go | Kept | Refused) -> None:
        sending = self._under_way.get(message.number)
        if sending is None:
            raise MessageMalformed(f"the server speaks of file {message.number}, which is not under way")
        if isinstance(message, Go):
            sending.go(message.offset)
            self._line.append(sending)
            self._next_turn()
            return
        if isinstance(message, Kept):
            sending.kept()
        else:
            sending.refused(message.text)
        del self._under_way[message.number]
        self._start_more()

    def _start_more(self) -> None:
        """Open files as long as the window has room."""
        while self.is_open and self._waiting and len(self._opening) + len(self._under_way) < self._window:
            sending = self._waiting.popleft()
            self._opening.append(sending)
            sending.start()
        self._close_if_done()

    def _close_if_done(self) -> None:
        """Hang up when there is nothing left to wait for, and not in the middle of a message."""
        is_done = self._settled == len(self.sendings) and not (self._under_way or self._opening)
        if is_done and self._turn is None and self.is_open:
            self.transport.close()

    def _next_turn(self) -> None:
        """Have the next file send, if none does."""
        while self._turn is None and self._line:
            sending = self._line.popleft()
            if sending.state is State.SENDING:
                self._turn = sending
                sending.take_turn()

    # -- for the files -----------------------------------------------------------------------------------------

    def send(self, message: bytes) -> None:
        """Send *message* behind everything that was sent before."""
        if self._held is not None:
            self._held.append(message)
        elif self.is_open:
            self.send_frame(message)

    def send_data(
        self, head: bytes, fd: int, offset: int, size: int, then: Callable[[int, Exception | None], object]
    ) -> None:
        """Send *head* and *size* bytes, at least one, of the file *fd* as one message; then call ``then(missing,
        error)``, unless the connection has ended.

        If the file has fewer bytes, or cannot be read, zeros stand in the message for those that are missing.
        """
        self._held = []
        self.transport.write(head)
        self.transport.send_file(fd, offset, size, partial(self._on_data_sent, size, then))

    def _on_data_sent(
        self, size: int, then: Callable[[int, Exception | None], object], sending: FileSending
    ) -> None:
        held, self._held = self._held, None
        if isinstance(sending.error, TransportClosed):
            return
        missing = size - sending.sent
        if missing:
            self.transport.write(bytes(missing))
        for message in held or ():
            self.send(message)
        then(missing, sending.error)

    def opened(self, sending: Sending) -> None:
        """*sending* can be offered, or cannot be opened: offer what is next, in the order of the files."""
        while self._opening and self._opening[0].state is not State.WAITING:
            self._offer(self._opening.popleft())
        self._start_more()

    def _offer(self, sending: Sending) -> None:
        if sending.state is State.OFFERED and self.is_open:
            sending.number = self._next_number
            self._next_number += 1
            self._under_way[sending.number] = sending
            source = sending.source
            self.send(messages.offer(sending.number, source.size, source.key, source.name.encode()))

    def settled(self) -> None:
        """The outcome of one more file is known."""
        self._settled += 1

    def turn_over(self) -> None:
        """The file that was sending does no more."""
        self._turn = None
        self._next_turn()
        self._loop.call_soon(self._close_if_done)  # when what waited behind its last piece has been handed on

    def moved(self) -> None:
        """Bytes have gone out, or a worker is through with something."""
        self._touched = self._loop.time()

    def put_away(self) -> None:
        """A file was closed."""
        self._end_if_done()

    # -- patience ----------------------------------------------------------------------------------------------

    def _give_sign(self) -> None:
        if self.workers.pending:
            self.send(messages.BUSY)

    def _lose_patience(self) -> None:
        """Look how long nothing has moved; if that is not long enough, look again when it may be."""
        timeout = self._timeout if self._window else self._welcome_timeout
        due = self._touched + timeout
        if self._loop.time() < due:
            self._patience = self._loop.call_at(due, self._lose_patience)
        elif self._window:
            self.abort(IdleTimeout(f"nothing has moved for {timeout:g} s; {self.how_far()}"))
        else:
            text = f"the server has not said a word for {timeout:g} s: it is no upload server, or is full"
            self.abort(IdleTimeout(f"{text}; {self.how_far()}"))

    def how_far(self) -> str:
        """Return how many files are kept, in words."""
        kept = sum(sending.state is State.KEPT for sending in self.sendings)
        return f"{kept} of {counted(len(self.sendings), 'file')} kept"
