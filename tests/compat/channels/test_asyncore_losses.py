"""What gets lost, or is taken for an end, in the original asyncore, shown on it, and how ours differs.

Read next: ``test_asyncore_threads``.
"""

from __future__ import annotations

import errno
import io
import os
import select
import socket
import sys
import time
from typing import Any

import pytest

from reactor.compat.channels import watch as channel_watch
from tests.compat.channels.stage import PATIENCE, TURNS, Twin, open_ended, reset


def test_a_server_outlives_the_client_that_it_cannot_bear(twin: Twin, capsys: pytest.CaptureFixture[str]) -> None:
    """One exception in handle_accepted, and the original closes its listening socket."""

    class Server(twin.asyncore.dispatcher):
        clients = 0

        def handle_accepted(self, sock: socket.socket, addr: Any) -> None:
            self.clients += 1
            if self.clients == 1:
                if twin.is_original:
                    sock.close()  # ours does that
                raise LookupError("no room at the inn")
            sock.close()

    server = Server()
    server.create_socket()
    server.bind(("127.0.0.1", 0))
    server.listen(5)
    address = server.socket.getsockname()
    with socket.create_connection(address) as first:
        first.settimeout(PATIENCE)
        twin.until(lambda: server.clients == 1)
        assert first.recv(1) == b""
    assert "no room at the inn" in capsys.readouterr().out
    if twin.is_original:
        assert twin.map == {}
    else:
        with socket.create_connection(address):
            twin.until(lambda: server.clients == 2)


def test_a_listener_closes_when_no_client_was_to_blame(ours: Twin, capsys: pytest.CaptureFixture[str]) -> None:
    """It accepted the first; now it cannot, and would fail forever."""

    class Server(ours.asyncore.dispatcher):
        clients = 0

        def handle_accept(self) -> None:
            self.clients += 1
            if self.clients > 1:
                raise LookupError("before anything was accepted")
            super().handle_accept()

    server = Server()
    server.create_socket()
    server.bind(("127.0.0.1", 0))
    server.listen(5)
    with socket.create_connection(server.socket.getsockname()):
        ours.until(lambda: server.clients == 1)
    with socket.create_connection(server.socket.getsockname()):
        ours.until(lambda: not ours.map)
    assert isinstance(server.close_cause, LookupError)
    assert capsys.readouterr().out.count("\n") == 1


def test_a_client_is_kept_when_its_server_leaves_the_loop(twin: Twin) -> None:
    """ExitNow is no failure: what was made of the connection goes on in the next loop."""

    class Server(twin.asyncore.dispatcher):
        def handle_accepted(self, sock: socket.socket, addr: Any) -> None:
            self.client = twin.recorder()(sock)
            raise twin.asyncore.ExitNow

    server = Server()
    server.create_socket()
    server.bind(("127.0.0.1", 0))
    server.listen(5)
    with socket.create_connection(server.socket.getsockname()) as peer:
        with pytest.raises(twin.asyncore.ExitNow):
            twin.asyncore.loop(PATIENCE, twin.use_poll)
        peer.sendall(b"hello")
        twin.until(lambda: server.client.received)


def test_an_error_that_means_no_connection_closes_quietly_and_is_not_lost(ours: Twin) -> None:
    """A program that reads from the socket itself, under ``poll2``: handle_close, and close_cause says why."""
    causes: list[BaseException | None] = []

    class Direct(ours.asyncore.dispatcher):
        def writable(self) -> bool:
            return False

        def handle_read(self) -> None:
            self.socket.recv(100)

        def handle_close(self) -> None:
            causes.append(self.close_cause)
            self.close()

        def log_info(self, message: str, type: str = "info") -> None:
            pass

    sock, peer = ours.pair()
    Direct(sock)
    reset(peer)
    ours.until(lambda: causes)
    assert isinstance(causes[0], ConnectionResetError)


