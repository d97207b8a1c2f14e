"""The clients, on every poller: windows, order, and every way in which a conversation can fail."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

import reactor
from reactor.errors import ConnectFailed, ConnectionFailure, IdleTimeout, OptionError, PayloadRefused
from reactor.service.client import Client
from reactor.service.datagram_client import DatagramClient
from reactor.service.server import Server

PATIENCE = 10.0


@pytest.fixture
def loop(poller_name: str) -> Iterator[reactor.Reactor]:
    """A reactor on each poller."""
    with reactor.Reactor(poller_name) as made:
        yield made


def address_of(loop: reactor.Reactor, service: str, mode: str) -> tuple[str, int]:
    """Return where *service* is served."""
    address: tuple[str, int] = Server(loop, service, mode=mode).listen_tcp("127.0.0.1").address
    return address


@pytest.mark.parametrize("mode", ["line", "framed"])
@pytest.mark.parametrize("window", [1, 3, 1000])
def test_all_replies_come_in_order_whatever_the_window(loop: reactor.Reactor, mode: str, window: int) -> None:
    """One reply for each message, in the order of the messages."""
    messages = [b"%d" % number for number in range(500)]
    client = Client(loop, messages, mode=mode, window=window)
    client.connect(address_of(loop, "echo", mode))
    assert loop.run_until(client, PATIENCE) == messages


def test_no_more_than_a_window_is_on_its_way(loop: reactor.Reactor) -> None:
    """The iterator is asked for a message only when there is room for it."""
    ahead: list[int] = []

    def messages() -> Iterator[bytes]:
        for number in range(200):
            ahead.append(number - client.received)
            yield b"x"

    client = Client(loop, messages(), window=7)
    client.connect(address_of(loop, "echo", "framed"))
    loop.run_until(client, PATIENCE)
    assert max(ahead) == 7 - 1


def test_a_raw_conversation_ends_when_the_server_does(loop: reactor.Reactor) -> None:
    """Chunks have no ends: after the last message this side ends, and receives up to the server's end."""
    data = bytes(1_000_000)
    client = Client(loop, [data], mode="raw")
    client.connect(address_of(loop, "echo", "raw"))
    assert b"".join(loop.run_until(client, PATIENCE)) == data


def test_a_conversation_on_a_unix_socket_is_the_same(loop: reactor.Reactor, tmp_path: Path) -> None:
    """Only the address differs."""
    path = str(tmp_path / "s")
    Server(loop, "upper", mode="framed").listen_unix(path)
    client = Client(loop, [b"a", b""])
    client.connect(path)
    assert loop.run_until(client, PATIENCE) == [b"A", b""]


def test_a_message_that_comes_later_is_sent_when_more_is_called(loop: reactor.Reactor) -> None:
    """None means nothing at present, and is not the end."""
    at_hand = [b"one"]

    def messages() -> Iterator[bytes | None]:
        while not client.replies:
            yield at_hand.pop() if at_hand else None
        yield at_hand.pop() if at_hand else None
        yield at_hand.pop()

    client = Client(loop, messages())
    client.connect(address_of(loop, "upper", "framed"))
    loop.run_until(lambda: client.replies == [b"ONE"], PATIENCE)
    for _ in range(5):
        loop.run_once(0)
    assert not client.done()
    assert client.sent == 1
    at_hand.append(b"two")
    client.more()
    assert loop.run_until(client, PATIENCE) == [b"ONE", b"TWO"]


