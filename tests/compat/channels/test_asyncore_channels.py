"""The channels of asyncore as the library reference describes them: the original and ours do the same."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.compat.channels.stage import PATIENCE, Twin, reset


def test_a_channel_knows_whether_its_socket_is_connected(twin: Twin) -> None:
    """The socket that it is given may be connected or not, and is made non-blocking."""
    dispatcher = twin.asyncore.dispatcher
    sock, peer = twin.pair()
    channel = dispatcher(sock)
    assert channel.connected
    assert channel.addr == peer.getsockname()
    assert sock.gettimeout() == 0
    assert twin.map == {sock.fileno(): channel}
    unconnected = dispatcher(twin.kept(socket.socket()))
    assert not unconnected.connected
    assert unconnected.addr is None
    assert dispatcher().socket is None


def test_a_channel_leaves_the_map_when_its_socket_is_broken(twin: Twin) -> None:
    """What is no socket raises, and is not waited for."""
    reading, writing = os.pipe()
    os.close(writing)
    pipe = socket.socket(fileno=os.dup(twin.pair()[0].fileno()))
    os.dup2(reading, pipe.fileno())
    os.close(reading)
    with pytest.raises(OSError, match="socket"):
        twin.asyncore.dispatcher(pipe)
    assert twin.map == {}
    pipe.close()


def test_a_channel_is_made_of_the_socket_that_was_asked_for(twin: Twin) -> None:
    """Family and kind, non-blocking, not inherited by children."""
    channel = twin.asyncore.dispatcher()
    channel.create_socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    assert (channel.socket.family, channel.socket.type) == (socket.AF_UNIX, socket.SOCK_DGRAM)
    assert channel.family_and_type == (socket.AF_UNIX, socket.SOCK_DGRAM)
    assert channel.socket.gettimeout() == 0
    assert not channel.socket.get_inheritable()
    channel.close()
    channel.create_socket()
    assert (channel.socket.family, channel.socket.type) == (socket.AF_INET, socket.SOCK_STREAM)
    assert not channel.socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    channel.set_reuse_addr()
    assert channel.socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)


def test_a_channel_says_what_it_is(twin: Twin) -> None:
    """Its class, its state, its address."""
    channel = twin.asyncore.dispatcher()
    name = f"<{twin.asyncore.__name__}.dispatcher"
    assert repr(channel) == f"{name} at {id(channel):#x}>"
    channel.create_socket()
    channel.bind(("127.0.0.1", 0))
    channel.listen(5)
    assert repr(channel) == f"{name} listening 127.0.0.1:0 at {id(channel):#x}>"
    connected = twin.asyncore.dispatcher(twin.pair()[0])
    assert repr(connected).startswith(f"{name} connected 127.0.0.1:")
    connected.addr = "/run/socket"
    assert repr(connected) == f"{name} connected '/run/socket' at {id(connected):#x}>"


def test_accept_returns_none_when_nobody_is_there(twin: Twin) -> None:
    """And a socket with its address when somebody is."""
    channel = twin.asyncore.dispatcher()
    channel.create_socket()
    channel.bind(("127.0.0.1", 0))
    channel.listen(5)
    assert channel.accept() is None
    with socket.create_connection(channel.socket.getsockname()) as client:
        found: list[Any] = []
        channel.handle_accepted = lambda *pair: found.append(pair)
        twin.until(lambda: found)
        [(sock, address)] = found
        assert address == client.getsockname()
        sock.close()


def test_an_accepted_connection_is_closed_when_nobody_handles_it(twin: Twin) -> None:
    """The client sees an end."""
    channel = twin.asyncore.dispatcher()
    channel.create_socket()
    channel.bind(("127.0.0.1", 0))
    channel.listen(5)
    with socket.create_connection(channel.socket.getsockname(), timeout=PATIENCE) as client:
        twin.poll(PATIENCE)
        assert client.recv(1) == b""


def test_send_takes_what_fits_and_recv_what_is_there(twin: Twin) -> None:
    """A full socket takes 0 bytes; the end is b"" and a call of handle_close."""
    sock, peer = twin.pair()
    channel = twin.recorder()(sock)
    sent = 0
    while count := channel.send(b"x" * 65536):
        sent += count
    left = sent
    while left:
        left -= len(peer.recv(1 << 20))
    peer.sendall(b"hello")
    peer.shutdown(socket.SHUT_WR)
    received = b""
    while len(received) < 5:
        received += channel.recv(2)
    assert received == b"hello"
    assert channel.recv(10) == b""
    assert channel.heard == ["close"]


def test_a_broken_connection_is_an_end_when_it_is_written_to(twin: Twin) -> None:
    """EPIPE and ECONNRESET are told by handle_close, not by an exception; it may be written to again."""
    sock, peer = twin.pair()

    class Persistent(twin.recorder()):
        def handle_close(self) -> None:
            self.heard.append("close")

    channel = Persistent(sock)
    reset(peer)
    while channel.send(b"x"):
        pass
    assert channel.heard == ["close"]
    assert channel.send(b"x") == 0


def test_a_connection_is_made_at_once_when_the_system_can(twin: Twin, tmp_path: Path) -> None:
    """On a Unix socket it can: handle_connect is called inside of connect."""
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        channel = twin.recorder()()
        channel.create_socket(socket.AF_UNIX)
        channel.connect(path)
        assert channel.heard == ["connect"]
        assert channel.connected
        assert channel.addr == path


def test_a_failed_connection_is_an_error_of_the_channel(twin: Twin) -> None:
    """The exception is the system's, with its number."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        channel = twin.recorder()()
        channel.create_socket()
        channel.connect(nobody.getsockname())
        twin.until(lambda: "error" in channel.heard)
    assert isinstance(channel.error, ConnectionRefusedError)
    assert channel.heard == ["error"]
    assert not channel.connected


