"""Fixtures for every test, and the two guards that stand around each of them.

Two fixtures run a test once for each implementation: ``poller_name`` (select, poll, epoll, kqueue, as far as this
system has them) and ``accel`` (pure and native framing).  Two guards ask for nothing: one fails a test that leaves
a descriptor, a thread, a child or a signal handler behind (see ``tests/leaks.py``), the other fails a test that
hangs.

A hanging test is interrupted by SIGALRM, which reaches the main thread even inside ``epoll_wait``.  What it raises
is not an ``Exception``: a loop that survives the errors of its callbacks would survive that one too.  A test that
takes SIGALRM for itself still meets pytest's ``faulthandler_timeout``, which ends the whole run with the stack of
every thread.
"""

from __future__ import annotations

import atexit
import importlib
import importlib.util
import math
import os
import select
import shutil
import signal
import tempfile
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import HealthCheck, settings

from reactor.limits import PUMP_FEW
from tests.leaks import Snapshot

ROOT = Path(__file__).resolve().parent.parent

#: Seconds that a test may take; slow ones compile C or start thousands of connections on two cores.
DEADLINE = 30.0
SLOW_DEADLINE = 180.0

#: Each poller's name, and the attribute of ``select`` without which this system does not have it.
POLLERS = {"select": "select", "poll": "poll", "epoll": "epoll", "kqueue": "kqueue"}

#: Where the tests are whose streams may be pumped, by a word in their path.
PUMPED = ("tests/net/", "tests/service/", "tests/scale/", "test_transport_contract", "test_stream")

