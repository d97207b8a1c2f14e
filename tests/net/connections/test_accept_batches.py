"""A batch of connections, taken from the queue in one call or one by one: nobody sees a difference.

On the pump one call accepts as many as there are, and each is a mere descriptor until somebody asks for its socket.
The other pollers take one after the other, and are what this is compared with.  Real clients, on every poller.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import reactor
from reactor.limits import ACCEPT_BATCH
from tests.net.recorder import Recorder
from tests.net.stage import Stage, stage_on


@pytest.fixture
def stage(poller_name: str) -> Iterator[Stage]:
    """A reactor on each poller."""
    with stage_on(poller_name) as made:
        yield made


class Numbered(reactor.Protocol):
    """Remembers in which order its like came, and answers."""

    made: list[Numbered]
    reaction: Callable[[Numbered], object]

    def connection_made(self, transport: reactor.Stream) -> None:
        self.transport = transport
        self.data = b""
        self.ends: list[BaseException | None] = []
        self.made.append(self)
        type(self).reaction(self)

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.transport.write(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.ends.append(exc)


def numbered(reaction: Callable[[Numbered], object] = lambda me: None) -> type[Numbered]:
    """Return a class of protocols of its own, which does *reaction* when its connection is made."""
    return type("Numbered", (Numbered,), {"made": [], "reaction": staticmethod(reaction)})


@contextmanager
def queued(listener: reactor.Listener[Any], count: int) -> Iterator[list[socket.socket]]:
    """Have *count* clients wait in the queue, the number of each sent."""
    clients = []
    try:
        for number in range(count):
            clients.append(socket.create_connection(listener.address[:2]))
            clients[-1].sendall(b"%d" % number)
            clients[-1].settimeout(10)
        yield clients
    finally:
        for client in clients:
            client.close()


def heard(client: socket.socket, size: int = 1) -> bytes:
    """Return what has come for *client*, *size* bytes at least, or less if there is an end or a reset."""
    data = b""
    try:
        while len(data) < size and (more := client.recv(100)):
            data += more
    except ConnectionResetError:
        pass
    return data


@pytest.mark.parametrize("count", [1, 2, ACCEPT_BATCH - 1, ACCEPT_BATCH, ACCEPT_BATCH + 1, 2 * ACCEPT_BATCH + 1])
def test_they_come_in_the_order_of_the_queue_and_a_bounded_number_in_a_turn(stage: Stage, count: int) -> None:
    """And each hears its own answer."""
    kind = numbered()
    listener = stage.listen_tcp(kind, "127.0.0.1")
    with queued(listener, count) as clients:
        for turn in range(1, 4):
            stage.settle(1)
            assert listener.connections == min(count, turn * ACCEPT_BATCH) == len(kind.made)
        stage.until(lambda: all(one.data for one in kind.made))
        assert [one.data for one in kind.made] == [b"%d" % number for number in range(count)]
        assert [client.recv(10) for client in clients] == [one.data for one in kind.made]
        assert stage.counters.accepted == count


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", None])
def test_the_peers_address_is_what_the_system_says(stage: Stage, host: str | None) -> None:
    """Of IPv4, of IPv6, and of IPv4 on a socket of both."""
    kind = numbered()
    listener = stage.listen_tcp(kind, host, dual_stack=True if host is None else None)
    port = listener.address[1]
    hosts = [host] if host else ["127.0.0.1", "::1"]
    clients = [socket.create_connection((where, port)) for where in hosts for _ in range(3)]
    stage.until(lambda: len(kind.made) == len(clients))
    before = {one.transport.get_extra_info("peername") for one in kind.made}  # as it was kept
    asked = {one.transport.get_extra_info("socket").getpeername() for one in kind.made}
    own = {(where[0].removeprefix("::ffff:"), where[1]) for where in before}
    assert before == asked
    assert own == {client.getsockname()[:2] for client in clients}
    for client in clients:
        client.close()


def test_no_more_are_taken_than_there_is_room_for(stage: Stage) -> None:
    """The others wait in the queue, where another process could take them, and come in as there is room again."""
    kind = numbered()
    listener = stage.listen_tcp(kind, "127.0.0.1", max_connections=3)
    with queued(listener, 10) as clients:
        stage.settle()
        assert (len(kind.made), stage.counters.accepted) == (3, 3)
        listener.max_connections = 5
        stage.settle()
        assert (len(kind.made), stage.counters.accepted) == (5, 5)
        for client in clients[:5]:
            client.close()
        stage.until(lambda: len(kind.made) == 10)
        assert listener.connections == 5


def test_who_was_taken_with_the_one_that_paused_comes_when_accepting_is_resumed(stage: Stage) -> None:
    """The first of ten pauses the listener; later, all are served."""
    listeners: list[Any] = []
    kind = numbered(lambda me: listeners[0].pause() if len(me.made) == 1 else None)
    listeners.append(stage.listen_tcp(kind, "127.0.0.1"))
    with queued(listeners[0], 10) as clients:
        stage.settle()
        assert len(kind.made) == 1
        listeners[0].resume()
        stage.until(lambda: all(one.data for one in kind.made) and len(kind.made) == 10)
        assert [client.recv(10) for client in clients] == [b"%d" % number for number in range(10)]


@pytest.mark.parametrize("is_paused", [False, True])
def test_who_was_taken_is_closed_when_the_listener_is_closed_meanwhile(stage: Stage, is_paused: bool) -> None:
    """As the kernel does with the queue: nobody is served who came after the end, and no descriptor is left."""
    listeners: list[Any] = []

    def end(me: Numbered) -> None:
        if is_paused:
            listeners[0].pause()
        else:
            listeners[0].close()

    kind = numbered(end)
    listeners.append(stage.listen_tcp(kind, "127.0.0.1"))
    with queued(listeners[0], 10) as clients:
        stage.settle()
        listeners[0].close()
        stage.until(lambda: kind.made[0].data)
        assert clients[0].recv(10) == b"0"
        assert [heard(client) for client in clients[1:]] == [b""] * 9
        assert len(kind.made) == 1


def test_a_factory_that_fails_costs_its_own_client_only(stage: Stage) -> None:
    """Every third; the others of the batch are served.  The guard around each test sees what is left open."""
    kind = numbered()
    asked = 0

    def factory() -> Any:
        nonlocal asked
        asked += 1
        if asked % 3 == 0:
            raise LookupError("on purpose")
        return 5 if asked == 4 else kind()

    listener = stage.listen_tcp(factory, "127.0.0.1")
    with queued(listener, 9) as clients:
        stage.until(lambda: asked == 9)
        stage.until(lambda: all(one.data for one in kind.made))
        assert [heard(client) for client in clients] == [b"0", b"1", b"", b"", b"4", b"", b"6", b"7", b""]
        assert listener.connections == 5
    assert [type(exc).__name__ for exc in stage.take_failures()] == [
        "LookupError", "ArgumentError", "LookupError", "LookupError",
    ]  # fmt: skip


def test_ctrl_c_in_one_leaves_the_others_for_the_next_run(stage: Stage) -> None:
    """It ends the run; who was taken with it is in no queue any more, and is served all the same."""

    def strike(me: Numbered) -> None:
        if len(me.made) == 3:
            raise KeyboardInterrupt

    kind = numbered(strike)
    listener = stage.listen_tcp(kind, "127.0.0.1")
    with queued(listener, 8) as clients:
        with pytest.raises(KeyboardInterrupt):
            stage.until(lambda: False)
        stage.until(lambda: len(kind.made) == 8 and all(one.data for one in kind.made if one is not kind.made[2]))
        wanted = [b"" if number == 2 else b"%d" % number for number in range(8)]
        assert [heard(client) for client in clients] == wanted
    assert stage.take_failures() == []


def test_a_child_that_a_callback_forks_serves_nobody_of_its_parents(stage: Stage) -> None:
    """The rest of the batch is the parent's, and goes on with it; the child's copies are closed."""
    children: list[int] = []

    def fork(me: Numbered) -> None:
        if len(me.made) == 3:
            child = os.fork()
            if child:
                children.append(child)
                os.waitpid(child, 0)
            else:
                me.is_child = True  # type: ignore[attr-defined]

    kind = numbered(fork)
    listener = stage.listen_tcp(kind, "127.0.0.1")
    parent = os.getpid()
    with queued(listener, 8) as clients:
        try:
            stage.run_once(0)
        finally:
            if os.getpid() != parent:
                sockets = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")[:-1]]
                sockets = [name for name in sockets if name.startswith("socket:")]
                # The listener, the clients and the three that were delivered; none of the five that were not.
                os._exit(0 if len(kind.made) == 3 and len(sockets) == 1 + 8 + 3 else 1)
        assert len(children) == 1
        stage.until(lambda: len(kind.made) == 8 and all(one.data for one in kind.made))
        assert [client.recv(10) for client in clients] == [b"%d" % number for number in range(8)]


def test_those_who_came_before_the_descriptors_ended_are_served_and_the_others_are_shed(stage: Stage) -> None:
    """In the midst of a batch: accept(2) says EMFILE for the fourth."""
    kind = numbered()
    listener = stage.listen_tcp(kind, "127.0.0.1")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with queued(listener, 8) as clients:
        highest = max(fd for fd in map(int, os.listdir("/proc/self/fd")))
        spare = [os.dup(0) for _ in range(highest)]  # fill the holes below
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(spare) + 1, limits[1]))
        for fd in spare[-3:]:
            os.close(fd)
        try:
            stage.run_once(0)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            for fd in spare[:-3]:
                os.close(fd)
        assert len(kind.made) == 3
        stage.until(lambda: all(one.data for one in kind.made))
        assert [client.recv(10) for client in clients[:3]] == [b"0", b"1", b"2"]
        assert [heard(client) for client in clients[3:]] == [b""] * 5
        assert stage.counters.shed == 5
        assert not listener.is_accepting()


# -- a descriptor without an object --------------------------------------------------------------------------------


def test_a_socket_is_asked_for_at_any_time_and_is_always_the_same(stage: Stage) -> None:
    """In ``connection_made``, between two messages, in ``connection_lost``; afterwards it is closed, or unknown."""
    seen: list[Any] = []

    class Asking(Recorder):
        def connection_lost(self, exc: BaseException | None) -> None:
            seen.append(self.transport.get_extra_info("socket").fileno())
            super().connection_lost(exc)

    first, second = Asking(), Asking(data_received=lambda me, data: me.transport.write(data))
    protocols = [first, second]
    listener = stage.listen_tcp(lambda: protocols.pop(0), "127.0.0.1")
    with queued(listener, 2) as clients:
        stage.until(lambda: not protocols and second.received)
        sock = second.transport.get_extra_info("socket")
        assert sock is second.transport.get_extra_info("socket")
        assert (sock.family, sock.type, sock.gettimeout()) == (socket.AF_INET, socket.SOCK_STREAM, 0.0)
        assert sock.fileno() == second.transport.fileno()
        assert sock.getpeername() == clients[1].getsockname() == second.transport.get_extra_info("peername")
        clients[1].sendall(b" more")
        stage.until(lambda: second.received == b"1 more")
        assert heard(clients[1], 6) == b"1 more"
    stage.until(lambda: first.is_lost and second.is_lost)
    assert min(seen) > 0
    assert (first.transport.fileno(), second.transport.fileno()) == (-1, -1)
    assert second.transport.get_extra_info("sockname", "gone") == "gone"


def test_a_socket_that_is_closed_under_its_stream_ends_that_one_alone(stage: Stage) -> None:
    """And the file that gets its number keeps it."""
    kind = numbered()
    listener = stage.listen_tcp(kind, "127.0.0.1")
    with queued(listener, 3) as clients:
        stage.until(lambda: len(kind.made) == 3)
        victim = kind.made[1].transport
        number = victim.fileno()
        victim.get_extra_info("socket").close()
        left, right = socket.socketpair()
        while number not in (left.fileno(), right.fileno()):  # the new owner of that number
            left, right = right, left.dup()
        owner = left if left.fileno() == number else right
        for client in clients:
            try:
                client.sendall(b"!")
            except OSError as exc:
                assert exc.errno in (errno.EPIPE, errno.ECONNRESET)  # noqa: PT017  # the victim's
        victim.abort()
        stage.until(lambda: kind.made[1].ends)
        stage.until(lambda: kind.made[0].data == b"0!" and kind.made[2].data == b"2!")
        assert owner.fileno() == number
        assert os.fstat(number)
        left.close()
        right.close()
    stage.take_failures()


def test_every_way_to_end_closes_the_number_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A number that is closed twice may be another file's by then."""
    closed: list[int] = []
    real = os.close

    def close(fd: int) -> None:
        closed.append(fd)
        real(fd)

    monkeypatch.setattr(type(stage.ops), "close", staticmethod(close))
    ways: list[Callable[[Any], object]] = [
        lambda it: it.close(), lambda it: it.abort(), lambda it: it.reset(), lambda it: it.write_eof(),
        lambda it: it.fail(reactor.errors.FrameMalformed("on purpose")), lambda it: (it.close(), it.abort()),
        lambda it: (it.write(b"x"), it.close(), it.close()), lambda it: it.pause_reading(),
        lambda it: (it.write(bytes(10_000_000)), it.close(), it.abort()), lambda it: it.set_idle_timeout(0.001),
        lambda it: 1 / 0, lambda it: (it.abort(), 1 / 0),
    ]  # fmt: skip
    for moment in ("connection_made", "data_received"):
        for way in ways:

            def react(me: Numbered, *data: bytes, way: Callable[[Any], object] = way) -> None:
                way(me.transport)

            kind = numbered(react if moment == "connection_made" else lambda me: None)
            if moment == "data_received":
                kind.data_received = react  # type: ignore[method-assign, assignment]
            listener = stage.listen_tcp(kind, "127.0.0.1")
            with queued(listener, 3):
                stage.until(lambda: len(kind.made) == 3)  # noqa: B023
                stage.settle()
            for one in kind.made:
                one.transport.resume_reading()
            stage.until(lambda: all(len(one.ends) == 1 for one in kind.made))  # noqa: B023
            stage.until(lambda: listener.connections == 0)  # noqa: B023
            listener.close()
    assert len(closed) <= 2 * len(ways) * 3
    assert errno.EBADF not in [getattr(exc, "errno", 0) for exc in stage.take_failures()]


