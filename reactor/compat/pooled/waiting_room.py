"""Where connections wait that have nothing to say: in a reactor, at no cost of a thread.

A guest *enters* from any thread and *leaves* in the room's own: when there is something to read, when its patience
is at its end, or when the room is closed.  Whoever owns the room is told, and has the guest to himself from then
on: a guest is watched here or served elsewhere, never both.

A guest may also be one of whom only a whole request is of interest.  Then what it sends is taken here, piece by
piece, into ``collected``, until the request is complete or as long as it may become.  So a client that sends a byte
a second costs a few bytes for each, and no thread.  The time for this is bounded too: it runs from the first byte.

No code of a server runs in here but the function that looks for the end of a request: everything else might block,
and everybody would wait with it.  Read next: ``pool``, which owns a room and the workers.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from reactor.core.loop import Loop

if TYPE_CHECKING:
    from typing import Any

    from reactor.core.handles import Timer


class Left(Enum):
    """Why a guest has left the room."""

    READY = "there is something to read, or the end, or an error"
    EXPIRED = "it had waited for as long as it may"
    REFUSED = "the poller cannot watch it"
    CLOSED = "the room was closed"


class Wanted(NamedTuple):
    """What is collected of a guest: up to *limit* bytes, for *timeout* seconds from the first, until
    ``is_complete(data, start)``, where *start* is the first byte that has not been looked at before."""

    is_complete: Callable[[bytearray, int], bool]
    limit: int
    timeout: float | None


class Guest:
    """Somebody who waits: a socket, how many seconds it may be silent, and what is wanted of it (None: a sign)."""

    __slots__ = ("collected", "patience", "sock", "socket_timeout", "timer", "wanted")

    def __init__(self, sock: Any, patience: float | None = None, wanted: Wanted | None = None) -> None:
        self.sock = sock
        self.patience = patience
        self.wanted = wanted
        #: What has been taken from the socket.
        self.collected = bytearray()
        #: The timeout that the socket has outside.
        self.socket_timeout: float | None = None
        self.timer: Timer | None = None


class WaitingRoom:
    """Watches guests in a thread of its own and calls ``on_left(guest, why)`` there, once for each.

    *selector* is that of ``Reactor``.  The thread is a daemon: guests do not keep a program from ending.
    Raises OSError when there is no descriptor for a poller, RuntimeError when there is no thread.
    """

    __slots__ = ("_guests", "_is_closing", "_lock", "_loop", "_on_left", "_thread")

    def __init__(self, on_left: Callable[[Any, Left], object], selector: str | None = None, *, name: str) -> None:
        self._on_left = on_left
        self._guests: set[Guest] = set()
        #: Orders ``enter`` and ``close``: who entered before is told of the end, who comes later is not let in.
        self._lock = threading.Lock()
        self._is_closing = False
        self._loop = Loop(selector)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        try:
            self._thread.start()
        except BaseException:
            self._loop.close()
            raise

    def _run(self) -> None:
        with self._loop:
            self._loop.run()

    @property
    def guests(self) -> int:
        """How many wait.  Any thread."""
        return len(self._guests)

    def enter(self, guest: Guest) -> bool:
        """Watch *guest*; return False, and do nothing, if the room is closed.  Any thread."""
        return self._call(self._admit, guest)

    def tell(self, kind: str, line: str) -> None:
        """Write a line about a fault of peers to the log, rationed as the reactor's own are.  Any thread."""
        self._call(self._loop.reports.fault, kind, line)

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Callable[[], object]:
        """Run ``callback(*args)`` in the room's thread in *delay* seconds; return what cancels it.  Any thread."""
        timers: list[Timer] = []
        self._call(lambda: timers.append(self._loop.call_later(delay, callback, *args)))
        return lambda: self._call(lambda: timers[0].cancel())

    def close(self) -> None:
        """Have every guest leave, and wait until they have.  Any thread but the room's own.  Idempotent."""
        with self._lock:
            if not self._is_closing:
                self._is_closing = True
                self._loop.call_soon_threadsafe(self._end)
        self._thread.join()

    def _call(self, callback: Callable[..., object], *args: Any) -> bool:
        with self._lock:
            if self._is_closing:
                return False
            self._loop.call_soon_threadsafe(callback, *args)
            return True

    # -- in the room's thread ----------------------------------------------------------------------------------

    def _end(self) -> None:
        """End late in the next turn, where timers run: the poller is asked once more, for those who have spoken
        already."""
        self._loop.call_soon(self._loop.call_later, 0, self._end_all)

    def _end_all(self) -> None:
        for guest in list(self._guests):
            self._leave(guest, Left.CLOSED)
        self._loop.stop()

    def _admit(self, guest: Guest) -> None:
        if guest.wanted is not None and guest.collected and self._is_whole(guest, guest.wanted, 0):
            self._on_left(guest, Left.READY)
            return
        try:
            if guest.wanted is not None:
                guest.socket_timeout = guest.sock.gettimeout()
                guest.sock.settimeout(0)
            self._loop.add_reader(guest.sock, self._on_readable, guest)
        except Exception as exc:  # whatever it is that a server calls a request: no guest may be lost
            self._loop.reports.fault("pool", f"a connection cannot be watched: {type(exc).__name__}: {exc}")
            self._on_left(guest, Left.REFUSED)
            return
        self._guests.add(guest)
        self._start_clock(guest, guest.wanted.timeout if guest.wanted and guest.collected else guest.patience)
        if has_pending(guest.sock):  # which no poller can see
            self._on_readable(guest)

    def _start_clock(self, guest: Guest, seconds: float | None) -> None:
        if guest.timer is not None:
            guest.timer.cancel()
        guest.timer = None if seconds is None else self._loop.call_later(seconds, self._leave, guest, Left.EXPIRED)

    def _on_readable(self, guest: Guest) -> None:
        if guest.wanted is None or self._collect(guest, guest.wanted):
            self._leave(guest, Left.READY)

    def _collect(self, guest: Guest, wanted: Wanted) -> bool:
        """Take what has arrived; return True if that is all that is wanted, or all that will come."""
        while True:
            start = len(guest.collected)
            try:
                chunk = guest.sock.recv(wanted.limit - start)
            except OSError as exc:
                return not is_would_block(exc)
            guest.collected += chunk
            if not chunk or self._is_whole(guest, wanted, start):
                return True
            if not start:
                self._start_clock(guest, wanted.timeout)
            if not has_pending(guest.sock):
                return False

    def _is_whole(self, guest: Guest, wanted: Wanted, start: int) -> bool:
        """Return True if the request is complete, or as long as it may become."""
        try:
            return len(guest.collected) >= wanted.limit or wanted.is_complete(guest.collected, start)
        except Exception as exc:
            self._loop.reports.failure(exc, wanted.is_complete)
            return True  # the handler may make more of it

    def _leave(self, guest: Guest, why: Left) -> None:
        self._guests.discard(guest)
        if guest.timer is not None:
            guest.timer.cancel()
            guest.timer = None
        self._loop.remove_reader(guest.sock)
        if guest.wanted is not None:
            try:
                guest.sock.settimeout(guest.socket_timeout)
            except OSError:
                pass  # closed behind our back
        self._on_left(guest, why)


def has_pending(sock: Any) -> bool:
    """Return True if *sock* holds bytes that the kernel does not know of, as a TLS socket may."""
    pending = getattr(sock, "pending", None)
    try:
        return callable(pending) and bool(pending())
    except (OSError, ValueError):
        return False  # not connected, or no TLS any more


def is_would_block(exc: BaseException) -> bool:
    """Return True if *exc* says only that there is nothing at present, on a plain socket or a TLS one."""
    if isinstance(exc, BlockingIOError | InterruptedError):
        return True
    ssl = sys.modules.get("ssl")  # whoever has such an exception has the module
    return ssl is not None and isinstance(exc, ssl.SSLWantReadError | ssl.SSLWantWriteError)
