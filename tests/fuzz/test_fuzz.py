"""A short run of the fuzzer with the suite; ``run.py`` documents the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.run import fuzz


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["libFuzzer", "driver"])
def test_nothing_is_found_when_the_c_code_is_fuzzed_for_a_while(engine: str, tmp_path: Path) -> None:
    """The scanners and the packer equal the naive reference on every input, and no sanitizer complains."""
    outcome = fuzz(seconds=5, keep=tmp_path, only=engine)
    if outcome is None:
        pytest.skip(f"no compiler here can build the target for {engine}")
    assert outcome.failure == ""
    assert outcome.executions > 1_000
