"""What is wrong with the original asynchat, shown on it where Python still has it, and how ours differs."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from reactor.compat import asynchat as new
from reactor.compat import asyncore
from reactor.errors import FrameTooLong, WriteBufferFull
from tests.compat.channels.stage import Twin
from tests.compat.channels.test_asynchat import read_all, scripted


def test_a_peer_that_reads_nothing_fills_no_memory(twin: Twin) -> None:
    """Beyond the limit ``push`` raises, takes nothing, and the default handler closes.  The original grows."""
    sock, peer = map(twin.kept, socket.socketpair())  # whose buffers are small

    class Generous(twin.asynchat.async_chat):
        ac_out_buffer_limit = 100_000

        def handle_read(self) -> None:
            self.recv(100)
            for _ in range(300):
                self.push(b"x" * 10_000)

    channel = Generous(sock)
    peer.sendall(b"more!")
    twin.until(lambda: channel.producer_fifo or not twin.map)
    queued = sum(map(len, channel.producer_fifo))
    if twin.is_original:
        assert queued > 1_000_000
    else:
        assert queued <= 110_000
        assert isinstance(channel.close_cause, WriteBufferFull)
        assert isinstance(channel.close_cause, ConnectionError)
        assert "raise ac_out_buffer_limit (100000)" in str(channel.close_cause)


def test_one_large_message_is_taken_whatever_the_limit(ours: Twin) -> None:
    """It is the program's own and in memory already; only more of it is refused, until some has left."""
    channel = scripted(ours, takes=50_000)
    channel.ac_out_buffer_limit = 100_000
    channel.push(b"x" * 1_000_000)
    with pytest.raises(WriteBufferFull):
        channel.push(b"x")
    with pytest.raises(WriteBufferFull):
        channel.push_with_producer(new.simple_producer(b"x"))
    while channel.producer_fifo:
        channel.handle_write()
    channel.push(b"y")
    assert channel.socket.sent == b"x" * 1_000_000 + b"y"


def test_small_pieces_weigh_more_than_their_bytes(ours: Twin) -> None:
    """A piece of one byte takes as much memory as one of sixty, so it is counted so."""
    channel = scripted(ours, takes=0)
    channel.ac_out_buffer_limit = 6_500
    for _ in range(101):
        channel.push(b"x")
    with pytest.raises(WriteBufferFull, match="in 101 pieces"):
        channel.push(b"x")


def test_what_was_sent_or_removed_makes_room(ours: Twin) -> None:
    """The limit is on what waits now, also when a program empties the queue by hand; None is no limit."""
    channel = scripted(ours, takes=1000)
    channel.ac_out_buffer_limit = 2_000
    for _ in range(100):
        channel.push(b"x" * 900)
    channel.connected = False
    for _ in range(100):
        channel.push(b"x" * 900)
        channel.producer_fifo.clear()
    channel.ac_out_buffer_limit = None
    for _ in range(100):
        channel.push(b"x" * 900)
    assert len(channel.producer_fifo) == 100
    channel.discard_buffers()
    channel.ac_out_buffer_limit = 2_000
    channel.push(b"x")


def test_a_producer_that_was_sent_leaves_no_weight(ours: Twin) -> None:
    """Whatever it made is off the count when it has left."""
    channel = scripted(ours, takes=100)
    channel.ac_out_buffer_limit = 3_000
    for _ in range(50):
        channel.push_with_producer(new.simple_producer(b"x" * 1000))
        while channel.producer_fifo:
            channel.handle_write()
    assert channel._out_weight == 0
    assert len(channel.socket.sent) == 50_000


def test_what_a_producer_made_counts_until_it_has_left(ours: Twin) -> None:
    """One that makes much at once is no way around the limit."""

    class Plenty:
        def more(self) -> bytes:
            return b"x" * 200_000

    channel = scripted(ours, takes=10)
    channel.ac_out_buffer_limit = 100_000
    channel.push_with_producer(Plenty())
    with pytest.raises(WriteBufferFull):
        channel.push(b"x")


def test_a_send_that_empties_the_queue_is_no_harm(ours: Twin) -> None:
    """Programs override it, and close or discard in it."""
    channel = scripted(ours)

    def send(data: bytes) -> int:
        channel.discard_buffers()
        return len(data)

    channel.send = send
    channel.push(b"hello")
    assert not channel.producer_fifo


