"""Mistakes in a call are seen at the call: a factory that makes no protocols, a keyword that does not exist."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import reactor
from reactor.errors import ArgumentError, OptionError, TransportClosed, WrongThread
from reactor.net.connections.factories import STREAM, checked_protocol
from tests.leaks import open_descriptors
from tests.net.blocking import raised_in_a_thread
from tests.net.recorder import FrameRecorder, Recorder
from tests.net.stage import Stage, connect, stage_on


class Codecless(reactor.FramedProtocol):
    """What everybody forgets once."""


class CodecOfItsOwn(reactor.FramedProtocol):
    """Lawful: each instance brings its codec."""

    def __init__(self) -> None:
        self.codec = reactor.LengthPrefixed(4)


class Unhelpful(Recorder):
    """Asked for its name, it makes things worse."""

    def __repr__(self) -> str:
        raise RuntimeError("no name")


class Borrowed:
    """Answers for the methods of another object."""

    def __init__(self) -> None:
        self._protocol = Recorder()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._protocol, name)


class World:
    """What the verbs need: two connected sockets, a listening and a datagram one, and a path."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage = stage
        self.path = str(folder / "s")
        self.near, self.far = socket.socketpair()
        self.messages, self.other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.datagrams.bind(("127.0.0.1", 0))

    def close(self) -> None:
        for sock in (self.near, self.far, self.messages, self.other, self.listening, self.datagrams):
            sock.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A reactor that must still have nothing open at the end."""
    with stage_on() as stage:
        world = World(stage, tmp_path)
        yield world
        assert stage._shared.transports == set()
        assert not Path(world.path).exists()
        world.close()


Verb = Callable[..., object]

#: By verb: a call of it with a factory and keywords.
VERBS: dict[str, Callable[..., object]] = {
    "listen_tcp": lambda w, f, **k: w.stage.listen_tcp(f, "127.0.0.1", 0, **k),
    "listen_unix": lambda w, f, **k: w.stage.listen_unix(f, w.path, **k),
    "adopt_listener": lambda w, f, **k: w.stage.adopt_listener(f, w.listening.fileno(), **k),
    "connect_tcp": lambda w, f, **k: w.stage.connect_tcp(f, *w.listening.getsockname(), **k),
    "connect_unix": lambda w, f, **k: w.stage.connect_unix(f, w.path, **k),
    "adopt_stream": lambda w, f, **k: w.stage.adopt_stream(f, w.near.fileno(), **k),
    "adopt_seqpacket": lambda w, f, **k: w.stage.adopt_seqpacket(f, w.messages.fileno(), **k),
    "open_datagram": lambda w, f, **k: w.stage.open_datagram(f, ("127.0.0.1", 0), **k),
    "adopt_datagram": lambda w, f, **k: w.stage.adopt_datagram(f, w.datagrams.fileno(), **k),
}

OF_STREAMS = ["listen_tcp", "listen_unix", "adopt_listener", "connect_tcp", "connect_unix", "adopt_stream"]


def refusal(world: World, verb: str, factory: Any, **keywords: Any) -> str:
    """The message with which *verb* refuses, after which everything is as before."""
    before = dict(open_descriptors())
    with pytest.raises(TypeError) as caught:
        VERBS[verb](world, factory, **keywords)
    assert isinstance(caught.value, ArgumentError)
    assert dict(open_descriptors()) == before
    return str(caught.value)


# -- at the call -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_an_instance_is_refused_where_a_factory_is_needed(world: World, verb: str) -> None:
    """The most common slip: it was accepted, and failed for each client.  Verb and remedy are named."""
    text = refusal(world, verb, Unhelpful())
    assert f"{verb}()" in text
    assert "the class itself, Unhelpful, or lambda: Unhelpful(...)" in text


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("factory", [None, "Echo", 5])
def test_what_cannot_be_called_is_no_factory(world: World, verb: str, factory: Any) -> None:
    """Also if it is nothing like a protocol."""
    text = refusal(world, verb, factory)
    assert f"{verb}()" in text
    assert type(factory).__name__ in text


@pytest.mark.parametrize("verb", OF_STREAMS)
def test_a_framed_protocol_without_a_codec_is_refused_at_the_call(world: World, verb: str) -> None:
    """It is seen on the class; the remedy is a line to write."""
    text = refusal(world, verb, Codecless)
    assert f"{verb}()" in text
    assert "codec = LengthPrefixed(4)" in text


@pytest.mark.parametrize(
    ("verb", "factory", "missing"),
    [
        ("listen_tcp", reactor.MessageProtocol, "data_received"),
        ("connect_unix", reactor.DatagramProtocol, "data_received"),
        ("adopt_seqpacket", FrameRecorder, "message_received"),
        ("open_datagram", FrameRecorder, "datagram_received"),
        ("adopt_listener", dict, "connection_made"),
        ("listen_tcp", dict, "connection_made"),
    ],
)
def test_a_class_of_the_wrong_kind_is_refused_at_the_call(
    world: World, verb: str, factory: Any, missing: str
) -> None:
    """What it would have to receive with is named."""
    assert missing in refusal(world, verb, factory)


def test_the_kind_is_that_of_the_messages_when_the_socket_keeps_their_boundaries(world: World) -> None:
    """The same verb wants another protocol with *seqpacket*."""
    for verb in ("listen_unix", "connect_unix"):
        assert "MessageProtocol" in refusal(world, verb, FrameRecorder, seqpacket=True)


@pytest.mark.parametrize("verb", VERBS)
def test_nothing_is_opened_when_another_thread_calls(world: World, verb: str) -> None:
    """WrongThread comes before the factory is called, the socket opened, the descriptor taken over."""
    made: list[Recorder] = []

    def factory() -> Recorder:
        made.append(Recorder())
        return made[-1]

    def story() -> None:
        before = dict(open_descriptors())
        assert isinstance(raised_in_a_thread(lambda: VERBS[verb](world, factory)), WrongThread)
        assert dict(open_descriptors()) == before

    world.stage.call_soon(story)
    world.stage.settle()
    assert made == []


# -- when it is called -----------------------------------------------------------------------------------------

#: What a function may return by mistake, and what the error then says.
NO_PROTOCOLS: list[tuple[Callable[[], Any], str]] = [
    (lambda: None, "None"),
    (lambda: object(), "connection_made"),
    (lambda: Recorder, r"return Recorder\(\)"),
    (lambda: Codecless(), "codec = LengthPrefixed"),
    (lambda: reactor.MessageProtocol(), "data_received"),
]


@pytest.mark.parametrize("verb", ["connect_tcp", "connect_unix", "adopt_stream"])
@pytest.mark.parametrize(("factory", "text"), NO_PROTOCOLS)
def test_what_a_function_returns_is_looked_at_within_the_call(
    world: World, verb: str, factory: Callable[[], Any], text: str
) -> None:
    """The verbs that make one protocol make it at once: nothing is open when they refuse."""
    before = dict(open_descriptors())
    with pytest.raises(ArgumentError, match=text):
        VERBS[verb](world, factory)
    assert dict(open_descriptors()) == before


@pytest.mark.parametrize(("factory", "text"), NO_PROTOCOLS)
def test_the_client_is_let_go_when_a_listeners_factory_makes_no_protocol(
    poller_name: str, factory: Callable[[], Any], text: str
) -> None:
    """The error names the mistake, once for each client; the descriptor is closed and nothing is counted."""
    with stage_on(poller_name) as stage:
        listener = stage.listen_tcp(factory, "127.0.0.1", 0)
        with connect(listener) as client:
            stage.until(lambda: stage.failures)
            assert client.recv(1) == b""
        [failure] = stage.take_failures()
        with pytest.raises(ArgumentError, match=text):
            raise failure
        assert listener.connections == 0


@pytest.mark.parametrize("protocol", [Recorder(), FrameRecorder(), CodecOfItsOwn(), Borrowed()])
def test_any_object_with_the_right_methods_is_a_protocol(protocol: Any) -> None:
    """No base class is needed, and a codec may belong to the instance."""
    assert checked_protocol(protocol, type(protocol), STREAM) is protocol


def test_lawful_factories_are_accepted_by_a_listener() -> None:
    """A class, a function, an object that can be called."""
    with stage_on() as stage:
        for factory in (FrameRecorder, CodecOfItsOwn, Borrowed, lambda: Recorder(), iter([Recorder()]).__next__):
            stage.listen_tcp(factory, "127.0.0.1", 0)


# -- keywords --------------------------------------------------------------------------------------------------

WITH_OPTIONS = [verb for verb in VERBS if verb != "adopt_datagram"]


@pytest.mark.parametrize("verb", WITH_OPTIONS)
def test_an_unknown_keyword_names_the_verb_and_the_nearest_one(world: World, verb: str) -> None:
    """Not ``SocketOptions.__init__``, which nobody has called; the verb's own keywords are candidates as well."""
    factory = {"adopt_seqpacket": reactor.MessageProtocol, "open_datagram": reactor.DatagramProtocol}
    kind = factory.get(verb, Recorder)
    for wrong, right in (("no_delay", "nodelay"), ("watermark", "watermarks"), ("keep_alive", "keepalive")):
        text = refusal(world, verb, kind, **{wrong: True})
        assert text.startswith(f"{verb}() has no keyword {wrong!r}")
        assert text.endswith(f"did you mean {right!r}?")
    assert "nodelay" in refusal(world, verb, kind, quux=1)


