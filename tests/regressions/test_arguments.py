"""Each public call refuses what it cannot use: at once, in words that name the argument, leaving nothing behind.

Somebody called every method with every kind of nonsense.  What was only stored failed later and without its
author's name: a traceback each turn, a loop that froze in accept(2), clients refused one by one.  What was
taken for something else did more than was asked: an empty list as a host listened everywhere.  And what failed at
once did so in words of the interpreter, which name no argument.
"""

from __future__ import annotations

import errno
import math
import socket
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import reactor
from reactor.auth.keys import KeyRing, new_key
from reactor.errors import ArgumentError, NotWatchable, OptionError, ReactorError, UsageError
from reactor.framing import LengthPrefixed, Lines, Raw
from reactor.net.names.cache import NameCache
from reactor.net.reactor import Reactor
from reactor.service import Client, ClientGate, DatagramClient, Server, ServerGate
from reactor.service.handover import HandoverPoint
from reactor.service.upload.client import UploadClient
from reactor.service.upload.store import Store
from reactor.service.workers import Workers

KEYS = KeyRing([new_key("a")])

HUGE = 10**400


class Framed(reactor.FramedProtocol):
    """A protocol whose transport can be had."""

    codec = LengthPrefixed(4)


class Place:
    """A loop with a stream, a listener and an endpoint, on which things are tried."""

    def __init__(self) -> None:
        self.loop = Reactor()
        ours, self.peer = socket.socketpair()
        self.protocol = Framed()
        self.stream = self.loop.adopt_stream(lambda: self.protocol, ours)
        self.plain = socket.create_server(("127.0.0.1", 0))
        self.plain.setblocking(False)
        self.endpoint = self.loop.open_datagram(reactor.DatagramProtocol, local=("127.0.0.1", 0))

    def close(self) -> None:
        """Give everything back."""
        self.loop.close()
        self.peer.close()
        self.plain.close()

    def state(self) -> tuple[object, ...]:
        """Return everything of the loop that a call could change."""
        loop = self.loop
        return (
            set(loop._shared.transports), dict(loop.registry.poller.get_map()), len(loop.engine.timers),
            list(loop.engine.ready), list(loop.engine.flushes), loop.engine.is_stopping, loop.reports.handler,
            self.stream.get_protocol(), self.stream.get_write_buffer_limits(), self.stream.is_closing(),
            loop.resolver.threads, list(loop.engine.due), self.plain.gettimeout(),
        )  # fmt: skip


@pytest.fixture
def place() -> Iterator[Place]:
    """A loop with something of each kind."""
    made = Place()
    try:
        yield made
    finally:
        made.close()


def blocking() -> socket.socket:
    """A listener as create_server() makes it, closed when it is collected by the list below."""
    sock = socket.create_server(("127.0.0.1", 0))
    OPENED.append(sock)
    return sock


def deaf() -> socket.socket:
    """A socket that does not listen."""
    sock = socket.socket()
    sock.setblocking(False)
    OPENED.append(sock)
    return sock


OPENED: list[socket.socket] = []


@pytest.fixture(autouse=True)
def closed_afterwards() -> Iterator[None]:
    """Close what was opened only to be refused."""
    yield
    while OPENED:
        OPENED.pop().close()


Call = Callable[[Place, Any], object]

