"""The handshake in front of a protocol: before the peer has proved that it has the key, nobody else hears of it.

A gate is what ``listen_*`` and ``connect_*`` take, a factory of protocols.  For each connection it makes a
``Knock``, which runs the handshake of ``reactor.auth`` and is gone when that is over: the protocol behind the
gate is then the stream's own, as if it had been there from the beginning.  ``connection_made`` comes with the
real transport, what arrived behind the last message of the handshake comes as its first bytes, and nothing is
in between any more::

    loop.listen_tcp(ServerGate(loop, Session, keys), "127.0.0.1", 8888)
    loop.connect_tcp(ClientGate(loop, Caller, keys), "127.0.0.1", 8888)

**Whoever has not proved anything yet costs little.** On the server's side the protocol is made afterwards;
before, there is a stream, and at most one small message; its one attempt costs two HMACs, some 10 us.  A handshake
has ``HANDSHAKE_TIMEOUT`` seconds in all, however busily its peer drips; one timer serves them all, because whoever
came first is due first.  No more than ``HANDSHAKES`` go on at once.  Above that the peer with most of them makes
room (``peer_identity`` says what counts as one peer), with its oldest.  Not with the newest: then a thousand silent
connections would lock out everybody at that address, while this way an honest client, who needs a round trip, is
served unless a thousand others come from there within that time.

**A failure** closes the connection, is counted, and is told in one rationed line without a traceback.  It is held
against nobody.  A key of 32 random bytes cannot be guessed however often somebody tries, so a wait after failures
would protect nothing; but the address that fails is that of everybody behind the same NAT or proxy, and whoever can
prove the key would wait as well.  Nothing is remembered of a connection that is over, so nothing can grow.  A peer
that leaves without having said a word has not failed: load balancers look in like that.

On the client's side ``connection_failed`` tells the protocol why it never began.  Read next: ``session``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reactor.arguments import checked_callable, checked_instance, checked_seconds, checked_whole, not_iterable
from reactor.auth.challenge import AUTHENTICATED, Handshake, checked_context, refusal
from reactor.auth.keys import KeyRing
from reactor.auth.wire import ALGORITHMS, LATER, numbers_of
from reactor.errors import (
    AuthenticationDelayed,
    AuthenticationFailed,
    ConnectionFailure,
    os_error_text,
)
from reactor.net.connections.factories import STREAM, check_factory
from reactor.net.protocol import Protocol
from reactor.net.reactor import Reactor
from reactor.service.peer_identity import peer_identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TypedDict, Unpack

    from reactor.core.handles import Timer
    from reactor.net.connections.connector import Connector
    from reactor.net.protocol import StreamFactory, StreamProtocol
    from reactor.net.stream.stream import Stream
    from reactor.net.stream.transport import Transport

    class GateKeywords(TypedDict, total=False):
        """The keywords of ``Gate``."""

        context: bytes
        algorithms: Iterable[str]
        timeout: float

#: Seconds that a handshake may take in all.  sshd gives a person 120 to type a password, PostgreSQL 60.
HANDSHAKE_TIMEOUT = 10.0

#: Handshakes that a server carries on at once.  sshd begins to drop at 10, and drops everybody at 100.
HANDSHAKES = 1024


class Gate:
    """What the two kinds of gates have in common: keys, a clock, and who stands in front of it.  Loop thread only.

    *factory* makes the protocol behind the gate.  *keys* may be replaced at any time and are then those of the
    next connection.  *context* and *algorithms* are those of ``Handshake``; *timeout* is in seconds.  Raises
    OptionError, and ArgumentError for what is of another kind: here, and not at each connection.

    ``passed`` and ``failed`` count connections that got through, and that did not.
    """

    __slots__ = (
        "_algorithms", "_context", "_factory", "_keys", "_loop", "_timeout", "_timer", "_waiting", "failed",
        "passed",
    )  # fmt: skip

    role = ""

    def __init__(
        self,
        loop: Reactor,
        factory: StreamFactory,
        keys: KeyRing,
        *,
        context: bytes = b"",
        algorithms: Iterable[str] = tuple(ALGORITHMS.values()),
        timeout: float = HANDSHAKE_TIMEOUT,
    ) -> None:
        self._loop = checked_instance("loop", loop, Reactor, "a Reactor")
        check_factory(type(self).__name__, factory, STREAM)
        self._factory = factory
        self.keys = keys
        self.passed = self.failed = 0
        self._context = checked_context(context)
        try:
            self._algorithms = tuple(algorithms)
        except TypeError as exc:
            raise not_iterable("algorithms", algorithms, exc) from None
        numbers_of(self._algorithms)
        self._timeout: float = checked_seconds("timeout", timeout, none=False)
        self._timer: Timer | None = None
        #: In the order in which they came: the first is the first to be due.
        self._waiting: dict[Knock, None] = {}

    def __call__(self) -> Knock:
        """Return the protocol for one connection."""
        return Knock(self)

    @property
    def keys(self) -> KeyRing:
        """Who is let through, or as whom this side proves itself: from the next connection on.  Raises
        ArgumentError for what is no KeyRing."""
        return self._keys

    @keys.setter
    def keys(self, keys: KeyRing) -> None:
        self._keys = checked_instance("keys", keys, KeyRing, "a KeyRing")

    def key_id_of(self, transport: Transport) -> str | None:
        """Return the id of the key with which the peer of *transport* has proved itself, or this side to it;
        None for a connection that did not come through a gate.  The same as its ``get_extra_info("key_id")``."""
        key_id: str | None = transport.get_extra_info("key_id")
        return key_id

    @property
    def waiting(self) -> int:
        """How many connections are in their handshake."""
        return len(self._waiting)

    # -- what a knock tells ------------------------------------------------------------------------------------

    def arrived(self, knock: Knock) -> None:
        """A connection is made: begin the handshake."""
        deadline = self._loop.time() + self._timeout
        knock.handshake = Handshake(
            self.role, self.keys, deadline=deadline, context=self._context, algorithms=self._algorithms
        )
        self._waiting[knock] = None
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._close_due)
        if knock.handshake.opening:
            knock.transport.write(knock.handshake.opening)

    def received(self, knock: Knock, data: bytes) -> None:
        """Something came: go on with the handshake, and let the connection pass if it is over."""
        handshake = knock.handshake
        try:
            answer = handshake.receive(data, self._loop.time())
        except AuthenticationFailed as fault:
            self.refuse(knock, fault)
            return
        if answer:
            knock.transport.write(answer)
        if handshake.state is AUTHENTICATED:
            self._forget(knock)
            self.passed += 1
            self._hand_over(knock)

    def refuse(self, knock: Knock, fault: AuthenticationFailed) -> None:
        """The handshake has come to nothing."""
        self._forget(knock)
        self.failed += 1

    def lost(self, knock: Knock, exc: BaseException | None) -> None:
        """The connection is gone; if the handshake was not over by then, it has come to nothing."""
        self._forget(knock)

    # -- inside ------------------------------------------------------------------------------------------------

    def _hand_over(self, knock: Knock) -> None:
        """The stream is the protocol's own from here on."""
        transport = knock.transport
        transport.set_extra_info("key_id", knock.handshake.key_id)
        protocol = self._protocol_of(knock)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if knock.handshake.remainder:
            transport.take_in(knock.handshake.remainder)

    def _protocol_of(self, knock: Knock) -> Any:
        return self._factory()

    def _forget(self, knock: Knock) -> None:
        self._waiting.pop(knock, None)
        if self._timer is not None and not self._waiting:
            self._timer.cancel()
            self._timer = None

    def _close_due(self) -> None:
        """Refuse those whose time is over, and sleep until the next one's is."""
        self._timer = None
        now = self._loop.time()
        while self._waiting:
            knock = next(iter(self._waiting))
            try:
                knock.handshake.check(now)
            except AuthenticationFailed as fault:
                self.refuse(knock, fault)
            else:
                self._timer = self._loop.call_at(knock.handshake.deadline, self._close_due)
                break


