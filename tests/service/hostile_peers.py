"""Peers that mean a server with a key no good, a row each: what they do, and what they get for it.

What each does is a function of a ``Scene`` and a ``Caller``.  The gate is the same for all of them: it must
never let one through, must close its connection, and must go on serving everybody else.  Run as a program, this
prints the table of what happened, a row for each peer: ``python -m tests.service.hostile_peers``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from reactor.auth import Handshake, Key, KeyRing, wire
from reactor.auth.challenge import refusal
from reactor.service.gate import HANDSHAKE_TIMEOUT
from tests.auth.sides import ANOTHER_SECRET, RING, SECRET, client_of, run_of, server_of
from tests.service.scene import Caller, Scene, scene_on

CONTEXT = b"payroll"

NOTHING, NO_PROOF, NOT_UNDERSTOOD = b"", refusal(wire.NO_PROOF), refusal(wire.NOT_UNDERSTOOD)


class Hostile(NamedTuple):
    """What a peer does, and the refusal that it gets, if it gets one before the connection is closed."""

    name: str
    act: Callable[[Scene, Caller], None]
    refusal: bytes


def answering(keys: KeyRing, context: bytes) -> Callable[[Scene, Caller], None]:
    """A peer that answers the challenge as well as it can, with what it has."""

    def act(scene: Scene, caller: Caller) -> None:
        side = Handshake("client", keys, deadline=float("inf"), context=context)
        caller.send(side.receive(caller.frame(), 0.0))

    return act


def saying(data: bytes) -> Callable[[Scene, Caller], None]:
    """A peer that says always the same."""

    def act(scene: Scene, caller: Caller) -> None:
        caller.frame()
        caller.send(data)

    return act


def changing(change: Callable[[bytearray], object]) -> Callable[[Scene, Caller], None]:
    """A peer between an honest client and the server, who changes the client's response."""

    def act(scene: Scene, caller: Caller) -> None:
        side = Handshake("client", RING, deadline=float("inf"), context=CONTEXT)
        response = bytearray(side.receive(caller.frame(), 0.0))
        change(response)
        caller.send(bytes(response))

    return act


def truncating(scene: Scene, caller: Caller) -> None:
    """Have all but the last byte of an honest response arrive, and then the end."""
    side = Handshake("client", RING, deadline=float("inf"), context=CONTEXT)
    caller.send(side.receive(caller.frame(), 0.0)[:-1])
    scene.settle()
    caller.socket.shutdown(1)


def reflecting(scene: Scene, caller: Caller) -> None:
    """Send the server what it has sent itself."""
    caller.send(caller.frame())


def reflecting_another(scene: Scene, caller: Caller) -> None:
    """Send the server the challenge that it has sent to a second connection."""
    caller.frame()
    with Caller(scene.stage, scene.address) as second:
        caller.send(second.frame())


def replaying(scene: Scene, caller: Caller) -> None:
    """Send the response of an honest client in an earlier run, with the acceptance that it got."""
    run = run_of(server_of(context=CONTEXT), client_of(context=CONTEXT))
    caller.frame()
    caller.send(run.response + run.acceptance)


def relaying(scene: Scene, caller: Caller) -> None:
    """Pass the server's challenge to an honest client that means another server, and send its answer back."""
    victim = Handshake("client", RING, deadline=float("inf"), context=b"forum")
    caller.send(victim.receive(caller.frame(), 0.0))


def striking_the_better_algorithm(scene: Scene, caller: Caller) -> None:
    """Have an honest client see a shorter list than the server has sent, and pass its answer on."""
    challenge = wire.parsed(caller.frame())
    weakened = wire.packed(wire.CHALLENGE, algorithms=b"\1", nonce=challenge.fields["nonce"])
    caller.send(Handshake("client", RING, deadline=float("inf"), context=CONTEXT).receive(weakened, 0.0))


def silent(scene: Scene, caller: Caller) -> None:
    """Say nothing."""
    scene.pass_time(HANDSHAKE_TIMEOUT)


def dripping(scene: Scene, caller: Caller) -> None:
    """Send an honest response at a byte a second."""
    side = Handshake("client", RING, deadline=float("inf"), context=CONTEXT)
    for byte in side.receive(caller.frame(), 0.0)[: int(HANDSHAKE_TIMEOUT)]:
        caller.send(bytes([byte]))
        scene.pass_time(1.0)


def flooding(scene: Scene, caller: Caller) -> None:
    """Announce the longest message that is lawful, and send a megabyte."""
    caller.frame()
    caller.send(wire.FRAME_BYTES.to_bytes(4, "big") + bytes(1_000_000))


