"""What the two ends of an upload say to each other: messages to bytes and back.  Sans-IO.

Each message is one frame of ``LengthPrefixed(4)``: four bytes of length, then a kind (one ASCII letter), then the
fields of that kind, integers in network order::

    client -> server                                      server -> client
    H  magic(14) version(1)          hello                W  version(1) window(2) data_bytes(4)   welcome
    O  number(4) size(8) key(32) name(1..255)             G  number(4) offset(8)                  go
    D  number(4) bytes(1..data_bytes)                     K  number(4)                            kept
    E  number(4) sha256(32)          end                  R  number(4) reason(1) text(0..1000)    refused
    C  number(4)                     cancel
    B                                busy, both ways: I am at work, be patient

The conversation, for one file; any number of them are under way at once, told apart by ``number``::

    file = O, G, { D }, E, ( K | R | G, { D }, E, ( K | R ) )
         | O, R                      it cannot be taken
         | O, G, { D }, R, C         it could be taken no further; the client confirms that no more of it comes
         | O, G, { D }, C, R         the client gives it up: it has changed, say

The **digest comes last**, so a file is read once, while it is sent.  What a broken transfer is known by is
therefore not its content but the *key*: 32 bytes of the client's choice that it will find again as long as the file
is unchanged.  An offset in *go* that is the size says that all bytes are there, perhaps since long; the digest that
follows decides whether they are the same.  A second *go* says that they were not: once more, from there.

Rejected: the digest first, in the offer.  It is simpler by one message, but a large file would be read twice, and
the first byte would have to wait for the last.  Also rejected: bytes without frames around them, to the end of the
announced size.  A file that shrinks while it is sent could then only be answered by hanging up.

Read next: ``disk``, where the bytes go.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from reactor.errors import MessageMalformed
from reactor.service.upload.names import NAME_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

MAGIC = b"reactor-upload"
VERSION = 1

#: Bytes of a key, and of a digest (SHA-256).
KEY_BYTES = DIGEST_BYTES = 32

#: Bytes of a file in one message, and in the whole frame behind its length.  A client is told the first, and may
#: send less.  Four times as many cost the loop of the receiver three times as much (measured: 1.7 s for a gibibyte,
#: and 0.5): blocks of that size are fetched from the system and given back each time (malloc(3), M_MMAP_THRESHOLD).
DATA_BYTES = 128 * 1024
FRAME_BYTES = DATA_BYTES + 5

#: Files of one connection that may be offered and not yet settled.
WINDOW = 16

#: Bytes of the reason that a refusal gives in words.
TEXT_BYTES = 1000

#: The largest file that can be offered: what an off_t of 64 bits can express.
LARGEST_SIZE = 2**63 - 1


class Reason(IntEnum):
    """Why a file was refused.  The text with it says more."""

    NAME = 1  #: the name cannot be used
    EXISTS = 2  #: the name is taken by something else, which is not overwritten
    QUOTA = 3  #: there is no room for it within the limits of the server
    DIGEST = 4  #: the bytes that arrived do not have the digest that was announced
    STORAGE = 5  #: the disk is full, or failed
    CANCELLED = 6  #: the client gave it up
    STOPPING = 7  #: the server is going down


class Hello(NamedTuple):
    """The client's first message."""

    version: int


class Offer(NamedTuple):
    """A file that the client has; *number* is larger than that of every offer before it on this connection."""

    number: int
    size: int
    key: bytes
    name: bytes


class Data(NamedTuple):
    """The next bytes of a file."""

    number: int
    data: memoryview


class End(NamedTuple):
    """All bytes have been sent, and *digest* is the SHA-256 of the whole file."""

    number: int
    digest: bytes


class Cancel(NamedTuple):
    """No more bytes of this file will come."""

    number: int


class Busy(NamedTuple):
    """A sign of life in the middle of long work."""


class Welcome(NamedTuple):
    """The server's first message: *window* files may be unsettled, *data_bytes* of a file may be in a message."""

    version: int
    window: int
    data_bytes: int


class Go(NamedTuple):
    """Send the bytes from *offset* to the end; those before it are here."""

    number: int
    offset: int


class Kept(NamedTuple):
    """The file is on the disk, under its name, and will still be there after a power failure."""

    number: int


class Refused(NamedTuple):
    """The file is not kept; *reason* is a ``Reason`` if this version knows it."""

    number: int
    reason: int
    text: str


Request = Hello | Offer | Data | End | Cancel | Busy
Reply = Welcome | Go | Kept | Refused | Busy

_HELLO = struct.Struct(f">c{len(MAGIC)}sB")
_OFFER = struct.Struct(f">cIQ{KEY_BYTES}s")
_DATA = struct.Struct(">cI")
_END = struct.Struct(f">cI{DIGEST_BYTES}s")
_NUMBER = struct.Struct(">cI")
_WELCOME = struct.Struct(">cBHI")
_GO = struct.Struct(">cIQ")
_REFUSED = struct.Struct(">cIB")