def test_nobody_listening_is_a_failure_to_connect(loop: reactor.Reactor) -> None:
    """The error of the connector is the result."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client = Client(loop, [b"a"])
        client.connect(unused.getsockname())
        with pytest.raises(ConnectFailed, match="ECONNREFUSED"):
            loop.run_until(client, PATIENCE)


def test_a_server_that_closes_early_is_a_failure_with_the_count_of_replies(loop: reactor.Reactor) -> None:
    """The word ``exit`` makes upper close: the reply to it never comes."""
    client = Client(loop, [b"a", b"exit", b"b"], mode="line")
    client.connect(address_of(loop, "upper", "line"))
    with pytest.raises(ConnectionFailure, match="closed the connection; 1 of 3 replies came"):
        loop.run_until(client, PATIENCE)
    assert client.replies == [b"A"]


def test_silence_is_a_timeout_with_the_count_of_replies(loop: reactor.Reactor) -> None:
    """greet says one thing only."""
    client = Client(loop, [b"a", b"b"], timeout=0.05)
    client.connect(address_of(loop, "greet", "framed"))
    with pytest.raises(IdleTimeout, match="1 of 2 replies came"):
        loop.run_until(client, PATIENCE)


@pytest.mark.parametrize(("expected", "replies"), [(0, []), (1, [b"welcome to my service~"])])
def test_as_many_replies_as_expected_make_it_complete(
    loop: reactor.Reactor, expected: int, replies: list[bytes]
) -> None:
    """A service that does not answer each message can be called all the same."""
    client = Client(loop, [b"a", b"b"], expected=expected)
    client.connect(address_of(loop, "greet", "framed"))
    assert loop.run_until(client, PATIENCE) == replies


def test_a_message_that_the_mode_cannot_carry_is_the_result(loop: reactor.Reactor) -> None:
    """It is refused before it is sent, and the conversation ends."""
    client = Client(loop, [b"fine", b"too long"], max_frame_length=4)
    client.connect(address_of(loop, "echo", "framed"))
    with pytest.raises(PayloadRefused):
        loop.run_until(client, PATIENCE)


def test_an_empty_message_on_a_raw_connection_is_the_result_and_not_a_wait(loop: reactor.Reactor) -> None:
    """Nothing would leave, so nothing could be answered: what was sent before it is not waited for either."""
    client = Client(loop, [b"fine", b""], mode="raw")
    client.connect(address_of(loop, "echo", "raw"))
    with pytest.raises(PayloadRefused, match="empty message"):
        loop.run_until(client, PATIENCE)


def test_what_the_messages_raise_is_the_result(loop: reactor.Reactor) -> None:
    """A file that cannot be read ends the conversation with its own error."""

    def messages() -> Iterator[bytes]:
        yield b"a"
        raise FileNotFoundError("gone")

    client = Client(loop, messages())
    client.connect(address_of(loop, "echo", "framed"))
    with pytest.raises(FileNotFoundError, match="gone"):
        loop.run_until(client, PATIENCE)


def test_large_messages_do_not_deadlock_with_an_echoing_server(loop: reactor.Reactor) -> None:
    """Both sides write more than the kernel buffers; both go on reading."""
    messages = [bytes([number]) * 1_000_000 for number in range(20)]
    client = Client(loop, messages, window=16)
    client.connect(address_of(loop, "echo", "framed"))
    assert loop.run_until(client, PATIENCE) == messages


def test_a_window_without_room_is_refused(loop: reactor.Reactor) -> None:
    """At least one message has to be on its way."""
    with pytest.raises(OptionError, match="window"):
        Client(loop, [], window=0)


# -- datagrams -------------------------------------------------------------------------------------------------


def test_datagrams_are_answered_one_after_the_other(loop: reactor.Reactor) -> None:
    """Empty ones too."""
    endpoint = Server(loop, "upper").open_datagram(("127.0.0.1", 0))
    client = DatagramClient(loop, [b"a", b"", b"c"])
    client.connect(endpoint.get_extra_info("sockname"))
    assert loop.run_until(client, PATIENCE) == [b"A", b"", b"C"]


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="abstract names are Linux's")
def test_unix_datagrams_are_answered_without_a_file_for_the_client(loop: reactor.Reactor, tmp_path: Path) -> None:
    """The client has an abstract name, so that it can be answered."""
    Server(loop, "upper").open_datagram(str(tmp_path / "s"))
    client = DatagramClient(loop, [b"a"])
    client.connect(str(tmp_path / "s"))
    assert loop.run_until(client, PATIENCE) == [b"A"]


def test_a_refused_datagram_is_a_failure(loop: reactor.Reactor) -> None:
    """The kernel says that nobody listens there, sooner than the timeout."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        address = unused.getsockname()
    client = DatagramClient(loop, [b"a"], timeout=PATIENCE)
    client.connect(address)
    with pytest.raises(ConnectionFailure, match="ECONNREFUSED"):
        loop.run_until(client, PATIENCE)


def test_a_lost_datagram_is_a_timeout(loop: reactor.Reactor) -> None:
    """Nothing is sent again; what came is there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        client = DatagramClient(loop, [b"a"], timeout=0.05)
        client.connect(silent.getsockname())
        with pytest.raises(IdleTimeout, match="0 of 1 reply came"):
            loop.run_until(client, PATIENCE)
