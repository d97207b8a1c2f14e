"""Files on streams: every byte in its order, whatever the kernel takes, and an end that is told once; on every
poller."""

from __future__ import annotations

import errno
import gzip
import inspect
import io
import os
import random
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import reactor
from reactor.errors import OptionError, TransportClosed
from reactor.flow import Watermarks
from reactor.net.stream.sendfile import PIECE_BYTES, READ_BYTES, FileSending
from reactor.ops import Ops
from reactor.telling.probe import Probe
from reactor.testing.script import ORDINARY, Script
from tests.net.recorder import FrameRecorder, Recorder, framed
from tests.net.stage import Stage, Wire, stage_on, wire_on

CONTENT = b"".join(b"%07d\n" % number for number in range(500_000))

#: More than the kernel takes at once between two sockets that nobody reads.
MUCH = 16 * 2**20


class ScriptedFiles(Ops):
    """The operating system, whose sendfile is on a script."""

    def __init__(self) -> None:
        self.steps = Script()

    def sendfile(self, *args: Any) -> int:
        self.steps.note("sendfile", *args)
        step = self.steps.next("sendfile")
        return super().sendfile(*args) if step is ORDINARY else step(*args)

    def pread(self, *args: Any) -> bytes:
        self.steps.note("pread", *args)
        step = self.steps.next("pread")
        return super().pread(*args) if step is ORDINARY else step

    def fail(self, code: int, name: str = "sendfile") -> None:
        """Have the next call fail."""
        self.steps.add(name, (OSError(code, os.strerror(code)),))


@pytest.fixture
def files() -> ScriptedFiles:
    return ScriptedFiles()


@pytest.fixture
def stage(poller_name: str, files: ScriptedFiles) -> Iterator[Stage]:
    with stage_on(poller_name, ops=files) as stage:
        yield stage


@pytest.fixture(params=["tcp4", "unix"])
def wire(request: pytest.FixtureRequest, stage: Stage) -> Iterator[Wire]:
    with wire_on(stage, Recorder(), request.param) as wire:
        yield wire


