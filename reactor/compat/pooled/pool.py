"""The life of a connection that takes a thread only when it has something to say.

It is in one place at a time, and what moves it is written here::

    waits (room) --readable--> is queued (workers) --a thread is free--> has a turn --done--> ended
      ^                            ^                                    |   |
      |                            +----- more is at hand, others wait -+   |
      +---------------------------- nothing is at hand ---------------------+

A *turn* is what a thread does for a connection: make the handler, which for an ordinary one means the whole of its
``handle``, or let a handler that was kept answer one more request.  A handler that wants to be kept says so during
its turn (``keep``); only when the turn is over is the connection moved, so it is never watched and served at once.

A connection that has waited too long, or is caught by the end of the server, gets a last turn, in a thread as well:
the handler's ``finish`` and the server's ``shutdown_request`` are programs' code and may block.

The queue holds each connection at most once, first come, first served; it cannot grow beyond the connections that
are open.  What cannot be waited for (datagrams) is queued as it comes, up to ``max_waiting_datagrams``, and dropped
beyond: a datagram may be lost anyway, memory may not.

Read next: ``mixin``, for servers, and ``handler``, for handlers.
"""

from __future__ import annotations

import socket
import threading
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING

from reactor.compat.pooled.waiting_room import Guest, Left, WaitingRoom
from reactor.compat.pooled.worker_threads import WorkerThreads
from reactor.errors import UsageError

if TYPE_CHECKING:
    from typing import Any

    from reactor.compat.pooled.waiting_room import Wanted


class Next(Enum):
    """What becomes of a connection after its turn."""

    END = "it is over"
    WAIT = "the next request has not come"
    QUEUE = "the next request is at hand, but others have waited longer"


class Connection(Guest):
    """A request of a pooled server: a guest of the room that can have turns."""

    __slots__ = ("client_address", "handler", "is_told", "next", "pool", "request", "turn")

    def __init__(self, pool: Pool, request: Any, client_address: Any, wanted: Wanted | None) -> None:
        super().__init__(request, pool.idle_timeout, wanted)
        self.pool = pool
        self.request = request
        self.client_address = client_address
        #: The handler that was kept, which has ``resume()`` and ``leave()``.
        self.handler: Any = None
        #: The room has found that there is a request, or an end: nobody needs to look again.
        self.is_told = False
        self.next = Next.END
        #: Odd while it has its turn; each turn has its own number.
        self.turn = 0

    def keep(self, handler: Any, sock: Any, patience: float | None, after: Next) -> None:
        """Do not end after this turn: *handler* goes on when *sock* has the next request, which may take *patience*
        seconds.  During a turn."""
        self.handler = handler
        self.sock = sock
        self.patience = patience
        self.next = after

    def give_up(self) -> None:
        """End after this turn, which has failed; a handler that was kept already finishes."""
        if self.next is not Next.END:
            self.next = Next.END
            self.handler.leave()


#: The connection that has its turn in this thread.
_turn = threading.local()


def present_connection() -> Connection | None:
    """Return the connection that has its turn in the calling thread."""
    connection: Connection | None = getattr(_turn, "connection", None)
    return connection


