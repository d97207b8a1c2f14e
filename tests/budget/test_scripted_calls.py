"""How often the system is called for each message, on scripted sockets: exactly, and the same on every machine.

Whatever costs a call more than it must shows here, before anybody has to measure.  The native scanner has the same
budget as the pure one.  Real system calls, and those of the pump, are counted in ``test_system_calls.py``.
"""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest

from reactor.net.protocol import DatagramProtocol
from reactor.testing import ScriptedSocket
from tests.budget.echoes import Batch, Each
from tests.net.virtual import Virtual, virtually

STYLES = pytest.mark.parametrize("style", [Each, Batch])

MESSAGE = Each.codec.encode(b"x" * 64)
MESSAGES = 50

#: A buffer is not made as large as a peer has announced, but grows with what has come; then a piece may be cut.
GROWTHS = 10


def costs(virtual: Virtual, sock: ScriptedSocket, turns: int) -> tuple[list[str], int]:
    """Return the names of the socket's calls in so many turns, and how often the kernel's set was changed."""
    calls, changes = len(sock.calls), len(virtual.poller.calls)
    for _ in range(turns):
        virtual.readable(sock)
    return [name for name, *_ in sock.calls[calls:]], len(virtual.poller.calls) - changes


@STYLES
def test_a_message_costs_one_receive_and_one_send_when_they_come_one_by_one(style: type[Each], accel: str) -> None:
    """Nothing else is asked of the socket, and the poller is told nothing."""
    with virtually() as virtual:
        _, sock = virtual.open(style(), *[MESSAGE] * MESSAGES)
        assert costs(virtual, sock, MESSAGES) == (["recv_into", "send"] * MESSAGES, 0)
        assert sock.sent == MESSAGE * MESSAGES


@STYLES
@pytest.mark.parametrize("count", [16, 64, 500])
def test_pipelined_messages_cost_one_receive_and_one_send_when_they_come_together(
    style: type[Each], count: int, accel: str
) -> None:
    """Sixteen, sixty-four or (more than is joined in one piece) a thousand requests in one chunk."""
    with virtually() as virtual:
        _, sock = virtual.open(style(), MESSAGE * count)
        names, changes = costs(virtual, sock, 1)
        assert sock.sent == MESSAGE * count
        assert (names[0], changes) == ("recv_into", 0)
        # What exceeds CORK_BYTES does not wait for the rest.
        assert len(names[1:]) <= 1 + len(MESSAGE) * count // 65_536
        assert set(names[1:]) <= {"send", "sendmsg"}


def test_the_poller_is_told_twice_when_the_kernel_refuses_once(accel: str) -> None:
    """Watch for writing, then no longer: two changes for each refusal, none for the messages around it."""
    with virtually() as virtual:
        _, sock = virtual.open(Each(), MESSAGE, MESSAGE, MESSAGE)
        sock.script("send", BlockingIOError)
        names, changes = costs(virtual, sock, 1)
        assert (names, changes) == (["recv_into", "send"], 1)
        virtual.writable(sock)
        assert virtual.poller.calls[-2:] == [("change", sock.fileno(), 3), ("change", sock.fileno(), 1)]
        assert costs(virtual, sock, 2) == (["recv_into", "send"] * 2, 0)


def test_a_large_frame_costs_one_receive_for_each_piece_and_one_send(accel: str) -> None:
    """A mebibyte in five pieces: five receives, some more where its buffer had to grow, and one call to reply."""
    message = Each.codec.encode(b"y" * 2**20)
    pieces = [message[at : at + 220_000] for at in range(0, len(message), 220_000)]
    with virtually() as virtual:
        _, sock = virtual.open(Each(), *pieces)
        names: list[str] = []
        while not sock.sent:
            names += costs(virtual, sock, 1)[0]
        assert len(pieces) <= names.count("recv_into") <= len(pieces) + GROWTHS
        assert len(names) - names.count("recv_into") == 1
        assert sock.sent == message


class Datagrams(DatagramProtocol):
    """Datagrams come back."""

    __slots__ = ()

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.transport.sendto(data, address)


def test_a_datagram_costs_one_receive_and_one_send_when_many_wait() -> None:
    """One more receive for the whole turn finds that nothing is left."""
    with virtually() as virtual:
        sender = ("192.0.2.7", 7)
        sock: Any = ScriptedSocket(kind=socket.SOCK_DGRAM)
        sock.script("getpeername", OSError(errno.ENOTCONN, "not connected"))
        sock.script("recv", *[(b"datagram", sender)] * 10)
        virtual.stage.adopt_datagram(Datagrams, sock)
        names, changes = costs(virtual, sock, 1)
        assert changes == 0
        assert sum(name.startswith("recv") for name in names) <= 11
        assert names.count("sendto") == 10
