"""``reactor serve --activation``: started by inetd, by systemd and by systemd's own tool, in real processes.

The two parents here are a few lines each: that is all there is to either protocol.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from reactor.auth import Key
from reactor.service.activation import start_with_sockets
from reactor.service.key_file import write_key
from tests.auth.by_hand import Refused, prove_to_server
from tests.auth.sides import ANOTHER_SECRET, SECRET
from tests.cli.running import PATIENCE, command, environment, run
from tests.cli.test_serve import connected_when_there

pytestmark = pytest.mark.slow

ACTIVATE = shutil.which("systemd-socket-activate")

BY_SYSTEMD = pytest.mark.skipif(ACTIVATE is None, reason="systemd-socket-activate is not on this machine")


@contextmanager
def ended(process: subprocess.Popen[Any]) -> Iterator[subprocess.Popen[Any]]:
    """Kill *process* at the end, if it still runs."""
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def by_inetd(sock: socket.socket, *words: str, stderr: Any = None) -> subprocess.Popen[Any]:
    """Start ``reactor serve`` as inetd does: the socket is 0, 1 and, as a rule, 2."""
    return subprocess.Popen(
        command("serve", *words, "--activation", "inetd"), env=environment(), stdin=sock, stdout=sock,
        stderr=sock if stderr is None else stderr,
    )  # fmt: skip


def said_to(address: Any, words: bytes, family: int = socket.AF_INET) -> bytes:
    """Connect, say *words* and that there are no more, and return all that is answered."""
    with socket.socket(family) as client:
        client.settimeout(PATIENCE)
        client.connect(address)
        client.sendall(words)
        client.shutdown(socket.SHUT_WR)
        return client.makefile("rb").read()


# -- inetd -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("talk", ["--verbose", "--quiet"])
def test_inetd_starts_a_server_for_each_connection(poller_name: str, talk: str) -> None:
    """``nowait``: it serves that one, ends with it, and the client hears nothing but the service."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for word in (b"hello\n", b""):
            client = socket.create_connection(listener.getsockname(), timeout=PATIENCE)
            with client, listener.accept()[0] as connection:
                words = ("upper", "--mode", "line", "--selector", poller_name, talk)
                with ended(by_inetd(connection, *words)) as process:
                    connection.close()
                    client.sendall(word)
                    client.shutdown(socket.SHUT_WR)
                    assert client.makefile("rb").read() == word.upper()
                    assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize("secret", [SECRET, ANOTHER_SECRET])
def test_a_key_is_asked_for_on_a_connection_that_was_handed_over(secret: bytes, tmp_path: Path) -> None:
    """The gate stands in front of it as of any other, and the server waits for the proof."""
    path = tmp_path / "keys"
    write_key(str(path), Key("app-1", SECRET))
    left, right = socket.socketpair()
    words = ("upper", "--mode", "line", "--auth-key", str(path), "--quiet")
    with left, right, ended(by_inetd(right, *words, stderr=subprocess.DEVNULL)) as process:
        right.close()
        left.settimeout(PATIENCE)
        if secret is SECRET:
            prove_to_server(left, b"app-1", secret)
            left.sendall(b"hello\n")
            left.shutdown(socket.SHUT_WR)
            assert left.makefile("rb").read() == b"HELLO\n"
        else:
            with pytest.raises(Refused):
                prove_to_server(left, b"app-1", secret)
        assert process.wait(PATIENCE) == 0


def test_a_message_for_a_person_goes_to_the_log_and_not_to_the_client() -> None:
    """Where stderr is another file, it stays."""
    left, right = socket.socketpair()
    with left, right, ended(by_inetd(right, "greet", stderr=subprocess.PIPE)) as process:
        right.close()
        left.settimeout(PATIENCE)
        left.sendall(b"hello")
        left.shutdown(socket.SHUT_WR)
        assert left.makefile("rb").read() == b"welcome to my service~"
        assert process.wait(PATIENCE) == 0
        assert process.stderr is not None
        assert b"said 'hello'" in process.stderr.read()


