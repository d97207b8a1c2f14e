"""Opening listeners and datagram sockets: what is opened, what is undone, and what the errors say."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from reactor.errors import AddressError, BindFailed, OptionError, ResolutionFailed
from reactor.net.sockets.opening import PORT_TRIES, SocketOptions, open_datagram_socket, open_tcp_listeners
from reactor.ops import Ops
from reactor.testing import ScriptedOps, ScriptedSocket

OPS = Ops()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Closes what a test enters into it."""
    with ExitStack() as stack:
        yield stack


def listen(stack: ExitStack, host: str | None, port: int = 0, **keywords: Any) -> list[socket.socket]:
    """Open TCP listeners that are closed at the end of the test."""
    ops = keywords.pop("ops", OPS)
    return [stack.enter_context(sock) for sock in open_tcp_listeners(ops, host, port, backlog=8, **keywords)]


def can_connect(family: int, address: Any) -> bool:
    """Return True if somebody listens on *address*."""
    with socket.socket(family) as client:
        return client.connect_ex(address) == 0


# -- TCP -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", [None, ""])
def test_one_socket_takes_both_families_when_the_host_is_every_interface(
    stack: ExitStack, host: str | None
) -> None:
    """A dual-stack socket: one port, one queue."""
    [sock] = listen(stack, host)
    port = sock.getsockname()[1]
    assert sock.family == socket.AF_INET6
    assert not sock.getblocking()
    assert can_connect(socket.AF_INET, ("127.0.0.1", port))
    assert can_connect(socket.AF_INET6, ("::1", port))


def test_an_ipv4_socket_takes_its_place_when_the_system_has_no_ipv6(stack: ExitStack) -> None:
    """EAFNOSUPPORT for IPv6 is no reason not to serve IPv4."""
    ops = ScriptedOps()
    ops.script("socket", OSError(errno.EAFNOSUPPORT, "no IPv6"))
    [sock] = listen(stack, None, ops=ops)
    assert sock.getsockname()[0] == "0.0.0.0"


def test_nothing_takes_its_place_when_dual_stack_is_demanded() -> None:
    """dual_stack=True is a demand, not a wish."""
    ops = ScriptedOps()
    ops.script("socket", OSError(errno.EAFNOSUPPORT, "no IPv6"))
    with pytest.raises(BindFailed) as caught:
        open_tcp_listeners(ops, None, 0, backlog=8, dual_stack=True)
    assert caught.value.errno == errno.EAFNOSUPPORT


def test_each_family_has_a_socket_and_both_one_port_when_dual_stack_is_refused(stack: ExitStack) -> None:
    """dual_stack=False: two sockets, and port 0 still means one port."""
    sockets = listen(stack, None, dual_stack=False)
    assert [sock.family for sock in sockets] == [socket.AF_INET6, socket.AF_INET]
    assert len({sock.getsockname()[1] for sock in sockets}) == 1


def test_an_explicit_ipv6_host_leaves_ipv4_alone(stack: ExitStack) -> None:
    """IPV6_V6ONLY is on, whatever the system's default is."""
    [sock] = listen(stack, "::1")
    assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1


def test_every_address_of_a_name_is_listened_on_with_one_port(stack: ExitStack) -> None:
    """Duplicates count once, and the look-up can be spared."""
    local4 = (socket.AF_INET, socket.SOCK_STREAM, 6, ("127.0.0.1", 0))
    local6 = (socket.AF_INET6, socket.SOCK_STREAM, 6, ("::1", 0, 0, 0))
    sockets = listen(stack, "some.name", addresses=[local6, local4, local6])
    assert [sock.getsockname()[0] for sock in sockets] == ["::1", "127.0.0.1"]
    assert len({sock.getsockname()[1] for sock in sockets}) == 1


def test_another_port_is_chosen_when_the_first_is_taken_in_the_other_family(stack: ExitStack) -> None:
    """The first attempt is undone: its socket is closed, and both are opened anew."""
    first, *rest = (ScriptedSocket() for _ in range(4))
    first.script("getsockname", ("::1", 4711, 0, 0))
    rest[1].script("getsockname", ("::1", 4712, 0, 0))
    rest[0].script("bind", OSError(errno.EADDRINUSE, "in use"))
    ops = ScriptedOps()
    ops.script("socket", first, *rest)
    ends = [(socket.AF_INET6, 1, 6, ("::1", 0, 0, 0)), (socket.AF_INET, 1, 6, ("127.0.0.1", 0))]
    sockets = open_tcp_listeners(ops, "x", 0, backlog=8, addresses=ends)
    assert sockets == rest[1:]
    assert ("close",) in first.calls
    assert ("close",) in rest[0].calls
    assert ("bind", ("127.0.0.1", 4711)) in rest[0].calls
    assert ("bind", ("127.0.0.1", 4712)) in rest[2].calls


