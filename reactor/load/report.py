"""A result as text, for a person at a terminal: the verdict last, where the eye rests.

Read next: ``progress``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reactor.load.buckets import method

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reactor.load.result import Percentiles, Result


def report(result: Result) -> str:
    """Return the text, several lines without a newline at the end."""
    return "\n".join(_lines(result))


def _lines(result: Result) -> Iterator[str]:
    plan = result.plan
    yield (
        f"{plan['target']}: {'UDP, ' if plan['udp'] else ''}{plan['mode']}, {result.connections} connections, "
        f"{_load_of(result)}, size {plan['size']}; engine {result.engine} ({result.engine_reason})"
    )
    yield (
        f"{result.messages_per_second:,.0f} messages/s, {bytes_text(result.bytes_per_second)}/s"
        f" in {result.window.seconds:.2f} s: {result.window.messages_in:,} replies verified"
    )
    yield from _latencies(result)
    yield f"generator: {result.utilisation:.0%} of one processor"
    for warning in result.warnings:
        yield f"WARNING: {warning}"
    yield from _verdict(result)


def _load_of(result: Result) -> str:
    plan = result.plan
    if plan["rate"] is None:
        return f"{plan['in_flight']} in flight each"
    return f"{plan['rate']:g} messages/s due ({plan['arrivals']})"


def _latencies(result: Result) -> Iterator[str]:
    rows: list[tuple[str, Percentiles]] = [("latency", result.latency)]
    if result.service is not None:
        rows = [
            ("from when due", result.latency),
            ("from the send", result.service),
            ("sent late by", result.lateness),
        ]
    named = [(name, figures) for name, figures in rows if figures is not None]
    if not named:
        return
    yield f"{'':14}" + "".join(f"{column:>10}" for column in named[0][1])
    for name, figures in named:
        yield f"{name:14}" + "".join(f"{duration_text(figure):>10}" for figure in figures.values())
    yield f"{result.latency_count:,} latencies; percentiles: {method()}"


def _verdict(result: Result) -> Iterator[str]:
    if result.is_valid:
        yield f"VALID: {result.answered:,} of {result.sent:,} messages answered, every byte as expected"
        return
    yield "INVALID: " + "; ".join(result.reasons)
    for example in result.examples:
        yield f"  {example}"


def duration_text(seconds: float) -> str:
    """Return three significant digits with the unit that suits: ``83.2us``, ``1.04ms``, ``12.0s``."""
    for factor, unit in ((1e9, "ns"), (1e6, "us"), (1e3, "ms")):
        if seconds * factor < 999.5:
            return f"{_three_digits(seconds * factor)}{unit}"
    return f"{_three_digits(seconds)}s"


def _three_digits(value: float) -> str:
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def bytes_text(count: float) -> str:
    """Return ``83.2 MB``, in powers of ten as networks are measured."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"