# Chance may find new bugs at a developer's desk; in CI the same commit gives the same result twice.
settings.register_profile("dev", deadline=None, suppress_health_check=list(HealthCheck))
settings.register_profile("ci", parent=settings.get_profile("dev"), derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_configure() -> None:
    """Let Ctrl-C have its meaning for the programs that are tested: a shell that has this run in the background
    ignores SIGINT, and children inherit that."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


# -- one test for each implementation --------------------------------------------------------------------------


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for ``poller_name`` on every poller, and what is about streams with the pump as well: at
    the shipped settings, where few streams receive by themselves, and so that it receives for every stream."""
    if "poller_name" in metafunc.fixturenames:
        names = [name for name, attribute in POLLERS.items() if hasattr(select, attribute)]
        if hasattr(select, "epoll") and any(word in str(metafunc.definition.path) for word in PUMPED):
            names += ["pump", "pump-always"]
        metafunc.parametrize("poller_name", names, indirect=True)


@pytest.fixture
def poller_name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a poller that this system has.  "epoll" comes without the pump and, as "pump...", with it."""
    name: str = request.param
    is_pump = name.startswith("pump")
    problem = native_problem() if is_pump else None
    if problem:
        pytest.skip(f"no pump: {problem}")
    monkeypatch.setenv("REACTOR_PUMP", "on" if is_pump else "off")
    if name == "pump-always":
        leave_to_streams(monkeypatch, ALWAYS)
    return "epoll" if is_pump else name


#: Ready streams up to which the pump leaves receiving to each of them: none; and what a user has.
ALWAYS, SHIPPED = -1, PUMP_FEW


def leave_to_streams(patch: pytest.MonkeyPatch, few: int) -> None:
    """Have the pump leave receiving to up to *few* streams that are ready; to none, however much they say, if that
    is negative."""
    patch.setattr("reactor.net.pump.pump.PUMP_FEW", few)
    if few < 0:
        patch.setattr("reactor.net.pump.pump.LARGE_ARRIVAL", math.inf)


@pytest.fixture(params=[ALWAYS, SHIPPED], ids=["always", "shipped"])
def pump_few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many streams receive by themselves if no more are ready; else a test with one would see no pump."""
    few: int = request.param
    leave_to_streams(monkeypatch, few)
    return few


@pytest.fixture(params=["pure", "native"])
def accel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The framing in use, as argument and as ``REACTOR_ACCEL``; native is skipped, with why, where it cannot be."""
    name: str = request.param
    problem = native_problem() if name == "native" else None
    if problem:
        pytest.skip(f"no native framing: {problem}")
    monkeypatch.setenv("REACTOR_ACCEL", name)
    return name


@cache
def native_problem() -> str | None:
    """Load the C modules, building them in a temporary folder if need be; return why that failed, or None."""
    try:
        _load_native()
    except ImportError as missing:
        try:
            _build_native()
        except Exception as exc:
            return f"{missing}; building it gave {type(exc).__name__}: {exc}"
    return None


def _load_native() -> None:
    for name in ("reactor._accel", "reactor.load._drive"):
        importlib.import_module(name)


def _build_native() -> None:
    """Compile the C modules outside the source tree and let the package find them there."""
    import reactor
    import reactor.load

    spec = importlib.util.spec_from_file_location("_accel_build", ROOT / "_accel" / "build.py")
    if spec is None or spec.loader is None:
        raise ImportError("there is no _accel/build.py")
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    folder = tempfile.mkdtemp(prefix="reactor-accel-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    here = Path.cwd()
    try:
        os.chdir(ROOT)  # the sources are named relative to the root, as setup.py needs them
        build.ffibuilder.compile(tmpdir=folder)
        build.drive_ffibuilder.compile(tmpdir=folder)
    finally:
        os.chdir(here)
    reactor.__path__.append(str(Path(folder, "reactor")))
    reactor.load.__path__.append(str(Path(folder, "reactor", "load")))
    importlib.invalidate_caches()
    _load_native()


# -- the guard against leaks -----------------------------------------------------------------------------------

_failed = pytest.StashKey[bool]()

#: What a forked child ends with that left the test function.
ESCAPED = 70


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember whether the test failed: the traceback of one that did keeps its sockets alive."""
    report = yield
    if report.failed:
        item.stash[_failed] = True
    return report


@pytest.fixture(autouse=True)
def leak_guard(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves something behind.  Set up first, torn down last."""
    before = Snapshot()
    yield
    if request.node.stash.get(_failed, False):
        return
    # After a failure elsewhere, descriptors vanish whenever its traceback does.
    complaints = before.complaints(also_lost=not request.session.testsfailed)
    if complaints:
        pytest.fail("the test left something behind:\n  " + "\n  ".join(complaints), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """End a child here that a test has forked and lost: it would run all other tests as well, beside us."""
    ours = os.getpid()
    try:
        return (yield)
    finally:
        if os.getpid() != ours:
            os._exit(ESCAPED)


# -- the guard against hanging ---------------------------------------------------------------------------------


def _deadline_of(item: pytest.Item) -> float:
    marker = item.get_closest_marker("deadline")
    if marker is not None:
        return float(marker.args[0])
    return SLOW_DEADLINE if item.get_closest_marker("slow") else DEADLINE


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Give each test, with its fixtures, so much time; then raise into whatever the main thread is doing."""
    if not hasattr(signal, "setitimer"):
        return (yield)
    seconds = _deadline_of(item)

    def expired(signum: int, frame: FrameType | None) -> None:
        pytest.fail(f"{item.nodeid} did not end within {seconds:g} s")

    previous = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


# -- what the run says about itself ----------------------------------------------------------------------------


def pytest_report_header() -> list[str]:
    """Say which implementations the run covers, so that a green run that skipped half of them shows."""
    pollers = [name for name, attribute in POLLERS.items() if hasattr(select, attribute)]
    lines = [f"pollers: {', '.join(pollers)}"]
    sources = [path.stat().st_mtime for path in (ROOT / "_accel").glob("*.[ch]")]
    for built in (*(ROOT / "reactor").glob("_accel*.so"), *(ROOT / "reactor" / "load").glob("_drive*.so")):
        if built.stat().st_mtime < max(sources, default=0.0):
            lines.append(f"{built.name} is older than its source: run python setup.py build_ext --inplace")
    return lines


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end whether native framing was tested; nobody asked for it if no test needed it."""
    if native_problem.cache_info().currsize:
        terminalreporter.write_line(f"native framing: {native_problem() or 'tested'}")
