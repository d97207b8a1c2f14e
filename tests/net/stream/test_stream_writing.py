"""How what is written leaves: in how many calls, when, and what becomes of what the kernel refuses."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from selectors import EVENT_READ

import pytest

from reactor.errors import OptionError, ReactorError, WriteBufferFull, WrongThread
from reactor.flow import DEFAULT_WATERMARKS, Watermarks
from reactor.limits import CORK_BYTES, GATHER_BUFFERS
from reactor.net.stream.stream import Stream
from tests.net.recorder import Recorder
from tests.net.virtual import Virtual, names, sends, virtually


@pytest.fixture
def virtual() -> Iterator[Virtual]:
    with virtually() as virtual:
        yield virtual


# -- corking ---------------------------------------------------------------------------------------------------


def test_replies_leave_in_one_send_when_they_are_written_in_one_delivery(virtual: Virtual) -> None:
    """Ten writes in ``data_received`` are one system call, made when it returns."""

    def reply(me: Recorder, data: bytes) -> None:
        for number in range(10):
            me.transport.write(b"%d" % number)
        assert sends(sock) == []
        assert me.transport.get_write_buffer_size() == 10

    _, sock = virtual.open(Recorder(data_received=reply), b"go")
    virtual.readable(sock)
    assert sends(sock) == [b"0123456789"]


@pytest.mark.parametrize("slot", ["connection_made", "eof_received"])
def test_other_deliveries_are_corked_too(virtual: Virtual, slot: str) -> None:
    """A greeting and a farewell leave in one piece as well."""

    def talk(me: Recorder, *args: object) -> None:
        me.transport.write(b"a")
        me.transport.writelines([b"b", b"c"])

    _, sock = virtual.open(Recorder(**{slot: talk}), b"")
    virtual.readable(sock)
    assert sends(sock) == [b"abc"]


def test_the_first_write_leaves_at_once_and_the_others_at_the_end_of_the_turn(virtual: Virtual) -> None:
    """Outside of a delivery latency comes first, and then the number of calls."""
    stream, sock = virtual.open(Recorder())
    seen = []

    def push() -> None:
        for letter in (b"a", b"b", b"c"):
            stream.write(letter)
            seen.append(len(sends(sock)))

    virtual.stage.call_soon(push)
    virtual.turn()
    assert seen == [1, 1, 1]
    assert sends(sock) == [b"a", b"bc"]
    virtual.stage.call_soon(stream.write, b"d")
    virtual.turn()
    assert sends(sock) == [b"a", b"bc", b"d"]


def test_each_write_leaves_at_once_when_no_turn_is_under_way(virtual: Virtual) -> None:
    """Between two turns nobody would send it later."""
    stream, sock = virtual.open(Recorder())
    stream.write(b"a")
    stream.writelines([b"b", b"c"])
    assert sends(sock) == [b"a", b"bc"]


def test_a_large_reply_does_not_wait_for_the_end_of_the_delivery(virtual: Virtual) -> None:
    """Corked bytes beyond CORK_BYTES go out while the protocol is still at work."""

    def reply(me: Recorder, data: bytes) -> None:
        me.transport.write(bytes(CORK_BYTES))
        assert sends(sock) == []
        me.transport.write(b"!")
        assert len(sock.sent) == CORK_BYTES + 1
        me.transport.write(b"rest")

    _, sock = virtual.open(Recorder(data_received=reply), b"go")
    virtual.readable(sock)
    assert sends(sock)[-1] == b"rest"
    assert len(sends(sock)) == 2


def test_what_was_corked_is_sent_when_a_delivery_in_the_same_turn_ends_first(virtual: Virtual) -> None:
    """Written from a callback, then from ``data_received``: the order is that of the calls."""
    first = Recorder()
    stream, sock = virtual.open(first, b"go")
    first.reactions["data_received"] = lambda me, data: me.transport.write(b"3")
    _, other = virtual.open(Recorder(data_received=lambda me, data: stream.writelines([b"1", b"2"])), b"go")
    virtual.readable(other, sock)
    assert sock.sent == b"123"
    assert virtual.stage.failures == []


# -- what the kernel refuses -----------------------------------------------------------------------------------


def test_nothing_is_tried_again_before_the_kernel_is_ready(virtual: Virtual) -> None:
    """What was refused waits; further writes do not try, large ones neither."""
    stream, sock = virtual.open(Recorder())
    sock.script("send", BlockingIOError)
    stream.write(b"a" * (CORK_BYTES + 1))
    stream.write(b"b")
    stream.writelines([b"c" * CORK_BYTES, b"d"])
    virtual.turn()
    assert len(sends(sock)) == 1
    virtual.writable(sock)
    assert sock.sent == b"a" * (CORK_BYTES + 1) + b"b" + b"c" * CORK_BYTES + b"d"
    assert ("forget", sock.fileno(), 0) not in virtual.poller.calls
    assert virtual.poller.calls[-1] == ("change", sock.fileno(), EVENT_READ)


def test_bytes_leave_in_order_when_the_kernel_takes_one_at_a_time(virtual: Virtual) -> None:
    """A send may stop inside of any buffer, any number of times."""
    stream, sock = virtual.open(Recorder())
    sock.script("send", *[1, BlockingIOError] * 30)
    stream.writelines([b"one", b"two", b"three", b"", b"four"])
    for _ in range(40):
        virtual.writable(sock)
    assert sock.sent == b"onetwothreefour"
    assert stream.get_write_buffer_size() == 0


def test_sending_goes_on_when_only_the_vector_was_full(virtual: Virtual) -> None:
    """More buffers than one ``sendmsg`` takes leave in the same turn, if the kernel takes them."""
    stream, sock = virtual.open(Recorder())
    sock.script("send", 0)
    stream.writelines([bytes(2000)] * (GATHER_BUFFERS * 3))
    virtual.writable(sock)
    assert len(sock.sent) == 2000 * GATHER_BUFFERS * 3


# -- watermarks ------------------------------------------------------------------------------------------------


def test_the_writer_is_paused_when_little_more_than_the_limit_waits(virtual: Virtual) -> None:
    """A limit smaller than CORK_BYTES counts from the first byte that the kernel refused."""
    protocol = Recorder()
    stream, sock = virtual.open(protocol)
    stream.set_write_buffer_limits(high=100, low=10)
    sock.script("send", BlockingIOError)
    stream.write(b"x" * 100)
    assert protocol.names == ["connection_made"]
    stream.write(b"y")
    assert protocol.names == ["connection_made", "pause_writing"]
    sock.script("send", 90)
    virtual.writable(sock)
    assert stream.get_write_buffer_size() == 11
    assert protocol.names[-1] == "pause_writing"
    sock.script("send", 1)
    virtual.writable(sock)
    assert protocol.names == ["connection_made", "pause_writing", "resume_writing"]


def test_a_small_cap_counts_when_the_peer_does_not_read(virtual: Virtual) -> None:
    """What is written while no more than the cap waits is taken; what is written on top of more ends the stream,
    and the one line in which that is told names the remedy."""
    protocol = Recorder()
    stream, sock = virtual.open(protocol)
    stream._watermarks = Watermarks(10, 1, 100)
    sock.script("send", BlockingIOError)
    stream.write(b"x" * 100)
    stream.write(b"y")
    assert not stream.is_closing()
    stream.write(b"z")
    assert stream.is_closing()
    virtual.turn()
    assert isinstance(protocol.reason, WriteBufferFull)
    assert "Watermarks(" in str(protocol.reason)
    assert virtual.stage.counters.write_overflows == 1


def write_in_pieces(stream: Stream, data: bytes) -> None:
    """Hand *data* over in one call, in many buffers."""
    stream.writelines([data[at : at + 60] for at in range(0, len(data), 60)])


@pytest.mark.parametrize("write", [Stream.write, write_in_pieces])
def test_one_large_write_passes_when_it_goes_beyond_the_cap(
    virtual: Virtual, write: Callable[[Stream, bytes], object]
) -> None:
    """The cap is for what piles up: one call may hand over any amount at once, which pauses the protocol.  It all
    arrives, the protocol is resumed, and may do so again."""
    protocol = Recorder()
    stream, sock = virtual.open(protocol)
    stream._watermarks = Watermarks(10, 1, 100)
    for _ in range(2):
        sock.script("send", BlockingIOError)
        write(stream, bytes(600))
        assert stream.get_write_buffer_size() == 600
        assert protocol.names[-1] == "pause_writing"
        virtual.writable(sock)
        assert protocol.names[-1] == "resume_writing"
    assert sock.sent == bytes(1200)


def test_nothing_is_kept_when_the_peer_is_given_up_at_the_cap(virtual: Virtual) -> None:
    """What waited is dropped, and what was too much as well."""
    stream, sock = virtual.open(Recorder())
    stream._watermarks = Watermarks(10, 1, 100)
    sock.script("send", BlockingIOError, BlockingIOError)
    stream.write(b"x" * 101)
    stream.writelines([bytes(60)] * 5)
    assert stream.is_closing()
    assert stream.get_write_buffer_size() == 0
    assert sock.sent == b""
    virtual.turn()


def test_changed_limits_take_effect_at_once(virtual: Virtual) -> None:
    """Lowering the high mark below what waits pauses, raising the low one above it resumes."""
    protocol = Recorder()
    stream, sock = virtual.open(protocol)
    sock.script("send", BlockingIOError)
    stream.write(b"x" * 100)
    stream.set_write_buffer_limits(high=50)
    assert stream.get_write_buffer_limits() == (12, 50)
    stream.set_write_buffer_limits(low=100)
    assert stream.get_write_buffer_limits() == (100, 400)
    assert protocol.names == ["connection_made", "pause_writing", "resume_writing"]
    stream.set_write_buffer_limits()
    assert stream.get_write_buffer_limits()[1] == DEFAULT_WATERMARKS.high
    with pytest.raises(OptionError, match="low <= high"):
        stream.set_write_buffer_limits(high=1, low=2)


def test_the_protocol_writes_on_when_it_is_resumed(virtual: Virtual) -> None:
    """``resume_writing`` may fill the stream up again, and is then paused again, and so on."""
    protocol = Recorder(resume_writing=lambda me: [me.transport.write(b"x" * 60) for _ in range(4)])
    stream, sock = virtual.open(protocol)
    stream.set_write_buffer_limits(high=100, low=10)
    sock.script("send", BlockingIOError)
    stream.write(b"x" * 101)
    sock.script("send", 101, BlockingIOError)
    virtual.writable(sock)
    assert protocol.names[1:] == ["pause_writing", "resume_writing", "pause_writing"]
    protocol.reactions.clear()
    virtual.writable(sock)
    assert len(sock.sent) == 101 + 240
    protocol.check_grammar()


def test_the_writing_side_is_shut_down_once_when_the_resumed_protocol_ends_it(virtual: Virtual) -> None:
    """``write_eof`` from inside ``resume_writing``, with nothing left to send."""
    stream, sock = virtual.open(Recorder(resume_writing=lambda me: me.transport.write_eof()))
    stream.set_write_buffer_limits(high=10)
    sock.script("send", BlockingIOError)
    stream.write(b"x" * 11)
    virtual.writable(sock)
    assert names(sock, "shutdown") == ["shutdown"]


def test_the_end_waits_for_what_the_resumed_protocol_wrote(virtual: Virtual) -> None:
    """``write`` and ``close`` from inside ``resume_writing``: first the bytes, then the end."""

    def finish(me: Recorder) -> None:
        me.transport.write(b"last")
        me.transport.close()

    protocol = Recorder(resume_writing=finish)
    stream, sock = virtual.open(protocol)
    stream.set_write_buffer_limits(high=10)
    sock.script("send", BlockingIOError)
    stream.write(b"x" * 11)
    sock.script("send", 11, BlockingIOError)
    virtual.writable(sock)
    assert not protocol.is_lost
    virtual.writable(sock)
    virtual.turn()
    assert sock.sent == b"x" * 11 + b"last"
    assert protocol.reason is None
    assert names(sock, "shutdown", "send")[-1] == "shutdown"


# -- errors ----------------------------------------------------------------------------------------------------


def test_what_waits_is_dropped_and_reading_goes_on_when_the_peer_takes_no_more(virtual: Virtual) -> None:
    """EPIPE: nobody wants the bytes, but what the peer sent before is still delivered; then it is the reason."""
    protocol = Recorder()
    stream, sock = virtual.open(protocol, b"its last words", b"")
    broken = BrokenPipeError(32, "gone")
    sock.script("send", BlockingIOError, broken)
    stream.write(b"x")
    virtual.writable(sock)
    assert stream.get_write_buffer_size() == 0
    stream.write(b"ignored")
    virtual.readable(sock)
    virtual.readable(sock)
    virtual.turn()
    assert protocol.received == b"its last words"
    assert protocol.names == ["connection_made", "data_received", "connection_lost"]
    assert protocol.reason is broken
    assert virtual.stage.counters.resets == 1


@pytest.mark.parametrize("state", ["closing", "paused", "half-closed"])
def test_the_stream_ends_at_once_when_nothing_more_will_be_read(virtual: Virtual, state: str) -> None:
    """A writing error has nothing to wait for when reading has ended, or is not wanted."""
    protocol = Recorder(eof_received=lambda me: True)
    stream, sock = virtual.open(protocol, b"")
    sock.script("send", BlockingIOError, ConnectionResetError(104, "reset"))
    stream.write(b"x")
    if state == "half-closed":
        virtual.readable(sock)
    elif state == "closing":
        stream.close()
    else:
        stream.pause_reading()
    virtual.writable(sock)
    virtual.turn()
    assert isinstance(protocol.reason, ConnectionResetError)


def test_a_failing_shutdown_is_a_writing_error(virtual: Virtual) -> None:
    """ENOTCONN from shutdown(2) means that the peer has gone: what it left is read, then the stream ends."""
    protocol = Recorder()
    stream, sock = virtual.open(protocol, b"left", b"")
    sock.script("shutdown", OSError(107, "not connected"))
    stream.write_eof()
    virtual.readable(sock)
    virtual.readable(sock)
    virtual.turn()
    assert protocol.received == b"left"
    assert protocol.reason.errno == 107


def test_none_is_sent_when_one_buffer_of_many_is_wrong(virtual: Virtual) -> None:
    """``writelines`` is all or nothing, and the stream can still be closed."""
    protocol = Recorder()
    stream, sock = virtual.open(protocol)
    with pytest.raises(TypeError):
        stream.writelines([b"one", "two"])  # type: ignore[list-item]
    assert stream.get_write_buffer_size() == 0
    stream.close()
    virtual.turn()
    assert protocol.is_lost
    assert sends(sock) == []


# -- threads ---------------------------------------------------------------------------------------------------

CALLS: dict[str, Callable[[Stream], object]] = {
    "write": lambda stream: stream.write(b"x"),
    "writelines": lambda stream: stream.writelines([b"x"]),
    "write_eof": lambda stream: stream.write_eof(),
    "close": lambda stream: stream.close(),
    "abort": lambda stream: stream.abort(),
    "reset": lambda stream: stream.reset(),
    "pause_reading": lambda stream: stream.pause_reading(),
    "set_idle_timeout": lambda stream: stream.set_idle_timeout(1),
    "fail": lambda stream: stream.fail(WriteBufferFull("no")),
}


def in_thread(function: Callable[[], object]) -> BaseException | None:
    """Return what *function* raises in another thread."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except ReactorError as exc:
            raised.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return raised[0] if raised else None


