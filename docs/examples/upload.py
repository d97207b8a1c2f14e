"""Receives files into a directory; or, with an address, sends some there.

    python upload.py DIRECTORY [PORT]
    python upload.py 127.0.0.1:9999 FILE...

A file of any size goes through in constant memory, and appears under its name when all of it is on the disk and its
digest is right.  What was interrupted goes on where it stopped, if the same command is given again.
"""

import signal
import sys

import reactor
from reactor.service.upload import Store, UploadClient, UploadServer


def send(address, paths):
    client = UploadClient(loop, paths)
    client.connect(reactor.parse_address(address))
    outcomes = loop.run_until(client)
    if outcomes is None:  # Ctrl-C
        sys.exit("interrupted: the same command goes on from here")
    for outcome in outcomes:
        print(outcome.name, outcome.state.name.lower(), outcome.text or f"{outcome.size:,} bytes")


def receive(directory, port):
    server = UploadServer(loop, Store(directory, quota_bytes=10 << 30))
    listener = server.listen_tcp("127.0.0.1", port)
    print("listening on", reactor.format_address(listener.address), flush=True)
    loop.run()
    server.stop()  # what is under way is put where it can be continued
    loop.run_until(lambda: server.is_stopped)


if not sys.argv[1:] or "--help" in sys.argv:
    sys.exit(__doc__)
with reactor.Reactor() as loop:
    loop.add_signal_handler(signal.SIGINT, loop.stop)
    try:
        if ":" in sys.argv[1]:
            send(sys.argv[1], sys.argv[2:])
        else:
            receive(sys.argv[1], int(sys.argv[2]) if sys.argv[2:] else 9999)
    except (reactor.ReactorError, OSError, ValueError) as exc:  # nobody listens, no such directory, no port
        sys.exit(str(exc))
