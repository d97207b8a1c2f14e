"""Datagrams in batches against the plain path: the same script for both, the same events and the same replies.

``test_datagram_network`` runs on both as well.  Here are the scripts that nobody thought of, and the traps of
receiving before somebody asked and sending later than that: nothing may be lost, come twice, or change its place.
Read next: ``test_batch``.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import Any
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reactor.errors import IdleTimeout
from reactor.flow import Watermarks
from reactor.limits import DATAGRAM_BATCH
from reactor.net.datagrams.batch import Batch, pack_address
from reactor.net.datagrams.batched_endpoint import BatchedEndpoint
from reactor.net.datagrams.endpoint import ENTRY_BYTES, DatagramEndpoint
from reactor.testing import VirtualClock
from tests.conftest import native_problem
from tests.net.notes import Notes, batched, drained, echo, opened, peers_on
from tests.net.stage import Stage, stage_on

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or native_problem() is not None, reason=f"no batches: {native_problem()}"
)

PEERS = 2

#: More than UDP can carry, and therefore EMSGSIZE.
TOO_LONG = b"x" * 70_000


# -- the same as the plain path --------------------------------------------------------------------------------

#: What a protocol does when it is told of a datagram.
REACTIONS = st.sampled_from(
    ["", "echo", "echo", "echo twice", "other", "long", "pause", "pause and resume", "close", "abort", "raise"]
)

#: What a script says: a peer sends some datagrams, the endpoint is told something, or the loop turns.
STEPS = st.one_of(
    st.tuples(st.sampled_from(range(PEERS)), st.integers(1, 5)),
    st.tuples(st.sampled_from(range(PEERS)), st.just(DATAGRAM_BATCH + 6)),
    st.tuples(st.sampled_from(["pause", "resume", "say", "turn", "turn", "close", "abort"]), st.just(1)),
)


class Play:
    """One script on one path: ``events`` is what the protocol was told, ``replies`` what each peer received.

    Its clock stands still: how much is delivered in a turn of real time is the machine's to say.
    """

    def __init__(self, accel: str, host: str, steps: list[Any], reactions: list[str]) -> None:
        self.reactions = reactions
        self.count = 0
        with mock.patch.dict(os.environ, {"REACTOR_ACCEL": accel}), stage_on(clock=VirtualClock()) as stage:
            with peers_on(host, PEERS) as self.peers:
                self.notes, self.endpoint = opened(stage, (host, 0), datagram_received=self.react)
                self.address = self.endpoint.get_extra_info("sockname")
                for word, times in [*steps, ("turn", 1), ("resume", 1), ("turn", 1), ("resume", 1), ("turn", 1)]:
                    for _ in range(times):
                        self.act(stage, word)
                self.names = {peer.getsockname(): number for number, peer in enumerate(self.peers)}
                self.replies = [drained(peer) for peer in self.peers]
                self.endpoint.abort()
                stage.settle()
            self.failures = len(stage.take_failures())
            self.counts = stage.counters.datagrams_received, stage.counters.datagrams_sent
        self.events = [tuple(map(self.plain, call)) for call in self.notes.calls]

    def plain(self, value: Any) -> Any:
        """What can be compared between two runs: a number for an address, an errno for an error."""
        if isinstance(value, OSError):
            return value.errno
        return self.names.get(value, value) if isinstance(value, tuple) else value

    def act(self, stage: Stage, word: Any) -> None:
        self.count += 1
        if word == "turn":
            stage.settle(6)
        elif word == "say":
            self.endpoint.sendto(b"said %d" % self.count, self.peers[0].getsockname())
        elif isinstance(word, str):
            getattr(self.endpoint, {"pause": "pause_reading", "resume": "resume_reading"}.get(word, word))()
        else:
            data = b"" if self.count % 7 == 0 else b"%d" % self.count
            self.peers[word].sendto(data, self.address)

    def react(self, me: Notes, data: bytes, address: Any) -> None:
        reaction = self.reactions[len(me.data) % len(self.reactions)]
        if reaction == "raise":
            raise ValueError(reaction)
        if reaction.startswith("echo"):
            for _ in reaction.split():
                self.endpoint.sendto(data, address)
        elif reaction == "other":
            self.endpoint.sendto(data, self.peers[0].getsockname())
        elif reaction == "long":
            self.endpoint.sendto(TOO_LONG, address)
        for word in ("pause", "resume", "close", "abort"):
            if word in reaction.split():
                getattr(self.endpoint, {"pause": "pause_reading", "resume": "resume_reading"}.get(word, word))()


def errors(play: Play) -> list[Any]:
    """The errors that were told."""
    return [event for event in play.events if event[0] == "error_received"]


def others(play: Play) -> list[Any]:
    """What else was told."""
    return [event for event in play.events if event[0] != "error_received"]


@pytest.mark.slow
@given(
    host=st.sampled_from(["127.0.0.1", "::1"]),
    steps=st.lists(STEPS, max_size=12),
    reactions=st.lists(REACTIONS, min_size=1, max_size=6),
)
@example(host="127.0.0.1", steps=[(0, 5), (1, 5)], reactions=["echo", "close"])
@example(host="127.0.0.1", steps=[(0, 5)], reactions=["echo", "echo", "abort"])
@example(host="::1", steps=[(0, 70), (1, 70)], reactions=["echo", "pause", "other", "long"])
@example(host="127.0.0.1", steps=[(0, 1), ("turn", 1), (0, 1), (0, 1)], reactions=["long"])
@example(host="127.0.0.1", steps=[(0, 1), ("turn", 1), (0, 70)], reactions=["close", "", "long"])
def test_both_paths_tell_and_send_the_same_whatever_happens(
    host: str, steps: list[Any], reactions: list[str]
) -> None:
    """Events with their arguments in order, replies at each peer in order, and what is counted.

    Errors are in an order of their own: they are told behind what a turn has received, and how much that is, the
    kernel and the size of the batch decide.  So if what is received ends the endpoint, the last of them may come
    too late to be told.
    """
    plain, batch = (Play(accel, host, steps, reactions) for accel in ("pure", "native"))
    assert (type(plain.endpoint), type(batch.endpoint)) == (DatagramEndpoint, BatchedEndpoint)
    told = min(len(errors(batch)), len(errors(plain)))
    assert errors(batch)[:told] == errors(plain)[:told]
    if not {"close", "abort"} & {*reactions, *(word for word, _ in steps)}:
        assert len(errors(batch)) == len(errors(plain))
    assert others(batch) == others(plain)
    assert batch.replies == plain.replies
    assert (batch.counts, batch.failures) == (plain.counts, plain.failures)


@pytest.mark.usefixtures("accel")
def test_refusals_met_by_replies_are_told_and_cost_none_of_them() -> None:
    """The kernel reports each with a later call: which of them, no test can know."""
    with stage_on() as stage, peers_on() as [peer]:
        notes, endpoint = opened(stage, ("127.0.0.1", 0), peer.getsockname(), datagram_received=echo)
        for _ in range(4):
            peer.sendto(b"x", endpoint.get_extra_info("sockname"))
        peer.close()
        stage.until(lambda: len(notes.data) == 4)
        stage.settle()
        assert stage.counters.datagrams_sent == 4
        assert {type(exc) for exc in notes.told("error_received")} == {ConnectionRefusedError}
        assert len(notes.told("error_received")) >= 3


@pytest.mark.parametrize(
    "accel",
    [
        "pure",
        "native",
    ],
    indirect=True,
)
@pytest.mark.parametrize("answers", [0, 2], ids=["unanswered", "answered twice"])
@pytest.mark.usefixtures("accel")
def test_an_idle_timeout_is_pushed_back_when_a_datagram_arrives(answers: int) -> None:
    """The endpoint is not idle while it is spoken to, in whichever way that comes in."""

    def answer(me: Notes, data: bytes, address: Any) -> None:
        for _ in range(answers):
            me.transport.sendto(data, address)

    clock = VirtualClock()
    with stage_on(clock=clock) as stage, peers_on() as [peer]:
        notes, endpoint = opened(stage, ("127.0.0.1", 0), datagram_received=answer)
        endpoint.set_idle_timeout(10)
        for number in range(1, 4):
            clock.advance(6)
            peer.sendto(b"x", endpoint.get_extra_info("sockname"))
            stage.settle()
            assert (len(notes.data), notes.told("connection_lost")) == (number, [])
        clock.advance(11)
        stage.settle()
        assert [type(exc) for exc in notes.told("connection_lost")] == [IdleTimeout]


# -- receiving before somebody asked ---------------------------------------------------------------------------


def test_the_rest_of_a_batch_is_kept_when_the_endpoint_is_paused_and_comes_first_when_it_resumes() -> None:
    """Not from inside resume_reading, and before what the kernel has."""
    with batched(datagram_received=lambda me, *_: me.transport.pause_reading()) as (stage, notes, endpoint, peer):
        for letter in (b"1", b"2", b"3"):
            peer.send(letter)
        stage.settle()
        peer.send(b"4")
        assert notes.data == [b"1"]
        for expected in ([b"1", b"2"], [b"1", b"2", b"3"], [b"1", b"2", b"3", b"4"]):
            endpoint.resume_reading()
            assert len(notes.data) == len(expected) - 1
            stage.settle()
            assert notes.data == expected


def test_what_is_kept_stays_when_the_endpoint_is_paused_again_at_once() -> None:
    """The call that was to deliver it finds it paused."""
    with batched(datagram_received=lambda me, *_: me.transport.pause_reading()) as (stage, notes, endpoint, peer):
        peer.send(b"1")
        peer.send(b"2")
        stage.settle()
        endpoint.resume_reading()
        endpoint.pause_reading()
        stage.settle()
        assert notes.data == [b"1"]


@pytest.mark.parametrize("method", ["close", "abort"])
def test_replies_leave_and_the_rest_of_a_batch_is_dropped_when_a_callback_ends_the_endpoint(method: str) -> None:
    """What was said before the end counts, as on the plain path."""

    def answer_and_end(me: Notes, data: bytes, address: Any) -> None:
        me.transport.sendto(data, address)
        me.transport.sendto(data.upper(), address)
        getattr(me.transport, method)()
        me.transport.sendto(b"late", address)

    with batched(datagram_received=answer_and_end) as (stage, notes, _, peer):
        peer.send(b"a")
        peer.send(b"b")
        stage.settle()
        assert notes.names == ["connection_made", "datagram_received", "connection_lost"]
        assert drained(peer) == [b"a", b"A"]


def test_nothing_is_lost_when_the_loop_is_interrupted_amid_a_batch() -> None:
    """Replies so far leave, and the rest comes when the loop runs again."""

    def stop(me: Notes, data: bytes, address: Any) -> None:
        echo(me, data, address)
        if data == b"2":
            raise KeyboardInterrupt

    with batched(datagram_received=stop) as (stage, notes, _, peer):
        for letter in (b"1", b"2", b"3"):
            peer.send(letter)
        with pytest.raises(KeyboardInterrupt):
            stage.settle()
        assert drained(peer) == [b"1", b"2"]
        stage.settle()
        assert notes.data == [b"1", b"2", b"3"]
        assert drained(peer) == [b"3"]


# -- sending together ------------------------------------------------------------------------------------------


def test_replies_to_a_batch_leave_in_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """And each datagram that a timer sends in its own, at once."""
    calls: list[int] = []
    send = Batch.send

    def counted(self: Batch, fd: int, postings: Any) -> tuple[int, int]:
        calls.append(len(postings))
        return send(self, fd, postings)

    monkeypatch.setattr(Batch, "send", counted)
    with batched(datagram_received=echo) as (stage, notes, endpoint, peer):
        for _ in range(10):
            peer.send(b"x")
        stage.settle()
        assert len(drained(peer)) == len(notes.data) == 10
        endpoint.sendto(b"y", peer.getsockname())
        assert drained(peer) == [b"y"]
        assert calls == [10]


def test_what_waits_for_the_end_of_a_delivery_is_bounded() -> None:
    """One datagram may be answered with any number of them."""
    seen = []

    def flood(me: Notes, _: bytes, address: Any) -> None:
        for number in range(DATAGRAM_BATCH + 1):
            me.transport.sendto(b"%d" % number, address)
        seen.append(len(drained(peer)))

    with batched(datagram_received=flood) as (stage, _, _, peer):
        peer.send(b"x")
        stage.settle()
        assert seen == [DATAGRAM_BATCH]
        assert drained(peer) == [b"%d" % DATAGRAM_BATCH]


def test_order_is_kept_when_an_address_can_only_be_judged_by_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is corked leaves first."""
    seen: list[Any] = []

    def several(me: Notes, _: bytes, address: Any) -> None:
        me.transport.sendto(b"1", address)
        me.transport.sendto(b"2", other.getsockname())
        seen.append((drained(peer), drained(other)))
        me.transport.sendto(b"3", address)

    def pack(address: Any) -> bytes | None:
        return None if address == other.getsockname() else pack_address(address)

    monkeypatch.setattr("reactor.net.datagrams.batch.pack_address", pack)
    with peers_on() as [other], batched(datagram_received=several) as (stage, _, _, peer):
        peer.send(b"x")
        stage.settle()
        assert seen == [([b"1"], [b"2"])]
        assert drained(peer) == [b"3"]


