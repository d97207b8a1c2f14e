"""Sockets that were there before the program: handed to it by inetd, by systemd, or by its predecessor.

Whoever starts a server can open its socket first.  Then the port may be privileged and the server not, it can be
started by its first client, and restarted without one connection refused, since the queue of a listening socket is
the kernel's and waits.  There are two ways to hand a socket over at the start of a process, and both are only
numbers:

- **inetd**: the socket is descriptor 0, and 1 and often 2 as well.  ``nowait``: a connection, one process for each.
  ``wait``: the listening socket, or the datagram socket, and inetd starts no second process while this one lives.
- **systemd**: descriptors 3, 4 and so on.  LISTEN_FDS says how many; LISTEN_PID whom they are for, since a variable
  is inherited by grandchildren as well, and descriptors may be; LISTEN_FDNAMES what each is called.

Nothing says *what* a descriptor is, so the kernel is asked, and the answer is its ``role``.  What was handed over
is not to be handed on by accident: descriptors are made non-inheritable, the variables are removed, and what stood
at 0, 1 and 2 is replaced by /dev/null, so that no message for a person is sent to a client.

``start_with_sockets`` is the other end: it starts a process in systemd's way.  For a process that runs already see
``handover``.  Read next: that.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import NamedTuple

from reactor.errors import OptionError

#: The first descriptor that systemd hands over, see sd_listen_fds(3).
FIRST = 3

#: Its variables.
VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")

#: More than a process has descriptors by default; what is beyond is no number of sockets.
MOST = 1024

#: What a socket of each kind is, if it listens and if it does not.
ROLES: dict[tuple[int, bool], str] = {
    (socket.SOCK_STREAM, True): "listener",
    (socket.SOCK_STREAM, False): "stream",
    (socket.SOCK_DGRAM, False): "datagram",
    (socket.SOCK_SEQPACKET, True): "seqpacket listener",
    (socket.SOCK_SEQPACKET, False): "seqpacket",
}


class Inherited(NamedTuple):
    """A socket that was handed over; it is the receiver's own from then on, to be adopted or closed."""

    #: What it is called: a name of LISTEN_FDNAMES, "inetd", or "unknown".
    name: str
    sock: socket.socket
    #: "listener", "stream" (connected), "datagram", "seqpacket listener" or "seqpacket".
    role: str


def inherited_sockets(environ: MutableMapping[str, str] | None = None, *, first: int = FIRST) -> list[Inherited]:
    """Return the sockets that systemd, or ``start_with_sockets``, handed to this process; none if it did not.

    The variables are removed from *environ* (``os.environ``), whoever they were for, so a second call returns none.
    Raises OptionError for variables that make no sense and for descriptors that are no sockets; all that was handed
    over stays open then, as it was, for the caller to look at.  Before threads are started.
    """
    environ = os.environ if environ is None else environ
    given = {name: environ.pop(name, None) for name in VARIABLES}
    count, pid = given["LISTEN_FDS"], given["LISTEN_PID"]
    if count is None or pid is None or _number("LISTEN_PID", pid, 2**31) != os.getpid():
        return []
    fds = range(first, first + _number("LISTEN_FDS", count, MOST))
    names = _names(given["LISTEN_FDNAMES"], len(fds))
    roles = [_role(fd, f"descriptor {fd} of LISTEN_FDS={count}") for fd in fds]
    return [Inherited(name, _owned(fd), role) for name, fd, role in zip(names, fds, roles, strict=True)]


def inetd_socket(fd: int = 0) -> Inherited:
    """Return the socket that inetd handed to this process as descriptor *fd*, under another number.

    /dev/null takes its place, and that of each of the descriptors 0 to 2 that is the same socket.  Raises
    OptionError if *fd* is no socket; nothing is changed then.  Before threads are started.
    """
    role = _role(fd, f"descriptor {fd}, which inetd makes a socket,")
    null = os.open(os.devnull, os.O_RDWR)
    try:
        taken = _owned(os.dup(fd))
        identity = _identity(taken.fileno())
        for place in sorted({fd, 0, 1, 2}):
            if _identity(place) == identity:
                os.dup2(null, place, inheritable=place <= 2)
    finally:
        os.close(null)
    return Inherited("inetd", taken, role)


