"""The bench itself: every case runs on every side, and what a run writes can be read."""

from __future__ import annotations

import io
import json
import math
import os
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bench import (
    cases,
    count,
    generator,
    idle,
    load,
    loops,
    measure,
    plot,
    report,
    results,
    run,
    sides,
    table,
    usage,
)
from bench.case import Sample
from bench.machine import facts
from bench.measure import Round
from bench.results import PINNED, UNPINNED, CaseResult, Run

CASES = cases.load("tests")
CASE_NAMES = tuple(CASES)
# A multiple of the unrolled statements and of the producers; small, since this is no measurement.
OPERATIONS = 40


# What a case may need that is not there to be tested: the case is for those who have it.
OPTIONAL = (sides.NUMPY, *(loops.server(kind) for kind in loops.FRAMEWORKS))


@pytest.fixture(scope="module")
def tress_load() -> None:
    """The load generator, built."""
    generator.build()


def _pairs() -> list[Any]:
    """Each case with each side that takes part in it: peers where installed, as they offer it.

    Where the load generator has to be built first, that may take its time.
    """
    pairs = [(case, side) for case in CASE_NAMES for side in (sides.STD, sides.TRESS)]
    for peer in sides.PEERS:
        try:
            offered = sides.load(peer)
        except ImportError:
            continue
        pairs += [(name, peer) for name, case in CASES.items() if offered.offers(case.needs)]
    building = pytest.mark.bound(600)
    return [pytest.param(*pair, marks=building if CASES[pair[0]].placed else ()) for pair in pairs]


@pytest.mark.parametrize(("case_name", "side_name"), _pairs())
def test_every_case_runs_on_every_side_that_offers_it(
    case_name: str, side_name: str, request: pytest.FixtureRequest
) -> None:
    side = sides.load(side_name)
    case = cases.load(side_name)[case_name]
    for need in OPTIONAL:
        if need in case.needs and not side.offers((need,)):
            pytest.skip(f"what {need} takes is not installed")
    assert side.offers(case.needs)
    if case.placed:
        request.getfixturevalue("tress_load")
    result = case.run(side, min(OPERATIONS, case.operations))
    total = result.total if isinstance(result, Sample) else result
    # So few objects may fit into memory that is already there; time always passes.
    assert case.unit == "bytes" or total > 0


def test_every_case_of_the_table_has_its_target() -> None:
    targets = {name: case.target for name, case in cases.load("tests").items() if case.target}
    assert targets == {
        "lock_with": 0.9,
        "rlock_with": 0.9,
        "simplequeue_put_get": 0.9,
        "semaphore_with": 4,
        "event_set_clear": 6,
        "queue_put_get": 10,
        "priorityqueue_put_get": 5,
        "future_set_result": 8,
        "queue_1p1c": 5,
        "queue_4p4c_bounded": 5,
        "event_ping_pong": 2,
        "condition_ping_pong": 2,
        "barrier_4": 2,
        "executor_submit_result": 2.5,
        "executor_30000_submits": 8,
        "executor_map": 8,
        "executor_as_completed": 8,
        "executor_wait": 8,
        "process_submit_result": 5,
        "process_start_fork": 1,
        "process_start_spawn": 1.5,
        "process_start_forkserver": 3,
        "process_map": 10,
        "process_map_chunks": 1.3,
        "process_pool_apply": 4,
        "process_pool_imap_unordered": 5,
        "process_pool_map": 1.2,
        "process_large_argument": 10,
        "process_large_result": 10,
        "process_queue_small_1p1c": 5,
        "process_queue_small_4p1c": 5,
        "process_queue_8mib": 8,
        "process_lock_with": 1,
        "process_lock_value": 1,
        "process_pipe_bytes": 1.3,
        "process_pipe_objects": 1.3,
        "process_manager_dict": 3,
        "loop_call_soon": 1.1,
        "loop_call_soon_threadsafe": 1.1,
        "loop_call_later_cancel": 1.1,
        "loop_run_in_executor": 2,
        "loop_subprocess_exec": 1.1,
        "task_sleep0": 1.3,
        "task_create_await": 1.3,
        "task_wait_for": 2,
        "task_gather_100000": 2,
        "task_group_100000": 2,
        "task_10000_sleepers": 2,
        "async_queue_1p1c": 2,
        "async_lock_alone": 2,
        "async_lock_contended": 1.5,
        "async_event_ping_pong": 1.5,
        "echo_protocol_1k": 1.05,
        "echo_protocol_10k": 1.05,
        "echo_protocol_100k": 1.05,
        "echo_streams_1k": 1.3,
        "echo_streams_10k": 1.3,
        "echo_streams_100k": 1.3,
        "echo_sock_1k": 1.1,
        "echo_sock_10k": 1.1,
        "echo_sock_100k": 1.1,
        "echo_tls_1k": 1.3,
        "echo_tls_10k": 1.3,
        "echo_tls_100k": 1.3,
        "http_aiohttp": 1.1,
        "http_uvicorn": 1.1,
        "memory_connection": 1.5,
        "memory_sleeping_task": 1.5,
        "memory_timer": 1.5,
        "thread_start_join": 1.5,
        "timer_start_cancel": 10,
        "memory_queue": 3,
        "memory_event": 3,
        "memory_condition": 3,
        "memory_future": 3,
    }


