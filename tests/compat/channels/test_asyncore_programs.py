"""Real programs on ours: a mail server, an FTP server, a web server, and the original's own tests.

Plain blocking clients of the standard library talk to them, several at once, and some of them badly.
"""

from __future__ import annotations

import base64
import ftplib
import io
import os
import smtplib
import socket
import subprocess
import sys
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.cli.running import PATIENCE, Serving, environment
from tests.compat.channels.programs import FTP, SMTP, WSGI, need, run_tests_of_the_original, serving

pytestmark = pytest.mark.slow


def letters(server: Serving) -> list[tuple[str, ...]]:
    """Send a letter that ends the mail server, and return what it has taken: sender, recipients, text."""
    gone = pytest.raises(smtplib.SMTPServerDisconnected)
    with smtplib.SMTP(*server.socket_address, timeout=PATIENCE) as client, gone:
        client.sendmail("last@client.example", "a@b.example", "stop the server")
    stdout, stderr = server.process.communicate(timeout=PATIENCE)
    assert (server.process.returncode, stderr) == (0, "")
    return [tuple(letter.split("|")) for letter in stdout.removesuffix("\n").split("\0")]


@pytest.mark.parametrize("how", ["poll", "poll2"])
def test_a_mail_server_takes_letters_of_several_clients(poller_name: str, how: str) -> None:
    """Each step of each client in turn; a large letter, dots at the beginnings of lines, a refusal, a bad word."""
    need("smtpd")
    large = "".join(f".{number}\r\n" for number in range(100_000))
    with serving(SMTP, how, poller=poller_name) as server:
        clients = [smtplib.SMTP(*server.socket_address, timeout=PATIENCE) for _ in range(5)]
        for client in clients:
            assert client.ehlo("client.example")[0] == 250
        assert clients[0].docmd("NONSENSE")[0] == 500
        for number, client in enumerate(clients):
            client.sendmail(f"{number}@client.example", ["a@b.example", "c@d.example"], f"letter {number}\r\n")
        clients[1].sendmail("large@client.example", "a@b.example", large)
        with pytest.raises(smtplib.SMTPDataError) as refusal:
            clients[2].sendmail("bad@client.example", "a@b.example", "refuse me")
        assert refusal.value.smtp_code == 550
        # One is gone in the middle of its letter.
        clients[3].docmd("MAIL FROM:<x@client.example>")
        clients[3].docmd("RCPT TO:<a@b.example>")
        clients[3].docmd("DATA")
        assert clients[3].sock is not None
        clients[3].sock.sendall(b"half a let")
        clients[3].close()
        for client in (clients[0], clients[1], clients[2], clients[4]):
            assert client.quit()[0] == 221
        taken = letters(server)
    assert taken[:5] == [
        (f"{number}@client.example", "a@b.example", "c@d.example", f"letter {number}") for number in range(5)
    ]
    assert taken[5:] == [("large@client.example", "a@b.example", large.replace("\r\n", "\n").rstrip("\n"))]


def test_a_mail_client_may_say_everything_at_once(poller_name: str) -> None:
    """All of a conversation in one write, cut anywhere by the network: the answers come in order."""
    need("smtpd")
    lines = [b"HELO me", b"MAIL FROM:<a@a.example>", b"RCPT TO:<b@b.example>", b"DATA", b"hi", b".", b"QUIT"]
    words = b"".join(line + b"\r\n" for line in lines)
    with serving(SMTP, "poll", poller=poller_name) as server:
        for size in (1, 7, 1000):
            with server.connect() as client:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for start in range(0, len(words), size):
                    client.sendall(words[start : start + size])
                replies = b""
                while chunk := client.recv(4096):
                    replies += chunk
            codes = [line[:3] for line in replies.splitlines()]
            assert codes == [b"220", b"250", b"250", b"250", b"354", b"250", b"221"]
        assert letters(server) == [("a@a.example", "b@b.example", "hi")] * 3


def session(server: Serving, is_passive: bool) -> ftplib.FTP:
    """Return a client that has logged in."""
    client = ftplib.FTP(timeout=PATIENCE)
    client.connect(*server.socket_address)
    client.login("user", "password")
    client.set_pasv(is_passive)
    return client


