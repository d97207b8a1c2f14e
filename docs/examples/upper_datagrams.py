"""Answers each datagram in upper case, an empty one too: a datagram has a head even where it has no body.

    python upper_datagrams.py [PORT]
"""

import signal
import sys

import reactor

if not all(map(str.isdecimal, sys.argv[1:])):
    sys.exit(__doc__)


class Upper(reactor.DatagramProtocol):
    def datagram_received(self, data, address):
        self.transport.sendto(data.upper(), address)

    def error_received(self, exc):  # somebody's answer could not be delivered, for instance: he has gone
        print(exc, flush=True)


with reactor.Reactor() as loop:
    endpoint = loop.open_datagram(Upper, local=("127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 8888))
    loop.add_signal_handler(signal.SIGINT, loop.stop)
    print("listening on", reactor.format_address(endpoint.get_extra_info("sockname")), flush=True)
    loop.run()
