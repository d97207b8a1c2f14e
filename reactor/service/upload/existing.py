"""A file that already has the name which a client offers: is it the same?

That takes its digest, and to make that takes reading all of it: work that costs a client one small message.  So it
is done in slices, like every long work here, and what has been found out about a file is remembered (``Known``) for
as long as the file system says that it has not changed.  However often somebody asks, a file is read once.

Nobody knows who put the file there, and when.  It may be that of an upload which was killed between the name and
the last fsync, so one that is the same is made durable before anybody is told.  All methods block and run in a
worker, one at a time; ``Known`` is shared by all of them.  Read next: ``store``.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from reactor.service.upload.disk import PLAIN, Disk
from reactor.service.upload.partial import SLICE_BYTES, hash_range

if TYPE_CHECKING:
    Identity = tuple[int, ...]

#: Files whose digest is remembered.
KNOWN_FILES = 10_000


class Known:
    """The digests of at most ``KNOWN_FILES`` files, by what the file system says of them.  Any thread."""

    __slots__ = ("_digests", "_lock")

    def __init__(self) -> None:
        self._digests: OrderedDict[Identity, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def recall(self, identity: Identity) -> bytes | None:
        """Return the digest of that file, None if it is not known."""
        with self._lock:
            return self._digests.get(identity)

    def remember(self, identity: Identity, digest: bytes) -> None:
        """Remember it, and forget the oldest if it is one too many."""
        with self._lock:
            self._digests[identity] = digest
            if len(self._digests) > KNOWN_FILES:
                self._digests.popitem(last=False)


class Existing:
    """The file *name* in the directory *folder*, which a client says has *size* bytes."""

    __slots__ = ("_digest", "_disk", "_fd", "_folder", "_hash", "_hashed", "_known", "_name", "_size")

    def __init__(self, disk: Disk, folder: int, name: str, size: int, known: Known) -> None:
        self._disk = disk
        self._folder = folder
        self._name = name
        self._size = size
        self._known = known
        self._fd = -1
        self._hash = hashlib.sha256()
        self._hashed = 0
        #: What has been found out: b"" if it is no such file.
        self._digest: bytes | None = None

    @property
    def is_caught_up(self) -> bool:
        """Return True if the digest is known."""
        return self._digest is not None

    def catch_up(self) -> None:
        """Read and hash the next slice of it.  Raises OSError."""
        if self._fd < 0:
            self._open()
        if self._digest is None:
            stop = min(self._size, self._hashed + SLICE_BYTES)
            self._hashed = hash_range(self._disk, self._fd, self._hash, self._hashed, stop)
        if self._digest is None and self._hashed == self._size:
            self._digest = self._hash.digest()
            self._known.remember(self._identity(), self._digest)

    def _open(self) -> None:
        try:
            self._fd = self._disk.open(self._name, os.O_RDONLY | PLAIN, dir_fd=self._folder)
        except OSError:
            self._digest = b""  # it was removed meanwhile, or is not ours to read, or a link
            return
        found = self._disk.fstat(self._fd)
        if stat.S_ISREG(found.st_mode) and found.st_size == self._size:
            self._digest = self._known.recall(self._identity())
        else:
            self._digest = b""

    def _identity(self) -> Identity:
        found = self._disk.fstat(self._fd)
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def has_digest(self, digest: bytes) -> bool:
        """Return True if *digest* is that of the file; if so it is durable when this returns.  Raises OSError."""
        if self._digest != digest:
            return False
        self._disk.fsync(self._fd)
        self._disk.fsync(self._folder)
        return True

    def close(self) -> None:
        """Let go of the file.  Never raises."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            try:
                self._disk.close(fd)
            except OSError:
                pass
