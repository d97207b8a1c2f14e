"""Callbacks with and without arguments, whatever can be called."""

import os
import signal
import socket
from functools import partial

import reactor


class Counter:
    def __init__(self) -> None:
        self.count = 0

    def add(self, number: int, *more: int, factor: int = 1) -> int:
        self.count += (number + sum(more)) * factor
        return self.count

    def __call__(self) -> None:
        self.count += 1


def greet(name: str, greeting: str = "hello") -> None:
    print(greeting, name)


def main(loop: reactor.Reactor, sock: socket.socket) -> None:
    counter = Counter()
    handle: reactor.Handle = loop.call_soon(greet, "you")
    loop.call_soon(greet, "you", "good morning")
    loop.call_soon(counter)
    loop.call_soon(counter.add, 1, 2, 3)
    loop.call_soon(partial(counter.add, factor=2), 4)
    loop.call_soon(lambda: greet("you"))
    loop.call_soon(print, "one", 2, b"three")
    loop.call_soon(os.close, 3)
    loop.call_soon(handle.cancel)
    timer: reactor.Timer = loop.call_later(1, counter.add, 1)
    loop.call_at(loop.time() + 0.5, greet, "you")
    loop.call_every(2.5, counter)
    timer.reschedule(loop.time() + 1)
    loop.call_soon_threadsafe(loop.stop)
    loop.call_soon_threadsafe(counter.add, 5)
    loop.call_at_turn_end(counter)
    loop.add_reader(sock, sock.recv, 100)
    loop.add_reader(0, counter)
    loop.add_writer(sock.fileno(), sock.send, b"hello")
    loop.add_signal_handler(signal.SIGTERM, loop.stop)
    loop.add_acceptor(sock, lambda client, address: client.close())
    loop.set_exception_handler(lambda exc, source: print(exc, source))
