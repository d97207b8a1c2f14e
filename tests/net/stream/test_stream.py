"""What a stream reads, when it does not, and what it tells about itself.  Its end: ``test_stream_ends``."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reactor.errors import IdleTimeout, OptionError, UsageError
from reactor.limits import SCRATCH_BYTES
from reactor.net.stream.stream import Stream
from reactor.telling.probe import Probe
from tests.net.recorder import Recorder, echo
from tests.net.virtual import Virtual, names, virtually


@pytest.fixture
def virtual() -> Iterator[Virtual]:
    with virtually() as virtual:
        yield virtual


# -- reading ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nothing", [BlockingIOError, InterruptedError])
def test_nothing_happens_when_readiness_was_a_false_alarm(virtual: Virtual, nothing: type[OSError]) -> None:
    """EAGAIN and EINTR after a readiness are everyday life."""
    protocol = Recorder()
    _, sock = virtual.open(protocol, nothing, b"data")
    virtual.readable(sock)
    assert protocol.received == b""
    virtual.readable(sock)
    assert protocol.received == b"data"


def test_a_greedy_peer_gets_one_buffer_per_turn(virtual: Virtual) -> None:
    """However much lies there, one receive per turn: whoever has little to say is heard in the same turn."""
    greedy, modest = Recorder(), Recorder()
    _, sock = virtual.open(greedy, bytes(10 * SCRATCH_BYTES))
    _, other = virtual.open(modest, b"me too")
    virtual.readable(sock, other)
    assert len(greedy.received) == SCRATCH_BYTES
    assert modest.received == b"me too"
    assert names(sock, "recv_into") == ["recv_into"]


def test_nothing_is_delivered_while_reading_is_paused(virtual: Virtual) -> None:
    """The socket is not even watched; pausing and resuming twice is as good as once."""
    protocol = Recorder()
    stream, sock = virtual.open(protocol, b"data")
    stream.pause_reading()
    stream.pause_reading()
    virtual.turn()
    assert not virtual.poller.get_map().keys() & {sock.fileno()}
    stream.resume_reading()
    stream.resume_reading()
    virtual.readable(sock)
    assert protocol.received == b"data"


def test_reading_may_be_paused_before_it_begins(virtual: Virtual) -> None:
    """``pause_reading`` in ``connection_made`` holds from the first byte on."""
    protocol = Recorder(connection_made=lambda me: me.transport.pause_reading())
    stream, sock = virtual.open(protocol, b"data")
    assert not stream.is_reading()
    virtual.readable(sock)
    assert protocol.received == b""
    stream.resume_reading()
    virtual.readable(sock)
    assert protocol.received == b"data"


def test_nothing_is_read_when_reading_is_resumed_after_the_end(virtual: Virtual) -> None:
    """The end of file comes once: pausing and resuming afterwards does not watch the socket again."""
    protocol = Recorder(eof_received=lambda me: True)
    stream, sock = virtual.open(protocol, b"")
    virtual.readable(sock)
    stream.pause_reading()
    stream.resume_reading()
    assert not stream.is_reading()
    virtual.readable(sock)
    assert protocol.names == ["connection_made", "eof_received"]


def test_another_protocol_goes_on_when_it_is_set(virtual: Virtual) -> None:
    """``set_protocol`` from inside a delivery: what comes next is the new one's, and so is the end."""
    second = Recorder()
    first = Recorder(data_received=lambda me, data: me.transport.set_protocol(second))
    stream, sock = virtual.open(first, b"one", b"two", b"")
    assert stream.get_protocol() is first
    for _ in range(3):
        virtual.readable(sock)
    virtual.turn()
    assert stream.get_protocol() is None
    assert first.received == b"one"
    assert second.received == b"two"
    assert second.names == ["data_received", "eof_received", "connection_lost"]


class Buffered:
    """A protocol in the manner of asyncio.BufferedProtocol, with *lend* for its ``get_buffer``."""

    def __init__(self, lend: Callable[[Any], Any]) -> None:
        self.lend = lend
        self.calls: list[Any] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def get_buffer(self, hint: int) -> Any:
        return self.lend(self)

    def buffer_updated(self, size: int) -> None:
        self.calls.append(size)

    def eof_received(self) -> None:
        self.calls.append("eof")

    def connection_lost(self, exc: BaseException | None) -> None:
        self.calls.append(exc)


def test_bytes_are_received_where_the_protocol_wants_them(virtual: Virtual) -> None:
    """A protocol with ``get_buffer`` and no ``data_received`` gets the bytes in its own buffer."""
    buffer = bytearray(8)
    protocol = Buffered(lambda me: memoryview(buffer)[2:])
    _, sock = virtual.open(protocol, b"abcdefgh", b"")
    for _ in range(3):
        virtual.readable(sock)
    virtual.turn()
    assert protocol.calls == [6, 2, "eof", None]
    assert buffer == b"\0\0ghcdef"


