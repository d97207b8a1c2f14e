"""Greets whoever connects, and prints what he says: text in UTF-8, wherever the network has cut it.

    python greet.py [PORT]

A character may arrive in two pieces, so the bytes go through an incremental decoder.
"""

import codecs
import signal
import sys

import reactor

if not all(map(str.isdecimal, sys.argv[1:])):
    sys.exit(__doc__)


class Greeting(reactor.Protocol):
    def connection_made(self, transport):
        super().connection_made(transport)
        self.decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        transport.write(b"welcome to my service~")

    def data_received(self, data):
        print(self.decoder.decode(data), end="", flush=True)

    def eof_received(self):
        print(self.decoder.decode(b"", final=True), flush=True)


with reactor.Reactor() as loop:
    listener = loop.listen_tcp(Greeting, "127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 9999, idle_timeout=60)
    loop.add_signal_handler(signal.SIGINT, loop.stop)
    print("listening on", reactor.format_address(listener.address), flush=True)
    loop.run()
