"""``reactor serve upload`` and ``reactor send``: real processes, real files, and all that can go wrong."""

from __future__ import annotations

import os
import pty
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import PATIENCE, Ended, Serving, command, environment, run
from tests.service.upload.peer import HELLO, data, end, frame, offer
from tests.service.upload.plain_server import Conversation, PlainServer

pytestmark = pytest.mark.slow

BIG = b"".join(b"%07d\n" % number for number in range(500_000))


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The directory of the server."""
    folder = tmp_path / "kept"
    folder.mkdir()
    return folder


@pytest.fixture
def serving(kept: Path) -> Iterator[Serving]:
    """A running server with room for 100 MB."""
    with Serving("upload", "--dir", str(kept), "--quota", "100M", "--port", "0") as server:
        yield server


def files(folder: Path, **contents: bytes) -> list[str]:
    """Make files in *folder* and return their paths."""
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [str(folder / name) for name in contents]


def visible(folder: Path) -> dict[str, bytes]:
    """What anybody sees in *folder*."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


# -- with a key ------------------------------------------------------------------------------------------------


def test_files_are_kept_of_those_who_have_the_key(kept: Path, tmp_path: Path) -> None:
    """One command makes it, both others are given it; without it the sender is told, and nothing is kept."""
    key = str(tmp_path / "key")
    assert run("keygen", key).status == 0
    one, two = files(tmp_path / "mine", a=b"one", b=b"two")
    with Serving("upload", "--dir", str(kept), "--quota", "1M", "--port", "0", "--auth-key", key) as server:
        assert run("send", server.address, one, "--auth-key", key).status == 0
        assert run("send", server.address, two).status == 1
        assert visible(kept) == {"a": b"one"}


# -- what goes well --------------------------------------------------------------------------------------------


def test_a_plain_blocking_client_has_its_file_kept(poller_name: str, kept: Path) -> None:
    """A socket, struct and hashlib, as the page that describes the bytes has it; on each poller."""
    words = ("--dir", str(kept), "--quota", "100M", "--port", "0", "--selector", poller_name)
    with Serving("upload", *words) as server, server.connect() as client:
        client.sendall(frame(HELLO))
        assert frame_from(client) == b"W\x01\x00\x10\x00\x02\x00\x00"
        client.sendall(offer(7, len(BIG), "windows编程模型.jpg".encode()))
        assert frame_from(client) == b"G\x00\x00\x00\x07" + bytes(8)
        client.sendall(data(7, BIG) + end(7, BIG))
        assert frame_from(client) == b"K\x00\x00\x00\x07"
        assert visible(kept) == {"windows编程模型.jpg": BIG}


def frame_from(sock: socket.socket) -> bytes:
    """Return the payload of the next frame."""
    head = sock.recv(4, socket.MSG_WAITALL)
    return sock.recv(struct.unpack(">I", head)[0], socket.MSG_WAITALL)


def test_a_textbook_client_is_cut_off_and_nobody_else_notices(serving: Serving, kept: Path, tmp_path: Path) -> None:
    """It sends a size as text and waits for an acknowledgement; here that is no frame, one line, and an end."""
    with serving.connect() as client:
        client.send(bytes(str(12_345), encoding="utf-8"))
        assert client.recv(1024) == b""
    assert run("send", serving.address, *files(tmp_path / "from", a=b"abc")).status == 0
    ended = serving.stop()
    assert ended.stderr.count("\n") == 1
    assert "825373492" in ended.stderr


def test_files_that_were_sent_are_in_the_directory(poller_name: str, kept: Path, tmp_path: Path) -> None:
    """On each poller; one line says how it went, and the server says the same at its end."""
    paths = files(tmp_path / "from", a=b"abc", 大文件=BIG, empty=b"")
    words = ("--dir", str(kept), "--quota", "100M", "--port", "0", "--selector", poller_name)
    with Serving("upload", *words) as server:
        ended = run("send", server.address, *paths, "--selector", poller_name)
        assert (ended.status, ended.stderr) == (0, "")
        assert ended.stdout.startswith("3 of 3 files kept, 4.0 MB in ")
        assert visible(kept) == {"a": b"abc", "大文件": BIG, "empty": b""}
        assert server.stop() == (0, "served 1 connection, 3 files kept, 0 refused, 4,000.0 kB in, 0 errors\n", "")


