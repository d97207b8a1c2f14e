"""Where a server waits for its next request: one descriptor, watched by a loop of its own.

The standard library's ``serve_forever`` asks a poll object (its ``_ServerSelector``) twice a second whether
somebody wants it to stop.  Here a loop waits for the server's descriptor and for its own bell, so a server without
visitors sleeps, and ``wake`` ends the sleep at once, from any thread and from signal handlers.

The loop's callback only notes that the descriptor is readable.  The request is taken, and user code is run, after
the turn, in the plain course of ``serve_forever``: what a hook raises reaches whoever called ``serve_forever``, and
a handler that forks does so outside the loop.  The rejected choice, handling the request inside the callback,
would hand every exception to the loop's exception handler, where programs do not look for it.

The other thing that is mended here is the lack of descriptors.  accept(2) fails, the connection stays in the queue,
the descriptor stays readable, and the standard library's loop spins at full speed until somebody hangs up.  Here
the descriptor is not watched for ``ACCEPT_BACKOFF`` seconds, and one line in the log says why.

Read next: ``base_server``, which waits here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reactor.core.loop import Loop
from reactor.errors import ReactorClosed
from reactor.limits import ACCEPT_BACKOFF
from reactor.net.connections.acceptor import EXHAUSTED, GONE

if TYPE_CHECKING:
    from typing import Any, Self


class ServerSelector:
    """Waits until *server*, anything with ``fileno()``, can be read.  Belongs to the thread that makes it.

    *selector* is that of ``Reactor``.  Raises OSError when there is no descriptor left for a poller, and ValueError
    when ``fileno()`` is not that of an open file.
    """

    __slots__ = ("is_readable", "_loop", "_server")

    def __init__(self, server: Any, selector: str | None = None) -> None:
        self._server = server
        #: What the last ``wait`` found.
        self.is_readable = False
        self._loop = Loop(selector)
        try:
            self._loop.add_reader(server, self._on_readable)
        except BaseException:
            self._loop.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._loop.close()

    def _on_readable(self) -> None:
        self.is_readable = True

    def wait(self, timeout: float | None) -> bool:
        """Sleep until the server is readable, ``wake`` is called, or *timeout* seconds are over (None: never).

        Return whether it is readable; False may also mean that something else woke the loop.
        """
        self.is_readable = False
        self._loop.run_once(timeout)
        return self.is_readable

    def wake(self) -> None:
        """End the present ``wait``, or the next one, at once.  Any thread, and signal handlers."""
        try:
            self._loop.call_soon_threadsafe(_nothing)
        except ReactorClosed:
            pass  # whoever waited here has gone

    def note_failure(self, exc: OSError) -> bool:
        """Take note that the request could not be taken: tell it, unless it is everyday life, and rest for a while
        if something is used up.  Return whether that is so."""
        number = exc.errno if type(exc).__module__ == "builtins" else None  # an SSLError has numbers of its own
        if number in EXHAUSTED:
            self._loop.remove_reader(self._server)
            self._loop.call_later(ACCEPT_BACKOFF, self._end_rest)
            self._tell(f"cannot accept connections for {ACCEPT_BACKOFF:g} s: {exc}; raise the limit (ulimit -n)")
            return True
        if number not in GONE and not isinstance(exc, BlockingIOError | InterruptedError | TimeoutError):
            self._tell(f"a request could not be taken: {type(exc).__name__}: {exc}")
        return False

    def _end_rest(self) -> None:
        try:
            self._loop.add_reader(self._server, self._on_readable)
        except (OSError, ValueError):
            pass  # closed meanwhile: nothing will come any more, and whoever waits is woken by ``wake``

    def _tell(self, line: str) -> None:
        self._loop.reports.fault("accept", line)


def _nothing() -> None:
    """What is called only to end a wait."""
