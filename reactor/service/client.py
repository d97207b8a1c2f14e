"""A client: a sequence of messages goes out, the replies come back, and no more than a window is on its way.

The window keeps a client and an echoing server from deadlock by courtesy: a client that writes everything
before it reads makes the server's replies pile up until the server stops reading, and then nobody moves.  It
also bounds memory, because *messages* is an iterator that is asked only when there is room.

Replies are matched with messages by order alone.  In raw mode there is nothing to match with: a reply is a
chunk, one is awaited for each message, and after the last message this side ends, so that what is still to come
is received up to the server's own end (or, as not every server has one, until it has been silent for ``SETTLE``
seconds).

A client is a protocol, and a future as well::

    client = Client(loop, [b"one", b"two"], mode="framed")
    client.connect(("127.0.0.1", 8888))
    replies = loop.run_until(client)

It checks nothing that the server says; ``reply_received`` is for those who do.  Read next: ``datagram_client``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reactor.arguments import checked_whole
from reactor.auth.challenge import checked_context
from reactor.errors import (
    ConnectionFailure,
    IdleTimeout,
    PayloadRefused,
    ReactorError,
    UsageError,
    os_error_text,
)
from reactor.framing.raw import Raw
from reactor.limits import CONNECT_TIMEOUT, CORK_BYTES, MAX_FRAME_LENGTH
from reactor.net.protocol import FramedProtocol
from reactor.service.exchange import REPLY_TIMEOUT, Exchange
from reactor.service.gate import abort_connecting, checked_keys, client_factory
from reactor.service.modes import codec_for

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Unpack

    from reactor.auth.keys import KeyRing
    from reactor.framing.codec import Codec
    from reactor.net.connections.connector import Connector
    from reactor.net.protocol import StreamFactory
    from reactor.net.reactor import ConnectTcpKeywords, Reactor
    from reactor.net.stream.stream import Stream

#: Messages that may be on their way without a reply.
WINDOW = 16

#: What a raw client says to an empty message, which a textbook's sends, and then waits forever.
NOTHING_TO_SEND = (
    "raw mode cannot send an empty message: no byte would leave, the server would not wake, and both sides would "
    "wait for each other; use the mode line or framed"
)

#: Seconds of silence that end a raw conversation whose server does not.
SETTLE = 0.5


class Client(Exchange, FramedProtocol):
    """Sends *messages* on one connection and collects the ``replies``.

    *messages* is pulled as the window allows; an item that is None says that nothing is there at present: call
    ``more()`` when there is.  *expected* is how many replies make it complete; None: one for each message.
    *timeout* bounds connecting, and each silence while a reply is owed; None: no bound.  The codec is that of
    *mode*.  With *keys* the two sides first prove to each other that they have the first of them, for *context*.

    As a future: ``done()``; ``result()`` returns the replies, or raises what went wrong: a ConnectionFailure,
    also for a server that closed too early; IdleTimeout; AuthenticationFailed; a FramingError for what it sent;
    PayloadRefused for a message that the mode cannot carry, in raw mode an empty one; OSError for a connection that
    broke.  ``replies`` holds in any case what has come.
    """

    def __init__(
        self,
        loop: Reactor,
        messages: Iterable[bytes | None],
        *,
        mode: str = "framed",
        window: int = WINDOW,
        timeout: float | None = REPLY_TIMEOUT,
        expected: int | None = None,
        accel: str | None = None,
        max_frame_length: int = MAX_FRAME_LENGTH,
        keys: KeyRing | None = None,
        context: bytes = b"",
    ) -> None:
        """Raises OptionError for values that cannot be, ArgumentError for things of the wrong kind."""
        checked_whole("window", window, 1, what="number of messages")
        checked_keys(keys)
        checked_context(context)
        self.codec: Codec = codec_for(mode, accel=accel, max_frame_length=max_frame_length)
        self._begin(loop, messages, timeout, expected)
        self._is_raw = isinstance(self.codec, Raw)
        self._window = 1 if self._is_raw else window
        self._keys = keys
        self._context = context
        self._connector: Connector | None = None
        self._is_finished = self._is_paused = False

    def connect(
        self, address: tuple[str, int] | str | bytes, **options: Unpack[ConnectTcpKeywords]
    ) -> Connector:
        """Connect to ``(host, port)`` or to a Unix path; options and errors are those of
        ``Reactor.connect_tcp``.

        Once: a client is one conversation.  Raises UsageError if it connects, is connected, or is over.
        """
        if self._connector is not None or self._is_done:
            raise UsageError("this client has its connection, or had it: make a new one")
        options.setdefault("timeout", CONNECT_TIMEOUT if self._timeout is None else self._timeout)
        if isinstance(address, tuple):
            self._connector = self._loop.connect_tcp(self._factory(), *address, **options)
        else:
            of_both: Any = options  # those of TCP alone are refused there
            self._connector = self._loop.connect_unix(self._factory(), address, **of_both)
        return self._connector

    def _factory(self) -> StreamFactory:
        return client_factory(self._loop, self, self._keys, self._context, self._timeout)

    # -- for those who derive from it --------------------------------------------------------------------------

    def more(self) -> None:
        """After *messages* had yielded None: ask it again."""
        if self.transport is not None and not self._is_finished:
            self._pump()

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

    # -- sending -----------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Send what there is, as far as the window and the kernel have room; then see what remains to be done."""
        try:
            while not (self._is_ended or self._is_paused) and (batch := self._next_batch()):
                self.sent += len(batch)
                self.send_frames(batch)
        except Exception as exc:  # of *messages*, or of the codec that cannot carry one of them
            self.abort(exc)
            return
        if self._is_complete():
            self._finish()
        self._be_patient()

    def _next_batch(self) -> list[bytes]:
        room = self._window - self._owed()
        batch: list[bytes] = []
        size = 0
        while len(batch) < room and size < CORK_BYTES:
            message = next(self._messages, self)
            if message is self:
                self._is_ended = True
            if not isinstance(message, bytes):
                break
            if self._is_raw and not message:
                raise PayloadRefused(NOTHING_TO_SEND)
            batch.append(message)
            size += len(message)
        return batch

    def _is_complete(self) -> bool:
        if not self._is_ended:
            return False
        return self.received >= self._target()

    def _finish(self) -> None:
        """All that was owed has come.  Only a raw conversation has to wait for the server's end."""
        if not self._is_finished:
            self._is_finished = True
            if self._is_raw:
                self.transport.write_eof()
            else:
                self.transport.close()

    # -- patience ----------------------------------------------------------------------------------------------

    def _be_patient(self) -> None:
        """Begin to wait anew, if there is anything to wait for."""
        if self._is_finished:
            limit: float | None = SETTLE if self._is_raw else None
        elif self._owed() or self._is_ended or self._is_paused:
            limit = self._timeout
        else:
            limit = None
        self._wait(limit)

    def _lose_patience(self) -> None:
        if self._is_finished:
            self.transport.close()
        else:
            self.abort(IdleTimeout(f"no reply for {self._timeout:g} s; {self._progress()}"))

    # -- what the transport tells ------------------------------------------------------------------------------

    def connection_made(self, transport: Stream) -> None:
        """Begin to send."""
        super().connection_made(transport)
        self._pump()

    def frames_received(self, frames: Iterable[bytes]) -> None:
        """Hand the replies on, and send what they make room for."""
        for reply in frames:
            if self._is_finished and not self._is_raw:
                return
            self.received += 1
            try:
                self.reply_received(reply)
            except Exception as exc:
                self.abort(exc)
                return
        self._pump()

    def pause_writing(self) -> None:
        """The server does not read at present."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """The server reads again."""
        self._is_paused = False
        self._pump()

    def connection_failed(self, exc: Exception) -> None:
        """There will be no connection."""
        self._error = self._error or exc
        self._is_done = True

    def connection_lost(self, exc: BaseException | None) -> None:
        """The end: a success if all that was owed has come."""
        if not self._is_finished and self._error is None:
            self._error = self._explained(exc)
        self._is_done = self._is_finished = True
        self._wait(None)

    def _explained(self, exc: BaseException | None) -> BaseException:
        if exc is None:
            return ConnectionFailure(f"the server closed the connection; {self._progress()}")
        if not isinstance(exc, OSError) or isinstance(exc, ReactorError):
            return exc
        failure = ConnectionFailure(f"the connection broke: {os_error_text(exc)}; {self._progress()}")
        failure.__cause__ = exc
        return failure
