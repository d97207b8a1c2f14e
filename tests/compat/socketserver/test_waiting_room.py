"""The reactor in which connections wait: who is let in, who leaves and why, what is collected meanwhile."""

from __future__ import annotations

import logging
import queue
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from reactor.compat.pooled.waiting_room import Guest, Left, WaitingRoom, Wanted, has_pending, is_would_block
from tests.compat.socketserver.serving import PATIENCE, until, wait_for


class Room:
    """A room, with those who have left it in a queue."""

    def __init__(self) -> None:
        self.left: queue.SimpleQueue[tuple[Guest, Left]] = queue.SimpleQueue()
        self.room = WaitingRoom(lambda guest, why: self.left.put((guest, why)), name="room")

    def next(self) -> tuple[Guest, Left]:
        """Return who left next, and why."""
        return self.left.get(timeout=PATIENCE)


@pytest.fixture
def room(ours: Any) -> Iterator[Room]:
    """A room on each poller."""
    made = Room()
    yield made
    made.room.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected sockets: the guest's and his peer's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


Pair = tuple[socket.socket, socket.socket]


def whole_line(limit: int = 100, timeout: float | None = None) -> Wanted:
    """Return a wish for a line."""
    return Wanted(lambda data, start: b"\n" in data[start:], limit, timeout)


def test_a_guest_leaves_when_there_is_something_to_read(room: Room, pair: Pair) -> None:
    """Nothing is taken from the socket: it is only a sign that was waited for."""
    guest = Guest(pair[0])
    assert room.room.enter(guest)
    until(lambda: room.room.guests == 1)
    pair[1].send(b"hello")
    assert room.next() == (guest, Left.READY)
    assert room.room.guests == 0
    assert pair[0].recv(10) == b"hello"


def test_a_guest_leaves_when_its_peer_has_gone(room: Room, pair: Pair) -> None:
    """The end is something to read."""
    guest = Guest(pair[0])
    room.room.enter(guest)
    pair[1].close()
    assert room.next() == (guest, Left.READY)


def test_a_guest_leaves_when_its_patience_is_at_its_end(room: Room, pair: Pair) -> None:
    """Once, and then it is watched no more."""
    guest = Guest(pair[0], patience=0.01)
    room.room.enter(guest)
    assert room.next() == (guest, Left.EXPIRED)
    pair[1].send(b"too late")
    room.room.close()
    assert room.left.empty()


def test_every_guest_leaves_when_the_room_is_closed(room: Room, pair: Pair) -> None:
    """Who has said something by then is heard, the others are told; nobody enters any more."""
    silent, speaking = Guest(pair[0]), Guest(pair[1])
    pair[0].send(b"to the other one")
    room.room.enter(silent)
    room.room.enter(speaking)
    room.room.close()
    assert {room.next(), room.next()} == {(silent, Left.CLOSED), (speaking, Left.READY)}
    assert not room.room.enter(silent)
    room.room.tell("kind", "is not told any more")
    room.room.close()


def test_the_poller_is_asked_once_more_before_the_room_is_closed(room: Room, pair: Pair) -> None:
    """Also for a guest who enters so late that he and the end are heard of at the same time."""
    blocked, go = threading.Event(), threading.Event()
    room.room._call(lambda: (blocked.set(), go.wait(PATIENCE)))
    wait_for(blocked)
    guest = Guest(pair[0])
    pair[1].send(b"just in time")
    assert room.room.enter(guest)
    closing = threading.Thread(target=room.room.close)
    closing.start()
    until(lambda: room.room._is_closing)
    go.set()
    closing.join(PATIENCE)
    assert room.next() == (guest, Left.READY)


