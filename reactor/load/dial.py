"""Makes the connections of a run, and hands them over as plain sockets.

The reactor connects them: names, several addresses, timeouts and errors are its business and nothing new.  But what
an engine needs is the bare socket.  So each connection's socket is duplicated in ``connection_made``, before
anything was read from it, and the stream is aborted: that closes the reactor's descriptor and not the connection.

At most ``PACE`` attempts are under way at a time, so that a queue of a listening socket does not overflow because
of us.  Read next: ``engine``.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING

from reactor.errors import ReactorError, os_error_text
from reactor.net.protocol import DatagramProtocol, Protocol

if TYPE_CHECKING:
    from typing import Any

    from reactor.load.faults import Faults
    from reactor.load.plan import Plan
    from reactor.net.reactor import Reactor

#: Attempts to connect at the same time; half of the shortest queue that servers commonly ask for (128).
PACE = 64

#: Bytes that a datagram socket may hold while the generator looks elsewhere, if the system grants them.
DATAGRAM_BUFFER = 4 * 1024 * 1024


def dial(loop: Reactor, plan: Plan, faults: Faults) -> list[socket.socket]:
    """Return one connected non-blocking socket for each connection that could be made; note the others as refused.

    Raises AddressError for a target that cannot be one.
    """
    dialing = _Dialing(loop, plan, faults)
    try:
        if plan.udp:
            dialing.open_datagrams()
        else:
            dialing.more()
            loop.run_until(dialing.is_done)
    except BaseException:
        for sock in dialing.sockets:
            sock.close()
        raise
    return dialing.sockets


class _Dialing:
    """The attempts of one run."""

    __slots__ = ("_faults", "_loop", "_pending", "_plan", "_started", "sockets")

    def __init__(self, loop: Reactor, plan: Plan, faults: Faults) -> None:
        self._loop = loop
        self._plan = plan
        self._faults = faults
        self._started = self._pending = 0
        self.sockets: list[socket.socket] = []

    def is_done(self) -> bool:
        """Return True if every attempt has ended."""
        return not self._pending

    def more(self) -> None:
        """Start attempts up to the pace."""
        address, timeout = self._plan.address, self._plan.timeout
        while self._pending < PACE and self._started < self._plan.connections:
            self._started += 1
            self._pending += 1
            if isinstance(address, tuple):
                self._loop.connect_tcp(lambda: _Call(self), *address, timeout=timeout, nodelay=True)
            else:
                self._loop.connect_unix(lambda: _Call(self), address, timeout=timeout)

    def made(self, sock: socket.socket) -> None:
        """One attempt succeeded."""
        self.sockets.append(sock)
        self._ended()

    def refused(self, text: str) -> None:
        """One attempt failed."""
        self._faults.note("refused", text)
        self._ended()

    def _ended(self) -> None:
        self._pending -= 1
        self.more()

    def open_datagrams(self) -> None:
        """Open all datagram sockets, each connected to the target: nothing has to be waited for."""
        for number in range(self._plan.connections):
            try:
                self.sockets.append(self._datagram_socket(number))
            except ReactorError as exc:
                self._faults.note("refused", str(exc))

    def _datagram_socket(self, number: int) -> socket.socket:
        address, local = self._plan.address, None
        if isinstance(address, str) and sys.platform == "linux":
            # A Unix datagram can only be answered if its sender has a name; an abstract one leaves no file behind.
            local = f"@reactor-load-{os.getpid()}-{id(self):x}-{number}"
        endpoint = self._loop.open_datagram(DatagramProtocol, local=local, remote=address)
        sock: socket.socket = endpoint.get_extra_info("socket").dup()
        endpoint.abort()
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, DATAGRAM_BUFFER)
        return sock


class _Call(Protocol):
    """One attempt."""

    __slots__ = ("_dialing",)

    def __init__(self, dialing: _Dialing) -> None:
        self._dialing = dialing

    def connection_made(self, transport: Any) -> None:
        """Keep the connection and nothing else."""
        try:
            sock = transport.get_extra_info("socket").dup()
        except OSError as exc:
            self._dialing.refused(f"a socket cannot be duplicated: {os_error_text(exc)}")
        else:
            self._dialing.made(sock)
        transport.abort()

    def connection_failed(self, exc: Exception) -> None:
        """Nobody answered."""
        self._dialing.refused(str(exc))