@pytest.fixture
def tcp(stage: Stage) -> Iterator[Wire]:
    with wire_on(stage, Recorder()) as wire:
        yield wire


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with CONTENT."""
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def fd(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.fixture
def ends() -> list[FileSending]:
    """What ``on_done`` was told: give its ``append``."""
    return []


def until_received(wire: Wire, wanted: bytes) -> None:
    """Turn until the peer has as many bytes as *wanted*, and compare."""
    wire.peer.read()
    wire.stage.until(lambda: len(wire.peer.received) >= len(wanted) or wire.peer.end is not None)
    wire.stage.settle()
    assert bytes(wire.peer.received) == wanted


def full(wire: Wire) -> FileSending:
    """Send a file of zeros until the kernel is full; return the sending, which stands still.  Close its file."""
    file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # the caller closes it
    file.truncate(MUCH)
    sending = wire.stream.send_file(file)
    before = -1
    while sending.sent != before:
        before = sending.sent
        wire.stage.settle(5)
    assert 0 < sending.sent < MUCH
    return sending


# -- order ---------------------------------------------------------------------------------------------------------


def test_bytes_and_files_arrive_in_the_order_of_the_calls(wire: Wire, fd: int, ends: list[FileSending]) -> None:
    """Small and large ones, next to each other in any way."""
    wanted = b""
    for offset, count in ((0, 1), (7, 100_000), (0, len(CONTENT)), (len(CONTENT) - 1, 1), (1000, 50_000), (9, 0)):
        wire.stream.write(b"<%d>" % count)
        wire.stream.write(b"more")
        wire.stream.send_file(fd, offset, count, ends.append)
        wanted += b"<%d>more" % count + CONTENT[offset : offset + count]
    wire.stream.send_file(fd, 5, 5)
    wire.stream.write(b"end")
    until_received(wire, wanted + CONTENT[5:10] + b"end")
    assert [sending.result() for sending in ends] == [1, 100_000, len(CONTENT), 1, 50_000, 0]
    assert wire.stream.get_write_buffer_size() == 0


@pytest.mark.parametrize("seed", range(4))
def test_random_writes_and_files_arrive_in_order_at_a_peer_that_reads_at_times(
    tcp: Wire, fd: int, seed: int
) -> None:
    """Files of the kernel and files that are read, cancelled ones, bytes around every limit, in deliveries and
    outside of them."""
    rng = random.Random(seed)
    wanted: list[tuple[int, FileSending] | bytes] = []

    def deed(me: Recorder, data: bytes = b"") -> None:
        for _ in range(rng.randrange(4)):
            offset = rng.choice([0, 1, 70_000, len(CONTENT) - 10])
            count = rng.choice([None, 0, 1, 4096, 300_000]) if offset > 100_000 else rng.choice([0, 1, 9, 400_000])
            file: Any = fd if rng.random() < 0.5 else io.BytesIO(CONTENT)
            what = rng.randrange(3)
            if what:
                sending = me.transport.send_file(file, offset, count)
                if what == 2 and rng.random() < 0.3:
                    tcp.stage.call_soon(sending.cancel)
                wanted.append((offset, sending))
            else:
                data = rng.randbytes(rng.choice([1, 100, 70_000, 200_000]))
                me.transport.write(data)
                wanted.append(data)

    tcp.protocol.reactions["data_received"] = deed
    for _ in range(12):
        deed(tcp.protocol)
        tcp.peer.send(b"go")
        if rng.random() < 0.5:
            tcp.peer.read(len(tcp.peer.received) + rng.choice([1, 50_000, 10**6]))
        tcp.stage.settle(rng.randrange(4))
    tcp.stage.settle()
    tcp.stream.close()
    tcp.peer.read()
    tcp.stage.until(lambda: tcp.peer.end is not None and tcp.protocol.is_lost)
    whole = b"".join(
        part if isinstance(part, bytes) else CONTENT[part[0] : part[0] + part[1].result()] for part in wanted
    )
    assert bytes(tcp.peer.received) == whole


def test_what_is_written_in_a_delivery_leaves_before_the_file_behind_it(stage: Stage, fd: int) -> None:
    """There it is corked: the file waits for it, although the kernel would take it at once."""

    def reply(me: Recorder, data: bytes) -> None:
        me.transport.write(b"head")
        me.transport.send_file(fd, 0, 8)
        me.transport.write(b"tail")

    with wire_on(stage, Recorder(data_received=reply)) as wire:
        wire.peer.send(b"x")
        until_received(wire, b"head" + CONTENT[:8] + b"tail")


def test_frames_stand_around_a_file_in_the_order_of_the_calls(stage: Stage, fd: int) -> None:
    """The pump may have replies of the same delivery in hand; the file itself is bytes, and gets no header."""

    def reply(me: FrameRecorder, frame: bytes) -> None:
        me.send_frame(frame)
        me.transport.write((8).to_bytes(4, "big"))
        me.transport.send_file(fd, 0, 8)
        me.send_frame(b"behind " + frame)

    with wire_on(stage, FrameRecorder(reply)) as wire:
        wire.peer.send(framed(*[b"one", b"two"] * 5))
        until_received(wire, framed(*[b"one", CONTENT[:8], b"behind one", b"two", CONTENT[:8], b"behind two"] * 5))


def test_a_protocol_that_takes_over_writes_behind_the_file(tcp: Wire, fd: int) -> None:
    """Its outbox takes over what waits, files among it."""
    tcp.stream.send_file(fd, 0, 8)
    tcp.stream.write(b"first")
    tcp.stream.set_protocol(second := Recorder())
    second.transport = tcp.stream
    tcp.stream.write(b"second")
    until_received(tcp, CONTENT[:8] + b"firstsecond")


# -- what can be sent ----------------------------------------------------------------------------------------------


def plain(path: Path) -> Any:
    return path.open("rb")


def unbuffered(path: Path) -> Any:
    return path.open("rb", buffering=0)


def updating(path: Path) -> Any:
    return path.open("r+b")


def in_memory(path: Path) -> Any:
    return io.BytesIO(CONTENT)


def compressed(path: Path) -> Any:
    packed = path.with_suffix(".gz")
    packed.write_bytes(gzip.compress(CONTENT, 1))
    return gzip.open(packed, "rb")


def archived(path: Path) -> Any:
    packed = path.with_suffix(".zip")
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("content", CONTENT)
    with zipfile.ZipFile(packed) as archive:
        return archive.open("content")


def temporary(path: Path) -> Any:
    file = tempfile.NamedTemporaryFile()  # noqa: SIM115  # the caller closes it
    file.write(CONTENT)
    file.flush()
    return file


KERNEL, READ = [plain, unbuffered, updating, temporary], [in_memory, compressed, archived]


@pytest.mark.parametrize("opened", KERNEL + READ)
@pytest.mark.parametrize("count", [None, 1_500_000, 10**7])
def test_a_file_object_is_sent_and_its_position_is_behind_what_was(
    tcp: Wire, files: ScriptedFiles, path: Path, opened: Callable[[Path], Any], count: int | None
) -> None:
    """As asyncio leaves it.  Where it was before does not matter; a compressed file is sent as one reads it."""
    with opened(path) as file:
        file.seek(99)
        sending = tcp.stream.send_file(file, 1000, count)
        wanted = CONTENT[1000:] if count is None else CONTENT[1000 : 1000 + count]
        until_received(tcp, wanted)
        tcp.stage.until(sending.done)
        assert (sending.result(), sending.error) == (len(wanted), None)
        assert file.tell() == 1000 + len(wanted)
    assert bool(files.steps.named("sendfile")) == (opened in KERNEL)


def test_a_descriptor_keeps_its_position(tcp: Wire, fd: int) -> None:
    """Nobody looks at it, and a duplicate in another process shares it."""
    os.lseek(fd, 99, os.SEEK_SET)
    tcp.stream.send_file(fd, 7, 100)
    until_received(tcp, CONTENT[7:107])
    assert os.lseek(fd, 0, os.SEEK_CUR) == 99


def test_the_same_file_is_sent_twice_at_once(tcp: Wire) -> None:
    """Both move its position, and neither is confused by that."""
    file = io.BytesIO(CONTENT)
    other = tcp.stage.adopt_stream(lambda: Recorder(), tcp.peer.sock.dup())  # sends to our own side, which reads
    for stream in (tcp.stream, other):
        stream.send_file(file, 0, 1_000_000)
    other.close()
    tcp.stage.until(lambda: len(tcp.protocol.received) == 1_000_000)
    assert tcp.protocol.received == CONTENT[:1_000_000]


class NoFile:
    """Has neither descriptor nor content."""


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((NoFile(),), TypeError, "not NoFile"),
        ((b"content",), TypeError, "not bytes"),
        (("content",), TypeError, "not str"),
        ((True,), OptionError, "descriptor"),
        ((-1,), OptionError, "descriptor"),
        ((io.StringIO("text"),), OptionError, "text mode"),
        ((0, -1), OptionError, "offset"),
        ((0, 0, -1), OptionError, "count"),
        ((0, 0.0), TypeError, "offset"),
        ((0, 0, "5"), TypeError, "count"),
        ((0, 2**63, 1), OptionError, "no file"),
        ((0, 0, 1, "call me"), TypeError, "function"),
    ],
)
def test_what_is_no_file_or_number_is_refused_at_the_call(
    tcp: Wire, arguments: tuple[Any, ...], error: type[Exception], words: str
) -> None:
    """Nothing of it waits afterwards, and the stream goes on."""
    with pytest.raises(error, match=words):
        tcp.stream.send_file(*arguments)
    tcp.stream.write(b"ok")
    until_received(tcp, b"ok")


def test_a_file_in_text_mode_and_a_closed_one_are_refused_at_the_call(tcp: Wire, path: Path) -> None:
    """With the errors that asyncio and the file itself have for it; both are ValueErrors."""
    with path.open(encoding="ascii") as text, pytest.raises(ValueError, match="text mode"):
        tcp.stream.send_file(text)  # type: ignore[arg-type]
    with tempfile.NamedTemporaryFile("w+") as text, pytest.raises(ValueError, match="text mode"):
        tcp.stream.send_file(text)
    closed = path.open("rb")
    closed.close()
    with pytest.raises(ValueError, match="closed"):
        tcp.stream.send_file(closed)
    assert not tcp.stream._is_writing


# -- what the kernel takes -----------------------------------------------------------------------------------------


def test_a_slow_reader_gets_everything_and_nothing_is_read_ahead(wire: Wire) -> None:
    """The kernel takes a part, then refuses: the rest waits in the file and not in memory, which the watermarks
    know; what is written behind it they count."""
    sending = full(wire)
    assert wire.stream.get_write_buffer_size() == 0
    assert "pause_writing" not in wire.protocol.names
    wire.stream.write(bytes(100_000))
    assert wire.stream.get_write_buffer_size() == 100_000
    assert wire.protocol.names[-1] == "pause_writing"
    wire.peer.read()
    wire.stage.until(lambda: len(wire.peer.received) == MUCH + 100_000)
    assert wire.protocol.names[-1] == "resume_writing"
    assert sending.done()
    sending.file.close()


def test_a_large_file_does_not_count_against_the_cap(stage: Stage) -> None:
    """Only what is in memory does: a file of any size, and a header for the next one behind it, are no overflow."""
    with wire_on(stage, Recorder(), watermarks=Watermarks(1000, 100, 1000)) as wire:
        sending = full(wire)
        wire.stream.write(b"x")
        wire.stream.write(b"y")
        assert not wire.protocol.is_lost
        wire.stream.abort()
        stage.until(lambda: wire.protocol.is_lost)
        sending.file.close()


def test_a_file_is_sent_byte_by_byte_when_the_kernel_takes_no_more(
    wire: Wire, fd: int, files: ScriptedFiles
) -> None:
    """A short count, EAGAIN and EINTR are everyday life."""

    def one(out: int, fd: int, offset: int, count: int) -> int:
        return os.sendfile(out, fd, offset, 1)

    files.steps.add("sendfile", (one, BlockingIOError, one, InterruptedError, one, one, one))
    wire.stream.send_file(fd, 0, 20)
    wire.stream.write(b"end")
    until_received(wire, CONTENT[:20] + b"end")


@pytest.mark.parametrize("count", [None, len(CONTENT)])
def test_no_more_than_one_piece_is_sent_in_a_turn(
    tcp: Wire, files: ScriptedFiles, fd: int, count: int | None, ends: list[FileSending]
) -> None:
    """However much the kernel would take: the others have their turn in between, a call among them."""
    tcp.peer.read()
    sending = tcp.stream.send_file(fd, 0, count, ends.append)
    calls = 0
    while not ends:
        before = sending.sent
        tcp.stage.call_soon(lambda: None)
        tcp.stage.run_once(0)
        assert sending.sent - before <= PIECE_BYTES
        calls += 1
    assert calls >= len(CONTENT) // PIECE_BYTES
    assert max(call[4] for call in files.steps.named("sendfile")) == PIECE_BYTES


def test_a_file_to_its_end_is_done_in_one_turn_when_it_is_small(tcp: Wire, fd: int) -> None:
    """That it is at its end is found out at once, and not in a turn of its own."""
    sending = tcp.stream.send_file(fd, len(CONTENT) - 10)
    tcp.stage.run_once(5)
    assert sending.result() == 10


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP])
def test_a_file_is_read_when_the_system_cannot_send_it(
    wire: Wire, fd: int, files: ScriptedFiles, code: int, ends: list[FileSending]
) -> None:
    """Same bytes, same order, a bounded part in memory; sendfile is not tried again."""
    files.fail(code)
    wire.stream.write(b"head")
    wire.stream.send_file(fd, 0, len(CONTENT), ends.append)
    wire.stream.write(b"end")
    until_received(wire, b"head" + CONTENT + b"end")
    assert len(files.steps.named("sendfile")) == 1
    assert max(call[2] for call in files.steps.named("pread")) <= READ_BYTES
    assert [sending.result() for sending in ends] == [len(CONTENT)]


def test_a_system_without_sendfile_reads(monkeypatch: pytest.MonkeyPatch, tcp: Wire, fd: int) -> None:
    """And moves the position where there is no pread either."""
    for name in ("sendfile", "pread"):
        monkeypatch.delattr(os, name)
    tcp.stream.send_file(fd, 3, 500_000)
    until_received(tcp, CONTENT[3:500_003])


def test_bytes_of_a_file_are_progress_to_the_idle_timeout(stage: Stage, fd: int) -> None:
    """The peer may say nothing as long as it takes something, in either way of sending."""
    with wire_on(stage, Recorder()) as wire:
        wire.stream.set_idle_timeout(60)
        assert wire.stream._idle is not None
        before = wire.stream._idle.when
        wire.stream.send_file(fd, 0, 8)
        until_received(wire, CONTENT[:8])
        between = wire.stream._idle.when
        assert between > before
        wire.stream.send_file(io.BytesIO(b"12345678"))
        until_received(wire, CONTENT[:8] + b"12345678")
        assert wire.stream._idle.when > between


def test_a_probe_sees_the_bytes_of_a_file(tcp: Wire, fd: int) -> None:
    """As it sees those of writes."""
    sizes: list[int] = []

    class Watcher(Probe):
        def sent(self, transport: object, size: int) -> None:
            sizes.append(size)

    tcp.stage.set_probe(Watcher())
    tcp.stream.send_file(fd, 0, 1000)
    until_received(tcp, CONTENT[:1000])
    assert sum(sizes) == 1000


# -- how it ends ---------------------------------------------------------------------------------------------------


def test_whoever_sends_is_told_from_the_loop_and_never_inside_the_call(tcp: Wire, fd: int) -> None:
    """Else ``on_done`` would run before the caller knows what it has begun."""
    told: list[FileSending] = []
    sending = tcp.stream.send_file(fd, 0, 8, told.append)
    assert (told, sending.done(), sending.sent) == ([], False, 0)
    with pytest.raises(reactor.errors.UsageError, match="still being sent"):
        sending.result()
    assert tcp.stage.run_until(sending, 5) == 8
    assert told == [sending]
    assert "done, 8 of 8 bytes" in repr(sending)


def test_nothing_behind_a_file_has_left_when_it_is_told_that_it_was_too_short(
    stage: Stage, fd: int, files: ScriptedFiles
) -> None:
    """So a protocol that has announced more than came can abort, and nothing is taken for the missing part."""
    with wire_on(stage, Recorder()) as wire:
        wire.stream.send_file(fd, len(CONTENT) - 10, 15, lambda sending: wire.stream.abort())
        wire.stream.write(b"behind")
        wire.peer.read()
        stage.until(lambda: wire.protocol.is_lost and wire.peer.end is not None)
        assert bytes(wire.peer.received) == CONTENT[-10:]


def test_a_gap_can_be_filled_when_a_file_shrinks_in_the_midst(tcp: Wire, path: Path) -> None:
    """The count is short, which is no error; what ``on_done`` writes stands behind what was written before."""
    told: list[tuple[int, int | None]] = []

    def fill(sending: FileSending) -> None:
        told.append((sending.result(), sending.count))
        tcp.stream.write(b"-" * (len(CONTENT) - sending.sent))

    with path.open("rb") as file:
        sending = tcp.stream.send_file(file, 0, len(CONTENT), fill)
        tcp.stage.until(lambda: sending.sent)
        os.truncate(path, 3_000_000)
        tcp.peer.read()
        tcp.stage.until(lambda: len(tcp.peer.received) == len(CONTENT))
    assert told == [(3_000_000, len(CONTENT))]
    assert bytes(tcp.peer.received[:3_000_000]) == CONTENT[:3_000_000]


@pytest.mark.parametrize("way", ["sendfile", "pread", "read"])
def test_whoever_sends_is_told_when_the_file_cannot_be_read(
    tcp: Wire, fd: int, files: ScriptedFiles, way: str, ends: list[FileSending]
) -> None:
    """The stream goes on: what is behind the file is sent."""

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(errno.EIO, "disk")

    if way == "pread":
        files.fail(errno.EINVAL)
    files.fail(errno.EIO, way)
    tcp.stream.send_file(Broken(b"content") if way == "read" else fd, 0, 10, ends.append)
    tcp.stream.write(b"behind")
    until_received(tcp, b"behind")
    (sending,) = ends
    assert (sending.sent, sending.done()) == (0, True)
    with pytest.raises(OSError, match=r"disk|Input/output"):
        sending.result()


@pytest.mark.parametrize("value", ["text", None, 5])
def test_a_file_whose_read_returns_no_bytes_fails(tcp: Wire, value: Any, ends: list[FileSending]) -> None:
    """The mistake of an object is that object's error; the connection goes on."""

    class Odd(io.BytesIO):
        def read(self, size: int | None = -1) -> Any:
            return value

    tcp.stream.send_file(Odd(b"content"), on_done=ends.append)
    tcp.stream.write(b"behind")
    until_received(tcp, b"behind")
    assert [type(sending.error) for sending in ends] == [TypeError]


