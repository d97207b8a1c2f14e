"""A server that misbehaves exactly once, as a process of its own: plain blocking sockets, a thread for each client.

    python faulty.py FAULT MODE TRANSPORT [ADDRESS]

FAULT is the name of a method of ``Fault``; it happens to the ``AT``-th message of all, whoever sends that one, so a
test knows what must be found.  ``reorder`` exchanges two replies; ``upper`` is no fault but another service.  MODE
is raw, line or framed, TRANSPORT is tcp, unix or udp.  The first line of output is where it listens.  It serves
until it is killed.
"""

from __future__ import annotations

import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator

#: Which message, counted from 1 over all clients.
AT = 10

#: Seconds for which a frozen server is silent.
FROZEN = 0.5

def flipped(message: bytes) -> bytes:
    """Return *message* with one bit of its last byte changed."""
    return message[:-1] + bytes([message[-1] ^ 1])


class Fault:
    """What happens to messages: ``replies(client, message)`` returns what is sent for it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.count = 0
        self.held: dict[object, bytes] = {}
        self.lock = threading.Lock()

    def replies(self, client: object, message: bytes) -> list[bytes]:
        """Return the replies to a message of *client*."""
        if self.name == "upper":
            return [message.upper()]
        with self.lock:
            self.count += 1
            is_it = self.count == AT
            if is_it and self.name == "reorder":
                self.held[client] = message
                return []
            if client in self.held:
                return [message, self.held.pop(client)]
        return getattr(self, self.name)(message) if is_it else [message]

    def good(self, message: bytes) -> list[bytes]:
        """Nothing happens."""
        return [message]

    def hang_up(self, message: bytes) -> list[bytes]:
        """The connection ends."""
        raise ConnectionAbortedError

    def corrupt(self, message: bytes) -> list[bytes]:
        """One bit is changed."""
        return [flipped(message)]

    def twice(self, message: bytes) -> list[bytes]:
        """The reply comes twice."""
        return [message, message]

    def swallow(self, message: bytes) -> list[bytes]:
        """No reply comes."""
        return []

    def frozen(self, message: bytes) -> list[bytes]:
        """Nobody is answered for a while."""
        time.sleep(FROZEN)
        return [message]


def messages(stream: socket.socket, mode: str) -> Iterator[bytes]:
    """Yield the messages that a client sends."""
    reader = stream.makefile("rb", buffering=65536)
    with reader:
        if mode == "line":
            for line in reader:
                yield line.rstrip(b"\n")
        elif mode == "framed":
            while header := reader.read(4):
                yield reader.read(*struct.unpack("!I", header))
        else:
            while chunk := reader.read1():
                yield chunk


def wire(mode: str, message: bytes) -> bytes:
    """Return *message* as it is sent."""
    ends = {"line": lambda: message + b"\n", "framed": lambda: struct.pack("!I", len(message)) + message}
    return ends.get(mode, lambda: message)()


def serve(stream: socket.socket, mode: str, fault: Fault) -> None:
    """Answer one client until it or the fault ends the connection."""
    with stream:
        try:
            for message in messages(stream, mode):
                stream.sendall(b"".join(wire(mode, reply) for reply in fault.replies(stream, message)))
        except OSError:
            pass


def serve_streams(listener: socket.socket, mode: str, fault: Fault) -> None:
    """Accept forever."""
    while True:
        stream, _ = listener.accept()
        threading.Thread(target=serve, args=(stream, mode, fault), daemon=True).start()


def serve_datagrams(sock: socket.socket, mode: str, fault: Fault) -> None:
    """Answer datagrams forever."""
    while True:
        data, sender = sock.recvfrom(65536)
        message = data[4:] if mode == "framed" else data.rstrip(b"\n") if mode == "line" else data
        for reply in fault.replies(sender, message):
            sock.sendto(wire(mode, reply), sender)


def main(fault: str, mode: str, transport: str, address: str = "") -> None:
    """Listen, say where, serve."""
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    family = socket.AF_UNIX if address else socket.AF_INET
    with socket.socket(family, kind) as sock:
        sock.bind(address or ("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            sock.listen(128)
        print(f"unix:{address}" if address else f"127.0.0.1:{sock.getsockname()[1]}", flush=True)
        (serve_streams if kind == socket.SOCK_STREAM else serve_datagrams)(sock, mode, Fault(fault))


if __name__ == "__main__":
    main(*sys.argv[1:])
