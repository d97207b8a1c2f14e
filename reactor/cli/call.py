"""``reactor call``: send messages to a server, print its replies in order.

Messages come from the arguments, else from a file, else from stdin line by line; at a terminal there is a
prompt.  Each reply is one line of output, but for a file or a pipe in raw mode: there bytes go in as they are
and come out as they are, so ``reactor call ADDRESS < picture > copy`` is a fair test of an echo.  The status is
0 only if all replies came.

With ``--json`` messages and replies are JSON texts, a line each.  With ``--auth-key`` both sides prove first that
they have the key; nothing is sent to a server that cannot.

Nothing is read ahead of what the connection takes: a pipe that never ends is fine, and so is one that is slow,
because stdin is one more descriptor of the same loop.  Read next: ``messages``, where they come from.
"""

from __future__ import annotations

import argparse
import sys
from itertools import chain, islice
from typing import TYPE_CHECKING

import reactor
from reactor.cli.arguments import add_machinery, add_mode, expand, seconds, use_accel, whole_number
from reactor.cli.credentials import add_credentials, asks_for_key, credentials
from reactor.cli.json_lines import json_messages, json_reply
from reactor.cli.messages import Feed, StdinFeed, from_file, from_stdin
from reactor.errors import AuthenticationFailed, OptionError
from reactor.service.client import WINDOW, Client
from reactor.service.datagram_client import DatagramClient
from reactor.service.exchange import REPLY_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Iterator

DESCRIPTION = "Send messages to HOST:PORT, [IPv6]:PORT or unix:PATH (unix:@NAME is abstract) and print the replies."


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "call", help="send messages to a server, print its replies", description=DESCRIPTION
    )
    add = parser.add_argument
    add("address", metavar="ADDRESS", help="HOST:PORT, [IPv6]:PORT or unix:PATH")
    add("messages", nargs="*", metavar="MESSAGE", help="what to send; without any: --file, or stdin")
    add("--file", type=expand, metavar="F", help="send this file: its lines, or in raw mode its bytes")
    add("--udp", action="store_true", help="send each message as a datagram")
    add("--json", action="store_true", help="messages and replies are JSON texts, a line each")
    add_mode(parser)
    add_credentials(parser, "prove to have the first key of this file, and have the server prove it")
    add(
        "--timeout", type=seconds, default=REPLY_TIMEOUT, metavar="S",
        help="for connecting, and for each reply (%(default)g)",
    )  # fmt: skip
    add("--expect", type=whole_number(0, 2**31), metavar="N", help="replies to wait for; default: one a message")
    add(
        "--window", type=whole_number(1, 100_000), default=WINDOW, metavar="N",
        help="messages on their way without a reply (%(default)s; raw mode and datagrams: 1)",
    )  # fmt: skip
    add_machinery(parser)
    parser.set_defaults(run=run, command="call")


def run(arguments: argparse.Namespace) -> int:
    """Have the conversation."""
    address = reactor.parse_address(arguments.address)
    if isinstance(address, tuple):
        address = (address[0] or "localhost", address[1])
    choose_mode(arguments)
    is_bytes = arguments.mode == "raw" and not arguments.udp
    proof = credentials(arguments)
    use_accel(arguments.accel)
    with reactor.Reactor(arguments.selector) as loop:
        feed = open_feed(loop, arguments, is_bytes)
        printer = Printer(is_bytes and not (arguments.messages or feed.is_interactive), arguments.json)
        messages = at_least_one(feed)
        if arguments.json:
            messages = json_messages(messages)
        if not isinstance(feed, StdinFeed):
            # What is wrong with them is said before anybody is called.
            messages = begun(messages, len(arguments.messages) or 1)
        caller: PrintingClient | PrintingDatagramClient
        if arguments.udp:
            caller = PrintingDatagramClient(
                printer, loop, messages, mode=arguments.mode, timeout=arguments.timeout, expected=arguments.expect
            )
        else:
            caller = PrintingClient(
                printer, loop, messages, mode=arguments.mode, timeout=arguments.timeout, expected=arguments.expect,
                window=1 if feed.is_interactive else arguments.window, max_frame_length=arguments.max_frame_length,
                **proof,
            )  # fmt: skip
        feed.on_more = caller.more
        caller.connect(address)
        try:
            loop.run_until(caller)
        finally:
            feed.close()
    return 0


def choose_mode(arguments: argparse.Namespace) -> None:
    """Give --mode the value that it has if nobody gives it one.  Raises OptionError if that cannot carry JSON."""
    if arguments.mode is None:
        arguments.mode = "framed" if arguments.json and not arguments.udp else "raw"
    if arguments.json and arguments.mode == "raw" and not arguments.udp:
        raise OptionError("--json needs messages that have an end: --mode framed, the default for it, or line")


def open_feed(loop: reactor.Reactor, arguments: argparse.Namespace, is_bytes: bool) -> Feed:
    """Return where the messages come from.  Raises OptionError for what cannot be sent, OSError for a bad file."""
    if arguments.file and arguments.messages:
        raise OptionError("either messages or --file, not both")
    if arguments.file:
        return from_file(arguments.file, is_bytes, arguments.max_frame_length)
    if not arguments.messages:
        return from_stdin(loop, is_bytes, arguments.max_frame_length)
    if is_bytes and "" in arguments.messages:
        raise OptionError(
            "raw mode cannot send an empty message: no byte would leave, the server would not wake, and both sides "
            "would wait for each other; use --mode line or framed"
        )
    return Feed([message.encode(errors="surrogateescape") for message in arguments.messages])


def at_least_one(messages: Feed) -> Iterator[bytes | None]:
    """Yield *messages*.  Raises OptionError if there are none, unless a person decided so."""
    count = 0
    for message in messages:
        count += message is not None
        yield message
    if not count and not messages.is_interactive:
        raise OptionError("there is nothing to send: give messages, a --file that is not empty, or lines on stdin")


def begun(messages: Iterator[bytes | None], count: int) -> Iterator[bytes | None]:
    """Return *messages*, of which the first *count* have been made by now.  Raises what making them raises."""
    return chain(list(islice(messages, count)), messages)


class Printer:
    """Prints replies as they come: bytes as they are, or each as a line; JSON only if it is JSON."""

    __slots__ = ("_end", "_is_json")

    def __init__(self, is_verbatim: bool, is_json: bool) -> None:
        self._end = b"" if is_verbatim else b"\n"
        self._is_json = is_json

    def print(self, reply: bytes) -> None:
        """Print *reply*.  Raises BrokenPipeError if nobody reads it, TextMalformed if it should be JSON and is
        not."""
        if self._is_json:
            reply = json_reply(reply)
        sys.stdout.buffer.write(reply + self._end)
        sys.stdout.buffer.flush()


class PrintingClient(Client):
    """A client that prints."""

    __slots__ = ("_printer",)

    def __init__(self, printer: Printer, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self._printer = printer

    def reply_received(self, reply: bytes) -> None:
        """Print it.  Raises AuthenticationFailed if it is the first and asks for a key, and there is none."""
        if self.received == 1 and self._keys is None and asks_for_key(reply):
            raise AuthenticationFailed("the server asks for a proof: give --auth-key with a key that it knows")
        self._printer.print(reply)


class PrintingDatagramClient(DatagramClient):
    """A client for datagrams that prints."""

    __slots__ = ("_printer",)

    def __init__(self, printer: Printer, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self._printer = printer

    def reply_received(self, reply: bytes) -> None:
        """Print it."""
        self._printer.print(reply)
