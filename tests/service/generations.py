"""A server that is restarted while it serves: ``python -m tests.service.generations handover|exec PATH``.

It answers each connection with its process number and closes it.  ``handover``: it takes the listening socket of
the server that waits at PATH, if one does, and waits there for its own successor.  ``exec``: at SIGHUP it starts
itself anew with the listening socket, and stops when the new one serves.  It says where it listens, and at the end
how many it has answered.  Read next: ``test_restart``.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from typing import Any

import reactor
from reactor.service import HandoverPoint, inherited_sockets, start_with_sockets, take_over


class Answering(reactor.Protocol):
    """Says who it is, and hangs up."""

    count = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        Answering.count += 1
        transport.write(b"%d" % os.getpid())
        transport.close()


def end(loop: reactor.Reactor, listener: reactor.Listener) -> None:
    """Listen no more; the loop ends when the last answer was taken."""
    listener.close()
    loop.call_soon(loop.stop)


def serve_handed_over(loop: reactor.Reactor, path: str) -> None:
    """Serve on the predecessor's socket, or on a new one, until a successor takes it."""
    handed = take_over(path)
    if handed is None:
        listener = loop.listen_tcp(Answering, "127.0.0.1")
    else:
        [inherited] = handed.sockets
        listener = loop.adopt_listener(Answering, inherited.sock)
        handed.confirm()
    point = HandoverPoint(loop, path, {"web": listener}, partial(end, loop, listener))
    loop.add_signal_handler(signal.SIGTERM, partial(end, loop, listener))
    report(listener)
    loop.run()
    point.close()


def serve_inherited(loop: reactor.Reactor, path: str) -> None:
    """Serve on the inherited socket, or on a new one, until a successor was started and says so by SIGUSR1."""
    found = inherited_sockets()
    if found:
        listener = loop.adopt_listener(Answering, found[0].sock)
        os.kill(os.getppid(), signal.SIGUSR1)
    else:
        listener = loop.listen_tcp(Answering, "127.0.0.1")

    def start_successor() -> None:
        words = [sys.executable, "-m", "tests.service.generations", "exec", path]
        start_with_sockets(words, {"web": listener.sockets[0]})

    loop.add_signal_handler(signal.SIGHUP, start_successor)
    loop.add_signal_handler(signal.SIGUSR1, partial(end, loop, listener))
    loop.add_signal_handler(signal.SIGTERM, partial(end, loop, listener))
    report(listener)
    loop.run()


def report(listener: reactor.Listener) -> None:
    """Say where it serves."""
    say(f"listening on {reactor.format_address(listener.address)}: {os.getpid()}")


def say(line: str) -> None:
    """Write *line* to stdout, which several generations share, in one piece."""
    os.write(1, f"{line}\n".encode())


def main() -> None:
    """Serve one generation."""
    ways = {"handover": serve_handed_over, "exec": serve_inherited}
    with reactor.Reactor() as loop:
        ways[sys.argv[1]](loop, sys.argv[2])
        loop.run_until(lambda: not loop._shared.transports and not loop._shared.lingering, 10)
    say(str(Answering.count))


if __name__ == "__main__":
    main()
