"""Answers in upper case whatever its clients send, to any number of them at once.

    python upper.py [PORT]

Nobody waits for anybody: the loop calls ``data_received`` of the connection that has something to say.
"""

import signal
import sys

import reactor

if not all(map(str.isdecimal, sys.argv[1:])):
    sys.exit(__doc__)


class Upper(reactor.Protocol):
    def data_received(self, data):
        self.transport.write(data.upper())

    def pause_writing(self):  # this client does not take its replies: take nothing from it
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()


with reactor.Reactor() as loop:
    listener = loop.listen_tcp(Upper, "127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 8888)
    loop.add_signal_handler(signal.SIGINT, loop.stop)
    print("listening on", reactor.format_address(listener.address), flush=True)
    loop.run()
