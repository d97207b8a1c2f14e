"""``reactor bench``: this loop, the others, and the limit, measured in turn.

The comparison stands beside the package in a checkout (the folder ``bench``) and is not installed with it: the
other loops are no business of somebody who serves.  This file reads the arguments and says clearly when there is
nothing to run.  Read next: ``bench/__init__.py``.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

import reactor
from reactor.cli.arguments import seconds, whole_number
from reactor.errors import OptionError

DESCRIPTION = "Run other servers and this one in turn, verify every reply, and compare."

EPILOG = (
    "Without a WORKLOAD all are run: about ten minutes, or one with --quick.  What the figures mean stands in"
    " docs/benchmarks.md.  Exit status: 0 done, 1 failed, 2 wrong usage or an INVALID result, 130 interrupted."
)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "bench", help="compare this loop with others and with the limit (from a checkout)",
        description=DESCRIPTION, epilog=EPILOG,
    )  # fmt: skip
    add = parser.add_argument
    add("workloads", nargs="*", metavar="WORKLOAD", help="what to measure, see --list")
    add("--list", action="store_true", help="show all workloads and servers")
    add("--servers", metavar="A,B", help="whom to measure (each workload has its own list)")
    add("--rounds", type=whole_number(1, 1000), metavar="N", help="how often everybody has a turn (5)")
    add("--seconds", type=seconds, metavar="S", help="how long one turn measures (0.3)")
    add("--quick", action="store_true", help="the most important ones, briefly")
    add("--engine", choices=("auto", "native", "python"), default="auto", help="of the load generator (auto)")
    add("--fresh-allocator", action="store_true", help="leave malloc as it is in a new process (see the document)")
    add("--json", type=Path, metavar="FILE", help="keep every sample and the environment")
    add("--plots", type=Path, metavar="DIR", help="draw the results (needs matplotlib)")
    add("--draw", type=Path, metavar="FILE", help="draw the results of an earlier --json, and measure nothing")
    parser.set_defaults(run=run, command="bench")


def run(arguments: argparse.Namespace) -> int:
    """Find the comparison and run it.  Raises OptionError if it is not here or lacks a package."""
    root = Path(reactor.__file__).resolve().parent.parent
    if not (root / "bench" / "compare.py").exists():
        raise OptionError("the comparison is not installed with the package: run it from a checkout of the project")
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    try:
        status: int = importlib.import_module("bench.compare").run(arguments)
    except ModuleNotFoundError as exc:
        raise OptionError(f"{exc.name} is not installed: pip install -e '.[bench]'") from exc
    return status