class Knock(Protocol):
    """A connection in front of a gate.

    ``protocol`` is who will be behind it, if that is known; ``peer`` is how the other end is remembered;
    ``has_heard`` is True if it has said anything; ``fault`` is why it was refused.
    """

    __slots__ = ("_gate", "fault", "handshake", "has_heard", "peer", "protocol")

    handshake: Handshake

    def __init__(self, gate: Gate, protocol: Any = None) -> None:
        self._gate = gate
        self.protocol = protocol
        self.peer: object = None
        self.has_heard = False
        self.fault: BaseException | None = None

    def connection_made(self, transport: Stream) -> None:
        """Begin."""
        super().connection_made(transport)
        self._gate.arrived(self)

    def data_received(self, data: bytes) -> None:
        """Go on."""
        self.has_heard = True
        self._gate.received(self, data)

    def eof_received(self) -> bool | None:
        """Give up, unless nothing was said at all: then there is nothing to complain of."""
        if self.has_heard:
            self._gate.refuse(self, self.handshake.end())
        return None

    def connection_lost(self, exc: BaseException | None) -> None:
        """It is over, in one way or another."""
        self._gate.lost(self, exc)

    def connection_failed(self, exc: Exception) -> None:
        """There was no connection to begin with."""
        self.fault = exc
        self._gate.lost(self, exc)


