"""The reactor as a contestant: ``serve_reactor.py each|batch|spin raw|line|framed|udp``.

"each" answers every message by itself, the way an application is written first; "batch" overrides
``frames_received`` and answers all messages of a chunk with one ``send_frames``; "spin" is "each" on a loop
that polls before it sleeps.  What scans and what polls is said by REACTOR_ACCEL, REACTOR_PUMP and
REACTOR_SELECTOR, in words that fail loudly ("native", "on") where the thing is missing: a comparison that
measured something else under its name would be worse than none.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable

import reactor


class Raw(reactor.Protocol):
    """Bytes come back."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Framed(reactor.FramedProtocol):
    """Frames come back, one by one."""

    __slots__ = ()
    codec: reactor.Codec = reactor.LengthPrefixed(4)

    def frame_received(self, frame: bytes) -> None:
        self.send_frame(frame)


class FramedCostly(Framed):
    """Frames come back, and each costs some time."""

    __slots__ = ()

    def frame_received(self, frame: bytes) -> None:
        work()
        self.send_frame(frame)


class FramedBatch(Framed):
    """Frames come back, all of a chunk together."""

    __slots__ = ()

    def frames_received(self, frames: Iterable[bytes]) -> None:
        self.send_frames(frames)


class Line(Framed):
    """Lines come back, one by one."""

    __slots__ = ()
    codec = reactor.Lines()


class LineBatch(FramedBatch):
    """Lines come back, all of a chunk together."""

    __slots__ = ()
    codec = reactor.Lines()


class Datagrams(reactor.DatagramProtocol):
    """Datagrams come back."""

    __slots__ = ()

    def datagram_received(self, data: bytes, address: object) -> None:
        self.transport.sendto(data, address)


#: Seconds of work for each message.
HANDLER_SECONDS = float(os.environ.get("BENCH_HANDLER_SECONDS", "0"))

#: Seconds for which "spin" polls: longer than any pause in the traffic.
SPIN_SECONDS = 0.001


def work() -> None:
    """Keep the processor busy for ``HANDLER_SECONDS``."""
    until = time.perf_counter() + HANDLER_SECONDS
    while time.perf_counter() < until:
        pass


STREAMS = {
    ("each", "raw"): Raw,
    ("each", "line"): Line,
    ("each", "framed"): FramedCostly if HANDLER_SECONDS else Framed,
    ("spin", "framed"): Framed,
    ("batch", "line"): LineBatch,
    ("batch", "framed"): FramedBatch,
}


def main(style: str, shape: str) -> None:
    """Serve until killed."""
    with reactor.Reactor(spin=SPIN_SECONDS if style == "spin" else 0.0) as loop:
        if shape == "udp":
            name = loop.open_datagram(Datagrams, local=("127.0.0.1", 0)).get_extra_info("sockname")
        else:
            name = loop.listen_tcp(STREAMS[style, shape], "127.0.0.1", 0).address
        print(name[1], flush=True)
        loop.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
