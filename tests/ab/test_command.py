"""`whisperbench ab` as a process, whose sides are programs that stand in for pytest.

Where a comparison has got as far as verdicts, its files are judged again, as `pull judge` does it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.ab.bench import TIMEOUT_S, Bench
from tests.ab.stand_in import (
    CRASH,
    ENCODER,
    FAIL,
    HANG,
    KILL,
    MEMORY,
    NO_ROOM,
    REFUSE,
    SLEEP,
    TOKEN,
    Plan,
    told,
)
from tests.pulls.agreement import require_agreement
from whisperbench.record.processes import LAST_WORDS_S


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Two sides that are alike."""
    made = Bench(tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        os.killpg(made.process.pid, signal.SIGKILL)
        made.process.communicate()


def test_unchanged_code_passes(bench: Bench) -> None:
    """Both sides alike: counts by one execution, wall time by the first look; exit code 0."""
    ended = bench.run()
    assert ended.code == 0, ended.out + ended.err
    require_agreement(ended)
    assert "figures compared: " in ended.out
    assert "pair 3 of at most 16" in ended.err
    assert "pair 4" not in ended.err
    assert {each["verdict"] for each in ended.verdicts()["verdicts"]} == {"ok"}
    assert "no code differs between base and head" in ended.out
    # So the head's cost pass is not run once more.
    for python in bench.pythons:
        assert [place for place, _ in told(python) if " " not in place] == ["counts"]


@pytest.mark.parametrize(
    ("levels_ms", "code"),
    [((10.09, 10.09, 10.0), 0), ((10.09,), 1)],
    ids=["one level of two", "slower"],
)
def test_gpu_time_that_differs_alone(bench: Bench, levels_ms: tuple[float, ...], code: int) -> None:
    """It is measured four times more, and the head passes if it was as quick once."""
    bench.base.gpu_ms, bench.head.gpu_ms = (10.0,), levels_ms
    ended = bench.run("--fast")
    assert ended.code == code, ended.out + ended.err
    require_agreement(ended, "--fast")
    assert "each side was executed 5 times" in ended.out
    for python in bench.pythons:
        places = [place for place, _ in told(python)]
        assert places == ["counts", "again 1", "again 2", "again 3", "again 4"]


def test_an_execution_again_that_fails(bench: Bench) -> None:
    """The first execution is judged by, and the output says why."""
    bench.base.gpu_ms, bench.head.gpu_ms = (10.0,), (10.09, 10.0)
    bench.head.at = {"again 2": CRASH}
    ended = bench.run("--fast")
    assert ended.code == 1, ended.out + ended.err
    require_agreement(ended, "--fast")
    assert "GPU time could not be measured again: the head's process exited with 1" in ended.out


def test_code_that_was_not_run_is_no_pass(bench: Bench) -> None:
    """Where the head's cost pass has entered nothing of what differs, that is said, with 4."""
    bench.planted = "def new():\n    pass\n"
    ended = bench.run("--fast")
    assert ended.code == 4
    require_agreement(ended, "--fast")
    assert (
        "unreached: none of 2 changed functions were run by these cells: planted.py itself, "
        "planted.py: new; so its counts say nothing of the change"
    ) in ended.out.splitlines()
    reach = ended.verdicts()["reach"]
    assert reach["unreached"]
    assert [each["name"] for each in reach["missed"]] == ["<module>", "new"]
    assert [place for place, _ in told(bench.pythons[1])] == ["counts", "cost"]


@pytest.mark.parametrize(
    ("number", "side", "place", "known"),
    [
        (signal.SIGINT, 0, "counts", "none"),
        (signal.SIGTERM, 1, "cost", "3 ok"),
        (signal.SIGINT, 1, f"wall 1 round {TOKEN}", "3 ok"),
        (signal.SIGTERM, 0, f"wall 2 load {ENCODER}", "3 ok, 2 inconclusive"),
    ],
    ids=["counts", "reach", "round", "load"],
)
def test_an_interruption(bench: Bench, number: int, side: int, place: str, known: str) -> None:
    """Ctrl-C and a cancelled job end all processes, and what is known is said; exit code 130."""
    (bench.base, bench.head)[side].at = {place: SLEEP}
    bench.planted = "NEW = 1" if place == "cost" else ""
    process = bench.start()
    bench.wait_for(side, place)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does it
    else:
        process.send_signal(number)
    ended = bench.end()
    assert ended.code == 130
    assert "interrupted: this is what was known by then" in ended.out
    assert ended.out.splitlines()[-1].endswith(f"compared: {known}")
    assert ended.verdicts()["exit_code"] != 0


def test_a_second_interruption_waits_for_nobody(bench: Bench) -> None:
    """A process that does not end on Ctrl-C is given time; after a second Ctrl-C it is killed."""
    place = f"wall 1 round {TOKEN}"
    bench.base.at = {place: HANG}
    process = bench.start()
    bench.wait_for(0, place)
    process.send_signal(signal.SIGINT)
    time.sleep(1.0)
    started_s = time.monotonic()
    process.send_signal(signal.SIGINT)
    ended = bench.end()
    assert ended.code == 130
    assert time.monotonic() - started_s < 0.5 * LAST_WORDS_S
    assert "3 ok" in ended.out


def test_an_interrupted_installation(bench: Bench) -> None:
    """Ctrl-C while pip waits for its index leaves neither pip nor a half-built environment."""
    with socket.create_server(("127.0.0.1", 0)) as index:
        address = f"http://127.0.0.1:{index.getsockname()[1]}"
        bench.variables = {"PIP_INDEX_URL": address, "PIP_CONFIG_FILE": os.devnull}
        process = bench.start("--base-with", "planted==1.0")
        index.settimeout(TIMEOUT_S)
        connection, _ = index.accept()
        with connection:
            children = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGTERM)
            ended = bench.end()
    assert (ended.code, ended.err.splitlines()[-1]) == (130, "whisperbench: interrupted")
    assert children
    assert not [each for each in children if each.is_running()]
    assert not [each for each in (bench.cache / "layers").iterdir() if each.is_dir()]
    assert not list(bench.results.iterdir())


