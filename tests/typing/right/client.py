"""Clients that wait with ``run_until``: for a connector, for a future, for something of their own."""

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor

import reactor
from reactor.service import Client


class Ask(reactor.FramedProtocol):
    codec = reactor.LengthPrefixed(4)

    def __init__(self, question: bytes) -> None:
        self.question = question
        self.answer: bytes | None = None

    def connection_made(self, transport: reactor.Stream) -> None:
        super().connection_made(transport)
        self.send_frame(self.question)

    def connection_failed(self, exc: Exception) -> None:
        print(exc)

    def frame_received(self, frame: bytes) -> None:
        self.answer = frame


def connecting(loop: reactor.Reactor) -> str:
    connector = loop.connect_tcp(lambda: Ask(b"who?"), "localhost", 80, timeout=1, local_address=("", 0))
    loop.run_until(connector.is_done)
    if connector.stream is None:
        return connector.state
    connector.stream.write(b"")
    answer = loop.run_until(lambda: connector.protocol.answer, timeout=5.0)
    return answer.decode()  # it was true, so it is not None


def waiting(loop: reactor.Reactor, future: Future[int], task: asyncio.Future[str]) -> int:
    with ThreadPoolExecutor() as threads:
        squares: int = loop.run_until(threads.submit(pow, 3, 2))
    number = loop.run_until(future)
    return number + squares + len(loop.run_until(task, 1.5))


def looking_up(loop: reactor.Reactor) -> None:
    for family, kind, protocol, address in loop.run_until(loop.resolver.lookup("localhost", 80)):
        print(family + kind + protocol, address)
    name: str = loop.run_until(loop.resolver.getfqdn("192.0.2.7"))
    print(name.upper(), loop.run_until(loop.resolver.getservbyname("http")) + 1)


def calling(loop: reactor.Reactor) -> list[bytes]:
    client = Client(loop, [b"one", b"two"])
    client.connect(("127.0.0.1", 80), nodelay=False)
    client.connect("/run/echo", timeout=None)
    replies: list[bytes] = loop.run_until(client)
    return replies
