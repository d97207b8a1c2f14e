"""Two sides of a handshake without a network, and the frames that they exchange."""

from __future__ import annotations

from typing import Any, NamedTuple

from reactor.auth import Handshake, Key, KeyRing

#: Secrets that look random; those of keys with the same name differ where a test says so.
SECRET = bytes(range(32))
ANOTHER_SECRET = bytes(range(100, 164))

RING = KeyRing([Key("app-1", SECRET)])

#: Handshakes begin at 0 and are over at this instant.
DEADLINE = 10.0


def server_of(ring: KeyRing = RING, **options: Any) -> Handshake:
    """Return a server at its beginning."""
    return Handshake("server", ring, deadline=DEADLINE, **options)


def client_of(ring: KeyRing = RING, **options: Any) -> Handshake:
    """Return a client at its beginning."""
    return Handshake("client", ring, deadline=DEADLINE, **options)


class Run(NamedTuple):
    """The frames of one handshake that went well."""

    challenge: bytes
    response: bytes
    acceptance: bytes


def run_of(server: Handshake, client: Handshake) -> Run:
    """Have both sides talk to the end, and return what they said."""
    challenge = server.opening
    response = client.receive(challenge, 0.0)
    acceptance = server.receive(response, 0.0)
    assert client.receive(acceptance, 0.0) == b""
    return Run(challenge, response, acceptance)
