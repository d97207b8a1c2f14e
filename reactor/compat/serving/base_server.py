"""A server without a transport: it waits for requests, asks whether they are wanted, and has them answered.

Every step is a method that a subclass may replace, and programs replace all of them.  So the order in which they
are called, what each may raise and who hears of it, is the contract; it is that of the standard library's module::

    serve_forever or handle_request
      get_request              an OSError means: there was none after all
      verify_request           False: shutdown_request
      process_request          mix-ins answer elsewhere: in a thread, in a process
        finish_request         makes the handler, which does the work
        shutdown_request       close_request
      handle_error             when process_request raised an Exception; then shutdown_request
    service_actions            after each round of serve_forever

What is different is written at each method, and in ``docs/socketserver.md`` with the reasons: nobody polls for
``shutdown``, it may be called from a handler, a lack of descriptors does not spin, a request is closed when
``verify_request`` raises.

The flag that asks for the end keeps the (mangled) name that it has in the standard library, because programs set it
from handlers to get around the dead lock that ``shutdown`` has there.  Here it is a property: to set it wakes the
server.

Read next: ``socket_servers``.
"""

from __future__ import annotations

import sys
import threading
import traceback
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from reactor.compat.serving.server_selector import ServerSelector
from reactor.limits import ACCEPT_BACKOFF
from reactor.net.connections.acceptor import EXHAUSTED
from reactor.printable import printable
from reactor.telling.reports import logger

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self


