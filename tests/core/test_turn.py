"""One turn: the order of its steps, what may be added during each, and what happens when a callback raises.

Time is virtual and readiness is scripted, so every order below is the only possible one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

import pytest

from reactor.core.polling.contract import EVENT_BOTH
from reactor.errors import ScriptExhausted
from reactor.testing import ScriptedSocket
from tests.core.doubles import Virtual, fail, interrupt, turns, virtual_loop


@pytest.fixture
def virtual() -> Iterator[Virtual]:
    """A loop in virtual time."""
    with virtual_loop() as made:
        yield made


#: Ways to have a callback run in the next turn.
SLOTS: dict[str, Callable[[Virtual, Callable[..., object]], object]] = {
    "reader": lambda v, callback: _ready(v, v.loop.add_reader, EVENT_READ, callback),
    "writer": lambda v, callback: _ready(v, v.loop.add_writer, EVENT_WRITE, callback),
    "timer": lambda v, callback: v.loop.call_later(0, callback),
    "beat": lambda v, callback: (v.loop.call_every(5, callback), v.clock.advance(5)),
    "soon": lambda v, callback: v.loop.call_soon(callback),
    "threadsafe": lambda v, callback: v.loop.call_soon_threadsafe(callback),
    "signal": lambda v, callback: (v.loop.add_signal_handler(10, callback), v.ops.deliver(10)),
    "turn end": lambda v, callback: v.loop.call_at_turn_end(callback),
}


def _ready(virtual: Virtual, add: Callable[..., object], event: int, callback: Callable[..., object]) -> None:
    sock = ScriptedSocket()
    add(sock, callback)
    virtual.poller.hold(sock, event)


def test_the_steps_of_a_turn_come_in_the_documented_order(virtual: Virtual) -> None:
    """Poll, then what is ready, then readers and writers, then timers that are due; at last the flushes."""
    steps: list[str] = []
    sock = ScriptedSocket()
    loop = virtual.loop
    loop.call_later(0, steps.append, "timer")
    loop.call_at_turn_end(lambda: steps.append("turn end"))
    loop.add_writer(sock, steps.append, "writer")
    loop.add_reader(sock, steps.append, "reader")
    loop.call_soon_threadsafe(steps.append, "threadsafe")
    virtual.poller.script([(sock, EVENT_BOTH)])
    loop.run_once()
    assert steps == ["threadsafe", "reader", "writer", "timer", "turn end"]


def test_calls_run_in_the_order_in_which_they_were_made(virtual: Virtual) -> None:
    """First come, first served."""
    steps: list[int] = []
    for number in range(100):
        virtual.loop.call_soon(steps.append, number)
    virtual.loop.run_once()
    assert steps == list(range(100))


def test_a_cancelled_call_does_not_run_when_its_turn_comes(virtual: Virtual) -> None:
    """Cancelling is possible until the very moment, and any number of times."""
    steps: list[str] = []
    later = virtual.loop.call_later(0, steps.append, "timer")
    virtual.loop.call_soon(lambda: (soon.cancel(), soon.cancel(), later.cancel()))
    soon = virtual.loop.call_soon(steps.append, "soon")
    turns(virtual.loop, 2)
    assert soon.is_cancelled()
    assert later.is_cancelled()
    assert steps == []


def test_a_due_timer_does_not_run_when_an_earlier_timer_of_the_turn_cancels_or_moves_it(virtual: Virtual) -> None:
    """Both were taken out of the heap together; that is no reason to run what nobody wants any more."""
    steps: list[str] = []
    virtual.loop.call_at(1001, lambda: (victim.cancel(), moved.reschedule(1050)))
    victim = virtual.loop.call_at(1001, steps.append, "cancelled")
    moved = virtual.loop.call_at(1001, steps.append, "moved")
    virtual.clock.advance(1)
    turns(virtual.loop)
    assert steps == []
    virtual.clock.advance(49)
    turns(virtual.loop)
    assert steps == ["moved"]


def test_a_callback_that_calls_itself_soon_for_ever_does_not_keep_the_others_waiting(virtual: Virtual) -> None:
    """What a callback adds runs in the next turn; between two turns the poller is asked."""
    counts = {"self": 0, "reader": 0, "timer": 0}

    def count(what: str) -> None:
        counts[what] += 1

    def again() -> None:
        count("self")
        virtual.loop.call_soon(again)

    sock = ScriptedSocket()
    virtual.loop.add_reader(sock, count, "reader")
    virtual.poller.hold(sock)
    again()
    virtual.loop.call_later(0, count, "timer")
    turns(virtual.loop, 10)
    assert counts == {"self": 11, "reader": 10, "timer": 1}


def test_the_wait_ends_at_the_next_timer(virtual: Virtual) -> None:
    """Nothing ready and a timer in 7.25 s: that is how long the poller is asked to wait, and it costs one turn."""
    virtual.loop.call_later(7.25, virtual.loop.stop)
    virtual.loop.run()
    assert virtual.poller.waits == [7.25]
    assert virtual.clock.now == 1007.25


@pytest.mark.parametrize("slot", ["soon", "turn end"])
def test_the_poller_is_only_looked_at_when_something_is_ready(virtual: Virtual, slot: str) -> None:
    """A turn with work to do does not wait."""
    SLOTS[slot](virtual, lambda: None)
    virtual.loop.run_once()
    assert virtual.poller.waits == [0]


def test_a_limit_shortens_the_wait(virtual: Virtual) -> None:
    """``run_once(timeout)`` waits for the timer or for the limit, whichever is earlier."""
    virtual.loop.run_once(3)
    virtual.loop.call_later(2, print)
    virtual.loop.run_once(9)
    virtual.loop.call_later(9, print).cancel()
    assert virtual.poller.waits == [3, 2]


def test_a_flush_that_was_asked_for_during_the_flush_does_not_wait_for_an_event(virtual: Virtual) -> None:
    """It leaves at the end of the next turn, and that turn does not sleep first."""
    flushed: list[int] = []

    def flush() -> None:
        flushed.append(len(virtual.poller.waits))
        if len(flushed) < 3:
            virtual.loop.call_at_turn_end(flush)

    virtual.loop.call_soon(virtual.loop.call_at_turn_end, flush)
    virtual.loop.run_until(lambda: len(flushed) == 3)
    assert flushed == [1, 2, 3]
    assert virtual.poller.waits == [0, 0, 0]


# -- exceptions ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slot", SLOTS)
def test_the_loop_goes_on_when_a_callback_raises(virtual: Virtual, slot: str) -> None:
    """It is told with its callback, the rest of the turn runs, and so do the turns to come."""
    after: list[str] = []
    SLOTS[slot](virtual, fail)
    for other in SLOTS:
        if other != "signal" or slot != "signal":
            SLOTS[other](virtual, lambda *args, name=other: after.append(name))
    turns(virtual.loop, 2)
    assert set(after) >= SLOTS.keys() - {"signal"}
    assert set(virtual.failures.types()) == {RuntimeError}
    assert {source for _, source in virtual.failures} == {fail}
    assert virtual.loop.counters.callback_errors == len(virtual.failures)
    virtual.failures.clear()


@pytest.mark.parametrize("slot", SLOTS)
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_passes_and_nothing_ready_is_lost(virtual: Virtual, slot: str, error: type) -> None:
    """Ctrl-C leaves ``run`` at once; when it is run again, what was ready before runs, in the order it had."""
    steps: list[int] = []

    def stopped(*args: object) -> None:
        for sock in list(virtual.poller._held):
            virtual.poller.release(sock)
        raise error

    SLOTS[slot](virtual, stopped)
    for number in range(3):
        virtual.loop.call_soon(steps.append, number)
    virtual.loop.call_at_turn_end(lambda: steps.append(3))
    with pytest.raises(error):
        turns(virtual.loop, 2)
    turns(virtual.loop, 2)
    assert steps == [0, 1, 2, 3]
    assert "idle" in repr(virtual.loop)


def test_an_interrupt_in_the_exception_handler_passes(virtual: Virtual) -> None:
    """A handler may decide to end the program."""
    virtual.loop.set_exception_handler(interrupt)
    virtual.loop.call_soon(fail)
    with pytest.raises(KeyboardInterrupt):
        virtual.loop.run_once()


def test_both_are_logged_when_the_exception_handler_raises(
    virtual: Virtual, caplog: pytest.LogCaptureFixture
) -> None:
    """A broken handler hides neither what it was told nor its own fault, and the turn goes on."""
    steps: list[str] = []
    virtual.loop.set_exception_handler(lambda exc, source: {}["missing"])
    virtual.loop.call_soon(fail)
    virtual.loop.call_soon(steps.append, "after")
    virtual.loop.run_once()
    assert steps == ["after"]
    logged = [record.exc_info[0] for record in caplog.records if record.exc_info]
    assert logged == [RuntimeError, KeyError]
    caplog.clear()


def test_the_default_handler_is_back_when_it_is_set_to_none(
    virtual: Virtual, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a handler, failures are logged with their traceback and the name of the callback."""
    virtual.loop.set_exception_handler(None)
    virtual.loop.call_soon(fail)
    virtual.loop.run_once()
    assert "fail" in caplog.records[0].getMessage()
    assert caplog.records[0].exc_info is not None


