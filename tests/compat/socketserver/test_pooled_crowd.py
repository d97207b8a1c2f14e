"""Many clients of every temper at once on few threads: each gets its own answers, and nothing stays behind.

What they do is drawn from seeded generators; in which order the threads do it is not, and must not matter.
"""

from __future__ import annotations

import random
import socket
import struct
import sys
import threading
from typing import Any

import pytest

from reactor.compat.pooled.mixin import PoolCounts
from tests.compat.socketserver.serving import PATIENCE, connected, serving, until
from tests.compat.socketserver.test_pooled import pooled
from tests.compat.socketserver.test_pooled_handler import CollectedShout, Shout

pytestmark = pytest.mark.slow

CLIENTS = 30
SESSIONS = 12


class Client(threading.Thread):
    """Comes a few times, sends lines in pieces of any size, compares the answers, and leaves in one of four
    ways."""

    def __init__(self, address: Any, seed: int) -> None:
        super().__init__()
        self.address = address
        self.chance = random.Random(seed)
        self.error: BaseException | None = None

    def run(self) -> None:
        """Come and go; what goes wrong is kept."""
        try:
            for _ in range(SESSIONS):
                with connected(self.address) as sock, sock.makefile("rb") as answers:
                    for _ in range(self.chance.randrange(5)):
                        self.talk(sock, answers)
                    self.leave(sock, answers)
        except BaseException as exc:
            self.error = exc

    def talk(self, sock: socket.socket, answers: Any) -> None:
        """Send some lines, as they come or dribbled, and read the answers."""
        lines = [b"abc" * self.chance.choice([0, 1, 30, 1500]) + b"\n" for _ in range(self.chance.randrange(1, 6))]
        data = memoryview(b"".join(lines))
        piece = self.chance.choice([7, 500, 100_000])
        for start in range(0, len(data), piece):
            sock.sendall(data[start : start + piece])
        for line in lines:
            assert answers.readline() == line.upper()

    def leave(self, sock: socket.socket, answers: Any) -> None:
        """Hang up, reset, leave half a line behind, or wait for the server's end."""
        how = self.chance.randrange(4)
        if how == 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif how == 1:
            sock.sendall(b"half a li")
        elif how == 2:
            sock.shutdown(socket.SHUT_WR)
            assert answers.read() == b""


def only_the_peers(self: Any, request: Any, client_address: Any) -> None:
    """Take note of what is no client's doing."""
    if not isinstance(sys.exc_info()[1], ConnectionError):
        self.errors.append(sys.exc_info()[1])


@pytest.mark.parametrize("handler", [Shout, CollectedShout])
def test_clients_of_every_temper_are_answered(ours: Any, handler: Any) -> None:
    """Thirty of them, with four threads, some three hundred and sixty connections in all."""
    errors: list[Any] = []
    small = type("Small", (handler,), {"request_limit": 2000, "timeout": PATIENCE})
    settings = {"max_threads": 4, "request_queue_size": 512, "handle_error": only_the_peers, "errors": errors}
    with serving(pooled(ours, small, **settings)) as server:
        clients = [Client(server.server_address, seed) for seed in range(CLIENTS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        assert [client.error for client in clients] == [None] * CLIENTS
        until(lambda: server.pool_counts().open == 0)
        assert server.pool_counts()[:3] == (0, 0, 0)
        assert server.pool_counts().threads <= 4
    assert server.pool_counts() == PoolCounts(0, 0, 0, 0)
    assert errors == []
