"""Whole frames on a stream: whatever the cuts, the pauses and the faults, and for both scanners."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.errors import FrameMalformed, FrameTooLong, FrameTruncated, PayloadRefused
from reactor.framing import LengthPrefixed, Lines
from reactor.limits import LARGE_FRAME_BYTES, MAX_FRAME_LENGTH
from reactor.net.protocol import BaseProtocol, DatagramProtocol, FramedProtocol, Protocol
from reactor.testing import ScriptedSocket
from tests.net.recorder import FrameRecorder, framed
from tests.net.virtual import Virtual, sends, virtually

FRAMES = [b"one", b"", b"three" * 50, b"four"]


@pytest.fixture
def virtual(accel: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Virtual]:
    """A virtual reactor; the codec of FrameRecorder is made anew with the scanner that is asked for."""
    monkeypatch.setattr(FrameRecorder, "codec", LengthPrefixed(4))
    with virtually() as virtual:
        yield virtual


def feed(virtual: Virtual, protocol: FramedProtocol, *chunks: bytes) -> ScriptedSocket:
    """Open a stream for *protocol*, deliver *chunks*, one a turn, and return its socket."""
    _, sock = virtual.open(protocol, *chunks)
    for _ in chunks:
        virtual.readable(sock)
    virtual.turn()
    return sock


# -- cuts ------------------------------------------------------------------------------------------------------


def test_the_frames_are_the_same_wherever_the_stream_is_cut(virtual: Virtual) -> None:
    """Every place to cut once, and a cut at every byte."""
    whole = framed(*FRAMES)
    for cut in range(1, len(whole)):
        protocol = FrameRecorder()
        feed(virtual, protocol, whole[:cut], whole[cut:])
        assert protocol.frames == FRAMES
    protocol = FrameRecorder()
    feed(virtual, protocol, *(whole[i : i + 1] for i in range(len(whole))))
    assert protocol.frames == FRAMES


def test_the_answers_to_all_frames_of_a_chunk_leave_in_one_send(virtual: Virtual) -> None:
    """Pipelined requests are answered in one system call."""
    sock = feed(virtual, FrameRecorder(FramedProtocol.send_frame), framed(*FRAMES))
    assert sends(sock) == [framed(*FRAMES)]


def test_a_batch_is_answered_as_a_batch(virtual: Virtual) -> None:
    """``frames_received`` gets all frames of a chunk, ``send_frames`` sends many in one piece."""

    class Batch(FrameRecorder):
        def frames_received(self, frames: Iterable[bytes]) -> None:
            self.send_frames([frame.upper() for frame in frames])

    sock = feed(virtual, Batch(), framed(*FRAMES))
    assert sends(sock) == [framed(*(frame.upper() for frame in FRAMES))]


def test_each_connection_has_a_decoder_of_its_own(virtual: Virtual) -> None:
    """The class attribute is a template: half a frame here is nobody else's beginning."""
    first, second = FrameRecorder(), FrameRecorder()
    _, one = virtual.open(first, framed(b"first")[:6], framed(b"first")[6:])
    _, two = virtual.open(second, framed(b"second")[:3], framed(b"second")[3:])
    for _ in range(2):
        virtual.readable(one, two)
    assert (first.frames, second.frames) == ([b"first"], [b"second"])


# -- large frames ----------------------------------------------------------------------------------------------


def test_a_large_frame_is_received_into_its_own_buffer(virtual: Virtual) -> None:
    """Once enough of it is here, the missing bytes go straight to their place, and then all is as before."""
    large = bytes(range(256)) * 4000
    whole = framed(b"small", large, b"after")
    protocol = FrameRecorder()
    stream, sock = virtual.open(protocol, *(whole[i : i + 50_000] for i in range(0, len(whole), 50_000)))
    modes = []
    while len(protocol.frames) < 3:
        modes.append(stream._buffers is not None)
        virtual.readable(sock)
    assert protocol.frames == [b"small", large, b"after"]
    assert modes[0] is False
    assert True in modes
    assert stream._buffers is None
    sizes = [args[0] for name, *args in sock.calls if name == "recv_into"]
    assert min(sizes) < LARGE_FRAME_BYTES, "never asked for exactly what was missing"


