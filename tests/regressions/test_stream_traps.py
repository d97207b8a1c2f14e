"""Traps of the kernel and of Python that streams once fell into, or that others do.

Each test names its trap; all of them go wrong without a trace if nobody looks: a process killed by a signal that it
never heard of, bytes that wait for an event that does not come, a descriptor that is somebody else's by now.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reactor.errors import DescriptorTooLarge
from reactor.limits import CORK_BYTES
from tests.net.recorder import Recorder, echo
from tests.net.stage import PATIENCE, Stage, connect, stage_on, wire_on
from tests.net.virtual import sends, virtually

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def stage(poller_name: str) -> Iterator[Stage]:
    with stage_on(poller_name) as stage:
        yield stage


# -- SIGPIPE ---------------------------------------------------------------------------------------------------

WRITES_INTO_THE_VOID = """
import signal, socket
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
import reactor.net.reactor
from tests.net.recorder import Recorder

loop = reactor.net.reactor.Reactor()
protocol = Recorder(eof_received=lambda me: True)
near, far = socket.socketpair()
stream = loop.adopt_stream(lambda: protocol, near)
far.close()
loop.run_until(lambda: "eof_received" in protocol.names, 10)
{write}
loop.run_until(lambda: protocol.is_lost, 10)
print(type(protocol.reason).__name__)
loop.close()
"""

MANNERS = {
    "send": "stream.write(b'x')",
    "join": "stream.writelines([b'x', b'y'])",
    "sendmsg": "stream.writelines([bytes(20000), bytes(20000)])",
}


@pytest.mark.parametrize("manner", MANNERS)
def test_the_process_lives_when_it_writes_to_a_peer_that_has_gone(manner: str) -> None:
    """SIGPIPE kills a process that has put its default action back, as command line tools do; not ours."""
    program = WRITES_INTO_THE_VOID.format(write=MANNERS[manner])
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode != -signal.SIGPIPE, "killed by SIGPIPE"
    assert (done.stdout.strip(), done.stderr) == ("BrokenPipeError", "")


# -- descriptors -----------------------------------------------------------------------------------------------


def test_the_connection_is_refused_cleanly_when_select_cannot_watch_it() -> None:
    """select(2) ends at 1023: the client sees an end, the protocol hears why, the count is right, others go on."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 1200:
        pytest.skip("needs 1200 descriptors (ulimit -n)")
    with stage_on("select") as stage:
        protocol = Recorder()
        listener = stage.listen_tcp(lambda: protocol, "127.0.0.1", 0, max_connections=1)
        with connect(listener) as client:
            filler = [os.open(os.devnull, os.O_RDONLY)]
            while filler[-1] < 1024:
                filler.append(os.dup(filler[0]))
            try:
                stage.until(lambda: protocol.is_lost)
            finally:
                for fd in filler:
                    os.close(fd)
            stage.settle()
            assert client.recv(1) == b""
        assert isinstance(protocol.reason, DescriptorTooLarge)
        assert stage.counters.shed == 1, "told in one rationed line, because clients can bring it about"
        assert listener.connections == 0
        assert listener.is_accepting()


def test_a_stream_hears_only_its_own_bytes_when_it_has_got_anothers_descriptor(stage: Stage) -> None:
    """One stream is aborted and another one opened with the same number in one turn, while bytes lie there."""
    second = Recorder()
    far_ends = []

    def replace() -> None:
        near, far = socket.socketpair()
        far_ends.append(far)
        assert near.fileno() == number
        stage.adopt_stream(lambda: second, near)
        far.send(b"new")

    def end(me: Recorder, data: bytes) -> None:
        victim.stream.abort()
        stage.call_soon(replace)

    with wire_on(stage, Recorder(), "pair") as victim, wire_on(stage, Recorder(data_received=end), "pair") as other:
        number = victim.stream.get_extra_info("socket").fileno()
        victim.peer.send(b"old")
        other.peer.send(b"go")
        stage.until(lambda: second.received)
        assert second.received == b"new"
        assert victim.protocol.received in (b"", b"old")
        assert victim.protocol.reason is None
    far_ends[0].close()


# -- bytes that wait -------------------------------------------------------------------------------------------


def test_corked_bytes_leave_in_the_next_turn_when_this_one_was_interrupted() -> None:
    """What was to leave at the end of a turn that Control-C cut short does not wait for an event."""
    with virtually() as virtual:
        stream, sock = virtual.open(Recorder())

        def interrupt() -> None:
            raise KeyboardInterrupt

        virtual.stage.call_soon(stream.writelines, [b"at once,"])
        virtual.stage.call_soon(stream.write, b"later")
        virtual.stage.call_soon(interrupt)
        with pytest.raises(KeyboardInterrupt):
            virtual.turn()
        virtual.stage.run_once()
        assert sock.sent == b"at once,later"


def test_a_closing_stream_ends_when_its_last_write_was_refused_with_an_error() -> None:
    """A ``writelines`` that raises TypeError leaves nothing behind that nobody would ever send."""
    with virtually() as virtual:
        protocol = Recorder()
        stream, _ = virtual.open(protocol)
        with pytest.raises(TypeError):
            stream.writelines(iter([b"x" * 10, None]))  # type: ignore[arg-type]
        stream.close()
        virtual.turn()
        assert protocol.is_lost


def test_few_calls_are_enough_when_a_slow_peer_is_owed_many_small_replies() -> None:
    """Ten bytes at a time, 64 in a vector, would be a system call for every 640 bytes, and a shift of the queue."""
    with virtually() as virtual:
        stream, sock = virtual.open(Recorder())
        sock.script("send", BlockingIOError)
        for _ in range(100_000):
            stream.write(b"0123456789")
        virtual.writable(sock)
        assert len(sock.sent) == 1_000_000
        assert len(sends(sock)) <= 2 * 1_000_000 / CORK_BYTES + 2


# -- fairness --------------------------------------------------------------------------------------------------


def test_the_others_are_served_in_every_turn_when_one_sends_without_end(stage: Stage) -> None:
    """A peer whose buffer is never empty costs the others one read a turn, no more."""
    turns = 0

    def refill(me: Recorder, data: bytes) -> None:
        greedy.peer.send(bytes(300_000 - len(greedy.peer.unsent)))

    with (
        wire_on(stage, Recorder(data_received=refill)) as greedy,
        wire_on(stage, Recorder(data_received=echo)) as modest,
    ):
        greedy.peer.send(bytes(300_000))
        modest.peer.read()
        for number in range(1, 11):
            modest.peer.send(b"x")
            before = len(greedy.protocol.received)
            while len(modest.peer.received) < number:
                stage.run_once(1)
                turns += 1
            assert len(greedy.protocol.received) > before, "the greedy one was not at work"
        assert turns <= 40