def test_a_file_object_that_is_closed_in_the_midst_fails_and_nothing_else_is_sent(tcp: Wire, path: Path) -> None:
    """Its number may be another file's by then: a server would send that to whoever asked for this one."""
    file = path.open("rb")
    sending = tcp.stream.send_file(file)
    tcp.stage.until(lambda: sending.sent)
    number = file.fileno()
    file.close()
    secret = os.open(path.parent / "secret", os.O_RDWR | os.O_CREAT)
    os.write(secret, b"secret" * 10**6)
    assert secret == number
    tcp.stream.close()
    tcp.peer.read()
    tcp.stage.until(lambda: tcp.peer.end is not None)
    os.close(secret)
    assert bytes(tcp.peer.received) == CONTENT[: len(tcp.peer.received)]
    with pytest.raises(ValueError, match="closed file"):
        sending.result()


@pytest.mark.parametrize("how", ["close", "write_eof"])
def test_a_file_is_sent_to_its_end_when_the_stream_is_closed(
    wire: Wire, fd: int, how: str, ends: list[FileSending]
) -> None:
    """So are the bytes around it; then the peer sees an end."""
    wire.stream.write(b"before")
    wire.stream.send_file(fd, 0, None, ends.append)
    wire.stream.write(b"behind")
    getattr(wire.stream, how)()
    wire.peer.read()
    wire.stage.until(lambda: wire.peer.end is not None)
    assert bytes(wire.peer.received) == b"before" + CONTENT + b"behind"
    assert [sending.result() for sending in ends] == [len(CONTENT)]
    assert wire.protocol.is_lost == (how == "close")