def test_each_side_has_code_objects_of_its_own() -> None:
    one, other = cases.load("one")["queue_1p1c"].run, cases.load("other")["queue_1p1c"].run
    code: Any = getattr(one, "__code__", None)
    assert code is not None
    assert code is not getattr(other, "__code__", None)


def test_rounds_of_the_sides_are_interleaved_and_complete() -> None:
    measured = measure.measure("event_set_clear", [sides.STD, sides.TRESS], 3, OPERATIONS)
    assert measured["operations"] == OPERATIONS
    assert {name: len(rounds) for name, rounds in measured["rounds"].items()} == {
        sides.STD: 3,
        sides.TRESS: 3,
    }
    assert measured["missing"] == {}
    assert measured["not_offered"] == []


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two cases, as the command writes it."""
    path = tmp_path_factory.mktemp("bench") / "run.json"
    arguments = ["--quick", "--plain", "--rounds", "2", "--json", str(path)]
    code = run.main([*arguments, "--case", "event_set_clear", "--case", "queue_1p1c"])
    assert code == 0
    return path


def test_the_bare_server_is_the_floor_of_the_protocol_and_of_nothing_else() -> None:
    floors = {name: (one.floor, one.floor_target) for name, one in CASES.items() if one.floor}
    assert floors == {f"echo_protocol_{kib}k": (sides.EPOLL, 0.95) for kib in (1, 10, 100)}


def _rounds(*totals: int, p99: int = 0) -> list[Round]:
    return [
        Round(
            total=total,
            user_ns=total // 4,
            system_ns=total // 4,
            voluntary_switches=0,
            involuntary_switches=0,
            latency_ns={"p99": p99} if p99 else {},
            generator_ns=total // 2,
        )
        for total in totals
    ]


def _judged(**sides_rounds: list[Round]) -> CaseResult:
    result = run.no_result(CASES["echo_protocol_1k"], UNPINNED, 10)
    for name, rounds in sides_rounds.items():
        result["sides"][name] = results.side_result(rounds, 10)
    results.judge(result)
    return result


def test_tress_is_compared_with_the_best_rival_of_each_figure() -> None:
    result = _judged(
        std=_rounds(3000, 1000, 1000, p99=50),
        uvloop=_rounds(900, 2000, 2000, p99=90),
        rloop=_rounds(1200, p99=70),
        tress=_rounds(800, 800, 500, p99=100),
        epoll=_rounds(400, p99=1),
    )
    assert result["best_rival"] == "uvloop"
    assert result["ratio"] == 900 / 500
    assert result["median_ratio"] == 1000 / 800
    assert result["cpu_ratio"] == 450 / 250
    assert result["latency_ratio"] == 50 / 100
    assert result["floor_ratio"] == 400 / 500
    # Far above the rivals, and yet too far below what the bare server does.
    assert result["met"] is False
    shown = io.StringIO()
    run_of_it = Run(schema=results.SCHEMA, machine=facts(), rounds=3, quick=False, cases=[result])
    report.print_run(run_of_it, plain=True, file=shown)
    line = next(one for one in shown.getvalue().splitlines() if one.startswith("echo of 1 KiB"))
    assert {"1.80x", "1.25x", "1.05x,", "NO", "uvloop", "100", "0.50x", "0.80x"} <= set(
        line.split()
    )


def test_the_table_and_the_plot_say_what_the_ratio_is_to() -> None:
    result = _judged(
        std=_rounds(1000, p99=50), rloop=_rounds(900, p99=60), tress=_rounds(500, p99=40)
    )
    run_of_it = Run(schema=results.SCHEMA, machine=facts(), rounds=1, quick=False, cases=[result])
    heading, _, line = table.markdown([run_of_it]).splitlines()
    shown = dict(zip(heading.split(" | "), line.split(" | "), strict=True))
    assert (shown["best rival"], shown["ratio"], shown["p99"]) == ("rloop", "**1.80x**", "1.25x")
    assert shown["at least"] == "1.05x, 0.95x"
    assert plot.TITLE_OF_LOOPS in plot.svg([run_of_it])


def test_without_the_bare_server_the_rivals_decide() -> None:
    result = _judged(std=_rounds(1000), tress=_rounds(500))
    assert result["best_rival"] == "std"
    assert result["floor_ratio"] is None
    assert result["met"] is True


def test_a_generator_that_is_always_busy_is_told() -> None:
    busy = _rounds(1000, p99=5)
    busy[0]["generator_ns"] = 990
    result = _judged(std=_rounds(1000), tress=busy)
    shown = io.StringIO()
    run_of_it = Run(schema=results.SCHEMA, machine=facts(), rounds=1, quick=False, cases=[result])
    report.print_run(run_of_it, plain=True, file=shown)
    assert "limited by the load generator as well: echo_protocol_1k (tress)\n" in shown.getvalue()


@pytest.mark.bound(600)
@pytest.mark.usefixtures("tress_load")
def test_a_server_under_load_has_latencies_and_processor_time_of_its_own() -> None:
    case = CASES["echo_streams_1k"]
    asked = [sides.STD, sides.TRESS, sides.EPOLL]
    result = run.run_case(case, UNPINNED, asked, rounds=2, quick=True)
    assert result["error"] is None
    assert result["not_offered"] == [sides.EPOLL]
    for side in (sides.STD, sides.TRESS):
        found = result["sides"][side]
        assert len(found["rounds"]) == 2
        assert list(found["latency_ns"]) == ["p50", "p90", "p99", "p99.9", "max"]
        assert found["latency_ns"]["p99"] > 0
        assert 0 < found["generator_busy"] <= 1
        assert found["cpu_ns"] > 0


@pytest.mark.bound(600)
@pytest.mark.usefixtures("tress_load")
def test_an_answer_that_is_wrong_fails_the_case() -> None:
    server = getattr(sides.load(sides.STD), loops.server(loops.PROTOCOL))
    with pytest.raises(RuntimeError, match="the answer is no HTTP"):
        load.measure(server, ["http"], OPERATIONS)


@pytest.mark.bound(600)
@pytest.mark.usefixtures("tress_load")
def test_a_server_that_does_not_start_fails_the_case() -> None:
    with pytest.raises(RuntimeError, match="ended before it listened"):
        load.measure(["false"], ["echo"], OPERATIONS)


def test_each_round_of_a_loop_has_a_process_of_its_own() -> None:
    case = CASES["loop_call_soon"]
    result = run.run_case(case, PINNED, [sides.STD, sides.TRESS], rounds=2, quick=True)
    assert result["error"] is None
    assert {name: len(one["rounds"]) for name, one in result["sides"].items()} == {
        sides.STD: 2,
        sides.TRESS: 2,
    }
    assert result["best_rival"] == sides.STD


def test_processor_time_of_a_process_is_what_it_used() -> None:
    before, start = usage.of_process(os.getpid()), time.process_time_ns()
    while time.process_time_ns() - start < 100_000_000:
        pass
    used = usage.of_process(os.getpid()).since(before)
    # The scheduler brings a running thread's time up to date at its tick.
    assert used.user_ns + used.system_ns > 50_000_000


def test_what_a_run_writes_is_what_is_read(written: Path) -> None:
    loaded = results.load(written)
    assert loaded["machine"]["python"] == facts()["python"]
    assert loaded["machine"]["cores"] >= 1
    assert loaded["machine"]["profile_guided"]
    found = [(case["name"], case["placement"]) for case in loaded["cases"]]
    assert found == [
        ("event_set_clear", UNPINNED),
        ("event_set_clear", PINNED),
        ("queue_1p1c", UNPINNED),
        ("queue_1p1c", PINNED),
    ]
    for case in loaded["cases"]:
        assert case["error"] is None
        assert set(case) == CaseResult.__required_keys__
        std, tress = case["sides"][sides.STD], case["sides"][sides.TRESS]
        for side in (std, tress):
            assert len(side["rounds"]) == 2
            fastest = min(one["total"] for one in side["rounds"]) / case["operations"]
            assert math.isclose(side["best"], fastest)
            assert set(side["rounds"][0]) == measure.Round.__required_keys__
        assert case["ratio"] == std["best"] / tress["best"]
        assert case["target"] is not None
        assert case["met"] is (case["ratio"] >= case["target"])


def test_the_table_and_the_plot_have_every_case(written: Path) -> None:
    loaded = results.load(written)
    text = table.markdown([loaded, loaded])
    assert len(text.splitlines()) == 2 + 2
    assert "Event set, is_set, clear" in text
    picture = ElementTree.fromstring(plot.svg([loaded, loaded]))
    shown = {element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert {"Event set, is_set, clear", "Queue, 1 producer, 1 consumer"} <= shown


def test_an_idle_pool_has_its_processor_time_and_the_memory_of_its_workers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert idle.main(["--one", sides.TRESS, "spawn", "--seconds", "0.1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == idle.Idle.__required_keys__
    assert found["cpu"] >= 0
    assert found["pss"] >= found["uss"] > 1 << 20


def test_a_case_over_its_limit_is_reported_and_does_not_stop_the_run() -> None:
    case = cases.load("tests")["queue_4p4c_bounded"]
    result = run.run_case(case, UNPINNED, [sides.STD], rounds=10_000, limit=0.5)
    assert result["error"] is not None
    assert "Timeout" in result["error"]
    assert result["ratio"] is None


def test_a_file_that_is_no_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(json.dumps({"schema": 0}), encoding="utf-8")
    with pytest.raises(ValueError, match="not a bench result"):
        results.load(path)


def test_an_unknown_case_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--case", "no_such_case"]) == 2
    assert "queue_put_get" in capsys.readouterr().err


def test_costs_are_read_from_a_callgrind_file() -> None:
    text = """\
