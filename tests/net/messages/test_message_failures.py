"""Messages without a kernel: what it refuses, what breaks, and what time does, each on demand."""

from __future__ import annotations

import errno
import socket
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

import pytest

import reactor
from reactor.errors import IdleTimeout, OptionError, PayloadRefused, TextMalformed, WriteBufferFull
from reactor.flow import Watermarks
from reactor.net.messages.stream import ENTRY_BYTES
from tests.net.message_notes import MessageNotes, needs_seqpacket, scripted_messages
from tests.net.stage import stage_on

pytestmark = needs_seqpacket

BLOCKED = BlockingIOError(errno.EAGAIN, "full")


def sent(sock: Any) -> list[bytes]:
    """The messages that *sock* was given, refused ones included."""
    return [call[1] for call in sock.calls if call[0] == "send"]


def test_writability_is_waited_for_exactly_as_long_as_something_waits() -> None:
    """And a mutable buffer may be changed as soon as send_message returns."""
    with scripted_messages() as (stage, sock, _notes, stream):
        sock.script("send", BLOCKED, 1, BLOCKED, 1, 0)
        buffer = bytearray(b"a")
        for letter in b"ab":
            buffer[0] = letter
            stream.send_message(memoryview(buffer))
        stream.send_message(b"")
        assert stream.get_write_buffer_size() == 2 + 3 * ENTRY_BYTES
        poller: Any = stage.registry.poller
        poller.script([(sock, EVENT_WRITE)], [(sock, EVENT_WRITE)])
        stage.settle(2)
        assert sent(sock) == [b"a", b"a", b"b", b"b", b""]
        assert stage.registry.key_of(sock.fileno()).events == EVENT_READ  # type: ignore[union-attr]
        assert stream.get_write_buffer_size() == 0


def test_the_writer_is_paused_and_resumed_in_turns() -> None:
    """Above the high mark, at the low one."""
    with scripted_messages() as (stage, sock, notes, stream):
        sock.script("send", BLOCKED)
        stream.set_write_buffer_limits(high=2 * ENTRY_BYTES, low=ENTRY_BYTES)
        for _ in range(2):
            stream.send_message(b"")
        assert notes.names[1:] == []
        stream.send_message(b"")
        assert notes.names[1:] == ["pause_writing"]
        sock.script("send", 0, BLOCKED)
        poller: Any = stage.registry.poller
        poller.script([(sock, EVENT_WRITE)], [(sock, EVENT_WRITE)])
        stage.run_once(0)
        assert notes.names[1:] == ["pause_writing"]
        stage.run_once(0)
        assert notes.names[1:] == ["pause_writing", "resume_writing"]
        stream.set_write_buffer_limits(low=7)
        assert stream.get_write_buffer_limits() == (7, 28)


def test_the_end_of_writing_is_told_once_when_the_writer_says_it_on_being_resumed() -> None:
    """It was the last step of that very sending already."""
    with scripted_messages(resume_writing=lambda me: me.transport.write_eof()) as (stage, sock, notes, stream):
        sock.script("send", BLOCKED)
        stream.set_write_buffer_limits(high=0)
        stream.send_message(b"x")
        stage.registry.poller.script([(sock, EVENT_WRITE)])  # type: ignore[attr-defined]
        stage.settle()
        assert notes.names[1:] == ["pause_writing", "resume_writing"]
        assert [call[0] for call in sock.calls].count("shutdown") == 1


def test_new_limits_count_for_what_waits_already() -> None:
    """The writer is told at once; a high mark beyond the cap raises the cap."""
    with scripted_messages() as (_stage, sock, notes, stream):
        sock.script("send", BLOCKED)
        stream.send_message(b"x")
        assert notes.names[1:] == []
        stream.set_write_buffer_limits(high=0)
        assert notes.names[1:] == ["pause_writing"]
        stream.set_write_buffer_limits(high=2**30)
        assert notes.names[1:] == ["pause_writing", "resume_writing"]
        assert stream.get_write_buffer_limits() == (2**28, 2**30)


def test_nobody_is_resumed_who_has_closed() -> None:
    """What waits is sent, and the end is the next call."""
    with scripted_messages() as (stage, sock, notes, stream):
        sock.script("send", BLOCKED)
        stream.set_write_buffer_limits(high=0)
        stream.send_message(b"x")
        stream.close()
        stage.registry.poller.script([(sock, EVENT_WRITE)])  # type: ignore[attr-defined]
        stage.settle()
        assert sent(sock) == [b"x", b"x"]
        assert notes.names[1:] == ["pause_writing", "connection_lost"]


