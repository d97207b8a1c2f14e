"""What is going on when Ctrl-C strikes, or a child is forked, is done once and told once.

Python raises KeyboardInterrupt between any two instructions.  What the kernel has taken by then has left, and an
end that was seen is an end.  A forked child has copies of its parent's descriptors: to close them is its right, and
no end of the connection.
"""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest

import reactor
from tests.regressions.shipped import MANY, Shipped, heard


class Echo(reactor.Protocol):
    """Sends back what comes, and notes the end."""

    def __init__(self) -> None:
        self.ends: list[BaseException | None] = []

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.ends.append(exc)


class Interrupted:
    """The compiled module, in which Ctrl-C surfaces behind a call of ``pump_send``, or before it, once."""

    def __init__(self, lib: Any, *, is_sent: bool) -> None:
        self._lib, self.is_sent = lib, is_sent
        self.pump_wait = lib.pump_wait
        self.count = 0

    def pump_send(self, *args: Any) -> int:
        self.count += 1
        if self.count > 1:
            return int(self._lib.pump_send(*args))
        if self.is_sent:
            self._lib.pump_send(*args)
        raise KeyboardInterrupt


@pytest.mark.parametrize("is_sent", [True, False])
def test_every_reply_leaves_once_when_an_interrupt_surfaces_at_the_call_that_sends_them(
    loop: Shipped, way: str, is_sent: bool
) -> None:
    """On the pump one call sends for all: its rows say what has left, whether Python was told or not."""
    if way != "pump":
        pytest.skip("the plain path has no call that sends for many")
    peers = [loop.pair(Echo()) for _ in range(MANY)]
    for word in (b"many", b"busy"):  # a turn of many makes the next one the pump's
        for peer in peers:
            peer.send(word)
        loop.turns(1)
        assert [heard(peer) for peer in peers] == [word] * MANY
    pump: Any = loop._shared.pump
    pump.clock = lambda: 0.0  # however slow the machine is, replies that may leave together do
    pump._lib = Interrupted(pump._lib, is_sent=is_sent)
    for number, peer in enumerate(peers):
        peer.send(b"request %d" % number)
    with pytest.raises(KeyboardInterrupt):
        loop.turns(3)
    loop.turns(3)
    assert pump._lib.count >= 1
    assert [heard(peer) for peer in peers] == [b"request %d" % number for number in range(MANY)]
    for peer in peers:
        peer.close()


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_end_is_told_when_eof_received_is_interrupted(loop: Shipped, interrupt: type[BaseException]) -> None:
    """Nobody would hear of that end again: the connection is closed, and ``connection_lost`` comes once."""

    class Struck(Echo):
        def eof_received(self) -> None:
            raise interrupt

    struck = Struck()
    loop.pair(struck).close()
    with pytest.raises(interrupt):
        loop.turns(2)
    loop.turns(2)
    assert struck.ends == [None]
    assert not loop._shared.transports


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_connection_goes_on_in_the_parent_when_a_child_closes_it_before_it_reopens(loop: Shipped) -> None:
    """As the documentation has it: what is not the child's business is closed, and then the reactor is reopened."""
    listener = loop.listen_tcp(Echo, "127.0.0.1")
    with socket.create_connection(listener.address) as client:
        client.setblocking(False)
        client.send(b"before")
        loop.until(lambda: has_something(client))
        assert client.recv(100) == b"before"
        child = os.fork()
        if child == 0:
            status = 1
            try:
                for transport in list(loop._shared.transports):
                    getattr(transport, "close")()  # noqa: B009  # streams and listeners have it
                loop.reopen()
                loop.turns(5)
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        client.send(b"after")
        loop.until(lambda: has_something(client))
        assert client.recv(100) == b"after"
    listener.close()


def has_something(sock: socket.socket) -> bool:
    """Return True if there is something to read, an end included."""
    try:
        sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    return True


def test_a_buffer_is_told_of_its_own_bytes_when_get_buffer_changes_the_protocol(loop: Shipped) -> None:
    """What does not go to the old protocol's buffer goes to the new one's, and nowhere else."""

    class Buffered:
        def __init__(self, size: int) -> None:
            self.buffer, self.got = bytearray(size), bytearray()
            self.transport: Any = None

        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def connection_lost(self, exc: BaseException | None) -> None: ...

        def get_buffer(self, hint: int) -> bytearray:
            return self.buffer

        def buffer_updated(self, size: int) -> None:
            assert size <= len(self.buffer)
            self.got += self.buffer[:size]

    class Leaving(Buffered):
        def get_buffer(self, hint: int) -> bytearray:
            self.transport.set_protocol(second)
            return self.buffer

    first, second = Leaving(100), Buffered(8)
    with loop.pair(first) as peer:
        peer.send(b"hello, this is longer")
        loop.turns(5)
        assert (first.got, second.got) == (b"", b"hello, this is longer")
