"""The same test against the standard library's module and against ours, on each poller.

A test that asks for ``module`` states what is documented of ``socketserver``; it is run on the model first, so that
nobody can demand of the copy what the model does not do.  A test that asks for ``ours`` is about what is mended or
new.
"""

from __future__ import annotations

import select
import socketserver
from typing import Any

import pytest

import reactor.compat.socketserver

#: Each poller's name is also that of the attribute of ``select`` without which this system does not have it.
POLLERS = [name for name in ("select", "poll", "epoll", "kqueue") if hasattr(select, name)]


@pytest.fixture(params=["stdlib", *POLLERS])
def module(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``socketserver``: the model, or the copy on one of the pollers."""
    if request.param == "stdlib":
        return socketserver
    monkeypatch.setenv("REACTOR_SELECTOR", request.param)
    return reactor.compat.socketserver


@pytest.fixture(params=POLLERS)
def ours(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Our ``socketserver`` on one of the pollers."""
    monkeypatch.setenv("REACTOR_SELECTOR", request.param)
    return reactor.compat.socketserver
