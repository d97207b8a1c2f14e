"""The harness at work, briefly: real servers, real traffic, nothing asserted about speed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import reactor
from bench import servers
from bench.course import measure
from bench.machine import placement
from bench.servers import ROOT, Server
from bench.table import table
from bench.workloads import WORKLOADS
from tests.bench.samples import settings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="servers are looked at through /proc"),
]

#: What every installation can run.
EVERYWHERE = ("reactor-pure", "asyncio")

in_a_checkout = pytest.mark.skipif(
    Path(reactor.__file__).resolve().parent.parent != ROOT, reason="the package is installed, not a checkout"
)


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-m", "reactor", "bench", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["ping-pong", "flight-16", "1-MiB", "raw", "lines", "udp", "crossing-100"])
def test_servers_are_measured_when_they_do_what_they_should(name: str, tmp_path: Path) -> None:
    """Every figure is there, for each server and each round."""
    asked = (*EVERYWHERE, "reactor-poll") if name.startswith("crossing") else EVERYWHERE
    made = measure(WORKLOADS[name], settings(tmp_path, servers=asked), lambda text: None)
    assert made.samples
    for server, taken in made.samples.items():
        assert [sample.reasons for sample in taken] == [[], []], server
        for sample in taken:
            figures = [sample.value(metric) for metric in ("throughput", "p50", "p99.9", "cpu", "resident")]
            assert all(figure is not None and figure > 0 for figure in figures), (server, sample)
    assert "INVALID" not in table(made)


def test_the_limit_is_compiled_on_the_spot_and_takes_part(tmp_path: Path) -> None:
    """With visits as well, whose client is C too."""
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        pytest.skip("needs a C compiler")
    for name in ("ping-pong", "visits"):
        asked = settings(tmp_path, servers=("limit", "reactor-pure"), rounds=1)
        made = measure(WORKLOADS[name], asked, lambda text: None)
        assert all(sample.is_valid for taken in made.samples.values() for sample in taken), made.samples
        assert made.ratio("reactor-pure", "limit") is not None


def test_a_server_that_lies_is_shown_as_invalid(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One wrong byte in a hundred replies, and none of its figures is shown."""
    script = Path(__file__).with_name("lying_server.py")
    monkeypatch.setitem(servers.SERVERS, "liar", Server("liar", str(script)))
    asked = settings(tmp_path, servers=("reactor-pure", "liar"))
    made = measure(WORKLOADS["ping-pong"], asked, lambda text: None)
    assert not any(sample.is_valid for sample in made.samples["liar"])
    assert all(sample.is_valid for sample in made.samples["reactor-pure"])
    [line] = [line for line in table(made).splitlines() if line.startswith("liar")]
    assert "INVALID" in line


def test_a_server_that_does_not_start_is_invalid_with_its_last_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The run goes on with the others."""
    script = tmp_path / "stillborn.py"
    script.write_text("raise SystemExit('no such luck')\n", encoding="ascii")
    monkeypatch.setitem(servers.SERVERS, "stillborn", Server("stillborn", str(script)))
    asked = settings(tmp_path, servers=("stillborn",), rounds=1)
    made = measure(WORKLOADS["ping-pong"], asked, lambda text: None)
    assert made.samples["stillborn"][0].reasons == ["stillborn did not start: no such luck"]


def test_a_server_that_closes_idle_connections_is_invalid(tmp_path: Path) -> None:
    """select(2) cannot hold so many: the server sheds them, and its figures say nothing."""
    crowd = WORKLOADS["crossing-3000"]._replace(servers=["reactor-select"], idle=1100)
    made = measure(crowd, settings(tmp_path, rounds=1), lambda text: None)
    assert all(not sample.is_valid for taken in made.samples.values() for sample in taken)


@pytest.mark.parametrize("name", ["call-soon", "threadsafe", "import"])
def test_what_needs_no_socket_is_measured_in_a_child(name: str, tmp_path: Path) -> None:
    """For the loops that are everywhere."""
    asked = settings(tmp_path, servers=EVERYWHERE, rounds=1)
    made = measure(WORKLOADS[name], asked, lambda text: None)
    assert set(made.samples) == {"reactor", "asyncio", "asyncio (again)"}
    assert all(sample.value("throughput") for taken in made.samples.values() for sample in taken)


def test_a_place_is_chosen_for_each_side() -> None:
    """Two cores if there are two, and the record says what was done."""
    where = placement()
    assert ("share" in where.text) == (where.server is not None and where.server == where.client)


@in_a_checkout
def test_the_command_prints_a_table_and_keeps_the_record(tmp_path: Path) -> None:
    """One workload, two servers, one round."""
    path = tmp_path / "run.json"
    done = bench(
        "ping-pong", "--servers", ",".join(EVERYWHERE), "--rounds", "1", "--seconds", "0.05", "--json", str(path)
    )
    assert done.returncode == 0, done.stderr
    assert "ping-pong: framed ping-pong" in done.stdout
    assert set(json.loads(path.read_text(encoding="utf-8"))["outcomes"][0]["servers"]) == {
        "reactor-pure", "asyncio", "asyncio (again)",
    }  # fmt: skip


@in_a_checkout
def test_a_record_is_drawn_when_matplotlib_is_installed(tmp_path: Path) -> None:
    """Bars, latencies, and the crossing of the pollers."""
    pytest.importorskip("matplotlib")
    path = tmp_path / "run.json"
    rows = ["ping-pong", "crossing-0", "crossing-10", "crossing-900"]
    asked = ("--servers", "asyncio,reactor-poll,reactor-epoll", "--rounds", "1", "--seconds", "0.05")
    assert bench(*rows, *asked, "--json", str(path)).returncode == 0
    done = bench("--draw", str(path), "--plots", str(tmp_path / "plots"))
    assert done.returncode == 0, done.stderr
    drawn = sorted(file.name for file in (tmp_path / "plots").iterdir())
    assert drawn == ["crossing.svg", "ping-pong-latency.svg", "ping-pong-throughput.svg"]


@in_a_checkout
@pytest.mark.parametrize("arguments", [("no-such-workload",), ("ping-pong", "--servers", "nobody")])
def test_a_wrong_name_is_refused_with_the_right_ones(arguments: tuple[str, ...]) -> None:
    """Status 2 and one line, before anything is started."""
    done = bench(*arguments)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "ping-pong" in done.stderr or "asyncio" in done.stderr


def test_the_command_says_so_when_the_comparison_is_not_installed(tmp_path: Path) -> None:
    """A package without the checkout around it."""
    package = Path(reactor.__file__).parent
    shutil.copytree(package, tmp_path / "reactor", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "-m", "reactor", "bench"], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 2
    assert "run it from a checkout" in done.stderr
