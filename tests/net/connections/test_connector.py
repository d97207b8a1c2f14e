"""Connecting in virtual time: attempts that overlap, one winner, one word to the protocol, nothing left behind."""

from __future__ import annotations

import errno
import logging
import socket
from selectors import EVENT_WRITE
from typing import Any

import pytest

from reactor.errors import AddressError, ConnectCancelled, ConnectFailed, ConnectTimeout, OptionError
from reactor.net.connections.connector import interleaved
from reactor.testing import ScriptedSocket
from tests.net.caller import is_closed, pending, refused, virtual
from tests.net.recorder import Recorder


def test_the_families_take_turns_beginning_with_the_first() -> None:
    """RFC 8305, section 4; the order within a family is that of the system."""
    targets: Any = [(family, 1, 6, number) for number, family in enumerate((6, 6, 6, 4, 4, 9))]
    assert [target[3] for target in interleaved(targets)] == [0, 3, 5, 1, 4, 2]
    assert interleaved([]) == []


def test_attempts_are_staggered_when_addresses_are_silent() -> None:
    """Each has a quarter of a second before the next joins in; the first to connect wins, the others are closed."""
    with virtual() as world:
        sockets = [pending(), pending(), pending()]
        connector = world.connect(*sockets, attempt_delay=0.25)
        world.stage.settle()
        started = [len(sock.calls) > 0 for sock in sockets]
        assert started == [True, False, False]
        world.pass_time(0.25)
        assert [len(sock.calls) > 0 for sock in sockets] == [True, True, False]
        world.poller.hold(sockets[1], EVENT_WRITE)
        world.stage.run_once()
        assert connector.state == "connected"
        assert world.made == [(sockets[1], ("192.0.2.1", 80))]
        assert world.caller.words == [sockets[1]]
        assert is_closed(sockets[0])
        assert not is_closed(sockets[1])
        assert not sockets[2].calls
        world.poller.release(sockets[1])
        world.pass_time(60)
        assert world.caller.words == [sockets[1]]


def test_the_next_attempt_starts_at_once_when_one_fails() -> None:
    """Nobody waits a quarter of a second for the successor of a refusal."""
    with virtual() as world:
        connector = world.connect(refused(), pending(), good := ScriptedSocket())
        world.stage.settle()
        assert world.clock.now == 1000.0
        assert connector.state == "connecting"
        assert [address[0] for address, _ in connector.attempts] == ["192.0.2.0"]
        world.pass_time(0.25)
        assert world.made == [(good, ("192.0.2.2", 80))]


def test_a_late_failure_is_told_by_the_socket_itself() -> None:
    """Writable means decided: SO_ERROR says how."""
    with virtual() as world:
        first = pending().script("getsockopt", errno.ETIMEDOUT)
        world.connect(first, second := ScriptedSocket(), attempt_delay=9)
        world.stage.settle()
        world.poller.script([(first, EVENT_WRITE)])
        world.stage.settle()
        assert is_closed(first)
        assert world.made == [(second, ("192.0.2.1", 80))]


def test_a_socket_without_a_peer_is_not_connected() -> None:
    """Reset between SO_ERROR and now: getpeername says so, and the next address is tried."""
    with virtual() as world:
        first = pending().script("getpeername", OSError(errno.ENOTCONN, "not connected"))
        world.connect(first, second := ScriptedSocket(), attempt_delay=9)
        world.stage.settle()
        world.poller.script([(first, EVENT_WRITE)])
        world.stage.settle()
        assert is_closed(first)
        assert world.made == [(second, ("192.0.2.1", 80))]


@pytest.mark.parametrize("number", [0, errno.EISCONN])
def test_a_connection_that_is_there_at_once_is_told_from_the_loop(number: int) -> None:
    """Not from inside the call that asked for it."""
    with virtual() as world:
        connector = world.connect(sock := ScriptedSocket().script("connect", number))
        assert connector.state == "resolving"
        assert not world.caller.words
        world.stage.settle()
        assert world.caller.words == [sock]
        assert world.stage.counters.connected == 1