def set_choice(response: bytearray) -> None:
    """Name the weaker algorithm as the chosen one; the proof stays."""
    response[12] = 1


def flip_last(response: bytearray) -> None:
    """Change a bit of the proof."""
    response[-1] ^= 1


HELLO_TLS = bytes.fromhex("16030100c8010000c40303") + bytes(200)

HOSTILE = (
    Hostile("another secret", answering(KeyRing([Key("app-1", ANOTHER_SECRET)]), CONTEXT), NO_PROOF),
    Hostile("unknown key id", answering(KeyRing([Key("app-9", ANOTHER_SECRET)]), CONTEXT), NO_PROOF),
    Hostile("right secret, wrong id", answering(KeyRing([Key("app-9", SECRET)]), CONTEXT), NO_PROOF),
    Hostile("right key, no context", answering(RING, b""), NO_PROOF),
    Hostile("a bit of the proof changed", changing(flip_last), NO_PROOF),
    Hostile("weaker algorithm chosen", changing(set_choice), NOT_UNDERSTOOD),
    Hostile("better algorithm struck out", striking_the_better_algorithm, NOT_UNDERSTOOD),
    Hostile("truncated by a byte, then end", truncating, NOTHING),
    Hostile("oversized by a byte", saying((wire.FRAME_BYTES + 1).to_bytes(4, "big")), NOT_UNDERSTOOD),
    Hostile("announces 4 GiB", saying(b"\xff\xff\xff\xff"), NOT_UNDERSTOOD),
    Hostile("empty message", saying(b"\0\0\0\0"), NOT_UNDERSTOOD),
    Hostile("speaks HTTP", saying(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), NOT_UNDERSTOOD),
    Hostile("speaks TLS", saying(HELLO_TLS), NOT_UNDERSTOOD),
    Hostile("plays the server", saying(server_of().opening), NOT_UNDERSTOOD),
    Hostile("reflects", reflecting, NOT_UNDERSTOOD),
    Hostile("reflects another challenge", reflecting_another, NOT_UNDERSTOOD),
    Hostile("replays", replaying, NO_PROOF),
    Hostile("relays from another server", relaying, NO_PROOF),
    Hostile("floods", flooding, NOT_UNDERSTOOD),
    Hostile("silent", silent, NOTHING),
    Hostile("a byte a second", dripping, NOTHING),
)


class Outcome(NamedTuple):
    """What has become of a peer."""

    #: What it was sent after the challenge.
    received: bytes
    #: Seconds of the scene's clock until it was closed.
    seconds: float
    #: How many of the server's protocols it got to see, and how often it failed.
    passed: int
    failed: int
    #: Whether an honest session went on meanwhile, and another could begin later.
    is_honest_served: bool


def tried(scene: Scene, hostile: Hostile) -> Outcome:
    """Let *hostile* loose on the scene while an honest client is served."""
    scene.reactions["data_received"] = lambda me, data: me.transport.write(data)
    with scene.caller(context=CONTEXT) as honest:
        honest.authenticate()
        with scene.caller() as caller:
            began = scene.clock.now
            hostile.act(scene, caller)
            received = caller.receive_all()
            seconds = scene.clock.now - began
        scene.until(lambda: scene.gate.waiting == 0)
        failed, passed = scene.gate.failed, len(scene.made) - 1
        honest.send(b"still here")
        is_served = honest.receive(10) == b"still here"
    with scene.caller(context=CONTEXT) as late:
        late.authenticate()
    return Outcome(received, seconds, passed, failed, is_served)


def main() -> None:
    """Print a row for each."""
    logging.disable()
    told = {NO_PROOF: "refused: no proof", NOT_UNDERSTOOD: "refused: not understood"}
    print(f"{'peer':<30} {'let in':<8} {'answer':<25} {'closed after':<14} {'others':<8}")
    for hostile in HOSTILE:
        with scene_on(None, context=CONTEXT) as scene:
            outcome = tried(scene, hostile)
        answer = next((text for reply, text in told.items() if outcome.received.endswith(reply)), "closed")
        served = "served" if outcome.is_honest_served else "NOT SERVED"
        when = f"{outcome.seconds:g} s" if outcome.seconds else "at once"
        is_in = "LET IN" if outcome.passed else "never"
        print(f"{hostile.name:<30} {is_in:<8} {answer:<25} {when:<14} {served:<8}")


if __name__ == "__main__":
    main()
