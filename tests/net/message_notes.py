"""A message protocol that writes down what it is told, and both ends of a connection to give it to.

Read next: ``test_message_stream``.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from reactor.net.messages.stream import MessageStream
from reactor.ops import Ops
from reactor.testing import ScriptedOps, ScriptedPoller, ScriptedSocket, VirtualClock
from tests.net.stage import PATIENCE, Stage

#: The life of a message transport, a letter for each callback; see the head of ``reactor.net.messages.protocol``.
GRAMMAR = re.compile(r"M([mpr]*(e[pr]*)?l?)?")


def seqpacket_problem() -> str | None:
    """Return why this system has no such sockets, None if it has."""
    if not hasattr(socket, "AF_UNIX"):
        return "no Unix sockets"
    try:
        for sock in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET):
            sock.close()
    except OSError as exc:
        return f"no Unix sockets of kind SOCK_SEQPACKET: {exc}"
    return None


needs_seqpacket = pytest.mark.skipif(seqpacket_problem() is not None, reason=str(seqpacket_problem()))


class MessageNotes:
    """Any object with the right methods will do; each keyword is a reaction to one callback."""

    max_message_size = 100_000

    def __init__(self, **reactions: Callable[..., Any]) -> None:
        self.reactions = reactions
        self.transport: Any = None
        self.calls: list[tuple[Any, ...]] = []

    def _told(self, name: str, *args: Any) -> Any:
        self.calls.append((name, *args))
        return self.reactions[name](self, *args) if name in self.reactions else None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._told("connection_made")

    def connection_failed(self, exc: Exception) -> None:
        self._told("connection_failed", exc)

    def message_received(self, data: bytes) -> None:
        self._told("message_received", data)

    def eof_received(self) -> Any:
        return self._told("eof_received")

    def pause_writing(self) -> None:
        self._told("pause_writing")

    def resume_writing(self) -> None:
        self._told("resume_writing")

    def connection_lost(self, exc: BaseException | None) -> None:
        self._told("connection_lost", exc)

    @property
    def messages(self) -> list[bytes]:
        """The messages received."""
        return [args[0] for name, *args in self.calls if name == "message_received"]

    @property
    def names(self) -> list[str]:
        """The names of all calls."""
        return [name for name, *_ in self.calls]

    @property
    def is_lost(self) -> bool:
        """Return True if ``connection_lost`` has come."""
        return "connection_lost" in self.names

    @property
    def reason(self) -> Any:
        """What the only ``connection_lost`` said."""
        (reason,) = [args[0] for name, *args in self.calls if name == "connection_lost"]
        return reason

    def check_grammar(self) -> None:
        """Fail unless the calls are a life."""
        letters = {"connection_made": "M", "message_received": "m", "eof_received": "e", "connection_lost": "l"}
        life = "".join(letters.get(name, name[0]) for name in self.names)
        assert GRAMMAR.fullmatch(life), life


def plain(path: str) -> socket.socket:
    """Return a plain blocking client, as in the book, but with a timeout."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client.settimeout(PATIENCE)
    client.connect(path)
    return client


def echo(me: MessageNotes, data: bytes) -> None:
    """A reaction: send it back."""
    me.transport.send_message(data)


@contextmanager
def pair_on(stage: Stage, **reactions: Any) -> Iterator[tuple[MessageNotes, socket.socket]]:
    """Adopt one end of a pair; the other is a plain blocking socket."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    far.settimeout(PATIENCE)
    notes = MessageNotes(**reactions)
    with far:
        stage.adopt_seqpacket(lambda: notes, near)
        yield notes, far
        notes.check_grammar()


@contextmanager
def scripted_messages(**reactions: Any) -> Iterator[tuple[Stage, ScriptedSocket, MessageNotes, MessageStream]]:
    """A message transport without a kernel, in virtual time."""
    clock = VirtualClock()
    poller = ScriptedPoller(clock)
    with Stage(poller, clock=clock, ops=ScriptedOps(poller)) as stage:
        sock: Any = ScriptedSocket(socket.AF_UNIX, socket.SOCK_SEQPACKET, sockname="", peername="")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 50_032)
        notes = MessageNotes(**reactions)
        stream = MessageStream(stage._shared, sock, notes)
        stream._start()
        yield stage, sock, notes, stream
        assert stage.failures == []
    notes.check_grammar()


class CountingOps(Ops):
    """The real system, with a list of the descriptors that were closed by number."""

    def __init__(self) -> None:
        self.closed: list[int] = []

    def close(self, fd: int) -> None:
        self.closed.append(fd)
        super().close(fd)
