"""The doubles keep their promises: nothing sleeps, every step is used in order, every call is recorded."""

from __future__ import annotations

import errno
import math
import os
import signal
import socket
from selectors import EVENT_READ, EVENT_WRITE

import pytest

from reactor.core.loop import Loop
from reactor.errors import OptionError, ScriptExhausted
from reactor.testing import ORDINARY, Script, ScriptedOps, ScriptedPoller, ScriptedSocket, VirtualClock

# -- the clock -------------------------------------------------------------------------------------------------


def test_the_clock_moves_only_when_it_is_told_to() -> None:
    """Forward, by so much or to an instant, and never back."""
    clock = VirtualClock(5.0)
    assert clock() == clock() == 5.0
    assert clock.advance(2.5) == 7.5
    assert clock.advance_to(7.0) == 7.5
    assert clock.advance_to(9.0) == clock() == 9.0
    assert "9" in repr(clock)


@pytest.mark.parametrize("seconds", [-1e-9, math.nan])
def test_the_clock_refuses_to_go_back(seconds: float) -> None:
    """A monotonic clock does not."""
    with pytest.raises(OptionError, match="cannot move"):
        VirtualClock().advance(seconds)


# -- the script ------------------------------------------------------------------------------------------------


def test_steps_are_used_in_order_and_end_in_the_ordinary() -> None:
    """Values are returned, exceptions and their classes raised, each method has steps of its own."""
    script = Script()
    script.add("a", (1, ValueError("no"), KeyError))
    script.add("b", (2,))
    assert script.next("a") == 1
    with pytest.raises(ValueError, match="no"):
        script.next("a")
    assert script.left("a") == 1
    with pytest.raises(KeyError):
        script.next("a")
    assert script.next("a") is ORDINARY
    assert repr(ORDINARY) == "ORDINARY"
    script.put_back("b", 1)
    assert [script.next("b"), script.next("b"), script.left("b"), script.left("c")] == [1, 2, 0, 0]
    script.note("x", 1)
    script.note("y")
    assert script.named("x") == [("x", 1)]


# -- the poller ------------------------------------------------------------------------------------------------


def test_a_scripted_turn_is_what_select_finds() -> None:
    """Only what is registered, only in the directions wanted, each turn once."""
    poller = ScriptedPoller(VirtualClock())
    one, two = ScriptedSocket(), ScriptedSocket()
    key = poller.register(one, EVENT_READ)
    poller.script([(one, EVENT_READ | EVENT_WRITE), (two, EVENT_READ)], [], [(one, EVENT_WRITE)])
    poller.script([(one, EVENT_READ)])
    assert [poller.select(None) for _ in range(4)] == [[(key, EVENT_READ)], [], [], [(key, EVENT_READ)]]
    assert poller.strays == 0
    with pytest.raises(ScriptExhausted, match="turn 5"):
        poller.select(None)
    assert poller.waits == [None] * 5


def test_a_wait_moves_the_clock_instead_of_sleeping() -> None:
    """By the timeout, or to the first instant at which something becomes ready."""
    clock = VirtualClock(0.0)
    poller = ScriptedPoller(clock)
    sock = ScriptedSocket()
    key = poller.register(sock, EVENT_READ)
    poller.at(10.0, sock)
    assert poller.select(4.0) == []
    assert clock.now == 4.0
    assert poller.select(0) == []
    assert poller.select(100.0) == [(key, EVENT_READ)]
    assert clock.now == 10.0
    poller.at(20.0, sock)
    assert poller.select(None) == [(key, EVENT_READ)]
    assert clock.now == 20.0


def test_what_is_held_is_ready_until_it_is_released() -> None:
    """Level-triggered, in each direction by itself."""
    poller = ScriptedPoller(VirtualClock())
    sock = ScriptedSocket()
    poller.hold(sock)
    poller.hold(sock, EVENT_WRITE)
    assert poller.select(0) == []
    key = poller.register(sock, EVENT_READ | EVENT_WRITE)
    assert poller.select(None) == [(key, EVENT_READ | EVENT_WRITE)]
    poller.release(sock, EVENT_READ)
    assert poller.select(None) == [(key, EVENT_WRITE)]
    poller.release(sock)
    assert poller.select(1) == []