def _number(name: str, text: str, most: int) -> int:
    """Return the number that *text* is: decimal ASCII digits and nothing else, at most *most*."""
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= most):
        raise OptionError(f"{name} is a number up to {most}, not {text!r}; who started this process has set it")
    return int(text)


def _names(text: str | None, count: int) -> list[str]:
    if text is None:
        return ["unknown"] * count
    names = text.split(":") if text else []
    if len(names) != count:
        raise OptionError(f"LISTEN_FDNAMES has {len(names)} names for {count} descriptors: {text!r}")
    return names


def _role(fd: int, what: str) -> str:
    """Ask the kernel what *fd* is."""
    try:
        sock = socket.socket(fileno=fd)
    except OSError as exc:
        state = "is not open" if exc.errno == errno.EBADF else "is no socket"
        raise OptionError(f"{what} {state}: who started this process should have handed over a socket") from exc
    try:
        return role_of(sock)
    finally:
        sock.detach()


def role_of(sock: socket.socket) -> str:
    """Return what *sock* is, in the words of ``Inherited.role``.  Raises OptionError for any other kind."""
    is_listening = bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    role = ROLES.get((sock.type, is_listening))
    if role is None:
        kinds = ", ".join(ROLES.values())
        raise OptionError(f"a socket of kind {sock.type!r} was handed over, which is none of {kinds}")
    return role


def _owned(fd: int) -> socket.socket:
    """Return a socket that owns *fd*; children do not inherit it, and no call on it blocks the loop."""
    sock = socket.socket(fileno=fd)
    sock.set_inheritable(False)
    sock.setblocking(False)
    return sock


def _identity(fd: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino


# -- the other end ---------------------------------------------------------------------------------------------


def start_with_sockets(
    command: Sequence[str],
    sockets: Mapping[str, socket.socket],
    environ: Mapping[str, str] | None = None,
) -> int:
    """Start *command* with *sockets* by name, in systemd's way, and return the number of the process.

    The sockets stay the caller's as well: both processes may accept from one queue, until either closes its own.
    The caller waits for the child (``os.waitpid``).  The first word of *command* is looked up in PATH; a small
    shell stands between, because LISTEN_PID can be known to the child only.  Raises OptionError for names that
    cannot be told apart in LISTEN_FDNAMES, OSError if there is no process to be had.  Unix.
    """
    for name in sockets:
        checked_name(name)
    variables = {
        **(os.environ if environ is None else environ),
        "LISTEN_FDS": str(len(sockets)),
        "LISTEN_FDNAMES": ":".join(sockets),
    }
    # Copies above all the places where they are to go: a copy into a place never overwrites one still needed.
    copies = _copies((sock.fileno() for sock in sockets.values()), FIRST + len(sockets))
    try:
        places = [(os.POSIX_SPAWN_DUP2, copy, FIRST + place) for place, copy in enumerate(copies)]
        shell = ["/bin/sh", "-c", 'LISTEN_PID=$$; export LISTEN_PID; exec "$0" "$@"', *command]
        # Python ignores SIGPIPE, and what is ignored stays so across exec: programs do not expect that.
        return os.posix_spawn(shell[0], shell, variables, file_actions=places, setsigdef=[signal.SIGPIPE])
    finally:
        for copy in copies:
            os.close(copy)


def checked_name(name: str) -> str:
    """Return *name* if it can be a socket's, as systemd sees it, else raise OptionError."""
    if not (0 < len(name) <= 255 and name.isascii() and name.isprintable()) or ":" in name or " " in name:
        raise OptionError(f"a socket's name is 1 to 255 ASCII characters, no space or colon, not {name!r}")
    return name


def _copies(fds: Iterable[int], least: int) -> list[int]:
    """Return a duplicate of each of *fds* whose number is at least *least*."""
    import fcntl

    copies: list[int] = []
    try:
        for fd in fds:
            copies.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, least))
    except BaseException:
        for copy in copies:
            os.close(copy)
        raise
    return copies
