"""An echo server in a process of its own, for a crowd: ``python -m tests.scale.server POLLER raw|framed``.

It prints its port, then answers each line on its standard input with a line of JSON: how many connections are open,
how many bytes of memory are resident, what was counted.  It ends with its input.  Read next: ``crowd``.
"""

from __future__ import annotations

import gc
import json
import resource
import sys
from pathlib import Path

from reactor.framing import LengthPrefixed
from reactor.net.connections.listener import Listener
from reactor.net.protocol import FramedProtocol, Protocol
from reactor.net.reactor import Reactor


class Raw(Protocol):
    """Bytes come back."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Framed(FramedProtocol):
    """Frames come back."""

    __slots__ = ()
    codec = LengthPrefixed(4)

    def frame_received(self, frame: bytes) -> None:
        self.send_frame(frame)


def resident_bytes() -> int:
    """Return the resident memory of this process."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * resource.getpagesize()


def report(loop: Reactor, listener: Listener) -> None:
    """Answer one line; stop at the end of the input."""
    if not sys.stdin.readline():
        loop.stop()
        return
    gc.collect()
    told = {"connections": listener.connections, "resident": resident_bytes(), **loop.counters.as_dict()}
    print(json.dumps(told), flush=True)


def main(poller: str, manner: str) -> None:
    """Serve until the input ends."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with Reactor(poller) as loop:
        listener = loop.listen_tcp({"raw": Raw, "framed": Framed}[manner], "127.0.0.1", 0)
        loop.add_reader(sys.stdin, report, loop, listener)
        print(listener.address[1], flush=True)
        loop.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