def test_a_guest_that_cannot_be_watched_leaves_at_once(
    room: Room, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    """A closed socket, for one."""
    pair[0].close()
    guest = Guest(pair[0])
    room.room.enter(guest)
    assert room.next() == (guest, Left.REFUSED)
    assert "cannot be watched: OptionError" in caplog.text


def test_a_guest_that_holds_bytes_itself_leaves_at_once(room: Room, pair: Pair) -> None:
    """No poller sees what a TLS socket has decrypted already."""

    class Pending:
        fileno = pair[0].fileno

        def pending(self) -> int:
            return 3

    guest = Guest(Pending())
    room.room.enter(guest)
    assert room.next() == (guest, Left.READY)


def test_what_a_guest_holds_itself_is_collected_at_once(room: Room, pair: Pair) -> None:
    """All of it, although the poller says nothing."""
    held = [b"de", b"crypted\n"]

    class Holding:
        fileno = pair[0].fileno
        gettimeout = pair[0].gettimeout
        settimeout = pair[0].settimeout

        def pending(self) -> int:
            return len(held)

        def recv(self, size: int) -> bytes:
            return held.pop(0)

    guest = Guest(Holding(), wanted=whole_line())
    room.room.enter(guest)
    assert room.next() == (guest, Left.READY)
    assert guest.collected == b"decrypted\n"


def test_a_request_is_collected_until_it_is_complete(room: Room, pair: Pair) -> None:
    """However many pieces it comes in; the socket blocks again afterwards, as it did before."""
    pair[0].settimeout(7.0)
    guest = Guest(pair[0], wanted=whole_line())
    room.room.enter(guest)
    for piece in (b"he", b"l", b"lo"):
        pair[1].send(piece)
        until(lambda piece=piece: guest.collected.endswith(piece))
    assert room.left.empty()
    pair[1].send(b"\nmore")
    assert room.next() == (guest, Left.READY)
    assert guest.collected == b"hello\nmore"
    assert pair[0].gettimeout() == 7.0


def test_an_incomplete_request_leaves_when_it_is_too_long(room: Room, pair: Pair) -> None:
    """No more is taken than the limit; the rest stays in the kernel, and its sender waits."""
    guest = Guest(pair[0], wanted=whole_line(limit=10))
    room.room.enter(guest)
    pair[1].send(b"x" * 50)
    assert room.next() == (guest, Left.READY)
    assert guest.collected == b"x" * 10
    assert pair[0].recv(100) == b"x" * 40


def test_an_incomplete_request_leaves_when_its_sender_has_gone(room: Room, pair: Pair) -> None:
    """The handler may make something of it."""
    guest = Guest(pair[0], wanted=whole_line())
    room.room.enter(guest)
    pair[1].send(b"half a li")
    pair[1].close()
    assert room.next() == (guest, Left.READY)
    assert guest.collected == b"half a li"


def test_the_time_for_a_request_runs_from_its_first_byte(room: Room, pair: Pair) -> None:
    """Further ones do not prolong it."""
    guest = Guest(pair[0], wanted=whole_line(timeout=3600.0))
    room.room.enter(guest)
    until(lambda: room.room.guests == 1)
    timers = [guest.timer]
    for piece in (b"a", b"b", b"c"):
        pair[1].send(piece)
        until(lambda piece=piece: guest.collected.endswith(piece) and guest.timer is not None)
        timers.append(guest.timer)
    assert timers[0] is None
    assert timers[1] is timers[2] is timers[3]


def test_a_request_that_takes_too_long_expires(room: Room, pair: Pair) -> None:
    """However patient one is with those who say nothing."""
    guest = Guest(pair[0], patience=3600.0, wanted=whole_line(timeout=0.01))
    room.room.enter(guest)
    pair[1].send(b"a")
    assert room.next() == (guest, Left.EXPIRED)
    assert guest.collected == b"a"


def test_what_was_collected_before_counts(room: Room, pair: Pair) -> None:
    """A guest who brings a whole request leaves at once; one who brings a part has the shorter time."""
    guest = Guest(pair[0], wanted=whole_line())
    guest.collected += b"whole\n"
    room.room.enter(guest)
    assert room.next() == (guest, Left.READY)
    guest = Guest(pair[0], patience=3600.0, wanted=whole_line(timeout=0.01))
    guest.collected += b"pa"
    room.room.enter(guest)
    assert room.next() == (guest, Left.EXPIRED)


def test_a_guest_leaves_when_nobody_can_tell_whether_it_is_complete(
    room: Room, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug in the function that looks for the end is reported, and the handler gets what there is."""

    def fail(data: bytearray, start: int) -> bool:
        raise LookupError("a bug")

    guest = Guest(pair[0], wanted=Wanted(fail, 100, None))
    room.room.enter(guest)
    pair[1].send(b"hello")
    assert room.next() == (guest, Left.READY)
    assert guest.collected == b"hello"
    assert "LookupError: a bug" in caplog.text


def test_a_call_comes_later_unless_it_is_cancelled(room: Room) -> None:
    """From any thread; cancelling twice or too late does nothing."""
    called: queue.SimpleQueue[str] = queue.SimpleQueue()
    cancel = room.room.call_later(0.02, called.put, "cancelled")
    keep = room.room.call_later(0.04, called.put, "called")
    cancel()
    assert called.get(timeout=PATIENCE) == "called"
    keep()
    cancel()
    assert called.empty()


def test_lines_about_peers_are_rationed(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    """As the reactor's own are."""
    with caplog.at_level(logging.WARNING, logger="reactor"):
        for number in range(20):
            room.room.tell("kind", f"line {number}")
        room.room.close()
    assert [record.getMessage() for record in caplog.records] == [f"line {number}" for number in range(5)]


def test_only_a_lack_of_bytes_is_would_block() -> None:
    """Plain sockets and TLS have different words for it."""
    assert is_would_block(BlockingIOError())
    assert is_would_block(ssl.SSLWantReadError())
    assert not is_would_block(ConnectionResetError())
    assert not is_would_block(ssl.SSLError(1, "broken"))


def test_a_socket_that_cannot_tell_has_nothing_pending(pair: Pair) -> None:
    """Plain ones have no such method, and a broken one no bytes."""

    class Broken:
        def pending(self) -> int:
            raise ValueError("no TLS any more")

    assert not has_pending(pair[0])
    assert not has_pending(Broken())
