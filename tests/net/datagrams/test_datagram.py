"""Datagrams: errors concern one of them, what waits is bounded, and an endpoint ends once."""

from __future__ import annotations

import errno
import socket
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

import pytest

from reactor.errors import AddressError, DescriptorTooLarge
from reactor.flow import Watermarks
from reactor.limits import DATAGRAM_BATCH
from reactor.net.datagrams.endpoint import ENTRY_BYTES, DatagramEndpoint
from reactor.testing import ScriptedSocket
from tests.net.notes import ANYBODY, BLOCKED, Notes, scripted, sent
from tests.net.stage import stage_on

# -- receiving -------------------------------------------------------------------------------------------------

def test_a_turn_takes_a_bounded_number_of_datagrams() -> None:
    """The others have their turn; the rest stays in the kernel."""
    with scripted() as (stage, sock, notes, _):
        sock.script("recv", *[b"x"] * (DATAGRAM_BATCH + 5))
        stage.registry.poller.hold(sock, EVENT_READ)  # type: ignore[attr-defined]
        stage.run_once(0)
        assert len(notes.data) == DATAGRAM_BATCH
        stage.run_once(0)
        assert len(notes.data) == DATAGRAM_BATCH + 5


@pytest.mark.parametrize("method", ["pause_reading", "close", "abort"])
def test_no_datagram_follows_when_the_callback_has_had_enough(method: str) -> None:
    """The state is read anew after each."""

    def enough(me: Notes, *_: Any) -> None:
        getattr(me.transport, method)()

    with scripted(datagram_received=enough) as (stage, sock, notes, endpoint):
        sock.script("recv", b"1", b"2", b"3")
        stage.registry.poller.hold(sock, EVENT_READ)  # type: ignore[attr-defined]
        stage.settle()
        assert notes.data == [b"1"]
        endpoint.resume_reading()
        stage.settle()
        if method == "pause_reading":
            assert notes.data == [b"1", b"2"]
        else:
            assert notes.names == ["connection_made", "datagram_received", "connection_lost"]
        endpoint.abort()


