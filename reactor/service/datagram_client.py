"""A client for datagrams: one message goes out, its reply comes back, then the next.

UDP loses datagrams, and may deliver them twice or out of order.  Nothing is sent again here: whether that is
safe only the application knows.  So a lost datagram is an IdleTimeout, and the replies that came before it are
there.  The socket is connected, so datagrams of strangers are not seen, and the kernel tells when nobody
listens at the other end.  This is the last file of the folder; ``reactor.cli`` is the door to it.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from reactor.errors import ConnectionFailure, IdleTimeout, UsageError, os_error_text
from reactor.framing.raw import Raw
from reactor.net.protocol import DatagramProtocol
from reactor.net.sockets.addresses import format_address
from reactor.service.exchange import REPLY_TIMEOUT, Exchange
from reactor.service.modes import codec_for

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Unpack

    from reactor.framing.codec import Codec
    from reactor.net.datagrams.endpoint import DatagramEndpoint
    from reactor.net.reactor import Reactor, TransportKeywords

    class DatagramKeywords(TransportKeywords, total=False):
        """Of ``Reactor.open_datagram``, with its *local*."""

        local: tuple[str, int] | str | bytes | None


class DatagramClient(Exchange, DatagramProtocol):
    """Sends *messages* one by one in datagrams and collects the ``replies``.

    The arguments are those of ``Client``, and so is the future: ``done()``, ``result()``, ``replies``, ``more()``.
    In raw mode a datagram is a message; otherwise it holds any number of them, and what is sent holds one.
    """

    def __init__(
        self,
        loop: Reactor,
        messages: Iterable[bytes | None],
        *,
        mode: str = "raw",
        timeout: float | None = REPLY_TIMEOUT,
        expected: int | None = None,
    ) -> None:
        """Raises OptionError for values that cannot be, ArgumentError for things of the wrong kind."""
        self.codec: Codec = codec_for(mode)
        self._begin(loop, messages, timeout, expected)

    def connect(
        self, address: tuple[str, int] | str | bytes, **options: Unpack[DatagramKeywords]
    ) -> DatagramEndpoint:
        """Talk to ``(host, port)`` or to a Unix path; options and errors are those of ``Reactor.open_datagram``.

        Once: raises UsageError if it talks already, or is over.
        """
        if self.transport is not None:
            raise UsageError("this client has its endpoint, or had it: make a new one")
        if not isinstance(address, tuple) and sys.platform == "linux":
            # A Unix datagram can only be answered if its sender has a name; an abstract one leaves no file behind.
            options.setdefault("local", f"@reactor-{os.getpid()}-{id(self):x}")
        return self._loop.open_datagram(lambda: self, remote=address, **options)

    # -- for those who derive from it --------------------------------------------------------------------------

    def more(self) -> None:
        """After *messages* had yielded None: ask it again."""
        if self.transport is not None and not self._is_done:
            self._pump()

    def abort(self, error: BaseException) -> None:
        """Give up: ``result()`` raises *error*."""
        self._error = self._error or error
        if self.transport is not None:
            self.transport.abort()

    # -- one after the other -----------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Send the next message unless a reply is awaited; end when there is neither."""
        try:
            while not (self._is_ended or self._owed()) and self._send_next():
                pass
        except Exception as exc:  # of *messages*, or of the codec that cannot carry one of them
            self.abort(exc)
            return
        self._be_patient()
        if self._is_ended and self.received >= self._target():
            self.transport.close()

    def _send_next(self) -> bool:
        message = next(self._messages, self)
        self._is_ended = message is self
        if not isinstance(message, bytes):
            return False
        self.sent += 1
        self.transport.sendto(self.codec.encode(message))
        return True

    def _be_patient(self) -> None:
        self._wait(self._timeout if self._owed() or self._is_ended else None)

    def _lose_patience(self) -> None:
        text = f"no reply for {self._timeout:g} s; {self._progress()}; datagrams may be lost"
        self.abort(IdleTimeout(text))

    # -- what the transport tells ------------------------------------------------------------------------------

    def connection_made(self, transport: DatagramEndpoint) -> None:
        """Begin to send, from the loop and not from inside the call that opened the endpoint."""
        super().connection_made(transport)
        self._loop.call_soon(self._pump)

    def datagram_received(self, data: bytes, address: Any) -> None:
        """Hand the reply on, and send the next message."""
        self.received += 1
        try:
            for reply in self._cut(data):
                self.reply_received(reply)
        except Exception as exc:
            self.abort(exc)
            return
        self._pump()

    def _cut(self, data: bytes) -> list[bytes]:
        if isinstance(self.codec, Raw):
            return [data]
        decoder = self.codec.fresh()
        return decoder.feed(data) + decoder.feed_eof()

    def error_received(self, exc: OSError) -> None:
        """Give up: nobody listens there, or the message was too long."""
        peer = format_address(self.transport.get_extra_info("peername"))
        failure = ConnectionFailure(f"{peer}: {os_error_text(exc)}")
        failure.__cause__ = exc
        self.abort(failure)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The end."""
        self._error = self._error or exc
        self._is_done = True
        self._wait(None)
