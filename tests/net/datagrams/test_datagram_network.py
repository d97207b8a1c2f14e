"""Datagrams on the real network: there and back, to nobody, too long, to a receiver that is full."""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import Any

import pytest

from reactor.errors import AddressError
from reactor.net.sockets.opening import open_datagram_socket
from reactor.ops import Ops
from reactor.telling.probe import Probe
from tests.net.notes import echo, opened
from tests.net.stage import stage_on

pytestmark = pytest.mark.usefixtures("accel")  # pure: a call for each datagram; native: batches


@pytest.mark.parametrize("kind", ["udp4", "udp6", "unix"])
def test_datagrams_go_there_and_back_whole_and_in_order(poller_name: str, tmp_path: Path, kind: str) -> None:
    """An empty datagram is data, and boundaries are kept."""
    ends: Any = {"udp4": ("127.0.0.1", 0), "udp6": ("::1", 0)}.get(kind)
    with stage_on(poller_name) as stage:
        here, there = (ends, ends) if ends else (str(tmp_path / "a"), str(tmp_path / "b"))
        _, server = opened(stage, here, datagram_received=echo)
        client, endpoint = opened(stage, there)
        target = server.get_extra_info("sockname")
        messages = [b"one", b"", b"\0" * 1000, b"four"]
        for message in messages:
            endpoint.sendto(message, target)
        stage.until(lambda: len(client.data) == len(messages))
        assert client.data == messages
        assert {call[2] for call in client.calls[1:]} == {target}
        assert stage.counters.datagrams_received == stage.counters.datagrams_sent == 2 * len(messages)


def test_a_connected_endpoint_sends_to_its_peer_and_to_nobody_else(poller_name: str) -> None:
    """The address may be left out, or be the peer's in either form."""
    with stage_on(poller_name) as stage:
        server, other = opened(stage, ("::1", 0))
        remote = other.get_extra_info("sockname")
        _, endpoint = opened(stage, None, remote[:2])
        assert endpoint.get_extra_info("peername") == remote
        for address in (None, remote, remote[:2]):
            endpoint.sendto(b"x", address)
        with pytest.raises(AddressError, match="connected to"):
            endpoint.sendto(b"y", ("::1", 9))
        stage.until(lambda: len(server.data) == 3)
        assert server.data == [b"x"] * 3


def test_a_refusal_is_told_and_the_endpoint_lives_on(poller_name: str) -> None:
    """ECONNREFUSED of an earlier datagram comes with a later call; whichever that is, nothing else is lost."""
    with stage_on(poller_name) as stage, socket.socket(type=socket.SOCK_DGRAM) as late:
        late.bind(("127.0.0.1", 0))
        address = late.getsockname()
        late.close()
        notes, endpoint = opened(stage, None, address)
        endpoint.sendto(b"nobody hears this")
        stage.until(lambda: notes.told("error_received"))
        endpoint.sendto(b"nor this")
        server, _ = opened(stage, address)
        endpoint.sendto(b"but this")
        stage.until(lambda: server.data)
        stage.settle()
        assert server.data == [b"but this"]
        assert {exc.errno for exc in notes.told("error_received")} == {errno.ECONNREFUSED}
        assert not endpoint.is_closing()


def test_a_datagram_that_is_too_long_is_told_to_the_sender(poller_name: str) -> None:
    """EMSGSIZE, from the loop and not from inside sendto."""
    with stage_on(poller_name) as stage:
        notes, endpoint = opened(stage, ("127.0.0.1", 0))
        endpoint.sendto(b"x" * 70_000, endpoint.get_extra_info("sockname"))
        assert notes.names == ["connection_made"]
        stage.settle()
        assert [exc.errno for exc in notes.told("error_received")] == [errno.EMSGSIZE]


def test_an_ipv6_endpoint_on_every_interface_talks_to_ipv4_as_well(poller_name: str) -> None:
    """In either form of the address."""
    with stage_on(poller_name) as stage:
        server, _ = opened(stage, ("127.0.0.1", 0), datagram_received=echo)
        both, endpoint = opened(stage, ("", 0))
        port = server.transport.get_extra_info("sockname")[1]
        endpoint.sendto(b"a", ("127.0.0.1", port))
        stage.until(lambda: both.data)
        endpoint.sendto(b"b", both.calls[-1][2])
        stage.until(lambda: len(both.data) == 2)
        assert both.data == [b"a", b"b"]


