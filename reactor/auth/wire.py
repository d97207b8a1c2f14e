"""The four messages of the handshake, byte by byte, and the proof that is made over them.

A message is a frame: its length in four bytes, most significant first, and then that many bytes, at most
``FRAME_BYTES`` of them.  Longer ones are refused at their header, so before the peer is known nothing of it is
kept that is larger.  The fields of the four kinds stand in ``LAYOUTS``, a table that both ``packed`` and
``parsed`` obey:

    offset  bytes   what
    0       4       length of what follows
    4       3       "rxa"
    7       1       version of the handshake: 1
    8       1       kind: 1 challenge, 2 response, 3 acceptance, 4 refusal

    challenge, from the server
    9       1       n, 1 to 8: how many algorithms the server takes
    10      n       their numbers, the largest first: 2 HMAC-SHA-512, 1 HMAC-SHA-256
    10+n    32      the server's nonce

    response, from the client
    9       1       m, 1 to 8: how many algorithms the client takes
    10      m       their numbers, the largest first
    10+m    1       the algorithm of both proofs: the largest number that is in both lists
    11+m    1       k, 1 to 64
    12+m    k       id of the key, in ASCII
    12+m+k  32      the client's nonce
    44+m+k  32, 64  the client's proof, as long as the algorithm's digest

    acceptance, from the server                    refusal, from the server
    9       32, 64  the server's proof             9       1       reason: 1 no proof, 2 not understood, 3 later

**The proof** is an HMAC, keyed with the secret, of everything that was said, in the very bytes in which it was,
behind what was not said but is meant::

    "reactor handshake 1" 00, role, length of the context in two bytes, context, transcript

    role        43 ("C") in the client's proof, 53 ("S") in the server's
    context     what both sides know without being told: for whom this is meant.  May be empty
    transcript  the challenge and the response, with their lengths: in the client's proof up to where the proof
                begins, in the server's including the client's proof

Every part is of fixed length or behind its length, so no two conversations give the same bytes.  What each part is
for, that is, which attack succeeds without it:

    the server's nonce       a response that was recorded is sent again
    the client's nonce       an acceptance that was recorded is sent again
    role                     a side's own proof is sent back to it
    lists of algorithms      somebody strikes the better ones from them on the way
    id of the key            a proof is presented under another name of the same secret
    context                  a server to whom the client did come passes everything on to another one, with the same
                             key, and is taken for the client there
    label with the version   a MAC with the same key that some other program has made, or another version of this

A number of an algorithm that is not known is skipped, but authenticated; a stronger one gets a larger number, and
nothing weaker than SHA-256 is ever added.

Rejected: a TLV encoding (several spellings of one message), digests of the parts instead of their bytes (nothing is
gained at this size), truncated digests, and a client that speaks first and is answered with a proof (whoever asks
would be given a MAC with the secret key, of bytes that he has chosen half of).  Read next: ``challenge``.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import NamedTuple

from reactor.errors import AuthenticationFailed, OptionError

#: The longest message of this version has 176; a later one may be longer, and is still told from noise.
FRAME_BYTES = 256

#: Bytes of the length before a message.
HEAD_BYTES = 4

MAGIC, VERSION = b"rxa", 1

LABEL = b"reactor handshake 1\0"

CLIENT, SERVER = b"C", b"S"

NONCE_BYTES = 32

#: The longest context: a name, an address, a channel binding.
CONTEXT_BYTES = 1024

#: The hash of each algorithm, by its number.  The larger the stronger.
ALGORITHMS = {1: "sha256", 2: "sha512"}
PROOF_BYTES = {1: 32, 2: 64}

CHALLENGE, RESPONSE, ACCEPTANCE, REFUSAL = 1, 2, 3, 4

#: Reasons of a refusal.
NO_PROOF, NOT_UNDERSTOOD, LATER = 1, 2, 3


class Field(NamedTuple):
    """One field: its least and its greatest length, and whether one byte before it says which.

    A field of variable length without such a byte is the last, and takes what is left.
    """

    name: str
    least: int
    most: int
    is_counted: bool = False


_ALGORITHMS = Field("algorithms", 1, 8, is_counted=True)
_NONCE = Field("nonce", NONCE_BYTES, NONCE_BYTES)
_PROOF = Field("proof", 32, 64)

LAYOUTS: dict[int, tuple[Field, ...]] = {
    CHALLENGE: (_ALGORITHMS, _NONCE),
    RESPONSE: (_ALGORITHMS, Field("chosen", 1, 1), Field("key_id", 1, 64, is_counted=True), _NONCE, _PROOF),
    ACCEPTANCE: (_PROOF,),
    REFUSAL: (Field("reason", 1, 1),),
}


class Message(NamedTuple):
    """A message: its kind, its fields by name, and the frame, length and all, that they were read from."""

    kind: int
    fields: dict[str, bytes]
    frame: bytes


def packed(kind: int, **fields: bytes) -> bytes:
    """Return the frame of a message, with its length, of all the fields that ``LAYOUTS`` names."""
    body = MAGIC + bytes((VERSION, kind))
    for field in LAYOUTS[kind]:
        value = fields[field.name]
        assert field.least <= len(value) <= field.most, field.name
        body += bytes((len(value),)) * field.is_counted + value
    return len(body).to_bytes(HEAD_BYTES, "big") + body


def parsed(frame: bytes) -> Message:
    """Return the message in *frame*, a whole one with its length.  Raises AuthenticationFailed for what is none."""
    body = frame[HEAD_BYTES:]
    if body[: len(MAGIC)] != MAGIC:
        raise AuthenticationFailed("what it sent is no message of the handshake")
    version, kind = body[3:4], body[4:5]
    if version != bytes((VERSION,)):
        raise AuthenticationFailed(f"it speaks version {version.hex()} of the handshake, this side {VERSION:02x}")
    layout = LAYOUTS.get(int.from_bytes(kind, "big"))
    if layout is None:
        raise AuthenticationFailed(f"there is no message of kind {kind.hex()!r} in the handshake")
    return Message(kind[0], _fields(layout, body[5:]), frame)


def _fields(layout: tuple[Field, ...], rest: bytes) -> dict[str, bytes]:
    found = {}
    for field in layout:
        if field.is_counted:
            size, rest = int.from_bytes(rest[:1], "big"), rest[1:]
        else:
            size = field.most if field.least == field.most else len(rest)
        found[field.name], rest = rest[:size], rest[size:]
        if not (field.least <= size <= field.most and len(found[field.name]) == size):
            raise AuthenticationFailed(f"a message is malformed at its field {field.name!r}")
    if rest:
        raise AuthenticationFailed(f"a message has {len(rest)} bytes too many")
    return found


# -- algorithms and proofs -------------------------------------------------------------------------------------


def numbers_of(names: Iterable[str]) -> bytes:
    """Return the list that is sent for the algorithms *names*, "sha512" and "sha256", the strongest first.

    Raises OptionError for other names, and for none at all.
    """
    numbers = {name: number for number, name in ALGORITHMS.items()}
    wanted = set(names)
    if not wanted or wanted - numbers.keys():
        raise OptionError(f"algorithms are some of {', '.join(numbers)}, not {', '.join(sorted(wanted)) or 'none'}")
    return bytes(sorted((numbers[name] for name in wanted), reverse=True))


def strongest(ours: bytes, theirs: bytes) -> int:
    """Return the largest number that is in both lists.

    Raises AuthenticationFailed if there is none, or if *theirs*, which the peer has sent, is not in order.
    """
    if list(theirs) != sorted(set(theirs), reverse=True):
        raise AuthenticationFailed("its list of algorithms is out of order")
    common = set(ours) & set(theirs)
    if not common:
        raise AuthenticationFailed(f"it takes the algorithms {list(theirs)}, and this side {list(ours)}")
    return max(common)


def proof(algorithm: int, secret: bytes, role: bytes, context: bytes, *transcript: bytes) -> bytes:
    """Return the proof of *role* over the pieces of the *transcript*; see the head of this module."""
    said = b"".join((LABEL, role, len(context).to_bytes(2, "big"), context, *transcript))
    return hmac.digest(secret, said, ALGORITHMS[algorithm])
