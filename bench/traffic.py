"""Samples by the load generator: it sends, verifies every byte that comes back, and says when it was the limit.

The server is a fresh process each time, so that the accidents of one start (the place of things in memory, the seed
of hashes) are part of the spread and not of the result.  Its processor time is read before and after the whole run
and divided by all messages of it, the warm-up included: so nothing depends on two clocks being read at one instant.
Connections that only exist are opened before.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from bench.process import Running, ServerFailed, running
from bench.sample import PERCENTILES, Sample, invalid, sample_of
from reactor.load import Plan, run

if TYPE_CHECKING:
    from bench.servers import Server
    from bench.settings import Settings
    from bench.workloads import Workload

#: The share of the measured time that comes before it.
WARM_UP = 0.3

#: Connections opened between two breaths of the server, so that its queue does not overflow.
BREATH = 256


def plan_for(workload: Workload, port: int, settings: Settings) -> Plan:
    """Return what the generator is to do."""
    is_udp = workload.shape == "udp"
    return Plan(
        f"127.0.0.1:{port}",
        connections=workload.connections,
        in_flight=workload.in_flight,
        size=str(workload.size),
        duration=settings.seconds,
        warm_up=settings.seconds * WARM_UP,
        mode="raw" if is_udp else workload.shape,
        udp=is_udp,
        engine=settings.engine,
    )


def take(server: Server, workload: Workload, settings: Settings) -> Sample:
    """Start *server*, drive it, and return what was found."""
    try:
        with (
            running(server, workload.shape, settings, workload.environment) as process,
            idle_connections(process.port, workload.idle) as idle,
        ):
            sample = drive(process, workload, settings)
            gone = ended(idle)
            return sample if not gone else invalid(f"{gone} of {workload.idle} idle connections were closed")
    except ServerFailed as exc:
        return invalid(str(exc))
    except OSError as exc:
        return invalid(f"{type(exc).__name__}: {exc}")


@contextmanager
def idle_connections(port: int, count: int) -> Iterator[list[socket.socket]]:
    """Keep *count* connections open that say nothing."""
    with ExitStack() as opened:
        made = []
        for number in range(count):
            made.append(opened.enter_context(socket.create_connection(("127.0.0.1", port), 10.0)))
            if number % BREATH == BREATH - 1:
                time.sleep(0.01)
        yield made


def ended(idle: list[socket.socket]) -> int:
    """Return how many of the connections that should be open and silent are not: a server that has shed them has
    saved itself the work that was to be measured."""
    if not idle:
        return 0
    poller = select.poll()
    for sock in idle:
        poller.register(sock, select.POLLIN)
    return len(poller.poll(0))


def drive(process: Running, workload: Workload, settings: Settings) -> Sample:
    """Drive a running server."""
    before = process.usage()
    result = run(plan_for(workload, process.port, settings))
    used = process.usage().since(before)
    if not result.is_valid:
        return Sample({}, [*result.reasons, *result.examples[:1]], result.warnings)
    if not process.is_alive():
        return invalid("the server ended")
    found = result.latency or {}
    latency = {name: found[name] for name in PERCENTILES if name in found}
    return sample_of(
        result.answered, result.messages_per_second, used, process.resident_bytes(), latency, result.utilisation,
        result.warnings,
    )  # fmt: skip
