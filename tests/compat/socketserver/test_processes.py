"""A process for each request, with real forks: they are reaped, bounded, and leave the parent as it was."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from reactor.compat.serving import fork_mixin
from tests.cli.running import environment
from tests.compat.socketserver.serving import PATIENCE, ask, connected, receive_all, receive_line, serving, until

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    # A process is forked while the serving thread and the client's live: Python 3.12 and later warn of that.
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]


def answering(module: Any) -> Any:
    """Return a handler that says in which process it is, and ends when its client does."""

    class Handler(module.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"%d\n" % os.getpid())
            self.rfile.read()

    return Handler


def hang_up(client: socket.socket) -> None:
    """End the conversation.  Closing alone would not: the child has inherited a copy of this end as well."""
    client.shutdown(socket.SHUT_RDWR)
    client.close()


def test_each_request_has_a_process_of_its_own(module: Any) -> None:
    """None of them is the server's; all are children that are collected when it is closed."""
    with serving(module.ForkingTCPServer(("127.0.0.1", 0), answering(module))) as server:
        pids = {int(ask(server.server_address, b"")) for _ in range(3)}
    assert len(pids) == 3
    assert os.getpid() not in pids
    assert not server.active_children
    for pid in pids:
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def test_children_are_collected_while_the_server_serves(module: Any) -> None:
    """No zombie waits for the end of the server, nor for the next request."""
    with serving(module.ForkingTCPServer(("127.0.0.1", 0), answering(module))) as server:
        ask(server.server_address, b"")
        until(lambda: server.active_children == set())


def test_children_are_collected_when_handle_request_times_out(module: Any) -> None:
    """``handle_timeout`` does it, for those who do not serve forever."""
    kind = type("Server", (module.ForkingTCPServer,), {"timeout": 0})
    with kind(("127.0.0.1", 0), answering(module)) as server:
        with connected(server.server_address) as client:
            server.handle_request()
            [pid] = server.active_children
            assert int(receive_line(client)) == pid
            hang_up(client)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        server.handle_request()
        assert server.active_children == set()


def test_no_more_children_are_at_work_than_allowed(module: Any) -> None:
    """The third client waits until one of the first two has gone."""
    kind = type("Server", (module.ForkingTCPServer,), {"max_children": 2})
    with serving(kind(("127.0.0.1", 0), answering(module))) as server:
        clients = [connected(server.server_address) for _ in range(3)]
        first, second = (int(receive_line(client)) for client in clients[:2])
        until(lambda: server.active_children == {first, second})
        clients[2].settimeout(0.05)
        with pytest.raises(TimeoutError):
            clients[2].recv(1)
        clients[2].settimeout(PATIENCE)
        hang_up(clients[0])
        third = int(receive_line(clients[2]))
        assert first not in server.active_children
        assert second in server.active_children
        assert third not in {first, second}
        for client in clients[1:]:
            hang_up(client)


def test_closing_waits_for_the_children_unless_told_otherwise(module: Any) -> None:
    """``block_on_close``: with it, none is left; without it, they work on."""
    for is_to_wait in (False, True):
        kind = type("Server", (module.ForkingTCPServer,), {"block_on_close": is_to_wait})
        server = kind(("127.0.0.1", 0), answering(module))
        with connected(server.server_address) as client:
            server.handle_request()
            [pid] = server.active_children
            closing = threading.Thread(target=server.server_close)
            closing.start()
            if not is_to_wait:
                closing.join(PATIENCE)
            assert closing.is_alive() == is_to_wait
            hang_up(client)
        closing.join(PATIENCE)
        if not is_to_wait:
            os.waitpid(pid, 0)
        else:
            assert server.active_children == set()


