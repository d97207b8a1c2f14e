"""A server: one service on any number of addresses, with one set of counters and one end.

**Stopping** is the only thing here that needs thought.  A server that is told to stop listens no more.  A
client between two messages is closed at once: in an orderly way, so its last reply arrives.  A client in the
middle of a message may finish it and is answered first; so is what already lies in the kernel's buffer, because
the poller is asked once more before anybody is closed.  Whoever is not done after ``grace`` seconds is
aborted.  Then the server is stopped, and the loop goes on: it is its owner's.

**The journal** is a function that is told, in one line, what happens to whom; None costs nothing.  Texts from
the network are quoted and cut in it, so that nobody writes control sequences to an administrator's terminal.

**With keys** a server has a gate (``gate``): whoever has not proved to have one of them is no client, and counts as
an error if he tried.

Read next: ``client``.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from reactor.arguments import checked_callable, checked_instance, checked_seconds
from reactor.auth.challenge import checked_context
from reactor.errors import OptionError, UsageError
from reactor.flow import DEFAULT_WATERMARKS, Watermarks
from reactor.limits import MAX_FRAME_LENGTH
from reactor.net.connections.listener import checked_limit
from reactor.net.reactor import Reactor
from reactor.net.sockets.addresses import format_address
from reactor.printable import printable
from reactor.service.catalog import Service, service_named
from reactor.service.counters import ServerCounters
from reactor.service.gate import ServerGate
from reactor.service.modes import MODES, codec_for
from reactor.service.session import DatagramSession, Session

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from typing import TypeVar, Unpack

    from reactor.auth.keys import KeyRing
    from reactor.core.handles import Timer
    from reactor.errors import AuthenticationFailed
    from reactor.net.connections.listener import Listener
    from reactor.net.datagrams.endpoint import DatagramEndpoint
    from reactor.net.protocol import StreamFactory, StreamProtocol
    from reactor.net.reactor import (
        ListenerKeywords,
        ListenTcpKeywords,
        ListenUnixKeywords,
        TransportKeywords,
    )
    from reactor.net.sockets.addresses import Address, InternetAddress, UnixAddress
    from reactor.net.stream.stream import Stream
    from reactor.net.stream.transport import Transport

    A = TypeVar("A", bound=Address)

#: Seconds that clients have to finish when a server stops.  Docker gives a container 10 in all, systemd a unit 90.
GRACE = 5.0

#: Characters of a text from the network that one line of the journal quotes.
QUOTED = 200


class Server:
    """One service of ``catalog`` on a reactor.

    *service* is a name or a Service; *mode* is "raw", "line" or "framed", None: the service's first; *accel*
    and *max_frame_length* are for the codec, see ``modes.codec_for``.  *journal* is told in one line what
    happens.  With *keys* a client has to prove that it has one of them, for *context*: ``gate`` is then a
    ServerGate, else None.  Raises OptionError for an unknown name, or a mode that is not the service's,
    ArgumentError for what is of another kind, AccelUnavailable.  Loop thread only.
    """

    __slots__ = (
        "_grace", "_journal", "_loop", "_opened", "codec", "gate", "is_stopping", "mode", "service", "counters",
    )  # fmt: skip

    def __init__(
        self,
        loop: Reactor,
        service: str | Service,
        *,
        mode: str | None = None,
        accel: str | None = None,
        max_frame_length: int = MAX_FRAME_LENGTH,
        journal: Callable[[str], object] | None = None,
        keys: KeyRing | None = None,
        context: bytes = b"",
    ) -> None:
        checked_instance("loop", loop, Reactor, "a Reactor")
        checked_callable("journal", journal, none=True)
        checked_context(context)  # here, and the keys by the gate: also of a server that has none
        self.service = service if isinstance(service, Service) else service_named(service)
        self.mode = self._checked_mode(mode)
        self.codec = codec_for(self.mode, max_frame_length=max_frame_length, accel=accel)
        self.counters = ServerCounters()
        self.is_stopping = False
        self._loop = loop
        self._journal = journal
        self._opened: list[Listener | DatagramEndpoint] = []
        self._grace: Timer | None = None
        self.gate: ServerGate | None = None
        if keys is not None:
            self.gate = ServerGate(loop, self._session, keys, context=context, on_failed=self._failed)

    def _checked_mode(self, mode: str | None) -> str:
        modes = self.service.modes
        if isinstance(mode, str) and mode in MODES and mode not in modes:
            raise OptionError(f"the service {self.service.name!r} needs the mode {' or '.join(modes)}, not {mode}")
        return modes[0] if mode is None else mode

    # -- where it serves ---------------------------------------------------------------------------------------

    def listen_tcp(
        self, host: str | None = None, port: int = 0, **options: Unpack[ListenTcpKeywords]
    ) -> Listener[InternetAddress]:
        """Serve on a TCP address; arguments and errors are those of ``Reactor.listen_tcp``."""
        return self._keep(self._loop.listen_tcp(self._factory(options), host, port, **options))

    def listen_unix(self, path: str | bytes, **options: Unpack[ListenUnixKeywords]) -> Listener[UnixAddress]:
        """Serve on a Unix socket; arguments and errors are those of ``Reactor.listen_unix``."""
        return self._keep(self._loop.listen_unix(self._factory(options), path, **options))

    def adopt_listener(self, sock: socket.socket | int, **options: Unpack[ListenerKeywords]) -> Listener:
        """Serve on a socket that listens already; arguments and errors are those of ``Reactor.adopt_listener``."""
        return self._keep(self._loop.adopt_listener(self._factory(options), sock, **options))

    def adopt_stream(self, sock: socket.socket | int, **options: Unpack[TransportKeywords]) -> Stream:
        """Serve on a connection that is made already; arguments, errors are those of ``Reactor.adopt_stream``."""
        return self._loop.adopt_stream(self._factory({}), sock, **options)

    def adopt_datagram(
        self, sock: socket.socket | int, *, watermarks: Watermarks = DEFAULT_WATERMARKS
    ) -> DatagramEndpoint:
        """Serve on an open datagram socket; arguments and errors are those of ``Reactor.adopt_datagram``."""
        self._check("datagram")
        endpoint = self._loop.adopt_datagram(partial(DatagramSession, self), sock, watermarks=watermarks)
        self._opened.append(endpoint)
        return endpoint

    def open_datagram(
        self, local: tuple[str, int] | str | bytes, **options: Unpack[TransportKeywords]
    ) -> DatagramEndpoint:
        """Serve datagrams sent to *local*; arguments and errors are those of ``Reactor.open_datagram``."""
        self._check("datagram")
        endpoint = self._loop.open_datagram(partial(DatagramSession, self), local, **options)
        self._opened.append(endpoint)
        return endpoint

    def _session(self) -> StreamProtocol:
        """Return the protocol of one client."""
        return Session(self)

    def _factory(self, options: ListenerKeywords) -> StreamFactory:
        """Return who makes the protocols of a listener with these *options*."""
        self._check("stream")
        if self.gate is None:
            return self._session
        limit = checked_limit(options.get("max_connections"))
        if limit is not None:
            # Else silent connections could fill the listener, which then takes in nobody for whom they make room.
            self.gate.most = max(1, min(self.gate.most, limit // 2))
        return self.gate

    def _check(self, transport: str) -> None:
        if self.is_stopping:
            raise UsageError("the server was stopped: make a new one")
        if transport == "datagram" and self.gate is not None:
            raise OptionError("keys are for connections; datagrams are not authenticated")
        if transport not in self.service.transports:
            only = self.service.transports[0]
            raise OptionError(f"the service {self.service.name!r} is for {only}s only")

    def _keep(self, listener: Listener[A]) -> Listener[A]:
        self._opened.append(listener)
        return listener

    @property
    def addresses(self) -> list[Address]:
        """The socket addresses on which it serves, in the order in which they were opened; empty after ``stop``."""
        found: list[Address] = []
        for opened in self._opened:
            if hasattr(opened, "addresses"):
                found += opened.addresses
            elif not opened.is_closing():
                found.append(opened.get_extra_info("sockname"))
        return found

    @property
    def is_idle(self) -> bool:
        """True while no client is there, nor anybody who has yet to prove that he is one."""
        return not self.counters.open and (self.gate is None or not self.gate.waiting)

    # -- stopping ----------------------------------------------------------------------------------------------

    def stop(self, grace: float = GRACE) -> None:
        """Listen no more, let the clients finish, abort those that take longer than *grace* seconds.

        Returns at once; ``is_stopped`` tells when it is done.  Called again, it aborts everybody at once.  Raises
        OptionError if *grace* is no number of seconds, 0 or more, and WrongThread; nothing is stopped then.
        """
        checked_seconds("grace", grace, none=False, zero=True)
        if not self._loop.is_closed():  # else there is nothing left to stop, and it may be said all the same
            self._loop.check()
        if self.is_stopping:
            self._abort_all()
            return
        self.is_stopping = True
        for opened in self._opened:
            opened.close()
        if self.gate is not None:
            self.gate.close()
        if self.counters.open:
            self._grace = self._loop.call_later(grace, self._abort_all)
            # From the next turn on, that is, after the poller was asked once more.
            self._loop.call_soon(self._loop.call_soon, self._close_idle)

    @property
    def is_stopped(self) -> bool:
        """True when ``stop`` was called, nothing listens and the last client has gone."""
        return self.is_stopping and not self.counters.open

    def session_ended(self) -> None:
        """For ``Session``: one client less."""
        if self._grace is not None and not self.counters.open:
            self._grace.cancel()
            self._grace = None

    def _sessions(self) -> Iterator[Session]:
        """Yield the open sessions.  The reactor keeps a set of all transports, so no second one is kept here."""
        for transport in list(self._loop._shared.transports):
            protocol = transport.get_protocol() if hasattr(transport, "get_protocol") else None
            if isinstance(protocol, Session) and protocol.belongs_to(self):
                yield protocol

    def _close_idle(self) -> None:
        for session in self._sessions():
            session.close_if_idle()

    def _abort_all(self) -> None:
        for session in self._sessions():
            session.transport.abort()

    # -- what is told ------------------------------------------------------------------------------------------

    def _failed(self, fault: AuthenticationFailed) -> None:
        self.counters.errors += 1

    def welcome(self, transport: Transport) -> None:
        """For sessions: tell the journal who has come."""
        if self._journal is not None:
            key_id = None if self.gate is None else self.gate.key_id_of(transport)
            self.note(transport, "connected" if key_id is None else f"connected with key {key_id}")

    def note(self, transport: Transport, event: str, text: str | None = None) -> None:
        """For sessions: tell the journal what happened to the client of *transport*."""
        if self._journal is not None:
            self.note_text(transport.get_extra_info("peername"), event, text)

    def note_text(self, address: object, event: str, text: str | None = None) -> None:
        """For sessions: tell the journal what came from *address*."""
        if self._journal is not None:
            quoted = "" if text is None else f" {text[:QUOTED]!r}"
            more = "" if text is None or len(text) <= QUOTED else f" and {len(text) - QUOTED} characters more"
            self._journal(printable(f"{format_address(address)} {event}{quoted}{more}"))

    def report(self, kind: str, line: str) -> None:
        """For sessions: tell a fault of a peer, in the rationed manner of the reactor."""
        self._loop.reports.fault(kind, line)