def test_a_peer_that_reads_nothing_is_given_up_at_the_cap() -> None:
    """Empty messages count as well."""
    with scripted_messages() as (stage, sock, notes, stream):
        stream._watermarks = Watermarks(high=ENTRY_BYTES, low=0, cap=10 * ENTRY_BYTES)
        sock.script("send", BLOCKED)
        for _ in range(20):
            stream.send_message(b"")
        stage.settle()
        assert isinstance(notes.reason, WriteBufferFull)
        assert stage.counters.write_overflows == 1
        assert stream.get_write_buffer_size() == 0


def test_a_message_that_has_become_too_long_while_it_waited_ends_the_connection() -> None:
    """Somebody has made the send buffer smaller; to leave it out would be a hole in the sequence."""
    with scripted_messages() as (stage, sock, notes, stream):
        sock.script("send", BLOCKED, OSError(errno.EMSGSIZE, "too long"))
        stream.send_message(b"x")
        stream.send_message(b"y")
        stage.registry.poller.script([(sock, EVENT_WRITE)])  # type: ignore[attr-defined]
        stage.settle()
        assert isinstance(notes.reason, PayloadRefused)
        assert sent(sock) == [b"x", b"x"]


def test_what_a_gone_peer_had_sent_is_read_to_the_end() -> None:
    """A broken pipe ends the writing, drops what waits, and is told when there is nothing left to read."""
    with scripted_messages() as (stage, sock, notes, stream):
        sock.script("send", BLOCKED, BrokenPipeError(errno.EPIPE, "gone"))
        stream.set_write_buffer_limits(high=0)
        for _ in range(2):
            stream.send_message(b"x")
        poller: Any = stage.registry.poller
        poller.script([(sock, EVENT_WRITE)])
        stage.settle()
        stream.send_message(b"ignored")
        assert stream.get_write_buffer_size() == 0
        assert not notes.is_lost
        sock.script("recv", b"last words", b"")
        poller.script([(sock, EVENT_READ)])
        stage.settle()
        assert notes.messages == [b"last words"]
        assert "resume_writing" not in notes.names
        assert isinstance(notes.reason, BrokenPipeError)
        assert sent(sock) == [b"x", b"x"]


@pytest.mark.parametrize("state", ["paused", "closing"])
def test_a_gone_peer_is_the_end_when_nobody_reads_any_more(state: str) -> None:
    """There is nothing to wait for."""
    with scripted_messages() as (stage, sock, notes, stream):
        sock.script("send", BLOCKED, BrokenPipeError(errno.EPIPE, "gone"))
        stream.send_message(b"x")
        if state == "paused":
            stream.pause_reading()
        else:
            stream.close()
        stage.registry.poller.script([(sock, EVENT_WRITE)])  # type: ignore[attr-defined]
        stage.settle()
        assert isinstance(notes.reason, BrokenPipeError)


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ([OSError(errno.EBADF, "bad")], OSError),
        ([ConnectionResetError(errno.ECONNRESET, "reset")] * 2, ConnectionResetError),
        ([ConnectionResetError(errno.ECONNRESET, "reset"), b""], ConnectionResetError),
        ([ConnectionResetError(errno.ECONNRESET, "reset"), OSError(errno.EBADF, "bad")], ConnectionResetError),
    ],
)
def test_an_error_of_receiving_is_the_end(script: list[Any], error: type[Exception]) -> None:
    """Said twice, a reset is no news: there will be nothing more."""
    with scripted_messages() as (stage, sock, notes, _stream):
        sock.script("recv", InterruptedError, *script)
        stage.registry.poller.hold(sock, EVENT_READ)  # type: ignore[attr-defined]
        stage.settle(6)
        assert type(notes.reason) is error
        assert stage.counters.resets == (error is ConnectionResetError)


