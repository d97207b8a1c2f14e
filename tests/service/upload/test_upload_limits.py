"""The directory of uploads at its limits: what fits, what a failing disk leaves, what expires, what is no
directory."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reactor.errors import OptionError, StoreUnavailable
from reactor.service.upload.existing import Existing
from reactor.service.upload.messages import Reason
from reactor.service.upload.store import FOLDER_NAME, Refusal, Store, part_name
from reactor.testing import ORDINARY
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


# -- how much fits ---------------------------------------------------------------------------------------------


def test_everything_in_the_directory_counts_whoever_put_it_there(tmp_path: Path) -> None:
    """Files of others, in folders too, and the beginnings of broken transfers."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "theirs").write_bytes(bytes(400))
    (tmp_path / "mine").write_bytes(bytes(100))
    store = Store(str(tmp_path), 1000)
    store.suspend(received(store, offer("x", 300), bytes(250)))
    with pytest.raises(Refusal, match="251 bytes do not fit: 250 of 1000") as caught:
        store.admit(offer("y", 251))
    assert caught.value.reason is Reason.QUOTA
    store.drop(admitted(store, offer("y", 250)))
    store.close()


def test_what_others_remove_can_be_used_again_after_a_moment(tmp_path: Path) -> None:
    """The books are corrected by counting, at most about once in a second."""
    now = [0.0]
    (tmp_path / "theirs").write_bytes(bytes(900))
    store = Store(str(tmp_path), 1000, clock=lambda: now[0])
    with pytest.raises(Refusal):
        store.admit(offer("y", 500))
    (tmp_path / "theirs").unlink()
    with pytest.raises(Refusal):
        store.admit(offer("y", 500))
    now[0] += 1.0
    store.drop(admitted(store, offer("y", 500)))
    store.close()


def test_what_is_under_way_counts_once_when_the_directory_is_counted(tmp_path: Path) -> None:
    """Its bytes on the disk are part of what it was promised."""
    now = [0.0]
    store = Store(str(tmp_path), 1000, clock=lambda: now[0])
    first = received(store, offer("x", 600), bytes(600))
    now[0] += 5.0
    second = admitted(store, offer("y", 400))
    with pytest.raises(Refusal):
        store.admit(offer("z", 1))
    store.drop(first)
    store.drop(second)
    store.close()


def test_the_number_of_files_is_bounded_too(tmp_path: Path) -> None:
    """Empty ones have no bytes that a quota could count."""
    store = Store(str(tmp_path), 1000, max_files=2)
    put(store, offer("x", 0), b"")
    put(store, offer("y", 0), b"")
    with pytest.raises(Refusal, match="2 files already"):
        store.admit(offer("z", 0))
    store.close()


def test_a_file_is_refused_at_once_when_the_disk_has_no_room_for_it(tmp_path: Path) -> None:
    """And nothing is promised to it."""
    store = Store(str(tmp_path), GIBIBYTE, disk=FaultyDisk().script("free_bytes", len(DATA) - 1))
    with pytest.raises(Refusal, match="disk is full") as caught:
        store.admit(offer())
    assert caught.value.reason is Reason.STORAGE
    assert (store.ledger.under_way, parts(tmp_path)) == ({}, [])
    store.close()


# -- faults of the disk ----------------------------------------------------------------------------------------


def short_write(fd: int, data: Any, offset: int) -> int:
    """Write seven bytes of what is asked for, as write(2) may."""
    return os.pwrite(fd, data[:7], offset)


def test_all_bytes_arrive_when_the_system_writes_fewer_than_asked(
    store: Store, disk: FaultyDisk, tmp_path: Path
) -> None:
    """A short write is no error: the rest is written behind it."""
    disk.script("pwrite", short_write, short_write, short_write)
    put(store, offer())
    assert visible(tmp_path) == {"a": DATA}


