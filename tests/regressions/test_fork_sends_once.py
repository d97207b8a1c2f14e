"""What a protocol had written before it forked is the parent's to send: the peer gets every byte once.

A reply is collected while the protocol is called, and leaves when it returns.  A child that is forked in between
has a copy of it, and of the socket: it must not send it, whether it leaves with ``sys.exit``, which ends the
delivery on its way out, with ``os._exit``, or makes the reactor its own.  It is so on every poller.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.regressions.conftest import WAYS

ROOT = Path(__file__).resolve().parent.parent.parent

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")

PROGRAM = """
import os, socket, sys, warnings
import reactor
warnings.simplefilter("ignore")
selector, manner, deed, count = sys.argv[1:4] + [int(sys.argv[4])]
parent, told, ended = os.getpid(), [], []

def fork():
    child = os.fork()
    if child == 0:
        if deed == "sys.exit":
            sys.exit(0)
        if deed == "os._exit":
            os._exit(0)
        loop.reopen()
    else:
        ended.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

def answer(me, data):
    if manner == "raw":
        me.transport.write(data)
    else:
        me.send_frame(data)
    if data.endswith(b"go"):
        told.append(me)
        if len(told) == (count + 1) // 2:
            fork()
            if os.getpid() == parent:
                if manner == "raw":
                    me.transport.write(b"after")
                else:
                    me.send_frame(b"after")

class Raw(reactor.Protocol):
    def data_received(self, data):
        answer(self, data)

class Framed(reactor.FramedProtocol):
    codec = reactor.LengthPrefixed(1)
    def frame_received(self, frame):
        answer(self, frame)

def wire(data):
    return data if manner == "raw" else bytes([len(data)]) + data

loop = reactor.Reactor(selector)
pairs = [socket.socketpair() for _ in range(count)]
for near, far in pairs:
    far.setblocking(False)
    loop.adopt_stream(Raw if manner == "raw" else Framed, near)
for word in (b"warm", b"warmer", b"go"):
    for _, far in pairs:
        far.send(wire(word))
    for _ in range(3):
        loop.run_once(0)
        if os.getpid() != parent:
            os._exit(0)
expected = wire(b"warm") + wire(b"warmer") + wire(b"go")
heard = [far.recv(1000) for _, far in pairs]
assert ended == [0], ended
assert sorted(heard, key=len) == [expected] * (count - 1) + [expected + wire(b"after")], heard
"""


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 8])
@pytest.mark.parametrize("deed", ["sys.exit", "os._exit", "reopen"])
@pytest.mark.parametrize("manner", ["raw", "framed"])
def test_the_peer_gets_every_byte_once_when_a_callback_forks(way: str, manner: str, deed: str, count: int) -> None:
    """Alone, and in the midst of eight that answer in the same turn; the child ends well, the parent goes on."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, WAYS[way][0], manner, deed, str(count)],
        cwd=ROOT, capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
