"""Attacks on the handshake: whatever is done with its messages without the key, nobody is taken for who has it.

First the attacks that have a name, each on random places: what is cut, changed, repeated, sent back, taken from
another conversation or from another server.  Then all of them at once: an attacker who carries every message
there is, opens as many conversations as he likes, and delivers what he likes to whom he likes.  What must hold
is one sentence, which cryptographers call matching conversations: a side is authenticated only if somebody with
the key, in the other role and for the same context, has sent and received the very bytes that it has received
and sent.
"""

from __future__ import annotations

from itertools import pairwise, permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from reactor.auth import AUTHENTICATED, FAILED, Handshake, Key, KeyRing, wire
from reactor.errors import AuthenticationFailed, UsageError
from tests.auth.sides import ANOTHER_SECRET, RING, SECRET, Run, client_of, run_of, server_of

#: How many bytes each frame of a run has: the challenge, the response, the acceptance.
SIZES = [len(frame) for frame in run_of(server_of(), client_of())]


def heard(side: Handshake, *pieces: bytes) -> bytes:
    """Give *pieces* to *side*, as far as it takes them, and return what it answered."""
    answer = b""
    for piece in pieces:
        try:
            answer += side.receive(piece, 0.0)
        except (AuthenticationFailed, UsageError):
            break
    return answer


def flipped(data: bytes, bit: int) -> bytes:
    """Return *data* with one bit changed."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@given(cuts=st.lists(st.integers(0, max(SIZES)), max_size=12), tail=st.binary(max_size=20))
def test_a_handshake_goes_well_however_the_network_cuts_it(cuts: list[int], tail: bytes) -> None:
    """Where one read ends and the next begins means nothing, and what is behind it is kept whole."""
    server, client = server_of(), client_of()
    *pieces, last = cut(heard(client, *cut(server.opening, cuts)), cuts)
    acceptance = heard(server, *pieces, last + tail)
    *pieces, last = cut(acceptance, cuts)
    heard(client, *pieces, last + tail)
    assert server.state is client.state is AUTHENTICATED
    assert server.remainder == client.remainder == tail


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Return *data* in pieces, cut at *places*."""
    ends = sorted({0, len(data), *(place for place in places if place < len(data))})
    return [data[start:end] for start, end in pairwise(ends)]


@pytest.mark.parametrize("which", [0, 1, 2], ids=Run._fields)
def test_nobody_is_authenticated_when_any_bit_was_changed(which: int) -> None:
    """Every bit of every message: neither side after a change in the first two, not the client after one in the
    last."""
    for bit in range(8 * SIZES[which]):
        server, client = server_of(), client_of()
        challenge = server.opening if which != 0 else flipped(server.opening, bit)
        response = heard(client, challenge)
        if which == 1:
            response = flipped(response, bit)
        acceptance = heard(server, response)
        assert (server.state is AUTHENTICATED) is (which == 2), bit
        if which == 2:
            acceptance = flipped(acceptance, bit)
        heard(client, acceptance, bytes(wire.FRAME_BYTES))
        assert client.state is not AUTHENTICATED, bit


@pytest.mark.parametrize("which", [0, 1, 2], ids=Run._fields)
def test_nobody_is_authenticated_when_a_message_was_cut_short(which: int) -> None:
    """Every length: the side waits, and fails at the end."""
    for size in range(SIZES[which]):
        server, client = server_of(), client_of()
        run = run_of(server_of(), client_of())
        side = server if which == 1 else client
        earlier = [server.opening] if which == 2 else []
        heard(side, *earlier, run[which][:size])
        assert side.state is not AUTHENTICATED
        side.end()
        assert side.state is FAILED


def test_nobody_is_authenticated_by_the_messages_of_another_run() -> None:
    """In any order and any selection, to either side, once or twice over: they were made for other nonces."""
    run = run_of(server_of(), client_of())
    for size in (1, 2, 3):
        for frames in permutations([*run, run.response], size):
            for side in (server_of(), client_of()):
                heard(side, *frames)
                assert side.state is not AUTHENTICATED


