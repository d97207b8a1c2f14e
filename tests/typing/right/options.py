"""Options of every kind, written out and passed on."""

import socket
from typing import TYPE_CHECKING, Unpack

import reactor
from reactor.service import Server

if TYPE_CHECKING:
    from reactor.net.reactor import ListenTcpKeywords
    from reactor.net.sockets.options import SocketKeywords


class Echo(reactor.Protocol):
    pass


class Messages(reactor.MessageProtocol):
    pass


def everywhere(loop: reactor.Reactor, **options: Unpack["ListenTcpKeywords"]) -> list[reactor.Listener]:
    return [loop.listen_tcp(Echo, host, 80, **options) for host in ("127.0.0.1", "::1")]


def connected(loop: reactor.Reactor, **options: Unpack["SocketKeywords"]) -> None:
    loop.connect_tcp(Echo, "::1", 80, timeout=None, **options)
    loop.connect_unix(Echo, "/run/echo", **options)


def main(loop: reactor.Reactor, sock: socket.socket, server: Server) -> None:
    everywhere(loop, backlog=5, dual_stack=False, nodelay=False, idle_timeout=3, max_connections=None)
    connected(loop, keepalive=(60, 10, 3), user_timeout=30)
    loop.listen_tcp(
        Echo,
        nodelay=True,
        keepalive=True,
        user_timeout=None,
        reuse_address=None,
        reuse_port=True,
        receive_buffer=None,
        send_buffer=65536,
        broadcast=False,
        backlog=100,
        dual_stack=None,
        max_connections=10,
        idle_timeout=None,
        watermarks=reactor.Watermarks(1000, 100),
    )
    loop.listen_unix(Echo, b"/run/echo", mode=0o600, replace_stale=False, backlog=5, max_connections=3)
    loop.listen_unix(Messages, "/run/messages", seqpacket=True, mode=None, idle_timeout=3.5, send_buffer=65536)
    loop.adopt_listener(Echo, 3, max_connections=5, idle_timeout=1.0)
    loop.adopt_listener(Messages, sock)
    loop.connect_tcp(Echo, "::1", 80, attempt_delay=0.1, local_address=("::1", 0, 0, 0), nodelay=False)
    loop.connect_unix(Messages, "@messages", seqpacket=True, timeout=1)
    loop.adopt_stream(Echo, sock, watermarks=reactor.Watermarks(1000, 100), keepalive=True)
    loop.adopt_seqpacket(Messages, sock.detach(), receive_buffer=4096)
    server.listen_tcp("", 80, nodelay=False, max_connections=3)
    server.listen_unix("/run/echo", mode=0o660)
    server.open_datagram(("", 80), receive_buffer=1 << 20)
