"""``reactor keygen``: a new key in a new file.

It draws 32 bytes at random and writes them, with an id, where nobody else can read them; a file that is there
already is left alone.  Whoever is to be let in gets a copy of the file, by a way that is secret; ``--auth-key``
of ``serve`` and ``call`` reads it.  Several such files one after the other are a file of several keys.  Read
next: ``credentials``.
"""

from __future__ import annotations

import argparse

from reactor.auth.keys import new_key
from reactor.cli.arguments import expand
from reactor.cli.terminal import result
from reactor.service.key_file import write_key

DESCRIPTION = (
    "Write a new secret key to FILE, which must not exist, for --auth-key.  To replace a key: append the new file "
    "to the server's and send it SIGHUP; give the new file to the clients; take the old line out and send SIGHUP."
)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser("keygen", help="write a new key for --auth-key", description=DESCRIPTION)
    parser.add_argument("file", type=expand, metavar="FILE", help="where it goes; nothing is overwritten")
    parser.add_argument("--id", metavar="ID", help="its name, which is no secret (default: a random one)")
    parser.set_defaults(run=run, command="keygen")


def run(arguments: argparse.Namespace) -> int:
    """Write it, and say so."""
    key = new_key(arguments.id)
    write_key(arguments.file, key)
    result(f"{arguments.file}: key {key.id}, {len(key.secret)} random bytes, for its owner's eyes only")
    return 0
