"""A connection: bytes in, bytes out, in order, until one of the two ends has had enough.

One class serves TCP and Unix sockets.  Its methods are those of asyncio's transports, so a protocol does not notice
where it runs.  What goes on inside:

**Writing** is ``write_half``'s, and **reading** ``read_half``'s.

**Ending.**  A stream ends once, in ``_lose``: it is unregistered there, ``connection_lost`` follows as the last
call, from the loop and never from inside a method of this class, and then the socket is closed.  The ways there::

    close()         stop reading, flush, then linger (see ``linger``) unless the peer has finished already
    peer's eof      eof_received(); unless that returns true, as close()
    abort()         drop what waits, close
    reset()         the same with a reset to the peer
    fail(exc)       the peer broke the protocol: counted, told in one line, aborted
    an error        of the socket, or an exception that the protocol let escape: aborted

All methods belong to the loop's thread.  Read next: ``listener`` and ``connector``, which make streams.
"""

from __future__ import annotations

from selectors import EVENT_READ, EVENT_WRITE

from reactor.errors import OptionError, PeerError
from reactor.flow import DEFAULT_WATERMARKS, Watermarks
from reactor.net.addresses import compact_address, expanded_address, format_address
from reactor.net.read_half import ReadHalf, lender_of
from reactor.net.sockets import peer_credentials, set_reset_on_close

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any

    from reactor.net.hub import Hub

    Owner = Callable[["Stream"], object]


class Stream(ReadHalf):
    """One open connection.  Made by the reactor's ``listen_*``, ``connect_*`` and ``adopt_stream``."""

    __slots__ = ("_on_lost", "_peer")

    def __init__(
        self,
        hub: Hub,
        sock: socket.socket,
        protocol: Any,
        peer: Any = None,
        watermarks: Watermarks = DEFAULT_WATERMARKS,
        on_lost: Owner | None = None,
    ) -> None:
        super().__init__(hub, sock, protocol, watermarks)
        self._peer = compact_address(peer)
        self._on_lost = on_lost

    def __repr__(self) -> str:
        state = "lost" if self._is_lost else "closing" if self._is_closing else "open"
        peer = self.get_extra_info("peername")
        return f"<{type(self).__name__} {state} fd={self._sock.fileno()} peer={format_address(peer)}>"

    def start(self) -> None:
        """Tell the protocol that the connection is made, and begin to read.  Called once, by whoever made this."""
        self._hub.opened(self)
        self.borrow_from(self._lender)
        try:
            self._deliver(self._protocol.connection_made, self)
            if not self.is_halted:
                self._hub.loop.registry.add(self._sock, EVENT_READ, self._on_readable)
        except BaseException as exc:
            self._lose(exc)
            raise

    # -- what is known of it -----------------------------------------------------------------------------------

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return "socket", "peername", "sockname" (socket addresses), "peercred" (PeerCredentials, Unix only), or
        what ``set_extra_info`` has said of the connection.

        *default* for any other name, and where the system has no answer (any more).
        """
        try:
            if name == "socket":
                return self._sock
            if name == "peername":
                return self._sock.getpeername() if self._peer is None else expanded_address(self._peer)
            if name == "sockname":
                return self._sock.getsockname()
            if name == "peercred":
                return peer_credentials(self._sock)
        except (OSError, OptionError):
            return default
        return self._hub.extra.get(self, {}).get(name, default)

    def set_extra_info(self, name: str, value: object) -> None:
        """Have ``get_extra_info`` return *value* for *name*, as long as the connection lives."""
        if not self._is_lost:
            self._hub.extra.setdefault(self, {})[name] = value

    def set_protocol(self, protocol: Any) -> None:
        """Have *protocol* told what happens from now on.  ``connection_made`` is not called again."""
        self._settle()
        self._protocol = protocol
        self._frame_with(None)
        if self._hub.pump is not None:
            self._hub.pump.recut(self._sock.fileno())
        self.borrow_from(lender_of(protocol))

    # -- ending ------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Send what waits, then end.  Nothing more is received, and ``connection_lost(None)`` is the next call."""
        if self._is_closing:
            return
        self._hub.loop.check()
        self._settle()
        self._halt()
        if self.pending is None:
            self._end_writing()

    def reset(self) -> None:
        """End now, and have the kernel send a reset, so that the peer sees an error instead of an end."""
        if not self._is_lost:
            self._hub.loop.check()
            set_reset_on_close(self._sock)
            self._lose(None)

    def fail(self, exc: PeerError) -> None:
        """End because the peer broke the protocol: count it and say so in one line.

        Replies to what it sent before that still leave, as far as the kernel takes them at once.
        """
        if self._is_lost:
            return
        self._hub.loop.check()
        self._hub.counters.peer_errors += 1
        peer = format_address(self.get_extra_info("peername"))
        self._hub.reports.fault(type(exc).__name__, f"closed the connection of {peer}: {exc}")
        # A traceback holds the frames of those who found the fault, and these hold what was received.
        self._error = exc.with_traceback(None)
        self._settle()
        self._halt()
        if self.pending is not None and not self._is_writing:
            self._flush()
        self._lose(exc, linger=self.pending is None and not self._has_eof)

    def _halt(self) -> None:
        """No user call but ``connection_lost`` from here on, and no bytes in either direction but those that
        wait."""
        self._is_closing = self._is_write_ended = True
        self._cork_bytes = self.room = -1
        if not self.is_halted:
            self.is_halted = True
            if not self._has_eof:
                self._hub.loop.registry.remove(self._sock, EVENT_READ)

    def _lose(self, exc: BaseException | None, *, linger: bool = False) -> None:
        """The one end of every stream: unregister, let go of everything, and have ``connection_lost`` called."""
        if self._is_lost:
            return
        self._is_lost = True
        self._halt()
        self._is_writing = False
        if self._hub.loop.registry.key_of(fd := self._sock.fileno()) is not None:
            # For the stream itself, or for someone who sends on its socket beside it, as FileSender does.
            self._hub.loop.registry.remove(self._sock, EVENT_READ | EVENT_WRITE)
        self._hub.kept.pop(self, None)
        if self._hub.pump is not None:
            self._hub.pump.dismiss(fd)
        self._drop_unsent()
        self._stop_idling()
        self._hub.loop.call_soon(self._finish, exc, linger)

    def _finish(self, exc: BaseException | None, linger: bool) -> None:
        protocol, self._protocol = self._protocol, None
        self._hub.counters.closed_streams += 1
        self._hub.closed(self, exc)
        try:
            self._tell(protocol.connection_lost, exc)
        finally:
            self._hub.extra.pop(self, None)
            if linger:
                self._hub.lingering.take(self._sock)
            else:
                self._sock.close()
            if self._on_lost is not None:
                self._on_lost(self)

    def _tell(self, method: Callable[..., object], *args: object) -> None:
        """Call *method* of the protocol; what it raises is reported and ends the stream."""
        try:
            method(*args)
        except BaseException as exc:
            self._on_raised(exc, method)