@pytest.mark.parametrize(
    ("verb", "keyword", "advice"),
    [
        ("listen_tcp", "ssl", "TLS is not there yet"),
        ("connect_tcp", "ssl_handshake_timeout", "TLS is not there yet"),
        ("connect_tcp", "server_hostname", "TLS is not there yet"),
        ("connect_tcp", "sock", "adopt_stream"),
        ("connect_tcp", "happy_eyeballs_delay", "attempt_delay"),
        ("connect_tcp", "local_addr", "local_address"),
        ("listen_tcp", "max_connection", "max_connections"),
    ],
)
def test_a_keyword_of_other_libraries_is_answered_with_what_is_there(
    world: World, verb: str, keyword: str, advice: str
) -> None:
    """Who comes from asyncio is shown the way."""
    assert advice in refusal(world, verb, Recorder, **{keyword: None})


#: Values that a keyword cannot have.
WRONG_VALUES = [
    ("listen_tcp", "nodelay", "no"),
    ("listen_tcp", "reuse_port", 2),
    ("listen_tcp", "reuse_address", "yes"),
    ("listen_tcp", "user_timeout", "5"),
    ("listen_tcp", "receive_buffer", 2**31),
    ("listen_tcp", "backlog", -1),
    ("listen_tcp", "backlog", "many"),
    ("listen_tcp", "idle_timeout", "5"),
    ("listen_tcp", "max_connections", "4"),
    ("listen_tcp", "watermarks", 65536),
    ("listen_unix", "backlog", 2.5),
    ("listen_unix", "mode", 660),
    ("listen_unix", "mode", "0660"),
    ("listen_unix", "max_connections", 0),
    ("adopt_listener", "max_connections", 0),
    ("adopt_listener", "idle_timeout", 0),
    ("adopt_stream", "send_buffer", -1),
    ("connect_tcp", "timeout", 0),
    ("connect_tcp", "timeout", "5"),
    ("connect_tcp", "timeout", 10**400),
    ("connect_tcp", "attempt_delay", -1),
    ("connect_tcp", "attempt_delay", "soon"),
    ("connect_tcp", "attempt_delay", None),
    ("connect_unix", "timeout", float("nan")),
]


@pytest.mark.parametrize(("verb", "keyword", "value"), WRONG_VALUES)
def test_a_wrong_value_names_the_keyword_and_what_is_lawful(
    world: World, verb: str, keyword: str, value: object
) -> None:
    """OptionError before anything is opened or taken over: a descriptor that was handed in stays its owner's."""
    before = dict(open_descriptors())
    with pytest.raises(OptionError, match=rf"^{keyword} is .*, not ") as caught:
        VERBS[verb](world, Recorder, **{keyword: value})
    assert str(caught.value).endswith(repr(value))
    assert dict(open_descriptors()) == before


def test_a_closed_transport_is_what_asyncios_programs_expect() -> None:
    """``except RuntimeError`` around ``write_eof``/``write`` goes on working, and so does ConnectionError."""
    assert issubclass(TransportClosed, RuntimeError)
    assert issubclass(TransportClosed, ConnectionError)
    assert str(TransportClosed("too late")) == "too late"
