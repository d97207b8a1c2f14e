"""Unix socket paths: stale ones are replaced, live ones and other files are not, and nothing stays behind."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from reactor.errors import BindFailed
from reactor.net.sockets.opening import open_datagram_socket, open_unix_listener, remove_unix_path
from reactor.ops import Ops
from reactor.testing import ScriptedOps, ScriptedSocket

OPS = Ops()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Closes what a test enters into it."""
    with ExitStack() as stack:
        yield stack


def can_connect(family: int, address: Any) -> bool:
    """Return True if somebody listens on *address*."""
    with socket.socket(family) as client:
        return client.connect_ex(address) == 0


def test_a_unix_listener_has_the_mode_it_was_given_before_it_listens(stack: ExitStack, tmp_path: Path) -> None:
    """The permission bits are set between bind and listen."""
    ops = ScriptedOps()
    stack.enter_context(open_unix_listener(ops, tmp_path / "s", backlog=8, mode=0o600))
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600
    assert can_connect(socket.AF_UNIX, str(tmp_path / "s"))


class DeafSocket(socket.socket):
    """A socket that the kernel does not let listen."""

    def listen(self, backlog: int = 0, /) -> None:
        raise OSError(errno.ENOBUFS, "no")


@pytest.mark.parametrize("method", ["chmod", "listen"])
def test_the_path_is_removed_again_when_a_step_after_bind_fails(tmp_path: Path, method: str) -> None:
    """Neither a socket nor a file stays behind."""
    ops = ScriptedOps()
    if method == "chmod":
        ops.script("chmod", PermissionError(errno.EPERM, "no"))
    else:
        ops.script("socket", DeafSocket(socket.AF_UNIX))
    with pytest.raises(BindFailed):
        open_unix_listener(ops, tmp_path / "s", backlog=8, mode=0o600)
    assert not (tmp_path / "s").exists()


def test_a_stale_path_is_replaced_when_nobody_listens_on_it(stack: ExitStack, tmp_path: Path) -> None:
    """What a killed server left behind does not stop its successor."""
    path = tmp_path / "s"
    open_unix_listener(OPS, path, backlog=8).close()
    assert path.is_socket()
    stack.enter_context(open_unix_listener(OPS, path, backlog=8))
    assert can_connect(socket.AF_UNIX, str(path))


def test_a_stale_path_stays_when_it_is_not_to_be_replaced(tmp_path: Path) -> None:
    """replace_stale=False leaves it to somebody else, and says so."""
    path = tmp_path / "s"
    open_unix_listener(OPS, path, backlog=8).close()
    with pytest.raises(BindFailed, match="nobody serves it"):
        open_unix_listener(OPS, path, backlog=8, replace_stale=False)
    assert path.is_socket()


def test_a_live_path_stays_when_somebody_listens_on_it(stack: ExitStack, tmp_path: Path) -> None:
    """A full queue and a socket of another kind are signs of life as well."""
    path = tmp_path / "s"
    stack.enter_context(open_unix_listener(OPS, path, backlog=0))
    for _ in range(3):
        with pytest.raises(BindFailed, match="somebody serves it") as caught:
            open_unix_listener(OPS, path, backlog=8)
        assert caught.value.errno == errno.EADDRINUSE
    with pytest.raises(BindFailed, match="somebody serves it"):
        open_datagram_socket(OPS, str(path))
    assert path.is_socket()


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_a_path_stays_when_it_is_no_socket(tmp_path: Path, kind: str) -> None:
    """Files of other people are never removed, a link to a stale socket included."""
    path = tmp_path / "s"
    if kind == "file":
        path.write_text("precious")
    elif kind == "folder":
        path.mkdir()
    else:
        open_unix_listener(OPS, tmp_path / "target", backlog=8).close()
        path.symlink_to(tmp_path / "target")
    with pytest.raises(BindFailed, match="not a socket"):
        open_unix_listener(OPS, path, backlog=8)
    assert path.exists()


@pytest.mark.parametrize("when", ["before it is looked at", "before it is asked"])
def test_the_path_is_bound_when_somebody_else_removed_the_stale_file(stack: ExitStack, when: str) -> None:
    """Two servers may clean up at the same time."""
    sock = ScriptedSocket(socket.AF_UNIX).script("bind", OSError(errno.EADDRINUSE, "in use"))
    probe = ScriptedSocket(socket.AF_UNIX).script("connect", errno.ENOENT)
    ops = ScriptedOps().script("socket", sock, probe)
    ops.script("is_socket_path", True)
    ops.script("path_identity", None if when == "before it is looked at" else (1, 2))
    assert open_unix_listener(ops, "/run/x", backlog=8) is sock
    assert "unlink" not in [call[0] for call in ops.calls]


def test_the_path_stays_when_it_does_not_let_itself_be_asked() -> None:
    """EACCES: the file is somebody else's, and nobody knows whether it is in use."""
    sock = ScriptedSocket(socket.AF_UNIX).script("bind", OSError(errno.EADDRINUSE, "in use"))
    probe = ScriptedSocket(socket.AF_UNIX).script("connect", errno.EACCES)
    ops = ScriptedOps().script("socket", sock, probe)
    ops.script("is_socket_path", True)
    ops.script("path_identity", (1, 2))
    with pytest.raises(BindFailed, match="cannot be found out"):
        open_unix_listener(ops, "/run/x", backlog=8)
    assert (sock.fileno(), probe.fileno()) == (-1, -1)
    assert "unlink" not in [call[0] for call in ops.calls]


def test_the_error_says_so_when_the_folder_is_not_writable() -> None:
    """EACCES of bind is about the folder too."""
    sock = ScriptedSocket(socket.AF_UNIX).script("bind", PermissionError(errno.EACCES, "denied"))
    with pytest.raises(BindFailed, match="does not let this user"):
        open_unix_listener(ScriptedOps().script("socket", sock), "/run/x", backlog=8)


def test_an_abstract_name_has_no_file_and_belongs_to_one(stack: ExitStack) -> None:
    """A second listener on it is refused."""
    name = f"@reactor-test-{os.getpid()}"
    stack.enter_context(open_unix_listener(OPS, name, backlog=8, mode=0o600))
    assert can_connect(socket.AF_UNIX, "\0" + name[1:])
    with pytest.raises(BindFailed, match="another socket has this name"):
        open_unix_listener(OPS, name, backlog=8)


def test_the_error_says_so_when_the_folder_does_not_exist(tmp_path: Path) -> None:
    """ENOENT of bind is about the folder, not about the socket."""
    with pytest.raises(BindFailed, match="folder does not exist"):
        open_unix_listener(OPS, tmp_path / "none" / "s", backlog=8)


def test_a_path_is_removed_only_when_it_is_still_the_same_file(tmp_path: Path) -> None:
    """A successor may have put its own socket there."""
    path = tmp_path / "s"
    path.write_text("mine")
    identity = OPS.path_identity(str(path))
    other = tmp_path / "other"
    other.write_text("theirs")
    other.replace(path)
    remove_unix_path(OPS, str(path), identity)
    assert path.read_text() == "theirs"
    remove_unix_path(OPS, str(path), OPS.path_identity(str(path)))
    assert not path.exists()
    remove_unix_path(OPS, str(path), identity)


def test_a_path_that_cannot_be_removed_stays_without_a_word() -> None:
    """At the end of a listener there is nobody left to whom it would matter."""
    ops = ScriptedOps().script("path_identity", (1, 2)).script("unlink", PermissionError(errno.EPERM, "no"))
    remove_unix_path(ops, "/run/x", (1, 2))
    assert ops.calls[-1] == ("unlink", "/run/x")