def test_an_orphan_is_a_stray_until_the_set_is_rebuilt() -> None:
    """Unregistered it is counted; under a number that is registered it is reported, as epoll does."""
    poller = ScriptedPoller(VirtualClock())
    sock = ScriptedSocket()
    poller.orphan(sock)
    assert poller.select(0) == []
    assert poller.strays == 1
    poller.register(sock, EVENT_READ)
    assert len(poller.select(0)) == poller.strays == 1
    poller.rebuild()
    assert poller.select(0) == []
    assert poller.rebuilds == 1


def test_what_the_kernel_would_be_told_is_recorded() -> None:
    """Watch, change, forget, in order."""
    poller = ScriptedPoller(VirtualClock())
    poller.register(7, EVENT_READ)
    poller.modify(7, EVENT_WRITE)
    poller.unregister(7)
    assert poller.calls == [("watch", 7, EVENT_READ), ("change", 7, EVENT_WRITE), ("forget", 7, 0)]


# -- the socket ------------------------------------------------------------------------------------------------


def test_bytes_are_received_as_scripted() -> None:
    """A step that is larger than the buffer stays in part; then nothing, an error, the end, and nothing again."""
    sock = ScriptedSocket().script("recv", b"hello", BlockingIOError, ConnectionResetError("gone"), b"")
    buffer = bytearray(3)
    assert sock.recv_into(buffer) == 3
    assert sock.recv(10) == b"lo"
    with pytest.raises(BlockingIOError):
        sock.recv(10)
    with pytest.raises(ConnectionResetError, match="gone"):
        sock.recv_into(memoryview(buffer))
    assert sock.recv_into(buffer) == 0
    with pytest.raises(BlockingIOError):
        sock.recv_into(buffer, 2)
    assert bytes(buffer) == b"hel"
    assert sock.calls[:2] == [("recv_into", 3), ("recv", 10)]
    assert sock.calls[-1] == ("recv_into", 2)


def test_datagrams_are_cut_and_carry_their_address() -> None:
    """What does not fit is lost, as with UDP."""
    sock = ScriptedSocket(kind=socket.SOCK_DGRAM).script("recv", (b"hello", "a"), (b"", "b"), b"c")
    buffer = bytearray(3)
    assert sock.recvfrom_into(buffer) == (3, "a")
    assert sock.recvfrom(10) == (b"", "b")
    assert sock.recvfrom(10) == (b"c", sock.peername)


def test_messages_are_cut_and_the_end_was_sent_by_nobody() -> None:
    """An empty step is the end, an empty message is written with its address; a flag tells of the cut."""
    sock = ScriptedSocket(kind=socket.SOCK_SEQPACKET, peername="p").script("recv", b"hello", (b"", "a"), b"")
    buffer = bytearray(3)
    cut = socket.MSG_TRUNC
    for size, flags, address, has_sender in [(5, cut, "p", True), (0, 0, "a", True), (0, 0, "p", False)]:
        found = sock.recvmsg_into([buffer], 32, cut)
        assert (found[0], found[2], found[3], bool(found[1])) == (size, flags, address, has_sender)
    assert buffer == b"hel"
    with pytest.raises(BlockingIOError):
        sock.recvmsg_into([buffer])


def test_bytes_are_taken_as_scripted() -> None:
    """So many, none, an error; without a script all of them."""
    sock = ScriptedSocket().script("send", 2, BlockingIOError, 3, BrokenPipeError())
    assert sock.send(memoryview(b"hello")) == 2
    with pytest.raises(BlockingIOError):
        sock.send(b"llo")
    assert sock.sendmsg([b"l", bytearray(b"lo"), memoryview(b" world")]) == 3
    with pytest.raises(BrokenPipeError):
        sock.sendto(b"x", "address")
    assert sock.sendto(b"!", 0, "address") == 1
    assert sock.sent == b"hello!"
    assert sock.calls[2] == ("sendmsg", b"llo world")
    assert sock.calls[-1] == ("sendto", b"!", "address")


