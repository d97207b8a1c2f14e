"""What may touch the outside world, and where.

Two promises hang on this.  ``framing/``, ``auth/`` and ``flow.py`` are sans-IO: a socket, a file, a simulator or a
test can drive them, because nothing in them knows which it is.  ``core/`` and ``net/`` ask the operating system
only through the ``ops`` object and the poller that they are given, so that a simulated kernel can stand under the
very same code.  One forgotten ``time.monotonic()`` breaks either promise without breaking any other test.

Constants (``socket.AF_INET``), annotations and functions that only compute (``socket.inet_pton``) are free.
Read next: ``test_seams.py``.
"""

from __future__ import annotations

import ast

from tests.house.sources import dotted, imported_names, imports

#: What a sans-IO file does not import.
WORLDLY = frozenset(
    "_socket _thread asyncio concurrent fcntl logging multiprocessing os sched select selectors signal socket"
    " socketserver ssl subprocess threading time".split()
)

#: The one exception: the scanner reads which implementation the environment asks for.
EXCUSED = {"reactor.framing.scanner": {"os"}}

#: Modules whose functions are the operating system.
KERNEL = frozenset("fcntl mmap os resource select selectors signal socket subprocess time".split())

#: Functions and types of these modules that compute and ask nobody.
COMPUTING = frozenset(
    """
    os.fsdecode os.fsencode os.fspath os.strerror os.path.basename os.path.dirname os.path.join
    selectors.SelectorKey
    signal.Handlers signal.Signals signal.strsignal
    socket.AddressFamily socket.CMSG_LEN socket.CMSG_SPACE socket.SocketKind socket.gaierror socket.herror
    socket.htonl socket.htons
    socket.inet_aton socket.inet_ntoa socket.inet_ntop socket.inet_pton socket.ntohl socket.ntohs
    """.split()
)

#: Who is the seam, and for which modules.
SEAMS = {"reactor.ops": KERNEL, "reactor.core.polling": frozenset({"select", "selectors"})}


def worldly_imports(module: str, tree: ast.Module) -> list[str]:
    """Complain about each import that a sans-IO file must do without."""
    banned = WORLDLY - EXCUSED.get(module, set())
    return [
        f"line {line}: imports {name}; this file is sans-IO: take bytes and time as arguments"
        for line, name in imports(tree, module)
        if name.split(".")[0] in banned
    ]


def kernel_calls(module: str, tree: ast.Module) -> list[str]:
    """Complain about each call of the operating system that does not go through the seam."""
    allowed = {name for seam, free in SEAMS.items() if f"{module}.".startswith(f"{seam}.") for name in free}
    names = imported_names(tree)
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = dotted(node.func, names)
        if called and called not in COMPUTING and called.split(".")[0] in KERNEL - allowed:
            found.append(f"line {node.lineno}: calls {called}(); ask the reactor's ops object, or give it a method")
    return found
