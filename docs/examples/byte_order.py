"""The bytes of a frame: its length in network order, the most significant byte first, on every machine.

    python byte_order.py [PORT]

What ``htonl`` and ``ntohl`` are for, a codec does; a peer that does it by hand gets the same bytes.  The answer to
a frame is the address of who sent it: packed, as the protocols of the Internet carry it.
"""

import ipaddress
import signal
import socket
import struct
import sys

import reactor

if not all(map(str.isdecimal, sys.argv[1:])):
    sys.exit(__doc__)

FRAME = reactor.LengthPrefixed(4, byteorder="big")

assert FRAME.encode(b"abc") == struct.pack("!I", 3) + b"abc" == b"\0\0\0\3abc"
assert struct.pack("=I", socket.htonl(3)) == struct.pack("!I", 3)
assert socket.inet_pton(socket.AF_INET6, "::1") == ipaddress.ip_address("::1").packed


class WhoAmI(reactor.FramedProtocol):
    codec = FRAME

    def frame_received(self, frame):
        host, port = self.transport.get_extra_info("peername")[:2]
        self.send_frame(ipaddress.ip_address(host).packed + struct.pack("!H", port))


with reactor.Reactor() as loop:
    listener = loop.listen_tcp(WhoAmI, "127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 8888)
    loop.add_signal_handler(signal.SIGINT, loop.stop)
    print("listening on", reactor.format_address(listener.address), flush=True)
    loop.run()
