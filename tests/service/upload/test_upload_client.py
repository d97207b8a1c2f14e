"""The client that sends files, against a plain blocking server and against ours, on every poller."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

import reactor
from reactor.errors import MessageMalformed
from reactor.ops import Ops
from reactor.service.upload.sending import Outcome, State
from reactor.testing.script import ORDINARY, Script
from tests.service.upload.plain_server import Conversation, keep_everything, send, states

CONTENT = b"".join(b"%07d\n" % number for number in range(40_000))


class ScriptedFiles(Ops):
    """The operating system; each call of sendfile may do something else first."""

    def __init__(self, *steps: Any) -> None:
        self.script = Script()
        self.script.add("sendfile", steps)

    def sendfile(self, *args: Any) -> int:
        self.script.note("sendfile", *args)
        step = self.script.next("sendfile")
        if step is not ORDINARY:
            step()
        return super().sendfile(*args)


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    """A few files, the second of them larger than a message."""
    contents = {"a": b"abc", "大文件": CONTENT, "empty": b""}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return [str(tmp_path / name) for name in contents]


# -- what goes well --------------------------------------------------------------------------------------------


def test_files_arrive_at_a_plain_server_byte_by_byte(loop: reactor.Reactor, paths: list[str]) -> None:
    """A server of a page of Python, written from the description, is all that it takes."""
    client, server = send(loop, keep_everything, paths)
    assert server.files == {"a": b"abc", "大文件": CONTENT, "empty": b""}
    assert client.result() == [
        Outcome(paths[0], "a", State.KEPT, "", 3, 0),
        Outcome(paths[1], "大文件", State.KEPT, "", len(CONTENT), 0),
        Outcome(paths[2], "empty", State.KEPT, "", 0, 0),
    ]
    progress = client.progress()
    assert (progress.files, progress.bytes, progress.all_bytes) == (3, len(CONTENT) + 3, len(CONTENT) + 3)


def test_the_same_bytes_arrive_when_they_are_read_instead_of_sent_by_the_kernel(
    loop: reactor.Reactor, paths: list[str]
) -> None:
    """Where sendfile(2) does not work, or is not there."""

    class Reader(Ops):
        def sendfile(self, *args: Any) -> int:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    loop._shared.ops = Reader()
    _, server = send(loop, keep_everything, paths)
    assert server.files == {"a": b"abc", "大文件": CONTENT, "empty": b""}


def test_no_more_files_are_offered_than_the_server_allows(loop: reactor.Reactor, tmp_path: Path) -> None:
    """A hundred files through a window of three; the numbers grow."""
    for number in range(100):
        (tmp_path / f"file-{number}").write_bytes(b"%d" % number)
    most = 0

    def talk(conversation: Conversation) -> None:
        nonlocal most
        conversation.welcome(window=3)
        unsettled: list[int] = []
        last = -1
        while len(conversation.files) < 100:
            letter, number, rest = conversation.hear()
            if letter == "O":
                assert number > last
                last = number
                unsettled.append(number)
                most = max(most, len(unsettled))
                conversation.go(number)
            elif letter == "E":
                unsettled.remove(number)
                conversation.take(number, rest)

    _, server = send(loop, talk, [str(path) for path in tmp_path.iterdir()])
    assert server.files == {f"file-{number}": b"%d" % number for number in range(100)}
    assert most == 3


def test_a_message_carries_no_more_than_the_server_allows(loop: reactor.Reactor, paths: list[str]) -> None:
    """Of a hundred bytes at a time, say."""

    def talk(conversation: Conversation) -> None:
        conversation.welcome(data_bytes=100)
        conversation.hear()
        conversation.go(0)
        while (heard := conversation.hear())[0] == "D":
            assert len(heard[2]) <= 100
        conversation.take(0, heard[2])

    _, server = send(loop, talk, paths[1:2])
    assert server.files == {"大文件": CONTENT}


def test_only_the_rest_is_sent_when_the_server_has_the_beginning(loop: reactor.Reactor, paths: list[str]) -> None:
    """The digest is that of the whole file all the same."""

    def talk(conversation: Conversation) -> None:
        conversation.welcome()
        conversation.hear()
        conversation.go(0, 300_000)
        while (heard := conversation.hear())[0] == "D":
            pass
        conversation.take(0, heard[2], CONTENT[:300_000])

    client, server = send(loop, talk, paths[1:2])
    assert server.files == {"大文件": CONTENT}
    assert len(server.received[0]) == len(CONTENT) - 300_000
    assert client.outcomes()[0].skipped == 300_000


def test_the_digest_alone_is_sent_when_the_server_has_everything(loop: reactor.Reactor, paths: list[str]) -> None:
    """An offset that is the size asks whether it is the same."""

    def talk(conversation: Conversation) -> None:
        conversation.welcome()
        conversation.hear()
        conversation.go(0, len(CONTENT))
        letter, number, digest = conversation.hear()
        assert (letter, digest) == ("E", hashlib.sha256(CONTENT).digest())
        conversation.kept(number)

    client, server = send(loop, talk, paths[1:2])
    assert (states(client), server.said) == ([State.KEPT], "HOE")


def test_a_file_is_sent_once_more_when_the_server_had_a_wrong_beginning(
    loop: reactor.Reactor, paths: list[str]
) -> None:
    """A second *go* after the end; a third would be one too many."""

    def talk(conversation: Conversation) -> None:
        conversation.welcome()
        conversation.hear()
        conversation.go(0, 1000)
        while conversation.hear()[0] == "D":
            pass
        conversation.received[0].clear()
        conversation.go(0, 0)
        while (heard := conversation.hear())[0] == "D":
            pass
        assert heard[2] == hashlib.sha256(CONTENT).digest()
        assert bytes(conversation.received[0]) == CONTENT
        conversation.go(0, 0)
        assert conversation.hear()[0] == ""

    client, _ = send(loop, talk, paths[1:2])
    with pytest.raises(MessageMalformed, match="out of turn"):
        client.result()


def test_the_key_of_a_file_stays_until_the_file_changes(loop: reactor.Reactor, paths: list[str]) -> None:
    """So a server finds the beginning of this very file again, and never that of another state of it."""
    keys = []
    for change in (lambda: None, lambda: os.utime(paths[0], ns=(1, 1)), lambda: os.chmod(paths[0], 0o600)):
        change()
        for _ in range(2):
            _, server = send(loop, keep_everything, paths[:1])
            keys.append(server.offers[0][1])
    assert keys[0] == keys[1]
    assert keys[2] == keys[3]
    assert keys[4] == keys[5]
    assert len(set(keys)) == 3


# -- single files that do not go well --------------------------------------------------------------------------


def test_a_file_that_cannot_be_read_stops_no_other(loop: reactor.Reactor, paths: list[str], tmp_path: Path) -> None:
    """One that is not there, a directory, a FIFO; each has its reason."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    odd = [str(tmp_path / name) for name in ("nowhere", "folder", "fifo")]
    client, server = send(loop, keep_everything, [odd[0], *paths, *odd[1:]])
    assert server.files.keys() == {"a", "大文件", "empty"}
    assert states(client) == [State.FAILED, *[State.KEPT] * 3, State.FAILED, State.FAILED]
    texts = [outcome.text for outcome in client.outcomes() if outcome.text]
    assert "ENOENT" in texts[0]
    assert "regular" in texts[1]
    assert "regular" in texts[2]


