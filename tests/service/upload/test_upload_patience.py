"""The upload server with a slow disk, a broken one, silent clients, and at its end; on every poller."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest

import reactor
from reactor.errors import OptionError, UsageError
from reactor.service.upload.messages import DATA_BYTES, Reason
from reactor.service.upload.server import UploadServer
from reactor.service.upload.session import HIGH_BYTES, SIGN_INTERVAL
from reactor.service.upload.store import FOLDER_NAME, Store
from reactor.service.upload.transfer import MESSAGE_WEIGHT
from reactor.testing import ORDINARY
from tests.service.peer import PATIENCE
from tests.service.upload.peer import cancel, data, end, frame, offer
from tests.service.upload.serving import Serving

CONTENT = bytes(range(256)) * 4000


# -- a slow or broken disk -------------------------------------------------------------------------------------


def test_a_slow_disk_makes_the_client_wait_and_the_loop_does_not(serving: Serving) -> None:
    """While a write hangs nothing more than the limit is taken, however much is sent, and others are served."""
    may_go_on = threading.Event()
    content = bytes(40 * 2**20)

    def hang(fd: int, chunk: Any, offset: int) -> int:
        assert may_go_on.wait(PATIENCE)
        return os.pwrite(fd, chunk, offset)

    serving.disk.script("pwrite", hang)
    with serving.peer() as peer, serving.peer() as other:
        peer.send(offer(0, len(content), b"a"))
        peer.answer()
        wire = memoryview(data(0, content))
        sent = 0
        session = next(s for s in serving.server.sessions if s._transfers)

        def is_stuck() -> bool:
            nonlocal sent
            try:
                sent += peer.socket.send(wire[sent : sent + 100_000])
            except BlockingIOError:
                return not session.transport.is_reading()
            return False

        serving.until(is_stuck)
        assert session._unwritten <= HIGH_BYTES + DATA_BYTES
        assert other.upload(0, b"b", b"served").letter == "K"
        may_go_on.set()
        peer.send(bytes(wire[sent:]) + end(0, content))
        assert peer.answer().letter == "K"
    assert serving.files() == {"a": content, "b": b"served"}


def test_single_bytes_take_no_more_memory_than_large_messages(serving: Serving) -> None:
    """Each counts with what it takes to keep it: some thousands of them, and nothing more is read."""
    may_go_on = threading.Event()
    count = 2 * HIGH_BYTES // MESSAGE_WEIGHT
    serving.disk.script("pwrite", lambda *args: may_go_on.wait(PATIENCE) and os.pwrite(*args))
    with serving.peer() as peer:
        peer.send(offer(0, count, b"a"))
        peer.answer()
        wire = memoryview(data(0, b"x") * count)
        (session,) = serving.server.sessions
        sent = 0

        def is_stuck() -> bool:
            nonlocal sent
            try:
                sent += peer.socket.send(wire[sent : sent + 100_000])
            except BlockingIOError:
                pass
            return not session.transport.is_reading()

        serving.until(is_stuck)
        assert serving.server.counters.messages <= HIGH_BYTES // MESSAGE_WEIGHT + 1
        may_go_on.set()
        peer.send(bytes(wire[sent:]) + end(0, b"x" * count))
        assert peer.answer().letter == "K"


def test_no_call_of_the_disk_is_made_in_the_thread_of_the_loop(loop: reactor.Reactor, tmp_path: Path) -> None:
    """Whatever may block is done by the workers, from the offer to the last fsync."""
    serving = Serving(loop, tmp_path)
    serving.until(lambda: not serving.server.workers.pending)
    serving.disk.threads.clear()
    with serving.peer() as peer:
        peer.upload(0, b"a", CONTENT)
        peer.send(offer(1, 1000, b"b"))
        peer.answer()
        peer.send(data(1, bytes(500)))
    serving.until(lambda: not serving.server.claims and serving.server.counters.open == 0)
    assert serving.parts() == [500]
    assert threading.get_ident() not in serving.disk.threads
    serving.stop()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO])
def test_a_file_is_refused_in_its_midst_when_the_disk_fails(serving: Serving, code: int) -> None:
    """What comes of it after that is thrown away, until the client says that it has heard; the next file is
    fine."""
    serving.disk.script("pwrite", ORDINARY, OSError(code, os.strerror(code)))
    with serving.peer() as peer:
        peer.send(offer(0, len(CONTENT), b"a"))
        peer.answer()
        peer.send(data(0, CONTENT[:1000]))
        serving.until(lambda: serving.parts() == [1000])
        peer.send(data(0, CONTENT[1000:2000]))
        answer = peer.answer()
        assert (answer.letter, answer.reason) == ("R", Reason.STORAGE)
        assert os.strerror(code).encode() in answer.rest
        peer.send(data(0, CONTENT[2000:300_000]) + cancel(0))
        assert peer.upload(1, b"b", b"abc").letter == "K"
        assert peer.upload(2, b"a", CONTENT).letter == "K"
    assert serving.files() == {"a": CONTENT, "b": b"abc"}
    assert serving.server.counters.refused == 1


def test_a_disk_that_fails_after_the_client_has_gone_disturbs_nobody(serving: Serving) -> None:
    """Nobody is left to be told; what was written before is kept, and the file can be sent again."""
    may_fail = threading.Event()

    def fail(*args: Any) -> int:
        assert may_fail.wait(PATIENCE)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    serving.disk.script("pwrite", ORDINARY, fail)
    with serving.peer() as peer:
        peer.send(offer(0, 6, b"a"))
        peer.answer()
        peer.send(data(0, b"abc"))
        serving.until(lambda: serving.parts() == [3])
        peer.send(data(0, b"def"))
        serving.until(lambda: len(serving.disk.names("pwrite")) == 2)
    serving.until(lambda: serving.server.counters.open == 0)
    may_fail.set()
    serving.until(lambda: not serving.server.claims)
    assert (serving.parts(), serving.server.counters.refused) == ([3], 0)
    with serving.peer() as peer:
        assert peer.upload(0, b"a", b"abcdef").letter == "K"


def test_a_refused_client_that_ends_the_file_instead_has_heard_as_well(serving: Serving) -> None:
    """Its last bytes crossed the refusal on the way."""
    serving.disk.script("pwrite", OSError(errno.ENOSPC, "full"))
    with serving.peer() as peer:
        peer.send(offer(0, 6, b"a"))
        peer.answer()
        peer.send(data(0, b"abc"))
        assert peer.answer().letter == "R"
        peer.send(data(0, b"def") + end(0, b"abcdef"))
        assert peer.upload(1, b"b", b"abc").letter == "K"
    serving.until(lambda: not serving.server.sessions)


def test_a_file_is_refused_when_it_cannot_be_made_durable(serving: Serving) -> None:
    """It was all there, and is not acknowledged: nobody knows what the disk has of it."""
    serving.until(lambda: not serving.server.workers.pending)
    serving.disk.script("fsync", OSError(errno.EIO, os.strerror(errno.EIO)))
    with serving.peer() as peer:
        answer = peer.upload(0, b"a", CONTENT)
        assert (answer.letter, answer.reason) == ("R", Reason.STORAGE)
        assert serving.files() == {}
        assert peer.upload(1, b"a", CONTENT).letter == "K"


@pytest.mark.parametrize(
    ("name", "size", "reason"),
    [
        (b"../a", 1, Reason.NAME), (b"\xff", 1, Reason.NAME), (b"a", 2**62, Reason.QUOTA),
        (b"there", 1, Reason.EXISTS),
    ],
)
def test_a_file_that_cannot_be_taken_is_refused_and_the_next_is_not(
    serving: Serving, name: bytes, size: int, reason: Reason
) -> None:
    """The refusal says why, and nothing else is expected of the client for it."""
    (serving.folder / "there").write_bytes(b"other")
    with serving.peer() as peer:
        peer.send(offer(0, size, name))
        answer = peer.answer()
        assert (answer.letter, answer.reason) == ("R", reason)
        assert len(answer.rest) > 10
        assert peer.upload(1, b"fine", b"abc").letter == "K"


def test_a_fault_of_the_server_itself_refuses_the_file_and_is_reported(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug is told with its traceback; the client gets a refusal, and the directory is given back in the end."""
    serving.disk.script("pwrite", ZeroDivisionError("a bug"))
    with serving.peer() as peer:
        peer.send(offer(0, 6, b"a"))
        peer.answer()
        peer.send(data(0, b"abc"))
        assert b"fault of the server" in peer.answer().rest
    assert serving.loop.counters.callback_errors == 1
    assert caplog.records[-1].exc_info is not None


