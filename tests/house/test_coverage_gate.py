"""The gate on branch coverage counts the lower floors, branches only, and can close.  See ``.ci/branches.py``."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.house.sources import ROOT


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, tuple[int, int]]], int]:
    """The gate's verdict on files of which so many branches, of so many, were taken."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    main = runpy.run_path(str(ROOT / ".ci" / "branches.py"))["main"]

    def verdict(files: dict[str, tuple[int, int]]) -> int:
        report = tmp_path / "coverage.json"
        summaries = {
            name: {"summary": {"covered_branches": taken, "num_branches": total}, "missing_branches": [[1, 2]]}
            for name, (taken, total) in files.items()
        }
        report.write_text(json.dumps({"files": summaries}), encoding="utf-8")
        code: int = main(str(report))
        return code

    return verdict


def test_the_gate_opens_when_enough_branches_are_taken(
    gate: Callable[[dict[str, tuple[int, int]]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    """95 of 100 are enough, over all files together."""
    assert gate({"reactor/core/loop.py": (45, 50), "reactor/flow.py": (50, 50)}) == 0
    assert "reactor/core/loop.py: 5 branches not taken: 1->2" in capsys.readouterr().out


@pytest.mark.parametrize(
    "files",
    [
        {"reactor/core/loop.py": (94, 100)},
        {"reactor/core/loop.py": (94, 100), "reactor/cli/main.py": (1000, 1000)},
        {"reactor/core/loop.py": (94, 100), "reactor/__init__.py": (1000, 1000)},
        {},
    ],
)
def test_the_gate_closes_when_too_few_branches_are_taken(
    gate: Callable[[dict[str, tuple[int, int]]], int], files: dict[str, tuple[int, int]]
) -> None:
    """What the upper floors take does not count, and nothing at all is not enough."""
    assert gate(files) == 1
