"""A question of any size, its end, and the answer: what ``sendall``, ``shutdown`` and ``makefile`` are for.

    python half_close.py HOST:PORT [SECONDS] <QUESTION

The end of the question is the end of this direction only: the answer, in lines, comes the other way.  What the
server owes has a deadline, which a byte now and then does not push back; and options of the socket are keywords.
"""

import signal
import socket
import sys

import reactor

CHUNK = 65536


class Question(reactor.FramedProtocol):
    codec = reactor.Lines()
    is_complete = False

    def connection_made(self, transport):
        super().connection_made(transport)
        sock = transport.get_extra_info("socket")
        print("no delay:", bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)), flush=True)
        self.answer_due = reactor.Deadline(loop, transport.fail, "the answer")
        self.answer_due.start(float(sys.argv[2]) if sys.argv[2:] else 60)
        self.resume_writing()

    def resume_writing(self):  # there is room again: the question may be larger than memory
        self.is_paused = False
        while not self.is_paused and (chunk := sys.stdin.buffer.read(CHUNK)):
            self.transport.write(chunk)
        if not self.is_paused:
            self.transport.write_eof()

    def pause_writing(self):
        self.is_paused = True

    def frame_received(self, line):
        print(line.decode("utf-8", "replace"), flush=True)

    def eof_received(self):
        self.is_complete = True  # the server's end; this side's own, by Ctrl-C, has no exception either
        return super().eof_received()

    def connection_failed(self, exc):
        self.connection_lost(exc)

    def connection_lost(self, exc):
        print(f"{type(exc).__name__}: {exc}" if exc else "complete" if self.is_complete else "given up", flush=True)
        loop.stop()


with reactor.Reactor() as loop:
    loop.add_signal_handler(signal.SIGINT, loop.stop)
    where = "".join(sys.argv[1:2])
    address = reactor.parse_address(where) if where.rpartition(":")[2].isdecimal() else sys.exit(__doc__)
    loop.connect_tcp(Question, *address, nodelay=False, keepalive=True, receive_buffer=CHUNK)
    loop.run()
