"""A connection to a name: each of its addresses is tried, and the one that answers first wins.

    python connect.py HOST:PORT [SOURCE_ADDRESS]

As ``socket.create_connection`` does, but an address that is silent keeps nobody waiting: after a quarter of a
second the next one is tried as well.  Looking the name up and connecting together have 3 seconds.
"""

import signal
import sys

import reactor


class Visitor(reactor.Protocol):
    def connection_made(self, transport):
        super().connection_made(transport)
        print("connected to", reactor.format_address(transport.get_extra_info("peername")), flush=True)
        print("from", transport.get_extra_info("sockname")[0], flush=True)
        transport.write_eof()

    def data_received(self, data):
        print(data.decode("utf-8", "replace"), end="", flush=True)

    def connection_failed(self, exc):
        print("failed:", exc, flush=True)
        for address, error in getattr(exc, "attempts", ()):
            print("  ", reactor.format_address(address), error, flush=True)
        loop.stop()

    def connection_lost(self, exc):
        print("the end" if exc is None else f"lost: {exc}", flush=True)
        loop.stop()


try:
    host, port = reactor.parse_address("".join(sys.argv[1:2]))
except ValueError:  # an AddressError is one
    sys.exit(__doc__)
source = (sys.argv[2], 0) if sys.argv[2:] else None

with reactor.Reactor() as loop:
    loop.add_signal_handler(signal.SIGINT, loop.stop)
    loop.resolver.hosts["shop.example"] = ["127.0.0.66", "127.0.0.1"]  # nobody listens at the first
    loop.connect_tcp(Visitor, host, port, timeout=3, local_address=source)
    loop.run()