def test_all_files_may_fail_and_the_client_is_done(loop: reactor.Reactor, tmp_path: Path) -> None:
    """More of them than the window is wide."""
    client, _ = send(loop, keep_everything, [str(tmp_path / str(number)) for number in range(50)])
    assert states(client) == [State.FAILED] * 50


def test_a_refused_file_stops_no_other(loop: reactor.Reactor, paths: list[str], big: str) -> None:
    """Refused at once, and refused in its midst: then the rest of it is not sent."""

    def talk(conversation: Conversation) -> None:
        conversation.welcome()
        while len(conversation.offers) < 3:
            conversation.hear()
        conversation.refuse(0, 2, b"is here\x1b[2J")
        conversation.go(1)
        while len(conversation.received[1]) < 10_000:
            conversation.hear()
        conversation.refuse(1, 5, b"disk full")
        while conversation.hear()[0] != "C":
            pass
        conversation.go(2)
        while (heard := conversation.hear())[0] != "E":
            pass
        conversation.take(2, heard[2])

    client, server = send(loop, talk, [paths[0], big, paths[2]])
    assert [(o.state, o.text) for o in client.outcomes()] == [
        (State.REFUSED, "is here?[2J"), (State.REFUSED, "disk full"), (State.KEPT, ""),
    ]  # fmt: skip
    assert len(server.received[1]) < os.path.getsize(big)


