"""Says to each of its clients that his message is good, on select, poll or epoll: the transcript is the same.

    REACTOR_SELECTOR=select python hello.py [PORT]
"""

import signal
import sys

import reactor


class Hello(reactor.Protocol):
    def connection_made(self, transport):
        super().connection_made(transport)
        self.who = reactor.format_address(transport.get_extra_info("peername"))
        print("accept", self.who, flush=True)

    def data_received(self, data):
        self.transport.write(data + "好".encode())  # bytes on bytes: no character has to be whole for that

    def connection_lost(self, exc):
        print("exit", self.who, flush=True)


with reactor.Reactor() as loop:
    listener = loop.listen_tcp(Hello, "127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 6000)
    loop.add_signal_handler(signal.SIGINT, loop.stop)
    print("listening on", reactor.format_address(listener.address), flush=True)
    print("waiting with", loop.selector_name, file=sys.stderr)
    loop.run()
