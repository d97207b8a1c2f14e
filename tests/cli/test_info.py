"""``reactor info``, and what all commands have in common."""

from __future__ import annotations

import json
import platform
import resource
import subprocess

import pytest

import reactor
from tests.cli.running import PATIENCE, command, environment, run

pytestmark = pytest.mark.slow


def test_info_tells_poller_accelerator_limits_and_versions() -> None:
    """In text, each with why it is so."""
    ended = run("info")
    assert (ended.status, ended.stderr) == (0, "")
    for word in ("poller", "accelerator", "limits", "versions", "somaxconn", "cffi", reactor.__version__):
        assert word in ended.stdout


def test_info_is_one_json_object_when_asked(poller_name: str) -> None:
    """The same for programs; REACTOR_SELECTOR and REACTOR_ACCEL show."""
    ended = run("info", "--json", env=environment(REACTOR_SELECTOR=poller_name, REACTOR_ACCEL="pure"))
    found = json.loads(ended.stdout)
    assert found["poller"]["chosen"] == poller_name
    assert found["poller"]["available"] == reactor.available_pollers()
    assert found["accelerator"] == {"chosen": "pure", "why": "chosen by REACTOR_ACCEL=pure"}
    assert found["limits"]["open_files"] == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert found["versions"]["python"].endswith(platform.python_version())


def test_a_wrong_variable_is_one_line() -> None:
    """Whoever set it wants to know."""
    ended = run("info", env=environment(REACTOR_ACCEL="fast"))
    assert ended.status == 2
    assert ended.stderr == "reactor info: REACTOR_ACCEL is one of auto, native, pure, not 'fast'\n"


def test_a_reader_that_goes_away_ends_info_quietly() -> None:
    """``reactor info | head -0``."""
    with subprocess.Popen(
        command("info"), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(PATIENCE) == 141
        assert process.stderr.read() == b""


@pytest.mark.parametrize("words", [["--help"], ["serve", "--help"], ["call", "--help"], ["demo", "--help"]])
def test_help_is_printed_on_every_kind_of_terminal(words: list[str]) -> None:
    """Also where the output knows no character beyond ASCII."""
    ended = run(*words, env=environment(PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C"))
    assert ended.status == 0
    assert ended.stdout.startswith("usage: reactor")


def test_no_command_at_all_is_a_matter_of_usage() -> None:
    """One line, with where to read more."""
    ended = run()
    assert ended.status == 2
    assert "--help" in ended.stderr


def test_the_version_is_printed_when_asked() -> None:
    """That of the package."""
    assert run("--version").stdout == f"reactor {reactor.__version__}\n"
