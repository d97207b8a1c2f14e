"""Secret keys by name, and the text in which they are kept.

A key is a secret of 32 to 64 random bytes and an id that may be told to everybody.  Both ends have the same secret;
whoever has it can be either of them, so a server that has to tell its clients apart gives each a key of its own.
32 bytes are what RFC 2104 asks of HMAC-SHA-256, and beyond 64 the hash would be taken of the key first, which is
one block more: within these bounds every key costs the same time.

**Rotation** is why there are rings.  A ring accepts all its keys and proves itself with the first.  So a new key is
put at the end of the server's ring, then at the head of the clients', and at last the old one is taken out; at no
moment does anybody lack a key that the other end accepts.

**An id that is not in the ring must not be told from a wrong proof**, neither by what is answered nor by how
long that takes.  So a ring has a secret for every id: for those that it does not know, one that nobody knows.

The text has a key a line, the one to prove oneself with first, and comments::

    # made on the first of May
    app-2 base64:Vq2aYQpP...
    app-1 hex:4be1c5a1...

The prefix is not optional: 64 hexadecimal digits are lawful base64, of another secret.  No message of an error, and
no ``repr``, holds a secret or a part of it.  Read next: ``wire``.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Callable, Iterable, Iterator

from reactor.arguments import checked_items
from reactor.errors import KeyRefused

#: Bytes of a secret: at the least, at the most, and in a new key.
SHORTEST, LONGEST, USUAL = 32, 64, 32

#: A secret with fewer different bytes was not drawn at random: of 32 random bytes about 30 differ.
DIFFERENT = 16

#: What an id consists of: it is sent in the open, and stands in logs and in a text that is split at spaces.
ID = re.compile(r"[A-Za-z0-9._@-]{1,64}")


class Key:
    """A secret and its name.  *id* is 1 to 64 ASCII letters, digits and ``. _ @ -``; *secret* is 32 to 64 bytes.

    Raises KeyRefused for anything else, and for bytes that cannot have been drawn at random.
    """

    __slots__ = ("id", "secret")

    def __init__(self, id: str, secret: bytes) -> None:
        _check_id(id)
        if not SHORTEST <= len(secret) <= LONGEST:
            raise KeyRefused(f"the secret of key {id!r} has {len(secret)} bytes: it needs {SHORTEST} to {LONGEST}")
        if len(set(secret)) < DIFFERENT:
            raise KeyRefused(f"the secret of key {id!r} repeats itself too much to be random: make a new one")
        self.id = id
        self.secret = bytes(secret)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}>"


class KeyRing:
    """The keys that are accepted; the first is the one to prove oneself with.  Immutable: to rotate, make another.

    Raises KeyRefused if there is none, or if two have the same id, ArgumentError for what are no keys.
    """

    __slots__ = ("_keys", "_nobody", "first")

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys: dict[str, Key] = {}
        for key in checked_items("keys", keys, Key, "Key"):
            if key.id in self._keys:
                raise KeyRefused(f"there are two keys with the id {key.id!r}")
            self._keys[key.id] = key
        if not self._keys:
            raise KeyRefused("there is no key")
        #: The key to prove oneself with.
        self.first = next(iter(self._keys.values()))
        self._nobody = secrets.token_bytes(USUAL)

    def __iter__(self) -> Iterator[str]:
        """Yield the ids, that of the first key first."""
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {', '.join(self)}>"

    def __contains__(self, id: object) -> bool:
        return id in self._keys

    def secret_of(self, id: str) -> bytes:
        """Return the secret of the key *id*; for an unknown one a secret that nobody has."""
        key = self._keys.get(id)
        return self._nobody if key is None else key.secret


def _check_id(id: str) -> None:
    # Without the text that was given: whoever mistakes the order of the two words has put the secret there.
    if not ID.fullmatch(id):
        raise KeyRefused("a key id, the first word of a line, is 1 to 64 letters, digits and . _ @ - in ASCII")


# -- as text ---------------------------------------------------------------------------------------------------


def new_key(id: str | None = None) -> Key:
    """Return a key with a secret that was drawn at random, and such an id too unless one is given."""
    return Key(f"key-{secrets.token_hex(4)}" if id is None else id, secrets.token_bytes(USUAL))


def format_key(key: Key) -> str:
    """Return the line that ``parse_keys`` reads as *key*, without its end."""
    return f"{key.id} base64:{base64.b64encode(key.secret).decode('ascii')}"


def parse_keys(text: str) -> KeyRing:
    """Return the keys that *text* holds.  Raises KeyRefused, with the number of the line that is at fault."""
    keys = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if words and not words[0].startswith("#"):
            try:
                keys.append(_parsed(words))
            except KeyRefused as exc:
                raise KeyRefused(f"line {number}: {exc}") from None
    return KeyRing(keys)


def _parsed(words: list[str]) -> Key:
    if len(words) != 2:
        raise KeyRefused(f"a line is a key id, a space and a secret, not {len(words)} words")
    id, (form, _, digits) = words[0], words[1].partition(":")
    _check_id(id)
    if form not in DECODERS:
        raise KeyRefused("a secret is written as base64:... or as hex:...")
    try:
        secret = DECODERS[form](digits)
    except ValueError:
        raise KeyRefused(f"the secret of key {id!r} is not {form}") from None
    return Key(id, secret)


#: How a secret may be written.
DECODERS: dict[str, Callable[[str], bytes]] = {
    "base64": lambda digits: base64.b64decode(digits, validate=True),
    "hex": bytes.fromhex,
}