def test_a_peer_that_ends_still_gets_the_file(tcp: Wire, fd: int) -> None:
    """It half-closes behind its request, as HTTP clients do; the protocol lets the stream be closed."""
    tcp.stream.send_file(fd)
    tcp.peer.shutdown()
    tcp.peer.read()
    tcp.stage.until(lambda: tcp.peer.end is not None and tcp.protocol.is_lost)
    assert bytes(tcp.peer.received) == CONTENT
    assert tcp.protocol.reason is None


@pytest.mark.parametrize("how", ["abort", "reset"])
def test_all_files_are_told_before_connection_lost_when_the_stream_is_aborted(
    wire: Wire, fd: int, how: str, ends: list[FileSending]
) -> None:
    """Each once, with TransportClosed: whoever opened a file can close it there."""
    first = full(wire)
    wire.stream.send_file(fd, 0, 8, ends.append)
    wire.protocol.reactions["connection_lost"] = lambda me, exc: ends.append(exc)
    getattr(wire.stream, how)()
    assert ends == []
    wire.stage.until(lambda: wire.protocol.is_lost)
    sending, exc = ends
    assert exc is None
    assert [type(each.error) for each in (first, sending)] == [TransportClosed] * 2
    first.file.close()


def test_the_reason_is_the_cause_when_a_reset_ends_the_connection_in_the_midst(wire: Wire) -> None:
    """The sending says that the connection was to blame, and not the file."""
    sending = full(wire)
    wire.peer.reset()
    wire.stage.until(lambda: wire.protocol.is_lost)
    assert isinstance(sending.error, TransportClosed)
    assert isinstance(sending.error.__cause__, OSError)
    sending.file.close()


