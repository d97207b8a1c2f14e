"""The life of a connection, whatever it carries: bytes, messages or datagrams.

Everything that all kinds share stands here, once, and there is one end, ``_lose``, to which everything leads::

    close()         take nothing more, send what waits, then end; linger unless the peer has finished already
    peer's eof      eof_received(); unless that returns true, as close()
    abort()         drop what waits, end
    reset()         the same with a reset to the peer
    fail(exc)       the peer broke the protocol: counted, told in one line, ended
    an error        of the socket, or an exception that the protocol let escape: ended
    silence         longer than the idle timeout: ended

``_lose`` unregisters the socket; ``connection_lost`` follows as the last call, from the loop and never from inside
a method of a transport; and then the socket is closed.

Two limits are kept here as well: how long a peer may be silent, and how much may wait to be sent, with three
watermarks at which the protocol is told to pause, to go on, and beyond which the peer is given up.

The flags say what is over.  ``_is_write_ended``: nothing more is taken to be sent.  ``_has_eof``: the peer has
ended its direction.  ``_is_halted``: the protocol is given nothing at present.  ``_is_closing``: no call of the
protocol any more but ``connection_lost``.  ``_is_lost``: that one is on its way, and no method does anything any
more.

**Check, then change:** every public method looks first whether it may be called (``loop.check``: the right thread,
an open reactor), and changes something only then.  Loop thread.  Read next: ``stream``; then
``reactor.net.messages.stream`` and ``reactor.net.datagrams.endpoint``, the other kinds.
"""

from __future__ import annotations

import errno
import socket
from abc import ABC, abstractmethod
from functools import partial
from selectors import EVENT_READ, EVENT_WRITE

from reactor.arguments import checked_instance, checked_seconds, checked_whole, shown
from reactor.errors import IdleTimeout, OptionError, PeerError, UsageError, WriteBufferFull
from reactor.flow import DEFAULT_WATERMARKS, Watermarks
from reactor.net.sockets.addresses import compact_address, expanded_address, format_address, is_ipv4
from reactor.net.sockets.opening import peer_credentials, set_reset_on_close

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from reactor.core.handles import Timer
    from reactor.net.shared import Shared


