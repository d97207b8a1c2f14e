"""A peer chooses its name and its words; neither may write a line of its own into the log or on the terminal.

A Unix socket may be bound to any bytes.  One with a newline and an escape sequence in its name had a forged line in
the log of each server that reported it.
"""

from __future__ import annotations

import io
import socket
import sys
from typing import Any

import pytest

import reactor
from reactor.cli import terminal
from reactor.service.server import Server

FORGED = "\0reactor-test\n12:00:00 WARNING forged line\x1b[2J\u202e"


@pytest.mark.skipif(sys.platform != "linux", reason="abstract names are Linux's")
def test_the_name_of_a_unix_peer_writes_no_line_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """In the fault that is reported of it, in the representation of its stream, and in the journal of a server."""
    journal: list[str] = []
    with reactor.Reactor() as loop, socket.socket(socket.AF_UNIX) as peer:
        server = Server(loop, "echo", mode="framed", journal=journal.append)
        server.listen_unix("@reactor-test-words-of-peers")
        peer.bind(FORGED)
        peer.connect("\0reactor-test-words-of-peers")
        peer.sendall(b"\xff\xff\xff\xff too long")
        loop.run_until(lambda: loop.counters.peer_errors, timeout=5)
        server.stop()
        loop.run_until(lambda: server.is_stopped, timeout=5)
    told = [*journal, *(record.getMessage() for record in caplog.records)]
    assert sum("forged line" in line for line in told) >= 2
    assert all(line.isprintable() for line in told)


@pytest.mark.parametrize(("write", "stream"), [(terminal.tell, "stderr"), (terminal.announce, "stdout")])
def test_what_a_command_tells_stays_in_its_line(write: Any, stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The words of a server that refuses, or of a client in the journal, reach a person's terminal here."""
    written = io.StringIO()
    monkeypatch.setattr(sys, stream, written)
    write("refused: \x1b]0;title\x07\nreactor: all is well")
    assert written.getvalue() == r"refused: \x1b]0;title\x07\nreactor: all is well" + "\n"