BUSY = b"B"


# -- to bytes --------------------------------------------------------------------------------------------------


def hello() -> bytes:
    """Return the client's first message."""
    return _HELLO.pack(b"H", MAGIC, VERSION)


def offer(number: int, size: int, key: bytes, name: bytes) -> bytes:
    """Return the offer of a file of *size* bytes."""
    return _OFFER.pack(b"O", number, size, key) + name


def data_head(number: int, size: int) -> bytes:
    """Return what goes before *size* bytes of a file, the length of the frame included: they follow by
    themselves."""
    return struct.pack(">IcI", _DATA.size + size, b"D", number)


def end(number: int, digest: bytes) -> bytes:
    """Return the message that ends a file."""
    return _END.pack(b"E", number, digest)


def cancel(number: int) -> bytes:
    """Return the message that gives a file up."""
    return _NUMBER.pack(b"C", number)


def welcome(window: int, data_bytes: int) -> bytes:
    """Return the server's first message."""
    return _WELCOME.pack(b"W", VERSION, window, data_bytes)


def go(number: int, offset: int) -> bytes:
    """Return the message that asks for the bytes from *offset* on."""
    return _GO.pack(b"G", number, offset)


def kept(number: int) -> bytes:
    """Return the message that acknowledges a file."""
    return _NUMBER.pack(b"K", number)


def refused(number: int, reason: int, text: str) -> bytes:
    """Return the message that refuses a file; *text* is cut to what fits."""
    return _REFUSED.pack(b"R", number, reason) + text.encode(errors="replace")[:TEXT_BYTES]


# -- and back --------------------------------------------------------------------------------------------------


def _hello(frame: bytes) -> Hello:
    _, magic, version = _HELLO.unpack(frame)
    if magic != MAGIC:
        raise MessageMalformed(f"this is no upload: it begins with {magic!r} instead of {MAGIC!r}")
    return Hello(version)


def _offer(frame: bytes) -> Offer:
    if not _OFFER.size < len(frame) <= _OFFER.size + NAME_BYTES:
        raise MessageMalformed(f"an offer with a name of {len(frame) - _OFFER.size} bytes, not 1 to {NAME_BYTES}")
    _, number, size, key = _OFFER.unpack_from(frame)
    if size > LARGEST_SIZE:
        raise MessageMalformed(f"an offer of {size} bytes; no file can be larger than {LARGEST_SIZE}")
    return Offer(number, size, key, frame[_OFFER.size :])


def _data(frame: bytes) -> Data:
    _, number = _DATA.unpack_from(frame)
    if len(frame) == _DATA.size:
        raise MessageMalformed("a message of data without any")
    return Data(number, memoryview(frame)[_DATA.size :])


def _refused(frame: bytes) -> Refused:
    _, number, reason = _REFUSED.unpack_from(frame)
    return Refused(number, reason, printable(frame[_REFUSED.size :][:TEXT_BYTES]))


def _busy(frame: bytes) -> Busy:
    if frame != BUSY:
        raise MessageMalformed(f"a sign of life of {len(frame)} bytes instead of 1")
    return Busy()


#: What each letter stands for, by who may say it.
REQUESTS: dict[bytes, Callable[[bytes], Request]] = {
    b"H": _hello,
    b"O": _offer,
    b"D": _data,
    b"E": lambda frame: End(*_END.unpack(frame)[1:]),
    b"C": lambda frame: Cancel(*_NUMBER.unpack(frame)[1:]),
    b"B": _busy,
}
REPLIES: dict[bytes, Callable[[bytes], Reply]] = {
    b"W": lambda frame: Welcome(*_WELCOME.unpack(frame)[1:]),
    b"G": lambda frame: Go(*_GO.unpack(frame)[1:]),
    b"K": lambda frame: Kept(*_NUMBER.unpack(frame)[1:]),
    b"R": _refused,
    b"B": _busy,
}


def request(frame: bytes) -> Request:
    """Return what a client's *frame* says.  Raises MessageMalformed."""
    message: Request = _decoded(REQUESTS, frame)
    return message


def reply(frame: bytes) -> Reply:
    """Return what a server's *frame* says.  Raises MessageMalformed."""
    message: Reply = _decoded(REPLIES, frame)
    return message


def _decoded(table: Mapping[bytes, Callable[[bytes], Any]], frame: bytes) -> Any:
    kind = frame[:1]
    if kind not in table:
        raise MessageMalformed(f"a message of the unknown kind {kind!r}; there are {b''.join(table)!r}")
    try:
        return table[kind](frame)
    except struct.error:
        raise MessageMalformed(f"a message of the kind {kind!r} cannot have {len(frame)} bytes") from None


def printable(text: bytes) -> str:
    """Return *text*, which came from the network, without anything that a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in text.decode("utf-8", errors="replace"))