def test_inetd_hands_over_its_listening_socket(poller_name: str) -> None:
    """``wait``: it serves until nobody has come for a while; inetd has kept the socket, and starts it again."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for _ in range(2):
            words = ("upper", "--selector", poller_name, "--exit-idle", "0.1")
            with ended(by_inetd(listener, *words)) as process:
                for word in (b"one", b"two"):
                    assert said_to(listener.getsockname(), word) == word.upper()
                assert process.wait(PATIENCE) == 0
        assert listener.getsockname()


def test_a_silent_client_keeps_an_idle_server_alive() -> None:
    """It is somebody who is there."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname(), timeout=PATIENCE) as client,
        ended(by_inetd(listener, "upper", "--exit-idle", "0.05")) as process,
    ):
        client.sendall(b"one")
        assert client.recv(100) == b"ONE"
        assert select.select([client], [], [], 0.3)[0] == [], "it was closed"
        client.sendall(b"two")
        assert client.recv(100) == b"TWO"
        client.close()
        assert process.wait(PATIENCE) == 0


def test_inetd_hands_over_a_datagram_socket(poller_name: str) -> None:
    """The first datagram, for which the server was started, is in its queue."""
    with socket.socket(type=socket.SOCK_DGRAM) as server, socket.socket(type=socket.SOCK_DGRAM) as client:
        server.bind(("127.0.0.1", 0))
        client.settimeout(PATIENCE)
        client.sendto(b"first", server.getsockname())
        with ended(by_inetd(server, "upper", "--selector", poller_name)) as process:
            assert client.recv(100) == b"FIRST"
            client.sendto(b"second", server.getsockname())
            assert client.recv(100) == b"SECOND"
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0


# -- systemd ---------------------------------------------------------------------------------------------------


@contextmanager
def by_systemd(sockets: dict[str, socket.socket], *words: str) -> Iterator[int]:
    """Start ``reactor serve`` as systemd does; it is told to stop at the end, and its status must be 0."""
    pid = start_with_sockets(command("serve", *words, "--activation", "systemd"), sockets, environment())
    try:
        yield pid
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    os.kill(pid, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_systemd_hands_over_sockets_of_several_kinds(poller_name: str, tmp_path: Path) -> None:
    """TCP, a Unix path and datagrams, all of one service; the path stays, since it is systemd's."""
    path = str(tmp_path / "socket")
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as unix,
        socket.socket(type=socket.SOCK_DGRAM) as udp,
        socket.socket(type=socket.SOCK_DGRAM) as client,
    ):
        unix.bind(path)
        unix.listen()
        udp.bind(("127.0.0.1", 0))
        client.settimeout(PATIENCE)
        sockets = {"web": tcp, "local": unix, "datagrams": udp}
        with by_systemd(sockets, "echo", "--selector", poller_name, "--quiet"):
            assert said_to(tcp.getsockname(), b"tcp") == b"tcp"
            assert said_to(path, b"unix", socket.AF_UNIX) == b"unix"
            client.sendto(b"udp", udp.getsockname())
            assert client.recv(100) == b"udp"
        assert os.path.exists(path)
        # Whoever connects in between waits, and is served by the next.
        waiting = socket.create_connection(tcp.getsockname(), timeout=PATIENCE)
        with waiting, by_systemd(sockets, "echo", "--quiet"):
            waiting.sendall(b"patience")
            assert waiting.recv(100) == b"patience"
            waiting.close()


def test_systemd_hands_over_a_single_connection() -> None:
    """``Accept=yes``: one process for each connection, which ends with it."""
    left, right = socket.socketpair()
    with left:
        pid = start_with_sockets(
            command("serve", "upper", "--activation", "systemd", "--quiet"), {"connection": right}, environment()
        )
        right.close()
        left.settimeout(PATIENCE)
        left.sendall(b"hello")
        assert left.recv(100) == b"HELLO"
        left.close()
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "no socket was handed over: LISTEN_FDS is not set, or LISTEN_PID is another process"),
        (("--port", "80"), "--port is settled with --activation"),
        (("--unix", "x"), "--unix is settled"),
        (("--backlog", "5"), "--backlog is settled"),
        (("--udp",), "--udp and --reuse-port are settled"),
    ],
)
def test_it_says_what_is_wrong_when_nothing_can_be_served(words: tuple[str, ...], complaint: str) -> None:
    """One line, and the status of a wrong command line."""
    ended = run("serve", "echo", "--activation", "systemd", *words)
    assert (ended.status, ended.stdout) == (2, "")
    assert ended.stderr.startswith("reactor serve: ")
    assert complaint in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_it_says_so_when_stdin_is_no_socket() -> None:
    """A person has typed it into a terminal."""
    ended = run("serve", "echo", "--activation", "inetd")
    assert ended.status == 2
    assert "descriptor 0, which inetd makes a socket, is no socket" in ended.stderr


