"""A factory makes one protocol, of the kind that the verb wants, and takes no argument."""

import socket

import reactor


class Echo(reactor.Protocol):
    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Named(reactor.Protocol):
    def __init__(self, name: str) -> None:
        self.name = name


class Framed(reactor.FramedProtocol):
    codec = reactor.LengthPrefixed(4)


class Messages(reactor.MessageProtocol):
    pass


class Datagrams(reactor.DatagramProtocol):
    pass


class Nothing:
    pass


def forgets_to_return() -> None:
    Echo()


def program(loop: reactor.Reactor, sock: socket.socket) -> None:
    loop.listen_tcp(Echo())  # wrong: arg-type, reportArgumentType
    loop.listen_tcp(Framed())  # wrong: arg-type, reportArgumentType
    loop.listen_tcp(Named)  # wrong: arg-type, reportArgumentType
    loop.listen_tcp(Datagrams)  # wrong: arg-type, reportArgumentType
    loop.listen_tcp(Messages)  # wrong: arg-type, reportArgumentType
    loop.listen_tcp(Nothing)  # wrong: arg-type, reportArgumentType
    loop.listen_tcp(forgets_to_return)  # wrong: arg-type, reportArgumentType
    loop.listen_tcp(lambda: Echo)  # wrong: arg-type, reportArgumentType
    loop.listen_tcp()  # wrong: call-arg, reportCallIssue
    loop.listen_unix(Echo(), "/run/echo")  # wrong: call-overload, reportArgumentType
    loop.listen_unix(Messages, "/run/echo")  # wrong: arg-type, reportArgumentType
    loop.listen_unix(Echo, "/run/echo", seqpacket=True)  # wrong: call-overload, reportArgumentType
    loop.adopt_listener(Echo(), sock)  # wrong: arg-type, reportArgumentType
    loop.adopt_listener(Datagrams, sock)  # wrong: arg-type, reportArgumentType
    loop.connect_tcp(Echo(), "127.0.0.1", 80)  # wrong: arg-type, reportArgumentType
    loop.connect_tcp(Datagrams, "127.0.0.1", 80)  # wrong: type-var, reportArgumentType
    loop.connect_unix(Messages, "/run/echo")  # wrong: type-var, reportArgumentType
    loop.connect_unix(Echo, "/run/echo", seqpacket=True)  # wrong: call-overload, reportArgumentType
    loop.adopt_stream(Echo(), sock)  # wrong: arg-type, reportArgumentType
    loop.adopt_stream(Messages, sock)  # wrong: arg-type, reportArgumentType
    loop.adopt_seqpacket(Echo, sock)  # wrong: arg-type, reportArgumentType
    loop.open_datagram(Datagrams())  # wrong: arg-type, reportArgumentType
    loop.open_datagram(Echo)  # wrong: arg-type, reportArgumentType
    loop.adopt_datagram(Echo, sock)  # wrong: arg-type, reportArgumentType