#: Each call, the word by which its error names what is wrong, and values that it cannot use.
CALLS: dict[str, tuple[Call, str, list[Any]]] = {
    "KeyRing": (lambda it, value: KeyRing(value), "keys is an iterable", [None, 5, "key", new_key("id")]),
    "UploadClient, one path": (
        lambda it, value: UploadClient(it.loop, value), "paths is an iterable", ["a/path", b"path"],
    ),
    "Client, one message": (
        lambda it, value: Client(it.loop, value), "messages is an iterable", ["text", b"bytes"],
    ),
    "open_datagram, local": (
        lambda it, value: it.loop.open_datagram(reactor.DatagramProtocol, local=value), "a UDP address is",
        ["127.0.0.1", "127.0.0.1:80", "::1"],
    ),
    "listen_tcp, address": (
        lambda it, value: it.loop.listen_tcp(Framed, value), "so write *address", [("127.0.0.1", 80)],
    ),
    "add_acceptor, batch": (
        lambda it, value: it.loop.add_acceptor(it.plain, print, batch=value), "batch",
        [None, "x", math.nan, 0, -1, 1.5, True],
    ),
    "add_acceptor, listener": (lambda it, value: it.loop.add_acceptor(value, print), "listening socket", [None, 5]),
    "add_acceptor, blocking": (lambda it, make: it.loop.add_acceptor(make(), print), "setblocking", [blocking]),
    "add_acceptor, deaf": (lambda it, make: it.loop.add_acceptor(make(), print), "does not listen", [deaf]),
    "adopt_listener, deaf": (
        lambda it, make: it.loop.adopt_listener(Framed, make()), "does not listen", [deaf],
    ),
    "adopt_stream": (
        lambda it, value: it.loop.adopt_stream(Framed, value), "sock is",
        [None, "x", -1, HUGE, True, 1.5, [], tempfile.gettempdir],
    ),
    "adopt_listener": (
        lambda it, value: it.loop.adopt_listener(Framed, value), "sock is", [None, -1, HUGE, object],
    ),
    "adopt_datagram": (
        lambda it, value: it.loop.adopt_datagram(reactor.DatagramProtocol, value), "sock is", [None, -1, HUGE],
    ),
    "listen_tcp, host": (
        lambda it, value: it.loop.listen_tcp(Framed, value), "a host is", [[], 0, False, b"", (), {}, 5],
    ),
    "listen_tcp, dual_stack": (
        lambda it, value: it.loop.listen_tcp(Framed, "127.0.0.1", dual_stack=value), "dual_stack", ["x", 2, []],
    ),
    "listen_unix, path": (
        lambda it, value: it.loop.listen_unix(Framed, value), "path", ["\ud800", None, 5, [], ""],
    ),
    "connect_unix, path": (lambda it, value: it.loop.connect_unix(Framed, value), "path", ["\ud800", None, 5]),
    "listen_unix, seqpacket": (
        lambda it, value: it.loop.listen_unix(Framed, "@edges", seqpacket=value), "seqpacket", ["no", 2, None],
    ),
    "listen_unix, replace_stale": (
        lambda it, value: it.loop.listen_unix(Framed, "@edges", replace_stale=value), "replace_stale", ["no", None],
    ),
    "add_reader": (
        lambda it, value: it.loop.add_reader(value, print), "not an open file",
        [None, "x", -1, HUGE, 2**31, socket.socket, 1.5],
    ),
    "add_signal_handler": (
        lambda it, value: it.loop.add_signal_handler(value, print), "signum is a number of a signal",
        ["SIGINT", math.inf, HUGE, -1, None, [], True, 2.0],
    ),
    "remove_signal_handler": (
        lambda it, value: it.loop.remove_signal_handler(value), "signum is a number", ["SIGINT", [], None],
    ),
    "SIGKILL": (lambda it, value: it.loop.add_signal_handler(value, print), "lets nobody catch it", [9]),
    "no signal": (lambda it, value: it.loop.add_signal_handler(value, print), "no such signal", [4711]),
    "run_until": (lambda it, value: it.loop.run_until(value), "run_until", [None, 5]),
    "Reactor, selector": (lambda it, value: Reactor(value), "selector", [0, [], False, 5, b"poll", "", "dream"]),
    "Reactor, clock": (lambda it, value: Reactor(clock=value), "clock", [5, None]),
    "Reactor, ops": (lambda it, value: Reactor(ops=value), "ops", [5, object(), socket]),
    "set_protocol": (
        lambda it, value: it.stream.set_protocol(value), "no stream protocol",
        [None, 5, "x", reactor.DatagramProtocol()],
    ),
    "set_protocol, datagrams": (
        lambda it, value: it.endpoint.set_protocol(value), "datagram_received", [None, 5, Framed()],
    ),
    "fail": (lambda it, value: it.stream.fail(value), "exc is", [None, "x", ValueError]),
    "set_idle_timeout": (
        lambda it, value: it.stream.set_idle_timeout(value), "timeout", ["x", math.nan, HUGE, 0, -1, []],
    ),
    "set_write_buffer_limits, high": (
        lambda it, value: it.stream.set_write_buffer_limits(value), "high", ["x", 1.5, -1, []],
    ),
    "set_write_buffer_limits, low": (
        lambda it, value: it.stream.set_write_buffer_limits(low=value), "low", ["x", 1.5, -1],
    ),
    "writelines": (lambda it, value: it.stream.writelines(value), "buffers is an iterable", [None, 5]),
    "writelines, what is in it": (lambda it, value: it.stream.writelines(value), "not str", ["x", ["x"]]),
    "send_frame": (lambda it, value: it.protocol.send_frame(value), "a payload is", [None, "x", 5, []]),
    "send_frames": (lambda it, value: it.protocol.send_frames(value), "payloads is an iterable", [None, 5]),
    "encode_many": (lambda it, value: LengthPrefixed(4).encode_many(value), "payloads is an iterable", [None, 5]),
    "encode_many, lines": (lambda it, value: Lines().encode_many(value), "payloads is an iterable", [None, 5]),
    "encode_many, raw": (lambda it, value: Raw().encode_many(value), "payloads is an iterable", [None, 5]),
    "join_group": (
        lambda it, value: it.endpoint.join_group(value), "multicast address", [None, 5, [], "", "127.0.0.1"],
    ),
    "join_group, interface": (
        lambda it, value: it.endpoint.join_group("224.0.0.5", value), "interface", [[], 1.5, -1, HUGE],
    ),
    "set_multicast, loop": (lambda it, value: it.endpoint.set_multicast(loop=value), "loop", ["no", 2, []]),
    "set_multicast, hops": (lambda it, value: it.endpoint.set_multicast(hops=value), "hops", ["x", 256, -1]),
    "Watermarks": (lambda it, value: reactor.Watermarks(value), "high", ["a", 1.5, None, math.inf]),
    "Watermarks, cap": (lambda it, value: reactor.Watermarks(cap=value), "cap", ["a", 1e9, None]),
    "Deadline, missed": (lambda it, value: reactor.Deadline(it.loop, value), "missed", [None, 5]),
    "Deadline, loop": (lambda it, value: reactor.Deadline(value, print), "loop is", [None, 5]),
    "forget": (lambda it, value: it.loop.resolver.forget(value), "a host is", [None, 5, [], ""]),
    "gethostbyname": (lambda it, value: it.loop.resolver.gethostbyname(value), "a host is", [[], None, 5]),
    "lookup, family": (
        lambda it, value: it.loop.resolver.lookup("localhost", 1, family=value), "family", ["x", None, -1, HUGE],
    ),
    "getnameinfo, flags": (
        lambda it, value: it.loop.resolver.getnameinfo(("127.0.0.1", 1), value), "flags", ["x", None],
    ),
    "lookup, callback": (
        lambda it, value: it.loop.resolver.lookup("localhost", 1, callback=value), "callback", [5, "x"],
    ),
    "NameCache": (lambda it, value: NameCache(value), "lifetime", ["x", None, math.nan, HUGE, -1]),
    "NameCache, capacity": (lambda it, value: NameCache(capacity=value), "capacity", ["x", None, 1.5, -1]),
    "ServerGate, timeout": (
        lambda it, value: ServerGate(it.loop, Framed, KEYS, timeout=value), "timeout",
        [HUGE, "x", None, 0, math.nan],
    ),
    "ServerGate, keys": (lambda it, value: ServerGate(it.loop, Framed, value), "keys", [None, [], "x"]),
    "ServerGate, factory": (lambda it, value: ServerGate(it.loop, value, KEYS), "ServerGate", [None, 5, Framed()]),
    "ServerGate, loop": (lambda it, value: ServerGate(value, Framed, KEYS), "loop", [None, 5]),
    "ServerGate, context": (
        lambda it, value: ServerGate(it.loop, Framed, KEYS, context=value), "context", [[], None, "x", 5],
    ),
    "ServerGate, most": (
        lambda it, value: ServerGate(it.loop, Framed, KEYS, most=value), "most", [None, "x", 0, 1.5, math.nan],
    ),
    "ServerGate, algorithms": (
        lambda it, value: ServerGate(it.loop, Framed, KEYS, algorithms=value), "algorithms", [None, 5, (), "x"],
    ),
    "ServerGate, on_failed": (
        lambda it, value: ServerGate(it.loop, Framed, KEYS, on_failed=value), "on_failed", [5, "x"],
    ),
    "ClientGate, keys": (lambda it, value: ClientGate(it.loop, Framed, value), "keys", [None, []]),
    "gate.keys": (lambda it, value: setattr(ServerGate(it.loop, Framed, KEYS), "keys", value), "keys", [None, 5]),
    "Server, loop": (lambda it, value: Server(value, "echo"), "loop", [None, 5]),
    "Server, service": (lambda it, value: Server(it.loop, value), "service", [None, 5, [], "x"]),
    "Server, mode": (lambda it, value: Server(it.loop, "echo", mode=value), "mode", [5, [], "x"]),
    "Server, journal": (lambda it, value: Server(it.loop, "echo", journal=value), "journal", [5, "x"]),
    "Server, keys": (lambda it, value: Server(it.loop, "echo", keys=value), "keys", [5, [], "x"]),
    "Server, context": (lambda it, value: Server(it.loop, "echo", context=value), "context", [[], "x", 5]),
    "Client, loop": (lambda it, value: Client(value, []), "loop", [None, 5]),
    "Client, messages": (lambda it, value: Client(it.loop, value), "messages is an iterable", [None, 5]),
    "Client, timeout": (lambda it, value: Client(it.loop, [], timeout=value), "timeout", ["x", math.nan, HUGE, 0]),
    "Client, window": (
        lambda it, value: Client(it.loop, [], window=value), "window", [math.nan, "x", None, 0, 1.5],
    ),
    "Client, expected": (lambda it, value: Client(it.loop, [], expected=value), "expected", ["x", -1, 1.5]),
    "Client, keys": (lambda it, value: Client(it.loop, [], keys=value), "keys", [5, []]),
    "Client, mode": (lambda it, value: Client(it.loop, [], mode=value), "mode", [5, [], None]),
    "DatagramClient": (lambda it, value: DatagramClient(it.loop, [], timeout=value), "timeout", ["x", HUGE, -1]),
    "UploadClient": (lambda it, value: UploadClient(it.loop, [], timeout=value), "timeout", ["x", HUGE, None, 0]),
    "Workers": (lambda it, value: Workers(it.loop, value), "threads", ["x", None, 0, 1.5]),
    "resolver.threads": (lambda it, value: setattr(it.loop.resolver, "threads", value), "threads", ["x", 0, 1.5]),
    "resolver.cache": (
        lambda it, value: setattr(it.loop.resolver, "cache", value), "cache is", [None, {}, NameCache],
    ),
    "Server.listen_tcp": (
        lambda it, value: Server(it.loop, "echo", keys=KEYS).listen_tcp("127.0.0.1", max_connections=value),
        "max_connections", ["x", 0, 1.5],
    ),
    "Store, quota": (lambda it, value: Store("no-such-folder", value), "quota_bytes", ["x", None, -1, 1.5]),
    "Handover": (
        lambda it, value: HandoverPoint(it.loop, "@edges", {}, print, timeout=value), "timeout",
        ["x", None, HUGE, 0],
    ),
    "Handover, on_taken": (lambda it, value: HandoverPoint(it.loop, "@edges", {}, value), "on_taken", [None, 5]),
}  # fmt: skip

