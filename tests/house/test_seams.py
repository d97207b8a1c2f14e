"""Sans-IO files touch no world, the core touches it through its seam, and both tests can fail; see ``seams.py``.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.house.seams import kernel_calls, worldly_imports
from tests.house.sources import files_in, module_of, name_of, satisfied, tree_of


@pytest.mark.parametrize("path", files_in("reactor/framing", "reactor/auth", "reactor/flow.py"), ids=name_of)
def test_sans_io_files_import_nothing_worldly(path: Path) -> None:
    """framing/, auth/ and flow.py know no socket, poller, thread, clock or log."""
    satisfied(path, worldly_imports(module_of(path), tree_of(path)))


@pytest.mark.parametrize("path", files_in("reactor/core", "reactor/net"), ids=name_of)
def test_the_core_calls_the_system_only_through_its_seam(path: Path) -> None:
    """core/ and net/ open, wait, tell the time and install handlers through what the reactor was given."""
    satisfied(path, kernel_calls(module_of(path), tree_of(path)))


@pytest.mark.parametrize("line", ["import socket", "from time import time", "import os.path", "import asyncio"])
def test_a_worldly_import_is_reported_when_a_codec_has_it(line: str) -> None:
    """Whole modules, submodules and names from them are seen."""
    assert len(worldly_imports("reactor.framing.codec", ast.parse(line))) == 1


def test_only_the_scanner_may_read_the_environment() -> None:
    """The one exception holds for one file and one module."""
    assert not worldly_imports("reactor.framing.scanner", ast.parse("import os, struct"))
    assert worldly_imports("reactor.framing.scanner", ast.parse("import socket"))


@pytest.mark.parametrize(
    "lines",
    [
        "import socket\nsocket.socket()",
        "import socket as s\ns.create_connection(('::1', 1))",
        "from os import read\nread(0, 1)",
        "import time\ndef f():\n    return time.monotonic()",
        "import os\nos.environ.get('X')",
        "import signal\nsignal.set_wakeup_fd(-1)",
        "from select import epoll\nepoll()",
    ],
)
def test_a_system_call_is_reported_when_it_bypasses_the_seam(lines: str) -> None:
    """Each spelling of a call is seen."""
    assert len(kernel_calls("reactor.net.stream.stream", ast.parse(lines))) == 1


@pytest.mark.parametrize(
    ("module", "lines"),
    [
        ("reactor.ops", "import os\nos.read(0, 1)"),
        ("reactor.core.polling.by_epoll", "import select\nselect.epoll()"),
        ("reactor.net.sockets.addresses", "import socket\nsocket.inet_pton(socket.AF_INET, '::')"),
        ("reactor.net.names.resolver", "import socket\nraise socket.gaierror(socket.EAI_NONAME)"),
        ("reactor.net.stream.stream", "sock.send(b'')\nself.select(1)"),
        ("reactor.core.loop", "import time\ndef f(clock=time.monotonic):\n    return clock()"),
    ],
)
def test_a_call_is_allowed_when_it_is_the_seam_or_computes(module: str, lines: str) -> None:
    """The seam itself, a socket's own methods, pure functions and a clock that came as an argument are free."""
    assert not kernel_calls(module, ast.parse(lines))