def test_a_frame_that_ends_the_buffer_may_close_the_stream(virtual: Virtual) -> None:
    """The last byte of a large frame arrives in its own buffer, and the reply to it still leaves."""

    def answer(me: FrameRecorder, frame: bytes) -> None:
        me.send_frame(b"%d" % len(frame))
        me.transport.close()

    whole = framed(bytes(200_000))
    protocol = FrameRecorder(answer)
    sock = feed(virtual, protocol, whole[:100_000], whole[100_000:190_000], whole[190_000:])
    assert sock.sent == framed(b"200000")
    assert protocol.reason is None


def test_a_large_frame_that_is_cut_off_is_a_fault(virtual: Virtual) -> None:
    """The stream ends while its own buffer is being filled: FrameTruncated."""
    whole = framed(bytes(200_000))
    protocol = FrameRecorder()
    feed(virtual, protocol, whole[:100_000], whole[100_000:150_000], b"")
    assert isinstance(protocol.reason, FrameTruncated)


def test_a_fault_in_a_large_frame_is_a_fault(virtual: Virtual) -> None:
    """A codec that finds fault only with the whole frame is heard as well."""

    class Picky(LengthPrefixed):
        def _cut(self, whole: bytearray) -> list[bytes]:
            raise FrameMalformed("not this one")

    class PickyRecorder(FrameRecorder):
        codec = Picky(4)

    whole = framed(bytes(200_000))
    protocol = PickyRecorder()
    feed(virtual, protocol, whole[:100_000], whole[100_000:])
    assert isinstance(protocol.reason, FrameMalformed)


# -- pauses ----------------------------------------------------------------------------------------------------


def pausing(me: FrameRecorder, frame: bytes) -> None:
    me.transport.pause_reading()


def test_the_rest_of_a_chunk_is_held_when_reading_is_paused(virtual: Virtual) -> None:
    """Paused after each frame, resumed from outside: one frame at a time, in order, before any new bytes."""
    protocol = FrameRecorder(pausing)
    stream, sock = virtual.open(protocol, framed(*FRAMES), framed(b"new"))
    virtual.poller.hold(sock)
    for count in range(1, 6):
        virtual.stage.settle()
        assert protocol.frames == [*FRAMES, b"new"][:count]
        assert not stream.is_reading()
        stream.resume_reading()
        assert stream.is_reading()
        assert len(protocol.frames) == count, "delivered from inside of resume_reading"
    virtual.poller.release(sock)


def test_nothing_is_held_when_reading_is_resumed_in_the_same_breath(virtual: Virtual) -> None:
    """A pause that is taken back before the frame is done with changes nothing."""

    def hesitate(me: FrameRecorder, frame: bytes) -> None:
        me.transport.pause_reading()
        me.transport.resume_reading()

    protocol = FrameRecorder(hesitate)
    feed(virtual, protocol, framed(*FRAMES), framed(b"new"))
    assert protocol.frames == [*FRAMES, b"new"]


def test_what_is_held_stays_when_reading_is_paused_again(virtual: Virtual) -> None:
    """Resumed and paused before the loop came round: still nothing is delivered."""
    protocol = FrameRecorder(pausing)
    stream, sock = virtual.open(protocol, framed(*FRAMES))
    virtual.readable(sock)
    stream.resume_reading()
    stream.pause_reading()
    virtual.turn()
    assert protocol.frames == FRAMES[:1]


@pytest.mark.parametrize("end", ["close", "abort"])
def test_what_is_held_is_dropped_when_the_stream_is_ended(virtual: Virtual, end: str) -> None:
    """After ``close`` or ``abort`` nothing comes but the end, resumed or not."""
    protocol = FrameRecorder(pausing)
    stream, sock = virtual.open(protocol, framed(*FRAMES))
    virtual.readable(sock)
    stream.resume_reading()
    getattr(stream, end)()
    virtual.turn()
    assert protocol.frames == FRAMES[:1]
    assert protocol.reason is None


