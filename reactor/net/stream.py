"""A connection: bytes in, bytes out, in order, until one of the two ends has had enough.

One class serves TCP and Unix sockets.  Its methods are those of asyncio's transports, so a protocol does not notice
where it runs.  What goes on inside:

**Reading.**  All streams of a reactor receive into one shared buffer, one ``recv_into`` per readiness, so a
greedy peer gets one buffer per turn, as everyone else.  The bytes are handed on before the next stream reads;
whatever is incomplete is kept by the protocol's codec, not here.

**Writing** is ``write_half``'s.

**Ending.**  A stream ends once, in ``_lose``: it is unregistered there, ``connection_lost`` follows as the last
call, from the loop and never from inside a method of this class, and then the socket is closed.  The ways there::

    close()         stop reading, flush, then linger (see ``linger``) unless the peer has finished already
    peer's eof      eof_received(); unless that returns true, as close()
    abort()         drop what waits, close
    reset()         the same with a reset to the peer
    fail(exc)       the peer broke the protocol: counted, told in one line, aborted
    an error        of the socket, or an exception that the protocol let escape: aborted

After every call of user code the state is read anew: it may have closed, paused, written, or raised.

All methods belong to the loop's thread.  Read next: ``listener`` and ``connector``, which make streams.
"""

from __future__ import annotations

import os
from selectors import EVENT_READ, EVENT_WRITE

from reactor.errors import IdleTimeout, OptionError, PeerError, UsageError
from reactor.flow import DEFAULT_WATERMARKS, Watermarks
from reactor.net.addresses import compact_address, expanded_address, format_address
from reactor.net.sockets import peer_credentials, set_reset_on_close
from reactor.net.write_half import WriteHalf

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any

    from reactor.net.hub import Hub

    Owner = Callable[["Stream"], object]


