"""The directory of uploads: what gets a name in it, in which order that becomes durable, and what a fault
leaves."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from reactor.service.upload.existing import Existing, Known
from reactor.service.upload.messages import Offer, Reason
from reactor.service.upload.partial import SLICE_BYTES
from reactor.service.upload.store import FOLDER_NAME, Refusal, Store, part_name
from tests.service.upload.faulty_disk import FaultyDisk
from tests.service.upload.files import DATA, DIGEST, GIBIBYTE, admitted, offer, parts, put, received, same, visible


@pytest.fixture
def disk() -> FaultyDisk:
    """The real disk, until a test says otherwise."""
    return FaultyDisk()


@pytest.fixture
def store(tmp_path: Path, disk: FaultyDisk) -> Iterator[Store]:
    """A store with room for everything."""
    made = Store(str(tmp_path), GIBIBYTE, disk=disk)
    yield made
    made.close()


# -- one file --------------------------------------------------------------------------------------------------


def test_a_file_has_its_name_when_all_of_it_is_there_and_not_before(store: Store, tmp_path: Path) -> None:
    """Until then there is a temporary file that nobody sees, and afterwards none."""
    offered = offer("文件.bin")
    partial = received(store, offered, DATA[:100])
    assert visible(tmp_path) == {}
    partial.append([memoryview(DATA)[100:]])
    assert visible(tmp_path) == {}
    assert store.commit(partial, offered, DIGEST)
    assert visible(tmp_path) == {"文件.bin": DATA}
    assert parts(tmp_path) == []
    assert store.ledger.used_bytes == len(DATA)


def test_the_file_has_ordinary_permissions_and_the_private_directory_has_not(store: Store, tmp_path: Path) -> None:
    """Those of any new file of this user."""
    put(store, offer())
    os.umask(mask := os.umask(0))
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~mask
    assert stat.S_IMODE((tmp_path / FOLDER_NAME).stat().st_mode) == 0o700


def test_bytes_are_durable_before_the_name_and_the_name_before_the_answer(
    store: Store, disk: FaultyDisk, tmp_path: Path
) -> None:
    """fsync of the file, then the name, then fsync of the directory: in this order, and all before commit
    returns."""
    offered = offer()
    partial = received(store, offered)
    before = len(disk.calls)
    store.commit(partial, offered, DIGEST)
    steps = [call for call in disk.calls[before:] if call[0] in ("fsync", "link", "unlink", "rename")]
    assert [step[0] for step in steps] == ["fsync", "link", "unlink", "fsync"]
    assert steps[0][1] != steps[3][1]
    assert steps[1][1:] == (part_name(offered), "a")


def test_replacing_is_one_rename_between_the_two_fsyncs(tmp_path: Path, disk: FaultyDisk) -> None:
    """There is no moment in which the name is not there."""
    store = Store(str(tmp_path), GIBIBYTE, overwrite=True, disk=disk)
    put(store, offer(size=3), b"old")
    before = len(disk.calls)
    put(store, offer())
    assert [c[0] for c in disk.calls[before:] if c[0] in ("fsync", "link", "unlink", "rename")] == [
        "fsync", "rename", "fsync",
    ]  # fmt: skip
    assert visible(tmp_path) == {"a": DATA}
    assert (store.ledger.used_bytes, store.ledger.used_files) == (len(DATA), 1)
    store.close()


def test_an_empty_file_is_kept_as_any_other(store: Store, tmp_path: Path) -> None:
    """No byte arrives, and it is there all the same."""
    offered = offer(size=0)
    assert store.commit(admitted(store, offered), offered, hashlib.sha256().digest())
    assert visible(tmp_path) == {"a": b""}


def test_a_long_file_is_made_durable_on_the_way(
    store: Store, disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a power failure costs no more than that, and the last fsync has little to do."""
    monkeypatch.setattr("reactor.service.upload.partial.SYNC_BYTES", 1000)
    partial = admitted(store, offer())
    for start in range(0, len(DATA), 400):
        partial.append([memoryview(DATA)[start : start + 400]])
    assert disk.names("fdatasync") == ["fdatasync"] * (len(DATA) // 1200)
    store.drop(partial)


# -- names that are taken --------------------------------------------------------------------------------------


def test_a_name_that_is_taken_is_refused_when_the_file_is_another(store: Store, tmp_path: Path) -> None:
    """Not even one byte is received for it."""
    put(store, offer())
    with pytest.raises(Refusal, match="'a' is here already") as caught:
        store.admit(offer(size=5))
    assert caught.value.reason is Reason.EXISTS
    assert visible(tmp_path) == {"a": DATA}


def test_a_file_of_the_same_size_is_compared_by_its_digest(store: Store) -> None:
    """It may have been sent before; whoever knows the digest is told that it is there."""
    put(store, offer())
    assert isinstance(store.admit(offer(key=b"x" * 32)), Existing)
    assert same(store, "a", len(DATA), DIGEST)
    assert not same(store, "a", len(DATA), b"x" * 32)
    assert not same(store, "a", len(DATA) + 1, DIGEST)
    assert not same(store, "b", len(DATA), DIGEST)
    with pytest.raises(Refusal, match="not the same"):
        store.admit(offer(), is_other=True)


def test_a_file_that_is_there_is_made_durable_before_it_is_acknowledged(store: Store, disk: FaultyDisk) -> None:
    """It may be the file of a process that was killed between the name and the last fsync."""
    put(store, offer())
    before = len(disk.names("fsync"))
    assert same(store, "a", len(DATA), DIGEST)
    assert len(disk.names("fsync")) == before + 2


def test_a_file_that_is_there_is_read_once_however_often_somebody_asks(
    store: Store, disk: FaultyDisk, tmp_path: Path
) -> None:
    """To ask costs a client one small message; until the file changes the answer is known."""
    put(store, offer())
    for _ in range(5):
        assert not same(store, "a", len(DATA), b"guess" * 6)
    assert len(disk.names("pread")) == 1
    (tmp_path / "a").write_bytes(DATA[::-1])
    assert not same(store, "a", len(DATA), DIGEST)
    assert len(disk.names("pread")) == 2


def test_a_large_file_that_is_there_is_read_in_slices(store: Store, tmp_path: Path) -> None:
    """As is the beginning of a broken transfer, and for the same reason."""
    with (tmp_path / "a").open("wb") as file:
        file.truncate(SLICE_BYTES + 5)
    found = store.admit(offer(size=SLICE_BYTES + 5))
    assert isinstance(found, Existing)
    found.catch_up()
    assert not found.is_caught_up
    found.catch_up()
    assert found.has_digest(hashlib.sha256(bytes(SLICE_BYTES + 5)).digest())
    found.close()


def test_no_more_digests_are_remembered_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is forgotten."""
    monkeypatch.setattr("reactor.service.upload.existing.KNOWN_FILES", 2)
    known = Known()
    for number in range(3):
        known.remember((number,), b"%d" % number)
    assert [known.recall((number,)) for number in range(3)] == [None, b"1", b"2"]


def test_the_slower_of_two_transfers_of_a_name_is_refused(store: Store, tmp_path: Path) -> None:
    """Different files: the first that is complete has the name, and nothing of the other stays."""
    slow = received(store, offer(size=5, key=b"s" * 32), b"other")
    put(store, offer())
    with pytest.raises(Refusal, match="not the same") as caught:
        store.commit(slow, offer(size=5), hashlib.sha256(b"other").digest())
    assert caught.value.reason is Reason.EXISTS
    assert visible(tmp_path) == {"a": DATA}
    assert (parts(tmp_path), store.ledger.used_bytes) == ([], len(DATA))


def test_the_slower_of_two_transfers_of_one_file_is_kept_as_well(store: Store, tmp_path: Path) -> None:
    """The same content under the same name: both clients have what they want."""
    slow = received(store, offer(key=b"s" * 32))
    put(store, offer())
    assert store.commit(slow, offer(key=b"s" * 32), DIGEST)
    assert (visible(tmp_path), parts(tmp_path)) == ({"a": DATA}, [])
    assert store.ledger.used_bytes == len(DATA)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_directory_of_that_name_is_never_replaced(tmp_path: Path, overwrite: bool) -> None:
    """Nor is anything put into it."""
    store = Store(str(tmp_path), GIBIBYTE, overwrite=overwrite)
    (tmp_path / "a").mkdir()
    with pytest.raises(Refusal, match="is a directory") as caught:
        store.admit(offer())
    assert caught.value.reason is Reason.EXISTS
    store.close()


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_link_of_that_name_is_not_followed(tmp_path: Path, overwrite: bool) -> None:
    """It is refused or, where replacing is allowed, itself replaced; what it points to is left alone."""
    inside, outside = tmp_path / "d", tmp_path / "outside"
    inside.mkdir()
    outside.write_bytes(DATA)
    (inside / "a").symlink_to(outside)
    store = Store(str(inside), GIBIBYTE, overwrite=overwrite)
    assert not same(store, "a", len(DATA), DIGEST)
    if overwrite:
        put(store, offer(), DATA[::-1])
        assert visible(inside) == {"a": DATA[::-1]}
        assert not (inside / "a").is_symlink()
    else:
        with pytest.raises(Refusal):
            store.admit(offer())
    assert outside.read_bytes() == DATA
    store.close()


def test_a_fifo_of_that_name_keeps_nobody_waiting(store: Store, tmp_path: Path) -> None:
    """To open one may block forever; here it is refused like anything else that has the name."""
    os.mkfifo(tmp_path / "a")
    assert not same(store, "a", 0, hashlib.sha256().digest())
    with pytest.raises(Refusal):
        store.admit(offer(size=0))


@pytest.mark.parametrize("name", ["../a", "/a", "a/b", ".a", "", "a\n", "x" * 300])
def test_a_bad_name_is_refused_before_anything_is_looked_at(store: Store, disk: FaultyDisk, name: str) -> None:
    """The reason goes to the client in words."""
    before = len(disk.calls)
    with pytest.raises(Refusal, match="cannot be used") as caught:
        store.admit(offer(name))
    assert caught.value.reason is Reason.NAME
    assert len(disk.calls) == before


def test_a_name_is_refused_when_the_file_system_takes_only_shorter_ones(tmp_path: Path) -> None:
    """Encrypted file systems do; better now than after an hour."""
    store = Store(str(tmp_path), GIBIBYTE, disk=FaultyDisk().script("name_bytes", 143))
    with pytest.raises(Refusal, match="143 bytes"):
        store.admit(offer("x" * 144))
    store.close()


# -- going on --------------------------------------------------------------------------------------------------


def test_a_broken_transfer_goes_on_where_it_was_in_a_new_process(tmp_path: Path) -> None:
    """The beginning is found again, read again, and the digest is over all of it."""
    first = Store(str(tmp_path), GIBIBYTE)
    first.suspend(received(first, offer(), DATA[:1000]))
    assert first.ledger.used_bytes == 1000
    first.close()
    second = Store(str(tmp_path), GIBIBYTE)
    partial = admitted(second, offer())
    assert (partial.held, partial.is_resumed, partial.is_caught_up) == (1000, True, False)
    partial.catch_up()
    partial.append([memoryview(DATA)[1000:]])
    assert second.commit(partial, offer(), DIGEST)
    assert visible(tmp_path) == {"a": DATA}
    second.close()


@pytest.mark.parametrize("other", [offer("b"), offer(size=len(DATA) + 1), offer(key=b"x" * 32)])
def test_a_broken_transfer_is_found_by_name_size_and_key_only(store: Store, other: Offer) -> None:
    """Any other file begins at its beginning."""
    store.suspend(received(store, offer(), DATA[:1000]))
    partial = admitted(store, other)
    assert partial.held == 0
    store.drop(partial)


def test_a_wrong_beginning_is_found_out_and_begun_again(store: Store, tmp_path: Path) -> None:
    """A disk that lost its last seconds, or a client with a key that it should not have used twice."""
    store.suspend(received(store, offer(), b"\0" * 1000))
    partial = admitted(store, offer())
    partial.catch_up()
    partial.append([memoryview(DATA)[1000:]])
    assert not store.commit(partial, offer(), DIGEST)
    assert (partial.held, visible(tmp_path)) == (0, {})
    partial.append([memoryview(DATA)])
    assert store.commit(partial, offer(), DIGEST)
    assert visible(tmp_path) == {"a": DATA}


def test_wrong_bytes_are_refused_when_all_of_them_are_from_this_transfer(store: Store, tmp_path: Path) -> None:
    """There is nothing to begin again for; nothing stays."""
    partial = received(store, offer(), DATA[::-1])
    with pytest.raises(Refusal, match="digest") as caught:
        store.commit(partial, offer(), DIGEST)
    assert caught.value.reason is Reason.DIGEST
    assert (visible(tmp_path), parts(tmp_path), store.ledger.used_bytes) == ({}, [], 0)


def test_a_long_beginning_is_read_in_slices(store: Store, tmp_path: Path) -> None:
    """So that nobody else waits for a thread until a hundred gigabytes have been read."""
    big = offer(size=2 * SLICE_BYTES + 5)
    with (tmp_path / FOLDER_NAME / part_name(big)).open("wb") as file:
        file.truncate(2 * SLICE_BYTES + 5)
    partial = admitted(store, big)
    for _ in range(3):
        assert not partial.is_caught_up
        partial.catch_up()
    assert partial.is_caught_up
    assert partial.has_digest(hashlib.sha256(bytes(2 * SLICE_BYTES + 5)).digest())
    store.drop(partial)


def test_a_file_that_has_two_names_is_never_written_to(store: Store, tmp_path: Path) -> None:
    """A kill between the name and the removal of the temporary one leaves both: one file, complete, not to be
    touched."""
    offered = offer()
    (tmp_path / "a").write_bytes(DATA[:10])
    os.link(tmp_path / "a", tmp_path / FOLDER_NAME / part_name(offered))
    store.overwrite = True
    partial = admitted(store, offered)
    assert partial.held == 0
    partial.append([memoryview(DATA)])
    assert (tmp_path / "a").read_bytes() == DATA[:10]
    store.drop(partial)
