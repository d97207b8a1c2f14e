"""What a run is to do: every setting, its default, and what is refused before anything is sent.

Read next: ``dial``.
"""

from __future__ import annotations

from typing import NamedTuple

from reactor.errors import OptionError
from reactor.load.schedule import ARRIVALS
from reactor.load.starts import MOST_RING
from reactor.net.sockets.addresses import parse_address

#: Seconds that a run lasts if neither a duration nor a number of messages is given.
DURATION = 10.0

#: The most connections: a header names them with four digits of base 32.
MOST_CONNECTIONS = 32**4

#: The largest datagram that fits into one of UDP over IPv4, with the room that a length or a line end takes.
LARGEST_DATAGRAM = 65_507 - 4

MODES = ("raw", "line", "framed")
EXPECTATIONS = ("echo", "upper")
ENGINES = ("auto", "python", "native")


class Plan(NamedTuple):
    """One run.  Durations are seconds, *rate* is messages a second over all connections.

    Without *rate* the loop is closed: *in_flight* messages are on their way on each connection, and a reply lets
    the next one go.  With it the loop is open: messages are due on a schedule, whatever the replies do.
    """

    target: str
    connections: int = 16
    in_flight: int = 1
    #: See ``sizes``.
    size: str = "64"
    duration: float | None = None
    messages: int | None = None
    #: None: a tenth of the duration, at most one second; nothing if messages are counted.
    warm_up: float | None = None
    rate: float | None = None
    arrivals: str = "even"
    mode: str = "raw"
    udp: bool = False
    expect: str = "echo"
    #: How long a reply may take, and a connection to be made, before it counts as lost, or refused.
    timeout: float = 5.0
    seed: int = 1
    engine: str = "auto"
    #: Which scanner cuts replies for the judges: "pure", "native" or None, see ``reactor.framing.scanner``.
    accel: str | None = None

    @property
    def address(self) -> tuple[str, int] | str:
        """The target as (host, port) or path.  Raises AddressError."""
        return parse_address(self.target)

    @property
    def is_open(self) -> bool:
        """Whether the loop is open."""
        return self.rate is not None

    def seconds(self) -> float | None:
        """Return how long it measures; None if it counts messages."""
        if self.messages is not None:
            return None
        return DURATION if self.duration is None else self.duration

    def warm_up_seconds(self) -> float:
        """Return for how long it warms up."""
        if self.warm_up is not None:
            return self.warm_up
        return min(1.0, (self.seconds() or 0.0) / 10)


def check_plan(plan: Plan) -> None:
    """Raise OptionError for a value that cannot be, AddressError for the target."""
    plan.address  # noqa: B018
    _between("connections", plan.connections, 1, MOST_CONNECTIONS)
    _between("in_flight", plan.in_flight, 1, MOST_RING // 2)
    for name, value, words in (
        ("mode", plan.mode, MODES),
        ("expect", plan.expect, EXPECTATIONS),
        ("engine", plan.engine, ENGINES),
        ("arrivals", plan.arrivals, ARRIVALS),
    ):
        if value not in words:
            raise OptionError(f"{name} is one of {', '.join(words)}, not {value!r}")
    _check_times(plan)


def _check_times(plan: Plan) -> None:
    if plan.duration is not None and plan.messages is not None:
        raise OptionError("a run lasts for a duration or for a number of messages, not for both")
    if plan.messages is not None:
        _between("messages", plan.messages, 1, 10**15)
        if plan.warm_up:
            raise OptionError("a run that counts messages has no warm-up: every message counts")
    for name, value in (("duration", plan.duration), ("timeout", plan.timeout), ("rate", plan.rate)):
        if value is not None and not 0 < value < 1e9:
            raise OptionError(f"{name} is a number above 0, not {value!r}")
    if plan.warm_up is not None and not 0 <= plan.warm_up < 1e6:
        raise OptionError(f"warm_up is a number of seconds, not {plan.warm_up!r}")


def _between(name: str, value: int, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise OptionError(f"{name} is a number from {least} to {most}, not {value!r}")
