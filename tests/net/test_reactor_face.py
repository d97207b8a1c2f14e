"""The reactor as a program sees it: what is taken over, what is refused, and how everything ends."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reactor.errors import OptionError, ReactorClosed, UsageError
from reactor.net.stream.stream import Stream
from reactor.ops import Ops
from tests.net.recorder import Recorder, echo
from tests.net.stage import Peer, Stage, connect, stage_on


@pytest.fixture
def stage(poller_name: str) -> Iterator[Stage]:
    with stage_on(poller_name) as stage:
        yield stage


# -- taking over -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("manner", ["socket", "descriptor"])
def test_a_connected_socket_is_taken_over(stage: Stage, manner: str) -> None:
    """A socket, or the number of one: ``connection_made`` has been called when ``adopt_stream`` returns."""
    near, far = socket.socketpair()
    protocol = Recorder(data_received=echo)
    stream = stage.adopt_stream(lambda: protocol, near if manner == "socket" else near.detach())
    assert isinstance(stream, Stream)
    assert protocol.names == ["connection_made"]
    with far:
        far.sendall(b"hello")
        stage.until(lambda: protocol.received)
        assert far.recv(100) == b"hello"


@pytest.mark.parametrize("manner", ["socket", "descriptor"])
def test_a_listening_socket_is_taken_over(stage: Stage, manner: str) -> None:
    """Inherited from a parent, or bound by other code."""
    sock = socket.create_server(("127.0.0.1", 0))
    listener = stage.adopt_listener(Recorder, sock if manner == "socket" else sock.detach())
    with connect(listener):
        stage.until(lambda: listener.accepted)


@pytest.mark.parametrize("manner", ["socket", "descriptor"])
@pytest.mark.parametrize("verb", ["adopt_stream", "adopt_listener"])
def test_another_kind_of_socket_is_left_alone(stage: Stage, verb: str, manner: str) -> None:
    """A datagram socket is no stream: OptionError says so, and it is still open and still its owner's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        with pytest.raises(OptionError, match="SOCK_STREAM"):
            getattr(stage, verb)(Recorder, sock if manner == "socket" else sock.fileno())
        assert sock.getsockname()[1]


@pytest.mark.parametrize("what", ["factory", "option"])
def test_a_descriptor_stays_its_owners_when_taking_it_over_fails(stage: Stage, what: str) -> None:
    """Undone on the way out: a factory that raises, or a wrong option, costs nobody his descriptor."""
    near, far = socket.socketpair()

    def factory() -> Recorder:
        raise LookupError("no protocol")

    options: dict[str, Any] = {"send_buffer": -1} if what == "option" else {}
    with near, far:
        with pytest.raises((LookupError, OptionError)):
            stage.adopt_stream(factory, near.fileno(), **options)
        near.sendall(b"still mine")
        assert far.recv(100) == b"still mine"


# -- listening -------------------------------------------------------------------------------------------------


