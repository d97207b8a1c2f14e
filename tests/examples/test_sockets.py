"""The examples about datagrams, addresses, names and kinds of sockets."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from ast import literal_eval
from contextlib import suppress
from pathlib import Path
from threading import Event

import pytest

import reactor
from reactor.service import start_with_sockets
from tests.cli.running import PATIENCE, Serving, environment
from tests.examples.running import Example, beside, example, receive, run_example, temporary

pytestmark = pytest.mark.slow


def ask(server: Serving, data: bytes) -> bytes:
    """Send a datagram from a socket of its own, and return the answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.sendto(data, server.socket_address)
        answer, address = client.recvfrom(65536)
        assert address == server.socket_address
        return answer


def test_every_datagram_is_answered_and_the_empty_one_too(poller_name: str) -> None:
    """Each one is answered, the empty one too; a client that has gone does no harm."""
    with Example(poller_name, "upper_datagrams", "0") as server:
        assert ask(server, b"hello world") == b"HELLO WORLD"
        assert ask(server, b"") == b""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"nobody waits for this", server.socket_address)
        assert ask(server, b"x" * 60_000) == b"X" * 60_000
        assert server.finish() == []


def test_sender_and_text_of_a_datagram_stand_in_the_output(poller_name: str) -> None:
    """What is no UTF-8 is printed as what it is: unknown."""
    with Example(poller_name, "greet_datagrams", "0") as server:
        assert ask(server, "服务器,我来了".encode()).decode() == "你好,我是服务器~"
        assert re.fullmatch(r"127\.0\.0\.1:\d+ 服务器,我来了", server.next_line())
        assert ask(server, b"\xff\xfe").decode() == "你好,我是服务器~"
        assert server.next_line().endswith("\ufffd\ufffd")
        assert server.finish() == []


