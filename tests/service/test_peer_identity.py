"""As whom a peer is remembered: one party, one identity, as far as that can be known."""

from __future__ import annotations

from typing import Any

import pytest

from reactor.net.sockets.opening import PeerCredentials
from reactor.service.peer_identity import peer_identity


class Transport:
    """Knows what it is told to know."""

    def __init__(self, **known: Any) -> None:
        self.known = known

    def get_extra_info(self, name: str) -> Any:
        return self.known.get(name)


def identity(host: str, *rest: int) -> object:
    """Return the identity of a peer at an Internet address."""
    return peer_identity(Transport(peername=(host, 4711, *rest)))


def test_the_port_does_not_matter() -> None:
    """It is another one for each connection."""
    first, second = (Transport(peername=("192.0.2.1", port)) for port in (1, 2))
    assert peer_identity(first) == peer_identity(second) != identity("192.0.2.2")


def test_an_ipv6_client_is_known_by_its_network() -> None:
    """Whoever has one address of a network has all of them."""
    assert identity("2001:db8::1", 0, 0) == identity("2001:db8::ffff:2:3", 0, 0)
    assert identity("2001:db8::1", 0, 0) != identity("2001:db8:0:1::1", 0, 0)
    assert identity("fe80::1%eth0", 0, 2) == identity("fe80::2", 0, 2)


def test_an_ipv4_client_is_the_same_on_a_socket_for_both() -> None:
    """There it is written as an IPv6 address, and its network would be that of all of them."""
    assert identity("::ffff:192.0.2.1", 0, 0) == identity("192.0.2.1")
    assert identity("::ffff:192.0.2.1", 0, 0) != identity("::ffff:192.0.2.2", 0, 0)


def test_a_unix_client_is_known_by_its_user() -> None:
    """By the kernel's word; its process may be another each time."""
    first, second = (Transport(peername="", peercred=PeerCredentials(pid, 7, 1)) for pid in (1, 2))
    assert peer_identity(first) == peer_identity(second)
    assert peer_identity(first) != peer_identity(Transport(peername="", peercred=PeerCredentials(1, 8, 1)))


@pytest.mark.parametrize("known", [{}, {"peername": ""}, {"peername": None}])
def test_whoever_cannot_be_told_apart_is_one_peer(known: dict[str, Any]) -> None:
    """An unnamed socket on a system without credentials."""
    assert peer_identity(Transport(**known)) is None


def test_what_is_no_address_is_its_own_origin() -> None:
    """Whatever a foreign transport says."""
    assert identity("somewhere") == "somewhere"