@pytest.mark.parametrize(("error", "status"), [(None, 0), (ValueError("handle"), 1), (SystemExit(7), 1)])
def test_the_exit_status_tells_whether_the_request_was_answered(
    module: Any, error: BaseException | None, status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """0 if it was, 1 if the handler raised; the error is printed by the child."""

    class Handler(module.StreamRequestHandler):
        def handle(self) -> None:
            if error is not None:
                raise error

    with module.ForkingTCPServer(("127.0.0.1", 0), Handler) as server:
        with connected(server.server_address) as client:
            server.handle_request()
            [pid] = server.active_children
            assert receive_all(client) == b""
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        assert ended.si_status == status
    assert ("ValueError: handle" in capfd.readouterr().err) == isinstance(error, ValueError)


def test_a_child_leaves_the_reactor_of_its_parent_alone(ours: Any) -> None:
    """A handler that takes apart the loop that it finds in the child changes nothing for the server."""

    class Handler(ours.StreamRequestHandler):
        def handle(self) -> None:
            loop = self.server._BaseServer__selector._loop
            self.wfile.write(b"%d" % loop.remove_reader(self.server))
            loop.close()

    with serving(ours.ForkingTCPServer(("127.0.0.1", 0), Handler)) as server:
        assert [ask(server.server_address, b"") for _ in range(5)] == [b"1"] * 5


def test_another_child_of_the_program_is_not_waited_for(ours: Any) -> None:
    """The model collects any child when there are too many, and steals its status from whoever started it."""
    kind = type("Server", (ours.ForkingTCPServer,), {"max_children": 1})
    stranger = subprocess.Popen([sys.executable, "-c", "raise SystemExit(72)"])
    try:
        os.waitid(os.P_PID, stranger.pid, os.WEXITED | os.WNOWAIT)
        with serving(kind(("127.0.0.1", 0), answering(ours))) as server:
            with connected(server.server_address) as first:
                receive_line(first)
                hang_up(first)
            ask(server.server_address, b"")
    finally:
        assert stranger.wait(PATIENCE) == 72


@pytest.mark.parametrize("failing", ["pidfd_open", "nothing"])
def test_one_of_the_children_is_waited_for_when_there_are_too_many(
    failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a descriptor for each where the system has that; the model's way elsewhere."""
    if failing == "pidfd_open":
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    pid = os.fork()
    if not pid:
        os._exit(0)
    assert fork_mixin._wait_for_one_of({pid}) == pid


@pytest.mark.parametrize("max_children", [1, 40])
def test_a_child_that_somebody_else_has_waited_for_is_forgotten(ours: Any, max_children: int) -> None:
    """``collect_children`` neither hangs nor raises."""
    server = ours.ForkingTCPServer(("127.0.0.1", 0), answering(ours))
    with server, connected(server.server_address):
        server.handle_request()
        [pid] = server.active_children
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        server.max_children = max_children
        server.collect_children()
        assert server.active_children == set()


PROGRAM = """
import socket, sys
import {module} as socketserver

class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        print("handled by a child")
        {then}

class Server(socketserver.ForkingTCPServer):
    def handle_error(self, request, client_address):
        raise

print("printed by the parent")
with Server(("127.0.0.1", 0), Handler) as server:
    for _ in range(2):
        with socket.create_connection(server.server_address):
            server.handle_request()
"""


def output_of(tmp_path: Path, then: str) -> tuple[str, str]:
    """Run a program whose stdout is a file, and so has a buffer; return what it wrote."""
    program = PROGRAM.format(module="reactor.compat.socketserver", then=then)
    with (tmp_path / "stdout").open("w") as stdout:
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=environment(PYTHONUNBUFFERED=""), stdout=stdout, stderr=subprocess.PIPE, timeout=30,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return (tmp_path / "stdout").read_text(), done.stderr.decode()


@pytest.mark.slow
def test_what_a_handler_prints_is_not_lost_in_a_buffer(tmp_path: Path) -> None:
    """Each line is there once: the child's, which ends without the interpreter's end, and the parent's."""
    printed, _ = output_of(tmp_path, "pass")
    assert sorted(printed.splitlines()) == ["handled by a child"] * 2 + ["printed by the parent"]


@pytest.mark.slow
def test_what_handle_error_raises_in_a_child_is_printed(tmp_path: Path) -> None:
    """The model ends the process without a word."""
    printed, complaints = output_of(tmp_path, "raise ValueError('bad')")
    assert complaints.count("ValueError: bad") == 2
    assert printed.count("handled by a child") == 2


def test_a_unix_server_forks_too(ours: Any, tmp_path: Path) -> None:
    """The class that became public in 3.12."""
    path = str(tmp_path / "socket")
    with serving(ours.ForkingUnixStreamServer(path, answering(ours))):
        assert int(ask(path, b"")) != os.getpid()


def test_a_datagram_is_answered_by_a_child(ours: Any) -> None:
    """Through the server's own socket, which the child has a copy of."""

    class Handler(ours.DatagramRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"%d" % os.getpid())

    with (
        serving(ours.ForkingUDPServer(("127.0.0.1", 0), Handler)) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        client.settimeout(PATIENCE)
        client.sendto(b"who?", server.server_address)
        assert int(client.recv(100)) != os.getpid()