# -- generations -----------------------------------------------------------------------------------------------


def _two_ready(virtual: Virtual, first: Callable[..., object]) -> tuple[ScriptedSocket, ScriptedSocket]:
    """Two sockets that become readable in the same turn; *first* runs for the first one."""
    one, two = ScriptedSocket(), ScriptedSocket()
    virtual.loop.add_reader(one, first)
    virtual.poller.script([(one, EVENT_READ), (two, EVENT_READ)])
    return one, two


def test_a_reader_does_not_run_when_it_was_removed_earlier_in_the_turn(virtual: Virtual) -> None:
    """The kernel had said "ready" for both; the first callback took the second away."""
    steps: list[str] = []
    _, two = _two_ready(virtual, lambda: steps.append(str(virtual.loop.remove_reader(two))))
    virtual.loop.add_reader(two, steps.append, "removed")
    turns(virtual.loop)
    assert steps == ["True"]


def test_a_reader_that_replaced_another_in_the_turn_waits_for_the_next(virtual: Virtual) -> None:
    """What the kernel said was meant for its predecessor; if it still holds, the next turn says it again."""
    steps: list[str] = []
    _, two = _two_ready(virtual, lambda: virtual.loop.add_reader(two, steps.append, "new"))
    virtual.loop.add_reader(two, steps.append, "old")
    turns(virtual.loop)
    assert steps == []
    virtual.poller.script([(two, EVENT_READ)])
    turns(virtual.loop)
    assert steps == ["new"]


