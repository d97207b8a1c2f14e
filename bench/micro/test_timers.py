"""What a timer costs by itself: setting, cancelling, moving, and firing, by how many there are.

    python -m pytest bench/micro/test_timers.py --benchmark-columns=min,median --benchmark-group-by=group

No loop runs here but in the last test: a timer is due by a clock that the test holds.  asyncio's timers are beside
them, as far as they can be had without a loop that runs.  Read *min*, as in ``test_codecs``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

import reactor
from reactor.testing import ScriptedOps, ScriptedPoller, VirtualClock

NUMBERS = [1, 1000, 100_000]


def nothing() -> None:
    """What every timer would call."""


@pytest.fixture(params=["reactor", "asyncio"])
def loop(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A loop that is asked for timers and does not run."""
    made: Any = reactor.Reactor() if request.param == "reactor" else asyncio.new_event_loop()
    yield made
    made.close()


@pytest.mark.parametrize("waiting", NUMBERS)
def test_setting_and_cancelling_a_timer(benchmark: Any, loop: Any, waiting: int) -> None:
    """The timeout of a request that is answered in time, among others that wait."""
    kept = [loop.call_later(1000 + number, nothing) for number in range(waiting)]
    benchmark.group = f"call_later and cancel among {waiting}"

    def set_and_cancel() -> None:
        loop.call_later(60, nothing).cancel()

    benchmark(set_and_cancel)
    assert len(kept) == waiting


def test_moving_a_timer(benchmark: Any) -> None:
    """What an idle timeout does for each byte that moves."""
    benchmark.group = "reschedule"
    with reactor.Reactor() as loop:
        timer = loop.call_later(60, nothing)
        later = iter(range(10**9))
        benchmark(lambda: timer.reschedule(loop.time() + 60 + next(later)))
        timer.cancel()


@pytest.mark.parametrize("count", [1, 1000])
def test_firing_due_timers(benchmark: Any, count: int) -> None:
    """From being due to having run, in one turn, in virtual time."""
    clock = VirtualClock()
    poller = ScriptedPoller(clock)
    fired: list[None] = []
    benchmark.group = f"fire {count} in one turn"
    with reactor.Reactor(poller, clock=clock, ops=ScriptedOps(poller)) as loop:

        def fire() -> None:
            for _ in range(count):
                loop.call_later(0, fired.append, None)
            poller.script(())
            loop.run_once(0)

        benchmark(fire)
    assert len(fired) % count == 0
    assert fired