def test_idleness_is_no_reason_to_end_when_nobody_would_start_it_again() -> None:
    """--exit-idle without --activation."""
    ended = run("serve", "echo", "--port", "0", "--exit-idle", "5")
    assert ended.status == 2
    assert "--exit-idle is for --activation" in ended.stderr


@pytest.mark.parametrize(
    ("kind", "service", "words", "complaint"),
    [
        ("SOCK_SEQPACKET", "echo", (), "the socket 'odd' is a seqpacket listener; serve takes streams"),
        ("SOCK_DGRAM", "greet", (), "the service 'greet' is for streams only"),
        ("SOCK_DGRAM", "echo", ("--max-connections", "1"), "--max-connections is for connections"),
        ("SOCK_STREAM", "datagram", (), "the service 'datagram' is for datagrams only"),
    ],
)
def test_it_says_so_when_a_socket_is_not_for_the_service(
    tmp_path: Path, kind: str, service: str, words: tuple[str, ...], complaint: str
) -> None:
    """One line in the journal; the sockets are closed again."""
    out = tmp_path / "out"
    with socket.socket(socket.AF_UNIX, getattr(socket, kind)) as odd, out.open("wb") as log:
        odd.bind(str(tmp_path / "socket"))
        if kind != "SOCK_DGRAM":
            odd.listen()
        saved = os.dup(2)
        os.dup2(log.fileno(), 2)
        try:
            words = ("serve", service, "--activation", "systemd", *words)
            pid = start_with_sockets(command(*words), {"odd": odd}, environment())
        finally:
            os.dup2(saved, 2)
            os.close(saved)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 2
    assert complaint in out.read_text()
    assert out.read_text().count("\n") == 1


# -- systemd's own tool ----------------------------------------------------------------------------------------


def activated(path: str, *options: str, words: tuple[str, ...] = ("echo", "--activation", "systemd")) -> Any:
    """Start ``systemd-socket-activate`` on a Unix path; it starts the server when somebody comes."""
    assert ACTIVATE is not None
    variables = [word for name, value in environment().items() for word in ("-E", f"{name}={value}")]
    return subprocess.Popen(
        [ACTIVATE, "-l", path, *options, *variables, *command("serve", *words)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


@BY_SYSTEMD
def test_the_tool_of_systemd_starts_a_server_at_the_first_client(tmp_path: Path) -> None:
    """The client that started it is served, and the next; then SIGTERM ends it."""
    path = str(tmp_path / "socket")
    with ended(activated(path, "--fdname", "web")) as process:
        with connected_when_there(path, process) as client:
            client.settimeout(PATIENCE)
            client.sendall(b"first")
            assert client.recv(100) == b"first"
        assert said_to(path, b"second", socket.AF_UNIX) == b"second"
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


@BY_SYSTEMD
@pytest.mark.parametrize("options", [("--accept",), ("--accept", "--inetd")])
def test_the_tool_of_systemd_starts_a_server_for_each_client(tmp_path: Path, options: tuple[str, ...]) -> None:
    """As ``Accept=yes``, in either protocol."""
    path = str(tmp_path / "socket")
    protocol = "inetd" if "--inetd" in options else "systemd"
    with ended(activated(path, *options, words=("upper", "--activation", protocol))) as process:
        for number in range(2):
            with connected_when_there(path, process) as client:
                client.settimeout(PATIENCE)
                client.sendall(b"client %d" % number)
                client.shutdown(socket.SHUT_WR)
                assert client.makefile("rb").read() == b"CLIENT %d" % number


@BY_SYSTEMD
def test_the_tool_of_systemd_hands_over_datagrams(tmp_path: Path) -> None:
    """The datagram that started the server is answered too."""
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.bind(str(tmp_path / "client"))
        client.settimeout(PATIENCE)
        with ended(activated(path, "--datagram", words=("upper", "--activation", "systemd"))) as process:
            while process.poll() is None:
                try:
                    client.sendto(b"hello", path)
                    break
                except (FileNotFoundError, ConnectionRefusedError):
                    pass
            assert client.recv(100) == b"HELLO"
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