CASES = [(name, value) for name, (_, _, values) in CALLS.items() for value in values]


@pytest.mark.parametrize(
    ("name", "value"), CASES, ids=lambda it: it if isinstance(it, str) and it in CALLS else ""
)
def test_a_call_refuses_what_it_cannot_use_and_changes_nothing(place: Place, name: str, value: Any) -> None:
    """One error of ours, which names the argument and is short, whatever was given."""
    call, word, _ = CALLS[name]
    place.loop.resolver  # noqa: B018  # made now, or the comparison would see it come
    before = place.state()
    with pytest.raises((ReactorError, TypeError)) as caught:
        call(place, value)
    assert word in str(caught.value)
    assert len(str(caught.value)) < 700
    assert name == "writelines, what is in it" or isinstance(caught.value, ReactorError)
    assert place.state() == before
    place.loop.run_once(0)


# -- two owners ------------------------------------------------------------------------------------------------


def test_a_socket_that_has_an_owner_is_not_adopted_again(place: Place) -> None:
    """The second stream took the reader of the first, which never heard anything again."""
    heard: list[bytes] = []
    place.protocol.frame_received = heard.append  # type: ignore[method-assign]
    for again in (place.stream.get_extra_info("socket"), place.stream.fileno()):
        with pytest.raises(UsageError, match=r"has an owner in this reactor: <Stream"):
            place.loop.adopt_stream(Framed, again)
    with pytest.raises(UsageError, match=r"<(Datagram|Batched)Endpoint"):
        place.loop.adopt_datagram(reactor.DatagramProtocol, place.endpoint.get_extra_info("socket"))
    place.peer.sendall(Framed.codec.encode(b"still mine"))
    place.loop.run_until(lambda: heard, 5)
    assert heard == [b"still mine"]


