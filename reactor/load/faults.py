"""What can be wrong with a reply, counted by kind, with the first examples of each.

A benchmark that does not look at the replies measures how fast a server says anything at all.  So each fault has a
name, and one of them is enough to make a result invalid.  The names, as a table: change it, and the report, the
JSON and the documentation follow.  Read next: ``judge``.
"""

from __future__ import annotations

#: Each kind of fault, and what it means.
KINDS: dict[str, str] = {
    "refused": "a connection that could not be made",
    "hung_up": "a connection that ended while the run went on",
    "lost": "a message that was never answered, or not within the timeout",
    "late": "one of the lost, answered after all",
    "duplicated": "a reply that had come before",
    "reordered": "a reply that came after the one to a later message",
    "corrupted": "a reply with other bytes than were expected",
    "unasked": "bytes that answer nothing that was sent",
    "malformed": "bytes that are no message in this mode; the connection was given up",
}

#: Examples that are kept of each kind.
EXAMPLES = 3


class Faults:
    """What went wrong in one run: ``counts`` has an entry for each kind, ``examples`` the first texts."""

    __slots__ = ("_kept", "counts", "examples")

    def __init__(self) -> None:
        self.counts = dict.fromkeys(KINDS, 0)
        self.examples: list[str] = []
        self._kept = dict.fromkeys(KINDS, 0)

    def __bool__(self) -> bool:
        return any(self.counts.values())

    def note(self, kind: str, text: str, times: int = 1) -> None:
        """Count a fault; *text* says where and what, without naming the kind."""
        self.counts[kind] += times
        if self._kept[kind] < EXAMPLES:
            self._kept[kind] += 1
            self.examples.append(f"{kind.replace('_', ' ')}: {text}")

    def reasons(self) -> list[str]:
        """Return one sentence for each kind that occurred."""
        return [f"{count} {kind.replace('_', ' ')}: {KINDS[kind]}" for kind, count in self.counts.items() if count]


def difference(expected: bytes, found: bytes) -> str:
    """Say in what *found* differs from *expected*: the first byte, or the length."""
    if len(expected) != len(found):
        return f"{len(found)} bytes instead of {len(expected)}"
    for position, (right, wrong) in enumerate(zip(expected, found, strict=True)):
        if right != wrong:
            return f"byte {position} is 0x{wrong:02x} instead of 0x{right:02x}"
    return "no difference"
