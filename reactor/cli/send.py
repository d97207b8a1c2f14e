"""``reactor send``: files to an upload server, and a word on what became of each.

The order of the arguments is that of ``call``: where to, then what.  Progress goes to stderr, if a person is
looking; the one line of the result goes to stdout.  The status says whether everything that was named is kept now:
0 if so, also if it was kept before; 1 if a file was refused or could not be read, each with a line on stderr, or if
the connection failed; 130 after Ctrl-C.  In each case the same command, given again, goes on where this one
stopped. Read next: ``send_progress``.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from typing import TYPE_CHECKING

import reactor
from reactor.cli.arguments import add_machinery, seconds, use_accel
from reactor.cli.credentials import add_credentials, credentials
from reactor.cli.send_progress import bytes_text, make_display, spell_time
from reactor.cli.terminal import result, tell
from reactor.errors import os_error_text
from reactor.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reactor.cli.send_progress import Display
    from reactor.service.upload.client import UploadClient
    from reactor.service.upload.sending import Outcome

DESCRIPTION = "Send files to a 'reactor serve upload' at HOST:PORT, [IPv6]:PORT or unix:PATH; again: go on."

DONE, FAILED = 0, 1

#: Seconds without a word of the server after which it is given up.
TIMEOUT = 60.0

#: Seconds between two pictures of the progress.
INTERVAL = 0.1


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser("send", help="send files to an upload server", description=DESCRIPTION)
    add = parser.add_argument
    add("address", metavar="ADDRESS", help="HOST:PORT, [IPv6]:PORT or unix:PATH")
    add("files", nargs="+", metavar="FILE", help="what to send; it keeps the last part of its path as its name")
    add("--timeout", type=seconds, default=TIMEOUT, metavar="S", help="give up after S seconds of silence (60)")
    add_credentials(parser, "prove to the server that this side has the first key of this file")
    add_machinery(parser)
    talk = parser.add_mutually_exclusive_group()
    talk.add_argument("--verbose", action="store_true", help="also say what was kept, file by file")
    talk.add_argument("--quiet", action="store_true", help="say nothing but what went wrong")
    parser.add_argument("--progress", action="store_true", help="show progress even if stderr is no terminal")
    parser.set_defaults(run=run, command="send")


def run(arguments: argparse.Namespace) -> int:
    """Send them."""
    from reactor.service.upload.client import UploadClient
    from reactor.service.upload.sending import State

    # What a server does wrong is the end of this command, which says it; the line for a log would be a second one.
    logging.getLogger("reactor").setLevel(logging.ERROR)
    address = reactor.parse_address(arguments.address)
    if isinstance(address, tuple):
        address = (address[0] or "localhost", address[1])
    use_accel(arguments.accel)
    proof = credentials(arguments)
    with reactor.Reactor(arguments.selector) as loop:
        client = UploadClient(loop, arguments.files, timeout=arguments.timeout, **proof)
        found = checked_here(client.outcomes())
        if all(outcome.state is State.FAILED for outcome in found):
            client.close()
            return conclude(found, 0.0, arguments)  # nobody needs to be called for that
        display = make_display(sys.stderr, arguments.quiet, arguments.progress)
        began = loop.time()
        try:
            client.connect(address)
            wait(loop, client, display)
        except BaseException as exc:
            display.close()
            tell_faults(checked_here(client.outcomes()))
            if isinstance(exc, KeyboardInterrupt):
                tell(f"reactor send: {client.how_far()}; the same command goes on from here")
            raise
        finally:
            client.close()
        display.close()
        return conclude(client.outcomes(), loop.time() - began, arguments)


def checked_here(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Return *outcomes* with a word on those whose turn has not come and that cannot be read here."""
    from reactor.service.upload.sending import State

    return [
        outcome._replace(state=State.FAILED, text=text)
        if outcome.state is State.WAITING and (text := unreadable(outcome.path))
        else outcome
        for outcome in outcomes
    ]


def unreadable(path: str) -> str:
    """Return why the file *path* cannot be sent, "" if it can; its content is not looked at."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
        return "" if os.path.isfile(path) else "it cannot be read: it is no regular file"
    except (OSError, ValueError) as exc:
        return f"it cannot be read: {os_error_text(exc) if isinstance(exc, OSError) else exc}"


def wait(loop: reactor.Reactor, client: UploadClient, display: Display) -> None:
    """Turn *loop* until *client* is done, with a picture of its progress now and then."""
    pictures = loop.call_every(INTERVAL, lambda: display.show(client.progress(), loop.time()))
    try:
        loop.run_until(client)
        display.show(client.progress(), loop.time())
    finally:
        pictures.cancel()


def conclude(outcomes: list[Outcome], seconds_taken: float, arguments: argparse.Namespace) -> int:
    """Say what became of everything, and return the status."""
    from reactor.service.upload.sending import State

    tell_faults(outcomes)
    kept = [outcome for outcome in outcomes if outcome.state is State.KEPT]
    if arguments.verbose:
        for outcome in kept:
            result(f"{printable(outcome.name)}: {bytes_text(outcome.size)} kept")
    if not arguments.quiet:
        result(summary(kept, len(outcomes), seconds_taken))
    return DONE if len(kept) == len(outcomes) else FAILED


def tell_faults(outcomes: Iterable[Outcome]) -> None:
    """Say of each file that was refused, or could not be read, why."""
    from reactor.service.upload.sending import State

    for outcome in outcomes:
        if outcome.state is State.REFUSED:
            tell(f"reactor send: {outcome.path}: refused: {outcome.text}")
        elif outcome.state is State.FAILED:
            tell(f"reactor send: {outcome.path}: {outcome.text}")


def summary(kept: list[Outcome], count: int, seconds_taken: float) -> str:
    """Return the one line of the result."""
    size = sum(outcome.size for outcome in kept)
    skipped = sum(outcome.skipped for outcome in kept)
    of_them = f"{len(kept):,} of {count:,} files kept" if count > 1 else f"{len(kept)} of 1 file kept"
    there = f" ({bytes_text(skipped)} were there already)" if skipped else ""
    rate = (size - skipped) / seconds_taken if seconds_taken > 0 else 0.0
    return f"{of_them}, {bytes_text(size)}{there} in {spell_time(seconds_taken)}, {bytes_text(rate)}/s"