def test_a_listener_that_has_an_owner_is_not_adopted_again(place: Place) -> None:
    """Nor is it given a second acceptor; when the first has gone, it may be."""
    acceptor = place.loop.add_acceptor(place.plain, lambda sock, address: sock.close())
    with pytest.raises(UsageError, match="has an acceptor already"):
        place.loop.add_acceptor(place.plain, print)
    with pytest.raises(UsageError, match="has an owner in this reactor"):
        place.loop.adopt_listener(Framed, place.plain)
    acceptor.close()
    place.loop.add_acceptor(place.plain, print).close()
    listener = place.loop.adopt_listener(Framed, place.plain)
    with pytest.raises(UsageError, match="has an owner in this reactor"):
        place.loop.adopt_listener(Framed, place.plain)
    listener.close()


# -- what cannot be watched ------------------------------------------------------------------------------------


def test_a_regular_file_is_refused_with_the_reason_on_epoll() -> None:
    """EPERM says nothing of what is wrong, nor of what to do; poll and select take the file."""
    with tempfile.TemporaryFile() as file:
        with Reactor("epoll") as loop:
            with pytest.raises(NotWatchable, match="always ready") as caught:
                loop.add_reader(file, print)
            assert isinstance(caught.value, PermissionError)
            assert caught.value.errno == errno.EPERM
            assert loop.remove_reader(file) is False
        with Reactor("poll") as loop:
            loop.add_reader(file, loop.stop)
            loop.run()


