"""What is wrong with connecting in the original asyncore, shown on it, and how ours differs.

Read next: ``test_asyncore_losses``.
"""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import pytest

from tests.compat.channels.stage import TURNS, Twin, open_ended


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
    """The original says ``connected`` of it afterwards, and has it read from its closed socket."""

    class Brief(twin.recorder()):
        def handle_connect(self) -> None:
            super().handle_connect()
            self.close()

    listener = twin.server()
    channel = Brief()
    channel.create_socket()
    channel.connect(listener.getsockname())
    twin.until(lambda: channel.heard)
    assert channel.connected == twin.is_original
    assert channel.heard == ["connect"]


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
