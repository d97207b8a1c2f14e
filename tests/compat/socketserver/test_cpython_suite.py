"""The standard library's own tests, run against ours in the place of ``socketserver``.

They come with many builds of Python, and not with all (Debian has them in a package of their own): where they are
missing, the test says so.  ``test_socketserver`` tests the module itself; the others are tests of modules that
stand on it.  The pool is tried as well, in the place of ``ThreadingMixIn``.

Each suite runs in a process of its own, since its modules must not have been imported before, and in an empty
folder, since some write files where they are.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import environment
from tests.compat.socketserver.conftest import POLLERS

pytestmark = pytest.mark.slow

RUN = """
import importlib, sys, unittest, warnings
import reactor.compat.socketserver as ours

if sys.argv[2] == "pooled":
    class ThreadingMixIn(ours.PooledMixIn):
        speaks_first = True  # some of the servers greet
        _threads = ()

    ours.ThreadingMixIn = ThreadingMixIn
    for base in (ours.TCPServer, ours.UDPServer, ours.UnixStreamServer, ours.UnixDatagramServer):
        name = "Threading" + base.__name__
        setattr(ours, name, type(name, (ThreadingMixIn, base), {}))

for name in ours.__all__:  # one test looks for the classes whose module is "socketserver"
    getattr(ours, name).__module__ = "socketserver"
sys.modules["socketserver"] = ours

suite = importlib.import_module("test." + sys.argv[1])
assert getattr(suite, "socketserver", ours) is ours
# Nine of its tests wait three seconds each for a request that is not to come.
vars(suite).pop("MultiPathServerTestCase", None)
result = unittest.TextTestRunner(verbosity=0).run(unittest.defaultTestLoader.loadTestsFromModule(suite))
print("ran", result.testsRun)
sys.exit(not result.wasSuccessful() or not result.testsRun)
"""


def run_suite(name: str, how: str, folder: Path, selector: str = "epoll") -> None:
    """Run *name* of CPython's tests on ours; skip, and say why, if it is not installed."""
    try:
        missing = importlib.util.find_spec(f"test.{name}") is None
    except ModuleNotFoundError:
        missing = True
    if missing:
        pytest.skip(f"test.{name}, of the standard library's test package, is not installed with this Python")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN, name, how],
        cwd=folder, env=environment(REACTOR_SELECTOR=selector), capture_output=True, text=True, timeout=160,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    print(f"test.{name} on {selector}, {how}: {done.stdout.split()[-1]} tests passed")


@pytest.mark.parametrize("selector", POLLERS)
@pytest.mark.parametrize("how", ["as it is", "pooled"])
def test_the_suite_of_socketserver_passes(how: str, selector: str, tmp_path: Path) -> None:
    """On each poller."""
    run_suite("test_socketserver", how, tmp_path, selector)


@pytest.mark.parametrize("name", ["test_httpservers", "test_wsgiref", "test_xmlrpc", "test_docxmlrpc"])
@pytest.mark.parametrize("how", ["as it is", "pooled"])
def test_the_suites_of_modules_on_top_of_it_pass(how: str, name: str, tmp_path: Path) -> None:
    """Servers of HTTP, WSGI and XML-RPC that know nothing of the reactor."""
    run_suite(name, how, tmp_path)
