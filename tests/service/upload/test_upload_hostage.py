"""Clients that take room from others: by names like those of the store itself, by offers that they never fill."""

from __future__ import annotations

import os
import socket
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reactor
from reactor.service.upload.messages import Reason
from reactor.service.upload.session import PROGRESS_RATE, SIGN_INTERVAL
from reactor.service.upload.store import FOLDER_NAME, LOCK_NAME, TRIAL_NAME, Refusal, Store, part_name
from tests.service.upload.faulty_disk import FaultyDisk
from tests.service.upload.files import admitted, offer, parts, put, visible
from tests.service.upload.peer import UploadPeer, data, end, frame
from tests.service.upload.peer import offer as offered
from tests.service.upload.serving import Serving

VICTIM = offer("victim", 1000)
PART = part_name(VICTIM)


def folded(name: str) -> str:
    """Return what a file system takes *name* for that folds case, normalizes, and ignores what is not shown."""
    shown = "".join(character for character in name if unicodedata.category(character) != "Cf")
    return unicodedata.normalize("NFKC", shown).casefold()


class FoldingDisk(FaultyDisk):
    """The real disk, on such a file system."""

    def perform(self, name: str, ordinary: Callable[..., Any], *args: Any, **options: Any) -> Any:
        names = (folded(arg) if isinstance(arg, str) and "/" not in arg else arg for arg in args)
        return super().perform(name, ordinary, *names, **options)


#: Names that are, or are like, those which the store uses for itself.
OWN = (PART, FOLDER_NAME, LOCK_NAME, TRIAL_NAME)
DISGUISES: dict[str, Callable[[str], str]] = {
    "plain": str,
    "upper case": str.upper,
    "an invisible character in front": "\u200c{}".format,
    "an invisible character inside": lambda name: f"{name[:2]}\u200d{name[2:]}",
    "full width": lambda name: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in name),
    "with a suffix": "{}.part".format,
}


@pytest.fixture(params=[FaultyDisk, FoldingDisk])
def disk(request: pytest.FixtureRequest) -> FaultyDisk:
    """A disk that takes names as they are, and one that does not."""
    made: FaultyDisk = request.param()
    return made


@pytest.fixture(params=[False, True], ids=["refusing", "overwriting"])
def store(request: pytest.FixtureRequest, disk: FaultyDisk, tmp_path: Path) -> Iterator[Store]:
    """A store of 10,000 bytes that refuses, or replaces, what is there."""
    made = Store(str(tmp_path), 10_000, overwrite=request.param, disk=disk)
    yield made
    made.close()


def bytes_on_disk(folder: Path) -> int:
    """Return how many bytes there are below *folder*."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("own", OWN)
def test_a_file_counts_whole_when_it_is_named_as_one_of_the_stores_own(
    store: Store, tmp_path: Path, own: str, disguise: str
) -> None:
    """It was left out of the count while the transfer of that name was under way: 72 MB were kept at a quota of 10.
    And it is not the temporary file: that one goes on, and both are there at the end, if the name can be used."""
    partial = admitted(store, VICTIM)
    partial.append([memoryview(bytes(500))])
    with suppress(Refusal):
        put(store, offer(DISGUISES[disguise](own), 8000), bytes(8000))
    store._counted = float("-inf")  # some time later: the directory is counted before the next promise
    free = 10_000 - 1000 - sum(map(len, visible(tmp_path).values()))
    assert free in (1000, 9000), "it was kept or refused"
    with pytest.raises(Refusal, match=f"{free + 1} bytes do not fit: {free} of 10000"):
        store.admit(offer("more", free + 1))
    assert store.ledger.under_way == {PART: 1000}
    partial.append([memoryview(bytes(500))])
    assert store.sweep(2**40) == 0, "what is under way does not expire"
    assert PART in parts(tmp_path)
    store.suspend(partial)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(OWN), st.sampled_from(list(DISGUISES)), st.booleans()), max_size=12))
@pytest.mark.parametrize("kind", [FaultyDisk, FoldingDisk])
def test_the_quota_holds_whatever_files_are_called_and_however_often_the_server_restarts(
    tmp_path_factory: pytest.TempPathFactory, kind: type[FaultyDisk], steps: list[tuple[str, str, bool]]
) -> None:
    """Uploads with such names, while the transfer that they imitate begins, breaks and goes on in a new process."""
    folder = tmp_path_factory.mktemp("inbox")
    with ExitStack() as stack:
        for size, (own, disguise, restarts) in enumerate(steps, 3000):  # each another size: it is another file
            if restarts or size == 3000:
                stack.close()
                store = Store(str(folder), 10_000, overwrite=True, disk=kind())
                stack.callback(store.close)
                with suppress(Refusal):
                    partial = admitted(store, VICTIM)
                    stack.callback(store.suspend, partial)
                    partial.append([memoryview(bytes(100))])
            store._counted = float("-inf")
            with suppress(Refusal):
                put(store, offer(DISGUISES[disguise](own), size), bytes(size))
            assert bytes_on_disk(folder) <= 10_000


def test_a_name_that_begins_with_a_dot_after_what_is_not_shown_is_refused(store: Store) -> None:
    """On some file systems it is the name without these characters: ``.htaccess``, or the private directory."""
    for name in ("\u200c.htaccess", "\ufeff\u200b.reactor-upload", "\u2060.x"):
        with pytest.raises(Refusal, match="begins with a dot"):
            store.admit(offer(name, 1))


# -- offers that are not filled ----------------------------------------------------------------------------------


@pytest.fixture
def now() -> list[float]:
    """The time."""
    return [0.0]


@pytest.fixture
def timed(poller_name: str, tmp_path: Path, now: list[float]) -> Iterator[Serving]:
    """A server with a quota of 10 MB, whose time is the test's; signs of life and progress go by it."""
    with reactor.Reactor(poller_name, clock=lambda: now[0]) as loop:
        made = Serving(loop, tmp_path, quota=10_000_000, idle_timeout=60.0)
        yield made
        made.stop()