@pytest.mark.parametrize("number", [errno.EINPROGRESS, errno.EALREADY, errno.EINTR])
def test_a_connection_is_waited_for_when_connect_was_interrupted(number: int) -> None:
    """After EINTR the connection goes on in the background, see connect(2) in POSIX."""
    with virtual() as world:
        world.connect(sock := ScriptedSocket().script("connect", number))
        world.stage.settle()
        world.poller.script([(sock, EVENT_WRITE)])
        world.stage.settle()
        assert world.caller.words == [sock]


def test_every_address_is_tried_and_told_when_all_fail() -> None:
    """In order, those that could not even be begun included; one call of connection_failed."""
    with virtual() as world:
        late = pending().script("getsockopt", errno.EHOSTUNREACH)
        world.ops.script("socket", refused(), OSError(errno.EMFILE, "too many"), late)
        targets = [(socket.AF_INET, socket.SOCK_STREAM, 6, (f"192.0.2.{last}", 80)) for last in range(3)]
        connector = world.connect_to(targets)
        world.stage.settle()
        world.poller.script([(late, EVENT_WRITE)])
        world.stage.settle()
        [failure] = world.caller.words
        assert isinstance(failure, ConnectFailed)
        numbers = [exc.errno for _, exc in failure.attempts]  # type: ignore[attr-defined]
        assert numbers == [errno.ECONNREFUSED, errno.EMFILE, errno.EHOSTUNREACH]
        assert [address for address, _ in failure.attempts] == [target[3] for target in targets]
        assert failure.__cause__ is failure.attempts[-1][1]
        assert "192.0.2.1:80: too many (EMFILE)" in str(failure)
        assert connector.state == "failed"


def test_all_attempts_end_when_the_time_is_over() -> None:
    """ConnectTimeout is a TimeoutError, names each address, and closes every socket."""
    with virtual() as world:
        sockets = [refused(), pending(), pending()]
        connector = world.connect(*sockets, timeout=2.0, attempt_delay=0.5)
        world.pass_time(2.0)
        [failure] = world.caller.words
        assert isinstance(failure, ConnectTimeout)
        assert isinstance(failure, TimeoutError)
        assert [type(exc) for _, exc in failure.attempts] == [ConnectionRefusedError, TimeoutError, TimeoutError]
        assert all(map(is_closed, sockets))
        assert connector.state == "failed"
        assert world.stage.counters.connect_failures == 1


def test_the_time_covers_looking_up_as_well() -> None:
    """A resolver that is silent is cut short by the same clock."""
    with virtual() as world:
        world.ops.script("start_thread", ThreadThatNeverAnswers())
        world.connect_to(("name", 80), timeout=2.0)
        world.pass_time(2.0)
        [failure] = world.caller.words
        assert isinstance(failure, ConnectTimeout)
        assert "looking up" in str(failure)


class ThreadThatNeverAnswers:
    """What ``start_thread`` returns when nothing is to come of it."""

    def is_alive(self) -> bool:
        return True


@pytest.mark.parametrize("moment", ["at once", "resolving", "connecting"])
def test_a_cancelled_connector_says_so_once_and_from_the_loop(moment: str) -> None:
    """Whatever is under way is closed; cancelling again, or too late, changes nothing."""
    with virtual() as world:
        if moment == "resolving":
            world.ops.script("start_thread", ThreadThatNeverAnswers())
            connector = world.connect_to(("name", 80))
        else:
            connector = world.connect(sock := pending(), pending())
        if moment != "at once":
            world.stage.settle()
        connector.cancel()
        connector.close()
        assert connector.state == "cancelled"
        assert not world.caller.words
        world.pass_time(60)
        assert [type(word) for word in world.caller.words] == [ConnectCancelled]
        assert moment != "connecting" or is_closed(sock)


def test_cancelling_does_nothing_when_the_connection_is_made() -> None:
    """The stream is its own master by then."""
    with virtual() as world:
        connector = world.connect(sock := ScriptedSocket())
        world.stage.settle()
        connector.cancel()
        world.stage.settle()
        assert world.caller.words == [sock]
        assert connector.state == "connected"


@pytest.mark.parametrize("method", ["setsockopt", "bind", "connect"])
def test_nothing_stays_open_when_an_attempt_cannot_be_begun(method: str) -> None:
    """Whatever step fails, the socket is closed and the next address is tried."""
    with virtual() as world:
        first = ScriptedSocket().script(method, OSError(errno.EPERM, "no"))
        world.connect(first, second := ScriptedSocket(), local_address=("192.0.2.9", 7))
        world.stage.settle()
        assert is_closed(first)
        assert world.made == [(second, ("192.0.2.1", 80))]
        assert [call for call in second.calls if call[0] == "bind"] == [("bind", ("192.0.2.9", 7))]