def test_files_that_are_there_already_are_not_sent_again(serving: Serving, kept: Path, tmp_path: Path) -> None:
    """The same command twice is a success twice."""
    paths = files(tmp_path / "from", a=b"abc", b=BIG)
    assert run("send", serving.address, *paths).status == 0
    ended = run("send", "--verbose", serving.address, *paths)
    assert (ended.status, ended.stderr) == (0, "")
    first, second, third = ended.stdout.splitlines()
    assert (first, second) == ("a: 3 B kept", "b: 4.0 MB kept")
    assert third.startswith("2 of 2 files kept, 4.0 MB (4.0 MB were there already) in ")


def test_a_thousand_files_go_over_one_connection(serving: Serving, kept: Path, tmp_path: Path) -> None:
    """Each with its content, and the server has seen one client."""
    contents = {f"file-{number}": b"%d\n" % number * (number % 50) for number in range(1000)}
    paths = files(tmp_path / "from", **contents)
    ended = run("send", serving.address, *paths)
    assert (ended.status, ended.stderr) == (0, "")
    assert ended.stdout.startswith("1,000 of 1,000 files kept")
    assert visible(kept) == contents
    assert serving.stop().stdout.startswith("served 1 connection, 1,000 files kept")


def test_files_go_over_a_unix_socket_as_well(kept: Path, tmp_path: Path) -> None:
    """Only the address differs."""
    paths = files(tmp_path / "from", a=BIG)
    with Serving("upload", "--dir", str(kept), "--quota", "1G", "--unix", str(tmp_path / "s")) as server:
        assert run("send", server.address, *paths).status == 0
    assert visible(kept) == {"a": BIG}


def test_a_file_is_replaced_only_where_that_is_allowed(kept: Path, tmp_path: Path) -> None:
    """--overwrite is the server's to say."""
    (kept / "a").write_bytes(b"old")
    paths = files(tmp_path / "from", a=b"the new one")
    with Serving("upload", "--dir", str(kept), "--quota", "1M", "--port", "0") as server:
        ended = run("send", server.address, *paths)
        assert (ended.status, ended.stdout.split(",")[0]) == (1, "0 of 1 file kept")
        assert ended.stderr == f"reactor send: {paths[0]}: refused: 'a' is here already, and is not the same\n"
        assert visible(kept) == {"a": b"old"}
    with Serving("upload", "--dir", str(kept), "--quota", "1M", "--port", "0", "--overwrite") as server:
        assert run("send", server.address, *paths).status == 0
        assert visible(kept) == {"a": b"the new one"}


# -- memory ----------------------------------------------------------------------------------------------------


#: Runs a command, and then says the most memory that it has had, in KiB.
WEIGHED = (
    "import pathlib, sys; import reactor.cli.main as door; status = door.main(sys.argv[1:]); "
    "lines = pathlib.Path('/proc/self/status').read_text().splitlines(); "
    "print(next(line.split()[1] for line in lines if line.startswith('VmHWM'))); sys.exit(status)"
)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc to look at")
def test_a_large_file_takes_no_more_memory_than_a_small_one(kept: Path, tmp_path: Path) -> None:
    """On both sides: 20 MiB are enough to fill every buffer there is, and 200 MiB take no more than that."""
    peaks = []
    for mebibytes in (20, 200):
        path = tmp_path / f"{mebibytes}"
        with path.open("wb") as file:
            file.truncate(mebibytes * 2**20)
        words = ["serve", "upload", "--dir", str(kept), "--quota", "1G", "--port", "0"]
        with Serving(program=[sys.executable, "-c", WEIGHED, *words]) as server:
            sender = [sys.executable, "-c", WEIGHED, "send", "--quiet", server.address, str(path)]
            done = subprocess.run(sender, env=environment(), capture_output=True, timeout=PATIENCE, check=True)
            peaks.append((int(server.stop().stdout.split()[-1]), int(done.stdout)))
    (small_server, small_client), (large_server, large_client) = peaks
    assert large_server < small_server + 6 * 1024
    assert large_client < small_client + 6 * 1024


# -- what goes wrong -------------------------------------------------------------------------------------------


def test_what_cannot_be_kept_is_a_line_each_and_the_rest_is_kept(
    serving: Serving, kept: Path, tmp_path: Path
) -> None:
    """Not there, no file, too large for the quota; the status says that it was not everything."""
    paths = files(tmp_path / "from", a=b"abc")
    (tmp_path / "from" / "folder").mkdir()
    with (tmp_path / "from" / "sparse").open("wb") as file:
        file.truncate(101 * 2**20)
    odd = [str(tmp_path / "from" / name) for name in ("nowhere", "folder", "sparse")]
    ended = run("send", serving.address, *odd, *paths)
    assert (ended.status, ended.stdout.split(",")[0]) == (1, "1 of 4 files kept")
    lines = ended.stderr.splitlines()
    assert [line.split(": ")[1] for line in lines] == odd
    for line, text in zip(lines, ("ENOENT", "no regular file", "refused: 105906176 bytes do not fit"), strict=True):
        assert text in line
    assert visible(kept) == {"a": b"abc"}


