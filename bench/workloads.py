"""What the contestants are asked: a table.

Five kinds: "traffic" (the load generator), "visits" (connect, request, close), "inside" (what a loop does without a
socket, in a child process each), "import" and "memory".  A workload names the servers that it is shown for by
default; those that cannot serve its shape are left out by themselves.

Two experiments have several rows: ``busy-N`` is ping-pong on N connections, ``crossing-N`` one busy connection
among N idle ones, on each poller.  In the ``costly`` rows each message costs its handler some time.  Read next:
``sample``.
"""

from __future__ import annotations

from typing import NamedTuple

CORE = (
    "limit reactor-pump reactor-pump-batch reactor-native reactor-native-batch reactor-pure"
    " uvloop-joined uvloop asyncio asyncio-joined"
).split()
EVERYBODY = [*CORE, *"uvloop-streams asyncio-streams gevent twisted tornado trio".split()]
FEW = "limit reactor-pump reactor-pure uvloop-joined asyncio".split()
POLLERS = "reactor-select reactor-poll reactor-epoll".split()
LOOPS = "reactor uvloop asyncio".split()
PACKAGES = "reactor asyncio".split()
SPINNING = [*FEW[:2], "reactor-spin", *FEW[2:]]
WORKERS = FEW[1:]
HOLDERS = "reactor-raw reactor-framed asyncio uvloop".split()


class Workload(NamedTuple):
    """One question.  *size* is bytes of a message without framing, *idle* connections that only exist, *handler*
    the seconds that a server is to work on each message."""

    name: str
    title: str
    kind: str
    servers: list[str]
    shape: str = "framed"
    connections: int = 64
    in_flight: int = 1
    size: int = 64
    idle: int = 0
    unit: str = "messages"
    handler: float = 0.0

    @property
    def group(self) -> str:
        """The experiment that this is a row of; its own name if it stands alone."""
        first = self.name.partition("-")[0]
        return first if first in ("busy", "costly", "crossing") else self.name

    @property
    def environment(self) -> dict[str, str]:
        """What a server has to know of it, beside the shape."""
        return {"BENCH_HANDLER_SECONDS": str(self.handler)} if self.handler else {}


def _busy(count: int) -> Workload:
    title = f"framed ping-pong, {count} connections, 64 B"
    return Workload(f"busy-{count}", title, "traffic", SPINNING, connections=count)


def _costly(name: str, seconds: float) -> Workload:
    title = f"framed, 60 connections, 64 B, a handler that works for {name}"
    return Workload(f"costly-{name}", title, "traffic", WORKERS, connections=60, handler=seconds)


def _crossing(idle: int) -> Workload:
    title = f"one busy connection, {idle} idle"
    pollers = [name for name in POLLERS if idle < SELECTABLE or name != "reactor-select"]
    return Workload(f"crossing-{idle}", title, "traffic", pollers, connections=1, idle=idle)


#: select(2) takes descriptors below 1024 only, and a server has some others.
SELECTABLE = 1000
BUSY = (1, 2, 4, 8, 16, 32)
IDLE = (0, 10, 30, 100, 300, 900, 3000, 10_000)

WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("ping-pong", "framed ping-pong, 64 connections, 64 B", "traffic", EVERYBODY),
        Workload("flight-16", "framed, 16 in flight, 64 connections, 64 B", "traffic", CORE, in_flight=16),
        Workload("flight-64", "framed, 64 in flight, 64 connections, 32 B", "traffic", CORE, in_flight=64, size=32),
        Workload("1-KiB", "framed ping-pong, 64 connections, 1 KiB", "traffic", CORE, size=1024),
        Workload("64-KiB", "framed, 16 connections, 64 KiB", "traffic", CORE, connections=16, size=65_536),
        Workload("1-MiB", "framed, 8 connections, 1 MiB", "traffic", CORE, connections=8, size=1_048_576),
        Workload("raw", "raw echo, 64 connections, 64 B", "traffic", EVERYBODY, shape="raw"),
        Workload("raw-16", "raw echo, 16 in flight, 64 B", "traffic", CORE, shape="raw", in_flight=16),
        Workload("lines", "lines, 16 in flight, 64 connections, 64 B", "traffic", CORE, shape="line", in_flight=16),
        Workload("udp", "UDP echo, 16 sockets, 8 in flight, 64 B", "traffic", CORE, "udp", 16, 8),
        Workload("visits", "connect, request of 64 B, close", "visits", FEW, unit="connections"),
        Workload("idle-0", "64 active alone, 64 B", "traffic", FEW),
        Workload("idle-10k", "64 active among 10,000 idle, 64 B", "traffic", FEW, idle=10_000),
        Workload("timers", "call_later and cancel, 10^6", "inside", LOOPS, unit="timers"),
        Workload("call-soon", "call_soon", "inside", LOOPS, unit="calls"),
        Workload("threadsafe", "call_soon_threadsafe from another thread", "inside", LOOPS, unit="calls"),
        Workload("import", "import in a fresh interpreter", "import", PACKAGES, unit="imports"),
        Workload("idle-memory", "idle connections that fit into one MiB", "memory", HOLDERS, unit="per MiB"),
        *(_busy(count) for count in BUSY),
        _costly("50us", 50e-6),
        _costly("2ms", 2e-3),
        *(_crossing(idle) for idle in IDLE),
    )
}

#: What ``--quick`` measures, and for whom.
QUICK = "ping-pong flight-16 1-MiB raw udp visits timers call-soon threadsafe import".split()
QUICK_SERVERS = "limit reactor-pump reactor-pure uvloop-joined asyncio".split()


def chosen(names: list[str]) -> list[Workload]:
    """Return the workloads for *names*, which may be groups; all for none.  Raises KeyError with the name."""
    found: list[Workload] = []
    for name in names:
        matching = [w for w in WORKLOADS.values() if name in (w.name, w.group)]
        if not matching:
            raise KeyError(name)
        found += [workload for workload in matching if workload not in found]
    return found or list(WORKLOADS.values())
