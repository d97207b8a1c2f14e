"""Our client and our server together, on every poller: what each promises the other holds when both are real."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import reactor
from reactor.service.upload.client import UploadClient
from reactor.service.upload.messages import DATA_BYTES, Offer, Reason
from reactor.service.upload.sending import Outcome, State
from reactor.service.upload.source import Source
from reactor.service.upload.store import FOLDER_NAME, part_name
from tests.service.peer import PATIENCE
from tests.service.upload.peer import UploadPeer, cancel, data, offer
from tests.service.upload.serving import Serving


@pytest.fixture
def serving(loop: reactor.Reactor, tmp_path: Path) -> Iterator[Serving]:
    """A running server."""
    (tmp_path / "to").mkdir()
    made = Serving(loop, tmp_path / "to", quota=2**40)
    yield made
    made.stop()


def sent(serving: Serving, paths: list[str], patience: float = PATIENCE) -> list[Outcome]:
    """Send *paths*; return what became of each."""
    client = UploadClient(serving.loop, paths)
    client.connect(serving.address)
    outcomes: list[Outcome] = serving.loop.run_until(client, patience)
    return outcomes


def make(folder: Path, **contents: bytes) -> list[str]:
    """Make files in *folder*; return their paths."""
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [str(folder / name) for name in contents]


def test_files_of_all_sizes_arrive_and_a_second_time_nothing_is_sent(serving: Serving, tmp_path: Path) -> None:
    """Around the limits of a message, and around nothing."""
    sizes = [0, 1, 511, DATA_BYTES - 1, DATA_BYTES, DATA_BYTES + 1, 3_000_000]
    contents = {f"文件-{size}": os.urandom(size) for size in sizes}
    paths = make(tmp_path, **contents)
    assert {outcome.state for outcome in sent(serving, paths)} == {State.KEPT}
    assert serving.files() == contents
    received = serving.server.counters.bytes_in
    outcomes = sent(serving, paths)
    assert [(outcome.state, outcome.skipped) for outcome in outcomes] == [(State.KEPT, size) for size in sizes]
    assert serving.server.counters.bytes_in == received


def test_two_clients_with_one_name_leave_one_whole_file(serving: Serving, tmp_path: Path) -> None:
    """Different files of the same size, at the same time: one is kept, the other refused."""
    contents = [b"1" * 3_000_000, b"2" * 3_000_000]
    clients = []
    for number, content in enumerate(contents):
        (tmp_path / str(number)).mkdir()
        client = UploadClient(serving.loop, make(tmp_path / str(number), same=content))
        client.connect(serving.address)
        clients.append(client)
    serving.loop.run_until(lambda: all(client.done() for client in clients), PATIENCE)
    (first,), (second,) = (client.result() for client in clients)
    assert {first.state, second.state} == {State.KEPT, State.REFUSED}
    assert serving.files() == {"same": contents[0] if first.state is State.KEPT else contents[1]}
    assert serving.parts() == []


def test_two_clients_with_one_file_are_both_content(serving: Serving, tmp_path: Path) -> None:
    """The same file, at the same time: both are told that it is kept, and it was sent once."""
    paths = make(tmp_path, same=os.urandom(3_000_000))
    clients = [UploadClient(serving.loop, paths) for _ in range(3)]
    for client in clients:
        client.connect(serving.address)
    serving.loop.run_until(lambda: all(client.done() for client in clients), PATIENCE)
    assert [client.result()[0].state for client in clients] == [State.KEPT] * 3
    assert serving.server.counters.bytes_in == 3_000_000


def test_a_refusal_in_the_midst_of_one_file_leaves_the_others_alone(serving: Serving, tmp_path: Path) -> None:
    """The disk fails once, at the second write of the large one."""
    paths = make(tmp_path, a=b"abc", large=os.urandom(8_000_000), z=b"xyz")
    serving.disk.script("pwrite", lambda *args: os.pwrite(*args), OSError(28, "No space left on device"))
    outcomes = sent(serving, paths)
    refused = [outcome.name for outcome in outcomes if outcome.state is State.REFUSED]
    assert len(refused) == 1
    assert {outcome.state for outcome in sent(serving, paths)} == {State.KEPT}
    assert serving.files() == {Path(path).name: Path(path).read_bytes() for path in paths}


@pytest.mark.slow
def test_offsets_beyond_four_gibibytes_are_right(tmp_path: Path) -> None:
    """A sparse file, of which all but the last megabytes are there already: the rest crosses the 32-bit border."""
    size, held = 2**32 + 1_234_567, 2**32 - 2_000_000
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.seek(held - 3)
        file.write(b"end" + os.urandom(size - held))
    (tmp_path / "to").mkdir()
    source = Source(str(path), "huge")
    source.open()
    source.close()
    with reactor.Reactor() as loop:
        serving = Serving(loop, tmp_path / "to", quota=2**40)
        part = tmp_path / "to" / FOLDER_NAME / part_name(Offer(0, size, source.key, b"huge"))
        with part.open("wb") as file:
            file.seek(held - 3)
            file.write(b"end")
        (outcome,) = sent(serving, [str(path)], 120.0)
        assert (outcome.state, outcome.size, outcome.skipped) == (State.KEPT, size, held)
        assert serving.server.counters.bytes_in == size - held
        serving.stop()
    with path.open("rb") as ours, (tmp_path / "to" / "huge").open("rb") as theirs:
        assert os.fstat(theirs.fileno()).st_size == size
        for file in (ours, theirs):
            file.seek(held - 3)
        assert ours.read() == theirs.read()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"a file system of one megabyte cannot be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_refuses_one_file_and_goes_on_when_there_is_room(
    loop: reactor.Reactor, small_disk: Path
) -> None:
    """A real one: somebody else takes the room while the file is on its way, and gives it back."""
    serving = Serving(loop, small_disk)
    content = os.urandom(600_000)
    with UploadPeer(loop, serving.address) as peer:
        peer.greet()
        peer.send(offer(0, 2_000_000, b"too large"))
        assert (answer := peer.answer()).reason == Reason.STORAGE
        assert b"disk is full" in answer.rest
        peer.send(offer(1, len(content), b"a"))
        assert peer.answer().letter == "G"
        (small_disk / "theirs").write_bytes(bytes(800_000))
        peer.send(data(1, content[:400_000]))
        answer = peer.answer()
        assert (answer.letter, answer.reason) == ("R", Reason.STORAGE)
        assert b"ENOSPC" in answer.rest
        peer.send(cancel(1))
        serving.until(lambda: not serving.server.claims)
        assert serving.parts()[0] < 400_000
        (small_disk / "theirs").unlink()
        peer.send(offer(2, len(content), b"a"))
        assert peer.answer().offset == serving.parts()[0] > 0
        peer.send(cancel(2))
        peer.answer()
        assert peer.upload(3, b"a", content).letter == "K"
    assert serving.files() == {"a": content}
    serving.stop()
