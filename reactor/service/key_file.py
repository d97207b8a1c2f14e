"""Keys in files: read only if nobody else can have read them, and made so that nobody else will.

A secret that others can read is none, and the moment to say so is when the file is opened, because nothing that
happens afterwards would show it.  The rules are those of ssh: a file of one's own has no permissions for group and
others; and one more, for servers that do not run as root: a file of root's may be readable by the group.  Anybody
else's file is refused, whatever its permissions: its owner could put his own key into it.

It is the open descriptor that is looked at, not the path: between looking and opening the path could be given
to another file.  A new file is created with its final permissions, and only where there is none, so that no key
is ever overwritten.

These functions block, for as long as the system takes for a small file: call them before the loop runs, or in
answer to a person's wish.  Read next: ``gate``.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from reactor.auth.keys import Key, format_key, parse_keys
from reactor.errors import KeyRefused

if TYPE_CHECKING:
    from reactor.auth.keys import KeyRing

#: Bytes that a file of keys may have: some five hundred keys.
LARGEST = 64 * 1024


def read_keys(path: str | os.PathLike[str]) -> KeyRing:
    """Return the keys in the file *path*; ``reactor.auth.keys`` has the format.

    Raises KeyRefused for a file that others can read or write, that is another user's, or whose contents are no
    keys; OSError as open(2).
    """
    # Without O_NONBLOCK, opening a named pipe would wait for somebody who writes to it.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(fd, "rb") as file:
        problem = problem_with(os.fstat(fd), os.geteuid())
        if problem:
            raise KeyRefused(f"the key file {os.fspath(path)!r} is not used: {problem}")
        data = file.read(LARGEST + 1)
    try:
        if len(data) > LARGEST:
            raise KeyRefused(f"it has more than {LARGEST} bytes")
        return parse_keys(data.decode("ascii", "replace"))
    except KeyRefused as exc:
        raise KeyRefused(f"the key file {os.fspath(path)!r} is not used: {exc}") from None


def problem_with(status: os.stat_result, user: int) -> str:
    """Return why *user*, a user id, must not trust a file with this *status*; "" if nothing is wrong with it."""
    mode = status.st_mode
    if not stat.S_ISREG(mode):
        return "it is not a regular file"
    if status.st_uid not in (user, 0):
        return f"it belongs to another user (uid {status.st_uid}), who could change it: chown it to this one"
    # A file of root's, read by a server that is not root, is most often readable through its group.
    forbidden = 0o077 if status.st_uid == user else 0o037
    if mode & forbidden:
        return f"others can use it (mode {stat.S_IMODE(mode):04o}); take their permissions away: chmod 600"
    return ""


def write_key(path: str | os.PathLike[str], key: Key) -> None:
    """Create the file *path*, readable by its owner only, with *key* in it.

    Raises FileExistsError if there is anything by that name, OSError as open(2) and write(2); a file that could
    not be written whole is removed again.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "w", encoding="ascii") as file:
            os.fchmod(fd, 0o600)  # the umask may have taken away even the owner's
            file.write(f"{format_key(key)}\n")
            file.flush()
            os.fsync(fd)
    except BaseException:
        os.unlink(path)
        raise
