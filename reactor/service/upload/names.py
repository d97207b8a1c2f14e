"""Which names an uploaded file may have.

A name comes from the network and becomes a name in a directory of ours, so it is one component and nothing else: no
separator, hence no way out of the directory.  That alone would keep files where they belong; the other rules keep
them harmless once they are there:

- a name that begins with a dot is hidden from those who list the directory, and configures the programs that look
  for it (``.htaccess``, ``.netrc``); the store's own temporary files live behind a dot as well.  Characters that
  are not shown do not count, because some file systems (HFS+) take a name with them for the one without;
- a control character can drive the terminal of whoever lists the directory, and a newline makes two names of one;
- a character that reverses the direction of text makes ``gpj.exe`` look like ``exe.jpg``;
- a name longer than the file system takes would fail only after all of its bytes have been received.

Everything else is allowed, in any script.  Names are compared byte by byte and not normalized: what a client sent
is what is stored.  The same function is asked by the client, who so learns of a bad name before anything is sent.
Sans-IO.  Read next: ``messages``.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

from reactor.errors import OptionError

#: The longest name that the usual file systems take, in bytes of UTF-8 (NAME_MAX of Linux).
NAME_BYTES = 255

#: Characters that reorder or break the line in which they are shown (Unicode TR 36, section 2.5; TR 9).
REORDERING = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")


def _has_control(name: str) -> bool:
    return any(unicodedata.category(character) == "Cc" for character in name)


def _is_hidden(name: str) -> bool:
    shown = (character for character in name if unicodedata.category(character) != "Cf")
    return next(shown, "") == "."


#: What is wrong with a name, and how to tell; the first that applies is said.
FAULTS: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("it is empty", lambda name: not name),
    ("it holds a path separator", lambda name: "/" in name or "\\" in name),
    ("it holds a control character", _has_control),
    ("it holds a character that reorders text", lambda name: not REORDERING.isdisjoint(name)),
    ("it begins with a dot", _is_hidden),
    (f"it is longer than {NAME_BYTES} bytes", lambda name: len(name.encode()) > NAME_BYTES),
)


def checked_name(raw: bytes) -> str:
    """Return *raw*, the bytes of a name, as text.  Raises OptionError, which says what is wrong with it."""
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise OptionError(f"the name {raw[:NAME_BYTES]!r} cannot be used: it is not UTF-8") from None
    for fault, applies in FAULTS:
        if applies(name):
            raise OptionError(f"the name {name[:NAME_BYTES]!r} cannot be used: {fault}")
    return name
