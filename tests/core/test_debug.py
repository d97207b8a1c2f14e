"""Debug mode: slow callbacks are told by their names, handles know where they were made, and nobody else pays."""

from __future__ import annotations

import re
import select
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import reactor
from reactor.core.debug import Made
from reactor.core.handles import Handle
from reactor.errors import WrongThread
from reactor.telling.probe import Probe
from reactor.telling.reports import REPEAT_LINES, describe
from tests.core.doubles import Failures


class Clock:
    """A clock that a callback can move."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        """Take so long."""
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def loop(clock: Clock) -> Iterator[reactor.Reactor]:
    with reactor.Reactor(clock=clock, debug=True) as loop:
        yield loop


def here() -> str:
    """Return the place of the call, as reports say it."""
    frame = sys._getframe(1)
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged, and forget it."""
    found = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return found


def fail() -> None:
    raise ValueError("on purpose")


# -- who was slow --------------------------------------------------------------------------------------------------


def test_a_slow_callback_is_told_with_its_name_and_milliseconds(
    loop: reactor.Reactor, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """From a tenth of a second on, as in asyncio, or what the program says; quick ones are not told."""
    loop.call_soon(clock.pass_by, 0.25)
    place = here().rpartition(":")[0]
    loop.call_soon(clock.pass_by, 0.05)
    loop.run_once(0)
    (line,) = lines(caplog)
    assert re.fullmatch(
        rf"tests\.core\.test_debug\.Clock\.pass_by, made at {re.escape(place)}:\d+ took 250 ms, .*", line
    )
    assert loop.counters.slow_callbacks == 1
    loop.slow_callback_duration = 0.01
    loop.call_later(0, clock.pass_by, 0.05)
    loop.run_once(0)
    assert "took 50 ms" in lines(caplog)[0]


def test_a_slow_callback_that_raises_is_told_as_well(
    loop: reactor.Reactor, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Both things are said, and the loop goes on."""

    def slow_and_wrong() -> None:
        clock.pass_by(1)
        fail()

    loop.call_soon(slow_and_wrong)
    loop.run_once(0)
    slow, failure = lines(caplog)
    assert re.search("slow_and_wrong, .* took 1000 ms", slow)
    assert re.search("unhandled exception in .*slow_and_wrong", failure)


def test_slow_callbacks_are_rationed_and_counted(
    loop: reactor.Reactor, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """A program in which everything is slow does not fill a disk with that."""
    for _ in range(3 * REPEAT_LINES):
        loop.call_soon(clock.pass_by, 0.2)
    while loop.engine.ready:  # a turn in which ten milliseconds have passed is broken off
        loop.run_once(0)
    assert len(lines(caplog)) == REPEAT_LINES
    assert loop.counters.slow_callbacks == 3 * REPEAT_LINES


@pytest.mark.parametrize("method", ["data_received", "connection_lost"])
def test_a_slow_protocol_is_told_by_its_own_name(
    loop: reactor.Reactor, clock: Clock, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    """And not by that of the stream's method, which is the same for all; also beside many others."""

    class Quick(reactor.Protocol):
        def data_received(self, data: bytes) -> None: ...

    class Slow(Quick):
        pass

    setattr(Slow, method, lambda self, argument: clock.pass_by(0.3))
    pairs = [socket.socketpair() for _ in range(20)]
    for number, (near, far) in enumerate(pairs):
        loop.adopt_stream(Slow if number == 7 else Quick, near)
        far.send(b"x")
    loop.run_once(0)
    for _, far in pairs:
        far.close()
    for _ in range(3):
        loop.run_once(0)
    (line,) = lines(caplog)
    assert "Slow on <Stream " in line
    assert "took 300 ms" in line


def test_a_probe_of_the_programs_own_sees_what_it_would_see_without(loop: reactor.Reactor, clock: Clock) -> None:
    """It is called besides; what it lacks is refused as ever, and None takes only it away."""
    seen: list[Any] = []

    class Watcher(Probe):
        def turn_began(self, turn: int, wait: float | None) -> None:
            seen.append("turn")

        def polled(self, ready: int) -> None:
            seen.append("polled")

        def run(self, callback: Callable[..., object], *args: object) -> None:
            seen.append("begin")
            callback(*args)

        def registered(self, fd: int, events: int) -> None:
            seen.append("registered")

        def opened(self, transport: object) -> None:
            seen.append("opened")

    loop.set_probe(Watcher())
    near, far = socket.socketpair()
    with far:
        loop.adopt_stream(reactor.Protocol, near)
        loop.call_soon(clock.pass_by, 1)
        loop.run_once(0)
        assert seen == ["opened", "registered", "turn", "polled", "begin"]
        assert loop.counters.slow_callbacks == 1
        with pytest.raises(TypeError, match="a probe has the methods"):
            loop.set_probe(object())  # type: ignore[arg-type]
        loop.set_probe(None)
        loop.call_soon(clock.pass_by, 1)
        loop.run_once(0)
        assert len(seen) == 5
        assert loop.counters.slow_callbacks == 2


# -- where it was made ---------------------------------------------------------------------------------------------


def asked(loop: reactor.Reactor, verb: str, callback: Callable[..., object]) -> Any:
    """Have *verb* take *callback*; return what shows it."""
    if verb in ("add_reader", "add_writer"):
        near, far = socket.socketpair()
        far.close()
        getattr(loop, verb)(near, callback)
        return loop.registry.key_of(near.fileno()).data, near  # type: ignore[union-attr]
    arguments = {"call_later": (5,), "call_at": (5,), "call_every": (5,)}.get(verb, ())
    return getattr(loop, verb)(*arguments, callback), None


VERBS = ["call_soon", "call_soon_threadsafe", "call_later", "call_at", "call_every", "add_reader", "add_writer"]


@pytest.mark.parametrize("verb", VERBS)
def test_a_handle_says_where_it_was_made(loop: reactor.Reactor, verb: str) -> None:
    """Its repr has the name of the callback, the file and the line of the call."""
    thing, sock = asked(loop, verb, fail)
    first = asked.__code__.co_firstlineno
    pattern = rf"tests\.core\.test_debug\.fail, made at {re.escape(__file__)}:(\d+)"
    found = re.search(pattern, repr(thing))
    assert found, repr(thing)
    assert first < int(found[1]) < first + 10
    if sock is not None:
        getattr(loop, verb.replace("add", "remove"))(sock)
        sock.close()


def test_what_was_wrapped_before_is_wrapped_anew(loop: reactor.Reactor) -> None:
    """An exception handler may ask for the same callback again: with its arguments, and at the line of that."""
    told: list[object] = []
    first = loop.call_soon(told.append, 1).callback
    second = loop.call_soon(first, 2).callback  # type: ignore[arg-type]
    place = here()
    loop.add_reader(loop.engine.wakeup.fd, first, 3)  # type: ignore[arg-type]
    key = loop.registry.key_of(loop.engine.wakeup.fd)
    assert key is not None
    key.data.reader()
    loop.add_reader(loop.engine.wakeup.fd, loop.engine.hear)
    loop.run_once(0)
    assert told == [3, 1, 2]
    assert isinstance(second, Made)
    assert second.func == told.append
    assert int(second.made_at.rpartition(":")[2]) == int(place.rpartition(":")[2]) - 1


@pytest.mark.parametrize("verb", ["call_soon", "call_later", "add_reader"])
def test_a_report_of_a_failure_says_where_the_callback_was_made(
    loop: reactor.Reactor, clock: Clock, caplog: pytest.LogCaptureFixture, verb: str
) -> None:
    """The traceback begins at the loop; the line that asked for the call is in front of it."""
    _, sock = asked(loop, verb, fail)
    clock.pass_by(5)
    loop.run_once(0)
    (line,) = [line for line in lines(caplog) if "unhandled" in line]
    assert re.fullmatch(
        rf"unhandled exception in tests\.core\.test_debug\.fail, made at {re.escape(__file__)}:\d+", line
    )
    if sock is not None:
        loop.remove_reader(sock)
        sock.close()


@pytest.mark.skipif(not hasattr(select, "poll"), reason="no poller here that is told of closed descriptors")
def test_a_closed_descriptor_is_told_with_the_line_that_registered_it(caplog: pytest.LogCaptureFixture) -> None:
    """The most useful place of all: the descriptor is gone, and its number says nothing."""
    left, right = socket.socketpair()
    with right, reactor.Reactor("poll", debug=True) as loop:
        loop.add_reader(left, fail)
        number = int(here().rpartition(":")[2]) - 1
        left.close()
        loop.run_once(0)
    (line,) = lines(caplog)
    assert line == f"unhandled exception in tests.core.test_debug.fail, made at {__file__}:{number}"


def test_what_the_package_asks_for_is_placed_at_the_line_of_the_program(loop: reactor.Reactor) -> None:
    """A stream that is closed has its end called soon: by the program's ``close``, and not by a line in here."""
    near, far = socket.socketpair()
    with far:
        stream = loop.adopt_stream(reactor.Protocol, near)
        stream.abort()
        place = here()
        number = int(place.rpartition(":")[2]) - 1
        assert describe(loop.engine.flushes[-1]).endswith(f"_finish, made at {__file__}:{number}")


def test_the_exception_handler_is_given_the_callback_in_its_wrapping(loop: reactor.Reactor) -> None:
    """``func`` is the callback itself, and ``made_at`` its place; ``describe`` says both."""
    failures = Failures()
    loop.set_exception_handler(failures)
    loop.call_soon(fail)
    loop.run_once(0)
    ((_, source),) = failures
    assert isinstance(source, Made)
    assert source.func is fail
    assert describe(source) == f"tests.core.test_debug.fail, made at {source.made_at}"


# -- it is the same loop -------------------------------------------------------------------------------------------


def test_nothing_is_wrapped_or_measured_when_it_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """The class is the plain one, there is no probe, and what is queued is what was given."""
    monkeypatch.delenv("REACTOR_DEBUG", raising=False)
    with reactor.Reactor() as loop:
        assert type(loop) is reactor.Reactor
        assert loop.engine.probe is None
        handle, timer = loop.call_soon(fail), loop.call_later(5, fail)
        assert (handle.callback, timer._target) == (fail, fail)
        assert repr(handle) == "<Handle of tests.core.test_debug.fail>"
        handle.cancel()
        timer.cancel()
        assert repr(handle) == "<Handle cancelled>"
        assert repr(timer) == "<Timer cancelled>"


@pytest.mark.parametrize(
    ("value", "debug", "is_on"),
    [(None, None, False), ("", None, False), ("0", None, False), ("1", None, True), ("yes", None, True),
     ("1", False, False), ("0", True, True)],
)  # fmt: skip
def test_the_argument_decides_and_else_the_environment(
    monkeypatch: pytest.MonkeyPatch, value: str | None, debug: bool | None, is_on: bool
) -> None:
    """As asyncio's PYTHONASYNCIODEBUG."""
    monkeypatch.delenv("REACTOR_DEBUG", raising=False)
    if value is not None:
        monkeypatch.setenv("REACTOR_DEBUG", value)
    with reactor.Reactor(debug=debug) as loop:
        assert (loop.engine.probe is not None) == is_on
        assert repr(loop).endswith("in debug mode>") == is_on


class Own(reactor.Reactor):
    """A program's own reactor, with state and a verb of its own."""

    def __init__(self, name: str, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.name = name
        self.asked: list[object] = []

    def call_soon(self, callback: Callable[..., object], *args: Any) -> Handle:
        self.asked.append(callback)
        return super().call_soon(callback, *args)


def test_a_class_derived_from_reactor_keeps_its_state_and_verbs() -> None:
    """It is still an instance of its class, and has its name."""
    with Own("mine", debug=True) as loop:
        assert isinstance(loop, Own)
        assert repr(loop).startswith("<Own idle")
        loop.call_soon(fail).cancel()
        assert loop.name == "mine"
        assert [describe(callback).partition(",")[0] for callback in loop.asked] == ["tests.core.test_debug.fail"]


@pytest.mark.parametrize("verb", ["call_soon", "call_soon_threadsafe", "call_later", "add_reader"])
def test_what_cannot_be_called_is_refused_as_ever(loop: reactor.Reactor, verb: str) -> None:
    """With the message of the verb, not of the wrapping."""
    arguments = {"call_later": (5,), "add_reader": (0,)}.get(verb, ())
    with pytest.raises(TypeError, match=rf"{verb}\(\) takes a function to be called, not a int"):
        getattr(loop, verb)(*arguments, 5)


def test_arguments_reach_a_reader(loop: reactor.Reactor) -> None:
    """They are in the wrapping there."""
    near, far = socket.socketpair()
    with near, far:
        told: list[object] = []
        loop.add_reader(near, lambda *args: told.append((args, near.recv(1))), 1, 2)
        far.send(b"x")
        loop.run_once(0)
        loop.remove_reader(near)
    assert told == [((1, 2), b"x")]


def test_the_rules_of_threads_are_the_same(loop: reactor.Reactor) -> None:
    """A verb is refused in another thread, and what is wrapped for it changes nothing."""
    raised: list[BaseException] = []

    def stray() -> None:
        try:
            loop.call_soon(fail)
        except WrongThread as exc:
            raised.append(exc)
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=stray)
    loop.call_soon(thread.start)
    loop.run()
    thread.join()
    assert [type(exc) for exc in raised] == [WrongThread]


def test_a_program_in_debug_mode_has_no_pump() -> None:
    """Its one callback would stand for many protocols, and none could be told from the others."""
    with reactor.Reactor(debug=True) as loop:
        assert loop._shared.pump is None
