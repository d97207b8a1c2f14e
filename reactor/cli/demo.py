"""``reactor demo``: a server on every poller, pure and native, and five hundred clients that check each of its
replies.

For each combination a server is started in a process of its own (``demo_server``), and this process drives it over
real connections (``demo_clients``) with the README and a megabyte of random bytes (``demo_material``).  What is
printed is the server's side of the matter: how many messages a second it answered, and how much CPU time one
message cost it.

How long it takes does not depend on the machine, how much is sent does: the time that is left is shared out
among the combinations that are left, less what the last one needed to start and to end.  The exit status is 0
only if every byte of every reply was the right one.
"""

from __future__ import annotations

import argparse
import random
import time
from typing import TYPE_CHECKING, NamedTuple

import reactor
from reactor.cli.arguments import POLLERS, seconds, whole_number
from reactor.cli.demo_clients import Drive
from reactor.cli.demo_material import random_material, readme_material
from reactor.cli.demo_process import PROGRAM, ServerProcess
from reactor.cli.terminal import progress, result, tell
from reactor.errors import AccelUnavailable, DeadlineExceeded
from reactor.framing.scanner import accel_status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from reactor.cli.demo_material import Material

#: Clients, and the descriptors that everything else in a process may need.
CONNECTIONS = 500
SPARE_DESCRIPTORS = 64

#: Seconds that the whole is meant to take, after which it is given up, and that one combination gets at least.
#: Giving up takes time too, twice the patience of ``demo_process`` at most, and all must be over within 30.
AIM = 12.0
GIVE_UP = 24.0
LEAST = 0.25

#: How often a watching person is told what goes on, in seconds.
PROGRESS_INTERVAL = 0.1

COLUMNS = ("poller", "framing", "connections", "messages", "messages/s", "CPU us/message", "bytes verified")


class Row(NamedTuple):
    """What came out for one combination."""

    poller: str
    framing: str
    connections: int
    messages: int
    seconds: float
    cpu_seconds: float
    bytes_verified: int

    def cells(self) -> tuple[str, ...]:
        """Return the columns of the table."""
        rate, cost = self.messages / self.seconds, 1e6 * self.cpu_seconds / self.messages
        return (
            self.poller, self.framing, f"{self.connections:,}", f"{self.messages:,}", f"{rate:,.0f}", f"{cost:.1f}",
            f"{self.bytes_verified:,}",
        )  # fmt: skip


class DemoFailed(Exception):
    """A reply was wrong or did not come; the text says which and how."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "demo", help="drive a framed server on each poller, pure and native, and check every reply"
    )
    add = parser.add_argument
    add("--connections", type=whole_number(2, 100_000), default=CONNECTIONS, metavar="N", help="(%(default)s)")
    add("--seconds", type=seconds, default=AIM, metavar="S", help="how long it takes (%(default)g)")
    add("--selector", choices=POLLERS, help="this poller only")
    add("--accel", choices=("pure", "native"), help="this framing only; pure: nothing compiled, so no pump either")
    parser.set_defaults(run=run, command="demo")


def run(arguments: argparse.Namespace, program: str = PROGRAM) -> int:
    """Run all combinations and print the table.  *program* is the server's, for tests."""
    connections = permitted_connections(arguments.connections)
    pairs = list(combinations(arguments.selector, arguments.accel))
    materials = (readme_material(), random_material(random.randrange(2**32)))
    result(line(COLUMNS))
    started = time.monotonic()
    give_up = started + max(GIVE_UP, 2 * arguments.seconds)
    overhead, verified = 0.5, 0
    for index, (poller, framing) in enumerate(pairs):
        now = time.monotonic()
        duration = max(LEAST, (started + arguments.seconds - now) / (len(pairs) - index) - overhead)
        try:
            row = Combination(poller, framing, connections, materials, give_up, program).run(duration)
        except DemoFailed as exc:
            progress("")
            tell(f"reactor demo: {poller}, {framing}: {exc}")
            return 1
        overhead = time.monotonic() - now - row.seconds
        verified += row.bytes_verified
        progress("")
        result(line(row.cells()))
    result(f"every byte of every reply was right: {verified:,} bytes in {time.monotonic() - started:.1f} s")
    return 0


def line(cells: Sequence[str]) -> str:
    """Return one line of the table: names to the left, numbers to the right."""
    names = f"{cells[0]:<12}{cells[1]:<8}"
    return names + "".join(f"{cell:>{len(title) + 3}}" for cell, title in zip(cells[2:], COLUMNS[2:], strict=True))


