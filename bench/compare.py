"""The comparison as a command: what ``reactor bench`` runs once it has read its arguments.

Tables go to stdout as soon as a workload is measured, what is being done goes to stderr.  The status is 0, or 2 if
anything was INVALID: a script must not take such a run for a success.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench.course import compare
from bench.machine import pin, placement, raise_descriptor_limit
from bench.record import Record, load
from bench.servers import SERVERS
from bench.settings import Settings
from bench.table import table
from bench.workloads import QUICK, QUICK_SERVERS, WORKLOADS, Workload, chosen
from reactor.errors import OptionError

if TYPE_CHECKING:
    import argparse

VALID, INVALID = 0, 2

#: Rounds, and seconds of each sample: about ten minutes for everything, or one.
FULL = (5, 0.3)
BRIEF = (2, 0.2)


def run(arguments: argparse.Namespace) -> int:
    """Do it, and tell.  Raises OptionError for a workload or server that does not exist."""
    if arguments.list:
        print(catalog())
        return VALID
    if arguments.draw is not None:
        _plot(_loaded(arguments.draw), arguments.plots or arguments.draw.parent)
        return VALID
    workloads = workloads_of(arguments.workloads, quick=arguments.quick)
    if arguments.plots is not None:
        importlib.import_module("bench.plots")  # ten minutes later is late to find that matplotlib is missing
    raise_descriptor_limit()
    with tempfile.TemporaryDirectory(prefix="reactor-bench-") as workshop:
        settings = settings_of(arguments, Path(workshop))
        record = Record(settings, arguments.json)
        pin(settings.placement.client)
        print(preamble(record.content["environment"]), flush=True)
        status = _measure(workloads, settings, record)
    if arguments.plots is not None:
        _plot(record.content, arguments.plots)
    return status


def _measure(workloads: list[Workload], settings: Settings, record: Record) -> int:
    status = VALID
    for outcome in compare(workloads, settings, _show):
        _show("")
        print(f"\n{table(outcome)}", flush=True)
        record.add(outcome)
        if not all(sample.is_valid for samples in outcome.samples.values() for sample in samples):
            status = INVALID
    return status


def workloads_of(names: list[str], *, quick: bool) -> list[Workload]:
    """Return the workloads for *names*; none: all, or the quick ones.  Raises OptionError."""
    try:
        return chosen(names or (QUICK if quick else []))
    except KeyError as exc:
        raise OptionError(f"there is no workload {exc.args[0]!r}: {', '.join(WORKLOADS)}") from None


def settings_of(arguments: argparse.Namespace, workshop: Path) -> Settings:
    """Return the settings for a command line.  Raises OptionError for a server that does not exist."""
    rounds, seconds = BRIEF if arguments.quick else FULL
    servers = tuple(arguments.servers.split(",")) if arguments.servers else ()
    unknown = [name for name in servers if name not in SERVERS]
    if unknown:
        raise OptionError(f"there is no server {unknown[0]!r}: {', '.join(SERVERS)}")
    return Settings(
        rounds=arguments.rounds or rounds,
        seconds=arguments.seconds or seconds,
        placement=placement(),
        workshop=workshop,
        servers=servers or (tuple(QUICK_SERVERS) if arguments.quick else ()),
        engine=arguments.engine,
        fresh_allocator=arguments.fresh_allocator,
    )


def catalog() -> str:
    """Return every workload and every server, in words."""
    lines = ["workloads:"]
    lines += [f"  {workload.name:16}{workload.title}" for workload in WORKLOADS.values()]
    lines += ["servers:"]
    lines += [f"  {server.name:24}{', '.join(server.shapes)}" for server in SERVERS.values()]
    return "\n".join(lines)


def preamble(environment: object) -> str:
    """Return what every figure below was measured on."""
    assert isinstance(environment, dict)
    versions = ", ".join(f"{name} {version}" for name, version in environment["versions"].items() if version)
    return "\n".join(
        [
            f"{environment['date']}: {environment['command']}",
            f"{environment['processor']}, {environment['processors']} cores, Linux {environment['kernel']}, "
            f"{environment['implementation']} {environment['python']}, load {environment.get('load_average')}",
            f"{environment['placement']}; {versions}",
        ]
    )


def _show(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()


def _loaded(path: Path) -> dict[str, object]:
    try:
        return load(path)
    except ValueError as exc:
        raise OptionError(str(exc)) from None


def _plot(record: dict[str, object], folder: Path) -> None:
    from bench.plots import draw

    for path in draw(record, folder):
        print(path)
