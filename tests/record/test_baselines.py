"""Baselines made of runs, kept and replaced. No figure here was measured."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from typer.testing import CliRunner, Result

from scripts.check_kills import check_promote
from tests.runs import MACHINE, make_cell, make_cost, make_measurement, make_run, make_run_file
from whisperbench.asked.suite import read_suite
from whisperbench.cli import app
from whisperbench.errors import InputError, RegressedError, WhisperbenchError
from whisperbench.judge.comparison import hold_against, refusal
from whisperbench.record import baselines as baseline
from whisperbench.results.ran import Ran
from whisperbench.results.records import Machine, ManifestEntry, Run
from whisperbench.results.run_file import read_run
from whisperbench.results.schema import decode_run

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write run files, with what pytest-benchmark says beside ours."""

    def write_run(name: str, run: Run) -> Path:
        file = make_run_file(run)
        for number, row in enumerate(file["benchmarks"]):
            latency = run.measurements[number].metric("latency_s")
            data = list(latency.samples or ()) if latency is not None else [1.0]
            row |= {"fullname": f"test[{number}]", "stats": {"median": data[0], "data": data}}
        path = tmp_path / name
        path.write_text(json.dumps(file | {"datetime": "now"}), encoding="utf-8")
        return path

    return write_run


def a_run(seconds: float = 1.0, ops: int = 100, machine: Machine = MACHINE) -> Run:
    """Make up a run of a transcription and its cost."""
    rows = (
        make_measurement(samples=(seconds, seconds, seconds * 1.5)),
        make_cost(make_cell(tokens=4), {"aten_ops": ops}, gpu_ms=10.0),
    )
    return make_run(*rows, machine=machine)


def a_cost(ops: int) -> Run:
    """Make up a run of a cost alone."""
    return make_run(make_cost(make_cell(tokens=4), {"aten_ops": ops}, gpu_ms=10.0))


def test_a_run_counts_once(write: Write) -> None:
    """The same run under two names would look like a quiet machine."""
    first, second = write("g.json", a_cost(100)), write("h.json", a_cost(100))
    # Counts alone are the same in every run: what tells two from one is when they were.
    second.write_bytes(second.read_bytes().replace(b'"now"', b'"later"'))
    assert decode_run(baseline.merge([first, second]), "both").info.processes == 2
    with pytest.raises(InputError, match="another of the files holds too"):
        baseline.merge([write("a.json", a_run()), write("b.json", a_run())])
    merged = write("c.json", a_run()).with_name("merged.json")
    merged.write_bytes(baseline.merge([write("d.json", a_run(1.1)), write("e.json", a_run(1.2))]))
    with pytest.raises(InputError, match="is a baseline already"):
        baseline.merge([merged, write("f.json", a_run(1.3))])


def test_a_baseline_that_looks_slower_needs_force(write: Write) -> None:
    """Undecided wall time replaces a baseline, unless it lies over where that one's would.

    A new baseline of one process that takes twice the time of three is not the better one, though
    one process cannot say that it is worse.
    """
    suite = read_suite()

    def merged(*seconds: float) -> Run:
        paths = [write(f"{number}.json", a_run(each)) for number, each in enumerate(seconds)]
        return decode_run(baseline.merge(paths), "merged")

    one, wild, three = merged(1.0), merged(1.0, 1.3, 1.6), merged(1.0, 1.01, 1.02)
    slow = merged(2.0)
    for base, head, refused in (
        (one, slow, False),
        (wild, merged(1.2, 1.5, 1.7), False),
        (three, slow, True),
    ):
        found = hold_against(base, head, suite)
        assert found.exit_code == 0
        assert "inconclusive" in {each.verdict.verdict for each in found.judged}
        assert (refusal(found, "kept") is not None) == refused


@pytest.mark.parametrize("damage", [{"fullname": 5}, {"stats": {}}, {"stats": {"median": "x"}}])
def test_what_is_not_of_pytest_benchmark_is_refused(
    write: Write, damage: dict[str, object]
) -> None:
    """A row without pytest-benchmark's name or median gives one line."""
    path = write("a.json", a_run())
    content = json.loads(path.read_text(encoding="utf-8"))
    content["benchmarks"][0] |= damage
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match="not of pytest-benchmark"):
        baseline.merge([path])