def test_the_last_words_of_a_peer_are_read_when_it_takes_no_more(
    tcp: Wire, files: ScriptedFiles, fd: int, ends: list[FileSending]
) -> None:
    """It says why and closes, as a server does; the file fails, and what it said is delivered before the end."""
    tcp.stream.send_file(fd, 0, 100, ends.append)
    tcp.peer.send(b"I have had enough")
    files.steps.add("sendfile", (BlockingIOError, OSError(errno.EPIPE, "gone")))
    tcp.peer.shutdown()
    tcp.stage.until(lambda: tcp.protocol.is_lost)
    assert tcp.protocol.received == b"I have had enough"
    assert [type(sending.error) for sending in ends] == [TransportClosed]


def test_a_stream_that_does_not_read_is_ended_when_its_peer_is_gone(
    tcp: Wire, files: ScriptedFiles, fd: int
) -> None:
    """Otherwise nobody would ever find out."""
    tcp.stream.pause_reading()
    files.fail(errno.ECONNRESET)
    tcp.stream.send_file(fd, 0, 10)
    tcp.stage.until(lambda: tcp.protocol.is_lost)
    assert isinstance(tcp.protocol.reason, ConnectionResetError)


def test_a_file_fails_when_the_stream_is_closing_and_is_refused_when_it_is_closed(
    tcp: Wire, fd: int, ends: list[FileSending]
) -> None:
    """A write would be ignored; but somebody may have opened the file for this, and has to hear of it.  Behind
    ``connection_lost`` nothing is told, so the call itself says so."""
    tcp.stream.write(bytes(12 << 20))  # so that there is something to wait for
    tcp.stream.close()
    tcp.stream.send_file(fd, 0, 8, ends.append)
    assert ends == []
    tcp.stage.until(lambda: ends)
    tcp.stream.abort()
    tcp.stage.until(lambda: tcp.protocol.is_lost)
    with pytest.raises(TransportClosed, match="after the end"):
        tcp.stream.send_file(fd, 0, 8, ends.append)
    assert [type(sending.error) for sending in ends] == [TransportClosed]