# -- a server is stopped whole, or not at all ------------------------------------------------------------------


@pytest.mark.parametrize("grace", ["x", None, math.nan, HUGE, -1, []])
@pytest.mark.parametrize("keys", [None, KEYS], ids=["plain", "keys"])
def test_a_server_goes_on_when_its_end_is_refused(place: Place, grace: Any, keys: KeyRing | None) -> None:
    """It had closed its listeners by then, and nobody aborted who stayed."""
    server = Server(place.loop, "echo", mode="framed", keys=keys)
    address = server.listen_tcp("127.0.0.1").address
    with pytest.raises(OptionError, match="grace is a number of seconds, 0 or more"):
        server.stop(grace)
    client = Client(place.loop, [b"one"], timeout=5, keys=keys)
    client.connect(address)
    assert place.loop.run_until(client, 5) == [b"one"]
    server.stop(math.inf)
    place.loop.run_until(lambda: server.is_stopped, 5)


def test_a_client_connects_once(place: Place) -> None:
    """Twice mixed two conversations into one list of replies."""
    address = Server(place.loop, "echo", mode="framed").listen_tcp("127.0.0.1").address
    client = Client(place.loop, [b"one"], timeout=5)
    with pytest.raises(ReactorError):
        client.connect(("127.0.0.1", -1))
    client.connect(address)
    for _ in range(2):
        with pytest.raises(UsageError, match="make a new one"):
            client.connect(address)
        assert place.loop.run_until(client, 5) == [b"one"]


def test_a_client_of_datagrams_connects_once(place: Place) -> None:
    """As every client."""
    endpoint = Server(place.loop, "echo").open_datagram(("127.0.0.1", 0))
    client = DatagramClient(place.loop, [b"one"], timeout=5)
    client.connect(endpoint.get_extra_info("sockname"))
    with pytest.raises(UsageError, match="make a new one"):
        client.connect(endpoint.get_extra_info("sockname"))
    assert place.loop.run_until(client, 5) == [b"one"]


# -- a protocol that comes later -------------------------------------------------------------------------------


class Later(Framed):
    """Answers, and notes whether it was told of a connection."""

    is_told = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.is_told = True

    def frame_received(self, frame: bytes) -> None:
        self.send_frame(frame.upper())


@pytest.mark.parametrize("order", ["never", "before", "after"])
def test_a_framed_protocol_that_comes_later_can_receive(place: Place, order: str) -> None:
    """It had no decoder, and the next bytes were an AttributeError."""
    later = Later()
    if order == "before":
        later.connection_made(place.stream)
    place.stream.set_protocol(later)
    if order == "after":
        later.connection_made(place.stream)
    place.peer.sendall(Later.codec.encode_many([b"one", b"two"]))
    place.peer.setblocking(False)
    received = bytearray()

    def is_there() -> bool:
        try:
            received.extend(place.peer.recv(100))
        except BlockingIOError:
            pass
        return len(received) == 14

    place.loop.run_until(is_there, 5)
    assert bytes(received) == Later.codec.encode_many([b"ONE", b"TWO"])
    assert later.transport is place.stream
    assert later.is_told is (order != "never")


