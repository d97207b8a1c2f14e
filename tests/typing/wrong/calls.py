"""What is to be called is given with its arguments, as many as it takes and of their types."""

import signal
import socket

import reactor


def greet(name: str) -> None:
    print("hello", name)


def add(one: int, two: int) -> int:
    return one + two


def program(loop: reactor.Reactor, sock: socket.socket) -> None:
    loop.call_soon(greet)  # wrong: arg-type, reportArgumentType
    loop.call_soon(greet, 1)  # wrong: arg-type, reportArgumentType
    loop.call_soon(greet, "a", "b")  # wrong: arg-type, reportArgumentType
    loop.call_soon(greet("a"))  # wrong: func-returns-value, reportArgumentType
    loop.call_soon(add, 1, "2")  # wrong: arg-type, reportArgumentType
    loop.call_soon(sock.send, "text")  # wrong: arg-type, reportArgumentType
    loop.call_later(greet, 1.0)  # wrong: arg-type, reportArgumentType
    loop.call_later(1.0, greet)  # wrong: arg-type, reportArgumentType
    loop.call_later("1 s", greet, "a")  # wrong: arg-type, reportArgumentType
    loop.call_at(loop.time(), add, 1)  # wrong: arg-type, reportArgumentType
    loop.call_at(loop.time, greet, "a")  # wrong: arg-type, reportArgumentType
    loop.call_every(1.0, greet, 2)  # wrong: arg-type, reportArgumentType
    loop.call_soon_threadsafe(greet, 3)  # wrong: arg-type, reportArgumentType
    loop.call_soon_threadsafe(loop.stop, 3)  # wrong: arg-type, reportArgumentType
    loop.call_at_turn_end(greet)  # wrong: arg-type, reportArgumentType
    loop.add_reader(sock, greet)  # wrong: arg-type, reportArgumentType
    loop.add_reader(sock, greet, 1)  # wrong: arg-type, reportArgumentType
    loop.add_reader("0", greet, "a")  # wrong: arg-type, reportArgumentType
    loop.add_writer(sock, greet, b"a")  # wrong: arg-type, reportArgumentType
    loop.add_writer(None, greet, "a")  # wrong: arg-type, reportArgumentType
    loop.add_signal_handler(signal.SIGTERM, greet)  # wrong: arg-type, reportArgumentType
    loop.add_signal_handler("SIGTERM", loop.stop)  # wrong: arg-type, reportArgumentType
    loop.add_acceptor(sock, greet)  # wrong: arg-type, reportArgumentType
    loop.set_exception_handler(greet)  # wrong: arg-type, reportArgumentType
    loop.call_soon(greet, "a").reschedule(1.0)  # wrong: attr-defined, reportAttributeAccessIssue
    loop.call_later(1.0, greet, "a").reschedule("later")  # wrong: arg-type, reportArgumentType
