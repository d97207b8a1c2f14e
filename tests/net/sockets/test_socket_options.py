"""What is told to sockets, and what is asked of them."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from reactor.errors import OptionError
from reactor.limits import KEEPALIVE_COUNT, KEEPALIVE_IDLE, KEEPALIVE_INTERVAL
from reactor.net.sockets.options import SocketOptions, peer_credentials, set_reset_on_close
from reactor.testing import ScriptedSocket


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Closes what a test enters into it."""
    with ExitStack() as stack:
        yield stack


def test_a_connection_costs_one_call_with_the_default_options() -> None:
    """TCP_NODELAY and nothing else; a Unix socket has nothing to set."""
    options = SocketOptions()
    tcp, unix = ScriptedSocket(), ScriptedSocket(socket.AF_UNIX)
    options.apply_stream(tcp)  # type: ignore[arg-type]
    options.apply_stream(unix)  # type: ignore[arg-type]
    assert [call for call in tcp.calls if call[0] == "setsockopt"] == [
        ("setsockopt", socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    ]
    assert not unix.calls


@pytest.mark.parametrize(
    ("keepalive", "numbers"),
    [(True, (KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_COUNT)), ((7, 3, 2), (7, 3, 2))],
)
@pytest.mark.skipif(not hasattr(socket, "TCP_KEEPIDLE"), reason="no TCP_KEEPIDLE")
def test_keepalive_sets_all_three_numbers(stack: ExitStack, keepalive: Any, numbers: tuple[int, ...]) -> None:
    """True means the numbers of ``reactor.limits``."""
    sock = stack.enter_context(socket.socket())
    SocketOptions(keepalive=keepalive, user_timeout=1.5).apply_stream(sock)
    names = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
    assert tuple(sock.getsockopt(socket.IPPROTO_TCP, name) for name in names) == numbers
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 1500


def test_buffer_sizes_reach_the_kernel(stack: ExitStack) -> None:
    """Linux doubles them; smaller than asked for they are not."""
    sock = stack.enter_context(socket.socket())
    SocketOptions(receive_buffer=20_000, send_buffer=30_000).apply_listener(sock)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= 20_000
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) >= 30_000


def test_only_a_listener_reuses_its_address_unless_told_otherwise(stack: ExitStack) -> None:
    """For datagrams it would let another program take the port."""
    for options, expected in ((SocketOptions(), [1, 0]), (SocketOptions(reuse_address=True), [1, 1])):
        tcp = stack.enter_context(socket.socket())
        udp = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        options.apply_listener(tcp)
        options.apply_datagram(udp)
        assert [sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) for sock in (tcp, udp)] == expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"keepalive": (0, 1, 1)},
        {"keepalive": (1, 1)},
        {"keepalive": (1, 1, 128)},
        {"keepalive": 5},
        {"keepalive": "yes"},
        {"receive_buffer": 0},
        {"send_buffer": "64k"},
        {"user_timeout": 0},
        {"user_timeout": float("nan")},
    ],
)
def test_a_value_out_of_range_is_refused_at_once(wrong: dict[str, Any]) -> None:
    """The error names the argument."""
    with pytest.raises(OptionError, match=next(iter(wrong))):
        SocketOptions(**wrong)


def test_sharing_a_port_is_refused_where_the_system_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller asked for it: to go on without it would be a surprise later."""
    monkeypatch.delattr(socket, "SO_REUSEPORT", raising=False)
    with pytest.raises(OptionError, match="reuse_port"):
        SocketOptions(reuse_port=True)


def test_the_settings_of_a_datagram_socket_reach_the_kernel(stack: ExitStack) -> None:
    """Broadcasting is a matter of IPv4; of IPv6 it is left out."""
    options = SocketOptions(broadcast=True)
    udp4 = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
    udp6 = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
    options.apply_datagram(udp4)
    options.apply_datagram(udp6)
    assert udp4.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST)
    assert not udp6.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST)
    assert "broadcast=True" in repr(options)


def test_nagle_stays_on_when_nodelay_is_off() -> None:
    """Then a connection costs no call at all."""
    sock: Any = ScriptedSocket()
    SocketOptions(nodelay=False).apply_stream(sock)
    assert sock.calls == []


def test_resetting_a_dead_socket_is_no_error_but_resetting_what_is_none_is() -> None:
    """The connection may have been reset by the peer meanwhile."""
    sock: Any = ScriptedSocket()
    sock.script("setsockopt", OSError(errno.EINVAL, "dead"), OSError(errno.ENOTSOCK, "no socket"))
    set_reset_on_close(sock)
    with pytest.raises(OSError, match="no socket"):
        set_reset_on_close(sock)


def test_a_setting_that_the_kernel_refuses_is_an_option_error_unless_the_peer_is_gone() -> None:
    """On some systems a connection that was reset already refuses everything: its next read will tell."""
    sock = ScriptedSocket()
    sock.script("setsockopt", OSError(errno.ENOPROTOOPT, "unknown"), OSError(errno.EINVAL, "reset"))
    options: Any = SocketOptions()
    with pytest.raises(OptionError, match="nodelay"):
        options.apply_stream(sock)
    options.apply_stream(sock)


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="no SO_PEERCRED")
def test_the_kernel_tells_who_is_at_the_other_end_of_a_unix_socket(stack: ExitStack) -> None:
    """Process, user and group, here our own; of other sockets nothing is told."""
    left, right = (stack.enter_context(sock) for sock in socket.socketpair())
    for sock in (left, right):
        peer = peer_credentials(sock)
        assert (peer.pid, peer.uid, peer.gid) == (os.getpid(), os.getuid(), os.getgid())
        assert f"pid={os.getpid()}" in repr(peer)
    with pytest.raises(OptionError):
        peer_credentials(stack.enter_context(socket.socket()))


def test_the_peer_sees_a_reset_when_that_was_demanded(stack: ExitStack) -> None:
    """SO_LINGER with a timeout of zero."""
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    client = stack.enter_context(socket.create_connection(listener.getsockname()))
    server, _ = listener.accept()
    set_reset_on_close(server)
    server.close()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
