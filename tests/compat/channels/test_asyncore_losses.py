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
from typing import Any

import pytest

from tests.compat.channels.stage import PATIENCE, TURNS, Twin, open_ended, reset


def test_a_server_outlives_the_client_that_it_cannot_bear(twin: Twin, capsys: pytest.CaptureFixture[str]) -> None:
    """One exception in handle_accepted, and the original closes its listening socket."""

    class Server(twin.asyncore.dispatcher):
        clients = 0

        def handle_accepted(self, sock: socket.socket, addr: Any) -> None:
            self.clients += 1
            if self.clients == 1:
                with sock:
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
    """Who cannot accept, and never could, would fail for ever."""

    class Server(ours.asyncore.dispatcher):
        def handle_accept(self) -> None:
            raise LookupError("before anything was accepted")

    server = Server()
    server.create_socket()
    server.bind(("127.0.0.1", 0))
    server.listen(5)
    with socket.create_connection(server.socket.getsockname()):
        ours.until(lambda: not ours.map)
    assert isinstance(server.close_cause, LookupError)
    assert capsys.readouterr().out.count("\n") == 1


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


def test_a_socket_closed_in_the_map_is_an_end(twin: Twin) -> None:
    """The program closed the socket and not the channel.  The original's select raises for everybody."""
    channel = open_ended(twin)(twin.pair()[0])
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
    """An epoll set forgets it without a word; whoever waits in vain looks."""
    monkeypatch.setattr("reactor.compat.channel_watch.LOOK_INTERVAL", 0.0)
    sock, _ = ours.pair()
    channel = ours.recorder()(sock)
    ours.poll()
    os.close(sock.fileno())
    ours.until(lambda: channel.heard)
    assert channel.heard == ["close"]
    assert ours.map == {}
    sock.detach()


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
