"""What the demo sends: the project's own README, and a megabyte of random bytes.

The README goes to the upper-casing server line by line, empty lines included, because an empty frame is a
message.  The random bytes go to the echo server in frames of all sizes, from none at all to a hundred thousand
bytes, which no single read returns whole.  Every client walks through its material in a circle and begins at a
place of its own, so that all of it is on its way at any time.  Read next: ``demo_clients``.
"""

from __future__ import annotations

import random
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import reactor

RANDOM_BYTES = 1024 * 1024

#: Sizes of the random frames: most are small, as in most protocols.
MEAN_SIZE = 512
LARGE_SIZE = 100_000

#: The name under which the package is distributed.
DISTRIBUTION = "reactor-loop"


class Material:
    """Messages, and the replies that they must have, in the same order.  Both are stored twice over, one behind the
    other, so that a slice never has to be put together where the circle closes."""

    __slots__ = ("payloads", "replies", "service", "size")

    def __init__(self, service: str, payloads: list[bytes], replies: list[bytes]) -> None:
        self.service = service
        self.size = len(payloads)
        self.payloads = payloads * 2
        self.replies = replies * 2


def readme_text() -> str:
    """Return the README: of the checkout, else of the installed distribution, else the package's own words."""
    root = Path(reactor.__file__).resolve().parent.parent
    # Anybody may drop a README.md into site-packages; only a checkout has a setup.py beside it.
    if (root / "setup.py").exists() and (root / "README.md").exists():
        return (root / "README.md").read_text(encoding="utf-8")
    try:
        # The README is the body of the distribution's metadata, behind the first empty line.
        _, _, body = (distribution(DISTRIBUTION).read_text("METADATA") or "").partition("\n\n")
    except PackageNotFoundError:
        body = ""
    return body.strip() or reactor.__doc__ or "reactor"


def readme_material() -> Material:
    """Return the README's lines, to be upper-cased."""
    lines = readme_text().splitlines()
    return Material("upper", [line.encode() for line in lines], [line.upper().encode() for line in lines])


def random_material(seed: int) -> Material:
    """Return ``RANDOM_BYTES`` random bytes in frames, to be echoed."""
    source = random.Random(seed)
    sizes = [0, LARGE_SIZE]
    left = RANDOM_BYTES - LARGE_SIZE
    while left:
        sizes.append(min(left, 1 + int(source.expovariate(1 / MEAN_SIZE))))
        left -= sizes[-1]
    source.shuffle(sizes)
    payloads = [source.randbytes(size) for size in sizes]
    return Material("echo", payloads, payloads)
