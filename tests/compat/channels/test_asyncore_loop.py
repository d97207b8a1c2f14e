"""The loop of asyncore as the library reference describes it: the original and ours have the same story to tell."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest

from tests.compat.channels.stage import PATIENCE, Twin


def test_a_conversation_goes_through_every_event_when_a_client_meets_a_server(twin: Twin) -> None:
    """connect, accepted, write, read, close: each is told to the right channel, and the loop ends by itself."""
    recorder = twin.recorder()
    accepted = []

    class Server(recorder):
        def handle_accepted(self, sock: socket.socket, addr: Any) -> None:
            self.heard.append("accepted")
            accepted.append(Answering(sock))
            self.close()

    class Answering(recorder):
        def handle_read(self) -> None:
            super().handle_read()
            self.unsent = self.received.upper()

    class Client(recorder):
        def handle_connect(self) -> None:
            super().handle_connect()
            self.unsent = b"hello"

        def handle_read(self) -> None:
            super().handle_read()
            if self.received == b"HELLO":
                self.close()

    server = Server()
    server.create_socket()
    server.set_reuse_addr()
    server.bind(("127.0.0.1", 0))
    server.listen(5)
    client = Client()
    client.create_socket()
    client.connect(server.socket.getsockname())
    twin.asyncore.loop(PATIENCE, twin.use_poll)
    assert server.heard == ["accepted"]
    assert client.heard == ["connect", "write", "read"]
    assert accepted[0].received == b"hello"
    assert accepted[0].heard[-1] == "close"
    assert twin.map == {}


def test_the_loop_returns_at_once_when_its_map_is_empty(twin: Twin) -> None:
    """Nothing is waited for, with any timeout."""
    twin.asyncore.loop(PATIENCE * 10, twin.use_poll)
    twin.asyncore.poll(PATIENCE * 10)
    twin.asyncore.loop(PATIENCE * 10, twin.use_poll, {}, 3)


def test_the_channels_are_asked_before_each_wait_when_the_loop_counts(twin: Twin) -> None:
    """``count`` is the number of waits, and before each both questions are put, once."""
    asked = []

    class Asked(twin.recorder()):
        def readable(self) -> bool:
            asked.append("readable")
            return False

        def writable(self) -> bool:
            asked.append("writable")
            return False

    Asked(twin.pair()[0])
    twin.asyncore.loop(0.0, twin.use_poll, None, 3)
    assert asked == ["readable", "writable"] * 3
    twin.asyncore.loop(0.0, twin.use_poll, None, 0)
    assert len(asked) == 6


def test_an_answer_counts_from_the_next_wait_on_when_it_changes(twin: Twin) -> None:
    """What a channel does not wait for it is not told, though it is there; and then it is."""

    class Choosy(twin.recorder()):
        reads = writes = False

        def readable(self) -> bool:
            return self.reads

        def writable(self) -> bool:
            return self.writes

        def handle_write(self) -> None:
            self.heard.append("write")

    sock, peer = twin.pair()
    channel = Choosy(sock)
    peer.sendall(b"hello")
    twin.turns(3)
    assert channel.heard == []
    channel.writes = True
    twin.turns(2)
    assert channel.heard == ["write", "write"]
    channel.reads, channel.writes = True, False
    twin.until(lambda: channel.received)
    assert channel.received == b"hello"
    channel.reads = False
    peer.sendall(b"more")
    twin.turns(3)
    assert channel.received == b"hello"


def test_a_wait_takes_its_time_when_nothing_happens(twin: Twin) -> None:
    """The timeout is in seconds, and a wait is not shorter, whether anything is waited for or not."""

    class Quiet(twin.recorder()):
        reads = True

        def readable(self) -> bool:
            return self.reads

        def writable(self) -> bool:
            return False

    channel = Quiet(twin.pair()[0])
    for channel.reads in (True, False):
        before = time.monotonic()
        twin.poll(0.03)
        assert time.monotonic() - before >= 0.03


def test_a_negative_timeout_is_refused_or_for_ever(twin: Twin) -> None:
    """As select(2) and poll(2) have it."""
    sock, peer = twin.pair()
    channel = twin.recorder()(sock)
    if not twin.use_poll:
        with pytest.raises(ValueError, match="timeout must be non-negative"):
            twin.poll(-1)
        return
    turn = threading.Semaphore(0)

    def send() -> None:
        for _ in range(50):
            turn.acquire()
            peer.sendall(b"x")

    thread = threading.Thread(target=send)
    thread.start()
    try:
        for number in range(50):
            turn.release()
            twin.poll(-1)
            assert len(channel.received) == number + 1, "it returned with nothing"
    finally:
        turn.release(50)
        thread.join(PATIENCE)


def test_a_listener_is_not_told_that_it_can_write(twin: Twin) -> None:
    """Even if ``writable()`` says yes, as it does by default."""

    class Listening(twin.asyncore.dispatcher):
        def handle_write_event(self) -> None:
            raise AssertionError("a listener was told to write")

        def handle_error(self) -> None:
            raise

    listening = Listening()
    listening.create_socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(5)
    twin.turns(3)


@pytest.mark.parametrize("passing", ["ExitNow", KeyboardInterrupt, SystemExit])
def test_the_loop_is_left_when_a_channel_asks_for_it(twin: Twin, passing: Any) -> None:
    """Three exceptions pass through, and the loop can be entered again."""
    kind = twin.asyncore.ExitNow if passing == "ExitNow" else passing

    class Leaving(twin.recorder()):
        def handle_read(self) -> None:
            super().handle_read()
            raise kind("enough")

    sock, peer = twin.pair()
    channel = Leaving(sock)
    peer.sendall(b"one")
    with pytest.raises(kind, match="enough"):
        twin.asyncore.loop(PATIENCE, twin.use_poll)
    peer.sendall(b"two")
    with pytest.raises(kind, match="enough"):
        twin.asyncore.loop(PATIENCE, twin.use_poll)
    assert channel.received == b"onetwo"
    assert channel.heard == ["read", "read"]


def test_the_loop_is_left_when_handle_error_raises(twin: Twin) -> None:
    """``raise`` in an overridden ``handle_error`` is how tests and programs look at what went wrong."""

    class Strict(twin.recorder()):
        def handle_read(self) -> None:
            raise LookupError("nothing here")

        def handle_error(self) -> None:
            raise

    sock, peer = twin.pair()
    Strict(sock)
    peer.sendall(b"x")
    with pytest.raises(LookupError, match="nothing here"):
        twin.asyncore.loop(PATIENCE, twin.use_poll)


def test_an_error_costs_one_channel_and_a_line_when_nobody_handles_it(
    twin: Twin, capsys: pytest.CaptureFixture[str]
) -> None:
    """By default a condensed traceback is printed and the channel closed; the others go on."""

    class Faulty(twin.asyncore.dispatcher):
        def writable(self) -> bool:
            return False

        def handle_read(self) -> None:
            raise LookupError("nothing here")

    faulty, peer = twin.pair()
    good, other_peer = twin.pair()
    Faulty(faulty)
    channel = twin.recorder()(good)
    peer.sendall(b"x")
    other_peer.sendall(b"x")
    twin.until(lambda: channel.received and len(twin.map) == 1)
    line = capsys.readouterr().out
    assert line.startswith("error: uncaptured python exception, closing channel <")
    assert "LookupError'>:nothing here [" in line
    assert "|handle_read|" in line
    assert line.count("\n") == 1


def test_a_channel_may_poll_again_from_inside_of_an_event(twin: Twin) -> None:
    """Programs wait for one thing in the midst of another."""
    recorder = twin.recorder()
    first, first_peer = twin.pair()
    second, second_peer = twin.pair()
    inner = recorder(second)

    class Waiting(recorder):
        def handle_read(self) -> None:
            super().handle_read()
            second_peer.sendall(b"inner")
            twin.until(lambda: inner.received)

    outer = Waiting(first)
    first_peer.sendall(b"outer")
    twin.until(lambda: outer.received)
    assert (outer.received, inner.received) == (b"outer", b"inner")


def test_a_channel_that_an_earlier_one_closed_in_the_same_turn_is_told_nothing(twin: Twin) -> None:
    """Both were ready; the first closes the second."""
    recorder = twin.recorder()
    pairs = [twin.pair(), twin.pair()]
    channels: list[Any] = []

    class Closing(recorder):
        def handle_read(self) -> None:
            super().handle_read()
            for channel in channels:
                channel.close()

    channels += [Closing(sock) for sock, _ in pairs]
    for _, peer in pairs:
        peer.sendall(b"x")
    twin.until(lambda: not twin.map)
    assert sorted(len(channel.heard) for channel in channels) in ([0, 1], [1, 1])
    assert all("error" not in channel.heard for channel in channels)


def test_a_loop_runs_in_any_thread(twin: Twin) -> None:
    """The servers of test suites live in one."""
    sock, peer = twin.pair()

    class Echoing(twin.recorder()):
        def handle_read(self) -> None:
            super().handle_read()
            self.unsent = self.received

    Echoing(sock)
    thread = threading.Thread(target=twin.asyncore.loop, args=(0.05, twin.use_poll))
    thread.start()
    peer.sendall(b"hello")
    assert peer.recv(100) == b"hello"
    peer.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert twin.map == {}
