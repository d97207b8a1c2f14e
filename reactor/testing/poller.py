"""A poller that never sleeps: what is ready, and when, is written down beforehand.

A test that waits for the kernel is slow at best and wrong at worst.  This poller looks at no descriptor.  It is
told three kinds of things: what is ready in a given turn (``script``), what becomes ready at an instant (``at``),
and what is ready until further notice, as a level-triggered kernel would report it (``hold``).  Asked to wait, it
moves the virtual clock on by the time it would have slept, so an hour of timers runs in a millisecond and always in
the same order.  Asked to wait forever with nothing left to come, it says so instead of hanging.

As in a kernel, the readiness of a descriptor that is not registered concerns nobody; an entry that outlived its
descriptor, as epoll knows them, is what ``orphan`` makes.  Descriptors may be any numbers, also such that the
system does not know.  Read next: ``sockets``, whose numbers are of that kind.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush
from itertools import count
from selectors import EVENT_READ, EVENT_WRITE, SelectorKey
from typing import TYPE_CHECKING

from reactor.core.polling.contract import Poller, descriptor_of
from reactor.errors import ScriptExhausted
from reactor.testing.clock import VirtualClock

if TYPE_CHECKING:
    from typing import Any


class ScriptedPoller(Poller):
    """A poller for ``Reactor(selector=ScriptedPoller(clock), clock=clock)``.

    ``waits`` records each timeout it was asked for, ``calls`` what the kernel would have been told, as ``("watch" |
    "change" | "forget", fd, events)``, and ``rebuilds`` how often a new kernel set was demanded.
    """

    __slots__ = ("_held", "_instants", "_order", "_orphans", "_turns", "calls", "clock", "rebuilds", "waits")

    name = "scripted"

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self.clock = clock
        self.waits: list[float | None] = []
        self.calls: list[tuple[str, int, int]] = []
        self.rebuilds = 0
        self._turns: dict[int, list[tuple[int, int]]] = {}
        self._instants: list[tuple[float, int, int, int]] = []
        self._held: dict[int, int] = {}
        self._orphans: set[int] = set()
        self._order = count().__next__

    # -- what a test says --------------------------------------------------------------------------------------

    def script(self, *turns: Iterable[tuple[Any, int]]) -> None:
        """Append turns: each is what one call of ``select`` finds ready, as ``(fileobj, events)`` pairs.

        An empty turn is a wait that passes without an event (or a wake-up for nothing, if it was forever).
        """
        first = max([len(self.waits), *self._turns]) + 1
        for turn, events in enumerate(turns, first):
            self._turns[turn] = [(descriptor_of(fileobj), mask) for fileobj, mask in events]

    def at(self, when: float, fileobj: Any, events: int = EVENT_READ) -> None:
        """Have *fileobj* become ready once, at the instant *when* of the clock."""
        heappush(self._instants, (when, self._order(), descriptor_of(fileobj), events))

    def hold(self, fileobj: Any, events: int = EVENT_READ) -> None:
        """Have *fileobj* be ready for *events* from now on."""
        fd = descriptor_of(fileobj)
        self._held[fd] = self._held.get(fd, 0) | events

    def release(self, fileobj: Any, events: int = EVENT_READ | EVENT_WRITE) -> None:
        """Have *fileobj* be no longer ready for *events*; the opposite of ``hold``."""
        fd = descriptor_of(fileobj)
        rest = self._held.pop(fd, 0) & ~events
        if rest:
            self._held[fd] = rest

    def orphan(self, fileobj: Any) -> None:
        """Report *fileobj* as readable, registered or not, at every call until the kernel's set is rebuilt."""
        self._orphans.add(descriptor_of(fileobj))

    # -- what the loop asks ------------------------------------------------------------------------------------

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """Return what this turn's script says; if that is nothing, let *timeout* pass or the next instant come.

        Raises ScriptExhausted if *timeout* is None and nothing more will ever become ready.
        """
        self.waits.append(timeout)
        scripted = self._turns.pop(len(self.waits), None)
        ready = self._ready_now(scripted or ())
        if not ready and (timeout is None or timeout > 0):
            if timeout is None and scripted is None and not self._instants and not self._turns:
                raise ScriptExhausted(
                    f"turn {len(self.waits)} would wait forever: no timer is set and nothing more is scripted; "
                    "script another turn, or stop the loop"
                )
            self._pass_time(timeout)
            ready = self._ready_now(())
        return ready

    def _ready_now(self, scripted: Iterable[tuple[int, int]]) -> list[tuple[SelectorKey, int]]:
        found = dict.fromkeys(self._orphans, EVENT_READ)
        for fd, mask in (*scripted, *self._come_true(), *self._held.items()):
            found[fd] = found.get(fd, 0) | mask
        ready = []
        for fd, mask in found.items():
            key = self._keys.get(fd)
            if key is not None and mask & key.events:
                ready.append((key, mask & key.events))
            self.strays += fd in self._orphans and key is None
        return ready

    def _come_true(self) -> list[tuple[int, int]]:
        due = []
        while self._instants and self._instants[0][0] <= self.clock.now:
            _, _, fd, mask = heappop(self._instants)
            due.append((fd, mask))
        return due

    def _pass_time(self, timeout: float | None) -> None:
        limits = [] if timeout is None else [self.clock.now + timeout]
        limits += [self._instants[0][0]] if self._instants else []
        if limits:
            self.clock.advance_to(min(limits))

    def rebuild(self) -> None:
        """Count the demand; a new set has no orphans."""
        self.rebuilds += 1
        self._orphans.clear()

    def _watch(self, fd: int, events: int) -> None:
        self.calls.append(("watch", fd, events))

    def _change(self, fd: int, events: int) -> None:
        self.calls.append(("change", fd, events))

    def _forget(self, fd: int) -> None:
        self.calls.append(("forget", fd, 0))
