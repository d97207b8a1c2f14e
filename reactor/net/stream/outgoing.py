"""Handing many buffers to the kernel in few calls, and keeping what it refused.

What a stream has yet to send is a list of buffers, in order.  One buffer is sent as it is.  A few small ones are
joined first, because copying a few kilobytes costs less than describing them to ``sendmsg``; large ones are
gathered by ``sendmsg`` and not copied.  The kernel takes what fits into the socket's send buffer: a prefix, which
may end inside any of the buffers.  Read next: ``sendfile``.
"""

from __future__ import annotations

import socket
from itertools import islice

from reactor.limits import CORK_BYTES, GATHER_BUFFERS, JOIN_BYTES

#: Writing to a connection that is gone raises SIGPIPE, which kills the process unless it is ignored.  Python does
#: that at its start, but a program may have undone it; so every call says no, where the system has the flag.
NO_SIGNAL = getattr(socket, "MSG_NOSIGNAL", 0)

#: Immutable bytes, or a view of immutable bytes: whatever waits here must not change under its owner's hands.
Buffer = bytes | memoryview


def frozen(data: bytes | bytearray | memoryview) -> bytes:
    """Return *data* as bytes that nobody else can change: a copy, unless it is bytes already.

    A memoryview of any shape and item size is flattened in C order.  Raises TypeError for what is not bytes-like
    (a str, say: encode it first).
    """
    if type(data) is bytes:
        return data
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    raise TypeError(f"data to be sent must be bytes, bytearray or memoryview, not {type(data).__name__}")


def transmit(sock: socket.socket, buffers: list[Buffer], size: int) -> int:
    """Send *buffers*, which hold *size* bytes, in one call; return how many bytes the kernel took, 0 if none.

    *buffers* may be joined in place.  Raises OSError if the connection is broken, see send(2).
    """
    try:
        if len(buffers) == 1:
            return sock.send(buffers[0], NO_SIGNAL)
        if size <= JOIN_BYTES:
            # In place: if the kernel takes only a part, the rest is already one buffer for the next call.
            buffers[:] = [b"".join(buffers)]
            return sock.send(buffers[0], NO_SIGNAL)
        if len(buffers) > GATHER_BUFFERS:
            join_small(buffers)
        return sock.sendmsg(buffers[:GATHER_BUFFERS], (), NO_SIGNAL)
    except (BlockingIOError, InterruptedError):
        return 0  # the send buffer is full, see send(2): not a fault, the poller will say when there is room


def join_small(buffers: list[Buffer]) -> None:
    """Join the first of *buffers* in place, up to ``CORK_BYTES``, if one ``sendmsg`` would carry less than that.

    A peer that reads slowly may be owed a million small replies; 64 of them in a call would take forever.
    """
    # Only the first ones are measured: to go through all of a million at each call would be the cost itself.
    size = sum(map(len, buffers[:GATHER_BUFFERS]))
    if size >= CORK_BYTES:
        return
    count = GATHER_BUFFERS
    for buffer in islice(buffers, count, None):
        size += len(buffer)
        if size > CORK_BYTES:
            break
        count += 1
    buffers[:count] = [b"".join(buffers[:count])]


def drop_sent(buffers: list[Buffer], sent: int) -> bool:
    """Remove the first *sent* bytes from *buffers*.  Return True if the kernel stopped inside one of them: it is
    full."""
    whole = 0
    for buffer in buffers:
        if sent < len(buffer):
            break
        sent -= len(buffer)
        whole += 1
    del buffers[:whole]  # once: to delete them one by one would move the whole list each time
    if sent:
        # A view, not a slice: what is left of a large buffer is not copied at every partial send.
        buffers[0] = memoryview(buffers[0])[sent:]
    return sent > 0
