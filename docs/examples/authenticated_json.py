"""JSON messages for those who have the key, and for nobody else; or, with an address, a client of that.

    reactor keygen app.key
    python authenticated_json.py app.key [PORT]
    python authenticated_json.py app.key 127.0.0.1:8888

Both sides prove that they have the key, and neither sends it.  The gate stands in front of the protocol, which does
not even exist for whoever has not passed.
"""

import json
import signal
import sys

import reactor
from reactor.service import ClientGate, ServerGate, read_keys

WHERE = sys.argv[2] if sys.argv[2:] else "8888"
if not sys.argv[1:] or "--help" in sys.argv or not WHERE.rpartition(":")[2].isdecimal():
    sys.exit(__doc__)
KEYS = read_keys(sys.argv[1])


class Servant(reactor.FramedProtocol):
    codec = reactor.LengthPrefixed(4, max_frame_length=65536)

    def frame_received(self, frame):
        try:
            self.send_frame(json.dumps({"heard": json.loads(frame)}, ensure_ascii=False).encode())
        except (ValueError, RecursionError):  # what json.loads says of bytes that are no JSON, or nested too deep
            self.transport.abort()


class Caller(reactor.FramedProtocol):
    codec = Servant.codec

    def connection_made(self, transport):
        super().connection_made(transport)
        self.send_frame(json.dumps({"问候": "你好"}, ensure_ascii=False).encode())

    def frame_received(self, frame):
        print(frame.decode())
        self.transport.close()

    def connection_lost(self, exc):
        loop.stop()

    def connection_failed(self, exc):  # nobody there, or one without the key
        print(exc)
        loop.stop()


with reactor.Reactor() as loop:
    loop.add_signal_handler(signal.SIGINT, loop.stop)
    if ":" in WHERE:
        loop.connect_tcp(ClientGate(loop, Caller, KEYS), *reactor.parse_address(WHERE))
    else:
        listener = loop.listen_tcp(ServerGate(loop, Servant, KEYS), "127.0.0.1", int(WHERE))
        print("listening on", reactor.format_address(listener.address), flush=True)
    loop.run()
