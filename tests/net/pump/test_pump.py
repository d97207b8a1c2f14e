"""The pump against the plain path: the same script for both, the same events out of both.

What can be said of a stream is said in the contract suite, which runs on the pump as on every poller.  Here are
the scripts that nobody thought of, and the traps of receiving before somebody asked: what arrived must neither be
lost nor come late, twice, or to the wrong stream.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor.framing import LengthPrefixed
from reactor.limits import ARENA_BYTES, SCRATCH_BYTES
from reactor.net.protocol import FramedProtocol
from reactor.net.pump.choice import with_pump
from reactor.net.stream.stream import Stream
from reactor.testing import VirtualClock
from tests.conftest import ALWAYS, SHIPPED, leave_to_streams, native_problem
from tests.net.stage import Stage, stage_on

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or native_problem() is not None, reason=f"no pump: {native_problem()}"
)

ON, OFF = {"REACTOR_PUMP": "on"}, {"REACTOR_PUMP": "off"}

STREAMS = 3

#: What a script may say of a stream: its peer or its protocol does something, or the loop turns.
STEPS = st.one_of(
    st.tuples(st.just("send"), st.integers(1, 300_000)),
    st.tuples(st.just("shut"), st.just(0)),
    st.tuples(st.just("read"), st.just(0)),
    st.tuples(st.just("write"), st.sampled_from([1, 100, 70_000, 300_000])),
    st.tuples(st.sampled_from(["pause", "resume", "eof", "close", "abort", "turn", "turn", "turn"]), st.just(0)),
)

#: What a protocol does when it is told of data.  Neighbours of the same turn are left alone: nobody promises an
#: order of streams, so what one does to another may come before or after the other's own bytes.
REACTIONS = st.sampled_from(["", "", "echo", "pause", "close", "abort", "raise"])


class Teller(FramedProtocol):
    """Notes what it is told, and reacts as the script says."""

    codec = LengthPrefixed(2, max_frame_length=60_000)

    def __init__(self, play: Play, number: int) -> None:
        self.play = play
        self.number = number
        self.events: list[Any] = []
        self.received = bytearray()

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.note("data")
        self.play.react(self)

    def eof_received(self) -> bool:
        self.note("eof")
        return True

    def pause_writing(self) -> None:
        self.note("pause_writing")

    def resume_writing(self) -> None:
        self.note("resume_writing")

    def connection_lost(self, exc: BaseException | None) -> None:
        self.note(("lost", type(exc).__name__))

    def note(self, event: Any) -> None:
        """Keep *event*; a run of data counts once, because chunks mean nothing."""
        if event != "data" or self.events[-1:] != ["data"]:
            self.events.append(event)


class Play:
    """Three streams on one reactor, and their peers; ``outcome`` is all that anybody could observe."""

    def __init__(self, stage: Stage, reactions: list[str]) -> None:
        self.stage = stage
        self.reactions = list(reversed(reactions))
        self.tellers = [Teller(self, number) for number in range(STREAMS)]
        self.peers: list[socket.socket] = []
        self.heard = [bytearray() for _ in range(STREAMS)]
        self.streams: list[Stream] = []
        for teller in self.tellers:
            ours, theirs = socket.socketpair()
            theirs.setblocking(False)
            self.peers.append(theirs)
            self.streams.append(stage.adopt_stream(lambda teller=teller: teller, ours))  # type: ignore[misc]

    def react(self, teller: Teller) -> None:
        """Do what comes next in the script of reactions."""
        reaction = self.reactions.pop() if self.reactions else ""
        stream = self.streams[teller.number]
        if reaction == "raise":
            raise RuntimeError("as the script says")
        if reaction == "echo":
            stream.write(bytes(teller.received[-1000:]))
        elif reaction:
            getattr(stream, {"pause": "pause_reading"}.get(reaction, reaction))()

    def step(self, number: int, word: str, size: int) -> None:
        """Do one step of the script, if it is still possible."""
        stream, peer = self.streams[number], self.peers[number]
        try:
            if word == "send":
                peer.send(bytes(i & 255 for i in range(size)))
            elif word == "shut":
                peer.shutdown(socket.SHUT_WR)
            elif word == "read":
                self.listen(number)
            elif word == "write" and not stream._is_write_ended:
                stream.write(bytes(size))
            elif word in ("close", "abort"):
                getattr(stream, word)()
            elif word in ("pause", "resume") and not stream.is_closing():
                getattr(stream, f"{word}_reading")()
            elif word == "eof" and not stream.is_closing():
                stream.write_eof()
        except OSError:
            pass
        if word == "turn":
            self.stage.run_once(0)

    def listen(self, number: int) -> None:
        """Have the peer take what has come for it."""
        try:
            while data := self.peers[number].recv(1 << 20):
                self.heard[number] += data
        except OSError:
            pass

    def outcome(self) -> list[Any]:
        """Play to the end, and return what each stream's protocol and peer have seen."""
        for _ in range(20):
            self.stage.run_once(0)
            for number in range(STREAMS):
                self.listen(number)
        seen: list[Any] = [
            (teller.events, bytes(teller.received), bytes(heard))
            for teller, heard in zip(self.tellers, self.heard, strict=True)
        ]
        for peer in self.peers:
            peer.close()
        return seen


