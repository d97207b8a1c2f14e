"""A protocol that writes down what it is told, and does on each occasion what the test wants done.

``Recorder(data_received=lambda me, data: me.transport.close())``: each keyword is a reaction to one callback.  The
notes are compared with a grammar that every life of a stream must follow, so that no test has to think of all the
ways in which a callback may come too often, too late, or twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from reactor.framing import Codec, LengthPrefixed
from reactor.net.protocol import FramedProtocol

#: The life of a stream, a letter for each callback; see the head of ``reactor.net.protocol``.
GRAMMAR = re.compile(r"m([dpr]*(e[pr]*)?l?)?")

#: The letters.
LETTERS = {
    "connection_made": "m",
    "data_received": "d",
    "frame_received": "d",
    "pause_writing": "p",
    "resume_writing": "r",
    "eof_received": "e",
    "connection_lost": "l",
}


class Recorder:
    """Any object with the right methods is a protocol: this one has no base class."""

    def __init__(self, **reactions: Callable[..., Any]) -> None:
        assert reactions.keys() <= LETTERS.keys()
        self.reactions = reactions
        self.transport: Any = None
        self.calls: list[tuple[Any, ...]] = []
        self.received = bytearray()
        #: How many callbacks are under way, and the most there ever were.
        self.depth = 0
        self.deepest = 0

    def _told(self, name: str, *args: Any) -> Any:
        self.calls.append((name, *args))
        reaction = self.reactions.get(name)
        if reaction is None:
            return None
        self.depth += 1
        self.deepest = max(self.depth, self.deepest)
        try:
            return reaction(self, *args)
        finally:
            self.depth -= 1

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._told("connection_made")

    def data_received(self, data: bytes) -> None:
        self.received += data
        self._told("data_received", data)

    def eof_received(self) -> Any:
        return self._told("eof_received")

    def pause_writing(self) -> None:
        self._told("pause_writing")

    def resume_writing(self) -> None:
        self._told("resume_writing")

    def connection_lost(self, exc: BaseException | None) -> None:
        self._told("connection_lost", exc)

    # -- what the test asks ------------------------------------------------------------------------------------

    @property
    def names(self) -> list[str]:
        """The names of the callbacks, runs of ``data_received`` as one."""
        names = [name for name, *_ in self.calls]
        return [name for i, name in enumerate(names) if name != "data_received" or names[i - 1 : i] != [name]]

    @property
    def is_lost(self) -> bool:
        """Return True if ``connection_lost`` has come."""
        return any(name == "connection_lost" for name, *_ in self.calls)

    @property
    def reason(self) -> Any:
        """What the only ``connection_lost`` said."""
        (reason,) = [args[0] for name, *args in self.calls if name == "connection_lost"]
        return reason

    def check_grammar(self) -> None:
        """Fail unless the calls are a life, with pauses and resumptions in turn."""
        life = "".join(LETTERS[name] for name, *_ in self.calls)
        assert GRAMMAR.fullmatch(life), life
        turns = [letter for letter in life if letter in "pr"]
        assert turns == ["p", "r"] * (len(turns) // 2) + ["p"] * (len(turns) % 2), life


def echo(me: Recorder, data: bytes) -> None:
    """A reaction: send back what came."""
    me.transport.write(data)


class FrameRecorder(FramedProtocol):
    """The same for frames: ``frames`` holds them, ``events`` everything; *on_frame* is the reaction to each."""

    codec: Codec = LengthPrefixed(4)

    def __init__(self, on_frame: Callable[[FrameRecorder, bytes], object] | None = None) -> None:
        self.transport: Any = None
        self.on_frame = on_frame
        self.frames: list[bytes] = []
        self.events: list[tuple[Any, ...]] = []

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.events.append(("made",))

    def frame_received(self, frame: bytes) -> None:
        self.frames.append(frame)
        self.events.append(("frame", frame))
        if self.on_frame is not None:
            self.on_frame(self, frame)

    def eof_received(self) -> bool | None:
        self.events.append(("eof",))
        return super().eof_received()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.events.append(("lost", exc))

    @property
    def is_lost(self) -> bool:
        """Return True if ``connection_lost`` has come."""
        return bool(self.events) and self.events[-1][0] == "lost"

    @property
    def reason(self) -> Any:
        """What the only ``connection_lost`` said."""
        (reason,) = [args[0] for kind, *args in self.events if kind == "lost"]
        return reason


def framed(*payloads: bytes) -> bytes:
    """Return *payloads* behind their four-byte lengths."""
    return b"".join(len(payload).to_bytes(4, "big") + payload for payload in payloads)