@pytest.mark.parametrize("buffer", [bytearray(), b"read only", None, 5])
def test_the_stream_is_aborted_when_there_is_no_room_in_the_buffer(virtual: Virtual, buffer: object) -> None:
    """No room would look like the end of the stream; a bug of the protocol is reported as such, and once."""
    protocol = Buffered(lambda me: buffer)
    _, sock = virtual.open(protocol, b"data")
    virtual.readable(sock)
    virtual.readable(sock)
    (failure,) = virtual.stage.take_failures()
    assert protocol.calls == [failure]
    assert isinstance(failure, UsageError | TypeError)


@pytest.mark.parametrize("end", [Stream.close, Stream.abort, Stream.pause_reading])
def test_nothing_is_received_when_the_protocol_ends_instead_of_lending(
    virtual: Virtual, end: Callable[[Stream], None]
) -> None:
    """``get_buffer`` is user code too: what it does to the stream holds at once."""
    def lend(me: Buffered) -> bytearray:
        end(me.transport)
        return bytearray(8)

    protocol = Buffered(lend)
    _, sock = virtual.open(protocol, b"data")
    virtual.readable(sock)
    virtual.turn()
    if end is Stream.close:  # it has closed already and drains what lies there, for the sake of the last reply
        assert names(sock, "shutdown", "recv_into")[0] == "shutdown"
    else:
        assert "recv_into" not in names(sock, "recv_into")
    assert protocol.calls == ([] if end is Stream.pause_reading else [None])


# -- what is told ----------------------------------------------------------------------------------------------


def test_what_is_known_is_told_while_it_is_known(virtual: Virtual) -> None:
    """``get_extra_info`` has the names of asyncio, and the default for whatever the system does not know."""
    stream, sock = virtual.open(Recorder())
    assert stream.get_extra_info("socket") is sock
    assert stream.get_extra_info("peername") == ("192.0.2.2", 2)
    assert stream.get_extra_info("sockname") == ("192.0.2.1", 1)
    assert stream.get_extra_info("peercred", "not on TCP") == "not on TCP"
    assert stream.get_extra_info("cipher", 5) == 5
    assert "open" in repr(stream)
    assert "192.0.2.2:2" in repr(stream)
    sock.script("getsockname", OSError(errno.EINVAL, "no"))
    assert stream.get_extra_info("sockname") is None
    stream.close()
    assert "lost" in repr(stream)
    virtual.turn()
    assert "lost" in repr(stream)


def test_a_probe_sees_what_a_stream_does(virtual: Virtual) -> None:
    """Opened, received, sent and closed, with sizes and the reason."""
    seen: list[tuple[Any, ...]] = []

    class Watcher(Probe):
        def opened(self, transport: object) -> None:
            seen.append(("opened",))

        def received(self, transport: object, size: int) -> None:
            seen.append(("received", size))

        def sent(self, transport: object, size: int) -> None:
            seen.append(("sent", size))

        def closed(self, transport: object, exc: BaseException | None) -> None:
            seen.append(("closed", exc))

    virtual.stage.set_probe(Watcher())
    _, sock = virtual.open(Recorder(data_received=echo), b"four", b"")
    virtual.readable(sock)
    virtual.readable(sock)
    virtual.turn()
    assert seen == [("opened",), ("received", 4), ("sent", 4), ("received", 0), ("closed", None)]


def test_what_was_said_of_a_stream_is_known_as_long_as_it_lives(virtual: Virtual) -> None:
    """Up to its last callback, and of no other stream; the names that it knows by itself cannot be taken."""
    last: list[Any] = []
    protocol = Recorder(connection_lost=lambda me, exc: last.append(me.transport.get_extra_info("user")))
    stream, _ = virtual.open(protocol)
    other, _ = virtual.open(Recorder())
    stream.set_extra_info("user", "alice")
    stream.set_extra_info("peername", "somebody else")
    assert stream.get_extra_info("user") == "alice"
    assert stream.get_extra_info("peername") != "somebody else"
    assert other.get_extra_info("user", "nobody") == "nobody"
    stream.close()
    virtual.turn()
    assert last == ["alice"]
    stream.set_extra_info("user", "bob")
    assert stream.get_extra_info("user") is None
    assert not virtual.stage._shared.extra


def test_bytes_that_were_read_before_are_handed_on_first(virtual: Virtual) -> None:
    """Whoever read from the connection before gives back what was not meant for him; a paused protocol gets it
    later."""
    protocol = Recorder(data_received=echo)
    stream, sock = virtual.open(protocol, b"new")
    stream.take_in(b"old ")
    assert (protocol.received, sock.sent) == (b"old ", b"old ")
    stream.pause_reading()
    stream.take_in(b"older ")
    assert protocol.received == b"old "
    stream.resume_reading()
    virtual.turn()
    virtual.readable(sock)
    assert protocol.received == b"old older new"
    stream.close()
    stream.take_in(b"too late")
    virtual.turn()
    assert protocol.received == b"old older new"


def test_an_idle_timeout_stays_when_another_one_is_refused(virtual: Virtual) -> None:
    """A refused call leaves nothing behind: the old timeout goes on."""
    protocol = Recorder()
    stream, _ = virtual.open(protocol)
    stream.set_idle_timeout(5.0)
    with pytest.raises(OptionError):
        stream.set_idle_timeout(10**400)
    virtual.wait(6.0)
    assert isinstance(protocol.reason, IdleTimeout)
