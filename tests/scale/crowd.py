"""Many clients in one process, with plain blocking sockets: ``python -m tests.scale.crowd PORT COUNT``.

They share nothing with the server under test but the protocol: a length of four bytes, then the message, and the
same comes back.  For each line on its standard input the crowd does one thing and prints the line when it is done:
"open" connects everybody, "talk" has everybody send a message of his own and only then has everybody read, so that
all are waiting at once, "close" hangs up.
"""

from __future__ import annotations

import resource
import socket
import sys

#: Seconds for one call; the server may have thousands of others to serve first.
PATIENCE = 60.0


def message(number: int, turn: int) -> bytes:
    """Return what client *number* says in round *turn*: of varying length, and nobody else's."""
    text = b"client %d, round %d;" % (number, turn) * (1 + (number + turn) % 5)
    return len(text).to_bytes(4, "big") + text


class Crowd:
    """The clients."""

    def __init__(self, port: int, count: int) -> None:
        self.port = port
        self.count = count
        self.clients: list[socket.socket] = []
        self.turn = 0

    def open(self) -> None:
        """Connect everybody."""
        for _ in range(self.count):
            self.clients.append(socket.create_connection(("127.0.0.1", self.port), PATIENCE))

    def talk(self) -> None:
        """Everybody sends, then everybody reads and compares."""
        self.turn += 1
        for number, client in enumerate(self.clients):
            client.sendall(message(number, self.turn))
        for number, client in enumerate(self.clients):
            expected = message(number, self.turn)
            answer = client.recv(len(expected), socket.MSG_WAITALL)
            if answer != expected:
                raise SystemExit(f"client {number} got {answer!r} instead of {expected!r}")

    def close(self) -> None:
        """Everybody hangs up."""
        while self.clients:
            self.clients.pop().close()


def main(port: str, count: str) -> None:
    """Obey."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    crowd = Crowd(int(port), int(count))
    for line in sys.stdin:
        getattr(crowd, line.strip())()
        print(line.strip(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
