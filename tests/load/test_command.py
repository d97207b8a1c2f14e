"""``reactor load`` as it is used: its report, its JSON, its exit statuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.running import run
from tests.load.conftest import StartServer

pytestmark = pytest.mark.slow

SHORT = ("--messages", "40", "--connections", "2", "--engine", "python")


def test_the_status_is_0_when_the_result_is_valid(serve_faulty: StartServer) -> None:
    """The report ends with the verdict."""
    ended = run("load", serve_faulty("good", "line"), "--mode", "line", *SHORT)
    assert (ended.status, ended.stderr) == (0, "")
    assert ended.stdout.splitlines()[-1] == "VALID: 40 of 40 messages answered, every byte as expected"


def test_the_status_is_2_when_the_result_is_invalid(serve_faulty: StartServer) -> None:
    """The report says why, and gives an example."""
    ended = run("load", serve_faulty("corrupt", "framed"), "--mode", "framed", *SHORT)
    assert ended.status == 2
    assert "INVALID: 1 corrupted: a reply with other bytes than were expected" in ended.stdout
    assert re.search(r"corrupted: connection [01], message \d+: byte 63 is 0x", ended.stdout)


def test_the_status_is_2_when_the_server_cannot_be_reached() -> None:
    """A refusal is a fault of the server as any other."""
    ended = run("load", "unix:@nobody-listens-here", *SHORT)
    assert ended.status == 2
    assert "INVALID: 2 refused" in ended.stdout


def test_the_status_is_2_with_one_line_when_the_usage_is_wrong() -> None:
    """Nothing is sent, and nothing is on stdout."""
    for words in (["nowhere"], ["127.0.0.1:1", "--size", "zero"], ["127.0.0.1:1", "--rate", "0"]):
        ended = run("load", *words)
        assert (ended.status, ended.stdout, len(ended.stderr.splitlines())) == (2, "", 1)


def test_json_goes_to_stdout_or_to_a_file(serve_faulty: StartServer, tmp_path: Path) -> None:
    """With "-" it is all of the output; with a name the report comes as well."""
    target, file = serve_faulty("good"), tmp_path / "result.json"
    found = json.loads(run("load", target, "--json", "-", *SHORT).stdout)
    assert found["valid"] is True
    assert found["environment"]["reactor"]
    assert found["plan"]["loop"] == "closed"
    ended = run("load", target, "--json", str(file), *SHORT)
    assert "VALID" in ended.stdout
    assert json.loads(file.read_text(encoding="utf-8"))["messages"] == {"sent": 40, "answered": 40, "measured": 40}