def prompt_peer(serving: Serving) -> UploadPeer:
    """Return a client that has greeted, whose small messages do not wait in the kernel for each other."""
    peer = serving.peer()
    peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return peer


def pass_time(serving: Serving, now: list[float], seconds: float) -> None:
    """Let time pass, and what is due in it happen."""
    for _ in range(int(seconds / SIGN_INTERVAL)):
        now[0] += SIGN_INTERVAL
        serving.loop.run_once(0)
        serving.loop.run_once(0)


def test_the_room_of_an_offer_is_free_again_when_its_client_only_says_that_it_is_busy(
    timed: Serving, now: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """Talk kept the whole quota past the idle timeout, for as long as it went on."""
    with prompt_peer(timed) as talker, prompt_peer(timed) as other:
        talker.send(offered(0, 10_000_000, b"huge"))
        assert talker.answer().letter == "G"
        other.send(offered(0, 3, b"a"))
        answer = other.answer()
        assert (answer.letter, answer.reason) == ("R", Reason.QUOTA)
        for _ in range(12):
            talker.send(frame(b"B"))
            other.send(frame(b"B"))
            pass_time(timed, now, SIGN_INTERVAL)
        assert timed.server.counters.open == 2
        pass_time(timed, now, SIGN_INTERVAL)
        assert talker.receive_all() == b""
        timed.until(lambda: not timed.server.claims)
        assert other.upload(1, b"a", b"abc").letter == "K"
    assert "the bytes of 'huge' have not come for 60 s" in caplog.text


def test_an_offer_does_not_keep_its_room_by_single_bytes_nor_by_small_files_beside_it(
    timed: Serving, now: list[float]
) -> None:
    """A byte now and then is talk as well, wherever it belongs."""
    with prompt_peer(timed) as peer:
        peer.send(offered(0, 9_000_000, b"huge"))
        assert peer.answer().letter == "G"
        for number in range(1, 14):
            peer.send(data(0, b"x"))
            assert peer.upload(number, b"small %d" % number, b"abc").letter == "K"
            pass_time(timed, now, SIGN_INTERVAL)
        assert peer.receive_all() == b""
    timed.until(lambda: not timed.server.claims)
    assert timed.parts() == [13]


def test_a_slow_client_keeps_its_room_and_that_of_the_files_behind_it(timed: Serving, now: list[float]) -> None:
    """Clients send one file after the other: while one makes progress, those that are offered wait their turn."""
    piece = bytes(int(PROGRESS_RATE * SIGN_INTERVAL))
    content = piece * 40
    with prompt_peer(timed) as peer:
        peer.send(offered(0, len(content), b"a") + offered(1, 3, b"b"))
        assert peer.answer().letter == peer.answer().letter == "G"
        for sent in range(40):
            peer.send(data(0, piece))
            wanted = (sent + 1) * len(piece)
            timed.until(lambda wanted=wanted: timed.server.counters.bytes_in == wanted)
            pass_time(timed, now, SIGN_INTERVAL)
        peer.send(end(0, content) + data(1, b"abc") + end(1, b"abc"))
        assert peer.answer().letter == peer.answer().letter == "K"
    assert timed.files() == {"a": content, "b": b"abc"}


def test_a_client_that_has_sent_all_bytes_may_take_long_for_the_digest(timed: Serving, now: list[float]) -> None:
    """What it holds it has paid for; so it only has to say that it is there."""
    with prompt_peer(timed) as peer:
        peer.send(offered(0, 3, b"a"))
        assert peer.answer().letter == "G"
        peer.send(data(0, b"abc"))
        for _ in range(50):
            peer.send(frame(b"B"))
            pass_time(timed, now, SIGN_INTERVAL)
        peer.send(end(0, b"abc"))
        assert peer.answer().letter == "K"


def test_time_in_which_this_side_takes_nothing_does_not_count(timed: Serving, now: list[float]) -> None:
    """A slow disk stops the reading; the client cannot send then."""
    with prompt_peer(timed) as peer:
        peer.send(offered(0, 6, b"a"))
        assert peer.answer().letter == "G"
        (session,) = timed.server.sessions
        session.transport.pause_reading()
        session._mind_the_clock()
        pass_time(timed, now, 300)
        session.transport.resume_reading()
        session._mind_the_clock()
        pass_time(timed, now, 55)
        peer.send(data(0, b"abcdef") + end(0, b"abcdef"))
        assert peer.answer().letter == "K"
    assert os.listdir(timed.folder / FOLDER_NAME) == ["lock"]


def test_a_client_that_reads_no_answers_is_read_from_no_more(serving: Serving) -> None:
    """Else refusals pile up for it, up to the cap of 16 MiB for each connection.  What is written to the disk
    meanwhile does not have it read from again, and it is not waited for: the idle timeout is its own affair."""
    with serving.peer():
        (session,) = serving.server.sessions
        session.transport.set_write_buffer_limits(high=0)
        session.pause_writing()
        assert not session.transport.is_reading()
        assert not session.is_waited_for()
        session.written(0)
        assert not session.transport.is_reading()
        session.resume_writing()
        assert session.transport.is_reading()
