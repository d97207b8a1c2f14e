"""The handshake as a state machine: bytes in, bytes or an error out.  Sans-IO.

Two programs share a secret key.  Before they talk, each wants to know that the other one has it too, without
telling it to anybody who listens or who has answered in the other's place.  So each names 32 random bytes (a
nonce), and each proves that it can compute an HMAC of both with the key:

    server                                    client
    |------- challenge: nonce ------------------>|
    |<------ response: nonce, key id, proof -----|      the server knows the client, or closes
    |------- acceptance: proof ----------------->|      the client knows the server, or closes

The client proves itself first: whoever knocks at a server gets random bytes and nothing that was made with the key.
``wire`` has the bytes, and what each part of the proof is good for.

What may be heard in which state, what is then done and where that leads is the table ``STEPS``; everything that is
not in it ends the handshake.  **Invariant:** ``AUTHENTICATED`` is reached through a step that has compared a proof,
in constant time, with one made of this side's own nonce, its own lists and its own context.

**What it gives:** when a side is authenticated, somebody with the key, in the other role, for the same context,
has taken part in this very conversation, and both agree on every byte of it.  **What it does not give:**
secrecy, or any protection of what is sent afterwards.  Somebody who sits between the two can let the handshake
pass and then speak in either's place; against that there is TLS.  And since both have the same secret, whoever has
stolen it can be either of them.

An unknown key id costs the same HMAC and brings the same refusal as a wrong proof.  Of the peer's bytes no more
is kept than one message, see ``wire``.  Time comes in as an argument: the deadline bounds the whole, so a peer
that sends a byte a second gains nothing by it.  Read next: ``reactor.service.gate``.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Iterable
from typing import NamedTuple

from reactor.arguments import shown
from reactor.auth import wire
from reactor.auth.keys import KeyRing
from reactor.auth.wire import ACCEPTANCE, CHALLENGE, REFUSAL, RESPONSE, Message
from reactor.errors import (
    ArgumentError,
    AuthenticationDelayed,
    AuthenticationFailed,
    AuthenticationTimeout,
    OptionError,
    UsageError,
)

#: The states.  A server begins by awaiting a response, a client by awaiting a challenge.
AWAITING_RESPONSE = "awaiting a response"
AWAITING_CHALLENGE = "awaiting a challenge"
AWAITING_VERDICT = "awaiting the verdict"
AUTHENTICATED = "authenticated"
FAILED = "failed"

#: The state in which each role begins.
FIRST = {"server": AWAITING_RESPONSE, "client": AWAITING_CHALLENGE}

#: Who is at the other end, for messages.
PEER = {"server": "the client", "client": "the server"}

#: What a client is told by the reason of a refusal.
REFUSALS = {
    wire.NO_PROOF: (
        "it does not have the key {key_id!r}, or another secret by that name, or expects another context; "
        "it does not say which"
    ),
    wire.NOT_UNDERSTOOD: "it did not understand this side's part of the handshake",
    wire.LATER: "too many handshakes are under way there; try again later",
}


class Handshake:
    """One side of one handshake.

    *role* is "server" or "client"; *keys* are those that are accepted, of which a client uses the first;
    *deadline* is the instant at which it has failed.  *context* says for whom it is meant, the same on both
    sides, up to 1024 bytes. *algorithms* are those that are acceptable.  *nonce*, 32 bytes, is drawn at random
    unless a test gives it.

    Send ``opening``; hand what arrives to ``receive`` and send what that returns, until ``state`` is
    AUTHENTICATED. Then ``key_id`` and ``algorithm`` say which were used, and ``remainder`` is what came behind
    the last message: the first bytes of whatever follows.  Raises OptionError.
    """

    __slots__ = (
        "_algorithms", "_chosen", "_context", "_fault", "_held", "_keys", "_nonce", "_transcript", "algorithm",
        "deadline", "key_id", "opening", "remainder", "role", "state",
    )  # fmt: skip

    def __init__(
        self,
        role: str,
        keys: KeyRing,
        *,
        deadline: float,
        context: bytes = b"",
        algorithms: Iterable[str] = ("sha512", "sha256"),
        nonce: bytes | None = None,
    ) -> None:
        if role not in FIRST:
            raise OptionError(f"role is one of {', '.join(FIRST)}, not {role!r}")
        if nonce is None:
            nonce = secrets.token_bytes(wire.NONCE_BYTES)
        elif len(nonce) != wire.NONCE_BYTES:
            raise OptionError(f"a nonce is {wire.NONCE_BYTES} random bytes, used once, not {len(nonce)}")
        self._algorithms = wire.numbers_of(algorithms)
        self._context = checked_context(context)
        self._keys = keys
        self._nonce = nonce
        self._held = b""
        self._chosen = 0
        #: Kind and text of what ended it.
        self._fault: tuple[type[AuthenticationFailed], str] | None = None
        self.role = role
        self.state = FIRST[role]
        self.deadline = deadline
        self.key_id = self.algorithm = ""
        self.remainder = b""
        #: What is sent before anything was heard: the server's challenge, of the client nothing.
        self.opening = b""
        if role == "server":
            self.opening = wire.packed(CHALLENGE, algorithms=self._algorithms, nonce=nonce)
        #: What both sides have said so far, as it went over the wire.
        self._transcript = self.opening

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of a {self.role}, {self.state}>"

    # -- what the owner calls ----------------------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> bytes:
        """Take what arrived by the instant *now*, and return what is to be sent.

        Raises AuthenticationFailed if the peer has not the key or breaks the protocol, AuthenticationTimeout
        after the deadline, AuthenticationDelayed if a server is not willing to listen; from then on always
        again.  UsageError when it is authenticated: what arrives then is not for the handshake.
        """
        self.check(now)
        try:
            return self._heard(data)
        except AuthenticationFailed as fault:
            if self.role == "server" and not fault.reply:
                fault.reply = refusal(wire.NOT_UNDERSTOOD)
            raise self._failed(fault) from None

    def check(self, now: float) -> None:
        """Raise what ``receive`` would raise at the instant *now* if nothing had arrived; most often nothing."""
        if self._fault is not None:
            kind, text = self._fault
            raise kind(text)
        if self.state is AUTHENTICATED:
            raise UsageError("the handshake is over: what comes now is for the protocol behind it")
        if now >= self.deadline:
            words = {AWAITING_CHALLENGE: "sent no challenge: perhaps it asks for no key"}
            text = words.get(self.state, "did not finish the handshake")
            raise self._failed(AuthenticationTimeout(f"{PEER[self.role]} {text}; the time for that is over"))

    def end(self) -> AuthenticationFailed:
        """Return what it means that the peer ended, or is gone, before it was authenticated."""
        return self._failed(AuthenticationFailed(f"{PEER[self.role]} ended in the middle of the handshake"))

    def _failed(self, fault: AuthenticationFailed) -> AuthenticationFailed:
        self.state = FAILED
        self._fault = type(fault), str(fault)
        self._held = b""
        return fault

    # -- messages ----------------------------------------------------------------------------------------------

    def _heard(self, data: bytes) -> bytes:
        """Take the steps for the messages that *data* completes, as far as the handshake goes."""
        answer = b""
        while self.state in UNDECIDED:
            frame, data = self._cut(data)
            if not frame:
                return answer
            message = wire.parsed(frame)
            step = STEPS.get((self.state, message.kind))
            if step is None:
                raise AuthenticationFailed(f"a message of kind {message.kind} came out of turn")
            answer += step.action(self, message)
            self.state = step.state
        self.remainder = data
        return answer

    def _cut(self, data: bytes) -> tuple[bytes, bytes]:
        """Return the frame that *data* completes, and what is behind it; nothing of both if it is not complete
        yet."""
        held = self._held + data
        if len(held) >= wire.HEAD_BYTES:
            size = int.from_bytes(held[: wire.HEAD_BYTES], "big")
            if size > wire.FRAME_BYTES:
                raise AuthenticationFailed(
                    f"{PEER[self.role]} announced a message of {size} bytes, and those of the handshake have at "
                    f"most {wire.FRAME_BYTES}: it speaks something else, or has no key"
                )
            end = wire.HEAD_BYTES + size
            if len(held) >= end:
                self._held = b""
                return held[:end], held[end:]
        self._held = held
        return b"", b""

    # -- the steps ---------------------------------------------------------------------------------------------

    def _answer(self, challenge: Message) -> bytes:
        """As a client: prove oneself."""
        offered, nonce = challenge.fields["algorithms"], challenge.fields["nonce"]
        self._check_nonce(nonce)
        chosen = wire.strongest(self._algorithms, offered)
        key, size = self._keys.first, wire.PROOF_BYTES[chosen]
        frame = wire.packed(
            RESPONSE, algorithms=self._algorithms, chosen=bytes((chosen,)), key_id=key.id.encode("ascii"),
            nonce=self._nonce, proof=bytes(size),
        )  # fmt: skip
        self._transcript = challenge.frame + frame[:-size]
        answer = frame[:-size] + wire.proof(chosen, key.secret, wire.CLIENT, self._context, self._transcript)
        self._transcript += answer[-size:]
        self._agree(key.id, chosen)
        return answer

    def _judge_response(self, response: Message) -> bytes:
        """As a server: see whether the client has the key; if so, prove oneself."""
        said = response.fields
        self._check_nonce(said["nonce"])
        chosen = wire.strongest(self._algorithms, said["algorithms"])
        if said["chosen"] != bytes((chosen,)) or len(said["proof"]) != wire.PROOF_BYTES[chosen]:
            raise AuthenticationFailed("the client has not chosen the strongest algorithm that both have")
        key_id = said["key_id"].decode("latin-1")
        secret = self._keys.secret_of(key_id)
        self._transcript += response.frame[: -len(said["proof"])]
        wanted = wire.proof(chosen, secret, wire.CLIENT, self._context, self._transcript)
        # First both, then the verdict: an unknown key id takes as long as a wrong proof.
        is_right, is_known = hmac.compare_digest(wanted, said["proof"]), key_id in self._keys
        if not (is_right and is_known):
            reason = "its proof is wrong" if is_known else "there is no such key here"
            raise AuthenticationFailed(f"the client says it has key {key_id!r}: {reason}", refusal(wire.NO_PROOF))
        self._transcript += said["proof"]
        self._agree(key_id, chosen)
        own = wire.proof(chosen, secret, wire.SERVER, self._context, self._transcript)
        return wire.packed(ACCEPTANCE, proof=own)

    def _judge_acceptance(self, acceptance: Message) -> bytes:
        """As a client: see whether the server has the key."""
        key = self._keys.first
        wanted = wire.proof(self._chosen, key.secret, wire.SERVER, self._context, self._transcript)
        if not hmac.compare_digest(wanted, acceptance.fields["proof"]):
            raise AuthenticationFailed(f"the server did not prove that it has the key {key.id!r}: do not trust it")
        return b""

    def _be_refused(self, message: Message) -> bytes:
        """As a client: learn that the server has refused."""
        reason = message.fields["reason"][0]
        text = REFUSALS.get(reason, f"reason {reason}").format(key_id=self._keys.first.id)
        kind = AuthenticationDelayed if reason == wire.LATER else AuthenticationFailed
        raise kind(f"the server refused the connection: {text}")

    def _agree(self, key_id: str, chosen: int) -> None:
        """Note what both proofs are made with."""
        self._chosen = chosen
        self.key_id, self.algorithm = key_id, wire.ALGORITHMS[chosen]

    def _check_nonce(self, nonce: bytes) -> None:
        """Two sides that draw the same bytes are one side and its echo, or two clones of one generator."""
        if hmac.compare_digest(nonce, self._nonce):
            raise AuthenticationFailed(f"{PEER[self.role]} sent this side's own nonce back")


class Step(NamedTuple):
    """What is done about a message, and the state after that, unless the action raises: then it is FAILED."""

    action: Callable[[Handshake, Message], bytes]
    state: str


#: The protocol: what may be heard in which state.
STEPS: dict[tuple[str, int], Step] = {
    (AWAITING_RESPONSE, RESPONSE): Step(Handshake._judge_response, AUTHENTICATED),
    (AWAITING_CHALLENGE, CHALLENGE): Step(Handshake._answer, AWAITING_VERDICT),
    (AWAITING_CHALLENGE, REFUSAL): Step(Handshake._be_refused, FAILED),
    (AWAITING_VERDICT, ACCEPTANCE): Step(Handshake._judge_acceptance, AUTHENTICATED),
    (AWAITING_VERDICT, REFUSAL): Step(Handshake._be_refused, FAILED),
}

#: The states in which messages are awaited.
UNDECIDED = frozenset(state for state, _ in STEPS)


def refusal(reason: int) -> bytes:
    """Return the frame with which a server refuses; *reason* is one of ``wire``'s."""
    return wire.packed(REFUSAL, reason=bytes((reason,)))


def checked_context(context: bytes) -> bytes:
    """Return *context* as bytes.  Raises ArgumentError for what is not bytes-like, OptionError if it is longer than
    ``CONTEXT_BYTES``."""
    if not isinstance(context, bytes | bytearray | memoryview):
        raise ArgumentError(f"context is bytes, not {shown(context)}")
    if len(context) > wire.CONTEXT_BYTES:
        raise OptionError(f"a context has at most {wire.CONTEXT_BYTES} bytes, not {len(context)}")
    return bytes(context)