def test_a_datagram_longer_than_the_buffer_is_an_error_and_not_data(
    poller_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of a message is no message: it is dropped, counted and told."""
    monkeypatch.setattr("reactor.net.datagrams.batch.MAX_DATAGRAM_BYTES", 10)
    with stage_on(poller_name) as stage:
        stage._shared.scratch = memoryview(bytearray(10))
        notes, endpoint = opened(stage, ("127.0.0.1", 0))
        for message in (b"x" * 11, b"y" * 10):
            endpoint.sendto(message, endpoint.get_extra_info("sockname"))
        stage.until(lambda: notes.data)
        assert notes.data == [b"y" * 10]
        [error] = notes.told("error_received")
        assert error.errno == errno.EMSGSIZE
        assert "11 bytes" in str(error)
        assert stage.counters.datagrams_dropped == 1


def test_an_unconnected_unix_endpoint_does_not_spin_when_the_receiver_is_full(
    poller_name: str, tmp_path: Path
) -> None:
    """Such a socket is writable all the time, so the clock is asked; everything arrives in the end, in order."""
    with stage_on(poller_name) as stage:
        receiver, there = opened(stage, str(tmp_path / "a"))
        there.pause_reading()
        _, endpoint = opened(stage)
        endpoint.abort()
        _, endpoint = opened(stage, str(tmp_path / "b"))
        count = 0
        while not endpoint.get_write_buffer_size():
            endpoint.sendto(b"%d" % count, str(tmp_path / "a"))
            count += 1
        turn = stage.registry.turn
        stage.call_later(0.05, there.resume_reading)
        stage.until(lambda: len(receiver.data) == count)
        assert receiver.data == [b"%d" % number for number in range(count)]
        assert stage.registry.turn - turn < 40
        assert endpoint.get_write_buffer_size() == 0


def test_a_connected_unix_endpoint_is_told_when_its_peer_has_gone(poller_name: str, tmp_path: Path) -> None:
    """Once for each datagram: here the error is about the very datagram that was sent."""
    with stage_on(poller_name) as stage:
        _, peer = opened(stage, str(tmp_path / "a"))
        notes, endpoint = opened(stage, None, str(tmp_path / "a"))
        assert endpoint.get_extra_info("peername") == str(tmp_path / "a")
        peer.abort()
        stage.settle()
        endpoint.sendto(b"x")
        stage.settle()
        assert [type(exc) for exc in notes.told("error_received")] == [ConnectionRefusedError]


def test_nothing_is_received_while_reading_is_paused(poller_name: str) -> None:
    """Pausing twice is pausing once; what arrives meanwhile waits in the kernel."""
    with stage_on(poller_name) as stage:
        notes, endpoint = opened(stage, ("127.0.0.1", 0))
        for _ in range(2):
            endpoint.pause_reading()
        assert not endpoint.is_reading()
        endpoint.sendto(b"x", endpoint.get_extra_info("sockname"))
        stage.settle()
        assert notes.data == []
        for _ in range(2):
            endpoint.resume_reading()
        assert endpoint.is_reading()
        stage.until(lambda: notes.data)


def test_a_unix_path_is_removed_when_the_endpoint_ends(poller_name: str, tmp_path: Path) -> None:
    """And a stale one is replaced when it begins."""
    path = tmp_path / "s"
    open_datagram_socket(Ops(), str(path)).close()
    with stage_on(poller_name) as stage:
        _, endpoint = opened(stage, str(path))
        assert path.is_socket()
        endpoint.close()
        stage.settle()
        assert not path.exists()


def test_the_socket_is_closed_when_connection_lost_raises(tmp_path: Path) -> None:
    """Nothing leaks for a bug in the last callback, neither socket nor path."""
    with stage_on() as stage:
        _, endpoint = opened(stage, str(tmp_path / "s"), connection_lost=lambda me, exc: 1 // 0)
        sock = endpoint.get_extra_info("socket")
        endpoint.close()
        stage.settle()
        assert sock.fileno() == -1
        assert not (tmp_path / "s").exists()
        assert len(stage.take_failures()) == 1


def test_every_protocol_hears_of_the_end_when_the_reactor_is_closed(poller_name: str) -> None:
    """What waits to be sent is dropped."""
    with stage_on(poller_name) as stage:
        notes, endpoint = opened(stage, ("127.0.0.1", 0))
        stage.close()
        assert notes.names == ["connection_made", "connection_lost"]
        assert endpoint.get_extra_info("sockname") is None
        assert "lost" in repr(endpoint)


def test_a_probe_sees_what_an_endpoint_does() -> None:
    """Its beginning, sizes in both directions, and its end."""

    class Watcher(Probe):
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def opened(self, transport: object) -> None:
            self.seen.append("opened")

        def received(self, transport: object, size: int) -> None:
            self.seen.append(("received", size))

        def sent(self, transport: object, size: int) -> None:
            self.seen.append(("sent", size))

        def closed(self, transport: object, exc: BaseException | None) -> None:
            self.seen.append("closed")

    with stage_on() as stage:
        stage.set_probe(probe := Watcher())
        notes, endpoint = opened(stage, ("127.0.0.1", 0))
        endpoint.sendto(b"abc", endpoint.get_extra_info("sockname"))
        stage.until(lambda: notes.data)
        endpoint.close()
        stage.settle()
    assert probe.seen == ["opened", ("sent", 3), ("received", 3), "closed"]
