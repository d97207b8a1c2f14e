"""The handshake's table of states: what leads where, what is answered and told to whom, and when it is too late."""

from __future__ import annotations

import hmac
from typing import Any

import pytest

from reactor.auth import AUTHENTICATED, FAILED, Handshake, Key, KeyRing, wire
from reactor.auth.challenge import (
    AWAITING_CHALLENGE,
    AWAITING_RESPONSE,
    AWAITING_VERDICT,
    STEPS,
    UNDECIDED,
    refusal,
)
from reactor.auth.wire import ACCEPTANCE, CHALLENGE, FRAME_BYTES, LAYOUTS, REFUSAL, RESPONSE
from reactor.errors import (
    AuthenticationDelayed,
    AuthenticationFailed,
    AuthenticationTimeout,
    OptionError,
    PeerError,
    UsageError,
)
from tests.auth.sides import ANOTHER_SECRET, DEADLINE, RING, SECRET, client_of, run_of, server_of

KINDS = {CHALLENGE: "challenge", RESPONSE: "response", ACCEPTANCE: "acceptance", REFUSAL: "refusal"}

#: A well-formed message of each kind, which proves nothing.
WELL_FORMED = {
    CHALLENGE: wire.packed(CHALLENGE, algorithms=b"\2\1", nonce=bytes(range(32))),
    RESPONSE: wire.packed(
        RESPONSE, algorithms=b"\2\1", chosen=b"\2", key_id=b"app-1", nonce=bytes(range(32)), proof=bytes(64)
    ),
    ACCEPTANCE: wire.packed(ACCEPTANCE, proof=bytes(64)),
    REFUSAL: refusal(wire.NO_PROOF),
}


def in_state(state: str) -> Handshake:
    """Return a side that has come to *state*."""
    if state == AWAITING_RESPONSE:
        return server_of()
    client = client_of()
    if state == AWAITING_VERDICT:
        client.receive(server_of().opening, 0.0)
    assert client.state == state
    return client


def refused(side: Handshake, data: bytes, now: float = 0.0) -> AuthenticationFailed:
    """Return the error with which *side* answers *data*, after which it has failed for good."""
    with pytest.raises(AuthenticationFailed) as caught:
        side.receive(data, now)
    assert side.state is FAILED
    for more in (data, b"", *WELL_FORMED.values()):
        with pytest.raises(type(caught.value)) as again:
            side.receive(more, now)
        assert (str(again.value), again.value.reply) == (str(caught.value), b"")
    assert isinstance(caught.value, PeerError)
    assert isinstance(caught.value, PermissionError)
    return caught.value


# -- the table -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", sorted(UNDECIDED))
@pytest.mark.parametrize("kind", list(KINDS), ids=KINDS.get)
def test_a_message_ends_the_handshake_when_the_table_has_no_step_for_it(state: str, kind: int) -> None:
    """Every pair: the few in the table are heard, all others are out of turn; none of these proves anything."""
    side = in_state(state)
    if (state, kind) == (AWAITING_CHALLENGE, CHALLENGE):
        assert side.receive(WELL_FORMED[kind], 0.0)
        assert side.state is AWAITING_VERDICT
        return
    fault = refused(side, WELL_FORMED[kind])
    assert ("out of turn" in str(fault)) is ((state, kind) not in STEPS)


def test_only_a_step_that_compares_a_proof_leads_to_the_end() -> None:
    """The two that do are the judgements."""
    judges = {step.action.__name__ for step in STEPS.values() if step.state is AUTHENTICATED}
    assert judges == {"_judge_response", "_judge_acceptance"}
    assert {state for state, _ in STEPS} == {AWAITING_CHALLENGE, AWAITING_RESPONSE, AWAITING_VERDICT}


@pytest.mark.parametrize("server", [("sha256",), ("sha512",), ("sha512", "sha256")])
@pytest.mark.parametrize("client", [("sha256",), ("sha512",), ("sha256", "sha512")])
def test_both_sides_are_authenticated_with_the_strongest_algorithm_that_they_share(
    server: tuple[str, ...], client: tuple[str, ...]
) -> None:
    """Or they have none in common, and the server says that it did not understand."""
    near, far = server_of(algorithms=server), client_of(algorithms=client)
    common = set(server) & set(client)
    if not common:
        assert "takes the algorithms" in str(refused(far, near.opening))
        return
    run_of(near, far)
    for side in (near, far):
        assert (side.state, side.key_id, side.algorithm) == (AUTHENTICATED, "app-1", max(common))
        assert side.remainder == b""


def test_only_the_server_speaks_without_being_asked() -> None:
    """A client waits for the challenge, and a server is asked nothing before it."""
    assert client_of().opening == b""
    assert wire.parsed(server_of().opening).kind == CHALLENGE


def test_no_two_challenges_are_the_same() -> None:
    """32 random bytes on each side, unless a test says otherwise."""
    openings = {server_of().opening for _ in range(50)}
    responses = {client_of().receive(WELL_FORMED[CHALLENGE], 0.0) for _ in range(50)}
    assert len(openings) == len(responses) == 50


