"""Accepting: batches, failures of every family, and callbacks that pause, close or raise.  No kernel takes part."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import Any

import pytest

from reactor.limits import ACCEPT_BACKOFF
from reactor.net.connections.acceptor import GONE, Acceptor
from reactor.net.reactor import Reactor
from reactor.testing import ORDINARY, ScriptedSocket
from tests.core.doubles import Virtual, interrupt, turns, virtual_loop


@pytest.fixture
def virtual() -> Iterator[Virtual]:
    """A reactor in virtual time."""
    with virtual_loop(Reactor) as made:
        yield made


def error(number: int) -> OSError:
    """What the kernel raises."""
    return OSError(number, os.strerror(number))


def waiting(count: int) -> list[tuple[ScriptedSocket, str]]:
    """Connections in a listener's queue."""
    return [(ScriptedSocket(), f"peer {number}") for number in range(count)]


class Listening:
    """A listener in virtual time, always readable, and what came of it."""

    def __init__(self, virtual: Virtual, *steps: Any, batch: int = 64) -> None:
        self.socket = ScriptedSocket().script("accept", *steps)
        self.accepted: list[tuple[Any, Any]] = []
        self.acceptor: Acceptor = virtual.loop.add_acceptor(self.socket, self.took, batch=batch)  # type: ignore[arg-type]
        virtual.poller.hold(self.socket)

    def took(self, sock: Any, address: Any) -> None:
        """The callback."""
        self.accepted.append((sock, address))

    def asked(self) -> int:
        """How often accept(2) was called."""
        return self.socket.calls.count(("accept",))


def test_a_bounded_batch_is_taken_in_one_turn(virtual: Virtual) -> None:
    """The queue is long, and others want their turn too."""
    listening = Listening(virtual, *waiting(10), batch=4)
    turns(virtual.loop)
    assert [address for _, address in listening.accepted] == ["peer 0", "peer 1", "peer 2", "peer 3"]
    turns(virtual.loop, 2)
    assert len(listening.accepted) == 10
    assert virtual.loop.counters.accepted == 10
    assert all(sock.gettimeout() == 0.0 for sock, _ in listening.accepted)


@pytest.mark.parametrize("callback", [None, 5, "name"])
def test_what_cannot_be_called_is_refused(virtual: Virtual, callback: Any) -> None:
    """By the verb that is given it, and nothing is watched."""
    with pytest.raises(TypeError, match=rf"add_acceptor\(\) takes a .*{type(callback).__name__}"):
        virtual.loop.add_acceptor(ScriptedSocket(), callback)
    assert [call for call in virtual.poller.calls if call[0] == "watch"] == virtual.poller.calls[:1]


@pytest.mark.parametrize("nothing", [BlockingIOError, InterruptedError])
def test_the_turn_goes_on_when_nothing_is_there(virtual: Virtual, nothing: type[OSError]) -> None:
    """Another process took it, or it was withdrawn: no error at all."""
    listening = Listening(virtual, nothing)
    turns(virtual.loop)
    assert listening.asked() == 1
    assert virtual.loop.counters.accept_errors == 0


@pytest.mark.parametrize("number", sorted(GONE))
def test_accepting_goes_on_when_a_connection_died_in_the_queue(virtual: Virtual, number: int) -> None:
    """accept(2) of Linux passes network errors of the new connection on; the one behind it may be fine."""
    listening = Listening(virtual, error(number), *waiting(1))
    turns(virtual.loop)
    assert len(listening.accepted) == 1
    assert virtual.loop.counters.accept_errors == 1


def test_a_queue_full_of_dead_connections_does_not_hold_the_turn(virtual: Virtual) -> None:
    """Failures count for the batch as well."""
    listening = Listening(virtual, *[error(errno.ECONNABORTED)] * 100, batch=10)
    turns(virtual.loop)
    assert listening.asked() == 10


