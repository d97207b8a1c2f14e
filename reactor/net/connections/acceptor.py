"""Taking connections from a listening socket, a bounded number per turn, and surviving the lack of descriptors.

accept(2) fails for three different reasons:

- *nothing there* (EAGAIN): somebody else took it, or it was withdrawn.  The turn goes on.
- *this connection died in the queue* (ECONNABORTED and the network errors that Linux passes on): the next one may
  be fine, so accepting goes on.
- *the process or the system has no descriptor or memory left* (EMFILE, ENFILE, ENOBUFS, ENOMEM).  The connection
  stays in the queue and the listening socket stays readable, so a naive loop spins at full speed, doing nothing,
  until some other connection happens to end.  Here a descriptor that was kept in reserve is given up, the waiting
  clients are accepted and closed at once (they see an end, not a silence), the reserve is taken back, and the
  acceptor rests for ``ACCEPT_BACKOFF`` seconds.  One line in the log says so.

Where there is a pump, one call takes a batch from the queue; everywhere else they come one by one.  What was taken
and is not delivered, since the callback has paused the acceptor or Ctrl-C struck, waits here instead of there.

The callback is user code: it may pause or close the acceptor, and it may raise, which closes the new socket, not
the acceptor.  Read next: ``listener``, which builds protocols and limits on top of this.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable
from functools import partial
from selectors import EVENT_READ
from socket import socket as Socket

from reactor.arguments import checked_whole
from reactor.core.polling.contract import EVENT_BOTH
from reactor.errors import UsageError
from reactor.limits import ACCEPT_BACKOFF, ACCEPT_BATCH
from reactor.net.sockets.opening import check_listener
from reactor.net.sockets.options import INTERNET

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    import socket
    from typing import Any, Protocol, TypeVarTuple

    from reactor.core.handles import Handle, Timer
    from reactor.core.registry import Registry
    from reactor.net.pump.pump import Pump
    from reactor.ops import Ops
    from reactor.telling.counters import Counters
    from reactor.telling.reports import Reports

    Ts = TypeVarTuple("Ts")

    class Host(Protocol):
        """What an acceptor needs of its loop."""

        ops: Ops
        counters: Counters
        reports: Reports
        registry: Registry

        def call_later(self, delay: float, callback: Callable[[*Ts], object], *args: *Ts) -> Timer: ...

        def call_soon(self, callback: Callable[[], object]) -> Handle: ...

        def check(self) -> None: ...

        def is_closed(self) -> bool: ...


#: Resources of the process or the system that are used up.
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

#: The pending connection is gone; accept(2) of Linux says to treat these like EAGAIN and to try again.
GONE = frozenset(
    getattr(errno, name)
    for name in (
        "ECONNABORTED", "EPROTO", "EPERM", "ENETDOWN", "ENOPROTOOPT", "EHOSTDOWN", "ENONET", "EHOSTUNREACH",
        "EOPNOTSUPP", "ENETUNREACH", "ECONNRESET",
    )
    if hasattr(errno, name)
)  # fmt: skip


class Reserve:
    """One descriptor for a rainy day, shared by the acceptors of a reactor."""

    __slots__ = ("_fd", "_ops")

    def __init__(self, ops: Ops) -> None:
        self._ops = ops
        self._fd = -1

    def take(self) -> None:
        """Open the reserve if it is not open; if there is no descriptor for it now, there may be one later."""
        if self._fd < 0:
            try:
                self._fd = self._ops.open_reserve()
            except OSError:
                pass

    def give_up(self) -> bool:
        """Close the reserve; return True if that has freed a descriptor."""
        if self._fd < 0:
            return False
        self._ops.close(self._fd)
        self._fd = -1
        return True


class Acceptor:
    """Runs ``callback(sock, address)`` for each connection that *listener* receives; *sock* is non-blocking.

    With a *pump* it is ``callback(fd, compact address)``, if the listener is one that the pump can accept from; the
    callback closes *fd*, also if it raises.
    ``room()``, if given, says how many may be taken now.

    Made by ``Reactor.add_acceptor``.  The listening socket stays its owner's: ``close`` stops accepting from it
    and does not close it.  Loop thread only.

    Raises ArgumentError for what is no socket, OptionError for one that does not listen or that blocks, and for a
    *batch* that is no whole number, at least 1; UsageError if another acceptor takes from it.
    """

    __slots__ = (
        "_batch", "_callback", "_host", "_is_closed", "_is_paused", "_listener", "_reserve", "_rest", "_room",
        "_take", "_taken",
    )  # fmt: skip

    def __init__(
        self,
        host: Host,
        listener: socket.socket,
        callback: Callable[[Any, Any], object],
        reserve: Reserve,
        batch: int = ACCEPT_BATCH,
        pump: Pump | None = None,
        room: Callable[[], int] | None = None,
    ) -> None:
        checked_whole("batch", batch, 1)
        check_listener(listener)
        key = host.registry.key_of(listener.fileno())
        owner = getattr(key.data.reader, "__self__", None) if key is not None else None
        if isinstance(owner, Acceptor) and key is not None and key.fileobj is listener:
            raise UsageError(f"{listener!r} has an acceptor already: close that one first")
        self._host = host
        self._listener = listener
        self._callback = callback
        self._reserve = reserve
        self._batch = batch
        self._room = room
        self._take = taker(host.ops, listener, pump)
        #: What was taken from the queue and has yet to be delivered.
        self._taken: deque[tuple[Any, Any]] = deque()
        self._rest: Timer | None = None
        self._is_paused = False
        self._is_closed = False
        reserve.take()  # while there are descriptors: when it is needed, none can be had
        host.registry.add(listener, EVENT_READ, self._on_readable)

    def pause(self) -> None:
        """Leave new connections in the kernel's queue until ``resume``.  Closed, it does nothing.

        Raises WrongThread, and ReactorClosed.
        """
        if not self._is_closed:
            self._host.check()
            self._is_paused = True
            # Clients go on connecting: the kernel completes handshakes up to the backlog, see listen(2).
            self._host.registry.remove(self._listener, EVENT_READ)

    def resume(self) -> None:
        """Accept again, unless the acceptor is closed or rests for lack of descriptors.

        Raises WrongThread, and ReactorClosed.
        """
        if not self._is_closed:
            self._host.check()
            self._is_paused = False
            if self._taken:
                self._host.call_soon(self._on_readable)
            if self._rest is None:  # else the end of the rest does it
                self._host.registry.add(self._listener, EVENT_READ, self._on_readable)

    def close(self) -> None:
        """Stop accepting for good.  Call it before the listening socket itself is closed.

        Idempotent, and allowed after the reactor's end.  Raises WrongThread.
        """
        if self._is_closed:
            return
        if self._host.is_closed():
            self._is_closed = True  # the registration and the timer went with the reactor
            self._close_taken()
            return
        self._host.check()
        self._is_closed = True
        self._close_taken()
        self._host.registry.remove(self._listener, EVENT_READ)
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    def is_accepting(self) -> bool:
        """Return True if new connections are taken: it is not closed, not paused, not resting."""
        return not (self._is_closed or self._is_paused or self._rest is not None)

    def _on_readable(self) -> None:
        # One readiness may stand for hundreds of clients.  A bounded number of them is taken now; if more wait, the
        # socket stays readable and the next turn goes on, after those who are connected have had theirs.
        left = self._batch
        turn = self._host.registry.turn
        while left > 0 and self.is_accepting():
            refusal = None
            if not self._taken:
                most = left if self._room is None else min(left, self._room())
                if most < 1:
                    return
                taken, refusal = self._take(most)
                self._taken.extend(taken)
                self._host.counters.accepted += len(taken)
            left -= len(self._taken)
            self._deliver_taken()
            if self._host.registry.turn != turn:
                self._close_taken()  # a callback has forked: in its child these are the parent's
                return
            if refusal is not None and self.is_accepting():
                if isinstance(refusal, BlockingIOError | InterruptedError):
                    return  # the queue is empty, or another process that shares the socket was faster
                self._host.counters.accept_errors += 1
                if refusal.errno in EXHAUSTED:
                    self._shed(refusal)
                    return
                if refusal.errno not in GONE:
                    # EBADF, ENOTSOCK, EINVAL: the listening socket itself is broken, and would stay readable.
                    self.close()
                    raise refusal
                left -= 1  # this client hung up while it waited; the next one may be fine

    def _deliver_taken(self) -> None:
        registry, taken, callback = self._host.registry, self._taken, self._callback
        turn = registry.turn
        while taken and not (self._is_paused or self._is_closed) and registry.turn == turn:
            sock, address = taken.popleft()
            try:
                if type(sock) is not int:
                    # On Linux accept(2) does not inherit O_NONBLOCK from the listener, as it does on BSD.
                    sock.setblocking(False)
                callback(sock, address)
            except BaseException as exc:
                if type(sock) is not int:  # a number is closed by whoever took it
                    registry.remove(sock, EVENT_BOTH)  # the callback may have registered it before it raised
                    sock.close()
                if isinstance(exc, (KeyboardInterrupt, SystemExit)):
                    if taken:  # nothing else would tell of the others, who are in no queue any more
                        self._host.call_soon(self._on_readable)
                    raise
                # Reported here, not by the loop: the others are still to be delivered in this turn.
                self._host.reports.failure(exc, callback)

    def _close_taken(self) -> None:
        """Close what was taken and not delivered, as the kernel does with the queue of a socket that is closed."""
        while self._taken:
            close_accepted(self._host.ops, self._taken.popleft()[0])

    def _shed(self, exc: OSError) -> None:
        """Close what waits in the queue with the help of the reserve, and rest."""
        for _ in range(self._batch):
            # Each round trades the one spare descriptor for one client: free it, accept into it, close the client
            # (which sees an end at once, instead of a connection that never answers), and take the spare back.
            if not self._reserve.give_up():
                break
            taken, _ = self._take(1)
            for sock, _ in taken:
                close_accepted(self._host.ops, sock)
                self._host.counters.shed += 1
            self._reserve.take()
            if not taken:
                break  # the queue is empty; or another thread took the descriptor before accept could
        # Whoever comes from now on waits in the kernel's queue.  Without this rest the socket would be readable in
        # each turn, accept would fail in each turn, and the loop would spin.
        self._host.registry.remove(self._listener, EVENT_READ)
        self._rest = self._host.call_later(ACCEPT_BACKOFF, self._end_rest)
        # To tell it may take a descriptor as well: to import logging, to open its file.
        self._reserve.give_up()
        self._host.reports.fault(
            "accept", f"cannot accept connections for {ACCEPT_BACKOFF:g} s: {exc}; raise the limit (ulimit -n)"
        )
        self._reserve.take()

    def _end_rest(self) -> None:
        self._rest = None
        self._reserve.take()  # it may have found no descriptor when the rest began
        if not self._is_paused:
            self._host.registry.add(self._listener, EVENT_READ, self._on_readable)


def taker(
    ops: Ops, listener: socket.socket, pump: Pump | None
) -> Callable[[int], tuple[list[tuple[Any, Any]], OSError | None]]:
    """Return a function that takes at most so many connections from the queue of *listener*, and returns them with
    what accept(2) said behind them; None if there may be more."""
    if pump is not None and type(listener) is Socket and listener.family in INTERNET:
        return partial(pump.accept, listener)
    accept = ops.accept_from(listener)

    def take(most: int) -> tuple[list[tuple[Any, Any]], OSError | None]:
        try:
            return [accept()], None
        except OSError as exc:
            return [], exc

    return take


def close_accepted(ops: Ops, sock: Any) -> None:
    """Close a connection that was accepted: a socket, or the descriptor of one."""
    if type(sock) is int:
        ops.close(sock)
    else:
        sock.close()
