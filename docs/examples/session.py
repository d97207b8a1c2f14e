"""A conversation of any length with each client: a line for a line, until the word ``exit`` or the client's end.

    python session.py [PORT]

The two nested loops of a blocking server, one over the clients and one over a client's messages, have become the
event loop and the protocol: the second client is served while the first one thinks.
"""

import signal
import sys

import reactor

if not all(map(str.isdecimal, sys.argv[1:])):
    sys.exit(__doc__)


class Session(reactor.FramedProtocol):
    codec = reactor.Lines()
    answered = 0

    def connection_made(self, transport):
        super().connection_made(transport)
        self.name = reactor.format_address(transport.get_extra_info("peername"))
        print(self.name, "connected", flush=True)

    def frame_received(self, line):
        if line == b"exit":
            self.transport.close()  # after what was written before has left
        else:
            self.answered += 1
            self.send_frame(line.upper())

    def connection_lost(self, exc):
        print(self.name, "closed after", self.answered, "lines", flush=True)


with reactor.Reactor() as loop:
    listener = loop.listen_tcp(Session, "127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 8888, idle_timeout=600)
    loop.add_signal_handler(signal.SIGINT, loop.stop)
    print("listening on", reactor.format_address(listener.address), flush=True)
    loop.run()
