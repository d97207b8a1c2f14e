"""A listening address: it turns what arrives there into streams with protocols, and knows when it has enough.

One listener may hold several sockets (a name with several addresses); they share one protocol factory, one set of
options and one count.  At ``max_connections`` it pauses: further clients wait in the kernel's queue, where they
cost nothing here, and are taken in as others leave.  Closing the listener leaves its connections alone.

What is counted is descriptors, because descriptors are what a server runs out of.  A connection keeps its place
from ``accept`` until its socket is closed.  That may be long after ``connection_lost``: a connection that we close
while the peer still sends lingers (see ``lingering``), and its place is given away only when that is over.

Read next: ``attempt`` and ``connector``, the other way to come by a stream.
"""

from __future__ import annotations

import sys
from socket import SOCK_SEQPACKET
from types import GenericAlias

from reactor.arguments import checked_seconds, checked_whole
from reactor.errors import SystemLimit
from reactor.flow import DEFAULT_WATERMARKS, Watermarks
from reactor.net.connections.acceptor import close_accepted
from reactor.net.connections.factories import MESSAGES, STREAM, Kind, checked_protocol
from reactor.net.sockets.addresses import checked_unix_path, format_address
from reactor.net.sockets.opening import remove_unix_path
from reactor.net.stream.stream import Stream

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence
    from typing import Any, Generic

    from typing_extensions import TypeVar  # of the type checkers' own stubs: this one has a default

    from reactor.net.connections.acceptor import Acceptor
    from reactor.net.protocol import MessageFactory, StreamFactory
    from reactor.net.shared import Shared
    from reactor.net.sockets.addresses import Address
    from reactor.net.sockets.options import SocketOptions

    #: What its addresses look like.
    A_co = TypeVar("A_co", default=Address, covariant=True)
else:
    # The class is generic for the type checker, and derives from nothing at run time: typing is not imported.
    A_co = None
    Generic = {A_co: object}

#: Linux gives an accepted socket the options of the listening one, so they are set once and not for each
#: connection.
IS_INHERITED = sys.platform == "linux"