def played(environ: dict[str, str], reactions: list[str], script: list[tuple[int, tuple[str, int]]]) -> list[Any]:
    """Play *script* on a reactor with or without a pump."""
    with stage_on(with_pump("epoll", environ) if environ is ON else None) as stage:
        assert (stage._shared.pump is not None) == (environ is ON)
        play = Play(stage, reactions)
        for number, (word, size) in script:
            play.step(number, word, size)
        outcome = play.outcome()
        stage.take_failures()
        return outcome


@settings(max_examples=150)
@given(
    few=st.sampled_from([ALWAYS, 0, 1, 2, SHIPPED]),
    reactions=st.lists(REACTIONS, max_size=12),
    script=st.lists(st.tuples(st.integers(0, STREAMS - 1), STEPS), max_size=40),
)
@pytest.mark.slow
def test_the_pump_and_the_plain_path_tell_the_same_story(
    few: int, reactions: list[str], script: list[tuple[int, tuple[str, int]]]
) -> None:
    """Whatever peers and protocols do, nobody can tell which of the two carried the bytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REACTOR_PUMP", "off")
        leave_to_streams(patch, few)
        assert played(ON, reactions, script) == played(OFF, reactions, script)


def pumped_pair(stage: Stage) -> tuple[Teller, Stream, socket.socket]:
    """A stream on the pump, its protocol, and its peer."""
    teller = Teller(Play.__new__(Play), 0)
    teller.play.react = lambda teller: None  # type: ignore[method-assign]
    ours, theirs = socket.socketpair()
    return teller, stage.adopt_stream(lambda: teller, ours), theirs


@pytest.fixture
def stage(pump_few: int) -> Any:
    """A stage with a pump, for which one stream is enough, or which leaves a few to themselves.

    Its clock stands still: a slow machine would break a turn off, and have the rest wait for the next one.
    """
    with stage_on(with_pump("epoll", ON), clock=VirtualClock()) as stage:
        yield stage


def test_bytes_that_arrived_for_a_stream_are_kept_when_a_neighbour_pauses_it(stage: Stage) -> None:
    """They have left the kernel before anybody could know; they come first when the stream resumes, and once."""
    tellers = [pumped_pair(stage) for _ in range(2)]
    (one, first, peer), (two, second, other) = tellers
    one.play.react = lambda teller: second.pause_reading()  # type: ignore[method-assign]
    two.play.react = lambda teller: first.pause_reading()  # type: ignore[method-assign]
    with peer, other:
        peer.send(b"early")
        other.send(b"early")
        stage.run_once(0)
        assert sorted([bytes(one.received), bytes(two.received)]) == [b"", b"early"]
        paused, late, theirs = tellers[0] if not one.received else tellers[1]
        assert [stream for _, stream, _ in tellers if stream._held] == [late]
        theirs.send(b" and late")
        paused.play.react = lambda teller: None  # type: ignore[method-assign]
        late.resume_reading()
        assert paused.received == b"", "not from inside of resume_reading"
        stage.settle()
        assert paused.received == b"early and late"
        assert late._held is None


def test_held_bytes_are_dropped_with_their_stream(stage: Stage) -> None:
    """The number of the descriptor may be somebody else's a moment later, and nobody is called after the end."""
    teller, stream, peer = pumped_pair(stage)
    with peer:
        stream.pause_reading()
        stream._arrived(b"data")
        stream.resume_reading()
        stream.abort()
        assert stream._held is None
        stage.settle()
        assert teller.received == b""


def test_what_was_received_is_delivered_in_the_next_turn_when_the_first_was_broken_off(stage: Stage) -> None:
    """Ctrl-C in one protocol: the bytes of the others lie in the arena, and the next wait must not overwrite
    them."""
    pairs = [pumped_pair(stage) for _ in range(3)]

    def interrupt(teller: Teller) -> None:
        if not any(other.received for other, _, _ in pairs if other is not teller):
            raise KeyboardInterrupt

    for teller, _, peer in pairs:
        teller.play.react = interrupt  # type: ignore[method-assign]
        peer.send(b"data")
    with pytest.raises(KeyboardInterrupt):
        stage.run_once(0)
    pairs[0][2].send(b" more")
    stage.settle()
    assert sorted(bytes(teller.received) for teller, _, _ in pairs) == [b"data", b"data", b"data more"]
    for _, _, peer in pairs:
        peer.close()


