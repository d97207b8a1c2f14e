"""The client that sends files when the connection does not go well: each end has its error, and nothing is left."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

import reactor
from reactor.errors import ConnectFailed, ConnectionFailure, IdleTimeout, OptionError
from reactor.service.server import Server
from reactor.service.upload.client import SIGN_INTERVAL, WELCOME_TIMEOUT, UploadClient
from reactor.service.upload.sending import State
from tests.service.upload.plain_server import PATIENCE, Conversation, PlainServer, send, states


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    """Two small files."""
    contents = {"a": b"abc", "empty": b""}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return [str(tmp_path / name) for name in contents]


def outcome_of(loop: reactor.Reactor, talk: Callable[[Conversation], None], paths: list[str]) -> BaseException:
    """Return what ended the connection to a server that does *talk*."""
    client, _ = send(loop, talk, paths)
    with pytest.raises(Exception, match=r".") as caught:
        client.result()
    return caught.value


def in_midst(act: Callable[[Conversation], object]) -> Callable[[Conversation], None]:
    """Return the talk of a server that keeps the first file, and in the midst of the second does *act*."""

    def talk(conversation: Conversation) -> None:
        conversation.welcome(data_bytes=100_000)
        while len(conversation.offers) < 2:
            conversation.hear()
        conversation.go(0)
        while (heard := conversation.hear())[0] != "E":
            pass
        conversation.take(0, heard[2])
        conversation.go(1)
        while len(conversation.received[1]) < 50_000:
            conversation.hear()
        act(conversation)

    return talk


def test_a_server_that_hangs_up_is_an_error_that_says_what_was_kept(
    loop: reactor.Reactor, paths: list[str], big: str
) -> None:
    """The outcomes say it file by file."""

    def hang_up(conversation: Conversation) -> None:
        conversation.socket.shutdown(socket.SHUT_WR)
        while conversation.exactly(65536):
            pass

    client, _ = send(loop, in_midst(hang_up), [paths[0], big])
    with pytest.raises(ConnectionFailure, match="1 of 2 files kept"):
        client.result()
    assert states(client) == [State.KEPT, State.SENDING]
    assert "ended before" in client.outcomes()[1].text


def test_a_reset_is_an_error_of_the_connection(loop: reactor.Reactor, paths: list[str], big: str) -> None:
    """A killed server, or a machine between that lost its mind; it may destroy an acknowledgement on its way."""

    def reset(conversation: Conversation) -> None:
        conversation.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    error = outcome_of(loop, in_midst(reset), [paths[0], big])
    assert isinstance(error, ConnectionFailure)
    assert "of 2 files kept" in str(error)


#: What is said while file 1 is being sent.
NONSENSE = {
    "unknown kind": b"?",
    "empty": b"",
    "second welcome": b"W\x01\x00\x01\x00\x00\x00\x01",
    "go for another": b"G" + struct.pack(">IQ", 7, 0),
    "go again": b"G" + struct.pack(">IQ", 1, 0),
    "kept too soon": b"K" + struct.pack(">I", 1),
    "kept another": b"K" + struct.pack(">I", 7),
    "refused another": b"R" + struct.pack(">IB", 7, 1),
    "too long": bytes(600_000),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_a_server_that_talks_nonsense_is_left(
    loop: reactor.Reactor, paths: list[str], big: str, name: str
) -> None:
    """It is an error of the peer, and no traceback; nothing is left open.  A file that is cut off in its midst may
    end in a reset, if the server has sent more than was read."""

    def nonsense(conversation: Conversation) -> None:
        conversation.say(NONSENSE[name])
        with suppress(ConnectionResetError):
            while conversation.exactly(65_536):
                pass

    error = outcome_of(loop, in_midst(nonsense), [paths[0], big])
    assert isinstance(error, reactor.errors.PeerError)
    assert loop.counters.callback_errors == 0


@pytest.mark.parametrize(
    "welcome", [b"W\x02\0\x04\0\0\x10\0", b"W\x01\0\0\0\0\x10\0", b"W\x01\0\x04\0\0\0\0", b"G" + bytes(12), b"?"]
)
def test_a_server_that_does_not_welcome_is_none(loop: reactor.Reactor, paths: list[str], welcome: bytes) -> None:
    """Another version, room for nothing, or another protocol."""

    def talk(conversation: Conversation) -> None:
        conversation.hear()
        conversation.say(welcome)
        assert conversation.hear()[0] == ""

    error = outcome_of(loop, talk, paths)
    assert isinstance(error, ConnectionFailure)
    assert "that is no upload server" in str(error)


def test_an_echo_server_is_found_out_to_be_none(loop: reactor.Reactor, paths: list[str]) -> None:
    """It says the hello back."""
    client = UploadClient(loop, paths)
    client.connect(Server(loop, "echo").listen_tcp("127.0.0.1").address)
    with pytest.raises(ConnectionFailure, match="no upload server"):
        loop.run_until(client, PATIENCE)


def test_nobody_listening_is_an_error_before_anything_is_opened(loop: reactor.Reactor, paths: list[str]) -> None:
    """As with every client."""
    client = UploadClient(loop, paths)
    client.connect(("127.0.0.1", 1))
    with pytest.raises(ConnectFailed):
        loop.run_until(client, PATIENCE)
    assert states(client) == [State.WAITING] * 2


def test_a_server_that_says_nothing_is_given_up(loop: reactor.Reactor, paths: list[str]) -> None:
    """After the timeout, and only then; the message says whether it has ever said anything."""

    def talk(conversation: Conversation) -> None:
        while conversation.hear()[0]:
            pass

    def welcome_and_talk(conversation: Conversation) -> None:
        conversation.welcome()
        talk(conversation)

    client, _ = send(loop, talk, paths, timeout=0.05)
    with pytest.raises(IdleTimeout, match=r"not said a word for 0\.05 s: it is no upload .*; 0 of 2 files kept"):
        client.result()
    client, _ = send(loop, welcome_and_talk, paths, timeout=0.2)
    with pytest.raises(IdleTimeout, match=r"nothing has moved for 0\.2 s; 0 of 2 files kept"):
        client.result()


def test_a_server_that_never_speaks_is_given_up_long_before_one_that_is_at_work(
    poller_name: str, paths: list[str]
) -> None:
    """It has no work to do before its first word, so the sender does not sit there for the whole timeout."""
    now = [0.0]
    with (
        reactor.Reactor(poller_name, clock=lambda: now[0]) as loop,
        socket.create_server(("127.0.0.1", 0)) as silent,
    ):
        client = UploadClient(loop, paths, timeout=60.0)
        client.connect(silent.getsockname())
        loop.run_until(lambda: client.is_open)
        now[0] += WELCOME_TIMEOUT - 0.1
        loop.run_once(0)
        assert not client.done()
        now[0] += 0.2
        with pytest.raises(IdleTimeout, match="has not said a word for 10 s"):
            loop.run_until(client)


def test_signs_of_life_are_heard_and_given(poller_name: str, paths: list[str]) -> None:
    """While the server is at work for longer than the timeout; and while a worker of ours is."""
    now = [0.0]
    with reactor.Reactor(poller_name, clock=lambda: now[0]) as loop:
        client = UploadClient(loop, paths[:1], timeout=60.0)

        def talk(conversation: Conversation) -> None:
            conversation.welcome()
            conversation.hear()
            for _ in range(3):
                conversation.say(b"B")
                loop.call_soon_threadsafe(lambda: now.__setitem__(0, now[0] + 29.0))
                assert conversation.exactly(5) == b"\0\0\0\1B"
            client.workers.pending -= 1
            conversation.go(0)
            conversation.hear()
            conversation.take(0, conversation.hear()[2])

        with PlainServer(talk) as server:
            client.connect(server.address)
            loop.run_until(lambda: client._under_way)
            client.workers.pending += 1  # somebody is at work, as far as the client can see
            while not client.done():
                loop.run_once(0)
        assert states(client) == [State.KEPT]
        assert SIGN_INTERVAL < 29.0 < 60.0 / 2
        assert 3 * 29.0 > 60.0


def test_a_client_may_be_given_up_at_any_time_and_leaves_nothing(loop: reactor.Reactor, big: str) -> None:
    """In the midst of a file, as Ctrl-C does."""
    client = UploadClient(loop, [big])

    def wait(conversation: Conversation) -> None:
        while conversation.hear()[0]:
            pass

    with PlainServer(in_midst_of_first(wait)) as server:
        client.connect(server.address)
        loop.run_until(lambda: client.outcomes()[0].state is State.SENDING, PATIENCE)
        client.abort(KeyboardInterrupt())
        loop.run_until(client.done, PATIENCE)
    with pytest.raises(KeyboardInterrupt):
        client.result()


def test_a_client_may_be_closed_in_the_midst_of_its_work_and_is_silent_then(
    loop: reactor.Reactor, big: str
) -> None:
    """A job of a worker was on its way back into the loop: nothing follows from it any more."""

    def wait(conversation: Conversation) -> None:
        while conversation.hear()[0]:
            pass

    client = UploadClient(loop, [big])
    with PlainServer(in_midst_of_first(wait)) as server:
        client.connect(server.address)
        loop.run_until(lambda: client.workers.pending and client.progress().bytes, PATIENCE)
        client.close()
        client.close()
        loop.run_until(client.done, PATIENCE)
    assert loop.counters.callback_errors == 0
    with pytest.raises(ConnectionFailure, match="this side has hung up; 0 of 1 file kept"):
        client.result()


def in_midst_of_first(act: Callable[[Conversation], None]) -> Callable[[Conversation], None]:
    """Return the talk of a server that lets the first file go and then does *act*."""

    def talk(conversation: Conversation) -> None:
        conversation.welcome()
        conversation.hear()
        conversation.go(0)
        act(conversation)

    return talk


def test_names_and_options_that_cannot_be_are_refused_before_connecting(loop: reactor.Reactor) -> None:
    """Two files with one name, a name that no server takes, no time."""
    with pytest.raises(OptionError, match="both be called 'a'"):
        UploadClient(loop, ["x/a", "y/a"])
    with pytest.raises(OptionError, match="begins with a dot"):
        UploadClient(loop, ["x/.a"])
    with pytest.raises(OptionError, match="it is empty"):
        UploadClient(loop, ["x/"])
    with pytest.raises(OptionError, match="timeout"):
        UploadClient(loop, ["a"], timeout=0)
