"""Polling without sleeping: ``Reactor(spin=seconds)``."""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from typing import Any

import pytest

import reactor
from reactor.errors import OptionError
from tests.net.framed import Frames, echo, heard, pair
from tests.net.pump.test_pump import pytestmark
from tests.net.stage import stage_on

__all__ = ["pytestmark"]


def processor_seconds(loop: reactor.Reactor, timeout: float) -> float:
    """Return how long this thread was busy while *loop* waited."""
    began = time.thread_time()
    loop.run_once(timeout)
    return time.thread_time() - began


def test_it_polls_for_so_long_and_then_sleeps() -> None:
    """The processor is busy for the time of the spin, and not for the rest of the wait."""
    with stage_on("epoll", spin=0.03) as spinning, stage_on("epoll") as sleeping:
        began = time.monotonic()
        busy = processor_seconds(spinning, 0.2)
        assert time.monotonic() - began >= 0.2, "a wait never ends early"
        assert 0.003 < busy < 0.15
        assert processor_seconds(sleeping, 0.05) < busy


def test_a_few_streams_are_received_for_as_well() -> None:
    """They are not left to themselves, which would be to sleep: all is answered, however few are ready."""
    with stage_on("epoll", spin=0.05) as stage:
        pump: Any = stage.registry.poller
        protocol = Frames(echo)
        peer = pair(stage, protocol)
        for number in range(5):
            question = b"\0\1%d" % number
            threading.Timer(0.005, peer.send, (question,)).start()
            stage.until(lambda count=number + 1: len(protocol.frames) == count)
            assert heard(peer) == question
            assert not pump.has_backlog
        peer.close()


def test_timers_and_threads_are_heard_while_it_polls() -> None:
    """A spin that is longer than the wait ends with it; a call of another thread ends it at once."""
    with stage_on("epoll", spin=5) as stage:
        began = stage.time()
        stage.run_until(lambda: stage.time() >= began + 0.02, 1)
        rung: list[float] = []
        stage.call_later(0.02, rung.append, 0)
        began = stage.time()
        stage.until(lambda: rung)
        assert 0.02 <= stage.time() - began < 2
        threading.Timer(0.01, stage.call_soon_threadsafe, (rung.append, 1)).start()
        stage.until(lambda: len(rung) == 2)
        assert stage.time() - began < 4


@pytest.mark.parametrize("settings", [{"selector": "poll"}, {"selector": "epoll", "debug": True}])
def test_it_is_refused_where_there_is_no_pump(settings: dict[str, Any]) -> None:
    """The error says so, and nothing is left open."""
    with pytest.raises(OptionError, match=r"spin= needs the pump"):
        reactor.Reactor(spin=0.001, **settings)


@pytest.mark.parametrize("seconds", [-1, math.nan, "1", None, 10**400])
def test_what_is_no_time_to_spin_is_refused(seconds: Any) -> None:
    """Whatever else was asked for; descriptors do not leak."""
    before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
    with pytest.raises(OptionError, match="spin"):
        reactor.Reactor(spin=seconds)
    assert not before or set(os.listdir("/proc/self/fd")) == before


def test_an_infinite_spin_never_sleeps_and_ends_when_there_is_something() -> None:
    """``math.inf`` is a number of seconds."""
    with stage_on("epoll", spin=math.inf) as stage:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            seen: list[bytes] = []
            stage.add_reader(ours, lambda: seen.append(ours.recv(10)))
            theirs.send(b"x")
            stage.until(lambda: seen)
            stage.remove_reader(ours)