def test_nobody_is_authenticated_by_what_it_has_sent_itself() -> None:
    """Sent back at once, or to another conversation of the same side."""
    server, other = server_of(), server_of()
    for frames in ([server.opening], [other.opening], [server.opening, other.opening]):
        heard(server, *frames)
        assert server.state is FAILED
        server = server_of()
    client = client_of()
    response = heard(client, server.opening)
    for frames in ([response], [server.opening], [wire.packed(wire.ACCEPTANCE, proof=response[-64:])]):
        copy = client_of()
        heard(copy, server.opening, *frames)
        assert copy.state is not AUTHENTICATED


@pytest.mark.parametrize("size", [32, 64])
def test_a_clients_own_proof_is_not_the_servers(size: int) -> None:
    """The role is in the proof: sent back as the acceptance it proves nothing."""
    client = client_of(algorithms=["sha256" if size == 32 else "sha512"])
    response = heard(client, server_of().opening)
    heard(client, wire.packed(wire.ACCEPTANCE, proof=response[-size:]))
    assert client.state is FAILED


def test_a_response_is_worth_nothing_at_another_server_with_the_same_key() -> None:
    """A server to whom the client came on purpose passes the other's challenge on, and the answer back."""
    victim, liar = b"payroll.example", b"forum.example"
    server, client = server_of(context=victim), client_of(context=liar)
    heard(server, heard(client, server.opening))
    assert server.state is FAILED


def test_a_response_passes_when_both_mean_the_same_so_a_relay_that_is_meant_cannot_be_seen() -> None:
    """What the handshake does not protect against: he who only carries the bytes is not noticed, see the page."""
    server, client = server_of(context=b"same"), client_of(context=b"same")
    run_of(server, client)


@pytest.mark.parametrize("offered", [b"\1", b"\3\1", b"\3\2"])
def test_a_downgrade_is_noticed_when_the_servers_list_was_changed(offered: bytes) -> None:
    """The client answers to a list that the server has not sent, and its proof says so."""
    server, client = server_of(), client_of()
    challenge = wire.packed(wire.CHALLENGE, algorithms=offered, nonce=server.opening[-32:])
    heard(server, heard(client, challenge))
    assert server.state is FAILED


@pytest.mark.parametrize("named", [b"\1", b"\3\2", b"\2"])
@pytest.mark.parametrize("chosen", [b"\1", b"\2"])
def test_a_downgrade_is_noticed_when_the_clients_list_or_choice_was_changed(named: bytes, chosen: bytes) -> None:
    """The server compares with what the client has proved."""
    server, client = server_of(), client_of()
    sent = wire.parsed(heard(client, server.opening)).fields
    proof = sent["proof"][: 32 * chosen[0]]
    heard(server, wire.packed(wire.RESPONSE, **{**sent, "algorithms": named, "chosen": chosen, "proof": proof}))
    assert server.state is FAILED


def test_a_proof_is_not_taken_for_another_key_with_the_same_secret() -> None:
    """The name is a part of what is proved."""
    ring = KeyRing([Key("app-1", SECRET), Key("app-2", SECRET)])
    server = server_of(ring)
    response = heard(client_of(), server.opening).replace(b"app-1", b"app-2")
    heard(server, response)
    assert server.state is FAILED


# -- everything at once ----------------------------------------------------------------------------------------

CONTEXTS = (b"", b"payroll", b"forum")

#: Rings that honest sides have: one key, another, and both.
RINGS = (
    RING,
    KeyRing([Key("app-2", ANOTHER_SECRET)]),
    KeyRing([Key("app-2", ANOTHER_SECRET), Key("app-1", SECRET)]),
)


class Conversation:
    """An honest side, with all that it has sent and received."""

    def __init__(self, side: Handshake, context: bytes) -> None:
        self.side = side
        self.context = context
        self.sent = [side.opening] if side.opening else []
        self.received: list[bytes] = []

    def deliver(self, frame: bytes) -> list[bytes]:
        """Give it a frame, and return what it answers."""
        if self.side.state in (AUTHENTICATED, FAILED):
            return []
        try:
            answer = self.side.receive(frame, 0.0)
        except AuthenticationFailed as fault:
            return [fault.reply] if fault.reply else []
        self.received.append(frame)
        self.sent += [answer] if answer else []
        return [answer] if answer else []

    def matches(self, other: Conversation) -> bool:
        """Return True if *other* has had the same conversation from its other end, as far as this one heard it."""
        ours, theirs = self.side, other.side
        if ours.role == theirs.role or self.context != other.context or ours.key_id != theirs.key_id:
            return False
        if ours.role == "server":
            return other.received[:1] == self.sent[:1] and other.sent == self.received
        return other.sent == self.received and other.received == self.sent


