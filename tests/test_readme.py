"""Every program and every transcript in the README and the guides is run, and does what the text says.

A ``python`` block is a complete program that ends by itself with status 0; if a ``text`` block follows at once,
that is what it prints.  The one program that serves until it is told to stop is the README's, and it is talked
to.  A ``console`` block is typed into a terminal, line by line; a server started in one block runs until the end
of the page.  ``sh`` blocks are the two set-up commands.
"""

from __future__ import annotations

import re
import shlex
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.running import PATIENCE, ROOT, Serving, environment, run

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

#: The port of the README's examples; a test takes any that is free.
PORT = "8888"


class Block(NamedTuple):
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str
    #: The text block that follows at once, if there is one.
    output: str | None


def blocks_of(page: Path) -> list[Block]:
    """Return the fenced blocks of *page*, in order."""
    text = page.read_text(encoding="utf-8")
    fences = list(re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    found = []
    for fence, after in zip_longest(fences, fences[1:]):
        is_output = after and after[1] == "text" and not text[fence.end() : after.start()].strip()
        line = text.count("\n", 0, fence.start()) + 1
        found.append(Block(page, line, fence[1], fence[2], after[2] if after and is_output else None))
    return found


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
PROGRAMS = [block for block in BLOCKS if block.language == "python"]
TRANSCRIPTS = sorted({block.page for block in BLOCKS if block.language == "console"})
SERVERS = [block for block in PROGRAMS if PORT in block.text]


def name_of(block: Block) -> str:
    """Return how a test calls *block*."""
    return f"{block.page.relative_to(ROOT)}:{block.line}"


def python(program: str) -> list[str]:
    """Return the command line that runs *program*; every warning is an error."""
    return [sys.executable, "-W", "error", "-c", program]


@pytest.mark.slow
@pytest.mark.parametrize("block", [block for block in PROGRAMS if block not in SERVERS], ids=name_of)
def test_a_program_prints_what_the_page_says(block: Block) -> None:
    """It runs as it stands, without a warning, and ends by itself."""
    done = subprocess.run(
        python(block.text), env=environment(), capture_output=True, text=True, encoding="utf-8", timeout=PATIENCE
    )
    assert (done.returncode, done.stderr) == (0, "")
    if block.output is not None:
        assert done.stdout == block.output


@pytest.mark.slow
def test_the_embedded_server_shouts_until_it_is_told_to_stop() -> None:
    """The README's twenty lines, word for word but for the port."""
    (block,) = SERVERS
    assert len([line for line in block.text.splitlines() if line.strip()]) <= 20
    with Serving(program=python(block.text.replace(PORT, "0"))) as server:
        address = server.line.split()[-1].rpartition(":")
        with socket.create_connection((address[0], int(address[2]))) as client:
            client.settimeout(PATIENCE)
            client.sendall(struct.pack(">I", 5) + b"hello" + struct.pack(">I", 0))
            wanted = struct.pack(">I", 5) + b"HELLO" + struct.pack(">I", 0)
            received = b""
            while len(received) < len(wanted):
                received += client.recv(1024)
            assert received == wanted
        assert server.stop(signal.SIGTERM) == (0, "", "")


@pytest.mark.slow
@pytest.mark.parametrize("page", TRANSCRIPTS, ids=lambda page: page.name)
def test_a_transcript_is_what_a_terminal_shows(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command prints what stands below it; of a server's first line, what does not change from run to run."""
    monkeypatch.chdir(tmp_path)  # the files that the commands make are nobody's
    port = ""
    with ExitStack() as servers:
        for words, output in transcript_of(page):
            if words[:2] == ["reactor", "serve"]:
                server = servers.enter_context(Serving(*with_port(words[2:], "0")))
                port = str(server.socket_address[1])
                assert varying_less(server.line) == varying_less(output.replace(PORT, port))
            else:
                assert run(*with_port(words[1:], port)) == (0, output, "")


def transcript_of(page: Path) -> Iterator[tuple[list[str], str]]:
    """Yield each command of *page*, in words, with what it prints."""
    for block in blocks_of(page):
        if block.language == "console":
            for entry in re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", block.text, re.MULTILINE):
                yield shlex.split(entry[0]), entry[1]


def with_port(words: list[str], port: str) -> list[str]:
    """Return *words* with another port."""
    return [word.replace(PORT, port) for word in words]


def varying_less(line: str) -> str:
    """Return a server's first line without what depends on the machine."""
    return re.sub(r", (epoll|epoll\+pump|kqueue|poll|select), \w+ framing, pid \d+$", "", line.rstrip())


def test_every_block_says_what_it_is() -> None:
    """Nothing on a page is left untested because nobody knows how to run it."""
    assert {block.language for block in BLOCKS} <= {"python", "console", "sh", "text"}
    assert [block.page.name for block in BLOCKS if block.language == "sh"] == ["README.md", "README.md"]


@pytest.mark.skipif(not (ROOT / "setup.py").exists(), reason="the pages name files of a checkout; this is none")
def test_the_readme_names_only_files_that_exist() -> None:
    """A page that is named can be opened."""
    for page in PAGES:
        for path in re.findall(r"`((?:docs|reactor|tests|_accel)/[\w/.]+)`", page.read_text(encoding="utf-8")):
            assert (ROOT / path).exists(), f"{page.name} names {path}"
