"""``reactor serve``: real processes, and the plain blocking clients of textbooks at the other end."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

import reactor
from tests.cli.running import PATIENCE, UNPRIVILEGED, Serving, command, environment, framings, run

pytestmark = pytest.mark.slow


def test_the_first_line_says_where_and_how_it_serves(poller_name: str) -> None:
    """The real port, the service, the mode, the poller and the framing."""
    with Serving("echo", "--port", "0", "--mode", "framed", "--selector", poller_name, "--accel", "pure") as server:
        assert server.socket_address[1] > 0
        rest = server.line.partition(": ")[2]
    assert rest == f"echo, framed messages, {poller_name}, pure framing, pid {server.process.pid}\n"


@pytest.mark.skipif("epoll" not in reactor.available_pollers(), reason="the pump needs epoll")
def test_pure_means_nothing_compiled_and_so_no_pump() -> None:
    """The first line says whether there is a pump; the option counts more than the environment."""
    words = ("echo", "--port", "0", "--selector", "epoll")
    with Serving(*words, "--accel", "pure", env=environment(REACTOR_PUMP="on")) as server:
        assert ", epoll, pure framing, " in server.line
    if "native" in framings():
        with Serving(*words, "--accel", "native", env=environment(REACTOR_ACCEL="pure")) as server:
            assert ", epoll+pump, native framing, " in server.line
        with Serving(*words, env=environment(REACTOR_PUMP="off")) as server:
            assert ", epoll, native framing, " in server.line


def test_a_textbook_client_has_its_words_in_upper_case(poller_name: str) -> None:
    """Connect, send, receive, close; then once more, because the server is still there."""
    with Serving("upper", "--port", "0", "--selector", poller_name) as server:
        for word in ("hello world", "grüße"):
            client = server.connect()
            client.send(word.encode("utf-8"))
            message = client.recv(1024)
            client.close()
            assert message.decode("utf-8") == word.upper()


def test_a_textbook_session_ends_with_the_word_exit(poller_name: str) -> None:
    """Two clients at once, each in its own loop of sending and receiving; ``exit`` ends one and not the other."""
    with Serving("upper", "--port", "0", "--mode", "line", "--selector", poller_name) as server:
        first, second = server.connect(), server.connect()
        with first, second:
            for word in (b"one", b"two"):
                for client in (first, second):
                    client.send(word + b"\n")
                    assert client.recv(1024) == word.upper() + b"\n"
            first.send(b"exit\n")
            assert first.recv(1024) == b""
            second.send(b"three\n")
            assert second.recv(1024) == b"THREE\n"


def test_the_greeting_comes_before_the_client_has_spoken(poller_name: str) -> None:
    """The client hears the welcome, says its own, and closes; the server prints what it heard, and from whom."""
    with Serving("greet", "--port", "0", "--selector", poller_name) as server:
        with server.connect() as client:
            assert client.recv(1024).decode("utf-8") == "welcome to my service~"
            client.sendall("你好,服务器,我来找你了~".encode())
            host, port = client.getsockname()
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1024) == b""
        ended = server.stop()
    assert f"{host}:{port} said '你好,服务器,我来找你了~'\n" in ended.stderr
    assert ended.status == 0


def test_each_of_many_clients_is_told_that_it_is_good(poller_name: str) -> None:
    """``X`` is answered with ``X好``, on each poller with the same transcript."""
    with Serving("hello", "--port", "0", "--selector", poller_name) as server:
        clients = [server.connect() for _ in range(20)]
        for number, client in enumerate(clients):
            client.sendall(f"你{number}".encode())
        for number, client in enumerate(clients):
            assert client.recv(1024).decode() == f"你{number}好"
            client.close()


def test_a_textbook_datagram_is_answered_and_its_sender_printed(poller_name: str) -> None:
    """Also an empty one: a datagram has a header, so nobody hangs."""
    with Serving("datagram", "--port", "0", "--selector", poller_name) as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(PATIENCE)
            for message in ("服务器,我来了", ""):
                client.sendto(message.encode(), server.socket_address)
                data, address = client.recvfrom(1024)
                assert data.decode() == "你好,我是服务器~"
                assert address == server.socket_address
            port = client.getsockname()[1]
        ended = server.stop()
    assert ended.stderr == f"127.0.0.1:{port} sent '服务器,我来了'\n127.0.0.1:{port} sent ''\n"
    assert ended.stdout.startswith("served 0 connections, 2 messages")


def test_a_textbook_datagram_is_upper_cased_when_upper_is_served_so() -> None:
    """The loop of one ``recvfrom`` and one ``sendto``."""
    with Serving("upper", "--udp", "--port", "0") as server, socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.sendto(b"hello world", server.socket_address)
        assert client.recvfrom(1024)[0] == b"HELLO WORLD"


@pytest.mark.parametrize("framing", ["pure", "native"])
def test_framed_messages_of_every_size_are_echoed(framing: str) -> None:
    """By hand: four bytes of length, then the payload; also an empty one."""
    if framing not in framings():
        pytest.skip("the C module is not installed")
    words = ("echo", "--port", "0", "--mode", "framed", "--accel", framing)
    with Serving(*words) as server, server.connect() as client:
        assert f"{framing} framing" in server.line
        wire = b"".join(struct.pack(">I", len(payload)) + payload for payload in (b"", b"a", bytes(70_000)))
        client.sendall(wire)
        received = b""
        while len(received) < len(wire):
            received += client.recv(65536)
        assert received == wire


def test_a_unix_socket_is_served_and_its_path_removed(tmp_path: Path) -> None:
    """A stale path of a server that was killed does not stand in the way of the next."""
    path = str(tmp_path / "s")
    with Serving("echo", "--unix", path) as server:
        assert server.address == f"unix:{path}"
        server.stop(signal.SIGKILL)
    assert Path(path).exists()
    with Serving("echo", "--unix", path) as server:
        with server.connect() as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
        assert server.stop().status == 0
    assert not Path(path).exists()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_what_was_served(signum: int, poller_name: str) -> None:
    """The open client sees an orderly end, the status is 0, and one line counts."""
    with Serving("echo", "--port", "0", "--selector", poller_name) as server, server.connect() as client:
        client.sendall(b"abc")
        assert client.recv(3) == b"abc"
        server.process.send_signal(signum)
        assert client.recv(1) == b""
        client.close()
        ended = server.wait()
    assert ended.status == 0
    assert ended.stdout == "served 1 connection, 1 message, 3 B in, 3 B out, 0 errors\n"
    assert ended.stderr == ""


def test_a_second_signal_does_not_wait_for_a_slow_client() -> None:
    """The grace of a client in the middle of a line ends with the second Ctrl-C."""
    with Serving("echo", "--mode", "line", "--port", "0", "--grace", "1000", "--verbose") as server:
        client = server.connect()
        client.sendall(b"first\nnever ended")
        assert client.recv(1024) == b"first\n"
        server.process.send_signal(signal.SIGINT)
        # It listens no more as soon as it has seen the signal; only then is a second one a second one.  Who knocks
        # in that very moment is reset instead of refused.
        while True:
            try:
                server.connect().close()
            except (ConnectionRefusedError, ConnectionResetError):
                break
        ended = server.stop(signal.SIGINT)
        client.close()
    assert ended.status == 0


def test_more_clients_than_allowed_wait_their_turn() -> None:
    """With one connection allowed, the second client is served when the first has left."""
    with Serving("echo", "--port", "0", "--max-connections", "1") as server:
        first, second = server.connect(), server.connect()
        with first, second:
            first.sendall(b"1")
            assert first.recv(1) == b"1"
            second.sendall(b"2")
            first.close()
            assert second.recv(1) == b"2"
        ended = server.stop()
    assert ended.stdout.startswith("served 2 connections, 2 messages")


def test_a_silent_client_is_closed_after_the_idle_timeout() -> None:
    """And it is counted."""
    with Serving("echo", "--port", "0", "--idle-timeout", "0.05", "--verbose") as server:
        with server.connect() as client:
            assert client.recv(1) == b""
        ended = server.stop()
    assert "no byte moved for 0.05 s" in ended.stderr
    assert "1 error" in ended.stdout


def test_bytes_that_are_no_text_are_one_line_on_stderr() -> None:
    """No traceback, a closed connection, and the server lives."""
    with Serving("upper", "--port", "0") as server:
        with server.connect() as client:
            client.sendall(b"\xff")
            assert client.recv(1) == b""
        with server.connect() as client:
            client.sendall(b"a")
            assert client.recv(1) == b"A"
        ended = server.stop()
    assert ended.stderr.count("\n") == 1
    assert "UTF-8" in ended.stderr


def test_a_reply_that_is_too_long_is_one_line_on_stderr() -> None:
    """A lawful line whose reply is longer than the limit: no traceback, and the other clients are served."""
    with Serving("upper", "--port", "0", "--mode", "line", "--max-frame-length", "4") as server:
        with server.connect() as other, server.connect() as client:
            client.sendall("ok\nŉŉ\n".encode())
            assert client.makefile("rb").read() == b"OK\n"
            other.sendall(b"a\n")
            assert other.recv(2) == b"A\n"
        ended = server.stop()
    assert ended.stderr.count("\n") == 1
    assert "the reply cannot be sent" in ended.stderr
    assert ended.stdout.endswith(", 1 error\n")


def test_a_server_goes_on_when_nobody_reads_what_it_says() -> None:
    """Its log is a closed pipe, and then a closed descriptor; the clients do not notice."""
    with Serving("greet", "--port", "0") as server:
        assert server.process.stdout is not None
        assert server.process.stderr is not None
        server.process.stdout.close()
        server.process.stderr.close()
        for _ in range(3):
            with server.connect() as client:
                client.sendall(b"hello")
                client.shutdown(socket.SHUT_WR)
                assert client.makefile("rb").read() == b"welcome to my service~"
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE) == 0


def test_a_server_works_when_its_standard_descriptors_are_closed(tmp_path: Path) -> None:
    """No socket takes the place of stdout, so no message for a person is sent to a client."""
    path = str(tmp_path / "s")
    words = " ".join(f"'{word}'" for word in command("serve", "greet", "--unix", path))
    with subprocess.Popen(["sh", "-c", f"exec {words} <&- >&- 2>&-"], env=environment()) as process:
        client = connected_when_there(path, process)
        with client:
            client.settimeout(PATIENCE)
            client.sendall(b"hello")
            client.shutdown(socket.SHUT_WR)
            assert client.makefile("rb").read() == b"welcome to my service~"
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def connected_when_there(path: str, process: subprocess.Popen[bytes]) -> socket.socket:
    """Return a socket that is connected to *path*, as soon as *process*, which cannot say so, listens there."""
    while process.poll() is None:
        client = socket.socket(socket.AF_UNIX)
        try:
            client.connect(path)
            return client
        except OSError:
            client.close()
    raise AssertionError(f"it ended with status {process.returncode}")


# -- what cannot be ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["echo", "--host", "192.0.2.1"], 1, "192.0.2.1"),
        (["echo", "--host", "host.invalid"], 1, "host.invalid"),
        (["echo", "--host", "not a host"], 1, "not a host"),
        (["echo", "--port", "70000"], 2, "65535"),
        (["echo", "--port", "1_0"], 2, "65535"),
        (["ecko"], 2, "invalid choice"),
        (["echo", "--selector", "fastpoll"], 2, "invalid choice"),
        (["echo", "--mode", "cooked"], 2, "invalid choice"),
        (["echo", "--max-connections", "0"], 2, "from 1"),
        (["echo", "--idle-timeout", "nan"], 2, "positive"),
        (["greet", "--udp"], 2, "streams only"),
        (["datagram", "--max-connections", "5"], 2, "for connections"),
        (["echo", "--unix", "x" * 200], 2, "200 bytes"),
        (["echo", "--unix", "no/such/folder/s"], 1, "folder"),
        (["echo", "--unix", ""], 2, "empty path"),
        (["echo", "--unix", "s", "--port", "0"], 2, "not both"),
        (["datagram", "--unix", "s", "--host", "127.0.0.1"], 2, "not both"),
        (["echo", "--no-such-option"], 2, "unrecognized"),
    ],
)
def test_what_cannot_be_served_is_one_line_and_a_status(words: list[str], status: int, text: str) -> None:
    """1 for what this machine cannot do, 2 for what makes no sense; never a traceback."""
    ended = run("serve", *words)
    assert (ended.status, ended.stdout) == (status, "")
    assert ended.stderr.count("\n") == 1
    assert text in ended.stderr


def test_a_host_without_an_address_is_told_as_call_does() -> None:
    """Without the number of the error, and with what to do about it, if anything is known."""
    place = "no.such.host.invalid"
    served, called = run("serve", "echo", "--host", place), run("call", f"{place}:1", "x")
    assert served.status == 1
    assert "Errno" not in served.stderr
    assert served.stderr.removeprefix("reactor serve") == called.stderr.removeprefix("reactor call")


def test_a_selector_that_this_system_does_not_have_is_one_line() -> None:
    """By option, if it exists somewhere; by variable, whatever it is."""
    for words, env in ((("--selector", "kqueue"), environment()), ((), environment(REACTOR_SELECTOR="nonsense"))):
        ended = run("serve", "echo", "--port", "0", *words, env=env)
        if sys.platform == "linux" or not words:
            assert ended.status == 1
            assert "this system has" in ended.stderr


def test_native_framing_that_is_missing_is_one_line(tmp_path: Path) -> None:
    """Whoever demands it wants to know."""
    blocker = tmp_path / "sitecustomize.py"
    blocker.write_text("import sys\nsys.modules['reactor._accel'] = None\n", encoding="utf-8")
    env = environment()
    env["PYTHONPATH"] = os.pathsep.join([str(tmp_path), env["PYTHONPATH"]])
    ended = run("serve", "echo", "--port", "0", "--accel", "native", env=env)
    assert ended.status == 1
    assert ended.stderr.count("\n") == 1
    assert "native" in ended.stderr


def test_a_taken_port_is_one_line_that_names_the_holder() -> None:
    """Who it is, if the system tells."""
    with Serving("echo", "--port", "0") as server:
        ended = run("serve", "echo", "--port", str(server.socket_address[1]))
    assert ended.status == 1
    assert ended.stderr.count("\n") == 1
    assert server.address in ended.stderr
    if sys.platform == "linux":
        assert f"pid {server.process.pid}" in ended.stderr


@pytest.mark.parametrize("place", ["port", "path"])
def test_a_missing_permission_is_one_line(place: str, tmp_path: Path) -> None:
    """A low port, and a folder in which one may not write, for somebody without privileges."""
    if place == "port" and lowest_free_port() <= 80:
        pytest.skip("on this system everybody may take port 80")
    words = ["--port", "80"] if place == "port" else ["--unix", "/s"]
    starter = [sys.executable, "-c", UNPRIVILEGED] if os.geteuid() == 0 else [sys.executable, "-m", "reactor"]
    done = subprocess.run(
        [*starter, "serve", "echo", *words], env=environment(), cwd=tmp_path, capture_output=True, text=True,
        timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "EACCES" in done.stderr


def lowest_free_port() -> int:
    """Return the lowest port that everybody may take."""
    try:
        return int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text(encoding="ascii"))
    except OSError:
        return 1024
