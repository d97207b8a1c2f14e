"""Tells how each of its clients ended: in order, killed, or fallen silent.  None of that is the others' business.

    python killed_clients.py [PORT]

Whoever is killed is closed by the kernel, and a socket that is closed with unread input resets its connection.
Without a callback for it the reset would be an exception in the middle of the server; here it is an argument.
"""

import signal
import sys

import reactor

if not all(map(str.isdecimal, sys.argv[1:])):
    sys.exit(__doc__)


class Witness(reactor.Protocol):
    has_ended = False

    def data_received(self, data):
        self.transport.write(data.upper())

    def eof_received(self):
        self.has_ended = True

    def connection_lost(self, exc):
        how = "ended" if self.has_ended and exc is None else f"was lost: {exc}"
        print("a client", how, flush=True)


with reactor.Reactor() as loop:
    listener = loop.listen_tcp(
        Witness,
        "127.0.0.1",
        int(sys.argv[1]) if sys.argv[1:] else 8888,
        idle_timeout=60,  # for who says nothing any more
        keepalive=(30, 10, 3),  # for whose machine has gone: probes after 30 s, every 10 s, three of them
    )
    loop.add_signal_handler(signal.SIGINT, loop.stop)
    print("listening on", reactor.format_address(listener.address), flush=True)
    loop.run()
