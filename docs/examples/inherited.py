"""Serves on what it was given: by inetd as descriptor 0, by systemd from 3 on, or by its own parent.

    python inherited.py

Without any of them it plays the parent itself: it opens a pair of sockets, and gives one end to another process.
"""

import os
import socket
import stat
import subprocess
import sys

import reactor


class Upper(reactor.Protocol):
    def data_received(self, data):
        self.transport.write(data.upper())

    def connection_lost(self, exc):
        loop.stop()


class Parent(reactor.Protocol):
    def connection_made(self, transport):
        super().connection_made(transport)
        transport.write(b"to a process that was born with its socket")

    def data_received(self, data):
        print(data.decode(), flush=True)
        self.transport.close()

    def connection_lost(self, exc):
        loop.stop()


with reactor.Reactor() as loop:
    if stat.S_ISSOCK(os.fstat(0).st_mode):
        given = socket.socket(fileno=os.dup(0))  # as fromfd() does; family and type are the kernel's to tell
        if given.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            loop.adopt_listener(Upper, given)
        else:
            loop.adopt_stream(Upper, given)
        loop.run()
    else:
        mine, yours = socket.socketpair()
        with subprocess.Popen([sys.executable, __file__], stdin=yours):
            yours.close()
            loop.adopt_stream(Parent, mine)
            loop.run()
