"""The judges: what came back on a connection, compared with what was asked.  Sans-IO.

Where messages have boundaries (lines, frames, datagrams) replies are judged **by content**: each names itself, so a
lost, doubled, reordered, late or changed one is told from the others.  A raw stream has no boundaries; there the
bytes are judged **by position**: byte k of what comes back must be byte k of what was sent.  A changed byte is one
corrupted message, but after a lost or an additional byte nothing fits any more, and that is what the result shows.

Both have one face.  ``feed(data, now)`` takes what was received; ``expected`` is the oldest message without a
reply, ``settled`` counts those that are no longer waited for, ``give_up(before)`` stops waiting for old
ones.  ``queued`` is set by the engine: how many messages this connection was given to send.

**The invariant**: each message is settled once: answered, corrupted, or lost.

This file is the specification of the C engine, which handles only what is as it should be and hands everything else
to a judge.  Read next: ``schedule``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reactor.errors import FramingError
from reactor.load.faults import difference
from reactor.load.messages import HEADER, named_by

if TYPE_CHECKING:
    from reactor.framing.codec import Codec
    from reactor.load.faults import Faults
    from reactor.load.messages import Messages
    from reactor.load.meter import Meter
    from reactor.load.starts import Starts

#: A reply too short to name itself is compared with so many messages, before and after the one that is expected.
NEIGHBOURS = 64

#: Messages that were given up and whose late replies would be recognised.
REMEMBERED = 4096


class Judge:
    """What both kinds of judges share: who settles what."""

    __slots__ = (
        "connection",
        "expected",
        "faults",
        "is_broken",
        "messages",
        "meter",
        "queued",
        "settled",
        "starts",
    )

    def __init__(self, connection: int, messages: Messages, starts: Starts, meter: Meter, faults: Faults) -> None:
        self.connection = connection
        self.messages = messages
        self.starts = starts
        self.meter = meter
        self.faults = faults
        self.queued = self.expected = self.settled = 0
        #: Nothing that this connection says can be understood any more: give it up.
        self.is_broken = False

    def feed(self, data: bytes, now: int) -> None:
        """Judge *data*, received at *now* (nanoseconds)."""
        raise NotImplementedError

    def feed_datagram(self, data: bytes, now: int) -> None:
        """Judge one datagram."""
        raise NotImplementedError

    def is_clean(self) -> bool:
        """Return True if all is as it should be: nothing half received, everything before ``expected`` settled."""
        raise NotImplementedError

    @property
    def owed(self) -> int:
        """How many replies are waited for."""
        return self.queued - self.settled

    def has_room(self, window: int) -> bool:
        """Return True if another message may be sent: fewer than *window* are owed, and its start can be kept."""
        return self.queued - self.settled < window and self.queued - self.expected < self.starts.ring

    def lose_all(self, why: str) -> None:
        """The connection is gone: what is owed is lost."""
        if self.owed:
            first = self.expected
            self.faults.note("lost", f"connection {self.connection}, message {first} ff.: {why}", self.owed)
            self.settled = self.expected = self.queued

    def give_up(self, before: int) -> None:
        """Stop waiting for the messages that were sent before the instant *before* (nanoseconds)."""
        raise NotImplementedError

    def _note(self, kind: str, number: int, text: str) -> None:
        self.faults.note(kind, f"connection {self.connection}, message {number}{text}")

    def _measure(self, number: int, now: int) -> None:
        due, sent = self.starts.of(self.connection, number)
        self.meter.answered(self.messages.size(self.connection, number), due, sent, now)

    def _settle_oldest(self) -> None:
        """The oldest message is not waited for any more."""
        self.settled += 1
        self.expected += 1

    def _is_overdue(self, before: int) -> bool:
        return self.expected < self.queued and self.starts.of(self.connection, self.expected)[1] < before


class ByContent(Judge):
    """Judges replies that have boundaries, cut by *codec*."""

    __slots__ = ("_ahead", "_codec", "_decoder", "_given_up")

    def __init__(
        self, connection: int, messages: Messages, starts: Starts, meter: Meter, faults: Faults, codec: Codec
    ) -> None:
        super().__init__(connection, messages, starts, meter, faults)
        self._codec = codec
        self._decoder = codec.fresh()
        #: Settled already although an earlier one is still expected; given up, so that it would be late.
        self._ahead: set[int] = set()
        self._given_up: set[int] = set()

    def feed(self, data: bytes, now: int) -> None:
        """Judge the replies that *data* completes."""
        try:
            replies = self._decoder.feed(data)
        except FramingError as fault:
            replies = fault.frames
            self._malformed(fault)
        for reply in replies:
            self._judge(reply, now)

    def feed_datagram(self, data: bytes, now: int) -> None:
        """Judge the replies in one datagram, which holds whole ones only."""
        decoder = self._codec.fresh()
        try:
            for reply in decoder.feed(data) + decoder.feed_eof():
                self._judge(reply, now)
        except FramingError as fault:
            self.faults.note("malformed", f"connection {self.connection}: {fault}")

    def is_clean(self) -> bool:
        """Nothing is half received and no reply came out of turn."""
        return not (self._ahead or self._decoder.buffered or self.is_broken)

    def give_up(self, before: int) -> None:
        """Count what is overdue as lost, and go on with the next message."""
        while self._is_overdue(before):
            self._note("lost", self.expected, "")
            if len(self._given_up) < REMEMBERED:
                self._given_up.add(self.expected)
            self._settle_oldest()

    def _malformed(self, fault: FramingError) -> None:
        if not self.is_broken:
            self.is_broken = True
            self.faults.note("malformed", f"connection {self.connection}: {fault}")

    def _judge(self, reply: bytes, now: int) -> None:
        number = self.expected
        if number < self.queued and reply == self.messages.reply(self.connection, number):
            if self._ahead:
                self._note("reordered", number, f": its reply came after that to {min(self._ahead)}")
            self._measure(number, now)
            self._settle_oldest()
        else:
            self._judge_strange(reply, now)

    def _judge_strange(self, reply: bytes, now: int) -> None:
        number = self._recognised(reply)
        if number is None:
            self._corrupted(reply)
        elif number in self._given_up:
            self._given_up.discard(number)
            self._note("late", number, "")
        elif number < self.expected or number in self._ahead:
            self._note("duplicated", number, "")
        elif number >= self.queued:
            self._note("unasked", number, ", which was not sent yet")
        else:
            self._measure(number, now)
            self._settle_ahead(number)

    def _recognised(self, reply: bytes) -> int | None:
        """Return which message *reply* answers word for word, None if none of this connection's."""
        named = named_by(reply)
        if named is not None and named[0] == self.connection:
            candidates = range(named[1], named[1] + 1)
        elif len(reply) < HEADER:
            candidates = range(max(0, self.expected - NEIGHBOURS), self.expected + NEIGHBOURS)
        else:
            return None
        ours = (number for number in candidates if reply == self.messages.reply(self.connection, number))
        return next(ours, None)

    def _corrupted(self, reply: bytes) -> None:
        """No message has this reply.  It stands for the message that it names, or else for the oldest."""
        named = named_by(reply)
        number = self.expected
        if named is not None and named[0] == self.connection and number <= named[1] < self.queued:
            number = named[1]
        if number >= self.queued or number in self._ahead:
            self.faults.note("unasked", f"connection {self.connection}: {len(reply)} bytes")
            return
        self._note("corrupted", number, ": " + difference(self.messages.reply(self.connection, number), reply))
        if number == self.expected:
            self._settle_oldest()
        else:
            self._settle_ahead(number)

    def _settle_ahead(self, number: int) -> None:
        """A message is settled before an older one."""
        self.settled += 1
        self._ahead.add(number)

    def _settle_oldest(self) -> None:
        """The oldest is settled: the next that is not becomes the oldest."""
        super()._settle_oldest()
        while self.expected in self._ahead:
            self._ahead.discard(self.expected)
            self.expected += 1


