"""What a stream owes its protocol and its peer, whatever it runs on: TCP, a Unix path, an adopted pair, any poller.

What is counted in calls of ``send`` or in seconds of a clock stands in ``tests/net``, on a scripted socket; here
are the kernel's own sockets.
"""

from __future__ import annotations

import errno
import socket
from array import array
from collections.abc import Iterator

import pytest

from reactor.errors import TransportClosed, WriteBufferFull
from reactor.flow import Watermarks
from reactor.limits import CORK_BYTES, GATHER_BUFFERS, JOIN_BYTES
from tests.net.recorder import Recorder, echo
from tests.net.stage import KINDS, Stage, Wire, stage_on, wire_on

#: Sizes around every limit at which sending changes its manner.
SIZES = [1, JOIN_BYTES - 1, JOIN_BYTES, JOIN_BYTES + 1, CORK_BYTES - 1, CORK_BYTES, CORK_BYTES + 1, 2**20 + 1]

#: More than the kernel takes at once between two sockets that nobody reads.
MUCH = 8 * 2**20


def pattern(size: int) -> bytes:
    """Return *size* bytes in which a piece that is lost, doubled or moved shows."""
    return array("I", range(size // 4 + 1)).tobytes()[:size]


@pytest.fixture
def stage(poller_name: str) -> Iterator[Stage]:
    with stage_on(poller_name) as stage:
        yield stage


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name == "tcp6":
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError as exc:
            pytest.skip(f"no IPv6 here: {exc}")
    return name


def joined(wire: Wire, data: bytes) -> None:
    """Have the peer read until it has *data*, and see that it is that."""
    wire.peer.read()
    wire.stage.until(lambda: len(wire.peer.received) >= len(data) or wire.peer.end is not None)
    assert wire.peer.received == data


# -- bytes arrive ----------------------------------------------------------------------------------------------


def test_every_size_comes_back_when_it_is_echoed(stage: Stage, kind: str) -> None:
    """Whatever its size, what is written arrives, once, in order."""
    with wire_on(stage, Recorder(data_received=echo), kind) as wire:
        whole = b"".join(pattern(size) for size in SIZES)
        wire.peer.send(whole)
        joined(wire, whole)


def test_order_is_kept_when_many_buffers_wait_for_a_slow_peer(stage: Stage, kind: str) -> None:
    """Corked, refused, gathered and joined: the order is that of the calls."""
    pieces = [pattern(size) for size in (1, 70_000, 3, 200_000, 0, 5, *[7] * (3 * GATHER_BUFFERS), 40_000) * 30]

    def reply(me: Recorder, data: bytes) -> None:
        for piece in pieces[: len(pieces) // 2]:
            me.transport.write(piece)
        me.transport.writelines(pieces[len(pieces) // 2 :])

    with wire_on(stage, Recorder(data_received=reply), kind) as wire:
        wire.peer.send(b"go")
        stage.until(lambda: wire.stream.get_write_buffer_size())
        joined(wire, b"".join(pieces))
        assert wire.stream.get_write_buffer_size() == 0


def test_nothing_is_sent_when_nothing_is_written(stage: Stage, kind: str) -> None:
    """Zero bytes are no message: the peer sees neither data nor an end."""
    with wire_on(stage, Recorder(), kind) as wire:
        wire.stream.write(b"")
        wire.stream.writelines([b"", b""])
        wire.stream.writelines([])
        wire.peer.read()
        stage.settle()
        assert not wire.peer.received
        assert wire.peer.end is None


@pytest.mark.parametrize("when", ["direct", "corked", "waiting"])
def test_a_buffer_may_be_changed_when_write_has_returned(stage: Stage, kind: str, when: str) -> None:
    """A bytearray, or a view of one, is sent as it was at the call, also if it had to wait."""
    filler = bytes(MUCH) if when == "waiting" else b""

    def write_and_change(me: Recorder, data: bytes) -> None:
        buffer = bytearray(b"good" * 10)
        me.transport.write(filler)
        me.transport.write(buffer)
        me.transport.writelines([memoryview(buffer)])
        buffer[:] = b"evil" * 10

    with wire_on(stage, Recorder(data_received=write_and_change), kind) as wire:
        if when == "corked":
            wire.peer.send(b"go")
        else:
            write_and_change(wire.protocol, b"")
        joined(wire, filler + b"good" * 20)


def test_a_shaped_view_is_flattened_when_it_is_written(stage: Stage, kind: str) -> None:
    """Items and dimensions mean nothing on a wire: it is the bytes, in C order."""
    with wire_on(stage, Recorder(), kind) as wire:
        flat = memoryview(pattern(48))
        shaped = flat.cast("I").cast("B").cast("I", shape=[3, 4])
        wire.stream.write(shaped)
        wire.stream.writelines([flat[::2], shaped])
        joined(wire, bytes(flat) + bytes(flat[::2]) + bytes(flat))


def test_text_is_refused_when_it_is_written(stage: Stage, kind: str) -> None:
    """A TypeError that names the type; nothing of that call is sent, and the stream goes on."""
    with wire_on(stage, Recorder(), kind) as wire:
        with pytest.raises(TypeError, match="not str"):
            wire.stream.write("text")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="not int"):
            wire.stream.writelines([b"lost?", 5])  # type: ignore[list-item]
        assert wire.stream.get_write_buffer_size() == 0
        wire.stream.write(b"bytes")
        joined(wire, b"bytes")


# -- flow control ----------------------------------------------------------------------------------------------


def test_the_writer_pauses_once_and_resumes_once_when_the_peer_is_slow(stage: Stage, kind: str) -> None:
    """Above the high watermark ``pause_writing``, at the low one ``resume_writing``, each once."""
    with wire_on(stage, Recorder(), kind) as wire:
        data = pattern(MUCH)
        for start in range(0, MUCH, 2**19):
            wire.stream.write(data[start : start + 2**19])
        assert wire.protocol.names[-1] == "pause_writing"
        joined(wire, data)
        assert wire.protocol.names == ["connection_made", "pause_writing", "resume_writing"]
        wire.protocol.check_grammar()


def test_the_set_limits_count_when_they_are_small(stage: Stage, kind: str) -> None:
    """Limits far below what is collected in one go are kept to the byte."""
    with wire_on(stage, Recorder(), kind) as wire:
        while not wire.stream.get_write_buffer_size():
            wire.stream.write(bytes(5_000))
            stage.settle(1)
        waiting = wire.stream.get_write_buffer_size()
        wire.stream.set_write_buffer_limits(high=waiting + 10, low=0)
        assert wire.stream.get_write_buffer_limits() == (0, waiting + 10)
        wire.stream.write(bytes(10))
        resumed = wire.protocol.names.count("pause_writing")
        wire.stream.write(b"!")
        assert wire.protocol.names.count("pause_writing") == resumed + 1
        wire.peer.read()
        stage.until(lambda: wire.protocol.names[-1] == "resume_writing")
        assert wire.stream.get_write_buffer_size() == 0
        wire.protocol.check_grammar()


def test_one_peer_is_given_up_when_it_reaches_the_cap(stage: Stage, kind: str) -> None:
    """The hard cap ends that stream with WriteBufferFull, counts it, and no other stream notices."""
    with (
        wire_on(stage, Recorder(data_received=echo), kind) as other,
        wire_on(stage, Recorder(), kind, watermarks=Watermarks(1000, 100, MUCH)) as wire,
    ):
        before = stage.counters.write_overflows
        for _ in range(40):
            wire.stream.write(bytes(2**19))
        stage.until(lambda: wire.protocol.is_lost)
        assert isinstance(wire.protocol.reason, WriteBufferFull)
        assert wire.stream.get_write_buffer_size() == 0
        assert stage.counters.write_overflows == before + 1
        other.peer.send(b"still here")
        joined(other, b"still here")
        wire.protocol.check_grammar()


def test_the_peer_is_held_up_when_reading_is_paused(stage: Stage, kind: str) -> None:
    """While reading is paused nothing is delivered and the kernel fills up; then all of it comes."""
    with wire_on(stage, Recorder(data_received=lambda me, data: me.transport.pause_reading()), kind) as wire:
        data = pattern(MUCH)
        wire.peer.send(data)
        stage.until(lambda: wire.protocol.received)
        stage.settle()
        assert not wire.stream.is_reading()
        taken = len(wire.protocol.received)
        assert taken < MUCH
        assert wire.peer.unsent, "the kernel swallowed everything: the test needs more bytes"
        wire.protocol.reactions.clear()
        wire.stream.resume_reading()
        assert wire.stream.is_reading()
        stage.until(lambda: len(wire.protocol.received) == MUCH)
        assert wire.protocol.received == data


# -- ends ------------------------------------------------------------------------------------------------------


def test_the_stream_closes_when_the_peer_ends_and_nobody_objects(stage: Stage, kind: str) -> None:
    """eof_received that returns nothing is followed by ``connection_lost(None)``; what was written still goes."""
    with wire_on(stage, Recorder(eof_received=lambda me: me.transport.write(b"bye")), kind) as wire:
        wire.peer.send(b"hello")
        wire.peer.shutdown()
        joined(wire, b"bye")
        stage.until(lambda: wire.protocol.is_lost and wire.peer.end is not None)
        assert wire.protocol.names == ["connection_made", "data_received", "eof_received", "connection_lost"]
        assert wire.protocol.reason is None
        assert wire.peer.end == b""


def test_writing_goes_on_when_the_peer_ends_and_eof_received_returns_true(stage: Stage, kind: str) -> None:
    """A half-closed connection is good for writing until this side ends too."""
    with wire_on(stage, Recorder(eof_received=lambda me: True), kind) as wire:
        wire.peer.shutdown()
        stage.until(lambda: "eof_received" in wire.protocol.names)
        assert not wire.stream.is_closing()
        wire.stream.write(pattern(MUCH))
        wire.stream.write_eof()
        joined(wire, pattern(MUCH))
        stage.until(lambda: wire.protocol.is_lost)
        assert wire.protocol.reason is None
        wire.protocol.check_grammar()


def test_write_eof_flushes_first_and_reading_goes_on(stage: Stage, kind: str) -> None:
    """The peer gets all bytes and then an end, and what it answers is still received."""
    with wire_on(stage, Recorder(), kind) as wire:
        assert wire.stream.can_write_eof()
        wire.stream.write(pattern(MUCH))
        wire.stream.write_eof()
        wire.stream.write_eof()
        with pytest.raises(TransportClosed, match="write_eof"):
            wire.stream.write(b"more")
        with pytest.raises(TransportClosed, match="write_eof"):
            wire.stream.writelines([b"more"])
        joined(wire, pattern(MUCH))
        stage.until(lambda: wire.peer.end == b"")
        wire.peer.send(b"answer")
        stage.until(lambda: wire.protocol.received == b"answer")
        wire.peer.shutdown()
        stage.until(lambda: wire.protocol.is_lost)
        assert wire.protocol.reason is None


def test_close_flushes_and_tells_nothing_but_the_end(stage: Stage, kind: str) -> None:
    """After ``close`` all that was written arrives; what the peer sends then is not delivered."""
    with wire_on(stage, Recorder(), kind) as wire:
        wire.stream.write(pattern(MUCH))
        wire.stream.close()
        wire.stream.close()
        wire.stream.write(b"ignored")
        wire.stream.writelines([b"ignored"])
        wire.stream.write_eof()
        assert wire.stream.is_closing()
        assert not wire.stream.is_reading()
        wire.peer.send(b"too late")
        joined(wire, pattern(MUCH))
        stage.until(lambda: wire.protocol.is_lost and wire.peer.end == b"")
        assert wire.protocol.reason is None
        assert wire.protocol.names == ["connection_made", "pause_writing", "connection_lost"]


def test_abort_drops_what_waits(stage: Stage, kind: str) -> None:
    """The peer gets what the kernel had taken and no more, and ``connection_lost(None)`` is called, later."""
    with wire_on(stage, Recorder(), kind) as wire:
        wire.stream.write(bytes(MUCH))
        wire.stream.abort()
        wire.stream.abort()
        assert not wire.protocol.is_lost
        assert wire.stream.get_write_buffer_size() == 0
        wire.peer.read()
        stage.until(lambda: wire.peer.end is not None)
        assert len(wire.peer.received) < MUCH
        assert wire.protocol.reason is None


@pytest.mark.parametrize("kind", ["tcp4", "tcp6"])
def test_the_peer_sees_a_reset_when_the_stream_is_reset(stage: Stage, kind: str) -> None:
    """``reset`` is an error at the other end, ECONNRESET, not an end of file."""
    with wire_on(stage, Recorder(), kind) as wire:
        wire.stream.reset()
        wire.stream.reset()
        wire.peer.read()
        stage.until(lambda: wire.peer.end is not None)
        assert isinstance(wire.peer.end, ConnectionResetError)
        assert wire.protocol.reason is None


def test_an_orderly_end_is_seen_when_a_unix_stream_is_reset(stage: Stage) -> None:
    """A Unix socket knows no reset; the call ends the stream all the same."""
    with wire_on(stage, Recorder(), "unix") as wire:
        wire.stream.reset()
        stage.until(lambda: wire.protocol.is_lost)
        assert wire.protocol.reason is None


@pytest.mark.parametrize("kind", ["tcp4", "tcp6"])
def test_the_protocol_is_told_when_the_peer_resets(stage: Stage, kind: str) -> None:
    """``connection_lost`` receives the ConnectionResetError, and it is counted."""
    with wire_on(stage, Recorder(), kind) as wire:
        before = stage.counters.resets
        wire.peer.reset()
        stage.until(lambda: wire.protocol.is_lost)
        assert wire.protocol.reason.errno == errno.ECONNRESET
        assert wire.protocol.names == ["connection_made", "connection_lost"]
        assert stage.counters.resets == before + 1


def test_all_that_was_sent_is_delivered_when_the_peer_sends_and_goes(stage: Stage, kind: str) -> None:
    """A hang-up that arrives with data unread: the data first, all of it, then the end."""
    with wire_on(stage, Recorder(connection_made=lambda me: me.transport.pause_reading()), kind) as wire:
        wire.peer.send(pattern(50_000))
        wire.peer.close()
        stage.settle()
        wire.stream.resume_reading()
        stage.until(lambda: wire.protocol.is_lost)
        assert wire.protocol.received == pattern(50_000)
        assert wire.protocol.names == ["connection_made", "data_received", "eof_received", "connection_lost"]


def test_what_came_before_is_delivered_when_writing_to_a_peer_that_has_gone(stage: Stage, kind: str) -> None:
    """EPIPE or a reset on writing does not destroy what the peer said before it went; it is counted as a reset."""
    with wire_on(stage, Recorder(data_received=lambda me, data: me.transport.write(bytes(100))), kind) as wire:
        before = stage.counters.resets
        data = pattern(50_000)  # few enough to be here already: what its own kernel still holds is lost with it
        wire.peer.send(data)
        wire.peer.close()
        for _ in range(4):
            wire.stream.write(b"into the void")
        stage.until(lambda: wire.protocol.is_lost)
        assert wire.protocol.received == data
        wire.protocol.check_grammar()
        assert isinstance(wire.protocol.reason, ConnectionError)
        assert stage.counters.resets == before + 1
