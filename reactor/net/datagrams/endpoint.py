"""Datagrams: messages that arrive whole or not at all, in any order, from anybody.

There is no connection, and so everything about a stream that is about its peer is missing: no end, no flow
control that the other side would feel, and errors that concern one datagram and not the endpoint.  An endpoint
lives until it is closed:

- **An error of the network** (nobody listens there, no route, too long) is told to ``error_received``, and life
  goes on.  It is often about an earlier datagram: the kernel keeps what the network reports and hands it out at
  the next call.
- **An exception that the protocol lets escape** is reported and counted, and life goes on as well: one
  malformed datagram must not stop a server that serves a thousand senders.  Only ``connection_made`` must
  succeed.
- **What the kernel does not take at once** waits, in order, up to the watermarks' cap.  What comes then is
  dropped, which datagrams must expect anyway, counted, and told once for a whole burst.

A socket without room becomes writable when there is room, except a Unix socket that is not connected: it cannot
know whose queue is full, says that it is writable all the time, and would have us spin.  There the clock is asked.

Nothing is called from inside a method here but ``pause_writing``: errors of ``sendto`` come from the loop, or a
protocol that answers an error by sending would call itself until the stack is full.  Names are refused, since
the system would look them up and block: see ``resolver``.

All methods belong to the loop's thread.  Read next: ``batched_endpoint``, the same with fewer calls into the
kernel.
"""

from __future__ import annotations

import errno
import socket
import sys
from collections import deque
from selectors import EVENT_WRITE

from reactor.errors import UsageError
from reactor.flow import DEFAULT_WATERMARKS, Watermarks
from reactor.limits import DATAGRAM_BATCH, STREAM_SECONDS
from reactor.net.datagrams.destinations import Destinations
from reactor.net.datagrams.multicast import MulticastMember
from reactor.net.sockets.addresses import format_address
from reactor.net.sockets.unix_paths import remove_unix_path
from reactor.net.stream.outgoing import frozen
from reactor.net.stream.transport import Transport

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from typing import Any

    from reactor.core.handles import Timer
    from reactor.net.shared import Shared
    from reactor.net.sockets.addresses import Address

#: What a waiting datagram counts in addition to its bytes, so that empty ones cannot fill the memory either.
ENTRY_BYTES = 128

#: Seconds until an unconnected Unix socket asks again whether its receiver has room.
RETRY_DELAY = 0.01

#: Linux then tells the whole length of a datagram that did not fit into the buffer, see recv(2).
TELL_LENGTH = socket.MSG_TRUNC if sys.platform == "linux" else 0

#: Errors of receiving that no later datagram will end: the descriptor itself is of no more use.
BROKEN = frozenset({errno.EBADF, errno.ENOTSOCK, errno.EINVAL, errno.EFAULT})


