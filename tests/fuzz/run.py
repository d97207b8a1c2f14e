"""Fuzz the C code: build the target in a temporary folder with sanitizers, run it for a while, report.

    python tests/fuzz/run.py --seconds 10       what the test suite does
    python tests/fuzz/run.py --seconds 3600     what a change of _accel/ deserves

With clang the target runs under libFuzzer, which steers by coverage; without it under ``driver.c``, which is random
from a seed.  Both times AddressSanitizer and UndefinedBehaviorSanitizer watch every index and every shift.  What is
found is written to ``--keep`` (by default the current folder) as ``crash-*``; run the same input again with
``--replay FILE``.  A finding that is worth keeping becomes a test in ``tests/framing/test_hostile.py``.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ACCEL = HERE.parent.parent / "_accel"

WARNINGS = "-Wall -Wextra -Wconversion -Wshadow -Werror"
COMMON = f"-std=c11 -D_POSIX_C_SOURCE=200809L -g -O1 -DSCAN_PROGRAM_SIZE=256 {WARNINGS} -Wno-sign-conversion"
SANITIZE = "address,undefined"

#: Where libFuzzer starts: one lawful input of each kind, so that it need not guess what two frames look like.
SEEDS = (
    bytes((0, 4, 0, 4, 0, 2, 0, 0)) + b"\0\0\0\3abc\0\0\0\0\0\0\0\5hello\0\0",
    bytes((1, 31)) + b"\3abc\0\5hello\x83\0xyz\4",
    bytes((2, 31, 3)) + b"3:abc,0:,5:hello,12:",
    bytes((3, 2, 0, 0, 3, 0, 3, 0, 5)) + b"abchello",
)


@dataclass
class Outcome:
    """What a run gave: the engine, how many inputs it tried, and the last lines of it if it failed."""

    engine: str
    executions: int
    failure: str


def find_engine() -> tuple[str, str] | None:
    """Return the engine's name and its compiler, or None if there is no compiler with sanitizers."""
    for engine, names in (("libFuzzer", ("clang", "clang-19", "clang-16", "clang-14")), ("driver", ("gcc", "cc"))):
        for name in names:
            if shutil.which(name) and probe(name, engine):
                return engine, name
    return None


def probe(compiler: str, engine: str) -> bool:
    """Say whether *compiler* can link a program with the sanitizers, and libFuzzer if that is the engine."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        entry = "int LLVMFuzzerTestOneInput(const char *b, long n) { return b[n] > 300; }"
        source.write_text(entry if engine == "libFuzzer" else "int main(void) { return 0; }", encoding="ascii")
        sanitize = SANITIZE + (",fuzzer" if engine == "libFuzzer" else "")
        command = [compiler, f"-fsanitize={sanitize}", str(source), "-o", str(Path(folder, "probe"))]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def build(engine: str, compiler: str, folder: Path) -> Path:
    """Compile the target for *engine* into *folder*; return the program."""
    program = folder / "fuzz"
    sources = [HERE / "target.c", ACCEL / "scan.c", ACCEL / "pack.c"]
    sanitize = SANITIZE
    if engine == "libFuzzer":
        sanitize += ",fuzzer"
    else:
        sources.append(HERE / "driver.c")
    flags = [*COMMON.split(), f"-fsanitize={sanitize}", "-fno-sanitize-recover=all", f"-I{ACCEL}"]
    subprocess.run([compiler, *flags, *map(str, sources), "-o", str(program)], check=True)
    return program


def run(engine: str, program: Path, seconds: int, seed: int, keep: Path) -> Outcome:
    """Run the program for so many seconds; a failing input is kept in *keep* (libFuzzer only)."""
    if engine == "libFuzzer":
        corpus = program.parent / "corpus"
        corpus.mkdir()
        for number, seed_input in enumerate(SEEDS):
            (corpus / f"seed{number}").write_bytes(seed_input)
        arguments = [f"-max_total_time={seconds}", "-max_len=1024", "-print_final_stats=1", "-use_value_profile=1"]
        arguments += [f"-seed={seed}", f"-artifact_prefix={keep}/", str(corpus)]
    else:
        arguments = [str(seconds), str(seed)]
    done = subprocess.run([str(program), *arguments], capture_output=True, text=True, check=False)
    log = done.stdout + done.stderr
    counts = re.findall(r"Done (\d+) runs|number_of_executed_units: (\d+)", log)
    executions = max((int(a or b) for a, b in counts), default=0)
    return Outcome(engine, executions, "" if done.returncode == 0 else "\n".join(log.splitlines()[-40:]))


def fuzz(seconds: int, seed: int = 1, keep: Path = Path(), only: str | None = None) -> Outcome | None:
    """Build and run; None if this machine has no compiler that could (or not the engine that *only* names)."""
    found = find_engine()
    if only == "driver" and shutil.which("gcc") and probe("gcc", "driver"):
        found = ("driver", "gcc")
    if found is None or (only is not None and found[0] != only):
        return None
    with tempfile.TemporaryDirectory(prefix="reactor-fuzz-") as folder:
        program = build(*found, Path(folder))
        return run(found[0], program, seconds, seed, keep)


def replay(case: Path) -> int:
    """Run one kept input under libFuzzer; return its exit status."""
    found = find_engine()
    if found is None or found[0] != "libFuzzer":
        sys.exit("replaying needs clang with libFuzzer")
    with tempfile.TemporaryDirectory(prefix="reactor-fuzz-") as folder:
        return subprocess.run([str(build(*found, Path(folder))), str(case)], check=False).returncode


def main() -> None:
    """Parse the arguments, fuzz, and exit with 1 if anything was found."""
    parser = argparse.ArgumentParser(description="Fuzz the scanners and the packer in C.")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", choices=("libFuzzer", "driver"))
    parser.add_argument("--keep", type=Path, default=Path())
    parser.add_argument("--replay", type=Path)
    options = parser.parse_args()
    if options.replay:
        sys.exit(replay(options.replay))
    outcome = fuzz(options.seconds, options.seed, options.keep, options.engine)
    if outcome is None:
        sys.exit("no compiler with sanitizers was found")
    print(f"{outcome.engine}: {outcome.executions:,} inputs, {'FAILED' if outcome.failure else 'nothing found'}")
    if outcome.failure:
        sys.exit(outcome.failure)


if __name__ == "__main__":
    main()
