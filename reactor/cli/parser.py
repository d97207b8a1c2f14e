"""The parser of all commands: argparse, with two corrections.

Errors fit on one line, as every other message here does.  And options may stand among the messages of ``reactor
call``: ``call HOST:PORT --mode line hello``.  By itself argparse takes "any number of messages" to be none as
soon as it has seen the address, and then does not know what to do with the first one; it can do better
(``parse_intermixed_args``), but does not offer that for commands.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, NoReturn

#: The exit status for a wrong command line.
MISUSED = 2


class Parser(argparse.ArgumentParser):
    """A parser whose errors fit on one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where to read more; exit with status 2."""
        self.exit(MISUSED, f"{self.prog}: {message} (see {self.prog} --help)\n")


class CommandParser(Parser):
    """A parser for one command, whose options may stand anywhere."""

    _is_inside = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does, which calls this twice in turn: for the options, then for what is left."""
        if self._is_inside:
            return super().parse_known_args(args, namespace)
        self._is_inside = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._is_inside = False
