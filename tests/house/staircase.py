"""The order in which the package can be read, as one table, and the rule that it follows from.

A file imports only from floors below its own, or from files to the left of it in its own group.  So there is no
cycle, each file can be understood with what stands before it, and what stands below can be used without what stands
above.  Groups on one floor know nothing of each other.  Imports inside functions and under ``TYPE_CHECKING`` count
as well: they are knowledge, only later.  There is one exception, ``TOLD_OF``.

A package's ``__init__`` stands after the last of its files, so none of them may import from it.  The front page,
``reactor/__init__.py``, stands above the annexes: only the command line may write ``import reactor``.

Read next: ``test_staircase.py``.
"""

from __future__ import annotations

import ast
from typing import NamedTuple

from tests.house.sources import imports, lines_for_types

#: From the ground up.  Each floor has groups, each group its files in order; a prefix ending in "/" is a folder.
FLOORS: tuple[dict[str, str], ...] = (
    {
        "": """
            errors limits arguments later printable ops
            telling/probe telling/counters telling/reports telling/__init__
        """,
    },
    {
        "core/": """
            handles timers
            polling/contract polling/by_select polling/by_poll polling/by_epoll polling/by_kqueue
            polling/foreign polling/choose polling/forked polling/__init__
            registry wakeup process/signals process/forking process/__init__ engine loop debug __init__
        """,
        "framing/": """
            partial seam codec scanner_pure scanner_accel scanner
            raw fixed delimiter netstring length __init__
        """,
        "auth/": "keys wire challenge __init__",
        "": "flow",
    },
    {
        "net/": """
            sockets/addresses sockets/options sockets/port_holder sockets/unix_paths sockets/opening
            sockets/lingering sockets/__init__
            stream/outgoing stream/sendfile stream/outbox protocol
            pump/memory pump/pump pump/choice pump/__init__ datagrams/batch shared
            stream/transport stream/stream stream/deadline stream/__init__
            messages/protocol messages/stream messages/__init__
            datagrams/multicast datagrams/destinations datagrams/endpoint datagrams/batched_endpoint
            datagrams/__init__
            names/cache names/host_table names/failures names/requests names/lookup names/resolver names/__init__
            connections/factories connections/acceptor connections/listener connections/attempt
            connections/connector connections/__init__
            reactor __init__
        """,
        "testing/": "clock script poller sockets ops __init__",
    },
    {
        "service/": """
            counters modes peer_identity key_file gate json_answers catalog talk session server
            exchange client datagram_client activation passing handover workers
            upload/names upload/messages upload/disk upload/quota upload/partial upload/existing upload/store
            upload/transfer upload/session upload/server upload/source upload/sending upload/client upload/__init__
            __init__
        """,
    },
    {
        "aio/": "",
        "compat/": """
            channels/events channels/edges channels/registration channels/watch channels/channel
            channels/file_wrapper channels/__init__ asyncore asynchat
            serving/server_selector serving/base_server serving/socket_servers serving/request_handlers
            serving/thread_mixin serving/fork_mixin serving/__init__
            pooled/worker_threads pooled/waiting_room pooled/pool pooled/mixin pooled/handler pooled/http
            pooled/__init__
            socketserver stdlib_modules __init__
        """,
        "trace/": "",
        "load/": """
            sizes messages buckets faults starts meter judge schedule plan dial material
            engine engine_python engine_native environment result report progress course __init__
        """,
    },
    {"": "__init__"},
    {"cli/": "*"},
    {"": "__main__"},
)

#: What a protocol is told of: it names the class that stands above it, for the type checker and for nothing else.
TOLD_OF = {
    "reactor.net.protocol": (
        "reactor.net.stream.stream.Stream",
        "reactor.net.datagrams.endpoint.DatagramEndpoint",
        "reactor.net.messages.stream.MessageStream",
    ),
    "reactor.net.messages.protocol": ("reactor.net.messages.stream.MessageStream",),
}


class Step(NamedTuple):
    """Where a file stands: its floor, its group, and its place in the group (None: the group has no order)."""

    floor: int
    group: str
    place: int | None


#: The compiled modules.  One is imported by whoever hands it bytes: it stands on the ground.  The other generates
#: load, and nothing below the generator may import it.
COMPILED = {"reactor._accel": Step(0, "", 0), "reactor.load._drive": Step(4, "load/", 0)}


def step_of(module: str) -> Step | None:
    """Return where *module* stands (``reactor.core.loop``; a package stands where its ``__init__`` does)."""
    if module in COMPILED:
        return COMPILED[module]
    path = module.removeprefix("reactor").removeprefix(".").replace(".", "/")
    for name in (path, f"{path}/__init__".removeprefix("/")):
        for floor, groups in enumerate(FLOORS):
            for prefix, files in groups.items():
                order = [prefix + file for file in files.split()]
                if name in order:
                    return Step(floor, prefix, order.index(name))
                if files == "*" and name.startswith(prefix):
                    return Step(floor, prefix, None)
    return None


def may_import(importer: Step, target: Step) -> bool:
    """The rule."""
    if target.floor != importer.floor:
        return target.floor < importer.floor
    if target.group != importer.group:
        return False
    return importer.place is None or target.place is None or target.place < importer.place


def missing_step(module: str) -> list[str]:
    """Complain if *module* is not in the table."""
    if step_of(module) is not None:
        return []
    return [f"{module} stands nowhere: add it to FLOORS in tests/house/staircase.py, right after what it imports"]


def steps_up(module: str, tree: ast.Module, *, is_package: bool = False) -> list[str]:
    """Complain about each import of *module* that goes up, sideways, or to a file that is not in the table."""
    own = step_of(module)
    if own is None:
        return []
    found = []
    for line, name in imports(tree, module, is_package=is_package):
        if name.split(".")[0] != "reactor":
            continue
        if name in TOLD_OF.get(module, ()) and line in lines_for_types(tree):
            continue
        target = step_of(name) or step_of(name.rpartition(".")[0])
        if target is None:
            found.append(f"line {line}: imports {name}, which stands nowhere in FLOORS")
        elif not may_import(own, target):
            found.append(
                f"line {line}: imports {name}, which does not stand below it; move what both need to a lower file, "
                f"pass it in as an argument, or correct FLOORS in tests/house/staircase.py"
            )
    return found
