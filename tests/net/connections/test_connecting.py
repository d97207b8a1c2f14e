"""Connecting on the real network: to somebody, to nobody, to a full queue, to oneself."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from reactor.errors import ConnectCancelled, ConnectFailed, ResolutionFailed
from reactor.testing import ScriptedOps
from tests.net.caller import Caller
from tests.net.stage import stage_on


@pytest.mark.parametrize("family", ["tcp4", "tcp6", "unix", "abstract", "name"])
def test_a_connection_is_made_when_somebody_listens(poller_name: str, tmp_path: Path, family: str) -> None:
    """The protocol hears connection_made from the loop, with the stream; the state says so."""
    with stage_on(poller_name) as stage:
        accepted: list[Any] = []
        caller = Caller()
        if family in ("unix", "abstract"):
            path = str(tmp_path / "s") if family == "unix" else f"@reactor-connect-{os.getpid()}"
            stage.listen_unix(lambda: Caller(accepted.append), path)
            connector = stage.connect_unix(lambda: caller, path)
        else:
            host = {"tcp4": "127.0.0.1", "tcp6": "::1", "name": "localhost"}[family]
            listener = stage.listen_tcp(lambda: Caller(accepted.append), host)
            connector = stage.connect_tcp(lambda: caller, host, listener.address[1])
        assert not caller.words
        stage.until(lambda: accepted and caller.words)
        assert connector.state == "connected"
        assert caller.words == [connector.stream]
        assert connector.is_done()
        assert stage.counters.connected == 1


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_the_protocol_hears_of_the_failure_when_nobody_listens(
    poller_name: str, tmp_path: Path, kind: str
) -> None:
    """One word: ConnectFailed, with the address and the system's error."""
    with stage_on(poller_name) as stage, socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        caller = Caller()
        if kind == "unix":
            connector = stage.connect_unix(lambda: caller, str(tmp_path / "none"))
        else:
            connector = stage.connect_tcp(lambda: caller, *reserved.getsockname())
        assert not caller.words
        stage.until(lambda: caller.words)
        stage.settle()
        [failure] = caller.words
        assert isinstance(failure, ConnectFailed)
        assert isinstance(failure, ConnectionError)
        [(_, cause)] = failure.attempts
        assert cause is failure.__cause__
        assert cause.errno == (errno.ENOENT if kind == "unix" else errno.ECONNREFUSED)
        assert connector.state == "failed"
        assert connector.stream is None
        assert stage.counters.connect_failures == 1
        assert "ECONNREFUSED" in str(failure) or "ENOENT" in str(failure)


def test_the_local_address_is_bound_first(poller_name: str) -> None:
    """The listener sees where the connection comes from, port included."""
    with stage_on(poller_name) as stage, socket.socket() as reserved:
        peers: list[Any] = []
        server = Caller(lambda transport: peers.append(transport.get_extra_info("peername")))
        listener = stage.listen_tcp(lambda: server, "127.0.0.1")
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.2", 0))
        local = reserved.getsockname()
        stage.connect_tcp(Caller, *listener.address, local_address=local)
        stage.until(lambda: peers)
        assert peers == [local]


def test_a_unix_connection_is_made_when_the_full_queue_has_room_again(poller_name: str, tmp_path: Path) -> None:
    """EAGAIN of a Unix socket has no readiness that would end it: it is tried again, and does not spin."""
    path = str(tmp_path / "s")
    with stage_on(poller_name) as stage, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(0)
        callers = [Caller() for _ in range(3)]
        for caller in callers:
            stage.connect_unix(lambda caller=caller: caller, path)
        stage.until(lambda: callers[0].words)
        stage.settle()
        assert not all(caller.words for caller in callers)
        turn = stage.registry.turn
        stage.call_later(0.03, lambda: listener.accept()[0].close())
        stage.until(lambda: sum(bool(caller.words) for caller in callers) == 2)
        assert stage.registry.turn - turn < 20
        listener.accept()[0].close()
        stage.until(lambda: all(caller.words for caller in callers))


def test_a_connection_to_oneself_is_a_refusal(poller_name: str) -> None:
    """Bound to the very port that it connects to, a TCP socket reaches itself; nobody wants that."""
    with stage_on(poller_name) as stage, socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        address = reserved.getsockname()
        reserved.close()
        caller = Caller()
        stage.connect_tcp(lambda: caller, *address, local_address=address)
        stage.until(lambda: caller.words)
        [failure] = caller.words
        assert failure.__cause__.errno == errno.ECONNREFUSED
        assert "itself" in str(failure.__cause__)


def test_what_is_still_connecting_is_cancelled_when_the_reactor_is_closed(poller_name: str) -> None:
    """Everybody who waits for a word gets one."""
    with stage_on(poller_name) as stage, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        caller = Caller()
        connector = stage.connect_tcp(lambda: caller, *listener.getsockname())
        stage.close()
        assert [type(word) for word in caller.words] == [ConnectCancelled]
        assert connector.state == "cancelled"


def test_the_protocol_hears_of_it_when_the_name_has_no_address() -> None:
    """ResolutionFailed goes through as it is."""
    with stage_on(ops=ScriptedOps().script("getaddrinfo", socket.gaierror(socket.EAI_NONAME, "unknown"))) as stage:
        caller = Caller()
        connector = stage.connect_tcp(lambda: caller, "no.such.name", 80)
        stage.until(lambda: caller.words)
        [failure] = caller.words
        assert isinstance(failure, ResolutionFailed)
        assert connector.state == "failed"