class Stream(WriteHalf):
    """One open connection.  Made by the reactor's ``listen_*``, ``connect_*`` and ``adopt_stream``.

    ``is_halted`` tells in one look whether the protocol may be given more: False while reading goes on.
    """

    __slots__ = ("_lender", "_on_lost", "_peer")

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
        self._lender = _lender_of(protocol)

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
        """Return "socket", "peername", "sockname" (socket addresses) or "peercred" (PeerCredentials, Unix only).

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
            pass
        return default

    def fileno(self) -> int:
        """Return the descriptor of the socket, -1 when it is closed."""
        return self._sock.fileno()

    def get_protocol(self) -> Any:
        """Return the protocol that is told what happens here; None after the end."""
        return self._protocol

    def set_protocol(self, protocol: Any) -> None:
        """Have *protocol* told what happens from now on.  ``connection_made`` is not called again."""
        self._protocol = protocol
        self.borrow_from(_lender_of(protocol))

    def is_closing(self) -> bool:
        """Tell whether the stream is closing or closed: nothing more can be sent."""
        return self._is_closing

    def set_idle_timeout(self, timeout: float | None) -> None:
        """Abort the stream with IdleTimeout when no byte has moved for *timeout* seconds; None: wait for ever."""
        if timeout is not None and not timeout > 0:
            raise OptionError(f"an idle timeout is a positive number of seconds or None, not {timeout!r}")
        self._hub.loop.check()
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if timeout is not None and not self._is_lost:
            self._idle_timeout = timeout
            self._idle = self._hub.loop.call_later(timeout, self._on_idle)

    def _on_idle(self) -> None:
        self._hub.counters.idle_timeouts += 1
        self._lose(IdleTimeout(f"no byte moved for {self._idle_timeout:g} s; the connection is given up"))

    # -- reading -----------------------------------------------------------------------------------------------

    def pause_reading(self) -> None:
        """Take no more bytes from the socket: soon its peer cannot send any more either."""
        if not self.is_halted:
            self._hub.loop.remove_reader(self._sock)
            self.is_halted = True

    def resume_reading(self) -> None:
        """Take bytes again; what the protocol held back when it was paused comes first."""
        if self.is_halted and not self._is_closing:
            self._hub.loop.check()
            self.is_halted = False
            if hasattr(self._protocol, "reading_resumed") or self in self._hub.kept:
                self._hub.loop.call_soon(self._go_on_reading)
            else:
                self._go_on_reading()

    def _go_on_reading(self) -> None:
        held = getattr(self._protocol, "reading_resumed", None)
        if held is not None and not self.is_halted:
            self._deliver(held)
        if not self.is_halted and self in self._hub.kept:
            self.on_arrival(*self._hub.kept.pop(self))
        if not (self.is_halted or self._has_eof):
            self._hub.loop.registry.add(self._sock, EVENT_READ, self._on_readable)

    def is_reading(self) -> bool:
        """Tell whether bytes are being received."""
        return not (self.is_halted or self._has_eof)

    def borrow_from(self, lender: Any) -> None:
        """Receive into the buffers that *lender* has: ``get_buffer`` and ``buffer_updated``, as asyncio's
        BufferedProtocol.  None: receive into the shared buffer, and hand on bytes."""
        self._lender = lender
        pump = self._hub.pump
        if pump is not None and not self._is_lost:
            if lender is None:
                pump.admit(self._sock.fileno(), self)
            else:
                pump.pass_over(self._sock.fileno(), self)

    def _on_readable(self) -> None:
        buffer = self._hub.scratch if self._lender is None else self._borrowed()
        if buffer is None:
            return
        try:
            size = self._sock.recv_into(buffer)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as exc:
            self._on_broken(exc)
            return
        self._on_received(size, buffer[:size])

    def on_arrival(self, arena: memoryview, start: int, size: int) -> bool:
        """What ``_on_readable`` does once it has received: the pump did that, *size* bytes from *start* of *arena*,
        none at the end of the stream, or a negative errno.  Tell whether there are replies for the pump to send."""
        if self.is_halted:
            if not self._is_closing:
                # Another callback of this turn has paused this stream; the bytes have left the kernel all the same.
                self._hub.kept[self] = memoryview(bytes(arena[start : start + max(size, 0)])), 0, size
        elif size < 0:
            self._on_broken(OSError(-size, os.strerror(-size)))
        elif size and self._lender is not None:
            self._pour(arena[start : start + size])
        elif size and self._idle is None and self._hub.probe is None:
            # What _on_received and _deliver would do, without the calls: this is the hot path.
            self._is_corked = True
            try:
                self._protocol.data_received(arena[start : start + size].tobytes())
            except BaseException as exc:
                self._on_raised(exc, self._protocol.data_received)
            if self._pending is not None and not (self._is_writing or self._is_closing):
                return True
            self._uncork()
        else:
            self._on_received(size, arena[start : start + size])
        return False

    def _pour(self, data: memoryview) -> None:
        """Copy *data* into the buffers of a lender who came while it was on its way."""
        while data and not self.is_halted and self._lender is not None:
            view = self._borrowed()
            if view is not None:
                size = min(len(view), len(data))
                view[:size] = data[:size]
                self._on_received(size, view)
                data = data[size:]
        if data and not self._is_lost:
            self.on_arrival(data, 0, len(data))

    def _on_received(self, size: int, buffer: memoryview) -> None:
        """*size* bytes fill *buffer*; none: the peer has finished."""
        if self._idle is not None:
            self._touch(self._idle)
        if self._hub.probe is not None:
            self._hub.probe.received(self, size)
        if not size:
            self._on_eof()
        elif self._lender is not None:
            self._deliver(self._lender.buffer_updated, size)
        else:
            self._deliver(self._protocol.data_received, buffer.tobytes())

    def _borrowed(self) -> memoryview | None:
        """Return the protocol's own buffer; None if it has paused or ended the stream instead of lending one."""
        view: memoryview | None = self._deliver(self._writable_view)
        return None if self.is_halted else view

    def _writable_view(self) -> memoryview:
        view = memoryview(self._lender.get_buffer(-1))
        if view.readonly or not view.nbytes:
            # recv(2) into no room returns 0, as it does at the end: what still comes would be lost without a word.
            raise UsageError("get_buffer() must return a writable buffer with room for at least one byte")
        return view

    def _on_eof(self) -> None:
        """The peer has shut its writing side down, or closed: there is nothing more to read, ever."""
        self._has_eof = True
        self._hub.loop.registry.remove(self._sock, EVENT_READ)
        if self._error is not None:
            self._on_broken(self._error)
        elif not self._deliver(self._protocol.eof_received) or self._is_write_ended:
            self.close()

    def _deliver(self, method: Callable[..., Any], *args: Any) -> Any:
        """Call *method* of the protocol with this stream corked, and flush what it wrote.

        What it raises ends this stream and no other: a PeerError is the peer's fault, anything else a bug of ours.
        """
        self._is_corked = True
        try:
            return method(*args)
        except BaseException as exc:
            self._on_raised(exc, method)
            return True
        finally:
            self._end_delivery()

    def _on_raised(self, exc: BaseException, method: Callable[..., object]) -> None:
        """*method* of the protocol has raised *exc*."""
        if isinstance(exc, KeyboardInterrupt | SystemExit):
            self._uncork()
            raise exc
        if isinstance(exc, PeerError):
            self.fail(exc)
        else:
            self._hub.reports.failure(exc, method)
            self._lose(exc)

    # -- ending ------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Send what waits, then end.  Nothing more is received, and ``connection_lost(None)`` is the next call."""
        if self._is_closing:
            return
        self._hub.loop.check()
        self._halt()
        if self._pending is None:
            self._end_writing()

    def abort(self) -> None:
        """End now; what waits to be sent is dropped.  ``connection_lost(None)`` is the next call."""
        if not self._is_lost:
            self._hub.loop.check()
            self._lose(None)

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
        self._error = exc
        self._halt()
        if self._pending is not None and not self._is_writing:
            self._flush()
        self._lose(exc, linger=self._pending is None and not self._has_eof)

    def _halt(self) -> None:
        """No user call but ``connection_lost`` from here on, and no bytes in either direction but those that
        wait."""
        self._is_closing = self._is_write_ended = True
        if not self.is_halted:
            self.is_halted = True
            self._hub.loop.registry.remove(self._sock, EVENT_READ)

    def _on_broken(self, exc: BaseException) -> None:
        if isinstance(exc, ConnectionError):
            self._hub.counters.resets += 1
        self._lose(self._error or exc)

    def _lose(self, exc: BaseException | None, *, linger: bool = False) -> None:
        """The one end of every stream: unregister, let go of everything, and have ``connection_lost`` called."""
        if self._is_lost:
            return
        self._is_lost = True
        self._halt()
        self._hub.loop.registry.remove(self._sock, EVENT_READ | EVENT_WRITE)
        self._hub.kept.pop(self, None)
        if self._hub.pump is not None:
            self._hub.pump.dismiss(self._sock.fileno())
        self._is_writing = False
        self._pending = None
        self._pending_bytes = 0
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        self._hub.loop.call_soon(self._finish, exc, linger)

    def _finish(self, exc: BaseException | None, linger: bool) -> None:
        protocol, self._protocol = self._protocol, None
        self._hub.counters.closed_streams += 1
        self._hub.closed(self, exc)
        try:
            self._tell(protocol.connection_lost, exc)
        finally:
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


def _lender_of(protocol: Any) -> Any:
    """Return *protocol* if it is like asyncio's BufferedProtocol, which has nothing but ``get_buffer`` to receive
    with; None if it takes bytes.  Raises UsageError if it has neither."""
    if hasattr(protocol, "data_received"):
        return None
    if hasattr(protocol, "get_buffer"):
        return protocol
    raise UsageError(f"{protocol!r} has neither data_received() nor get_buffer(): it is no stream protocol")