def test_what_comes_behind_the_last_message_is_for_the_protocol_that_follows() -> None:
    """On both sides, and whatever it is: it is not looked at."""
    server, client = server_of(), client_of()
    response = client.receive(server.opening, 0.0)
    acceptance = server.receive(response + b"\xff\xff\xff\xffhello", 0.0)
    assert client.receive(acceptance + response, 0.0) == b""
    assert (server.remainder, client.remainder) == (b"\xff\xff\xff\xffhello", response)


@pytest.mark.parametrize("call", [lambda side: side.receive(b"x", 0.0), lambda side: side.check(0.0)])
def test_a_side_that_is_authenticated_takes_nothing_more(call: Any) -> None:
    """It would be bytes of the protocol, swallowed."""
    server, client = server_of(), client_of()
    run_of(server, client)
    for side in (server, client):
        with pytest.raises(UsageError, match="is over"):
            call(side)
        assert side.state is AUTHENTICATED


# -- who is not let in -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ring", [KeyRing([Key("app-1", ANOTHER_SECRET)]), KeyRing([Key("app-2", SECRET)])])
def test_a_client_is_refused_when_it_has_another_key(ring: KeyRing) -> None:
    """Another secret by that name, or a name that is not known: it is told the same, and the log what it was."""
    server, client = server_of(), client_of(ring)
    fault = refused(server, client.receive(server.opening, 0.0))
    assert fault.reply == refusal(wire.NO_PROOF)
    assert ("its proof is wrong" in str(fault)) is ("app-1" in ring)
    assert ("there is no such key here" in str(fault)) is ("app-2" in ring)
    assert "does not say which" in str(refused(client, fault.reply))


