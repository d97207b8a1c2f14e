"""Answers empty messages, which a stream of bytes cannot carry: sending nothing sends nothing, and both sides wait.

    python empty_messages.py [PORT]

A frame can be empty, because its length says so.  Each of these has four bytes of length in front.
"""

import signal
import sys

import reactor

if not all(map(str.isdecimal, sys.argv[1:])):
    sys.exit(__doc__)


class Shout(reactor.FramedProtocol):
    codec = reactor.LengthPrefixed(4, max_frame_length=65536)

    def frame_received(self, frame):
        print("a message of", len(frame), "bytes", flush=True)
        self.send_frame(frame.upper())

    def connection_lost(self, exc):
        if exc:  # a frame that was too long, or one that ended in its middle
            print(exc, flush=True)


with reactor.Reactor() as loop:
    listener = loop.listen_tcp(Shout, "127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 8888)
    loop.add_signal_handler(signal.SIGINT, loop.stop)
    print("listening on", reactor.format_address(listener.address), flush=True)
    loop.run()
