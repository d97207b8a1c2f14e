"""How much a directory may hold, and who has been promised what of it.

A quota that is looked at when bytes arrive is too late: a hundred clients may each have been told to go on.  So a
file is promised its whole size when it is taken, and is refused then or never.  The books have two columns::

    settled    what lies in the directory: whoever put it there, broken transfers included
    under way  the announced size of each transfer that goes on, whatever it has received so far

**Invariant:** a file is in exactly one of them, and ``settled + under way <= quota`` holds at each promise.  Bytes
alone would not bound anything, because an empty file has none: the number of files has a limit as well.

The books go wrong when somebody else adds or removes files, so they are corrected by counting, now and then, and
before anybody is refused (see ``store``).  Replacing a file needs room for both for as long as both exist.
Sans-IO.  Read next: ``partial``.
"""

from __future__ import annotations


class OverQuota(Exception):
    """There is no room; the message says how much there is."""


class Ledger:
    """The books of one directory: at most *quota_bytes* bytes in at most *max_files* files.  Not thread-safe."""

    __slots__ = ("max_files", "quota_bytes", "settled_bytes", "settled_files", "under_way")

    def __init__(self, quota_bytes: int, max_files: int) -> None:
        self.quota_bytes = quota_bytes
        self.max_files = max_files
        self.settled_bytes = 0
        self.settled_files = 0
        #: The size that was promised to each transfer, by the name of its temporary file.
        self.under_way: dict[str, int] = {}

    @property
    def used_bytes(self) -> int:
        """What is there, and what has been promised."""
        return self.settled_bytes + sum(self.under_way.values())

    @property
    def used_files(self) -> int:
        """How many files there are, those under way among them."""
        return self.settled_files + len(self.under_way)

    def recount(self, size: int, files: int) -> None:
        """Somebody has looked: apart from what is under way, *files* files with *size* bytes are there."""
        self.settled_bytes = size
        self.settled_files = files

    def promise(self, part: str, size: int, held: int | None) -> None:
        """Promise *size* bytes to the transfer *part*.  *held* bytes of it are there from an earlier try, None if
        there is none.  Raises OverQuota, and then nothing has changed."""
        room = self.quota_bytes - self.used_bytes + (held or 0)
        if size > room:
            raise OverQuota(f"{size} bytes do not fit: {max(room, 0)} of {self.quota_bytes} are free")
        if held is None and self.used_files >= self.max_files:
            raise OverQuota(f"there are {self.used_files} files already, of at most {self.max_files}")
        if held is not None:
            self.settled_bytes -= held
            self.settled_files -= 1
        self.under_way[part] = size

    def settle(self, part: str, size: int | None) -> None:
        """The transfer *part* is over, well or not, and *size* bytes of it stay there; None if no file does."""
        del self.under_way[part]
        if size is not None:
            self.settled_bytes += size
            self.settled_files += 1

    def forget(self, size: int) -> None:
        """A settled file of *size* bytes is there no more: another has replaced it."""
        self.settled_bytes -= size
        self.settled_files -= 1
