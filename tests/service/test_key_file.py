"""Key files: what is read, what is refused and why, and that none is ever overwritten."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest

from reactor.auth import Key, format_key
from reactor.errors import KeyRefused
from reactor.service.key_file import LARGEST, problem_with, read_keys, write_key
from tests.auth.sides import ANOTHER_SECRET, SECRET

KEY = Key("app-1", SECRET)


def key_file(folder: Path, text: str = format_key(KEY), mode: int = 0o600) -> Path:
    """Return a file with *text* and *mode*."""
    path = folder / "keys"
    path.write_text(text, encoding="ascii")
    path.chmod(mode)
    return path


def status_of(mode: int, owner: int) -> os.stat_result:
    """Return what fstat(2) says of a file."""
    return os.stat_result((mode, 0, 0, 1, owner, 0, 0, 0, 0, 0))


def test_a_key_that_was_written_is_the_key_that_is_read(tmp_path: Path) -> None:
    """For its owner's eyes only, whatever the umask says."""
    path = tmp_path / "keys"
    for mask in (0, 0o777):
        before = os.umask(mask)
        try:
            write_key(path, KEY)
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        ring = read_keys(path)
        assert (list(ring), ring.first.secret) == (["app-1"], SECRET)
        path.unlink()


def test_a_key_file_is_nobody_elses_from_the_moment_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is created with its permissions, not given them afterwards: somebody could have opened it in between."""
    monkeypatch.setattr(os, "fchmod", lambda fd, mode: None)
    before = os.umask(0)
    try:
        write_key(tmp_path / "keys", KEY)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o600


def test_a_file_of_several_keys_is_several_files_one_after_the_other(tmp_path: Path) -> None:
    """That is how a key is added; the first is the one to prove oneself with."""
    text = f"{format_key(KEY)}\n# the old one\n{format_key(Key('app-0', ANOTHER_SECRET))}\n"
    assert list(read_keys(key_file(tmp_path, text))) == ["app-1", "app-0"]


def test_nothing_is_ever_overwritten(tmp_path: Path) -> None:
    """Neither a key, nor anything else, nor what a link points to."""
    path = key_file(tmp_path, "precious")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    for taken in (path, link):
        with pytest.raises(FileExistsError):
            write_key(taken, KEY)
    assert path.read_text(encoding="ascii") == "precious"
    assert not (tmp_path / "nowhere").exists()


def test_a_file_that_cannot_be_written_whole_is_removed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a key would look like one."""

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_key(tmp_path / "keys", KEY)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o666, 0o777])
def test_a_file_is_refused_when_others_can_use_it(tmp_path: Path, mode: int) -> None:
    """Reading is telling, and writing is letting oneself in; the message says how to mend it."""
    path = key_file(tmp_path, mode=mode)
    with pytest.raises(KeyRefused, match=f"{path}.*mode {mode:04o}.*chmod 600"):
        read_keys(path)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_file_is_read_when_it_is_its_owners_only(tmp_path: Path, mode: int) -> None:
    """With whatever permissions the owner gives himself."""
    assert list(read_keys(key_file(tmp_path, mode=mode))) == ["app-1"]


@pytest.mark.parametrize(
    ("mode", "owner", "user", "text"),
    [
        (0o100600, 7, 7, ""),
        (0o100640, 0, 7, ""),
        (0o100440, 0, 7, ""),
        (0o100640, 0, 0, "others can use it"),
        (0o100660, 0, 7, "others can use it"),
        (0o100644, 0, 7, "others can use it"),
        (0o100600, 8, 7, "another user (uid 8)"),
        (0o100600, 7, 0, "another user (uid 7)"),
        (0o010600, 7, 7, "not a regular file"),
        (0o040700, 7, 7, "not a regular file"),
        (0o020600, 7, 7, "not a regular file"),
    ],
)
def test_who_owns_a_file_and_what_it_is_matters(mode: int, owner: int, user: int, text: str) -> None:
    """Root's may be readable by the group of a server that is not root; a stranger's is never used."""
    problem = problem_with(status_of(mode, owner), user)
    assert text in problem
    assert bool(text) is bool(problem)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    """Opening it for reading would wait until somebody writes, which may be never."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(KeyRefused, match="not a regular file"):
        read_keys(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "there is no key"),
        ("# nothing\n", "there is no key"),
        ("app-1 base64:AAAA\n", "line 1: the secret of key 'app-1' has 3 bytes"),
        (f"{format_key(KEY)}\n\n{format_key(KEY)}\n", "two keys with the id 'app-1'"),
        ("#" * (LARGEST + 1), f"more than {LARGEST} bytes"),
    ],
)
def test_a_file_is_refused_with_its_name_when_it_holds_no_keys(tmp_path: Path, text: str, problem: str) -> None:
    """The message says which file, which line and why."""
    path = key_file(tmp_path, text)
    with pytest.raises(KeyRefused, match=re.escape(problem)) as caught:
        read_keys(path)
    assert str(path) in str(caught.value)


def test_bytes_that_are_no_text_are_refused_as_any_other_mistake(tmp_path: Path) -> None:
    """No traceback about encodings."""
    path = tmp_path / "keys"
    path.write_bytes(b"\xff\xfe app\n")
    path.chmod(0o600)
    with pytest.raises(KeyRefused, match="line 1"):
        read_keys(path)


def test_a_missing_file_is_the_systems_error(tmp_path: Path) -> None:
    """With its name, as open(2) says it."""
    with pytest.raises(FileNotFoundError, match="keys"):
        read_keys(tmp_path / "keys")