def test_a_file_that_waits_for_its_turn_is_given_up_when_it_is_refused(
    loop: reactor.Reactor, paths: list[str], big: str
) -> None:
    """Not one byte of it is sent, and the server is told that it was heard."""

    def talk(conversation: Conversation) -> None:
        conversation.welcome(data_bytes=500_000)
        while len(conversation.offers) < 2:
            conversation.hear()
        conversation.go(0)
        conversation.go(1)
        conversation.refuse(1)
        conversation.refuse(0)
        while conversation.hear()[0]:
            pass
        assert conversation.is_between_messages

    client, server = send(loop, talk, [big, paths[1]])
    assert states(client) == [State.REFUSED, State.REFUSED]
    assert not server.received[1]
    assert sorted(server.cancelled) == [0, 1]


def test_a_file_that_shrinks_while_it_is_sent_is_given_up(loop: reactor.Reactor, paths: list[str]) -> None:
    """The message that was begun is filled up, so the files behind it arrive."""
    files = ScriptedFiles(ORDINARY, ORDINARY, ORDINARY, lambda: os.truncate(paths[1], 35_000))
    loop._shared.ops = files
    client, server = send(loop, keep_everything, [paths[1], paths[0]])
    assert server.files == {"a": b"abc"}
    first, second = client.outcomes()
    assert (first.state, second.state) == (State.FAILED, State.KEPT)
    assert "shorter" in first.text
    assert server.said.count("C") == 1
    assert bytes(server.received[0]) == CONTENT[:35_000] + bytes(5_000)


def test_a_file_that_changes_while_it_is_sent_is_given_up(loop: reactor.Reactor, paths: list[str]) -> None:
    """As soon as that is seen, and not after the last of its bytes."""

    def change() -> None:
        with open(paths[1], "r+b") as file:
            file.write(b"x")
            os.utime(paths[1], ns=(1, 1))

    loop._shared.ops = ScriptedFiles(ORDINARY, change)
    client, server = send(loop, keep_everything, [paths[1], paths[0]])
    first, second = client.outcomes()
    assert (first.state, first.text, second.state) == (State.FAILED, "it changed while it was sent", State.KEPT)
    assert server.files == {"a": b"abc"}
    assert len(server.received[0]) < len(CONTENT)


def test_a_file_is_refused_when_other_bytes_were_sent_than_hashed(
    loop: reactor.Reactor, paths: list[str], tmp_path: Path
) -> None:
    """Whatever the reason: the digest is made from what is read, and does not fit."""

    class Liar(ScriptedFiles):
        def sendfile(self, out: int, fd: int, offset: int, count: int) -> int:
            return os.write(out, b"?" * min(count, 1000))

    loop._shared.ops = Liar()
    client, server = send(loop, keep_everything, paths[1:2])
    assert states(client) == [State.REFUSED]
    assert server.files == {}


def test_a_disk_error_gives_up_one_file(loop: reactor.Reactor, paths: list[str]) -> None:
    """What could be read has been sent; the server is told to forget it."""

    def fail() -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    loop._shared.ops = ScriptedFiles(ORDINARY, fail)
    client, server = send(loop, keep_everything, [paths[1], paths[0]])
    first, second = client.outcomes()
    assert (first.state, second.state) == (State.FAILED, State.KEPT)
    assert "EIO" in first.text
    assert server.files == {"a": b"abc"}
