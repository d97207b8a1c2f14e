"""Datagrams, whose addresses look as the program knows that they do."""

import asyncio
from typing import Any

import reactor


class Echo(reactor.DatagramProtocol):
    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        host, port = address
        print(host, port + 1)
        self.transport.sendto(data, address)

    def error_received(self, exc: OSError) -> None:
        self.transport.abort()


class Local(reactor.DatagramProtocol):
    def connection_made(self, transport: reactor.DatagramEndpoint) -> None:
        super().connection_made(transport)
        transport.sendto(b"hello", "/run/log")

    def datagram_received(self, data: bytes, address: str | bytes | None) -> None:
        if address:
            self.transport.sendto(data, address)


class Anybody(reactor.DatagramProtocol):
    def datagram_received(self, data: bytes, address: Any) -> None:
        self.transport.sendto(data, address)
        self.transport.sendto(data)


class OfAsyncio(asyncio.DatagramProtocol):
    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        print(data, addr)


def main(loop: reactor.Reactor) -> None:
    endpoint = loop.open_datagram(Echo, ("", 9), broadcast=True)
    endpoint.sendto(b"", ("::1", 9, 0, 0))
    loop.open_datagram(Local, remote="/run/log")
    loop.open_datagram(Anybody)
    loop.open_datagram(OfAsyncio, ("127.0.0.1", 0), watermarks=reactor.Watermarks(high=1000, low=10))
    loop.adopt_datagram(lambda: Echo(), 3)