def test_a_dispatcher_with_a_buffer_is_bounded_too(twin: Twin) -> None:
    """``send`` raises beyond ``out_buffer_limit``; the original grows."""
    sock, peer = map(twin.kept, socket.socketpair())  # whose buffers are small

    class Generous(twin.asyncore.dispatcher_with_send):
        out_buffer_limit = 100_000

        def handle_read(self) -> None:
            self.recv(100)
            for _ in range(300):
                self.send(b"x" * 10_000)

    channel = Generous(sock)
    peer.sendall(b"more!")
    twin.until(lambda: channel.out_buffer or not twin.map)
    if twin.is_original:
        assert len(channel.out_buffer) > 1_000_000
    else:
        assert len(channel.out_buffer) <= 110_000
        assert isinstance(channel.close_cause, WriteBufferFull)


def test_a_dispatcher_with_a_buffer_waits_for_its_connection(twin: Twin) -> None:
    """What is sent before there is one is kept.  The original writes to the unconnected socket, and closes."""
    listener = twin.server()
    channel = twin.asyncore.dispatcher_with_send()
    channel.create_socket()
    channel.send(b"early")
    if twin.is_original:
        assert twin.map == {}
        return
    channel.connect(listener.getsockname())
    with listener.accept()[0] as peer:
        twin.until(lambda: not channel.out_buffer)
        assert peer.recv(100) == b"early"
    channel.out_buffer_limit = None
    channel.out_buffer = b"set by hand"
    channel.handle_write()
    assert channel.out_buffer == b""


def test_a_peer_that_never_ends_its_line_fills_no_memory(twin: Twin) -> None:
    """What ``_collect_incoming_data`` keeps is bounded; the original keeps everything."""
    sock, peer = twin.pair()

    class Lines(twin.asynchat.async_chat):
        ac_in_buffer_limit = 100_000
        collected = 0

        def collect_incoming_data(self, data: bytes) -> None:
            self.collected += len(data)
            self._collect_incoming_data(data)

    channel = Lines(sock)
    channel.set_terminator(b"\n")
    for _ in range(30):
        peer.sendall(b"x" * 10_000)
        before = channel.collected
        twin.until(lambda before=before: channel.collected > before or not twin.map)
        if not twin.map:
            break
    if twin.is_original:
        assert channel.collected > 150_000
    else:
        assert channel.collected <= 200_000
        assert isinstance(channel.close_cause, FrameTooLong)
        assert "raise ac_in_buffer_limit (100000)" in str(channel.close_cause)


def test_what_was_taken_makes_room_for_more(ours: Twin) -> None:
    """Also if a program takes it by hand; one byte at a time weighs more than its bytes; None is no limit."""
    channel = ours.asynchat.async_chat()
    channel.ac_in_buffer_limit = 6_500
    for _ in range(100):
        channel._collect_incoming_data(b"x" * 5_000)
        channel._get_data()
    for _ in range(100):
        channel._collect_incoming_data(b"x" * 5_000)
        del channel.incoming[:]
    for _ in range(100):
        channel._collect_incoming_data(b"x")
    with pytest.raises(FrameTooLong, match="101 pieces"):
        channel._collect_incoming_data(b"x")
    channel.ac_in_buffer_limit = None
    channel._collect_incoming_data(b"x" * 100_000)


@pytest.mark.slow
def test_short_lines_cost_no_more_than_long_ones(twin: Twin) -> None:
    """Four times as many in one read cost four times as much, not sixteen times, as they do in the original."""

    def cost(lines: int) -> float:
        least = 1e9
        for _ in range(5):
            channel = scripted(twin, b"\n" * lines)
            channel.set_terminator(b"\n")
            channel.found_terminator = lambda: None
            before = time.process_time()
            channel.handle_read()
            least = min(least, time.process_time() - before)
        return least

    ratio = cost(200_000) / cost(50_000)
    assert ratio > 8 if twin.is_original else ratio < 8


