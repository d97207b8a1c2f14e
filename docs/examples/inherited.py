"""Serves on what it was given: by systemd, by inetd, or by its own parent; and ends when nobody is left.

    python inherited.py

systemd counts its sockets in LISTEN_FDS, inetd makes one descriptor 0.  What it is, a connection or a listener, is
the kernel's to tell, as it is for ``fromfd``.  If there is neither, the program plays the parent itself: it opens a
pair of sockets, and gives one end to another process.
"""

import os
import signal
import socket
import stat
import subprocess
import sys

import reactor
from reactor.service import inetd_socket, inherited_sockets

serving = set()


class Upper(reactor.Protocol):
    def connection_made(self, transport):
        super().connection_made(transport)
        serving.add(self)

    def data_received(self, data):
        self.transport.write(data.upper())

    def connection_lost(self, exc):
        serving.discard(self)
        if not serving:
            loop.stop()


class Parent(Upper):
    def data_received(self, data):
        print(data.decode(), flush=True)
        self.transport.close()


with reactor.Reactor() as loop:
    loop.add_signal_handler(signal.SIGINT, loop.stop)
    given = inherited_sockets()
    if not given and stat.S_ISSOCK(os.fstat(0).st_mode):
        given = [inetd_socket()]
    for _, sock, role in given:
        adopt = loop.adopt_listener if role == "listener" else loop.adopt_stream
        adopt(Upper, sock)
    if given:
        loop.run()
    else:
        mine, yours = socket.socketpair()
        with subprocess.Popen([sys.executable, __file__], stdin=yours):
            yours.close()
            loop.adopt_stream(Parent, mine).write(b"to a process that was born with its socket")
            loop.run()
