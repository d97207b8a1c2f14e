"""Who holds a port, as far as the system tells."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from reactor.errors import BindFailed
from reactor.net.sockets.opening import open_datagram_socket, open_tcp_listeners
from reactor.net.sockets.port_holder import find_port_holder
from reactor.ops import Ops
from reactor.testing import ORDINARY, ScriptedOps

OPS = Ops()

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="proc(5) is Linux's")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Closes what a test enters into it."""
    with ExitStack() as stack:
        yield stack


def listen(stack: ExitStack, host: str) -> socket.socket:
    """Open a TCP listener that is closed at the end of the test."""
    [sock] = open_tcp_listeners(OPS, host, 0, backlog=8)
    return stack.enter_context(sock)


def test_nobody_is_named_when_nobody_holds_the_port_or_proc_cannot_be_read(stack: ExitStack) -> None:
    """No answer is an answer."""
    sock = listen(stack, "127.0.0.1")
    port = sock.getsockname()[1]
    assert find_port_holder(OPS, socket.SOCK_STREAM, "127.0.0.2", port) is None
    ops = ScriptedOps()
    ops.script("read_file", PermissionError(), PermissionError())
    assert find_port_holder(ops, socket.SOCK_STREAM, "127.0.0.1", port) is None


def test_nobody_is_named_when_the_system_speaks_in_riddles() -> None:
    """Tables of another shape, and a host that is none."""
    ops = ScriptedOps().script("read_file", b"heading\nnonsense\n")
    assert find_port_holder(ops, socket.SOCK_STREAM, "127.0.0.1", 80) is None
    assert find_port_holder(OPS, socket.SOCK_STREAM, "localhost", 80) is None


def test_the_user_is_named_when_the_process_cannot_be_seen(stack: ExitStack) -> None:
    """/proc/net/tcp tells the user id of sockets whose process is hidden from us."""
    sock = listen(stack, "127.0.0.1")
    ops = ScriptedOps()
    ops.script("list_folder", ["1", "self"], PermissionError())
    holder = find_port_holder(ops, socket.SOCK_STREAM, "127.0.0.1", sock.getsockname()[1])
    assert holder == f"a process of user id {os.getuid()}"


def test_another_process_is_named_with_its_number(stack: ExitStack) -> None:
    """The name is that of /proc/PID/comm."""
    sock = listen(stack, "::1")
    ops = ScriptedOps()
    inode = os.readlink(f"/proc/self/fd/{sock.fileno()}")
    ops.script("list_folder", ["812", "5", "net"], PermissionError(), ["0", "7"])
    ops.script("read_link", FileNotFoundError(), inode, str(os.getpid()))
    ops.script("read_file", ORDINARY, ORDINARY, b"nginx\n")
    assert find_port_holder(ops, socket.SOCK_STREAM, "::1", sock.getsockname()[1]) == "nginx (pid 812)"


def test_the_holder_of_a_datagram_port_is_named_too(stack: ExitStack) -> None:
    """UDP has tables of its own, and a state of its own."""
    sock = stack.enter_context(open_datagram_socket(OPS, ("127.0.0.1", 0)))
    with pytest.raises(BindFailed, match="this process"):
        open_datagram_socket(OPS, sock.getsockname())