def test_an_installation_that_fails(bench: Bench) -> None:
    """It is one line, with exit code 2, and nothing was measured."""
    bench.variables = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""}
    ended = bench.run("--base-with", "planted==1.0")
    assert ended.code == 2
    assert ended.err.startswith("whisperbench: planted==1.0: pip cannot install it: ")
    assert len(ended.err.splitlines()) == 1
    assert not told(bench.pythons[1])
    assert not list(bench.results.iterdir())


WENT = "exited with 1: ImportError: libcudart.so.13: cannot open shared object file (all of its"
REACH = "what the head runs of the code that differs"
KILLED = "was ended by SIGKILL, perhaps for want of memory"


@pytest.mark.parametrize(
    ("side", "what", "said"),
    [
        (0, CRASH, f"the base's process {WENT}"),
        (1, REFUSE, "the head's process exited with 4: --precision int9: unknown (all of its"),
        (1, KILL, f"the head's process {KILLED}"),
    ],
)
def test_a_side_that_cannot_be_counted(bench: Bench, side: int, what: str, said: str) -> None:
    """Where a side fails before anything is known, one line says which one, and how."""
    (bench.base, bench.head)[side].at = {"counts": what}
    ended = bench.run()
    assert ended.code == 4
    assert ended.err.splitlines()[-1].startswith(f"whisperbench: {said}")
    assert ended.out == ""


@pytest.mark.parametrize(
    ("side", "place", "what", "said"),
    [
        (
            1,
            "cost",
            KILL,
            f"what the head runs of the code that differs: the head's process {KILLED}",
        ),
        (0, "wall 1", CRASH, f"pair 1: the base's process {WENT}"),
        (1, "wall 1", CRASH, f"pair 1: the head's process {WENT}"),
        (1, f"wall 2 load {ENCODER}", KILL, f"pair 2: the head's process {KILLED}, after {TOKEN}"),
        (0, f"wall 1 round {ENCODER}", KILL, f"pair 1: the base's process {KILLED}, at {ENCODER}"),
        (0, "wall 3 end", KILL, f"pair 3: the base's process {KILLED}, after {ENCODER}"),
    ],
    ids=["reach", "base", "head", "load", "round", "end"],
)
def test_a_side_that_ends_later(bench: Bench, side: int, place: str, what: str, said: str) -> None:
    """It is said which one, how and where; what is known stands, and it has not passed."""
    (bench.base, bench.head)[side].at = {place: what}
    bench.planted = "NEW = 1" if place == "cost" else ""
    ended = bench.run()
    assert ended.code == 4, ended.out
    require_agreement(ended)
    (line,) = [line for line in ended.out.splitlines() if "'s process " in line]
    assert line.startswith(said)
    counts = [each for each in ended.verdicts()["verdicts"] if each["kind"] == "exact"]
    assert {each["verdict"] for each in counts} == {"ok"}


