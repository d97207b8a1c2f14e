"""Keys on the command line: real processes that prove themselves to each other, and whoever cannot."""

from __future__ import annotations

import json
import signal
import socket
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from reactor.auth import Key, format_key, parse_keys
from reactor.service.key_file import write_key
from tests.auth.by_hand import prove_to_server, receive_frame
from tests.auth.sides import ANOTHER_SECRET, SECRET
from tests.cli.running import Ended, Serving, run

pytestmark = pytest.mark.slow

KEY, OTHER_KEY = Key("app-1", SECRET), Key("app-2", ANOTHER_SECRET)


@pytest.fixture
def key(tmp_path: Path) -> str:
    """A file with a key."""
    write_key(tmp_path / "key", KEY)
    return str(tmp_path / "key")


@pytest.fixture
def other(tmp_path: Path) -> str:
    """A file with another key."""
    write_key(tmp_path / "other", OTHER_KEY)
    return str(tmp_path / "other")


@pytest.fixture
def server(key: str) -> Iterator[Serving]:
    """The JSON service, for those who have the key."""
    with Serving("json", "--port", "0", "--auth-key", key) as made:
        yield made


def refused(ended: Ended, status: int = 1) -> str:
    """Return the one line with which a command failed."""
    assert (ended.status, ended.stdout) == (status, "")
    assert ended.stderr.count("\n") == 1
    return ended.stderr


# -- those who have the key ------------------------------------------------------------------------------------


def test_objects_go_out_and_come_back_when_both_have_the_key(key: str, poller_name: str) -> None:
    """On each poller; the server says that it authenticates, and counts a client and its messages."""
    with Serving("json", "--port", "0", "--auth-key", key, "--selector", poller_name, "--verbose") as server:
        assert server.line.partition(": ")[2].startswith("json, framed messages, authenticated, ")
        words = ("call", "--auth-key", key, "--json", "--selector", poller_name, server.address)
        assert run(*words, '{"a": 1}', '{"op": "upper", "value": "grüße", "id": 1}') == (
            0, '{"result":{"a":1}}\n{"result":"GRÜSSE","id":1}\n', "",
        )  # fmt: skip
        ended = server.stop()
    assert "connected with key app-1\n" in ended.stderr
    assert ended.stdout.startswith("served 1 connection, 2 messages, ")
    assert ended.stdout.endswith(", 0 errors\n")


@pytest.mark.parametrize(
    ("service", "mode", "reply"),
    [
        ("echo", "framed", "hi"),
        ("upper", "framed", "HI"),
        ("hello", "framed", "hi好"),
        ("greet", "framed", "welcome to my service~"),
        ("upper", "raw", "HI"),
        ("upper", "line", "HI"),
    ],
)
def test_every_stream_service_takes_a_key(key: str, service: str, mode: str, reply: str) -> None:
    """In each mode: what the handshake needs is its own."""
    words = ("--auth-key", key, "--auth-context", f"the {service}", "--mode", mode)
    with Serving(service, "--port", "0", *words) as server:
        assert run("call", server.address, *words, "hi") == (0, f"{reply}\n", "")


def test_a_textbook_client_written_from_the_page_is_served(key: str, poller_name: str) -> None:
    """A blocking socket, HMAC and struct."""
    words = ("json", "--port", "0", "--auth-key", key, "--selector", poller_name)
    with Serving(*words) as server, server.connect() as client:
        prove_to_server(client, b"app-1", SECRET)
        for message in ("hello", {"b": [2]}):
            data = json.dumps(message).encode("utf-8")
            client.sendall(struct.pack(">I", len(data)) + data)
            assert json.loads(receive_frame(client)[4:]) == {"result": message}


def test_a_unix_socket_takes_a_key(key: str, tmp_path: Path) -> None:
    """With the address as it is printed."""
    with Serving("json", "--unix", str(tmp_path / "s"), "--auth-key", key) as server:
        assert run("call", server.address, "--auth-key", key, "--json", "[]") == (0, '{"result":[]}\n', "")


