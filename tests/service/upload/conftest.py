"""What most tests of the upload begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import reactor
from tests.service.upload.serving import Serving


@pytest.fixture
def loop(poller_name: str) -> Iterator[reactor.Reactor]:
    """A reactor on each poller."""
    with reactor.Reactor(poller_name) as made:
        yield made


@pytest.fixture
def serving(loop: reactor.Reactor, tmp_path: Path) -> Iterator[Serving]:
    """A running server."""
    made = Serving(loop, tmp_path)
    yield made
    made.stop()


@pytest.fixture
def big(tmp_path: Path) -> str:
    """A file that no socket buffer holds; it takes no room on the disk."""
    path = tmp_path / "big"
    with path.open("wb") as file:
        file.truncate(64 * 2**20)
    return str(path)