class Listener(Generic[A_co]):
    """Open listening sockets.  Made by ``listen_tcp``, ``listen_unix`` and ``adopt_listener``; loop thread only.

    ``connections`` is how many of its connections hold a descriptor now, those that linger included; ``accepted``
    is how many there ever were.  There are never more than ``max_connections``, unless that was lowered meanwhile.
    Every method that changes something raises WrongThread in another thread than the loop's, and changes nothing.
    """

    if not TYPE_CHECKING:
        __class_getitem__ = classmethod(GenericAlias)  # an annotation may say Listener[...] where it is evaluated

    __slots__ = (
        "_acceptors", "_factory", "_idle_timeout", "_is_closed", "_is_paused", "_kind", "_known_type",
        "_max_connections", "_on_end", "_options", "_shared", "_sockets", "_transport", "_unix_path", "_watermarks",
        "accepted", "connections",
    )  # fmt: skip

    def __init__(
        self,
        shared: Shared,
        sockets: Sequence[socket.socket],
        factory: StreamFactory | MessageFactory,
        options: SocketOptions,
        *,
        max_connections: int | None = None,
        idle_timeout: float | None = None,
        watermarks: Watermarks = DEFAULT_WATERMARKS,
        unix_path: str | bytes | None = None,
    ) -> None:
        loop: Any = shared.loop  # the Reactor, a later file: it shares one reserve among all its acceptors
        loop.check()
        self._max_connections = checked_limit(max_connections)
        self._idle_timeout = checked_seconds("idle_timeout", idle_timeout)
        self._shared = shared
        self._sockets = list(sockets)
        self._factory = factory
        #: What is made of a connection: the sockets are all of one kind.
        self._transport = transport_for(self._sockets[0].type)
        self._kind = kind_for(self._sockets[0].type)
        #: What each connection is given: one bound method for all, and not 64 bytes for each.
        self._on_end = self._on_lost
        #: The class of the last protocol.
        self._known_type: type | None = None
        self._options = options
        self._watermarks = watermarks
        self._unix_path: tuple[str | bytes, tuple[int, int] | None] | None = None
        if unix_path is not None:
            path = checked_unix_path(unix_path)
            self._unix_path = (path, shared.ops.path_identity(path))
        self.connections = 0
        self.accepted = 0
        self._is_paused = False
        self._is_closed = False
        self._acceptors: list[Acceptor] = []
        shared.opened(self)
        try:
            for sock in self._sockets:
                self._acceptors.append(loop._acceptor(sock, self._on_accepted, self._room))
                if IS_INHERITED:
                    options.apply_stream(sock)
        except BaseException:
            self.close()  # with the acceptors and sockets that are open by now
            raise

    def __repr__(self) -> str:
        where = "closed" if self._is_closed else ", ".join(map(format_address, self.addresses))
        return f"<{type(self).__name__} {where}, {self.connections} connections>"

    @property
    def addresses(self) -> list[A_co]:
        """The socket addresses that are listened on, in the form of their families; empty after ``close``."""
        return [] if self._is_closed else [sock.getsockname() for sock in self._sockets]

    @property
    def address(self) -> A_co:
        """The first of ``addresses``: all there is to know unless the host has several.  None after ``close``;
        the type leaves that out, since nearly every program asks while it listens."""
        address: Any = None if self._is_closed else self._sockets[0].getsockname()
        typed: A_co = address
        return typed

    @property
    def sockets(self) -> list[socket.socket]:
        """The listening sockets; they stay the listener's own."""
        return list(self._sockets)

    @property
    def max_connections(self) -> int | None:
        """How many connections may be open at a time, at least 1; None: no limit.

        A change takes effect at once.  A smaller number ends no connection: nobody is taken in until so many have
        left.  Raises OptionError for any other value, WrongThread, and ReactorClosed.
        """
        return self._max_connections

    @max_connections.setter
    def max_connections(self, limit: int | None) -> None:
        self._shared.loop.check()
        self._max_connections = checked_limit(limit)
        self._pause_or_resume()

    def pause(self) -> None:
        """Leave new connections in the kernel's queue until ``resume``.  Closed, it does nothing."""
        if not self._is_closed:
            self._shared.loop.check()
            self._is_paused = True
            self._pause_or_resume()

    def resume(self) -> None:
        """Take connections again, as far as ``max_connections`` allows.  Closed, it does nothing."""
        if not self._is_closed:
            self._shared.loop.check()
            self._is_paused = False
            self._pause_or_resume()

    def is_accepting(self) -> bool:
        """Return True if a connection that arrives now is taken in now."""
        return not self._is_closed and any(acceptor.is_accepting() for acceptor in self._acceptors)

    def close(self) -> None:
        """Listen no more, and remove the path of a Unix socket if it is still ours.  Connections go on.

        Idempotent; the reactor calls it at its own end.
        """
        if self._is_closed:
            return
        self._shared.loop.check()
        self._is_closed = True
        for acceptor in self._acceptors:
            acceptor.close()
        if self._unix_path is not None:
            remove_unix_path(self._shared.ops, *self._unix_path)
        for sock in self._sockets:
            sock.close()
        self._shared.closed(self, None)

    abort = close

    def forget_path(self) -> None:
        """Leave the path of a Unix socket alone from now on: it is another process's as well."""
        self._unix_path = None

    def is_closing(self) -> bool:
        """Return True if ``close`` was called."""
        return self._is_closed

    def _on_accepted(self, sock: Any, address: Any) -> None:
        if not IS_INHERITED:
            self._options.apply_stream(sock)
        try:
            protocol: Any = self._factory()
            if type(protocol) is not self._known_type:  # what one of them can, the others can: asking costs 2 us
                protocol = checked_protocol(protocol, self._factory, self._kind)
                self._known_type = type(protocol)
            stream = self._transport(self._shared, sock, protocol, address, self._watermarks, self._on_end)
        except BaseException:  # it costs this client its connection
            close_accepted(self._shared.ops, sock)
            raise
        self.accepted += 1
        self.connections += 1
        if self._max_connections is not None and self.connections >= self._max_connections:
            self._pause_or_resume()  # at once: the acceptor asks after each connection whether it may go on
        if self._idle_timeout is not None:
            stream.set_idle_timeout(self._idle_timeout)
        try:
            stream._start()
        except SystemLimit as exc:
            # This poller has no room for the descriptor.  The stream has ended; more clients will meet the same.
            self._shared.counters.shed += 1
            self._shared.reports.fault("shed", f"closed a new connection: {exc}")

    def _on_lost(self, stream: object) -> None:
        """The descriptor of one of our connections is closed."""
        self.connections -= 1
        if self._max_connections is not None:
            self._pause_or_resume()

    def _room(self) -> int:
        """Return how many connections may be taken now."""
        # Not below none: a limit that was lowered lies below the number of those who are in.
        return sys.maxsize if self._max_connections is None else max(0, self._max_connections - self.connections)

    def _is_full(self) -> bool:
        return self._max_connections is not None and self.connections >= self._max_connections

    def _pause_or_resume(self) -> None:
        """Have the acceptors do what pausing and the number of connections demand."""
        is_open = not (self._is_paused or self._is_full())
        for acceptor in self._acceptors:
            if not is_open:
                acceptor.pause()
            elif not acceptor.is_accepting():
                acceptor.resume()  # one that rests for lack of descriptors goes on resting


def checked_limit(limit: int | None) -> int | None:
    """Return *limit* if it can be a ``max_connections``.  Raises OptionError."""
    checked: int | None = checked_whole("max_connections", limit, 1, none=True)
    return checked


def transport_for(kind: int) -> Any:
    """Return the class of transport for connected sockets of *kind*; the rare one is loaded when it is needed."""
    if kind != SOCK_SEQPACKET:
        return Stream
    from reactor.net.messages.stream import MessageStream

    return MessageStream


def kind_for(kind: int) -> Kind:
    """Return what protocols on connected sockets of *kind* must be like."""
    return MESSAGES if kind == SOCK_SEQPACKET else STREAM
