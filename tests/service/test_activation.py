"""Sockets that were there before the program: what systemd and inetd hand over, and what is made of bad hand-overs.

The descriptors have high numbers here, so that the test runner keeps its own; ``tests/cli/test_activation.py`` has
real processes with the real numbers.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reactor.errors import OptionError
from reactor.net.reactor import Reactor
from reactor.service.activation import (
    VARIABLES,
    Inherited,
    inetd_socket,
    inherited_sockets,
    role_of,
    start_with_sockets,
)
from tests.cli.running import PATIENCE, environment

#: Where the descriptors of these tests begin.
PLACE = 600


@pytest.fixture
def sockets() -> Iterator[dict[str, socket.socket]]:
    """One socket of each role."""
    left, right = socket.socketpair()
    seq, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    waiting = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    waiting.bind("")
    waiting.listen()
    datagram = socket.socket(type=socket.SOCK_DGRAM)
    listener = socket.create_server(("127.0.0.1", 0))
    found = {
        "listener": listener, "stream": left, "datagram": datagram, "seqpacket listener": waiting, "seqpacket": seq,
    }  # fmt: skip
    yield found
    for sock in (*found.values(), right, other):
        sock.close()


def place(socks: list[socket.socket]) -> None:
    """Put inheritable copies of *socks* at the numbers from PLACE on."""
    for number, sock in enumerate(socks):
        os.dup2(sock.fileno(), PLACE + number)


def told(count: int | str, names: str | None = None, pid: object = None) -> dict[str, str]:
    """Return what systemd puts into the environment, among other things."""
    found = {"LISTEN_FDS": str(count), "LISTEN_PID": str(pid or os.getpid()), "HOME": "somewhere"}
    return found if names is None else {**found, "LISTEN_FDNAMES": names}


def close_places(count: int) -> None:
    """Close what ``place`` has put there, where it still is."""
    for number in range(count):
        try:
            os.close(PLACE + number)
        except OSError:
            pass


def test_each_socket_has_its_name_and_its_role(sockets: dict[str, socket.socket]) -> None:
    """The kernel is asked what it is; it is not inherited further, does not block, and is the receiver's own."""
    place(list(sockets.values()))
    variables = told(len(sockets), ":".join(name.replace(" ", "-") for name in sockets))
    found = inherited_sockets(variables, first=PLACE)
    assert [(one.name.replace("-", " "), one.role) for one in found] == [(name, name) for name in sockets]
    for one, sock in zip(found, sockets.values(), strict=True):
        assert (one.sock.family, one.sock.type) == (sock.family, sock.type)
        assert one.sock.getsockname() == sock.getsockname()
        assert not one.sock.get_inheritable()
        assert one.sock.gettimeout() == 0
        one.sock.close()
    assert variables == {"HOME": "somewhere"}
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(PLACE)


def test_a_seqpacket_listener_is_served_through_an_acceptor(
    sockets: dict[str, socket.socket], poller_name: str
) -> None:
    """Each message is one, whatever its size; the reactor waits for it as for any descriptor."""
    waiting = sockets["seqpacket listener"]
    place([waiting])
    with Reactor(poller_name) as loop:
        [inherited] = inherited_sockets(told(1, "odd"), first=PLACE)
        served: list[socket.socket] = []

        def answer(sock: socket.socket) -> None:
            sock.send(sock.recv(100).upper())

        def accepted(sock: socket.socket, address: object) -> None:
            served.append(sock)
            loop.add_reader(sock, answer, sock)

        acceptor = loop.add_acceptor(inherited.sock, accepted)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.connect(waiting.getsockname())
            client.setblocking(False)
            client.send(b"one")
            client.send(b"two")
            replies: list[bytes] = []
            loop.add_reader(client, lambda: replies.append(client.recv(100)))
            loop.run_until(lambda: len(replies) == 2, PATIENCE)
            assert replies == [b"ONE", b"TWO"]
            loop.remove_reader(client)
        acceptor.close()
        for sock in served:
            loop.remove_reader(sock)
            sock.close()
        inherited.sock.close()


def test_sockets_without_names_are_unknown(sockets: dict[str, socket.socket]) -> None:
    """As sd_listen_fds_with_names(3) calls them."""
    place([sockets["listener"]])
    [one] = inherited_sockets(told(1), first=PLACE)
    with one.sock:
        assert one.name == "unknown"
        assert role_of(one.sock) == "listener"


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_PID": "1"},
        {"LISTEN_FDS": "1", "LISTEN_PID": "1", "LISTEN_FDNAMES": "web"},
        {"LISTEN_FDS": "0", "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": ""},
    ],
)
def test_nothing_is_taken_when_nothing_was_handed_to_this_process(variables: dict[str, str]) -> None:
    """The variables of a parent reach its grandchildren too.  They are removed in any case."""
    assert inherited_sockets(variables, first=PLACE) == []
    assert not set(variables) & set(VARIABLES)


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        (told("two"), "LISTEN_FDS is a number up to 1024, not 'two'"),
        (told(""), "not ''"),
        (told("+1"), "not '\\+1'"),
        (told("1_0"), "not '1_0'"),
        (told("\u0661"), "not '\u0661'"),
        (told("1025"), "up to 1024"),
        (told("9" * 30), "up to 1024"),
        (told(1, pid="-1"), "LISTEN_PID is a number"),
        (told(1, pid="99999999999"), "LISTEN_PID is a number"),
        (told(1, "a:b"), "has 2 names for 1 descriptors"),
        (told(1, ""), "has 0 names for 1 descriptors"),
        (told(2), f"descriptor {PLACE + 1} of LISTEN_FDS=2 is not open"),
        (told(3), f"descriptor {PLACE + 1} of LISTEN_FDS=3 is not open"),
    ],
)
def test_what_makes_no_sense_is_refused(
    sockets: dict[str, socket.socket], variables: dict[str, str], complaint: str
) -> None:
    """The message says which variable, and what it should be; the descriptors stay as they are."""
    place([sockets["listener"]])
    with pytest.raises(OptionError, match=complaint):
        inherited_sockets(variables, first=PLACE)
    assert os.get_inheritable(PLACE)
    close_places(1)