# -- signs of life ---------------------------------------------------------------------------------------------


def test_a_client_that_waits_long_is_given_signs_of_life(poller_name: str, tmp_path: Path) -> None:
    """And one that is waited for is not."""
    now = [0.0]
    with reactor.Reactor(poller_name, clock=lambda: now[0]) as loop:
        serving = Serving(loop, tmp_path)
        with serving.peer() as one, serving.peer() as two:
            one.send(offer(0, 4, b"a"))
            one.answer()
            two.send(offer(0, 4, b"a"))
            serving.until(lambda: sum(session.is_waited_for() for session in serving.server.sessions) == 1)
            now[0] += SIGN_INTERVAL
            assert two.receive(5) == frame(b"B")
            one.send(data(0, b"abcd") + end(0, b"abcd"))
            assert one.receive(4) == b"\0\0\0\5"
        serving.stop()


def test_a_silent_client_is_given_up_while_it_is_waited_for(poller_name: str, tmp_path: Path) -> None:
    """Also one that has offered a file and sends it no further; what it sent before is kept."""
    now = [0.0]
    with reactor.Reactor(poller_name, clock=lambda: now[0]) as loop:
        serving = Serving(loop, tmp_path, idle_timeout=60.0)
        with serving.peer() as silent, serving.peer() as offering:
            offering.send(offer(0, 1000, b"a"))
            assert offering.answer().letter == "G"
            offering.send(data(0, bytes(500)))
            serving.until(lambda: serving.parts() == [500])
            now[0] += 59.9
            loop.run_once(0)
            assert serving.server.counters.open == 2
            now[0] += 0.2
            assert silent.receive_all() == offering.receive_all() == b""
        serving.until(lambda: not serving.server.claims)
        assert loop.counters.idle_timeouts == 2
        assert serving.parts() == [500]
        serving.stop()