def test_keys_are_replaced_without_a_restart_and_without_a_gap(key: str, other: str) -> None:
    """Both are accepted while the clients change over, and the connection that is open stays open."""
    with Serving("json", "--port", "0", "--auth-key", key, "--quiet") as server:
        assert server.process.stderr is not None

        def is_served(file: str) -> bool:
            return run("call", server.address, "--auth-key", file, "--json", "1").status == 0

        def renewed(text: str) -> str:
            Path(key).write_text(text, encoding="ascii")
            server.process.send_signal(signal.SIGHUP)
            assert server.process.stderr is not None
            return server.process.stderr.readline()

        with server.connect() as early:
            prove_to_server(early, b"app-1", SECRET)
            mine = str(Path(key).with_name("mine"))
            write_key(mine, KEY)
            assert renewed(f"{format_key(KEY)}\n{format_key(OTHER_KEY)}\n") == "the keys are now app-1, app-2\n"
            assert is_served(mine)
            assert is_served(other)
            assert renewed("nonsense\n").startswith(
                f"the keys are what they were: the key file {key!r} is not used: "
            )
            assert is_served(mine)
            Path(key).chmod(0o644)
            assert "others can use it" in renewed(f"{format_key(OTHER_KEY)}\n")
            assert is_served(mine)
            Path(key).chmod(0o600)
            assert renewed(f"{format_key(OTHER_KEY)}\n") == "the keys are now app-2\n"
            assert is_served(other)
            early.sendall(struct.pack(">I", 1) + b"1")
            assert receive_frame(early)[4:] == b'{"result":1}'
        assert not is_served(mine)


# -- those who have not ----------------------------------------------------------------------------------------


def test_a_wrong_key_is_one_line_on_both_sides(server: Serving, other: str) -> None:
    """Status 1; the server says who it was and which key, without a traceback, and goes on."""
    line = refused(run("call", "--auth-key", other, "--json", server.address, "1"))
    assert line.startswith("reactor call: the server refused the connection: it does not have the key 'app-2'")
    ended = server.stop()
    assert ended.stderr.count("\n") == 1
    assert "the client says it has key 'app-2': there is no such key here" in ended.stderr
    assert ended.stdout == "served 0 connections, 0 messages, 0 B in, 0 B out, 1 error\n"


def test_another_context_is_refused_like_another_key(key: str) -> None:
    """The proof was meant for somebody else."""
    with Serving("json", "--port", "0", "--auth-key", key, "--auth-context", "payroll") as server:
        words = ("call", server.address, "--auth-key", key, "--json", "1")
        assert "expects another context" in refused(run(*words, "--auth-context", "forum"))


def test_who_fails_again_and_again_keeps_nobody_out(key: str, server: Serving) -> None:
    """A plain client that fails in a loop is refused each time for what it did; whoever has the key is let in."""
    reasons = []
    for _ in range(20):
        with server.connect() as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            reasons.append(client.makefile("rb").read()[-1:])
    assert reasons == [b"\2"] * 20
    called = run("call", server.address, "--auth-key", key, "--json", "1")
    assert called.status == 0, called.stderr
    assert ", 20 errors\n" in server.stop().stdout


@pytest.mark.parametrize("words", [("--mode", "framed"), ("--mode", "raw"), ("--json",)])
def test_a_client_that_has_forgotten_the_key_is_told_so(server: Serving, words: tuple[str, ...]) -> None:
    """Instead of the random bytes that the server has sent."""
    assert "give --auth-key" in refused(run("call", server.address, *words, "1"))


def test_a_server_that_asks_for_no_key_is_not_told_anything(key: str) -> None:
    """The client waits for a challenge, and gives up."""
    with Serving("echo", "--port", "0", "--verbose") as server:
        words = ("call", server.address, "--auth-key", key, "--timeout", "0.2", "secret")
        assert "perhaps it asks for no key" in refused(run(*words))
        ended = server.stop()
    assert ", 0 B in, " in ended.stdout


