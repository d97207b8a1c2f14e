"""What the name service has answered, for as long as that may be believed.

getaddrinfo(3) returns addresses without their time to live: whether they came from a file, from DNS or from a
neighbour that answers by multicast, it does not say.  So the lifetime is chosen here, short enough that a
service that has moved is found again, and long enough that a thousand connections to one name ask once.  That
there is *no* answer is remembered as well, for a shorter time: whoever mistypes a name in a loop would otherwise
put that question to the network each time.

The number of entries is bounded, because names may come from peers, and the one that has not been used for the
longest time makes room.  A ``dict`` keeps its order, so it is that queue already: an entry that is used is taken
out and put in at the end, and the first is the one to go.

This is a data structure and knows no clock: the instant comes in with each call, as float seconds of any clock
that does not go back.  Read next: ``host_table``, then ``resolver``, which asks here first.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from reactor.arguments import checked_seconds, checked_whole
from reactor.limits import NAME_CACHE_ENTRIES, NAME_LIFETIME, NAME_NEGATIVE_LIFETIME

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from typing import Any


class NameCache:
    """At most *capacity* answers, each believed for *lifetime* seconds, or for *negative_lifetime* if it is that
    there is none.

    A lifetime of 0 remembers nothing of that kind.  Changing a lifetime concerns what is put in later.  Raises
    OptionError for what is no number, or a negative one.
    """

    __slots__ = ("_entries", "capacity", "hits", "lifetime", "misses", "negative_lifetime")

    def __init__(
        self,
        lifetime: float = NAME_LIFETIME,
        negative_lifetime: float = NAME_NEGATIVE_LIFETIME,
        capacity: int = NAME_CACHE_ENTRIES,
    ) -> None:
        self.lifetime = checked_seconds("lifetime", lifetime, none=False, zero=True)
        self.negative_lifetime = checked_seconds("negative_lifetime", negative_lifetime, none=False, zero=True)
        self.capacity = checked_whole("capacity", capacity)
        #: How often ``get`` found an answer, and how often it did not.
        self.hits = self.misses = 0
        #: The answers, and until when each is believed; the one used last is the last.
        self._entries: dict[Hashable, tuple[Any, float]] = {}

    def __len__(self) -> int:
        """Return how many answers are held; some may be too old to be given."""
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {len(self)} of {self.capacity}, {self.hits} hits, {self.misses} misses>"

    def get(self, key: Hashable, now: float) -> Any:
        """Return the answer for *key*, None if there is none that can be believed at the instant *now*."""
        entry = self._entries.pop(key, None)
        if entry is None or now >= entry[1]:
            self.misses += 1
            return None
        self._entries[key] = entry
        self.hits += 1
        return entry[0]

    def put(self, key: Hashable, answer: Any, now: float) -> None:
        """Remember *answer*, not None, which was given at the instant *now*; an exception is a negative one."""
        lifetime = self.negative_lifetime if isinstance(answer, BaseException) else self.lifetime
        self._entries.pop(key, None)
        if not (lifetime and self.capacity):
            return
        while len(self._entries) >= self.capacity:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = (answer, now + lifetime)

    def discard(self, is_meant: Callable[[Any], bool]) -> None:
        """Forget every answer whose key *is_meant*."""
        for key in [key for key in self._entries if is_meant(key)]:
            del self._entries[key]

    def clear(self) -> None:
        """Forget all answers."""
        self._entries.clear()
