"""A server to be found out: it echoes, but changes one byte of each chunk after the first hundred.

It stands in the place of a contestant: a script that is given a shape, prints its port and serves until killed.
"""

from __future__ import annotations

import selectors
import socket


def main() -> None:
    """Serve and lie."""
    ready = selectors.DefaultSelector()
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    ready.register(listener, selectors.EVENT_READ)
    print(listener.getsockname()[1], flush=True)
    answered = 0
    while True:
        for key, _ in ready.select():
            if key.fileobj is listener:
                ready.register(listener.accept()[0], selectors.EVENT_READ)
                continue
            peer = key.fileobj
            assert isinstance(peer, socket.socket)
            data = bytearray(peer.recv(65536))
            if not data:
                ready.unregister(peer)
                peer.close()
                continue
            answered += 1
            if answered > 100:
                data[-1] ^= 1
            peer.sendall(data)


if __name__ == "__main__":
    main()
