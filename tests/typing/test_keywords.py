"""The keywords of the verbs stand twice: as the parameters that are, and as tables for the type checker.

A table is what lets ``**options`` be checked.  It exists for the checker alone, so no program notices when it lags
behind: it is read here, as text, and compared with what there is at run time.
"""

from __future__ import annotations

import ast
import inspect
from types import ModuleType

import pytest

import reactor.net.reactor
from reactor import Reactor
from reactor.net.sockets import options

SOCKET_OPTIONS = set(options.SocketOptions.__init__.__kwdefaults__ or ())


def tables() -> dict[str, set[str]]:
    """Return the keywords in each of the tables, with those that it inherits."""
    found: dict[str, set[str]] = {}
    for node in [*classes_of(options), *classes_of(reactor.net.reactor)]:
        own = {field.target.id for field in node.body if isinstance(field, ast.AnnAssign)}
        inherited = (found.get(ast.unparse(base), set()) for base in node.bases)
        found[node.name] = own.union(*inherited)
    return found


def classes_of(module: ModuleType) -> list[ast.ClassDef]:
    """Return the tables of keywords in *module*, in their order."""
    return [
        node
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.ClassDef) and node.name.endswith("Keywords")
    ]


def test_the_table_of_socket_options_has_all_of_them() -> None:
    """An option that is added to SocketOptions can be given to the verbs, and the checker knows."""
    assert tables()["SocketKeywords"] == SOCKET_OPTIONS


@pytest.mark.parametrize(
    ("verb", "table"),
    [
        ("listen_tcp", "ListenTcpKeywords"),
        ("listen_unix", "ListenUnixKeywords"),
        ("adopt_listener", "ListenerKeywords"),
        ("connect_tcp", "ConnectTcpKeywords"),
        ("connect_unix", "ConnectUnixKeywords"),
        ("adopt_stream", "TransportKeywords"),
        ("adopt_seqpacket", "TransportKeywords"),
        ("open_datagram", "TransportKeywords"),
    ],
)
def test_the_table_of_a_verb_has_the_keywords_that_it_takes(verb: str, table: str) -> None:
    """But for *seqpacket*, which decides between two signatures."""
    taken = SOCKET_OPTIONS | set(getattr(Reactor, verb).__kwdefaults__)
    assert tables()[table] == taken - {"seqpacket"}
