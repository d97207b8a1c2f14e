"""Protocols without a base class of ours: of asyncio, and of none."""

import asyncio

import reactor


class OfAsyncio(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        print(transport.get_extra_info("peername"))

    def data_received(self, data: bytes) -> None:
        print(data)


class Buffered(asyncio.BufferedProtocol):
    def __init__(self) -> None:
        self.buffer = bytearray(1000)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        print(self.buffer[:nbytes])


class OfNobody:
    def connection_made(self, transport: reactor.Stream) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        print(exc)


class Lender:
    def connection_made(self, transport: object) -> None:
        self.view = memoryview(bytearray(1000))

    def get_buffer(self, size_hint: int) -> memoryview:
        return self.view

    def buffer_updated(self, size: int) -> None:
        print(bytes(self.view[:size]))

    def connection_lost(self, exc: Exception | None) -> None:
        print(exc)


def main(loop: reactor.Reactor) -> None:
    loop.listen_tcp(OfAsyncio)
    loop.listen_tcp(Buffered)
    loop.listen_tcp(OfNobody)
    loop.listen_tcp(Lender)
    print(loop.connect_tcp(OfNobody, "127.0.0.1", 80).protocol.transport)
