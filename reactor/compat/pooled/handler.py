"""Handlers that give their thread back between two requests.

The constructor of an ordinary handler answers everything that a connection will ever ask, so its thread is gone
until the peer hangs up.  A handler that can say what *one* request is needs the thread only for that::

    class Handler(PooledStreamRequestHandler):
        def handle_one(self):
            self.wfile.write(self.rfile.readline().upper())

``handle_one`` is called whenever there is something to read, never at the end of the stream.  It answers one
request, and sets ``close_connection`` if there is to be no other.  On any other server the same class runs in a
simple loop.

**How it is kept.**  The constructor calls ``setup``, ``handle`` and ``finish``, and must return before the
connection is done.  So ``handle`` answers what is at hand, tells the pool to keep the handler, and covers
``finish`` with a method of the object that does nothing; ``resume`` and ``leave`` uncover it.  Covering works for
each class whose constructor is the standard one, http.server's included, and finds the ``finish`` of subclasses.

**What must not be lost** are bytes that ``rfile`` has buffered: no poller sees them.  Nothing waits in the room
while ``rfile`` holds the beginning of a request: either that is answered first, or it is given back to be
collected.

**A slow client** sends the beginning of a request and takes its time.  With ``request_end`` set, the reactor
collects a request up to that delimiter, or to ``request_limit`` bytes, before a thread is taken for it.

Read next: ``http``.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from reactor.compat.pooled.pool import Connection, Next, present_connection
from reactor.compat.pooled.waiting_room import is_would_block
from reactor.compat.serving.request_handlers import StreamRequestHandler
from reactor.errors import UsageError

if TYPE_CHECKING:
    from typing import Any

    _Handler = StreamRequestHandler
else:
    _Handler = object

#: Bytes of a request that are collected before a thread takes over (Node.js takes heads of 16 KiB).
REQUEST_LIMIT = 16 * 1024


class Source(io.RawIOBase):
    """What ``rfile`` reads from: first what has been collected, then *raw*, the connection as an unbuffered file.

    ``may_wait`` false answers from what is there, and with ``may_ask`` false not even the kernel is asked.
    """

    def __init__(self, raw: Any, sock: Any) -> None:
        self._raw = raw
        self._sock = sock
        self._collected = bytearray()
        self.may_wait = True
        self.may_ask = True
        #: The end of the stream was seen, or an error, which is its end as well.
        self.is_at_end = False

    def readable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the connection's descriptor."""
        return int(self._raw.fileno())

    def close(self) -> None:
        """Close *raw*; what was collected is dropped."""
        if not self.closed:
            self._collected.clear()
            self._raw.close()
        super().close()

    def put(self, collected: bytearray) -> None:
        """Have *collected* read before anything else."""
        self._collected += collected

    def take(self) -> bytearray:
        """Take back what was put and has not been read."""
        taken, self._collected = self._collected, bytearray()
        return taken

    def readinto(self, buffer: Any, /) -> int | None:
        """Read into *buffer*; return the number of bytes, 0 at the end, None if there is nothing at present."""
        if self._collected:
            size = min(len(buffer), len(self._collected))
            buffer[:size] = self._collected[:size]
            del self._collected[:size]
            return size
        if not self.may_ask:
            return None
        found: int | None = self._raw.readinto(buffer) if self.may_wait else self._read_at_hand(buffer)
        if found == 0:
            self.is_at_end = True
        return found

    def _read_at_hand(self, buffer: Any) -> int | None:
        """Read without waiting; an error counts as the end."""
        timeout = self._sock.gettimeout()
        try:
            self._sock.settimeout(0)
            try:
                size: int | None = self._raw.readinto(buffer)
            finally:
                self._sock.settimeout(timeout)
        except OSError as exc:
            return None if is_would_block(exc) else 0
        return size


