"""As whom a peer is remembered: one party, one origin, as far as that can be known."""

from __future__ import annotations

from typing import Any

import pytest

from reactor.net.sockets import PeerCredentials
from reactor.service.origin import origin_of


class Transport:
    """Knows what it is told to know."""

    def __init__(self, **known: Any) -> None:
        self.known = known

    def get_extra_info(self, name: str) -> Any:
        return self.known.get(name)


def origin(host: str, *rest: int) -> object:
    """Return the origin of a peer at an Internet address."""
    return origin_of(Transport(peername=(host, 4711, *rest)))


def test_the_port_does_not_matter() -> None:
    """It is another one for each connection."""
    first, second = (Transport(peername=("192.0.2.1", port)) for port in (1, 2))
    assert origin_of(first) == origin_of(second) != origin("192.0.2.2")


def test_an_ipv6_client_is_known_by_its_network() -> None:
    """Whoever has one address of a network has all of them."""
    assert origin("2001:db8::1", 0, 0) == origin("2001:db8::ffff:2:3", 0, 0)
    assert origin("2001:db8::1", 0, 0) != origin("2001:db8:0:1::1", 0, 0)
    assert origin("fe80::1%eth0", 0, 2) == origin("fe80::2", 0, 2)


def test_an_ipv4_client_is_the_same_on_a_socket_for_both() -> None:
    """There it is written as an IPv6 address, and its network would be that of all of them."""
    assert origin("::ffff:192.0.2.1", 0, 0) == origin("192.0.2.1")
    assert origin("::ffff:192.0.2.1", 0, 0) != origin("::ffff:192.0.2.2", 0, 0)


def test_a_unix_client_is_known_by_its_user() -> None:
    """By the kernel's word; its process may be another each time."""
    first, second = (Transport(peername="", peercred=PeerCredentials(pid, 7, 1)) for pid in (1, 2))
    assert origin_of(first) == origin_of(second)
    assert origin_of(first) != origin_of(Transport(peername="", peercred=PeerCredentials(1, 8, 1)))


@pytest.mark.parametrize("known", [{}, {"peername": ""}, {"peername": None}])
def test_whoever_cannot_be_told_apart_is_one_peer(known: dict[str, Any]) -> None:
    """An unnamed socket on a system without credentials."""
    assert origin_of(Transport(**known)) is None


def test_what_is_no_address_is_its_own_origin() -> None:
    """Whatever a foreign transport says."""
    assert origin("somewhere") == "somewhere"
