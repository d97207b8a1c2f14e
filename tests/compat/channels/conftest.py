"""The two implementations that one suite is run against: the module of the standard library, and ours.

``twin`` is the original (where this Python, or a package, still has it) and ours on each poller, each with ``poll``
and with ``poll2``: what a test says of a ``twin`` is documented behaviour.  ``ours`` is ours alone, on each poller.
``original`` is the original alone: it shows what was wrong with it.
"""

from __future__ import annotations

import importlib
import select
import socket
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from tests.compat.channels.stage import Twin
from tests.conftest import POLLERS

KINDS = ["original", *(name for name, attribute in POLLERS.items() if hasattr(select, attribute))]


def load(kind: str) -> tuple[ModuleType, ModuleType]:
    """Return asyncore and asynchat of *kind*; skip where the original is not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        if kind != "original":
            from reactor.compat import asynchat, asyncore

            return asyncore, asynchat
        try:
            return importlib.import_module("asyncore"), importlib.import_module("asynchat")
        except ImportError as exc:
            pytest.skip(f"the original left the standard library in 3.12, and no package has it here: {exc}")


def made(kind: str, use_poll: bool, monkeypatch: pytest.MonkeyPatch) -> Iterator[Twin]:
    """Yield a twin with an empty map, and close what is left in it."""
    monkeypatch.setenv("REACTOR_SELECTOR", kind)
    modules = load(kind)
    sockets: list[socket.socket] = []
    twin = Twin(*modules, kind, use_poll, sockets)
    monkeypatch.setattr(twin.asyncore, "socket_map", twin.map)
    yield twin
    twin.asyncore.close_all(twin.map, ignore_all=True)
    for sock in sockets:
        sock.close()


@pytest.fixture(params=[f"{kind}-{how}" for kind in KINDS for how in ("poll", "poll2")])
def twin(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The original, and ours on each poller."""
    kind, _, how = request.param.partition("-")
    yield from made(kind, how == "poll2", monkeypatch)


@pytest.fixture(params=[f"{kind}-{how}" for kind in KINDS[1:] for how in ("poll", "poll2")])
def ours(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Ours on each poller."""
    kind, _, how = request.param.partition("-")
    yield from made(kind, how == "poll2", monkeypatch)


@pytest.fixture(params=["poll", "poll2"])
def original(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The original alone."""
    yield from made("original", request.param == "poll2", monkeypatch)
