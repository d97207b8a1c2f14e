"""What one run has measured so far: counts, bytes and durations, filled by either engine.

Bytes are those of the messages, without lengths and line ends: what an application would call its data.  Durations
are recorded only of messages that were due after the warm-up.  Read next: ``judge``.
"""

from __future__ import annotations

from reactor.load.buckets import Record


class Meter:
    """Counters since the start, and three records.

    ``latency`` counts from when a message was due, ``service`` from when it was sent (in the open loop only; in the
    closed loop they are the same), ``lateness`` is how long after it was due it was sent.
    """

    __slots__ = (
        "bytes_in", "bytes_out", "held", "is_open", "lateness", "latency", "messages_in", "messages_out",
        "record_from", "service",
    )  # fmt: skip

    def __init__(self, *, is_open: bool) -> None:
        self.is_open = is_open
        self.messages_out = self.messages_in = self.bytes_out = self.bytes_in = 0
        #: Times that a message was due and every connection owed as much as it may.
        self.held = 0
        #: Nanoseconds of the monotonic clock; messages that were due earlier are not recorded.
        self.record_from = 0
        self.latency, self.service, self.lateness = Record(), Record(), Record()

    def sent(self, due: int, now: int) -> None:
        """A message that was due at *due* is sent *now*."""
        if self.is_open and due >= self.record_from:
            self.lateness.add(now - due)

    def answered(self, size: int, due: int, sent: int, now: int) -> None:
        """The right reply, of *size* bytes, has come."""
        self.messages_in += 1
        self.bytes_in += size
        if due >= self.record_from:
            self.latency.add(now - due)
            if self.is_open:
                self.service.add(now - sent)
