"""The directory that uploads are kept in: from an offer to a name that is there, whole, or not at all.

A file is received in ``.reactor-upload/``, a private directory inside, under a name that is made of what identifies
the transfer (name, size, key), so that a transfer which broke is found again, by a new process too.  When all bytes
are there and their digest is right, this happens, in this order::

    fsync(file)             the bytes are durable
    link(temporary, name)   the name appears, whole, and only if it is free: link(2) never replaces
    unlink(temporary)
    fsync(directory)        the name is durable, and only now the client is told

With *overwrite* one rename(2) takes the place of the middle two and replaces what has the name.  A kill between any
of these leaves a prefix in the private directory, or a whole file with two names, one of which is removed when it
is next seen: never a name in the directory whose content is not what was proved.

Rejected: looking whether the name is free and then renaming (somebody may take it in between), reserving it with an
empty file (which looks complete after a kill), and O_TMPFILE (which cannot be found again).

**No name that a client chooses ever means a temporary file.**  Names of clients are looked up in the directory,
those of temporary files in the private one, each through its own descriptor; and a name of a client has no
separator, so it leads to the private directory itself at most (on a file system that folds case, or ignores
characters), which is refused as any directory is.

One process has a directory at a time, by flock(2) on a file in the private directory: the kernel gives that back
however the process ends.  Methods block and run in worker threads, any number at once; ``_lock`` guards the books
and the moments in which names change hands.  Read next: ``transfer``.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
import time
from typing import TYPE_CHECKING

from reactor.arguments import checked_whole
from reactor.errors import OptionError, StoreUnavailable, os_error_text
from reactor.service.upload.disk import FOLDER, PLAIN, Disk
from reactor.service.upload.existing import Existing, Known
from reactor.service.upload.messages import Offer, Reason
from reactor.service.upload.names import checked_name
from reactor.service.upload.partial import Partial
from reactor.service.upload.quota import Ledger, OverQuota

if TYPE_CHECKING:
    from collections.abc import Callable

#: The private directory, its lock and a name for a moment, and what the names of temporary files end in.
FOLDER_NAME, LOCK_NAME, TRIAL_NAME, SUFFIX = ".reactor-upload", "lock", "trial", ".part"

#: Files, of anybody, that a directory may hold.
MAX_FILES = 100_000

#: Seconds for which a count of the directory is believed, and how much longer than the counting took.
COUNT_AGE = 1.0
COUNT_PACE = 20

#: Seconds after which the rest of a broken transfer is removed (tus servers and S3 users choose 1 to 7 days).
EXPIRY = 7 * 86_400.0


class Refusal(Exception):
    """A file cannot be kept, for *reason*; the message is for the client.  It never leaves the server as an
    error."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def taken(name: str) -> Refusal:
    """Return the refusal of a file whose *name* belongs to another one, which is not replaced."""
    return Refusal(Reason.EXISTS, f"{name!r} is here already, and is not the same")


def part_name(offer: Offer) -> str:
    """Return the name of the temporary file of *offer*: the same for the same name, size and key, and no other."""
    identity = b"%d %b %b" % (offer.size, offer.key, offer.name)
    return hashlib.sha256(identity).hexdigest() + SUFFIX


