"""The reactor: the loop with the network's verbs.

``listen_tcp`` and ``listen_unix`` wait for connections, ``connect_tcp`` and ``connect_unix`` make them,
``open_datagram`` opens the connectionless kind, ``adopt_*`` take over what somebody else has opened.  All have
the same shape: a factory that makes a protocol for each connection, an address, and keywords.  Everything
returned has ``close()``; what is open when the reactor is closed is aborted, and every protocol hears of it.

This file only wires: each verb is a few lines, and the work is in the file of the thing it returns.  Every verb
begins with ``_checked``: a mistake in a call is to be seen at the call, and before anything is opened.  What a
plain server does not need (connecting, datagrams, names) is loaded by the verb that does.
"""

from __future__ import annotations

import os
import socket
import time
from functools import partial
from selectors import BaseSelector

from reactor.arguments import checked_flag, checked_seconds, shown
from reactor.core.handles import uncallable
from reactor.core.loop import Loop
from reactor.core.registry import is_closed
from reactor.errors import OptionError, UsageError
from reactor.flow import DEFAULT_WATERMARKS, Watermarks
from reactor.limits import (
    ACCEPT_BATCH,
    BACKLOG,
    CONNECT_ATTEMPT_DELAY,
    CONNECT_TIMEOUT,
    SLOW_CALLBACK_SECONDS,
)
from reactor.net.connections.acceptor import Acceptor, Reserve
from reactor.net.connections.factories import DATAGRAMS, MESSAGES, STREAM, Kind, check_factory, checked_protocol
from reactor.net.connections.listener import Listener, checked_limit, kind_for, transport_for
from reactor.net.pump.choice import pump_status, with_pump
from reactor.net.shared import Shared
from reactor.net.sockets.addresses import checked_unix_path
from reactor.net.sockets.opening import adopted_socket, open_datagram_socket, open_tcp_listeners, open_unix_listener
from reactor.net.sockets.options import SocketOptions, options_for
from reactor.net.sockets.unix_paths import remove_unix_path
from reactor.net.stream.stream import Stream
from reactor.net.stream.transport import Transport
from reactor.ops import Ops

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Literal, TypeVar, Unpack, overload

    from reactor.net.connections.connector import Connector, LocalAddress
    from reactor.net.datagrams.endpoint import DatagramEndpoint
    from reactor.net.messages.stream import MessageStream
    from reactor.net.names.resolver import Resolver
    from reactor.net.protocol import (
        DatagramFactory,
        MessageFactory,
        MessageTaker,
        StreamFactory,
        StreamProtocol,
    )
    from reactor.net.sockets.addresses import InternetAddress, UnixAddress
    from reactor.net.sockets.options import SocketKeywords
    from reactor.telling.probe import Probe

    P = TypeVar("P", bound=StreamProtocol)
    M = TypeVar("M", bound=MessageTaker)

    # The keywords of the verbs, for those who pass them on.

    class TransportKeywords(SocketKeywords, total=False):
        """Of ``adopt_stream``, ``adopt_seqpacket`` and ``open_datagram``."""

        watermarks: Watermarks

    class ListenerKeywords(TransportKeywords, total=False):
        """Of ``adopt_listener``."""

        max_connections: int | None
        idle_timeout: float | None

    class ListenTcpKeywords(ListenerKeywords, total=False):
        """Of ``listen_tcp``."""

        backlog: int
        dual_stack: bool | None

    class ListenUnixKeywords(ListenerKeywords, total=False):
        """Of ``listen_unix``, but for *seqpacket*."""

        backlog: int
        mode: int | None
        replace_stale: bool

    class ConnectUnixKeywords(TransportKeywords, total=False):
        """Of ``connect_unix``, but for *seqpacket*."""

        timeout: float | None

    class ConnectTcpKeywords(ConnectUnixKeywords, total=False):
        """Of ``connect_tcp``."""

        attempt_delay: float
        local_address: LocalAddress | None


