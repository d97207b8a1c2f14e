"""``reactor serve upload``: the options that only an upload server has, and the server that they describe.

Where it listens, how it ends and what it prints is the business of ``serve``, which knows it as one more server.
Its options make sense for nothing else, so they are refused where they would be ignored, and so are those of other
services here.  Read next: ``send``, the other end.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from reactor.cli.arguments import expand, seconds, whole_number
from reactor.errors import OptionError
from reactor.limits import MAX_FRAME_LENGTH

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    import reactor
    from reactor.service.upload.server import UploadServer

#: The options of this service alone, as argparse calls their values.
OWN = ("dir", "quota", "overwrite", "max_files", "expire")

#: Factors of the letters that may follow a number of bytes.
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def add_upload(parser: argparse.ArgumentParser) -> None:
    """Add the options to the parser of ``serve``."""
    group = parser.add_argument_group("upload", "Keep the files that 'reactor send' sends: serve upload --dir D.")
    add = group.add_argument
    add("--dir", type=expand, metavar="D", help="the directory to keep them in; it must exist")
    add("--quota", type=byte_count, metavar="BYTES", help="the most that D may hold, such as 500M or 20G")
    add("--overwrite", action="store_true", help="let a new file replace the one that has its name")
    add("--max-files", type=whole_number(1, 10**7), metavar="N", help="the most files that D may hold (100000)")
    add("--expire", type=seconds, metavar="S", help="forget a broken transfer after S seconds (604800, a week)")


def byte_count(text: str) -> int:
    """The type of sizes: a number of bytes, or of KiB, MiB, GiB or TiB with the letter K, M, G or T behind it."""
    digits, unit = (text[:-1], text[-1].upper()) if text[-1:].isalpha() else (text, "")
    is_number = digits.isascii() and digits.isdigit() and len(digits) < 20
    if unit not in UNITS or not is_number or not int(digits):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of bytes above 0, such as 1000000, 500M or 20G")
    return int(digits) * UNITS[unit]


def is_upload(arguments: argparse.Namespace) -> bool:
    """Return True if the *arguments* ask for an upload server.  Raises OptionError if only some of them do."""
    given = [name for name in OWN if getattr(arguments, name)]
    if arguments.service != "upload":
        if given:
            raise OptionError(f"--{given[0].replace('_', '-')} is for 'serve upload'")
        return False
    if arguments.dir is None or arguments.quota is None:
        raise OptionError("upload needs --dir, where to keep the files, and --quota, how much at most")
    if arguments.mode is not None or arguments.max_frame_length != MAX_FRAME_LENGTH:
        raise OptionError("upload has frames of its own: leave out --mode and --max-frame-length")
    return True


def upload_server(
    loop: reactor.Reactor,
    arguments: argparse.Namespace,
    journal: Callable[[str], object] | None,
    proof: dict[str, Any],
) -> UploadServer:
    """Return the server that the *arguments* describe; it listens nowhere yet.  Raises StoreUnavailable,
    OSError."""
    from reactor.service.upload.server import UploadServer
    from reactor.service.upload.store import EXPIRY, MAX_FILES, Store

    store = Store(
        arguments.dir, arguments.quota, overwrite=arguments.overwrite, max_files=arguments.max_files or MAX_FILES
    )
    return UploadServer(
        loop, store, expiry=arguments.expire or EXPIRY, accel=arguments.accel, journal=journal, **proof
    )
