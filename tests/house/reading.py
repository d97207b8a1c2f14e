"""What a reader is promised: where to go next, how much there is to read, what a shortcut is good for.

Each module ends its opening with what to read next.  Whoever follows these words from file to file goes up the
staircase, never in a circle, and comes by the heart of the loop.  A size that the documents claim ("an evening",
"60 lines") is counted, or it is a wish.  And a *hot twin*, the same thing written twice because a call less is
faster, says in its comment what it saves, as a number, and which test holds it to the original; else it is only the
same thing written twice.

Read next: ``test_reading.py``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from tests.house.sources import ROOT, files_in, module_of, name_of, text_of
from tests.house.staircase import FLOORS, step_of

#: The word that says what to read next, and what follows up to the end of the paragraph.
READ_NEXT = re.compile(r"Read next:\s*(.*?)(?:\n\s*\n|\Z)", re.DOTALL)
NAME = re.compile(r"``([\w./]+)``")

#: One turn of the loop: what everything else leads to.
HEART = "reactor.core.engine"

#: The spine of the loop: what a reader has read after the evening that is promised, by the last part of its names.
SPINE = "handles timers contract by_epoll registry wakeup engine loop"

#: Lines that can be read in an evening, and how far a claim may be off.
EVENING_LINES = 1700
TOLERANCE = 0.1


# -- read next -----------------------------------------------------------------------------------------------------


@cache
def modules() -> tuple[str, ...]:
    """Return the modules of the package, from the ground up; those of a group without an order by their names."""
    rows = []
    for groups in FLOORS:
        for prefix, files in groups.items():
            names = [prefix + file for file in files.split()]
            if files == "*":
                names = [name_of(path).removeprefix("reactor/") for path in files_in(f"reactor/{prefix}")]
            rows += [name.removesuffix(".py").replace("/", ".").removesuffix(".__init__") for name in names]
    return tuple(f"reactor.{row}" for row in rows)


def named_next(docstring: str) -> list[str]:
    """Return what *docstring* says is to be read next; what it only says something about is left out."""
    found: list[str] = []
    for match in READ_NEXT.finditer(docstring):
        for clause in re.split(r"[,;:.]\s+", match.group(1)):
            words = re.sub(r"^(?:then|and|or|also)\s+", "", clause.strip())
            if words.startswith("``"):
                found += NAME.findall(re.split(r"\s(?:for|which|that|of)\s", words)[0])
    return found


def meant_by(name: str, module: str, *, is_package: bool = False) -> str | None:
    """Return the module or the file that *module* calls *name*; None if there is none such.

    A bare name is looked for in the folder of *module*, then in those above it, then among the other modules.
    """
    if "/" in name or name.endswith((".h", ".c")):
        for folder in (ROOT, ROOT / "_accel", ROOT / "reactor"):
            if (folder / name).is_file():
                return (folder / name).relative_to(ROOT).as_posix()
        name = name.removesuffix(".py").replace("/", ".")
    known = modules()
    if name.startswith("reactor.") or name == "reactor.__main__":
        return name if name in known or any(other.startswith(name + ".") for other in known) else None
    folders = module.split(".") if is_package else module.split(".")[:-1]
    while folders:
        full = ".".join([*folders, name])
        if full in known and full != module:
            return full
        folders.pop()
    others = [other for other in known if other.endswith("." + name)]
    if len(others) != 1 and "." in name:  # a class of a module
        return meant_by(name.rpartition(".")[0], module, is_package=is_package)
    return others[0] if len(others) == 1 else None


def stands_later(target: str, module: str) -> bool:
    """Return True if *target* stands on a higher floor than *module*, or behind it on the same one; C code stands
    behind everything."""
    if not target.startswith("reactor."):
        return True
    known = modules()
    if target not in known:  # a folder: what counts is its last file
        target = [other for other in known if other.startswith(target + ".")][-1]
    own, other = step_of(module), step_of(target)
    if own is None or other is None:
        return False
    if own.place is None or other.place is None:
        return own.floor <= other.floor
    if own.floor != other.floor:
        return other.floor > own.floor
    return module not in known or known.index(target) > known.index(module)


def wrong_next(module: str, docstring: str, *, is_package: bool = False) -> list[str]:
    """Complain about each name after "Read next" that leads nowhere, or back."""
    found = []
    for name in named_next(docstring):
        target = meant_by(name, module, is_package=is_package)
        if target is None:
            found.append(f"read next ``{name}``: there is no such file")
        elif not stands_later(target, module):
            found.append(f"read next ``{name}``: {target} stands before {module} in tests/house/staircase.py")
    return found


# -- sizes ---------------------------------------------------------------------------------------------------------


def lines_in(*paths: Path) -> int:
    """Return how many lines *paths* have."""
    return sum(len(text_of(path).splitlines()) for path in paths)


def spine() -> list[Path]:
    """Return the files of the loop's spine."""
    return [path for path in files_in("reactor/core") if path.stem in SPINE.split()]