class ServerGate(Gate):
    """A gate for ``listen_tcp``, ``listen_unix`` and ``adopt_listener``; arguments as for ``Gate``, and further:

    *most* is how many handshakes go on at once; keep it well below the ``max_connections`` of the listener,
    which takes nobody in when it is full, so that nobody could make room.  *on_failed* is called for each
    connection that did not get through, with the error.

    ``displaced`` counts those of the ``failed`` that made room for others.
    """

    __slots__ = ("_by_peer", "_is_closed", "_on_failed", "displaced", "most")

    role = "server"

    def __init__(
        self,
        loop: Reactor,
        factory: StreamFactory,
        keys: KeyRing,
        *,
        most: int = HANDSHAKES,
        on_failed: Callable[[AuthenticationFailed], object] | None = None,
        **options: Unpack[GateKeywords],
    ) -> None:
        super().__init__(loop, factory, keys, **options)
        #: How many handshakes go on at once.
        self.most: int = checked_whole("most", most, 1)
        self._on_failed = checked_callable("on_failed", on_failed, none=True)
        self._is_closed = False
        #: Those of ``_waiting`` by their peer; each has its oldest first, and goes with its last.
        self._by_peer: dict[object, dict[Knock, None]] = {}
        self.displaced = 0

    def close(self) -> None:
        """Let nobody through any more: abort every handshake.  Whoever is through stays.  Raises WrongThread."""
        if not self._loop.is_closed():
            self._loop.check()
        self._is_closed = True
        for knock in list(self._waiting):
            self._forget(knock)
            knock.transport.abort()

    def arrived(self, knock: Knock) -> None:
        """Begin the handshake, and make room for it."""
        while not self._is_closed and len(self._waiting) >= self.most:
            self.displaced += 1
            text = f"of {self.most} handshakes at once this was the oldest of those from where most came"
            self._turn_away(self._first_to_go(), AuthenticationDelayed(text, refusal(LATER)))
        if self._is_closed:  # perhaps just now, by ``on_failed``, which was told of the one that made room
            knock.transport.abort()
            return
        knock.peer = peer_identity(knock.transport)
        self._by_peer.setdefault(knock.peer, {})[knock] = None
        super().arrived(knock)

    def _first_to_go(self) -> Knock:
        # Whoever asks for most pays: a flood from one address makes room for itself, and not at the cost of others.
        # Of equals ``max`` finds the first: a flood from many addresses costs the one that has been here longest.
        busiest: dict[Knock, None] = max(self._by_peer.values(), key=len)
        return next(iter(busiest))

    def refuse(self, knock: Knock, fault: AuthenticationFailed) -> None:
        """Tell the peer, and close."""
        self._turn_away(knock, fault)

    def lost(self, knock: Knock, exc: BaseException | None) -> None:
        """A peer that has said something and is gone without a proof has failed; so has one that was too silent."""
        if knock in self._waiting and (knock.has_heard or isinstance(exc, TimeoutError)):
            self._count(knock, knock.handshake.end())
        super().lost(knock, exc)

    def _turn_away(self, knock: Knock, fault: AuthenticationFailed) -> None:
        self._count(knock, fault)
        if fault.reply:
            knock.transport.write(fault.reply)
        knock.transport.fail(fault)

    def _count(self, knock: Knock, fault: AuthenticationFailed) -> None:
        super().refuse(knock, fault)
        if self._on_failed is not None:
            try:
                self._on_failed(fault)
            except Exception as exc:  # the connection must be closed all the same, and the next one's time kept
                self._loop.reports.failure(exc, self._on_failed)

    def _forget(self, knock: Knock) -> None:
        super()._forget(knock)
        of_peer = self._by_peer.get(knock.peer, {})
        of_peer.pop(knock, None)
        if not of_peer:
            self._by_peer.pop(knock.peer, None)


