"""What a message allocates and what of it stays, and how often a large frame is copied: counted, not timed.

``sys.getallocatedblocks`` counts what Python's own allocator has handed out: after many messages it must be where
it was.  ``tracemalloc`` knows the peak of what lay around at the same moment: for a small message that is what is
allocated on its way, for a large frame it is the number of its copies.  A copy that is made and dropped between two
others would not show; so the receives are counted that go through the common buffer instead of the frame's own.
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from reactor.framing import LengthPrefixed
from reactor.limits import SCRATCH_BYTES
from reactor.net.pump.pump import QUIET_TURNS
from tests.budget.echoes import Batch, Each, Exchange, exchange

MESSAGE = Each.codec.encode(b"x" * 64)

#: Bytes that may lie around at once for one small message: the chunk, the frame, the reply, a few small objects
#: (some 2,000 bytes, and a few hundred more where coverage traces the run), and the array into which
#: ``select.epoll.poll`` has the kernel write, of 12 bytes for each of 1,023 events.
SMALL_PEAK = 3072 + 12 * 1024

#: Blocks that may remain after a thousand messages: caches that fill, none for each message.
REMAINING_BLOCKS = 50

#: CPython keeps up to 100 floats and 80 lists that died, for those to come: that many messages fill it, once and
#: for all, if each goes the way of which one is asked; the pump is asked once in so many turns.
FREE_LIST = 100 * (QUIET_TURNS + 1)

LARGE = 1024 * 1024

#: Copies of a large frame that a message may add at the worst moment: the frame that the protocol is given.  It was
#: received in a buffer that the codec keeps, and its reply is sent from where it lies.
LARGE_COPIES = 1


@pytest.fixture(params=["auto", "off"])
def pump(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether streams may be pumped: the budget is the same."""
    choice: str = request.param
    monkeypatch.setenv("REACTOR_PUMP", choice)
    return choice


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the garbage collector from moving the figures."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def peak_of(action: Callable[[], object]) -> int:
    """Return the bytes by which the traced memory grew at its highest while *action* ran."""
    tracemalloc.start()
    try:
        with quiet():
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            action()
            _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak - before


def warmed(made: Exchange, message: bytes, times: int = 3) -> Exchange:
    """Let what is made once be made."""
    for _ in range(times):
        made.there_and_back(message)
    return made


@pytest.mark.parametrize("style", [Each, Batch])
def test_nothing_stays_behind_when_messages_have_come_and_gone(style: type[Each], accel: str, pump: str) -> None:
    """A thousand messages later, as many blocks are in use as before."""
    with exchange(style) as made, quiet():
        warmed(made, MESSAGE, FREE_LIST)
        before = sys.getallocatedblocks()
        for _ in range(1000):
            made.there_and_back(MESSAGE)
        assert sys.getallocatedblocks() - before < REMAINING_BLOCKS


@pytest.mark.parametrize("style", [Each, Batch])
def test_a_small_message_allocates_little_when_it_is_answered(style: type[Each], accel: str, pump: str) -> None:
    """In particular no buffer of the size of a read."""
    with exchange(style) as made:
        warmed(made, MESSAGE)
        assert peak_of(lambda: made.there_and_back(MESSAGE)) < SMALL_PEAK


@pytest.mark.parametrize("style", [Each, Batch])
def test_pipelined_messages_allocate_in_proportion_when_they_come_together(
    style: type[Each], accel: str, pump: str
) -> None:
    """Two hundred messages lie around as chunk, frames and replies, and not much beside."""
    chunk = MESSAGE * 200
    with exchange(style) as made:
        warmed(made, chunk)
        assert peak_of(lambda: made.there_and_back(chunk)) < SMALL_PEAK + 6 * len(chunk)


def test_a_large_frame_is_copied_few_times_when_it_is_answered(accel: str, pump: str) -> None:
    """At the worst moment no more copies of it exist than the budget has."""
    message = Each.codec.encode(bytes(LARGE))
    with exchange(Each) as made:
        warmed(made, message)
        copies = peak_of(lambda: made.there_and_back(message)) / LARGE
        assert copies < LARGE_COPIES + 0.5, f"{copies:.2f} copies at once"


def test_a_large_frame_is_received_in_place_when_its_length_is_known(accel: str, pump: str) -> None:
    """All but the first read goes where the frame will lie, and is not moved again."""
    places: list[int] = []

    class Witness(LengthPrefixed):
        """Notes how much arrives in the frame's own buffer."""

        __slots__ = ()

        def buffer_updated(self, size: int) -> list[bytes]:
            places.append(size)
            return super().buffer_updated(size)

    class Witnessed(Each):
        """Has its frames cut by the witness."""

        __slots__ = ()
        codec = Witness(4)

    with exchange(Witnessed) as made:
        made.there_and_back(Each.codec.encode(bytes(LARGE)))
        assert sum(places) >= LARGE - SCRATCH_BYTES


def test_a_copy_shows_when_there_is_one_too_many(accel: str) -> None:
    """The count can fail: an answer that copies the frame once more is over the budget."""

    class Wasteful(Each):
        """Keeps two more copies while it answers."""

        __slots__ = ()

        def frame_received(self, frame: bytes) -> None:
            copies = [bytearray(frame), bytearray(frame)]
            self.send_frame(frame)
            copies.clear()

    message = Each.codec.encode(bytes(LARGE))
    with exchange(Wasteful) as made:
        warmed(made, message)
        assert peak_of(lambda: made.there_and_back(message)) / LARGE > LARGE_COPIES + 0.5
