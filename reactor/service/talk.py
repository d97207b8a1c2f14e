"""One conversation: messages in, replies out.  Sans-IO.

The only state that a conversation can have is half a character.  Where messages have no boundaries (raw mode) a
character of several bytes may be cut by the network; an incremental decoder keeps its beginning until the rest
comes. Where they have, each message is whole, and half a character in it is an error.

Upper-casing piece by piece is the same as upper-casing the whole, because ``str.upper`` maps each character by
itself (``str.lower`` does not: the Greek sigma looks at its neighbours).  Read next: ``session``.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

from reactor.errors import TextMalformed

if TYPE_CHECKING:
    from codecs import IncrementalDecoder
    from collections.abc import Callable, Iterable

    from reactor.service.catalog import Service

    Hear = Callable[[str], object]


class Talk:
    """What a service says on one connection.  ``is_over`` becomes true when it has nothing more to say."""

    __slots__ = ("_decoder", "_hear", "_last_word", "_service", "is_over")

    def __init__(self, service: Service, mode: str, hear: Hear) -> None:
        """*hear* is told the text of each message if the service wants it noted."""
        self._service = service
        self._hear = hear if service.is_noted else None
        self._last_word = service.last_word if mode == "line" else ""
        self._decoder: IncrementalDecoder | None = None
        if mode == "raw" and service.answer is not None:
            self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.is_over = False

    def opening(self) -> list[bytes]:
        """Return what is said before the peer has said anything."""
        return [self._service.greeting.encode()] if self._service.greeting else []

    def replies(self, messages: list[bytes]) -> list[bytes]:
        """Return the replies to *messages*, in order.

        Raises TextMalformed for what is not UTF-8, with the replies to what came before it.
        """
        answer = self._service.answer
        if answer is None:
            return messages
        replies: list[bytes] = []
        try:
            for text in self._texts(messages):
                if (reply := answer(text)) is not None:
                    replies.append(reply.encode())
        except TextMalformed as fault:
            fault.replies = replies
            raise
        return replies

    def end(self) -> None:
        """The peer has said everything.  Raises TextMalformed if the last character is cut off."""
        if self._decoder is not None:
            _decoded(self._decoder.decode, b"", True)

    def _texts(self, messages: Iterable[bytes]) -> Iterable[str]:
        for message in messages:
            if self._decoder is None:
                text = _decoded(message.decode)
            else:
                text = _decoded(self._decoder.decode, message)
                if message and not text:
                    continue  # not one whole character yet
            if self._last_word and text == self._last_word:
                self.is_over = True
                return
            if self._hear is not None:
                self._hear(text)
            yield text


def _decoded(decode: Callable[..., str], *args: object) -> str:
    try:
        return decode(*args)
    except UnicodeDecodeError as exc:
        raise TextMalformed(f"the service speaks UTF-8, and received what is not: {exc}") from None
