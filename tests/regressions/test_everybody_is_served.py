"""Nobody waits because of somebody else: not beside peers that never fall silent, not until another event comes.

A turn has bounds, in bytes, in frames and in time; what does not fit into one comes in the next ones, in a round.
And what is held back, or happens between two turns of a hosted loop, leaves without anybody's help.
"""

from __future__ import annotations

import gc
import select
import socket
import statistics
import sys
import time
from typing import Any

import pytest

import reactor
from reactor.limits import TURN_FRAMES
from reactor.net.stream.stream import Stream
from tests.regressions.conftest import WAYS
from tests.regressions.shipped import MANY, Shipped, heard


class Sink(reactor.Protocol):
    """Takes everything and says nothing."""

    def data_received(self, data: bytes) -> None: ...


class Counting(reactor.FramedProtocol):
    """Counts lines."""

    codec = reactor.Lines()

    def __init__(self) -> None:
        self.count = 0

    def frame_received(self, frame: bytes) -> None:
        self.count += 1


class Echo(reactor.FramedProtocol):
    """Sends every frame back."""

    codec = reactor.LengthPrefixed(4)

    def __init__(self) -> None:
        self.ends: list[BaseException | None] = []

    def frame_received(self, frame: bytes) -> None:
        self.send_frame(frame)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.ends.append(exc)


class Batched(Echo):
    """Sends them back by the batch."""

    def frames_received(self, frames: Any) -> None:
        self.send_frames(list(frames))


def framed(payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "big") + payload


def stuff(peer: socket.socket, data: bytes) -> int:
    """Send *data* again and again until nothing more fits; return how many bytes went."""
    sent = 0
    try:
        while True:
            sent += peer.send(data)
    except BlockingIOError:
        return sent


# -- beside greedy peers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [5, 8, 24])
@pytest.mark.parametrize("comes", ["first", "last"])
def test_a_polite_peer_is_answered_in_a_few_turns_when_others_never_fall_silent(
    loop: Shipped, count: int, comes: str
) -> None:
    """So many connections always have as much to say as a turn takes; one that speaks once is not passed over."""
    polite = loop.pair(Echo()) if comes == "first" else None
    greedy = [loop.pair(Sink()) for _ in range(count)]
    polite = polite or loop.pair(Echo())
    data = bytes(1 << 18)
    waited = []
    for _ in range(6):
        for turn in range(-2, 41):
            if turn == 0:  # the others are at it already
                polite.send(framed(b"please"))
            for peer in greedy:
                stuff(peer, data)
            loop.turns(1)
            if answer := heard(polite):
                assert answer == framed(b"please")
                waited.append(turn)
                break
    assert len(waited) == 6, f"not answered after 40 turns; before that {waited}"
    assert max(waited) <= 10, waited
    for peer in (polite, *greedy):
        peer.close()


@pytest.mark.slow
@pytest.mark.parametrize("count", [4, 40])
def test_a_polite_peer_is_answered_soon_when_others_send_empty_lines(loop: Shipped, count: int) -> None:
    """A small arrival can be a hundred thousand frames: what one turn delivers is bounded in frames and in time.

    Only the loop's own time is counted, from a question to its answer, and the median of many.
    """
    greedy = [loop.pair(Counting()) for _ in range(count)]
    polite = loop.pair(Echo())
    data = b"\n" * (1 << 18)
    waits = []
    for _ in range(9):
        polite.send(framed(b"please"))
        waited = 0.0
        while not heard(polite):
            for peer in greedy:
                stuff(peer, data)
            began = time.perf_counter()
            loop.run_once(0)
            waited += time.perf_counter() - began
            assert waited < 10
        waits.append(waited)
    assert statistics.median(waits) < 0.05, [f"{wait:.3f}" for wait in waits]
    for peer in (polite, *greedy):
        peer.close()