class ByPosition(Judge):
    """Judges a stream without boundaries, byte by byte."""

    __slots__ = ("_damage", "_offset")

    def __init__(self, connection: int, messages: Messages, starts: Starts, meter: Meter, faults: Faults) -> None:
        super().__init__(connection, messages, starts, meter, faults)
        #: Bytes of the expected reply that have come, and what was wrong with them.
        self._offset = 0
        self._damage = ""

    def feed(self, data: bytes, now: int) -> None:
        """Judge *data*, which continues where the last one ended."""
        view = memoryview(data)
        while view:
            if self.expected == self.queued:
                self.faults.note("unasked", f"connection {self.connection}: {len(view)} bytes too many")
                return
            view = view[self._compare(view, now) :]

    def is_clean(self) -> bool:
        """Nothing is half received."""
        return not self._offset and not self.is_broken

    def give_up(self, before: int) -> None:
        """What comes from now on could not be told from what is missing: the connection is given up."""
        if self._is_overdue(before):
            self.lose_all("no reply within the timeout")
            self.is_broken = True

    def _compare(self, data: memoryview, now: int) -> int:
        """Judge what belongs to the expected reply; return how many bytes that is."""
        number, at = self.expected, self._offset
        whole = self.messages.reply(self.connection, number)
        right = whole[at : at + len(data)]
        found = data[: len(right)]
        if found != right and not self._damage:
            where = next(i for i, pair in enumerate(zip(right, found, strict=True)) if pair[0] != pair[1])
            self._damage = f": byte {at + where} is 0x{found[where]:02x} instead of 0x{right[where]:02x}"
        self._offset += len(found)
        if self._offset == len(whole):
            self._complete(number, now)
        return len(found)

    def _complete(self, number: int, now: int) -> None:
        if self._damage:
            self._note("corrupted", number, self._damage)
        else:
            self._measure(number, now)
        self._settle_oldest()
        self._offset = 0
        self._damage = ""