def test_connections_are_accepted_and_made_as_scripted() -> None:
    """Pairs from ``accept``, errno numbers for ``connect_ex``, which ``connect`` raises."""
    child = ScriptedSocket()
    sock = ScriptedSocket().script("accept", (child, "peer"), OSError(errno.EMFILE, "full"))
    sock.script("connect", errno.EINPROGRESS, errno.ECONNREFUSED, 0)
    assert sock.accept() == (child, "peer")
    with pytest.raises(OSError, match="full"):
        sock.accept()
    with pytest.raises(BlockingIOError):
        sock.accept()
    assert sock.connect_ex("there") == errno.EINPROGRESS
    with pytest.raises(ConnectionRefusedError):
        sock.connect("there")
    sock.connect("there")
    sock.connect("there")
    assert sock.connect_ex("there") == 0
    sock.bind("here")
    sock.listen(5)
    assert sock.getsockname() == "here"
    assert sock.script("getsockname", "elsewhere").getsockname() == "elsewhere"
    assert sock.getpeername() == sock.peername
    with pytest.raises(OSError, match="not connected"):
        sock.script("getpeername", OSError(errno.ENOTCONN, "not connected")).getpeername()


def test_options_are_kept() -> None:
    """What is set is returned; SO_ERROR is nothing unless it is scripted."""
    sock = ScriptedSocket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    sock.script("getsockopt", errno.ECONNREFUSED)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
    assert sock.gettimeout() == 0.0
    sock.setblocking(True)
    assert sock.gettimeout() is None
    sock.settimeout(2.0)
    assert sock.gettimeout() == 2.0


def test_a_closed_socket_refuses_everything() -> None:
    """EBADF, and no descriptor; closing twice is no error.  The order of the calls is there to be asserted."""
    with ScriptedSocket() as sock:
        fd = sock.fileno()
        assert str(fd) in repr(sock)
        sock.shutdown(socket.SHUT_WR)
    sock.close()
    assert sock.fileno() == -1
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        sock.recv(1)
    assert sock.calls == [("shutdown", socket.SHUT_WR), ("close",), ("close",), ("recv", 1)]
    other = ScriptedSocket()
    assert other.detach() == fd + 1
    assert other.fileno() == -1


# -- the operating system --------------------------------------------------------------------------------------


def test_any_one_call_can_be_made_to_fail() -> None:
    """The third socket fails; the others are real."""
    ops = ScriptedOps().script("socket", ORDINARY, ORDINARY, OSError(errno.EMFILE, "full"))
    for _ in range(2):
        ops.socket(socket.AF_INET, socket.SOCK_STREAM).close()
    with pytest.raises(OSError, match="full"):
        ops.socket(socket.AF_INET, socket.SOCK_STREAM)
    ops.socket(socket.AF_INET, socket.SOCK_STREAM, 0).close()
    assert [call[0] for call in ops.calls] == ["socket"] * 4
    ops.script("getaddrinfo", ["scripted"])
    assert ops.getaddrinfo("h", 1, 0, 0, 0, 0) == ["scripted"]


@pytest.mark.parametrize("name", ["sokcet", "thread_id", "_perform"])
def test_what_is_no_operation_cannot_be_scripted(name: str) -> None:
    """A misspelt script would never be used, and the test would pass for the wrong reason."""
    with pytest.raises(AttributeError, match="no operation"):
        ScriptedOps().script(name, 1)


def test_signals_are_delivered_by_hand() -> None:
    """No real handler is installed."""
    ops = ScriptedOps()
    arrived: list[int] = []
    assert ops.set_signal(signal.SIGUSR1, lambda signum, frame: arrived.append(signum)) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    ops.deliver(signal.SIGUSR1)
    ops.deliver(signal.SIGUSR2)
    assert arrived == [signal.SIGUSR1]
    assert ops.set_wakeup_fd(5) == -1
    assert ops.set_wakeup_fd(-1) == 5


def test_the_bell_rings_in_the_scripted_poller() -> None:
    """With a poller nothing is real; without one everything is that can be."""
    clock = VirtualClock()
    poller = ScriptedPoller(clock)
    ops = ScriptedOps(poller)
    before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
    steps: list[str] = []
    with Loop(poller, clock=clock, ops=ops) as loop:
        loop.call_soon_threadsafe(steps.append, "rung")
        loop.run_until(lambda: steps)
        ops.open_reserve()
        if before:
            assert set(os.listdir("/proc/self/fd")) == before
    assert len(ops.open_fds) == 1
    with Loop(ops=ScriptedOps()) as loop:
        loop.call_soon_threadsafe(steps.append, "really rung")
        loop.run_until(lambda: len(steps) == 2)
    assert steps == ["rung", "really rung"]


def test_the_thread_can_be_somebody_else() -> None:
    """A number of one's choice, or the real one."""
    ops = ScriptedOps()
    real = ops.thread_id()
    ops.thread = real + 1
    assert ops.thread_id() == real + 1
