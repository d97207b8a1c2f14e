"""Making a connection: to a name with several addresses, of which some may not answer.

A host with an IPv6 and an IPv4 address is reachable by both, by one of them, or by none, and the one that is broken
often does not refuse, it is silent.  Trying one after the other would wait for minutes on the silent one.  So the
attempts overlap, as RFC 8305 ("Happy Eyeballs") has it: the families take turns in the order of addresses, each
attempt has a quarter of a second before the next one joins in, or less if it fails sooner; the first that connects
wins and the others are closed.  An attempt itself is ``attempt``'s matter.

The life of a connector is a line, and its protocol gets exactly one call about the end of it::

    resolving -> connecting -> connected               connection_made(stream)
         \\            \\----> failed, cancelled        connection_failed(exc)

The protocol is made before anything else, so that there is somebody to tell whatever happens, and a factory that
raises does so inside the call that gave it.  Both calls come from the loop, never from inside a method of the
connector, and one of them always comes: also when the reactor is being closed, and about a connector that is made
and cancelled meanwhile.

Read next: ``reactor``.
"""

from __future__ import annotations

import socket
from collections import deque
from functools import partial
from types import GenericAlias

from reactor.arguments import checked_seconds
from reactor.errors import (
    AddressError,
    ConnectCancelled,
    ConnectFailed,
    ConnectionFailure,
    ConnectTimeout,
    LookupFailed,
    OptionError,
    os_error_text,
)
from reactor.limits import CONNECT_ATTEMPT_DELAY, CONNECT_TIMEOUT
from reactor.net.connections.attempt import Attempt, open_attempt
from reactor.net.connections.factories import STREAM, checked_protocol
from reactor.net.sockets.addresses import (
    checked_host,
    checked_port,
    checked_unix_path,
    format_address,
    numeric_family,
    scoped_address,
)
from reactor.net.sockets.options import DEFAULT_OPTIONS, SocketOptions

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable
    from typing import Any, Generic

    from typing_extensions import TypeVar  # of the type checkers' own stubs: these have a default

    from reactor.core.handles import Handle, Timer
    from reactor.net.connections.factories import Kind
    from reactor.net.names.lookup import Lookup
    from reactor.net.names.requests import Target
    from reactor.net.names.resolver import Resolver
    from reactor.net.shared import Shared
    from reactor.net.stream.stream import Stream

    #: A host and a port, a Unix path, or addresses as a look-up gives them.
    Destination = tuple[str, int] | str | bytes | os.PathLike[str] | list[Target]

    #: Host and port, and for IPv6 perhaps flow and scope.
    LocalAddress = tuple[str, int] | tuple[str, int, int, int]

    #: The protocol, and what it will be told of.
    P = TypeVar("P", default=Any)
    S = TypeVar("S", default=Stream)
else:
    # The class is generic for the type checker, and derives from nothing at run time: typing is not imported.
    P = S = None
    Generic = {(P, S): object}


