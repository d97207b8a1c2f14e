"""What is wrong with connecting in the original asyncore, shown on it, and how ours differs.

Read next: ``test_asyncore_losses``.
"""

from __future__ import annotations

import errno
import select
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.compat.channels.stage import TURNS, Twin, open_ended, reset


def test_a_failed_connection_is_not_told_as_one_afterwards(twin: Twin) -> None:
    """Reading the error clears it.  The original looks again, finds none, and tells of a connection."""
    channel = open_ended(twin)()
    channel.create_socket()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        channel.connect(nobody.getsockname())
        twin.until(lambda: "error" in channel.heard)
    twin.turns(TURNS)
    assert isinstance(channel.error, ConnectionRefusedError)
    if twin.is_original:
        assert "connect" in channel.heard
        assert channel.connected
    else:
        assert channel.heard == ["error"]
        assert not channel.connected
        assert not channel.connecting


def test_a_channel_stays_closed_when_it_closes_in_handle_connect(twin: Twin) -> None:
    """The original says ``connected`` of it afterwards, and has it write to its closed socket."""

    class Brief(twin.recorder()):
        def handle_connect(self) -> None:
            super().handle_connect()
            self.close()

        def handle_write(self) -> None:
            self.heard.append("write")

    listener = twin.server()
    channel = Brief()
    channel.create_socket()
    channel.connect(listener.getsockname())
    twin.until(lambda: channel.heard)
    assert channel.connected == twin.is_original
    assert channel.heard == (["connect", "write"] if twin.is_original else ["connect"])


def test_a_channel_that_connects_elsewhere_in_handle_connect_waits_for_that(ours: Twin) -> None:
    """A client that is sent on: the event was the first connection's."""
    listeners = [ours.server(), ours.server()]

    class SentOn(ours.recorder()):
        def handle_connect(self) -> None:
            super().handle_connect()
            if len(self.heard) == 1:
                self.close()
                self.create_socket()
                self.connect(listeners[1].getsockname())

        def handle_write(self) -> None:
            assert self.connected
            self.heard.append("write")

        def writable(self) -> bool:
            return "write" not in self.heard

    channel = SentOn()
    channel.create_socket()
    channel.connect(listeners[0].getsockname())
    ours.until(lambda: "write" in channel.heard)
    assert channel.heard == ["connect", "connect", "write"]


def test_an_error_in_handle_connect_is_told_once(twin: Twin) -> None:
    """The connection is there.  The original calls handle_connect again and again."""

    class Failing(open_ended(twin)):
        def handle_connect(self) -> None:
            super().handle_connect()
            raise LookupError("nothing here")

    listener = twin.server()
    channel = Failing()
    channel.create_socket()
    channel.connect(listener.getsockname())
    twin.until(lambda: "error" in channel.heard)
    twin.turns(TURNS)
    times = channel.heard.count("connect")
    assert times > TURNS / 2 if twin.is_original else times == 1


def test_a_full_queue_is_an_error_when_a_unix_socket_connects(twin: Twin, tmp_path: Path) -> None:
    """EAGAIN means that nothing is on its way.  The original waits, and is told of a connection at once."""
    path = str(tmp_path / "socket")
    listener = twin.kept(socket.socket(socket.AF_UNIX))
    listener.bind(path)
    listener.listen(0)
    fillers = []
    while True:
        filler = twin.kept(socket.socket(socket.AF_UNIX))
        filler.setblocking(False)
        if filler.connect_ex(path) == errno.EAGAIN:
            break
        fillers.append(filler)
    channel = twin.recorder()()
    channel.create_socket(socket.AF_UNIX)
    if twin.is_original:
        channel.connect(path)
        twin.turns(1)
        assert "connect" in channel.heard
    else:
        with pytest.raises(BlockingIOError):
            channel.connect(path)
        assert not channel.connecting


