"""Four pictures of a record: throughput against the limit, latencies, throughput by the number of busy connections,
and what idle ones cost each poller.

They are drawn from the JSON, so that ``reactor bench --draw FILE`` makes them anew without measuring.  What is
INVALID is not drawn.  Bars carry the extremes of all rounds as whiskers: a difference that the whiskers swallow is
none.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot

from bench.figures import crossing
from bench.servers import LIMIT

#: Ours, the limit, and the others.
COLOURS = {"reactor": "#2b6cb0", "limit": "#718096", "": "#cbd5e0"}

Outcome = dict[str, Any]


def draw(record: dict[str, Any], folder: Path) -> Iterator[Path]:
    """Draw what *record* has figures for into SVG files in *folder*; yield their paths.  Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    traffic = [
        outcome
        for outcome in record["outcomes"]
        if outcome["workload"]["kind"] != "import"
        and not outcome["workload"]["name"].startswith(("busy-", "crossing-"))
    ]
    for outcome in traffic:
        servers = valid(outcome)
        if servers:
            yield _save(_throughput(outcome, servers), folder / f"{outcome['workload']['name']}-throughput.svg")
        with_latency = {name: found for name, found in servers.items() if found["p50"]}
        if with_latency:
            yield _save(_latency(outcome, with_latency), folder / f"{outcome['workload']['name']}-latency.svg")
    lines = lines_of(record, "busy-", "connections", "throughput")
    if lines:
        yield _save(_busy(lines), folder / "busy.svg")
    lines = crossing_lines(record)
    if lines:
        yield _save(_crossing(lines), folder / "crossing.svg")


def valid(outcome: Outcome) -> dict[str, Any]:
    """Return the contestants with figures, without the second half of the A/A pair, the fastest last."""
    found = {
        name: server
        for name, server in outcome["servers"].items()
        if server["valid"] and server["throughput"] and not name.endswith("(again)")
    }
    return dict(sorted(found.items(), key=lambda item: float(item[1]["throughput"]["median"])))


def _throughput(outcome: Outcome, servers: dict[str, Any]) -> Any:
    figure, axes = _canvas(len(servers))
    names = list(servers)
    medians = [servers[name]["throughput"]["median"] for name in names]
    spreads = [servers[name]["throughput"] for name in names]
    whiskers = [
        [found["median"] - found["least"] for found in spreads],
        [found["most"] - found["median"] for found in spreads],
    ]
    axes.barh(names, medians, xerr=whiskers, color=[_colour(name) for name in names], capsize=2)
    if LIMIT in servers:
        axes.axvline(servers[LIMIT]["throughput"]["median"], color=COLOURS["limit"], linestyle="--")
    axes.set_xlabel(f"{outcome['workload']['unit']} a second (median of rounds, least to most)")
    axes.set_title(outcome["workload"]["title"])
    return figure


def _latency(outcome: Outcome, servers: dict[str, Any]) -> Any:
    figure, axes = _canvas(len(servers))
    names = list(servers)
    for metric, marker in (("p50", "o"), ("p99", "s"), ("p99.9", "^")):
        axes.plot(
            [1e6 * servers[name][metric]["median"] for name in names], names, marker, label=metric, markersize=5
        )
    axes.set_xscale("log")
    axes.set_xlabel("latency in microseconds (median of rounds)")
    axes.set_title(outcome["workload"]["title"])
    axes.legend()
    return figure


def crossing_lines(record: dict[str, Any]) -> dict[str, list[tuple[float, float]]]:
    """Return for each poller the points (idle connections, CPU seconds per message)."""
    return lines_of(record, "crossing-", "idle", "cpu")


def lines_of(record: dict[str, Any], prefix: str, field: str, metric: str) -> dict[str, list[tuple[float, float]]]:
    """Return for each contestant the points (*field* of the workload, *metric*), of the workloads that begin so."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for outcome in record["outcomes"]:
        if not outcome["workload"]["name"].startswith(prefix):
            continue
        for name, server in valid(outcome).items():
            if server[metric]:
                lines.setdefault(name, []).append((outcome["workload"][field], server[metric]["median"]))
    return lines


def crossing_point(lines: dict[str, list[tuple[float, float]]], poller: str = "reactor-poll") -> float | None:
    """Return the number of idle connections from which *poller* costs more than epoll; None if it never does."""
    first, second = dict(lines.get(poller, [])), dict(lines.get("reactor-epoll", []))
    common = sorted(set(first) & set(second))
    return crossing([(x, first[x]) for x in common], [(x, second[x]) for x in common])


def _busy(lines: dict[str, list[tuple[float, float]]]) -> Any:
    figure, axes = _canvas(8)
    for name, points in lines.items():
        style = "--" if name == LIMIT else "-"
        axes.plot([x for x, _ in points], [y / 1000 for _, y in points], style, marker="o", label=name)
    axes.set_xscale("log", base=2)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("connections, each with one message under way")
    axes.set_ylabel("thousand messages a second (median of rounds)")
    axes.legend()
    return figure


def _crossing(lines: dict[str, list[tuple[float, float]]]) -> Any:
    figure, axes = _canvas(8)
    for name, points in lines.items():
        axes.plot([x for x, _ in points], [1e6 * cost for _, cost in points], marker="o", label=name)
    for poller, height in (("reactor-poll", 0.9), ("reactor-select", 0.8)):
        at = crossing_point(lines, poller)
        if at is not None:
            axes.axvline(at, color=COLOURS["limit"], linestyle=":")
            axes.text(at, height, f" {poller} crosses epoll at {at:.0f}", transform=axes.get_xaxis_transform())
    axes.set_xscale("symlog", linthresh=10)
    axes.set_xlim(left=0)
    axes.set_yscale("log")
    axes.set_xlabel("idle connections beside the busy one")
    axes.set_ylabel("server CPU per message, microseconds")
    axes.legend()
    return figure


def _canvas(rows: int) -> tuple[Any, Any]:
    figure, axes = pyplot.subplots(figsize=(8, 1.2 + 0.35 * rows), layout="constrained")
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _colour(name: str) -> str:
    return COLOURS.get(name.partition("-")[0], COLOURS[""])


def _save(figure: Any, path: Path) -> Path:
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    return path
