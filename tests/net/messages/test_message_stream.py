"""Messages over Unix sockets, with a plain blocking socket at the other end: whole, in order, and with an end."""

from __future__ import annotations

import array
import errno
import os
import signal
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import reactor
from reactor.errors import (
    AddressError,
    BindFailed,
    ConnectFailed,
    MessageTooLong,
    OptionError,
)
from reactor.limits import DATAGRAM_BATCH, STREAM_SECONDS
from reactor.testing import VirtualClock
from tests.net.blocking import beside
from tests.net.caller import Caller
from tests.net.message_notes import CountingOps, MessageNotes, echo, needs_seqpacket, pair_on, plain
from tests.net.stage import PATIENCE, stage_on

pytestmark = needs_seqpacket


# -- listening, connecting, adopting ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_a_plain_client_is_answered_message_by_message(poller_name: str, tmp_path: Path, kind: str) -> None:
    """One recv for each send, an empty one too, and the end is the end."""
    path = str(tmp_path / "s") if kind == "path" else f"@reactor-messages-{os.getpid()}"
    messages = [b"one", b"", b"three" * 1000, b"", b"\0"]
    with stage_on(poller_name) as stage:
        served: list[MessageNotes] = []

        def factory() -> MessageNotes:
            served.append(MessageNotes(message_received=echo))
            return served[-1]

        listener = stage.listen_unix(factory, path, seqpacket=True)

        def conversation() -> list[bytes]:
            with plain(path.replace("@", "\0") if kind == "abstract" else path) as client:
                answers = []
                for message in messages:
                    client.send(message)
                    answers.append(client.recv(100_000))
                return answers

        assert beside(stage, conversation) == messages
        stage.until(lambda: served[0].is_lost)
        assert served[0].messages == messages
        assert served[0].names[-2:] == ["eof_received", "connection_lost"]
        assert served[0].reason is None
        assert (listener.accepted, listener.connections) == (1, 0)


def test_a_plain_server_is_talked_to(poller_name: str, tmp_path: Path) -> None:
    """connect_unix with seqpacket; what the server sends before it ends is received before the end."""
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener, stage_on(poller_name) as stage:
        listener.bind(path)
        listener.listen()
        listener.settimeout(PATIENCE)
        notes = MessageNotes(connection_made=lambda me: me.transport.send_message(b"hello"))
        connector = stage.connect_unix(lambda: notes, path, seqpacket=True)

        def server() -> bytes:
            sock, _ = listener.accept()
            with sock:
                data = sock.recv(100)
                for message in (b"", b"welcome", b""):
                    sock.send(message)
            return data

        assert beside(stage, server) == b"hello"
        stage.until(lambda: notes.is_lost)
        assert notes.messages == [b"", b"welcome", b""]
        assert connector.state == "connected"
        assert isinstance(connector.stream, reactor.MessageStream)


def test_what_listens_already_is_adopted_by_its_kind(poller_name: str, tmp_path: Path) -> None:
    """The same verb for streams and messages; a datagram socket is neither."""
    path = str(tmp_path / "s")
    with stage_on(poller_name) as stage:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.bind(path)
        sock.listen()
        notes = MessageNotes()
        stage.adopt_listener(lambda: notes, sock.detach())
        with plain(path) as client:
            client.send(b"x")
            stage.until(lambda: notes.messages)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            with pytest.raises(OptionError, match="SOCK_STREAM or SOCK_SEQPACKET is needed here, not SOCK_DGRAM"):
                stage.adopt_listener(MessageNotes, other)
            with pytest.raises(OptionError, match="SOCK_SEQPACKET is needed here"):
                stage.adopt_seqpacket(MessageNotes, other)


def test_the_other_kind_of_socket_at_a_path_is_an_error_that_says_so(poller_name: str, tmp_path: Path) -> None:
    """EPROTOTYPE for the client; and a second server finds that somebody serves there."""
    path = str(tmp_path / "s")
    with stage_on(poller_name) as stage:
        stage.listen_unix(MessageNotes, path, seqpacket=True)
        caller = Caller()
        stage.connect_unix(lambda: caller, path)
        stage.until(lambda: caller.words)
        [failure] = caller.words
        assert isinstance(failure, ConnectFailed)
        assert failure.errno == errno.EPROTOTYPE
        for factory, seqpacket in ((MessageNotes, True), (Caller, False)):
            with pytest.raises(BindFailed, match="somebody serves it"):
                stage.listen_unix(factory, path, seqpacket=seqpacket)
        with pytest.raises(AddressError):
            stage.connect_unix(MessageNotes, "", seqpacket=True)


