"""A format of a program's own: what ``next_frame`` returns becomes frames, however the bytes arrive.

The page's RESP is talked to by Redis's own client, where that is installed.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import reactor
from reactor.errors import (
    ArgumentError,
    FrameMalformed,
    FrameTooLong,
    FrameTruncated,
    FramingError,
    OptionError,
    PayloadRefused,
    UsageError,
)
from tests.cli.running import Serving
from tests.test_readme import PROGRAMS

PATIENCE = 10.0


class Own(reactor.Codec[bytes, bytes]):
    """What ``LengthPrefixed(2)`` is, in a program's own words."""

    def next_frame(self, data: bytes, at: int) -> tuple[bytes, int] | int | None:
        start = at + 2
        if len(data) < start:
            return 2
        end = start + int.from_bytes(data[at:start], "big")
        return (data[start:end], end) if end <= len(data) else end - at

    def encode(self, payload: bytes) -> bytes:
        return len(payload).to_bytes(2, "big") + payload


class Guessing(Own):
    """The same, but it never says how much is missing."""

    def next_frame(self, data: bytes, at: int) -> tuple[bytes, int] | None:
        found = super().next_frame(data, at)
        return found if isinstance(found, tuple) else None


class Refused(FramingError):
    """A fault of a program's own, which is made in a manner of its own."""

    def __init__(self, *, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code


class Numbers(reactor.Codec[int, int]):
    """Decimal numbers, each before a semicolon; frames are ints.  It counts them."""

    def __init__(self, max_frame_length: int = 100) -> None:
        super().__init__(max_frame_length=max_frame_length)
        self.count = 0

    def next_frame(self, data: bytes, at: int) -> tuple[int, int] | None:
        end = data.find(b";", at)
        if end < 0:
            return None
        if data[at:end] == b"?":
            raise Refused(code=data[at])
        if data[at:end] == b"!":
            raise ZeroDivisionError("on purpose")
        self.count += 1
        return int(data[at:end]), end + 1

    def encode(self, payload: int) -> bytes:
        if payload < 0:
            raise FrameMalformed("no number below zero")
        return b"%d;" % payload


def fed(codec: reactor.Codec[Any, Any], chunks: list[bytes]) -> tuple[list[Any], str]:
    """Return the frames, and what was wrong in the end."""
    decoder, frames = codec.fresh(), []
    try:
        for chunk in chunks:
            frames += decoder.feed(chunk)
        frames += decoder.feed_eof()
    except FramingError as fault:
        return frames + fault.frames, type(fault).__name__
    return frames, ""


@given(
    st.lists(st.binary(max_size=40)), st.binary(max_size=3), st.lists(st.integers(1, 30)),
    st.sampled_from([Own, Guessing]), st.sampled_from([10, 1000]),
)  # fmt: skip
def test_it_cuts_what_a_built_in_format_cuts_however_the_bytes_arrive(
    payloads: list[bytes], rest: bytes, sizes: list[int], own: type[Own], limit: int
) -> None:
    """The same frames before the same kind of fault.  Its limit is of the bytes that a frame occupies."""
    wire = b"".join(len(payload).to_bytes(2, "big") + payload for payload in payloads) + rest
    chunks, at = [], 0
    for size in [*sizes, len(wire) + 1]:
        chunks.append(wire[at : at + size])
        at += size
    built_in = reactor.LengthPrefixed(2, max_frame_length=limit - 2)
    frames, fault = fed(built_in, chunks)
    if own is Guessing and fault == "FrameTooLong":  # which is certain later, if nobody says how long it will be
        assert fed(own(max_frame_length=limit), chunks)[0] == frames
    else:
        assert fed(own(max_frame_length=limit), chunks) == (frames, fault)


def test_frames_are_objects_and_a_decoder_has_its_own_state() -> None:
    """What the template has is copied, and no connection sees another's."""
    template = Numbers()
    one, other = template.fresh(), template.fresh()
    assert one.feed(b"1;22;3") == [1, 22]
    assert other.feed(b"4;") == [4]
    assert one.feed(b";") == [3]
    assert (template.count, one.count, other.count) == (0, 3, 1)
    assert one.encode_many([1, 2]) == b"1;2;"


def test_a_format_may_have_slots_and_make_its_own_state_anew() -> None:
    """Slots are copied as any other attribute, and what ``fresh`` makes is one connection's alone."""

    class Named(Own):
        __slots__ = ("seen", "tag")

        def __init__(self, tag: bytes) -> None:
            super().__init__()
            self.tag = tag
            self.seen: list[bytes] = []

        def fresh(self) -> Named:
            twin = super().fresh()
            twin.seen = []
            return twin

        def next_frame(self, data: bytes, at: int) -> tuple[bytes, int] | int | None:
            found = super().next_frame(data, at)
            if isinstance(found, tuple):
                self.seen.append(found[0])
                return self.tag + found[0], found[1]
            return found

    template = Named(b"<")
    one, other = template.fresh(), template.fresh()
    assert one.feed(b"\0\1a\0") == [b"<a"]
    assert other.feed(b"\0\1b") == [b"<b"]
    assert (template.seen, one.seen, other.seen) == ([], [b"a"], [b"b"])
    assert one.fresh().buffered == 0


def test_a_decoder_cuts_no_more_than_it_is_asked_for() -> None:
    """The rest is cut in the next turns."""
    decoder = Numbers().fresh()
    decoder.most = 2
    assert decoder.feed(b"1;2;3;4;5") == [1, 2]
    assert decoder.is_uncut
    assert decoder.feed(b"") == [3, 4]
    assert decoder.feed(b"") == []
    assert decoder.buffered == 1
    assert decoder.feed(b";") == [5]


def test_a_fault_of_ones_own_is_raised_as_it_was_made() -> None:
    """With the frames before it, and again without."""
    decoder = Numbers().fresh()
    with pytest.raises(Refused) as caught:
        decoder.feed(b"1;2;?;3;")
    assert (caught.value.frames, caught.value.code) == ([1, 2], 63)
    with pytest.raises(Refused) as again:
        decoder.feed(b"4;")
    assert again.value.frames == []


@pytest.mark.parametrize("wire", [b"9" * 101, b"9" * 100 + b";"])
def test_a_frame_beyond_the_limit_is_refused_without_the_programs_help(wire: bytes) -> None:
    """Whether it is whole or not."""
    with pytest.raises(FrameTooLong, match="max_frame_length"):
        Numbers().fresh().feed(wire)
    assert Numbers().fresh().feed(b"0" * 99 + b";") == [0]


def test_a_large_frame_that_says_its_size_is_received_into_its_own_buffer() -> None:
    """As one of a built-in format is."""

    class Long(Own):
        def next_frame(self, data: bytes, at: int) -> tuple[bytes, int] | int | None:
            end = at + 1_000_000
            return (data[at:end], end) if end <= len(data) else end - at

    decoder = Long(max_frame_length=2_000_000).fresh()
    wire = bytes(range(250)) * 4000
    assert decoder.feed(wire[:100_000]) == []
    at = 100_000
    while (room := decoder.receive_buffer) is not None:
        size = len(room)
        room[:] = wire[at : at + size]
        at += size
        frames = decoder.buffer_updated(size)
    assert frames == [wire]


@pytest.mark.parametrize("found", [(b"x",), (b"x", 0), (b"x", 99), (b"x", "1"), "x", 1.5, b"x"])
def test_nonsense_is_refused_by_the_name_of_the_format(found: Any) -> None:
    """And no loop goes on forever."""

    class Mad(Own):
        def next_frame(self, data: bytes, at: int) -> Any:
            return found

    with pytest.raises(UsageError, match=r"Mad\.next_frame\(\) returned .*from 1 to 3 here"):
        Mad().fresh().feed(b"abc")


def test_a_format_without_its_methods_cannot_be_made() -> None:
    """The one that lacks is named."""

    class Deaf(reactor.Codec[bytes, bytes]):
        def encode(self, payload: bytes) -> bytes:
            return payload

    class Dumb(reactor.Codec[bytes, bytes]):
        def next_frame(self, data: bytes, at: int) -> None:
            return None

    with pytest.raises(UsageError, match=r"Deaf has no next_frame\(\)"):
        Deaf()
    with pytest.raises(TypeError, match="encode"):
        Dumb()  # type: ignore[abstract]
    with pytest.raises(OptionError, match="max_frame_length"):
        Own(max_frame_length=0)


# -- on a connection -----------------------------------------------------------------------------------------------


class Echo(reactor.FramedProtocol):
    """A protocol of bytes."""

    codec = reactor.LengthPrefixed(1)


class Adder(reactor.FramedProtocol[int, int]):
    """Answers each number with the next one, and a fault with what it was."""

    codec = Numbers()

    def __init__(self) -> None:
        self.ends: list[BaseException | None] = []
        self.faults: list[FramingError] = []

    def frame_received(self, number: int) -> None:
        self.send_frame(number + 1)

    def fault_received(self, fault: FramingError) -> None:
        self.faults.append(fault)
        self.transport.write(b"fault")

    def connection_lost(self, exc: BaseException | None) -> None:
        self.ends.append(exc)


def all_of(client: socket.socket, loop: reactor.Reactor) -> bytes:
    """Return what comes up to the end."""
    client.setblocking(False)
    heard = bytearray()

    def has_ended() -> bool:
        try:
            data = client.recv(65536)
        except BlockingIOError:
            return False
        heard.extend(data)
        return not data

    loop.run_until(has_ended, PATIENCE)
    return bytes(heard)


@pytest.mark.parametrize("pieces", [[b"1;2;3;?;4;"], [b"1", b";2;3", b";?", b";4;"]])
def test_a_fault_is_answered_before_the_connection_ends(poller_name: str, pieces: list[bytes]) -> None:
    """After the frames before it, once; and the end has the fault."""
    made: list[Adder] = []
    with reactor.Reactor(poller_name) as loop:
        listener = loop.listen_tcp(lambda: made.append(Adder()) or made[-1], "127.0.0.1")  # type: ignore[func-returns-value]
        with socket.create_connection(listener.address) as client:
            for piece in pieces:
                client.sendall(piece)
                loop.run_once(0)
            assert all_of(client, loop) == b"2;3;4;fault"
        loop.run_until(lambda: made[0].ends, PATIENCE)
    assert [type(fault) for fault in made[0].faults] == [Refused]
    assert made[0].ends == made[0].faults


def test_an_end_inside_a_frame_is_told_as_a_fault(poller_name: str) -> None:
    """The peer has ended only its own direction, and may read the answer."""
    with reactor.Reactor(poller_name) as loop:
        listener = loop.listen_tcp(Adder, "127.0.0.1")
        with socket.create_connection(listener.address) as client:
            client.sendall(b"1;2")
            client.shutdown(socket.SHUT_WR)
            assert all_of(client, loop) == b"2;fault"


def test_a_fault_waits_behind_what_is_held(poller_name: str) -> None:
    """Reading was paused in the midst of the frames before it."""

    class Slow(Adder):
        def frame_received(self, number: int) -> None:
            super().frame_received(number)
            self.transport.pause_reading()
            self.transport._shared.loop.call_later(0.001, self.transport.resume_reading)

    with reactor.Reactor(poller_name) as loop:
        listener = loop.listen_tcp(Slow, "127.0.0.1")
        with socket.create_connection(listener.address) as client:
            client.sendall(b"1;2;?;3;")
            assert all_of(client, loop) == b"2;3;fault"


def test_what_is_wrong_with_the_program_is_told_by_its_own_names(
    poller_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The method that was called, and the format; other connections go on."""

    class Wrong(Adder):
        def frame_received(self, number: int) -> None:
            raise KeyError(number)

    class Worse(Adder):
        def fault_received(self, fault: FramingError) -> None:
            raise KeyError(fault)

    with reactor.Reactor(poller_name) as loop:
        for protocol, wire in ((Wrong, b"1;2;"), (Adder, b"1;!;"), (Worse, b"?;")):
            listener = loop.listen_tcp(protocol, "127.0.0.1")
            with socket.create_connection(listener.address) as client:
                client.sendall(wire)
                all_of(client, loop)
    lines = [record.getMessage() for record in caplog.records if "unhandled" in record.getMessage()]
    assert len(lines) == 3
    assert lines[0].endswith("Wrong.frame_received")
    assert lines[1].endswith("Adder.frame_received")
    assert "raised by Numbers.next_frame()" in caplog.text
    assert "KeyError" in caplog.text


def test_what_cannot_be_encoded_is_the_senders_mistake(poller_name: str) -> None:
    """Nothing is sent, and the connection lives."""
    with reactor.Reactor(poller_name) as loop:
        left, right = socket.socketpair()
        adder = Adder()
        loop.adopt_stream(lambda: adder, left)
        with right:
            with pytest.raises(PayloadRefused, match="below zero"):
                adder.send_frame(-1)
            with pytest.raises(PayloadRefused, match="below zero"):
                adder.send_frames([1, -1])
            adder.send_frames([1, 2])
            assert right.recv(100) == b"1;2;"
            echo = Echo()
            adder.transport.set_protocol(echo)
            with pytest.raises(ArgumentError, match="bytes, bytearray or memoryview, not 5"):
                echo.send_frame(5)  # type: ignore[arg-type]


def test_it_runs_on_an_asyncio_loop_as_well() -> None:
    """Frames, the fault, and what is said to it."""

    async def main() -> bytes:
        server = await asyncio.get_running_loop().create_server(Adder, "127.0.0.1", 0)  # type: ignore[arg-type]
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"1;2;?;3;")
        heard = await asyncio.wait_for(reader.read(), PATIENCE)
        writer.close()
        server.close()
        return heard

    assert asyncio.run(main()) == b"2;3;fault"


# -- the page's example --------------------------------------------------------------------------------------------

SERVE = """
with reactor.Reactor() as loop:
    print("listening on %s:%d" % loop.listen_tcp(Store, "127.0.0.1", 0).address, flush=True)
    loop.run()
"""


def redis_cli(port: int, *words: str, stdin: bytes = b"") -> bytes:
    """Return what redis-cli prints."""
    command = ["redis-cli", "-p", str(port), *words]
    return subprocess.run(command, input=stdin, capture_output=True, check=True, timeout=30).stdout


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("redis-cli") is None, reason="redis-cli is not installed")
def test_the_pages_format_is_what_redis_cli_speaks() -> None:
    """Words, a megabyte, a thousand commands in one go, and an error in the words of the protocol."""
    (block,) = [block for block in PROGRAMS if "class Resp" in block.text]
    program = block.text[: block.text.index("with reactor.Reactor()")] + SERVE
    with Serving(program=[sys.executable, "-W", "error", "-c", program]) as server:
        port = int(server.line.split()[-1].rpartition(":")[2])
        assert redis_cli(port, "PING") == b"PONG\n"
        assert redis_cli(port, "SET", "key", "a value") == b"OK\n"
        assert redis_cli(port, "GET", "key") == b"a value\n"
        assert redis_cli(port, "GET", "none") == b"\n"
        assert redis_cli(port, "NO") == b"ERR unknown command\n\n"
        assert redis_cli(port, "-x", "SET", "large", stdin=b"x" * 1_000_000) == b"OK\n"
        assert redis_cli(port, "GET", "large") == b"x" * 1_000_000 + b"\n"
        commands = b"".join(b"SET key%d %d\n" % (number, number) for number in range(1000))
        assert redis_cli(port, stdin=commands) == b"OK\n" * 1000
        assert redis_cli(port, "DEL", "key", "key7", "none") == b"2\n"
        with socket.create_connection(("127.0.0.1", port), 10) as client:
            client.sendall(b"PING\r\n*1\r\n+PING\r\n")
            heard = b""
            while data := client.recv(1000):
                heard += data
        assert heard == b"+PONG\r\n-ERR Protocol error: expected $ and a number\r\n"


@given(st.data(), st.lists(st.lists(st.binary(max_size=30), max_size=5), max_size=5))
def test_the_pages_format_finds_each_request_however_it_is_cut(data: Any, requests: list[list[bytes]]) -> None:
    """Split anywhere, and followed by one that is not whole."""
    (block,) = [block for block in PROGRAMS if "class Resp" in block.text]
    names: dict[str, Any] = {}
    exec(block.text[: block.text.index("class Store")], names)
    wire = b"".join(
        b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
        for words in requests
    )
    decoder, frames, at = names["Resp"]().fresh(), [], 0
    while at < len(wire):
        size = data.draw(st.integers(1, 20))
        frames += decoder.feed(wire[at : at + size])
        at += size
    assert frames == requests
    assert decoder.feed(b"*1\r\n$5\r\nab") == []
    with pytest.raises(FrameTruncated):
        decoder.feed_eof()