def test_a_protocol_that_comes_back_goes_on_where_it_was(place: Place) -> None:
    """Half a frame that it has received is not forgotten."""
    frames: list[bytes] = []
    place.protocol.frame_received = frames.append  # type: ignore[method-assign]
    whole = Framed.codec.encode(b"in two parts")
    place.peer.sendall(whole[:7])
    place.loop.run_until(lambda: place.protocol._decoder.buffered, 5)
    place.stream.set_protocol(Later())
    place.stream.set_protocol(place.protocol)
    place.peer.sendall(whole[7:])
    place.loop.run_until(lambda: frames, 5)
    assert frames == [b"in two parts"]


def test_a_framed_protocol_without_a_codec_is_refused_when_it_comes_later(place: Place) -> None:
    """At the call, and the old one stays."""
    with pytest.raises(UsageError, match="has no codec"):
        place.stream.set_protocol(reactor.FramedProtocol())
    assert place.stream.get_protocol() is place.protocol


# -- called between two turns, and inside all the same ---------------------------------------------------------

#: What is refused inside of a callback.
REFUSED_INSIDE: dict[str, Callable[[Reactor], object]] = {
    "close": lambda loop: loop.close(),
    "run": lambda loop: loop.run(),
    "run_once": lambda loop: loop.run_once(0),
    "run_until": lambda loop: loop.run_until(lambda: True),
}


class Greedy(reactor.Protocol):
    """Does something to the loop as soon as it is told of a connection, and notes what that raised."""

    def __init__(self, loop: Reactor, deed: Callable[[Reactor], object]) -> None:
        self.loop, self.deed = loop, deed
        self.raised: list[BaseException] = []
        self.was_running = False

    def do(self) -> None:
        self.was_running = self.loop.is_running()
        try:
            self.deed(self.loop)
        except UsageError as exc:
            self.raised.append(exc)

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.do()

    def pause_writing(self) -> None:
        self.do()

    def datagram_received(self, data: bytes, address: Any) -> None:
        """Be a protocol for datagrams as well."""


@pytest.mark.parametrize("way", ["adopt_stream", "open_datagram", "adopt_datagram", "factory", "pause_writing"])
@pytest.mark.parametrize("deed", REFUSED_INSIDE)
def test_a_protocol_that_is_called_between_two_turns_is_inside_all_the_same(deed: str, way: str) -> None:
    """It could close the loop, or run it, in the midst of the call that called it."""
    with Reactor() as loop:
        greedy = Greedy(loop, REFUSED_INSIDE[deed])
        ours, theirs = socket.socketpair()
        with theirs:
            if way == "open_datagram":
                loop.open_datagram(lambda: greedy, local=("127.0.0.1", 0))
                ours.close()
            elif way == "adopt_datagram":
                ours.close()
                loop.adopt_datagram(lambda: greedy, socket.socket(type=socket.SOCK_DGRAM))
            elif way == "adopt_stream":
                loop.adopt_stream(lambda: greedy, ours)
            elif way == "factory":
                loop.adopt_stream(lambda: greedy.do() or Framed(), ours)
            else:
                stream = loop.adopt_stream(reactor.Protocol, ours)
                stream.set_protocol(greedy)
                while not stream.get_write_buffer_size():
                    stream.write(bytes(1 << 20))
            assert greedy.was_running
            assert len(greedy.raised) == 1
            assert not loop.is_running()
            loop.run_once(0)


def test_a_host_is_woken_when_a_protocol_asks_for_a_call_between_two_turns() -> None:
    """Inside nobody tells the host: whoever asked there would have waited until something else happened."""
    with Reactor("epoll") as loop:
        steps: list[str] = []
        ours, theirs = socket.socketpair()
        with theirs:
            assert loop.next_timeout() is None

            class Asking(reactor.Protocol):
                def connection_made(self, transport: Any) -> None:
                    loop.call_soon(steps.append, "called")

            loop.adopt_stream(Asking, ours)
            with Reactor("poll") as host:
                host.add_reader(loop.fileno(), host.stop)
                host.run()
            loop.run_once(0)
            assert steps == ["called"]


# -- the functions themselves ----------------------------------------------------------------------------------


def test_a_value_that_cannot_be_shown_is_named_by_its_type(place: Place) -> None:
    """Its repr is somebody's code, or an int of ten thousand digits."""

    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no repr")

    with pytest.raises(ArgumentError, match="an instance of Broken"):
        place.stream.fail(Broken())  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="an instance of int"):
        place.loop.add_acceptor(place.plain, print, batch=-(10**5000))