def test_a_client_waits_while_the_queue_of_the_server_is_full(poller_name: str, tmp_path: Path) -> None:
    """As with streams: EAGAIN of connect(2) is tried again."""
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener, stage_on(poller_name) as stage:
        listener.bind(path)
        listener.listen(0)
        callers = [MessageNotes() for _ in range(2)]
        for notes in callers:
            stage.connect_unix(lambda notes=notes: notes, path, seqpacket=True)
        stage.until(lambda: callers[0].calls)
        stage.settle()
        assert not callers[1].calls
        listener.accept()[0].close()
        stage.until(lambda: callers[1].calls)
        assert callers[1].names == ["connection_made"]


def test_who_is_at_the_other_end_is_known(poller_name: str, tmp_path: Path) -> None:
    """Paths and credentials; the rest is as with streams."""
    path = str(tmp_path / "s")
    with stage_on(poller_name) as stage:
        notes = MessageNotes()
        stage.listen_unix(lambda: notes, path, seqpacket=True)
        with plain(path):
            stage.until(lambda: notes.calls)
            stream = notes.transport
            assert stream.get_extra_info("sockname") == path
            assert stream.get_extra_info("peercred").pid == os.getpid()
            assert stream.get_extra_info("socket").fileno() == stream.fileno()
            assert stream.get_extra_info("other", 7) == 7
            assert stream.get_protocol() is notes
            assert "MessageStream open" in repr(stream)
            assert stream.can_write_eof()
            other = MessageNotes()
            stream.set_protocol(other)
            stream.abort()
            stage.settle()
            assert other.is_lost
            assert stream.get_protocol() is None
            assert stream.get_extra_info("sockname", "gone") == "gone"
            assert "lost" in repr(stream)
            assert stream.is_closing()


# -- what arrives ----------------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=50), max_size=40))
def test_what_is_sent_is_what_arrives_whatever_it_is(messages: list[bytes]) -> None:
    """Boundaries, order, empties; then the end, once."""
    with stage_on("poll") as stage, pair_on(stage) as (notes, far):
        for message in messages:
            far.send(message)
        far.shutdown(socket.SHUT_WR)
        stage.until(lambda: notes.is_lost)
        assert notes.messages == messages


