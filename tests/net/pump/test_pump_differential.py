"""The pump and the codecs play the same script: whoever cuts and frames in bulk must be taken for one of them.

Whoever cuts in bulk must know what each stream was in the midst of, and whoever sends in bulk what had to leave
before.  What nobody thought of is here; what somebody did think of is in ``test_pump_frames``.
"""

from __future__ import annotations

import socket
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor.net.pump.choice import with_pump
from tests.conftest import ALWAYS, SHIPPED, leave_to_streams
from tests.net import framed
from tests.net.framed import FORMATS, LIMIT, Frames, Texts, Whole, echo, heard, pair, wire_of
from tests.net.pump.test_pump import OFF, ON, pytestmark
from tests.net.stage import Stage, stage_on

__all__ = ["pytestmark"]

REACTIONS = st.sampled_from(
    [
        echo, echo, echo, framed.echo_with_bytes_between, framed.flood, framed.ignore, framed.pause, framed.raise_,
        framed.answer_and_close, framed.answer_and_end,
    ]
)  # fmt: skip
PAYLOADS = st.one_of(st.binary(max_size=40), st.integers(0, LIMIT).map(lambda size: b"p" * size))
STREAMS = 3
STEPS = st.one_of(
    st.tuples(st.just("frames"), st.lists(PAYLOADS, min_size=1, max_size=4)),
    st.tuples(st.just("half"), st.lists(PAYLOADS, min_size=1, max_size=2)),
    st.tuples(st.just("bytes"), st.binary(min_size=1, max_size=5)),
    st.tuples(st.sampled_from(["resume", "listen", "shut", "turn", "turn", "turn"]), st.just(None)),
)


class Play:
    """Some streams, and what their peers send and hear."""

    def __init__(self, stage: Stage, kinds: list[type[Frames]], reactions: list[Any]) -> None:
        self.stage = stage
        self.reactions = list(reversed(reactions))
        self.tellers = [kind(self.react) for kind in kinds]
        self.peers = [pair(stage, teller) for teller in self.tellers]
        self.streams = [teller.transport for teller in self.tellers]
        self.heard = [bytearray() for _ in kinds]
        self.held = [b"" for _ in kinds]

    def react(self, me: Frames, frame: bytes) -> None:
        """Do what comes next in the script; the reactions are dealt to streams, not to the order of their turns."""
        turn = len(me.frames) * STREAMS + self.tellers.index(me)
        action = self.reactions[turn % len(self.reactions)] if self.reactions else echo
        if me.is_ended:
            return
        if isinstance(me, Texts | Whole) and action is not framed.pause:
            me.transport.write(b"%d;" % len(frame))
        else:
            action(me, frame)

    def step(self, number: int, word: str, detail: Any) -> None:
        """Do one step of the script, if it is still possible."""
        if word in ("frames", "half", "bytes"):
            data = detail if word == "bytes" else wire_of(type(self.tellers[number]), detail)
            data, kept = self.held[number] + data, b""
            if word == "half":
                data, kept = data[: len(data) * 2 // 3], data[len(data) * 2 // 3 :]
            self.held[number] = kept
            try:
                self.peers[number].send(data)
            except OSError:
                pass
        elif word == "resume" and not self.streams[number].is_closing():
            self.streams[number].resume_reading()
        elif word == "listen":
            self.heard[number] += heard(self.peers[number])
        elif word == "shut":
            self.peers[number].shutdown(socket.SHUT_WR)
        else:
            self.stage.run_once(0)

    def outcome(self) -> list[Any]:
        """Play to the end, and return all that anybody has seen."""
        for _ in range(20):
            self.stage.run_once(0)
            for number in range(STREAMS):
                self.heard[number] += heard(self.peers[number])
        for peer in self.peers:
            peer.close()
        ends = [[(type(exc).__name__, str(exc)) for exc in teller.end] for teller in self.tellers]
        return [[teller.frames for teller in self.tellers], self.heard, ends]


def played(environ: dict[str, str], kinds: Any, reactions: Any, script: Any) -> list[Any]:
    """Play on a reactor with or without a pump."""
    with stage_on(with_pump("epoll", environ) if environ is ON else None) as stage:
        play = Play(stage, kinds, reactions)
        for number, (word, detail) in script:
            play.step(number, word, detail)
        outcome = play.outcome()
        stage.take_failures()
        return outcome


@settings(max_examples=200)
@given(
    few=st.sampled_from([ALWAYS, 0, 1, 2, SHIPPED]),
    kinds=st.lists(st.sampled_from(FORMATS), min_size=STREAMS, max_size=STREAMS),
    reactions=st.lists(REACTIONS, max_size=8),
    script=st.lists(st.tuples(st.integers(0, STREAMS - 1), STEPS), max_size=30),
)
@pytest.mark.slow
def test_the_pump_and_the_codecs_make_the_same_frames(few: int, kinds: Any, reactions: Any, script: Any) -> None:
    """However the bytes come, whatever the protocols do: the same frames, the same replies, the same faults."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REACTOR_PUMP", "off")
        leave_to_streams(patch, few)
        assert played(ON, kinds, reactions, script) == played(OFF, kinds, reactions, script)
