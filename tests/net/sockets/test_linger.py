"""The last reply survives a close, and nobody can hold descriptors by being slow about it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any, cast

import pytest

from reactor.limits import LINGER_BYTES, LINGER_STREAMS, LINGER_TIMEOUT, SCRATCH_BYTES
from reactor.net.sockets.lingering import Lingering
from reactor.testing import ScriptedSocket
from tests.net.recorder import Recorder
from tests.net.stage import connect, stage_on
from tests.net.virtual import Virtual, names, scripted, virtually


@pytest.fixture
def virtual() -> Iterator[Virtual]:
    with virtually() as virtual:
        yield virtual


def linger(lingering: Lingering, sock: Any) -> Any:
    """Have *sock* linger, and be told when it is closed; return it."""
    lingering.take(sock, sock.recv_into, lambda: sock.calls.append(("told",)))
    return sock


def taken(virtual: Virtual, *received: object) -> Any:
    """Return a socket that lingers, and will receive *received*."""
    return linger(virtual.stage._shared.lingering, scripted().script("recv", *received))


def is_closed(sock: ScriptedSocket) -> bool:
    """Return True if *sock* is closed; whose place it took is told of that: once, behind it, and not before."""
    ends = names(sock, "close", "told")
    assert ends in ([], ["close", "told"])
    return bool(ends)


def test_the_reply_arrives_when_most_of_an_upload_was_never_read(poller_name: str) -> None:
    """A server refuses a large upload and closes; the client sends on, reads late, and gets the whole refusal."""
    refusal = b"413 too large, says the server" * 100

    def refuse(me: Recorder, data: bytes) -> None:
        me.transport.write(refusal)
        me.transport.close()

    protocol = Recorder(data_received=refuse)
    with stage_on(poller_name) as stage:
        listener = stage.listen_tcp(lambda: protocol, "127.0.0.1", 0)
        with connect(listener) as client:
            client.setblocking(False)
            upload = memoryview(bytes(6 * 2**20))
            while upload:
                try:
                    upload = upload[client.send(upload) :]
                except BlockingIOError:
                    stage.run_once(1)
            client.shutdown(socket.SHUT_WR)
            stage.until(lambda: protocol.is_lost and not len(stage._shared.lingering))
            client.setblocking(True)
            answer = b"".join(iter(lambda: client.recv(65536), b""))
        assert answer == refusal
        assert len(protocol.received) < 6 * 2**20


def test_it_is_closed_when_the_peer_ends(virtual: Virtual) -> None:
    """That is what was waited for; until then what comes is thrown away, one buffer per turn."""
    sock = taken(virtual, BlockingIOError, bytes(3 * SCRATCH_BYTES), b"", b"never read")
    assert names(sock, "shutdown") == ["shutdown"]
    for _ in range(3):
        assert not is_closed(sock)
        virtual.readable(sock)
    virtual.readable(sock)
    assert is_closed(sock)
    assert len(virtual.stage._shared.lingering) == 0


@pytest.mark.parametrize("end", [b"", ConnectionResetError()])
def test_it_is_closed_at_once_when_the_peer_has_ended_already(virtual: Virtual, end: object) -> None:
    """An end or an error that lies there already needs no turn."""
    sock = taken(virtual, end)
    assert is_closed(sock)
    assert virtual.stage.next_timeout() is None


def test_it_is_closed_when_it_cannot_be_shut_down(virtual: Virtual) -> None:
    """ENOTCONN: there is no connection left to be polite on."""
    sock = scripted().script("shutdown", OSError(107, "not connected"))
    linger(virtual.stage._shared.lingering, sock)
    assert is_closed(sock)


def test_it_is_closed_when_its_time_is_over(virtual: Virtual) -> None:
    """Each has its own two seconds from its own close; a false alarm gives no more."""
    first = taken(virtual, BlockingIOError, BlockingIOError)
    virtual.wait(LINGER_TIMEOUT / 2)
    second = taken(virtual)
    virtual.readable(first)
    virtual.wait(LINGER_TIMEOUT * 0.45)
    assert (is_closed(first), is_closed(second)) == (False, False)
    virtual.wait(LINGER_TIMEOUT * 0.1)
    assert (is_closed(first), is_closed(second)) == (True, False)
    virtual.wait(LINGER_TIMEOUT / 2)
    assert is_closed(second)
    assert virtual.stage.next_timeout() is None


def test_it_is_closed_when_it_has_sent_too_much(virtual: Virtual) -> None:
    """A peer that goes on sending at full speed is cut off at LINGER_BYTES."""
    rounds = LINGER_BYTES // SCRATCH_BYTES + 1
    sock = taken(virtual, bytes(LINGER_BYTES + SCRATCH_BYTES))
    turns = 1
    while not is_closed(sock):
        virtual.readable(sock)
        turns += 1
    assert turns == rounds


def test_the_oldest_is_closed_when_there_are_too_many(virtual: Virtual) -> None:
    """At most LINGER_STREAMS linger at a time."""
    socks = [taken(virtual) for _ in range(LINGER_STREAMS + 3)]
    assert [is_closed(sock) for sock in socks[:5]] == [True, True, True, False, False]
    assert len(virtual.stage._shared.lingering) == LINGER_STREAMS


def test_all_are_closed_when_the_reactor_is(virtual: Virtual) -> None:
    """Nothing lingers longer than its reactor."""
    socks = [taken(virtual) for _ in range(3)]
    virtual.stage.close()
    assert all(map(is_closed, socks))


def test_the_socket_is_closed_when_it_cannot_be_watched(virtual: Virtual) -> None:
    """If the poller refuses it there is no lingering, and no leak, and nobody has to be told."""

    class Full:
        poller = None

        def add(self, *args: object) -> None:
            raise OSError(28, "no watches left")

    class Refusing:
        registry = Full()

        def is_closed(self) -> bool:
            return False

        def time(self) -> float:
            return 0.0

    lingering = Lingering(cast("Any", Refusing()), memoryview(bytearray(10)))
    sock = scripted()
    linger(lingering, sock)
    assert is_closed(sock)
    assert len(lingering) == 0