class Transport(ABC):
    """One open socket and the protocol that is told of it; *on_lost* is called when the descriptor is closed."""

    __slots__ = (
        "_error", "_fd", "_has_eof", "_idle", "_idle_timeout", "_is_closing", "_is_halted", "_is_lost",
        "_is_watched", "_is_write_ended", "_is_write_paused", "_on_lost", "_peer", "_protocol", "_shared", "_sock",
        "_watermarks",
    )  # fmt: skip

    #: What moves on it, for people.
    _unit = "byte"

    #: The method of a protocol that is given what arrives.
    _receiver = "data_received"

    def __init__(
        self,
        shared: Shared,
        sock: socket.socket | int,
        protocol: Any,
        peer: Any = None,
        watermarks: Watermarks = DEFAULT_WATERMARKS,
        on_lost: Callable[[Any], object] | None = None,
    ) -> None:
        self._shared = shared
        #: The socket, or None and its descriptor: the object is made when somebody asks for it, see ``_socket``.
        self._sock: Any = None
        self._fd = -1
        if type(sock) is int:
            self._fd = sock
        else:
            self._sock = sock
        self._protocol: Any = protocol
        # Kept, because getpeername(2) knows no peer any more once the connection is reset, and the log names it.
        # Compact, because every connection keeps one: 32 or 56 bytes instead of 150.
        self._peer = peer if type(peer) is int else compact_address(peer)
        self._watermarks = watermarks
        self._on_lost = on_lost
        #: Why nothing more can be sent, while there may still be something to read.
        self._error: BaseException | None = None
        self._idle: Timer | None = None
        self._idle_timeout = 0.0
        self._is_write_paused = self._is_write_ended = self._is_closing = self._is_lost = self._has_eof = False
        self._is_halted = self._is_watched = False

    def __repr__(self) -> str:
        state = "lost" if self._is_lost else "closing" if self._is_closing else "open"
        peer = format_address(self.get_extra_info("peername"))
        return f"<{type(self).__name__} {state} fd={self.fileno()} peer={peer}>"

    def _start(self) -> None:
        """Tell the protocol that the connection is made, and begin to read.  Called once, by whoever made this."""
        shared = self._shared
        shared.transports.add(self)  # what ``Shared.opened`` does
        if shared.probe is not None:
            shared.probe.opened(self)
        try:
            self._deliver(self._protocol.connection_made, self)
            # The protocol may have paused or ended it: then it is not watched at all.
            if not self._is_halted:
                self._watch_reads()
        except BaseException as exc:
            self._lose(exc)
            raise

    # -- what is known of it -----------------------------------------------------------------------------------

    def fileno(self) -> int:
        """Return the descriptor of the socket, -1 when it is closed."""
        return self._fd if self._sock is None else self._sock.fileno()

    def _socket(self) -> socket.socket:
        """Return the socket; a connection that came as a mere number is given an object for it now."""
        sock: socket.socket | None = self._sock
        if sock is None:
            # Any thread may ask.  Two objects for one number, or one for a number that is closed already, would
            # close it a second time when they are collected.
            with self._shared.making:
                sock = self._sock
                if sock is None:
                    if self._fd < 0:
                        raise OSError(errno.EBADF, "the connection is over, and nobody asked for its socket before")
                    family = socket.AF_INET if is_ipv4(self._peer) else socket.AF_INET6
                    sock = self._sock = self._shared.ops.socket_of(self._fd, family, socket.SOCK_STREAM)
        return sock

    def get_protocol(self) -> Any:
        """Return the protocol that is told what happens here; None after the end."""
        return self._protocol

    def set_protocol(self, protocol: Any) -> None:
        """Have *protocol* told what happens from now on.  ``connection_made`` is not called again.

        Raises UsageError if it has no method to receive with.
        """
        if not self._is_lost:
            self._shared.loop.check()
            if not hasattr(protocol, self._receiver):
                raise UsageError(f"{shown(protocol)} has no {self._receiver}(): it is no protocol for this")
            self._protocol = protocol

    def is_closing(self) -> bool:
        """Return True if it is closing or closed: nothing more can be sent."""
        return self._is_closing

    def is_reading(self) -> bool:
        """Return True if what arrives is received: reading is not paused, and the peer has not ended."""
        return not (self._is_halted or self._has_eof)

    def can_write_eof(self) -> bool:
        """Return True: ``write_eof`` is always possible."""
        return True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return "socket", "peername", "sockname" (socket addresses), "peercred" (PeerCredentials, Unix only), or
        what ``set_extra_info`` has said of the connection.

        *default* for any other name, and where the system has no answer (any more).
        """
        try:
            if name == "socket":
                return self._socket()
            if name == "peername":
                return self._socket().getpeername() if self._peer is None else expanded_address(self._peer)
            if name == "sockname":
                return self._socket().getsockname()
            if name == "peercred":
                return peer_credentials(self._socket())
        except (OSError, OptionError):
            return default
        return self._shared.extra.get(self, {}).get(name, default)

    def set_extra_info(self, name: str, value: object) -> None:
        """Have ``get_extra_info`` return *value* for *name*, as long as the connection lives."""
        if not self._is_lost:
            self._shared.loop.check()
            self._shared.extra.setdefault(self, {})[name] = value

    # -- whether it is received --------------------------------------------------------------------------------

    def pause_reading(self) -> None:
        """Take nothing more from the socket: soon its peer cannot send any more either."""
        if not self._is_lost:
            self._shared.loop.check()
            if not self._is_halted:
                self._is_halted = True
                self._unwatch_reads()

    def resume_reading(self) -> None:
        """Take from the socket again."""
        if not self._is_lost:
            self._shared.loop.check()
            if self._is_halted and not self._is_closing:
                # Behind the end there is nothing to read, and the kernel would call that readable in every turn.
                if not self._has_eof:
                    self._watch_reads()
                self._is_halted = False  # last: if it cannot be watched, it is still paused

    def _watch_reads(self) -> None:
        self._shared.loop.registry.add(self, EVENT_READ, self._on_readable)
        self._is_watched = True

    def _unwatch_reads(self) -> None:
        if self._is_watched:
            self._is_watched = False
            self._shared.loop.registry.remove(self, EVENT_READ)

    @abstractmethod
    def _on_readable(self) -> None:
        """The socket has something to read, or has come to its end."""

    def _on_eof(self) -> None:
        """The peer has shut its writing side down, or closed: there is nothing more to read, ever."""
        self._has_eof = True
        if self._error is not None:
            self._on_broken(self._error)
            return
        # A protocol that does not care for the end has no such method, and is closed.
        told = getattr(self._protocol, "eof_received", None)
        try:
            # To keep it open is to go on writing, so a side that has ended its own writing has nothing left to do.
            is_kept = told is not None and self._deliver(told) and not self._is_write_ended
        except BaseException:  # Ctrl-C: nobody would hear of this end again
            self._end()
            raise
        if not is_kept:
            self._end()
        else:
            # A socket at its end is readable forever: watched any longer, it would make the loop spin.
            self._unwatch_reads()

    # -- how long a peer may be silent -------------------------------------------------------------------------

    def set_idle_timeout(self, timeout: float | None) -> None:
        """Abort with IdleTimeout when nothing has moved for *timeout* seconds; None: wait forever.  Raises
        OptionError."""
        checked_seconds("timeout", timeout)
        if not self._is_lost:
            self._shared.loop.check()
            # Made first: if it is refused, the old one goes on.
            idle = None if timeout is None else self._shared.loop.call_later(timeout, self._on_idle)
            self._stop_idling()
            if timeout is not None:
                self._idle, self._idle_timeout = idle, timeout

    def note_progress(self) -> None:
        """Something moved: the idle timeout begins anew.  For those who send on the socket beside the transport."""
        if self._idle is not None:
            # One assignment (70 ns): the timer queue finds out only when the old instant comes, see ``timers``.
            self._idle.postpone(self._shared.clock() + self._idle_timeout)

    def _stop_idling(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _on_idle(self) -> None:
        self._shared.counters.idle_timeouts += 1
        self._lose(IdleTimeout(f"no {self._unit} moved for {self._idle_timeout:g} s; the connection is given up"))

    # -- how much may wait to be sent --------------------------------------------------------------------------

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the watermarks in bytes; as in asyncio, low defaults to a quarter of high.  Raises OptionError."""
        checked_whole("high", high, what="number of bytes", none=True)
        checked_whole("low", low, what="number of bytes", none=True)
        if high is None:
            high = 4 * low if low is not None else DEFAULT_WATERMARKS.high
        if low is None:
            low = high // 4
        # A cap below the high mark would end a protocol before it has been told to pause.
        watermarks = Watermarks(high, low, max(self._watermarks.cap, high))
        if not self._is_lost:
            self._shared.loop.check()
            self._watermarks = watermarks
            self._check_watermarks()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the watermarks (low, high) in bytes."""
        return self._watermarks.low, self._watermarks.high

    def get_write_buffer_size(self) -> int:
        """Return what waits to be sent, in bytes; a message or datagram counts ENTRY_BYTES more than it has."""
        if not self._is_lost:
            self._shared.loop.check()
        return self._pending_size()

    @abstractmethod
    def _pending_size(self) -> int:
        """Return what waits to be sent, as the watermarks count it."""

    def _has_overflowed(self) -> bool:
        """Return True, having given the peer up, if more than the cap waits before anything is added.

        The cap is for what piles up.  One large write passes: it pauses the protocol, and the next one counts.
        """
        size, cap = self._pending_size(), self._watermarks.cap
        if size <= cap:
            return False
        self._shared.counters.write_overflows += 1
        self.fail(WriteBufferFull(
            f"{size} bytes wait for a peer that does not read, more than the cap of {cap}, and more was written: "
            "write no more from pause_writing() to resume_writing(), or raise the cap: watermarks=Watermarks(...)"
        ))  # fmt: skip
        return True

    def _check_watermarks(self) -> None:
        """Tell the protocol to pause or to go on."""
        size = self._pending_size()
        if self._is_closing:
            return  # the protocol hears nothing any more but ``connection_lost``
        # Two marks instead of one: a single one would be crossed back and forth by every small write.
        if size > self._watermarks.high and not self._is_write_paused:
            self._is_write_paused = True  # before the call, which may write more and come here again
            self._tell("pause_writing")
        elif size <= self._watermarks.low and self._is_write_paused:
            self._is_write_paused = False
            self._tell("resume_writing")

    # -- ending one direction ----------------------------------------------------------------------------------

    def write_eof(self) -> None:
        """Send what waits, then tell the peer that no more comes; reading goes on."""
        if not self._is_write_ended:
            self._shared.loop.check()
            self._end_outgoing()
            # Else whoever sends the last of it does this: the FIN has to come behind the data.
            if not self._has_unsent():
                self._end_writing()

    def _end_outgoing(self) -> None:
        """Take nothing more to be sent."""
        self._is_write_ended = True

    @abstractmethod
    def _has_unsent(self) -> bool:
        """Return True if something waits to be sent."""

    @abstractmethod
    def _drop_unsent(self) -> None:
        """Nothing more leaves, ever."""

    def _forget_unsent(self) -> None:
        """In a forked child: what waits to be sent is the parent's to send, and what closes is its to close."""
        self._drop_unsent()
        if self._is_closing:
            self._lose(None)

    def _end_writing(self) -> None:
        """All is sent: close if that is what it was for, or if the peer has ended too; else shut this side down."""
        if self._is_closing:
            # A peer that has not ended may still be sending, and a closed socket answers that with a reset, which
            # destroys the last reply: see ``lingering``.
            self._lose(self._error, linger=not self._has_eof)
            return
        try:
            self._socket().shutdown(socket.SHUT_WR)  # sends the FIN; ENOTCONN if the peer has reset meanwhile
        except OSError as exc:
            self._on_unwritable(exc)
            return
        if self._has_eof:
            self._lose(None)

    def _on_unwritable(self, exc: OSError) -> None:
        """The peer takes nothing more.  What it sent before that may still lie here: read it all, then end."""
        self._error = self._error or exc  # the first error is the cause, those behind it are consequences
        if self._is_closing or self._is_halted or self._has_eof:
            self._on_broken(exc)  # nobody is going to read: there is nothing to wait for
            return
        self._end_outgoing()
        self._drop_unsent()

    # -- the end -----------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Send what waits, then end.  Nothing more is received, and ``connection_lost(None)`` is the next call."""
        if not self._is_closing:
            self._shared.loop.check()
            self._end()

    def _end(self) -> None:
        if not self._is_closing:
            self._halt()
            if self._has_unsent():
                self._unwatch_reads()
            else:
                self._end_writing()

    def abort(self) -> None:
        """End now; what waits to be sent is dropped.  ``connection_lost(None)`` is the next call."""
        if not self._is_lost:
            self._shared.loop.check()
            self._lose(None)

    def reset(self) -> None:
        """End now, and have the kernel send a reset, so that the peer sees an error instead of an end."""
        if not self._is_lost:
            self._shared.loop.check()
            set_reset_on_close(self._socket())  # SO_LINGER of 0 seconds, see socket(7): close(2) then sends a reset
            self._lose(None)

    def fail(self, exc: PeerError) -> None:
        """End because the peer broke the protocol: count it and say so in one line.

        Replies to what it sent before that still leave, as far as the kernel takes them at once.  Raises
        ArgumentError for what is no exception: ``abort`` ends without one.
        """
        checked_instance("exc", exc, BaseException, "the PeerError that says what was wrong")
        if self._is_lost:
            return
        self._shared.loop.check()
        self._shared.counters.peer_errors += 1
        peer = format_address(self.get_extra_info("peername"))
        self._shared.reports.fault(type(exc).__name__, f"closed the connection of {peer}: {exc}")
        # A traceback holds the frames of those who found the fault, and these hold what was received.
        self._error = exc.with_traceback(None)
        self._halt()
        self._flush()  # once: a peer that has broken the protocol is not waited for
        # A reply of which the kernel took only a part is cut short in any case: it is not worth lingering for.
        self._lose(exc, linger=not (self._has_eof or self._has_unsent()))

    @abstractmethod
    def _flush(self) -> None:
        """Hand the kernel what waits, until it takes no more of it."""

    def _on_broken(self, exc: BaseException) -> None:
        """The socket is of no more use."""
        # An error that sending has met before is the cause, and this one follows from it.
        reason = self._error or exc
        if isinstance(reason, ConnectionError):
            self._shared.counters.resets += 1
        self._lose(reason)

    def _halt(self) -> None:
        """No call of the protocol but ``connection_lost`` from here on, and nothing in either direction but what
        waits.  Whoever does this ends it, or watches it no more, before the next turn."""
        self._is_closing = self._is_halted = True
        self._end_outgoing()

    def _lose(self, exc: BaseException | None, *, linger: bool = False) -> None:
        """The one end of every transport: unregister, let go of everything, and have ``connection_lost`` called."""
        if self._is_lost:
            return
        self._is_lost = True  # first: what is called below may come here again, and the end is told once
        if not self._is_closing:
            self._halt()
        self._drop_unsent()
        # For the transport itself, or for someone who watches its socket beside it.
        self._is_watched = False
        self._shared.loop.registry.remove(self, EVENT_READ | EVENT_WRITE)
        if self._idle is not None:
            self._stop_idling()
        # From the loop: the protocol itself may have called ``abort``, in the middle of a method of its own.
        # Late in this turn, so that whoever has asked for the end has returned by then.
        self._shared.loop.call_at_turn_end(partial(self._finish, exc, linger))

    def _finish(self, exc: BaseException | None, linger: bool) -> None:
        shared = self._shared
        shared.transports.discard(self)  # what ``Shared.closed`` does
        if shared.probe is not None:
            shared.probe.closed(self, exc)
        try:
            self._protocol.connection_lost(exc)
        except BaseException as error:  # among them that it has no such method
            self._on_raised(error, getattr(self._protocol, "connection_lost", "connection_lost"))
        finally:
            # The socket is closed behind the call: until then its number is nobody else's, and a protocol that kept
            # it in a table takes it out in time.
            self._protocol = None  # protocol and transport hold each other: without the cycle both go at once
            if shared.extra:
                shared.extra.pop(self, None)
            self._release(linger)

    def _release(self, linger: bool) -> None:
        """Close the socket: now, or when the peer is done, see ``lingering``."""
        self._shared.counters.closed_streams += 1
        inherited = self._shared.inherited
        if inherited and self in inherited:
            inherited.remove(self)
            linger = False  # to shut the connection down would do it to the parent's as well
        if linger:
            self._shared.lingering.take(self._socket(), self._discard, self._on_released)
        else:
            with self._shared.making:
                sock, fd, self._fd = self._sock, self._fd, -1
            if sock is None:
                self._shared.ops.close(fd)
            else:
                sock.close()
            if self._on_lost is not None:
                self._on_lost(self)

    def _discard(self, buffer: memoryview) -> int:
        """Receive into *buffer* for nobody; return 0 at the end, and at nothing else."""
        return self._socket().recv_into(buffer)

    def _on_released(self) -> None:
        if self._on_lost is not None:
            self._on_lost(self)

    # -- calling the protocol ----------------------------------------------------------------------------------

    def _tell(self, name: str, *args: object) -> Any:
        """Call the method *name* of the protocol.  What it raises ends this transport and no other: a PeerError is
        the peer's fault, anything else, a method that is missing among it, is a bug of ours.  Return True then."""
        method: Any = name
        try:
            method = getattr(self._protocol, name)  # inside the try: a method that is missing ends this one alone
            return self._shared.loop.call_inside(method, *args)
        except BaseException as exc:
            self._on_raised(exc, method)
            return True

    def _deliver(self, method: Callable[..., Any], *args: object) -> Any:
        """Call *method* of the protocol with something that has happened; otherwise as ``_tell``."""
        try:
            return method(*args)
        except BaseException as exc:
            self._on_raised(exc, method)
            return True

    def _on_raised(self, exc: BaseException, method: object) -> None:
        """*method* of the protocol has raised *exc*."""
        if isinstance(exc, KeyboardInterrupt | SystemExit):
            raise exc
        if isinstance(exc, PeerError):
            self.fail(exc)
        else:
            self._shared.reports.failure(exc, method)
            self._lose(exc)
