"""What a reactor counted since it was made: nothing that went wrong goes unseen, even where nothing is printed.

Plain integers, increased by the reactor's own thread only, so reading them from anywhere is safe and costs nothing.
Read next: ``reports``.
"""

from __future__ import annotations


class Counters:
    """One integer per kind of event; all start at zero and only grow."""

    __slots__ = (
        "accepted", "accept_errors", "shed", "connected", "connect_failures", "closed_descriptors",
        "closed_streams", "callback_errors", "slow_callbacks", "peer_errors", "resets", "idle_timeouts",
        "write_overflows",
        "stray_wakeups", "poller_rebuilds", "datagrams_received", "datagrams_sent", "datagrams_dropped",
    )  # fmt: skip

    accepted: int  #: connections taken from listening sockets
    accept_errors: int  #: failures of accept(2) other than "none there"
    shed: int  #: connections accepted only to be closed, for lack of descriptors
    connected: int  #: connections opened by this side
    connect_failures: int  #: attempts that failed, timed out or were cancelled
    closed_descriptors: int  #: registered descriptors found closed behind the reactor's back
    closed_streams: int  #: streams that ended, for whatever reason
    callback_errors: int  #: exceptions that callbacks and protocols let escape
    slow_callbacks: int  #: callbacks that took too long, in debug mode
    peer_errors: int  #: connections closed because the peer broke the protocol
    resets: int  #: connections that the peer reset
    idle_timeouts: int  #: connections closed for silence
    write_overflows: int  #: connections aborted at the hard cap on unsent bytes
    stray_wakeups: int  #: wake-ups of the poller for nothing that anybody waits for
    poller_rebuilds: int  #: times that the poller was replaced because of them
    datagrams_received: int
    datagrams_sent: int
    datagrams_dropped: int  #: datagrams refused for lack of buffer space

    def __init__(self) -> None:
        for name in self.__slots__:
            setattr(self, name, 0)

    def as_dict(self) -> dict[str, int]:
        """Return all counters by name."""
        return {name: getattr(self, name) for name in self.__slots__}
