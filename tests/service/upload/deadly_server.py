"""An upload server that is killed at a moment of one's choice::

    python -m tests.service.upload.deadly_server FOLDER STEP [overwrite]

It counts the calls that change what is on the disk, and just before call number STEP it sends itself SIGKILL; if
that is a write, half of it is done before.  It says on stdout where it listens.  STEP -1: never; then it says at
its end, which is that of its stdin, how many calls there were.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any

import reactor
from reactor.service.upload.disk import Disk
from reactor.service.upload.server import UploadServer
from reactor.service.upload.store import Store
from tests.service.upload.faulty_disk import STEPS, FaultyDisk


class DeadlyDisk(FaultyDisk):
    """The real disk, until its time has come."""

    def __init__(self, last_step: int) -> None:
        super().__init__()
        self._last_step = last_step
        self._counting = threading.Lock()
        self.count = 0

    def perform(self, name: str, ordinary: Any, *args: Any, **options: Any) -> Any:
        """Do it, or die."""
        if name in STEPS:
            with self._counting:  # and nobody else does anything after that
                if self.count == self._last_step:
                    if name == "pwrite":
                        os.pwrite(args[0], args[1][: len(args[1]) // 2], args[2])
                    os.kill(os.getpid(), signal.SIGKILL)
                self.count += 1
                return ordinary(*args, **options)
        return ordinary(*args, **options)


def main(folder: str, last_step: str, *how: str) -> None:
    """Serve until stdin ends, or until death."""
    disk = DeadlyDisk(int(last_step))
    assert isinstance(disk, Disk)
    with reactor.Reactor() as loop:
        server = UploadServer(loop, Store(folder, 2**40, overwrite="overwrite" in how, disk=disk))
        print(server.listen_tcp("127.0.0.1").address[1], flush=True)
        loop.add_reader(sys.stdin.fileno(), server.stop, 0)
        loop.run_until(lambda: server.is_stopped)
    print(disk.count, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