@pytest.mark.parametrize("codec", [reactor.Lines(), reactor.LengthPrefixed(4), reactor.Netstrings()])
def test_a_turn_cuts_no_more_of_an_arrival_than_it_may_deliver(
    loop: Shipped, codec: reactor.Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To cut a quarter of a mebibyte of empty frames at once costs milliseconds, and all others would wait."""
    cuts: list[int] = []
    deliver = Stream._deliver_frames

    def spy(self: Stream, protocol: Any, frames: list[bytes], *rest: Any, **more: Any) -> None:
        cuts.append(len(frames))
        deliver(self, protocol, frames, *rest, **more)

    monkeypatch.setattr(Stream, "_deliver_frames", spy)
    protocols = [type("Cutting", (Counting,), {"codec": codec})() for _ in range(MANY)]
    peers = [loop.pair(protocol) for protocol in protocols]
    empty = codec.fresh().encode(b"")
    sent = [stuff(peer, empty * ((1 << 18) // len(empty))) for peer in peers]
    for peer in peers:
        peer.shutdown(socket.SHUT_WR)
    loop.until(lambda: all(protocol.transport.is_closing() for protocol in protocols))
    assert [protocol.count for protocol in protocols] == [size // len(empty) for size in sent]
    assert max(cuts) == TURN_FRAMES
    for peer in peers:
        peer.close()


def test_every_frame_is_told_once_when_a_turn_has_no_time_for_all(loop: Shipped) -> None:
    """What was cut and not delivered is delivered in later turns, without another arrival, and before the end."""
    counting = Counting()
    peer = loop.pair(counting)
    sent = stuff(peer, b"\n" * (1 << 18))
    peer.shutdown(socket.SHUT_WR)
    loop.until(lambda: counting.transport.is_closing())
    assert counting.count == sent
    peer.close()


def test_the_first_reply_does_not_wait_for_the_last_when_handlers_are_costly(loop: Shipped) -> None:
    """Replies that are held to leave together leave by themselves after a while: 200 us, not sixty handlers."""
    order: list[int] = []
    seen: list[bool] = []

    class Costly(Echo):
        number = 0

        def frame_received(self, frame: bytes) -> None:
            super().frame_received(frame)
            if frame == b"go":
                order.append(self.number)
                end = time.perf_counter() + 0.001
                while time.perf_counter() < end:
                    pass
                if len(order) > 4:  # at least 4 ms after the first
                    seen.append(bool(heard(peers[order[0]])) or any(seen))

    protocols = [Costly() for _ in range(MANY)]
    peers = [loop.pair(protocol) for protocol in protocols]
    for number, protocol in enumerate(protocols):
        protocol.number = number
    for word in (b"warm", b"warm", b"warm", b"go"):
        for peer in peers:
            heard(peer)
            peer.send(framed(word))
        loop.turns(1)
    loop.until(lambda: len(order) == MANY)
    assert seen == [True] * (MANY - 4)
    for peer in peers:
        peer.close()


# -- without anybody's help ----------------------------------------------------------------------------------------


def host(loop: Shipped) -> None:
    """Do the turns that a host does which obeys ``fileno()`` and ``next_timeout()``, until neither asks for one."""
    for _ in range(100):
        wait = loop.next_timeout()
        if not select.select([loop.fileno()], [], [], 0)[0] and (wait is None or wait > 0):
            return
        loop.run_once(0)
    pytest.fail("it asks for turns without end")


@pytest.fixture
def hosted(loop: Shipped, way: str) -> Shipped:
    if WAYS[way][0] != "epoll":
        pytest.skip("poll and select have no descriptor that a host could watch")
    return loop


@pytest.mark.parametrize("count", [1, 8])
def test_the_greeting_of_an_adopted_stream_leaves_when_the_host_sleeps(hosted: Shipped, count: int) -> None:
    """``adopt_stream`` between two turns, ``connection_made`` writes: it leaves at once, or the host is woken."""

    class Greeting(Echo):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.send_frame(b"welcome")

    host(hosted)
    wait = hosted.next_timeout()
    peers = [hosted.pair(Greeting()) for _ in range(count)]
    if select.select([hosted.fileno()], [], [], 0)[0] or wait == 0:
        hosted.run_once(0)
    assert [heard(peer) for peer in peers] == [framed(b"welcome")] * count
    for peer in peers:
        peer.close()


def test_all_replies_leave_when_the_host_goes_on_after_control_c(hosted: Shipped) -> None:
    """A turn that was broken off in the midst of its deliveries is continued, and the host is told that it must."""

    class Interrupted(Echo):
        armed = False
        told = 0

        def frame_received(self, frame: bytes) -> None:
            super().frame_received(frame)
            Interrupted.told += 1
            if Interrupted.armed and Interrupted.told == 5:
                raise KeyboardInterrupt

    peers = [hosted.pair(Interrupted()) for _ in range(MANY)]
    for _ in range(3):
        for peer in peers:
            peer.send(framed(b"warm"))
        hosted.run_once(0)
    for peer in peers:
        heard(peer)
    host(hosted)
    Interrupted.armed, Interrupted.told = True, 0
    for _ in range(2):
        for peer in peers:
            peer.send(framed(b"go"))
        try:
            hosted.run_once(0)
        except KeyboardInterrupt:
            break
    host(hosted)
    answers = {heard(peer) for peer in peers}
    assert answers <= {framed(b"go"), framed(b"go") * 2}
    assert len(answers) == 1
    for peer in peers:
        peer.close()


# -- the price of a crowd ------------------------------------------------------------------------------------------


def lines_run(loop: Shipped, count: int) -> int:
    """Return how many lines of Python one turn takes in which *count* streams are told of two frames each."""
    peers = [loop.pair(Batched()) for _ in range(count)]
    for _ in range(3):  # whatever depends on how many are ready expects many now
        for peer in peers:
            peer.send(framed(b"warm"))
        loop.turns(1)
    for peer in peers:
        heard(peer)
        peer.send(framed(b"one") + framed(b"two"))
    lines = 0

    def trace(frame: Any, event: str, argument: object) -> Any:
        nonlocal lines
        lines += event == "line"
        return trace

    previous = sys.gettrace()
    gc.disable()  # what others have left behind would be counted
    sys.settrace(trace)
    try:
        loop.run_once(0)
    finally:
        sys.settrace(previous)
        gc.enable()
    loop.turns(3)
    assert {heard(peer) for peer in peers} == {framed(b"one") + framed(b"two")}
    for peer in peers:
        peer.close()
    loop.turns(3)
    return lines


class Idle(Batched):
    """With an idle timeout."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        transport.set_idle_timeout(30)


@pytest.mark.slow
def test_a_stream_costs_as_much_in_a_crowd_when_it_has_an_idle_timeout(
    loop: Shipped, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight times as many streams with two frames each take about eight times as many lines, not sixty."""
    monkeypatch.setitem(globals(), "Batched", Idle)
    few, many = lines_run(loop, 40), lines_run(loop, 320)
    assert many / few < 12, f"{few / 40:.0f} lines a stream among 40, {many / 320:.0f} among 320"


# -- what moves ----------------------------------------------------------------------------------------------------


def test_the_idle_timeout_begins_anew_when_a_held_frame_is_answered(way: str) -> None:
    """A protocol that takes its time for each of many frames, and answers each, is not idle: bytes move."""
    now = 1000.0
    loop = Shipped(WAYS[way][0], clock=lambda: now)

    class Slow(Echo):
        def frame_received(self, frame: bytes) -> None:
            super().frame_received(frame)
            self.transport.pause_reading()

    slow = Slow()
    peer = loop.pair(slow)
    slow.transport.set_idle_timeout(5)
    peer.send(framed(b"x") * 30)
    got = bytearray()
    for _ in range(30):
        loop.turns(2)
        got += heard(peer)
        now += 1
        if not slow.ends:
            slow.transport.resume_reading()
    loop.turns(2)
    got += heard(peer)
    assert slow.ends == []
    assert got == framed(b"x") * 30
    now += 6
    loop.turns(3)
    assert [type(exc).__name__ for exc in slow.ends] == ["IdleTimeout"], "now it is idle"
    loop.close()
    peer.close()


def test_the_connection_is_closed_when_the_protocol_has_no_eof_received(loop: Shipped) -> None:
    """A protocol that does not care for the end of the stream gets what the default does: an orderly close."""

    class Bare:
        ends: list[BaseException | None]

        def __init__(self) -> None:
            self.ends = []

        def connection_made(self, transport: Any) -> None: ...

        def data_received(self, data: bytes) -> None: ...

        def connection_lost(self, exc: BaseException | None) -> None:
            self.ends.append(exc)

    bare = Bare()
    peer = loop.pair(bare)
    peer.send(b"x")
    peer.shutdown(socket.SHUT_WR)
    loop.turns(5)
    escaped, loop.failures = loop.failures, []
    assert (bare.ends, escaped) == ([None], [])
    assert heard(peer) == b""
    peer.close()
