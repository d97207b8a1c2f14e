"""A graceful restart: the new server takes the listening sockets from the old one, and nobody is refused.

A listening socket that is closed takes its queue with it, and until the next one is bound whoever connects is
refused.  So the socket is never closed: the old server waits at the path of a Unix socket, a ``HandoverPoint``, and
the new one comes and takes it, with ``take_over``::

    new  connects
    old  sends "reactor-handover 1", the names, and beside them the descriptors
    new  adopts them, and says "taken" when it is ready to serve
    old  removes its path, listens no more, ends the conversation, lets its clients finish
    new  sees that end, and may wait at the same path for its own successor

Between these steps both accept from one queue, which is no harm.  The order is the point: until "taken" the old
server has changed nothing, so a successor that fails, says nothing for HANDOVER_TIMEOUT seconds or speaks another
version is forgotten, with one line in the log, and the service goes on.

Whoever can connect to the path gets the port.  So it has mode 0600, and each end asks the kernel who the other is
(SO_PEERCRED): the same user, or root.  Paths of Unix *services* stay where they are: the old listener is told to
leave its path alone.  Read next: ``docs/activation.md``.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from reactor.arguments import checked_callable, checked_seconds
from reactor.errors import HandoverFailed, OptionError, ReactorError, os_error_text
from reactor.net.sockets.addresses import checked_unix_path, format_address
from reactor.net.sockets.opening import open_unix_listener, remove_unix_path
from reactor.net.sockets.options import peer_credentials
from reactor.service.activation import Inherited, checked_name, role_of
from reactor.service.passing import MOST, Parcel, receive_descriptors, send_descriptors

if TYPE_CHECKING:
    from reactor.core.handles import Timer
    from reactor.net.reactor import Reactor

#: What the old server says first; a successor that expects another version goes no further.
GREETING = b"reactor-handover 1"

#: What the new server says when it is ready to serve.
TAKEN = b"taken\n"

#: Seconds that either end waits for the other.  A process that starts in more has other troubles.
HANDOVER_TIMEOUT = 10.0

#: The longest line of names: MOST names of 255 characters.
LINE_BYTES = 66_000


class HandoverPoint:
    """Where a server waits for its successor: the Unix socket *path*.

    *listeners* are what is handed over, by name: listeners and datagram endpoints of *loop*, or bare sockets; a
    listener on several sockets hands over each under its one name.  *on_taken* is called when the successor serves:
    mostly ``server.stop``.  Nothing was closed then, and the point is closed.

    Raises BindFailed if somebody waits at *path* already, OptionError.  Loop thread only.
    """

    def __init__(
        self,
        loop: Reactor,
        path: str,
        listeners: Mapping[str, Any],
        on_taken: Callable[[], object],
        *,
        timeout: float = HANDOVER_TIMEOUT,
    ) -> None:
        for name in listeners:
            checked_name(name)
        checked_callable("on_taken", on_taken)
        checked_seconds("timeout", timeout, none=False)
        self._loop = loop
        self._listeners = dict(listeners)
        self._on_taken = on_taken
        self._timeout = timeout
        self._successor: socket.socket | None = None
        self._heard = b""
        self._deadline: Timer | None = None
        self._path = checked_unix_path(path)
        self._sock = open_unix_listener(loop.ops, path, backlog=8, mode=0o600)
        self._identity = loop.ops.path_identity(self._path)
        try:
            self._acceptor = loop.add_acceptor(self._sock, self._on_connected)
        except BaseException:
            self._sock.close()
            remove_unix_path(loop.ops, self._path, self._identity)
            raise

    def close(self) -> None:
        """Wait no more, and remove the path if it is still ours.  Idempotent."""
        self._forget_successor()
        if self._sock.fileno() >= 0:
            self._acceptor.close()
            self._sock.close()
            remove_unix_path(self._loop.ops, self._path, self._identity)

    # -- one successor at a time -------------------------------------------------------------------------------

    def _on_connected(self, sock: socket.socket, address: Any) -> None:
        self._successor, self._heard = sock, b""
        self._acceptor.pause()
        self._deadline = self._loop.call_later(self._timeout, self._fail, "it was silent for too long")
        try:
            check_owner(sock)
            self._send(sock)
            self._loop.add_reader(sock, self._on_answer, sock)
        except (OSError, ReactorError) as exc:
            self._fail(str(exc))

    def _send(self, sock: socket.socket) -> None:
        pairs = [(name, one) for name, source in self._listeners.items() for one in sockets_of(source)]
        line = b" ".join([GREETING, *(name.encode() for name, _ in pairs)]) + b"\n"
        if send_descriptors(sock, line, [one for _, one in pairs]) != len(line):
            raise HandoverFailed("it does not read what it is sent")

    def _on_answer(self, sock: socket.socket) -> None:
        try:
            chunk = sock.recv(len(TAKEN))
        except BlockingIOError:
            return
        except OSError as exc:
            self._fail(os_error_text(exc))
            return
        self._heard += chunk
        if self._heard == TAKEN:
            self._hand_over()
        elif not chunk or not TAKEN.startswith(self._heard):
            self._fail("it went away" if not chunk else f"it said {self._heard[:20]!r}")

    def _hand_over(self) -> None:
        for source in self._listeners.values():
            if hasattr(source, "forget_path"):
                source.forget_path()
        successor, self._successor = self._successor, None
        try:
            # The path is free before the successor hears of the end: it may wait there itself.
            self.close()
            self._on_taken()
        finally:
            if successor is not None:
                self._end(successor)

    def _fail(self, reason: str) -> None:
        """Forget this successor, and wait for another."""
        self._forget_successor()
        self._loop.counters.peer_errors += 1
        self._loop.reports.fault("handover", f"a successor did not take over: {reason}; serving goes on")
        if self._sock.fileno() >= 0:
            self._acceptor.resume()

    def _forget_successor(self) -> None:
        successor, self._successor = self._successor, None
        if successor is not None:
            self._end(successor)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end(self, successor: socket.socket) -> None:
        self._loop.remove_reader(successor)
        successor.close()


def sockets_of(source: Any) -> list[socket.socket]:
    """Return the sockets of a listener, a datagram endpoint, or a bare socket."""
    if isinstance(source, socket.socket):
        return [source]
    if hasattr(source, "sockets"):
        return list(source.sockets)
    return [source.get_extra_info("socket")]


def check_owner(sock: socket.socket) -> None:
    """Raise HandoverFailed unless this user, or root, is at the other end; where nobody can tell, the path's mode
    decides."""
    try:
        uid = peer_credentials(sock).uid
    except OptionError:
        return
    if uid not in (0, os.geteuid()):
        raise HandoverFailed(f"at the other end is user {uid}, and this is {os.geteuid()}")


# -- the successor ---------------------------------------------------------------------------------------------


class Takeover:
    """What the predecessor handed over: adopt ``sockets``, then ``confirm``.  Without that it goes on serving.

    Made by ``take_over``.  The sockets are yours; ``close`` closes the conversation only.
    """

    def __init__(self, channel: socket.socket, sockets: list[Inherited]) -> None:
        self._channel = channel
        self.sockets = sockets

    def confirm(self) -> None:
        """Say that this process serves now, and wait until the predecessor has let go of everything.

        Raises HandoverFailed if it is gone, or does not answer in time; then both may be serving.  Blocks, for as
        long as the predecessor's loop takes for a turn or two.
        """
        try:
            self._channel.sendall(TAKEN)
            while self._channel.recv(100):
                pass
        except OSError as exc:
            raise HandoverFailed(f"the predecessor did not let go: {exc}") from exc
        finally:
            self.close()

    def close(self) -> None:
        """End the conversation.  Idempotent."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def take_over(path: str, *, timeout: float = HANDOVER_TIMEOUT) -> Takeover | None:
    """Ask the server that waits at *path* for its sockets; None if nobody waits there.

    Blocks for at most *timeout* seconds: it is for the start of a program, before its loop runs.  Raises
    HandoverFailed if the server there does not speak, speaks another version, or belongs to another user, and
    DescriptorsLost; nothing is left open then, and the server goes on.
    """
    checked_seconds("timeout", timeout, none=False)
    deadline = time.monotonic() + timeout
    channel = socket.socket(socket.AF_UNIX)
    try:
        channel.settimeout(timeout)
        channel.connect(checked_unix_path(path))
        check_owner(channel)
        sockets = _received(channel, deadline)
        channel.settimeout(timeout)
        return Takeover(channel, sockets)
    except (FileNotFoundError, ConnectionRefusedError):
        channel.close()
        return None
    except OSError as exc:
        channel.close()
        if isinstance(exc, ReactorError):
            raise
        raise HandoverFailed(f"{format_address(path)} hands nothing over: {exc}") from exc
    except BaseException:
        channel.close()
        raise


