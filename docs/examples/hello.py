"""Says to each of its clients that his message is good, on select, poll or epoll: the transcript is the same.

    REACTOR_SELECTOR=select python hello.py [PORT]

A message is what one client's kernel hands over at once, as in every server without framing; but half a character
waits for its other half.
"""

import codecs
import signal
import sys

import reactor

if not all(map(str.isdecimal, sys.argv[1:])):
    sys.exit(__doc__)


class Hello(reactor.Protocol):
    def connection_made(self, transport):
        super().connection_made(transport)
        self.decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self.who = reactor.format_address(transport.get_extra_info("peername"))
        print("accept", self.who, flush=True)

    def data_received(self, data):
        if text := self.decoder.decode(data):
            self.transport.write((text + "好").encode())

    def pause_writing(self):  # this client does not take its replies: take nothing from it
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()

    def connection_lost(self, exc):
        print("exit", self.who, flush=True)


with reactor.Reactor() as loop:
    listener = loop.listen_tcp(Hello, "127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 6000)
    loop.add_signal_handler(signal.SIGINT, loop.stop)
    print("listening on", reactor.format_address(listener.address), flush=True)
    print("waiting with", loop.selector_name, file=sys.stderr)
    loop.run()
