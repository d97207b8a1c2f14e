"""What a run found, as a value: figures, faults, whether it is valid, and what to be careful with.

**Validity** is about the server: one lost, doubled, changed or late reply, one connection that was refused or ended
early, and the figures describe something that does not work.  **Warnings** are about the generator: it was busy, it
sent late, it could not send at all.  Such a result is correct, but it may describe the generator.

The JSON form is the same thing (``as_dict``), under a ``schema`` whose number changes when a name in it does.
Read next: ``report``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reactor.load.buckets import method
from reactor.load.environment import environment

if TYPE_CHECKING:
    from reactor.load.material import Material

SCHEMA = "reactor-load/1"

#: The share of its time that a generator may be busy before it is called the bottleneck.
BUSY = 0.95

#: Seconds that one send in a hundred may be late; below that is what a system with other work does.
LATE = 0.002

#: The share of the rate asked for that must have been sent.
ON_RATE = 0.99

Percentiles = dict[str, float] | None


class Window(NamedTuple):
    """The part of a run that was measured: counts within it, wall clock seconds, CPU seconds of this thread."""

    seconds: float
    cpu_seconds: float
    messages_in: int
    bytes_in: int
    messages_out: int
    bytes_out: int

    def since(self, begin: Window) -> Window:
        """Return what happened between two marks, each of which counts from some start."""
        return Window(
            self.seconds - begin.seconds,
            self.cpu_seconds - begin.cpu_seconds,
            self.messages_in - begin.messages_in,
            self.bytes_in - begin.bytes_in,
            self.messages_out - begin.messages_out,
            self.bytes_out - begin.bytes_out,
        )


class Result(NamedTuple):
    """What a run found.  Durations are seconds, sizes bytes of messages without framing; see ``docs/load.md``."""

    plan: dict[str, object]
    engine: str
    engine_reason: str
    environment: dict[str, object]
    connections: int
    window: Window
    sent: int
    answered: int
    latency: Percentiles
    latency_count: int
    #: Open loop: counted from the send, as a naive tool does, and how late the sends were.
    service: Percentiles
    lateness: Percentiles
    faults: dict[str, int]
    examples: list[str]
    reasons: list[str]
    warnings: list[str]

    @property
    def is_valid(self) -> bool:
        """Whether every message was answered, once, in turn, with the right bytes, and anything was measured."""
        return not self.reasons

    @property
    def messages_per_second(self) -> float:
        """Verified replies a second."""
        return self.window.messages_in / self.window.seconds if self.window.seconds else 0.0

    @property
    def bytes_per_second(self) -> float:
        """Verified bytes of replies a second."""
        return self.window.bytes_in / self.window.seconds if self.window.seconds else 0.0

    @property
    def utilisation(self) -> float:
        """The share of the time that the generator's thread was busy, from 0 to 1."""
        return self.window.cpu_seconds / self.window.seconds if self.window.seconds else 0.0

    def as_dict(self) -> dict[str, object]:
        """Return the JSON form, documented in ``docs/load.md``."""
        return {
            "schema": SCHEMA,
            "valid": self.is_valid,
            "reasons": self.reasons,
            "warnings": self.warnings,
            "plan": self.plan,
            "engine": {"name": self.engine, "reason": self.engine_reason},
            "environment": self.environment,
            "connections": self.connections,
            "seconds": self.window.seconds,
            "messages": {"sent": self.sent, "answered": self.answered, "measured": self.window.messages_in},
            "throughput": {
                "messages_per_second": self.messages_per_second,
                "bytes_per_second": self.bytes_per_second,
            },
            "latency": self.latency,
            "latency_count": self.latency_count,
            "service": self.service,
            "lateness": self.lateness,
            "percentiles_by": method(),
            "faults": self.faults,
            "examples": self.examples,
            "generator": {"cpu_seconds": self.window.cpu_seconds, "utilisation": self.utilisation},
        }


def make_result(material: Material, engine: str, reason: str, connections: int, window: Window) -> Result:
    """Return the result of a run that is over."""
    meter, faults = material.meter, material.faults
    found = Result(
        plan=_plan_of(material),
        engine=engine,
        engine_reason=reason,
        environment=environment(),
        connections=connections,
        window=window,
        sent=meter.messages_out,
        answered=meter.messages_in,
        latency=meter.latency.summary(),
        latency_count=meter.latency.count,
        service=meter.service.summary(),
        lateness=meter.lateness.summary(),
        faults=dict(faults.counts),
        examples=list(faults.examples),
        reasons=faults.reasons(),
        warnings=[],
    )
    if not found.latency_count and not found.reasons:
        found.reasons.append("nothing was measured: no message that was sent after the warm-up was answered")
    found.warnings.extend(_warnings(found, material))
    return found


def _plan_of(material: Material) -> dict[str, object]:
    plan = material.plan
    settled = {"duration": plan.seconds(), "warm_up": plan.warm_up_seconds()}
    return {**plan._asdict(), **settled, "loop": "open" if plan.is_open else "closed",
            "mean_size": material.messages.mean_size()}  # fmt: skip


def _warnings(found: Result, material: Material) -> list[str]:
    warnings, plan = [], material.plan
    if found.utilisation > BUSY:
        warnings.append(
            f"the generator was busy {found.utilisation:.0%} of the time: this may be its limit, not the server's"
        )
    if found.lateness is not None and found.lateness["p99"] > LATE:
        warnings.append(f"one send in a hundred was {found.lateness['p99'] * 1e3:.1f} ms late or more")
    if material.meter.held:
        warnings.append(
            f"{material.meter.held} times a message was due while every connection owed {material.starts.ring}"
            " replies or did not read: sends had to wait, so the loop was not quite open"
        )
    if plan.rate is not None and found.window.seconds:
        rate = found.window.messages_out / found.window.seconds
        if rate < ON_RATE * plan.rate and plan.messages is None:
            warnings.append(f"only {rate:.0f} of {plan.rate:g} messages a second were sent")
    return warnings
