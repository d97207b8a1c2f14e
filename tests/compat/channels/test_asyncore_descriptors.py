"""EMFILE on accept, with a real kernel and a real limit, under the original asyncore and under ours.

The original closes its listening socket, or spins if the program's ``handle_error`` does not let it.  The limit is
a property of the whole process, so a process of its own plays the story and prints what it saw.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from tests.cli.running import PATIENCE, environment
from tests.compat.channels.conftest import KINDS, load

pytestmark = pytest.mark.slow

STORY = """
    import json, os, resource, socket, sys, time, warnings
    warnings.simplefilter("ignore", DeprecationWarning)
    if sys.argv[1] == "original":
        import asyncore
    else:
        from reactor.compat import asyncore
        from reactor.compat.channels import watch
        watch.ACCEPT_BACKOFF = 0.05

    served, asked, said, errors = [], [], [], []

    class Server(asyncore.dispatcher):
        def readable(self):
            asked.append(1)
            return True

        def handle_accepted(self, sock, address):
            served.append(sock)

        def log_info(self, message, type="info"):
            said.append(type)

        def handle_error(self):
            errors.append(sys.exc_info()[1].errno)
            if sys.argv[2] == "closes":
                super().handle_error()

    def until(condition, seconds):
        end = time.monotonic() + seconds
        while not condition() and time.monotonic() < end and asyncore.socket_map:
            asyncore.loop(0.01, sys.argv[3] == "poll2", None, 1)

    server = Server()
    server.create_socket()
    server.bind(("127.0.0.1", 0))
    server.listen(100)
    address = server.socket.getsockname()
    first = socket.create_connection(address)
    until(lambda: served, 5)

    # From here on no descriptor is left but the reserve.
    clients = [socket.socket() for _ in range(5)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))), 4096))
    filler = []
    try:
        while True:
            filler.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
    for late in clients:
        late.connect(address)
        late.settimeout(0.01)
    # What a wait that is not to wait would do in so many turns.
    asked.clear()
    until(lambda: len(asked) > 1000, 0.3)
    ends = []
    for late in clients:
        try:
            ends.append(len(late.recv(1)))
        except OSError:
            ends.append("waits")
    turns = len(asked)
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    newcomer = None
    if server.socket.fileno() >= 0:
        newcomer = socket.create_connection(address)
        count = len(served)
        until(lambda: newcomer.getsockname() in [sock.getpeername() for sock in served[count:]], 5)
    print(json.dumps({
        "turns": turns, "ends": ends, "errors": sorted(set(errors)), "said": sorted(set(said)),
        "lines": len(said), "is_listening": server.socket.fileno() >= 0, "served": len(served),
    }))
    sys.stdout.flush()
    os._exit(0)
"""


def play(kind: str, ending: str, how: str) -> dict[str, Any]:
    """Play the story in a process of its own and return what it saw."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(STORY), kind, ending, how],
        env=environment(PYTHONWARNINGS="default", REACTOR_SELECTOR=kind if kind != "original" else "select"),
        capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize("how", ["poll", "poll2"])
@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_listener_rests_and_recovers_when_there_is_no_descriptor_left(kind: str, how: str) -> None:
    """Who waits is turned away at once, the loop does not spin, a line says why, and the next client is served."""
    seen = play(kind, "closes", how)
    assert seen["ends"] == [0] * 5
    assert seen["turns"] < 100
    assert seen["errors"] == []
    assert seen["said"] == ["error"]
    assert seen["lines"] < 10
    assert seen["is_listening"]
    assert seen["served"] == 2


@pytest.mark.parametrize("how", ["poll", "poll2"])
def test_the_original_gives_up_or_spins_when_there_is_no_descriptor_left(how: str) -> None:
    """Its default handler closes the listening socket; with one that does not, it turns as fast as it can."""
    load("original")
    seen = play("original", "closes", how)
    assert not seen["is_listening"]
    seen = play("original", "stays", how)
    assert seen["is_listening"]
    assert seen["turns"] > 200
    assert seen["ends"] == ["waits"] * 5
