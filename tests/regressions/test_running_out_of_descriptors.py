"""EMFILE on accept, with a real kernel and a real limit.

The waiting connection keeps the listener readable, so a naive loop spins at full speed and serves nobody.  The
limit is a property of the whole process, so a process of its own plays the story and prints what it saw.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

STORY = """
    import json, os, resource, socket, sys
    from reactor.net.connections import acceptor
    from reactor.net.reactor import Reactor

    acceptor.ACCEPT_BACKOFF = 0.05
    loop = Reactor(sys.argv[1])
    failures = []
    loop.set_exception_handler(lambda exc, source: failures.append(repr(exc)))
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    served, echoed = [], []

    def accepted(sock, address):
        served.append(sock)
        loop.add_reader(sock, lambda: echoed.append(sock.recv(10)))

    loop.add_acceptor(listener, accepted)
    client = socket.create_connection(listener.getsockname())
    loop.run_until(lambda: served, timeout=5)

    # From here on no descriptor is left but the reserve and the two sockets that are already open.
    clients = [socket.socket() for _ in range(5)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))), 4096))
    filler = []
    try:
        while True:
            filler.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
    for number, late in enumerate(clients):
        late.connect(listener.getsockname())
    before = loop.registry.turn
    client.send(b"alive")
    loop.run_until(lambda: echoed, timeout=5)
    loop.run_until(lambda: loop.counters.shed >= 5, timeout=5)
    ends = [late.recv(1) for late in clients]
    # Time passes with the limit still in force: how many turns does the loop need for it?
    again = loop.time() + 0.3
    loop.call_at(again, lambda: None)
    loop.run_until(lambda: loop.time() >= again, timeout=5)
    turns = loop.registry.turn - before

    for fd in filler:
        os.close(fd)
    for late in clients:
        late.close()
    newcomer = socket.create_connection(listener.getsockname())
    loop.run_until(lambda: len(served) == 2, timeout=5)
    result = {
        "turns": turns, "echoed": [chunk.decode() for chunk in echoed], "ends": [len(end) for end in ends],
        "shed": loop.counters.shed, "failures": failures, "served": len(served),
        "errors": loop.counters.accept_errors,
    }
    for sock in served:
        loop.remove_reader(sock)
        sock.close()
    for sock in (client, newcomer, listener):
        sock.close()
    loop.close()
    print(json.dumps(result))
"""


@pytest.mark.slow
def test_the_loop_does_not_spin_and_recovers_when_no_descriptor_is_left(poller_name: str) -> None:
    """Late clients see an end instead of a silence, those already there are served, and later all is well."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(STORY), poller_name],
        capture_output=True, text=True, timeout=30, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["turns"] < 60  # a spinning loop needs tens of thousands
    assert seen["echoed"] == ["alive"]
    assert seen["ends"] == [0] * 5
    assert seen["shed"] == 5
    assert seen["served"] == 2
    assert seen["errors"] >= 1
    assert seen["failures"] == []
    assert "cannot accept connections" in done.stderr
    assert "could not be logged" not in done.stderr  # importing logging takes a descriptor too: the reserve's
