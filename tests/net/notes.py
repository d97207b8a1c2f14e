"""A datagram protocol that writes down what it is told, and endpoints to give it to: with a kernel and without.

Read next: ``test_datagram``.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from reactor.flow import Watermarks
from reactor.net.datagrams.batched_endpoint import BatchedEndpoint, make_endpoint
from reactor.net.datagrams.endpoint import DatagramEndpoint
from reactor.net.sockets.opening import open_datagram_socket
from reactor.testing import ScriptedOps, ScriptedPoller, ScriptedSocket, VirtualClock
from tests.net.stage import Stage, stage_on

#: An address to send to that nobody has (RFC 5737), and what the kernel says when it has no room.
ANYBODY = ("192.0.2.2", 2)
BLOCKED = BlockingIOError(errno.EAGAIN, "full")


class Notes:
    """A datagram protocol that writes down what it is told; each keyword is a reaction to one callback."""

    def __init__(self, **reactions: Callable[..., Any]) -> None:
        self.reactions = reactions
        self.transport: Any = None
        self.calls: list[tuple[Any, ...]] = []

    def _told(self, name: str, *args: Any) -> None:
        self.calls.append((name, *args))
        if name in self.reactions:
            self.reactions[name](self, *args)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._told("connection_made")

    def datagram_received(self, data: bytes, address: Any) -> None:
        self._told("datagram_received", data, address)

    def error_received(self, exc: OSError) -> None:
        self._told("error_received", exc)

    def pause_writing(self) -> None:
        self._told("pause_writing")

    def resume_writing(self) -> None:
        self._told("resume_writing")

    def connection_lost(self, exc: BaseException | None) -> None:
        self._told("connection_lost", exc)

    def told(self, name: str) -> list[Any]:
        """The first argument of each call of *name*."""
        return [args[0] if args else None for called, *args in self.calls if called == name]

    @property
    def data(self) -> list[bytes]:
        """The datagrams received."""
        return self.told("datagram_received")

    @property
    def names(self) -> list[str]:
        """The names of all calls."""
        return [name for name, *_ in self.calls]


def echo(me: Notes, data: bytes, address: Any) -> None:
    """A reaction: send it back."""
    me.transport.sendto(data, address)


def opened(stage: Stage, local: Any = None, remote: Any = None, **reactions: Any) -> tuple[Notes, DatagramEndpoint]:
    """Open an endpoint with a protocol that takes notes."""
    notes = Notes(**reactions)
    path = local if isinstance(local, str) else None
    sock = open_datagram_socket(stage.ops, local, remote)
    return notes, make_endpoint(stage._shared, sock, notes, unix_path=path)


@contextmanager
def scripted(
    family: int = socket.AF_INET, watermarks: Watermarks | None = None, is_connected: bool = False, **reactions: Any
) -> Iterator[tuple[Stage, ScriptedSocket, Notes, DatagramEndpoint]]:
    """An endpoint without a kernel, in virtual time."""
    clock = VirtualClock()
    poller = ScriptedPoller(clock)
    with Stage(poller, clock=clock, ops=ScriptedOps(poller)) as stage:
        sock = ScriptedSocket(family, socket.SOCK_DGRAM)
        if not is_connected:
            sock.script("getpeername", OSError(errno.ENOTCONN, "not connected"))
        notes = Notes(**reactions)
        endpoint = DatagramEndpoint(
            stage._shared, sock, notes, watermarks=watermarks or Watermarks()  # type: ignore[arg-type]
        )
        endpoint._start()
        yield stage, sock, notes, endpoint
        assert stage.failures == []


def sent(sock: ScriptedSocket) -> list[bytes]:
    """The datagrams that *sock* was given, refused ones included."""
    return [call[1] for call in sock.calls if call[0] in ("send", "sendto")]


@contextmanager
def peers_on(host: str = "127.0.0.1", count: int = 1) -> Iterator[list[socket.socket]]:
    """Bare sockets that wait for nothing."""
    with ExitStack() as stack:
        socks = []
        for _ in range(count):
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            sock = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            sock.bind((host, 0))
            sock.setblocking(False)
            socks.append(sock)
        yield socks


def drained(sock: socket.socket) -> list[bytes]:
    """All that has arrived there."""
    found = []
    while True:
        try:
            found.append(sock.recv(100_000))
        except BlockingIOError:
            return found


@contextmanager
def batched(
    watermarks: Watermarks | None = None, **reactions: Any
) -> Iterator[tuple[Stage, Notes, BatchedEndpoint, socket.socket]]:
    """An endpoint in batches, and a peer that is connected to it.  The clock stands still: no batch is broken off
    because the machine took its time."""
    native = mock.patch.dict(os.environ, {"REACTOR_ACCEL": "native"})
    with native, stage_on(clock=VirtualClock()) as stage, peers_on() as [peer]:
        sock = open_datagram_socket(stage.ops, ("127.0.0.1", 0))
        notes = Notes(**reactions)
        endpoint = make_endpoint(stage._shared, sock, notes, watermarks=watermarks or Watermarks())
        assert isinstance(endpoint, BatchedEndpoint)
        peer.connect(endpoint.get_extra_info("sockname"))
        yield stage, notes, endpoint, peer
