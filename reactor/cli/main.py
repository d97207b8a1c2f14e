"""The door itself: it parses the arguments, runs the command, and turns whatever goes wrong into one line and a
status.

The families of ``reactor.errors`` decide the status: a UsageError is the caller's fault (2), everything else is a
matter of this machine, its network or the peer (1).  A traceback is for bugs only.  Read next: ``serve``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import reactor
from reactor.cli import bench, call, demo, info, keygen, load, send, serve
from reactor.cli.parser import MISUSED, CommandParser, Parser
from reactor.cli.terminal import drop, prepare_streams, progress, tell
from reactor.errors import LookupFailed, ReactorError, UsageError, os_error_text

FAILED, INTERRUPTED, UNHEARD = 1, 130, 141

EPILOG = "Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.  Each command has its own --help."


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; each command adds its own, and says with ``run`` what to call."""
    parser = Parser(prog="reactor", description="A select/poll/epoll event loop, at work.", epilog=EPILOG)
    parser.add_argument("--version", action="version", version=f"reactor {reactor.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=CommandParser)
    for command in (demo, serve, call, send, keygen, load, bench, info):
        command.add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line *argv*, ``sys.argv[1:]`` by default, and return the exit status."""
    prepare_streams()
    name = "reactor"
    try:
        arguments = build_parser().parse_args(argv)
        name = f"reactor {arguments.command}"
        status = int(arguments.run(arguments))
        sys.stdout.flush()
        return status
    except UsageError as exc:
        return failed(name, str(exc), MISUSED)
    except KeyboardInterrupt:
        return failed(name, "interrupted", INTERRUPTED)
    except BrokenPipeError:
        # Python's own handling of a closed stdout at exit is a complaint on stderr and status 120.
        drop(sys.stdout)
        return UNHEARD
    except (ReactorError, OSError) as exc:
        return failed(name, text_of(exc), FAILED)


def text_of(exc: Exception) -> str:
    """Return what *exc* says, without the number that ``OSError`` puts in front."""
    if not isinstance(exc, OSError) or exc.strerror is None or isinstance(exc, LookupFailed):
        return str(exc)
    if isinstance(exc, ReactorError):
        return exc.strerror
    where = f"{os.fsdecode(exc.filename)}: " if isinstance(exc.filename, str | bytes) else ""
    return where + os_error_text(exc)


def failed(name: str, reason: str, status: int) -> int:
    """Say in one line why command *name* failed, and return *status*."""
    progress("")
    tell(f"{name}: {' '.join(reason.split())}")
    return status