def test_a_protocol_that_raises_loses_one_datagram_and_no_more() -> None:
    """Reported and counted; the server goes on, in the same batch."""
    with scripted(datagram_received=lambda me, data, _: 1 // int(data)) as (stage, sock, notes, endpoint):
        sock.script("recv", b"1", b"0", b"2")
        stage.registry.poller.script([(sock, EVENT_READ)])  # type: ignore[attr-defined]
        stage.run_once(0)
        assert notes.data == [b"1", b"0", b"2"]
        assert [type(exc) for exc in stage.take_failures()] == [ZeroDivisionError]
        assert stage.counters.callback_errors == 1
        assert not endpoint.is_closing()


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_the_demand_to_stop_passes_through_a_protocol(kind: type[BaseException]) -> None:
    """It is nobody's mistake."""

    def stop(*_: Any) -> None:
        raise kind

    with scripted(datagram_received=stop) as (stage, sock, _, _):
        sock.script("recv", b"1")
        stage.registry.poller.script([(sock, EVENT_READ)])  # type: ignore[attr-defined]
        with pytest.raises(kind):
            stage.run_once(0)


def test_errors_of_receiving_are_told_and_what_comes_after_them_is_received() -> None:
    """They are about datagrams sent earlier."""
    with scripted() as (stage, sock, notes, _):
        sock.script("recv", OSError(errno.EHOSTUNREACH, "no route"), b"1", InterruptedError, b"2")
        stage.registry.poller.hold(sock, EVENT_READ)  # type: ignore[attr-defined]
        stage.settle()
        assert notes.names[1:] == ["error_received", "datagram_received", "datagram_received"]


def test_the_endpoint_ends_when_its_descriptor_is_of_no_more_use() -> None:
    """EBADF would come forever."""
    with scripted() as (stage, sock, notes, endpoint):
        sock.script("recv", OSError(errno.EBADF, "bad"))
        stage.registry.poller.script([(sock, EVENT_READ)])  # type: ignore[attr-defined]
        stage.settle()
        assert [exc.errno for exc in notes.told("connection_lost")] == [errno.EBADF]
        assert endpoint.is_closing()


# -- sending ---------------------------------------------------------------------------------------------------


def test_what_the_kernel_refuses_waits_in_order_and_leaves_when_there_is_room() -> None:
    """Watched for writing exactly as long; a buffer may be changed as soon as sendto returns."""
    with scripted() as (stage, sock, notes, endpoint):
        poller: Any = stage.registry.poller
        sock.script("send", BLOCKED, 1, BLOCKED, 1, 1)
        buffer = bytearray(b"a")
        for letter in b"abc":
            buffer[0] = letter
            endpoint.sendto(buffer, ANYBODY)
        assert endpoint.get_write_buffer_size() == 3 * (1 + ENTRY_BYTES)
        poller.hold(sock, EVENT_WRITE)
        stage.settle(2)
        assert sent(sock) == [b"a", b"a", b"b", b"b", b"c"]
        assert endpoint.get_write_buffer_size() == 0
        assert stage.registry.key_of(sock.fileno()).events == EVENT_READ  # type: ignore[union-attr]
        assert stage.counters.datagrams_sent == 3
        assert notes.names == ["connection_made"]


def test_the_writer_is_paused_above_the_high_mark_and_resumed_at_the_low_one() -> None:
    """In turns."""
    marks = Watermarks(high=3 * ENTRY_BYTES, low=ENTRY_BYTES, cap=10 * ENTRY_BYTES)
    with scripted(watermarks=marks) as (stage, sock, notes, endpoint):
        sock.script("send", BLOCKED)
        for _ in range(3):
            endpoint.sendto(b"", ANYBODY)
        assert notes.names[1:] == []
        endpoint.sendto(b"", ANYBODY)
        assert notes.names[1:] == ["pause_writing"]
        assert endpoint.get_write_buffer_limits() == (ENTRY_BYTES, 3 * ENTRY_BYTES)
        sock.script("send", 0, BLOCKED)
        stage.registry.poller.hold(sock, EVENT_WRITE)  # type: ignore[attr-defined]
        stage.run_once(0)
        assert notes.names[1:] == ["pause_writing"]
        stage.run_once(0)
        assert notes.names[1:] == ["pause_writing", "resume_writing"]


def test_datagrams_are_dropped_counted_and_told_once_when_too_many_wait() -> None:
    """Empty ones as well: each costs memory."""
    marks = Watermarks(high=ENTRY_BYTES, low=0, cap=3 * ENTRY_BYTES)
    with scripted(watermarks=marks) as (stage, sock, notes, endpoint):
        sock.script("send", BLOCKED)
        for _ in range(10):
            endpoint.sendto(b"", ANYBODY)
        assert stage.counters.datagrams_dropped == 7
        stage.settle()
        [error] = notes.told("error_received")
        assert error.errno == errno.ENOBUFS
        assert "7 datagrams" in str(error)


def test_a_refusal_met_while_sending_costs_no_datagram() -> None:
    """The error is an earlier datagram's, and the kernel has not sent this one: it is sent again."""
    with scripted(is_connected=True) as (stage, sock, notes, endpoint):
        sock.script("send", ConnectionRefusedError(errno.ECONNREFUSED, "refused"), 1)
        endpoint.sendto(b"x")
        stage.settle()
        assert sent(sock) == [b"x", b"x"]
        assert len(notes.told("error_received")) == 1
        assert stage.counters.datagrams_sent == 1


def test_a_protocol_that_answers_errors_by_sending_does_not_call_itself() -> None:
    """Errors come from the loop, one turn apart."""

    def retry(me: Notes, exc: OSError) -> None:
        if len(me.told("error_received")) < 50:
            depth.append(len(depth_now))
            depth_now.append(1)
            me.transport.sendto(b"x", ANYBODY)
            depth_now.pop()

    depth: list[int] = []
    depth_now: list[int] = []
    with scripted(error_received=retry) as (stage, sock, notes, endpoint):
        sock.script("send", *[PermissionError(errno.EPERM, "filtered")] * 60)
        endpoint.sendto(b"x", ANYBODY)
        stage.settle(60)
        assert len(notes.told("error_received")) == 50
        assert max(depth) == 0


def test_an_error_drops_one_waiting_datagram_and_the_next_is_sent() -> None:
    """The queue does not stand still for it."""
    with scripted() as (stage, sock, notes, endpoint):
        sock.script("send", BLOCKED, OSError(errno.EHOSTUNREACH, "no route"), 1)
        endpoint.sendto(b"a", ANYBODY)
        endpoint.sendto(b"b", ANYBODY)
        stage.registry.poller.hold(sock, EVENT_WRITE)  # type: ignore[attr-defined]
        stage.settle()
        assert sent(sock) == [b"a", b"a", b"b"]
        assert [exc.errno for exc in notes.told("error_received")] == [errno.EHOSTUNREACH]


@pytest.mark.parametrize(
    ("family", "address"),
    [
        (socket.AF_INET, None),
        (socket.AF_INET, ("localhost", 80)),
        (socket.AF_INET, ("::1", 80)),
        (socket.AF_INET, ("127.0.0.1", 80, 0, 0, 0)),
        (socket.AF_INET, ("127.0.0.1", 70_000)),
        (socket.AF_INET, ("127.0.0.1",)),
        (socket.AF_INET, (b"127.0.0.1", 80)),
        (socket.AF_INET, "127.0.0.1:80"),
        (socket.AF_INET6, ("localhost", 80)),
        (socket.AF_UNIX, ("127.0.0.1", 80)),
        (socket.AF_UNIX, "/a\0b"),
        (socket.AF_UNIX, None),
    ],
)
def test_an_address_that_the_socket_cannot_send_to_is_refused(family: int, address: Any) -> None:
    """Names too: Python would look them up, and the loop would wait."""
    with scripted(family) as (_, sock, _, endpoint):
        for _ in range(2):
            with pytest.raises(AddressError):
                endpoint.sendto(b"x", address)
        assert sent(sock) == []


@pytest.mark.parametrize("data", ["text", 5, None, [b"x"]])
def test_only_bytes_can_be_sent(data: Any) -> None:
    """An int is not that many zeros."""
    with scripted() as (_, sock, _, endpoint):
        with pytest.raises(TypeError):
            endpoint.sendto(data, ANYBODY)
        assert sent(sock) == []


def test_a_broadcast_address_is_understood() -> None:
    """ "<broadcast>" is Python's name for it."""
    with scripted() as (_, sock, _, endpoint):
        endpoint.sendto(b"x", ("<broadcast>", 9))
        assert ("sendto", b"x", ("255.255.255.255", 9)) in sock.calls


# -- the end ---------------------------------------------------------------------------------------------------


def test_closing_sends_what_waits_and_then_tells_the_protocol() -> None:
    """Nothing is received meanwhile, what is sent now is ignored; unregistered first, then closed."""
    with scripted() as (stage, sock, notes, endpoint):
        poller: Any = stage.registry.poller
        sock.script("send", BLOCKED)
        fd = sock.fileno()
        endpoint.sendto(b"a", ANYBODY)
        endpoint.close()
        endpoint.close()
        endpoint.sendto(b"late", ANYBODY)
        assert endpoint.is_closing()
        sock.script("recv", b"x")
        poller.hold(sock, EVENT_READ | EVENT_WRITE)
        stage.run_once(0)
        poller.release(fd)
        stage.settle()
        assert sent(sock) == [b"a", b"a"]
        assert notes.names == ["connection_made", "connection_lost"]
        assert notes.told("connection_lost") == [None]
        assert sock.fileno() == -1
        assert poller.calls[-1] == ("forget", fd, 0)
        assert endpoint not in stage._shared.transports
        assert endpoint.get_protocol() is None


def test_aborting_drops_what_waits() -> None:
    """connection_lost comes from the loop, once."""
    with scripted() as (stage, sock, notes, endpoint):
        sock.script("send", BLOCKED)
        endpoint.sendto(b"a", ANYBODY)
        endpoint.close()
        endpoint.abort()
        endpoint.abort()
        assert notes.names == ["connection_made"]
        stage.settle()
        assert notes.names == ["connection_made", "connection_lost"]
        assert sent(sock) == [b"a"]


def test_no_error_follows_when_the_endpoint_is_closed() -> None:
    """After close, connection_lost is the only word."""
    with scripted() as (stage, sock, notes, endpoint):
        sock.script("send", PermissionError(errno.EPERM, "filtered"))
        endpoint.sendto(b"a", ANYBODY)
        endpoint.close()
        stage.settle()
        assert notes.names == ["connection_made", "connection_lost"]


def test_the_endpoint_ends_when_connection_made_raises() -> None:
    """It was never ready; connection_lost follows all the same."""
    with scripted(connection_made=lambda me: 1 // 0) as (stage, sock, notes, _):
        stage.settle()
        assert [type(exc) for exc in stage.take_failures()] == [ZeroDivisionError]
        assert notes.names == ["connection_made", "connection_lost"]
        assert sock.fileno() == -1


def test_the_socket_is_closed_when_it_cannot_be_watched() -> None:
    """The endpoint takes the socket over; the protocol never hears of it."""
    with stage_on("select") as stage:
        sock: Any = ScriptedSocket(kind=socket.SOCK_DGRAM)  # its number is beyond FD_SETSIZE
        notes = Notes()
        with pytest.raises(DescriptorTooLarge):
            DatagramEndpoint(stage._shared, sock, notes)._start()
        assert sock.fileno() == -1
        assert notes.calls == []
        assert not stage._shared.transports


def test_another_protocol_may_take_over() -> None:
    """It is told what happens from then on."""
    with scripted() as (stage, sock, first, endpoint):
        second = Notes()
        endpoint.set_protocol(second)
        sock.script("recv", b"x")
        stage.registry.poller.script([(sock, EVENT_READ)])  # type: ignore[attr-defined]
        stage.run_once(0)
        assert (first.data, second.data) == ([], [b"x"])
        assert endpoint.get_protocol() is second
        assert endpoint.get_extra_info("nothing", 7) == 7