def test_an_unknown_key_costs_as_much_work_as_a_wrong_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same HMACs, of as many bytes, with secrets of as many, and the same comparison."""
    work: list[Any] = []
    digest, compare = hmac.digest, hmac.compare_digest

    def counted_digest(key: bytes, message: bytes, name: str) -> bytes:
        work.append((len(key), len(message), name))
        return digest(key, message, name)

    def counted_compare(first: bytes, second: bytes) -> bool:
        work.append((len(first), len(second)))
        return compare(first, second)

    done = []
    for ring in (KeyRing([Key("app-1", ANOTHER_SECRET[:32])]), KeyRing([Key("app-2", SECRET)])):
        server = server_of()
        response = client_of(ring).receive(server.opening, 0.0)
        with monkeypatch.context() as patch:
            patch.setattr(hmac, "digest", counted_digest)
            patch.setattr(hmac, "compare_digest", counted_compare)
            refused(server, response)
        done.append(work.copy())
        work.clear()
    assert done[0] == done[1]
    assert (64, 64) in done[0]


def test_a_client_does_not_trust_a_server_that_has_another_key() -> None:
    """The proof that it sends back is compared too."""
    client = client_of()
    client.receive(WELL_FORMED[CHALLENGE], 0.0)
    fault = refused(client, WELL_FORMED[ACCEPTANCE])
    assert "do not trust it" in str(fault)
    assert fault.reply == b""


@pytest.mark.parametrize("contexts", [(b"", b"a"), (b"a", b""), (b"a", b"b"), (b"a", b"a\0")])
def test_a_client_is_refused_when_it_means_somebody_else(contexts: tuple[bytes, bytes]) -> None:
    """The context is not sent, and has to be the same."""
    server, client = server_of(context=contexts[0]), client_of(context=contexts[1])
    assert refused(server, client.receive(server.opening, 0.0)).reply == refusal(wire.NO_PROOF)


def test_every_key_of_the_servers_ring_is_accepted_while_keys_are_rotated() -> None:
    """Old clients and new ones, and those that have both and use the new one; not those whose key was taken out."""
    old, new = Key("2026", SECRET), Key("2027", ANOTHER_SECRET)
    for ring, id in ((KeyRing([old]), "2026"), (KeyRing([new]), "2027"), (KeyRing([new, old]), "2027")):
        server = server_of(KeyRing([old, new]))
        run_of(server, client_of(ring))
        assert server.key_id == id
    server = server_of(KeyRing([new]))
    refused(server, client_of(KeyRing([old])).receive(server.opening, 0.0))


def test_a_sides_own_nonce_is_refused_when_it_comes_back() -> None:
    """An echo, or a clone of its random generator: nothing that could be a proof."""
    nonce = bytes(range(32))
    server, client = server_of(nonce=nonce), client_of(nonce=nonce)
    assert "own nonce" in str(refused(client, server.opening))
    response = client_of(nonce=nonce).receive(WELL_FORMED[CHALLENGE][:-1] + b"x", 0.0)
    assert "own nonce" in str(refused(server, response))


@pytest.mark.parametrize("chosen", [0, 1, 3])
def test_a_client_is_refused_when_it_has_not_chosen_the_strongest(chosen: int) -> None:
    """Even with the right key: it, or somebody on the way, wants a weaker one."""
    server = server_of()
    response = bytearray(client_of().receive(server.opening, 0.0))
    response[4 + 5 + 3] = chosen
    fault = refused(server, bytes(response))
    assert "strongest" in str(fault)
    assert fault.reply == refusal(wire.NOT_UNDERSTOOD)


@pytest.mark.parametrize(
    ("reason", "text", "kind"),
    [
        (wire.NO_PROOF, "the key 'app-1', or another secret", AuthenticationFailed),
        (wire.NOT_UNDERSTOOD, "did not understand", AuthenticationFailed),
        (wire.LATER, "try again later", AuthenticationDelayed),
        (99, "reason 99", AuthenticationFailed),
    ],
)
@pytest.mark.parametrize("state", [AWAITING_CHALLENGE, AWAITING_VERDICT])
def test_a_client_is_told_why_it_was_refused(state: str, reason: int, text: str, kind: type[Exception]) -> None:
    """As far as the server says it, before the challenge as after the response."""
    fault = refused(in_state(state), refusal(reason))
    assert text in str(fault)
    assert type(fault) is kind


# -- bounds ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [FRAME_BYTES + 1, 2**16, 2**32 - 1, int.from_bytes(b"GET ", "big")])
def test_a_message_that_is_too_long_is_refused_at_its_length(size: int) -> None:
    """Before any of it has come, on both sides; only the server answers."""
    for side, reply in ((server_of(), refusal(wire.NOT_UNDERSTOOD)), (client_of(), b"")):
        head = size.to_bytes(4, "big")
        assert side.receive(head[:3], 0.0) == b""
        fault = refused(side, head[3:])
        assert f"announced a message of {size} bytes" in str(fault)
        assert fault.reply == reply


def test_no_more_is_kept_than_one_message_whatever_comes() -> None:
    """A message of the greatest length, all but its last byte, in one piece and byte by byte."""
    data = FRAME_BYTES.to_bytes(4, "big") + bytes(FRAME_BYTES - 1)
    for pieces in ([data], [data[i : i + 1] for i in range(len(data))]):
        side = server_of()
        for piece in pieces:
            assert side.receive(piece, 0.0) == b""
        assert len(side._held) == len(data)
        refused(side, bytes(1_000_000))
        assert side._held == b""


def test_every_layout_fits_into_the_longest_message() -> None:
    """The limit refuses nothing that is lawful."""
    longest = max(5 + sum(field.is_counted + field.most for field in layout) for layout in LAYOUTS.values())
    assert longest == 176 <= FRAME_BYTES


@pytest.mark.parametrize("state", sorted(UNDECIDED))
def test_a_side_gives_up_at_its_deadline_and_not_before(state: str) -> None:
    """Whatever has come by then, and whatever comes then, a right proof included."""
    side = in_state(state)
    side.check(DEADLINE - 0.001)
    side.receive(b"\0", DEADLINE - 0.001)
    with pytest.raises(AuthenticationTimeout, match="time for that is over") as caught:
        side.check(DEADLINE)
    assert isinstance(caught.value, TimeoutError)
    assert side.state is FAILED
    with pytest.raises(AuthenticationTimeout):
        side.receive(b"\0\0", 0.0)


def test_a_right_proof_is_too_late_at_the_deadline() -> None:
    """On both sides."""
    server, client = server_of(), client_of()
    response = client.receive(server.opening, 0.0)
    with pytest.raises(AuthenticationTimeout):
        server.receive(response, DEADLINE)
    server, client = server_of(), client_of()
    acceptance = server.receive(client.receive(server.opening, 0.0), DEADLINE - 0.001)
    with pytest.raises(AuthenticationTimeout):
        client.receive(acceptance, DEADLINE)


@pytest.mark.parametrize("state", sorted(UNDECIDED))
def test_the_end_of_the_peer_is_a_failure(state: str) -> None:
    """The side that is left says what happened, and takes nothing more."""
    side = in_state(state)
    fault = side.end()
    assert "in the middle of the handshake" in str(fault)
    assert str(refused(side, b"")) == str(fault)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"nonce": bytes(31)}, "a nonce is 32 random bytes"),
        ({"nonce": b""}, "a nonce is 32 random bytes"),
        ({"context": bytes(1025)}, "at most 1024 bytes"),
        ({"algorithms": ["md5"]}, "algorithms are some of"),
        ({"algorithms": []}, "algorithms are some of"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_asked_for(options: dict[str, Any], text: str) -> None:
    """The message says what would be right."""
    with pytest.raises(OptionError, match=text):
        server_of(**options)
    with pytest.raises(OptionError, match="server, client"):
        Handshake("judge", RING, deadline=0.0)


def test_a_side_says_who_it_is_and_how_far_it_has_come() -> None:
    """For whoever debugs; without the key."""
    assert repr(server_of()) == "<Handshake of a server, awaiting a response>"
