"""Files on streams: every byte in its order, whatever the kernel takes, and nothing after an end; on every
poller."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reactor.net.stream.sendfile import PIECE_BYTES, FileSender
from reactor.testing.script import ORDINARY, Script
from tests.net.recorder import Recorder
from tests.net.stage import Stage, Wire, stage_on, wire_on

CONTENT = b"".join(b"%07d\n" % number for number in range(500_000))


class ScriptedFiles:
    """The module ``os`` as far as a sender asks for it, on a script."""

    def __init__(self) -> None:
        self.script = Script()

    def sendfile(self, *args: Any) -> int:
        self.script.note("sendfile", *args)
        step = self.script.next("sendfile")
        return os.sendfile(*args) if step is ORDINARY else step(*args)

    def pread(self, *args: Any) -> bytes:
        self.script.note("pread", *args)
        step = self.script.next("pread")
        return os.pread(*args) if step is ORDINARY else step


class Sending(Recorder):
    """A protocol with a sender."""

    sender: FileSender

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.sender = FileSender(self.loop, transport, self.files)

    def __init__(self, loop: Stage, files: Any, **reactions: Any) -> None:
        super().__init__(**reactions)
        self.loop = loop
        self.files = files
        #: What ``then`` was told, piece by piece.
        self.ends: list[tuple[int, OSError | None]] = []

    def pause_writing(self) -> None:
        super().pause_writing()
        self.sender.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.sender.resume()

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self.sender.drop()

    def send_file(self, fd: int, offset: int, size: int) -> None:
        self.sender.send_file(fd, offset, size, lambda *end: self.ends.append(end))


@pytest.fixture
def stage(poller_name: str) -> Iterator[Stage]:
    with stage_on(poller_name) as stage:
        yield stage


@pytest.fixture
def files() -> ScriptedFiles:
    return ScriptedFiles()


@pytest.fixture(params=["tcp4", "unix"])
def wire(request: pytest.FixtureRequest, stage: Stage, files: ScriptedFiles) -> Iterator[Wire]:
    with wire_on(stage, Sending(stage, files), request.param) as wire:
        yield wire


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    """An open file with CONTENT."""
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


def until_received(wire: Wire, wanted: bytes) -> None:
    """Turn until the peer has as many bytes as *wanted*, and compare."""
    wire.peer.read()
    wire.stage.until(lambda: len(wire.peer.received) >= len(wanted) or wire.peer.end is not None)
    wire.stage.settle()
    assert bytes(wire.peer.received) == wanted


def test_bytes_and_pieces_arrive_in_the_order_of_the_calls(wire: Wire, fd: int) -> None:
    """Small and large ones, next to each other in any way."""
    me = wire.protocol
    wanted = b""
    for offset, size in ((0, 1), (7, 100_000), (0, len(CONTENT)), (len(CONTENT) - 1, 1), (1000, 50_000)):
        me.sender.write(b"<%d>" % size)
        me.sender.write(b"more")
        me.send_file(fd, offset, size)
        wanted += b"<%d>more" % size + CONTENT[offset : offset + size]
    me.send_file(fd, 5, 5)
    me.sender.write(b"end")
    until_received(wire, wanted + CONTENT[5:10] + b"end")
    assert me.ends == [(0, None)] * 6
    assert me.sender.pending_bytes == 0


def test_what_is_written_in_a_delivery_leaves_before_the_piece_behind_it(stage: Stage, files: Any, fd: int) -> None:
    """There it is corked: the piece waits for it, although the kernel would take it at once."""

    def reaction(me: Sending, data: bytes) -> None:
        me.sender.write(b"head")
        me.send_file(fd, 0, 8)
        me.sender.write(b"tail")

    with wire_on(stage, Sending(stage, files, data_received=reaction)) as wire:
        wire.peer.send(b"x")
        until_received(wire, b"head" + CONTENT[:8] + b"tail")


def test_a_slow_reader_gets_everything_and_nothing_is_read_ahead(wire: Wire, fd: int, files: ScriptedFiles) -> None:
    """The kernel takes a part, then refuses: the rest waits in the file, not in memory."""
    me = wire.protocol
    me.send_file(fd, 0, len(CONTENT))
    me.sender.write(b"end")
    wire.stage.until(lambda: me.sender._is_watching)
    wire.stage.settle(10)
    assert 0 < me.sender.pending_bytes <= len(CONTENT) + 3
    assert me.transport.get_write_buffer_size() == 0
    assert me.ends == []
    until_received(wire, CONTENT + b"end")
    assert not me.sender._is_watching


def test_bytes_that_the_kernel_refuses_are_waited_for_by_the_stream(wire: Wire, fd: int) -> None:
    """More of them than a socket holds, in front of a piece and behind it."""
    me = wire.protocol
    block = bytes(8_000_000)
    me.sender.write(block)
    me.send_file(fd, 0, len(CONTENT))
    me.sender.write(block)
    me.send_file(fd, 0, 8)
    wire.stage.settle(10)
    assert me.transport.get_write_buffer_size() > 0
    until_received(wire, block + CONTENT + block + CONTENT[:8])
    assert me.ends == [(0, None)] * 2


def test_a_write_past_the_sender_does_not_stop_it(wire: Wire, fd: int) -> None:
    """It is against the rules and ends up somewhere in between; all bytes arrive all the same."""
    me = wire.protocol
    me.send_file(fd, 0, len(CONTENT))
    wire.stage.until(lambda: me.sender._is_watching)
    me.transport.write(b"#" * 1_000_000)
    me.sender.write(b"end")
    wire.peer.read()
    wire.stage.until(lambda: wire.peer.received.endswith(b"end"))
    assert len(wire.peer.received) == len(CONTENT) + 1_000_003
    assert wire.peer.received.replace(b"#", b"") == CONTENT + b"end"


def test_a_piece_is_sent_byte_by_byte_when_the_kernel_takes_no_more(
    wire: Wire, fd: int, files: ScriptedFiles
) -> None:
    """A short count, EAGAIN and EINTR are everyday life."""

    def one(out: int, fd: int, offset: int, count: int) -> int:
        return os.sendfile(out, fd, offset, 1)

    files.script.add("sendfile", (one, BlockingIOError, one, InterruptedError, one, one, one))
    wire.protocol.send_file(fd, 0, 20)
    wire.protocol.sender.write(b"end")
    until_received(wire, CONTENT[:20] + b"end")


def test_no_more_than_one_piece_is_sent_in_a_turn(stage: Stage, files: ScriptedFiles, fd: int) -> None:
    """However much the kernel would take: the others have their turn in between."""
    with wire_on(stage, Sending(stage, files)) as wire:
        wire.peer.read()
        wire.protocol.send_file(fd, 0, len(CONTENT))
        while not wire.protocol.ends:
            before = len(files.script.calls)
            stage.run_once(0)
            assert len(files.script.calls) <= before + 1
        assert max(call[4] for call in files.script.calls) == PIECE_BYTES


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP])
def test_a_piece_is_read_and_written_when_the_system_cannot_send_it(
    wire: Wire, fd: int, files: ScriptedFiles, code: int
) -> None:
    """Same bytes, same order; it is not tried again."""
    files.script.add("sendfile", (OSError(code, os.strerror(code)),))
    me = wire.protocol
    me.sender.write(b"head")
    me.send_file(fd, 0, len(CONTENT))
    me.sender.write(b"middle")
    me.send_file(fd, 8, 8)
    until_received(wire, b"head" + CONTENT + b"middle" + CONTENT[8:16])
    assert len(files.script.named("sendfile")) == 1
    assert me.ends == [(0, None)] * 2


def test_a_system_without_sendfile_is_not_asked_for_it(stage: Stage, fd: int) -> None:
    """Only reading is left then."""

    class Reader:
        pread = staticmethod(os.pread)

    with wire_on(stage, Sending(stage, Reader())) as wire:
        wire.protocol.send_file(fd, 0, len(CONTENT))
        until_received(wire, CONTENT)


@pytest.mark.parametrize("is_read", [False, True])
def test_whoever_sends_is_told_when_the_file_ends_too_soon(
    wire: Wire, fd: int, files: ScriptedFiles, is_read: bool
) -> None:
    """What it writes then fills the gap: it comes before what waited behind the piece."""
    if is_read:
        files.script.add("sendfile", (OSError(errno.EINVAL, "no"),))
    me = wire.protocol

    def fill(missing: int, error: OSError | None) -> None:
        me.ends.append((missing, error))
        me.sender.write(b"-" * missing)

    me.sender.send_file(fd, len(CONTENT) - 10, 15, fill)
    me.sender.write(b"behind")
    until_received(wire, CONTENT[-10:] + b"-----behind")
    assert me.ends == [(5, None)]


def test_whoever_sends_is_told_when_the_file_cannot_be_read(wire: Wire, fd: int, files: ScriptedFiles) -> None:
    """The stream goes on: what is behind the piece is sent."""
    files.script.add("sendfile", (OSError(errno.EIO, "disk"),))
    wire.protocol.send_file(fd, 0, 10)
    wire.protocol.sender.write(b"behind")
    until_received(wire, b"behind")
    ((missing, error),) = wire.protocol.ends
    assert (missing, error.errno) == (10, errno.EIO)


def test_a_reset_in_the_midst_ends_the_stream_once(wire: Wire, fd: int) -> None:
    """``then`` is not called, nothing is pending, and the error is the stream's to tell."""
    me = wire.protocol
    for _ in range(10):
        me.send_file(fd, 0, len(CONTENT))
    wire.stage.until(lambda: me.sender._is_watching)
    wire.peer.reset()
    wire.stage.until(lambda: me.is_lost)
    assert me.ends == []
    assert me.sender.pending_bytes == 0