def test_an_address_that_the_machine_lacks_is_passed_over_when_the_name_has_another(stack: ExitStack) -> None:
    """"localhost" is ::1 too in many a file, on machines without IPv6."""
    ends = [(socket.AF_INET, 1, 6, ("203.0.113.1", 0)), (socket.AF_INET, 1, 6, ("127.0.0.1", 0))]
    [sock] = listen(stack, "x", addresses=ends)
    assert sock.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize(("method", "number"), [("setsockopt", 1), ("bind", 2), ("listen", 3)])
def test_nothing_stays_open_when_a_later_step_fails(method: str, number: int) -> None:
    """Whatever step of the second socket fails, both sockets are closed and the errno is kept."""
    sockets = [ScriptedSocket(), ScriptedSocket()]
    sockets[1].script(method, OSError(errno.EPERM, "not today"))
    ops = ScriptedOps()
    ops.script("socket", *sockets)
    ends = [(socket.AF_INET, 1, 6, (f"127.0.0.{last}", 0)) for last in (1, 2)]
    with pytest.raises((BindFailed, OptionError)):
        open_tcp_listeners(ops, "x", 80, backlog=8, addresses=ends)
    assert [sock.fileno() for sock in sockets] == [-1, -1]


def test_the_error_names_the_holder_when_the_port_is_taken(stack: ExitStack) -> None:
    """EADDRINUSE says where, and on Linux who; wildcard and exact addresses are recognised as rivals."""
    [sock] = listen(stack, "127.0.0.1")
    port = sock.getsockname()[1]
    with pytest.raises(BindFailed, match="this process") as caught:
        open_tcp_listeners(OPS, "127.0.0.1", port, backlog=8)
    assert caught.value.errno == errno.EADDRINUSE
    assert f"127.0.0.1:{port}" in str(caught.value)
    with pytest.raises(BindFailed, match="this process"):
        open_tcp_listeners(OPS, None, port, backlog=8)


def test_the_error_says_that_the_address_is_elsewhere_when_no_interface_has_it() -> None:
    """EADDRNOTAVAIL: 203.0.113.0/24 is reserved for documentation, no machine has it."""
    with pytest.raises(BindFailed, match="no interface") as caught:
        open_tcp_listeners(OPS, "203.0.113.1", 0, backlog=8)
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_the_error_names_the_setting_when_the_port_is_privileged() -> None:
    """EACCES on a low port: what to have, or what to change."""
    sock = ScriptedSocket()
    sock.script("bind", PermissionError(errno.EACCES, "denied"))
    ops = ScriptedOps()
    ops.script("socket", sock)
    with pytest.raises(BindFailed, match="ip_unprivileged_port_start"):
        open_tcp_listeners(ops, "127.0.0.1", 80, backlog=8)


def test_the_first_unavailable_address_is_told_when_all_are() -> None:
    """None of them is on this machine."""
    ends = [(socket.AF_INET, 1, 6, (f"203.0.113.{last}", 0)) for last in (1, 2)]
    with pytest.raises(BindFailed, match=r"203\.0\.113\.1") as caught:
        open_tcp_listeners(OPS, "x", 0, backlog=8, addresses=ends)
    assert caught.value.errno == errno.EADDRNOTAVAIL
    with pytest.raises(AddressError, match="no address to listen on"):
        open_tcp_listeners(OPS, "x", 0, backlog=8, addresses=[])


def test_looking_for_a_common_port_ends() -> None:
    """After so many collisions the error is told."""
    sockets = [ScriptedSocket() for _ in range(2 * PORT_TRIES)]
    for sock in sockets[1::2]:
        sock.script("bind", OSError(errno.EADDRINUSE, "in use"))
    ops = ScriptedOps().script("socket", *sockets)
    ends = [(socket.AF_INET, 1, 6, (f"127.0.0.{last}", 0)) for last in (1, 2)]
    with pytest.raises(BindFailed) as caught:
        open_tcp_listeners(ops, "x", 0, backlog=8, addresses=ends)
    assert caught.value.errno == errno.EADDRINUSE
    assert [sock.fileno() for sock in sockets] == [-1] * len(sockets)