@pytest.mark.parametrize("how", ["end", "reset", "error", "write"])
def test_a_channel_knows_why_it_is_closed(ours: Twin, how: str, capsys: pytest.CaptureFixture[str]) -> None:
    """``close_cause`` is None for an orderly end, else the exception.  The original swallows it."""
    sock, peer = ours.pair()
    causes: list[BaseException | None] = []

    class Closing(ours.asyncore.dispatcher):
        def readable(self) -> bool:
            return how != "write"

        def writable(self) -> bool:
            return how == "write"

        def handle_read(self) -> None:
            if self.recv(100):
                raise LookupError("nothing here")

        def handle_write(self) -> None:
            self.send(b"x")

        def handle_close(self) -> None:
            causes.append(self.close_cause)
            self.close()

    Closing(sock)
    if how == "error":
        peer.sendall(b"x")
    elif how == "end":
        peer.close()
    else:
        reset(peer)
    ours.until(lambda: causes)
    expected = {"end": type(None), "error": LookupError}.get(how, (ConnectionResetError, BrokenPipeError))
    assert isinstance(causes[0], expected)


def test_a_predicate_that_raises_is_its_own_channels_affair(twin: Twin) -> None:
    """The original's loop ends for everybody."""

    class Faulty(twin.recorder()):
        def writable(self) -> bool:
            raise LookupError("nothing here")

    faulty = Faulty(twin.pair()[0])
    if twin.is_original:
        with pytest.raises(LookupError):
            twin.poll()
    else:
        twin.poll()
        assert isinstance(faulty.error, LookupError)
        assert twin.map == {}


