"""Handlers that block, as socketserver has them, and any number of clients: silent ones cost no thread.

    python blocking_handlers.py [PORT]

``import socketserver`` has become the first line below, and ``ThreadingTCPServer`` has become ``PooledTCPServer``.
"""

import sys

import reactor.compat.socketserver as socketserver

if not all(map(str.isdecimal, sys.argv[1:])):
    sys.exit(__doc__)


class Greeting(socketserver.BaseRequestHandler):
    timeout = 60

    def handle(self):  # in a thread, when this client has said something
        self.request.settimeout(self.timeout)
        try:
            data = self.request.recv(1024)
            if data:  # else it has hung up
                print(data.decode("utf-8", "replace"), flush=True)
                self.request.sendall("这里是socketserver,你好".encode())
        except OSError as exc:  # it has broken off, or does not read: no news for anybody else
            print("lost", self.client_address, exc, flush=True)


class Server(socketserver.PooledTCPServer):
    allow_reuse_address = True
    max_threads = 8
    idle_timeout = 60  # seconds for a client to say its first word


with Server(("127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 6000), Greeting) as server:
    print("listening on {}:{}".format(*server.server_address), flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
