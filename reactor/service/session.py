"""A conversation on a transport: a stream for each client, or one datagram endpoint for all of them.

A stream's flow control is one rule: while the client does not read its replies, nothing more is read from it.
So the memory that one client can take is a read buffer and its replies, whatever it sends.

Datagrams have no connection, so each is a conversation of its own; the messages in it are answered in one
datagram to its sender, and an empty one with an empty one, unless the service knows better.  Read next:
``server``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reactor.errors import PayloadRefused, PeerError, ReplyRefused, TextMalformed
from reactor.framing.raw import Raw
from reactor.net.protocol import DatagramProtocol, FramedProtocol
from reactor.net.sockets.addresses import format_address
from reactor.service.talk import Talk

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Protocol

    from reactor.framing.codec import Codec
    from reactor.net.stream.stream import Stream
    from reactor.net.stream.transport import Transport
    from reactor.service.catalog import Service
    from reactor.service.counters import ServerCounters

    class Host(Protocol):
        """What a session needs of its server; ``server.Server`` says what each of these is."""

        service: Service
        mode: str
        codec: Codec
        counters: ServerCounters
        is_stopping: bool

        def welcome(self, transport: Transport) -> None: ...
        def note(self, transport: Transport, event: str, text: str | None = None) -> None: ...
        def note_text(self, address: object, event: str, text: str | None = None) -> None: ...
        def report(self, kind: str, line: str) -> None: ...
        def session_ended(self) -> None: ...


class Session(FramedProtocol):
    """One client of a stream service.  Made by ``Server``."""

    __slots__ = ("_server", "_talk", "codec")

    def __init__(self, server: Host) -> None:
        self.codec: Codec = server.codec
        self._server = server
        self._talk = Talk(server.service, server.mode, self._hear)

    def connection_made(self, transport: Stream) -> None:
        """Count the client, and say what is said first."""
        super().connection_made(transport)
        self._server.counters.opened()
        self._server.welcome(transport)
        self._send(self._talk.opening())

    def frames_received(self, frames: Iterable[bytes]) -> None:
        """Answer all messages of one chunk in one piece."""
        messages = frames if isinstance(frames, list) else list(frames)
        counters = self._server.counters
        counters.messages += len(messages)
        counters.bytes_in += sum(map(len, messages))
        try:
            self._send(self._talk.replies(messages))
        except TextMalformed as fault:
            self._send(fault.replies)
            raise
        if self._talk.is_over or self._server.is_stopping:
            self.close_if_idle()

    def eof_received(self) -> bool | None:
        """The client has said everything: answer what its end completed, and close."""
        super().eof_received()
        self._talk.end()
        return None

    def pause_writing(self) -> None:
        """The client does not read: stop reading from it."""
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """The client reads again."""
        self.transport.resume_reading()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Count the end of the client, and whose fault it was."""
        self._server.counters.closed(exc)
        self._server.note(self.transport, "closed" if exc is None else f"lost: {exc}")
        self._server.session_ended()

    def belongs_to(self, server: Host) -> bool:
        """Return True if this is a client of *server*."""
        return self._server is server

    def close_if_idle(self) -> None:
        """Close in an orderly way, unless the client is in the middle of a message: then after that."""
        if self._talk.is_over or not self._decoder.buffered:
            self.transport.close()

    def _send(self, replies: list[bytes]) -> None:
        if replies:
            try:
                self.send_frames(replies)
            except PayloadRefused:
                self._send_singly(replies)
            else:
                self._server.counters.bytes_out += sum(map(len, replies))

    def _send_singly(self, replies: list[bytes]) -> None:
        """Send the replies up to the one that cannot be sent.

        Raises ReplyRefused: text may grow when it is answered, so what made it too long was the client's.
        """
        for reply in replies:
            try:
                self.send_frame(reply)
            except PayloadRefused as exc:
                raise ReplyRefused(f"the reply cannot be sent: {exc}") from exc
            self._server.counters.bytes_out += len(reply)

    def _hear(self, text: str) -> None:
        self._server.note(self.transport, "said", text)


class DatagramSession(DatagramProtocol):
    """All clients of a datagram service.  Made by ``Server``."""

    __slots__ = ("_server",)

    def __init__(self, server: Host) -> None:
        self._server = server

    def datagram_received(self, data: bytes, address: Any) -> None:
        """Answer the messages in *data* with one datagram; drop and count what is malformed."""
        server = self._server
        try:
            reply = self._answered(data, address)
        except PeerError as exc:
            server.counters.errors += 1
            server.report(type(exc).__name__, f"dropped a datagram of {format_address(address)}: {exc}")
            return
        # An unbound Unix datagram socket has no address, so nobody can answer it.
        if address:
            server.counters.bytes_out += len(reply)
            self.transport.sendto(reply, address)

    def error_received(self, exc: OSError) -> None:
        """Count what could not be delivered: on a network that is the client's loss, not the server's end."""
        self._server.counters.errors += 1

    def _answered(self, data: bytes, address: Any) -> bytes:
        server = self._server
        if isinstance(server.codec, Raw):
            messages = [data]
        else:
            decoder = server.codec.fresh()
            messages = decoder.feed(data) + decoder.feed_eof()
        server.counters.messages += len(messages)
        server.counters.bytes_in += sum(map(len, messages))
        talk = Talk(server.service, "datagram", lambda text: server.note_text(address, "sent", text))
        return server.codec.encode_many(talk.replies(messages))
