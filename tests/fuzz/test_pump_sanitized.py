"""The pump's C under the sanitizers; ``pump_driver.c`` says what it does.

A longer run: build it as its head says, and give it more rounds, or a loop over seeds.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.run import ACCEL

DRIVER = Path(__file__).with_name("pump_driver.c")

FLAGS = "-std=c11 -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the pump needs epoll")
@pytest.mark.parametrize("compiler", ["gcc", "clang", "clang-14"])
def test_every_byte_arrives_in_its_place_when_the_pump_carries_random_traffic(
    compiler: str, tmp_path: Path
) -> None:
    """Real sockets, arenas of random size, peers that come and go: no overrun, and every byte in order."""
    if not shutil.which(compiler):
        pytest.skip(f"{compiler} is not installed")
    program = tmp_path / "driver"
    built = subprocess.run(
        [compiler, *FLAGS.split(), f"-I{ACCEL}", str(DRIVER), "-o", str(program)],
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode:
        pytest.skip(f"{compiler} has no sanitizers here: {built.stderr.splitlines()[-1:]}")
    for seed in range(1, 6):
        done = subprocess.run(
            [str(program), str(seed), "1500"], capture_output=True, text=True, timeout=120, check=False
        )
        assert (done.returncode, done.stdout) == (0, "1500 rounds\n"), (seed, done.stderr)