def test_the_last_words_of_a_peer_are_read_when_it_takes_no_more(stage: Stage, files: Any, fd: int) -> None:
    """It says why and closes, as a server does; the piece fails, and what it said is delivered before the end."""
    with wire_on(stage, Sending(stage, files)) as wire:
        me = wire.protocol
        me.send_file(fd, 0, len(CONTENT))
        wire.peer.send(b"I have had enough")
        files.script.add("sendfile", (BlockingIOError, OSError(errno.EPIPE, "gone")))
        wire.peer.shutdown()
        stage.until(lambda: me.is_lost)
        assert me.received == b"I have had enough"
        assert me.sender.pending_bytes == 0


def test_a_stream_that_does_not_read_is_aborted_when_its_peer_is_gone(stage: Stage, files: Any, fd: int) -> None:
    """Otherwise nobody would ever find out."""
    with wire_on(stage, Sending(stage, files)) as wire:
        wire.protocol.transport.pause_reading()
        files.script.add("sendfile", (ConnectionResetError(errno.ECONNRESET, "gone"),))
        wire.protocol.send_file(fd, 0, 10)
        stage.until(lambda: wire.protocol.is_lost)


@pytest.mark.parametrize("how", ["close", "abort"])
def test_nothing_more_is_sent_after_the_stream_was_ended(wire: Wire, fd: int, how: str) -> None:
    """``close`` flushes what was handed to the stream, and the pieces never were."""
    me = wire.protocol
    me.sender.write(b"before")
    me.send_file(fd, 0, len(CONTENT))
    getattr(me.transport, how)()
    me.sender.write(b"after")
    wire.peer.read()
    wire.stage.until(lambda: me.is_lost and wire.peer.end is not None)
    assert bytes(wire.peer.received) == b"before"
    assert me.ends == []


