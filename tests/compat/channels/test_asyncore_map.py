"""The map of asyncore's channels: several of them, whatever is in them, and what remains when they are empty.

Read next: ``test_asyncore_channels``.
"""

from __future__ import annotations

import errno
import os
import time
from typing import Any

import pytest

from reactor.compat.channels import watch as channel_watch
from tests.compat.channels.stage import PATIENCE, Twin


def test_two_maps_have_nothing_to_do_with_each_other(twin: Twin) -> None:
    """A loop over one map leaves the channels of the other alone, in turns as often as one likes."""
    maps: list[dict[int, Any]] = [{}, {}]
    channels, peers = [], []
    for channels_of in maps:
        sock, peer = twin.pair()
        channels.append(twin.recorder()(sock, channels_of))
        peers.append(peer)
    for number in (0, 1, 0, 1):
        peers[number].sendall(b"x")
        before = [channel.received for channel in channels]
        deadline = time.monotonic() + PATIENCE
        while channels[number].received == before[number]:
            assert time.monotonic() < deadline
            twin.asyncore.loop(0.05, twin.use_poll, maps[number], 1)
        assert channels[1 - number].received == before[1 - number]
    for channels_of in maps:
        assert twin.asyncore.close_all(channels_of) is None
        assert channels_of == {}
    assert [channel.socket.fileno() for channel in channels] == [-1, -1]


def test_any_object_with_the_methods_is_a_channel(twin: Twin) -> None:
    """A map may hold what was not derived from ``dispatcher``."""
    sock, peer = twin.pair()
    heard = []

    class Homemade:
        accepting = False

        def readable(self) -> bool:
            return True

        def writable(self) -> bool:
            return False

        def handle_read_event(self) -> None:
            heard.append(sock.recv(100))
            del twin.map[sock.fileno()]

        def handle_error(self) -> None:
            raise

    twin.map[sock.fileno()] = Homemade()
    peer.sendall(b"hello")
    twin.asyncore.loop(PATIENCE, twin.use_poll)
    assert heard == [b"hello"]


def test_an_object_without_a_socket_is_heard_when_its_descriptor_is_another(twin: Twin) -> None:
    """It has closed the old one, and the new one has its number: an epoll set does not know it."""
    sock, _ = twin.pair()
    number = sock.detach()
    heard: list[bytes] = []

    class Homemade:
        accepting = False

        def readable(self) -> bool:
            return True

        def writable(self) -> bool:
            return False

        def handle_read_event(self) -> None:
            heard.append(os.read(number, 100))

        def handle_error(self) -> None:
            raise

    twin.map[number] = Homemade()
    twin.turns(3)
    other, peer = twin.pair()
    os.close(number)
    os.dup2(other.fileno(), number)
    peer.sendall(b"hello")
    twin.until(lambda: heard)
    assert heard == [b"hello"]
    twin.map.clear()
    twin.poll()
    os.close(number)


def test_a_channel_taken_out_of_the_map_by_hand_is_not_waited_for(twin: Twin) -> None:
    """There is something for it to read; the wait takes its time all the same."""
    sock, peer = twin.pair()
    channel = twin.recorder()(sock)
    twin.recorder()(twin.pair()[0])
    twin.poll()
    del twin.map[sock.fileno()]
    peer.sendall(b"x")
    before = time.monotonic()
    twin.poll(0.03)
    twin.poll(0.03)
    assert time.monotonic() - before >= 0.06
    assert channel.heard == []


def test_nothing_is_kept_when_the_map_is_empty(ours: Twin) -> None:
    """Whoever emptied it: a channel that closed, a program with its own hands, close_all."""

    class Foreign:
        def readable(self) -> bool:
            return False

        writable = readable

        def close(self) -> None:
            pass

    def by_closing() -> None:
        channel.close()

    def by_close_all() -> None:
        ours.asyncore.close_all(ours.map)

    for way in (by_closing, by_close_all):
        channel = ours.recorder()(ours.pair()[0])
        ours.poll()
        assert channel_watch._thread.watch is not None
        way()
        assert channel_watch._thread.watch is None
    sock, _ = ours.pair()

    class Leaving(Foreign):
        def readable(self) -> bool:
            ours.map.clear()
            return False

    ours.map[sock.fileno()] = Leaving()
    ours.poll()
    assert channel_watch._thread.watch is None
    ours.map[sock.fileno()] = Foreign()
    ours.poll()
    ours.asyncore.close_all(ours.map)
    assert channel_watch._thread.watch is None


def test_close_all_goes_on_when_a_channel_is_closed_already(twin: Twin) -> None:
    """EBADF is ignored always, other errors if that is asked for, and what ends a loop never."""

    class Closed:
        def __init__(self, exc: BaseException) -> None:
            self.exc = exc

        def close(self) -> None:
            raise self.exc

    asyncore = twin.asyncore
    broken: dict[int, Any] = {1: Closed(OSError(errno.EBADF, "closed"))}
    asyncore.close_all(broken)
    assert broken == {}
    for exc in (OSError(errno.EIO, "broken"), LookupError("broken")):
        broken = {1: Closed(exc)}
        with pytest.raises(type(exc), match="broken"):
            asyncore.close_all(broken)
        asyncore.close_all(broken, ignore_all=True)
        assert broken == {}
    with pytest.raises(asyncore.ExitNow):
        asyncore.close_all({1: Closed(asyncore.ExitNow())}, ignore_all=True)


def test_the_condensed_traceback_names_each_frame(twin: Twin) -> None:
    """File, function and line of the place, the exception, and a text of all frames."""

    def deep() -> None:
        raise LookupError("nothing here")

    try:
        deep()
    except LookupError:
        (file, function, line), kind, value, text = twin.asyncore.compact_traceback()
    assert (file, function, kind, str(value)) == (__file__, "deep", LookupError, "nothing here")
    assert text.endswith(f"[{__file__}|deep|{line}]")
    assert text.count("[") == 2
    with pytest.raises(AssertionError, match="traceback does not exist"):
        twin.asyncore.compact_traceback()


def test_every_name_of_the_original_is_there(original: Twin) -> None:
    """But for the text of the warning that is not given."""
    from reactor.compat import asynchat, asyncore

    for old, new in ((original.asyncore, asyncore), (original.asynchat, asynchat)):
        names = {name for name in dir(old) if not name.startswith("__")} - {"_DEPRECATION_MSG", "_deprecated"}
        assert names - set(dir(new)) == set()
        for name in names:
            if isinstance(getattr(old, name), type):
                members = {member for member in vars(getattr(old, name)) if not member.startswith("__")}
                assert members - set(dir(getattr(new, name))) == set()