positions: line
events: Ir
ob=(1) /lib/libone.so
fl=(1) ???
fn=(1) first
0 10
cob=(2) /lib/libtwo.so
cfn=(2) second
calls=1 0
0 500
0 5
ob=(2)
fn=(2)
0 7
"""
    many = count.parse(text)
    assert many == {("/lib/libone.so", "first"): 15, ("/lib/libtwo.so", "second"): 7}
    assert count.subtract(many, {("/lib/libone.so", "first"): 5}) == {
        ("/lib/libone.so", "first"): 10,
        ("/lib/libtwo.so", "second"): 7,
    }


def test_instructions_are_told_apart_by_who_executes_them() -> None:
    costs = {
        ("/usr/bin/python3.14", "eval"): 100,
        ("/usr/lib/python3.14/lib-dynload/_queue.cpython-314.so", "put"): 20,
        ("/venv/lib/python3.14/site-packages/tress/_native.cpython-314.so", "put"): 30,
        ("/lib/libc.so.6", "memcpy"): 4,
    }
    assert count.line("put", "tress", costs, 2) == "| put | tress | 77 | 60 | 15 | 2 |"


def test_empty_run_makes_no_plot_of_missing_ratios() -> None:
    nothing = Run(schema=results.SCHEMA, machine=facts(), rounds=1, quick=True, cases=[])
    assert ElementTree.fromstring(plot.svg([nothing])).tag.endswith("svg")
