"""``reactor serve --activation``: on the sockets that inetd or systemd has opened, instead of its own.

Only what starts the server differs; what it serves, says and counts is the same.  A server that was started for one
connection ends with it.  One that was given a listening socket may end when it has been idle for a while
(``--exit-idle``): who started it has kept the socket, and starts it again for the next client, who waits in the
kernel's queue meanwhile.  How the sockets are found is in ``reactor.service.activation``.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from reactor.cli.arguments import seconds
from reactor.errors import OptionError
from reactor.service.activation import Inherited, inetd_socket, inherited_sockets

if TYPE_CHECKING:
    from reactor.net.reactor import Reactor
    from reactor.service.server import Server

#: Arguments that say where to listen, or how; the socket that is handed over has its own.
SETTLED = ("host", "port", "unix", "backlog")

#: Options that make sense for connections only.
FOR_STREAMS = ("max_connections", "idle_timeout")


def add_activation(parser: argparse.ArgumentParser) -> None:
    """Add --activation and --exit-idle."""
    parser.add_argument(
        "--activation", choices=("systemd", "inetd"),
        help="serve on the sockets that this process was started with: LISTEN_FDS, or descriptor 0",
    )  # fmt: skip
    parser.add_argument(
        "--exit-idle", type=seconds, metavar="S",
        help="with --activation: end when nobody was there for S seconds; the next client starts it again",
    )  # fmt: skip


def open_inherited(server: Server, arguments: argparse.Namespace) -> None:
    """Have *server* serve on what was handed over.  Raises OptionError if that is nothing, or cannot be served on.
    """
    for name in SETTLED:
        if getattr(arguments, name) is not None:
            raise OptionError(f"--{name} is settled with --activation: the socket is open already")
    if arguments.udp or arguments.reuse_port:
        raise OptionError("--udp and --reuse-port are settled with --activation: the socket is open already")
    sockets = [inetd_socket()] if arguments.activation == "inetd" else inherited_sockets()
    if not sockets:
        raise OptionError("no socket was handed over: LISTEN_FDS is not set, or LISTEN_PID is another process")
    try:
        apply_kind(sockets, arguments)
        for inherited in sockets:
            adopt(server, inherited, arguments)
    except BaseException:
        for inherited in sockets:
            inherited.sock.close()
        raise


def apply_kind(sockets: list[Inherited], arguments: argparse.Namespace) -> None:
    """Have the *arguments* say what the sockets are.  Raises OptionError for options that are for connections."""
    arguments.udp = all(inherited.role == "datagram" for inherited in sockets)
    for name in FOR_STREAMS if arguments.udp else ():
        if getattr(arguments, name) is not None:
            raise OptionError(f"--{name.replace('_', '-')} is for connections; datagrams have none")


def adopt(server: Server, inherited: Inherited, arguments: argparse.Namespace) -> None:
    """Have *server* serve on one socket."""
    if inherited.role == "listener":
        server.adopt_listener(
            inherited.sock, max_connections=arguments.max_connections, idle_timeout=arguments.idle_timeout
        )
    elif inherited.role == "stream":
        stream = server.adopt_stream(inherited.sock)
        if arguments.idle_timeout is not None:
            stream.set_idle_timeout(arguments.idle_timeout)
    elif inherited.role == "datagram":
        server.adopt_datagram(inherited.sock)
    else:
        raise OptionError(f"the socket {inherited.name!r} is a {inherited.role}; serve takes streams and datagrams")


def is_over(server: Server, arguments: argparse.Namespace) -> bool:
    """Return True if the server was started for connections, not to listen, and they have ended."""
    return bool(arguments.activation) and not server.addresses and server.is_idle


def end_when_idle(server: Server, loop: Reactor, arguments: argparse.Namespace) -> None:
    """Stop *server* when nobody was there for --exit-idle seconds, or up to twice that.

    Raises OptionError without --activation: nobody would start the server again.
    """
    if arguments.exit_idle is None:
        return
    if not arguments.activation:
        raise OptionError("--exit-idle is for --activation: nobody would start the server again")
    counters = server.counters
    seen = (counters.connections, counters.messages)

    def look() -> None:
        nonlocal seen
        now = (counters.connections, counters.messages)
        if now == seen and server.is_idle and not server.is_stopping:
            server.stop(arguments.grace)
        seen = now

    loop.call_every(arguments.exit_idle, look)
