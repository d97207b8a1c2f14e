"""The examples that put something of the package to use: keys, uploads, handlers that block."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.cli.running import run
from tests.examples.running import Example, receive, run_example

pytestmark = pytest.mark.slow


def test_who_has_the_key_is_heard_and_nobody_else(poller_name: str, tmp_path: Path) -> None:
    """Who has the key is heard; who has another, or sends no JSON, is not."""
    keys = [tmp_path / name for name in ("app.key", "other.key")]
    for path in keys:
        assert run("keygen", str(path), "--id", "app").status == 0
    with Example(poller_name, "authenticated_json", keys[0], "0") as server:
        done = run_example(poller_name, "authenticated_json", keys[0], server.address.strip())
        assert (done.status, done.stderr) == (0, "")
        assert json.loads(done.stdout) == {"heard": {"问候": "你好"}}
        done = run_example(poller_name, "authenticated_json", keys[1], server.address.strip())
        assert done.status == 0
        assert "refused" in done.stdout
        assert "heard" not in done.stdout
        framed = ("--auth-key", str(keys[0]), "--mode", "framed")
        assert run("call", server.address.strip(), *framed, "[1]").stdout == '{"heard": [1]}\n'
        for words in ("no JSON", "[" * 50_000, "[" + "1e5," * 16_000 + "1]"):  # the last one's answer is too long
            assert run("call", server.address.strip(), *framed, stdin=words.encode()).status == 1
        with server.connect() as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            while client.recv(1024):
                pass
        ended = server.stop(signal.SIGINT)
        assert ended.status == 0
        assert "Traceback" not in ended.stderr


def test_files_arrive_whole_and_replace_none_that_is_there(poller_name: str, tmp_path: Path) -> None:
    """Two files of which one is there already, in another version."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    picture, note = tmp_path / "windows编程模型.jpg", tmp_path / "note.txt"
    picture.write_bytes(os.urandom(3_000_000))
    note.write_text("mine")
    (inbox / "note.txt").write_text("yours")
    with Example(poller_name, "upload", inbox, "0") as server:
        done = run_example(poller_name, "upload", server.address.strip(), picture, note)
        assert (done.status, done.stderr) == (0, "")
        first, second = done.stdout.splitlines()
        assert first == "windows编程模型.jpg kept 3,000,000 bytes"
        assert second.startswith("note.txt refused ")
        assert (inbox / picture.name).read_bytes() == picture.read_bytes()
        assert (inbox / "note.txt").read_text() == "yours"
        assert server.stop(signal.SIGINT).status == 0


def test_handlers_that_block_serve_a_client_behind_a_silent_crowd(poller_name: str) -> None:
    """The text's client, behind a crowd that says nothing."""
    with Example(poller_name, "blocking_handlers", "0") as server:
        silent = [server.connect() for _ in range(20)]
        with server.connect() as client:
            client.sendall(b"hello")
            assert receive(client, 100).decode() == "这里是socketserver,你好"
        assert server.next_line() == "hello"
        for other in silent:
            other.close()
        assert server.finish() == []
