"""Who has failed too often must wait: a table of peers that is bounded, and forgets.

A key cannot be guessed; that is not what this is for.  It is for a peer that fails in a loop, broken or
malicious: each attempt costs an HMAC, a connection and a line in the log.  After the first failure a peer is not
listened to for ``FIRST`` seconds, after each further one for twice as long as before, up to ``LONGEST``.  A
person who took the wrong file does not notice; who tries all night gets one attempt a minute.

What is done meanwhile is neither an attempt nor a failure.  It would be a lever, for whoever shares an address
with somebody, to lock him out for ever; and a client that makes ten connections at once with a wrong key has made
one mistake and not ten.  A success clears the account, and so does time: after ``LONGEST``
seconds beyond the wait nothing is held against a peer.

The table is as large as it may become, whatever happens: at ``PEERS`` entries the one that failed longest ago makes
room.  So somebody with more addresses than that escapes the wait; he has others to bring down.

What a peer is, is the caller's to say: any value that can be a key of a dictionary.  Time comes in as an argument.
Read next: ``reactor.service.gate``.
"""

from __future__ import annotations

from reactor.errors import OptionError

#: Seconds to wait after the first failure, and the most to wait after many.
FIRST = 0.1
LONGEST = 60.0

#: Peers that are remembered.
PEERS = 4096


class Backoff:
    """The failures of peers, and how long each has to wait.  Raises OptionError unless 0 < first <= longest, and
    peers is at least 1."""

    __slots__ = ("_accounts", "_first", "_longest", "_peers")

    def __init__(self, first: float = FIRST, longest: float = LONGEST, peers: int = PEERS) -> None:
        if not (0 < first <= longest and peers >= 1):
            raise OptionError(f"a back-off needs 0 < first <= longest, and peers: not {first}, {longest}, {peers}")
        self._first = first
        self._longest = longest
        self._peers = peers
        #: The number of failures of each peer, and the instant until which it waits; who failed last is last.
        self._accounts: dict[object, tuple[int, float]] = {}

    def __len__(self) -> int:
        return len(self._accounts)

    def wait(self, peer: object, now: float) -> float:
        """Return how many seconds *peer* has to wait at the instant *now*; 0.0: it may try."""
        account = self._accounts.get(peer)
        return 0.0 if account is None else max(0.0, account[1] - now)

    def failures(self, peer: object, now: float) -> int:
        """Return how many failures of *peer* are remembered at the instant *now*."""
        count, until = self._accounts.get(peer, (0, now))
        return count if now <= until + self._longest else 0

    def failed(self, peer: object, now: float) -> float:
        """Note that *peer* has failed at the instant *now*; return how many seconds it has to wait from then on."""
        left = self.wait(peer, now)
        if left:
            return left
        count = self.failures(peer, now) + 1
        # Doubling by shifting would be a number of as many digits as there are failures.
        wait = min(self._longest, self._first * 2.0 ** min(count - 1, 64))
        self._accounts.pop(peer, None)
        self._accounts[peer] = count, now + wait
        if len(self._accounts) > self._peers:
            del self._accounts[next(iter(self._accounts))]
        return wait

    def succeeded(self, peer: object) -> None:
        """Note that *peer* has succeeded: nothing is held against it."""
        self._accounts.pop(peer, None)
