"""A channel: a socket in a map, and methods that are called when something happens to it.

This is asyncore's ``dispatcher`` but for two things that ``asyncore`` adds: where sockets are made, and which map
is the default.  Its hooks are the contract that old programs are written against, so each has its name, its moment
and its default of old.  A default says that nobody handles the event, on stdout, in words that are ignored unless a
program empties ``ignore_log_types``.

What was broken is mended around the hooks, not in them:

- ``_end`` is called where a direction is over.  It notes that, so that the loop has nothing more to tell there,
  keeps the reason in ``close_cause``, and calls ``handle_close``: once, also if that does not close.
- ``handle_connect_event`` decides before it tells.  The original set ``connected`` after ``handle_connect``, so a
  channel that closed itself there was connected ever after; and it left ``connecting`` set when the connection
  failed, so the next event found no error and told of a connection.
- A listener is not closed for what went wrong with one client, nor for lack of descriptors.

Read next: ``asyncore``.
"""

from __future__ import annotations

import os
import socket
import sys
from errno import (
    EAGAIN,
    EALREADY,
    EBADF,
    EINPROGRESS,
    EINVAL,
    EISCONN,
    ENOTCONN,
    EWOULDBLOCK,
)
from typing import TYPE_CHECKING

from reactor.compat.channels.events import DISCONNECTED, RERAISED, NothingThere, compact_traceback, error_text
from reactor.compat.channels.registration import ENDED, READ, WRITE
from reactor.compat.channels.watch import give_back, wake, watch_of
from reactor.limits import ACCEPT_BACKOFF
from reactor.net.connections.acceptor import EXHAUSTED, GONE
from reactor.printable import printable

if TYPE_CHECKING:
    from typing import Any

#: What connect(2) says when the connection is on its way.  On Unix, EAGAIN says that it is not: a Unix socket's
#: queue is full, or there is no free port.
ON_ITS_WAY = frozenset({EINPROGRESS, EALREADY, EWOULDBLOCK, EINVAL} if os.name == "nt" else {EINPROGRESS, EALREADY})


def default(method: Any) -> Any:
    """Mark a handler that says only that nobody handles the event."""
    method.is_default = True
    return method