def test_no_further_frame_is_delivered_when_one_closes_the_stream(virtual: Virtual) -> None:
    """The others of the same chunk came too late."""
    protocol = FrameRecorder(lambda me, frame: me.transport.close())
    feed(virtual, protocol, framed(*FRAMES))
    assert [kind for kind, *_ in protocol.events] == ["made", "frame", "lost"]


def test_the_reply_to_a_held_frame_is_corked(virtual: Virtual) -> None:
    """What is delivered after a pause is a delivery like any other: its replies leave in one piece."""
    def answer_and_pause(me: FrameRecorder, frame: bytes) -> None:
        me.send_frame(frame)
        me.transport.pause_reading()

    protocol = FrameRecorder(answer_and_pause)
    stream, sock = virtual.open(protocol, framed(*FRAMES))
    virtual.readable(sock)
    protocol.on_frame = FramedProtocol.send_frame
    stream.resume_reading()
    virtual.turn()
    assert sends(sock) == [framed(FRAMES[0]), framed(*FRAMES[1:])]


@given(data=st.data())
def test_every_frame_comes_once_whatever_the_pauses(data: st.DataObject) -> None:
    """Random frames, cuts, pauses and resumptions: the same frames in the same order."""
    frames = data.draw(st.lists(st.binary(max_size=9), max_size=12))
    pauses = data.draw(st.lists(st.booleans(), min_size=len(frames), max_size=len(frames)))
    whole = framed(*frames)
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(whole) - 1)), max_size=4)))
    chunks = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True) if whole[a:b]]
    left = iter(pauses)
    protocol = FrameRecorder(lambda me, frame: next(left) and me.transport.pause_reading())
    with virtually() as virtual:
        stream, sock = virtual.open(protocol, *chunks, b"")
        virtual.poller.hold(sock)
        for _ in range(3 * len(frames) + len(chunks) + 6):
            virtual.stage.run_once(0)
            stream.resume_reading()
    assert protocol.frames == frames
    assert protocol.reason is None


# -- faults ----------------------------------------------------------------------------------------------------


def test_lawful_frames_come_first_when_the_peer_breaks_the_format(
    virtual: Virtual, caplog: pytest.LogCaptureFixture
) -> None:
    """A length of 2**32-1 behind two good frames: two frames, the fault, and one line in the log."""
    caplog.set_level(logging.DEBUG, "reactor")
    protocol = FrameRecorder()
    feed(virtual, protocol, framed(b"one", b"two") + b"\xff\xff\xff\xff")
    assert protocol.frames == [b"one", b"two"]
    assert isinstance(protocol.reason, FrameTooLong)
    assert virtual.stage.counters.peer_errors == 1
    (record,) = caplog.records
    assert record.exc_info is None
    assert "4294967295" in record.getMessage()


def test_the_fault_waits_when_a_frame_before_it_pauses(virtual: Virtual) -> None:
    """What came before the fault is delivered after the pause, and only then is the peer given up."""
    protocol = FrameRecorder(pausing)
    stream, sock = virtual.open(protocol, framed(b"one", b"two") + b"\xff\xff\xff\xff")
    virtual.readable(sock)
    for count in (1, 2):
        virtual.turn()
        assert protocol.frames == [b"one", b"two"][:count]
        assert not protocol.is_lost
        stream.resume_reading()
    virtual.turn()
    virtual.turn()
    assert isinstance(protocol.reason, FrameTooLong)


def test_there_is_no_fault_when_a_frame_before_it_closes(virtual: Virtual) -> None:
    """Who closes does not care for what comes behind."""
    protocol = FrameRecorder(lambda me, frame: me.transport.close())
    feed(virtual, protocol, framed(b"one") + b"\xff\xff\xff\xff")
    assert protocol.reason is None
    assert virtual.stage.counters.peer_errors == 0


