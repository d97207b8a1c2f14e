"""One look at one contestant: what was measured, in one shape for all kinds of workload.

A sample that is not valid has reasons and no figures.  This is a matter of type, not of discipline: ``figures``
asks for ``value(name)``, and that of an invalid sample is None, so there is nothing that could slip into a median.

Read next: ``traffic``, ``visits`` and ``inside``, which take them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from bench.process import Usage

#: What is measured, with its unit; True if more of it is better.
METRICS = {
    "throughput": ("1/s", True),
    "p50": ("s", False),
    "p99": ("s", False),
    "p99.9": ("s", False),
    "cpu": ("s", False),
    "cpu_user": ("s", False),
    "resident": ("bytes", False),
}

PERCENTILES = ("p50", "p99", "p99.9")

#: A server that is busy for less than this share of the time was waiting for its client.
SATURATED = 0.95

#: The share of the time that a server may wait for its core because somebody else has it.
DISTURBED = 0.03


class Sample(NamedTuple):
    """*values* by the names in ``METRICS``, and shares of the time.

    *server_busy* and *client_busy* are what each side used of its core, *disturbed* is when the server was ready to
    run and somebody else had its core.  None is not known.
    """

    values: dict[str, float]
    reasons: list[str]
    warnings: list[str]
    server_busy: float | None = None
    client_busy: float | None = None
    disturbed: float | None = None

    @property
    def is_valid(self) -> bool:
        """Whether the figures may be shown."""
        return not self.reasons

    def value(self, metric: str) -> float | None:
        """Return one figure; None if it was not measured or must not be believed."""
        return self.values.get(metric) if self.is_valid else None


def sample_of(
    operations: float, throughput: float, used: Usage, resident: int, latency: dict[str, float],
    client_busy: float | None, warnings: list[str],
) -> Sample:  # fmt: skip
    """Return the valid sample of a server that *used* so much for *operations*, at a rate of *throughput*.

    How busy it was while it was measured follows from what one operation cost it and how many there were a second.
    """
    values = {**latency, "throughput": throughput}
    if resident:
        values["resident"] = resident
    if not used.total:
        return Sample(values, [], warnings, None, client_busy)
    values["cpu"] = used.total / operations
    if used.user_share is not None:
        values["cpu_user"] = values["cpu"] * used.user_share
    busy, disturbed = throughput * used.total / operations, throughput * used.waited / operations
    return Sample(values, [], warnings, busy, client_busy, disturbed)


def invalid(reason: str) -> Sample:
    """Return the sample of something that went wrong."""
    return Sample({}, [reason], [])
