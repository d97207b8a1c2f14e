"""The temporary file of one transfer: bytes are added, made durable now and then, and proved at the end.

What it is about is to know, at every moment, what would be left after a crash.  Bytes are only ever appended, and
each at its own offset, so whatever a kill leaves behind is a prefix of the file, and *how much* of it is simply the
file's size.  After a kill of the process alone that is everything which was written, because the kernel still has
it; after a power failure it is at least what was there at the last ``fdatasync``, which happens every
``SYNC_BYTES``: that also keeps the last one, for which the client has to wait, short.

A prefix that was found on the disk is not believed: it is read and hashed before anything is added, so the digest
at the end is over bytes that have been read from the disk or written to it by this very object, and never over what
somebody remembers.

After a failed fsync(2) the kernel may have dropped the pages and reports the failure only once, so nothing is tried
again: such a file is given up.  All methods block and run in a worker, one at a time.  Read next:
``existing``.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from reactor.service.upload.disk import PLAIN, Disk

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Bytes after which what was received is made durable.
SYNC_BYTES = 64 * 1024 * 1024

#: Bytes that are read and hashed in one job, so that long work does not keep a thread from the others for long.
SLICE_BYTES = 32 * 1024 * 1024

#: Bytes of one read.
READ_BYTES = 256 * 1024


class Partial:
    """The file *part* in the directory *folder*, which holds the first *held* bytes of a file of *size* bytes."""

    __slots__ = ("_disk", "_fd", "_folder", "_hash", "_hashed", "_unsynced", "held", "is_resumed", "part", "size")

    def __init__(self, disk: Disk, folder: int, part: str, size: int, held: int) -> None:
        self.part = part
        self.size = size
        #: How many bytes are there, and whether some of them were before this object was.
        self.held = held
        self.is_resumed = held > 0
        self._disk = disk
        self._folder = folder
        self._fd = -1
        self._hash = hashlib.sha256()
        self._hashed = 0
        self._unsynced = 0

    @property
    def is_caught_up(self) -> bool:
        """Return True if all bytes that are there have been hashed."""
        return self._hashed == self.held

    def catch_up(self) -> None:
        """Read and hash the next ``SLICE_BYTES`` of what an earlier transfer left.  Raises OSError."""
        self._open()
        stop = min(self.held, self._hashed + SLICE_BYTES)
        self._hashed = hash_range(self._disk, self._fd, self._hash, self._hashed, stop)

    def append(self, chunks: Iterable[memoryview]) -> None:
        """Add *chunks* behind what is there.  Raises OSError: a prefix of them may have been added."""
        self._open()
        for chunk in chunks:
            self._write(chunk)
            self._hash.update(chunk)
            self._hashed = self.held
        if self._unsynced >= SYNC_BYTES:
            self._disk.fdatasync(self._fd)
            self._unsynced = 0

    def _write(self, chunk: memoryview) -> None:
        while chunk:
            written = self._disk.pwrite(self._fd, chunk, self.held)
            self.held += written
            self._unsynced += written
            chunk = chunk[written:]

    def has_digest(self, digest: bytes) -> bool:
        """Return True if the file is complete and *digest* is its SHA-256; everything must have been hashed."""
        return self.held == self._hashed == self.size and self._hash.digest() == digest

    def make_durable(self) -> None:
        """Have all bytes on the disk.  Raises OSError; the file is not to be used any more then."""
        self._open()
        self._disk.fsync(self._fd)
        self._unsynced = 0

    def restart(self) -> None:
        """Begin again with nothing.  Raises OSError."""
        self._open()
        self._disk.ftruncate(self._fd, 0)
        self._hash = hashlib.sha256()
        self.held = self._hashed = self._unsynced = 0
        self.is_resumed = False

    def suspend(self) -> int | None:
        """Keep what is there for another time; return how many bytes that is, None if it cannot be kept."""
        if not self.held:
            self.discard()
            return None
        if self._fd < 0:
            return self.held
        try:
            self._disk.fdatasync(self._fd)
            self._disk.fsync(self._folder)
        except OSError:
            self.discard()
            return None
        self.close()
        return self.held

    def discard(self) -> None:
        """Remove the file.  Never raises: what cannot be removed expires."""
        self.close()
        try:
            self._disk.unlink(self.part, dir_fd=self._folder)
        except OSError:
            pass

    def close(self) -> None:
        """Let go of the file.  Never raises: what has to be durable was made so by fsync, not by close(2)."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            try:
                self._disk.close(fd)
            except OSError:
                pass

    def _open(self) -> None:
        if self._fd < 0:
            flags = os.O_RDWR | os.O_CREAT | PLAIN
            self._fd = self._disk.open(self.part, flags, 0o666, dir_fd=self._folder)


def hash_range(disk: Disk, fd: int, digest: hashlib._Hash, start: int, stop: int) -> int:
    """Hash the bytes from *start* to *stop* of *fd* and return *stop*.  Raises OSError, also if some are
    missing."""
    while start < stop:
        data = disk.pread(fd, min(READ_BYTES, stop - start), start)
        if not data:
            raise OSError(f"the file has only {start} bytes; it had {stop} a moment ago")
        digest.update(data)
        start += len(data)
    return stop