def test_signals_between_two_batches_do_no_harm(stage: Stage) -> None:
    """accept(2) may be interrupted; whoever waits is taken in the next turn."""
    kind = numbered()
    listener = stage.listen_tcp(kind, "127.0.0.1")
    told: list[int] = []
    stage.add_signal_handler(signal.SIGUSR1, told.append, 1)
    with queued(listener, 5):
        for _ in range(5):
            os.kill(os.getpid(), signal.SIGUSR1)
            stage.run_once(0)
        stage.until(lambda: len(kind.made) == 5 and told)


class Framed(reactor.FramedProtocol):
    """Answers each frame with itself; *reaction* comes first."""

    codec = reactor.LengthPrefixed(1)

    def __init__(self, reaction: Callable[[Framed], object]) -> None:
        self.reaction = reaction
        self.ends: list[BaseException | None] = []

    def frame_received(self, frame: bytes) -> None:
        self.reaction(self)
        self.send_frame(frame)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.ends.append(exc)


def test_a_reply_waits_when_the_kernel_has_no_room_for_it(stage: Stage) -> None:
    """Somebody else has filled the socket's buffer; the reply comes behind that, whole."""
    filled = 0

    def fill(me: Framed) -> None:
        nonlocal filled
        with socket.socket(fileno=os.dup(me.transport.fileno())) as other:
            other.setblocking(False)
            try:
                while True:
                    filled += other.send(bytes(1 << 16))
            except BlockingIOError:
                pass

    protocol = Framed(fill)
    listener = stage.listen_tcp(lambda: protocol, "127.0.0.1")
    with socket.create_connection(listener.address) as client:
        client.sendall(b"\5hello")
        stage.until(lambda: filled)
        assert protocol.transport.get_write_buffer_size() == 6
        client.setblocking(False)
        received = bytearray()

        def has_all() -> bool:
            try:
                received.extend(client.recv(1 << 20))
            except BlockingIOError:
                pass
            return len(received) == filled + 6

        beat = stage.call_every(0.001, lambda: None)  # the client is not watched, so the loop has to look again
        stage.until(has_all)
        beat.cancel()
        assert received.endswith(b"\0\5hello")


