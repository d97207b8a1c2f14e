"""A file that is to be sent: what it is known by, what it contains, and whether it is still the same.

The key under which a server keeps the beginning of a broken transfer has to be the same in the next run, and
another one as soon as the file has changed; the content cannot serve, because it is known only when all of it has
been read.  So the key is made of what the file system knows: inode, size, and the times of the last change
of the content and of the inode, in nanoseconds.  The second of those cannot be set by anybody.  (The device has no
part in it: its number may be another one after the next start of the system.)  A copy of a file, or one that was
touched, has another key and is sent from its beginning: that costs time and is never wrong.

The digest is made of what is read here, while the kernel sends the same bytes by itself.  If they are not the same
after all, because somebody wrote in between, the digest does not fit and the server refuses the file.

``open`` and ``hash_up_to`` block and run in a worker.  Read next: ``sending``.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
from typing import TYPE_CHECKING

from reactor.arguments import checked_items
from reactor.errors import OptionError
from reactor.service.upload.disk import Disk
from reactor.service.upload.names import checked_name
from reactor.service.upload.partial import hash_range

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Inode, size, and the two times in nanoseconds.
_IDENTITY = struct.Struct(">QQqq")


class Source:
    """The file *path*, which is to be called *name* at the other end.  Nothing is opened before ``open``."""

    __slots__ = ("_disk", "_hash", "_identity", "fd", "hashed", "name", "path", "size")

    def __init__(self, path: str, name: str, disk: Disk | None = None) -> None:
        self.path = path
        self.name = name
        self.fd = -1
        self.size = 0
        #: Bytes of it that have been hashed, from the first on.
        self.hashed = 0
        self._disk = disk or Disk()
        self._hash = hashlib.sha256()
        self._identity = b""

    def open(self) -> None:
        """Open the file.  Raises OSError if that is not possible, or if it is no regular file."""
        self.fd = self._disk.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        found = self._disk.fstat(self.fd)
        if not stat.S_ISREG(found.st_mode):
            raise OSError("it is no regular file")
        self.size = found.st_size
        self._identity = _identity_of(found)

    @property
    def key(self) -> bytes:
        """What the server knows a broken transfer of this file by."""
        return hashlib.sha256(self._identity).digest()

    def is_unchanged(self) -> bool:
        """Return True if the file is the one that was opened, as far as the file system knows, and says."""
        try:
            return _identity_of(self._disk.fstat(self.fd)) == self._identity
        except OSError:
            return False

    def hash_up_to(self, stop: int) -> None:
        """Read and hash the bytes up to *stop*.  Raises OSError, also if they are not there any more."""
        self.hashed = hash_range(self._disk, self.fd, self._hash, self.hashed, stop)

    def digest(self) -> bytes:
        """Return the SHA-256 of what has been hashed."""
        return self._hash.digest()

    def close(self) -> None:
        """Let go of the file.  Idempotent."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            self._disk.close(fd)


def _identity_of(found: os.stat_result) -> bytes:
    return _IDENTITY.pack(found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def sources_of(paths: Iterable[str]) -> list[Source]:
    """Return a source for each of *paths*, under the last component of its path.

    Raises OptionError for a name that no server would take, and for two files that would have the same,
    ArgumentError for one path instead of several.
    """
    found: dict[str, Source] = {}
    for path in checked_items("paths", paths, (str, bytes, os.PathLike), "path"):
        name = checked_name(os.fsencode(os.path.basename(path)))
        if name in found:
            raise OptionError(f"{found[name].path!r} and {path!r} would both be called {name!r}")
        found[name] = Source(path, name)
    return list(found.values())
