"""A server that keeps files: a ``Server`` whose clients are ``UploadSession`` objects, with a store and workers.

To the outside it is a server like any other of this folder (addresses, counters, a journal, an orderly stop), so
that the command line serves it in the same way.  What differs is the end: when the last client has gone there may
still be files in the workers' hands, and the directory is not given back before those are put away.

**Stopping**: no new client, no new file; what is being sent may be finished, and is acknowledged, for ``grace``
seconds.  Whatever is cut off then goes on where it was when it is sent again.

**Expiry**: what broken transfers left is removed when nobody has come back for it, at the start and then once in a
while.

Read next: ``source``, the other end.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from reactor.arguments import checked_instance, checked_seconds, checked_whole
from reactor.service.catalog import Service
from reactor.service.counters import ServerCounters, counted, size_text
from reactor.service.server import GRACE, Server
from reactor.service.upload.messages import FRAME_BYTES
from reactor.service.upload.session import SIGN_INTERVAL, UploadSession
from reactor.service.upload.store import EXPIRY, Store
from reactor.service.upload.transfer import Claims
from reactor.service.workers import THREADS, Workers

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from typing import Any, Unpack

    from reactor.auth.keys import KeyRing
    from reactor.core.handles import Timer
    from reactor.net.protocol import StreamFactory
    from reactor.net.reactor import ListenerKeywords, Reactor, TransportKeywords
    from reactor.net.stream.stream import Stream
    from reactor.service.upload.messages import Reason
    from reactor.service.upload.transfer import Transfer

#: It has no words of its own to say, only a name and a transport.
UPLOAD = Service("upload", "keeps the files that are sent to it", None, transports=("stream",))

#: Connections at once, unless told otherwise: each may hold a few megabytes and a few descriptors.
MAX_CONNECTIONS = 100

#: Seconds of silence after which a client that has the word is gone.
IDLE_TIMEOUT = 60.0

#: Seconds between two looks for expired files.
SWEEP_INTERVAL = 3600.0


class UploadCounters(ServerCounters):
    """What an upload server counts beside the connections: ``messages`` are those of the files."""

    __slots__ = ("files", "refused")

    files: int  #: files that were kept, also those that were here already
    refused: int  #: files that were refused

    def __init__(self) -> None:
        for name in (*ServerCounters.__slots__, *self.__slots__):
            setattr(self, name, 0)

    def as_dict(self) -> dict[str, int]:
        """Return all counts by name."""
        return {name: getattr(self, name) for name in (*ServerCounters.__slots__, *self.__slots__)}

    def __str__(self) -> str:
        at_once = f" ({self.open_peak:,} at once)" if self.open_peak > 1 else ""
        return (
            f"{counted(self.connections, 'connection')}{at_once}, {counted(self.files, 'file')} kept, "
            f"{self.refused:,} refused, {size_text(self.bytes_in)} in, {counted(self.errors, 'error')}"
        )


class UploadServer(Server):
    """Keeps what is sent to it in the directory of *store*, which it closes at its end.

    *threads* is how many threads work on files; *idle_timeout* the seconds of silence, in the client's turn, that
    end a connection; *expiry* the seconds for which the beginning of a file is kept for its sender to go on.
    *journal* is told in one line what happens; *keys* and *context* are those of ``Server``.  Raises OptionError
    for what cannot be, AccelUnavailable.  Loop thread only.
    """

    __slots__ = (
        "_expiry", "_has_ended", "_signs", "_sweeps", "claims", "idle_timeout", "sessions", "store", "workers",
    )  # fmt: skip

    counters: UploadCounters

    def __init__(
        self,
        loop: Reactor,
        store: Store,
        *,
        threads: int = THREADS,
        idle_timeout: float = IDLE_TIMEOUT,
        expiry: float = EXPIRY,
        accel: str | None = None,
        journal: Callable[[str], object] | None = None,
        keys: KeyRing | None = None,
        context: bytes = b"",
    ) -> None:
        checked_seconds("idle_timeout", idle_timeout, none=False)
        checked_seconds("expiry", expiry, none=False)
        checked_instance("store", store, Store, "a Store")
        checked_whole("threads", threads, 1)
        super().__init__(
            loop, UPLOAD, mode="framed", accel=accel, max_frame_length=FRAME_BYTES, journal=journal, keys=keys,
            context=context,
        )  # fmt: skip
        self.counters = UploadCounters()
        self.store = store
        self.workers = Workers(loop, threads)
        self.claims = Claims()
        self.idle_timeout = idle_timeout
        self.sessions: set[UploadSession] = set()
        self._expiry = expiry
        self._has_ended = False
        self._signs: Timer | None = None
        self._sweep()
        self._sweeps = loop.call_every(min(SWEEP_INTERVAL, expiry), self._sweep)

    # -- where it serves ---------------------------------------------------------------------------------------

    def _session(self) -> UploadSession:
        return UploadSession(self)

    def _factory(self, options: ListenerKeywords) -> StreamFactory:
        """As ``Server._factory``; the idle timeout is taken out of *options*, since the sessions keep it, and a
        limit is put in."""
        self.idle_timeout = checked_seconds("idle_timeout", options.pop("idle_timeout", None)) or self.idle_timeout
        if options.get("max_connections") is None:
            options["max_connections"] = MAX_CONNECTIONS
        return super()._factory(options)

    def adopt_stream(self, sock: socket.socket | int, **options: Unpack[TransportKeywords]) -> Stream:
        """Serve on a connection that is made already; arguments, errors are those of ``Reactor.adopt_stream``."""
        return self._loop.adopt_stream(super()._factory({}), sock, **options)

    # -- for sessions and transfers ----------------------------------------------------------------------------

    def client_came(self, session: UploadSession) -> None:
        """A connection was made."""
        self.counters.opened()
        self.sessions.add(session)
        self.note(session.transport, "connected")
        if self._signs is None:
            self._signs = self._loop.call_every(SIGN_INTERVAL, self._give_signs)

    def client_left(self, session: UploadSession, exc: BaseException | None) -> None:
        """A connection is gone."""
        self.counters.closed(exc)
        self.sessions.discard(session)
        self.note(session.transport, "closed" if exc is None else f"lost: {exc}")
        if self._signs is not None and not self.sessions:
            self._signs.cancel()
            self._signs = None
        self.session_ended()
        self._end_if_done()

    def bytes_received(self, size: int) -> None:
        """*size* bytes of a file have come."""
        self.counters.messages += 1
        self.counters.bytes_in += size

    def file_kept(self, transfer: Transfer) -> None:
        """A file is in the store."""
        self.counters.files += 1
        self.note(transfer.link.transport, "sent", transfer.offer.name.decode())

    def file_refused(self, transfer: Transfer, reason: Reason, text: str) -> None:
        """A file will not be."""
        self.counters.refused += 1
        self.note(transfer.link.transport, f"was refused a file ({reason.name.lower()}):", text)

    def transfer_over(self) -> None:
        """One file less is in hand."""
        self._end_if_done()

    def _give_signs(self) -> None:
        now = self._loop.time()
        for session in list(self.sessions):
            session.give_sign()
            session.check_progress(now)

    # -- what lies about ---------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        now, expiry = time.time(), self._expiry
        self.workers.submit(lambda: self.store.sweep(now, expiry), self._on_swept)

    def _on_swept(self, removed: int, error: Exception | None) -> None:
        self._end_if_done()
        if error is not None:
            self.report("upload", f"{self.store.directory}: expired files were not removed: {error}")

    # -- stopping ----------------------------------------------------------------------------------------------

    def stop(self, grace: float = GRACE) -> None:
        """As ``Server.stop``: what clients are sending may be finished within *grace* seconds."""
        super().stop(grace)
        self._sweeps.cancel()
        self._end_if_done()

    @property
    def is_stopped(self) -> bool:
        """True when ``stop`` was called, the last client has gone, and the directory has been given back."""
        return self._has_ended

    def _end_if_done(self) -> None:
        if self.is_stopping and not (self._has_ended or self.counters.open or self.claims or self.workers.pending):
            self._has_ended = True
            self.workers.close()  # nothing is left for them to do, so this waits for nothing
            self.store.close()

    def _sessions(self) -> Iterator[Any]:
        yield from list(self.sessions)
