"""What the table says, and what it must not say."""

from __future__ import annotations

import re

from bench.table import duration, judgement, marks, ranked, table
from tests.bench.samples import outcome, sample, samples


def line_of(text: str, name: str) -> str:
    """Return the line about *name*."""
    [line] = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return line


def test_an_invalid_result_is_shown_as_such_and_never_as_a_number() -> None:
    """Not even the throughput of its valid rounds appears."""
    text = table(outcome(uvloop_joined=samples(100, 100), asyncio=samples(7777, None)))
    line = line_of(text, "asyncio")
    assert "INVALID: 2 replies were lost" in line
    assert not re.search(r"\d", line.replace("2 replies", ""))
    assert "7777" not in text
    assert "7.78k" not in text


def test_an_invalid_reference_leaves_nothing_to_compare_with() -> None:
    """The others keep their figures, and no ratio is made up."""
    text = table(outcome(uvloop_joined=samples(None, 1), asyncio=samples(2000, 2000)))
    assert "2.00k" in line_of(text, "asyncio")
    assert "cannot be compared" in line_of(text, "asyncio")
    assert "no valid A/A pair" in text


def test_a_difference_below_the_floor_is_called_no_difference_shown() -> None:
    """Five per cent are nothing where two equals differ by ten, and thirty are something."""
    text = table(
        outcome(
            uvloop_joined=samples(100, 100),
            uvloop_joined__=samples(110, 95),
            asyncio=samples(105, 105),
            reactor_pump=samples(130, 130),
            trio=samples(50, 50),
        )
    )
    assert line_of(text, "asyncio").endswith("no difference shown")
    assert line_of(text, "reactor-pump").endswith("more")
    assert line_of(text, "trio").endswith("less")
    assert "noise floor of the A/A pair: 10.0% (from 2 rounds only)" in text


def test_the_pair_of_equals_is_named_when_it_is_shown() -> None:
    """Nobody should take it for a contestant."""
    assert judgement("uvloop (again)", "uvloop", None, 0.1) == "the A/A pair"
    assert judgement("uvloop", "uvloop", None, 0.1) == "the reference"


def test_the_fastest_stands_first_and_the_invalid_last() -> None:
    """The order of the lines is the result at a glance."""
    made = outcome(uvloop_joined=samples(1), asyncio=samples(None), limit=samples(3), trio=samples(2))
    assert ranked(made) == ["limit", "trio", "uvloop-joined", "asyncio"]


def test_who_was_left_out_is_said_with_the_reason() -> None:
    """A missing library is one line."""
    made = outcome(uvloop_joined=samples(1))._replace(skipped={"gevent": "gevent is not installed"})
    assert "left out: gevent is not installed" in line_of(table(made), "gevent")


def test_a_throughput_is_marked_when_it_is_not_the_servers_limit() -> None:
    """A busy client, an idle server, a core that somebody else had."""
    good = sample(1)
    assert marks([good]) == ""
    assert marks([good._replace(client_busy=0.99)]) == "c"
    assert marks([good._replace(server_busy=0.5)]) == "i"
    assert marks([good._replace(disturbed=0.2, server_busy=0.7)]) == "di"
    assert marks([good._replace(server_busy=None, client_busy=None, disturbed=None)]) == ""


def test_durations_have_three_digits_and_the_unit_that_suits() -> None:
    """From nanoseconds to seconds."""
    assert [duration(value) for value in (5e-9, 1.234e-6, 45.6e-6, 0.123, 2.5)] == [
        "5.00ns", "1.23us", "45.6us", "123ms", "2.50s",
    ]  # fmt: skip
