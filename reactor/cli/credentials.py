"""``--auth-key`` and ``--auth-context``: with what a command proves that it may talk, and for whom that is meant.

The file is read before anything is opened, so a file that cannot be trusted is a matter of the command line (status
2), not of the first client.  Read next: ``serve``.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from reactor.auth.wire import CHALLENGE, CONTEXT_BYTES, HEAD_BYTES, MAGIC, VERSION
from reactor.cli.arguments import expand
from reactor.errors import OptionError
from reactor.service.key_file import read_keys

if TYPE_CHECKING:
    import argparse
    from typing import Any


def add_credentials(parser: argparse.ArgumentParser, what: str) -> None:
    """Add --auth-key, which does *what*, and --auth-context."""
    parser.add_argument("--auth-key", type=expand, metavar="FILE", help=f"{what}; see reactor keygen")
    parser.add_argument(
        "--auth-context", metavar="TEXT",
        help=f"for whom the proof is meant, the same on both sides; at most {CONTEXT_BYTES} bytes",
    )  # fmt: skip


def credentials(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return *keys* and *context* for a ``Server`` or a ``Client``, none of both without --auth-key.

    Raises KeyRefused and OSError for the file, OptionError for what makes no sense.
    """
    if arguments.auth_key is None:
        if arguments.auth_context is not None:
            raise OptionError("--auth-context is a part of the proof that --auth-key is for: give both")
        return {}
    if getattr(arguments, "udp", False):
        raise OptionError("--auth-key is for connections; datagrams have none")
    return {"keys": read_keys(arguments.auth_key), "context": os.fsencode(arguments.auth_context or "")}


def asks_for_key(reply: bytes) -> bool:
    """Return True if *reply*, the first of a server, is the challenge of a gate, with or without its length.

    Somebody has forgotten --auth-key then, and random bytes on his terminal would not tell him so.
    """
    beginning = MAGIC + bytes((VERSION, CHALLENGE))
    return reply.startswith(beginning) or reply[HEAD_BYTES:].startswith(beginning)