def test_messages_that_were_sent_before_anybody_listened_are_not_ends(poller_name: str) -> None:
    """The option that tells them apart is set late, and works for what lies in the queue already."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with far, stage_on(poller_name) as stage:
        for message in (b"", b"x", b""):
            far.send(message)
        notes = MessageNotes()
        stage.adopt_seqpacket(lambda: notes, near)
        stage.until(lambda: len(notes.messages) == 3)
        assert not notes.is_lost


@pytest.mark.parametrize("size", [100_000, 100_001])
def test_a_message_over_the_limit_ends_the_connection_and_no_other(
    poller_name: str, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    """What did not fit is lost, so the sequence is worth nothing: a line, a number, and the peer sees an end."""
    with stage_on(poller_name) as stage, pair_on(stage) as (notes, far), pair_on(stage) as (other, other_far):
        far.settimeout(None)  # with a timeout Python waits for more room than a send needs
        far.send(b"before")
        far.send(bytes(size))
        far.send(b"after")
        stage.until(lambda: len(notes.calls) == (4 if size == 100_000 else 3))
        stage.settle()
        if size == 100_000:
            assert list(map(len, notes.messages)) == [6, 100_000, 5]
            assert not notes.is_lost
            return
        assert notes.messages == [b"before"]
        assert isinstance(notes.reason, MessageTooLong)
        assert isinstance(notes.reason, ValueError)
        assert stage.counters.peer_errors == 1
        assert "more than 100000 bytes arrived" in caplog.text
        assert beside(stage, far.recv, 10) == b""
        other_far.send(b"still there")
        stage.until(lambda: other.messages)


def test_descriptors_that_come_along_are_closed(poller_name: str) -> None:
    """Nobody asked for them, and a peer could use up ours; with the option, without it, and with a full message."""
    with stage_on(poller_name, ops=(ops := CountingOps())) as stage, pair_on(stage) as (notes, far):
        stage.until(lambda: notes.calls)  # the loop has been run, and has opened what it needs itself
        before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0] * 8))]
        far.sendmsg([b"with descriptors"], rights)
        if hasattr(socket, "SO_PASSCRED"):
            stage.until(lambda: notes.messages)
            notes.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)
            far.sendmsg([b"again"], rights)
        stage.until(lambda: b"again" in notes.messages or ops.closed)
        if before is not None:
            assert len(os.listdir("/proc/self/fd")) == before
        assert ops.closed, "without the option there is room for some of them, and they were closed by us"


def test_messages_of_a_peer_that_has_reset_are_read_to_the_end(poller_name: str) -> None:
    """The reset is said first by the kernel, and told last by us."""
    with stage_on(poller_name) as stage, pair_on(stage) as (notes, far):
        notes.transport.send_message(b"never read")
        for message in (b"one", b"", b"two"):
            far.send(message)
        far.close()
        stage.until(lambda: notes.is_lost)
        assert notes.messages == [b"one", b"", b"two"]
        assert isinstance(notes.reason, ConnectionResetError)
        assert "eof_received" not in notes.names
        assert stage.counters.resets == 1


def test_messages_are_read_to_the_end_when_the_pipe_broke_before_the_reset(poller_name: str) -> None:
    """A peer that takes no more may go on sending, and end with ours unread: two errors, and every message."""
    with stage_on(poller_name) as stage, pair_on(stage) as (notes, far):
        notes.transport.send_message(b"never read")
        far.shutdown(socket.SHUT_RD)
        notes.transport.send_message(b"EPIPE")
        for message in (b"one", b"", b"two"):
            far.send(message)
        far.close()
        stage.until(lambda: notes.is_lost)
        assert notes.messages == [b"one", b"", b"two"]
        assert isinstance(notes.reason, ConnectionResetError)
        assert stage.counters.resets == 1


def test_a_protocol_that_takes_over_is_given_the_next_message(poller_name: str) -> None:
    """Inside of a message, with the reading stopped and begun again; the first hears no more, not of the end."""

    def hand_over(me: MessageNotes, data: bytes) -> None:
        me.transport.pause_reading()
        me.transport.resume_reading()
        successor.transport = me.transport
        me.transport.set_protocol(successor)

    successor = MessageNotes()
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with far, stage_on(poller_name) as stage:
        first = MessageNotes(message_received=hand_over)
        stage.adopt_seqpacket(lambda: first, near)
        for message in (b"1", b"2", b"3"):
            far.send(message)
        far.shutdown(socket.SHUT_WR)
        stage.until(lambda: successor.is_lost)
        assert (first.messages, successor.messages) == ([b"1"], [b"2", b"3"])
        assert not first.is_lost


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("is_paused", [False, True])
def test_a_peer_that_is_killed_is_a_peer_that_is_gone(poller_name: str, is_paused: bool) -> None:
    """With messages of ours unread, and some that wait to be sent: nobody waits for it, reading or not."""
    with stage_on(poller_name) as stage, pair_on(stage) as (notes, far):
        gate, opener = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(opener)
            far.send(b"last words")
            os.read(gate, 1)
            os._exit(0)
        os.close(gate)
        far.close()
        stage.until(lambda: notes.messages)
        if is_paused:
            notes.transport.pause_reading()
        while not notes.transport.get_write_buffer_size():
            notes.transport.send_message(bytes(1000))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(opener)
        stage.until(lambda: notes.is_lost)
        assert notes.messages == [b"last words"]
        assert isinstance(notes.reason, ConnectionError)


def test_a_greedy_peer_does_not_keep_the_others_waiting(poller_name: str) -> None:
    """A turn takes so many messages of each, or so many bytes, or as many as come in so many seconds."""
    clock = VirtualClock()
    with stage_on(poller_name, clock=clock) as stage, pair_on(stage) as (notes, far):
        far.settimeout(None)  # with a timeout Python waits for more room than a send needs
        for _ in range(100):
            far.send(b"")
        stage.run_once(0)
        assert len(notes.messages) == DATAGRAM_BATCH
        stage.run_once(0)
        assert len(notes.messages) == 100
        notes.reactions["message_received"] = lambda me, data: clock.advance(STREAM_SECONDS / 2)
        for _ in range(5):
            far.send(b"slow")
        for count in (102, 104, 105):
            stage.run_once(0)
            assert len(notes.messages) == count


def test_a_pause_holds_at_the_next_message_and_the_end_waits_too(poller_name: str) -> None:
    """Paused inside of a message, resumed from outside."""
    with stage_on(poller_name) as stage, pair_on(
        stage, message_received=lambda me, data: me.transport.pause_reading()
    ) as (notes, far):
        far.send(b"1")
        far.send(b"2")
        far.shutdown(socket.SHUT_WR)
        stage.until(lambda: notes.messages)
        stage.settle()
        assert notes.messages == [b"1"]
        assert not notes.transport.is_reading()
        notes.transport.pause_reading()
        notes.transport.resume_reading()
        notes.transport.resume_reading()
        stage.until(lambda: len(notes.messages) == 2)
        stage.settle()
        assert not notes.is_lost
        notes.transport.resume_reading()
        stage.until(lambda: notes.is_lost)
