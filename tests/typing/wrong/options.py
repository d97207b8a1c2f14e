"""Each keyword has a name and a type, also those that are passed on to the socket."""

import socket

import reactor
from reactor.service import Server


class Echo(reactor.Protocol):
    pass


class Datagrams(reactor.DatagramProtocol):
    pass


def program(loop: reactor.Reactor, sock: socket.socket, server: Server) -> None:
    loop.listen_tcp(Echo, 8080)  # wrong: arg-type, reportArgumentType
    loop.listen_tcp(Echo, "", "8080")  # wrong: arg-type, reportArgumentType
    loop.listen_tcp(Echo, no_delay=True)  # wrong: call-arg, reportCallIssue
    loop.listen_tcp(Echo, nodelay="yes")  # wrong: arg-type, reportArgumentType
    loop.listen_tcp(Echo, keepalive=(60, 10))  # wrong: arg-type, reportArgumentType
    loop.listen_tcp(Echo, user_timeout="30")  # wrong: arg-type, reportArgumentType
    loop.listen_tcp(Echo, reuse_address="no")  # wrong: arg-type, reportArgumentType
    loop.listen_tcp(Echo, reuse_port=None)  # wrong: arg-type, reportArgumentType
    loop.listen_tcp(Echo, receive_buffer=1.5)  # wrong: arg-type, reportArgumentType
    loop.listen_tcp(Echo, send_buffer="64k")  # wrong: arg-type, reportArgumentType
    loop.listen_tcp(Echo, broadcast=socket)  # wrong: arg-type, reportArgumentType
    loop.listen_tcp(Echo, watermarks=65536)  # wrong: arg-type, reportArgumentType
    loop.listen_tcp(Echo, max_connections="many")  # wrong: arg-type, reportArgumentType
    loop.listen_tcp(Echo, idle_timeout="30")  # wrong: arg-type, reportArgumentType
    loop.listen_tcp(Echo, backlog=None)  # wrong: arg-type, reportArgumentType
    loop.listen_tcp(Echo, mode=0o600)  # wrong: call-arg, reportCallIssue
    loop.listen_unix(Echo, 8080)  # wrong: call-overload, reportArgumentType
    loop.listen_unix(Echo, "/run/echo", mode="600")  # wrong: call-overload, reportArgumentType
    loop.listen_unix(Echo, "/run/echo", dual_stack=True)  # wrong: call-overload, reportCallIssue
    loop.listen_unix(Echo, "/run/echo", send_buffer="64k")  # wrong: call-overload, reportArgumentType
    loop.adopt_listener(Echo, sock, backlog=5)  # wrong: call-arg, reportCallIssue
    loop.adopt_listener(Echo, "/run/echo")  # wrong: arg-type, reportArgumentType
    loop.connect_tcp(Echo, "127.0.0.1")  # wrong: call-arg, reportCallIssue
    loop.connect_tcp(Echo, ("127.0.0.1", 80))  # wrong: call-arg, reportCallIssue
    loop.connect_tcp(Echo, "127.0.0.1", 80, timeout="5")  # wrong: arg-type, reportArgumentType
    loop.connect_tcp(Echo, "127.0.0.1", 80, attempt_delay=None)  # wrong: arg-type, reportArgumentType
    loop.connect_tcp(Echo, "127.0.0.1", 80, local_address="127.0.0.1")  # wrong: arg-type, reportArgumentType
    loop.connect_tcp(Echo, "127.0.0.1", 80, keep_alive=True)  # wrong: call-arg, reportCallIssue
    loop.connect_unix(Echo, "/run/echo", timeout="5")  # wrong: call-overload, reportArgumentType
    loop.connect_unix(Echo, "/run/echo", attempt_delay=1.0)  # wrong: call-overload, reportCallIssue
    loop.adopt_stream(Echo, sock, idle_timeout=5.0)  # wrong: call-arg, reportCallIssue
    loop.adopt_stream(Echo, sock, nodelay=1.5)  # wrong: arg-type, reportArgumentType
    loop.open_datagram(Datagrams, 9)  # wrong: arg-type, reportArgumentType
    loop.open_datagram(Datagrams, remote=("127.0.0.1", "9"))  # wrong: arg-type, reportArgumentType
    loop.open_datagram(Datagrams, broadcast="yes")  # wrong: arg-type, reportArgumentType
    loop.adopt_datagram(Datagrams, sock, broadcast=True)  # wrong: call-arg, reportCallIssue
    server.listen_tcp(no_delay=True)  # wrong: call-arg, reportCallIssue
    server.listen_tcp(max_connections="many")  # wrong: arg-type, reportArgumentType
    reactor.Watermarks("64k")  # wrong: arg-type, reportArgumentType
    reactor.Reactor(1)  # wrong: arg-type, reportArgumentType
