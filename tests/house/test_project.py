"""The promises that the project makes outside its code: set-up commands, versions, the cost of an import."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys

import pytest

from tests.house.sources import ROOT, text_of

RUN = "python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/reactor demo"
TEST = "python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]' && .venv/bin/python -m pytest"

#: What an application that embeds the reactor should not pay for before it needs it.
HEAVY = {
    "argparse", "asyncio", "concurrent.futures", "dataclasses", "inspect", "logging", "signal", "ssl",
    "subprocess", "threading", "typing", "reactor.framing.delimiter", "reactor.net.connections.connector",
    "reactor.net.datagrams.endpoint", "reactor.net.names.resolver",
}  # fmt: skip


def set_up_commands(text: str) -> list[str]:
    """Return the lines of *text* that make the virtual environment."""
    return [line.strip() for line in text.splitlines() if "-m venv .venv" in line]


def test_the_readme_has_two_set_up_commands_one_to_run_and_one_to_test() -> None:
    """A newcomer copies one line to see it run, and one to run its tests."""
    assert set_up_commands(text_of(ROOT / "README.md")) == [RUN, TEST]


def test_ci_runs_the_test_command_of_the_readme() -> None:
    """What the README says is what is tested, word for word."""
    assert set_up_commands(text_of(ROOT / ".ci" / "run")) == [TEST]


def test_the_changelog_opens_with_the_version_of_the_package() -> None:
    """Each version has its entry, and the newest entry is the version that the package says it is."""
    import reactor

    newest = re.search(r"^## \[(\d[^\]]*)\]", text_of(ROOT / "CHANGELOG.md"), re.MULTILINE)
    assert newest is not None
    assert newest.group(1) == reactor.__version__


def loaded_by(statement: str) -> set[str]:
    """Return the modules that *statement* loads in a fresh interpreter, beyond those of its start."""
    code = f"import sys; before = set(sys.modules); {statement}; print(*sorted(set(sys.modules) - before))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=30
    )
    return set(done.stdout.split())


@pytest.mark.slow
def test_importing_the_package_loads_nothing_heavy() -> None:
    """``import reactor`` costs no asyncio, no logging, no TLS: what is needed later is loaded then."""
    assert not loaded_by("import reactor") & HEAVY


@pytest.mark.slow
def test_importing_the_package_loads_few_modules_beside_its_own() -> None:
    """It takes at most a third as many modules of the standard library as ``import asyncio`` does."""
    taken = {name for name in loaded_by("import reactor") if name.split(".")[0] != "reactor"}
    assert len(taken) * 3 <= len(loaded_by("import asyncio")), sorted(taken)


@pytest.mark.slow
def test_a_server_does_not_load_the_c_code_of_the_load_generator() -> None:
    """Not even one that is started by the command line, which knows both: its module is loaded by a run of load."""
    loaded = loaded_by("import reactor.cli.main; reactor.LengthPrefixed(); reactor.Reactor().close()")
    assert "reactor.load.engine_native" in loaded
    assert "reactor.load._drive" not in loaded


@pytest.mark.parametrize("package", ["reactor", "reactor.framing"])
def test_every_name_of_a_package_is_there_when_it_is_asked_for(package: str) -> None:
    """Also those that are loaded late; any other is an AttributeError, as of every module."""
    module = importlib.import_module(package)
    for name in module.__all__:
        value = getattr(module, name)
        assert getattr(value, "__name__", name) == name
        assert vars(module)[name] is value
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'Lanes'"):
        module.Lanes  # noqa: B018


@pytest.mark.slow
def test_a_heavy_module_is_seen_when_it_is_loaded() -> None:
    """The two tests above can fail."""
    assert "dataclasses" in loaded_by("import dataclasses")
