"""Point by point what socket.create_connection promises, with plain blocking servers at the other end."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from reactor.errors import ConnectFailed, ConnectTimeout, ResolutionFailed
from tests.net.caller import Caller
from tests.net.interfaces import link_local
from tests.net.name_service import NameService, found
from tests.net.stage import Stage, stage_on

LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Closes what a test enters into it."""
    with ExitStack() as stack:
        yield stack


def server(stack: ExitStack, host: str = "127.0.0.1", port: int = 0, backlog: int = 8) -> socket.socket:
    """Return a plain listening socket."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return stack.enter_context(socket.create_server((host, port), family=family, backlog=backlog))


def told(stage: Stage, host: str, port: int, **keywords: Any) -> Any:
    """Connect, and return the one word that the protocol is told."""
    caller = Caller()
    stage.connect_tcp(lambda: caller, host, port, **keywords)
    stage.until(lambda: caller.words)
    return caller.words[0]


def accepted_from(listener: socket.socket) -> Any:
    """Accept a connection, close it, and return where it came from."""
    sock, address = listener.accept()
    sock.close()
    return address


def unasked_port(host: str) -> int:
    """Return a free port below those that the kernel gives to sockets that ask for any: nobody else comes by it."""
    for port in range(20_000 + os.getpid() % 8_000, 32_000):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock, suppress(OSError):
            sock.bind((host, port))
            return port
    pytest.fail("no port is free below 32,000")


def test_every_address_of_a_name_is_tried_until_one_answers(poller_name: str, stack: ExitStack) -> None:
    """In the order of the resolver, both families; the others are not even begun."""
    listener = server(stack)
    names = NameService({("getaddrinfo", "x"): found("127.0.0.7", "127.0.0.8", "127.0.0.1", "127.0.0.9")})
    with stage_on(poller_name, ops=names) as stage:
        caller = Caller()
        connector = stage.connect_tcp(lambda: caller, "x", listener.getsockname()[1])
        stage.until(lambda: caller.words)
        assert caller.words == [connector.stream]
        assert [address[0] for address, _ in connector.attempts] == ["127.0.0.7", "127.0.0.8"]


@pytest.mark.parametrize("numbers", [("127.0.0.7",), ("::1", "127.0.0.7", "127.0.0.8")])
def test_the_error_number_is_that_of_the_last_address_when_none_answers(
    poller_name: str, numbers: tuple[str, ...]
) -> None:
    """As create_connection raises it and connect_ex returns it; what each address said is there too."""
    with stage_on(poller_name, ops=NameService({("getaddrinfo", "x"): found(*numbers)})) as stage:
        with socket.socket() as reserved:
            reserved.bind(("127.0.0.7", 0))
            port = reserved.getsockname()[1]
            with socket.socket() as plain:
                wanted = plain.connect_ex(("127.0.0.7", port))
            failure = told(stage, "x", port)
        assert type(failure) is ConnectFailed
        assert isinstance(failure, ConnectionError)
        assert failure.errno == wanted
        assert sorted(address[0] for address, _ in failure.attempts) == sorted(numbers)  # type: ignore[index]


def test_a_name_that_nobody_knows_is_a_gaierror(poller_name: str) -> None:
    """With its number, as for every caller of getaddrinfo."""
    with stage_on(poller_name, ops=NameService()) as stage:
        failure = told(stage, "no.such.name", 80)
        assert isinstance(failure, socket.gaierror)
        assert type(failure) is ResolutionFailed
        assert failure.errno == socket.EAI_NONAME


def test_a_silent_address_is_given_up_in_time(poller_name: str, stack: ExitStack) -> None:
    """A listener whose queue is full says nothing at all: TimeoutError, for all addresses together."""
    listener = server(stack, backlog=0)
    with stage_on(poller_name) as stage:
        waiting = [stack.enter_context(socket.socket()) for _ in range(4)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        failure = told(stage, *listener.getsockname(), timeout=0.05)
        assert type(failure) is ConnectTimeout
        assert isinstance(failure, TimeoutError)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("host", ["", "number"])
@pytest.mark.parametrize("is_fixed", [True, False])
def test_a_connection_comes_from_the_local_address(
    poller_name: str, stack: ExitStack, family: socket.AddressFamily, host: str, is_fixed: bool
) -> None:
    """An empty host is any address of this machine, port 0 any port; a fixed port is just that port."""
    listener = server(stack, LOOPBACK[family])
    port = unasked_port(LOOPBACK[family]) if is_fixed else 0
    local = ("" if host == "" else LOOPBACK[family], port)
    with stage_on(poller_name) as stage:
        stream = told(stage, *listener.getsockname()[:2], local_address=local)
        assert not isinstance(stream, Exception), stream
        came_from = accepted_from(listener)
        assert came_from[0] == LOOPBACK[family]
        assert came_from == stream.get_extra_info("sockname")
        assert came_from[1] == port or not is_fixed


def test_a_link_local_address_may_name_its_interface_or_its_number(poller_name: str, stack: ExitStack) -> None:
    """%eth0, %2, or the fourth item of the tuple that getsockname gives."""
    number, interface, index = link_local()
    listener = stack.enter_context(socket.socket(socket.AF_INET6))
    listener.bind((number, 0, 0, index))
    listener.listen()
    port = listener.getsockname()[1]
    with stage_on(poller_name) as stage:
        for local in [(f"{number}%{interface}", 0), (f"{number}%{index}", 0), (number, 0, 0, index)]:
            told(stage, f"{number}%{interface}", port, local_address=local)
            assert accepted_from(listener)[3] == index