def test_a_client_that_waits_may_be_silent_for_as_long_as_that_takes(poller_name: str, tmp_path: Path) -> None:
    """The idle timeout is for those who have the word; it begins anew when they have it again."""
    now = [0.0]
    may_go_on = threading.Event()
    with reactor.Reactor(poller_name, clock=lambda: now[0]) as loop:
        serving = Serving(loop, tmp_path, idle_timeout=2.0)  # shorter than signs of life are apart
        serving.until(lambda: not serving.server.workers.pending)
        serving.disk.script("fsync", lambda fd: may_go_on.wait(PATIENCE) and os.fsync(fd))
        with serving.peer() as peer:
            peer.send(offer(0, 3, b"a"))
            peer.answer()
            peer.send(data(0, b"abc") + end(0, b"abc"))
            serving.until(lambda: serving.disk.names("fsync"))
            for _ in range(10):
                now[0] += 2.5
                loop.run_once(0)
            assert serving.server.counters.open == 1
            may_go_on.set()
            assert peer.answer().letter == "K"
            now[0] += 2.1
            assert peer.answer().letter == ""
        serving.stop()


# -- the end ---------------------------------------------------------------------------------------------------


def test_a_stopping_server_lets_a_file_be_finished_and_takes_no_other(
    loop: reactor.Reactor, tmp_path: Path
) -> None:
    """The one is acknowledged, the other refused, and then the directory is free for the next server."""
    serving = Serving(loop, tmp_path)
    with serving.peer() as peer, serving.peer() as idle:
        peer.send(offer(0, 6, b"a"))
        peer.answer()
        peer.send(data(0, b"abc"))
        serving.server.stop(grace=PATIENCE)
        assert idle.receive_all() == b""
        peer.send(offer(1, 6, b"b"))
        answer = peer.answer()
        assert (answer.letter, answer.reason) == ("R", Reason.STOPPING)
        peer.send(data(0, b"def") + end(0, b"abcdef"))
        assert peer.answer().letter == "K"
        assert peer.answer().letter == ""
    serving.until(lambda: serving.server.is_stopped)
    assert serving.files() == {"a": b"abcdef"}
    Store(str(tmp_path), 1).close()
    with pytest.raises(UsageError):
        serving.server.listen_tcp()


