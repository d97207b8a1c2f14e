"""Threads, signals and processes around the loop of asyncore: ours hears of each at once.

The original sleeps on until its timeout, which is no matter of a test that does not wait for time.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reactor.compat.channels import watch as channel_watch
from reactor.compat.channels.edges import HAS_EDGES
from tests.compat.channels.stage import PATIENCE, Twin


@pytest.fixture
def sleeping(ours: Twin) -> Iterator[tuple[Any, socket.socket]]:
    """A channel whose loop sleeps in another thread, for much longer than a test may take, and its peer."""
    sock, peer = ours.pair()
    channel = ours.recorder()(sock)
    thread = threading.Thread(target=ours.asyncore.loop, args=(PATIENCE * 100, ours.use_poll))
    thread.start()
    yield channel, peer
    for channel in list(ours.map.values()):
        channel.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_a_channel_of_another_thread_is_heard_at_once(ours: Twin, sleeping: Any) -> None:
    """The original notices it after its timeout."""
    sock, peer = ours.pair()

    class Echoing(ours.recorder()):
        def handle_read(self) -> None:
            super().handle_read()
            self.unsent = self.received

    Echoing(sock)
    peer.sendall(b"hello")
    assert peer.recv(100) == b"hello"


def test_a_channel_of_another_thread_is_not_asked_in_its_constructor(
    ours: Twin, sleeping: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first line puts it into the map and wakes the loop, which waits a moment, or for the next event."""
    monkeypatch.setattr(channel_watch, "NEWCOMER_GRACE", PATIENCE * 10)
    while not channel_watch._waiting:
        pass
    [watch] = channel_watch._waiting
    while not watch._loop.is_running():
        pass
    turn = watch._loop.registry.turn
    sock, peer = ours.pair()

    class Slow(ours.recorder()):
        states: list[bool] = []  # noqa: RUF012

        def __init__(self, sock: socket.socket) -> None:
            self.is_complete = False
            super().__init__(sock)
            # Woken, the loop has begun to wait anew by the time that this is over.
            while watch._loop.registry.turn == turn:
                pass
            self.is_complete = True

        def readable(self) -> bool:
            self.states.append(self.is_complete)
            return True

        def handle_read(self) -> None:
            super().handle_read()
            self.unsent = self.received

    Slow(sock)
    assert Slow.states == []
    _, first_peer = sleeping
    first_peer.sendall(b"x")
    peer.sendall(b"hello")
    assert peer.recv(100) == b"hello"
    assert set(Slow.states) == {True}


@pytest.mark.parametrize("kind", ["dispatcher_with_send", "async_chat"])
def test_what_another_thread_pushes_leaves_at_once(ours: Twin, kind: str) -> None:
    """More than the socket takes: the rest is the loop's to send, which sleeps.  So is the end."""
    sock, peer = ours.pair()
    base = getattr(ours.asyncore if kind == "dispatcher_with_send" else ours.asynchat, kind)

    class Quiet(base):
        def handle_read(self) -> None:
            self.recv(100)

    channel = Quiet(sock)
    thread = threading.Thread(target=ours.asyncore.loop, args=(PATIENCE * 100, ours.use_poll))
    thread.start()
    while not channel_watch._waiting:
        pass
    getattr(channel, "push", channel.send)(b"x" * (1 << 23))
    left = 1 << 23
    while left:
        left -= len(peer.recv(1 << 20))
    if kind == "async_chat":
        channel.close_when_done()
        assert peer.recv(100) == b""
    else:
        peer.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_closing_everything_ends_the_loop_of_another_thread(ours: Twin) -> None:
    """Also if what is in the map was not derived from ``dispatcher``."""
    sock, _ = ours.pair()

    class Foreign:
        accepting = False

        def readable(self) -> bool:
            return True

        def writable(self) -> bool:
            return False

        def close(self) -> None:
            pass

    ours.map[sock.fileno()] = Foreign()
    thread = threading.Thread(target=ours.asyncore.loop, args=(PATIENCE * 100, ours.use_poll))
    thread.start()
    while not channel_watch._waiting:
        pass
    ours.asyncore.close_all(ours.map)
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_a_child_forgets_the_loops_of_its_parents_threads(ours: Twin, sleeping: Any) -> None:
    """They are not in it; whoever woke them would only fill their queues."""
    while not channel_watch._waiting:
        pass
    child = os.fork()
    if child == 0:
        os._exit(len(channel_watch._waiting))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert channel_watch._waiting


def test_a_signal_handler_that_closes_everything_ends_the_loop(ours: Twin) -> None:
    """At once, although the loop sleeps; in the original it sleeps on, on closed descriptors."""
    ours.recorder()(ours.pair()[0])
    previous = signal.signal(signal.SIGUSR1, lambda *_: ours.asyncore.close_all(ours.map))

    class Raising(ours.recorder()):
        asked = 0

        def readable(self) -> bool:
            self.asked += 1
            if self.asked == 2:
                os.kill(os.getpid(), signal.SIGUSR1)
            return True

    Raising(ours.pair()[0])
    try:
        ours.poll()
        ours.asyncore.loop(PATIENCE * 100, ours.use_poll)
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert ours.map == {}


def test_a_signal_that_interrupts_the_wait_itself_is_heard(ours: Twin) -> None:
    """The handler runs inside of the system call, and closes everything."""
    ours.recorder()(ours.pair()[0])
    previous = signal.signal(signal.SIGUSR1, lambda *_: ours.asyncore.close_all(ours.map))
    main = threading.main_thread().ident
    state = Path(f"/proc/self/task/{threading.get_native_id()}/stat")

    def interrupt() -> None:
        # A thread that sleeps in a system call is in the state S.
        while state.exists() and state.read_text().rpartition(")")[2].split()[0] != "S":
            pass
        signal.pthread_kill(main, signal.SIGUSR1)

    thread = threading.Thread(target=interrupt)
    try:
        thread.start()
        ours.asyncore.loop(PATIENCE * 100, ours.use_poll)
    finally:
        thread.join(PATIENCE)
        signal.signal(signal.SIGUSR1, previous)
    assert ours.map == {}


def test_a_server_that_becomes_a_daemon_serves(ours: Twin) -> None:
    """It polls, forks, and the child goes on, and closes what it does not need.  The parent's are not harmed."""

    class Echoing(ours.recorder()):
        def handle_read(self) -> None:
            super().handle_read()
            self.unsent = self.received

        def handle_expt(self) -> None:
            self.heard.append("urgent")

    pairs = [ours.pair(), ours.pair()]
    channel, other = (Echoing(sock) for sock, _ in pairs)
    peer, other_peer = (peer for _, peer in pairs)
    ours.turns(3)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            other.close()
            ours.until(lambda: channel.received and not channel.unsent)
            status = 0
        finally:
            os._exit(status)
    peer.sendall(b"child")
    assert peer.recv(100) == b"child"
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    peer.sendall(b"parent")
    ours.until(lambda: channel.received and not channel.unsent)
    assert peer.recv(100) == b"parent"
    other_peer.sendall(b"hello")
    ours.until(lambda: other.received == b"hello")
    if HAS_EDGES:
        other_peer.send(b"!", socket.MSG_OOB)
        ours.until(lambda: "urgent" in other.heard)