# -- what the kernel refuses -----------------------------------------------------------------------------------


def refusing(monkeypatch: pytest.MonkeyPatch, *answers: tuple[int, int]) -> None:
    """Let each call of ``Batch.send`` send so many and then meet that errno; all later ones are the kernel's.

    Loopback never runs out of room, and never refuses one datagram of several.
    """
    send, left = Batch.send, list(answers)

    def refuse(self: Batch, fd: int, postings: Any) -> tuple[int, int]:
        if not left:
            return send(self, fd, postings)
        count, why = left.pop(0)
        if count:
            assert send(self, fd, postings[:count]) == (count, 0)
        return count, why

    monkeypatch.setattr(Batch, "send", refuse)


@pytest.mark.parametrize("why", [errno.EAGAIN, errno.EINTR])
def test_replies_wait_in_order_from_the_first_that_the_kernel_has_no_room_for(
    why: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The protocol is told to pause when all of them wait, so what it sends then comes last."""
    refusing(monkeypatch, (2, why))
    marks = Watermarks(high=2 * ENTRY_BYTES, low=ENTRY_BYTES, cap=1_000_000)
    reactions = {"datagram_received": echo, "pause_writing": last_word}
    with batched(marks, **reactions) as (stage, notes, endpoint, peer):
        for letter in b"12345":
            peer.send(bytes([letter]))
        stage.until(lambda: len(notes.data) == 5)
        assert drained(peer) == [b"1", b"2"]
        assert endpoint.get_write_buffer_size() == 4 * ENTRY_BYTES + len(b"345last")
        stage.settle()
        assert drained(peer) == [b"3", b"4", b"5", b"last"]
        assert [name for name in notes.names if name.endswith("_writing")] == ["pause_writing", "resume_writing"]
        assert stage.counters.datagrams_sent == 6


def last_word(me: Notes) -> None:
    """A reaction: send one more to whom the last datagram came from."""
    me.transport.sendto(b"last", [call for call in me.calls if call[0] == "datagram_received"][-1][2])


@pytest.mark.parametrize("method", ["close", "abort"])
def test_waiting_replies_share_the_fate_of_the_queue_when_a_callback_ends_the_endpoint(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """close() sends them when there is room, abort() drops them; the protocol is not asked to pause any more."""

    def answer_and_end(me: Notes, data: bytes, address: Any) -> None:
        for number in range(4):
            me.transport.sendto(b"%d" % number, address)
        getattr(me.transport, method)()

    refusing(monkeypatch, (1, errno.EAGAIN))
    marks = Watermarks(high=ENTRY_BYTES, low=0, cap=1_000_000)
    with batched(datagram_received=answer_and_end, watermarks=marks) as (stage, notes, _, peer):
        peer.send(b"x")
        stage.settle()
        assert drained(peer) == ([b"0", b"1", b"2", b"3"] if method == "close" else [b"0"])
        assert notes.names == ["connection_made", "datagram_received", "connection_lost"]


def test_an_error_costs_one_reply_and_the_others_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told from the loop; those behind are sent in the order in which they were said."""
    refusing(monkeypatch, (1, errno.EPERM), (0, errno.EHOSTUNREACH))
    with batched(datagram_received=echo) as (stage, notes, _, peer):
        for letter in b"12345":
            peer.send(bytes([letter]))
        stage.settle()
        assert drained(peer) == [b"1", b"4", b"5"]
        assert [exc.errno for exc in notes.told("error_received")] == [errno.EPERM, errno.EHOSTUNREACH]
        assert stage.counters.datagrams_sent == 3
