"""The C sources themselves: no compiler has anything to say about them, and their declarations agree."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ACCEL = Path(__file__).resolve().parents[2] / "_accel"

STRICT = (
    "-std=c11 -O2 -Wall -Wextra -Wconversion -Wshadow -Wpedantic -Wstrict-prototypes -Wmissing-prototypes -Werror"
)


@pytest.mark.parametrize("source", sorted(path.name for path in ACCEL.glob("*.c")))
@pytest.mark.parametrize("compiler", ["gcc", "clang", "clang-14"])
def test_compiler_is_silent_when_every_warning_is_an_error(compiler: str, source: str, tmp_path: Path) -> None:
    """With the warnings that matter for index arithmetic, sign conversion above all."""
    if not shutil.which(compiler):
        pytest.skip(f"{compiler} is not installed")
    command = [compiler, *STRICT.split(), "-c", str(ACCEL / source), "-o", str(tmp_path / "object.o")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def without_comments(text: str) -> str:
    """Return C text with comments removed and all white space made one blank."""
    return " ".join(re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL).split())


def prototypes(name: str) -> set[str]:
    """Return the function declarations of a header."""
    return set(re.findall(r"\b(?:void|size_t|int) \w+\([^)]*\);", without_comments((ACCEL / name).read_text())))


def test_declarations_are_those_of_the_headers() -> None:
    """cffi reads declarations and the compiler headers; a function in one is in the other, in one module only."""
    declared = {"declarations.h", "drive_declarations.h"}
    headers = {path.name for path in ACCEL.glob("*.h")} - declared
    drive = {name for name in headers if name.startswith("drive")}
    assert prototypes("drive_declarations.h") == set().union(*map(prototypes, drive)) != set()
    assert prototypes("declarations.h") == set().union(*map(prototypes, headers - drive)) != set()


def test_verdicts_are_numbered_alike_in_c_and_python() -> None:
    """``seam.py`` and ``scan.h`` name the same numbers."""
    from reactor.framing import seam

    in_c = dict(re.findall(r"SCAN_(\w+) = (-?\d+)", without_comments((ACCEL / "scan.h").read_text())))
    assert in_c.pop("FULL") == "-1"
    assert {name: int(number) for name, number in in_c.items()} == {name: getattr(seam, name) for name in in_c}
    assert len(in_c) == 6