def test_a_stream_may_be_aborted_from_inside_of_then(wire: Wire, fd: int) -> None:
    """What waits behind the piece is dropped, and nobody is told any more."""
    me = wire.protocol
    me.sender.send_file(fd, 0, 10, lambda *end: me.transport.abort())
    me.send_file(fd, 0, 10)
    wire.peer.read()
    wire.stage.until(lambda: me.is_lost and wire.peer.end is not None)
    assert bytes(wire.peer.received) == CONTENT[:10]
    assert (me.ends, me.sender.pending_bytes) == ([], 0)


def test_a_stream_is_aborted_when_whoever_is_told_raises(wire: Wire, fd: int) -> None:
    """As after any other call of a protocol; it is reported, and nothing more is sent."""
    me = wire.protocol
    me.sender.send_file(fd, 0, 10, lambda *end: 1 / 0)
    me.send_file(fd, 0, 10)
    wire.stage.until(lambda: me.is_lost)
    (failure,) = wire.stage.take_failures()
    assert isinstance(failure, ZeroDivisionError)
    assert (me.ends, me.sender.pending_bytes) == ([], 0)


def test_whoever_is_told_may_send_the_next_piece_at_once(wire: Wire, fd: int) -> None:
    """A file in many pieces, each asked for when the one before is sent."""
    me = wire.protocol

    def following(offset: int) -> None:
        if offset < len(CONTENT):
            me.sender.write(b"#")
            me.sender.send_file(fd, offset, 100_000, lambda *end: following(offset + 100_000))

    following(0)
    until_received(wire, b"".join(b"#" + CONTENT[i : i + 100_000] for i in range(0, len(CONTENT), 100_000)))
