"""A server that has run out of descriptors: nobody is left hanging, nothing spins, and it recovers by itself.

The limit is a real one, RLIMIT_NOFILE of a process of its own; clients come from here.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.net.stage import PATIENCE

ROOT = Path(__file__).resolve().parent.parent.parent

SERVER = """
import json, logging, os, resource, sys
logging.basicConfig(stream=sys.stderr, format="%(message)s")
import reactor.net.reactor
from tests.net.recorder import Recorder, echo

loop = reactor.net.reactor.Reactor(sys.argv[1])
listener = loop.listen_tcp(lambda: Recorder(data_received=echo), "127.0.0.1", 0)
used = len(os.listdir("/proc/self/fd")) - 1
resource.setrlimit(resource.RLIMIT_NOFILE, (used + 10, used + 10))
print(listener.address[1], flush=True)
loop.add_reader(0, loop.stop)
loop.run()
print(json.dumps({**loop.counters.as_dict(), "turns": loop.registry.turn}), flush=True)
loop.close()
"""


def answer(client: socket.socket) -> bytes:
    """Say a word and return what comes back; nothing if the server has hung up."""
    try:
        client.sendall(b"word")
        return client.recv(100)
    except ConnectionError:
        return b""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts descriptors in /proc")
def test_everybody_gets_an_answer_or_an_end_when_descriptors_run_out(poller_name: str) -> None:
    """Ten are served, thirty see an end at once; when the ten have left, the next is served."""
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, poller_name],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stdout is not None
    address = ("127.0.0.1", int(server.stdout.readline()))
    clients = [socket.create_connection(address, PATIENCE) for _ in range(40)]
    answers = [answer(client) for client in clients]
    for client in clients:
        client.close()
    with socket.create_connection(address, PATIENCE) as late:
        late_answer = answer(late)
    report, log = server.communicate("stop", PATIENCE)
    counters = json.loads(report)
    assert 5 <= answers.count(b"word") <= 10
    assert answers.count(b"word") + answers.count(b"") == 40
    assert late_answer == b"word"
    assert counters["shed"] == answers.count(b"")
    assert counters["turns"] < 500, "it spun"
    assert 1 <= log.count("cannot accept connections") <= 3
    assert "Traceback" not in log