def test_a_file_that_is_called_like_an_abstract_name_stays(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """"@name" is no path: a file of that name in the working directory has nothing to do with it."""
    monkeypatch.chdir(tmp_path)
    bystander = tmp_path / "@reactor-test-name"
    bystander.write_text("not a socket")
    listener = stage.listen_unix(Recorder, "@reactor-test-name")
    with connect(listener):
        stage.until(lambda: listener.accepted)
    listener.close()
    assert bystander.read_text() == "not a socket"


def test_the_path_is_gone_when_listening_fails_after_it_was_made(stage: Stage, tmp_path: Path) -> None:
    """What is refused late is undone: the socket file as well."""
    path = tmp_path / "socket"
    with pytest.raises(OptionError, match="max_connections"):
        stage.listen_unix(Recorder, str(path), max_connections=0)
    assert not path.exists()


def test_the_path_may_be_any_path(stage: Stage, tmp_path: Path) -> None:
    """str, bytes or Path; each is removed at the end."""
    path = tmp_path / "socket"
    for form in (path, str(path), bytes(path)):
        listener = stage.listen_unix(Recorder, form)  # type: ignore[arg-type]
        assert path.is_socket()
        listener.close()
        assert not path.exists()


# -- the end ---------------------------------------------------------------------------------------------------


def test_every_protocol_is_told_once_when_the_reactor_is_closed(poller_name: str) -> None:
    """Open, closing, waiting to be read by the peer: whoever was told of a connection is told of its end."""
    stage = Stage(poller_name)
    protocols: list[Recorder] = []

    def factory() -> Recorder:
        protocols.append(Recorder())
        return protocols[-1]

    listener = stage.listen_tcp(factory, "127.0.0.1", 0)
    clients = [connect(listener) for _ in range(4)]
    stage.until(lambda: listener.connections == 4)
    protocols[1].transport.write(bytes(8 * 2**20))
    protocols[2].transport.write(bytes(8 * 2**20))
    protocols[2].transport.close()
    protocols[3].transport.abort()
    stage.close()
    stage.close()
    assert [protocol.reason for protocol in protocols] == [None] * 4
    assert listener.is_closing()
    assert stage.is_closed()
    assert stage.failures == []
    for client in clients:
        client.close()
    for protocol in protocols:
        protocol.transport.write(b"ignored")
        protocol.transport.close()
        protocol.transport.abort()


@pytest.mark.parametrize("generations", [1, 5, 1000])
def test_what_is_opened_in_answer_to_the_end_is_ended_too(poller_name: str, generations: int) -> None:
    """A protocol that opens another stream in ``connection_lost``, which does the same, forever if it likes."""
    stage = Stage(poller_name)
    made: list[Recorder] = []
    far_ends = []

    def reopen(me: Recorder, exc: object) -> None:
        if len(made) <= generations:
            open_one()

    def open_one() -> None:
        near, far = socket.socketpair()
        far_ends.append(far)
        made.append(Recorder(connection_lost=reopen))
        try:
            stage.adopt_stream(lambda: made[-1], near)
        except ReactorClosed:
            near.close()
            raise

    open_one()
    stage.close()
    for far in far_ends:
        far.close()
    assert {protocol.names[-1] for protocol in made if protocol.calls} == {"connection_lost"}
    assert all(isinstance(failure, ReactorClosed) for failure in stage.take_failures())


def test_closing_the_reactor_in_connection_lost_is_refused(poller_name: str) -> None:
    """While it closes, it is closing: the second call is a mistake, and is told as one."""
    stage = Stage(poller_name)
    near, far = socket.socketpair()
    protocol = Recorder(connection_lost=lambda me, exc: stage.close())
    stage.adopt_stream(lambda: protocol, near)
    other = Recorder()
    near, second = socket.socketpair()
    stage.adopt_stream(lambda: other, near)
    stage.close()
    far.close()
    second.close()
    (failure,) = stage.take_failures()
    assert isinstance(failure, UsageError)
    assert other.is_lost
    assert stage.is_closed()


def test_the_reactor_is_not_closed_from_inside_of_a_callback(stage: Stage) -> None:
    """UsageError, and nothing has been aborted."""
    near, far = socket.socketpair()
    protocol = Recorder(data_received=lambda me, data: stage.close())
    stage.adopt_stream(lambda: protocol, near)
    with far:
        far.sendall(b"go")
        stage.until(lambda: protocol.received)
        (failure,) = stage.take_failures()
        assert isinstance(failure, UsageError)
        assert not stage.is_closed()


def test_a_bug_in_connection_lost_does_not_keep_the_reactor_open(poller_name: str) -> None:
    """It is reported, and the others are told all the same."""
    stage = Stage(poller_name)
    pairs = [socket.socketpair() for _ in range(3)]

    def fail(me: Recorder, exc: object) -> None:
        raise RuntimeError

    protocols = [Recorder(connection_lost=fail) for _ in pairs]
    for (near, _), protocol in zip(pairs, protocols, strict=True):
        stage.adopt_stream(iter([protocol]).__next__, near)
    stage.close()
    assert all(protocol.is_lost for protocol in protocols)
    assert len(stage.take_failures()) == 3
    for _, far in pairs:
        far.close()


def test_nothing_can_be_opened_when_the_reactor_is_closed() -> None:
    """ReactorClosed from every verb, and what was handed in stays its owner's."""
    stage = Stage()
    stage.close()
    near, far = socket.socketpair()
    with near, far:
        for call in (
            lambda: stage.adopt_stream(Recorder, near),
            lambda: stage.adopt_listener(Recorder, near),
            lambda: stage.listen_tcp(Recorder, "127.0.0.1"),
            lambda: stage.listen_unix(Recorder, "/never/made"),
        ):
            with pytest.raises(ReactorClosed):
                call()
        assert near.fileno() >= 0


def test_what_lingers_is_closed_with_the_reactor(poller_name: str) -> None:
    """A peer that is still being waited for is waited for no longer."""
    stage = Stage(poller_name)
    near, far = socket.socketpair()
    stream = stage.adopt_stream(Recorder, near)
    peer = Peer(stage, far)
    stream.close()
    stage.settle()
    assert len(stage._shared.lingering) == 1
    stage.close()
    assert near.fileno() == -1
    peer.close()


def test_the_callers_world_is_used() -> None:
    """Poller, clock and ops are those that were given, down to the streams."""
    instants = iter(range(1000, 2000))

    class World(Ops):
        __slots__ = ()

    world = World()
    with stage_on("select", clock=lambda: float(next(instants)), ops=world) as stage:
        assert stage._shared.ops is world
        assert stage.selector_name == "select"
        assert 1000 <= stage.time() < 2000
