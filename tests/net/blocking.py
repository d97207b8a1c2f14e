"""Another thread: the other end as a textbook has it, with blocking calls while the loop turns, and a stranger who
calls what only the loop's thread may."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from reactor.core.loop import Loop
from tests.net.stage import PATIENCE


def beside(loop: Loop, blocking: Callable[..., Any], *args: Any) -> Any:
    """Run *blocking* in a thread while *loop* turns, and return what it returns."""
    with ThreadPoolExecutor(1) as pool:
        return loop.run_until(pool.submit(blocking, *args), PATIENCE)


def raised_in_a_thread(call: Callable[[], object]) -> BaseException | None:
    """Return what *call* raises when another thread makes it, and this one, the loop's, waits for it."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).exception()