def test_the_three_families_of_addresses_reach_one_server(poller_name: str) -> None:
    """A connection of each family; the datagrams as far as this machine's network carries them."""
    if not Path("/proc/net/if_inet6").exists():
        pytest.skip("no IPv6 here: one of the three families is missing")
    done = run_example(poller_name, "families")
    assert (done.status, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [re.sub(r"\d{4,5}, 0, 0", "PORT, 0, 0", line) for line in lines[:3]] == [
        "from ('::ffff:127.0.0.1', PORT, 0, 0)", "from ('::1', PORT, 0, 0)", "from a Unix socket",
    ]  # fmt: skip
    assert "大家好" in lines[3:]
    assert set(lines[3:]) <= {"大家好", "你们好"}


def test_a_socket_that_was_inherited_is_served(poller_name: str) -> None:
    """By its own parent; and by something like inetd, which gives it a connection, or a listener."""
    done = run_example(poller_name, "inherited")
    assert done == (0, "TO A PROCESS THAT WAS BORN WITH ITS SOCKET\n", "")
    mine, yours = socket.socketpair()
    with mine, yours:
        mine.sendall(b"connected")
        mine.shutdown(socket.SHUT_WR)
        assert run_example(poller_name, "inherited", stdin=yours.fileno()) == (0, "", "")
        assert receive(mine, 9) == b"CONNECTED"
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as one:
        one.connect(listener.getsockname())
        one.sendall(b"accepted")
        one.shutdown(socket.SHUT_WR)
        assert run_example(poller_name, "inherited", stdin=listener.fileno()) == (0, "", "")
        assert receive(one, 8) == b"ACCEPTED"


def test_a_listener_of_systemd_is_served_until_nobody_is_left(poller_name: str) -> None:
    """The end of one client is not that of the other; with the last one the program has done its work."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as one, socket.socket() as two:
        for client in (one, two):
            client.settimeout(PATIENCE)
            client.connect(listener.getsockname())
        variables = environment(REACTOR_SELECTOR=poller_name)
        pid = start_with_sockets(example("inherited"), {"web": listener}, variables)
        try:
            for client in (one, two):
                client.sendall(b"hello")
                assert receive(client, 5) == b"HELLO"
            one.close()
            for _ in range(3):  # the first of them may be heard together with that end
                two.sendall(b"again")
                assert receive(two, 5) == b"AGAIN"
            two.shutdown(socket.SHUT_WR)
            assert two.recv(1) == b""
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            raise
        finally:
            status = os.waitpid(pid, 0)[1]
        assert status == 0


def test_all_pollers_but_select_carry_a_thousand_connections(poller_name: str) -> None:
    """All that there are carry a thousand connections, but for select."""
    done = run_example(poller_name, "pollers")
    assert (done.status, done.stderr) == (0, "")
    first, *lines = done.stdout.splitlines()
    assert first.startswith("here are: ")
    assert [line.partition(":")[0] for line in lines] == first.removeprefix("here are: ").split()
    for line in lines:
        if line.startswith("select"):
            assert "use poll or epoll" in line
        else:
            assert line.endswith("1000 connections, 你好, THE LAST OF YOU")


def test_every_kind_of_name_is_looked_up(poller_name: str) -> None:
    """All is asked at once; what a machine knows of itself differs, the program's own table does not."""
    done = run_example(poller_name, "names")
    assert (done.status, done.stderr) == (0, "")
    answers = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert list(answers)[-2:] == ["asked again", "remembered answers"]
    assert answers["gethostbyname"] == answers["asked again"] == "127.0.0.1"
    assert answers["our own table"] == "('db.example', [], ['10.0.0.7'])"
    assert answers["a name without address"].startswith("gaierror: 'ads.example' has no address: ")
    assert answers["a name that is none"].startswith(("gaierror: ", "herror: ", "LookupTimeout: "))
    assert "('127.0.0.1', 80)" in answers["getaddrinfo"]
    tables = {"getservbyname": "80", "getservbyport": "domain", "getprotobyname": "1"}
    for question, expected in tables.items():
        assert answers[question] == expected or answers[question].startswith("ServiceUnknown: ")
    assert set(answers) >= {"gethostbyname_ex", "gethostbyaddr", "getfqdn", "getnameinfo"}
    assert int(answers["remembered answers"].split()[-1]) == 1


def test_three_messages_arrive_as_the_type_of_their_socket_has_it(poller_name: str) -> None:
    """A stream joins them and knows no empty one; datagrams and sequenced packets keep them apart."""
    done = run_example(poller_name, "socket_types")
    assert (done.status, done.stderr) == (0, "")
    stream, datagram, seqpacket, raw = done.stdout.splitlines()
    assert b"".join(literal_eval(stream.removeprefix("SOCK_STREAM: "))) == b"onethree"
    assert datagram == "SOCK_DGRAM: [b'one', b'', b'three']"
    assert seqpacket == "SOCK_SEQPACKET: [b'one', b'', b'three']"
    try:
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()
    except PermissionError:
        assert "not permitted" in raw
    else:
        assert raw == "SOCK_RAW: an echo reply from 127.0.0.1"


def test_each_address_of_a_name_is_tried(poller_name: str) -> None:
    """The first one refuses, the second one is a plain server; its client comes from where it was told to."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        port = server.getsockname()[1]

        def greet() -> None:
            sock, address = server.accept()
            with sock:
                seen.append(address[0])
                sock.sendall("你好\n".encode())

        seen: list[str] = []
        other = "127.0.0.3" if sys.platform == "linux" else "127.0.0.1"
        for arguments, source in (((), "127.0.0.1"), ((other,), other)):
            with beside(greet):
                done = run_example(poller_name, "connect", f"shop.example:{port}", *arguments)
            assert done == (0, f"connected to 127.0.0.1:{port}\nfrom {source}\n你好\nthe end\n", "")
            assert seen.pop() == source
    status, stdout, stderr = run_example(poller_name, "connect", f"shop.example:{port}")
    assert (status, stderr) == (0, "")
    assert stdout.startswith(f"failed: cannot connect to shop.example:{port}")
    assert stdout.count("refused") >= 2
    assert f"127.0.0.66:{port}" in stdout


def test_an_answer_comes_after_the_end_of_the_question_or_is_given_up(poller_name: str) -> None:
    """A plain server reads to the end of a question larger than any buffer; another one dribbles."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)

        def answer() -> None:
            sock, _ = server.accept()
            with sock, sock.makefile("rb") as question:
                size = sum(map(len, question))
                sock.sendall(b"%d bytes\nin " % size)
                sock.sendall("你好\n".encode())

        def dribble() -> None:
            sock, _ = server.accept()
            with sock, suppress(ConnectionError):
                while not gone.wait(0.02):
                    sock.sendall(b".")  # a byte now and then, and never a line

        gone = Event()

        address = reactor.format_address(server.getsockname())
        with beside(answer), temporary(5_000_000) as question:
            done = run_example(poller_name, "half_close", address, stdin=question.fileno())
            assert done == (0, "no delay: False\n5000000 bytes\nin 你好\ncomplete\n", "")
        with beside(dribble):
            status, stdout, _ = run_example(poller_name, "half_close", address, "0.2")
            gone.set()
            assert status == 0
            assert stdout == "no delay: False\nOperationTimeout: the answer did not come within 0.2 s\n"


def test_every_error_says_whose_fault_it_is(poller_name: str) -> None:
    """One line each: what happened, the class, the family, and the built-in class that programs catch."""
    done = run_example(poller_name, "errors")
    assert done.status == 0
    assert "Traceback" not in done.stderr
    assert [line.partition("):")[0] for line in done.stdout.splitlines()] == [
        "a frame of two gigabytes: FrameTooLong (PeerError, ValueError",
        "a silent peer: IdleTimeout (PeerError, TimeoutError",
        "nobody listens: ConnectFailed (ConnectionFailure, ConnectionError",
        "no address: ResolutionFailed (ConnectionFailure, ConnectionError",
        "a port in use: BindFailed (SystemLimit, OSError",
        "a port that is none: AddressError (UsageError, ValueError",
    ]
    assert all(len(line) > 90 for line in done.stdout.splitlines())