@pytest.mark.parametrize(("side", "name", "when"), [(0, "base", "load"), (1, "head", "round")])
def test_a_benchmark_that_one_side_lacks(bench: Bench, side: int, name: str, when: str) -> None:
    """It is tried once more, then said with the side and its reason; the others are compared."""
    (bench.base, bench.head)[side].at = {
        f"wall {number} {when} {TOKEN}": FAIL for number in range(1, 17)
    }
    ended = bench.run()
    assert ended.code == 4
    reason = "it did not load" if when == "load" else "it broke"
    assert f"{name}, pair 2: failed: {TOKEN}: {reason}" in ended.out
    assert "does not get as far" not in ended.out
    places = [place for place, _ in told(bench.pythons[1 - side])]
    assert f"wall 2 load {TOKEN}" in places
    assert f"wall 3 load {TOKEN}" not in places
    wall = {each["benchmark"]: each["verdict"] for each in ended.verdicts()["verdicts"]}
    assert wall[ENCODER] == "ok"


def test_a_count_that_the_base_lacks(bench: Bench) -> None:
    """What fails on one side is said with its reason, and is no pass; all else is compared."""
    bench.base.at = {"counts": FAIL}
    ended = bench.run("--fast")
    assert ended.code == 4
    require_agreement(ended, "--fast")
    assert f"base, failed: {MEMORY}: it broke" in ended.out
    found = {each["metric"]: each["verdict"] for each in ended.verdicts()["verdicts"]}
    assert found == {
        "encoder_aten_ops": "ok",
        "decode_aten_ops": "ok",
        "peak_process_mib": "new",
    }


@pytest.mark.parametrize("when", ["load", "round"])
def test_a_benchmark_that_fails_once(bench: Bench, when: str) -> None:
    """Once may be the host's doing: it is measured by the pairs that follow, and passes."""
    bench.base.at = {f"wall 1 {when} {TOKEN}": FAIL}
    ended = bench.run()
    assert ended.code == 0, ended.out
    wall = {each["benchmark"]: each for each in ended.verdicts()["verdicts"]}
    assert wall[TOKEN]["verdict"] == wall[ENCODER]["verdict"] == "ok"
    assert "pair 4 of at most 16" in ended.err
    assert f"wall 4 load {ENCODER}" not in [place for place, _ in told(bench.pythons[0])]


def in_order(bench: Bench) -> list[str]:
    """Return the sides of the processes of wall time that got to their end, in time."""
    found = []
    for name, python in zip(("base", "head"), bench.pythons, strict=True):
        for place, _ in told(python):
            if place.endswith(" end"):
                number = int(place.split()[1])
                path = bench.results.glob(f"*/pair-{number:02}-{name}.json")
                found.append((next(path).stat().st_mtime_ns, number, name))
    return [name for _, _, name in sorted(found)]


def test_sides_that_do_not_fit_at_once_alternate_whole(bench: Bench) -> None:
    """By what both take of memory: whole processes, base, head, head, base; and it is said."""
    bench.base.memory_mib = bench.head.memory_mib = 9000.0
    ended = bench.run("--pairs", "4", "--", "--clip", "yes")
    assert ended.code == 0
    require_agreement(ended, "--", "--clip", "yes")
    why = "both sides do not fit into memory at once: they take 18000 of 16000 MiB"
    assert f"wall time is measured by whole processes: {why}" in ended.out
    assert f"{why}: whole processes alternate, base, head, head, base" in ended.err
    assert in_order(bench)[:4] == ["base", "head", "head", "base"]


def test_a_side_without_room_beside_the_other(bench: Bench) -> None:
    """Where one finds no memory in its turn, the pair is taken again by whole processes."""
    bench.head.at = {f"wall 1 round {TOKEN}": NO_ROOM}  # a process by itself has no rounds
    ended = bench.run("--pairs", "3")
    assert ended.code == 0, ended.out
    assert (
        "wall time is measured by whole processes: both sides do not fit into memory at once"
        in ended.out
    )
    assert "out of memory" not in ended.out
    assert ended.err.count("whole processes alternate") == 1