def test_a_connection_that_fails_at_once_raises(twin: Twin, tmp_path: Path) -> None:
    """There is no such path."""
    channel = twin.asyncore.dispatcher()
    channel.create_socket(socket.AF_UNIX)
    with pytest.raises(FileNotFoundError):
        channel.connect(str(tmp_path / "nothing"))
    assert not channel.connected


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="urgent data is told with epoll only")
def test_urgent_data_is_an_event_of_its_own(twin: Twin) -> None:
    """``handle_expt`` may read it out of band; the other data is not touched by that."""
    sock, peer = twin.pair()

    class Urgent(twin.recorder()):
        urgent = b""

        def handle_expt(self) -> None:
            self.urgent += self.socket.recv(10, socket.MSG_OOB)

    channel = Urgent(sock)
    peer.sendall(b"hello")
    peer.send(b"!", socket.MSG_OOB)
    twin.until(lambda: channel.urgent and len(channel.received) == 5)
    assert (channel.urgent, channel.received) == (b"!", b"hello")


def test_closing_twice_is_no_error(twin: Twin) -> None:
    """The channel leaves the map, its attributes say so, and its socket is closed."""
    channel = twin.recorder()(twin.pair()[0])
    channel.close()
    channel.close()
    assert twin.map == {}
    assert channel.socket.fileno() == -1
    assert (channel.connected, channel.accepting) == (False, False)
    twin.asyncore.dispatcher().close()


def test_the_defaults_say_what_nobody_handles(twin: Twin, capsys: pytest.CaptureFixture[str]) -> None:
    """On stdout, and only if warnings are not ignored, as they are by default; ``log`` writes to stderr."""
    channel = twin.asyncore.dispatcher()
    for ignored in (channel.ignore_log_types, ()):
        channel.ignore_log_types = ignored
        channel.handle_expt()
        channel.handle_read()
        channel.handle_write()
        channel.handle_connect()
        channel.handle_close()
    channel.log("a hit")
    channel.log_info("for your information")
    out, err = capsys.readouterr()
    events = ("incoming priority", "read", "write", "connect", "close")
    assert out.splitlines() == [
        *(f"warning: unhandled {event} event" for event in events), "info: for your information",
    ]  # fmt: skip
    assert err == "log: a hit\n"


def test_a_channel_with_a_buffer_sends_everything(twin: Twin) -> None:
    """``send`` takes it all; what the socket does not take now leaves later."""
    sock, peer = twin.pair()

    class Sending(twin.asyncore.dispatcher_with_send):
        def readable(self) -> bool:
            return False

    channel = Sending(sock)
    payload = os.urandom(1 << 20) * 8
    channel.send(payload)
    assert channel.out_buffer
    channel.send(b"end")
    peer.setblocking(False)
    received = bytearray()

    def is_done() -> bool:
        try:
            received.extend(peer.recv(1 << 20))
        except BlockingIOError:
            pass
        return len(received) == len(payload) + 3

    twin.until(is_done)
    assert received == payload + b"end"
    assert not channel.out_buffer
    assert not channel.writable()