class Reactor(Loop):
    """An event loop for sockets.  See ``Loop`` for descriptors, timers, threads and running.

    *selector* is "epoll", "poll", "select", "kqueue" or any ``selectors.BaseSelector``; without it the
    environment variable REACTOR_SELECTOR decides, else the best available.  *clock* returns monotonic seconds.
    *ops* stands for the operating system.  Raises SelectorUnavailable, and OSError when the system has no
    descriptor left.

    With *debug* callbacks that take longer than ``slow_callback_duration`` are told, and the reports of failures
    and the ``repr`` of handles and timers say by which line they were made; None: REACTOR_DEBUG=1 decides.

    With *spin* it polls for so many seconds without sleeping before each wait.  That halves the latency of a few
    busy connections, and costs a processor.  Raises OptionError where there is no pump, which does it.
    """

    __slots__ = ("_reserve", "_resolver", "_shared", "slow_callback_duration")

    def __init__(
        self,
        selector: str | BaseSelector | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        ops: Ops | None = None,
        debug: bool | None = None,
        spin: float = 0.0,
    ) -> None:
        is_watched = wants_debug(os.environ) if debug is None else checked_flag("debug", debug)
        chosen = selector if is_watched else with_pump(selector, os.environ)
        try:
            if checked_seconds("spin", spin, none=False, zero=True):
                spinning(chosen, spin)
            super().__init__(chosen, clock=clock, ops=ops)
        except BaseException:
            if isinstance(chosen, BaseSelector) and chosen is not selector:
                chosen.close()  # a pump that was made here; a selector is closed by whoever made it
            raise
        #: Seconds that a callback may take in debug mode, as in asyncio.
        self.slow_callback_duration = SLOW_CALLBACK_SECONDS
        #: What the transports of this reactor share; its ``transports`` are those that are open.
        self._shared = Shared(self)
        self._reserve = Reserve(self.ops)
        self._resolver: Resolver | None = None
        if is_watched:
            from reactor.core.debug import watch

            watch(self)

    @property
    def resolver(self) -> Resolver:
        """What looks names up without blocking the loop."""
        if self._resolver is None:
            from reactor.net.names.resolver import Resolver

            self._resolver = Resolver(self._shared)
        return self._resolver

    def _checked(
        self, verb: str, factory: object, kind: Kind | None, watermarks: Watermarks, options: SocketKeywords
    ) -> SocketOptions:
        """Check what every verb is given and return its socket options; *kind* None is decided by the socket.

        Raises ArgumentError, OptionError, WrongThread, ReactorClosed.
        """
        self.check()
        check_factory(verb, factory, kind)
        if not isinstance(watermarks, Watermarks):
            raise OptionError(f"watermarks is a reactor.Watermarks(high, low, cap), not {shown(watermarks)}")
        return options_for(verb, options, getattr(Reactor, verb).__kwdefaults__)

    # -- listening ---------------------------------------------------------------------------------------------

    def add_acceptor(
        self,
        listener: socket.socket,
        callback: Callable[[socket.socket, Any], object],
        *,
        batch: int = ACCEPT_BATCH,
    ) -> Acceptor:
        """Run ``callback(sock, address)`` for each connection that *listener*, a listening non-blocking socket,
        receives, at most *batch* per turn.  Return the acceptor, which can be paused and closed; it says what it
        raises."""
        self.check()
        if not callable(callback):
            raise uncallable("add_acceptor", callback)
        return Acceptor(self, listener, callback, self._reserve, batch)

    def _acceptor(
        self, sock: socket.socket, callback: Callable[[Any, Any], object], room: Callable[[], int]
    ) -> Acceptor:
        """Return the acceptor of a listener of ours, which takes descriptors as well as sockets."""
        return Acceptor(self, sock, callback, self._reserve, pump=self._shared.pump, room=room)

    def listen_tcp(
        self,
        factory: StreamFactory,
        host: str | None = None,
        port: int = 0,
        *,
        backlog: int = BACKLOG,
        dual_stack: bool | None = None,
        max_connections: int | None = None,
        idle_timeout: float | None = None,
        watermarks: Watermarks = DEFAULT_WATERMARKS,
        **options: Unpack[SocketKeywords],
    ) -> Listener[InternetAddress]:
        """Listen on *host* and *port* and give each connection a protocol of ``factory()``.

        *host* is a name or a number; None or "" means every interface, IPv4 and IPv6.  *port* 0 lets the system
        choose: see ``Listener.address``.  A name is looked up here and now, which may block.  *options* are those
        of ``SocketOptions``: nodelay, keepalive, reuse_port and so on.  Raises BindFailed, which says who is in
        the way, AddressError, OptionError, ResolutionFailed, and ArgumentError for a *factory* that makes no
        protocols and for a keyword that does not exist.
        """
        settings = self._checked("listen_tcp", factory, STREAM, watermarks, options)
        checked_limit(max_connections)
        checked_seconds("idle_timeout", idle_timeout)
        sockets = open_tcp_listeners(self.ops, host, port, options=settings, backlog=backlog, dual_stack=dual_stack)
        return self._listener(sockets, factory, settings, max_connections, idle_timeout, watermarks)

    if TYPE_CHECKING:

        @overload
        def listen_unix(
            self,
            factory: StreamFactory,
            path: str | bytes,
            *,
            seqpacket: Literal[False] = False,
            **options: Unpack[ListenUnixKeywords],
        ) -> Listener[UnixAddress]: ...

        @overload
        def listen_unix(
            self,
            factory: MessageFactory,
            path: str | bytes,
            *,
            seqpacket: Literal[True],
            **options: Unpack[ListenUnixKeywords],
        ) -> Listener[UnixAddress]: ...

    def listen_unix(
        self,
        factory: StreamFactory | MessageFactory,
        path: str | bytes,
        *,
        backlog: int = BACKLOG,
        mode: int | None = None,
        replace_stale: bool = True,
        seqpacket: bool = False,
        max_connections: int | None = None,
        idle_timeout: float | None = None,
        watermarks: Watermarks = DEFAULT_WATERMARKS,
        **options: Unpack[SocketKeywords],
    ) -> Listener[UnixAddress]:
        """Listen on the Unix socket *path* ("@name": the abstract name space of Linux), with permissions *mode*.

        A socket file that nobody listens on any more is replaced; one that somebody does, and any other file, is
        not: BindFailed.  ``Listener.close`` removes the path again.  With *seqpacket* connections keep the
        boundaries of messages, and the factory makes a MessageProtocol.  Otherwise as ``listen_tcp``.
        """
        kind = _kind_of(seqpacket)
        settings = self._checked("listen_unix", factory, kind_for(kind), watermarks, options)
        checked_limit(max_connections)
        checked_seconds("idle_timeout", idle_timeout)
        sock = open_unix_listener(
            self.ops, path, backlog=backlog, mode=mode, replace_stale=replace_stale, options=settings, kind=kind
        )
        return self._listener([sock], factory, settings, max_connections, idle_timeout, watermarks, path)

    def adopt_listener(
        self,
        factory: StreamFactory | MessageFactory,
        sock: socket.socket | int,
        *,
        max_connections: int | None = None,
        idle_timeout: float | None = None,
        watermarks: Watermarks = DEFAULT_WATERMARKS,
        **options: Unpack[SocketKeywords],
    ) -> Listener:
        """Take over a socket, or a descriptor, that listens already: inherited, or opened by other code.

        If it is of kind SOCK_SEQPACKET, the factory makes a MessageProtocol.  Raises OptionError for other kinds
        and if it does not listen, ArgumentError and OSError for what is no socket, UsageError for one that a
        listener of this reactor has.
        """
        settings = self._checked("adopt_listener", factory, None, watermarks, options)
        self._check_free(sock)
        # Before the descriptor is taken over: it stays its owner's when the call is refused.
        checked_limit(max_connections)
        checked_seconds("idle_timeout", idle_timeout)
        return Listener(
            self._shared,
            [adopted_socket(self.ops, sock, (socket.SOCK_STREAM, socket.SOCK_SEQPACKET), must_listen=True)],
            factory,
            settings,
            max_connections=max_connections,
            idle_timeout=idle_timeout,
            watermarks=watermarks,
        )

    def _listener(
        self,
        sockets: list[socket.socket],
        factory: StreamFactory | MessageFactory,
        options: SocketOptions,
        max_connections: int | None,
        idle_timeout: float | None,
        watermarks: Watermarks,
        unix_path: str | bytes | None = None,
    ) -> Listener[Any]:
        try:
            return Listener(
                self._shared,
                sockets,
                factory,
                options,
                max_connections=max_connections,
                idle_timeout=idle_timeout,
                watermarks=watermarks,
                unix_path=unix_path,
            )
        except BaseException:
            for sock in sockets:
                sock.close()
            if unix_path is not None:
                path = checked_unix_path(unix_path)
                remove_unix_path(self.ops, path, self.ops.path_identity(path))
            raise

    # -- connecting --------------------------------------------------------------------------------------------

    def connect_tcp(
        self,
        factory: Callable[[], P],
        host: str,
        port: int,
        *,
        timeout: float | None = CONNECT_TIMEOUT,
        attempt_delay: float = CONNECT_ATTEMPT_DELAY,
        local_address: LocalAddress | None = None,
        watermarks: Watermarks = DEFAULT_WATERMARKS,
        **options: Unpack[SocketKeywords],
    ) -> Connector[P]:
        """Connect to *host* and *port*, trying every address of the name, and return the attempt.

        The protocol hears ``connection_made``, or ``connection_failed`` with a ConnectionFailure: exactly one of
        the two, from the loop, never from inside this call.  *timeout* bounds looking up and connecting together;
        *attempt_delay* is how long one address may be silent before the next is tried as well (RFC 8305). Raises
        AddressError and OptionError for what cannot even be tried, and ArgumentError as ``listen_tcp``.
        """
        from reactor.net.connections.connector import Connector

        settings = self._checked("connect_tcp", factory, STREAM, watermarks, options)
        return Connector(
            self._shared,
            self.resolver,
            factory,
            (host, port),
            timeout=timeout,
            attempt_delay=attempt_delay,
            local_address=local_address,
            options=settings,
            make_stream=self._stream_maker(watermarks),
        )

    if TYPE_CHECKING:

        @overload
        def connect_unix(
            self,
            factory: Callable[[], P],
            path: str | bytes,
            *,
            seqpacket: Literal[False] = False,
            **options: Unpack[ConnectUnixKeywords],
        ) -> Connector[P]: ...

        @overload
        def connect_unix(
            self,
            factory: Callable[[], M],
            path: str | bytes,
            *,
            seqpacket: Literal[True],
            **options: Unpack[ConnectUnixKeywords],
        ) -> Connector[M, MessageStream]: ...

    def connect_unix(
        self,
        factory: Callable[[], Any],
        path: str | bytes,
        *,
        seqpacket: bool = False,
        timeout: float | None = CONNECT_TIMEOUT,
        watermarks: Watermarks = DEFAULT_WATERMARKS,
        **options: Unpack[SocketKeywords],
    ) -> Connector[Any, Any]:
        """Connect to the Unix socket *path*, or to the abstract name "@name"; otherwise as ``connect_tcp``.

        With *seqpacket* the connection keeps the boundaries of messages, and the factory makes a MessageProtocol.
        """
        from reactor.net.connections.connector import Connector

        kind = _kind_of(seqpacket)
        settings = self._checked("connect_unix", factory, kind_for(kind), watermarks, options)
        return Connector(
            self._shared,
            self.resolver,
            factory,
            [(socket.AF_UNIX, kind, 0, checked_unix_path(path))],
            timeout=timeout,
            options=settings,
            make_stream=self._stream_maker(watermarks, kind),
            kind=kind_for(kind),
        )

    def adopt_stream(
        self,
        factory: StreamFactory,
        sock: socket.socket | int,
        *,
        watermarks: Watermarks = DEFAULT_WATERMARKS,
        **options: Unpack[SocketKeywords],
    ) -> Stream:
        """Take over a connected stream socket, or the descriptor of one; ``connection_made`` is called before this
        returns.  Raises OptionError for any other kind of socket, ArgumentError and OSError for what is no
        socket, UsageError for one that a transport of this reactor has."""
        settings = self._checked("adopt_stream", factory, STREAM, watermarks, options)
        self._check_free(sock)
        protocol = self._made(factory, STREAM)
        adopted = adopted_socket(self.ops, sock, (socket.SOCK_STREAM,), settings)
        stream: Stream = self.call_inside(self._stream_maker(watermarks), adopted, protocol, None)
        return stream

    def adopt_seqpacket(
        self,
        factory: MessageFactory,
        sock: socket.socket | int,
        *,
        watermarks: Watermarks = DEFAULT_WATERMARKS,
        **options: Unpack[SocketKeywords],
    ) -> MessageStream:
        """Take over a connected socket of kind SOCK_SEQPACKET; the factory makes a MessageProtocol.  Otherwise as
        ``adopt_stream``."""
        settings = self._checked("adopt_seqpacket", factory, MESSAGES, watermarks, options)
        self._check_free(sock)
        protocol = self._made(factory, MESSAGES)
        adopted = adopted_socket(self.ops, sock, (socket.SOCK_SEQPACKET,), settings)
        make_stream = self._stream_maker(watermarks, socket.SOCK_SEQPACKET)
        stream: MessageStream = self.call_inside(make_stream, adopted, protocol, None)
        return stream

    def _made(self, factory: Callable[[], object], kind: Kind) -> Any:
        """Return the protocol that *factory* makes here and now.  Raises ArgumentError, and what it raises."""
        return checked_protocol(self.call_inside(factory), factory, kind)

    def _check_free(self, sock: socket.socket | int) -> None:
        """Raise UsageError if *sock* is watched for a transport of ours: two would steal from each other."""
        fd = sock if isinstance(sock, int) else sock.fileno() if hasattr(sock, "fileno") else -1
        key = self.registry.key_of(fd)
        if key is None or is_closed(key.fileobj):
            return  # another object has that number: the one that had it before was closed behind our back
        owner = getattr(key.data.reader or key.data.writer, "__self__", None)
        if isinstance(owner, Transport | Acceptor):
            raise UsageError(f"descriptor {fd} has an owner in this reactor: {owner!r}; close that one first")

    def _stream_maker(
        self, watermarks: Watermarks, kind: int = socket.SOCK_STREAM
    ) -> Callable[[socket.socket, Any, Any], Any]:
        transport = transport_for(kind)

        def make_stream(sock: socket.socket, protocol: Any, peer: Any) -> Any:
            stream = transport(self._shared, sock, protocol, peer, watermarks)
            stream._start()
            return stream

        return make_stream

    # -- datagrams ---------------------------------------------------------------------------------------------

    def open_datagram(
        self,
        factory: DatagramFactory,
        local: tuple[str, int] | str | bytes | None = None,
        remote: tuple[str, int] | str | bytes | None = None,
        *,
        watermarks: Watermarks = DEFAULT_WATERMARKS,
        **options: Unpack[SocketKeywords],
    ) -> DatagramEndpoint:
        """Open a datagram socket: bound to *local*, connected to *remote*, or both.

        Addresses are (host, port) for UDP and paths for Unix datagrams; the host "" means every interface, and
        "<broadcast>" the local network (with ``broadcast=True``).  ``connection_made`` is called before this
        returns. Raises BindFailed, AddressError, OptionError, ResolutionFailed.
        """
        from reactor.net.datagrams.batched_endpoint import make_endpoint

        settings = self._checked("open_datagram", factory, DATAGRAMS, watermarks, options)
        protocol = self._made(factory, DATAGRAMS)
        sock = open_datagram_socket(self.ops, local, remote, options=settings)
        path = local if isinstance(local, str | bytes) else None
        made = partial(make_endpoint, self._shared, sock, protocol, watermarks=watermarks, unix_path=path)
        endpoint: DatagramEndpoint = self.call_inside(made)
        return endpoint

    def adopt_datagram(
        self, factory: DatagramFactory, sock: socket.socket | int, *, watermarks: Watermarks = DEFAULT_WATERMARKS
    ) -> DatagramEndpoint:
        """Take over an open datagram socket, or the descriptor of one."""
        from reactor.net.datagrams.batched_endpoint import make_endpoint

        self._checked("adopt_datagram", factory, DATAGRAMS, watermarks, {})
        self._check_free(sock)
        protocol = self._made(factory, DATAGRAMS)
        adopted = adopted_socket(self.ops, sock, (socket.SOCK_DGRAM,))
        endpoint: DatagramEndpoint = self.call_inside(
            partial(make_endpoint, self._shared, adopted, protocol, watermarks=watermarks)
        )
        return endpoint

    # -- fork --------------------------------------------------------------------------------------------------

    def _forget_after_fork(self) -> None:
        """In a forked child: let go of what the parent goes on using, the paths of Unix sockets included."""
        super()._forget_after_fork()
        self._shared.pump = None  # the poller that ``reopen`` makes receives for nobody
        self._shared.lingering.forget_after_fork()
        self._shared.inherited.update(self._shared.transports)
        for transport in list(self._shared.transports):
            _forget_unsent = getattr(transport, "_forget_unsent", None)
            if _forget_unsent is not None:
                _forget_unsent()
            forget_path = getattr(transport, "forget_path", None)
            if forget_path is not None:
                forget_path()
        if self._resolver is not None:
            self._resolver.forget_threads()

    def reopen(self) -> None:
        """In a forked child: make the reactor usable again, see ``Loop.reopen``; open look-ups are asked anew."""
        super().reopen()
        if self._resolver is not None:
            self._resolver.resume()

    def set_probe(self, probe: Probe | None) -> None:
        """Have *probe* watch this reactor and its transports from now on; None for nobody."""
        super().set_probe(probe)
        self._shared.probe = probe
        if self._shared.pump is not None:
            self._shared.pump.is_probed = probe is not None

    # -- the end -----------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Abort what is open, tell every protocol, and give everything back.  Idempotent; not inside a callback."""
        if not (self.is_closed() or self.is_running()):
            self.check()
            self.owner = self.thread_id()
            try:
                self._end_transports()
            finally:
                self.owner = None
                self._is_closed = False
        super().close()
        self._reserve.give_up()

    def _end_transports(self) -> None:
        """Abort every transport, and what protocols open in answer to that, until they have understood.

        What is ready runs, too: among it are the last words to protocols, ``connection_lost`` and
        ``connection_failed``, also about a connector that a protocol made and cancelled in answer to such a word.
        """
        for rounds_left in reversed(range(8)):
            for transport in list(self._shared.transports):
                transport.abort()
            # Some open another connection whenever one ends.  In the last round nothing can be opened any more, so
            # nothing is left behind that would have to be told.
            self._is_closed = not rounds_left
            self.engine.run_what_is_ready()
            if not (self._shared.transports or self._ready or self.engine.flushes):
                break
        self._is_closed = False  # no user code from here on, and our own may still have to change something
        self._shared.lingering.close()
        if self._resolver is not None:
            self._resolver.close()


def spinning(poller: object, seconds: float) -> None:
    """Have *poller* poll for so long before it sleeps.  Raises OptionError if it is no pump."""
    pump = getattr(poller, "pump", None)
    if pump is None:
        state, reason = pump_status(os.environ)
        why = "debug mode, or the selector that was chosen, has none" if state == "on" else reason
        raise OptionError(f"spin= needs the pump, on epoll and with the compiled module: {why}")
    pump.spin(seconds)


def wants_debug(environ: Mapping[str, str]) -> bool:
    """Return True if REACTOR_DEBUG asks for debug mode: it does unless it is empty or 0."""
    return environ.get("REACTOR_DEBUG", "") not in ("", "0")


def _kind_of(seqpacket: bool) -> int:
    """Return the kind of a Unix socket that keeps the boundaries of messages, or not.  Raises OptionError."""
    return socket.SOCK_SEQPACKET if checked_flag("seqpacket", seqpacket) else socket.SOCK_STREAM