def test_a_file_is_refused_after_write_eof(tcp: Wire, fd: int, ends: list[FileSending]) -> None:
    """That is a mistake of the program, as with ``write``."""
    tcp.stream.write_eof()
    with pytest.raises(TransportClosed, match=r"send_file\(\) after write_eof"):
        tcp.stream.send_file(fd, 0, 8, ends.append)
    tcp.stage.settle()
    assert ends == []


def test_whoever_is_told_may_send_the_next_file_at_once(tcp: Wire, fd: int, files: ScriptedFiles) -> None:
    """A file in many pieces, each asked for when the one before is sent: a turn for each, and no deep stack."""
    depth: list[int] = []

    def following(offset: int) -> None:
        depth.append(len(inspect.stack(0)))
        if offset < len(CONTENT):
            tcp.stream.write(b"#")
            tcp.stream.send_file(fd, offset, 10_000, lambda sending: following(offset + 10_000))

    following(0)
    until_received(tcp, b"".join(b"#" + CONTENT[i : i + 10_000] for i in range(0, len(CONTENT), 10_000)))
    assert len(set(depth[1:])) == 1


def test_a_stream_may_be_closed_by_whoever_is_told(tcp: Wire, fd: int) -> None:
    """What was written behind the file still leaves."""
    tcp.stream.send_file(fd, 0, 10, lambda sending: tcp.stream.close())
    tcp.stream.write(b"behind")
    tcp.peer.read()
    tcp.stage.until(lambda: tcp.protocol.is_lost and tcp.peer.end is not None)
    assert bytes(tcp.peer.received) == CONTENT[:10] + b"behind"


