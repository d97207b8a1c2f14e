"""What can go wrong, by whose fault it is; each error is also the built-in one that programs catch already.

    python errors.py

A callback that raises, or a peer that breaks the rules, ends its own connection: the loop goes on.
"""

import socket

import reactor
from reactor.errors import ConnectionFailure, PeerError, ReactorError, SystemLimit, UsageError

FAMILIES = (UsageError, PeerError, ConnectionFailure, SystemLimit)


def show(what, exc):
    family = next(family.__name__ for family in FAMILIES if isinstance(exc, family))
    builtin = next(kind.__name__ for kind in type(exc).mro() if not issubclass(kind, ReactorError))
    print(f"{what}: {type(exc).__name__} ({family}, {builtin}): {exc}", flush=True)


class Careful(reactor.FramedProtocol):
    codec = reactor.LengthPrefixed(4, max_frame_length=100)
    reason = None

    def connection_made(self, transport):
        super().connection_made(transport)
        transport.set_idle_timeout(0.05)

    def connection_failed(self, exc):
        self.connection_lost(exc)

    def connection_lost(self, exc):
        self.reason = exc


def show_the_end(what, careful):
    show(what, loop.run_until(lambda: careful.reason, timeout=5))


with reactor.Reactor() as loop, socket.create_server(("127.0.0.1", 0)) as taken:
    loop.resolver.hosts["nowhere.example"] = []
    for what, data in {"a frame of two gigabytes": b"\x7f\xff\xff\xff", "a silent peer": b""}.items():
        mine, yours = socket.socketpair()
        yours.sendall(data)
        show_the_end(what, loop.adopt_stream(Careful, mine).get_protocol())
        yours.close()
    port = taken.getsockname()[1]
    for what, address in {"nobody listens": ("127.0.0.2", port), "no address": ("nowhere.example", 80)}.items():
        show_the_end(what, loop.connect_tcp(Careful, *address).protocol)
    for what, *address in (("a port in use", "127.0.0.1", port), ("a port that is none", "127.0.0.1", 65536)):
        try:
            loop.listen_tcp(Careful, *address)
        except ReactorError as exc:
            show(what, exc)
