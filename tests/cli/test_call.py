"""``reactor call``: arguments, files, pipes and a terminal as sources, and every way in which a call can fail."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import reactor
from tests.cli.running import PATIENCE, Serving, command, environment, run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def upper() -> Iterator[Serving]:
    """A server of lines in upper case."""
    with Serving("upper", "--port", "0", "--mode", "line") as server:
        yield server


@pytest.fixture(scope="module")
def echo() -> Iterator[Serving]:
    """A raw echo."""
    with Serving("echo", "--port", "0") as server:
        yield server


@pytest.mark.parametrize("mode", ["raw", "line", "framed"])
def test_messages_from_the_arguments_are_answered_in_order(mode: str, poller_name: str) -> None:
    """Each reply is a line of output; options may stand anywhere."""
    with Serving("upper", "--port", "0", "--mode", mode, "--selector", poller_name) as server:
        ended = run("call", server.address, "hello", "--mode", mode, "grüße", "--selector", poller_name)
    assert ended == (0, "HELLO\nGRÜSSE\n", "")


def test_an_empty_message_is_a_message_when_it_has_an_end(upper: Serving) -> None:
    """An empty line is answered with an empty line."""
    assert run("call", upper.address, "--mode", "line", "a", "", "b") == (0, "A\n\nB\n", "")


def test_an_empty_message_is_refused_when_it_has_no_end(echo: Serving) -> None:
    """In raw mode nothing would be sent, and both sides would wait for each other."""
    ended = run("call", echo.address, "")
    assert ended.status == 2
    assert ended.stderr.count("\n") == 1
    assert "empty message" in ended.stderr


def test_lines_from_a_pipe_are_answered_in_order(upper: Serving) -> None:
    """Many more than a window of them; the last one without its newline."""
    lines = "\n".join(f"line {number}" for number in range(5000))
    assert run("call", upper.address, "--mode", "line", stdin=lines.encode()) == (0, lines.upper() + "\n", "")


def test_bytes_from_a_pipe_come_back_as_they_are_when_it_is_raw(echo: Serving) -> None:
    """``reactor call ADDRESS < file > copy``."""
    data = os.urandom(1_000_000)
    done = subprocess.run(
        command("call", echo.address), input=data, env=environment(), capture_output=True, timeout=PATIENCE
    )
    assert done.returncode == 0
    assert done.stdout == data


def test_a_file_is_sent_by_name_or_as_stdin(upper: Serving, tmp_path: Path) -> None:
    """Epoll cannot watch a regular file; it is read all the same."""
    path = tmp_path / "lines"
    path.write_text("one\r\ntwo\n", encoding="ascii")
    assert run("call", upper.address, "--mode", "line", "--file", str(path)) == (0, "ONE\nTWO\n", "")
    with path.open("rb") as file:
        done = subprocess.run(
            command("call", upper.address, "--mode", "line"), stdin=file, env=environment(), capture_output=True,
            timeout=PATIENCE,
        )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, b"ONE\nTWO\n")


@pytest.mark.parametrize("is_file", [False, True])
def test_a_line_of_the_input_that_is_too_long_ends_the_call(upper: Serving, tmp_path: Path, is_file: bool) -> None:
    """From a pipe, whose other end may still be open, as from a file: one line and status 1."""
    data = bytes(1_100_000)
    path = tmp_path / "long"
    path.write_bytes(data)
    words = ("--file", str(path)) if is_file else ()
    ended = run("call", upper.address, "--mode", "line", *words, stdin=data)
    assert (ended.status, ended.stdout) == (1, "")
    assert ended.stderr.count("\n") == 1
    assert "longer than --max-frame-length, 1048576" in ended.stderr


@pytest.mark.skipif("epoll" not in reactor.available_pollers(), reason="the pump needs epoll")
def test_a_call_that_is_pure_needs_nothing_compiled(upper: Serving, tmp_path: Path) -> None:
    """The environment demands a pump, which is not to be had; the option counts more."""
    blocker = tmp_path / "sitecustomize.py"
    blocker.write_text("import sys\nsys.modules['reactor._accel'] = None\n", encoding="utf-8")
    env = environment(REACTOR_PUMP="on", REACTOR_ACCEL="native", REACTOR_SELECTOR="epoll")
    env["PYTHONPATH"] = os.pathsep.join([str(tmp_path), env["PYTHONPATH"]])
    assert run("call", upper.address, "--mode", "line", "a", env=env).status == 1
    assert run("call", upper.address, "--mode", "line", "--accel", "pure", "a", env=env) == (0, "A\n", "")


def test_replies_are_printed_while_the_pipe_is_still_open(upper: Serving) -> None:
    """A slow source is not waited for: each line is answered when it comes."""
    with subprocess.Popen(
        command("call", upper.address, "--mode", "line"), env=environment(), stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, bufsize=0,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        for word in (b"one", b"two"):
            process.stdin.write(word + b"\n")
            assert process.stdout.readline() == word.upper() + b"\n"
        process.stdin.close()
        assert process.wait(PATIENCE) == 0


def test_a_person_at_a_terminal_has_a_prompt_and_may_leave_with_exit(upper: Serving) -> None:
    """A prompt for each message, nothing for an empty one, and the end by the word that everybody tries."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command("call", upper.address, "--mode", "line"), env=environment(), stdin=theirs, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, bufsize=0,
    ) as process:  # fmt: skip
        os.close(theirs)
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stderr.readline().endswith(b"ends\n")
        for word in (b"hello", b"world"):
            assert process.stderr.read(4) == b">>> "
            os.write(ours, b"\n")
            assert process.stderr.read(4) == b">>> "
            os.write(ours, word + b"\n")
            assert process.stdout.readline() == word.upper() + b"\n"
        assert process.stderr.read(4) == b">>> "
        os.write(ours, b"exit\n")
        assert process.wait(PATIENCE) == 0
    os.close(ours)