STATES = [(name, state) for name in CALLS for state in ("idle", "waiting")]


@pytest.mark.parametrize(("name", "state"), [*STATES, ("resume_reading", "paused")])
def test_the_wrong_thread_changes_nothing(virtual: Virtual, name: str, state: str) -> None:
    """Every method belongs to the loop's thread: WrongThread, and the stream goes on as if nothing had been."""
    call = CALLS.get(name, Stream.resume_reading)
    protocol = Recorder(data_received=lambda me, data: me.transport.write(b"reply"))
    stream, sock = virtual.open(protocol, b"hello")
    if state == "waiting":
        sock.script("send", BlockingIOError)
        stream.write(b"first,")
    if state == "paused":
        stream.pause_reading()
    caught: list[BaseException | None] = []
    virtual.stage.call_soon(lambda: caught.append(in_thread(lambda: call(stream))))
    virtual.turn()
    assert isinstance(caught[0], WrongThread)
    assert stream.is_reading() == (state != "paused")
    stream.resume_reading()
    if state == "waiting":
        virtual.writable(sock)
    virtual.readable(sock)
    assert bytes(sock.sent) == (b"first,reply" if state == "waiting" else b"reply")
    assert protocol.names == ["connection_made", "data_received"]
    assert names(sock, "shutdown", "close") == []
    assert (socket.SOL_SOCKET, socket.SO_LINGER) not in sock.options
