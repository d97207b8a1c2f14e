"""Sending messages and ending: what waits, what is refused, and what the last word is."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

import reactor
from reactor.errors import IdleTimeout, OperationTimeout, OptionError, PayloadRefused, TransportClosed
from tests.net.blocking import beside
from tests.net.message_notes import MessageNotes, needs_seqpacket, pair_on, plain
from tests.net.stage import stage_on

pytestmark = needs_seqpacket

# -- what is sent ----------------------------------------------------------------------------------------------


def test_what_does_not_fit_waits_in_order_and_the_writer_is_told(poller_name: str) -> None:
    """pause_writing, resume_writing; everything arrives, whole, in order, empties among it."""
    with stage_on(poller_name) as stage, pair_on(stage) as (notes, far):
        sent = []
        while "pause_writing" not in notes.names:
            sent.append(b"%d" % len(sent) + bytes(len(sent) % 3 * 1000))
            notes.transport.send_message(sent[-1])
            sent.append(b"")
            notes.transport.send_message(b"")
        assert notes.transport.get_write_buffer_size() > notes.transport.get_write_buffer_limits()[1]
        assert beside(stage, lambda: [far.recv(10_000) for _ in sent]) == sent
        stage.until(lambda: "resume_writing" in notes.names)
        assert notes.transport.get_write_buffer_size() == 0


def test_a_message_that_is_too_long_is_refused_and_nothing_is_sent(poller_name: str) -> None:
    """By our own limit, or by the kernel's, at once or behind others that wait."""
    with stage_on(poller_name) as stage, pair_on(stage) as (notes, far):
        stream = notes.transport
        with pytest.raises(PayloadRefused, match="exceeds max_message_size, 100000"):
            stream.send_message(bytes(100_001))
        stream.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 5000)
        with pytest.raises(PayloadRefused, match="set send_buffer") as caught:
            stream.send_message(bytes(50_000))
        assert isinstance(caught.value, ValueError)
        assert isinstance(caught.value.__cause__, OSError)
        assert caught.value.__cause__.errno == errno.EMSGSIZE
        count = 0
        while not stream.get_write_buffer_size():
            stream.send_message(b"fill")
            count += 1
        with pytest.raises(PayloadRefused, match="50000 bytes"):
            stream.send_message(bytes(50_000))
        with pytest.raises(TypeError, match="must be bytes"):
            stream.send_message("text")
        assert beside(stage, lambda: [far.recv(100) for _ in range(count)]) == [b"fill"] * count
        assert not notes.is_lost


def test_a_larger_send_buffer_makes_room_for_larger_messages(tmp_path: Path) -> None:
    """The keyword of the verb; and a protocol may have a limit beyond the shared buffer."""

    class Large(MessageNotes):
        max_message_size = 400_000

    path = str(tmp_path / "s")
    with stage_on() as stage:
        server, client = Large(), Large()
        stage.listen_unix(lambda: server, path, seqpacket=True)
        stage.connect_unix(lambda: client, path, seqpacket=True, send_buffer=1_000_000)
        stage.until(lambda: client.calls and server.calls)
        room = client.transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        message = os.urandom(min(300_000, room - 32))
        client.transport.send_message(message)
        stage.until(lambda: server.messages)
        assert server.messages == [message]


def test_the_end_of_one_side_leaves_the_other_open(poller_name: str) -> None:
    """write_eof, and eof_received that returns true: half-closed both ways, one after the other."""
    with stage_on(poller_name) as stage, pair_on(stage, eof_received=lambda me: True) as (notes, far):
        far.shutdown(socket.SHUT_WR)
        stage.until(lambda: "eof_received" in notes.names)
        stage.settle()
        notes.transport.send_message(b"still")
        assert far.recv(10) == b"still"
        notes.transport.write_eof()
        assert far.recv(10) == b""
        stage.until(lambda: notes.is_lost)
        assert notes.reason is None
    with stage_on(poller_name) as stage, pair_on(stage, eof_received=lambda me: True) as (notes, far):
        notes.transport.write_eof()
        assert far.recv(10) == b""
        far.send(b"still")
        far.shutdown(socket.SHUT_WR)
        stage.until(lambda: notes.is_lost)
        assert notes.messages == [b"still"]


