"""A chat room of the nineties, on epoll: asynchat as it was, from the package that has it still.

    python chat.py [PORT]

What one guest says goes to all.  Only a guest who does not read, or sends an endless line, has to go.
"""

import sys

from reactor.compat import asynchat, asyncore

all(map(str.isdecimal, sys.argv[1:])) or sys.exit(__doc__)
GUESTS = {}


class Guest(asynchat.async_chat):
    ac_in_buffer_size = 1024  # bytes that are taken at once: nobody speaks for long
    ac_in_buffer_limit = ac_out_buffer_limit = 65536  # bytes: of one line, and of what waits for one guest

    def __init__(self, sock, address):
        super().__init__(sock)
        self.name = f"{address[0]}:{address[1]}"
        self.set_terminator(b"\n")
        self.collect_incoming_data = self._collect_incoming_data
        GUESTS[self.name] = self

    def found_terminator(self):
        line = self._get_data()
        if line.strip() == b"exit":
            return self.close_when_done()
        for guest in list(GUESTS.values()):  # a copy: whoever turns out to have gone is taken out meanwhile
            try:
                guest.push(line + b"\n")
            except ConnectionError:  # too much waits for that one, which is not the speaker's fault
                guest.handle_close()

    def handle_error(self):
        print(self.name, "has to go:", sys.exception(), flush=True)
        self.handle_close()

    def handle_close(self):
        GUESTS.pop(self.name, None)
        self.close()


class Room(asyncore.dispatcher):
    def handle_accepted(self, sock, address):
        Guest(sock, address)


room = Room()
room.create_socket()
room.set_reuse_addr()
room.bind(("127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 8888))
room.listen(100)
print("listening on {}:{}".format(*room.socket.getsockname()), flush=True)
try:
    asyncore.loop()
except KeyboardInterrupt:
    asyncore.close_all()
