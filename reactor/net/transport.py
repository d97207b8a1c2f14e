"""What every connection is, whether it carries bytes or messages: a socket, and the protocol that is told of it.

Three things are decided here, for both kinds alike.  How long a peer may be silent: an idle timeout, which begins
anew with whatever moves.  How much may wait to be sent: three watermarks, at which the protocol is told to pause
and to go on, and beyond which the peer is given up, because what a peer does not take must not fill our memory.
And that there is one end, ``_lose``, to which everything leads.

The flags say what is over.  ``_is_write_ended``: nothing more is taken to be sent.  ``_has_eof``: the peer has
ended his direction.  ``is_halted``: nothing is received at present.  ``_is_closing``: no call of the protocol any
more but ``connection_lost``.  ``_is_lost``: that one is on its way.

Loop thread.  Read next: ``write_half``; and ``messages``, the other kind.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from reactor.errors import IdleTimeout, OptionError, PeerError, WriteBufferFull
from reactor.flow import DEFAULT_WATERMARKS, Watermarks

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any

    from reactor.core.handles import Timer
    from reactor.net.hub import Hub


class Transport(ABC):
    """One open connection.  ``Stream`` and ``MessageStream`` derive from it by way of their sending halves."""

    __slots__ = (
        "_error", "_has_eof", "_hub", "_idle", "_idle_timeout", "_is_closing", "_is_lost", "_is_write_ended",
        "_is_write_paused", "_pending_bytes", "_protocol", "_sock", "_watermarks", "is_halted",
    )  # fmt: skip

    #: What moves on it, for people.
    unit = "byte"

    def __init__(self, hub: Hub, sock: socket.socket, protocol: Any, watermarks: Watermarks) -> None:
        self._hub = hub
        self._sock = sock
        self._protocol = protocol
        self._watermarks = watermarks
        self._pending_bytes = 0
        #: Why nothing more can be sent, while there may still be something to read.
        self._error: BaseException | None = None
        self._idle: Timer | None = None
        self._idle_timeout = 0.0
        self._is_write_paused = self._is_write_ended = self._is_closing = self._is_lost = self._has_eof = False
        self.is_halted = False

    # -- what is known of it -----------------------------------------------------------------------------------

    def fileno(self) -> int:
        """Return the descriptor of the socket, -1 when it is closed."""
        return self._sock.fileno()

    def get_protocol(self) -> Any:
        """Return the protocol that is told what happens here; None after the end."""
        return self._protocol

    def is_closing(self) -> bool:
        """Tell whether it is closing or closed: nothing more can be sent."""
        return self._is_closing

    def can_write_eof(self) -> bool:
        """Tell whether ``write_eof`` is possible: always."""
        return True

    # -- how long a peer may be silent -------------------------------------------------------------------------

    def set_idle_timeout(self, timeout: float | None) -> None:
        """Abort with IdleTimeout when nothing has moved for *timeout* seconds; None: wait for ever."""
        if timeout is not None and not timeout > 0:
            raise OptionError(f"an idle timeout is a positive number of seconds or None, not {timeout!r}")
        self._hub.loop.check()
        self._stop_idling()
        if timeout is not None and not self._is_lost:
            self._idle_timeout = timeout
            self._idle = self._hub.loop.call_later(timeout, self._on_idle)

    def _stop_idling(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _touch(self, idle: Timer) -> None:
        """Something moved: the idle timeout begins anew."""
        idle.postpone(self._hub.clock() + self._idle_timeout)

    def _on_idle(self) -> None:
        self._hub.counters.idle_timeouts += 1
        self._lose(IdleTimeout(f"no {self.unit} moved for {self._idle_timeout:g} s; the connection is given up"))

    # -- how much may wait to be sent --------------------------------------------------------------------------

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the watermarks in bytes; as in asyncio, low defaults to a quarter of high.  Raises OptionError."""
        if high is None:
            high = 4 * low if low is not None else DEFAULT_WATERMARKS.high
        if low is None:
            low = high // 4
        self._watermarks = Watermarks(high, low, max(self._watermarks.cap, high))
        self._check_watermarks()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the watermarks (low, high) in bytes."""
        return self._watermarks.low, self._watermarks.high

    def _check_watermarks(self) -> None:
        """Tell the protocol to pause or to go on; give up a peer for whom too much has piled up."""
        size = self._pending_bytes
        limits = self._watermarks
        if size > limits.cap:
            self._hub.counters.write_overflows += 1
            self.fail(WriteBufferFull(f"{size} bytes wait for a peer that does not read; the cap is {limits.cap}"))
        elif self._is_closing:
            return
        elif size > limits.high and not self._is_write_paused:
            self._is_write_paused = True
            self._tell(self._protocol.pause_writing)
        elif size <= limits.low and self._is_write_paused:
            self._is_write_paused = False
            self._tell(self._protocol.resume_writing)

    # -- the end -----------------------------------------------------------------------------------------------

    def abort(self) -> None:
        """End now; what waits to be sent is dropped.  ``connection_lost(None)`` is the next call."""
        if not self._is_lost:
            self._hub.loop.check()
            self._lose(None)

    def _on_broken(self, exc: BaseException) -> None:
        """The socket is of no more use."""
        reason = self._error or exc
        if isinstance(reason, ConnectionError):
            self._hub.counters.resets += 1
        self._lose(reason)

    @abstractmethod
    def fail(self, exc: PeerError) -> None:
        """End now because of the peer."""

    @abstractmethod
    def _tell(self, method: Callable[..., object], *args: object) -> object:
        """Call *method* of the protocol and survive what it raises."""

    @abstractmethod
    def _lose(self, exc: BaseException | None, *, linger: bool = False) -> None:
        """End."""
