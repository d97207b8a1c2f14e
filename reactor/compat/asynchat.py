"""The asynchat module, which left the standard library in 3.12: channels that speak in turns, command and response.

Incoming bytes are collected until a *terminator*: a byte string, a number of bytes, or none.  Outgoing ones wait in
a queue of pieces and *producers*, which make theirs when it is their turn; None in it closes the channel.

Everything has the name, the arguments and the meaning that the library reference of 3.11 gives it, so
``import reactor.compat.asynchat as asynchat`` runs existing programs.  What is different is what was broken:

- *Both directions are bounded*: ``ac_out_buffer_limit``, ``ac_in_buffer_limit``.  In the original a client that
  reads nothing, or never sends the terminator, takes all the memory there is.
- *Small lines cost what they weigh.*  The original copies what is left of the buffer for each line in it, so 64 KiB
  of newlines are 2 GiB to copy: here a line is cut off the front in place.
- *After ``close`` nothing is found any more* in what the same read had brought.
- Pieces that are empty, change after ``push``, or count otherwise as text than as bytes, do not stop, spoil or
  shift what follows.

Read next: ``docs/asyncore.md``.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from reactor.compat import asyncore
from reactor.compat.channels.events import is_out
from reactor.compat.channels.watch import wake
from reactor.errors import FrameTooLong, WriteBufferFull

if TYPE_CHECKING:
    from typing import Any

#: What a piece in a queue weighs beside its bytes: the object and its place.
ENTRY_BYTES = 64

#: Collected bytes of one channel at which it is given up, unless it is told otherwise: as much as may wait to be
#: sent.  A program that expects more, a large upload say, writes it where it belongs in ``collect_incoming_data``.
IN_BUFFER_BYTES = asyncore.OUT_BUFFER_BYTES

_BYTES = (bytes, bytearray, memoryview)


class async_chat(asyncore.dispatcher):
    """A channel with a terminator and a queue.  Derive from it; ``collect_incoming_data`` and ``found_terminator``
    are yours to write."""

    #: Bytes of one read, and of one write.
    ac_in_buffer_size = 65536
    ac_out_buffer_size = 65536
    #: Bytes beyond which ``push`` raises WriteBufferFull and ``_collect_incoming_data`` FrameTooLong, each piece
    #: counted with 64 bytes more for its keeping; None: no limit.
    ac_out_buffer_limit: int | None = asyncore.OUT_BUFFER_BYTES
    ac_in_buffer_limit: int | None = IN_BUFFER_BYTES

    #: Whether text is taken for bytes, in this encoding.
    use_encoding: bool | int = 0
    encoding = "latin-1"

    terminator: Any = None
    _out_weight = 0
    _in_weight = 0

    def __init__(self, sock: Any = None, map: dict[int, Any] | None = None) -> None:
        self.ac_in_buffer: Any = bytearray()
        self.incoming: list[Any] = []
        self.producer_fifo: deque[Any] = deque()
        asyncore.dispatcher.__init__(self, sock, map)

    # -- what comes in -----------------------------------------------------------------------------------------

    def collect_incoming_data(self, data: bytes) -> None:
        """Called with *data* that belongs before the terminator; to be overridden."""
        raise NotImplementedError("must be implemented in subclass")

    def found_terminator(self) -> None:
        """Called when the terminator was found; to be overridden."""
        raise NotImplementedError("must be implemented in subclass")

    def _collect_incoming_data(self, data: bytes) -> None:
        """A ``collect_incoming_data`` that keeps *data* for ``_get_data``.

        Raises FrameTooLong beyond ``ac_in_buffer_limit``.
        """
        self.incoming.append(data)
        self._in_weight += len(data) + ENTRY_BYTES
        limit = self.ac_in_buffer_limit
        if limit is not None and self._in_weight > limit:
            self._in_weight = sum(map(_weight, self.incoming))
            if self._in_weight > limit:
                raise FrameTooLong(
                    f"{self.addr!r} sent {sum(map(len, self.incoming))} bytes in {len(self.incoming)} pieces "
                    f"without a terminator; raise ac_in_buffer_limit ({limit}) if that is right"
                )

    def _get_data(self) -> bytes:
        """Return what ``_collect_incoming_data`` kept, and keep it no more."""
        data = b"".join(self.incoming)
        del self.incoming[:]
        self._in_weight = 0
        return data

    def set_terminator(self, term: Any) -> None:
        """Collect until *term*: bytes; text if ``use_encoding``; a number of bytes; None or empty: forever.

        After a number of bytes was found the terminator is 0, which is forever.  Raises ValueError if negative.
        """
        if isinstance(term, str) and self.use_encoding:
            term = bytes(term, self.encoding)
        elif isinstance(term, int) and term < 0:
            raise ValueError("the number of received bytes must be positive")
        self.terminator = term

    def get_terminator(self) -> Any:
        """Return the terminator; of a number, what is still missing."""
        return self.terminator

    def handle_read(self) -> None:
        """Read, and hand on all that is complete."""
        was_open = not is_out(self)
        try:
            data: Any = self.recv(self.ac_in_buffer_size)
        except BlockingIOError:
            return
        except OSError:
            self.handle_error()
            return
        if isinstance(data, str) and self.use_encoding:
            data = bytes(data, self.encoding)
        self.ac_in_buffer += data
        while self.ac_in_buffer and self._take(self.get_terminator()):
            if was_open and is_out(self):
                return

    def _take(self, terminator: Any) -> bool:
        """Collect from the buffer up to *terminator*; return True if there may be more to take."""
        size = len(self.ac_in_buffer)
        if not terminator:
            self._collect(size)
        elif isinstance(terminator, int):
            if size < terminator:
                self._collect(size)
                self.terminator = terminator - size
            else:
                self._collect(terminator)
                self.terminator = 0
                self.found_terminator()
        else:
            return self._take_until(terminator)
        return True

    def _take_until(self, terminator: Any) -> bool:
        """Collect up to a terminator of bytes, or what cannot be the beginning of one."""
        if isinstance(terminator, str):
            raise TypeError(f"the terminator {terminator!r} is text: give bytes, or set use_encoding")
        index = self.ac_in_buffer.find(terminator)
        if index >= 0:
            if index:
                self._collect(index)
            self._cut(len(terminator))
            self.found_terminator()
            return True
        kept = find_prefix_at_end(self.ac_in_buffer, terminator)
        if len(self.ac_in_buffer) > kept:
            self._collect(len(self.ac_in_buffer) - kept)
        return not kept

    def _collect(self, size: int) -> None:
        """Hand on the first *size* bytes of the buffer."""
        self.collect_incoming_data(self._cut(size))

    def _cut(self, size: int) -> bytes:
        """Take the first *size* bytes off the buffer, which a program may have set to bytes of its own."""
        if not isinstance(self.ac_in_buffer, bytearray):
            self.ac_in_buffer = bytearray(self.ac_in_buffer)
        taken = bytes(self.ac_in_buffer[:size])
        del self.ac_in_buffer[:size]
        return taken

    # -- what goes out -----------------------------------------------------------------------------------------

    def push(self, data: Any) -> None:
        """Queue *data*, bytes or the like, and begin to send.  It is copied if it can change.

        Raises TypeError for anything else, and WriteBufferFull, taking nothing, while more than
        ``ac_out_buffer_limit`` bytes wait already.
        """
        if not isinstance(data, _BYTES):
            raise TypeError(f"data argument must be byte-ish ({type(data)!r})")
        self._check_room()
        data = bytes(data)
        size = self.ac_out_buffer_size
        for start in range(0, len(data), size):
            self._queue(data if len(data) <= size else data[start : start + size])
        self._begin_send()

    def push_with_producer(self, producer: Any) -> None:
        """Queue *producer*, whose ``more()`` returns bytes until it returns none, and begin to send.

        Raises WriteBufferFull as ``push`` does.
        """
        self._check_room()
        self._queue(bytes(producer) if isinstance(producer, _BYTES) else producer)
        self._begin_send()

    def close_when_done(self) -> None:
        """Close the channel when all that is queued now has been sent."""
        self.producer_fifo.append(None)
        wake(self._map)

    def discard_buffers(self) -> None:
        """Drop what was received and not handed on, and all that waits to be sent.  For emergencies."""
        self.ac_in_buffer = bytearray()
        del self.incoming[:]
        self.producer_fifo.clear()

    def _queue(self, piece: Any) -> None:
        self.producer_fifo.append(piece)
        self._out_weight += _weight(piece)

    def _begin_send(self) -> None:
        self.initiate_send()
        if self.producer_fifo:
            wake(self._map)

    def _check_room(self) -> None:
        """Raise WriteBufferFull if too much waits already.  Programs change the queue, so it is counted first."""
        limit = self.ac_out_buffer_limit
        if limit is not None and self._out_weight > limit:
            self._out_weight = sum(map(_weight, self.producer_fifo))
            if self._out_weight > limit:
                raise WriteBufferFull(
                    f"{self._out_weight} bytes in {len(self.producer_fifo)} pieces wait to be sent to "
                    f"{self.addr!r}, which does not read them; raise ac_out_buffer_limit ({limit}) if that is right"
                )

    def initiate_send(self) -> None:
        """Send the first piece that there is, as much of it as the socket takes."""
        fifo = self.producer_fifo
        while fifo and self.connected:
            first = fifo[0]
            if first is None:
                self._drop_first()
                self.handle_close()
                return
            try:
                data = first[: self.ac_out_buffer_size]
            except TypeError:
                self._refill(first)
                continue
            if isinstance(data, str) and self.use_encoding:
                fifo[0] = bytes(first, self.encoding)
            elif not data:
                self._drop_first()
            else:
                self._send_first(first, bytes(data) if isinstance(data, memoryview) else data)
                return

    def _refill(self, producer: Any) -> None:
        """Put what *producer*, the first in the queue, makes before it; drop a producer that makes no more."""
        data = producer.more()
        if data:
            self.producer_fifo.appendleft(data)
            self._out_weight += _weight(data)
        else:
            self._drop_first()

    def _send_first(self, first: Any, data: Any) -> None:
        """Send *data*, the beginning of *first*, which is the first in the queue."""
        try:
            sent = self.send(data)
        except OSError:
            self.handle_error()
            return
        fifo = self.producer_fifo
        if sent and fifo and fifo[0] is first:
            if sent == len(first):
                self._drop_first()
            else:
                fifo[0] = memoryview(first)[sent:] if isinstance(first, _BYTES) else first[sent:]
                self._out_weight -= sent

    def _drop_first(self) -> None:
        self._out_weight = max(self._out_weight - _weight(self.producer_fifo.popleft()), 0)

    # -- events ------------------------------------------------------------------------------------------------

    def handle_write(self) -> None:
        """Send."""
        self.initiate_send()

    def handle_close(self) -> None:
        """Close."""
        self.close()

    def readable(self) -> bool:
        """True: whether more is collected is not for the loop to decide."""
        return True

    def writable(self) -> bool:
        """True while something is queued, or the connection is not made yet."""
        return bool(self.producer_fifo) or not self.connected


class simple_producer:
    """A producer of *data*, *buffer_size* bytes at a time."""

    def __init__(self, data: Any, buffer_size: int = 512) -> None:
        self.data = data
        self.buffer_size = buffer_size

    def more(self) -> Any:
        """Return the next bytes, none at the end."""
        result, self.data = self.data[: self.buffer_size], self.data[self.buffer_size :]
        return result


def find_prefix_at_end(haystack: Any, needle: Any) -> int:
    """Return how many of the first characters of *needle*, but not all of them, stand at the end of *haystack*."""
    length = len(needle) - 1
    while length and not haystack.endswith(needle[:length]):
        length -= 1
    return length


def _weight(piece: Any) -> int:
    """Return what *piece* takes in a queue."""
    return ENTRY_BYTES + (len(piece) if isinstance(piece, (*_BYTES, str)) else 0)
