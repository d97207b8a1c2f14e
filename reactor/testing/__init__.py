"""Doubles for programs built on the reactor: a clock, a poller, sockets and an operating system that obey a script.

Nothing here sleeps, and nothing depends on luck.  Read in this order: ``clock``, ``script``, ``poller``,
``sockets``, ``ops``.  A loop that lives in virtual time is three lines::

    clock = VirtualClock()
    poller = ScriptedPoller(clock)
    loop = Loop(poller, clock=clock, ops=ScriptedOps(poller))
"""

from __future__ import annotations

from reactor.testing.clock import VirtualClock
from reactor.testing.ops import ScriptedOps
from reactor.testing.poller import ScriptedPoller
from reactor.testing.script import ORDINARY, Script
from reactor.testing.sockets import ScriptedSocket

__all__ = ["VirtualClock", "Script", "ORDINARY", "ScriptedPoller", "ScriptedSocket", "ScriptedOps"]