def test_a_peer_that_had_ended_and_is_gone_is_the_end_at_the_next_message(poller_name: str) -> None:
    """There is nothing left to read that could tell of it."""
    with stage_on(poller_name) as stage, pair_on(stage, eof_received=lambda me: True) as (notes, far):
        far.shutdown(socket.SHUT_WR)
        stage.until(lambda: "eof_received" in notes.names)
        far.close()
        notes.transport.send_message(b"to nobody")
        stage.until(lambda: notes.is_lost)
        assert isinstance(notes.reason, BrokenPipeError)


def test_nothing_can_be_sent_after_the_end_of_writing(poller_name: str) -> None:
    """A mistake after write_eof, ignored when all is over anyway; what waited is sent before the end."""
    with stage_on(poller_name) as stage, pair_on(stage) as (notes, far):
        stream = notes.transport
        count = 0
        while not stream.get_write_buffer_size():
            stream.send_message(b"x")
            count += 1
        stream.write_eof()
        stream.write_eof()
        with pytest.raises(TransportClosed):
            stream.send_message(b"y")
        assert beside(stage, lambda: [far.recv(10) for _ in range(count + 1)]) == [b"x"] * count + [b""]
        far.send(b"reading goes on")
        stage.until(lambda: notes.messages)
        stream.close()
        stream.send_message(b"ignored")
        stage.until(lambda: notes.is_lost)


# -- ending ----------------------------------------------------------------------------------------------------


def test_the_last_message_is_not_lost_when_the_peer_was_still_sending(poller_name: str) -> None:
    """Closed with messages unread, the kernel would tell the peer of a reset first; so the transport lingers."""
    with stage_on(poller_name) as stage, pair_on(stage) as (notes, far):
        for message in (b"unread", b"", b"unread"):
            far.send(message)
        notes.transport.send_message(b"goodbye")
        notes.transport.close()
        stage.settle()
        assert notes.names == ["connection_made", "connection_lost"]
        assert (far.recv(100), far.recv(100)) == (b"goodbye", b"")
        far.close()
        stage.until(lambda: not stage._shared.lingering)


@pytest.mark.parametrize("method", ["close", "abort"])
def test_what_waits_is_sent_before_the_end(poller_name: str, method: str) -> None:
    """close() flushes; abort() does not."""
    with stage_on(poller_name) as stage, pair_on(stage) as (notes, far):
        count = 0
        while not notes.transport.get_write_buffer_size():
            notes.transport.send_message(b"x")
            count += 1
        getattr(notes.transport, method)()
        wanted = count if method == "close" else count - 1
        assert beside(stage, lambda: [far.recv(10) for _ in range(wanted + 1)]) == [b"x"] * wanted + [b""]
        stage.until(lambda: notes.is_lost)


