"""Groups: joined on an interface, sent to over one, and left."""

from __future__ import annotations

import socket
import struct
from typing import Any

import pytest

from reactor.errors import AddressError, OptionError
from tests.net.notes import opened, scripted
from tests.net.stage import stage_on


@pytest.mark.parametrize("interface", ["127.0.0.1", "lo", "index"])
def test_members_of_an_ipv4_group_receive_what_is_sent_to_it(poller_name: str, interface: str) -> None:
    """Until they leave; the interface may be given as address, name or number."""
    where: Any = socket.if_nametoindex("lo") if interface == "index" else interface
    with stage_on(poller_name) as stage:
        member, receiver = opened(stage, ("0.0.0.0", 0))
        group = ("239.192.0.77", receiver.get_extra_info("sockname")[1])
        _, sender = opened(stage, ("127.0.0.1", 0))
        try:
            receiver.join_group(group[0], where)
            sender.set_multicast(interface=where, hops=0, loop=True)
        except OSError as exc:
            pytest.skip(f"no multicast on lo: {exc}")
        sender.sendto(b"to all", group)
        stage.until(lambda: member.data or sender.get_protocol().told("error_received"))
        assert member.data == [b"to all"]
        with pytest.raises(OSError, match="member already"):
            receiver.join_group(group[0], where)
        receiver.leave_group(group[0], where)
        with pytest.raises(OSError, match="not a member"):
            receiver.leave_group(group[0], where)


def can_send_to_group(interface: str) -> bool:
    """Return True if this machine has a route for IPv6 multicast over *interface*, which not every loopback has."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        try:
            sock.sendto(b"", ("ff02::77", 9, 0, socket.if_nametoindex(interface)))
        except OSError:
            return False
    return True


def test_members_of_an_ipv6_group_receive_what_is_sent_to_it(poller_name: str) -> None:
    """The interface is given as name, as number, or in the address; the datagram comes back to this machine."""
    interfaces = [name for _, name in socket.if_nameindex() if can_send_to_group(name)]
    if not interfaces:
        pytest.skip("no interface of this machine has a route for IPv6 multicast")
    name, number = interfaces[0], socket.if_nametoindex(interfaces[0])
    with stage_on(poller_name) as stage:
        member, receiver = opened(stage, ("::", 0))
        port = receiver.get_extra_info("sockname")[1]
        _, sender = opened(stage, ("::", 0))
        receiver.join_group("ff02::77", name)
        sender.set_multicast(interface=number, hops=1, loop=True)
        for address in [("ff02::77", port, 0, number), (f"ff02::77%{name}", port), ("ff02::77", port)]:
            sender.sendto(b"to all", address)
        stage.until(lambda: len(member.data) == 3)
        assert member.data == [b"to all"] * 3
        receiver.leave_group("ff02::77", number)


@pytest.mark.parametrize("group", ["127.0.0.1", "223.255.255.255", "240.0.0.1", "::1", "group", ""])
def test_an_address_that_is_no_group_cannot_be_joined(group: str) -> None:
    """The ranges are named in the error."""
    with stage_on() as stage:
        _, endpoint = opened(stage, ("127.0.0.1", 0))
        with pytest.raises(AddressError, match="ff00::/8"):
            endpoint.join_group(group)


@pytest.mark.parametrize("wrong", [{"hops": 256}, {"hops": -1}, {"hops": "1"}, {"interface": "no-such-if"}])
def test_a_multicast_setting_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    """As a value, or because there is no such interface."""
    with stage_on() as stage:
        _, endpoint = opened(stage, ("127.0.0.1", 0))
        with pytest.raises((ValueError, OSError), match=r"hops|no-such-if"):
            endpoint.set_multicast(**wrong)


def test_a_refused_setting_leaves_the_others_as_they_were() -> None:
    """The distance is looked at before the interface is changed: all of a call takes effect, or nothing."""
    with scripted() as (_, sock, _, endpoint):
        before = list(sock.calls)
        with pytest.raises(OptionError, match="hops"):
            endpoint.set_multicast(interface="127.0.0.1", hops=300, loop=False)
        assert sock.calls == before


@pytest.mark.parametrize(
    ("group", "interface", "option", "value"),
    [
        ("224.0.0.1", None, socket.IP_ADD_MEMBERSHIP, bytes([224, 0, 0, 1]) + bytes(4)),
        ("224.0.0.1", "192.0.2.1", socket.IP_ADD_MEMBERSHIP, bytes([224, 0, 0, 1, 192, 0, 2, 1])),
        ("224.0.0.1", 3, socket.IP_ADD_MEMBERSHIP, bytes([224, 0, 0, 1, 0, 0, 0, 0]) + struct.pack("@i", 3)),
        ("ff02::1", None, socket.IPV6_JOIN_GROUP, b"\xff\x02" + bytes(13) + b"\1" + struct.pack("@I", 0)),
        ("ff02::1", 3, socket.IPV6_JOIN_GROUP, b"\xff\x02" + bytes(13) + b"\1" + struct.pack("@I", 3)),
    ],
)
def test_the_kernel_is_given_group_and_interface_in_the_layout_of_the_family(
    group: str, interface: Any, option: int, value: bytes
) -> None:
    """struct ip_mreq, ip_mreqn or ipv6_mreq, see ip(7) and ipv6(7)."""
    family = socket.AF_INET6 if ":" in group else socket.AF_INET
    level = socket.IPPROTO_IPV6 if ":" in group else socket.IPPROTO_IP
    with scripted(family) as (_, sock, _, endpoint):
        endpoint.join_group(group, interface)
        assert ("setsockopt", level, option, value) in sock.calls