def test_a_reader_does_not_hear_of_its_predecessors_file_when_the_number_was_reused(virtual: Virtual) -> None:
    """Removed, closed, and the same number registered for another file: a new registration, a new generation."""
    steps: list[str] = []

    def reuse() -> None:
        virtual.loop.remove_reader(two)
        reborn = ScriptedSocket()
        reborn._fd = two.detach()
        virtual.loop.add_reader(reborn, steps.append, "new file")

    _, two = _two_ready(virtual, reuse)
    virtual.loop.add_reader(two, steps.append, "old file")
    turns(virtual.loop)
    assert steps == []


@pytest.mark.parametrize("adder", ["add_reader", "add_writer"])
def test_the_writer_of_a_socket_goes_on_when_its_reader_is_replaced(virtual: Virtual, adder: str) -> None:
    """The two places of a registration have a generation each."""
    steps: list[str] = []
    sock = ScriptedSocket()
    virtual.loop.add_reader(sock, lambda: getattr(virtual.loop, adder)(sock, steps.append, "new"))
    virtual.loop.add_writer(sock, steps.append, "writer")
    virtual.poller.script([(sock, EVENT_BOTH)])
    turns(virtual.loop)
    assert steps == (["writer"] if adder == "add_reader" else [])


def test_a_writer_does_not_run_when_its_reader_removed_it(virtual: Virtual) -> None:
    """A reader that closes the connection takes the writer with it."""
    steps: list[str] = []
    sock = ScriptedSocket()
    virtual.loop.add_reader(sock, lambda: virtual.loop.remove_writer(sock))
    virtual.loop.add_writer(sock, steps.append, "writer")
    virtual.poller.script([(sock, EVENT_BOTH)])
    turns(virtual.loop)
    assert steps == []
    assert virtual.loop.remove_reader(sock)
    assert virtual.poller.calls[-2:] == [("change", sock.fileno(), EVENT_READ), ("forget", sock.fileno(), 0)]


def test_a_reader_that_was_added_between_two_turns_runs_in_the_next(virtual: Virtual) -> None:
    """The generation is that of the turn before, so nothing is passed over."""
    steps: list[str] = []
    sock = ScriptedSocket()
    turns(virtual.loop)
    virtual.loop.add_reader(sock, steps.append, "reader")
    virtual.poller.script([(sock, EVENT_READ)])
    turns(virtual.loop)
    assert steps == ["reader"]


def test_the_kernel_is_told_again_when_a_reader_is_added_again(virtual: Virtual) -> None:
    """The books may say that it knows; numbers are reused behind our back."""
    sock = ScriptedSocket()
    virtual.loop.add_reader(sock, print)
    virtual.loop.add_reader(sock, print)
    fd = sock.fileno()
    assert virtual.poller.calls[-2:] == [("watch", fd, EVENT_READ), ("change", fd, EVENT_READ)]


def test_waiting_for_ever_for_nothing_is_an_error_of_the_test(virtual: Virtual) -> None:
    """A loop with nothing to come would hang; on a scripted poller it says so, and can be used again."""
    with pytest.raises(ScriptExhausted, match="turn 1 would wait forever"):
        virtual.loop.run()
    turns(virtual.loop)


def test_arguments_reach_their_callback(virtual: Virtual) -> None:
    """Each method that takes a callback takes positional arguments for it."""
    found: list[tuple[Any, ...]] = []

    def take(*args: Any) -> None:
        found.append(args)

    sock = ScriptedSocket()
    loop = virtual.loop
    loop.add_reader(sock, take, "reader", 1)
    loop.add_writer(sock, take, "writer", 2)
    loop.call_soon(take, "soon", 3)
    loop.call_at(0, take, "at", 4)
    loop.call_later(0, take, "later", 5)
    loop.call_soon_threadsafe(take, "threadsafe", 6)
    loop.add_signal_handler(10, take, "signal", 7)
    virtual.ops.deliver(10)
    virtual.poller.script([(sock, EVENT_BOTH)])
    turns(loop, 2)  # the bell of the signal is heard in the first
    assert sorted(found, key=lambda args: args[1]) == [
        ("reader", 1), ("writer", 2), ("soon", 3), ("at", 4), ("later", 5), ("threadsafe", 6), ("signal", 7),
    ]  # fmt: skip