def test_a_reply_to_a_peer_that_is_gone_ends_the_connection_alone(stage: Stage) -> None:
    """Its socket is reset before the reply is sent; a connection that stands beside it goes on."""
    clients: list[socket.socket] = []

    def reset(me: Framed) -> None:
        clients[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        clients[0].close()

    victim, other = Framed(reset), Framed(lambda me: None)
    protocols = [victim, other]
    listener = stage.listen_tcp(lambda: protocols.pop(0), "127.0.0.1")
    clients += [socket.create_connection(listener.address) for _ in range(2)]
    stage.until(lambda: not protocols)
    clients[0].sendall(b"\4gone")
    stage.until(lambda: victim.ends)
    assert isinstance(victim.ends[0], ConnectionError)
    clients[1].sendall(b"\4here")
    clients[1].settimeout(10)
    stage.settle()
    assert heard(clients[1], 5) == b"\4here"
    clients[1].close()


def test_threads_that_ask_for_a_socket_get_the_same_one_or_none(stage: Stage) -> None:
    """While the loop serves and ends the connection: a second object would close the number a second time."""
    kind = numbered()
    listener = stage.listen_tcp(kind, "127.0.0.1")
    is_over = threading.Event()
    seen: dict[int, set[int]] = {}

    def ask() -> None:
        while not is_over.is_set():
            for number, one in enumerate(kind.made[:]):
                sock = one.transport.get_extra_info("socket")
                if sock is not None:
                    seen.setdefault(number, set()).add(id(sock))
                    kept.append(sock)

    kept: list[Any] = []
    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            count = len(kind.made)
            with queued(listener, 5) as clients:
                stage.until(lambda: len(kind.made) == count + 5)  # noqa: B023
                stage.until(lambda: all(one.data for one in kind.made))
                assert [heard(client) for client in clients] == [b"0", b"1", b"2", b"3", b"4"]
            stage.until(lambda: not listener.connections)
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    assert set(map(len, seen.values())) <= {1}
    assert stage.take_failures() == []
