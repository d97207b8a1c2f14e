"""What a turn costs by itself: ready callbacks, and descriptors that are ready, on each poller.

    python -m pytest bench/micro/test_turns.py --benchmark-columns=min,median --benchmark-group-by=group

Descriptors are pairs of sockets with a byte in each that nobody reads: they are ready in every turn, so a round is
one turn that dispatches all of them.  Idle ones beside them show what a poller pays for those who say nothing.
"""

from __future__ import annotations

import asyncio
import resource
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

import reactor

POLLERS = [name for name in ("select", "poll", "epoll", "kqueue") if hasattr(select, name)]


@pytest.mark.parametrize("count", [1, 16, 1000])
def test_running_ready_callbacks(benchmark: Any, count: int) -> None:
    """A turn in which so many callbacks are ready."""
    ran: list[None] = []
    benchmark.group = f"call_soon {count} and run them"
    with reactor.Reactor() as loop:

        def turn() -> None:
            for _ in range(count):
                loop.call_soon(ran.append, None)
            loop.run_once(0)

        benchmark(turn)
    assert len(ran) % count == 0


@pytest.mark.parametrize("count", [1, 16, 1000])
def test_running_ready_callbacks_of_asyncio(benchmark: Any, count: int) -> None:
    """The same there: its turn ends because the last callback stops it."""
    ran: list[None] = []
    benchmark.group = f"call_soon {count} and run them"
    loop = asyncio.new_event_loop()

    def turn() -> None:
        for _ in range(count):
            loop.call_soon(ran.append, None)
        loop.call_soon(loop.stop)
        loop.run_forever()

    benchmark(turn)
    loop.close()
    assert len(ran) % count == 0


@pytest.mark.parametrize("idle", [0, 300])
@pytest.mark.parametrize("ready", [1, 64])
@pytest.mark.parametrize("poller", POLLERS)
def test_dispatching_ready_descriptors(benchmark: Any, poller: str, ready: int, idle: int) -> None:
    """A turn in which so many descriptors can be read, among so many that cannot."""
    seen: list[None] = []
    benchmark.group = f"dispatch {ready} ready, {idle} idle"
    with reactor.Reactor(poller) as loop, pairs(ready) as speaking, pairs(idle) as silent:
        for ours, theirs in speaking:
            theirs.send(b"!")
            loop.add_reader(ours, seen.append, None)
        for ours, _ in silent:
            loop.add_reader(ours, seen.append, None)
        benchmark(loop.run_once, 0)
        for ours, _ in (*speaking, *silent):
            loop.remove_reader(ours)
    assert len(seen) % ready == 0


@pytest.mark.parametrize("poller", POLLERS)
def test_watching_and_forgetting_a_descriptor(benchmark: Any, poller: str) -> None:
    """What a stream pays to pause and to resume."""
    benchmark.group = "add_reader and remove_reader"
    with reactor.Reactor(poller) as loop, pairs(1) as [(ours, _)]:

        def watch_and_forget() -> None:
            loop.add_reader(ours, print)
            loop.remove_reader(ours)

        benchmark(watch_and_forget)


@contextmanager
def pairs(count: int) -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    """Give so many connected pairs of sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    with ExitStack() as opened:
        made = [socket.socketpair() for _ in range(count)]
        for pair in made:
            for end in pair:
                opened.enter_context(end)
        yield made
