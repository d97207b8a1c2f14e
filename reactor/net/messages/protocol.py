"""The protocol for transports that keep the boundaries of messages by themselves.

Its life is that of a stream protocol, with messages in the place of bytes::

    life   = connection_made, { message_received | pause_writing | resume_writing }, [ eof_received, { ... } ],
             connection_lost(exc)
           | connection_failed(exc)                       only where it was this side that connected

It needs no codec: what one side gives to ``send_message`` is what the other is given, whole, in order, and once.
An empty message is a message.  Read next: ``stream``, which calls it.
"""

from __future__ import annotations

from reactor.limits import SCRATCH_BYTES
from reactor.net.protocol import BaseProtocol

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from reactor.net.messages.stream import MessageStream


class MessageProtocol(BaseProtocol):
    """A protocol for whole messages; ``max_message_size`` bounds them, in bytes, in both directions."""

    __slots__ = ()

    max_message_size = SCRATCH_BYTES

    transport: MessageStream

    if TYPE_CHECKING:

        def connection_made(self, transport: MessageStream, /) -> None: ...

    def message_received(self, data: bytes, /) -> None:
        """One message arrived; it may be empty."""

    def eof_received(self) -> bool | None:
        """The peer will send no more.  Return true to keep the transport open for sending; else it is closed."""
        return None
