"""What can be watched: every step of a turn, in its order, at no change of what happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

import pytest

from reactor.core.loop import Loop
from reactor.errors import ArgumentError
from reactor.telling.probe import Probe
from reactor.testing import ScriptedSocket
from tests.core.doubles import Virtual, fail, turns, virtual_loop


@pytest.fixture
def virtual() -> Iterator[Virtual]:
    """A loop in virtual time."""
    with virtual_loop() as made:
        yield made


class Recorder(Probe):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def turn_began(self, turn: int, wait: float | None) -> None:
        """Record."""
        self.seen.append(("turn", turn, wait))

    def polled(self, ready: int) -> None:
        """Record."""
        self.seen.append(("polled", ready))

    def run(self, callback: Callable[..., object], *args: object) -> None:
        """Record before and after."""
        self.seen.append(("begin", *args))
        try:
            callback(*args)
        finally:
            self.seen.append(("end", *args))

    def registered(self, fd: int, events: int) -> None:
        """Record."""
        self.seen.append(("registered", fd, events))


def test_every_step_of_a_turn_is_told_in_its_order(virtual: Virtual) -> None:
    """Registration, the turn with its wait, what the poller found, and each callback with its beginning and end."""
    probe = Recorder()
    virtual.loop.set_probe(probe)
    sock = ScriptedSocket()
    fd = sock.fileno()
    virtual.loop.add_reader(sock, str)
    virtual.loop.add_writer(sock, str)
    virtual.loop.add_reader(sock, str)
    virtual.loop.remove_reader(sock)
    virtual.loop.remove_writer(sock)
    assert [events for _, _, events in probe.seen] == [
        EVENT_READ, EVENT_READ | EVENT_WRITE, EVENT_READ | EVENT_WRITE, EVENT_WRITE, 0,
    ]  # fmt: skip
    assert {seen[1] for seen in probe.seen} == {fd}
    probe.seen.clear()
    virtual.loop.add_reader(sock, str)
    virtual.poller.script([(sock, EVENT_READ)])
    virtual.loop.call_soon(str, "soon")
    virtual.loop.run_once(5)
    assert probe.seen == [
        ("registered", fd, EVENT_READ), ("turn", 1, 0), ("polled", 1), ("begin", "soon"), ("end", "soon"),
        ("begin",), ("end",),
    ]  # fmt: skip


def test_failures_pass_through_the_probe(virtual: Virtual) -> None:
    """What a callback raises is seen by ``run`` and reported all the same, for each kind of callback."""
    probe = Recorder()
    virtual.loop.set_probe(probe)
    sock = ScriptedSocket()
    virtual.loop.add_reader(sock, fail)
    virtual.loop.add_writer(sock, fail)
    virtual.poller.script([(sock, EVENT_READ)], [(sock, EVENT_WRITE)])
    virtual.loop.call_soon(fail, "soon")
    turns(virtual.loop, 2)
    assert [seen for seen in probe.seen if seen[0] == "end"] == [("end", "soon"), ("end",), ("end",)]
    assert [source for _, source in virtual.failures] == [fail] * 3
    virtual.failures.clear()


def test_a_base_probe_changes_nothing(virtual: Virtual) -> None:
    """Every place does nothing by default, and the callbacks run."""
    steps: list[str] = []
    probe = Probe()
    virtual.loop.set_probe(probe)
    virtual.loop.add_reader(sock := ScriptedSocket(), steps.append, "reader")
    virtual.poller.script([(sock, EVENT_READ)])
    virtual.loop.call_soon(steps.append, "soon")
    turns(virtual.loop)
    probe.opened(sock)
    probe.received(sock, 1)
    probe.sent(sock, 1)
    probe.closed(sock, None)
    virtual.loop.set_probe(None)
    virtual.loop.call_soon(steps.append, "unwatched")
    turns(virtual.loop)
    assert steps == ["soon", "reader", "unwatched"]


@pytest.mark.parametrize("verb", ["reader", "soon", "turn end"])
def test_a_probe_that_is_torn_ends_the_run_and_loses_nothing(virtual: Virtual, verb: str) -> None:
    """A step that asked it before it took any work was repeated forever."""

    class Torn(Probe):
        is_torn = False

        @property
        def run(self) -> Any:  # type: ignore[override]
            if self.is_torn:
                raise RuntimeError("torn")
            return super().run

    steps: list[str] = []
    probe = Torn()
    virtual.loop.set_probe(probe)
    probe.is_torn = True
    if verb == "reader":
        sock = ScriptedSocket()
        virtual.loop.add_reader(sock, steps.append, verb)
        virtual.poller.hold(sock)
    elif verb == "soon":
        virtual.loop.call_soon(steps.append, verb)
    else:
        virtual.loop.call_at_turn_end(lambda: steps.append(verb))
    with pytest.raises(RuntimeError, match="torn"):
        turns(virtual.loop)
    virtual.loop.set_probe(None)
    turns(virtual.loop)
    assert steps == [verb]


@pytest.mark.parametrize("probe", [5, object(), print])
def test_what_is_no_probe_is_refused_and_changes_nothing(probe: object) -> None:
    """A step that raised before it took any work would be repeated forever, by ``close`` too."""
    with Loop() as loop:
        with pytest.raises(ArgumentError, match="a probe has the methods"):
            loop.set_probe(probe)  # type: ignore[arg-type]
        assert loop.engine.probe is None
        loop.run_once(0)