class PooledHandlerMixIn(_Handler):
    """Makes a stream handler one that can be kept.  Stands before the handler class in the list of bases.

    Subclasses have ``handle_one``.  All methods run in a thread of the pool, one at a time for each connection, but
    not always in the same thread.  ``finish`` runs when the connection ends, for whatever reason.
    """

    #: Set by ``handle_one``: there is to be no further request on this connection.
    close_connection = False

    #: The delimiter at which a request ends; with it the reactor collects requests, without it only watches.
    request_end: bytes | None = None

    #: Bytes after which an incomplete request is given to a thread as it is.
    request_limit = REQUEST_LIMIT

    @classmethod
    def is_request_complete(cls, data: bytearray, start: int) -> bool:
        """Return whether *data* begins with a whole request; what stands before *start* was looked at before.

        Called in the reactor's thread, where it must be quick, if ``request_end`` is not None.
        """
        end = cls.request_end or b""
        return data.find(end, max(0, start - len(end) + 1)) >= 0

    def handle_one(self) -> None:
        """Answer one request.  It may block."""
        raise NotImplementedError(f"{type(self).__name__} has no handle_one(): read and answer one request in it")

    def setup(self) -> None:
        """Make ``connection``, ``rfile`` and ``wfile``; what was collected is in ``rfile``.

        Raises UsageError when bytes were collected from a socket that was wrapped afterwards.
        """
        self._pooled = present_connection()
        if self._pooled is not None and self._pooled.collected and self._pooled.request is not self.request:
            raise UsageError("a request was collected before its socket was wrapped: wrap it in get_request")
        super().setup()
        self._source = Source(self.connection.makefile("rb", 0), self.connection)
        self.rfile.close()
        self.rfile = io.BufferedReader(self._source, self.rbufsize if self.rbufsize > 1 else io.DEFAULT_BUFFER_SIZE)

    def handle(self) -> None:
        """Answer what is at hand, then give the thread back."""
        if self._pooled is None:
            self._handle_alone()
            return
        after = self._take_turn(self._pooled)
        if after is not Next.END:
            self._keep(self._pooled, after)

    def _handle_alone(self) -> None:
        """Answer everything: this server has no pool."""
        super().handle()

    def _take_turn(self, connection: Connection) -> Next:
        self._source.put(connection.collected)
        connection.collected = bytearray()
        has_request = self._has_request(may_ask=True, is_told=connection.is_told)
        while has_request:
            self.handle_one()
            if self.close_connection or not self._is_flushed():
                return Next.END
            has_request = self._has_request(may_ask=False)
            if has_request and connection.pool.must_yield():
                return Next.QUEUE
        return Next.END if self._source.is_at_end else Next.WAIT

    def _has_request(self, *, may_ask: bool, is_told: bool = False) -> bool:
        """Return True if a request is at hand, as far as that is known without waiting."""
        data = self._peek(may_ask)
        if not data or is_told or self.request_end is None:
            return bool(data)
        return len(data) >= self.request_limit or self.is_request_complete(bytearray(data), 0)

    def _peek(self, may_ask: bool) -> bytes:
        """Return what can be read now, without taking it."""
        source = self._source
        if self.rfile.closed:
            source.is_at_end = True
            return b""
        source.may_wait, source.may_ask = False, may_ask
        try:
            return bytes(self.rfile.peek(1))
        finally:
            source.may_wait = source.may_ask = True

    def _is_flushed(self) -> bool:
        """Send what ``wfile`` holds; return True if the peer took it."""
        try:
            if not self.wfile.closed:
                self.wfile.flush()
        except OSError:
            return False
        return True

    def _keep(self, connection: Connection, after: Next) -> None:
        if self.request_end is not None:
            buffered = self._peek(may_ask=False)
            connection.collected = bytearray(self.rfile.read1(len(buffered))) if buffered else bytearray()
            connection.collected += self._source.take()
        limits = [limit for limit in (self.timeout, connection.pool.idle_timeout) if limit is not None]
        vars(self)["finish"] = _nothing
        connection.keep(self, self.connection, min(limits, default=None), after)

    def resume(self) -> None:
        """For the pool: the next turn."""
        vars(self).pop("finish", None)
        try:
            self.handle()
        finally:
            self.finish()

    def leave(self) -> None:
        """For the pool: the connection ends without another request."""
        vars(self).pop("finish", None)
        self.finish()


class PooledStreamRequestHandler(PooledHandlerMixIn, StreamRequestHandler):
    """A stream handler that answers one request at a time: subclasses have ``handle_one``."""

    def _handle_alone(self) -> None:
        while not self.close_connection and self.rfile.peek(1):
            self.handle_one()
            if not self._is_flushed():
                break


def _nothing() -> None:
    """What stands before ``finish`` while a handler is kept."""
