"""The contestants: a table.  How each is started, what it can be asked, and what must be installed for it.

``reactor-*`` differ by what is compiled: nothing (pure), the scanner (native), the pump as well (pump);
"-batch" answers a whole chunk at once, "-spin" polls before it sleeps.  ``uvloop-joined`` is the reference: the
fastest that a careful person gets out of uvloop by hand.  ``limit`` is the other end: C, and nothing but the
question.  The three last ones exist for the comparison of pollers only.

A contestant that cannot run here is left out with one line that says why.  Read next: ``workloads``.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

PEERS = Path(__file__).resolve().parent / "peers"
ROOT = PEERS.parent.parent

STREAMS = ("raw", "line", "framed")
ALL = (*STREAMS, "udp")
CUT = ("line", "framed")

PURE = {"REACTOR_ACCEL": "pure", "REACTOR_PUMP": "off"}
NATIVE = {"REACTOR_ACCEL": "native", "REACTOR_PUMP": "off"}
PUMP = {"REACTOR_ACCEL": "native", "REACTOR_PUMP": "on"}


class Server(NamedTuple):
    """One contestant: ``script`` (or C source) in ``peers/``, its arguments before the shape, its environment."""

    name: str
    script: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = MappingProxyType({})
    shapes: tuple[str, ...] = STREAMS
    needs: str = ""


SERVERS = {
    server.name: server
    for server in (
        Server("limit", "limit.c", shapes=ALL),
        Server("reactor-pump", "serve_reactor.py", ("each",), PUMP, ALL, "reactor._accel"),
        Server("reactor-pump-batch", "serve_reactor.py", ("batch",), PUMP, CUT, "reactor._accel"),
        Server("reactor-spin", "serve_reactor.py", ("spin",), PUMP, ("framed",), "reactor._accel"),
        Server("reactor-native", "serve_reactor.py", ("each",), NATIVE, ALL, "reactor._accel"),
        Server("reactor-native-batch", "serve_reactor.py", ("batch",), NATIVE, CUT, "reactor._accel"),
        Server("reactor-pure", "serve_reactor.py", ("each",), PURE, ALL),
        Server("uvloop-joined", "serve_asyncio.py", ("uvloop", "joined"), {}, ALL, "uvloop"),
        Server("uvloop", "serve_asyncio.py", ("uvloop", "each"), {}, CUT, "uvloop"),
        Server("uvloop-streams", "serve_asyncio.py", ("uvloop", "streams"), {}, STREAMS, "uvloop"),
        Server("asyncio", "serve_asyncio.py", ("asyncio", "each"), {}, ALL),
        Server("asyncio-joined", "serve_asyncio.py", ("asyncio", "joined"), {}, CUT),
        Server("asyncio-streams", "serve_asyncio.py", ("asyncio", "streams")),
        Server("gevent", "serve_gevent.py", needs="gevent"),
        Server("twisted", "serve_twisted.py", needs="twisted"),
        Server("tornado", "serve_tornado.py", needs="tornado"),
        Server("trio", "serve_trio.py", needs="trio"),
        Server("reactor-select", "serve_reactor.py", ("each",), {**PURE, "REACTOR_SELECTOR": "select"}),
        Server("reactor-poll", "serve_reactor.py", ("each",), {**PURE, "REACTOR_SELECTOR": "poll"}),
        Server("reactor-epoll", "serve_reactor.py", ("each",), {**PURE, "REACTOR_SELECTOR": "epoll"}),
    )
}

#: What every server in Python does first.  glibc maps and unmaps each block of 128 KiB or more anew, until a
#: larger one has been freed once; from then on it takes them from the heap, see mallopt(3).  asyncio asks for
#: 256 KiB before each read, and costs three times as much until that has happened.  In an application it will have;
#: in an echo server it is an accident, and accidents are no part of a comparison.  So everybody frees 512 KiB once.
SETTLE = "import runpy, sys; bytes(2**19); del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"

#: What every ratio is taken to, and what is the most that there is.
REFERENCE = "uvloop-joined"
LIMIT = "limit"


def problem(server: Server) -> str | None:
    """Return why *server* cannot run here, or None."""
    if server.script.endswith(".c") and shutil.which("gcc") is None and shutil.which("cc") is None:
        return "there is no C compiler"
    if server.needs and not _is_installed(server.needs):
        return f"{server.needs} is not installed"
    return None


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False


def command(server: Server, shape: str, workshop: Path, *, fresh: bool = False) -> list[str]:
    """Return the command line of *server*; what has to be compiled for it goes to the folder *workshop*.

    A server in Python begins with ``SETTLE`` unless it is to have a *fresh* allocator.
    """
    if server.script.endswith(".c"):
        return [str(compiled(PEERS / server.script, workshop)), *server.arguments, shape]
    settle = [] if fresh else ["-c", SETTLE]
    return [sys.executable, *settle, str(PEERS / server.script), *server.arguments, shape]


def compiled(source: Path, workshop: Path) -> Path:
    """Compile a C file with -O2, unless *workshop* has it; return the program.  Raises CalledProcessError."""
    program = workshop / source.stem
    if not program.exists():
        compiler = shutil.which("gcc") or shutil.which("cc") or "cc"
        subprocess.run([compiler, "-O2", "-o", str(program), str(source)], check=True)
    return program
