"""The system calls of the upload store: the seam at which a test makes a disk full, slow, or broken.

Each is the call of ``os`` under its own name, with the failure modes of its manual page.  No policy lives here;
what a full disk means, in which order things are made durable, and what is checked before, stands in
``partial`` and ``store``.  All of them may block, so all of them run in a worker's thread.

Names are always relative to an open directory (``dir_fd``), and nothing is opened through a symbolic link: a path
is looked up anew at every call and may lead elsewhere by then, a directory descriptor cannot.  It needs a POSIX
system.  Read next: ``quota``.
"""

from __future__ import annotations

import os

#: Flags of every open(2): no symbolic link, no inheritance, and no waiting for the other end of a FIFO.
PLAIN = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK

#: The flags for a directory.
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Disk:
    """The operating system's files.  Stateless; one object may serve every store, in any thread."""

    __slots__ = ()

    open = staticmethod(os.open)
    close = staticmethod(os.close)
    mkdir = staticmethod(os.mkdir)
    stat = staticmethod(os.stat)
    fstat = staticmethod(os.fstat)

    #: Bytes into a file, and out of it.
    pwrite = staticmethod(os.pwrite)
    pread = staticmethod(os.pread)
    ftruncate = staticmethod(os.ftruncate)

    #: What makes bytes durable (of a file), and names (of a directory).
    fdatasync = staticmethod(os.fdatasync)
    fsync = staticmethod(os.fsync)

    #: What makes, replaces and removes names, each of them atomically.
    link = staticmethod(os.link)
    rename = staticmethod(os.rename)
    unlink = staticmethod(os.unlink)

    def names_in(self, fd: int) -> list[str]:
        """Return the names in the directory *fd*, see os.listdir."""
        return os.listdir(fd)

    def free_bytes(self, fd: int) -> int:
        """Return how many bytes the file system of *fd* has for us, see fstatvfs(3)."""
        found = os.fstatvfs(fd)
        return found.f_bavail * found.f_frsize

    def name_bytes(self, fd: int) -> int:
        """Return how long a name may be in the directory *fd*, see fpathconf(3)."""
        return os.fpathconf(fd, "PC_NAME_MAX")