class Channel:
    """The dispatcher without its default map; see ``asyncore.dispatcher``.  Its attributes are those of old."""

    debug = False
    connected = False
    accepting = False
    connecting = False
    closing = False
    addr: Any = None
    ignore_log_types: Any = frozenset({"warning"})

    socket: Any
    family_and_type: tuple[int, int]
    #: Why ``handle_close`` is called: None for an orderly end, else the exception.
    close_cause: BaseException | None = None
    _map: dict[int, Any]
    _fileno: int | None = None
    #: READ and WRITE where there is nothing more to tell, ENDED when the end was told.  See ``watch``.
    _deaf = 0
    #: When a listener without descriptors tries again, 0 for at once.
    _rest_until = 0.0
    #: Whether the present event brought a listener a connection.
    _has_accepted = False

    def __repr__(self) -> str:
        status = [f"{type(self).__module__}.{type(self).__qualname__}"]
        if self.accepting and self.addr:
            status.append("listening")
        elif self.connected:
            status.append("connected")
        if self.addr is not None:
            is_pair = isinstance(self.addr, tuple) and len(self.addr) == 2
            status.append("{}:{}".format(*self.addr) if is_pair else repr(self.addr))
        return f"<{' '.join(status)} at {id(self):#x}>"

    # -- the map -----------------------------------------------------------------------------------------------

    def add_channel(self, map: dict[int, Any] | None = None) -> None:
        """Put the channel into *map*, by default its own."""
        map = self._map if map is None else map
        map[self._fileno] = self  # type: ignore[index]
        wake(map, for_newcomer=True)

    def del_channel(self, map: dict[int, Any] | None = None) -> None:
        """Take the channel out of *map*, by default its own."""
        map = self._map if map is None else map
        fd, self._fileno = self._fileno, None
        if fd in map:
            watch = watch_of(map)
            if watch is not None:
                watch.forget(fd)
            del map[fd]
            give_back(map)
            wake(map)

    def set_socket(self, sock: Any, map: dict[int, Any] | None = None) -> None:
        """Have the channel be about *sock* from now on; the socket that it had is its owner's affair."""
        channels = self._map if map is None else map
        if self._fileno is not None and channels.get(self._fileno) is self:
            del channels[self._fileno]
        self.socket = sock
        self._fileno = sock.fileno()
        self._deaf, self._rest_until, self.close_cause = 0, 0.0, None
        self.add_channel(map)

    def set_reuse_addr(self) -> None:
        """Let ``bind`` take an address of which only old connections remain.  Never raises OSError."""
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        except OSError:
            pass

    # -- what it waits for -------------------------------------------------------------------------------------

    def readable(self) -> bool:
        """Tell, before each wait, whether it waits to read.  Override it."""
        return True

    def writable(self) -> bool:
        """Tell, before each wait, whether it waits to write.  Override it."""
        return True

    # -- the socket's methods ----------------------------------------------------------------------------------

    def listen(self, num: int) -> None:
        """Wait for connections, with a queue of *num*.  Raises OSError as listen(2) does."""
        self.accepting = True
        self._deaf = 0
        self.socket.listen(num)

    def bind(self, addr: Any) -> None:
        """Bind the socket to *addr*, whose form depends on its family.  Raises OSError as bind(2) does."""
        self.addr = addr
        self.socket.bind(addr)

    def connect(self, address: Any) -> None:
        """Begin to connect to *address*; ``handle_connect`` is called when it is done, maybe at once.

        A host name is looked up here and now, which blocks.  Raises OSError if it fails at once.
        """
        self.connected = False
        self.connecting = True
        self._deaf = 0
        number = self.socket.connect_ex(address)
        if number in ON_ITS_WAY:
            self.addr = address
        elif number in (0, EISCONN):
            self.addr = address
            self.handle_connect_event()
        else:
            self.connecting = False
            raise OSError(number, error_text(number))

    def accept(self) -> tuple[Any, Any] | None:
        """Return ``(sock, address)`` of a new connection, or None if there is none after all.

        Also None when the process is out of descriptors: clients that wait then are turned away, and the listener
        rests for a second.  Raises OSError for what does not pass.
        """
        try:
            conn, addr = self.socket.accept()
        except OSError as exc:
            if exc.errno in (EWOULDBLOCK, EAGAIN, *GONE) or (exc.errno in EXHAUSTED and self._has_rest(exc)):
                return None
            raise
        self._has_accepted = True
        watch = watch_of(self._map)
        if watch is not None:
            watch.keep_reserve()
        return conn, addr

    def _has_rest(self, exc: OSError) -> bool:
        """Let this listener rest, and say so; a foreign loop that drives it cannot be told to wait."""
        watch = watch_of(self._map)
        if watch is None:
            return False
        count = watch.rest(self)
        self.log_info(
            f"cannot accept connections for {ACCEPT_BACKOFF:g} s: {exc}; {count} turned away; "
            "raise the limit (ulimit -n)",
            "error",
        )
        return True

    def send(self, data: Any) -> int:
        """Send as much of *data* as the socket takes at once, and return how many bytes that is.

        0 if it takes none, or if the connection is gone: then ``handle_close`` was called.  Raises OSError.
        """
        try:
            return int(self.socket.send(data))
        except OSError as exc:
            if exc.errno in (EWOULDBLOCK, EAGAIN):
                return 0
            if exc.errno not in DISCONNECTED:
                raise
            self._end(0 if exc.errno == ENOTCONN else WRITE, exc)
            return 0

    def recv(self, buffer_size: int) -> bytes:
        """Return what there is to read, at most *buffer_size* bytes.

        b"" at the end, or if the connection broke: then ``handle_close`` was called; of a datagram socket it is a
        datagram.  Raises BlockingIOError if there is nothing, OSError.
        """
        try:
            data: bytes = self.socket.recv(buffer_size)
        except BlockingIOError as exc:
            raise NothingThere(*exc.args) from None
        except OSError as exc:
            if exc.errno not in DISCONNECTED:
                raise
            self._end(READ | ENDED, exc)
            return b""
        if not data and getattr(self.socket, "type", None) != socket.SOCK_DGRAM:
            self._end(READ | ENDED, None)
        return data

    def _end(self, deaf: int, cause: BaseException | None) -> None:
        """One direction is over: it will not be told again, also if the channel does not close."""
        self._deaf |= deaf
        self.close_cause = cause
        self.handle_close()

    def close(self) -> None:
        """Leave the map and close the socket.  Idempotent."""
        self.connected = False
        self.accepting = False
        self.connecting = False
        try:
            self.del_channel()
        finally:  # also if Ctrl-C has struck: nobody else knows the socket any more
            self._close_socket()

    def _close_socket(self) -> None:
        if self.socket is not None:
            try:
                self.socket.close()
            except OSError as exc:
                if exc.errno not in (ENOTCONN, EBADF):
                    raise

    # -- the log -----------------------------------------------------------------------------------------------

    def log(self, message: Any) -> None:
        """Write a line to stderr.  Override it for a log of your own."""
        sys.stderr.write(f"log: {message}\n")

    def log_info(self, message: Any, type: str = "info") -> None:
        """Write a line to stdout, unless *type* is one of ``ignore_log_types``.  Override it."""
        if type not in self.ignore_log_types:
            try:
                print(f"{type}: {message}")  # noqa: T201
            except (OSError, ValueError):
                pass  # a server whose terminal is gone has nobody to tell, and goes on

    # -- what happens to the socket ----------------------------------------------------------------------------

    @default
    def handle_expt_event(self) -> None:
        """Urgent data, or an error: the latter closes the channel."""
        number = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self._end(READ | ENDED, OSError(number, error_text(number)))
        else:
            self.handle_expt()

    def handle_read_event(self) -> None:
        """The socket is readable: for a listener, a connection; for who connects, the connection; else data."""
        if self.accepting:
            self._has_accepted = False
            self.handle_accept()
        elif self._is_open_after_connect_event():
            self.handle_read()

    def handle_write_event(self) -> None:
        """The socket is writable: for who connects, that is the connection.  A listener is not told."""
        if not self.accepting and self._is_open_after_connect_event():
            self.handle_write()

    def _is_open_after_connect_event(self) -> bool:
        """Have a channel that was connecting connected now; return True if it still is, on the same socket."""
        if self.connected or not self.connecting:
            return True
        sock = self.socket
        self.handle_connect_event()
        return self._fileno is not None and self.socket is sock

    def handle_connect_event(self) -> None:
        """The connection was made, or not: raises OSError then, and the channel connects no more."""
        number = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self.connecting = False
        if number:
            self._deaf |= READ | WRITE | ENDED
            raise OSError(number, error_text(number))
        self.connected = True
        self.handle_connect()

    def handle_error(self) -> None:
        """An exception escaped from one of these methods: say so in one line, and close the channel.

        A listener is not closed if it was a new client that went wrong.
        """
        _, kind, value, text = compact_traceback()
        try:
            name = repr(self)
        except Exception:
            name = f"<__repr__(self) failed for object at {id(self):#x}>"
        line = f"uncaptured python exception, closing channel {name} ({kind}:{value} {text})"
        self.log_info(printable(line), "error")  # the exception may quote a peer
        if not (self.accepting and self._has_accepted):
            self.close_cause = value
            self.handle_close()

    @default
    def handle_expt(self) -> None:
        """There is urgent data: ``recv(n, MSG_OOB)`` of the socket returns it.  Override it."""
        self.log_info("unhandled incoming priority event", "warning")

    def handle_read(self) -> None:
        """There is something to read.  Override it; otherwise it is told once."""
        self._deaf |= READ
        self.log_info("unhandled read event", "warning")

    def handle_write(self) -> None:
        """There is room to write.  Override it; otherwise it is told once."""
        self._deaf |= WRITE
        self.log_info("unhandled write event", "warning")

    def handle_connect(self) -> None:
        """The connection was made.  Override it."""
        self.log_info("unhandled connect event", "warning")

    def handle_accept(self) -> None:
        """There is a connection: accept it and call ``handle_accepted``."""
        pair = self.accept()
        if pair is not None:
            try:
                self.handle_accepted(*pair)
            except RERAISED:
                raise
            except BaseException:
                pair[0].close()
                raise

    def handle_accepted(self, sock: Any, addr: Any) -> None:
        """A connection was accepted.  Override it; otherwise it is closed."""
        sock.close()
        self.log_info("unhandled accepted event", "warning")

    def handle_close(self) -> None:
        """The connection ended; ``close_cause`` says why.  Override it, and close."""
        self.log_info("unhandled close event", "warning")
        self.close()