@pytest.mark.parametrize("start", [b"\0", b"\0\0\0\4", b"\0\0\0\4abc"])
def test_an_end_inside_of_a_frame_is_a_fault(virtual: Virtual, start: bytes) -> None:
    """A partial header, or a partial frame, and then the end: FrameTruncated, after the frames before."""
    protocol = FrameRecorder()
    feed(virtual, protocol, framed(b"whole") + start, b"")
    assert protocol.frames == [b"whole"]
    assert isinstance(protocol.reason, FrameTruncated)


def test_the_end_may_complete_a_frame(virtual: Virtual) -> None:
    """A last line without a line end is a line; its reply leaves before the end."""

    class LineRecorder(FrameRecorder):
        codec = Lines()

    protocol = LineRecorder(lambda me, frame: me.transport.write(frame.upper()))
    sock = feed(virtual, protocol, b"one\ntw", b"o", b"")
    assert protocol.frames == [b"one", b"two"]
    assert protocol.reason is None
    assert sock.sent == b"ONETWO"


def test_nothing_is_sent_when_the_codec_refuses_a_payload(virtual: Virtual) -> None:
    """PayloadRefused before a byte of it, or of its batch, is on its way; the connection is as before."""
    protocol = FrameRecorder()
    _, sock = virtual.open(protocol)
    with pytest.raises(PayloadRefused):
        protocol.send_frame(bytes(MAX_FRAME_LENGTH + 1))
    with pytest.raises(PayloadRefused):
        protocol.send_frames(chain([b"fine"] * 10, [bytes(MAX_FRAME_LENGTH + 1)]))
    assert sends(sock) == []
    protocol.send_frame(b"fine")
    assert sock.sent == framed(b"fine")


# -- the base classes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [BaseProtocol, Protocol, DatagramProtocol, FramedProtocol])
def test_an_inherited_method_does_nothing(kind: type[BaseProtocol]) -> None:
    """Whoever derives overrides what he needs; the rest is there and harmless."""
    protocol = kind()
    calls: list[Callable[[], object]] = [
        protocol.pause_writing,
        protocol.resume_writing,
        lambda: protocol.connection_lost(None),
        lambda: protocol.connection_failed(OSError()),
    ]
    if isinstance(protocol, FramedProtocol):
        calls.append(lambda: protocol.frame_received(b""))
    elif isinstance(protocol, Protocol):
        calls += [protocol.eof_received, lambda: protocol.data_received(b"")]
    if isinstance(protocol, DatagramProtocol):
        calls += [lambda: protocol.datagram_received(b"", None), lambda: protocol.error_received(OSError())]
    assert [call() for call in calls] == [None] * len(calls)


@pytest.mark.parametrize("kind", [BaseProtocol, Protocol, DatagramProtocol])
def test_the_transport_is_remembered_when_the_connection_is_made(kind: type[BaseProtocol]) -> None:
    """That much a base class does."""
    protocol, transport = kind(), object()
    protocol.connection_made(transport)
    assert protocol.transport is transport


def test_an_idle_protocol_has_no_dictionary() -> None:
    """Ten thousand connections are ten thousand of these."""

    class Small(FramedProtocol):
        __slots__ = ()

    assert not hasattr(Small(), "__dict__")


def test_a_payload_that_is_refused_is_not_the_peers_fault(virtual: Virtual) -> None:
    """A mistake of ours that escapes from a protocol is a bug with a traceback; the peer is not blamed for it."""

    class Big(FramedProtocol):
        codec = LengthPrefixed(4, max_frame_length=4)

        def frame_received(self, frame: bytes) -> None:
            self.send_frame(frame * 2)

    _, sock = virtual.open(Big(), b"\0\0\0\4four")
    virtual.readable(sock)
    assert virtual.stage.counters.peer_errors == 0
    assert [type(exc) for exc in virtual.stage.take_failures()] == [PayloadRefused]