def test_a_baseline_holds_each_process(write: Write) -> None:
    """Each figure is kept once a process; pytest-benchmark's row is the middle process's."""
    paths = [write(f"{number}.json", a_run(1.0 + number / 10)) for number in (2, 0, 1)]
    data = baseline.merge(paths)
    made = decode_run(data, "made")
    assert made.info.processes == 3
    latency = made.measurements[0].metric("latency_s")
    assert latency is not None
    assert latency.figures == (1.2, 1.0, 1.1)
    assert json.loads(data)["benchmarks"][0]["stats"]["data"] == [1.1, 1.1, 1.1 * 1.5]
    assert json.loads(data)["datetime"] == "now"


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (a_run(ops=101), "encoder_aten_ops is not the same in all processes: 100, 101"),
        (
            a_run(machine=msgspec.structs.replace(MACHINE, driver="999.9")),
            "is of another machine than the first run: driver was",
        ),
        (
            a_run(machine=msgspec.structs.replace(MACHINE, power_limit_w=350.0)),
            "is of another machine than the first run: power limit w was None and is 350",
        ),
        (
            a_run(machine=msgspec.structs.replace(MACHINE, cpu="Another")),
            "is of another machine than the first run: cpu was Some CPU and is Another",
        ),
        (make_run(make_measurement()), "has other benchmarks than"),
        (
            make_run(
                *a_run().measurements,
                manifest=(
                    ManifestEntry(benchmark="a", cell="a", outcome="measured"),
                    ManifestEntry(benchmark="b", cell="b", outcome="regressed", reason="slower"),
                ),
            ),
            "a run that is worse becomes no baseline: regressed: b: slower",
        ),
        (
            make_run(
                *a_run().measurements,
                manifest=(
                    ManifestEntry(
                        benchmark="b", cell="b", outcome="not-comparable", reason="other code"
                    ),
                ),
            ),
            "a run that cannot be compared becomes no baseline: not-comparable: b: other code",
        ),
        (make_run(), "a run without measurements becomes no baseline"),
    ],
)
def test_what_does_not_belong_together_is_no_baseline(
    write: Write, other: Run, reason: str
) -> None:
    """Counts that differ, another machine, other cells, a failed or an empty run: each refused."""
    paths = [write("a.json", a_run()), write("b.json", other)]
    with pytest.raises(WhisperbenchError, match=reason) as caught:
        baseline.merge(paths)
    assert len(str(caught.value).splitlines()) == 1


def test_processes_that_ran_otherwise_are_no_baseline(write: Write) -> None:
    """One whose attention was another one than the other's would stand for both."""

    def run(attention: str) -> Run:
        row = make_cost(make_cell(tokens=4), {"aten_ops": 100}, gpu_ms=10.0)
        ran = Ran(weights={"float16": 8}, computes_in="float16", attention=(attention,))
        return make_run(replace(row, found=replace(row.found, ran=ran)))

    paths = [write("a.json", run("flash")), write("b.json", run("math"))]
    with pytest.raises(
        WhisperbenchError,
        match="another thing ran in one process than in the other: attention was ",
    ):
        baseline.merge(paths)


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "a\nb", "x" * 200])
def test_a_baselines_name_is_a_plain_one(name: str) -> None:
    """No name leads out of the folder, and no device key in a file does."""
    for device_key, own in ((name, "default"), ("device", name)):
        with pytest.raises(WhisperbenchError, match="is no file name"):
            baseline.path_of(device_key, own)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of baselines."""
    folder = tmp_path / "baselines"
    monkeypatch.setattr(baseline, "FOLDER", folder)
    return folder


def run(*arguments: object) -> Result:
    """Run `whisperbench` with these arguments."""
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.mark.usefixtures("folder")
def test_a_worse_baseline_needs_force(write: Write) -> None:
    """The first is kept; a worse one only by force, with what got worse; a better one at once."""
    kept = baseline.path_of(MACHINE.device_key, "default")
    assert run("baseline", "promote", write("a.json", a_cost(100))).exit_code == 0
    before = kept.read_bytes()
    slower = write("b.json", a_cost(101))
    refused = run("baseline", "promote", slower)
    assert isinstance(refused.exception, RegressedError)
    assert "kept as it was, for the new one is regressed; --force" in str(refused.exception)
    assert "encoder_aten_ops: 100 to 101 (+1.00 %)" in refused.stdout
    assert kept.read_bytes() == before
    assert run("baseline", "promote", slower, "--force").exit_code == 0
    assert kept.read_bytes() != before
    assert run("baseline", "promote", write("c.json", a_cost(99))).exit_code == 0
    assert read_run(kept).info.processes == 1
    assert "default.json: 1 benchmark, 1 process," in run("baseline", "list").stdout


@pytest.mark.usefixtures("folder")
def test_a_broken_baseline_is_replaced_by_force_alone(write: Write) -> None:
    """What cannot be read is not silently replaced."""
    kept = baseline.path_of(MACHINE.device_key, "default")
    kept.parent.mkdir(parents=True)
    kept.write_text("{", encoding="utf-8")
    new = write("a.json", a_run())
    refused = run("baseline", "promote", new).exception
    assert isinstance(refused, InputError)
    assert str(refused).endswith("; --force replaces it")
    assert kept.read_text(encoding="utf-8") == "{"
    assert run("baseline", "promote", new, "--force").exit_code == 0
    assert len(read_run(kept).measurements) == 2


def test_a_baseline_shows_its_spread(write: Write) -> None:
    """How far the processes lie apart is printed for each figure that wobbles."""
    paths = [write(f"{number}.json", a_run(1.0 + number / 10)) for number in range(3)]
    merged = paths[0].with_name("merged.json")
    merged.write_bytes(baseline.merge(paths))
    shown = run("baseline", "show", merged).stdout
    assert "latency_s: 1 to 1.2 s (20.0 %) in 3 processes" in shown
    assert "aten_ops:" not in shown


def test_a_baseline_survives_its_writers_death(write: Write) -> None:
    """Killed while it replaces the baseline, a writer leaves the old one or the new one, whole."""
    runs = [write("a.json", a_run()), write("b.json", a_run(1.5))]
    assert check_promote(runs, 5, random.Random(3)) == {"one of the two": 5}