def test_a_name_without_addresses_is_a_failed_resolution() -> None:
    """The cause is what the system said."""
    ops = ScriptedOps()
    ops.script("getaddrinfo", socket.gaierror(socket.EAI_NONAME, "unknown"))
    with pytest.raises(ResolutionFailed) as caught:
        open_tcp_listeners(ops, "no.such.name", 0, backlog=8)
    assert isinstance(caught.value.__cause__, socket.gaierror)


@pytest.mark.parametrize("port", [-1, 65536, "80"])
def test_a_port_out_of_range_is_refused_before_anything_is_opened(port: Any) -> None:
    """The system is not asked."""
    ops = ScriptedOps()
    with pytest.raises(AddressError):
        open_tcp_listeners(ops, None, port, backlog=8)
    assert not ops.calls


@pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="no SO_REUSEPORT")
def test_a_port_is_shared_when_both_listeners_say_so(stack: ExitStack) -> None:
    """reuse_port in both: two sockets, two queues, one port."""
    options = SocketOptions(reuse_port=True)
    [first] = listen(stack, "127.0.0.1", options=options)
    [second] = listen(stack, "127.0.0.1", first.getsockname()[1], options=options)
    assert first.getsockname() == second.getsockname()


# -- datagrams -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("local", "remote", "family"),
    [
        (None, None, socket.AF_INET),
        (("127.0.0.1", 0), None, socket.AF_INET),
        (("::1", 0), None, socket.AF_INET6),
        (("", 0), None, socket.AF_INET6),
        (("", 0), ("127.0.0.1", 9), socket.AF_INET),
        (None, ("::1", 9), socket.AF_INET6),
        (None, ("127.0.0.1", 9), socket.AF_INET),
    ],
)
def test_a_datagram_socket_has_the_family_that_its_addresses_need(
    stack: ExitStack, local: Any, remote: Any, family: int
) -> None:
    """Every interface means both families, unless the other end decides."""
    sock = stack.enter_context(open_datagram_socket(OPS, local, remote))
    assert (sock.family, sock.type, sock.getblocking()) == (family, socket.SOCK_DGRAM, False)


def test_the_broadcast_address_and_permission_to_use_it_mean_ipv4(stack: ExitStack) -> None:
    """IPv6 has no broadcast."""
    options = SocketOptions(broadcast=True)
    everywhere = stack.enter_context(open_datagram_socket(OPS, ("", 0), options=options))
    assert everywhere.getsockname()[0] == "0.0.0.0"
    ops = ScriptedOps().script("socket", sock := ScriptedSocket(kind=socket.SOCK_DGRAM))
    open_datagram_socket(ops, None, ("<broadcast>", 9), options=options)
    assert ("connect", ("255.255.255.255", 9)) in sock.calls


def test_a_datagram_socket_is_ipv4_when_the_system_has_no_ipv6(stack: ExitStack) -> None:
    """As for listeners; and if neither is there, the first error is told."""
    ops = ScriptedOps().script("socket", OSError(errno.EAFNOSUPPORT, "no IPv6"))
    sock = stack.enter_context(open_datagram_socket(ops, ("", 0)))
    assert sock.family == socket.AF_INET
    ops.script("socket", OSError(errno.EAFNOSUPPORT, "no IPv6"), OSError(errno.EAFNOSUPPORT, "no IPv4"))
    with pytest.raises(BindFailed, match=r"\[::\]:0"):
        open_datagram_socket(ops, ("", 0))


@pytest.mark.parametrize(
    ("local", "remote"),
    [
        (("127.0.0.1", 0), ("::1", 9)),
        (("127.0.0.1", 0), "/run/x"),
        ("/run/x", ("127.0.0.1", 9)),
        (("127.0.0.1",), None),
        (("127.0.0.1", "9"), None),
    ],
)
def test_addresses_that_do_not_go_together_are_refused(local: Any, remote: Any) -> None:
    """One socket has one family."""
    with pytest.raises(AddressError):
        open_datagram_socket(OPS, local, remote)


def test_the_path_is_removed_again_when_the_remote_path_has_nobody(tmp_path: Path) -> None:
    """Connecting comes after binding, and undoes it."""
    with pytest.raises(BindFailed, match="cannot send datagrams") as caught:
        open_datagram_socket(OPS, str(tmp_path / "me"), str(tmp_path / "you"))
    assert caught.value.errno == errno.ENOENT
    assert not (tmp_path / "me").exists()


def test_a_port_in_use_is_said_to_be_so_when_nothing_more_can_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """After chroot(2), say: who has the port is not known then, and the error is the same."""
    monkeypatch.setitem(sys.modules, "reactor.net.sockets.port_holder", None)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(BindFailed, match="another program has it"):
        open_tcp_listeners(Ops(), *taken.getsockname(), backlog=1)