class DatagramEndpoint(MulticastMember, Transport):
    """An open datagram socket and its protocol, with the methods of asyncio's DatagramTransport.

    Made by ``open_datagram`` and ``adopt_datagram``.  Takes *sock* over, and closes it if it cannot be watched:
    raises DescriptorTooLarge or OSError then.  *unix_path* is removed at the end if it is still this socket's.
    """

    __slots__ = (
        "_destinations", "_dropped", "_is_unix", "_pending_bytes", "_queue", "_remote", "_retry", "_unix_path",
    )  # fmt: skip

    _unit = "datagram"
    _receiver = "datagram_received"

    def __init__(
        self,
        shared: Shared,
        sock: socket.socket,
        protocol: Any,
        *,
        watermarks: Watermarks = DEFAULT_WATERMARKS,
        unix_path: str | bytes | None = None,
    ) -> None:
        self._remote = _peer_of(sock)  # a socket that is adopted may be connected already
        super().__init__(shared, sock, protocol, self._remote, watermarks)
        self._is_unix = sock.family == socket.AF_UNIX
        self._destinations = Destinations(sock.family, self._remote, shared.ops.interface_index)
        # With device and inode: at the end another process may have bound a socket of its own to the same path.
        self._unix_path = None if unix_path is None else (unix_path, shared.ops.path_identity(unix_path))
        self._queue: deque[tuple[bytes, Any]] = deque()
        self._pending_bytes = 0
        self._dropped = 0
        self._retry: Timer | None = None

    def _start(self) -> None:
        """Tell the protocol that the endpoint is open, and receive.  Called once, by whoever made this."""
        # Before the protocol hears of it, unlike a stream: an endpoint that cannot be watched was never open.
        try:
            self._watch_reads()
        except BaseException:
            self._remove_path()
            self._sock.close()
            raise
        self._shared.opened(self)
        # The one exception that ends an endpoint: this protocol never began to work.
        try:
            self._protocol.connection_made(self)
        except BaseException as exc:
            self._on_raised(exc, self._protocol.connection_made)
            self._lose(exc)

    def __repr__(self) -> str:
        state = "lost" if self._is_lost else "closing" if self._is_closing else "open"
        local = format_address(self.get_extra_info("sockname"))
        return f"<{type(self).__name__} {state} fd={self._sock.fileno()} {local}>"

    def forget_path(self) -> None:
        """Leave the path of a Unix socket alone from now on: it is another process's as well."""
        self._unix_path = None

    def can_write_eof(self) -> bool:
        """Return False: datagrams have no end."""
        return False

    # -- receiving ---------------------------------------------------------------------------------------------

    def _on_readable(self) -> None:
        scratch = self._shared.scratch
        turn = self._shared.loop.registry.turn
        stop_at = self._shared.clock() + STREAM_SECONDS
        # Several for one readiness: a burst must not cost a turn of the loop for each.
        for _ in range(DATAGRAM_BATCH):
            try:
                # With MSG_TRUNC the size is what the datagram had, not what was put into the buffer: see recv(2).
                size, address = self._sock.recvfrom_into(scratch, 0, TELL_LENGTH)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as exc:
                # Often it is about an earlier sendto.  To be told has cleared it, and there may be more to read.
                self._on_read_error(exc)
            else:
                if size > len(scratch):
                    self._on_cut(size, len(scratch), address)
                else:
                    # Copied: the next datagram, of whatever endpoint, goes into the same buffer.
                    self._on_received(scratch[:size].tobytes(), address)
            # A callback may have paused or ended this, forked (then the rest is the parent's), or taken its time.
            if self._is_halted or self._shared.loop.registry.turn != turn or self._shared.clock() >= stop_at:
                return

    def _on_received(self, data: bytes, address: Any) -> None:
        self.note_progress()
        self._shared.counters.datagrams_received += 1
        probe = self._shared.probe
        if probe is not None:
            probe.received(self, len(data))
        self._deliver(self._protocol.datagram_received, data, address)

    def _on_cut(self, size: int, room: int, address: Any) -> None:
        self._shared.counters.datagrams_dropped += 1
        # What did not fit is gone: the kernel drops the rest of a datagram, and half of one would be a lie.
        text = f"a datagram of {size} bytes from {format_address(address)} exceeds the buffer of {room}"
        self._deliver(self._protocol.error_received, OSError(errno.EMSGSIZE, text))

    def _on_read_error(self, exc: OSError) -> None:
        if exc.errno in BROKEN:
            self._lose(exc)
        else:
            self._deliver(self._protocol.error_received, exc)

    # -- sending -----------------------------------------------------------------------------------------------

    def sendto(self, data: bytes | bytearray | memoryview, address: Address | None = None) -> None:
        """Send *data*, which may be empty, as one datagram to *address*, or to the address it is connected to.

        *address* is what ``datagram_received`` gave, ``(numeric host, port)``, or a Unix path.  An IPv6 socket
        that takes IPv4 may send to IPv4 addresses as well.  What cannot be sent is told to ``error_received``,
        among it EMSGSIZE for *data* that is too long.  Ignored when the endpoint is closing.

        Raises TypeError if *data* is not bytes-like, AddressError for an address of the wrong form or family, a
        name, another address than the one it is connected to, and none if it is not connected.
        """
        if not self._is_lost:
            self._shared.loop.check()
        if type(data) is not bytes:
            data = frozen(data)
        address = self._destinations.checked(address)
        if self._is_closing:
            return
        # Behind those that wait, even if there is room by now: no datagram overtakes another of this endpoint.
        if self._queue or not self._send(data, address):
            self._enqueue(data, address)
            self._check_watermarks()

    def _send(self, data: bytes, address: Any) -> bool:
        """Hand one datagram to the kernel.  Return False if there was no room for it, and it has to wait."""
        try:
            self._transmit(data, address)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as exc:
            return self._on_send_error(exc, data, address)
        return True

    def _on_send_error(self, exc: OSError, data: bytes, address: Any) -> bool:
        """Have the protocol told of *exc*, met in sending *data*.  Return False if *data* has to wait."""
        # From the loop: a protocol that answers an error by sending would call itself until the stack is full.
        self._shared.loop.call_soon(self._on_error, exc)
        if self._remote is None or self._is_unix or not isinstance(exc, ConnectionRefusedError):
            return True
        # A connected UDP socket tells of an ICMP "port unreachable" at the next call, whatever that is: see udp(7).
        try:  # the kernel reported that an earlier datagram was refused, and has not sent this one
            self._transmit(data, address)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as again:
            self._shared.loop.call_soon(self._on_error, again)
        return True

    def _transmit(self, data: bytes, address: Any) -> None:
        if address is None:
            self._sock.send(data)
        else:
            self._sock.sendto(data, address)
        self.note_progress()
        self._shared.counters.datagrams_sent += 1
        probe = self._shared.probe
        if probe is not None:
            probe.sent(self, len(data))

    def _enqueue(self, data: bytes, address: Any) -> None:
        size = self._pending_bytes + len(data) + ENTRY_BYTES
        if size > self._watermarks.cap:
            self._shared.counters.datagrams_dropped += 1
            # Told once for a burst, whatever its length: the queue of calls must not grow in place of this one.
            if not self._dropped:
                self._shared.loop.call_soon(self._tell_dropped)
            self._dropped += 1
        else:
            self._queue.append((data, address))
            self._pending_bytes = size
            if len(self._queue) == 1:
                self._await_room()

    def _await_room(self) -> None:
        # Without a peer it cannot know whose queue is full: it is writable all the time, and would have us spin.
        if self._is_unix and self._remote is None:
            self._retry = self._shared.loop.call_later(RETRY_DELAY, self._flush)
        else:
            self._shared.loop.registry.add(self, EVENT_WRITE, self._flush)

    def _flush(self) -> None:
        # A bounded number, as in receiving.  What is left finds the socket writable in the next turn.
        for _ in range(min(DATAGRAM_BATCH, len(self._queue))):
            data, address = self._queue[0]
            if not self._send(data, address):
                break
            # Only now: until the kernel has it, it is what all later ones wait behind.
            self._queue.popleft()
            self._pending_bytes -= len(data) + ENTRY_BYTES
        if not self._queue:
            # A socket with room is writable all the time: watched any longer, it would make the loop spin.
            self._shared.loop.registry.remove(self, EVENT_WRITE)
            if self._is_closing:
                self._end_writing()
        elif self._retry is not None:  # the timer, which has run and is to run again; a registration just stays
            self._await_room()
        self._check_watermarks()

    def _tell_dropped(self) -> None:
        dropped, self._dropped = self._dropped, 0  # first: what is dropped in the callback is a new burst
        text = f"{dropped} datagrams were dropped: {self._pending_bytes} bytes wait to be sent already"
        self._on_error(OSError(errno.ENOBUFS, text))

    def _on_error(self, exc: OSError) -> None:
        if not self._is_closing:
            self._deliver(self._protocol.error_received, exc)

    def _pending_size(self) -> int:
        return self._pending_bytes

    def _has_unsent(self) -> bool:
        return bool(self._queue)

    def _drop_unsent(self) -> None:
        self._queue.clear()
        self._pending_bytes = 0
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._shared.loop.registry.remove(self, EVENT_WRITE)

    # -- ending ------------------------------------------------------------------------------------------------

    def write_eof(self) -> None:
        """Raise UsageError: datagrams have no end, close the endpoint instead."""
        self._shared.loop.check()
        raise UsageError("a datagram endpoint has no end to send: close() it")

    def _end_writing(self) -> None:
        self._lose(self._error)

    def _release(self, linger: bool) -> None:
        self._remove_path()
        self._sock.close()
        self._on_released()

    def _remove_path(self) -> None:
        if self._unix_path is not None:
            remove_unix_path(self._shared.ops, *self._unix_path)

    def _on_raised(self, exc: BaseException, method: object) -> None:
        """*method* of the protocol has raised *exc*: that ends nothing."""
        if isinstance(exc, KeyboardInterrupt | SystemExit):
            raise exc
        self._shared.reports.failure(exc, method)


def _peer_of(sock: socket.socket) -> Any:
    """Return the address that *sock* is connected to, None if it is not."""
    try:
        return sock.getpeername()
    except OSError:
        return None
