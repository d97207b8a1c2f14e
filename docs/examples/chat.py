"""A chat room of the nineties, on epoll: asynchat as it was, from the package that has it still.

    python chat.py [PORT]
"""

import sys

from reactor.compat import asynchat, asyncore

GUESTS = {}


class Guest(asynchat.async_chat):
    def __init__(self, sock, address):
        super().__init__(sock)
        self.name = f"{address[0]}:{address[1]}"
        self.set_terminator(b"\n")
        self.collect_incoming_data = self._collect_incoming_data
        GUESTS[self.name] = self

    def found_terminator(self):
        line = self._get_data()
        if line.strip() == b"exit":
            self.close_when_done()
        else:
            for guest in GUESTS.values():
                guest.push(line + b"\n")

    def handle_close(self):
        GUESTS.pop(self.name, None)
        self.close()


class Room(asyncore.dispatcher):
    def __init__(self, address):
        super().__init__()
        self.create_socket()
        self.set_reuse_addr()
        self.bind(address)
        self.listen(100)

    def handle_accepted(self, sock, address):
        Guest(sock, address)


room = Room(("127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 8888))
print("listening on {}:{}".format(*room.socket.getsockname()), flush=True)
try:
    asyncore.loop()
except KeyboardInterrupt:
    asyncore.close_all()
