"""Loops that spin in the original asyncore, shown on it where Python still has it, and how ours differs.

What the original does is asserted too: where it stops doing it, the difference is gone, and so is the reason for
the lines that make it.
"""

from __future__ import annotations

import socket
import sys

import pytest

from tests.compat.channels.stage import TURNS, Twin, open_ended, reset

ON_LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="urgent data is told with epoll only")



def test_the_end_is_told_once_when_a_channel_stays_open(twin: Twin) -> None:
    """A peer that only half-closes may still be sent to.  The original tells its end in every turn."""
    sock, peer = twin.pair()
    channel = open_ended(twin)(sock)
    peer.shutdown(socket.SHUT_WR)
    twin.until(lambda: "close" in channel.heard)
    twin.turns(TURNS)
    times = channel.heard.count("close")
    assert times > TURNS if twin.is_original else times == 1
    channel.unsent = b"still there"
    twin.until(lambda: not channel.unsent)
    assert peer.recv(100) == b"still there"


def test_a_reset_is_told_once_when_a_channel_stays_open(twin: Twin) -> None:
    """It tells of nothing more than that, and says why.  The original goes on, and does not."""
    sock, peer = twin.pair()
    channel = open_ended(twin)(sock)
    reset(peer)
    twin.until(lambda: "close" in channel.heard)
    twin.turns(TURNS)
    times = channel.heard.count("close")
    assert times > TURNS if twin.is_original else times == 1
    if not twin.is_original:
        assert isinstance(channel.close_cause, ConnectionResetError)


def test_a_broken_pipe_is_told_once_when_a_channel_goes_on_writing(twin: Twin) -> None:
    """``writable()`` is true forever; the original calls it, and handle_close, in every turn."""
    sock, peer = twin.pair()

    class Stubborn(open_ended(twin)):
        def readable(self) -> bool:
            return False

        def writable(self) -> bool:
            return True

        def handle_write(self) -> None:
            self.send(b"x")

    channel = Stubborn(sock)
    reset(peer)
    twin.until(lambda: "close" in channel.heard)
    twin.turns(TURNS)
    times = channel.heard.count("close")
    assert times >= TURNS if twin.is_original else times == 1


def test_an_event_that_nobody_handles_is_told_once(twin: Twin, capsys: pytest.CaptureFixture[str]) -> None:
    """The defaults want to write, and then do not.  In the original that is a busy loop in most programs."""

    class Plain(twin.asyncore.dispatcher):
        ignore_log_types = frozenset()

    sock, peer = twin.pair()
    Plain(sock)
    peer.sendall(b"x")
    twin.turns(TURNS)
    said = capsys.readouterr().out.splitlines()
    times = [said.count(f"warning: unhandled {event} event") for event in ("read", "write")]
    assert min(times) > TURNS / 2 if twin.is_original else times == [1, 1]


@ON_LINUX
def test_a_broken_connection_is_noticed_by_a_channel_that_only_writes(ours: Twin) -> None:
    """It was told that there is something to read, does not, and has nothing to write: it is told the hang-up."""

    class Writing(ours.asyncore.dispatcher):
        heard = ""

        def writable(self) -> bool:
            return False

        def handle_close(self) -> None:
            self.heard += "close"

    sock, peer = ours.pair()
    channel = Writing(sock)
    peer.sendall(b"x")
    ours.turns(3)
    assert channel.heard == ""
    reset(peer)
    ours.until(lambda: channel.heard)
    ours.turns(TURNS)
    assert channel.heard == "close"


@ON_LINUX
def test_a_hang_up_is_told_once_when_the_socket_hangs_up_twice(ours: Twin) -> None:
    """A Unix socket says so for either end: first the peer's, then its own."""
    closed = []

    class Writing(ours.asyncore.dispatcher):
        def writable(self) -> bool:
            return False

        def handle_close(self) -> None:
            closed.append(True)

    left, right = socket.socketpair()
    channel = Writing(ours.kept(left))
    right.sendall(b"x")
    ours.turns(3)
    right.close()
    ours.until(lambda: closed)
    channel.socket.shutdown(socket.SHUT_RDWR)
    ours.turns(TURNS)
    assert closed == [True]


@ON_LINUX
def test_urgent_data_is_told_once_when_nobody_reads_it(twin: Twin) -> None:
    """It stays urgent.  The original tells of the same byte in every turn."""
    sock, peer = twin.pair()

    class Urgent(twin.recorder()):
        def handle_expt(self) -> None:
            self.heard.append("urgent")

    channel = Urgent(sock)
    peer.send(b"!", socket.MSG_OOB)
    twin.until(lambda: "urgent" in channel.heard)
    twin.turns(TURNS)
    times = channel.heard.count("urgent")
    assert times > TURNS / 2 if twin.is_original else times == 1
    if not twin.is_original:
        peer.send(b"?", socket.MSG_OOB)
        twin.until(lambda: channel.heard.count("urgent") == 2)
