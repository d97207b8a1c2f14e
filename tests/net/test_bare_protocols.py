"""Protocols that lack a method: one may be missing, any other is told as a fault, and nothing hangs."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.net.stage import stage_on


class Bare:
    """No more than what every protocol has to have."""

    transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None: ...


class Told(Bare):
    """The same, and it hears of the end."""

    end: Any = "open"

    def connection_lost(self, exc: BaseException | None) -> None:
        self.end = exc


def test_a_stream_is_closed_at_the_end_when_its_protocol_has_no_word_for_that(poller_name: str) -> None:
    """As ``eof_received`` that returns None: it would else stay open forever."""
    protocol = Told()
    near, far = socket.socketpair()
    with stage_on(poller_name) as stage, far:
        stream = stage.adopt_stream(lambda: protocol, near)
        far.shutdown(socket.SHUT_WR)
        stage.until(lambda: protocol.end != "open")
        assert protocol.end is None
        assert stream.fileno() == -1


@pytest.mark.parametrize("end", ["close", "abort", "peer"])
def test_the_socket_is_closed_when_nobody_can_be_told_of_the_end(poller_name: str, end: str) -> None:
    """A factory's protocol is looked at, one that takes over is not: the missing ``connection_lost`` is reported,
    once, and costs no descriptor."""
    near, far = socket.socketpair()
    with stage_on(poller_name) as stage, far:
        stream = stage.adopt_stream(Told, near)
        stream.set_protocol(Bare())
        if end == "peer":
            far.close()
        else:
            getattr(stream, end)()
            far.close()
        stage.until(lambda: stream.fileno() == -1)
        assert [type(exc) for exc in stage.take_failures()] == [AttributeError]
        assert stream not in stage._shared.transports


def test_the_stream_ends_when_its_protocol_cannot_be_told_to_pause(poller_name: str) -> None:
    """What it writes would pile up: that is a fault of the program, told as such, and of this stream alone."""
    protocol = Told()
    near, far = socket.socketpair()
    with stage_on(poller_name) as stage, far:
        stream = stage.adopt_stream(lambda: protocol, near)
        stream.write(bytes(8 * 2**20))
        stage.until(lambda: protocol.end != "open")
        assert isinstance(protocol.end, AttributeError)
        assert [type(exc) for exc in stage.take_failures()] == [AttributeError]
        assert stream.fileno() == -1
