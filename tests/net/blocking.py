"""The other end as a textbook has it: blocking calls in a thread of their own, while the loop under test turns."""

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