def test_a_file_that_the_system_does_not_let_grow_is_refused(kept: Path, tmp_path: Path) -> None:
    """RLIMIT_FSIZE: write(2) fails with EFBIG in the middle of it; the server and the other files go on."""
    paths = files(tmp_path / "from", big=BIG, small=b"abc")
    script = 'import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000)); ' \
        "import reactor.cli.main as door; sys.exit(door.main(sys.argv[1:]))"  # fmt: skip
    words = ["serve", "upload", "--dir", str(kept), "--quota", "1G", "--port", "0"]
    with Serving(program=[sys.executable, "-c", script, *words]) as server:
        ended = run("send", server.address, *paths)
        assert ended.status == 1
        assert "refused: it cannot be stored: File too large (EFBIG)" in ended.stderr
        assert visible(kept) == {"small": b"abc"}
        assert server.stop().status == 0


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--quota", "1M"], "--dir"),
        (["--dir", "."], "--quota"),
        (["--dir", "", "--quota", "1M"], "empty path"),
        (["--dir", ".", "--quota", "many"], "not a number of bytes"),
        (["--dir", ".", "--quota", "-1"], "not a number of bytes"),
        (["--dir", ".", "--quota", "1X"], "not a number of bytes"),
        (["--dir", ".", "--quota", "1M", "--mode", "line"], "frames of its own"),
        (["--dir", ".", "--quota", "1M", "--udp"], "for streams only"),
        (["--dir", ".", "--quota", "1M", "--max-files", "0"], "not a number"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_status_two(words: list[str], text: str, tmp_path: Path) -> None:
    """What is missing, and what makes no sense."""
    ended = run("serve", "upload", "--port", "0", *words, cwd=tmp_path)
    assert (ended.status, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert text in ended.stderr


def test_options_of_upload_are_refused_where_they_would_be_ignored() -> None:
    """An echo has no directory."""
    ended = run("serve", "echo", "--port", "0", "--overwrite")
    assert (ended.status, ended.stderr) == (2, "reactor serve: --overwrite is for 'serve upload'\n")


def test_a_directory_that_cannot_be_used_is_one_line(serving: Serving, kept: Path, tmp_path: Path) -> None:
    """Not there, or in use by another server."""
    words = ("serve", "upload", "--quota", "1M", "--port", "0", "--dir")
    ended = run(*words, str(tmp_path / "nowhere"))
    assert (ended.status, ended.stderr.count("\n")) == (1, 1)
    assert "ENOENT" in ended.stderr
    ended = run(*words, str(kept))
    assert (ended.status, ended.stderr.count("\n")) == (1, 1)
    assert "another server keeps its uploads in it" in ended.stderr


@pytest.mark.parametrize(
    ("name", "text"), [(".hidden", "begins with a dot"), ("a\nb", "control character"), ("\udcff", "not UTF-8")]
)
def test_a_name_that_no_server_takes_is_told_before_anything_is_sent(
    serving: Serving, tmp_path: Path, name: str, text: str
) -> None:
    """A matter of the command line; so are two files of one name."""
    ended = run("send", serving.address, os.fsencode(tmp_path / name))  # type: ignore[arg-type]
    assert (ended.status, ended.stderr.count("\n")) == (2, 1)
    assert text in ended.stderr


def test_two_files_of_one_name_are_told_before_anything_is_sent(serving: Serving) -> None:
    """Which of them should it be?"""
    ended = run("send", serving.address, "x/a", "y/a")
    assert (ended.status, ended.stderr) == (2, "reactor send: 'x/a' and 'y/a' would both be called 'a'\n")


def test_nobody_listening_is_one_line(tmp_path: Path) -> None:
    """As with every command."""
    ended = run("send", "127.0.0.1:1", *files(tmp_path, a=b"abc"))
    assert (ended.status, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert "ECONNREFUSED" in ended.stderr or "refused" in ended.stderr


def test_a_server_of_something_else_is_found_out(tmp_path: Path) -> None:
    """An echo returns the hello."""
    with Serving("echo", "--port", "0") as server:
        ended = run("send", server.address, *files(tmp_path, a=b"abc"))
    assert (ended.status, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert "that is no upload server" in ended.stderr


def in_the_midst(tmp_path: Path, signum: int) -> Ended:
    """Send a large file to a server that stops listening in the middle of it, then a signal; return the end."""
    is_in_midst, is_over = threading.Event(), threading.Event()

    def talk(conversation: Conversation) -> None:
        conversation.welcome()
        conversation.hear()
        conversation.go(0)
        while len(conversation.received[0]) < 100_000:
            conversation.hear()
        is_in_midst.set()
        assert is_over.wait(PATIENCE)

    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(2**28)
    with PlainServer(talk) as server:
        address = f"127.0.0.1:{server.address[1]}"
        process = subprocess.Popen(
            command("send", address, str(path)), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert is_in_midst.wait(PATIENCE)
        process.send_signal(signum)
        stdout, stderr = process.communicate(timeout=PATIENCE)
        is_over.set()
    return Ended(process.returncode, stdout.decode(), stderr.decode())


def test_ctrl_c_ends_it_and_says_how_far_it_was(tmp_path: Path) -> None:
    """Two lines, no traceback, and the status that shells know."""
    ended = in_the_midst(tmp_path, signal.SIGINT)
    assert ended == (
        130, "", "reactor send: 0 of 1 file kept; the same command goes on from here\nreactor send: interrupted\n",
    )  # fmt: skip


def test_a_transfer_goes_on_after_a_server_was_killed(kept: Path, tmp_path: Path) -> None:
    """The client ends with one line; the same command, given again to a new server, finishes."""
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(2**28)
    words = ("upload", "--dir", str(kept), "--quota", "1G", "--port", "0")
    with Serving(*words) as server:
        client = subprocess.Popen(
            command("send", server.address, str(path)), env=environment(),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        parts = kept / ".reactor-upload"
        while not any(part.stat().st_size > 2**24 for part in parts.glob("*.part")):
            assert client.poll() is None
        server.stop(signal.SIGKILL)
        stdout, stderr = client.communicate(timeout=PATIENCE)
    assert (client.returncode, stdout, stderr.count(b"\n")) == (1, b"", 1)
    assert b"0 of 1 file kept" in stderr
    assert visible(kept) == {}
    with Serving(*words) as server:
        ended = run("send", server.address, str(path))
    assert ended.status == 0
    assert "were there already" in ended.stdout
    assert (kept / "sparse").stat().st_size == 2**28


# -- progress --------------------------------------------------------------------------------------------------


def test_nothing_is_shown_where_no_person_looks_unless_it_is_asked_for(serving: Serving, tmp_path: Path) -> None:
    """A log gets a line now and then."""
    paths = files(tmp_path / "from", a=BIG)
    assert run("send", serving.address, *paths).stderr == ""
    shown = run("send", "--progress", serving.address, *paths).stderr
    assert "4.0 MB of 4.0 MB" in shown or "0 B of 0 B" in shown
    assert "\r" not in shown
    assert run("send", "--progress", "--quiet", serving.address, *paths) == (0, "", "")


def test_a_person_at_a_terminal_sees_a_bar_that_goes_away(serving: Serving, tmp_path: Path) -> None:
    """Drawn on stderr; at the end the line is empty again, and the result is on stdout."""
    (path,) = files(tmp_path / "from", a=BIG)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command("send", serving.address, path), env=environment(TERM="xterm", COLUMNS="100"),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs,
    ) as client:  # fmt: skip
        os.close(theirs)
        shown = b""
        while data := read_pty(ours):
            shown += data
        assert client.stdout is not None
        assert client.stdout.read().startswith(b"1 of 1 file kept")
    os.close(ours)
    assert client.returncode == 0
    assert b"%" in shown
    assert b"4.0 MB of 4.0 MB" in shown


def read_pty(fd: int) -> bytes:
    """Return what a terminal shows next; b"" when nobody writes to it any more."""
    try:
        return os.read(fd, 65536)
    except OSError:
        return b""


def test_a_server_that_accepts_and_says_nothing_is_an_error_after_a_while(tmp_path: Path) -> None:
    """One line on stderr says what is wrong, and the command ends."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = "{}:{}".format(*silent.getsockname())
        done = run("send", "--timeout", "0.3", address, *files(tmp_path, a=b"abc"))
    assert done.status == 1
    assert "the server has not said a word for 0.3 s: it is no upload server, or is full" in done.stderr
    assert "Traceback" not in done.stderr
