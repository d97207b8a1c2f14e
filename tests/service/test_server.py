"""Servers on every poller, with plain sockets as their clients."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

import reactor
from reactor.errors import OptionError, UsageError
from reactor.service.server import QUOTED, Server
from tests.service.peer import Peer, turn_until


@pytest.fixture
def loop(poller_name: str) -> Iterator[reactor.Reactor]:
    """A reactor on each poller."""
    with reactor.Reactor(poller_name) as made:
        yield made


def frame(payload: bytes) -> bytes:
    """Return *payload* behind its length, by hand."""
    return struct.pack(">I", len(payload)) + payload


def serving(loop: reactor.Reactor, service: str, mode: str = "raw", **options: object) -> tuple[Server, Peer]:
    """Return a server of *service* and a plain client that is connected to it."""
    server = Server(loop, service, mode=mode, **options)  # type: ignore[arg-type]
    return server, Peer(loop, server.listen_tcp("127.0.0.1").address)


def test_a_plain_client_is_answered_in_upper_case_when_it_is_raw(loop: reactor.Reactor) -> None:
    """The first program of every text on sockets: send, receive, close."""
    server, peer = serving(loop, "upper")
    with peer:
        peer.send(b"hello world")
        assert peer.receive(11) == b"HELLO WORLD"
    turn_until(loop, lambda: not server.counters.open)
    assert server.counters.as_dict() == {
        "open": 0, "open_peak": 1, "connections": 1, "messages": 1, "bytes_in": 11, "bytes_out": 11, "errors": 0,
    }  # fmt: skip


def test_the_word_exit_ends_a_session_when_it_is_a_line(loop: reactor.Reactor) -> None:
    """Messages before it are answered, and then the server closes."""
    server, peer = serving(loop, "upper", "line")
    with peer:
        peer.send(b"one\r\ntwo\nexit\nthree\n")
        assert peer.receive_all() == b"ONE\nTWO\n"
    assert server.counters.messages == 4


def test_lines_before_the_one_that_is_no_text_are_answered(loop: reactor.Reactor) -> None:
    """They came first, and were lawful; then the connection is closed and counted."""
    server, peer = serving(loop, "upper", "line")
    with peer:
        peer.send(b"abc\n\xff\nnever\n")
        assert peer.receive_all() == b"ABC\n"
    turn_until(loop, lambda: not server.counters.open)
    assert (server.counters.errors, server.counters.bytes_out) == (1, 3)


@pytest.mark.parametrize(("service", "message"), [("upper", "ŉŉ"), ("hello", "long")])
def test_a_reply_that_is_too_long_ends_its_own_connection_only(
    loop: reactor.Reactor, service: str, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Text may grow when it is answered: a counted fault of the client, one line, after the replies before it."""
    server, peer = serving(loop, service, "framed", max_frame_length=5)
    with peer, Peer(loop, server.addresses[0]) as victim:
        victim.send(frame(b"") + frame(message.encode()) + frame(b""))
        first = b"" if service == "upper" else "好".encode()
        assert victim.receive_all() == frame(first)
        peer.send(frame(b""))
        assert peer.receive(len(frame(first))) == frame(first)
        assert (server.counters.errors, server.counters.bytes_out) == (1, 2 * len(first))
    assert loop.counters.peer_errors == 1
    (record,) = caplog.records
    assert record.exc_info is None
    assert "the reply cannot be sent" in record.message


def test_an_empty_frame_is_answered_as_the_message_that_it_is(loop: reactor.Reactor) -> None:
    """Where a message has a length, that length may be zero, and nobody waits forever."""
    _, peer = serving(loop, "upper", "framed")
    with peer:
        peer.send(frame(b"") + frame(b"a") + frame(b""))
        assert peer.receive(13) == frame(b"") + frame(b"A") + frame(b"")


def test_a_killed_client_ends_its_own_connection_only(loop: reactor.Reactor) -> None:
    """A reset is counted; the other clients do not notice, and new ones come in."""
    server, peer = serving(loop, "upper")
    with peer, Peer(loop, server.addresses[0]) as victim:
        victim.send(b"a")
        assert victim.receive(1) == b"A"
        victim.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        victim.socket.close()
        turn_until(loop, lambda: server.counters.open == 1)
        assert server.counters.errors == 1
        peer.send(b"still here")
        assert peer.receive(10) == b"STILL HERE"


def test_greet_welcomes_before_it_is_spoken_to(loop: reactor.Reactor) -> None:
    """The client reads first, then speaks, and is noted with what it said."""
    lines: list[str] = []
    _, peer = serving(loop, "greet", journal=lines.append)
    with peer:
        assert peer.receive(22) == b"welcome to my service~"
        peer.send("你好,服务器,我来找你了~".encode())
        turn_until(loop, lambda: len(lines) > 1)
    assert "connected" in lines[0]
    assert lines[1].endswith("said '你好,服务器,我来找你了~'")