def test_a_stopping_server_cuts_off_whoever_does_not_finish(loop: reactor.Reactor, tmp_path: Path) -> None:
    """After the grace; what has come is kept for another time."""
    serving = Serving(loop, tmp_path)
    with serving.peer() as peer:
        peer.send(offer(0, 6, b"a"))
        peer.answer()
        peer.send(data(0, b"abc"))
        serving.until(lambda: serving.server.counters.bytes_in == 3)
        serving.server.stop(grace=0.01)
        serving.until(lambda: serving.server.is_stopped)
    assert serving.parts() == [3]


def test_the_tally_and_the_journal_say_what_happened(serving: Serving) -> None:
    """Names from the network are quoted."""
    with serving.peer() as peer:
        peer.upload(0, b"a'b", b"abc")
        peer.upload(1, b"../x", b"abc")
        host, port = peer.socket.getsockname()
    serving.until(lambda: serving.server.counters.open == 0)
    assert serving.lines[0] == f"{host}:{port} connected"
    assert serving.lines[1] == f"{host}:{port} sent \"a'b\""
    assert serving.lines[2].startswith(f"{host}:{port} was refused a file (name): ")
    assert serving.lines[3] == f"{host}:{port} closed"
    assert str(serving.server.counters) == "1 connection, 1 file kept, 1 refused, 3 B in, 0 errors"
    assert serving.server.counters.as_dict()["files"] == 1


def test_expired_beginnings_are_removed_at_the_start(loop: reactor.Reactor, tmp_path: Path) -> None:
    """Of a server that was not running when their time was over."""
    first = Serving(loop, tmp_path)
    with first.peer() as peer:
        peer.send(offer(0, 6, b"a"))
        peer.answer()
        peer.send(data(0, b"abc"))
        first.until(lambda: first.parts() == [3])
    first.until(lambda: not first.server.claims)
    first.stop()
    for path in (tmp_path / FOLDER_NAME).glob("*.part"):
        os.utime(path, (1, 1))
    second = Serving(loop, tmp_path)
    second.until(lambda: not second.server.workers.pending)
    assert second.parts() == []
    second.stop()


def test_a_directory_that_cannot_be_swept_is_one_line(
    loop: reactor.Reactor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Old beginnings stay, and everything else goes on."""
    serving = Serving(loop, tmp_path)
    serving.until(lambda: not serving.server.workers.pending)
    serving.disk.script("names_in", OSError(errno.EIO, "disk"))
    serving.server._sweep()
    serving.until(lambda: caplog.records)
    assert "expired files were not removed" in caplog.text
    with serving.peer() as peer:
        assert peer.upload(0, b"a", b"abc").letter == "K"
    serving.stop()


def test_options_that_cannot_be_are_refused(loop: reactor.Reactor, tmp_path: Path) -> None:
    """Before anything listens."""
    store = Store(str(tmp_path), 1)
    for options in ({"idle_timeout": 0.0}, {"expiry": -1.0}, {"threads": 0}):
        with pytest.raises(OptionError):
            UploadServer(loop, store, **options)  # type: ignore[arg-type]
    store.close()
