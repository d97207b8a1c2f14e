"""Frames that the pump cuts and makes for many streams at once: the traps, one by one.

``test_pump_differential`` plays random scripts.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from reactor.errors import FrameTooLong
from reactor.framing import LengthPrefixed
from reactor.framing.seam import RAW, UNKNOWN
from reactor.limits import JOIN_BYTES
from reactor.net.pump.choice import with_pump
from reactor.net.stream.stream import Stream
from reactor.testing import VirtualClock
from tests.conftest import leave_to_streams
from tests.net.framed import (
    FORMATS,
    Batches,
    Frames,
    Roomy,
    Varints,
    answer_and_close,
    answer_and_end,
    echo,
    echo_with_bytes_between,
    heard,
    pair,
    wire_of,
)
from tests.net.pump.test_pump import ON, pumped_pair, pytestmark
from tests.net.stage import PATIENCE, Stage, stage_on

__all__ = ["pytestmark"]


@pytest.fixture
def stage(pump_few: int) -> Iterator[Stage]:
    """A stage with a pump, for which one stream is enough, or which leaves a few to themselves.

    Its clock stands still: what is to leave in one call leaves in several when the machine takes its time.
    """
    with stage_on(with_pump("epoll", ON), clock=VirtualClock()) as stage:
        yield stage


class Spy:
    """The compiled module, with ``pump_send`` noted or, if *noted* returns a number, refused by it."""

    def __init__(self, lib: Any, noted: Any) -> None:
        self.pump_wait = lib.pump_wait
        self.send, self.noted = lib.pump_send, noted

    def pump_send(self, *args: Any) -> int:
        refusal: int | None = self.noted(*args)
        return self.send(*args) if refusal is None else refusal


# -- receiving -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
def test_a_stream_receives_bytes_while_its_decoder_holds_a_part_of_a_frame(
    stage: Stage, kind: type[Frames]
) -> None:
    """And frames again, where they can be cut in C, as soon as it is between two of them."""
    protocol = kind()
    peer = pair(stage, protocol)
    stream = protocol.transport
    cut = stream._wanted_format()
    assert (cut > 0) == (kind in (Frames, Batches, Varints))
    wire = wire_of(kind, [b"payload"])
    with peer:
        for _ in range(2):
            for at in range(len(wire)):
                assert stream._wanted_format() == (cut if at == 0 else RAW)
                assert stream._takes_frames(cut) == (at == 0 and cut > RAW)
                peer.send(wire[at : at + 1])
                stage.run_once(0)
        peer.send(wire + wire[:2])
        stage.run_once(0)
        assert stream._wanted_format() == RAW
        assert stage.registry.poller._memory.marks[stream.fileno()] == 1 + RAW  # type: ignore[attr-defined]
        peer.send(wire[2:] + wire)
        stage.settle()
        assert stream._wanted_format() == cut
        assert stage.registry.poller._memory.marks[stream.fileno()] == 1 + cut  # type: ignore[attr-defined]
    assert len(protocol.frames) == 5
    assert not protocol.end


def test_frames_before_a_fault_are_delivered_first(stage: Stage) -> None:
    """The pump only cuts; that the rest can never be a frame is found by the codec, in its own words."""
    protocol = Frames(echo)
    peer = pair(stage, protocol)
    with peer:
        peer.send(b"\0\1a\0\1b\xff\xff")
        stage.settle()
        assert protocol.frames == [b"a", b"b"]
        assert [type(exc) for exc in protocol.end] == [FrameTooLong]
        assert heard(peer) == b"\0\1a\0\1b"


def test_what_was_cut_is_bytes_again_when_a_neighbour_changes_the_protocol(stage: Stage) -> None:
    """The old one's format has cut it already; each byte is handed to the new one once."""
    made: list[Frames] = []

    def change(me: Frames, frame: bytes) -> None:
        for other in protocols:
            if other is not me and not made:
                made.append(Varints())
                other.transport.set_protocol(made[0])
                made[0].connection_made(other.transport)

    protocols = [Frames(change), Frames(change)]
    peers = [pair(stage, protocol) for protocol in protocols]
    for peer in peers:
        peer.send(b"\0\2ab\0\0")
    stage.settle()
    assert sorted(len(protocol.frames) for protocol in protocols) == [0, 2]
    # As varints: an empty frame, "ab", two empty ones.
    assert made[0].frames == [b"", b"ab", b"", b""]
    for peer in peers:
        peer.close()


# -- sending -------------------------------------------------------------------------------------------------------


def test_replies_leave_in_the_order_of_the_calls_when_bytes_come_between(stage: Stage) -> None:
    """Payloads are collected without their lengths; bytes that are written then must not overtake them."""
    peer = pair(stage, Frames(echo_with_bytes_between))
    with peer:
        peer.send(b"\0\2hi")
        stage.settle()
        assert heard(peer) == b"\0\1<raw\0\1>\0\2hi"


@pytest.mark.parametrize(("react", "said"), [(answer_and_close, b"\0\3bye"), (answer_and_end, b"\0\7no more")])
def test_a_reply_leaves_before_the_end_that_comes_behind_it(stage: Stage, react: Any, said: bytes) -> None:
    """Closing both ways, or one, in the same callback: the peer hears the reply, and then the end."""
    with pair(stage, Frames(react)) as peer:
        peer.send(b"\0\1a")
        stage.settle()
        assert peer.recv(100) == said
        assert peer.recv(100) == b""