def test_what_is_no_socket_is_refused(sockets: dict[str, socket.socket]) -> None:
    """systemd hands over pipes and devices as well; nobody can listen on them."""
    place([sockets["listener"]])
    reading, writing = os.pipe()
    os.dup2(reading, PLACE + 1)
    with pytest.raises(OptionError, match=f"descriptor {PLACE + 1} of LISTEN_FDS=2 is no socket"):
        inherited_sockets(told(2), first=PLACE)
    with pytest.raises(OptionError, match="is no socket"):
        inetd_socket(PLACE + 1)
    close_places(2)
    os.close(reading)
    os.close(writing)


def test_a_socket_of_another_kind_is_refused() -> None:
    """A raw socket cannot be served on by anybody here; where there may be none, its kind is only said."""

    class Raw:
        type = socket.SOCK_RAW

        def getsockopt(self, level: int, option: int) -> int:
            return 0

    with pytest.raises(OptionError, match="SOCK_RAW"):
        role_of(Raw())


def test_the_socket_of_inetd_moves_and_leaves_nothing_behind(sockets: dict[str, socket.socket]) -> None:
    """Whoever writes to the old number afterwards writes to nobody, not to the client."""
    place([sockets["stream"]])
    taken = inetd_socket(PLACE)
    with taken.sock:
        assert taken == Inherited("inetd", taken.sock, "stream")
        assert taken.sock.fileno() != PLACE
        assert not taken.sock.get_inheritable()
        assert os.fstat(PLACE).st_rdev == os.stat(os.devnull).st_rdev
        os.write(PLACE, b"for nobody")
        with pytest.raises(BlockingIOError):
            taken.sock.recv(1)
    close_places(1)


STARTER = """
import os, socket, sys
from reactor.service import start_with_sockets
# They have the very places that they are to go to, in the other order.
socks = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
assert [sock.fileno() for sock in socks] == [3, 4, 5]
sockets = {f"socket-{number}": sock for number, sock in enumerate(reversed(socks))}
print(*[sock.getsockname()[1] for sock in sockets.values()], flush=True)
pid = start_with_sockets([sys.executable, sys.argv[1], "a b", "$HOME"], sockets)
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
for sock in socks:
    assert not sock.get_inheritable()
    sock.close()
sys.exit(status)
"""

RECEIVER = """
import os, sys
from reactor.service import inherited_sockets
assert (os.environ["LISTEN_FDS"], os.environ["LISTEN_PID"]) == ("3", str(os.getpid()))
found = inherited_sockets()
assert not [name for name in os.environ if name.startswith("LISTEN_")]
assert [(one.name, one.role, one.sock.fileno()) for one in found] == [
    ("socket-0", "listener", 3), ("socket-1", "listener", 4), ("socket-2", "listener", 5)
]
assert sys.argv[1:] == ["a b", "$HOME"]
print(*[one.sock.getsockname()[1] for one in found])
for one in found:
    one.sock.close()
try:
    os.fstat(6)
except OSError:
    pass
else:
    sys.exit("more was handed on than was meant")
"""


@pytest.mark.slow
def test_a_process_is_started_with_sockets_in_the_way_of_systemd(tmp_path: Path) -> None:
    """By name, from 3 on, whatever their numbers were; nothing else is handed on; its words stay as they are."""
    receiver = tmp_path / "receiver.py"
    receiver.write_text(RECEIVER, encoding="ascii")
    done = subprocess.run(
        [sys.executable, "-c", STARTER, str(receiver)], env=environment(), capture_output=True, text=True,
        timeout=PATIENCE,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    before, after = done.stdout.splitlines()
    assert before == after


@pytest.mark.parametrize("name", ["", "a:b", "a b", "grüße", "a\n", "x" * 256])
def test_a_name_that_cannot_be_handed_over_is_refused(name: str) -> None:
    """LISTEN_FDNAMES separates names by colons."""
    with socket.socket() as sock, pytest.raises(OptionError, match="1 to 255 ASCII characters"):
        start_with_sockets(["true"], {name: sock})


def test_a_process_that_is_started_has_no_signal_ignored() -> None:
    """Python ignores SIGPIPE; a program in a pipeline does not expect that."""
    pid = start_with_sockets(["sh", "-c", "kill -PIPE $$"], {})
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGPIPE


@pytest.mark.slow
def test_a_command_that_is_not_there_ends_the_child_only() -> None:
    """The shell between says so with its status."""
    done = subprocess.run(
        [sys.executable, "-c", "import os; from reactor.service import start_with_sockets; "
         "print(os.waitstatus_to_exitcode(os.waitpid(start_with_sockets(['no-such-command'], {}), 0)[1]))"],
        env=environment(), capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert (done.stdout, "no-such-command" in done.stderr) == ("127\n", True)
