"""What a reactor does in a forked child, step by step, in a process that has not forked.

``test_forking`` shows that real children do no harm.  Here the hook that runs in the child is called by hand, so
that every step can be looked at: to the reactor there is no difference.
"""

from __future__ import annotations

import selectors
from selectors import EVENT_READ, EVENT_WRITE, SelectorKey

import pytest

from reactor.core.loop import Loop
from reactor.core.polling.forked import ForkedPoller
from reactor.core.process import forking
from reactor.errors import ForkedReactor, UsageError
from reactor.ops import Ops
from tests.core.doubles import real_loop, socket_pair, turns


@pytest.mark.parametrize("foreign", [False, True], ids=["ours", "stdlib"])
def test_everything_is_let_go_and_taken_up_again(poller_name: str, foreign: bool) -> None:
    """The poller is dropped, not emptied; the bell is another one; what is still open is registered again."""
    selector = getattr(selectors, f"{poller_name.capitalize()}Selector")() if foreign else poller_name
    steps: list[object] = []
    with real_loop(selector) as (loop, failures), socket_pair() as (left, right):
        loop.add_reader(left, lambda: steps.append(left.recv(10)))
        loop.add_writer(left, lambda: (steps.append("writer"), loop.remove_writer(left)))
        loop.call_soon_threadsafe(steps.append, "posted in the parent")
        loop._forget_after_fork()
        assert loop.selector_name == "forked"
        assert loop.engine.wakeup.fd == -1
        with pytest.raises(ForkedReactor, match="reopen"):
            loop.run_once(0)
        loop.call_soon_threadsafe(steps.append, "posted in the child")
        loop.reopen()
        with pytest.raises(UsageError, match="forked child"):
            loop.reopen()
        right.send(b"data")
        turns(loop, 2)
        assert set(steps) == {"writer", b"data", "posted in the child"}
        loop.remove_reader(left)
        assert not failures


def test_only_the_books_change_before_the_reactor_is_opened_anew() -> None:
    """The child can clean up, and add a direction for later; a new descriptor is refused."""
    with real_loop() as (loop, _), socket_pair() as (left, right):
        loop.add_reader(left, print)
        loop.add_reader(right, print)
        loop._forget_after_fork()
        with pytest.raises(ForkedReactor):
            loop.add_reader(1_000_000, print)
        loop.add_writer(left, loop.stop)
        assert loop.remove_reader(left)
        assert loop.remove_reader(right)
        right.close()
        loop.reopen()
        loop.run()
        assert loop.remove_writer(left)


def test_what_cannot_be_registered_any_more_is_left_out() -> None:
    """Closed objects and closed numbers, without a word: the child was told to close them."""
    with real_loop() as (loop, failures), socket_pair() as (left, right):
        loop.add_reader(left, print)
        fd = right.fileno()
        loop.add_reader(fd, print)
        loop._forget_after_fork()
        left.close()
        right.close()
        loop.reopen()
        turns(loop)
        assert not loop.remove_reader(left)
        assert set(loop.registry.poller.get_map()) <= {loop.engine.wakeup.fd, fd}
        loop.remove_reader(fd)
        failures.clear()


def test_the_rest_of_a_turn_runs_nothing_when_a_callback_forked(poller_name: str) -> None:
    """Readers, timers and flushes of that turn are the parent's; timers and flushes are kept for ``reopen``."""
    steps: list[str] = []
    with real_loop(poller_name) as (loop, failures), socket_pair() as (left, right):
        for sock in (left, right):
            loop.add_writer(sock, lambda: "forks" in steps or (steps.append("forks"), loop._forget_after_fork()))
            loop.add_reader(sock, steps.append, "reader")
        left.send(b"x")
        right.send(b"x")
        loop.call_later(0, steps.append, "timer")
        loop.call_at_turn_end(lambda: steps.append("flush"))
        turns(loop)
        assert [step for step in steps if step != "reader"] == ["forks"]
        assert len(steps) <= 2  # the reader of the same descriptor may have run before
        loop.reopen()
        for sock in (left, right):
            loop.remove_reader(sock)
            loop.remove_writer(sock)
        turns(loop)
        assert steps[-2:] == ["timer", "flush"]
        assert not failures


def test_a_flush_that_forks_ends_the_flushing(poller_name: str) -> None:
    """Corked bytes leave once, from the parent."""
    steps: list[str] = []
    with real_loop(poller_name) as (loop, failures):
        loop.call_at_turn_end(loop._forget_after_fork)
        loop.call_at_turn_end(lambda: steps.append("flush"))
        turns(loop)
        assert steps == []
        loop.reopen()
        turns(loop)
        assert steps == ["flush"]
        assert not failures


def test_signals_that_had_arrived_are_the_parents() -> None:
    """The queue is emptied, the pair of sockets replaced; later ones arrive as usual."""
    steps: list[str] = []
    with real_loop() as (loop, _):
        loop.add_signal_handler(10, steps.append, "signal")
        loop.engine.signals._note(10, None)
        before = loop.engine.signals._pair
        loop._forget_after_fork()
        loop.reopen()
        assert loop.engine.signals._pair is not before
        turns(loop, 2)
        assert steps == []
        loop.engine.signals._note(10, None)
        turns(loop, 2)
        assert steps == ["signal"]


def test_every_open_reactor_is_told_and_no_closed_one() -> None:
    """One hook for the process; it knows the reactors weakly."""
    with Loop() as one, Loop() as two:
        closed = Loop()
        closed.close()
        poller = closed.registry.poller
        forking._tell_all()
        assert one.selector_name == two.selector_name == "forked"
        assert closed.registry.poller is poller
        one.reopen()
        two.reopen()


def test_a_poller_in_a_child_remembers_what_was_registered() -> None:
    """It is a poller like the others, but for the kernel."""
    key = SelectorKey("file", 5, EVENT_READ, None)
    poller = ForkedPoller({5: key})
    assert poller.get_key(5) == key
    assert poller.modify(5, EVENT_WRITE).events == EVENT_WRITE
    poller.unregister(5)
    with pytest.raises(ForkedReactor):
        poller.register(6, EVENT_READ)
    assert Ops().thread_id()
