"""The gate on coverage: of the branches on floors 0 to 2, their quick tests take at least 95 of 100.

A total over lines and branches together hides the branches, and a total over the whole package hides the loop
behind the annexes; so this counts branches only, on the floors that everything else stands on.  Which files that
is can be read in the table of the import order.  Usage: ``python .ci/branches.py coverage.json``, from the root.
"""

from __future__ import annotations

import json
import select
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.house.staircase import step_of

FLOORS = range(3)
PERCENT = 95.0

#: Files that cannot run on this system: there is no kqueue on Linux, no epoll elsewhere.
ELSEWHERE = {
    f"reactor/core/polling/by_{name}.py" for name in ("poll", "epoll", "kqueue") if not hasattr(select, name)
}


def main(report: str) -> int:
    """Print what each file lacks, worst first, and the total; return 1 if that is too little."""
    files = json.loads(Path(report).read_text(encoding="utf-8"))["files"]
    taken = total = 0
    lacks = []
    for name, file in files.items():
        step = step_of(name.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
        if step is not None and step.floor in FLOORS and name not in ELSEWHERE:
            summary = file["summary"]
            taken += summary["covered_branches"]
            total += summary["num_branches"]
            lacks.append((summary["num_branches"] - summary["covered_branches"], name, file["missing_branches"]))
    for count, name, branches in sorted(lacks, reverse=True):
        if count:
            print(f"{name}: {count} branches not taken: {', '.join(f'{a}->{b}' for a, b in branches)}")
    percent = 100.0 * taken / total if total else 0.0
    print(f"floors 0 to {FLOORS.stop - 1}: {taken} of {total} branches, {percent:.1f} % ({PERCENT} % needed)")
    return 0 if percent >= PERCENT else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