def test_a_stream_is_aborted_when_whoever_is_told_raises(tcp: Wire, fd: int, ends: list[FileSending]) -> None:
    """As after any other call of a protocol; it is reported, and nothing more is sent."""
    tcp.stream.send_file(fd, 0, 10, lambda sending: 1 / 0)
    tcp.stream.send_file(fd, 0, 10, ends.append)
    tcp.stage.until(lambda: tcp.protocol.is_lost)
    (failure,) = tcp.stage.take_failures()
    assert isinstance(failure, ZeroDivisionError)
    assert [type(sending.error) for sending in ends] == [TransportClosed]


# -- cancelling ----------------------------------------------------------------------------------------------------


def test_what_is_behind_a_file_goes_on_when_it_is_cancelled(wire: Wire, fd: int, ends: list[FileSending]) -> None:
    """One that stands still, one that has not begun, and one of which nobody had heard in the same turn."""
    first = full(wire)
    waiting = wire.stream.send_file(fd, 0, None, ends.append)
    wire.stream.write(b"between")
    kept = wire.stream.send_file(fd, 0, 8)
    waiting.cancel()
    waiting.cancel()
    first.cancel()
    assert ends == []
    assert (waiting.done(), waiting.is_cancelled(), waiting.result()) == (True, True, 0)
    until_received(wire, bytes(first.result()) + b"between" + CONTENT[:8])
    assert ends == [waiting]
    assert not kept.is_cancelled()
    kept.cancel()  # too late
    assert not kept.is_cancelled()
    first.file.close()


