"""``reactor info``: what this machine and this installation offer, and why it is so.

The first thing to ask somebody whose program is slow, or stops at 1,024 connections.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import reactor
from reactor.cli.terminal import result
from reactor.framing.scanner import accel_status
from reactor.net.pump.choice import pump_status

if TYPE_CHECKING:
    from typing import Any

#: What bounds connections, and where Linux tells it.
KERNEL_LIMITS = {
    "somaxconn": "/proc/sys/net/core/somaxconn",
    "port_range": "/proc/sys/net/ipv4/ip_local_port_range",
    "unprivileged_ports_from": "/proc/sys/net/ipv4/ip_unprivileged_port_start",
}


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser("info", help="print poller, accelerator, limits and versions")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    parser.set_defaults(run=run, command="info")


def run(arguments: argparse.Namespace) -> int:
    """Print all that ``collect`` finds."""
    found = collect()
    if arguments.json:
        result(json.dumps(found, indent=2))
        return 0
    for section, entries in found.items():
        result(section)
        for name, value in entries.items():
            result(f"  {name.replace('_', ' '):<24} {as_text(value)}")
    return 0


def collect() -> dict[str, dict[str, Any]]:
    """Return what is known, in sections."""
    with reactor.Reactor() as loop:
        chosen = loop.selector_name
    accel, reason = accel_status()
    pump, pump_reason = pump_status(os.environ)
    return {
        "poller": {
            "chosen": chosen,
            "why": "REACTOR_SELECTOR" if os.environ.get("REACTOR_SELECTOR") else "the best of this system",
            "available": reactor.available_pollers(),
        },
        "accelerator": {"chosen": accel, "why": reason},
        "pump": {"chosen": pump, "why": pump_reason},
        "limits": limits(),
        "versions": {
            "reactor": reactor.__version__,
            "python": f"{platform.python_implementation()} {platform.python_version()}",
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
            "cffi": cffi_version(),
        },
    }


def limits() -> dict[str, Any]:
    """Return what bounds the number of connections; None for what this system does not tell."""
    soft, hard = nofile_limits()
    found: dict[str, Any] = {"open_files": soft, "open_files_at_most": hard}
    for name, path in KERNEL_LIMITS.items():
        numbers = kernel_numbers(path)
        found[name] = numbers[0] if len(numbers) == 1 else numbers or None
    found["processors"] = os.cpu_count()
    return found


def nofile_limits() -> tuple[int | None, int | None]:
    """Return the soft and the hard limit on open files; None: unlimited, or unknown."""
    try:
        import resource
    except ImportError:
        return None, None
    pair = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft, hard = (None if value == resource.RLIM_INFINITY else value for value in pair)
    return soft, hard


def kernel_numbers(path: str) -> list[int]:
    """Return the numbers in a file of proc(5); none if it is not there."""
    try:
        with open(path, encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except (OSError, ValueError):
        return []


def cffi_version() -> str:
    """Return the version of cffi, or that there is none."""
    try:
        return version("cffi")
    except PackageNotFoundError:
        return "not installed"


def as_text(value: Any) -> str:
    """Return *value* for a person."""
    if isinstance(value, list):
        return (" to " if all(isinstance(item, int) for item in value) else ", ").join(map(str, value))
    return "unknown" if value is None else str(value)
