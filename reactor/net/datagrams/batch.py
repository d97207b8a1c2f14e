"""Batches: all the datagrams that have arrived at a socket in one call, and all replies in another.

On the plain path every datagram costs a call from Python into the kernel and, each time, the work around it: an
address that is written out as text, and read again to answer.  Here recvmmsg(2) and sendmmsg(2) do it for up to 64
at once (see ``_accel/batch.h``), and an address stays the bytes that the kernel gave, next to the tuple that Python
wants: the same peer again and again is the common case, and costs a comparison in C.

**The arena** has a slot for each datagram of a batch, as long as the longest that UDP can carry, so nothing is ever
cut.  That is 4 MiB on paper and a page for each slot that was used in fact: the kernel lends memory when it is
touched.  All endpoints of a reactor share it.  Nothing stays in it: what arrived is made ``bytes`` before
anything else happens, so no callback can overtake what is still to be delivered.

**Only UDP.**  A Unix path has no length that a table could be made for, and its endpoints are on the plain path; so
is every endpoint where there is no compiled module or no recvmmsg, and under ``REACTOR_ACCEL=pure``.

Loop thread.  Read next: ``endpoint``, which is the plain path and says what must happen, then
``batched_endpoint``.
"""

from __future__ import annotations

import os
import socket
from array import array
from struct import Struct
from struct import error as StructError

from reactor.errors import AccelUnavailable
from reactor.framing.scanner import native_backend, reason_for, wanted
from reactor.limits import MAX_DATAGRAM_BYTES

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    #: A datagram, or its length if it did not fit, and the address it came from.
    Arrival = tuple[bytes | int, Any]

    #: A datagram to send, the address for people, and for the kernel: empty for a connected socket.
    Posting = tuple[bytes, Any, bytes]

#: Addresses remembered in each direction.  When there are more, all are forgotten: the busy ones come back at once.
KNOWN_ADDRESSES = 1024

#: Bytes between two slots: they would all begin in the same set of the processor's cache if it were none.
GAP_BYTES = 64

#: BATCH_ADDRESS of ``_accel/batch.h``.
ADDRESS_BYTES = 28

#: The family, which is in the machine's own order, and then what goes over the wire: see ip(7) and ipv6(7).
FAMILY = Struct("=H")
IPV4 = Struct("!H4s8x")
IPV6 = Struct("!HI16s")
SCOPE = Struct("=I")

#: A flow label has 20 bits (RFC 8200), and sendto() takes no more.
MAX_FLOW = 0xFFFFF