def test_a_port_where_nobody_listens_is_told_as_ever(key: str) -> None:
    """The gate does not stand in the way of other errors."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    assert "ECONNREFUSED" in refused(run("call", address, "--auth-key", key, "hello"))


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["--auth-key", "no-such-file"], 1, "no-such-file: No such file"),
        (["--auth-key", ""], 2, "empty path"),
        (["--auth-key", "/dev/null"], 2, "not a regular file"),
        (["--auth-context", "x"], 2, "give both"),
        (["--auth-key", "KEY", "--udp"], 2, "datagrams have none"),
        (["--auth-key", "KEY", "--auth-context", "x" * 1025], 2, "at most 1024 bytes"),
    ],
)
@pytest.mark.parametrize("command", [("serve", "upper", "--port", "0"), ("call", "127.0.0.1:1", "x")])
def test_what_makes_no_sense_is_one_line(
    key: str, command: tuple[str, ...], words: list[str], status: int, text: str
) -> None:
    """Before anything is opened, and the same of both commands."""
    words = [key if word == "KEY" else word for word in words]
    assert text in refused(run(*command, *words), status)


@pytest.mark.parametrize("command", [("serve", "json", "--port", "0"), ("call", "127.0.0.1:1", "--json", "1")])
def test_a_key_file_that_others_can_read_is_not_used(key: str, command: tuple[str, ...]) -> None:
    """As ssh does it, with what to do about it, and without a word of what is in it."""
    Path(key).chmod(0o644)
    line = refused(run(*command, "--auth-key", key), 2)
    assert "others can use it (mode 0644)" in line
    assert "chmod 600" in line
    assert format_key(KEY).partition(":")[2] not in line


def test_datagrams_and_json_without_an_end_are_refused(key: str) -> None:
    """What a service cannot do is a matter of the command line."""
    assert "streams only" in refused(run("serve", "json", "--udp"), 2)
    assert "framed or line, not raw" in refused(run("serve", "json", "--mode", "raw", "--port", "0"), 2)
    assert "connections" in refused(run("serve", "datagram", "--auth-key", key), 2)
    assert "messages that have an end" in refused(run("call", "127.0.0.1:1", "--json", "--mode", "raw", "1"), 2)


# -- JSON on the command line ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def echo() -> Iterator[Serving]:
    """An echo of frames."""
    with Serving("echo", "--port", "0", "--mode", "framed") as made:
        yield made


@pytest.fixture(scope="module")
def lines() -> Iterator[Serving]:
    """The JSON service, a line for each object."""
    with Serving("json", "--port", "0", "--mode", "line") as made:
        yield made


def test_a_json_text_passes_as_it_was_written(echo: Serving) -> None:
    """No number changes, and a text of several lines is one."""
    words = ('{"a": 1.10,\n "b": 123456789012345678901234567890}', '"\\ud800"')
    replies = '{"a": 1.10,  "b": 123456789012345678901234567890}\n"\\ud800"\n'
    assert run("call", "--json", echo.address, *words) == (0, replies, "")


def test_json_texts_come_from_a_pipe_line_by_line(lines: Serving, tmp_path: Path) -> None:
    """Or from a file; an empty line is no JSON, and nothing after it is sent."""
    good = b'{"op": "sum", "value": [1, 2]}\n[]\n'
    (tmp_path / "requests").write_bytes(good)
    words = ("call", lines.address, "--json", "--mode", "line")
    expected = (0, '{"result":3}\n{"result":[]}\n', "")
    assert run(*words, stdin=good) == expected
    assert run(*words, "--file", str(tmp_path / "requests")) == expected
    assert "not JSON: ''" in run(*words, stdin=good + b"\n1\n").stderr


@pytest.mark.parametrize("text", ["{", "NaN", "", "{'a': 1}", "[" * 100_000])
def test_what_is_no_json_is_not_sent(echo: Serving, text: str) -> None:
    """The mistake is named, with the beginning of the text."""
    line = refused(run("call", "--json", echo.address, text), 2)
    assert "this message is not JSON" in line
    assert len(line) < 300


def test_a_reply_that_is_no_json_is_not_printed() -> None:
    """A server that was promised to speak JSON, and does not."""
    with Serving("hello", "--port", "0", "--mode", "framed") as server:
        assert "the server's reply is not JSON: b'1" in refused(run("call", "--json", server.address, "1"))


# -- making keys -----------------------------------------------------------------------------------------------


def test_a_key_is_made_and_can_be_used_at_once(tmp_path: Path) -> None:
    """Its file is its owner's, and what is printed is no secret."""
    path = tmp_path / "new"
    ended = run("keygen", str(path), "--id", "app-7")
    assert ended == (0, f"{path}: key app-7, 32 random bytes, for its owner's eyes only\n", "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    ring = parse_keys(path.read_text(encoding="ascii"))
    assert (list(ring), len(ring.first.secret)) == (["app-7"], 32)
    with Serving("json", "--port", "0", "--auth-key", str(path)) as server:
        assert run("call", server.address, "--auth-key", str(path), "--json", "1").stdout == '{"result":1}\n'


def test_a_key_has_a_random_name_unless_it_is_given_one(tmp_path: Path) -> None:
    """So two of them can stand in one file."""
    names = set()
    for path in (tmp_path / "first", tmp_path / "second"):
        assert run("keygen", str(path)).status == 0
        names |= set(parse_keys(path.read_text(encoding="ascii")))
    assert len(names) == 2


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["KEY"], 1, "EEXIST"),
        (["no/such/folder"], 1, "ENOENT"),
        (["new", "--id", "two words"], 2, "a key id"),
        ([], 2, "FILE"),
    ],
)
def test_a_key_that_cannot_be_made_is_one_line(key: str, words: list[str], status: int, text: str) -> None:
    """And whatever was there is as it was."""
    before = Path(key).read_bytes()
    assert text in refused(run("keygen", *[key if word == "KEY" else word for word in words]), status)
    assert Path(key).read_bytes() == before
