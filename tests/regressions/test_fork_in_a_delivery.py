"""A callback forks in the midst of what has arrived: the rest, and what waits to be sent, is the parent's alone.

Messages and datagrams are received in batches, so a child could take what its parent is about to deliver.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

import pytest

from tests.net.message_notes import needs_seqpacket, pair_on
from tests.net.notes import Notes, batched, drained, opened
from tests.net.stage import Stage, stage_on

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


class Forking:
    """A reaction that answers each message, and forks at the second; ``child`` is its number, 0 in the child."""

    def __init__(self) -> None:
        self.child = -1
        self.count = 0

    def __call__(self, me: Any, answer: Callable[[bytes], object], data: bytes) -> None:
        self.count += 1
        answer(b"to " + data)
        if self.count == 2:
            self.child = os.fork()


def turned(stage: Stage, forking: Forking, notes: Any) -> None:
    """Do turns until it forks, and a few more in the parent; the child must have been told of two."""
    try:
        for _ in range(5):  # on a slow machine one message may be all that a turn has time for
            if forking.child < 0:
                stage.run_once(0)
    finally:
        if forking.child == 0:
            os._exit(forking.count)
    assert os.waitstatus_to_exitcode(os.waitpid(forking.child, 0)[1]) == 2, "the child took what is the parent's"
    stage.settle(5)


@needs_seqpacket
def test_a_child_takes_no_messages_of_its_parent(poller_name: str) -> None:
    """Each is received, and answered, once."""
    forking = Forking()
    with stage_on(poller_name) as stage, pair_on(
        stage, message_received=lambda me, data: forking(me, me.transport.send_message, data)
    ) as (notes, far):
        for number in range(5):
            far.send(b"%d" % number)
        turned(stage, forking, notes)
        assert notes.messages == [b"%d" % number for number in range(5)]
        assert [far.recv(100) for _ in range(5)] == [b"to %d" % number for number in range(5)]
        far.setblocking(False)
        with pytest.raises(BlockingIOError):
            far.recv(100)


@needs_seqpacket
def test_messages_that_wait_are_sent_once_when_a_callback_forks(poller_name: str) -> None:
    """The child forgets them without touching what its parent has registered: the parent's go on leaving."""
    with stage_on(poller_name) as stage, pair_on(stage) as (notes, far):
        sent = 0
        while not notes.transport.get_write_buffer_size():
            notes.transport.send_message(b"%d" % sent)
            sent += 1
        child = -1

        def fork() -> None:
            nonlocal child
            child = os.fork()

        stage.call_soon(fork)
        try:
            stage.run_once(0)
        finally:
            if child == 0:
                os._exit(0 if not notes.transport.get_write_buffer_size() else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        far.setblocking(False)
        received: list[bytes] = []
        for _ in range(20):
            received += drained(far)
            stage.run_once(0)
        assert received == [b"%d" % number for number in range(sent)]


def test_a_child_takes_no_datagrams_of_its_parent(poller_name: str) -> None:
    """One by one."""
    forking = Forking()
    with stage_on(poller_name) as stage, pytest.MonkeyPatch.context() as patch:
        patch.setenv("REACTOR_ACCEL", "pure")
        notes, endpoint = opened(stage, ("127.0.0.1", 0), datagram_received=reaction(forking))
        check_datagrams(stage, forking, notes, endpoint)


def test_a_child_takes_no_datagrams_of_its_parent_in_batches(accel: str) -> None:
    """They have all left the kernel by then, and the replies have yet to leave: the parent's, all of them."""
    if accel == "pure":
        pytest.skip("no batches")
    forking = Forking()
    with batched(datagram_received=reaction(forking)) as (stage, notes, endpoint, _):
        check_datagrams(stage, forking, notes, endpoint)


def reaction(forking: Forking) -> Callable[[Notes, bytes, Any], None]:
    return lambda me, data, address: forking(me, lambda reply: me.transport.sendto(reply, address), data)


def check_datagrams(stage: Stage, forking: Forking, notes: Notes, endpoint: Any) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.setblocking(False)
        peer.connect(endpoint.get_extra_info("sockname"))
        for number in range(5):
            peer.send(b"%d" % number)
        turned(stage, forking, notes)
        assert notes.data == [b"%d" % number for number in range(5)]
        assert drained(peer) == [b"to %d" % number for number in range(5)]
    endpoint.abort()
    stage.settle()