def test_a_client_can_connect_again_with_the_same_object(ours: Twin) -> None:
    """Its new socket has the old one's number, which no epoll set knows any more."""

    class Client(ours.recorder()):
        def handle_close(self) -> None:
            self.heard.append("close")
            self.close()
            if self.heard.count("close") < 3:
                self.begin()

        def begin(self) -> None:
            self.create_socket()
            self.connect(listener.getsockname())

    listener = ours.server()
    channel = Client()
    channel.begin()
    numbers = set()
    for _ in range(3):
        count = channel.heard.count("connect")
        ours.until(lambda count=count: channel.heard.count("connect") > count)
        numbers.add(channel.socket.fileno())
        with listener.accept()[0] as peer:
            peer.sendall(b"hello")
        ours.until(lambda count=count: channel.heard.count("close") > count)
    assert channel.received == b"hello" * 3
    assert len(numbers) == 1
    assert ours.map == {}


@pytest.mark.parametrize("what", ["connect", "listen"])
def test_a_channel_that_was_polled_too_early_is_heard_later(ours: Twin, what: str) -> None:
    """Its socket was neither connected nor listening, and nobody handled what that is told as."""
    heard = []

    class Early(ours.asyncore.dispatcher):
        def handle_close(self) -> None:
            pass

        def handle_connect(self) -> None:
            heard.append("connect")

        def handle_accepted(self, sock: socket.socket, addr: Any) -> None:
            heard.append("listen")
            sock.close()

    channel = Early()
    channel.create_socket()
    ours.turns(3)
    if what == "connect":
        channel.connect(ours.server().getsockname())
    else:
        channel.bind(("127.0.0.1", 0))
        channel.listen(5)
        ours.kept(socket.create_connection(channel.socket.getsockname()))
    ours.until(lambda: heard)
    assert heard == [what]


def test_a_channel_that_is_not_connected_yet_is_still_told_of_the_connection(ours: Twin) -> None:
    """It has tried to send meanwhile; where the system says ENOTCONN to that, this is no end."""

    class Unready(socket.socket):
        def send(self, data: Any, *flags: Any) -> int:
            raise OSError(errno.ENOTCONN, "not connected yet")

    channel = open_ended(ours)()
    channel.set_socket(ours.kept(Unready()))
    channel.socket.setblocking(False)
    channel.connect(ours.server().getsockname())
    assert channel.send(b"x") == 0
    ours.until(lambda: "connect" in channel.heard)


def test_a_new_socket_is_not_told_what_happened_to_the_old_one(ours: Twin) -> None:
    """It was both readable and writable; reading, the channel begins anew, and the new one has the old number."""
    listener = ours.server()
    listener.listen(0)
    for _ in range(3):
        filler = ours.kept(socket.socket())
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())

    class Restless(ours.recorder()):
        def writable(self) -> bool:
            return True

        def handle_read(self) -> None:
            super().handle_read()
            self.close()
            self.create_socket()
            self.connect(listener.getsockname())

    sock, peer = ours.pair()
    number = sock.fileno()
    while (filler := ours.kept(socket.socket())).fileno() < number:
        pass
    channel = Restless(sock)
    peer.sendall(b"x")
    select.select([sock], [], [])
    ours.poll()
    assert channel.heard == ["read"]
    assert channel.socket.fileno() == number
    assert channel.connecting
    assert not channel.connected


def test_a_socket_that_is_replaced_leaves_the_map(ours: Twin) -> None:
    """And the new one is heard, also if the old one had come to its end."""
    old, old_peer = ours.pair()
    new, new_peer = ours.pair()
    channel = open_ended(ours)(old)
    reset(old_peer)
    ours.until(lambda: "close" in channel.heard)
    assert channel.close_cause is not None
    channel.set_socket(new)
    assert ours.map == {new.fileno(): channel}
    assert channel.close_cause is None
    new_peer.sendall(b"hello")
    ours.until(lambda: channel.received)
    assert channel.received == b"hello"
