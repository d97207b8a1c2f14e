"""Taking connections: how many, from where, until when, and what becomes of them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from reactor.errors import OptionError
from reactor.limits import ACCEPT_BACKOFF, ACCEPT_BATCH
from reactor.net.connections.listener import Listener
from reactor.net.sockets.options import SocketOptions
from tests.leaks import open_descriptors
from tests.net.recorder import Recorder, echo
from tests.net.stage import Stage, connect, stage_on
from tests.net.virtual import Virtual, names, scripted, virtually


@pytest.fixture
def stage(poller_name: str) -> Iterator[Stage]:
    with stage_on(poller_name) as stage:
        yield stage


@pytest.fixture
def virtual() -> Iterator[Virtual]:
    with virtually() as virtual:
        yield virtual


class Clients(list[socket.socket]):
    """Client sockets, all closed at the end."""

    def __enter__(self) -> Clients:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for sock in self:
            sock.close()

    def come(self, listener: Listener, count: int) -> None:
        """Have *count* more connect."""
        self.extend(connect(listener) for _ in range(count))


# -- how many --------------------------------------------------------------------------------------------------


def test_the_others_wait_in_the_kernel_when_there_are_enough(stage: Stage) -> None:
    """At ``max_connections`` the listener pauses, and takes one in for each that leaves."""
    listener = stage.listen_tcp(Recorder, "127.0.0.1", 0, max_connections=2)
    with Clients() as clients:
        clients.come(listener, 5)
        stage.settle(5)
        assert (listener.connections, listener.accepted) == (2, 2)
        assert not listener.is_accepting()
        for gone in range(1, 4):
            clients.pop(0).close()
            stage.until(lambda: (listener.accepted, listener.connections) == (2 + gone, 2))  # noqa: B023
        while clients:
            clients.pop().close()
        stage.until(lambda: listener.connections == 0)
        assert listener.accepted == 5
        assert listener.is_accepting()


def test_nobody_is_taken_in_while_it_is_paused(stage: Stage) -> None:
    """``pause`` and ``resume`` are the user's; leaving connections do not undo a pause."""
    listener = stage.listen_tcp(Recorder, "127.0.0.1", 0, max_connections=1)
    with Clients() as clients:
        clients.come(listener, 1)
        stage.until(lambda: listener.connections)
        listener.pause()
        clients.pop().close()
        stage.until(lambda: not listener.connections)
        clients.come(listener, 1)
        stage.settle()
        assert listener.accepted == 1
        assert not listener.is_accepting()
        listener.resume()
        stage.until(lambda: listener.accepted == 2)


def test_a_batch_is_taken_per_turn(virtual: Virtual) -> None:
    """However many wait, ACCEPT_BATCH of them in one turn, the rest in the next."""
    sock = scripted()
    sock.script("accept", *[(scripted(), ("192.0.2.9", n)) for n in range(ACCEPT_BATCH + 7)])
    listener = virtual.stage.adopt_listener(Recorder, sock)
    virtual.readable(sock)
    assert listener.accepted == ACCEPT_BATCH
    virtual.readable(sock)
    assert listener.accepted == ACCEPT_BATCH + 7


@pytest.mark.parametrize("is_inherited", [True, False])
def test_every_connection_has_the_listeners_settings(
    virtual: Virtual, monkeypatch: pytest.MonkeyPatch, is_inherited: bool
) -> None:
    """Options, watermarks and idle timeout are set before the protocol is told.

    Where the kernel does not hand options down, they are set on each connection; so it is on this scripted one.
    """
    monkeypatch.setattr("reactor.net.connections.listener.IS_INHERITED", is_inherited)
    client = scripted()
    sock = scripted().script("accept", (client, ("192.0.2.9", 5)))
    protocol = Recorder()
    virtual.stage.adopt_listener(lambda: protocol, sock, idle_timeout=3, nodelay=True)
    virtual.readable(sock)
    settled = sock if is_inherited else client
    assert settled.options[socket.IPPROTO_TCP, socket.TCP_NODELAY] == 1
    assert protocol.transport.get_extra_info("peername") == ("192.0.2.9", 5)
    virtual.wait(3.1)
    assert protocol.is_lost


@pytest.mark.parametrize(("limit", "at_once", "later"), [(2, 3, 4), (3, 3, 5), (4, 4, 5), (None, 5, 5)])
def test_a_change_of_the_limit_takes_effect_at_once(
    stage: Stage, limit: int | None, at_once: int, later: int
) -> None:
    """Full at three, two are waiting: nobody is turned out, and as many are taken in as the new limit allows.

    A lowered limit once limited nothing, since the count was compared with ``==``, and None never let anybody in.
    """
    listener = stage.listen_tcp(Recorder, "127.0.0.1", 0, max_connections=3)
    with Clients() as clients:
        clients.come(listener, 5)
        stage.until(lambda: listener.connections == 3)
        listener.max_connections = limit
        assert listener.max_connections == limit
        stage.settle()
        assert listener.accepted == listener.connections == at_once
        for _ in range(2):  # the places of two who leave are given away, or were too many
            clients.pop(0).close()
        stage.until(lambda: listener.connections == later - 2)
        stage.settle()
        assert listener.accepted == later


