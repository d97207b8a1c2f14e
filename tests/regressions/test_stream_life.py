"""Whatever a program does to a stream, in whatever order, its protocol lives one life.

Random scripts: what happens in each callback, what is done from outside, what the peer does, in any order, on a
real socket.  The life is compared with the grammar at the head of ``reactor.net.protocol``: ``connection_lost``
comes once, nothing comes after it, and nothing but it after ``close`` or ``abort``.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reactor.errors import FrameMalformed, TransportClosed
from tests.net.recorder import LETTERS, Recorder
from tests.net.stage import Peer, Stage

BIG = 1_000_000


class Bug(Exception):
    """What a protocol lets escape."""


def quietly_write(stream: Any, data: bytes) -> None:
    try:
        stream.write(data)
    except TransportClosed:
        pass


def fail(error: type[Exception]) -> Callable[[Any], None]:
    def raise_it(stream: Any) -> None:
        raise error("on purpose")

    return raise_it


#: What user code may do to its stream.
DEEDS: dict[str, Callable[[Any], object]] = {
    "write": lambda stream: quietly_write(stream, b"x" * 100),
    "write much": lambda stream: quietly_write(stream, bytes(BIG)),
    "write_eof": lambda stream: stream.write_eof(),
    "close": lambda stream: stream.close(),
    "abort": lambda stream: stream.abort(),
    "reset": lambda stream: stream.reset(),
    "pause": lambda stream: stream.pause_reading(),
    "resume": lambda stream: stream.resume_reading(),
    "low limits": lambda stream: stream.set_write_buffer_limits(high=10),
    "high limits": lambda stream: stream.set_write_buffer_limits(high=10 * BIG),
}
RAISING = {"bug": fail(Bug), "fault": fail(FrameMalformed)}

#: What the peer may do.
PEER: dict[str, Callable[[Peer], object]] = {
    "peer sends": lambda peer: peer.send(b"hello"),
    "peer sends much": lambda peer: peer.send(bytes(BIG)),
    "peer reads": lambda peer: peer.read() if peer.end is None else None,
    "peer ends": lambda peer: peer.shutdown(),
    "peer closes": lambda peer: peer.close(),
    "peer resets": lambda peer: peer.reset(),
}

SLOTS = [slot for slot in LETTERS if slot != "frame_received"]
reactions = st.dictionaries(
    st.sampled_from(SLOTS), st.lists(st.sampled_from([*DEEDS, *RAISING]), min_size=1, max_size=3), max_size=3
)
scripts = st.lists(st.sampled_from([*DEEDS, *PEER, "turn"]), max_size=12)


class Witness(Recorder):
    """A recorder that performs *plan*, each slot once, and notes after which deed nothing may come any more."""

    def __init__(self, plan: dict[str, list[str]], keep_open: bool) -> None:
        super().__init__(**{slot: self._reaction(slot, deeds) for slot, deeds in plan.items()})
        self.keep_open = keep_open
        self.late: list[str] = []

    def _reaction(self, slot: str, deeds: list[str]) -> Callable[..., Any]:
        def react(me: Recorder, *args: object) -> None:
            del me.reactions[slot]
            for deed in deeds:
                {**DEEDS, **RAISING}[deed](me.transport)

        return react

    def _told(self, name: str, *args: Any) -> Any:
        if name not in ("connection_made", "connection_lost") and self.transport.is_closing():
            self.late.append(name)
        super()._told(name, *args)
        return self.keep_open


def act(wire: tuple[Any, Peer], step: str, stage: Stage) -> None:
    stream, peer = wire
    if step == "turn":
        stage.run_once(0)
    elif step in DEEDS:
        DEEDS[step](stream)
    elif peer.sock.fileno() >= 0:
        try:
            PEER[step](peer)
        except OSError:
            pass


@pytest.mark.parametrize("kind", ["tcp", "pair"])
@given(plan=reactions, script=scripts, keep_open=st.booleans())
@example(plan={"resume_writing": ["write_eof", "close"]}, script=["write much", "peer reads"], keep_open=True)
@example(plan={"pause_writing": ["abort"]}, script=["low limits", "write much", "write much"], keep_open=False)
@example(plan={"pause_writing": ["bug"]}, script=["write much", "write much", "write much"], keep_open=False)
@example(plan={"connection_made": ["write much", "write_eof", "bug"]}, script=["peer reads"], keep_open=True)
@settings(max_examples=150)
def test_a_stream_lives_one_life(kind: str, plan: dict[str, list[str]], script: list[str], keep_open: bool) -> None:
    """Any script, any reactions: one life, and everything given back."""
    stage = Stage("poll")
    near, far = connected(kind)
    witness = Witness(plan, keep_open)
    stream = stage.adopt_stream(lambda: witness, near)
    peer = Peer(stage, far)
    for step in script:
        act((stream, peer), step, stage)
    if witness.is_lost:
        assert near.fileno() == -1 or len(stage._shared.lingering) == 1
    stage.settle()
    stage.close()
    peer.close()
    witness.check_grammar()
    assert witness.is_lost
    assert witness.late == []
    assert near.fileno() == -1
    assert stage._shared.transports == set()
    assert {type(failure) for failure in stage.take_failures()} <= {Bug, FrameMalformed}


def connected(kind: str) -> tuple[socket.socket, socket.socket]:
    """Return two connected sockets."""
    if kind == "pair":
        return socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as server:
        far = socket.create_connection(server.getsockname())
        near, _ = server.accept()
    return near, far
