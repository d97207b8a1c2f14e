"""asynchat as the library reference describes it: the original and ours collect and send the same."""

from __future__ import annotations

import itertools
import os
import socket
from typing import Any

import pytest

from tests.compat.channels.stage import PATIENCE, Twin


def collector(twin: Twin) -> Any:
    """Return a class of channels that note what they collect, and what was complete."""

    class Collector(twin.asynchat.async_chat):
        def __init__(self, sock: Any = None) -> None:
            super().__init__(sock)
            self.data = b""
            self.found: list[bytes] = []

        def collect_incoming_data(self, data: bytes) -> None:
            assert data, "nothing was collected"
            self.data += data

        def found_terminator(self) -> None:
            self.found.append(self.data)
            self.data = b""

        def handle_error(self) -> None:
            raise

    return Collector


class Script:
    """A socket that returns what it was given, piece by piece, and takes so many bytes at a time."""

    def __init__(self, pieces: list[bytes], takes: int = 1 << 30) -> None:
        self.pieces = pieces
        self.takes = takes
        self.sent = b""

    def recv(self, size: int) -> bytes:
        """Return the next piece."""
        return self.pieces.pop(0)

    def send(self, data: Any) -> int:
        """Take the beginning of *data*."""
        self.sent += bytes(data)[: self.takes]
        return min(len(data), self.takes)

    def fileno(self) -> int:
        """Nobody polls this one."""
        return 100_000

    def close(self) -> None:
        """Nothing is open."""


def scripted(twin: Twin, *pieces: bytes, takes: int = 1 << 30) -> Any:
    """Return a collector on a script."""
    channel = collector(twin)()
    channel.set_socket(Script(list(pieces), takes))
    channel.connected = True
    return channel


def read_all(channel: Any) -> None:
    """Read until the script is at its end."""
    while channel.socket.pieces:
        channel.handle_read()


@pytest.mark.parametrize("terminator", [b"\n", b"\r\n", b"qqq", b"ababac"])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_a_terminator_is_found_wherever_the_stream_is_cut(twin: Twin, terminator: bytes, size: int) -> None:
    """Also if a part of it looks like its beginning, and if nothing is before it."""
    messages = [b"hello", b"", b"abab" + terminator[:-1] + b"x", b"", b"I'm not dead yet!"]
    stream = b"".join(message + terminator for message in messages) + b"rest"
    channel = scripted(twin, *(stream[i : i + size] for i in range(0, len(stream), size)))
    channel.set_terminator(terminator)
    assert channel.get_terminator() == terminator
    read_all(channel)
    assert channel.found == messages
    assert channel.data == b"rest"


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_a_number_of_bytes_is_a_terminator_once(twin: Twin, size: int) -> None:
    """Then it is 0, and everything is collected; in between it is what is missing."""
    stream = b"hello world"
    channel = scripted(twin, *(stream[i : i + size] for i in range(0, len(stream), size)))
    channel.set_terminator(5)
    channel.handle_read()
    assert channel.get_terminator() == max(5 - size, 0)
    read_all(channel)
    assert channel.found == [b"hello"]
    assert channel.data == b" world"
    assert channel.get_terminator() == 0
    with pytest.raises(ValueError, match="positive"):
        channel.set_terminator(-1)


@pytest.mark.parametrize("nothing", [None, b"", "", 0])
def test_everything_is_collected_when_there_is_no_terminator(twin: Twin, nothing: Any) -> None:
    """None, empty and 0 are the ways to say so."""
    channel = scripted(twin, b"hello\n", b"world\n")
    channel.set_terminator(nothing)
    read_all(channel)
    assert (channel.data, channel.found) == (b"hello\nworld\n", [])


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_terminator_may_change_in_the_midst_of_a_read(twin: Twin, size: int) -> None:
    """As in every protocol that announces a body in a header: what follows is cut by the new one."""
    stream = b"5\r\nhello3\r\nabc0\r\n\r\ndone\r\n"
    channel = scripted(twin, *(stream[i : i + size] for i in range(0, len(stream), size)))
    bodies = []

    def found() -> None:
        if channel.get_terminator() == b"\r\n":
            length = int(channel.data) if channel.data.isdigit() else 0
            channel.set_terminator(length or b"\r\n")
        else:
            bodies.append(channel.data)
            channel.set_terminator(b"\r\n")
        channel.data = b""

    channel.found_terminator = found
    channel.set_terminator(b"\r\n")
    read_all(channel)
    assert bodies == [b"hello", b"abc"]


def test_text_is_a_terminator_when_an_encoding_is_used(twin: Twin) -> None:
    """And a producer may make text."""
    channel = scripted(twin, "grüße\n".encode("latin-1"))
    channel.use_encoding = 1
    channel.set_terminator("ß")
    assert channel.get_terminator() == "ß".encode("latin-1")
    read_all(channel)
    assert channel.found == ["grü".encode("latin-1")]
    channel.push_with_producer(twin.asynchat.simple_producer("grüße", 2))
    while channel.producer_fifo:
        channel.handle_write()
    assert channel.socket.sent == "grüße".encode("latin-1")


def test_the_hooks_must_be_written(twin: Twin) -> None:
    """They are what a channel is about."""
    channel = twin.asynchat.async_chat()
    with pytest.raises(NotImplementedError):
        channel.collect_incoming_data(b"x")
    with pytest.raises(NotImplementedError):
        channel.found_terminator()