def test_nobody_is_taken_in_above_a_lowered_limit(virtual: Virtual) -> None:
    """Also within one batch, when the limit is lowered below the number of those who are in."""
    sock = scripted()
    sock.script("accept", *[(scripted(), ("192.0.2.9", n)) for n in range(9)])

    def factory() -> Recorder:
        if listener.accepted == 4:
            listener.max_connections = 2
        return Recorder()

    listener = virtual.stage.adopt_listener(factory, sock, max_connections=6)
    virtual.readable(sock)
    assert (listener.accepted, listener.is_accepting()) == (5, False)


@pytest.mark.parametrize("wrong", [0, -1, 2.5, "4", float("nan")])
def test_a_limit_that_is_none_is_refused(virtual: Virtual, wrong: Any) -> None:
    """By the setter as by the verb, and the old one stays."""
    sock = scripted()
    with pytest.raises(OptionError, match="max_connections"):
        virtual.stage.adopt_listener(Recorder, sock, max_connections=wrong)
    listener = virtual.stage.adopt_listener(Recorder, sock, max_connections=7)
    with pytest.raises(OptionError, match="max_connections"):
        listener.max_connections = wrong
    assert listener.max_connections == 7


def test_a_connection_that_lingers_keeps_its_place(stage: Stage) -> None:
    """Closed by us while the peer goes on to send and never closes: the descriptor is still there, and counted.

    300 of such clients once held 300 descriptors of a listener whose limit was 4.
    """
    listener = stage.listen_tcp(
        lambda: Recorder(connection_made=lambda me: me.transport.close()), "127.0.0.1", 0, max_connections=4
    )
    with Clients() as clients:
        base = len(dict(open_descriptors()))
        clients.come(listener, 20)
        most = 0
        for _ in range(40):
            for client in clients:
                with suppress(OSError):  # a reset
                    client.send(b"and another thing")
            stage.settle(1)
            most = max(most, len(dict(open_descriptors())) - len(clients) - base)
        assert 1 <= most <= 4
        assert listener.connections == most
        clients.pop(0).close()  # whoever is done at last makes room for the next
        stage.until(lambda: listener.accepted == 5)


# -- what may go wrong -----------------------------------------------------------------------------------------


def test_the_connection_is_closed_when_the_factory_raises(stage: Stage) -> None:
    """That client sees an end, the bug is reported, the next client is served."""
    bugs = [RuntimeError("no protocol today")]

    def factory() -> Recorder:
        if bugs:
            raise bugs.pop()
        return Recorder(data_received=echo)

    listener = stage.listen_tcp(factory, "127.0.0.1", 0)
    with Clients() as clients:
        clients.come(listener, 2)
        stage.until(lambda: listener.accepted == 1)
        assert clients[0].recv(1) == b""
        assert [str(failure) for failure in stage.take_failures()] == ["no protocol today"]
        assert listener.connections == 1


def test_it_may_be_closed_while_it_rests(virtual: Virtual) -> None:
    """Out of descriptors it rests; closed meanwhile it never wakes up."""
    sock = scripted().script("accept", OSError(24, "too many open files"))
    listener = virtual.stage.adopt_listener(Recorder, sock)
    virtual.readable(sock)
    assert not listener.is_accepting()
    listener.close()
    listener.close()
    listener.pause()
    listener.resume()
    virtual.wait(2 * ACCEPT_BACKOFF)
    assert listener.is_closing()
    assert names(sock, "close") == ["close"]
    assert virtual.stage.next_timeout() is None


def test_it_accepts_again_when_it_has_rested(virtual: Virtual) -> None:
    """After ACCEPT_BACKOFF seconds, without anybody's doing."""
    sock = scripted().script("accept", OSError(24, "too many open files"))
    listener = virtual.stage.adopt_listener(Recorder, sock)
    virtual.readable(sock)
    virtual.wait(ACCEPT_BACKOFF + 0.1)
    assert listener.is_accepting()


def test_wrong_arguments_are_refused_at_once(virtual: Virtual) -> None:
    """What could only fail at the first connection fails when the listener is made."""
    for wrong in (
        {"max_connections": 0},
        {"idle_timeout": 0},
        {"idle_timeout": -1.0},
        {"idle_timeout": "5"},
        {"idle_timeout": 10**400},
        {"watermarks": (1, 2, 3)},
    ):
        sock = scripted()
        with pytest.raises(OptionError):
            virtual.stage.adopt_listener(Recorder, sock, **wrong)  # type: ignore[arg-type]
        assert virtual.stage._shared.transports == set()