def test_what_was_written_is_kept_when_the_disk_fills_up(store: Store, disk: FaultyDisk, tmp_path: Path) -> None:
    """A prefix, and no more than one: when there is room again the transfer goes on behind it."""
    disk.script("pwrite", short_write, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    partial = admitted(store, offer())
    with pytest.raises(OSError, match="No space"):
        partial.append([memoryview(DATA)])
    store.suspend(partial)
    assert (visible(tmp_path), store.ledger.used_bytes) == ({}, 7)
    partial = admitted(store, offer())
    assert partial.held == 7
    partial.catch_up()
    partial.append([memoryview(DATA)[7:]])
    assert store.commit(partial, offer(), DIGEST)
    assert visible(tmp_path) == {"a": DATA}


def test_nothing_stays_when_the_bytes_cannot_be_made_durable(
    store: Store, disk: FaultyDisk, tmp_path: Path
) -> None:
    """After a failed fsync nobody knows what is on the disk, and asking again says nothing: it is given up."""
    partial = received(store, offer())
    disk.script("fsync", OSError(errno.EIO, os.strerror(errno.EIO)))
    with pytest.raises(OSError, match="Input/output"):
        store.commit(partial, offer(), DIGEST)
    assert (visible(tmp_path), parts(tmp_path), store.ledger.used_bytes) == ({}, [], 0)
    assert disk.names("link") == ["link"]  # the trial at the start


def test_a_file_is_not_acknowledged_when_its_name_cannot_be_made_durable(
    store: Store, disk: FaultyDisk, tmp_path: Path
) -> None:
    """The name is there, whole; whether it survives is not known, so commit says so.  The next try finds out."""
    partial = received(store, offer())
    disk.script("fsync", ORDINARY, OSError(errno.EIO, os.strerror(errno.EIO)))
    with pytest.raises(OSError, match="Input/output"):
        store.commit(partial, offer(), DIGEST)
    assert visible(tmp_path) == {"a": DATA}
    assert store.ledger.under_way == {}
    assert isinstance(store.admit(offer()), Existing)
    assert same(store, "a", len(DATA), DIGEST)


@pytest.mark.parametrize("operation", ["link", "unlink"])
def test_the_promise_ends_when_the_name_cannot_be_made(
    store: Store, disk: FaultyDisk, tmp_path: Path, operation: str
) -> None:
    """Nothing is under way any more, whichever step it was, and no temporary file is left."""
    partial = received(store, offer())
    disk.script(operation, OSError(errno.EIO, os.strerror(errno.EIO)))
    with pytest.raises(OSError, match="Input/output"):
        store.commit(partial, offer(), DIGEST)
    assert (parts(tmp_path), store.ledger.under_way) == ([], {})
    assert set(visible(tmp_path).values()) <= {DATA}


def test_a_suspended_file_is_dropped_when_it_cannot_be_made_durable(
    store: Store, disk: FaultyDisk, tmp_path: Path
) -> None:
    """Rather than to promise an offset that may not be there."""
    partial = received(store, offer(), DATA[:100])
    disk.script("fdatasync", OSError(errno.EIO, os.strerror(errno.EIO)))
    store.suspend(partial)
    assert (parts(tmp_path), store.ledger.used_bytes) == ([], 0)


# -- what lies about -------------------------------------------------------------------------------------------


def test_the_beginnings_of_transfers_expire_when_nobody_comes_back(store: Store, tmp_path: Path) -> None:
    """The older one goes, the younger one stays, and what is under way is never touched, however old."""
    for name in ("old", "new", "busy"):
        store.suspend(received(store, offer(name), DATA[:100]))
    busy = admitted(store, offer("busy"))
    for name, age in (("old", 100), ("new", 10), ("busy", 1000)):
        os.utime(tmp_path / FOLDER_NAME / part_name(offer(name)), (1e9 - age, 1e9 - age))
    assert store.sweep(1e9, expiry=50) == 1
    assert sorted(parts(tmp_path)) == sorted(part_name(offer(name)) for name in ("new", "busy"))
    store.drop(busy)


def test_a_second_name_of_a_finished_file_is_removed_however_young(store: Store, tmp_path: Path) -> None:
    """It is what a kill left between two steps; the file keeps the name that counts."""
    put(store, offer())
    os.link(tmp_path / "a", tmp_path / FOLDER_NAME / part_name(offer()))
    assert store.sweep(0.0) == 1
    assert (visible(tmp_path), parts(tmp_path)) == ({"a": DATA}, [])


# -- opening ---------------------------------------------------------------------------------------------------


def test_a_directory_has_one_server_at_a_time(store: Store, tmp_path: Path) -> None:
    """A second one would not know what the first has promised; when the first is gone it may."""
    with pytest.raises(StoreUnavailable, match="another server"):
        Store(str(tmp_path), 1)
    store.close()
    Store(str(tmp_path), 1).close()


def test_a_directory_is_refused_when_its_private_part_is_not_private(tmp_path: Path) -> None:
    """Whoever can write there could exchange a file after it was verified."""
    (tmp_path / FOLDER_NAME).mkdir(mode=0o755)
    with pytest.raises(StoreUnavailable, match="chmod 700"):
        Store(str(tmp_path), 1)


def test_a_directory_is_refused_when_its_private_part_is_on_another_file_system(tmp_path: Path) -> None:
    """No name can be made from there to here; better told now than after the first file."""
    disk = FaultyDisk().script("fstat", ORDINARY, lambda fd: SimpleNamespace(st_dev=-1))
    with pytest.raises(StoreUnavailable, match="another file system"):
        Store(str(tmp_path), 1, disk=disk)


def test_a_directory_is_refused_when_its_private_part_is_a_link(tmp_path: Path) -> None:
    """It would lead the temporary files somewhere else."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    inside = tmp_path / "d"
    inside.mkdir()
    (inside / FOLDER_NAME).symlink_to(elsewhere)
    with pytest.raises(StoreUnavailable, match="is no directory"):
        Store(str(inside), 1)


def test_a_directory_is_refused_when_its_file_system_has_no_links(tmp_path: Path) -> None:
    """At the start, and not when the first file has been received."""
    disk = FaultyDisk().script("link", OSError(errno.EPERM, os.strerror(errno.EPERM)))
    with pytest.raises(StoreUnavailable, match="hard links"):
        Store(str(tmp_path), 1, disk=disk)


def test_a_leftover_trial_link_does_not_stand_in_the_way(tmp_path: Path) -> None:
    """A kill in the middle of the start leaves one."""
    Store(str(tmp_path), 1).close()
    trial = tmp_path / FOLDER_NAME / "trial"
    trial.write_bytes(b"")
    Store(str(tmp_path), 1).close()
    assert not trial.exists()


def test_what_cannot_be_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    """Limits below nothing, and a directory that is not there."""
    with pytest.raises(OptionError):
        Store(str(tmp_path), -1)
    with pytest.raises(OptionError):
        Store(str(tmp_path), 1, max_files=0)
    with pytest.raises(FileNotFoundError):
        Store(str(tmp_path / "nowhere"), 1)
    assert list(tmp_path.iterdir()) == []
