"""What all transports of one reactor share.

One receive buffer serves every stream: bytes rest in it only between ``recv_into`` and the moment when they are
handed on, so ten thousand idle connections own no buffer at all.  The set of open transports lets a reactor close
what it opened, and say how many there are.  Read next: ``stream.transport``.
"""

from __future__ import annotations

from reactor.limits import SCRATCH_BYTES
from reactor.net.sockets.lingering import Lingering

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from typing import Protocol

    from reactor.core.loop import Loop
    from reactor.net.datagrams.batch import Batch
    from reactor.net.pump.pump import Pump

    class Transport(Protocol):
        """What is known here of a transport."""

        def abort(self) -> None: ...


class Shared:
    """The shared things: ``loop``, and for brevity its ``ops``, ``clock``, ``counters``, ``reports``; ``scratch``;
    ``transports``."""

    __slots__ = (
        "_batch", "_is_batch_sought", "clock", "counters", "extra", "inherited", "lingering", "loop",
        "making", "ops", "probe", "pump", "reports", "scratch", "transports",
    )  # fmt: skip

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.ops = loop.ops
        self.clock = loop.clock
        self.counters = loop.counters
        self.reports = loop.reports
        #: Where all streams receive; its contents mean nothing between two read events.
        self.scratch = memoryview(bytearray(SCRATCH_BYTES))
        self.probe = loop.engine.probe
        #: Receives and sends for all streams at once; None: each does it by itself.
        self.pump: Pump | None = getattr(loop.registry.poller, "pump", None)
        if self.pump is not None:
            self.pump.clock = loop.clock
        #: What was said of transports with ``set_extra_info``.
        self.extra: dict[object, dict[str, object]] = {}
        #: Receives and sends for all datagram endpoints; see ``batch()``.
        self._batch: Batch | None = None
        self._is_batch_sought = False
        #: Held by whoever makes a socket object of a number, or closes the number: see ``Transport._socket``.
        self.making = loop.ops.rlock()
        self.lingering = Lingering(loop, self.scratch)
        #: In a forked child: the transports that the parent has as well.  To end them is to close our descriptors.
        self.inherited: set[object] = set()
        #: Every open stream, datagram endpoint and listener.
        self.transports: set[Transport] = set()

    def batch(self) -> Batch | None:
        """Return what receives and sends many datagrams in one call, made when it is first asked for; None if there
        is none.  Raises AccelUnavailable if the environment demands it and it cannot be had."""
        if not self._is_batch_sought:
            from reactor.net.datagrams.batch import open_batch

            self._batch = open_batch()
            self._is_batch_sought = True
        return self._batch

    def opened(self, transport: Transport) -> None:
        """Note that *transport* is open; it must be aborted before the reactor is closed."""
        self.transports.add(transport)
        if self.probe is not None:
            self.probe.opened(transport)

    def closed(self, transport: Transport, exc: BaseException | None) -> None:
        """Note that *transport* is gone."""
        self.transports.discard(transport)
        if self.probe is not None:
            self.probe.closed(transport, exc)
