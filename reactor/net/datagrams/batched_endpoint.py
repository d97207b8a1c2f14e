"""Datagrams in batches: the endpoint of ``endpoint`` with one call into the kernel where that has sixty-four.

``DatagramEndpoint`` is the specification: the same events with the same arguments, the same bytes on the wire in
the same order, and the tests put both through the same scripts.  Two things are different inside.

- **What has arrived is here before it is delivered.**  When a callback pauses the endpoint, the rest is kept and
  comes first when it resumes; when one ends it, the rest is dropped.  The plain path would have left it in the
  kernel, with the same outcome.
- **Replies wait until all that has arrived is delivered**, or for 64 of them, and leave together: the endpoint is
  corked.  Then each meets the same fate as alone: sent, queued from the first that the kernel had no room for, or
  told of as an error.  A protocol that writes too much is therefore told to pause up to 64 datagrams later.

Outside a delivery ``sendto`` goes out at once.  The rejected choice, to cork until the end of the turn, would
delay what timers send and gain nothing: they send one.

All methods belong to the loop's thread.  Read next: ``reactor.net.names.resolver``.
"""

from __future__ import annotations

import os
import socket
from errno import EAGAIN, EINTR

from reactor.flow import DEFAULT_WATERMARKS, Watermarks
from reactor.limits import DATAGRAM_BATCH, STREAM_SECONDS
from reactor.net.datagrams.batch import KNOWN_ADDRESSES
from reactor.net.datagrams.endpoint import DatagramEndpoint

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from typing import Any

    from reactor.net.datagrams.batch import Arrival, Batch, Posting
    from reactor.net.shared import Shared
    from reactor.net.sockets.addresses import Address


def make_endpoint(
    shared: Shared,
    sock: socket.socket,
    protocol: Any,
    *,
    watermarks: Watermarks = DEFAULT_WATERMARKS,
    unix_path: str | bytes | None = None,
) -> DatagramEndpoint:
    """Return an endpoint for *sock*, in batches if that is possible; else as ``DatagramEndpoint``.

    A double of a socket has no descriptor that C could use.  Raises what ``DatagramEndpoint`` does, and
    AccelUnavailable, having closed *sock*, if ``REACTOR_ACCEL=native`` demands what is missing.
    """
    if sock.family in (socket.AF_INET, socket.AF_INET6) and isinstance(sock, socket.socket):
        try:
            batch = shared.batch()
        except BaseException:
            sock.close()
            raise
        if batch is not None:
            endpoint: DatagramEndpoint = BatchedEndpoint(shared, sock, protocol, batch, watermarks)
            endpoint._start()
            return endpoint
    endpoint = DatagramEndpoint(shared, sock, protocol, watermarks=watermarks, unix_path=unix_path)
    endpoint._start()
    return endpoint