def test_a_message_is_cut_when_only_a_flag_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system does not tell the whole length."""
    with scripted_messages() as (stage, sock, notes, _stream):
        monkeypatch.setattr(type(sock), "recvmsg_into", lambda *_: (100_000, [], socket.MSG_TRUNC, None))
        stage.registry.poller.script([(sock, EVENT_READ)])  # type: ignore[attr-defined]
        stage.settle()
        assert "more than 100000 bytes" in str(notes.reason)


def test_an_empty_message_is_one_when_the_system_marks_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """MSG_EOR, which POSIX has for the purpose, and Linux never sets."""
    with scripted_messages() as (stage, sock, notes, _stream):
        arrivals = iter([(0, [], socket.MSG_EOR, None), (0, [], 0, None)])
        monkeypatch.setattr(type(sock), "recvmsg_into", lambda *_: next(arrivals))
        stage.registry.poller.script([(sock, EVENT_READ)])  # type: ignore[attr-defined]
        stage.settle()
        assert notes.names == ["connection_made", "message_received", "eof_received", "connection_lost"]


def test_a_turn_takes_a_bounded_number_of_bytes() -> None:
    """About as many as a stream may take, whatever the number of messages."""
    with scripted_messages() as (stage, sock, notes, _stream):
        sock.script("recv", *[bytes(100_000)] * 5)
        stage.registry.poller.hold(sock, EVENT_READ)  # type: ignore[attr-defined]
        stage.run_once(0)
        assert len(notes.messages) == 3
        stage.run_once(0)
        assert len(notes.messages) == 5


def test_a_fault_that_the_protocol_finds_is_the_peers() -> None:
    """A PeerError is no bug of ours: one line, no traceback, and the reason for the end."""

    def complain(me: MessageNotes, data: bytes) -> None:
        raise TextMalformed("no text")

    with scripted_messages(message_received=complain) as (stage, sock, notes, _stream):
        sock.script("recv", b"x")
        stage.registry.poller.script([(sock, EVENT_READ)])  # type: ignore[attr-defined]
        stage.settle()
        assert isinstance(notes.reason, TextMalformed)
        assert stage.counters.peer_errors == 1


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_the_demand_to_stop_passes_through_a_protocol(kind: type[BaseException]) -> None:
    """It is nobody's mistake."""

    def stop(*_: Any) -> None:
        raise kind

    with scripted_messages(message_received=stop) as (stage, sock, _, _):
        sock.script("recv", b"x")
        stage.registry.poller.script([(sock, EVENT_READ)])  # type: ignore[attr-defined]
        with pytest.raises(kind):
            stage.run_once(0)


def test_idle_means_that_no_message_moves_in_either_direction() -> None:
    """A message pushes the end back; None takes it away."""
    with scripted_messages() as (stage, sock, notes, stream):
        clock: Any = stage.clock
        stream.set_idle_timeout(10)
        clock.advance(9)
        stream.send_message(b"x")
        clock.advance(9)
        stage.settle()
        sock.script("recv", b"y")
        stage.registry.poller.script([(sock, EVENT_READ)])  # type: ignore[attr-defined]
        stage.settle()
        clock.advance(9)
        stage.settle()
        assert not notes.is_lost
        stream.set_idle_timeout(None)
        clock.advance(99)
        stage.settle()
        stream.set_idle_timeout(5)
        with pytest.raises(OptionError):
            stream.set_idle_timeout(0)
        clock.advance(5)
        stage.settle()
        assert isinstance(notes.reason, IdleTimeout)


def test_nobody_is_idle_who_is_gone() -> None:
    """The clock of the idle timeout stops with the transport, and is not set again."""
    with scripted_messages() as (stage, _sock, notes, stream):
        stream.set_idle_timeout(5)
        stream.abort()
        stream.set_idle_timeout(5)
        stage.settle()
        assert notes.reason is None
        assert stage.next_timeout() is None
        assert stage.counters.idle_timeouts == 0


def test_a_probe_sees_what_a_transport_does() -> None:
    """Its beginning, sizes in both directions, and its end."""
    seen: list[Any] = []

    class Watcher(reactor.Probe):
        def opened(self, transport: object) -> None:
            seen.append("opened")

        def received(self, transport: object, size: int) -> None:
            seen.append(("received", size))

        def sent(self, transport: object, size: int) -> None:
            seen.append(("sent", size))

        def closed(self, transport: object, exc: BaseException | None) -> None:
            seen.append("closed")

    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with far, stage_on() as stage:
        stage.set_probe(Watcher())
        notes = MessageNotes()
        stage.adopt_seqpacket(lambda: notes, near)
        notes.transport.send_message(b"abc")
        far.send(b"de")
        stage.until(lambda: notes.messages)
        notes.transport.close()
        stage.settle()
    assert seen == ["opened", ("sent", 3), ("received", 2), "closed"]
