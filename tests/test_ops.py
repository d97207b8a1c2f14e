"""The seam itself: each operation is the system's own call, with its failure modes."""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from reactor.ops import HAS_EVENTFD, Ops


def test_sockets_are_non_blocking() -> None:
    """New ones, pairs, and those that take a descriptor over."""
    ops = Ops()
    with ops.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        assert sock.gettimeout() == 0.0
    left, right = ops.socketpair()
    left.setblocking(True)
    with ops.socket_from_fd(left.detach()) as taken, right:
        assert taken.gettimeout() == right.gettimeout() == 0.0
        assert taken.family == right.family
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        ops.socket_from_fd(1_000_000)


def test_numeric_addresses_are_resolved_without_a_resolver() -> None:
    """What getaddrinfo(3) returns."""
    found = Ops().getaddrinfo("127.0.0.1", 80, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)
    assert found[0][4] == ("127.0.0.1", 80)


def test_a_descriptor_is_open_until_it_is_closed() -> None:
    """fstat(2) tells."""
    ops = Ops()
    fd = ops.open_reserve()
    assert ops.is_open(fd)
    assert not os.get_inheritable(fd)
    ops.close(fd)
    assert not ops.is_open(fd)
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        ops.close(fd)


@pytest.mark.skipif(not HAS_EVENTFD, reason="this system has no eventfd")
def test_a_counter_is_raised_and_cleared() -> None:
    """However often it was raised, it is cleared at once."""
    ops = Ops()
    fd = ops.eventfd()
    ops.eventfd_raise(fd)
    ops.eventfd_raise(fd)
    ops.eventfd_clear(fd)
    with pytest.raises(BlockingIOError):
        ops.eventfd_clear(fd)
    ops.close(fd)


def test_a_socket_path_is_told_from_a_file_and_from_nothing(tmp_path: Path) -> None:
    """Without following a link; a path that cannot exist is nothing."""
    ops = Ops()
    path, file, link = (str(tmp_path / name) for name in ("socket", "file", "link"))
    Path(file).touch()
    os.symlink(path, link)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        assert [ops.is_socket_path(name) for name in (path, file, link, "/no/such", "\0")] == [
            True, False, False, False, False,
        ]  # fmt: skip
        identity = ops.path_identity(path)
        assert identity == (os.stat(path).st_dev, os.stat(path).st_ino)
    assert ops.path_identity("/no/such") is ops.path_identity("\0") is None
    ops.chmod(path, 0o600)
    assert os.stat(path).st_mode & 0o777 == 0o600
    ops.unlink(path)
    assert ops.path_identity(path) is None


def test_signal_handlers_and_the_wakeup_descriptor_are_the_systems() -> None:
    """What is set replaces what is returned."""
    ops = Ops()
    previous = ops.set_signal(signal.SIGUSR1, signal.SIG_IGN)
    ops.restart_system_calls(signal.SIGUSR1)
    assert ops.set_signal(signal.SIGUSR1, previous) is signal.SIG_IGN
    left, right = ops.socketpair()
    with left, right:
        assert ops.set_wakeup_fd(left.fileno()) == -1
        assert ops.set_wakeup_fd(-1) == left.fileno()


def test_a_thread_is_a_daemon_with_a_name() -> None:
    """So that a hanging resolver does not keep the process alive."""
    seen: list[object] = []
    ops = Ops()
    thread = ops.start_thread(lambda: seen.append(ops.thread_id()), "worker")
    thread.join()
    assert thread.daemon
    assert thread.name == "worker"
    assert seen == [thread.ident]
    assert ops.thread_id() == threading.get_ident()
    with ops.rlock() as first, ops.rlock() as second:
        assert first
        assert second
