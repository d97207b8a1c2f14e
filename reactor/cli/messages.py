"""Where the messages of ``reactor call`` come from: the command line, a file, or stdin.

A feed is an iterator that a client asks when there is room on the connection.  Files are read as far as the
client asks. Stdin is a descriptor like any other: while it is silent the feed says None, and when something
arrives it says ``on_more``, so replies are printed while a person thinks.  What epoll cannot watch (EPERM: a
regular file, /dev/null) is always ready, and is read as a file.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from typing import TYPE_CHECKING

from reactor.cli.terminal import tell
from reactor.errors import FrameTooLong, FramingError
from reactor.framing.delimiter import Lines
from reactor.framing.raw import Raw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from reactor.framing.codec import Codec
    from reactor.net.reactor import Reactor

CHUNK_BYTES = 64 * 1024

PROMPT = ">>> "

#: At a terminal, the line that ends a conversation; Ctrl-D does as well.
LAST_WORD = b"exit"


class Feed:
    """Messages that are there already, or can be read without waiting."""

    __slots__ = ("_messages", "on_more")

    #: Whether a person types them.
    is_interactive = False

    def __init__(self, messages: Iterable[bytes]) -> None:
        self._messages = iter(messages)
        #: Called when something is there after ``next`` has returned None.
        self.on_more: Callable[[], object] = _nobody

    def __iter__(self) -> Iterator[bytes | None]:
        return self

    def __next__(self) -> bytes | None:
        return next(self._messages)

    def close(self) -> None:
        """Give back what is open."""


class StdinFeed(Feed):
    """What arrives on stdin, cut by *codec*."""

    __slots__ = ("_codec", "_failure", "_fd", "_has_ended", "_is_watching", "_loop", "_waiting", "is_interactive")

    def __init__(self, loop: Reactor, fd: int, codec: Codec) -> None:
        """Raises OSError (EPERM) if *fd* cannot be watched."""
        super().__init__(())
        self.is_interactive = os.isatty(fd)
        self._codec = codec
        self._loop = loop
        self._fd = fd
        self._waiting: deque[bytes] = deque()
        self._has_ended = self._is_watching = False
        #: Why nothing more can be read; whoever asks for the next message is told.
        self._failure: Exception | None = None
        loop.add_reader(fd, self._on_readable)
        loop.remove_reader(fd)

    def __next__(self) -> bytes | None:
        """Return the next message, or None and watch for one.  Raises FrameTooLong, OSError."""
        if self._waiting:
            return self._waiting.popleft()
        if self._failure is not None:
            raise self._failure
        if self._has_ended:
            raise StopIteration
        if not self._is_watching:
            self._is_watching = True
            self._loop.add_reader(self._fd, self._on_readable)
            self._prompt()
        return None

    def close(self) -> None:
        """Watch no more."""
        if self._is_watching:
            self._is_watching = False
            self._loop.remove_reader(self._fd)

    def _prompt(self) -> None:
        if self.is_interactive:
            sys.stderr.write(PROMPT)
            sys.stderr.flush()

    def _on_readable(self) -> None:
        data = b""
        try:
            data = os.read(self._fd, CHUNK_BYTES)
            self._waiting.extend(fed(self._codec, data))
        except (FrameTooLong, OSError) as exc:
            # Not for the loop, which would report it and call again: the descriptor is still ready.
            self._failure, data = exc, b""
        if self.is_interactive:
            self._heed_person()
        self._has_ended = self._has_ended or not data
        if self._waiting or self._has_ended:
            self.close()
            self.on_more()

    def _heed_person(self) -> None:
        """Stop at the last word; an empty line sends nothing, it is the person's way of asking for another
        prompt."""
        if LAST_WORD in self._waiting:
            self._has_ended = True
            while self._waiting.pop() != LAST_WORD:
                pass
        while b"" in self._waiting:
            self._waiting.remove(b"")
            self._prompt()


def from_stdin(loop: Reactor, is_bytes: bool, limit: int) -> Feed:
    """Return what arrives on stdin: lines of at most *limit* bytes, or chunks of bytes if *is_bytes*."""
    fd = sys.stdin.fileno()
    if os.isatty(fd):
        tell("one message a line; 'exit' or Ctrl-D ends")
        is_bytes = False
    try:
        return StdinFeed(loop, fd, _codec(is_bytes, limit))
    except PermissionError:
        return Feed(read_all(fd, _codec(is_bytes, limit)))


def from_file(path: str, is_bytes: bool, limit: int) -> Feed:
    """Return the lines or the bytes of a file.  Raises OSError at once if it cannot be opened."""
    return Feed(read_all(os.open(path, os.O_RDONLY | os.O_CLOEXEC), _codec(is_bytes, limit)))


def read_all(fd: int, codec: Codec) -> Iterator[bytes]:
    """Yield all messages that can be read from *fd*, and close it."""
    with open(fd, "rb", buffering=0) as file:
        while data := file.read(CHUNK_BYTES):
            yield from fed(codec, data)
        yield from fed(codec, b"")


def fed(codec: Codec, data: bytes) -> list[bytes]:
    """Return what *data*, or the end of the input if it is empty, completes.  Raises FrameTooLong for a
    long line."""
    try:
        return codec.feed(data) if data else codec.feed_eof()
    except FramingError:
        limit = codec.max_frame_length
        raise FrameTooLong(f"a line of the input is longer than --max-frame-length, {limit}") from None


def _codec(is_bytes: bool, limit: int) -> Codec:
    return Raw() if is_bytes else Lines(max_frame_length=limit)


def _nobody() -> None:
    """Nobody waits."""
