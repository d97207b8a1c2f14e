"""Arguments that several commands have, and the types that argparse lacks.

A number that makes no sense is a matter of the command line (status 2), so it is checked here, before anything
is opened.
"""

from __future__ import annotations

import argparse
import os
from math import isfinite
from typing import TYPE_CHECKING

from reactor.limits import MAX_FRAME_LENGTH
from reactor.service.modes import MODES

if TYPE_CHECKING:
    from collections.abc import Callable

    from reactor.net.reactor import Reactor

#: Every poller that there is on any system; whether it is on this one is the reactor's to say.
POLLERS = ("epoll", "poll", "select", "kqueue")


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """Return a type for integers from *least* to *most*, in ASCII digits."""

    def number(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least} to {most}")
        return int(text)

    return number


def seconds(text: str) -> float:
    """The type of durations: a positive number."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not (isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number of seconds")
    return value


def add_mode(parser: argparse.ArgumentParser) -> None:
    """Add --mode and --max-frame-length."""
    parser.add_argument(
        "--mode", choices=list(MODES),
        help="where a message ends: nowhere (raw, the default), at a newline, or after its length (4 bytes; the "
        "default for JSON)",
    )  # fmt: skip
    parser.add_argument(
        "--max-frame-length", type=whole_number(1, 2**32 - 1), default=MAX_FRAME_LENGTH, metavar="BYTES",
        help="the longest line or frame (%(default)s)",
    )  # fmt: skip


def add_machinery(parser: argparse.ArgumentParser) -> None:
    """Add --selector and --accel."""
    parser.add_argument(
        "--selector", choices=POLLERS, help="the poller; default: REACTOR_SELECTOR, else the best of this system"
    )
    parser.add_argument(
        "--accel", choices=("pure", "native", "auto"),
        help="all in Python, or framing and the pump in C; default: REACTOR_ACCEL, else C where it is installed",
    )  # fmt: skip


def use_accel(accel: str | None) -> None:
    """Have the choice *accel* count for whatever this process makes from now on: codecs, and the pump of a reactor.

    "pure" means nothing compiled, so it also turns off a pump that the environment demands.
    """
    if accel is not None:
        os.environ["REACTOR_ACCEL"] = accel
    if accel == "pure":
        os.environ["REACTOR_PUMP"] = "off"


def poller_text(loop: Reactor) -> str:
    """Return the poller of *loop*, and whether it is a pump, see ``reactor.net.pump.pump``."""
    return f"{loop.selector_name}+pump" if loop._shared.pump is not None else loop.selector_name


def expand(path: str) -> str:
    """Return *path* with ~ expanded: ``--unix=~/x`` reaches us as it is written.  An empty one is none."""
    if not path:
        raise argparse.ArgumentTypeError("an empty path names no file")
    return os.path.expanduser(path)
