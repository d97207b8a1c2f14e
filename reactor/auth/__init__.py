"""Authentication with a shared key, without a socket in sight.

Two programs that have the same secret prove that to each other, and neither tells it.  Everything in this folder is
sans-IO: bytes and instants go in, bytes or an error come out.  ``reactor.service.gate`` puts it in front of a
protocol on a real connection; ``docs/authentication.md`` says what it protects against and what it does not.

Read in this order: ``keys`` (secrets by name, and rotation), ``wire`` (the messages byte by byte, and what the
proof is made over), ``challenge`` (the state machine).
"""

from __future__ import annotations

from reactor.auth.challenge import AUTHENTICATED, FAILED, Handshake
from reactor.auth.keys import Key, KeyRing, format_key, new_key, parse_keys

__all__ = ["AUTHENTICATED", "FAILED", "Handshake", "Key", "KeyRing", "format_key", "new_key", "parse_keys"]