class Batch:
    """Receives and sends for the endpoints of one reactor.  Raises ImportError if the compiled module cannot."""

    __slots__ = (
        "_addresses", "_arena", "_from_buffer", "_lib", "_most", "_names", "_packed", "_place", "_refs", "_sizes",
        "_starts", "_tuples", "_why", "share",
    )  # fmt: skip

    def __init__(self) -> None:
        native_backend()  # which finds out whether the module fits
        from reactor._accel import ffi, lib

        if not lib.BATCH_WORKS:
            raise ImportError("it needs recvmmsg", name=NO_KERNEL)
        self._lib, self._from_buffer = lib, ffi.from_buffer
        count = lib.BATCH_DATAGRAMS
        self._most = count
        #: The length of the longest datagram that is not cut.
        self.share = MAX_DATAGRAM_BYTES
        stride = self.share + GAP_BYTES
        self._starts = range(0, count * stride, stride)
        # Not cleared: the pages of a slot become real when the kernel writes there, and nothing else is read.
        arena = ffi.new_allocator(should_clear_after_alloc=False)("char[]", count * stride)
        self._arena = ffi.buffer(arena)
        addresses = ffi.new("char[]", count * ADDRESS_BYTES)
        self._addresses = ffi.buffer(addresses)
        sizes, names = array("q", bytes(8 * count)), array("q", bytes(8 * count))
        self._sizes, self._names = memoryview(sizes), memoryview(names)
        self._place = ffi.new("batch_place *", {"share": self.share, "stride": stride})
        self._why = ffi.new("int *")
        #: What the C structure points to, kept alive here: memory of C's does not hold references.
        self._refs = [
            arena,
            addresses,
            ffi.from_buffer("int64_t[]", sizes),
            ffi.from_buffer("int64_t[]", names),
        ]
        self._place.arena, self._place.addresses, self._place.sizes, self._place.names = self._refs
        #: Addresses by what the kernel says, and the other way round.
        self._tuples: dict[bytes, Any] = {}
        self._packed: dict[Any, bytes | None] = {None: b""}

    def receive(self, fd: int) -> list[Arrival]:
        """Return what has arrived at *fd*, the first of it at the end of the list: at least one datagram.

        Raises BlockingIOError if there is nothing, else OSError.
        """
        count = self._lib.batch_receive(fd, self._most, self._place)
        # The call goes on until it has as many as it asked for, or has found nothing once more.  So that a socket
        # with one datagram at a time does not pay for a second look, it asks for about as many as there were
        # before.
        self._most = min(self._most * 2, len(self._sizes)) if count == self._most else max(count, 1)
        if count == 1:
            size = self._sizes[0]
            address = self._tuple(self._addresses[: self._names[0]])
            return [(self._arena[:size] if size <= self.share else size, address)]
        if count < 0:
            raise OSError(-count, os.strerror(-count))
        arrived: list[Arrival] = []
        add, arena, share, slot, address = arrived.append, self._arena, self.share, 0, None
        numbers = zip(self._starts, self._sizes[:count].tolist(), self._names[:count].tolist(), strict=False)
        for start, size, named in numbers:
            if named:  # else it came from the same address as the one before: C compares, Python need not
                address = self._tuple(self._addresses[slot : slot + named])
            slot += ADDRESS_BYTES
            add((arena[start : start + size] if size <= share else size, address))
        arrived.reverse()  # so that ``pop`` takes the first, at no cost
        return arrived

    def _tuple(self, packed: bytes) -> Any:
        """Return the address that the kernel writes *packed*, as recvfrom() would."""
        address = self._tuples.get(packed)
        if address is None and packed:
            address = unpack_address(packed)
            if len(self._tuples) > KNOWN_ADDRESSES:
                self._tuples = {}
            self._tuples[packed] = address
        return address

    def packed(self, address: Any) -> bytes | None:
        """Return *address*, which an endpoint has checked, as the kernel writes it; None if that is not known here:
        the socket module has forms of its own, and is left to judge them."""
        try:
            return self._packed[address]
        except KeyError:
            packed = pack_address(address)
        if len(self._packed) > KNOWN_ADDRESSES:
            self._packed = {None: b""}
        self._packed[address] = packed
        return packed

    def send(self, fd: int, postings: Sequence[Posting]) -> tuple[int, int]:
        """Send up to 64 datagrams; return how many were sent, and the errno why the next was not, 0 after all."""
        # One table of numbers and two of bytes, instead of a Python object for each datagram in C's hands.
        pieces, _, addresses = zip(*postings, strict=True)
        jobs = array("q", [*map(len, pieces), *map(len, addresses)])
        data, names = b"".join(pieces), b"".join(addresses)
        pointer: Any = self._from_buffer("int64_t[]", jobs)
        sent = self._lib.batch_send(fd, pointer, len(postings), data, len(data), names, len(names), self._why)
        # Negative: the C code has refused numbers that do not add up, and sent nothing; the first is told as an
        # error.
        return (sent, self._why[0]) if sent >= 0 else (0, -sent)


# -- addresses -------------------------------------------------------------------------------------------------


def unpack_address(packed: bytes) -> Any:
    """Return the tuple that recvfrom() makes of *packed*, a sockaddr_in or sockaddr_in6."""
    [family] = FAMILY.unpack_from(packed)
    if family == socket.AF_INET:
        port, host = IPV4.unpack_from(packed, 2)
        return socket.inet_ntop(socket.AF_INET, host), port
    port, flow, host = IPV6.unpack_from(packed, 2)
    [scope] = SCOPE.unpack_from(packed, 24)
    return socket.inet_ntop(socket.AF_INET6, host), port, flow, scope


def pack_address(address: Any) -> bytes | None:
    """Return *address* as the kernel writes it; None for a zone in letters and for what sendto() would refuse."""
    host, port, *more = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if family == socket.AF_INET and more:
        return None
    flow, scope = (*more, 0, 0)[:2]
    try:
        number = socket.inet_pton(family, host)
        if family == socket.AF_INET:
            return FAMILY.pack(family) + IPV4.pack(port, number)
        if flow > MAX_FLOW:
            return None
        return FAMILY.pack(family) + IPV6.pack(port, flow, number) + SCOPE.pack(scope)
    except (OSError, TypeError, StructError):
        return None


# -- whether there are batches ---------------------------------------------------------------------------------

#: In the place of a module's name: the module is there, and the kernel is another one.
NO_KERNEL = "recvmmsg"


def open_batch() -> Batch | None:
    """Return what endpoints can receive and send with; None where they are on their own.

    Raises AccelUnavailable if ``REACTOR_ACCEL=native`` demands the compiled module and there is none.
    """
    choice = wanted(None)
    if choice == "pure":
        return None
    try:
        return Batch()
    except ImportError as exc:
        if choice == "native" and exc.name != NO_KERNEL:
            raise AccelUnavailable(f"REACTOR_ACCEL=native was demanded, but {reason_for(exc)}") from exc
        return None
