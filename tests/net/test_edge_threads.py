"""From another thread nothing can be changed, and after the reactor's end there is nothing left to end.

The tables name every public method of the objects at the edge of the network, and a test fails when one is missing:
whoever adds a method decides whether it changes something.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from reactor.errors import WrongThread
from reactor.net.connections.acceptor import Acceptor
from reactor.net.connections.connector import Connector
from reactor.net.connections.listener import Listener
from reactor.net.datagrams.multicast import MulticastMember
from reactor.net.names.lookup import Lookup
from reactor.net.names.resolver import Resolver
from reactor.net.stream.deadline import Deadline
from tests.leaks import open_descriptors
from tests.net.blocking import raised_in_a_thread
from tests.net.caller import Caller
from tests.net.notes import scripted
from tests.net.recorder import Recorder
from tests.net.stage import Stage, stage_on

Call = Callable[[Any], object]


class Edge:
    """One kind of object: how to make it, its methods that change something, and those that do not."""

    def __init__(self, made: Callable[[Stage], Any], changing: dict[str, Call], reading: str) -> None:
        self.made = made
        self.changing = changing
        self.reading = set(reading.split())


def made_acceptor(stage: Stage) -> Acceptor:
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    acceptor = stage.add_acceptor(sock, lambda sock, address: sock.close())
    stage.kept.append(sock)  # type: ignore[attr-defined]
    return acceptor


def made_deadline(stage: Stage) -> Deadline:
    deadline = Deadline(stage, lambda exc: None)
    deadline.start(60)
    return deadline


def made_connector(stage: Stage) -> Connector:
    listener = stage.listen_tcp(Recorder, "127.0.0.1")
    return stage.connect_tcp(Caller, *listener.address)


def set_limit(listener: Listener) -> None:
    listener.max_connections = 3


def set_threads(resolver: Resolver) -> None:
    resolver.threads = 9


EDGES: dict[type, Edge] = {
    Acceptor: Edge(
        made_acceptor,
        {"pause": lambda it: it.pause(), "resume": lambda it: it.resume(), "close": lambda it: it.close()},
        "is_accepting",
    ),
    Deadline: Edge(
        made_deadline, {"start": lambda it: it.start(5), "stop": lambda it: it.stop()}, "is_running what"
    ),
    Connector: Edge(
        made_connector,
        {name: lambda it, name=name: getattr(it, name)() for name in ("cancel", "close", "abort")},
        "is_done attempts protocol state stream",
    ),
    Listener: Edge(
        lambda stage: stage.listen_tcp(Recorder, "127.0.0.1"),
        {
            "max_connections": set_limit,
            **{name: lambda it, name=name: getattr(it, name)() for name in ("pause", "resume", "close", "abort")},
        },
        # forget_path is called in a forked child only, by the reactor.
        "address addresses sockets is_accepting is_closing accepted connections forget_path",
    ),
    Lookup: Edge(
        lambda stage: stage.resolver.lookup("192.0.2.1", 80),
        {"cancel": lambda it: it.cancel()},
        "done is_done result wait_for answer",  # the last two are the resolver's
    ),
    Resolver: Edge(
        lambda stage: stage.resolver,
        {
            "threads": set_threads,
            "forget": lambda it: it.forget("example.org"),
            "close": lambda it: it.close(),
            "lookup": lambda it: it.lookup("192.0.2.1", 80),
            "getaddrinfo": lambda it: it.getaddrinfo("192.0.2.1", 80),
            "getnameinfo": lambda it: it.getnameinfo(("192.0.2.1", 80)),
            "getservbyname": lambda it: it.getservbyname("http"),
            "getservbyport": lambda it: it.getservbyport(80),
            "getprotobyname": lambda it: it.getprotobyname("icmp"),
            **{
                name: lambda it, name=name: getattr(it, name)("192.0.2.1")
                for name in ("gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getfqdn")
            },
        },
        "cache hosts forget_threads resume",  # the last two are for a forked child
    ),
}

CALLS = [(kind, name) for kind, edge in EDGES.items() for name in edge.changing]


class KeepingStage(Stage):
    """A stage that closes what a test has it keep."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[socket.socket] = []

    def close(self) -> None:
        super().close()
        for sock in self.kept:
            sock.close()


def state_of(thing: Any) -> dict[str, Any]:
    """All that *thing* consists of."""
    names = {name for cls in type(thing).__mro__ for name in getattr(cls, "__slots__", ())}
    return {name: _frozen(getattr(thing, name)) for name in names}


def _frozen(value: Any) -> Any:
    if isinstance(value, list | tuple | set | dict | deque):
        return [_frozen(item) for item in value]
    if hasattr(value, "is_cancelled"):
        return value, value.is_cancelled(), getattr(value, "when", None)
    return value


def world_of(stage: Stage) -> tuple[Any, ...]:
    """What the system and the loop hold."""
    return dict(open_descriptors()), set(stage.registry.poller.get_map()), set(stage._shared.transports)