def _received(channel: socket.socket, deadline: float) -> list[Inherited]:
    """Receive the names and the sockets."""
    channel.settimeout(max(deadline - time.monotonic(), 1e-6))
    with receive_descriptors(channel, LINE_BYTES, MOST) as parcel:
        line = parcel.data
        while line and not line.endswith(b"\n") and len(line) < LINE_BYTES:
            channel.settimeout(max(deadline - time.monotonic(), 1e-6))
            chunk = channel.recv(LINE_BYTES - len(line))
            if not chunk:
                break
            line += chunk
        names = _names_in(line)
        if len(names) != len(parcel):
            raise HandoverFailed(f"the predecessor sent {len(parcel)} sockets with {len(names)} names")
        return _wrapped(names, parcel)


def _names_in(line: bytes) -> list[str]:
    words = line[:-1].split(b" ")
    if not line.endswith(b"\n") or b" ".join(words[:2]) != GREETING:
        raise HandoverFailed(f"the predecessor said {line[:40]!r} instead of {GREETING.decode()!r} and names")
    try:
        return [checked_name(word.decode()) for word in words[2:]]
    except ValueError as exc:
        raise HandoverFailed(f"the predecessor sent names that are none: {exc}") from exc


def _wrapped(names: list[str], parcel: Parcel) -> list[Inherited]:
    """Make sockets of the descriptors, and close all of them if one is none."""
    fds = parcel.take()
    wrapped: list[Inherited] = []
    try:
        for name in names:
            sock = socket.socket(fileno=fds[0])
            del fds[0]
            sock.setblocking(False)
            wrapped.append(Inherited(name, sock, ""))
        return [one._replace(role=role_of(one.sock)) for one in wrapped]
    except BaseException as exc:
        Parcel(b"", fds).close()
        for one in wrapped:
            one.sock.close()
        if isinstance(exc, OSError | OptionError):
            raise HandoverFailed(f"the predecessor sent what is no socket to serve on: {exc}") from exc
        raise