class Pool:
    """The connections of *server*, a ``PooledMixIn``, from which all settings are read when they are needed."""

    __slots__ = ("_workers", "_dropped", "_room", "_server", "is_closing", "open")

    def __init__(self, server: Any) -> None:
        self._server = server
        self._dropped = 0
        self.is_closing = False
        #: The connections that have not ended.
        self.open: set[Connection] = set()
        self._workers = WorkerThreads(
            lambda: int(server.max_threads), name="pooled", is_daemon=server.daemon_threads
        )
        self._room = WaitingRoom(self._on_left, getattr(server, "reactor_selector", None), name="pooled-waiting")

    @property
    def threads(self) -> int:
        """How many threads serve, or are ready to."""
        return self._workers.threads

    @property
    def waiting(self) -> int:
        """How many connections wait for their peers to say something."""
        return self._room.guests

    @property
    def queued(self) -> int:
        """How many connections, and datagrams, wait for a thread."""
        return self._workers.waiting

    @property
    def idle_timeout(self) -> float | None:
        """How many seconds a connection may be silent."""
        seconds: float | None = self._server.idle_timeout
        return seconds

    # -- coming in ---------------------------------------------------------------------------------------------

    def receive(self, connection: Connection, is_to_wait: bool) -> None:
        """Take a new connection in: to wait for its first bytes, or at once to the threads.

        Raises UsageError after ``close``, RuntimeError when there is no thread for it.
        """
        self.open.add(connection)
        try:
            if not is_to_wait:
                self._queue(connection)
            elif not self._room.enter(connection):
                raise UsageError("the server is closed: it takes no more requests")
        except BaseException:
            self.open.discard(connection)
            raise

    def receive_datagram(self, request: Any, client_address: Any) -> bool:
        """Queue what cannot be waited for; return False if it is dropped."""
        if self._workers.waiting >= self._server.max_waiting_datagrams:
            self._dropped += 1
            self._room.tell("pool", f"a request was dropped: {self._workers.waiting} wait; {self._dropped} so far")
            return False
        self._workers.submit(partial(self._server.process_request_thread, request, client_address))
        return True

    # -- moving ------------------------------------------------------------------------------------------------

    def _on_left(self, connection: Connection, why: Left) -> None:
        """In the room's thread: a connection has left it."""
        connection.is_told = why is Left.READY
        task = self._take_turn if why is Left.READY else self._end
        try:
            self._workers.submit(partial(task, connection))
        except RuntimeError as exc:
            self._room.tell("pool", f"a connection was ended: there is no thread for it: {exc}")
            self._end(connection)

    def _queue(self, connection: Connection) -> None:
        self._workers.submit(partial(self._take_turn, connection))

    def _take_turn(self, connection: Connection) -> None:
        """In a worker thread: let the connection do what it has to, and move it on."""
        _turn.connection = connection
        connection.next = Next.END
        connection.turn += 1
        cancel = self._limit_time(connection)
        try:
            self._server.process_request_thread(connection.request, connection.client_address)
        finally:
            connection.turn += 1
            _turn.connection = None
            if cancel is not None:
                cancel()
            if connection.next is Next.END:
                self.open.discard(connection)
            else:
                self._move_on(connection)

    def _move_on(self, connection: Connection) -> None:
        connection.is_told = False
        try:
            if connection.next is Next.QUEUE and not self.is_closing:
                self._queue(connection)
                return
        except UsageError:
            pass  # the server was closed between the two lines
        if not self._room.enter(connection):
            self._end(connection)

    def must_yield(self) -> bool:
        """Tell a handler whether others wait for its thread."""
        return self._workers.waiting > 0

    def _limit_time(self, connection: Connection) -> Any:
        seconds = self._server.request_timeout
        return None if seconds is None else self._room.call_later(seconds, self._cut, connection, connection.turn)

    def _cut(self, connection: Connection, turn: int) -> None:
        """In the room's thread: end the connection under a thread that has it for too long, so that it notices."""
        if connection.turn != turn:
            return
        self._room.tell("pool", f"{connection.client_address} was cut off: its request kept a thread for too long")
        try:
            # Not the method of a TLS socket, which would go on in plain text.
            socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)
        except (OSError, TypeError):
            pass  # it has ended, or is no socket

    # -- ending ------------------------------------------------------------------------------------------------

    def _end(self, connection: Connection) -> None:
        """The last turn: let the handler finish, and shut the request down."""
        try:
            if connection.handler is not None:
                connection.handler.leave()
        except Exception:
            self._server.handle_error(connection.request, connection.client_address)
        finally:
            self.open.discard(connection)
            self._server.shutdown_request(connection.request)

    def close(self, *, is_to_wait: bool) -> None:
        """End what waits, let what is being served come to its end, and wait for that if *is_to_wait*.

        Any thread, a worker included: it does not wait for itself.
        """
        self.is_closing = True
        self._room.close()
        for thread in self._workers.close():
            if is_to_wait and thread is not threading.current_thread():
                thread.join()