def longest_example() -> int:
    """Return the lines of the longest program of the articles."""
    return max(map(lines_in, files_in("docs/examples")))


#: Where a number of lines is claimed, the words, and how it is counted: the claim is an upper bound.
CLAIMS: dict[tuple[str, str], Callable[[], int]] = {("docs/articles.md", "longer than 60 lines"): longest_example}

NUMBER_OF_LINES = re.compile(r"(?:[\w-]+ ){0,2}\b(\d[\d,]*)\s+lines\b")


def paragraphs(text: str) -> list[str]:
    """Return the paragraphs of a document, each on one line."""
    return [" ".join(part.split()) for part in re.split(r"\n\s*\n", text)]


def uncounted(name: str, text: str) -> list[str]:
    """Complain about each size that *text*, of the document *name*, claims and that is wrong or not counted.

    "An evening" is said of the spine, in the same paragraph as its number of lines.
    """
    found, size = [], lines_in(*spine())
    for paragraph in paragraphs(text):
        is_evening = re.search(r"\bevening\b", paragraph) is not None
        counted = 0
        for match in NUMBER_OF_LINES.finditer(paragraph):
            number = int(match.group(1).replace(",", ""))
            ways = [count for (file, words), count in CLAIMS.items() if file == name and words in paragraph]
            if ways:
                found += [f"{match.group(0)!r}: it is {count()}" for count in ways if count() > number]
            elif is_evening:
                counted = number
            else:
                found.append(f"{match.group(0)!r}: say in CLAIMS of tests/house/reading.py how that is counted")
        if is_evening and not size * (1 - TOLERANCE) <= counted <= size * (1 + TOLERANCE):
            found.append(f"an evening is promised: say beside it for how many lines, the spine's {size}")
        elif is_evening and size > EVENING_LINES:
            found.append(f"an evening is promised for {size} lines; it is enough for {EVENING_LINES}")
    return found


# -- hot twins -----------------------------------------------------------------------------------------------------

HOT = re.compile(r"\bhot twin\b|\bthis is the hot path\b", re.IGNORECASE)
SAVING = re.compile(r"\d\s*(?:ns|us|µs)\b")


def comments(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the words of each comment, lines that follow each other being one."""
    block: list[str] = []
    start = 0
    for number, line in enumerate([*text.splitlines(), ""], 1):
        stripped = line.strip()
        if stripped.startswith("#"):
            start = start if block else number
            block.append(stripped.lstrip("#: "))
        elif block:
            yield start, " ".join(block)
            block = []


def unproven_twins(text: str, tests: frozenset[str]) -> list[str]:
    """Complain about each hot twin whose comment does not say what it saves, or names none of *tests*."""
    found = []
    for line, words in comments(text):
        if HOT.search(words):
            if not SAVING.search(words):
                found.append(f"line {line}: a hot twin that does not say how many ns or us it saves")
            if not {word.removesuffix(".py") for word in re.findall(r"test_\w+", words)} & tests:
                found.append(f"line {line}: a hot twin that does not name its differential test")
    return found


def known_tests() -> frozenset[str]:
    """Return the names of all test files and test functions."""
    names = set()
    for path in files_in("tests"):
        if path.name.startswith("test_"):
            names.add(path.stem)
            names.update(re.findall(r"def (test_\w+)", text_of(path)))
    return frozenset(names)


def docstring_of(path: Path) -> str:
    """Return the docstring of a module, "" if it has none."""
    return ast.get_docstring(ast.parse(text_of(path))) or ""


def all_named() -> set[str]:
    """Return every module that some other one names as what to read next."""
    found = set()
    for path in files_in("reactor"):
        for name in named_next(docstring_of(path)):
            target = meant_by(name, module_of(path), is_package=path.name == "__init__.py")
            if target is not None:
                found.add(target)
    return found


def documents() -> list[Path]:
    """Return what promises sizes: the README, the documents, and the front page of the package."""
    return [path for path in files_in("README.md", "docs", suffixes=(".md",)) if name_of(path) != "CHANGELOG.md"]