@pytest.mark.parametrize("is_corked", [False, True])
def test_a_stream_closes_when_the_last_file_is_cancelled(stage: Stage, fd: int, is_corked: bool) -> None:
    """Nothing else was waited for."""

    def deed(me: Recorder, data: bytes = b"") -> None:
        sending = me.transport.send_file(fd)
        me.transport.close()
        sending.cancel()

    with wire_on(stage, Recorder(data_received=deed)) as wire:
        if is_corked:
            wire.peer.send(b"x")
        else:
            deed(wire.protocol)
        wire.peer.read()
        stage.until(lambda: wire.protocol.is_lost and wire.peer.end == b"")
        assert wire.peer.received == b""


def test_a_file_may_cancel_itself_or_end_its_stream_while_it_is_read(tcp: Wire, ends: list[FileSending]) -> None:
    """Its ``read`` is foreign code, and may do anything; nobody is told twice."""

    class Capricious(io.BytesIO):
        deed: Callable[[], object]

        def read(self, size: int | None = -1) -> bytes:
            self.deed()
            return b"content"

    first, second = Capricious(), Capricious()
    first.deed = tcp.stream.send_file(first, on_done=ends.append).cancel
    tcp.stream.write(b"behind")
    until_received(tcp, b"behind")
    second.deed = tcp.stream.abort
    tcp.stream.send_file(second, on_done=ends.append)
    tcp.stage.until(lambda: tcp.protocol.is_lost)
    assert [sending.is_cancelled() for sending in ends] == [True, False]
    assert [type(sending.error) for sending in ends] == [type(None), TransportClosed]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_forgets_files_and_the_parent_sends_them(tcp: Wire, path: Path) -> None:
    """They are the parent's to send and to tell of, and the position that both share is left alone."""
    with path.open("rb", buffering=0) as file:
        told: list[FileSending] = []
        sending = tcp.stream.send_file(file, on_done=told.append)
        tcp.stage.until(lambda: sending.sent)
        file.seek(5)
        child = os.fork()
        if child == 0:
            os._exit(0 if sending.done() and sending.error and not told and file.tell() == 5 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        until_received(tcp, CONTENT)
        assert [each.result() for each in told] == [len(CONTENT)]
