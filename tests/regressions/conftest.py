"""A loop as it is shipped, in each of the four ways in which a stream can be received for.

``way`` and ``loop`` run a test on the pump, on epoll without it, on poll and on select, and change nothing else: a
test that fixes an internal threshold tests a program that nobody has.
"""

from __future__ import annotations

import select
from collections.abc import Iterator

import pytest

from tests.conftest import native_problem
from tests.regressions.shipped import Shipped

#: The ways: a poller, and what the environment says of the pump.
WAYS = {"pump": ("epoll", "on"), "epoll": ("epoll", "off"), "poll": ("poll", "off"), "select": ("select", "off")}


@pytest.fixture(params=[way for way, (name, _) in WAYS.items() if hasattr(select, name)])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a way; the environment is set for it."""
    name: str = request.param
    problem = native_problem() if name == "pump" else None
    if problem:
        pytest.skip(f"no pump: {problem}")
    monkeypatch.delenv("REACTOR_SELECTOR", raising=False)
    monkeypatch.setenv("REACTOR_PUMP", WAYS[name][1])
    return name


@pytest.fixture
def loop(way: str) -> Iterator[Shipped]:
    """A loop of that way, closed at the end; whatever is reported must be taken."""
    made = Shipped(WAYS[way][0])
    try:
        yield made
    finally:
        made.close()
    assert made.failures == []
