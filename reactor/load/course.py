"""One run, from its plan to its result: connect, warm up, measure, drain, leave.

Only what happens between two marks is measured: throughput as the difference of the counters, latency of the
messages that were due after the first.  After the second mark nothing is sent, but every reply that is owed is
waited for: a generator that hangs up on a slow server has thrown its worst latencies away.

About once a second the engine comes back to have its old messages given up, and to show how far it is.  Read next:
``docs/load.md``.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from reactor.load.dial import dial
from reactor.load.engine import UNLIMITED
from reactor.load.engine_native import NativeEngine, native_problem
from reactor.load.engine_python import PythonEngine
from reactor.load.material import Material
from reactor.load.plan import check_plan
from reactor.load.progress import Moment
from reactor.load.result import Result, Window, make_result
from reactor.net.reactor import Reactor

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from reactor.load.engine import Engine
    from reactor.load.plan import Plan

#: Seconds between two looks at the clock, when nothing else asks for one.
TICK = 1.0

#: Nanoseconds that are as good as forever.
FOR_EVER = 10**18


def run(plan: Plan, *, progress: Callable[[Moment], object] | None = None) -> Result:
    """Do what *plan* says and return what was found; *progress* is called about once a second.

    A server that cannot be reached, misbehaves or goes away makes the result invalid and raises nothing.  Raises
    OptionError and AddressError for a plan that cannot be, AccelUnavailable if it demands the native engine and
    there is none, OSError when this system runs out of something.  Any thread; it has a reactor of its own.
    """
    check_plan(plan)
    material = Material(plan)
    chosen, reason = choose_engine(plan.engine)
    with Reactor() as loop:
        sockets = dial(loop, plan, material.faults)
        if not sockets:
            return make_result(material, chosen.name, reason, 0, Window(0.0, 0.0, 0, 0, 0, 0))
        engine = _started(chosen, loop, material, sockets)
        try:
            window = _Course(plan, material, engine, progress).follow()
            return make_result(material, engine.name, reason, len(sockets), window)
        finally:
            engine.close()


def choose_engine(choice: str) -> tuple[type[NativeEngine | PythonEngine], str]:
    """Return the engine for *choice* ("auto", "python" or "native") and why it is that one."""
    if choice == "python":
        return PythonEngine, "chosen"
    if choice == "native":
        return NativeEngine, "chosen"
    problem = native_problem()
    return (NativeEngine, "automatic") if problem is None else (PythonEngine, problem)


def _started(
    chosen: type[NativeEngine | PythonEngine], loop: Reactor, material: Material, sockets: list[socket.socket]
) -> NativeEngine | PythonEngine:
    judges = [material.judge(number) for number in range(len(sockets))]
    try:
        return chosen(loop, material, sockets, judges)
    except BaseException:
        for sock in sockets:
            sock.close()
        raise


class _Course:
    """The phases of one run, in order."""

    __slots__ = ("_engine", "_last", "_material", "_plan", "_progress", "_start")

    def __init__(
        self, plan: Plan, material: Material, engine: Engine, progress: Callable[[Moment], object] | None
    ) -> None:
        self._plan = plan
        self._material = material
        self._engine = engine
        self._progress = progress
        self._start = time.monotonic_ns()
        self._last = (self._start, 0, 0)

    def follow(self) -> Window:
        """Go through all phases; return what was measured."""
        plan, engine, meter = self._plan, self._engine, self._material.meter
        engine.budget = UNLIMITED if plan.messages is None else plan.messages
        if plan.warm_up_seconds():
            self._drive("warming up", plan.warm_up_seconds())
        meter.record_from = time.monotonic_ns()
        begin = self._mark()
        self._drive("measuring", plan.seconds())
        end = self._mark()
        engine.budget = 0
        self._drive("draining", plan.timeout)
        engine.give_up(FOR_EVER)
        engine.leave()
        return end.since(begin)

    def _mark(self) -> Window:
        meter = self._material.meter
        return Window(
            time.monotonic(),
            time.thread_time(),
            meter.messages_in,
            meter.bytes_in,
            meter.messages_out,
            meter.bytes_out,
        )

    def _drive(self, phase: str, seconds: float | None) -> None:
        """Let the engine drive for so long (None: as long as there is something to do)."""
        engine, start = self._engine, time.monotonic_ns()
        end = FOR_EVER if seconds is None else start + int(seconds * 1e9)
        tick = int(1e9 * min(TICK, self._plan.timeout / 2))
        now = start
        while now < end and engine.alive and (engine.budget or engine.owed()):
            engine.advance(min(end, now + tick))
            now = time.monotonic_ns()
            engine.give_up(now - int(self._plan.timeout * 1e9))
            self._show(phase, now, start, seconds)

    def _show(self, phase: str, now: int, start: int, seconds: float | None) -> None:
        meter = self._material.meter
        before, messages, size = self._last
        passed = (now - before) / 1e9
        if self._progress is None or passed < 0.9 * TICK:
            return
        self._last = (now, meter.messages_in, meter.bytes_in)
        self._progress(
            Moment(
                phase=phase,
                elapsed=(now - start) / 1e9,
                total=seconds,
                answered=meter.messages_in,
                rate=(meter.messages_in - messages) / passed,
                bytes_rate=(meter.bytes_in - size) / passed,
                faults=sum(self._material.faults.counts.values()),
            )
        )
