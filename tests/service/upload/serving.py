"""An upload server on a loop of the test's own, with a disk that does what the test wants."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import reactor
from reactor.service.upload.server import UploadServer
from reactor.service.upload.store import FOLDER_NAME, Store
from tests.service.peer import PATIENCE, turn_until
from tests.service.upload.faulty_disk import FaultyDisk
from tests.service.upload.peer import UploadPeer


class Serving:
    """A server on a loop, its directory and its disk; ``stop`` it."""

    def __init__(self, loop: reactor.Reactor, folder: Path, **options: Any) -> None:
        self.loop = loop
        self.folder = folder
        self.disk = FaultyDisk()
        self.lines: list[str] = []
        store_options = {name: options.pop(name) for name in ("overwrite", "max_files") if name in options}
        store = Store(str(folder), options.pop("quota", 2**30), disk=self.disk, **store_options)
        self.server = UploadServer(loop, store, journal=self.lines.append, **options)
        self.address = self.server.listen_tcp("127.0.0.1").address

    def peer(self) -> UploadPeer:
        """Return a client that has greeted."""
        peer = UploadPeer(self.loop, self.address)
        peer.greet()
        return peer

    def files(self) -> dict[str, bytes]:
        """What anybody sees in the directory."""
        return {path.name: path.read_bytes() for path in self.folder.iterdir() if not path.name.startswith(".")}

    def parts(self) -> list[int]:
        """The sizes of the temporary files."""
        return [path.stat().st_size for path in (self.folder / FOLDER_NAME).glob("*.part")]

    def transfers(self) -> int:
        """How many files are under way, those that wait for another among them."""
        return sum(len(session._transfers) for session in self.server.sessions)

    def until(self, condition: Callable[[], object]) -> None:
        """Turn until *condition* holds."""
        turn_until(self.loop, condition)

    def stop(self) -> None:
        """Stop it, and wait for the end."""
        self.server.stop(grace=PATIENCE)
        self.until(lambda: self.server.is_stopped)