class Attacker(RuleBasedStateMachine):
    """Has every frame that was ever sent, and no key."""

    frames: Bundle[bytes] = Bundle("frames")
    conversations: Bundle[Conversation] = Bundle("conversations")

    def __init__(self) -> None:
        super().__init__()
        self.all: list[Conversation] = []

    def _begun(self, role: str, ring: KeyRing, context: bytes, algorithms: list[str]) -> Conversation:
        made = Conversation(Handshake(role, ring, deadline=1.0, context=context, algorithms=algorithms), context)
        self.all.append(made)
        return made

    @rule(
        target=conversations,
        role=st.sampled_from(["server", "client"]),
        ring=st.sampled_from(RINGS),
        context=st.sampled_from(CONTEXTS),
        algorithms=st.sampled_from([["sha512", "sha256"], ["sha256"]]),
    )
    def begin(self, role: str, ring: KeyRing, context: bytes, algorithms: list[str]) -> Conversation:
        """Have an honest side begin."""
        return self._begun(role, ring, context, algorithms)

    @rule(target=frames, conversation=conversations)
    def overhear(self, conversation: Conversation) -> bytes:
        """Take what a side has sent last, or a frame of one's own."""
        return conversation.sent[-1] if conversation.sent else wire.packed(wire.ACCEPTANCE, proof=bytes(64))

    @rule(target=frames, conversation=conversations, frame=frames)
    def deliver(self, conversation: Conversation, frame: bytes) -> bytes:
        """Carry any frame to any side, and keep the answer."""
        answers = conversation.deliver(frame)
        return answers[0] if answers else frame

    @rule(target=frames, frame=frames, bit=st.integers(0, 8 * max(SIZES) - 1))
    def change(self, frame: bytes, bit: int) -> bytes:
        """Change a bit behind the length."""
        return flipped(frame, 32 + bit % (8 * len(frame) - 32))

    @rule(
        target=frames, first=frames, second=frames, name=st.sampled_from(["nonce", "proof", "algorithms", "key_id"])
    )
    def transplant(self, first: bytes, second: bytes, name: str) -> bytes:
        """Put a field of one frame into another."""
        try:
            into, source = wire.parsed(first), wire.parsed(second)
        except AuthenticationFailed:
            return first
        fields: dict[str, Any] = into.fields
        if name in fields and name in source.fields:
            fields = {**fields, name: source.fields[name]}
        return wire.packed(into.kind, **fields)

    @rule(server=conversations, client=conversations)
    def carry(self, server: Conversation, client: Conversation) -> None:
        """Only carry, as far as they go: so that much succeeds, and there is something to attack."""
        for frame in server.sent[:1]:
            for answer in client.deliver(frame):
                for last in server.deliver(answer):
                    client.deliver(last)

    @invariant()
    def whoever_is_authenticated_has_been_talked_to(self) -> None:
        """The sentence at the head of this file; and no two conversations match the same one."""
        for ours in self.all:
            if ours.side.state is AUTHENTICATED:
                assert sum(ours.matches(other) for other in self.all) == 1


Attacker.TestCase.settings = settings(max_examples=150, stateful_step_count=30)


@pytest.mark.slow
def test_an_attacker_who_carries_every_message_is_never_taken_for_who_has_the_key() -> None:
    """A hundred and fifty attackers, each with thirty moves."""
    Attacker.TestCase().runTest()


def test_the_attackers_do_authenticate_somebody_when_they_only_carry() -> None:
    """Or the test above could not fail."""
    attacker = Attacker()
    server = attacker._begun("server", RING, b"", ["sha256"])
    client = attacker._begun("client", RING, b"", ["sha512", "sha256"])
    attacker.carry(server, client)
    assert server.side.state is client.side.state is AUTHENTICATED
    attacker.whoever_is_authenticated_has_been_talked_to()
    attacker.all.remove(client)
    with pytest.raises(AssertionError):
        attacker.whoever_is_authenticated_has_been_talked_to()
