"""One loop at one task without a socket: ``python -m bench.loops reactor|asyncio|uvloop TASK SECONDS``.

It prints a line of JSON.

What is timed is the same for everybody: the whole of it, from the first call to the last callback.  A task is
repeated until the seconds have passed; each repetition is checked (every callback ran, none that was cancelled
did).

All three loops have the same three methods, and are told apart only by how they are made, run and stopped.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

#: Timers of one repetition, and calls of one.
TIMERS = 1_000_000
CALLS = 100_000

#: Timers that are set at a time, before they are cancelled: as many as a busy server has.
ALIVE = 10_000


def make(name: str) -> tuple[Any, Callable[[], object]]:
    """Return a loop, and the function that runs it until ``loop.stop()``."""
    if name == "reactor":
        import reactor

        own = reactor.Reactor()
        return own, own.run
    if name == "uvloop":
        import uvloop

        loop: Any = uvloop.new_event_loop()
    else:
        loop = asyncio.new_event_loop()
    return loop, loop.run_forever


def timers(loop: Any, run: Callable[[], object]) -> int:
    """Set and cancel a million timers, of various delays, ten thousand at a time; a last one fires."""

    def never() -> None:
        raise SystemExit("a cancelled timer fired")

    def work() -> None:
        for start in range(0, TIMERS, ALIVE):
            alive = [loop.call_later(60 + (start + number) % 97, never) for number in range(ALIVE)]
            for timer in alive:
                timer.cancel()
        loop.call_later(0, loop.stop)

    loop.call_soon(work)
    run()
    return TIMERS


def call_soon(loop: Any, run: Callable[[], object]) -> int:
    """Run callbacks each of which asks for the next one, in sixteen chains."""
    left = CALLS

    def link() -> None:
        nonlocal left
        left -= 1
        if left > 0:
            loop.call_soon(link)
        elif left == 0:
            loop.stop()

    for _ in range(16):
        loop.call_soon(link)
    run()
    if left > 0:
        raise SystemExit(f"{left} calls are missing")
    return CALLS


def threadsafe(loop: Any, run: Callable[[], object]) -> int:
    """Run callbacks that another thread asks for, as fast as it can."""
    ran = 0

    def count() -> None:
        nonlocal ran
        ran += 1

    def ask() -> None:
        for _ in range(CALLS):
            loop.call_soon_threadsafe(count)
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=ask)
    loop.call_soon(thread.start)
    run()
    thread.join()
    if ran != CALLS:
        raise SystemExit(f"{ran} calls of {CALLS} ran")
    return CALLS


TASKS = {"timers": timers, "call-soon": call_soon, "threadsafe": threadsafe}


def main(name: str, task: str, seconds: str) -> None:
    """Repeat the task and print what it took."""
    loop, run = make(name)
    operations = 0
    start, cpu = time.perf_counter(), time.process_time()
    while time.perf_counter() - start < float(seconds):
        operations += TASKS[task](loop, run)
    print(
        json.dumps(
            {
                "operations": operations,
                "seconds": time.perf_counter() - start,
                "cpu": time.process_time() - cpu,
            }
        )
    )
    loop.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
