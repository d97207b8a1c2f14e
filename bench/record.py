"""What is kept of a comparison: one JSON file with the environment, every sample, and what was made of them.

It is written anew after each workload, to a file beside it that then takes its place, so a run that is interrupted
leaves whole JSON with what it had.  ``schema`` changes when a name does.  Read next: ``plots``, which draw from it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from bench.machine import surroundings

if TYPE_CHECKING:
    from bench.course import Outcome
from bench.settings import Settings

SCHEMA = "reactor-bench/1"


class Record:
    """The record of one run; *path* None keeps it in memory."""

    def __init__(self, settings: Settings, path: Path | None) -> None:
        self.path = path
        self.content: dict[str, object] = {
            "schema": SCHEMA,
            "environment": surroundings(settings.placement),
            "settings": {
                "rounds": settings.rounds,
                "seconds": settings.seconds,
                "servers": list(settings.servers),
                "engine": settings.engine,
                "fresh_allocator": settings.fresh_allocator,
            },
        }
        self._outcomes: list[dict[str, object]] = []
        self.content["outcomes"] = self._outcomes

    def add(self, outcome: Outcome) -> None:
        """Take one outcome up, and write the file.  Raises OSError."""
        self._outcomes.append(outcome.as_dict())
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_name(self.path.name + ".part")
        draft.write_text(json.dumps(self.content, separators=(",", ":")) + "\n", encoding="utf-8")
        draft.replace(self.path)


def load(path: Path) -> dict[str, object]:
    """Return the record in *path*.  Raises OSError, ValueError if it is none."""
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise ValueError(f"{path} is no record of a comparison ({SCHEMA})")
    return content
