"""What is built from the sources: one wheel for all CPythons with the C modules, a pure one without; a whole sdist.

The builds run in a copy of the tree, with the setuptools of the test environment, and need no network.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.house.sources import ROOT

pytestmark = pytest.mark.slow

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))

#: What a fresh clone has, as far as a build looks at it.
PARTS = ("CHANGELOG.md", "LICENSE", "MANIFEST.in", "README.md", "SECURITY.md", "pyproject.toml", "setup.py")
FOLDERS = (".ci", "_accel", "bench", "docs", "reactor", "tests")

#: A compiler that can compile the probe of setup.py and nothing else.
ONLY_THE_PROBE = '#!/bin/sh\ncase "$*" in *probe*) exec cc "$@";; esac\nexit 1\n'


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of the tree without anything that was built in it."""
    junk = shutil.ignore_patterns("__pycache__", "*.so", "*.o", "corpus", ".hypothesis", ".benchmarks")
    for name in PARTS:
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, tmp_path)
    for name in FOLDERS:
        if (ROOT / name).exists():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=junk)
    return tmp_path


def build(clone: Path, *command: str, **environment: str) -> tuple[Path, str]:
    """Run ``setup.py`` with *command*; return the one file that it leaves in ``dist``, and what it said."""
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", *command],
        cwd=clone, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [made] = (clone / "dist").iterdir()
    return made, done.stderr


def contents(wheel: Path) -> set[str]:
    """Return the names of the files in *wheel*."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def compiled(names: set[str]) -> list[str]:
    """Return those of *names* that are C modules."""
    return sorted(name for name in names if name.endswith((".so", ".pyd")))


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
@pytest.mark.skipif(FREE_THREADED, reason="a free-threaded build has no limited API")
def test_one_wheel_serves_every_cpython_when_cffi_and_a_compiler_are_there(clone: Path) -> None:
    """The tag says cp311-abi3, and the modules in the wheel are those that use the limited API only."""
    wheel, said = build(clone, "bdist_wheel")
    assert "-cp311-abi3-" in wheel.name, said
    assert compiled(contents(wheel)) == ["reactor/_accel.abi3.so", "reactor/load/_drive.abi3.so"]


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_the_wheel_is_for_one_version_when_python_has_no_limited_api(clone: Path) -> None:
    """A free-threaded Python, or one that says it is, gets the C modules under its own tag."""
    pretend = "import sysconfig\nsysconfig.get_config_vars()['Py_GIL_DISABLED'] = 1\n"
    (clone / "sitecustomize.py").write_text(pretend, encoding="utf-8")
    wheel, said = build(clone, "bdist_wheel", PYTHONPATH=str(clone))
    assert "abi3" not in wheel.name, said
    modules = compiled(contents(wheel))
    assert len(modules) == 2
    assert not [module for module in modules if "abi3" in module]


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_the_modules_are_built_in_place_for_development(clone: Path) -> None:
    """``setup.py build_ext --inplace`` puts them beside the sources, where the package finds them."""
    (clone / "dist").mkdir()
    (clone / "dist" / "nothing").touch()
    build(clone, "build_ext", "--inplace")
    built = {path.relative_to(clone).parent / path.name.partition(".")[0] for path in clone.glob("reactor/**/*.so")}
    assert built == {Path("reactor/_accel"), Path("reactor/load/_drive")}


def test_a_pure_wheel_is_built_when_the_compiler_fails(clone: Path) -> None:
    """The installation succeeds, one line says why there is no C, and the wheel claims no platform."""
    wheel, said = build(clone, "bdist_wheel", CC="/bin/false")
    assert wheel.name.endswith("-py3-none-any.whl")
    assert "reactor/errors.py" in contents(wheel)
    assert not compiled(contents(wheel))
    assert [line for line in said.splitlines() if line.startswith("reactor: installing without the C modules")]


def test_a_pure_wheel_is_built_when_cffi_is_missing(clone: Path) -> None:
    """Neither is cffi needed: here it cannot be found."""
    (clone / "sitecustomize.py").write_text("import sys\nsys.modules['cffi'] = None\n", encoding="utf-8")
    wheel, said = build(clone, "bdist_wheel", PYTHONPATH=str(clone))
    assert wheel.name.endswith("-py3-none-any.whl")
    assert "cffi is not installed" in said


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_the_build_succeeds_when_only_the_module_does_not_compile(clone: Path) -> None:
    """A compiler that works, but not for this code, costs the C module and nothing else."""
    compiler = clone / "cc-probe-only"
    compiler.write_text(ONLY_THE_PROBE, encoding="ascii")
    compiler.chmod(compiler.stat().st_mode | stat.S_IXUSR)
    wheel, _ = build(clone, "bdist_wheel", CC=str(compiler))
    assert "reactor/errors.py" in contents(wheel)
    assert not compiled(contents(wheel))


def test_the_source_distribution_holds_everything_but_what_was_built(clone: Path) -> None:
    """Whoever has only the sdist can build, test and read: C sources, tests, docs and the house rules are in it."""
    (clone / "reactor" / "_accel.abi3.so").touch()
    sdist, _ = build(clone, "sdist")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    expected = {
        path.relative_to(clone).as_posix()
        for folder in FOLDERS
        for path in (clone / folder).rglob("*")
        if path.is_file() and path.suffix in (".py", ".c", ".h", ".md", "")
    }
    assert expected <= names
    assert not compiled(names)
