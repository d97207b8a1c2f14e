"""A client that is killed at a moment of one's choice::

    python -m tests.service.upload.deadly_client PORT STEP FILE...

It counts the messages and the pieces of files that it sends, and just before number STEP it sends itself SIGKILL;
if that is a piece, half of it is sent before.  STEP -1: never; then it says how many there were.
"""

from __future__ import annotations

import os
import signal
import sys

import reactor
from reactor.ops import Ops
from reactor.service.upload.client import UploadClient


class Counter:
    """Counts, and kills."""

    def __init__(self, last_step: int) -> None:
        self._last_step = last_step
        self.count = 0

    def step(self) -> bool:
        """Return True if this is the last step."""
        self.count += 1
        return self.count - 1 == self._last_step

    def die(self) -> None:
        """Die, as by the out-of-memory killer."""
        os.kill(os.getpid(), signal.SIGKILL)


class DeadlyOps(Ops):
    """The operating system, which counts pieces of files."""

    __slots__ = ("_counter",)

    def __init__(self, counter: Counter) -> None:
        self._counter = counter

    def sendfile(self, out_fd: int, in_fd: int, offset: int, count: int) -> int:
        """Send a piece, or half of it and die."""
        if self._counter.step():
            super().sendfile(out_fd, in_fd, offset, max(1, count // 2))
            self._counter.die()
        return super().sendfile(out_fd, in_fd, offset, count)


class DeadlyClient(UploadClient):
    """A client whose messages are counted."""

    counter: Counter

    def send(self, message: bytes) -> None:
        """Send it, or die."""
        if self.counter.step():
            self.counter.die()
        super().send(message)


def main(port: str, last_step: str, *paths: str) -> None:
    """Send the files, or some of them."""
    counter = Counter(int(last_step))
    with reactor.Reactor(ops=DeadlyOps(counter)) as loop:
        client = DeadlyClient(loop, paths)
        client.counter = counter
        client.connect(("127.0.0.1", int(port)))
        loop.run_until(client)
    print(counter.count, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
