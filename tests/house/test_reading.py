"""What a reader is promised is there, and each of these tests can fail.  See ``reading.py``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house import reading
from tests.house.sources import PACKAGE, files_in, module_of, name_of, satisfied, text_of


@pytest.mark.parametrize("path", files_in("reactor"), ids=name_of)
def test_what_is_to_be_read_next_is_there_and_stands_later(path: Path) -> None:
    """Whoever follows the words from file to file goes up the staircase."""
    is_package = path.name == "__init__.py"
    satisfied(path, reading.wrong_next(module_of(path), reading.docstring_of(path), is_package=is_package))


def test_the_heart_of_the_loop_is_named_by_somebody() -> None:
    """A reader who follows the words comes by the turn of the loop."""
    assert reading.HEART in reading.all_named()


@pytest.mark.parametrize("path", reading.documents(), ids=name_of)
def test_each_size_that_a_document_claims_is_counted(path: Path) -> None:
    """Nobody is promised an evening for a week's reading."""
    satisfied(path, reading.uncounted(name_of(path), text_of(path)))


def test_the_evening_of_the_front_page_is_counted() -> None:
    """The first sentence of the package says for how many lines an evening is enough, somewhere below it."""
    front = " ".join(reading.docstring_of(PACKAGE / "__init__.py").split())
    satisfied(PACKAGE / "__init__.py", reading.uncounted("reactor/__init__.py", front))


@pytest.mark.parametrize("path", files_in("reactor"), ids=name_of)
def test_each_hot_twin_says_what_it_saves_and_what_proves_it(path: Path) -> None:
    """The same thing written twice has a price, and a test that holds both together."""
    satisfied(path, reading.unproven_twins(text_of(path), reading.known_tests()))


@pytest.mark.parametrize(
    ("docstring", "names"),
    [
        ("Text.  Read next: ``stream``, for ``fail`` and ``idle``.", ["stream"]),
        ("Read next: ``listener`` and ``connector``, which make ``Stream`` objects.", ["listener", "connector"]),
        ("Read next: ``datagram``, which is plain, then ``datagram_batch``.\n\nMore about ``x``.",
         ["datagram", "datagram_batch"]),
        ("Read next:\n``resolver``.", ["resolver"]),
        ("Nothing follows ``this``.", []),
    ],
)  # fmt: skip
def test_the_names_are_found_when_a_docstring_says_what_to_read_next(docstring: str, names: list[str]) -> None:
    """What is only spoken of is not taken for a file."""
    assert reading.named_next(docstring) == names


@pytest.mark.parametrize(
    ("module", "docstring"),
    [
        ("reactor.core.loop", "Read next: ``handles``."),
        ("reactor.core.loop", "Read next: ``shelf``."),
        ("reactor.core.loop", "Read next: ``reactor.errors``."),
        ("reactor.framing.codec", "Read next: ``_accel/shelf.h``."),
    ],
)
def test_a_complaint_is_made_when_the_reader_is_sent_back_or_nowhere(module: str, docstring: str) -> None:
    """One for each name."""
    assert len(reading.wrong_next(module, docstring)) == 1


@pytest.mark.parametrize(
    ("module", "docstring"),
    [
        ("reactor.errors", "Read next: ``limits``."),
        ("reactor.core.engine", "Read next: ``loop``."),
        ("reactor.core.loop", "Read next: ``reactor.net``."),
        ("reactor.framing.scanner_accel", "Read next: ``_accel/scan.h``."),
    ],
)
def test_no_complaint_is_made_when_the_reader_is_sent_on(module: str, docstring: str) -> None:
    """Behind it, above it, or into C."""
    assert reading.wrong_next(module, docstring) == []


@pytest.mark.parametrize("text", ["An evening is enough.", "An evening for 9 lines.", "It has 12 lines."])
def test_a_claim_is_reported_when_nobody_has_counted(text: str) -> None:
    """A time without a size, a wrong size, and a size from nowhere."""
    assert len(reading.uncounted("README.md", text)) == 1


def test_a_claim_is_allowed_when_it_is_right() -> None:
    """About as many lines as the spine has."""
    size = reading.lines_in(*reading.spine())
    complaints = reading.uncounted("README.md", f"About {size // 10 * 10:,} lines are an evening.")
    assert complaints == [] or size > reading.EVENING_LINES


@pytest.mark.parametrize(
    ("comment", "complaints"),
    [
        ("# A hot twin of f.", 2),
        ("# A hot twin of f: saves 90 ns.", 1),
        ("# This is the hot path: see test_it_works_too.", 1),
        ("# A hot twin of f: saves 0.1 us;\n# see test_it_works_too.", 0),
        ("# Collecting is the hot path of a stream.", 0),
    ],
)
def test_a_hot_twin_is_reported_when_it_proves_nothing(comment: str, complaints: int) -> None:
    """What it saves, and the test, are asked for each."""
    assert len(reading.unproven_twins(comment, frozenset({"test_it_works_too"}))) == complaints