class Connector(Generic[P, S]):
    """A connection in the making.  Made by ``connect_tcp`` and ``connect_unix``; loop thread only.

    *destination* is ``(host, port)``, a Unix path, or a list of ``(family, kind, protocol, address)``.
    *timeout* bounds looking up and connecting together, in seconds; None: no bound.  *attempt_delay* is how
    long an address may be silent before the next one is tried as well.  *local_address* is ``(numeric host,
    port)``, or with flow and scope for IPv6; host "" is any address of this machine, and port 0 any port.
    ``make_stream(sock, protocol, peer_address)`` builds the stream and calls ``connection_made``.  *kind* says what
    the protocol must be like.

    ``state`` is "resolving", "connecting", "connected", "failed" or "cancelled"; ``stream`` is there when
    connected; ``attempts`` holds ``(address, exception)`` for each attempt that failed so far.

    The protocol's ``connection_failed`` receives ResolutionFailed, ConnectFailed (every address failed: see its
    ``attempts``), ConnectTimeout or ConnectCancelled.  Of a protocol without that method, the log is told instead.
    Raises AddressError and OptionError for what cannot even be tried, ArgumentError if *factory* makes no protocol,
    and what it raises.
    """

    if not TYPE_CHECKING:
        __class_getitem__ = classmethod(GenericAlias)  # an annotation may say Connector[...] where it is evaluated

    __slots__ = (
        "_attempt_delay", "_begin", "_deadline", "_forget", "_local", "_lookup", "_make_stream", "_next",
        "_options", "_running", "_shared", "_targets", "_what", "attempts", "protocol", "state", "stream",
    )  # fmt: skip

    def __init__(
        self,
        shared: Shared,
        resolver: Resolver,
        factory: Callable[[], P],
        destination: Destination,
        *,
        make_stream: Callable[[socket.socket, P, Any], S],
        timeout: float | None = CONNECT_TIMEOUT,
        attempt_delay: float = CONNECT_ATTEMPT_DELAY,
        local_address: LocalAddress | None = None,
        options: SocketOptions = DEFAULT_OPTIONS,
        kind: Kind = STREAM,
    ) -> None:
        shared.loop.check()
        goal: Any = _checked_destination(destination)
        self._local = _checked_local(local_address, goal, shared.ops.interface_index)
        self._attempt_delay = _checked_delay(timeout, attempt_delay)
        self._shared = shared
        self._make_stream = make_stream
        self._options = options
        self._what = _described(goal)
        self._targets: deque[Target] = deque()
        self._running: list[Attempt] = []
        self._next: Timer | None = None
        self._begin: Handle | None = None
        self._lookup: Lookup | None = None
        #: Has the resolver forget addresses that were of no use.
        self._forget: Callable[[], object] | None = None
        self.attempts: list[tuple[Any, Exception]] = []
        self.stream: S | None = None
        # Behind all checks, before anything is started: a factory that raises leaves nothing to be undone.
        self.protocol: P = checked_protocol(shared.loop.call_inside(factory), factory, kind)
        self.state = "resolving"
        self._deadline: Timer | None = None
        if isinstance(goal, tuple):
            self._lookup = resolver.lookup(*goal, callback=self._on_resolved)
            self._forget = partial(resolver.forget, goal[0])
        else:
            # There is nothing to look up, but the caller is to have the connector before its protocol is called.
            self._begin = shared.loop.call_soon(self._on_resolved, _targets_of(goal))
        # One deadline from here on, whatever is tried: a name with many silent addresses gains no time by it.
        if timeout is not None:
            self._deadline = shared.loop.call_later(timeout, self._expire, timeout)
        #: Not a transport, but something to be aborted before the reactor is closed.
        shared.transports.add(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.state}, to {self._what}>"

    def is_done(self) -> bool:
        """Return True if it has come to its end: connected, failed or cancelled."""
        return self.state not in ("resolving", "connecting")

    def cancel(self) -> None:
        """Give up: the protocol hears ``connection_failed`` with a ConnectCancelled.  Too late, it does nothing.

        Raises WrongThread.
        """
        if not self.is_done():
            self._shared.loop.check()
            self._fail(ConnectCancelled(f"connecting to {self._what} was cancelled"), "cancelled")

    #: What everything that the reactor returns has, and what the reactor calls at its own end.
    close = abort = cancel

    # -- the line of addresses ---------------------------------------------------------------------------------

    def _on_resolved(self, result: list[Target] | LookupFailed) -> None:
        if isinstance(result, LookupFailed):
            self._fail(result)
            return
        self.state = "connecting"
        # RFC 8305, section 4: IPv6 and IPv4 in turn, so that one broken family costs one delay and not one for each
        # of its addresses.
        self._targets.extend(interleaved(result))
        self._try_next()

    def _try_next(self) -> None:
        """Start one more attempt, and set the clock for the one after it; end when there is nothing left to
        hope for."""
        if self._next is not None:
            # An attempt failed before its delay was over: the next one does not wait for the rest of it.
            self._next.cancel()
            self._next = None
        while self._targets:
            target = self._targets.popleft()
            try:
                attempt = open_attempt(self._shared, target, self._local, self._options, self._on_decided)
            except Exception as exc:
                # Not even a socket, as for IPv6 where the system has none: no reason to wait.
                self.attempts.append((target[3], exc))
                continue
            self._running.append(attempt)
            if self._targets:
                # RFC 8305, section 5: the "Connection Attempt Delay".  The attempt itself goes on meanwhile and may
                # still win.
                self._next = self._shared.loop.call_later(self._attempt_delay, self._try_next)
            return
        # No address is left to be tried; those under way may still answer, and the deadline bounds them.
        if not self._running:
            self._fail(self._failure())

    def _on_decided(self, attempt: Attempt, exc: Exception | None) -> None:
        """An attempt has come to its end: unregistered; its socket is connected, or closed because of *exc*."""
        self._running.remove(attempt)  # first: _end closes those that run, and this one may have won
        if exc is None:
            self._succeed(attempt)
        else:
            self.attempts.append((attempt.address, exc))
            self._try_next()

    # -- the end -----------------------------------------------------------------------------------------------

    def _succeed(self, attempt: Attempt) -> None:
        self._end("connected")  # closes the losers before the protocol of the winner is called
        self._shared.counters.connected += 1
        try:
            self.stream = self._make_stream(attempt.sock, self.protocol, attempt.address)
        except BaseException:
            attempt.close()
            raise

    def _fail(self, exc: ConnectionFailure, state: str = "failed") -> None:
        if self.state == "connecting" and state == "failed" and self._forget is not None:
            self._forget()  # the name may have moved: the next connector is to ask again
        self._end(state)  # before anybody is told: from here on ``cancel`` does nothing
        self._shared.counters.connect_failures += 1
        # Told from the loop, not from here: the protocol itself may be calling cancel(), in the middle of a step.
        told = getattr(self.protocol, "connection_failed", None)
        if told is not None:
            self._shared.loop.call_soon(told, exc)
        elif state == "failed":
            self._shared.reports.fault("connect", str(exc))

    def _end(self, state: str) -> None:
        """Let go of everything, but for what a winner has taken along."""
        self.state = state
        self._shared.transports.discard(self)
        for waiting in (self._begin, self._lookup, self._next, self._deadline):
            if waiting is not None:
                waiting.cancel()
        for attempt in self._running:  # a winner was taken out of it before
            attempt.close()
        self._running.clear()
        self._targets.clear()

    def _expire(self, timeout: float) -> None:
        # Those that are under way have no error of their own, and yet their addresses belong in the report.
        silent = TimeoutError("no answer in time")
        attempts = [*self.attempts, *((attempt.address, silent) for attempt in self._running)]
        doing = "looking up its name" if self.state == "resolving" else f"with {len(attempts)} attempts"
        text = f"cannot connect to {self._what}: {timeout:g} s have passed {doing}"
        self._fail(ConnectTimeout(text, attempts))

    def _failure(self) -> ConnectFailed:
        told = [(format_address(address), _text(exc)) for address, exc in self.attempts]
        reasons = told[0][1] if len(told) == 1 else "; ".join(": ".join(pair) for pair in told)
        failure = ConnectFailed(f"cannot connect to {self._what}: {reasons}", self.attempts)
        failure.__cause__ = self.attempts[-1][1]  # so that a traceback shows the system's own error too
        return failure


