"""What drives the connections: one face, two engines.

An engine is given connected sockets and lets messages go round on them until an instant, or until nothing is left
to do.  What it owes, and what both engines do in the same words:

    advance(until)   send, receive and verify until the instant (nanoseconds of the monotonic clock); return early
                     when nothing may be sent and nothing is owed, or when no connection is left
    budget           how many messages may still be sent; 0 ends the sending
    give_up(before)  stop waiting for the replies to messages that were sent before the instant
    owed()           how many replies are waited for
    leave()          end every connection in an orderly way, judging what still comes; then all sockets are closed
    close()          close all sockets at once

``PythonEngine`` runs on the reactor, anywhere; ``NativeEngine`` is the same in C, on Linux.  Read next:
``engine_python``, ``engine_native``.
"""

from __future__ import annotations

from typing import Protocol

#: No limit on the messages that may be sent.
UNLIMITED = 2**64 - 1

#: Seconds that connections have to end after the last reply, so that what was sent in addition is seen.
FAREWELL = 0.5

#: Bytes that are received at once, and that one datagram may have.
CHUNK = 256 * 1024


class Engine(Protocol):
    """See above."""

    name: str
    budget: int
    alive: int

    def advance(self, until: int) -> None:
        """Drive until the instant, or until there is nothing to do."""

    def give_up(self, before: int) -> None:
        """Cease to wait for what was sent before the instant."""

    def owed(self) -> int:
        """Return how many replies are waited for."""

    def leave(self) -> None:
        """End in an orderly way."""

    def close(self) -> None:
        """End at once."""