class ClientGate(Gate):
    """A gate for ``connect_tcp``, ``connect_unix`` and ``adopt_stream``; arguments as for ``Gate``.

    It proves itself with the first of the keys.  The protocol is made with the connection still to come, and hears
    ``connection_failed`` if there is none: with what ``connect_tcp`` would have told it, with the
    AuthenticationFailed, or with a ConnectionFailure if the server was gone before anything was decided.
    """

    __slots__ = ()

    role = "client"

    def __call__(self) -> Knock:
        """Return the protocol for one connection; raises what the factory raises."""
        return Knock(self, self._factory())

    def refuse(self, knock: Knock, fault: AuthenticationFailed) -> None:
        """Close; the protocol is told when that is done, and nobody else: it is the one who asked for this."""
        super().refuse(knock, fault)
        knock.fault = fault
        knock.transport.abort()

    def lost(self, knock: Knock, exc: BaseException | None) -> None:
        """Tell the protocol why it never began."""
        super().lost(knock, exc)
        reason = knock.fault or _gone(exc)
        if hasattr(knock.protocol, "connection_failed"):
            knock.protocol.connection_failed(reason)
        else:
            self._loop.reports.fault("connect", str(reason))

    def _protocol_of(self, knock: Knock) -> Any:
        return knock.protocol


def _gone(exc: BaseException | None) -> ConnectionFailure:
    how = f": {os_error_text(exc)}" if isinstance(exc, OSError) else ""
    failure = ConnectionFailure(f"the server was gone before the handshake was over{how}")
    failure.__cause__ = exc
    return failure


def checked_keys(keys: KeyRing | None) -> KeyRing | None:
    """Return *keys* if they are a KeyRing, or None.  Raises ArgumentError."""
    return None if keys is None else checked_instance("keys", keys, KeyRing, "a KeyRing, or None")


def client_factory(
    loop: Reactor, protocol: StreamProtocol, keys: KeyRing | None, context: bytes, timeout: float | None
) -> StreamFactory:
    """Return what ``connect_*`` take for *protocol*: behind a gate, if there are *keys* to prove."""
    if keys is None:
        return lambda: protocol
    timeout = HANDSHAKE_TIMEOUT if timeout is None else timeout
    return ClientGate(loop, lambda: protocol, keys, context=context, timeout=timeout)


def abort_connecting(connector: Connector) -> None:
    """Give up a connection whose protocol has not begun: the attempt, or the handshake that came of it."""
    if connector.stream is None:
        connector.cancel()
    else:
        connector.stream.abort()