def test_hello_answers_many_clients_each_with_its_own_words(loop: reactor.Reactor) -> None:
    """X comes back as X好, to whoever sent it."""
    server, first = serving(loop, "hello")
    with first, Peer(loop, server.addresses[0]) as second:
        first.send("你".encode())
        second.send("我".encode())
        assert second.receive(6).decode() == "我好"
        assert first.receive(6).decode() == "你好"


def test_bytes_that_are_no_text_close_the_connection_and_are_counted(
    loop: reactor.Reactor, caplog: pytest.LogCaptureFixture
) -> None:
    """One line says so, without a traceback, and the server goes on."""
    server, peer = serving(loop, "upper")
    with peer:
        peer.send(b"\xff")
        assert peer.receive_all() == b""
    turn_until(loop, lambda: not server.counters.open)
    assert server.counters.errors == 1
    assert ["UTF-8" in record.message and record.exc_info is None for record in caplog.records] == [True]


def test_a_text_cannot_write_control_characters_into_the_journal(loop: reactor.Reactor) -> None:
    """What came from the network is quoted, and cut when it is long."""
    lines: list[str] = []
    _, peer = serving(loop, "greet", "framed", journal=lines.append)
    with peer:
        peer.send(frame(b"\x1b[2J\r\n") + frame(b"a" * (QUOTED + 7)))
        turn_until(loop, lambda: len(lines) > 2)
    assert lines[1].endswith(r"said '\x1b[2J\r\n'")
    assert lines[2].endswith("a' and 7 characters more")


def test_nothing_more_is_read_when_the_client_does_not_read(loop: reactor.Reactor) -> None:
    """Memory stays bounded: the server ceases to listen to a client that does not take its replies."""
    server = Server(loop, "echo", mode="raw")
    listener = server.listen_tcp("127.0.0.1", send_buffer=8192, receive_buffer=8192)
    data = bytes(range(256)) * 4_000
    with socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        plain.connect(listener.address)
        plain.setblocking(False)
        left, turns_without = pushed(plain, memoryview(data)), 0
        while left and turns_without < 50:  # until nothing moves any more
            loop.run_once(0)
            before, left = len(left), pushed(plain, left)
            turns_without = turns_without + 1 if len(left) == before else 0
        assert left, "a megabyte went into a server whose replies nobody took"
        (stream,) = [one for one in loop._shared.transports if isinstance(one, reactor.Stream)]
        assert stream.get_write_buffer_size() < 512 * 1024
        received = bytearray()

        def is_echoed() -> bool:
            nonlocal left
            left = pushed(plain, left)
            try:
                received.extend(plain.recv(1 << 20))
            except BlockingIOError:
                pass
            return len(received) == len(data)

        turn_until(loop, is_echoed)
    assert received == data


def pushed(plain: socket.socket, view: memoryview) -> memoryview:
    """Send what *plain* takes of *view*, and return the rest."""
    try:
        return view[plain.send(view) :] if view else view
    except BlockingIOError:
        return view


def test_a_unix_path_is_served_and_removed_at_the_end(loop: reactor.Reactor, tmp_path: Path) -> None:
    """The same services, on a socket in the file system."""
    server = Server(loop, "echo")
    path = str(tmp_path / "s")
    server.listen_unix(path)
    with Peer(loop, path) as peer:
        peer.send(b"x")
        assert peer.receive(1) == b"x"
    server.stop()
    assert not Path(path).exists()


# -- datagrams -------------------------------------------------------------------------------------------------


def ask(loop: reactor.Reactor, address: tuple[str, int], *datagrams: bytes) -> list[bytes]:
    """Send *datagrams* one by one from a plain socket and return the answers."""
    answers: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        plain.setblocking(False)

        def is_answered() -> bool:
            try:
                answers.append(plain.recvfrom(65536)[0])
            except BlockingIOError:
                return False
            return True

        for datagram in datagrams:
            plain.sendto(datagram, address)
            turn_until(loop, is_answered)
    return answers


def test_each_datagram_is_answered_and_its_sender_noted(loop: reactor.Reactor) -> None:
    """The service ``datagram`` gives everybody the same answer, to an empty datagram as well."""
    lines: list[str] = []
    server = Server(loop, "datagram", journal=lines.append)
    address = server.open_datagram(("127.0.0.1", 0)).get_extra_info("sockname")
    answer = "你好,我是服务器~".encode()
    assert ask(loop, address, "服务器,我来了".encode(), b"") == [answer, answer]
    assert lines[0].startswith("127.0.0.1:")
    assert lines[0].endswith("sent '服务器,我来了'")
    assert lines[1].endswith("sent ''")


def test_datagrams_are_upper_cased_when_upper_is_served_so(loop: reactor.Reactor) -> None:
    """An empty datagram gets an empty answer, so no client hangs."""
    server = Server(loop, "upper")
    address = server.open_datagram(("127.0.0.1", 0)).get_extra_info("sockname")
    assert ask(loop, address, b"hello", b"", "ß".encode()) == [b"HELLO", b"", b"SS"]