@pytest.mark.parametrize("mode", ["raw", "line", "framed"])
def test_datagrams_are_sent_and_answered(mode: str) -> None:
    """One datagram a message; an empty one is a message too."""
    with Serving("upper", "--udp", "--port", "0", "--mode", mode) as server:
        assert run("call", server.address, "--udp", "--mode", mode, "a", "", "c") == (0, "A\n\nC\n", "")


def test_a_unix_socket_is_called_by_its_path(tmp_path: Path) -> None:
    """With the address as ``serve`` prints it."""
    with Serving("hello", "--unix", str(tmp_path / "s")) as server:
        assert run("call", server.address, "你") == (0, "你好\n", "")


def test_the_greeting_is_a_reply_like_others(tmp_path: Path) -> None:
    """One message, one reply: the transcript of the textbook's client."""
    with Serving("greet", "--port", "0") as server:
        assert run("call", server.address, "你好,服务器") == (0, "welcome to my service~\n", "")


# -- what can go wrong -----------------------------------------------------------------------------------------


def refused(*words: str, status: int = 1, stdin: bytes | None = None) -> str:
    """Run a call that fails, and return its one line."""
    ended = run("call", *words, stdin=stdin)
    assert ended.status == status
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("reactor call: ")
    return ended.stderr


def test_nobody_listening_is_one_line() -> None:
    """Over TCP and over UDP, where the kernel tells."""
    for kind, words in ((socket.SOCK_STREAM, ()), (socket.SOCK_DGRAM, ("--udp",))):
        with socket.socket(type=kind) as unused:
            unused.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{unused.getsockname()[1]}"
        assert "ECONNREFUSED" in refused(address, *words, "hello")


def test_a_missing_path_is_one_line(tmp_path: Path) -> None:
    """The Unix socket is not there."""
    assert "ENOENT" in refused(f"unix:{tmp_path}/none", "hello")


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("nowhere", "no port"),
        ("1.2.3.4", "no port"),
        ("1.2.3.4:99999", "65535"),
        ("::1:80", "[::1]:80"),
        ("unix:", "unix:/run"),
    ],
)
def test_an_address_that_is_none_is_a_matter_of_usage(address: str, text: str) -> None:
    """One line says what is wrong with it, or shows one that is right."""
    assert text in refused(address, "x", status=2)


def test_nothing_to_send_is_a_matter_of_usage(upper: Serving) -> None:
    """Neither arguments, nor a file, nor anything on stdin."""
    assert "nothing to send" in refused(upper.address, "--mode", "line", status=2)


def test_a_file_that_is_not_there_is_one_line(upper: Serving) -> None:
    """With its name."""
    assert "no-such-file" in refused(upper.address, "--file", "no-such-file")


def test_a_server_that_ends_early_is_one_line_with_the_count(upper: Serving) -> None:
    """The replies that came are printed."""
    ended = run("call", upper.address, "--mode", "line", "one", "exit", "two")
    assert (ended.status, ended.stdout) == (1, "ONE\n")
    assert "1 of 3 replies" in ended.stderr


def listener_that(*behaviour: str) -> tuple[socket.socket, threading.Thread]:
    """Return a listening socket, and a thread that accepts one client and is silent, or resets the connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        client, _ = listener.accept()
        with client:
            client.recv(1)
            if "reset" in behaviour:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            else:
                while client.recv(1024):
                    pass

    thread = threading.Thread(target=serve)
    thread.start()
    return listener, thread


@pytest.mark.parametrize(("behaviour", "text"), [("reset", "ECONNRESET"), ("silent", "no reply for 0.2 s")])
def test_a_server_that_resets_or_is_silent_is_one_line(behaviour: str, text: str) -> None:
    """What happened, and how many replies came."""
    listener, thread = listener_that(behaviour)
    with listener:
        line = refused(f"127.0.0.1:{listener.getsockname()[1]}", "--timeout", "0.2", "hello")
        thread.join()
    assert text in line
    assert "0 of 1 reply" in line


def test_a_reader_that_goes_away_ends_the_call_quietly(echo: Serving) -> None:
    """As ``| head -1`` does: no complaint, and the status of a program that was ended by SIGPIPE."""
    with subprocess.Popen(
        command("call", echo.address), env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, bufsize=0,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.write(b"hello\n")
        assert process.wait(PATIENCE) == 141
        assert process.stderr.read() == b""


def test_ctrl_c_ends_the_call_with_one_line(upper: Serving) -> None:
    """Status 130, as shells have it."""
    with subprocess.Popen(
        command("call", upper.address, "--mode", "line"), env=environment(), stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"hello\n")
        assert process.stdout.readline() == b"HELLO\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
        assert process.stderr.read() == b"reactor call: interrupted\n"