def test_a_pipe_is_a_channel_through_a_file_dispatcher(twin: Twin) -> None:
    """Its end is an end; the descriptor that it was made of stays its owner's."""
    reading, writing = os.pipe()
    received: list[bytes] = []

    class Reader(twin.asyncore.file_dispatcher):
        def writable(self) -> bool:
            return False

        def handle_read(self) -> None:
            received.append(self.recv(100))

        def handle_close(self) -> None:
            self.close()

    channel = Reader(reading)
    assert channel.socket.fileno() != reading
    os.write(writing, b"hello")
    twin.until(lambda: received)
    os.close(writing)
    twin.asyncore.loop(PATIENCE, twin.use_poll)
    assert b"".join(received) == b"hello"
    os.close(reading)


def test_a_regular_file_is_always_ready(twin: Twin, tmp_path: Path) -> None:
    """No poller but select and poll takes one; the loop reads it all the same, without waiting."""
    path = tmp_path / "file"
    path.write_bytes(b"It's not dead, it's sleeping!")
    received: list[bytes] = []

    class Reader(twin.asyncore.file_dispatcher):
        def writable(self) -> bool:
            return False

        def handle_read(self) -> None:
            received.append(self.recv(10))

        def handle_close(self) -> None:
            self.close()

    with path.open("rb") as file:
        Reader(file)
        twin.asyncore.loop(PATIENCE, twin.use_poll)
    assert b"".join(received) == path.read_bytes()


def test_a_file_wrapper_is_as_much_of_a_socket_as_is_needed(twin: Twin, tmp_path: Path) -> None:
    """recv, send, one socket option, a close that can be repeated, a warning if it is forgotten."""
    path = tmp_path / "file"
    path.write_bytes(b"hello")
    with path.open("r+b", buffering=0) as file:
        wrapper = twin.asyncore.file_wrapper(file.fileno())
        assert wrapper.recv(2) == b"he"
        assert wrapper.read(2) == b"ll"
        assert wrapper.send(b"p") == 1
        assert wrapper.write(b"!") == 1
        assert wrapper.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        with pytest.raises(NotImplementedError):
            wrapper.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE)
        wrapper.close()
        wrapper.close()
        assert wrapper.fileno() == -1
        with pytest.raises(OSError, match="descriptor"):
            wrapper.recv(1)
        forgotten = twin.asyncore.file_wrapper(file.fileno())
        with pytest.warns(ResourceWarning, match="unclosed file"):
            del forgotten
    assert path.read_bytes() == b"hellp!"


def test_readwrite_tells_what_the_flags_of_poll_say(twin: Twin) -> None:
    """Each flag has its method, and what a method raises has its handler."""
    import select

    heard: list[str] = []

    class Told:
        failing: BaseException | None = None

        def __getattr__(self, name: str) -> Any:
            if not name.startswith("handle_"):
                raise AttributeError(name)

            def method() -> None:
                heard.append(name)
                if self.failing is not None and name not in ("handle_error", "handle_close"):
                    raise self.failing

            return method

    told = Told()
    readwrite = twin.asyncore.readwrite
    readwrite(told, select.POLLIN | select.POLLOUT | select.POLLPRI | select.POLLHUP)
    assert heard == ["handle_read_event", "handle_write_event", "handle_expt_event", "handle_close"]
    for told.failing, handler in ((LookupError(), "handle_error"), (BrokenPipeError(32, "gone"), "handle_close")):
        heard.clear()
        readwrite(told, select.POLLIN)
        assert heard == ["handle_read_event", handler]
    told.failing = twin.asyncore.ExitNow()
    for tell in (twin.asyncore.read, twin.asyncore.write, twin.asyncore._exception):
        with pytest.raises(twin.asyncore.ExitNow):
            tell(told)
    told.failing = LookupError()
    heard.clear()
    for tell in (twin.asyncore.read, twin.asyncore.write, twin.asyncore._exception):
        tell(told)
    assert heard[1::2] == ["handle_error"] * 3
