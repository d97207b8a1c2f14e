"""Both engines, and servers that misbehave in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import native_problem

FAULTY = Path(__file__).parent / "faulty.py"

StartServer = Callable[..., str]


@pytest.fixture(params=["python", "native"])
def engine(request: pytest.FixtureRequest) -> str:
    """The name of an engine; native is skipped, with why, where it cannot be."""
    name: str = request.param
    if name == "native":
        from reactor.load.engine_native import native_problem as engine_problem

        problem = native_problem() or engine_problem()
        if problem:
            pytest.skip(f"no native engine: {problem}")
    return name


@pytest.fixture
def serve_faulty(tmp_path: Path) -> Iterator[StartServer]:
    """Start ``faulty.py`` with a fault, mode and transport; return where it listens.  All are killed at the end."""
    children: list[subprocess.Popen[str]] = []

    def start(fault: str = "good", mode: str = "raw", transport: str = "tcp", *, is_unix: bool = False) -> str:
        address = [str(tmp_path / "s")] if is_unix or transport == "unix" else []
        child = subprocess.Popen(
            [sys.executable, str(FAULTY), fault, mode, transport, *address], stdout=subprocess.PIPE, text=True
        )
        children.append(child)
        assert child.stdout is not None
        return child.stdout.readline().strip()

    yield start
    for child in children:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()
