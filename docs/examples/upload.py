"""Receives files into a directory; or, with an address, sends some there.

    python upload.py DIRECTORY [PORT]
    python upload.py 127.0.0.1:9999 FILE...

A file of any size goes through in constant memory, and appears under its name when all of it is on the disk and its
digest is right.  What was interrupted goes on where it stopped, if the same command is given again.
"""

import signal
import sys

import reactor
from reactor.service.upload.client import UploadClient
from reactor.service.upload.server import UploadServer
from reactor.service.upload.store import Store

with reactor.Reactor() as loop:
    loop.add_signal_handler(signal.SIGINT, loop.stop)
    if ":" in sys.argv[1]:
        client = UploadClient(loop, sys.argv[2:])
        client.connect(reactor.parse_address(sys.argv[1]))
        for outcome in loop.run_until(client):
            print(outcome.name, outcome.state.name.lower(), outcome.text or f"{outcome.size:,} bytes")
    else:
        server = UploadServer(loop, Store(sys.argv[1], quota_bytes=10 << 30))
        listener = server.listen_tcp("127.0.0.1", int(sys.argv[2]) if sys.argv[2:] else 9999)
        print("listening on", reactor.format_address(listener.address), flush=True)
        loop.run()
        server.stop()  # what is under way is put where it can be continued
        loop.run_until(lambda: server.is_stopped)
