"""The examples about connections: one after the other, many at once, and badly ended."""

from __future__ import annotations

import select
import signal
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.running import PATIENCE, Serving, run
from tests.examples.running import RESET, Example, framed, receive, receive_frame, receive_line, run_example

pytestmark = pytest.mark.slow


def test_a_silent_client_keeps_nobody_waiting_when_texts_are_made_upper_case(poller_name: str) -> None:
    """A client that is served while another one says nothing, and one whose text is cut anywhere."""
    with Example(poller_name, "upper", "0") as server:
        with server.connect(), server.connect() as client:
            client.sendall(b"hello world")
            assert receive(client, 11) == b"HELLO WORLD"
            for byte in "grüße 你好".encode():
                client.sendall(bytes([byte]))
            assert receive(client, 14) == "GRüßE 你好".encode()
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""
        assert server.finish() == []


@pytest.mark.parametrize("name", ["upper", "hello"])
def test_who_reads_late_gets_everything(name: str, poller_name: str) -> None:
    """As long as a client does not read its replies, the server takes no more from it, and drops none."""
    with Example(poller_name, name, "0") as server, server.connect() as client:
        client.setblocking(False)
        sent = 0
        while sent < 40_000_000 and select.select([], [client], [], 0.3)[1]:
            sent += client.send(b"a" * 1_000_000)
        client.setblocking(True)
        client.settimeout(PATIENCE)
        client.shutdown(socket.SHUT_WR)
        replies = b""
        while data := client.recv(1_000_000):
            replies += data
        assert replies.count(b"A" if name == "upper" else b"a") == sent
        assert server.stop(signal.SIGINT).status == 0


def test_a_session_ends_by_the_word_or_by_the_end_of_its_client(poller_name: str) -> None:
    """A conversation ends by the word, or by the client's end; what comes behind the word is not answered."""
    with Example(poller_name, "session", "0") as server:
        with server.connect() as one, server.connect() as two:
            name = "{}:{}".format(*one.getsockname())
            assert {server.next_line(), server.next_line()} >= {f"{name} connected"}
            two.sendall(b"me")
            for word in (b"hello", b"", b"again"):
                one.sendall(word + b"\n")
                assert receive_line(one) == word.upper() + b"\n"
            one.sendall(b"last\nexit\nnever\n")
            assert receive(one, 100) == b"LAST\n"
            assert server.next_line() == f"{name} closed after 4 lines"
            two.sendall(b" too\n")
            assert receive_line(two) == b"ME TOO\n"
            two.shutdown(socket.SHUT_WR)
            assert two.recv(1) == b""
            assert server.next_line().endswith("closed after 1 lines")
        assert server.finish() == []


def test_empty_frames_are_answered_and_too_long_ones_end_their_connection(poller_name: str) -> None:
    """An empty frame is a message; one that is announced too long ends the connection, and no other."""
    with Example(poller_name, "empty_messages", "0") as server:
        with server.connect() as client, server.connect() as liar:
            client.sendall(framed(b"") + framed(b"hello") + framed(b""))
            assert [receive_frame(client) for _ in range(3)] == [b"", b"HELLO", b""]
            liar.sendall(struct.pack("!I", 2**31))
            assert liar.recv(1) == b""
            client.sendall(framed(b"still here"))
            assert receive_frame(client) == b"STILL HERE"
            client.sendall(b"\0\0")
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""
        ended = server.stop(signal.SIGINT)
        assert ended.status == 0
        lines = ended.stdout.splitlines()
        assert [line for line in lines if line.startswith("a message")] == [
            f"a message of {size} bytes" for size in (0, 5, 0, 10)
        ]
        assert len(lines) == 6
        assert "Traceback" not in ended.stderr


def test_an_empty_message_is_refused_where_it_would_not_arrive() -> None:
    """A stream of bytes has no empty messages: the client says so instead of waiting for an answer."""
    with Serving("upper", "--port", "0") as server:
        status, _, stderr = run("call", server.address, "")
        assert status != 0
        assert "empty" in stderr