def test_an_address_of_another_family_than_the_local_one_is_not_tried() -> None:
    """It counts as a failed attempt."""
    with virtual() as world:
        world.connect_to([(socket.AF_INET6, 1, 6, ("::1", 80, 0, 0))], local_address=("192.0.2.9", 0))
        world.stage.settle()
        [failure] = world.caller.words
        assert failure.__cause__.errno == errno.EAFNOSUPPORT
        assert "socket" not in [call[0] for call in world.ops.calls]


def test_a_connector_says_what_it_is_doing() -> None:
    """In its repr: the state, and where to."""
    with virtual() as world:
        connector = world.connect(pending(), pending())
        assert repr(connector) == "<Connector resolving, to 192.0.2.0:80 or 192.0.2.1:80>"
        connector.cancel()
        assert "cancelled" in repr(connector)


def test_nothing_is_told_of_a_cancellation_when_the_protocol_has_no_word_for_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its owner knows."""
    with virtual() as world, caplog.at_level(logging.WARNING):
        world.caller = Recorder()  # type: ignore[assignment]
        world.connect(pending()).cancel()
        world.stage.settle()
    assert caplog.text == ""


def test_the_log_is_told_when_the_protocol_has_no_word_for_failure(caplog: pytest.LogCaptureFixture) -> None:
    """asyncio's protocols have no connection_failed; silence would be worse than a line."""
    with virtual() as world, caplog.at_level(logging.WARNING):
        world.caller = Recorder()  # type: ignore[assignment]
        world.connect(refused())
        world.stage.settle()
    assert "cannot connect to 192.0.2.0:80" in caplog.text


def test_the_socket_is_closed_when_no_stream_can_be_made_of_it() -> None:
    """The exception goes to the loop's handler; the connector is at its end."""
    with virtual() as world:

        def fail(*args: Any) -> Any:
            raise ZeroDivisionError

        world._make_stream = fail  # type: ignore[method-assign]
        connector = world.connect(sock := ScriptedSocket())
        world.stage.settle()
        assert [type(exc) for exc in world.stage.take_failures()] == [ZeroDivisionError]
        assert is_closed(sock)
        assert connector.is_done()


def test_a_factory_that_raises_does_so_before_anything_is_begun() -> None:
    """In the face of its caller, with nothing open."""
    with virtual() as world:
        with pytest.raises(ZeroDivisionError):
            world.stage.connect_tcp(lambda: 1 // 0, "192.0.2.1", 80)
        world.pass_time(60)
        assert "socket" not in [call[0] for call in world.ops.calls]


@pytest.mark.parametrize(
    ("destination", "keywords", "error"),
    [
        (("", 80), {}, AddressError),
        (("a\0b", 80), {}, AddressError),
        (("name", "http"), {}, AddressError),
        ([], {}, AddressError),
        ("", {}, AddressError),
        (("name", 80), {"timeout": 0}, OptionError),
        (("name", 80), {"timeout": float("nan")}, OptionError),
        (("name", 80), {"attempt_delay": -1}, OptionError),
        (("name", 80), {"local_address": ("localhost", 0)}, AddressError),
        (("name", 80), {"local_address": ("127.0.0.1", -1)}, AddressError),
        (("name", 80), {"local_address": ("127.0.0.1",)}, AddressError),
        (("name", 80), {"local_address": "127.0.0.1"}, AddressError),
        (("name", 80), {"local_address": ("127.0.0.1", 0, 0, 0)}, AddressError),
        (("name", 80), {"local_address": ("fe80::1%no-such-if", 0)}, AddressError),
        ("/run/x", {"local_address": ("127.0.0.1", 0)}, OptionError),
    ],
)
def test_what_cannot_be_tried_is_refused_at_once(
    destination: Any, keywords: dict[str, Any], error: type[Exception]
) -> None:
    """The caller is told, the protocol is not."""
    with virtual() as world:
        with pytest.raises(error):
            world.connect_to(destination, **keywords)
        world.pass_time(60)
        assert world.caller.words == []
