"""Who takes part, in which order, and what is written down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import course, inside, servers, workloads
from bench.course import compare, contestants, measure, reference_of
from bench.process import Usage, environment_of
from bench.record import Record, load
from bench.sample import Sample
from bench.visits import read_sample
from bench.workloads import WORKLOADS, chosen
from tests.bench.samples import outcome, sample, samples, settings


def test_everybody_has_a_turn_in_each_round_and_the_reference_two(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A B A' A B A', never A A B B: what drifts touches all alike."""
    taken: list[str] = []

    def take(workload: object, name: str, settings: object) -> Sample:
        taken.append(name)
        return sample(len(taken))

    monkeypatch.setattr(course, "take", take)
    chosen_ones = settings(tmp_path, servers=("asyncio", "reactor-pure"))
    [made] = compare([WORKLOADS["ping-pong"]], chosen_ones)
    assert taken == ["reactor-pure", "asyncio", "asyncio"] * 2
    assert list(made.samples) == ["reactor-pure", "asyncio", "asyncio (again)"]
    assert [taken.value("throughput") for taken in made.samples["asyncio (again)"]] == [3, 6]
    assert made.ratio("reactor-pure", "asyncio") is not None
    assert made.ratio("reactor-pure", "limit") is None


def test_a_missing_library_leaves_its_server_out_with_a_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The rest goes on without it."""
    monkeypatch.setitem(servers.SERVERS, "trio", servers.SERVERS["trio"]._replace(needs="surely_not_installed"))
    names, skipped = contestants(WORKLOADS["ping-pong"], settings(tmp_path, servers=("asyncio", "trio")))
    assert names == ["asyncio"]
    assert skipped == {"trio": "surely_not_installed is not installed"}


def test_a_server_takes_part_when_it_is_asked_for_and_can_do_it(tmp_path: Path) -> None:
    """One that a workload does not name is added, unless it cannot serve the shape or the row is about pollers."""
    asked = settings(tmp_path, servers=("reactor-pure", "reactor-poll"))
    assert contestants(WORKLOADS["ping-pong"], asked)[0] == ["reactor-pure", "reactor-poll"]
    assert contestants(WORKLOADS["udp"], asked)[0] == ["reactor-pure"]
    assert contestants(WORKLOADS["crossing-10"], asked)[0] == ["reactor-poll"]
    assert contestants(WORKLOADS["timers"], asked)[0] == ["reactor"]


def test_ratios_are_taken_to_the_best_that_is_there() -> None:
    """uvloop by hand, uvloop, asyncio, epoll among the pollers, or the first."""
    workload = WORKLOADS["ping-pong"]
    assert reference_of(workload, ["asyncio", "uvloop", "uvloop-joined"]) == "uvloop-joined"
    assert reference_of(workload, ["asyncio", "uvloop"]) == "uvloop"
    assert reference_of(workload, ["trio", "asyncio"]) == "asyncio"
    assert reference_of(workload, ["reactor-poll", "reactor-epoll"]) == "reactor-epoll"
    assert reference_of(workload, ["trio"]) == "trio"
    assert reference_of(workload, []) == ""


def test_nothing_is_measured_when_nobody_can_take_part(tmp_path: Path) -> None:
    """A run with a server that a workload cannot use is no failure."""
    made = measure(WORKLOADS["udp"], settings(tmp_path, servers=("trio",)), lambda text: None)
    assert made.samples == {}


def test_the_tables_fit_together() -> None:
    """Every server has its file, and every workload names servers that exist."""
    for server in servers.SERVERS.values():
        assert (servers.PEERS / server.script).exists(), server.name
    used = {server.script for server in servers.SERVERS.values()}
    assert {path.name for path in servers.PEERS.iterdir() if path.suffix in (".py", ".c")} == used
    for workload in WORKLOADS.values():
        if workload.kind in ("traffic", "visits"):
            assert set(workload.servers) <= set(servers.SERVERS), workload.name
    assert set(workloads.QUICK) <= set(WORKLOADS)
    assert set(workloads.QUICK_SERVERS) <= set(servers.SERVERS)


def test_workloads_are_chosen_by_name_or_group_in_order() -> None:
    """No name means all, a group means its rows, and nothing is measured twice."""
    assert chosen([]) == list(WORKLOADS.values())
    assert [w.idle for w in chosen(["crossing", "crossing-10"])] == list(workloads.IDLE)
    with pytest.raises(KeyError, match="pingpong"):
        chosen(["pingpong"])


def test_the_record_holds_every_sample_and_what_was_made_of_them(tmp_path: Path) -> None:
    """Whoever doubts a median finds what it was made of, and on which machine."""
    path = tmp_path / "results" / "run.json"
    record = Record(settings(tmp_path), path)
    ours, again = samples(100, 110), samples(100, 100)
    record.add(outcome(uvloop_joined=ours, uvloop_joined__=again, asyncio=samples(50, None)))
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content == load(path)
    told = set(content["environment"])
    assert {"processor", "kernel", "python", "versions", "placement", "command", "date"} <= told
    [made] = content["outcomes"]
    assert made["noise_floor"]["throughput"] == pytest.approx(0.1)
    assert made["servers"]["uvloop-joined"]["throughput"]["median"] == 105
    assert len(made["servers"]["uvloop-joined"]["samples"]) == 2
    broken = made["servers"]["asyncio"]
    assert (broken["valid"], broken["throughput"], broken["reasons"]) == (False, None, ["2 replies were lost"])


def test_another_file_is_refused_when_a_record_is_wanted(tmp_path: Path) -> None:
    """With the name of the file and of what was expected."""
    path = tmp_path / "other.json"
    path.write_text("{}", encoding="ascii")
    with pytest.raises(ValueError, match=r"other\.json is no record"):
        load(path)


def test_a_visit_that_went_wrong_makes_the_sample_invalid() -> None:
    """And one line of figures is a sample otherwise."""
    good = read_sample("1000 0.5 0.25 0 0.001 0.002 0.003", Usage(0.1, 0.3, 0.4), 1)
    assert good.is_valid
    assert (good.value("throughput"), good.value("p99"), good.value("cpu")) == (2000, 0.002, 0.0004)
    assert good.value("cpu_user") == pytest.approx(0.0001)
    assert good.server_busy == pytest.approx(0.8)
    assert good.client_busy == 0.5
    assert not read_sample("1000 0.5 0.25 1 0.001 0.002 0.003", Usage(0.1, 0.3, 0.4), 1).is_valid
    assert not read_sample("0 0.5 0.25 0 0 0 0", Usage(0.1, 0.3, 0.4), 1).is_valid


def test_a_contestant_inherits_nothing_that_would_change_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What the caller has set for himself stays with him, and what a server sets for itself comes last."""
    monkeypatch.setenv("REACTOR_SELECTOR", "select")
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    environment = environment_of(settings(tmp_path), {"REACTOR_ACCEL": "pure"})
    assert not {"REACTOR_SELECTOR", "PYTHONASYNCIODEBUG"} & set(environment)
    assert environment["REACTOR_ACCEL"] == "pure"


def test_a_task_that_fails_makes_the_sample_invalid(tmp_path: Path) -> None:
    """The child's last line is the reason."""
    taken = inside.take("asyncio", WORKLOADS["timers"]._replace(name="no-such-task"), settings(tmp_path))
    assert not taken.is_valid
    assert "no-such-task" in taken.reasons[0]
