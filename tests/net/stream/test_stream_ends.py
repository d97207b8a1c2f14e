"""How streams end: by whom, in which order, and what may go wrong in user code on the way."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from selectors import EVENT_READ, EVENT_WRITE

import pytest

from reactor.errors import FrameMalformed, IdleTimeout, OptionError, UsageError
from reactor.limits import LINGER_TIMEOUT
from reactor.net.stream.stream import Stream
from reactor.testing import ScriptedSocket
from tests.net.recorder import Recorder, echo
from tests.net.virtual import Virtual, names, sends, virtually


@pytest.fixture
def virtual() -> Iterator[Virtual]:
    with virtually() as virtual:
        yield virtual


# -- ending ----------------------------------------------------------------------------------------------------


def test_it_is_unregistered_before_it_is_closed(virtual: Virtual) -> None:
    """The kernel never watches a descriptor that has been given back."""
    stream, sock = virtual.open(Recorder())
    fd = sock.fileno()
    stream.abort()
    assert ("forget", fd, 0) in virtual.poller.calls
    assert "close" not in names(sock, "close")
    virtual.turn()
    assert names(sock, "close") == ["close"]


@pytest.mark.parametrize("arrival", [b"", ConnectionResetError(104, "reset")], ids=["ended", "reset"])
def test_nobody_else_waits_for_its_socket_after_it_has_ended(virtual: Virtual, arrival: object) -> None:
    """Whoever sends on the socket beside the stream, as a sender of files does, need not see its end coming."""
    _, sock = virtual.open(Recorder(), arrival)
    fd = sock.fileno()
    virtual.stage.registry.add(sock, EVENT_WRITE, lambda: None)
    virtual.readable(sock)
    assert virtual.stage.registry.key_of(fd) is None
    assert virtual.poller.calls[-1] == ("forget", fd, 0)
    virtual.turn()
    assert names(sock, "close") == ["close"]


@pytest.mark.parametrize("end", [Stream.close, Stream.abort, Stream.reset])
def test_connection_lost_is_never_called_from_inside(virtual: Virtual, end: Callable[[Stream], None]) -> None:
    """Whoever ends a stream returns from doing so before the protocol hears of it."""

    def finish(me: Recorder, data: bytes) -> None:
        end(me.transport)
        assert not me.is_lost

    protocol = Recorder(data_received=finish)
    stream, sock = virtual.open(protocol, b"data")
    virtual.readable(sock)
    assert protocol.reason is None
    assert protocol.deepest == 1
    end(stream)
    stream.write(b"ignored")
    stream.resume_reading()
    stream.pause_reading()
    stream.set_idle_timeout(5)
    stream.fail(FrameMalformed("too late to be blamed"))
    virtual.turn()
    assert virtual.stage.counters.peer_errors == 0
    assert protocol.names == ["connection_made", "data_received", "connection_lost"]
    assert sends(sock) == []


@pytest.mark.parametrize("end", [Stream.close, Stream.abort, Stream.reset])
def test_it_may_end_in_connection_made(virtual: Virtual, end: Callable[[Stream], None]) -> None:
    """It is never watched then, and the end comes as always."""
    protocol = Recorder(connection_made=lambda me: end(me.transport))
    _, sock = virtual.open(protocol, b"data")
    fd = sock.fileno()
    assert not protocol.is_lost
    virtual.turn()
    assert protocol.names == ["connection_made", "connection_lost"]
    assert ("watch", fd, EVENT_READ) not in virtual.poller.calls[:1]
    assert virtual.stage._shared.transports == set()


SLOTS = ["connection_made", "data_received", "eof_received", "pause_writing", "resume_writing", "connection_lost"]


def drive(virtual: Virtual, protocol: Recorder) -> ScriptedSocket:
    """Lead a stream through every callback that there is."""
    stream, sock = virtual.open(protocol, b"data", b"")
    stream.set_write_buffer_limits(high=10)
    sock.script("send", BlockingIOError)
    stream.write(b"x" * 20)
    virtual.turn((sock, EVENT_WRITE))
    virtual.readable(sock)
    virtual.readable(sock)
    virtual.stage.settle()
    return sock


@pytest.mark.parametrize("slot", SLOTS)
def test_the_stream_is_aborted_when_a_callback_raises(virtual: Virtual, slot: str) -> None:
    """What escapes is reported and is the reason of the end; ``connection_lost`` comes once; others go on."""
    bug = RuntimeError(slot)

    def fail(me: Recorder, *args: object) -> None:
        raise bug

    other = Recorder(data_received=echo)
    _, other_sock = virtual.open(other, b"still here")
    protocol = Recorder(**{slot: fail})
    sock = drive(virtual, protocol)
    assert virtual.stage.take_failures() == [bug]
    assert protocol.reason is (None if slot == "connection_lost" else bug)
    assert names(sock, "close") == ["close"]
    protocol.check_grammar()
    virtual.readable(other_sock)
    assert other_sock.sent == b"still here"


def test_every_callback_comes_when_none_raises(virtual: Virtual) -> None:
    """The story that the test above tells with a fault is whole without one."""
    protocol = Recorder()
    drive(virtual, protocol)
    assert sorted(protocol.names) == sorted(SLOTS)


@pytest.mark.parametrize("slot", SLOTS)
@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_the_loop_can_go_on_when_a_callback_is_interrupted(
    virtual: Virtual, slot: str, interruption: type[BaseException]
) -> None:
    """Control-C passes through whoever runs the loop, and the loop is as good as before."""

    def interrupt(me: Recorder, *args: object) -> None:
        del me.reactions[slot]
        raise interruption

    protocol = Recorder(**{slot: interrupt})
    with pytest.raises(interruption):
        drive(virtual, protocol)
    other = Recorder(data_received=echo)
    sock = drive(virtual, other)
    assert sock.sent == b"x" * 20 + b"data"
    assert other.reason is None
    assert virtual.stage.failures == []


def test_what_the_protocol_wrote_is_sent_when_it_is_interrupted(virtual: Virtual) -> None:
    """Corked bytes do not wait for a readiness that may never come."""

    def interrupt(me: Recorder, data: bytes) -> None:
        me.transport.write(b"before")
        raise KeyboardInterrupt

    _, sock = virtual.open(Recorder(data_received=interrupt), b"data")
    with pytest.raises(KeyboardInterrupt):
        virtual.readable(sock)
    assert sock.sent == b"before"


def test_one_line_without_a_traceback_tells_of_a_peers_fault(
    virtual: Virtual, caplog: pytest.LogCaptureFixture
) -> None:
    """What a peer does wrong is no bug of ours: counted, told in one line, rationed, and the reason of the end."""
    fault = FrameMalformed("not what the format prescribes")

    def refuse(me: Recorder, data: bytes) -> None:
        me.transport.fail(fault)

    caplog.set_level(logging.DEBUG, "reactor")
    for _ in range(20):
        protocol = Recorder(data_received=refuse)
        _, sock = virtual.open(protocol, b"data")
        virtual.readable(sock)
        virtual.turn()
        assert protocol.reason is fault
    assert virtual.stage.counters.peer_errors == 20
    assert virtual.stage.counters.callback_errors == 0
    assert 1 <= len(caplog.records) < 20
    assert {record.exc_info for record in caplog.records} == {None}
    assert "closed the connection of 192.0.2.2:2: not what the format" in caplog.text


def test_the_owner_is_told_when_connection_lost_raises(virtual: Virtual) -> None:
    """Whoever counts connections (a listener) hears of the end whatever the protocol does."""
    told: list[Stream] = []

    def fail(me: Recorder, exc: object) -> None:
        raise RuntimeError

    protocol = Recorder(connection_lost=fail)
    stream = Stream(virtual.stage._shared, ScriptedSocket(), protocol, on_lost=told.append)  # type: ignore[arg-type]
    stream._start()
    stream.abort()
    virtual.turn()
    assert told == [stream]
    assert len(virtual.stage.take_failures()) == 1


# -- idle ------------------------------------------------------------------------------------------------------


def test_the_stream_is_given_up_when_no_byte_moves(virtual: Virtual) -> None:
    """After the time that was set, not before; counted, and told as IdleTimeout."""
    protocol = Recorder()
    stream, _ = virtual.open(protocol)
    stream.set_idle_timeout(10)
    virtual.wait(9.9)
    assert not protocol.is_lost
    virtual.wait(0.2)
    assert isinstance(protocol.reason, IdleTimeout)
    assert virtual.stage.counters.idle_timeouts == 1


@pytest.mark.parametrize("direction", ["in", "out at once", "out when writable"])
def test_the_timeout_begins_anew_when_a_byte_moves(virtual: Virtual, direction: str) -> None:
    """In either direction, also when it leaves at once: a subscriber who only listens is not idle."""
    protocol = Recorder()
    stream, sock = virtual.open(protocol, *[b"x"] * 20)
    stream.set_idle_timeout(10)
    if direction == "out when writable":
        sock.script("send", BlockingIOError, *[1] * 20)
        stream.write(b"x" * 100)
    for _ in range(5):
        virtual.wait(9)
        if direction == "in":
            virtual.readable(sock)
        elif direction == "out at once":
            stream.write(b"news")
        else:
            virtual.writable(sock)
    assert not protocol.is_lost
    virtual.wait(10.1)
    assert isinstance(protocol.reason, IdleTimeout)


def test_a_closing_stream_is_given_up_when_its_peer_does_not_read(virtual: Virtual) -> None:
    """The idle timeout also bounds how long a close may flush."""
    protocol = Recorder()
    stream, sock = virtual.open(protocol)
    stream.set_idle_timeout(10)
    sock.script("send", BlockingIOError)
    stream.write(b"never taken")
    stream.close()
    virtual.wait(9)
    assert not protocol.is_lost
    virtual.wait(2)
    assert isinstance(protocol.reason, IdleTimeout)


def test_the_timeout_can_be_set_again_and_taken_away(virtual: Virtual) -> None:
    """The last word counts; None waits forever; anything but a positive number is refused."""
    protocol = Recorder()
    stream, _ = virtual.open(protocol)
    stream.set_idle_timeout(1)
    stream.set_idle_timeout(100)
    virtual.wait(50)
    stream.set_idle_timeout(None)
    virtual.wait(500)
    assert not protocol.is_lost
    for wrong in (0, -1, float("nan")):
        with pytest.raises(OptionError, match="positive"):
            stream.set_idle_timeout(wrong)


# -- the last reply --------------------------------------------------------------------------------------------


def test_a_closed_stream_lingers_unless_its_peer_has_finished(virtual: Virtual) -> None:
    """The socket outlives ``connection_lost`` for a bounded time; after the peer's end it need not."""
    stream, sock = virtual.open(Recorder())
    stream.close()
    virtual.turn()
    assert len(virtual.stage._shared.lingering) == 1
    assert "close" not in names(sock, "close")
    virtual.wait(LINGER_TIMEOUT + 0.1)
    assert names(sock, "shutdown", "close") == ["shutdown", "close"]
    _, finished = virtual.open(Recorder(), b"")
    virtual.readable(finished)
    virtual.turn()
    assert names(finished, "close") == ["close"]
    assert len(virtual.stage._shared.lingering) == 0


def test_replies_to_what_came_before_a_fault_still_leave(virtual: Virtual) -> None:
    """Whether the bytes of a good request and of a fault come in one packet or in two, the good one is answered."""
    fault = FrameMalformed("the second request")

    def answer(me: Recorder, data: bytes) -> None:
        me.transport.write(b"reply")
        me.transport.fail(fault)

    protocol = Recorder(data_received=answer)
    _, sock = virtual.open(protocol, b"both")
    virtual.readable(sock)
    virtual.turn()
    assert sock.sent == b"reply"
    assert protocol.reason is fault


def test_an_object_that_cannot_receive_is_refused_as_a_protocol(virtual: Virtual) -> None:
    """Found out when the stream is made, not at every byte that arrives."""
    with pytest.raises(UsageError, match="no protocol"):
        virtual.open(object())