def test_streams_receive_by_themselves_in_the_same_turn_when_the_arena_is_full(stage: Stage) -> None:
    """Each has its share of the turn.  The kernel names the ready in the same order each time: whoever had to wait
    for room in the arena would wait forever behind a few that always have something to say."""
    count = ARENA_BYTES // SCRATCH_BYTES * 3
    pairs = [pumped_pair(stage) for _ in range(count)]
    for _, stream, peer in pairs:
        stream.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        peer.setblocking(False)
    for _ in range(3):
        sizes = [peer.send(bytes(SCRATCH_BYTES)) for _, _, peer in pairs]
        assert sum(sizes) > ARENA_BYTES
        before = [len(teller.received) for teller, _, _ in pairs]
        stage.run_once(0)
        assert all(len(teller.received) > size for (teller, _, _), size in zip(pairs, before, strict=True))
        stage.settle(2)
        after = [len(teller.received) for teller, _, _ in pairs]
        assert after == [old + new for old, new in zip(before, sizes, strict=True)]
    for _, _, peer in pairs:
        peer.close()


def has_something(sock: socket.socket) -> bool:
    """Return True if there is something to read."""
    try:
        return bool(sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except BlockingIOError:
        return False


def test_a_stray_is_counted_and_cured_on_the_pump_too(stage: Stage) -> None:
    """The pump is an epoll set like any other."""
    left, right = socket.socketpair()
    with left.dup(), right:
        stage.add_reader(left, print)
        left.close()
        stage.remove_reader(left)
        right.send(b"x")
        stage.settle()
        assert stage.counters.stray_wakeups == 1
        assert stage.counters.poller_rebuilds == 1


def test_a_stream_goes_on_without_the_pump_when_a_forked_child_reopens_the_reactor(stage: Stage) -> None:
    """The child has a plain epoll set of its own; its streams receive by themselves."""
    teller, _, peer = pumped_pair(stage)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            stage.reopen()
            peer.send(b"to the child")
            stage.run_until(lambda: teller.received == b"to the child", 5)
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    peer.close()


class Lending:
    """A protocol in the manner of asyncio.BufferedProtocol, with three bytes of room at a time."""

    def __init__(self) -> None:
        self.received = bytearray()

    def get_buffer(self, hint: int) -> bytearray:
        self.room = bytearray(3)
        return self.room

    def buffer_updated(self, size: int) -> None:
        self.received += self.room[:size]

    def eof_received(self) -> None: ...

    def connection_lost(self, exc: BaseException | None) -> None: ...


@pytest.mark.parametrize("is_paused", [False, True])
def test_what_had_arrived_goes_into_the_buffers_of_a_protocol_that_came_meanwhile(
    stage: Stage, is_paused: bool
) -> None:
    """A neighbour changes the protocol of a stream whose bytes lie in the arena already, or are kept."""
    pairs = [pumped_pair(stage) for _ in range(2)]
    lending = Lending()

    def replace(teller: Teller) -> None:
        other = next(stream for neighbour, stream, _ in pairs if neighbour is not teller)
        if is_paused:
            other.pause_reading()
        other.set_protocol(lending)

    for teller, _, peer in pairs:
        teller.play.react = replace  # type: ignore[method-assign]
        peer.send(b"eleven byte")
    stage.run_once(0)
    for _, stream, _ in pairs:
        stream.resume_reading()
    stage.settle()
    assert lending.received == b"eleven byte"
    for _, _, peer in pairs:
        peer.close()


def test_the_rest_of_the_arrivals_are_the_parents_when_a_callback_forks(stage: Stage) -> None:
    """The child of a callback must not answer the parent's clients, neither those to come nor those just served."""
    pairs = [pumped_pair(stage) for _ in range(3)]
    parent = os.getpid()
    children: list[int] = []

    def answer(teller: Teller) -> None:
        if sum(bool(other.received) for other, _, _ in pairs) == 2 and os.getpid() == parent and not children:
            children.append(os.fork())
        else:
            teller.transport.write(b"parent" if os.getpid() == parent else b"CHILD")

    for teller, _, peer in pairs:
        teller.play.react = answer  # type: ignore[method-assign]
        peer.send(b"request")
    try:
        stage.run_once(0)
    finally:
        if os.getpid() != parent:
            os._exit(0)
    stage.settle()  # a fork takes its time, and may have used up the turn
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0
    heard = sorted(peer.recv(100) if has_something(peer) else b"" for _, _, peer in pairs)
    assert heard == [b"", b"parent", b"parent"]
    for _, _, peer in pairs:
        peer.close()
