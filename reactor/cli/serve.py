"""``reactor serve``: one of the named services, until somebody says stop.

One line on stdout says where it listens, with the real port if the system chose it, so a script can wait for
that line. SIGINT or SIGTERM ends it: clients may finish what they began, then one line says what was served,
and the status is 0. A second signal does not wait for the clients.  With keys SIGHUP reads their file again, for
the clients that come after it; if it cannot be used, the old keys stay.  Read next: ``call``.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
from typing import TYPE_CHECKING

import reactor
from reactor.cli.activated import add_activation, end_when_idle, is_over, open_inherited
from reactor.cli.arguments import add_machinery, add_mode, expand, poller_text, seconds, use_accel, whole_number
from reactor.cli.credentials import add_credentials, credentials
from reactor.cli.serve_upload import add_upload, is_upload, upload_server
from reactor.cli.terminal import announce, tell
from reactor.errors import KeyRefused, OptionError, ResolutionFailed, os_error_text
from reactor.framing.scanner import accel_status
from reactor.limits import BACKLOG
from reactor.net.names.failures import ADVICE
from reactor.service.catalog import SERVICES
from reactor.service.key_file import read_keys
from reactor.service.server import GRACE, Server

if TYPE_CHECKING:
    from typing import Any

    from reactor.service.gate import ServerGate

DESCRIPTION = "Serve one of: " + "; ".join(f"{row.name} ({row.summary})" for row in SERVICES.values())
DESCRIPTION += "; upload (keeps the files that 'reactor send' sends)"

#: Seconds that the peers' kernels have to take the last replies, after the last session has ended.
SETTLE = 1.0

#: Where it listens without --host, --port and --unix.
HOST, PORT = "127.0.0.1", 8888

#: Options that make sense for connections only.
FOR_STREAMS = ("max_connections", "idle_timeout", "backlog")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser("serve", help=f"serve {', '.join([*SERVICES, 'upload'])}", description=DESCRIPTION)
    add = parser.add_argument
    add("service", choices=[*SERVICES, "upload"], metavar="SERVICE", help=", ".join([*SERVICES, "upload"]))
    add("--host", help=f"address or name to listen on; '' is everywhere ({HOST})")
    add("--port", type=whole_number(0, 65535), help=f"0: any free one ({PORT})")
    add("--unix", type=expand, metavar="PATH", help="listen on a Unix socket instead; @NAME is abstract")
    add("--udp", action="store_true", help="serve datagrams (the service 'datagram' always does)")
    add_activation(parser)
    add_mode(parser)
    add_credentials(parser, "serve only those who prove that they have a key of this file")
    add_machinery(parser)
    add("--max-connections", type=whole_number(1, 10**7), metavar="N", help="further clients wait")
    add("--idle-timeout", type=seconds, metavar="S", help="close a connection after S silent seconds")
    add("--backlog", type=whole_number(1, 2**31 - 1), metavar="N", help=f"queue of new clients ({BACKLOG})")
    add("--reuse-port", action="store_true", help="share the port with other servers that do as well")
    add("--grace", type=seconds, default=GRACE, metavar="S", help="the end takes at most so long (%(default)g)")
    talk = parser.add_mutually_exclusive_group()
    talk.add_argument("--verbose", action="store_true", help="also say who comes and goes")
    talk.add_argument("--quiet", action="store_true", help="only say where it listens and what was served")
    add_upload(parser)
    parser.set_defaults(run=run, command="serve")


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal comes."""
    logging.raiseExceptions = False  # a log that nobody reads any more is no reason to complain to nobody
    logging.basicConfig(format="%(message)s", level=logging.CRITICAL if arguments.quiet else logging.WARNING)
    use_accel(arguments.accel)
    proof = credentials(arguments)
    with reactor.Reactor(arguments.selector) as loop:
        server = make_server(loop, arguments, proof)
        try:
            open_address(server, arguments)
        except ResolutionFailed as exc:
            raise advised(exc, arguments.host) from exc
        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(signum, server.stop, arguments.grace)
        if server.gate is not None:
            loop.add_signal_handler(signal.SIGHUP, renew_keys, server.gate, arguments.auth_key)
        end_when_idle(server, loop, arguments)
        announce(f"listening on {where(server)}: {described(server, loop, arguments)}")
        loop.run_until(lambda: server.is_stopped or is_over(server, arguments))
        settle(loop, arguments.grace)
        announce(f"served {server.counters}")
    return 0