def interleaved(targets: Iterable[Target]) -> list[Target]:
    """Return *targets* with the families in turn, beginning with the family of the first: RFC 8305, section 4."""
    lines: dict[int, deque[Target]] = {}
    for target in targets:
        lines.setdefault(target[0], deque()).append(target)
    ordered = []
    while lines:
        # Round after round, one address of each family that still has some; a dict keeps the order of the families.
        for family in list(lines):
            ordered.append(lines[family].popleft())
            if not lines[family]:
                del lines[family]
    return ordered


def _checked_destination(destination: Any) -> Any:
    if isinstance(destination, tuple):
        host, port = destination
        return checked_host(host), checked_port(port)
    if isinstance(destination, list):
        if not destination:
            raise AddressError("there is no address to connect to")
        return destination
    return checked_unix_path(destination)


def _checked_local(
    local: LocalAddress | None, destination: Any, interface_index: Callable[[str], int]
) -> tuple[int, Any] | None:
    """Return family (0: any) and address of *local*.  It must be numeric: bind(2) would look a name up, and
    block."""
    if local is None:
        return None
    if isinstance(destination, str | bytes):
        raise OptionError("local_address is for TCP; a Unix client needs none")
    if not (isinstance(local, tuple) and 2 <= len(local) <= 4):
        raise AddressError(f"local_address is (numeric host, port), not {local!r}")
    host, port = local[0], checked_port(local[1])
    if host == "":
        return 0, ("", port)
    family = numeric_family(checked_host(host))
    if not family or (family == socket.AF_INET and len(local) > 2):
        raise AddressError(f"local_address needs a numeric address of this machine, not {local!r}")
    return family, scoped_address((host, port, *local[2:]), interface_index)


def _checked_delay(timeout: float | None, attempt_delay: float) -> float:
    checked_seconds("timeout", timeout)
    delay: float = checked_seconds("attempt_delay", attempt_delay, none=False, zero=True)
    return delay


def _targets_of(destination: list[Target] | str | bytes) -> list[Target]:
    if isinstance(destination, list):
        return destination
    return [(socket.AF_UNIX, socket.SOCK_STREAM, 0, destination)]


def _described(destination: Any) -> str:
    if isinstance(destination, list):
        return " or ".join(format_address(target[3]) for target in destination)
    return format_address(destination)


def _text(exc: Exception) -> str:
    return os_error_text(exc) if isinstance(exc, OSError) else str(exc)
