"""Datagram endpoints against the plain blocking sockets of a textbook: broadcast, both families, every address."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from reactor.errors import AddressError
from tests.net.blocking import beside
from tests.net.interfaces import link_local
from tests.net.notes import Notes, echo
from tests.net.stage import PATIENCE, stage_on

pytestmark = pytest.mark.usefixtures("accel")  # pure: a call for each datagram; native: batches


@contextmanager
def plain(host: str = "127.0.0.1", **options: int) -> Iterator[socket.socket]:
    """A blocking datagram socket, as in the book, but with a timeout; *options* are those of SOL_SOCKET."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        for name, value in options.items():
            sock.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
        sock.bind((host, 0))
        sock.settimeout(PATIENCE)
        yield sock


def upper(me: Notes, data: bytes, address: Any) -> None:
    """A reaction: the textbook's server."""
    me.transport.sendto(data.upper(), address)


def test_a_textbook_client_is_answered_empty_datagrams_included(poller_name: str) -> None:
    """sendto, recvfrom, in a loop; nobody hangs at the empty one."""
    with stage_on(poller_name) as stage, plain() as client:
        server = stage.open_datagram(lambda: Notes(datagram_received=upper), ("127.0.0.1", 0))
        address = server.get_extra_info("sockname")

        def conversation() -> list[Any]:
            answers = []
            for message in (b"hello", b"", b"123 \xff"):
                client.sendto(message, address)
                answers.append(client.recvfrom(1024))
            return answers

        assert beside(stage, conversation) == [(data, address) for data in (b"HELLO", b"", b"123 \xff")]


@pytest.mark.parametrize("target", ["<broadcast>", "127.255.255.255"])
def test_a_broadcast_reaches_a_plain_socket_when_it_is_permitted(poller_name: str, target: str) -> None:
    """By Python's name for everybody on this network, or by the address of one network."""
    with stage_on(poller_name) as stage, plain("0.0.0.0") as receiver:
        sender = Notes()
        endpoint = stage.open_datagram(lambda: sender, broadcast=True)
        endpoint.sendto(b"to all", (target, receiver.getsockname()[1]))
        stage.settle()
        if sender.told("error_received"):
            pytest.skip(f"no network that takes broadcasts: {sender.told('error_received')[0]}")
        assert receiver.recvfrom(100)[0] == b"to all"


def test_a_broadcast_of_a_plain_socket_is_received_and_answered(poller_name: str) -> None:
    """'' is every interface; the answer goes to the sender alone."""
    with stage_on(poller_name) as stage, plain(SO_BROADCAST=1) as client:
        for options in ({"broadcast": True}, {}):
            server = stage.open_datagram(lambda: Notes(datagram_received=echo), ("", 0), **options)
            port = server.get_extra_info("sockname")[1]
            client.sendto(b"who is there?", ("127.255.255.255", port))
            data, address = beside(stage, client.recvfrom, 100)
            assert (data, address[1]) == (b"who is there?", port)


def test_a_broadcast_is_an_error_when_it_is_not_permitted(poller_name: str) -> None:
    """EACCES: the keyword is missing, and the endpoint lives on.  A fixed peer is refused at once."""
    with stage_on(poller_name) as stage:
        notes = Notes()
        endpoint = stage.open_datagram(lambda: notes, ("127.0.0.1", 0))
        endpoint.sendto(b"x", ("127.255.255.255", 9))
        stage.settle()
        assert [exc.errno for exc in notes.told("error_received")] == [errno.EACCES]
        with pytest.raises(OSError, match="EACCES"):
            stage.open_datagram(Notes, remote=("127.255.255.255", 9))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_one_endpoint_serves_plain_clients_of_both_families(poller_name: str, host: str) -> None:
    """'' takes IPv4 and IPv6; a 4-tuple goes back as it came."""
    with stage_on(poller_name) as stage, plain(host) as client:
        notes = Notes(datagram_received=upper)
        server = stage.open_datagram(lambda: notes, ("", 0))
        port = server.get_extra_info("sockname")[1]
        client.sendto(b"hello", (host, port))
        data, address = beside(stage, client.recvfrom, 100)
        assert (data, address[:2]) == (b"HELLO", (host, port))
        [sender] = [call[2] for call in notes.calls if call[0] == "datagram_received"]
        assert len(sender) == 4
        assert sender[0] == ("::1" if host == "::1" else "::ffff:127.0.0.1")


def test_a_link_local_address_is_bound_connected_and_sent_to_on_its_interface(poller_name: str) -> None:
    """As a zone in the text, or as the scope of a 4-tuple, in every place where an address is given."""
    number, interface, index = link_local()
    zone = f"{number}%{interface}"
    forms: list[Any] = [(zone, 0), (zone, 0, 0, 0), (f"{number}%{index}", 0), (number, 0, 0, index)]
    with stage_on(poller_name) as stage:
        for form in forms:
            notes = Notes()
            server = stage.open_datagram(lambda notes=notes: notes, form)
            address = server.get_extra_info("sockname")
            assert address[3] == index
            target = (form[0], address[1], *form[2:])
            stage.open_datagram(Notes, remote=target).sendto(b"connected")
            stage.open_datagram(Notes, form).sendto(b"sent to", target)
            stage.until(lambda notes=notes: len(notes.data) == 2)
            assert sorted(notes.data) == [b"connected", b"sent to"]
        with pytest.raises(AddressError, match="on no interface"):
            server.sendto(b"x", ("fe80::1%no-such-if", 9))


@pytest.mark.parametrize(("local", "remote"), [(("127.0.0.1", 0), ("::1", 9)), (("::1", 0), ("127.0.0.1", 9))])
def test_ends_of_two_families_are_refused(local: Any, remote: Any) -> None:
    """There is no socket that could do that."""
    with stage_on() as stage, pytest.raises(AddressError, match="family in common"):
        stage.open_datagram(Notes, local, remote)