@pytest.mark.parametrize(("kind", "name"), CALLS, ids=lambda value: getattr(value, "__name__", value))
def test_nothing_is_changed_when_another_thread_calls(kind: type, name: str) -> None:
    """WrongThread before the first step: the object, the loop and the descriptors are as they were.

    A connector that was cancelled like this had been told to be at its end and its protocol never was; a listener
    was closed without a word.
    """
    edge = EDGES[kind]
    stage = KeepingStage()

    def story() -> None:
        thing = edge.made(stage)
        before = state_of(thing), world_of(stage)
        exc = raised_in_a_thread(lambda: edge.changing[name](thing))
        assert isinstance(exc, WrongThread)
        assert (state_of(thing), world_of(stage)) == before
        edge.changing[name](thing)  # in its own thread it is lawful

    stage.call_soon(story)
    stage.settle()
    stage.close()
    assert stage.take_failures() == []


@pytest.mark.parametrize("kind", [*EDGES, MulticastMember], ids=lambda kind: kind.__name__)
def test_every_public_name_is_in_the_table_when_it_is_added(kind: type) -> None:
    """Whether it changes something is decided here; what does is called from another thread above."""
    known = set(MULTICAST) if kind is MulticastMember else {*EDGES[kind].changing, *EDGES[kind].reading}
    assert {name for name in dir(kind) if not name.startswith("_")} == known


MULTICAST: dict[str, Call] = {
    "join_group": lambda it: it.join_group("224.0.0.9"),
    "leave_group": lambda it: it.leave_group("224.0.0.9"),
    "set_multicast": lambda it: it.set_multicast(hops=3),
}


@pytest.mark.parametrize("name", MULTICAST)
def test_the_kernel_is_told_nothing_of_a_group_when_another_thread_calls(name: str) -> None:
    """WrongThread, and no system call."""
    with scripted() as (stage, sock, _, endpoint):

        def story() -> None:
            before = list(sock.calls)
            exc = raised_in_a_thread(lambda: MULTICAST[name](endpoint))
            assert isinstance(exc, WrongThread)
            assert sock.calls == before

        stage.call_soon(story)
        stage.settle()


def test_no_acceptor_is_added_when_another_thread_calls() -> None:
    """WrongThread; the listening socket is watched by nobody."""
    with stage_on() as stage, socket.create_server(("127.0.0.1", 0)) as sock:

        def story() -> None:
            before = world_of(stage)
            assert isinstance(raised_in_a_thread(lambda: stage.add_acceptor(sock, print)), WrongThread)
            assert world_of(stage) == before

        stage.call_soon(story)
        stage.settle()


# -- after the end ---------------------------------------------------------------------------------------------

ENDINGS = [(kind, name) for kind, name in CALLS if name in ("close", "cancel", "stop", "abort")]


@pytest.mark.parametrize(("kind", "name"), ENDINGS, ids=lambda value: getattr(value, "__name__", value))
def test_ending_what_is_over_does_nothing_after_the_reactors_end(kind: type, name: str) -> None:
    """A program that tidies up in the wrong order is not punished: there is nothing left to end."""
    stage = KeepingStage()
    thing = EDGES[kind].made(stage)
    stage.close()
    for _ in range(2):
        EDGES[kind].changing[name](thing)


def test_a_deadline_can_be_stopped_in_the_last_word_of_a_closing_reactor() -> None:
    """``connection_lost`` is where a protocol stops what it started, whoever ended the connection."""
    stage = Stage()
    near, far = socket.socketpair()
    missed: list[Exception] = []
    due = Deadline(stage, missed.append)
    protocol = Recorder(connection_lost=lambda me, exc: due.stop())
    stage.adopt_stream(lambda: protocol, near)
    due.start(60)
    stage.close()
    far.close()
    assert not due.is_running()
    assert (stage.take_failures(), missed) == ([], [])


# -- a connector and the end of its reactor --------------------------------------------------------------------


@pytest.mark.parametrize("generations", [1, 6, 7, 8, 100])
@pytest.mark.parametrize("is_cancelled", [True, False])
def test_a_connector_is_told_when_it_is_made_while_the_reactor_is_closed(
    generations: int, is_cancelled: bool
) -> None:
    """One word to each protocol that was made, also to those made, and cancelled, in answer to the last word.

    Each one's end makes the next, like a client that always reconnects.  The first is made in ``connection_lost``.
    """
    stage = Stage()
    callers: list[Caller] = []

    class Again(Caller):
        def connection_failed(self, exc: Exception) -> None:
            super().connection_failed(exc)
            make()

    def factory() -> Caller:
        callers.append(Again())
        return callers[-1]

    def make() -> None:
        if len(callers) < generations:
            connector = stage.connect_tcp(factory, "192.0.2.1", 9)
            if is_cancelled:
                connector.cancel()

    near, far = socket.socketpair()
    stage.adopt_stream(lambda: Recorder(connection_lost=lambda me, exc: make()), near)
    stage.close()
    far.close()
    assert callers
    assert [len(caller.words) for caller in callers] == [1] * len(callers)
    assert len(stage.take_failures()) == (0 if len(callers) == generations else 1)  # ReactorClosed for the rest


def test_a_timer_is_not_left_when_the_factory_of_a_connector_raises() -> None:
    """Refused calls leave nothing behind: no deadline that would tell somebody of a connector that never was."""

    def factory() -> Caller:
        raise LookupError

    with stage_on() as stage:
        with pytest.raises(LookupError):
            stage.connect_tcp(factory, "192.0.2.1", 9, timeout=5)
        assert stage.next_timeout() is None