class Store:
    """The uploads in *directory*, which exists.

    *quota_bytes* and *max_files* bound all that is in it, *overwrite* lets a new file replace another of its name.
    Raises OptionError for limits that cannot be, StoreUnavailable, OSError.
    """

    __slots__ = (
        "_clock", "_counted", "_disk", "_folder", "_known", "_lock", "_lock_fd", "_name_bytes", "_parts",
        "directory", "ledger", "overwrite",
    )  # fmt: skip

    def __init__(
        self,
        directory: str,
        quota_bytes: int,
        *,
        overwrite: bool = False,
        max_files: int = MAX_FILES,
        disk: Disk | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        checked_whole("quota_bytes", quota_bytes, what="number of bytes")
        checked_whole("max_files", max_files, 1)
        self.directory = directory
        self.overwrite = overwrite
        self.ledger = Ledger(quota_bytes, max_files)
        self._disk = disk or Disk()
        self._clock = clock
        self._lock = threading.Lock()
        #: Until when the last count is believed.
        self._counted = float("-inf")
        self._known = Known()
        self._folder = self._parts = self._lock_fd = -1
        try:
            self._folder = self._disk.open(directory, FOLDER)
            self._parts = self._open_parts()
            self._lock_fd = self._take_lock()
            self._try_link()
            self._name_bytes = self._disk.name_bytes(self._folder)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the directory back.  Nothing may be under way.  Idempotent."""
        fds, self._lock_fd, self._parts, self._folder = (self._lock_fd, self._parts, self._folder), -1, -1, -1
        for fd in fds:
            if fd >= 0:
                self._disk.close(fd)

    # -- opening -----------------------------------------------------------------------------------------------

    def _open_parts(self) -> int:
        try:
            self._disk.mkdir(FOLDER_NAME, 0o700, dir_fd=self._folder)
        except FileExistsError:
            pass
        try:
            fd = self._disk.open(FOLDER_NAME, FOLDER | os.O_NOFOLLOW, dir_fd=self._folder)
        except OSError as exc:
            raise self._unavailable(f"its {FOLDER_NAME} is no directory: {os_error_text(exc)}") from exc
        found = self._disk.fstat(fd)
        is_private = found.st_uid == os.geteuid() and not found.st_mode & 0o077
        if is_private and found.st_dev == self._disk.fstat(self._folder).st_dev:
            return fd
        self._disk.close(fd)
        if is_private:
            raise self._unavailable(f"its {FOLDER_NAME} is on another file system")
        raise self._unavailable(f"its {FOLDER_NAME} must belong to this user alone (chmod 700)")

    def _take_lock(self) -> int:
        import fcntl

        fd = self._disk.open(LOCK_NAME, os.O_RDWR | os.O_CREAT | PLAIN, 0o600, dir_fd=self._parts)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            self._disk.close(fd)
            raise self._unavailable("another server keeps its uploads in it") from exc
        return fd

    def _try_link(self) -> None:
        """Find out now, and not after an hour of uploading, whether names can be made as it is done here."""
        try:
            self._disk.link(LOCK_NAME, TRIAL_NAME, src_dir_fd=self._parts, dst_dir_fd=self._parts)
        except FileExistsError:
            pass  # of a server that was killed in the middle of this
        except OSError as exc:
            raise self._unavailable(f"its file system has no hard links: {os_error_text(exc)}") from exc
        self._disk.unlink(TRIAL_NAME, dir_fd=self._parts)

    def _unavailable(self, why: str) -> StoreUnavailable:
        return StoreUnavailable(f"the directory {self.directory!r} cannot keep uploads: {why}")

    # -- an offer ----------------------------------------------------------------------------------------------

    def admit(self, offer: Offer, *, is_other: bool = False) -> Partial | Existing:
        """Promise room for *offer* and return where its bytes go, or say that they may be there already;
        *is_other*: they are not, that has been found out.  Raises Refusal, OSError."""
        try:
            name = checked_name(offer.name)
        except OptionError as exc:
            raise Refusal(Reason.NAME, str(exc)) from exc
        if len(offer.name) > self._name_bytes:
            raise Refusal(Reason.NAME, f"the name is longer than the {self._name_bytes} bytes that fit here")
        found = self._status(name, self._folder)
        if found is not None:
            if stat.S_ISREG(found.st_mode) and found.st_size == offer.size and not is_other:
                return self._existing(name, offer.size)
            self._see_replaceable(name, found)
        return self._promised(offer)

    def _see_replaceable(self, name: str, found: os.stat_result) -> None:
        if stat.S_ISDIR(found.st_mode):
            raise Refusal(Reason.EXISTS, f"{name!r} is a directory here")
        if not self.overwrite:
            raise taken(name)

    def _promised(self, offer: Offer) -> Partial:
        part = part_name(offer)
        with self._lock:
            held = self._held(part, offer.size)
            if self._clock() >= self._counted:
                self._count()
            try:
                self.ledger.promise(part, offer.size, held)
            except OverQuota as exc:
                raise Refusal(Reason.QUOTA, str(exc)) from exc
        partial = Partial(self._disk, self._parts, part, offer.size, held or 0)
        if offer.size - partial.held > self._disk.free_bytes(self._parts):
            self.give_back(partial, partial.suspend())
            raise Refusal(Reason.STORAGE, "the disk is full")
        return partial

    def _held(self, part: str, size: int) -> int | None:
        """Return how many bytes of a broken transfer there are; what cannot be its beginning is removed."""
        found = self._status(part, self._parts)
        if found is None:
            return None
        if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_size <= size:
            return found.st_size
        # With two names it has been published: to write to it would be to write to a file that looks complete.
        self._disk.unlink(part, dir_fd=self._parts)
        return None

    def _status(self, name: str, folder: int) -> os.stat_result | None:
        try:
            return self._disk.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None

    # -- the end of a transfer ---------------------------------------------------------------------------------

    def commit(self, partial: Partial, offer: Offer, digest: bytes) -> bool:
        """Keep the file, whose bytes are all there, under its name.

        Return False if they turned out to be wrong and it can begin again, because some were from an earlier try.
        Raises Refusal or OSError otherwise; the transfer is over then, and nothing is left of it.
        """
        try:
            if not partial.has_digest(digest):
                if partial.is_resumed:
                    partial.restart()
                    return False
                raise Refusal(Reason.DIGEST, "the bytes that arrived do not have the digest that was announced")
            partial.make_durable()
        except BaseException:
            self.drop(partial)
            raise
        partial.close()
        self._publish(partial, checked_name(offer.name), digest)
        return True

    def _publish(self, partial: Partial, name: str, digest: bytes) -> None:
        try:
            with self._lock:
                replaced = self._status(name, self._folder) if self.overwrite else None
                self._put_in_place(partial.part, name)
                self.ledger.settle(partial.part, partial.size)
                if replaced is not None:
                    self.ledger.forget(replaced.st_size)
        except FileExistsError:
            # Another transfer of that name was faster.
            self.drop(partial)
            if not self._has_same(name, partial.size, digest):
                raise taken(name) from None
        except BaseException:
            self.drop(partial)
            raise
        else:
            self._disk.fsync(self._folder)

    def _put_in_place(self, part: str, name: str) -> None:
        disk = self._disk
        if self.overwrite:
            disk.rename(part, name, src_dir_fd=self._parts, dst_dir_fd=self._folder)
        else:
            disk.link(part, name, src_dir_fd=self._parts, dst_dir_fd=self._folder, follow_symlinks=False)
            disk.unlink(part, dir_fd=self._parts)

    def _has_same(self, name: str, size: int, digest: bytes) -> bool:
        existing = self._existing(name, size)
        try:
            while not existing.is_caught_up:
                existing.catch_up()
            return existing.has_digest(digest)
        finally:
            existing.close()

    def _existing(self, name: str, size: int) -> Existing:
        return Existing(self._disk, self._folder, name, size, self._known)

    def suspend(self, partial: Partial) -> None:
        """The transfer has broken: keep what is there, if anything, for another time."""
        self.give_back(partial, partial.suspend())

    def drop(self, partial: Partial) -> None:
        """The transfer was given up: keep nothing of it."""
        partial.discard()
        self.give_back(partial, None)

    def give_back(self, partial: Partial, held: int | None) -> None:
        """The promise to *partial* ends; *held* bytes of it stay on the disk, None if no file does."""
        with self._lock:
            self.ledger.settle(partial.part, held)

    # -- what lies about ---------------------------------------------------------------------------------------

    def sweep(self, now: float, expiry: float = EXPIRY) -> int:
        """Remove what broken transfers left more than *expiry* seconds before *now*, an instant of ``time.time()``,
        and what has got its name already; return how many files that were.  Raises OSError."""
        removed = 0
        for part in self._disk.names_in(self._parts):
            if not part.endswith(SUFFIX):
                continue
            with self._lock:
                found = self._status(part, self._parts)
                if found is None or part in self.ledger.under_way:
                    continue
                if found.st_nlink > 1 or found.st_mtime < now - expiry:
                    self._disk.unlink(part, dir_fd=self._parts)
                    self._counted = float("-inf")
                    removed += 1
        return removed

    def _count(self) -> None:
        """Correct the books: count all files below the directory, but for those of transfers under way."""
        began = self._clock()
        parts = self._disk.fstat(self._parts)
        size = files = 0
        for _, folders, names, fd in os.fwalk(".", dir_fd=self._folder, follow_symlinks=False):
            files += len(folders)
            # Only in the private directory is that name the store's; elsewhere a client can have chosen it.  And
            # the inode says which directory that is: what is the same name, the file system alone knows.
            under_way = self.ledger.under_way if os.path.samestat(self._disk.fstat(fd), parts) else {}
            for name in names:
                if name in under_way:
                    continue
                found = self._status(name, fd)
                if found is not None:
                    files += 1
                    size += found.st_size
        # Neither the private directory nor the lock in it is anybody's file.
        self.ledger.recount(size, files - 2)
        now = self._clock()
        self._counted = now + max(COUNT_AGE, COUNT_PACE * (now - began))
