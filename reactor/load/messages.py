"""What is sent and what must come back: a message is a function of its connection and its number.

**The problem.**  To verify a reply one must know what was sent.  Remembering it costs memory for each message that
is on its way, and copying; sending the same bytes each time would not notice two replies that were mixed up.

**The idea.**  Message *n* of connection *c* begins with a header that names both, and goes on with a piece of a
pool of pseudo-random bytes, which begins where the hash of both says.  Anybody can make it again at any time:
whoever sends, whoever compares, the C engine and the Python engine.  So a reply that was lost, doubled, reordered,
given to another connection or changed in one bit is recognised, and nothing has to be kept.

The header is eight letters of the number and four of the connection, in base 32, lowest digit first.  A message of
less than ``HEADER`` bytes carries its beginning: from 9 bytes on it names a part of its connection, below 8 only
the number modulo 32 to the power of its size.  Digits and capitals look the same in upper case, so the reply of a
service that says everything in upper case is a function as well: the header, and the same piece of the pool in
upper case.

The pool holds all 256 values where messages may (raw and framed echo), and letters, digits and a few signs where
they have to be text (lines, and upper case, which must be UTF-8).  ``_accel/drive_message.h`` says the same in C:
change both together.  Read next: ``buckets``.
"""

from __future__ import annotations

import random

from reactor.load.sizes import TABLE, size_table

#: Bytes that name a message: eight digits of its number, four of its connection.
HEADER = 12

#: Places in the pool where a body may begin: 16 KiB stay in the nearest cache.
OFFSETS = 16384

#: The digits of base 32, those of ``int(text, 32)`` in capitals.
DIGITS = b"0123456789ABCDEFGHIJKLMNOPQRSTUV"

#: What text is made of: 64 letters, two kinds of each, and nothing that ends a line.
TEXT = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-"

#: Two digits at once, lowest first.
_PAIRS = [bytes([DIGITS[i & 31], DIGITS[i >> 5]]) for i in range(1024)]


def mix(connection: int, number: int) -> int:
    """Return 32 bits that depend on both; 12 of them choose the size, the highest 14 the place in the pool."""
    return (number * 0x9E3779B1 + connection * 0x85EBCA6B) & 0xFFFFFFFF


def header(connection: int, number: int) -> bytes:
    """Return the ``HEADER`` bytes that name a message."""
    return b"".join((
        _PAIRS[number & 1023], _PAIRS[number >> 10 & 1023], _PAIRS[number >> 20 & 1023], _PAIRS[number >> 30 &
        1023], _PAIRS[connection & 1023], _PAIRS[connection >> 10 & 1023],
    ))  # fmt: skip


def named_by(payload: bytes) -> tuple[int, int] | None:
    """Return the connection and the number that the header of *payload* names; None if it has no whole header."""
    text = payload[:HEADER]
    if len(text) < HEADER or text.translate(None, DIGITS):
        return None
    return int(text[:7:-1], 32), int(text[7::-1], 32)


class Messages:
    """The messages of one run.

    *spec* says how large they are (``sizes``), *expect* what the server makes of them: "echo" or
    "upper".  *is_text* keeps them free of bytes that end a line.  Raises OptionError for a bad *spec*.
    """

    __slots__ = ("largest", "pool", "replies", "sizes")

    def __init__(self, spec: str, seed: int, *, expect: str = "echo", is_text: bool = False) -> None:
        self.sizes = size_table(spec, seed)
        self.largest = max(self.sizes)
        raw = random.Random(f"pool {seed}").randbytes(OFFSETS + self.largest)
        #: The bodies of what is sent, and of what must come back.
        self.pool = raw.translate(TEXT * 4) if is_text or expect == "upper" else raw
        self.replies = self.pool.upper() if expect == "upper" else self.pool

    def size(self, connection: int, number: int) -> int:
        """Return how many bytes the message has."""
        return self.sizes[mix(connection, number) >> 6 & (TABLE - 1)]

    def message(self, connection: int, number: int) -> bytes:
        """Return what is sent."""
        return self._piece(self.pool, connection, number)

    def reply(self, connection: int, number: int) -> bytes:
        """Return what must come back."""
        return self._piece(self.replies, connection, number)

    def _piece(self, pool: bytes, connection: int, number: int) -> bytes:
        place = mix(connection, number)
        size = self.sizes[place >> 6 & (TABLE - 1)]
        if size <= HEADER:
            return header(connection, number)[:size]
        at = place >> 18
        return header(connection, number) + pool[at : at + size - HEADER]

    def mean_size(self) -> float:
        """Return the mean size in bytes."""
        return sum(self.sizes) / len(self.sizes)