def test_a_file_server_serves_several_clients(tmp_path: Path) -> None:
    """pyftpdlib, with a loop of its own: log in, list, store, retrieve, resume, rename, delete; active and passive.

    Its handlers are our dispatchers and our async_chat.
    """
    need("pyftpdlib")
    payload = os.urandom(3_000_000)
    with serving(FTP, str(tmp_path), poller="") as server:
        refused = ftplib.FTP(timeout=PATIENCE)
        refused.connect(*server.socket_address)
        with pytest.raises(ftplib.error_perm, match="530"):
            refused.login("user", "wrong")
        refused.close()
        clients = [session(server, is_passive=number % 2 == 0) for number in range(4)]
        for number, client in enumerate(clients):
            client.storbinary(f"STOR file{number}", io.BytesIO(payload))
            assert (tmp_path / f"file{number}").read_bytes() == payload
        # Two transfers at the same time, in turns.
        transfers = [clients[number].transfercmd(f"RETR file{number}") for number in (0, 1)]
        received = [bytearray(), bytearray()]
        while len(received[0]) < len(payload) or len(received[1]) < len(payload):
            for number in (0, 1):
                received[number] += transfers[number].recv(100_000)
        for number in (0, 1):
            transfers[number].close()
            assert clients[number].voidresp().startswith("226")
        assert received == [payload, payload]
        for client in clients:
            assert sorted(client.nlst()) == [f"file{number}" for number in range(4)]
            rest = io.BytesIO()
            client.retrbinary("RETR file0", rest.write, rest=len(payload) - 10)
            assert rest.getvalue() == payload[-10:]
        lines: list[str] = []
        clients[1].retrlines("LIST", lines.append)
        assert len(lines) == 4
        assert {name for name, _ in clients[0].mlsd()} == {f"file{number}" for number in range(4)}
        clients[0].mkd("folder")
        clients[0].rename("file0", "folder/moved")
        clients[0].delete("file1")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["file2", "file3", "folder"]
        # One is gone in the middle of a transfer.
        clients[3].transfercmd("RETR file2").close()
        clients[3].close()
        assert clients[2].size("file2") == len(payload)
        for client in clients[:3]:
            assert client.quit().startswith("221")
        ended = server.stop()
    assert (ended.status, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.parametrize("how", ["poll", "poll2"])
def test_a_web_server_answers_requests_and_web_sockets(poller_name: str, how: str) -> None:
    """asyncore-wsgi, among clients that say nothing."""
    need("asyncore_wsgi")
    with serving(WSGI, how, poller=poller_name) as server:
        host, port = server.socket_address
        silent = [server.connect() for _ in range(4)]
        for number in range(3):
            with urllib.request.urlopen(f"http://{host}:{port}/{number}", timeout=PATIENCE) as reply:
                assert reply.read() == b"hello /%d" % number + b"x" * 10_000
        with server.connect() as client:
            key = base64.b64encode(os.urandom(16)).decode()
            client.sendall(
                f"GET /ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
            )
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += client.recv(1)
            assert head.startswith(b"HTTP/1.1 101 ")
            client.sendall(b"\x81\x85\0\0\0\0hello")
            reply_frame = b""
            while len(reply_frame) < 7:
                reply_frame += client.recv(7 - len(reply_frame))
            assert reply_frame == b"\x81\x05HELLO"
        for sock in silent:
            sock.close()
        assert server.stop().status == 0


@pytest.mark.deadline(120)
def test_the_tests_of_the_original_pass_on_ours(tmp_path: Path) -> None:
    """All of them but one, which says that a dispatcher's repr begins with the name of the original module.

    On the best poller only: they sleep for ten seconds, and the suite beside this file runs on all.
    """
    modules = [f"test.{name}" for name in ("test_asyncore", "test_asynchat", "test_smtpd")]
    if find_spec("test") is None or any(find_spec(name) is None for name in modules):
        pytest.skip("this Python has no test.test_asyncore: it left with asyncore in 3.12, or was not installed")
    done = subprocess.run(
        run_tests_of_the_original(tmp_path, *modules),
        env=environment(PYTHONWARNINGS="ignore::DeprecationWarning"),
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    count, *failed = done.stdout.splitlines()[-1].split()
    assert int(count) > 250
    assert failed == ["test.test_asyncore.DispatcherTests.test_repr"], done.stderr


#: A program that ends with a channel open: after a turn of the main thread, or of one that does not end before it.
UNFINISHED = """
import socket, sys, threading
import reactor.compat.asyncore as asyncore

here, there = socket.socketpair()
channel = asyncore.dispatcher(here)
channel.handle_read = lambda: print(channel.recv(10))
channel.writable = lambda: False
there.send(b"x")
if sys.argv[1] == "main":
    asyncore.loop(timeout=1, count=1)
else:
    turned = threading.Event()
    channel.handle_read = lambda: (print(channel.recv(10)), turned.set())
    threading.Thread(target=asyncore.loop, daemon=True).start()
    turned.wait(10)
"""


@pytest.mark.parametrize("thread", ["main", "daemon"])
@pytest.mark.parametrize("warnings", ["ignore", "default", "error"])
def test_a_program_that_ends_with_a_channel_open_ends_without_a_traceback(thread: str, warnings: str) -> None:
    """What is beneath its channels is not its to close; only the sockets, which are, may have a warning."""
    done = subprocess.run(
        [sys.executable, "-W", f"{warnings}::ResourceWarning", "-c", UNFINISHED, thread],
        env=environment(), capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "b'x'\n")
    assert "Traceback" not in done.stderr
    ignored = ("Exception ignored in: <socket", "Exception ignored while finalizing socket <socket")  # since 3.14
    told = [line for line in done.stderr.splitlines() if not line.startswith(ignored)]
    assert all("ResourceWarning: unclosed <socket" in line for line in told), done.stderr
    assert warnings != "ignore" or not told