def test_a_regression_is_found(bench: Bench) -> None:
    """One more op is found by one execution, and a slower stage by the pairs; exit code 1.

    Where pictures are asked for, both are drawn.
    """
    bench.head.ops = 101
    bench.head.seconds = {TOKEN: 1.2, ENCODER: 1.0}
    pictures = bench.folder / "pictures"
    ended = bench.run("--format", "json", "--pictures", str(pictures))
    assert ended.code == 1
    require_agreement(ended)
    found = json.loads(ended.out)
    regressed = [each["metric"] for each in found["verdicts"] if each["verdict"] == "regressed"]
    assert sorted(regressed) == ["decode_aten_ops", "encoder_aten_ops", "latency_s"]
    assert found["exit_code"] == 1
    drawn = {path.name for path in pictures.iterdir()}
    assert {"changes-light.svg", "pairs-dark.svg"} <= drawn


def test_parts_that_are_not_selected(bench: Bench) -> None:
    """Counts alone and wall time alone pass by themselves, and it is said what was not selected."""
    bench.base.seconds = bench.head.seconds = {}
    ended = bench.run()
    assert ended.code == 0
    assert "no benchmark of wall time was selected" in ended.out


def test_wall_time_alone(bench: Bench) -> None:
    """Without counts the pairs decide, and it is said that no counts were selected."""
    bench.base.ops = bench.head.ops = None
    ended = bench.run()
    assert ended.code == 0, ended.out
    assert "no benchmark of counts, memory or words was selected" in ended.out
    assert "2 figures compared: 2 ok" in ended.out


def test_nothing_at_all_is_no_pass(bench: Bench) -> None:
    """Arguments that select neither counts nor wall time leave with 4."""
    bench.base = bench.head = Plan(ops=None, seconds={})
    ended = bench.run()
    assert ended.code == 4
    assert "0 figures compared: none" in ended.out


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        (Plan(ops=None), "the base alone selects no benchmark of counts, memory or words"),
        (Plan(seconds={}), "pair 1: the base alone selects no benchmark of wall time"),
    ],
    ids=["counts", "wall"],
)
def test_a_part_that_one_side_lacks_is_no_pass(bench: Bench, lacking: Plan, said: str) -> None:
    """What only one side selects has not been compared."""
    bench.base = lacking
    ended = bench.run()
    assert ended.code == 4
    assert said in ended.out + ended.err


def test_fast_leaves_wall_time_out(bench: Bench) -> None:
    """With --fast no pair is begun."""
    ended = bench.run("--fast")
    assert ended.code == 0
    require_agreement(ended, "--fast")
    assert not [place for place, _ in told(bench.pythons[0]) if place.startswith("wall")]


def test_a_budget_without_room_for_a_pair(bench: Bench) -> None:
    """Wall time that was asked for and never measured is no pass: it is said what to do."""
    ended = bench.run("--budget", "0.001")
    assert ended.code == 4
    require_agreement(ended)
    assert "the budget of 0.001 minutes ended before the first pair, so that no " in ended.out
    assert "3 ok" in ended.out


def test_results_that_cannot_be_kept(bench: Bench) -> None:
    """A results folder that cannot be made is one line, before anything is installed or run."""
    bench.results = Path("/proc/results")
    ended = bench.run()
    assert ended.code == 2
    assert (
        ended.err == "whisperbench: /proc/results: cannot be written: No such file or directory\n"
    )
    assert not told(bench.pythons[0])


def test_verdicts_that_cannot_be_written_are_printed(bench: Bench) -> None:
    """A disk that is full by the end costs the file of verdicts, and no other exit code than 0."""
    bench.base.at = {"counts": SLEEP}
    process = bench.start("--fast")
    pid = bench.wait_for(0, "counts")
    (next(bench.results.iterdir()) / "verdicts.json").mkdir()
    os.kill(pid, signal.SIGCONT)
    process.send_signal(signal.SIGINT)
    ended = bench.end()
    assert ended.code == 130
    assert "figures compared" in ended.out
    assert "verdicts.json: cannot be written: Is a directory" in ended.err


def test_a_full_disk(bench: Bench) -> None:
    """Where the suite cannot be copied it is one line, and the cache is left as it was."""
    bench.largest_file = 1000
    ended = bench.run()
    assert ended.code == 2
    (line,) = ended.err.splitlines()
    assert "the suite cannot be copied: " in line
    assert "File too large" in line