def test_a_datagram_may_hold_many_messages_when_they_have_ends(loop: reactor.Reactor) -> None:
    """Lines or frames in one datagram are answered in one datagram."""
    lines, frames = Server(loop, "upper", mode="line"), Server(loop, "upper", mode="framed")
    at_lines = lines.open_datagram(("127.0.0.1", 0)).get_extra_info("sockname")
    at_frames = frames.open_datagram(("127.0.0.1", 0)).get_extra_info("sockname")
    assert ask(loop, at_lines, b"a\nb") == [b"A\nB\n"]
    assert ask(loop, at_frames, frame(b"a") + frame(b"")) == [frame(b"A") + frame(b"")]
    assert lines.counters.messages == frames.counters.messages == 2


def test_a_malformed_datagram_is_dropped_and_counted_and_the_next_one_answered(loop: reactor.Reactor) -> None:
    """Half a frame, or half a character, is nobody's end but its own."""
    server = Server(loop, "upper", mode="framed")
    address = server.open_datagram(("127.0.0.1", 0)).get_extra_info("sockname")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        plain.sendto(frame(b"abc")[:-1], address)
        plain.sendto(frame(b"\xff"), address)
        turn_until(loop, lambda: server.counters.errors == 2)
    assert ask(loop, address, frame(b"a")) == [frame(b"A")]


@pytest.mark.parametrize(("service", "method"), [("greet", "open_datagram"), ("datagram", "listen_tcp")])
def test_a_transport_is_refused_when_the_service_is_not_for_it(service: str, method: str) -> None:
    """A greeting needs somebody who connects, and the datagram service datagrams."""
    with reactor.Reactor() as loop:
        arguments = [("127.0.0.1", 0)] if method == "open_datagram" else ["127.0.0.1"]
        server = Server(loop, service)
        with pytest.raises(OptionError, match="only"):
            getattr(server, method)(*arguments)


# -- stopping --------------------------------------------------------------------------------------------------


def test_stop_closes_idle_clients_at_once_and_listens_no_more(loop: reactor.Reactor) -> None:
    """A client between two messages sees an orderly end."""
    server, peer = serving(loop, "echo", "line")
    address = server.addresses[0]
    with peer:
        peer.send(b"a\n")
        assert peer.receive(2) == b"a\n"
        server.stop()
        assert server.addresses == []
        assert peer.receive_all() == b""
        turn_until(loop, lambda: server.is_stopped)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address).close()
    with pytest.raises(UsageError, match="stopped"):
        server.listen_tcp("127.0.0.1")
    assert server.counters.errors == 0


def test_stop_answers_what_the_kernel_has_received_already(loop: reactor.Reactor) -> None:
    """A request that lies in the buffer when the server is told to stop is not lost."""
    server, peer = serving(loop, "upper", "line")
    with peer:
        peer.send(b"one\n")
        assert peer.receive(4) == b"ONE\n"
        peer.socket.send(b"two\n")
        server.stop()
        assert peer.receive_all() == b"TWO\n"


def test_stop_lets_a_client_finish_the_message_that_it_began(loop: reactor.Reactor) -> None:
    """It is answered, and then closed."""
    server, peer = serving(loop, "upper", "line")
    with peer:
        peer.send(b"on")
        turn_until(loop, lambda: server.counters.open == 1)
        loop.run_once(0)
        server.stop()
        for _ in range(5):
            loop.run_once(0)
        assert not server.is_stopped
        peer.send(b"e\n")
        assert peer.receive_all() == b"ONE\n"
        turn_until(loop, lambda: server.is_stopped)


def test_stop_aborts_a_client_that_does_not_finish_within_the_grace(loop: reactor.Reactor) -> None:
    """Nobody holds up the end by being slow."""
    server, peer = serving(loop, "upper", "line")
    with peer:
        peer.send(b"never ended")
        turn_until(loop, lambda: server.counters.open == 1)
        loop.run_once(0)
        server.stop(grace=0.02)
        turn_until(loop, lambda: server.is_stopped)
        assert peer.receive_all() == b""


def test_stop_aborts_everybody_when_it_is_called_again(loop: reactor.Reactor) -> None:
    """The second Ctrl-C means it."""
    server, peer = serving(loop, "upper", "line")
    with peer:
        peer.send(b"never ended")
        turn_until(loop, lambda: server.counters.open == 1)
        loop.run_once(0)
        server.stop(grace=1000)
        server.stop()
        turn_until(loop, lambda: server.is_stopped)


def test_stop_leaves_other_servers_of_the_same_loop_alone(loop: reactor.Reactor) -> None:
    """The loop and what else runs on it are not the server's."""
    server, peer = serving(loop, "upper")
    other, other_peer = serving(loop, "echo")
    with peer, other_peer:
        other_peer.send(b"a")
        assert other_peer.receive(1) == b"a"
        server.stop()
        assert peer.receive_all() == b""
        other_peer.send(b"b")
        assert other_peer.receive(1) == b"b"
        assert other.counters.open == 1
