"""A server that can be started again at once, and that says who is in its way if somebody is.

    python listen_again.py [PORT]

Whoever closes a connection first keeps its addresses in TIME_WAIT for a minute.  SO_REUSEADDR, which listeners have
unless told otherwise, lets the next server have the port all the same; a server that still listens there does not.
"""

import signal
import sys

import reactor

if not all(map(str.isdecimal, sys.argv[1:])):
    sys.exit(__doc__)


class Farewell(reactor.Protocol):
    def connection_made(self, transport):
        transport.write(b"bye\n")
        transport.close()  # this side is the first, so TIME_WAIT is on this side


with reactor.Reactor() as loop:
    try:
        listener = loop.listen_tcp(
            Farewell,
            "127.0.0.1",
            int(sys.argv[1]) if sys.argv[1:] else 8888,
            backlog=512,  # connections that the kernel has made and nobody has accepted yet
            max_connections=10_000,  # then no more are accepted until one has gone
        )
    except reactor.ReactorError as exc:
        sys.exit(str(exc))
    loop.add_signal_handler(signal.SIGINT, loop.stop)
    print("listening on", reactor.format_address(listener.address), flush=True)
    loop.run()
