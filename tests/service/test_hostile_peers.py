"""Every hostile peer against a gate, on every poller; and a thousand at once, with what they may cost."""

from __future__ import annotations

import gc
import resource
import socket
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from reactor.auth import wire
from tests.auth.sides import RING, server_of
from tests.service.hostile_peers import CONTEXT, HOSTILE, Hostile, answering, tried
from tests.service.scene import Caller, Scene, scene_on

#: Connections at once, and the descriptors that both ends of them take.
CROWD = 1000
DESCRIPTORS = 2 * CROWD + 100

#: Bytes that a connection may cost while it is in its handshake, with all that it has sent: the stream, the
#: protocol, the handshake, and at most one message of it.
COST_BYTES = 4096


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
def test_a_hostile_peer_is_closed_and_nobody_else_notices(
    poller_name: str, hostile: Hostile, caplog: pytest.LogCaptureFixture
) -> None:
    """It never gets through, hears what it is due and no more, is counted once and told in one line."""
    with scene_on(poller_name, context=CONTEXT) as scene:
        outcome = tried(scene, hostile)
    assert outcome.passed == 0
    assert outcome.failed == 1
    assert outcome.received.endswith(hostile.refusal)
    assert len(outcome.received.removesuffix(hostile.refusal)) in (0, len(server_of().opening))
    assert outcome.is_honest_served
    assert outcome.seconds <= 10.0
    (record,) = caplog.records
    assert record.exc_info is None


def test_a_peer_that_gets_through_is_seen(poller_name: str) -> None:
    """The test above can fail: somebody with the right key is let in, and not counted as a failure."""

    def entering(scene: Scene, caller: Caller) -> None:
        answering(RING, CONTEXT)(scene, caller)
        scene.settle()
        caller.socket.shutdown(socket.SHUT_WR)

    with scene_on(poller_name, context=CONTEXT) as scene:
        outcome = tried(scene, Hostile("honest", entering, b""))
    assert (outcome.passed, outcome.failed) == (1, 0)


# -- a thousand at once ----------------------------------------------------------------------------------------


@pytest.fixture
def crowd_scene(poller_name: str) -> Iterator[Scene]:
    """A scene on each poller that can hold so many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < DESCRIPTORS:
        pytest.skip(f"needs a hard limit of {DESCRIPTORS} descriptors, not {hard} (ulimit -Hn)")
    if poller_name == "select":
        pytest.skip("select(2) takes descriptors below 1024 only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, DESCRIPTORS), hard))
    try:
        with scene_on(poller_name) as scene:
            yield scene
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def crowd_of(scene: Scene, stack: ExitStack) -> list[socket.socket]:
    """Connect a thousand plain sockets, and have the gate know of them all."""
    crowd = []
    for _ in range(CROWD):
        plain = stack.enter_context(socket.socket())
        plain.connect(scene.address)
        crowd.append(plain)
        if len(crowd) % 50 == 0:
            scene.until(lambda: scene.gate.waiting == len(crowd))
    scene.until(lambda: scene.gate.waiting == CROWD)
    return crowd


@pytest.mark.slow
def test_a_thousand_that_send_all_but_one_message_cost_little(crowd_scene: Scene) -> None:
    """Whatever they announce and send, what is kept of them is bounded: here as much as can be, of each."""
    scene = crowd_scene
    most = wire.FRAME_BYTES.to_bytes(4, "big") + bytes(wire.FRAME_BYTES - 1)
    gc.collect()
    tracemalloc.start()
    try:
        with ExitStack() as stack:
            before, _ = tracemalloc.get_traced_memory()
            crowd = crowd_of(scene, stack)
            ends, _ = tracemalloc.get_traced_memory()
            for plain in crowd:
                plain.send(most)
            held = CROWD * len(most)
            scene.until(lambda: sum(len(knock.handshake._held) for knock in scene.gate._waiting) == held)
            now, _ = tracemalloc.get_traced_memory()
        cost = (now - before) / CROWD
        print(f"{cost:.0f} bytes a connection, {(now - ends) / CROWD:.0f} of them for what it has sent")
        assert cost < COST_BYTES
    finally:
        tracemalloc.stop()
    scene.until(lambda: not scene.gate.waiting)
    assert scene.made == []


@pytest.mark.slow
def test_a_thousand_that_announce_four_gibibytes_get_nothing_for_it(crowd_scene: Scene) -> None:
    """Each is closed at its announcement, and no room was made for what it announced."""
    scene = crowd_scene
    with ExitStack() as stack:
        crowd = crowd_of(scene, stack)
        gc.collect()
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            for plain in crowd:
                plain.send(b"\xff\xff\xff\xff" + bytes(10_000))
            scene.until(lambda: scene.gate.failed == CROWD)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        cost = (peak - before) / CROWD
        print(f"{cost:.0f} bytes a connection at the worst moment")
        assert cost < COST_BYTES
    assert scene.made == []
