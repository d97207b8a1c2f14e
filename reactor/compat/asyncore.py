"""The asyncore module, which left the standard library in 3.12: channels in a map, and a loop that waits for them.

``import reactor.compat.asyncore as asyncore`` runs existing programs.  For code that cannot be changed, put this
module in the other's place before anything imports it: ``sys.modules["asyncore"] = reactor.compat.asyncore``.

Everything has the name, the arguments and the meaning that the library reference of 3.11 gives it.  Beneath,
``channels.watch`` waits on a reactor, so on epoll where there is one.  What is different is what was broken:

- *It does not spin.*  A channel is told its end once, even if it does not close; an event that nobody handles is
  told once; a failed connection is told once (the original then told it that it was connected).
- *Nothing gets lost.*  ``close_cause`` says why a channel was closed.  A listener outlives the client that its
  ``handle_accepted`` could not bear, and the lack of descriptors.
- *Nothing grows without bound*: ``dispatcher_with_send.out_buffer_limit``.
- *Threads are heard.*  A channel added or closed by another thread, or by a signal handler, wakes the loop.

``docs/asyncore.md`` has the list, with reasons.  The names that the functions look up here (``socket_map``,
``socket``) can be replaced in this module, as programs and their tests do.  Read next: ``asynchat``.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import time
import warnings
from errno import (
    EAGAIN,
    EALREADY,
    EBADF,
    ECONNABORTED,
    ECONNRESET,
    EINPROGRESS,
    EINVAL,
    EISCONN,
    ENOTCONN,
    EPIPE,
    ESHUTDOWN,
    EWOULDBLOCK,
    errorcode,
)
from typing import TYPE_CHECKING

from reactor.compat.channels.channel import Channel
from reactor.compat.channels.events import (
    DISCONNECTED,
    RERAISED,
    ExitNow,
    compact_traceback,
    error_text,
    hang_up,
    read,
    readwrite,
    urge,
    write,
)
from reactor.compat.channels.file_wrapper import file_wrapper
from reactor.compat.channels.registration import HUNG_UP, READ, URGENT, WRITE
from reactor.compat.channels.watch import give_back, wake, watch_of_thread
from reactor.errors import WriteBufferFull

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: What a program finds in this module, imported names of the original included.
__all__ = [
    "socket_map", "loop", "poll", "poll2", "poll3", "read", "write", "readwrite", "ExitNow",
    "dispatcher", "dispatcher_with_send", "file_dispatcher", "file_wrapper", "compact_traceback", "close_all",
    "os", "select", "socket", "sys", "time", "warnings",
    "EAGAIN", "EALREADY", "EBADF", "ECONNABORTED", "ECONNRESET", "EINPROGRESS", "EINVAL", "EISCONN", "ENOTCONN",
    "EPIPE", "ESHUTDOWN", "EWOULDBLOCK", "errorcode",
    "_DISCONNECTED", "_exception", "_reraised_exceptions", "_strerror",
]  # fmt: skip

#: Unsent bytes of one channel at which ``send`` refuses more, unless it is told otherwise.  Redis cuts a subscriber
#: at 32 MiB and a replica at 256 MiB; the cap of streams (``limits.WRITE_CAP_BYTES``) is 16 MiB, but a channel has
#: nothing like ``pause_writing`` that would tell it earlier.
OUT_BUFFER_BYTES = 64 * 1024 * 1024

# The original's names for what is not quite public, and used by programs all the same.
_exception, _strerror, _DISCONNECTED, _reraised_exceptions = urge, error_text, DISCONNECTED, RERAISED

#: The map of every channel that was given no other.
socket_map: dict[int, Any] = {}


# -- the loop --------------------------------------------------------------------------------------------------


def poll(timeout: float | None = 0.0, map: dict[int, Any] | None = None) -> None:
    """Wait at most *timeout* seconds (None: forever) for the channels of *map*, and tell each what happened.

    All reads are told before all writes, and these before urgent data.  Returns at once if the map is empty.
    Raises ValueError for a negative timeout, and what ``handle_error`` of a channel raises.
    """
    if timeout is not None and timeout < 0:
        raise ValueError("timeout must be non-negative")
    _poll(timeout, socket_map if map is None else map, _in_order_of_events)


def poll2(timeout: float | None = 0.0, map: dict[int, Any] | None = None) -> None:
    """As ``poll``, but one channel is told all that happened to it before the next.  A negative *timeout* is None.
    """
    _poll(None if timeout is not None and timeout < 0 else timeout, socket_map if map is None else map, _in_turn)


poll3 = poll2


def _poll(timeout: float | None, map: dict[int, Any], tell: Callable[..., None]) -> None:
    if map:
        happened = watch_of_thread().wait(map, timeout)
        try:
            tell(happened, map)
        finally:
            give_back(map)


def _in_order_of_events(happened: list[tuple[Any, int]], map: dict[int, Any]) -> None:
    for event, tell in ((READ, read), (WRITE, write), (URGENT, _exception), (HUNG_UP, hang_up)):
        for watched, events in happened:
            if events & event and watched.is_same(map):
                tell(watched.channel)


def _in_turn(happened: list[tuple[Any, int]], map: dict[int, Any]) -> None:
    for watched, events in happened:
        if watched.is_same(map):
            readwrite(watched.channel, sum(flag for event, flag in _POLL_FLAGS if events & event))


_POLL_FLAGS = (
    (READ, getattr(select, "POLLIN", 1)),
    (WRITE, getattr(select, "POLLOUT", 4)),
    (URGENT, getattr(select, "POLLPRI", 2)),
    (HUNG_UP, getattr(select, "POLLHUP", 16)),
)


def loop(
    timeout: float | None = 30.0,
    use_poll: bool = False,
    map: dict[int, Any] | None = None,
    count: int | None = None,
) -> None:
    """Poll until *map* (``socket_map``) is empty, or *count* times, waiting at most *timeout* seconds each time.

    Which system call waits is the reactor's choice and REACTOR_SELECTOR's; *use_poll* means ``poll2``, whose events
    come in another order.  What passes through: ``ExitNow``, ``KeyboardInterrupt``, ``SystemExit``, and what a
    channel's ``handle_error`` raises.  Any thread; several maps may have a loop each.
    """
    if map is None:
        map = socket_map
    once = poll2 if use_poll else poll
    while map and (count is None or count > 0):
        once(timeout, map)
        count = None if count is None else count - 1


def close_all(map: dict[int, Any] | None = None, ignore_all: bool = False) -> None:
    """Close every channel of *map* (``socket_map``) and empty it.

    A channel that is closed already is no error; another OSError or exception is raised unless *ignore_all*.
    """
    if map is None:
        map = socket_map
    for channel in list(map.values()):
        try:
            channel.close()
        except _reraised_exceptions:
            raise
        except BaseException as exc:
            if not ignore_all and not (isinstance(exc, OSError) and exc.errno == EBADF):
                raise
    map.clear()
    give_back(map)
    wake(map)


# -- channels --------------------------------------------------------------------------------------------------


class dispatcher(Channel):
    """A channel: a socket in a map, and methods that are called when something happens to it.

    *sock* may be connected, listening or neither; it is made non-blocking.  Without one, ``create_socket`` or
    ``set_socket`` is called later.  *map* is where the channel lives; by default ``socket_map``.
    """

    def __init__(self, sock: Any = None, map: dict[int, Any] | None = None) -> None:
        self._map = socket_map if map is None else map
        self._fileno = None
        self.socket = None
        if sock:
            sock.setblocking(False)
            try:
                self.addr = sock.getpeername()
                self.connected = True
            except OSError as exc:
                if exc.errno not in (ENOTCONN, EINVAL):
                    raise
            # Last: a loop in another thread may ask the channel as soon as it is in the map.
            self.set_socket(sock, map)

    def create_socket(self, family: int = socket.AF_INET, type: int = socket.SOCK_STREAM) -> None:
        """Make a non-blocking socket.  Raises OSError as socket(2) does."""
        self.family_and_type = family, type
        sock = socket.socket(family, type)
        sock.setblocking(False)
        self.set_socket(sock)


class dispatcher_with_send(dispatcher):
    """A dispatcher whose ``send`` takes everything and sends it when it can."""

    #: Unsent bytes beyond which ``send`` raises WriteBufferFull; None: no limit.
    out_buffer_limit: int | None = OUT_BUFFER_BYTES

    def __init__(self, sock: Any = None, map: dict[int, Any] | None = None) -> None:
        self.out_buffer: Any = bytearray()
        dispatcher.__init__(self, sock, map)

    def initiate_send(self) -> None:
        """Send what the socket takes now."""
        sent = dispatcher.send(self, bytes(self.out_buffer[:65536]))
        if isinstance(self.out_buffer, bytearray):
            del self.out_buffer[:sent]
        else:
            self.out_buffer = self.out_buffer[sent:]

    def handle_write(self) -> None:
        """Send what waits."""
        self.initiate_send()

    def writable(self) -> bool:
        """True while something waits to be sent, or the connection is not made yet."""
        return not self.connected or bool(self.out_buffer)

    def send(self, data: Any) -> None:  # type: ignore[override]
        """Send *data*, later what cannot be sent now.

        Raises WriteBufferFull, and takes nothing, while more than ``out_buffer_limit`` bytes wait already.
        """
        if self.debug:
            self.log_info(f"sending {data!r}")
        limit = self.out_buffer_limit
        if limit is not None and len(self.out_buffer) > limit:
            raise WriteBufferFull(
                f"{len(self.out_buffer)} bytes wait to be sent to {self.addr!r}, which does not read them; "
                f"raise out_buffer_limit ({limit}) if that is right"
            )
        self.out_buffer += data
        if self.connected:
            self.initiate_send()
        if self.out_buffer:
            wake(self._map)


class file_dispatcher(dispatcher):
    """A channel for a pipe, a terminal or another file: *fd* is a descriptor, or an object with ``fileno()``.

    The descriptor is duplicated and made non-blocking, which its owner notices too.  Unix only.
    """

    def __init__(self, fd: Any, map: dict[int, Any] | None = None) -> None:
        dispatcher.__init__(self, None, map)
        self.connected = True
        number: int = fd.fileno() if hasattr(fd, "fileno") else fd
        os.set_blocking(number, False)
        self.set_file(number)

    def set_file(self, fd: int) -> None:
        """Have the channel be about a duplicate of the descriptor *fd*."""
        self.socket = file_wrapper(fd)
        self._fileno = self.socket.fileno()
        self.add_channel()