class BatchedEndpoint(DatagramEndpoint):
    """A UDP endpoint that receives and sends with *batch*, which belongs to its reactor."""

    __slots__ = ("_arrived", "_batch", "_corked", "_known")

    def __init__(
        self, shared: Shared, sock: socket.socket, protocol: Any, batch: Batch, watermarks: Watermarks
    ) -> None:
        self._batch = batch
        #: What has yet to be delivered, the first at the end: ``pop`` there moves nothing.
        self._arrived: list[Arrival] = []
        #: Addresses as they were given to ``sendto``: checked, and as the kernel writes them.
        self._known: dict[Any, tuple[Any, bytes]] = {}
        #: Replies that leave together; None outside a delivery.
        self._corked: list[Posting] | None = None
        super().__init__(shared, sock, protocol, watermarks=watermarks)

    # -- receiving ---------------------------------------------------------------------------------------------

    def resume_reading(self) -> None:
        """Take datagrams again; what had arrived already comes from the loop."""
        was_halted = self._is_halted
        super().resume_reading()
        # Called inside a delivery, it need not ask for another: the loop of ``_hand_on`` goes on.
        if self._arrived and was_halted and not self._is_halted and self._corked is None:
            self._shared.loop.call_soon(self._hand_on)

    def _on_readable(self) -> None:
        if not self._arrived:  # else what was received earlier comes first
            try:
                self._arrived = self._batch.receive(self._sock.fileno())
            except (BlockingIOError, InterruptedError):
                return
            except OSError as exc:
                self._on_read_error(exc)
                return
        self._hand_on()

    def _hand_on(self) -> None:
        """Deliver what has arrived, and send what is said to it."""
        arrived = self._arrived
        self._corked = []
        try:
            turn = self._shared.loop.registry.turn
            stop_at = self._shared.clock() + STREAM_SECONDS
            while arrived and not self._is_halted:
                data, address = arrived.pop()
                if isinstance(data, int):  # it did not fit, and only its length is known
                    self._on_cut(data, self._batch.share, address)
                else:
                    self._on_received(data, address)
                if self._shared.loop.registry.turn != turn:
                    arrived.clear()  # a callback has forked: in its child the rest is the parent's
                elif self._shared.clock() >= stop_at:
                    break
        finally:
            if arrived and not self._is_halted:  # it took its time, or Ctrl-C struck: nothing is lost for it
                self._shared.loop.call_soon(self._hand_on)
            # Uncorked first: sending may call ``pause_writing``, and what that writes must not go into this list.
            corked, self._corked = self._corked, None
            self._transmit_all(corked)

    # -- sending -----------------------------------------------------------------------------------------------

    def sendto(self, data: bytes | bytearray | memoryview, address: Address | None = None) -> None:
        """As on the plain path.  An address that was good once is not checked again."""
        corked = self._corked
        loop = self._shared.loop
        # Everything that is not the plain case is refused, ignored or queued by the plain path, which knows how.
        if (
            corked is None or type(data) is not bytes or self._queue or self._is_closing
            or loop.thread_id() != loop.owner
        ):  # fmt: skip
            super().sendto(data, address)
            return
        try:
            known = self._known.get(address)
        except TypeError:  # no tuple, or one of something strange: for the plain path to refuse
            known = None
        if known is None:
            super().sendto(data, address)
            # The plain path has checked the address and corked it, through ``_send``: it is the last in the list.
            # If that had to be uncorked, the list is another one now.
            if corked and corked is self._corked:
                if len(self._known) >= KNOWN_ADDRESSES:
                    self._known.clear()  # all: senders choose their addresses, and must not fill the memory
                self._known[address] = corked[-1][1:]
            return
        corked.append((data, *known))
        if len(corked) >= DATAGRAM_BATCH:
            self._uncork()

    def _send(self, data: bytes, address: Any) -> bool:
        corked = self._corked
        if corked is None:
            return super()._send(data, address)
        packed = self._batch.packed(address)
        if packed is None:
            # Only the socket module knows how to write it: it goes alone, behind what was said before it.
            self._uncork()
            return not self._queue and super()._send(data, address)
        corked.append((data, address, packed))
        if len(corked) >= DATAGRAM_BATCH:
            self._uncork()
        return True

    def _uncork(self) -> None:
        """Send now what was to leave at the end of the delivery."""
        if self._corked:
            corked, self._corked = self._corked, []  # still corked: the delivery goes on
            self._transmit_all(corked)

    def _transmit_all(self, corked: list[Posting]) -> None:
        if len(corked) == 1:  # a batch of one costs more than it saves
            data, address, _ = corked[0]
            if not super()._send(data, address):
                self._enqueue_all(corked)
            return
        while corked:
            sent, why = self._batch.send(self._sock.fileno(), corked)
            self._on_sent(corked[:sent])
            del corked[:sent]
            if corked:
                # The first that was not sent, and the reason; those behind it have not been tried.
                data, address, _ = corked[0]
                is_full = why in (EAGAIN, EINTR)
                if is_full or not self._on_send_error(OSError(why, os.strerror(why)), data, address):
                    self._enqueue_all(corked)
                    return
                del corked[0]

    def _on_sent(self, postings: list[Posting]) -> None:
        self._shared.counters.datagrams_sent += len(postings)
        if postings:
            self.note_progress()
        probe = self._shared.probe
        if probe is not None:
            for data, _, _ in postings:
                probe.sent(self, len(data))

    def _enqueue_all(self, corked: list[Posting]) -> None:
        """Have them wait for room.  First all, and then the protocol is told: it might send more."""
        for data, address, _ in corked:
            self._enqueue(data, address)
        self._check_watermarks()

    # -- ending ------------------------------------------------------------------------------------------------

    def _has_unsent(self) -> bool:
        self._uncork()  # only the kernel knows whether what is corked will have to wait
        return super()._has_unsent()

    def _forget_unsent(self) -> None:
        """In a forked child: what waits to be sent is the parent's to send."""
        if self._corked:
            self._corked.clear()
        super()._forget_unsent()

    def _lose(self, exc: BaseException | None, *, linger: bool = False) -> None:
        if not self._is_lost:
            self._is_closing = True
            self._uncork()  # the plain path has sent it by now
            self._arrived.clear()
        super()._lose(exc)