class BaseServer:
    """The base of all servers.  Subclasses give it ``fileno()`` and ``get_request()``.

    Call ``serve_forever``, ``shutdown``, ``handle_request``, ``server_close``; replace what you like of the rest.
    *server_address* is whatever the transport calls an address, *RequestHandlerClass* is called with
    ``(request, client_address, server)`` for each request.  Usable with ``with``: it is closed at the end.
    """

    #: Seconds that ``handle_request`` waits before it calls ``handle_timeout``; None: forever.
    timeout: float | None = None

    #: The poller that waits: "epoll", "poll", "select", "kqueue"; None for the best, or what REACTOR_SELECTOR says.
    reactor_selector: str | None = None

    def __init__(self, server_address: Any, RequestHandlerClass: Callable[[Any, Any, Any], object]) -> None:
        self.server_address = server_address
        self.RequestHandlerClass = RequestHandlerClass
        self.__is_shut_down = threading.Event()
        self.__is_to_stop = False
        self.__selector: ServerSelector | None = None
        self.__serving_thread: int | None = None
        self.__failure: OSError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.server_close()

    # -- serving -----------------------------------------------------------------------------------------------

    def serve_forever(self, poll_interval: float | None = 0.5) -> None:
        """Handle requests, one after the other, until ``shutdown``.  Any thread; ``timeout`` is not regarded.

        ``service_actions``, if a subclass has it, is called after each request and every *poll_interval* seconds
        (None: after requests only); without one nobody is woken for nothing.  What the hooks raise ends it and is
        raised here, but for an ``Exception`` of ``process_request`` and an ``OSError`` of ``get_request``.  Raises
        OSError when there is no descriptor left to wait with, ValueError when ``fileno()`` is no open file.
        """
        self.__is_shut_down.clear()
        try:
            with ServerSelector(self, self.reactor_selector) as selector:
                self.__serving_thread = threading.get_ident()
                self.__selector = selector
                while not self.__shutdown_request:
                    self.__serve_once(selector, poll_interval)
        finally:
            self.__selector = self.__serving_thread = None
            self.__shutdown_request = False
            self.__is_shut_down.set()

    def __serve_once(self, selector: ServerSelector, poll_interval: float | None) -> None:
        is_ready = selector.wait(poll_interval if self.__has_service_actions() else None)
        if self.__shutdown_request:
            return
        if is_ready:
            self.__handle_ready(selector)
        self.service_actions()

    def shutdown(self) -> None:
        """Have ``serve_forever`` end, and wait until it has.  Any thread.

        In the thread that serves (in a handler that was not given a thread, in a signal handler) it cannot wait for
        itself: it returns at once, and ``serve_forever`` ends after the present request.  Before the first
        ``serve_forever`` it waits for that one to begin, and lets it end at once.
        """
        self.__shutdown_request = True
        if self.__serving_thread != threading.get_ident():
            self.__is_shut_down.wait()

    @property
    def __shutdown_request(self) -> bool:
        return self.__is_to_stop

    @__shutdown_request.setter
    def __shutdown_request(self, value: bool) -> None:
        self.__is_to_stop = value
        selector = self.__selector
        if value and selector is not None:
            selector.wake()

    def __has_service_actions(self) -> bool:
        """Return True if somebody wants to be called now and then."""
        return getattr(self.service_actions, "__func__", None) is not BaseServer.service_actions

    def handle_request(self) -> None:
        """Handle one request; if none comes within ``timeout`` seconds, call ``handle_timeout`` instead.

        A timeout of ``self.socket`` counts as well; the shorter one holds.  May be called without
        ``serve_forever``, again and again.
        """
        timeout = self.__effective_timeout()
        deadline = inf if timeout is None else monotonic() + timeout
        selector = self.__open_selector(deadline)
        if selector is not None:
            with selector:
                while selector.wait(_until(deadline)) or monotonic() < deadline:
                    if selector.is_readable and self.__handle_ready(selector):
                        return
        self.handle_timeout()

    def __effective_timeout(self) -> float | None:
        timeouts = [self.timeout, self.socket.gettimeout() if hasattr(self, "socket") else None]
        return min((timeout for timeout in timeouts if timeout is not None), default=None)

    def __open_selector(self, deadline: float) -> ServerSelector | None:
        """Return a selector; without a descriptor for one, try now and then, and give up at the *deadline*."""
        is_told = False
        while True:
            try:
                return ServerSelector(self, self.reactor_selector)
            except OSError as exc:
                if exc.errno not in EXHAUSTED:
                    raise
                if not is_told:
                    logger().warning("cannot wait for a request: %s; raise the limit (ulimit -n)", exc)
                is_told = True
            if monotonic() >= deadline:
                return None
            threading.Event().wait(min(ACCEPT_BACKOFF, deadline - monotonic()))

    def __handle_ready(self, selector: ServerSelector) -> bool:
        """Handle what has come; return False if it could not be taken for lack of descriptors."""
        self._handle_request_noblock()
        failure = self.__take_failure()
        return failure is None or not selector.note_failure(failure)

    def __take_failure(self) -> OSError | None:
        failure, self.__failure = self.__failure, None
        return failure

    def _handle_request_noblock(self) -> None:
        """Take one request, which is said to be there, and have it answered."""
        try:
            request, client_address = self.get_request()
        except OSError as exc:
            self.__failure = exc
            return
        try:
            is_wanted = self.verify_request(request, client_address)
        except BaseException:
            self.shutdown_request(request)
            raise
        if not is_wanted:
            self.shutdown_request(request)
            return
        try:
            self.process_request(request, client_address)
        except Exception:
            try:
                self.handle_error(request, client_address)
            finally:
                self.shutdown_request(request)
        except BaseException:
            self.shutdown_request(request)
            raise

    # -- what a transport adds ---------------------------------------------------------------------------------

    if TYPE_CHECKING:
        # Not here at run time: a class that stands behind this one in a list of bases may have them.

        def fileno(self) -> int:
            """Return the descriptor that is readable when there is a request."""

        def get_request(self) -> tuple[Any, Any]:
            """Return the next request and the address that it comes from.

            An OSError means that there is none, or that it has failed already: it is told in the log, and life goes
            on.
            """

    def server_activate(self) -> None:
        """Get ready to receive requests; called by the constructors."""

    def server_close(self) -> None:
        """Give back what the server holds.  Not while it serves: ``shutdown`` first."""

    # -- what happens to a request -----------------------------------------------------------------------------

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Return whether the request is to be answered.  Called in the thread that serves."""
        return True

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer the request, and shut it down.  Mix-ins do this elsewhere."""
        self.finish_request(request, client_address)
        self.shutdown_request(request)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Make a handler, which answers the request from inside its constructor."""
        self.RequestHandlerClass(request, client_address, self)

    def shutdown_request(self, request: Any) -> None:
        """End the request in an orderly way, and close it."""
        self.close_request(request)

    def close_request(self, request: Any) -> None:
        """Give back what the request holds."""

    # -- what is told ------------------------------------------------------------------------------------------

    def service_actions(self) -> None:
        """Called by ``serve_forever`` after each round: what a subclass wants to do regularly."""

    def handle_timeout(self) -> None:
        """Called by ``handle_request`` when no request came in time."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Called in the ``except`` clause of what answering a request raised.  Prints the traceback to stderr."""
        line = "-" * 40
        print(line, file=sys.stderr)  # noqa: T201
        peer = printable(str(client_address))  # a Unix peer chooses its name: it must not write lines of its own
        print("Exception occurred during processing of request from", peer, file=sys.stderr)  # noqa: T201
        traceback.print_exc()
        print(line, file=sys.stderr)  # noqa: T201


def _until(deadline: float) -> float | None:
    """Return the seconds that are left, None if there is no end."""
    return None if deadline == inf else deadline - monotonic()