def test_nothing_is_left_when_the_second_socket_cannot_be_watched(virtual: Virtual) -> None:
    """Undone on the way out: no registration, no open socket, no transport."""
    good, bad = scripted(), scripted()
    bad.close()
    with pytest.raises(ValueError, match="not an open file"):
        Listener(virtual.stage._shared, [good, bad], Recorder, SocketOptions())
    assert names(good, "close") == ["close"]
    assert virtual.stage._shared.transports == set()
    assert good.fileno() not in virtual.poller.get_map()


# -- addresses -------------------------------------------------------------------------------------------------


def test_two_sockets_are_one_listener(stage: Stage) -> None:
    """IPv4 and IPv6 beside each other, on one port, with one count."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    listener = stage.listen_tcp(Recorder, None, 0, dual_stack=False, max_connections=2)
    assert len(listener.addresses) == 2
    assert len({address[1] for address in listener.addresses}) == 1
    with Clients() as clients:
        for host in ("127.0.0.1", "::1", "127.0.0.1"):
            clients.append(socket.create_connection((host, listener.address[1])))
        stage.until(lambda: listener.connections == 2)
        stage.settle()
        assert listener.accepted == 2
        assert "2 connections" in repr(listener)
        assert str(listener.address[1]) in repr(listener)


def test_nothing_is_listened_on_when_it_is_closed(stage: Stage) -> None:
    """Its sockets are closed, its connections go on, and it says that it is closed."""
    protocol = Recorder(data_received=echo)
    listener = stage.listen_tcp(lambda: protocol, "127.0.0.1", 0)
    with Clients() as clients:
        clients.come(listener, 1)
        stage.until(lambda: protocol.transport)
        port = listener.address[1]
        listener.close()
        assert (listener.address, listener.addresses, listener.is_closing()) == (None, [], True)
        assert "closed" in repr(listener)
        assert not listener.is_accepting()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        clients[0].sendall(b"still here")
        stage.until(lambda: protocol.received)
        assert clients[0].recv(100) == b"still here"


def test_the_path_is_removed_when_a_unix_listener_is_closed(stage: Stage, tmp_path: Path) -> None:
    """What it made it takes away."""
    path = tmp_path / "socket"
    listener = stage.listen_unix(Recorder, str(path))
    assert path.is_socket()
    listener.close()
    assert not path.exists()


def test_the_path_stays_when_it_is_somebody_elses_by_now(stage: Stage, tmp_path: Path) -> None:
    """A successor that has bound the same path keeps it."""
    path = tmp_path / "socket"
    listener = stage.listen_unix(Recorder, str(path))
    path.rename(tmp_path / "kept")  # so that its inode cannot be given to the successor
    successor = stage.listen_unix(Recorder, str(path))
    listener.close()
    assert path.is_socket()
    successor.close()
    assert not path.exists()


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="no peer credentials on this system")
def test_a_unix_peer_is_known_by_the_kernels_word(stage: Stage, tmp_path: Path) -> None:
    """Process, user and group of whoever connected."""
    protocol = Recorder()
    listener = stage.listen_unix(lambda: protocol, str(tmp_path / "socket"))
    with Clients() as clients:
        clients.come(listener, 1)
        stage.until(lambda: protocol.transport)
        known = protocol.transport.get_extra_info("peercred")
        assert (known.pid, known.uid, known.gid) == (os.getpid(), os.getuid(), os.getgid())


def test_a_thousand_connections_leave_nothing(stage: Stage) -> None:
    """Opened and closed again, in batches: the leak guard around this test counts the descriptors."""
    listener = stage.listen_tcp(lambda: Recorder(data_received=echo), "127.0.0.1", 0)
    for batch in range(1, 11):
        with Clients() as clients:
            clients.come(listener, 100)
            stage.until(lambda: listener.accepted == 100 * batch)  # noqa: B023
        stage.until(lambda: listener.connections == 0)
    assert stage._shared.transports == {listener}


def test_accepted_connections_have_the_options_of_their_listener(poller_name: str) -> None:
    """Whether the kernel hands them down or they are set one by one: keepalive, its numbers, and no delay."""
    with stage_on(poller_name) as stage:
        protocol = Recorder()
        listener = stage.listen_tcp(lambda: protocol, "127.0.0.1", 0, keepalive=(11, 12, 13))
        with socket.create_connection(listener.address):
            stage.until(lambda: protocol.transport)
            sock = protocol.transport.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            numbers = [getattr(socket, name) for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")]
            assert [sock.getsockopt(socket.IPPROTO_TCP, number) for number in numbers] == [11, 12, 13]
