"""SIGKILL for either side, in processes of their own, at every single step of a transfer; then it goes on.

The moments are counted, not timed: before each call of the server that changes what is on the disk (a write is cut
in half), before each message and in the middle of each piece that the client sends.  After each of them nothing in
the directory looks complete that is not, whatever was acknowledged is there, and the same files, sent again, all
arrive.
"""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import reactor
from reactor.service.upload.client import UploadClient
from reactor.service.upload.sending import State
from reactor.service.upload.store import FOLDER_NAME
from tests.cli.running import PATIENCE, environment

pytestmark = pytest.mark.slow

CONTENTS = {
    "small": b"abc",
    "empty": b"",
    "大文件": b"".join(b"%07d\n" % number for number in range(200_000)),
}


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    """The files that are sent, in a folder of their own."""
    folder = tmp_path / "from"
    folder.mkdir()
    for name, content in CONTENTS.items():
        (folder / name).write_bytes(content)
    return [str(folder / name) for name in CONTENTS]


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The directory of the server."""
    folder = tmp_path / "to"
    folder.mkdir()
    return folder


@contextmanager
def server(kept: Path, last_step: int, *how: str) -> Iterator[tuple[subprocess.Popen[str], int | None]]:
    """Run a server that dies before its step *last_step*; None instead of a port if it died before it listened."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.service.upload.deadly_server", str(kept), str(last_step), *how],
        env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    try:
        yield process, int(line) if line else None
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)


def end_of(process: subprocess.Popen[str]) -> int:
    """End the server in an orderly way; return how many steps it has done."""
    told, _ = process.communicate(timeout=PATIENCE)
    return int(told)


def send(port: int, paths: list[str]) -> dict[str, State]:
    """Send the files from this process; return what became of each."""
    with reactor.Reactor() as loop:
        client = UploadClient(loop, paths)
        client.connect(("127.0.0.1", port))
        loop.run_until(client.done, PATIENCE)
        return {outcome.name: outcome.state for outcome in client.outcomes()}


def visible(kept: Path) -> dict[str, bytes]:
    """What anybody sees in the directory."""
    return {path.name: path.read_bytes() for path in kept.iterdir() if not path.name.startswith(".")}


def expect_everything(kept: Path, paths: list[str], *how: str) -> None:
    """A server that lives takes the same files, and afterwards all are there and nothing lies about."""
    with server(kept, -1, *how) as (process, port):
        assert port is not None
        assert set(send(port, paths).values()) == {State.KEPT}
        end_of(process)
    digests = {name: hashlib.sha256(content).digest() for name, content in visible(kept).items()}
    assert digests == {name: hashlib.sha256(content).digest() for name, content in CONTENTS.items()}
    assert [path.name for path in (kept / FOLDER_NAME).iterdir()] == ["lock"]


def steps_of_a_server(kept: Path, paths: list[str], *how: str) -> int:
    """Return how many steps it takes when nobody dies."""
    with server(kept, -1, *how) as (process, port):
        assert port is not None
        send(port, paths)
        return end_of(process)


def clear(folder: Path) -> None:
    """Remove all files in *folder*."""
    for path in [*folder.glob("*"), *folder.glob(f"{FOLDER_NAME}/*")]:
        if path.is_file():
            path.unlink()


@pytest.mark.deadline(170)
@pytest.mark.parametrize("how", ["keep", "overwrite"])
def test_a_server_may_be_killed_before_any_step_and_nothing_acknowledged_is_lost(
    kept: Path, paths: list[str], how: str
) -> None:
    """Where files are replaced there is at each moment the whole old one or the whole new one."""
    old = {name: b"old " + content[:100] for name, content in CONTENTS.items()} if how == "overwrite" else {}
    steps = steps_of_a_server(kept, paths, how)
    assert steps > 20
    for step in range(steps + 1):
        clear(kept)
        for name, content in old.items():
            (kept / name).write_bytes(content)
        with server(kept, step, how) as (process, port):
            states = {} if port is None else send(port, paths)
            if port is None or process.poll() is not None:
                assert process.wait(PATIENCE) == -9, f"step {step}"
        found = visible(kept)
        for name, content in found.items():
            assert content in (CONTENTS[name], old.get(name)), f"step {step}: {name}"
        for name, state in states.items():
            if state is State.KEPT:
                assert found[name] == CONTENTS[name], f"step {step}: {name}"
        expect_everything(kept, paths, how)


@pytest.mark.deadline(170)
def test_a_client_may_be_killed_before_any_step_and_the_next_goes_on(kept: Path, paths: list[str]) -> None:
    """One server sees all of them die; each time the files are sent again they arrive."""
    with server(kept, -1) as (process, port):
        assert port is not None
        done = killed_client(port, -1, paths)
        assert done.returncode == 0
        steps = int(done.stdout)
        assert steps > 10
        for step in range(steps):
            clear_names(kept)
            assert killed_client(port, step, paths).returncode == -9, f"step {step}"
            for name, content in visible(kept).items():
                assert content == CONTENTS[name], f"step {step}: {name}"
            assert set(send(port, paths).values()) == {State.KEPT}
            assert visible(kept) == CONTENTS
        end_of(process)
    assert [path.name for path in (kept / FOLDER_NAME).iterdir()] == ["lock"]


def clear_names(kept: Path) -> None:
    """Remove the files that anybody sees."""
    for path in kept.iterdir():
        if path.is_file():
            path.unlink()


def killed_client(port: int, last_step: int, paths: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a client that dies before its step *last_step*."""
    return subprocess.run(
        [sys.executable, "-m", "tests.service.upload.deadly_client", str(port), str(last_step), *paths],
        env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip


def test_only_the_rest_is_sent_after_a_kill(kept: Path, tmp_path: Path) -> None:
    """What the killed server had written is not sent again: the next one asks for what is behind it."""
    path = tmp_path / "big"
    path.write_bytes(CONTENTS["大文件"] * 10)
    with server(kept, -1) as (process, port):
        assert port is not None
        with reactor.Reactor() as loop:
            client = UploadClient(loop, [str(path)])
            client.connect(("127.0.0.1", port))
            parts = kept / FOLDER_NAME
            loop.run_until(lambda: any(part.stat().st_size > 3_000_000 for part in parts.glob("*.part")), PATIENCE)
            process.kill()
            loop.run_until(client.done, PATIENCE)
    (part,) = parts.glob("*.part")
    held = part.stat().st_size
    with server(kept, -1) as (process, port):
        assert port is not None
        with reactor.Reactor() as loop:
            client = UploadClient(loop, [str(path)])
            client.connect(("127.0.0.1", port))
            (outcome,) = loop.run_until(client, PATIENCE)
        end_of(process)
    assert (outcome.state, outcome.skipped) == (State.KEPT, held)
    assert (kept / "big").read_bytes() == path.read_bytes()


@pytest.mark.deadline(170)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_transfer_that_is_killed_again_and_again_arrives_in_the_end(
    kept: Path, paths: list[str], seed: int
) -> None:
    """One side or the other, at a step that chance chose, and never from the beginning."""
    chance = random.Random(seed)
    for _ in range(12):
        is_server = chance.random() < 0.5
        with server(kept, chance.randrange(30) if is_server else -1) as (_, port):
            if port is not None:
                killed_client(port, -1 if is_server else chance.randrange(15), paths)
        for name, content in visible(kept).items():
            assert content == CONTENTS[name]
    expect_everything(kept, paths)