@pytest.mark.parametrize("moment", ["connection_made", "message_received", "eof_received"])
def test_an_exception_of_the_protocol_ends_its_connection_and_no_other(poller_name: str, moment: str) -> None:
    """Reported, and told to connection_lost."""
    with stage_on(poller_name) as stage, pair_on(stage, **{moment: lambda me, *_: 1 // 0}) as (notes, far):
        far.send(b"x")
        far.shutdown(socket.SHUT_WR)
        stage.until(lambda: notes.is_lost)
        assert isinstance(notes.reason, ZeroDivisionError)
        assert [type(exc) for exc in stage.take_failures()] == [ZeroDivisionError]


def test_an_exception_after_the_end_is_reported_and_is_not_another_end(poller_name: str) -> None:
    """connection_lost once, with the reason that came first."""

    def abort(me: MessageNotes, data: bytes) -> None:
        me.transport.abort()
        raise ZeroDivisionError

    with stage_on(poller_name) as stage, pair_on(stage, message_received=abort) as (notes, far):
        far.send(b"x")
        stage.until(lambda: notes.is_lost)
        stage.settle()
        assert notes.reason is None
        assert [type(exc) for exc in stage.take_failures()] == [ZeroDivisionError]


def test_reading_is_resumed_neither_behind_the_end_nor_when_closing(poller_name: str) -> None:
    """An end is told once, and a transport that only sends what waits receives nothing more."""
    with stage_on(poller_name) as stage, pair_on(stage, eof_received=lambda me: True) as (notes, far):
        far.shutdown(socket.SHUT_WR)
        stage.until(lambda: "eof_received" in notes.names)
        notes.transport.pause_reading()
        notes.transport.resume_reading()
        stage.settle()
        assert notes.names.count("eof_received") == 1
    with stage_on(poller_name) as stage, pair_on(stage) as (notes, far):
        while not notes.transport.get_write_buffer_size():
            notes.transport.send_message(b"x")
        notes.transport.close()
        notes.transport.resume_reading()
        far.send(b"too late")
        stage.settle()
        assert notes.messages == []


def test_a_silent_peer_is_given_up_when_the_listener_says_so(poller_name: str, tmp_path: Path) -> None:
    """idle_timeout; a Deadline works as well, for what this side waits for."""
    path = str(tmp_path / "s")
    with stage_on(poller_name) as stage:
        served: list[MessageNotes] = []
        listener = stage.listen_unix(
            lambda: served.append(MessageNotes()) or served[-1], path, seqpacket=True, idle_timeout=0.02
        )  # fmt: skip
        with plain(path):
            stage.until(lambda: served and served[0].is_lost)
        assert isinstance(served[0].reason, IdleTimeout)
        assert stage.counters.idle_timeouts == 1
        listener.close()
        with pair_on(stage) as (notes, _):
            reactor.Deadline(stage, notes.transport.fail, "a greeting").start(0.01)
            stage.until(lambda: notes.is_lost)
            assert isinstance(notes.reason, OperationTimeout)


def test_every_protocol_hears_of_the_end_when_the_reactor_is_closed(poller_name: str) -> None:
    """Once, with no reason."""
    with stage_on(poller_name) as stage, pair_on(stage) as (notes, far):
        stage.close()
        assert notes.names == ["connection_made", "connection_lost"]
        assert far.recv(10) == b""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("method", ["close", "abort"])
def test_the_parent_talks_on_when_a_forked_child_ends_its_copy(poller_name: str, method: str) -> None:
    """The child gives its descriptor back, and neither shuts down nor reads what is the parent's."""
    with stage_on(poller_name) as stage, pair_on(stage) as (notes, far):
        child = os.fork()
        if child == 0:
            try:
                getattr(notes.transport, method)()
                stage.close()
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        far.send(b"still there?")
        stage.until(lambda: notes.messages)
        notes.transport.send_message(b"yes")
        assert far.recv(10) == b"yes"


@pytest.mark.parametrize("wrong", [0, -1])
def test_a_limit_that_is_no_size_is_refused(wrong: int) -> None:
    """And the socket stays its owner's."""

    class Wrong(MessageNotes):
        max_message_size = wrong

    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with near, far, stage_on() as stage, pytest.raises(OptionError, match="max_message_size"):
        stage.adopt_seqpacket(Wrong, near)


def test_the_base_class_does_nothing_and_is_bounded() -> None:
    """What a program need not override."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with far, stage_on() as stage:
        protocol = reactor.MessageProtocol()
        stream = stage.adopt_seqpacket(lambda: protocol, near)
        assert protocol.transport is stream
        assert protocol.max_message_size == 256 * 1024
        far.send(b"nobody minds")
        far.shutdown(socket.SHUT_WR)
        stage.until(stream.is_closing)