def combinations(selector: str | None, accel: str | None) -> Iterator[tuple[str, str]]:
    """Yield poller and framing of each server; says so if there is no native one.  Raises SelectorUnavailable,
    AccelUnavailable."""
    if selector is not None:
        reactor.Reactor(selector).close()  # it says so if this system has no such poller, and not in a child
    pollers = [selector] if selector else reactor.available_pollers()
    native, reason = accel_status("native")
    if accel == "native" and native != "native":
        raise AccelUnavailable(reason)
    if native != "native" and accel is None:
        tell(f"no native framing: {reason.partition(' (the argument')[0]}")
    framings = [accel] if accel else ["pure", "native"] if native == "native" else ["pure"]
    for poller in pollers:
        for framing in framings:
            yield poller, framing


def permitted_connections(wanted: int) -> int:
    """Return how many connections the limit on open files permits, after raising it as far as needed."""
    try:
        import resource
    except ImportError:
        return wanted
    needed = wanted + SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    except (OSError, ValueError):
        allowed = soft
    permitted = max(2, min(wanted, allowed - SPARE_DESCRIPTORS))
    if permitted < wanted:
        tell(f"open files are limited to {allowed}: {permitted} connections instead of {wanted} (see ulimit -n)")
    return permitted


class Combination:
    """One poller with one framing: start the server, connect, drive, and take stock."""

    __slots__ = ("_connections", "_drive", "_give_up", "_loop", "_materials", "_name", "_server")

    def __init__(
        self,
        poller: str,
        framing: str,
        connections: int,
        materials: Sequence[Material],
        give_up: float,
        program: str,
    ) -> None:
        self._name = (poller, framing)
        self._connections = connections
        self._materials = materials
        self._give_up = give_up
        self._drive = Drive()
        self._loop = reactor.Reactor()
        self._loop.set_exception_handler(lambda exc, source: self._drive.fail(f"a bug in the clients: {exc!r}"))
        try:
            self._server = ServerProcess(self._loop, poller, framing, program)
        except BaseException:
            self._loop.close()
            raise

    def run(self, duration: float) -> Row:
        """Send for *duration* seconds.  Raises DemoFailed."""
        loop, drive, server = self._loop, self._drive, self._server
        try:
            loop.call_every(PROGRESS_INTERVAL, self._show)
            self._wait("start", lambda: bool(server.ports))
            drive.connect(loop, self._connections, self._materials, server.ports)
            self._wait("take all connections", drive.is_connected)
            before = self._ask()
            began = loop.time()
            drive.begin()
            loop.call_later(duration, drive.stop)
            self._wait("answer every message", drive.is_over)
            took = loop.time() - began
            used = self._ask() - before
        finally:
            loop.close()
            server.end()
        return Row(
            server.poller, self._name[1], len(drive.clients), drive.messages, took, used, drive.bytes_verified
        )

    def _ask(self) -> float:
        self._server.ask()
        self._wait("tell its CPU time", lambda: self._server.cpu_seconds is not None)
        return self._server.cpu_seconds or 0.0

    def _wait(self, what: str, condition: Callable[[], bool]) -> None:
        """Turn until *condition* holds.  Raises DemoFailed if something goes wrong first, or takes too long."""
        drive, server, loop = self._drive, self._server, self._loop
        try:
            loop.run_until(
                lambda: condition() or drive.problem or server.is_gone, max(0.1, self._give_up - loop.time())
            )
        except DeadlineExceeded:
            raise DemoFailed(f"the server did not {what} in time ({drive.messages:,} messages verified)") from None
        if drive.problem and not server.is_gone:
            self._look_at_server()
        if server.is_gone:
            raise DemoFailed(server.fate() + (f" ({drive.problem})" if drive.problem else ""))
        if drive.problem:
            raise DemoFailed(drive.problem)

    def _look_at_server(self) -> None:
        """Connections that end may be all that is seen as yet of the end of their server: give it a moment."""
        try:
            self._loop.run_until(lambda: self._server.is_gone, LEAST)
        except DeadlineExceeded:
            pass

    def _show(self) -> None:
        poller, framing = self._name
        drive = self._drive
        progress(f"{poller:<12}{framing:<8}{drive.open:>5} connections {drive.messages:>10,} messages verified")