def test_the_acceptor_ends_when_the_listener_itself_is_broken(virtual: Virtual) -> None:
    """EINVAL: it does not listen.  To be readable forever would be a spin, so it is told once and given up."""
    listening = Listening(virtual, error(errno.EINVAL))
    turns(virtual.loop, 3)
    assert listening.asked() == 1
    assert virtual.failures.types() == [OSError]
    assert not listening.acceptor.is_accepting()
    virtual.failures.clear()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_clients_are_shed_and_the_acceptor_rests_when_descriptors_are_used_up(
    virtual: Virtual, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The reserve lets the waiting clients be closed, so that they see an end; then nothing happens for a second.

    The listener stays readable all the time: the proof is in the number of calls.
    """
    crowd = waiting(3)
    listening = Listening(virtual, error(number), *crowd)
    turns(virtual.loop, 50)
    assert [sock.fileno() for sock, _ in crowd] == [-1, -1, -1]
    assert listening.asked() == 5  # the failure, the three, and "nothing there"
    assert listening.accepted == []
    assert virtual.loop.counters.shed == 3
    assert not listening.acceptor.is_accepting()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "ulimit" in caplog.text
    caplog.clear()
    listening.socket.script("accept", *waiting(1))
    virtual.clock.advance(ACCEPT_BACKOFF)
    turns(virtual.loop, 2)
    assert len(listening.accepted) == 1
    assert listening.acceptor.is_accepting()


def test_the_acceptor_rests_without_shedding_when_even_the_reserve_is_gone(
    virtual: Virtual, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody took the reserve's place; it is taken back when there is room again."""
    virtual.ops.script("open_reserve", *[error(errno.EMFILE)] * 3)  # at first, after the shortage, after the rest
    listening = Listening(virtual, error(errno.EMFILE))
    turns(virtual.loop, 5)
    assert listening.asked() == 1
    virtual.clock.advance(ACCEPT_BACKOFF)
    turns(virtual.loop)
    assert not virtual.ops.open_fds - {virtual.loop.engine.wakeup.fd}
    listening.socket.script("accept", error(errno.EMFILE), *waiting(1))
    virtual.clock.advance(ACCEPT_BACKOFF)
    turns(virtual.loop, 3)
    assert virtual.loop.counters.shed == 0
    virtual.clock.advance(ACCEPT_BACKOFF)
    turns(virtual.loop, 2)
    listening.socket.script("accept", error(errno.EMFILE), *waiting(1))
    turns(virtual.loop, 2)
    assert virtual.loop.counters.shed == 1


def test_one_line_in_ten_seconds_tells_of_a_lasting_shortage(
    virtual: Virtual, caplog: pytest.LogCaptureFixture
) -> None:
    """An hour without descriptors: lines are rationed, and the number of those left out is told."""
    listening = Listening(virtual, *[error(errno.EMFILE), BlockingIOError] * 3600)
    for _ in range(3600):
        virtual.clock.advance(ACCEPT_BACKOFF)
        turns(virtual.loop, 2)
    assert virtual.loop.counters.accept_errors == 3600
    assert len(caplog.records) <= 3600 / 10 * 5
    assert "more of this kind were not told" in caplog.text
    assert listening.accepted == []


@pytest.mark.parametrize("ending", ["close", "pause", "close the loop"])
def test_a_resting_acceptor_does_not_wake_when_it_was_ended_meanwhile(virtual: Virtual, ending: str) -> None:
    """The timer of the rest must not bring a listener back that its owner has closed."""
    listening = Listening(virtual, error(errno.EMFILE))
    turns(virtual.loop)
    if ending == "close the loop":
        virtual.loop.close()
        return
    getattr(listening.acceptor, ending)()
    if ending == "close":
        listening.socket.close()
    virtual.clock.advance(ACCEPT_BACKOFF)
    turns(virtual.loop, 2)
    assert not listening.acceptor.is_accepting()
    asked = listening.asked()
    listening.acceptor.resume()
    turns(virtual.loop)
    assert (listening.asked() > asked) is (ending == "pause")


def test_resuming_does_not_cut_the_rest_short(virtual: Virtual) -> None:
    """Pause and resume during the rest: it still lasts its second."""
    listening = Listening(virtual, error(errno.EMFILE))
    turns(virtual.loop)
    listening.acceptor.pause()
    listening.acceptor.resume()
    asked = listening.asked()
    turns(virtual.loop)
    assert listening.asked() == asked
    virtual.clock.advance(ACCEPT_BACKOFF)
    turns(virtual.loop, 2)
    assert listening.asked() > asked


@pytest.mark.parametrize("ending", ["close", "pause"])
def test_the_batch_ends_when_the_callback_ends_it(virtual: Virtual, ending: str) -> None:
    """What is still in the queue stays there."""
    listening = Listening(virtual, *waiting(3))
    end = getattr(listening.acceptor, ending)
    listening.acceptor._callback = lambda sock, address: (listening.took(sock, address), end())
    turns(virtual.loop, 3)
    assert len(listening.accepted) == 1
    assert listening.asked() == 1
    listening.acceptor.resume()
    turns(virtual.loop)
    assert len(listening.accepted) == (1 if ending == "close" else 2)


def test_the_new_socket_is_closed_and_the_batch_goes_on_when_the_callback_raises(virtual: Virtual) -> None:
    """A bug costs its own connection.  What it had registered is unregistered before the socket is closed."""
    crowd = waiting(3)
    listening = Listening(virtual, *crowd)

    def careless(sock: Any, address: Any) -> None:
        if address == "peer 1":
            virtual.loop.add_reader(sock, print)
            virtual.loop.add_writer(sock, print)
            raise RuntimeError("a bug")
        listening.took(sock, address)

    fd = crowd[1][0].fileno()
    listening.acceptor._callback = careless
    turns(virtual.loop)
    assert [address for _, address in listening.accepted] == ["peer 0", "peer 2"]
    assert crowd[1][0].fileno() == -1
    assert virtual.poller.calls[-1] == ("forget", fd, 0)
    assert virtual.failures == [(virtual.failures[0][0], careless)]
    assert virtual.failures.types() == [RuntimeError]
    virtual.failures.clear()


def test_the_new_socket_is_closed_when_ctrl_c_strikes_in_the_callback(virtual: Virtual) -> None:
    """It passes, but nothing leaks, and the rest of the queue is served by the next run."""
    crowd = waiting(2)
    listening = Listening(virtual, *crowd)
    listening.acceptor._callback = interrupt
    with pytest.raises(KeyboardInterrupt):
        turns(virtual.loop)
    assert crowd[0][0].fileno() == -1
    listening.acceptor._callback = listening.took
    turns(virtual.loop)
    assert len(listening.accepted) == 1


def test_the_socket_is_closed_when_it_cannot_be_made_non_blocking(virtual: Virtual) -> None:
    """A socket that the loop cannot use is not handed on."""
    broken = ScriptedSocket().script("setblocking", error(errno.EBADF))
    listening = Listening(virtual, (broken, "peer"))
    turns(virtual.loop)
    assert broken.fileno() == -1
    assert listening.accepted == []
    assert len(virtual.failures) == 1
    virtual.failures.clear()


def test_nothing_is_watched_when_the_acceptor_is_closed(virtual: Virtual) -> None:
    """Closing twice, and pausing or resuming after that, does nothing.  The listener stays its owner's, open."""
    listening = Listening(virtual, ORDINARY)
    for method in ("close", "close", "pause", "resume"):
        getattr(listening.acceptor, method)()
    assert not listening.acceptor.is_accepting()
    assert listening.socket.fileno() in virtual.poller._held
    assert listening.socket.fileno() not in virtual.poller.get_map()
    virtual.poller.release(listening.socket)