def renew_keys(gate: ServerGate, path: str) -> None:
    """Have *gate* accept the keys that the file at *path* has now; if it cannot be used, say so and change
    nothing."""
    try:
        gate.keys = read_keys(path)
    except (KeyRefused, OSError) as exc:
        reason = f"{path}: {os_error_text(exc)}" if isinstance(exc, OSError) else str(exc)
        tell(f"the keys are what they were: {reason}")
    else:
        tell(f"the keys are now {', '.join(gate.keys)}")


def make_server(loop: reactor.Reactor, arguments: argparse.Namespace, proof: dict[str, Any]) -> Server:
    """Return the server that the *arguments* ask for; it listens nowhere yet."""
    if is_upload(arguments):
        return upload_server(loop, arguments, tell if arguments.verbose else None, proof)
    return Server(
        loop, arguments.service, mode=arguments.mode, accel=arguments.accel,
        max_frame_length=arguments.max_frame_length, journal=journal_for(arguments), **proof,
    )  # fmt: skip


def journal_for(arguments: argparse.Namespace) -> Any:
    """Return who is told what happens: --verbose all of it, --quiet nothing, else what a service notes for
    itself."""
    if arguments.quiet or not (arguments.verbose or SERVICES[arguments.service].is_noted):
        return None
    return tell


def uses_datagrams(server: Server, arguments: argparse.Namespace) -> bool:
    """Return True if datagrams were asked for, or are all that the service does."""
    return arguments.udp or "stream" not in server.service.transports


def open_address(server: Server, arguments: argparse.Namespace) -> None:
    """Have *server* listen where the *arguments* say.  Raises OptionError for what contradicts itself."""
    if arguments.activation:
        open_inherited(server, arguments)
        return
    if arguments.unix and (arguments.host is not None or arguments.port is not None):
        raise OptionError("either --unix or --host and --port, not both")
    host = HOST if arguments.host is None else arguments.host
    port = PORT if arguments.port is None else arguments.port
    if uses_datagrams(server, arguments):
        for name in FOR_STREAMS:
            if getattr(arguments, name) is not None:
                raise OptionError(f"--{name.replace('_', '-')} is for connections; datagrams have none")
        local = arguments.unix or (host, port)
        server.open_datagram(local, reuse_port=arguments.reuse_port and not arguments.unix)
        return
    options = {name: getattr(arguments, name) for name in FOR_STREAMS}
    options["backlog"] = arguments.backlog or BACKLOG
    if arguments.unix:
        server.listen_unix(arguments.unix, **options)
    else:
        server.listen_tcp(host, port, reuse_port=arguments.reuse_port, **options)


def advised(failure: ResolutionFailed, host: str) -> ResolutionFailed:
    """Return *failure* in the words of ``reactor call``: without the number, and with what a person can do."""
    cause = failure.__cause__
    if not isinstance(cause, socket.gaierror):
        return failure
    advice = ADVICE.get(cause.errno or 0, "")
    return ResolutionFailed(f"{host!r} has no address: {cause.strerror}{advice}", cause.errno, cause.strerror)


def where(server: Server) -> str:
    """Return where *server* listens, for a person and for ``reactor call``."""
    addresses = map(reactor.format_address, server.addresses)
    return ", ".join(addresses) or "a connection that was handed over"


def described(server: Server, loop: reactor.Reactor, arguments: argparse.Namespace) -> str:
    """Return what *server* does and with which machinery."""
    kind = "datagrams" if uses_datagrams(server, arguments) else "messages"
    framing, _ = accel_status(arguments.accel)
    name = f"{server.service.name}, {server.mode} {kind}"
    if server.gate is not None:
        name += ", authenticated"
    return f"{name}, {poller_text(loop)}, {framing} framing, pid {os.getpid()}"


def settle(loop: reactor.Reactor, grace: float) -> None:
    """Give the last replies time to arrive: until the peers have closed too, or a short while."""
    try:
        loop.run_until(lambda: not loop._shared.lingering, timeout=min(grace, SETTLE))
    except TimeoutError:
        pass
