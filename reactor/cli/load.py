"""``reactor load``: drive a server, verify every reply, say how fast it was.

The report goes to stdout, progress and complaints to stderr.  The status is 0 for a valid result and 2 for an
invalid one, so that a script cannot take the figures of a broken server for good; a warning, about the generator,
changes nothing.  ``--json -`` replaces the report; ``--json FILE`` comes in addition.
``reactor.load.course`` does the work.
"""

from __future__ import annotations

import argparse
import json
import os
import stat
import sys
from contextlib import nullcontext
from math import isfinite
from typing import TYPE_CHECKING

import reactor
from reactor.cli.arguments import seconds, whole_number
from reactor.load.course import run as run_plan
from reactor.load.plan import DURATION, ENGINES, EXPECTATIONS, MODES, MOST_CONNECTIONS, Plan, check_plan
from reactor.load.progress import make_progress
from reactor.load.report import report
from reactor.load.schedule import ARRIVALS
from reactor.load.sizes import size_table
from reactor.load.starts import MOST_RING

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import TextIO

    from reactor.load.result import Result

VALID, INVALID = 0, 2

DESCRIPTION = "Drive an echo server at HOST:PORT, [IPv6]:PORT or unix:PATH, and verify every reply."

EPILOG = (
    "Sizes: 64 (fixed), 1-1024 (even), 64,1024x3 (a choice, with weights), ~512 (exponential), ~512/2 (lognormal:"
    " median and sigma).  Exit status: 0 valid, 1 failed, 2 wrong usage or an INVALID result, 130 interrupted."
)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "load", help="drive a server, verify every reply, report throughput and latency",
        description=DESCRIPTION, epilog=EPILOG,
    )  # fmt: skip
    parser.add_argument("target", metavar="TARGET", help="HOST:PORT, [IPv6]:PORT, unix:PATH or unix:@NAME")
    _add_traffic(parser)
    _add_length(parser)
    _add_output(parser)
    parser.set_defaults(run=run, command="load")


def _add_traffic(parser: argparse.ArgumentParser) -> None:
    add, plan = parser.add_argument, Plan._field_defaults
    add(
        "--connections", "-c", type=whole_number(1, MOST_CONNECTIONS), default=plan["connections"], metavar="N",
        help="how many (%(default)s)",
    )  # fmt: skip
    add(
        "--in-flight", "-n", type=whole_number(1, MOST_RING // 2), default=plan["in_flight"], metavar="D",
        help="closed loop: messages on their way on each connection (%(default)s)",
    )  # fmt: skip
    add("--size", default=plan["size"], metavar="SPEC", help="bytes of a message, see below (%(default)s)")
    add("--mode", choices=MODES, default=plan["mode"], help="what is between two messages (%(default)s)")
    add("--udp", action="store_true", help="send datagrams")
    add("--expect", choices=EXPECTATIONS, default=plan["expect"], help="what comes back (%(default)s)")
    add("--rate", type=_rate, metavar="R", help="open loop: so many messages a second in all, on a schedule")
    add("--arrivals", choices=ARRIVALS, default=plan["arrivals"], help="the schedule's gaps (%(default)s)")


def _add_length(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--duration", "-d", type=seconds, metavar="S", help=f"seconds to measure ({DURATION:g})")
    length.add_argument("--messages", type=whole_number(1, 10**15), metavar="M", help="or messages to send in all")
    add("--warm-up", type=_warm_up, metavar="S", help="seconds before that (a tenth of the duration, at most 1)")
    add("--timeout", type=seconds, default=5.0, metavar="S", help="to connect, and for each reply (%(default)g)")
    add("--seed", type=whole_number(0, 2**63), default=1, metavar="N", help="of sizes, contents and arrivals")


def _add_output(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--engine", choices=ENGINES, default="auto", help="in Python or in C (auto: C where it is installed)")
    add("--accel", choices=("pure", "native", "auto"), help="cut odd replies in Python or in C")
    add("--json", metavar="FILE", help="write the result as JSON; - writes it to stdout instead of the report")
    add("--quiet", "-q", action="store_true", help="show no progress")


def _rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not (isfinite(value) and 0 < value < 1e9):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number of messages a second")
    return value


def _warm_up(text: str) -> float:
    return 0.0 if text == "0" else seconds(text)


def run(arguments: argparse.Namespace) -> int:
    """Do it, and tell."""
    plan = Plan(**{name: getattr(arguments, name) for name in Plan._fields})
    check_plan(plan)
    size_table(plan.size, plan.seed)  # nor is a file made for what cannot be run
    with open_output(arguments.json) as output:
        result = _run(plan, arguments)
        _write(result, arguments.json, output)
    return VALID if result.is_valid else INVALID


def open_output(file: str | None) -> AbstractContextManager[TextIO | None]:
    """Open where the result goes, if that is a file: before the run, which may be long, and not after it.

    What the file holds stays until there is something to take its place.  Raises OSError.
    """
    return nullcontext() if file is None or file == "-" else open(file, "a", encoding="utf-8")


def _run(plan: Plan, arguments: argparse.Namespace) -> Result:
    progress = None if arguments.quiet else make_progress(sys.stderr)
    try:
        result = run_plan(plan, progress=progress)
    finally:
        if progress is not None:
            progress.close()
    result.environment["reactor"] = reactor.__version__
    return result


def _write(result: Result, file: str | None, output: TextIO | None) -> None:
    text = json.dumps(result.as_dict(), indent=2)
    if file == "-":
        print(text)
        return
    print(report(result))
    if output is not None:
        if stat.S_ISREG(os.fstat(output.fileno()).st_mode):  # a pipe, or a device, has nothing to be replaced
            output.truncate(0)
        output.write(text + "\n")