CLIENT = """
import os, signal, socket, sys
client = socket.create_connection((sys.argv[1], int(sys.argv[2])))
client.sendall(b"hello")
assert client.recv(100)
client.sendall(b"an answer that nobody reads")
client.recv(1, socket.MSG_PEEK)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_client_that_is_killed_ends_no_connection_but_its_own(poller_name: str) -> None:
    """A client that is killed with an unread answer, one that resets, one that ends: the fourth notices nothing."""
    with Example(poller_name, "killed_clients", "0") as server, server.connect() as witness:
        killed = subprocess.run([sys.executable, "-c", CLIENT, *map(str, server.socket_address)], check=False)
        assert killed.returncode == -signal.SIGKILL
        assert server.next_line().startswith("a client was lost: ")
        with server.connect() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        assert server.next_line().startswith("a client was lost: ")
        with server.connect() as client:
            client.sendall(b"a")
            assert client.recv(1) == b"A"
        assert server.next_line() == "a client ended"
        witness.sendall(b"and I")
        assert receive(witness, 5) == b"AND I"
        assert server.stop(signal.SIGINT).status == 0


def test_the_greeting_comes_first_and_no_character_is_cut(poller_name: str) -> None:
    """The greeting comes first; a character that arrives in two pieces is printed whole."""
    with Example(poller_name, "greet", "0") as server:
        with server.connect() as client, server.connect() as other:
            assert receive(client, 22) == b"welcome to my service~"
            text = "你好,服务器,我来找你了~".encode()
            client.sendall(text[:4])
            assert receive(other, 22) == b"welcome to my service~"
            client.sendall(text[4:])
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""
        assert "你好,服务器,我来找你了~" in server.finish()


def test_each_of_many_clients_gets_its_own_greeting(poller_name: str) -> None:
    """Many clients at once, each with its own character; the transcript is the same on every poller."""
    with Example(poller_name, "hello", "0") as server:
        clients = [server.connect() for _ in range(50)]
        for client in clients:
            client.sendall("你".encode())
        assert [receive(client, 6).decode() for client in clients] == ["你好"] * 50
        clients[0].sendall("我".encode()[:2])
        clients[1].sendall("们".encode())
        assert receive(clients[1], 6).decode() == "们好"
        clients[0].sendall("我".encode()[2:])  # half a character has waited for its other half
        assert receive(clients[0], 6).decode() == "我好"
        names = {"{}:{}".format(*client.getsockname()) for client in clients}
        for client in clients:
            client.close()
        lines = [server.next_line() for _ in range(100)]
        assert {line.removeprefix("accept ") for line in lines if line.startswith("accept")} == names
        assert {line.removeprefix("exit ") for line in lines if line.startswith("exit")} == names
        ended = server.stop(signal.SIGINT)
        assert (ended.status, ended.stderr) == (0, f"waiting with {poller_name}\n")


def test_a_port_is_free_again_at_once_when_its_server_has_ended(poller_name: str, tmp_path: Path) -> None:
    """A second server is told who is in its way; after the first one a third has the port at once."""
    with Example(poller_name, "listen_again", "0") as server:
        port = str(server.socket_address[1])
        with server.connect() as client:
            assert receive_line(client) == b"bye\n"
            assert client.recv(1) == b""  # the server's end came first: TIME_WAIT is with it
        second = run_example(poller_name, "listen_again", port)
        assert (second.status, second.stdout, second.stderr.count("\n")) == (1, "", 1)
        assert f"127.0.0.1:{port}" in second.stderr
        assert f"pid {server.process.pid}" in second.stderr
        assert server.finish() == []
    with Example(poller_name, "listen_again", port) as third, third.connect() as client:
        assert receive_line(client) == b"bye\n"


def test_a_peer_that_turns_bytes_by_hand_is_understood(poller_name: str) -> None:
    """A client that puts the length together by hand gets back its own address, in bytes."""
    with Example(poller_name, "byte_order", "0") as server:
        with server.connect() as client:
            client.sendall(struct.pack("=I", socket.htonl(3)) + b"who")
            size = socket.ntohl(struct.unpack("=I", receive(client, 4))[0])
            answer = receive(client, size)
            assert socket.inet_ntop(socket.AF_INET, answer[:4]) == "127.0.0.1"
            assert struct.unpack("!H", answer[4:]) == client.getsockname()[1:]
        assert server.finish() == []


def test_what_one_guest_says_is_heard_by_all(poller_name: str) -> None:
    """What one says, all hear; who says exit has gone."""
    with Example(poller_name, "chat", "0") as server:
        with server.connect() as alice, server.connect() as bob:
            alice.sendall("你好\n".encode())
            assert receive_line(alice).decode() == "你好\n"
            bob.sendall(b"hello ")
            bob.sendall(b"alice\n")
            assert receive_line(bob) == b"hello alice\n" or receive_line(bob) == b"hello alice\n"
            assert receive_line(alice) == b"hello alice\n"
            bob.sendall(b"exit\n")
            assert bob.recv(1) == b""
            alice.sendall(b"alone\n")
            assert receive_line(alice) == b"alone\n"
        with server.connect() as carol:
            # Who is heard now came after the others had gone: an exception strikes nobody who is just being closed.
            carol.sendall(b"last\n")
            assert receive_line(carol) == b"last\n"
            assert server.finish() == []


def test_who_does_not_listen_in_a_chat_has_to_go_and_nobody_else(poller_name: str) -> None:
    """A guest who reads nothing, one who has gone without a word, one whose line has no end: the speaker stays."""
    with Example(poller_name, "chat", "0") as server, server.connect() as alice:
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(server.socket_address)
        with deaf, server.connect() as endless:
            endless.sendall(b"x" * 100_000)
            assert " has to go: " in server.next_line()
            with suppress(ConnectionResetError):
                assert endless.recv(1) == b""
            line = b"y" * 999 + b"\n"
            for _ in range(8000):  # more than any socket holds
                alice.sendall(line)
                assert receive_line(alice, 1000) == line
            deaf.settimeout(PATIENCE)
            heard = 0
            with suppress(ConnectionResetError):
                while data := deaf.recv(65536):
                    heard += len(data)
            assert heard < 8_000_000
        gone = [server.connect() for _ in range(20)]
        for guest in gone:
            guest.sendall(b"here\n")
            while receive_line(alice) != b"here\n":
                pass
        for guest in gone:
            guest.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            guest.close()
        alice.sendall(b"alone\n")
        assert receive_line(alice) == b"alone\n"
        assert server.finish() == []
