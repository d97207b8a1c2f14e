"""An echo server, in the forms that a factory may have."""

from functools import partial

import reactor


class Echo(reactor.Protocol):
    def __init__(self, greeting: bytes = b"") -> None:
        self.greeting = greeting

    def connection_made(self, transport: reactor.Stream) -> None:
        super().connection_made(transport)
        transport.write(self.greeting)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def eof_received(self) -> bool:
        return True

    def connection_lost(self, exc: BaseException | None) -> None:
        print(self.transport.get_extra_info("peername"), exc)


def make_echo() -> Echo:
    return Echo(b"hello")


def serve(loop: reactor.Reactor) -> reactor.Listener[tuple[str, int]]:
    return loop.listen_tcp(Echo)


def main() -> None:
    with reactor.Reactor() as loop:
        listener = loop.listen_tcp(Echo, "127.0.0.1", 8888)
        loop.listen_tcp(make_echo)
        loop.listen_tcp(lambda: Echo(b"hello"), None, 0)
        loop.listen_tcp(partial(Echo, b"hello"))
        unix = loop.listen_unix(Echo, "/run/echo", seqpacket=False)
        loop.connect_tcp(Echo, *listener.address)
        host, port = listener.address
        where: str = f"{host}:{port + 1}"
        print(where, reactor.format_address(unix.address), listener.addresses, listener)
        listener.max_connections = 10
        loop.run()