def test_a_server_goes_on_when_its_terminal_is_gone(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line about an error cannot be printed.  In the original that ends the loop."""

    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError(errno.EPIPE, "nobody reads this")

    class Faulty(twin.asyncore.dispatcher):
        def handle_read(self) -> None:
            raise LookupError("nothing here")

    monkeypatch.setattr(sys, "stdout", Gone())
    sock, peer = twin.pair()
    Faulty(sock)
    peer.sendall(b"x")
    if twin.is_original:
        with pytest.raises(BrokenPipeError):
            twin.turns(TURNS)
    else:
        twin.until(lambda: not twin.map)


# -- what is closed, or nothing after all ----------------------------------------------------------------------


@pytest.mark.parametrize("turns_before", [0, 1])
def test_a_socket_closed_in_the_map_is_an_end(twin: Twin, turns_before: int) -> None:
    """The program closed the socket and not the channel.  The original's select raises for everybody."""
    channel = open_ended(twin)(twin.pair()[0])
    twin.turns(turns_before)
    channel.socket.close()
    if twin.is_original and not twin.use_poll:
        with pytest.raises(OSError, match="descriptor"):
            twin.poll()
        return
    twin.turns(TURNS)
    times = channel.heard.count("close")
    assert times == TURNS if twin.is_original else channel.heard == ["close"]


def test_a_new_socket_with_the_old_number_is_heard(ours: Twin) -> None:
    """The program changed it without a word to the map.  An epoll set knows nothing of the new one."""
    sock, _ = ours.pair()
    channel = ours.recorder()(sock)
    ours.poll()
    number = sock.fileno()
    other, peer = ours.pair()
    sock.close()
    os.dup2(other.fileno(), number)
    channel.socket = ours.kept(socket.socket(fileno=number))
    peer.sendall(b"hello")
    ours.until(lambda: channel.received)
    assert channel.received == b"hello"


def test_a_descriptor_closed_by_its_number_is_an_end(ours: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    """An epoll set forgets it without a word, so whoever waits in vain looks; the others find it at once."""
    is_epoll = ours.kind == "epoll"
    monkeypatch.setattr("reactor.compat.channels.watch.LOOK_INTERVAL", 0.0 if is_epoll else PATIENCE * 100)
    sock, _ = ours.pair()
    channel = ours.recorder()(sock)
    ours.poll(0.01)  # it sleeps, and opens what it needs for that: the number must not be taken by itself
    os.close(sock.fileno())
    ours.until(lambda: channel.heard)
    assert channel.heard == ["close"]
    assert ours.map == {}
    sock.detach()


def test_a_socket_is_closed_when_ctrl_c_strikes_while_its_channel_leaves_the_map(ours: Twin) -> None:
    """It is out of the map, so ``close_all`` would not find it, and nobody else knows it."""
    sock, _ = ours.pair()
    channel = ours.recorder()(sock)
    leave = channel.del_channel

    def struck(*arguments: object) -> None:
        leave(*arguments)
        raise KeyboardInterrupt

    channel.del_channel = struck
    with pytest.raises(KeyboardInterrupt):
        channel.close()
    assert ours.map == {}
    assert sock.fileno() == -1


def test_a_channel_is_not_closed_because_there_was_nothing_to_read(twin: Twin) -> None:
    """Somebody else was quicker.  The original takes that for an error, and closes."""
    recorder = twin.recorder()
    sock, peer = twin.pair()
    twin_sock = twin.kept(sock.dup())

    class Quick(recorder):
        def handle_read(self) -> None:
            self.heard.append("read")
            self.received += twin_sock.recv(8192)
            self.recv(8192)

    channel = Quick(sock)
    peer.sendall(b"x")
    twin.until(lambda: channel.heard)
    assert channel.heard == (["read", "error"] if twin.is_original else ["read"])


def test_an_empty_datagram_is_no_end(twin: Twin) -> None:
    """A datagram socket has none.  The original closes it, for whoever sends nothing."""
    receiving = twin.kept(socket.socket(type=socket.SOCK_DGRAM))
    receiving.bind(("127.0.0.1", 0))
    with socket.socket(type=socket.SOCK_DGRAM) as sending:
        channel = twin.recorder()(receiving)
        sending.sendto(b"", receiving.getsockname())
        twin.until(lambda: channel.heard)
        assert ("close" in channel.heard) == twin.is_original
        if not twin.is_original:
            sending.sendto(b"hello", receiving.getsockname())
            twin.until(lambda: channel.received)


def test_a_channel_is_not_written_to_when_reading_has_closed_it(twin: Twin) -> None:
    """Both were told at once by poll(2): the original writes to a closed socket, and closes it once more."""

    class Both(twin.recorder()):
        def writable(self) -> bool:
            return True

        def handle_read(self) -> None:
            super().handle_read()
            self.close()

        def handle_write(self) -> None:
            self.heard.append("write")

    sock, peer = twin.pair()
    channel = Both(sock)
    peer.sendall(b"x")
    select.select([sock], [], [])
    twin.poll()
    assert channel.heard == (["read", "write"] if twin.is_original and twin.use_poll else ["read"])


def test_a_socket_that_lives_on_elsewhere_is_forgotten_when_its_channel_closes(ours: Twin) -> None:
    """A child process may hold a duplicate: an epoll set that was not told goes on to report it, forever."""
    sock, peer = ours.pair()
    duplicate = ours.kept(sock.dup())
    channel = ours.recorder()(sock)
    other = ours.recorder()(ours.pair()[0])
    ours.poll()
    watch = channel_watch._thread.watch
    assert watch is not None
    channel.close()
    peer.sendall(b"x")
    select.select([duplicate], [], [])
    ours.turns(3)
    assert watch._loop.counters.poller_rebuilds == 0
    assert other.heard == []


def test_a_plain_channel_costs_nothing_but_itself(ours: Twin) -> None:
    """Urgent data and hang-ups are watched for only where somebody wants to know."""
    ours.recorder()(ours.pair()[0])
    ours.poll()
    watch = channel_watch._thread.watch
    assert watch is not None
    assert watch._edges is None


def test_a_listener_that_rests_is_heard_again(ours: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are no descriptors, and no reserve helps: one try, then rest, however long the loop would wait."""
    monkeypatch.setattr("reactor.compat.channels.watch.ACCEPT_BACKOFF", 0.03)
    tries: list[float] = []
    served: list[Any] = []

    class Poor(socket.socket):
        def accept(self) -> Any:
            tries.append(time.monotonic())
            if len(tries) == 1:
                raise OSError(errno.EMFILE, "no descriptor left")
            return super().accept()

    class Server(ours.asyncore.dispatcher):
        def handle_accepted(self, sock: socket.socket, addr: Any) -> None:
            served.append(addr)
            sock.close()

        def log_info(self, message: str, type: str = "info") -> None:
            assert "0 turned away" in message

    server = Server()
    server.set_socket(ours.kept(Poor()))
    server.socket.setblocking(False)
    server.bind(("127.0.0.1", 0))
    server.listen(5)
    with socket.create_connection(server.socket.getsockname()) as client:
        ours.turns(TURNS)
        ours.asyncore.loop(PATIENCE * 100, ours.use_poll, ours.map, 1)
        while not served:
            ours.asyncore.loop(PATIENCE * 100, ours.use_poll, ours.map, 1)
        assert served == [client.getsockname()]
    assert len(tries) == 2
    assert tries[1] - tries[0] >= 0.03
