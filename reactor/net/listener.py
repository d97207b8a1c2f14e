"""A listening address: it turns what arrives there into streams with protocols, and knows when it has enough.

One listener may hold several sockets (a name with several addresses); they share one protocol factory, one set of
options and one count.  At ``max_connections`` it pauses: further clients wait in the kernel's queue, where they
cost nothing here, and are taken in as others leave.  Closing the listener leaves its connections alone.

Read next: ``connector``, the other way to come by a stream.
"""

from __future__ import annotations

import sys
from socket import SOCK_SEQPACKET

from reactor.errors import OptionError, SystemLimit
from reactor.flow import DEFAULT_WATERMARKS, Watermarks
from reactor.net.addresses import checked_unix_path, format_address
from reactor.net.sockets import remove_unix_path
from reactor.net.stream import Stream

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence
    from typing import Any

    from reactor.core.acceptor import Acceptor
    from reactor.net.hub import Hub
    from reactor.net.socket_options import SocketOptions

#: Linux gives an accepted socket the options of the listening one, so they are set once and not for each
#: connection.
IS_INHERITED = sys.platform == "linux"


class Listener:
    """Open listening sockets.  Made by ``listen_tcp``, ``listen_unix`` and ``adopt_listener``; loop thread only."""

    __slots__ = (
        "_acceptors", "_factory", "_hub", "_idle_timeout", "_is_closed", "_is_paused", "_options", "_sockets",
        "_transport", "_unix_path", "_watermarks", "accepted", "connections", "max_connections",
    )  # fmt: skip

    def __init__(
        self,
        hub: Hub,
        sockets: Sequence[socket.socket],
        factory: Callable[[], Any],
        options: SocketOptions,
        *,
        max_connections: int | None = None,
        idle_timeout: float | None = None,
        watermarks: Watermarks = DEFAULT_WATERMARKS,
        unix_path: str | bytes | None = None,
    ) -> None:
        if max_connections is not None and max_connections < 1:
            raise OptionError(f"max_connections is at least 1, or None for no limit, not {max_connections!r}")
        if idle_timeout is not None and not idle_timeout > 0:
            raise OptionError(f"an idle timeout is a positive number of seconds or None, not {idle_timeout!r}")
        self._hub = hub
        self._sockets = list(sockets)
        self._factory = factory
        #: What is made of a connection: the sockets are all of one kind.
        self._transport = transport_for(self._sockets[0].type)
        self._options = options
        self._idle_timeout = idle_timeout
        self._watermarks = watermarks
        self._unix_path: tuple[str | bytes, tuple[int, int] | None] | None = None
        if unix_path is not None:
            path = checked_unix_path(unix_path)
            self._unix_path = (path, hub.ops.path_identity(path))
        self.max_connections = max_connections
        #: Connections that are open now, and connections that ever were.
        self.connections = 0
        self.accepted = 0
        self._is_paused = False
        self._is_closed = False
        self._acceptors: list[Acceptor] = []
        hub.opened(self)
        try:
            for sock in self._sockets:
                self._acceptors.append(hub.loop.add_acceptor(sock, self._on_accepted))
                if IS_INHERITED:
                    options.apply_stream(sock)
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        where = "closed" if self._is_closed else ", ".join(map(format_address, self.addresses))
        return f"<{type(self).__name__} {where}, {self.connections} connections>"

    @property
    def addresses(self) -> list[Any]:
        """The socket addresses that are listened on, in the form of their families; empty after ``close``."""
        return [] if self._is_closed else [sock.getsockname() for sock in self._sockets]

    @property
    def address(self) -> Any:
        """The first of ``addresses``: all there is to know unless the host has several.  None after ``close``."""
        return None if self._is_closed else self._sockets[0].getsockname()

    @property
    def sockets(self) -> list[socket.socket]:
        """The listening sockets; they stay the listener's own."""
        return list(self._sockets)

    def pause(self) -> None:
        """Leave new connections in the kernel's queue until ``resume``."""
        self._is_paused = True
        self._settle()

    def resume(self) -> None:
        """Take connections again, as far as ``max_connections`` allows."""
        self._is_paused = False
        self._settle()

    def is_accepting(self) -> bool:
        """Tell whether a connection that arrives now is taken in now."""
        return not self._is_closed and any(acceptor.is_accepting() for acceptor in self._acceptors)

    def close(self) -> None:
        """Listen no more, and remove the path of a Unix socket if it is still ours.  Connections go on."""
        if self._is_closed:
            return
        self._is_closed = True
        for acceptor in self._acceptors:
            acceptor.close()
        if self._unix_path is not None:
            remove_unix_path(self._hub.ops, *self._unix_path)
        for sock in self._sockets:
            sock.close()
        self._hub.closed(self, None)

    abort = close

    def forget_path(self) -> None:
        """Leave the path of a Unix socket alone from now on: it is another process's as well."""
        self._unix_path = None

    def is_closing(self) -> bool:
        """Tell whether ``close`` was called."""
        return self._is_closed

    def _on_accepted(self, sock: socket.socket, address: Any) -> None:
        if not IS_INHERITED:
            self._options.apply_stream(sock)
        stream = self._transport(self._hub, sock, self._factory(), address, self._watermarks, self._on_lost)
        self.accepted += 1
        self.connections += 1
        if self.connections == self.max_connections:
            self._settle()
        if self._idle_timeout is not None:
            stream.set_idle_timeout(self._idle_timeout)
        try:
            stream.start()
        except SystemLimit as exc:
            # This poller has no room for the descriptor.  The stream has ended; more clients will meet the same.
            self._hub.counters.shed += 1
            self._hub.reports.fault("shed", f"closed a new connection: {exc}")

    def _on_lost(self, stream: object) -> None:
        self.connections -= 1
        if self.max_connections is not None:
            self._settle()

    def _settle(self) -> None:
        """Accept, or do not, as pausing and the number of connections demand."""
        is_full = self.max_connections is not None and self.connections >= self.max_connections
        for acceptor in self._acceptors:
            if self._is_paused or is_full:
                acceptor.pause()
            elif not acceptor.is_accepting():
                acceptor.resume()


def transport_for(kind: int) -> Any:
    """Return the class of transport for connected sockets of *kind*; the rare one is loaded when it is needed."""
    if kind != SOCK_SEQPACKET:
        return Stream
    from reactor.net.messages.stream import MessageStream

    return MessageStream