def test_nothing_is_found_any_more_after_a_close(twin: Twin) -> None:
    """What came in the same read is dropped.  The original goes on with a closed channel."""
    channel = scripted(twin, b"QUIT\nDATA\n")
    channel.set_terminator(b"\n")

    def found() -> None:
        channel.found.append(channel.data)
        channel.data = b""
        channel.close()

    channel.found_terminator = found
    read_all(channel)
    assert channel.found == ([b"QUIT", b"DATA"] if twin.is_original else [b"QUIT"])


def test_an_empty_producer_takes_nothing_with_it(twin: Twin) -> None:
    """One whose length is 0 counts as false.  The original drops the piece behind it as well."""

    class Empty:
        def __len__(self) -> int:
            return 0

        def more(self) -> bytes:
            return b""

    channel = scripted(twin)
    channel.connected = False
    channel.push_with_producer(Empty())
    channel.push(b"hello")
    channel.connected = True
    while channel.producer_fifo:
        channel.handle_write()
    assert channel.socket.sent == (b"" if twin.is_original else b"hello")


def test_an_empty_piece_does_not_hold_up_what_follows(twin: Twin) -> None:
    """The original sends it, and waits for the next event."""
    channel = scripted(twin)
    channel.connected = False
    channel.push_with_producer(b"")
    channel.push(b"hello")
    channel.connected = True
    channel.handle_write()
    assert channel.socket.sent == (b"" if twin.is_original else b"hello")


def test_text_of_two_bytes_a_letter_is_sent_once(twin: Twin) -> None:
    """Partly sent, the original counts the bytes that left as letters, and loses some."""
    channel = scripted(twin, takes=2)
    channel.use_encoding, channel.encoding = 1, "utf-8"
    channel.push_with_producer(twin.asynchat.simple_producer("äöü"))
    while channel.producer_fifo:
        channel.handle_write()
    assert (channel.socket.sent == "äöü".encode()) != twin.is_original


def test_a_buffer_that_changes_after_push_is_sent_as_it_was(twin: Twin) -> None:
    """The original sends what it has become."""
    channel = scripted(twin)
    channel.connected = False
    buffer = bytearray(b"hello")
    channel.push(buffer)
    buffer[:] = b"wrong"
    channel.connected = True
    while channel.producer_fifo:
        channel.handle_write()
    assert channel.socket.sent == (b"wrong" if twin.is_original else b"hello")


def test_text_as_a_terminator_is_refused_with_advice(ours: Twin, capsys: pytest.CaptureFixture[str]) -> None:
    """When it is needed, as it always was, since programs set it back and forth."""
    channel = scripted(ours, b"hello\n")
    channel.set_terminator("\n")
    with pytest.raises(TypeError, match="give bytes, or set use_encoding"):
        channel.handle_read()


def test_a_channel_that_set_its_buffer_itself_goes_on(ours: Twin) -> None:
    """The buffers are the program's to look at and to set, to bytes as in the original."""
    channel = scripted(ours, b"ab\ncd\n")
    channel.set_terminator(b"\n")

    def found() -> None:
        channel.found.append(channel.data)
        channel.data = b""
        if len(channel.found) == 1:
            channel.ac_in_buffer = b"changed\nrest"

    channel.found_terminator = found
    read_all(channel)
    assert channel.found == [b"ab", b"changed"]
    assert channel.data == b"rest"


def test_the_limits_are_generous() -> None:
    """64 MiB each way: no program that worked before meets them by chance."""
    for cls, name in (
        (new.async_chat, "ac_out_buffer_limit"),
        (new.async_chat, "ac_in_buffer_limit"),
        (asyncore.dispatcher_with_send, "out_buffer_limit"),
    ):
        limit: Any = getattr(cls, name)
        assert limit == 64 * 1024 * 1024


def test_a_reading_error_is_the_channels(twin: Twin) -> None:
    """An OSError of ``recv`` or ``send`` goes to handle_error; there being nothing is none."""
    channel = scripted(twin)
    errors: list[str] = []
    channel.handle_error = lambda: errors.append("error")

    def fail(exc: OSError) -> Any:
        def method(argument: Any) -> Any:
            raise exc

        return method

    channel.recv = fail(BlockingIOError(11, "nothing"))
    channel.handle_read()
    assert errors == []
    channel.recv = channel.send = fail(OSError(5, "broken"))
    channel.handle_read()
    channel.push(b"x")
    assert errors == ["error", "error"]