def test_collected_data_is_kept_until_it_is_asked_for(twin: Twin) -> None:
    """The two methods that most programs make their hooks of."""
    channel = twin.asynchat.async_chat()
    channel._collect_incoming_data(b"hel")
    channel._collect_incoming_data(b"lo")
    assert channel._get_data() == b"hello"
    assert channel._get_data() == b""


@pytest.mark.parametrize("takes", [1, 3, 1000])
def test_pieces_and_producers_leave_in_the_order_in_which_they_were_pushed(twin: Twin, takes: int) -> None:
    """Whatever the socket takes at a time; large pieces are cut."""
    channel = scripted(twin, takes=takes)
    channel.ac_out_buffer_size = 4
    channel.push(b"one,")
    channel.push_with_producer(twin.asynchat.simple_producer(b"two,three,", buffer_size=3))
    channel.push(bytearray(b"four,"))
    channel.push_with_producer(b"five,six,seven,")
    channel.push(memoryview(b"eight"))
    assert channel.writable()
    while channel.producer_fifo:
        channel.handle_write()
    assert channel.socket.sent == b"one,two,three,four,five,six,seven,eight"
    assert not channel.writable()


def test_what_is_pushed_waits_until_the_connection_is_made(twin: Twin) -> None:
    """``writable`` is true meanwhile, whatever is queued."""
    channel = scripted(twin)
    channel.connected = False
    channel.push(b"hello")
    assert channel.socket.sent == b""
    channel.discard_buffers()
    assert not channel.producer_fifo
    assert channel.writable()
    assert channel.readable()


@pytest.mark.parametrize("data", ["text", 10, None, [b"x"]])
def test_push_refuses_what_is_not_bytes(twin: Twin, data: Any) -> None:
    """With a TypeError."""
    with pytest.raises(TypeError, match="byte-ish"):
        scripted(twin).push(data)


def test_a_channel_closes_when_all_was_sent(twin: Twin) -> None:
    """The peer receives everything that was pushed before, then an end; a second conversation is not harmed."""
    sock, peer = twin.pair()
    channel = collector(twin)(sock)
    channel.set_terminator(b"\n")
    payload = os.urandom(1 << 20)
    channel.push(payload)
    channel.push_with_producer(twin.asynchat.simple_producer(payload, 10_000))
    channel.close_when_done()
    peer.setblocking(False)
    received = bytearray()
    ended = []

    def is_over() -> bool:
        try:
            chunk = peer.recv(1 << 20)
        except BlockingIOError:
            return False
        received.extend(chunk)
        if not chunk:
            ended.append(True)
        return bool(ended)

    twin.until(is_over)
    assert received == payload + payload
    assert twin.map == {}


def test_discarding_drops_both_directions(twin: Twin) -> None:
    """What was not handed on, what was collected, and what was not sent."""
    channel = scripted(twin, b"hello\r", takes=0)
    channel.set_terminator(b"\r\n")
    read_all(channel)
    channel._collect_incoming_data(b"x")
    channel.push(b"hello")
    channel.discard_buffers()
    assert not channel.ac_in_buffer
    assert channel._get_data() == b""
    assert not channel.producer_fifo


def test_a_conversation_in_lines_goes_both_ways(twin: Twin) -> None:
    """A server and a client, both channels, on one loop; the client quits."""
    base = collector(twin)
    lines = [b"HELO you", b"", b"DATA", b"x" * 100_000, b"QUIT"]
    clients: list[Any] = []

    class Server(twin.asyncore.dispatcher):
        def handle_accepted(self, sock: socket.socket, addr: Any) -> None:
            answering = Answering(sock)
            answering.set_terminator(b"\r\n")
            self.close()

    class Answering(base):
        def found_terminator(self) -> None:
            self.push(b"250 " + self.data + b"\r\n")
            if self.data == b"QUIT":
                self.close_when_done()
            self.data = b""

    class Client(base):
        def handle_connect(self) -> None:
            for line in lines:
                self.push(line + b"\r\n")

    server = Server()
    server.create_socket()
    server.bind(("127.0.0.1", 0))
    server.listen(5)
    client = Client()
    client.create_socket()
    client.set_terminator(b"\r\n")
    client.connect(server.socket.getsockname())
    clients.append(client)
    twin.asyncore.loop(PATIENCE, twin.use_poll)
    assert client.found == [b"250 " + line for line in lines]


def test_a_part_of_a_terminator_at_the_end_is_measured(twin: Twin) -> None:
    """The longest one, and never the whole."""
    find = twin.asynchat.find_prefix_at_end
    assert find(b"qwerty\r", b"\r\n") == 1
    assert find("qwertydkjf", "\r\n") == 0
    assert find(b"xabab", b"ababac") == 4
    for text in map(bytes, itertools.product(b"ab", repeat=5)):
        for needle in (b"ab", b"aab", b"abab"):
            longest = max(n for n in range(len(needle)) if text.endswith(needle[:n]))
            assert find(text, needle) == longest


def test_a_simple_producer_makes_its_data_in_pieces(twin: Twin) -> None:
    """512 bytes unless told otherwise, and nothing at the end."""
    producer = twin.asynchat.simple_producer(b"x" * 1000)
    assert [len(producer.more()) for _ in range(3)] == [512, 488, 0]
    producer = twin.asynchat.simple_producer(b"hello", 2)
    assert [producer.more() for _ in range(4)] == [b"he", b"ll", b"o", b""]
