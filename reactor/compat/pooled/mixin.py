"""Any number of open connections, a bounded number of threads: a mix-in in the place of ``ThreadingMixIn``.

Most connections of most servers are silent most of the time.  ``ThreadingMixIn`` spends a thread on each of them, a
stack and a place in the scheduler's lists, to wait.  Here all of them wait in one reactor, and a connection takes
one of ``max_threads`` threads when it has something to say::

    class Server(PooledMixIn, TCPServer):
        max_threads = 16

What a handler may do is unchanged: it blocks, in a thread.  How *long* it has the thread depends on its kind:

- **any handler** is given a thread when the first bytes of its connection have arrived, and has it until ``handle``
  returns.  That fits handlers that answer one request and end, however many clients take their time to ask;
- **a handler that answers one request at a time** gives the thread back between two requests, and can have each of
  them collected by the reactor before it takes one: see ``handler``.

It works over the servers of this package and over those of the standard library.  Read next: ``handler``.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from reactor.compat.pooled.pool import Connection, Next, Pool, present_connection
from reactor.compat.pooled.waiting_room import Wanted

if TYPE_CHECKING:
    from typing import Any

    from reactor.compat.serving.base_server import BaseServer as _Server
else:
    _Server = object

#: Two first requests at once make one pool.
_making = threading.Lock()


class PoolCounts(NamedTuple):
    """What a pooled server is doing: connections that are open, that wait for their peers, that wait for a thread
    (datagrams among them), and the threads there are."""

    open: int
    waiting: int
    queued: int
    threads: int


class PooledMixIn(_Server):
    """Answers requests in a bounded number of threads.  Stands before the server in the list of bases.

    Beside those threads there is one in which connections wait; it is started by the first request.  A server whose
    protocol lets *it* speak first must say so with ``speaks_first``, or both sides wait.
    """

    #: Threads that answer requests; the same number as of ForkingMixIn's children.
    max_threads = 40

    #: Let the program end although requests are being answered; ``server_close`` does not wait for them then.
    daemon_threads = False

    #: Let ``server_close`` wait for the requests that are being answered, unless the threads are daemons.
    block_on_close = True

    #: Seconds that a connection may wait before its first request and between two; None: forever.
    idle_timeout: float | None = None

    #: Seconds from the first byte of a request to the last, where the reactor collects it (nginx: 60).
    collect_timeout: float | None = 60.0

    #: Seconds that a thread may be busy with one connection at a stretch; then the connection is cut off under it.
    request_timeout: float | None = None

    #: The handler writes before the client does: give each new connection a thread at once.
    speaks_first = False

    #: Datagrams, or other requests that are no connections, that may wait for a thread.
    max_waiting_datagrams = 1024

    _pool: Pool | None = None

    def process_request(self, request: Any, client_address: Any) -> None:
        """Have the connection wait for its first bytes, or the datagram for a thread."""
        pool = self._open_pool()
        if _is_connection(request):
            wanted = wanted_by(self.RequestHandlerClass, self.collect_timeout)
            connection = Connection(pool, request, client_address, wanted)
            pool.receive(connection, is_to_wait=not self.speaks_first)
        elif not pool.receive_datagram(request, client_address):
            self.shutdown_request(request)

    def _open_pool(self) -> Pool:
        with _making:
            if self._pool is None:
                self._pool = Pool(self)
            return self._pool

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Give the connection its turn, in a thread; what that raises goes to ``handle_error``.

        May be extended, to have something done around each turn.  For a handler that is kept there are several.
        """
        connection = present_connection()
        try:
            if connection is None or connection.handler is None:
                self.finish_request(request, client_address)
            else:
                connection.handler.resume()
        except BaseException as exc:
            if connection is not None:
                connection.give_up()
            if not isinstance(exc, Exception):
                raise
            self.handle_error(request, client_address)
        finally:
            if connection is None or connection.next is Next.END:
                self.shutdown_request(request)

    def pool_counts(self) -> PoolCounts:
        """Return what the server is doing.  Any thread."""
        pool = self._pool
        if pool is None:
            return PoolCounts(0, 0, 0, 0)
        return PoolCounts(len(pool.open), pool.waiting, pool.queued, pool.threads)

    def server_close(self) -> None:
        """Close the server, end the connections that wait, and let those that are being answered come to their end.

        Waits for them as far as ``block_on_close`` and ``daemon_threads`` say.
        """
        super().server_close()
        with _making:
            pool = self._pool
        if pool is not None:
            pool.close(is_to_wait=self.block_on_close and not self.daemon_threads)


def wanted_by(handler_class: Any, timeout: float | None) -> Wanted | None:
    """Return what the reactor is to collect for a handler; None if it is only to watch.

    The handler's class says so by ``request_end`` and ``request_limit``; a ``functools.partial`` of it is seen
    through.
    """
    while isinstance(handler_class, partial):
        handler_class = handler_class.func
    if getattr(handler_class, "request_end", None) is None:
        return None
    return Wanted(handler_class.is_request_complete, handler_class.request_limit, timeout)


def _is_connection(request: Any) -> bool:
    """Return True if *request* can be waited for: it has a descriptor."""
    fileno = getattr(request, "fileno", None)
    return callable(fileno) and fileno() >= 0
