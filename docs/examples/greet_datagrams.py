"""Prints each datagram with its sender, and greets him.

    python greet_datagrams.py [PORT]
"""

import signal
import sys

import reactor

if not all(map(str.isdecimal, sys.argv[1:])):
    sys.exit(__doc__)


class Greeting(reactor.DatagramProtocol):
    def datagram_received(self, data, address):
        print(reactor.format_address(address), data.decode("utf-8", "replace"), flush=True)
        self.transport.sendto("你好,我是服务器~".encode(), address)


with reactor.Reactor() as loop:
    endpoint = loop.open_datagram(Greeting, local=("127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 9999))
    loop.add_signal_handler(signal.SIGINT, loop.stop)
    print("listening on", reactor.format_address(endpoint.get_extra_info("sockname")), flush=True)
    loop.run()