def test_a_reply_that_waits_for_the_others_leaves_when_a_neighbour_closes_its_stream(stage: Stage) -> None:
    """The kernel tells of streams in the order in which something came for them: so the second closes the first."""
    protocols = [Frames(echo)]
    protocols.append(Frames(lambda me, frame: (protocols[0].transport.close(), me.send_frame(frame))))
    peers = [pair(stage, protocol) for protocol in protocols]
    for peer in peers:
        peer.send(b"\0\1a")
    stage.settle()
    assert [peer.recv(100) for peer in peers] == [b"\0\1a"] * 2
    assert [protocol.end for protocol in protocols] == [[None], []]
    for peer in peers:
        peer.close()


def test_a_reply_leaves_once_when_its_stream_is_called_again_in_the_same_turn(stage: Stage) -> None:
    """It waits in the outbox; a neighbour pauses and resumes it, which calls its protocol a second time."""

    def poke(me: Frames, frame: bytes) -> None:
        me.send_frame(frame)
        for other in protocols:
            if other is not me:
                other.transport.pause_reading()
                other.transport.resume_reading()
                other.send_frame(b"poked")

    protocols = [Frames(poke) for _ in range(3)]
    peers = [pair(stage, protocol) for protocol in protocols]
    for number, peer in enumerate(peers):
        peer.send(b"\0\1%d" % number)
    stage.settle()
    for number, peer in enumerate(peers):
        frames = LengthPrefixed(2).feed(heard(peer))
        assert sorted(frames) == sorted([b"%d" % number, b"poked", b"poked"])
        peer.close()


def test_the_rest_follows_when_the_kernel_takes_a_part_of_the_frames(stage: Stage) -> None:
    """Streams whose peers do not read: what one call sent is for all of them, and each has its own rest of it."""
    count, reply = 8, [bytes([size % 251]) * size for size in range(1, 900, 17)]
    protocols = [Roomy(lambda me, frame: me.send_frames(reply)) for _ in range(count)]
    peers = [pair(stage, protocol) for protocol in protocols]
    for number, (protocol, peer) in enumerate(zip(protocols, peers, strict=True)):
        if number % 2:
            protocol.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        peer.send(b"\0\0")
    stage.settle()
    waiting = [protocol.transport.get_write_buffer_size() > 0 for protocol in protocols]
    assert waiting == [False, True] * (count // 2)
    want = LengthPrefixed(2).encode_many(reply)
    for peer in peers:
        got = b""
        while len(got) < len(want):
            got += heard(peer)
            stage.run_once(0)
        assert got == want
    # All is sent: what comes next is collected again.
    collected: list[int] = []
    for protocol, peer in zip(protocols, peers, strict=True):
        protocol.react = lambda me, frame: (me.send_frame(b"a"), collected.append(len(me.transport._outbox.corked)))
        peer.send(b"\0\0")
    stage.settle()
    assert collected == [1] * count
    for peer in peers:
        assert heard(peer) == b"\0\1a"
        peer.close()


def test_more_formats_than_c_has_room_for_work_all_the_same(stage: Stage) -> None:
    """The rest is cut and framed by its codecs, in the same turns."""
    from reactor._accel import lib

    protocols = []
    for number in range(lib.PUMP_FORMATS + 5):
        protocol = Frames(echo)
        protocol.codec = LengthPrefixed(2, max_frame_length=100 + number)
        protocols.append(protocol)
    peers = [pair(stage, protocol) for protocol in protocols]
    assert protocols[0].transport._outbox.format == 1
    assert protocols[-1].transport._outbox.format == UNKNOWN
    for peer in peers:
        peer.send(b"\0\1a\0\1b")
    stage.settle()
    assert {heard(peer) for peer in peers} == {b"\0\1a\0\1b"}
    for peer in peers:
        peer.close()


# -- when ----------------------------------------------------------------------------------------------------------


def test_few_streams_receive_for_themselves_and_many_have_it_done(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pump looks at how many had something to say the last time."""
    leave_to_streams(monkeypatch, 2)
    pump: Any = stage.registry.poller
    protocols = [Frames(echo) for _ in range(4)]
    peers = [pair(stage, protocol) for protocol in protocols]
    pumped: list[int] = []
    _frame_arrived = Stream._frame_arrived
    monkeypatch.setattr(
        Stream, "_frame_arrived",
        lambda me, format, frame, is_alone=False: (
            is_alone or pumped.append(format), _frame_arrived(me, format, frame, is_alone)
        )[1],
    )
    for busy, expected in ((4, 4), (2, 2), (2, 0), (4, 0), (4, 4), (0, 0), (1, 0)):
        pumped.clear()
        for peer in peers[:busy]:
            peer.send(b"\0\1x")
        stage.run_once(0)
        assert len(pumped) == expected, (busy, pump)
        assert [heard(peer) for peer in peers[:busy]] == [b"\0\1x"] * busy
    for peer in peers:
        peer.close()


@pytest.mark.parametrize(("size", "calls"), [(JOIN_BYTES - 1, 1), (JOIN_BYTES, 0)])
def test_replies_of_many_streams_leave_in_one_call_unless_they_are_large(
    stage: Stage, size: int, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large ones are not copied into one place first; all arrive whole, in either way."""
    sent: list[int] = []
    pump: Any = stage.registry.poller
    pump._lib = Spy(pump._lib, lambda *args: sent.append(1))
    pairs = [pumped_pair(stage) for _ in range(6)]
    for number, (teller, _, peer) in enumerate(pairs):
        reply = bytes([number]) * size
        teller.play.react = lambda teller, reply=reply: teller.send_frame(reply)  # type: ignore[method-assign]
        peer.send(b"request")
    stage.run_once(0)
    assert len(sent) == calls
    for number, (_, _, peer) in enumerate(pairs):
        peer.settimeout(PATIENCE)
        assert peer.recv(2 + size, socket.MSG_WAITALL) == size.to_bytes(2, "big") + bytes([number]) * size
        peer.close()
