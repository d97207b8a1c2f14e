"""A pooled server in a process of its own, for a crowd: ``python -m tests.scale.pooled_server THREADS``.

It prints its port, then answers each line on its standard input with a line of JSON: how many connections are open,
how many of them wait, how many threads the process has.  It ends with its input.  Read next: ``crowd``.
"""

from __future__ import annotations

import json
import resource
import sys
import threading

from reactor.compat.socketserver import PooledStreamRequestHandler, PooledTCPServer


class Framed(PooledStreamRequestHandler):
    """A frame comes back: a length of four bytes, and so many bytes."""

    def handle_one(self) -> None:
        """Answer the next frame."""
        header = self.rfile.read(4)
        self.wfile.write(header + self.rfile.read(int.from_bytes(header, "big")))


def main(threads: str) -> None:
    """Serve until the input ends."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    PooledTCPServer.max_threads = int(threads)
    with PooledTCPServer(("127.0.0.1", 0), Framed) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        print(server.server_address[1], flush=True)
        for _ in sys.stdin:
            counts = server.pool_counts()._asdict()
            print(json.dumps({**counts, "in_all": threading.active_count()}), flush=True)
        server.shutdown()
        serving.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
