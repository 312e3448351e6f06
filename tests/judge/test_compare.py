"""Two runs held against each other. No figure here was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from typer.testing import CliRunner, Result

from tests.runs import MACHINE, make_cell, make_cost, make_measurement, make_run, make_run_file
from whisperbench.asked.suite import Tolerance
from whisperbench.cli import app
from whisperbench.errors import InputError
from whisperbench.judge.causes import causes_of
from whisperbench.judge.compare import Gate, compare
from whisperbench.judge.comparison import Comparison
from whisperbench.report.verdicts import as_json, as_markdown, as_text
from whisperbench.results.kinds import Kind
from whisperbench.results.records import ManifestEntry, Measurement, Metric, Part, Run, Verdict


def part(name: str, count: int, module: str = "Linear8bitLt", **fields: object) -> Part:
    """Make up a part of the decoding."""
    made = Part(kind="op", name=name, op="", module=module, stage="decode", count=count)
    return msgspec.structs.replace(made, **fields)


def a_cost(ops: int = 100, parts: tuple[Part, ...] = (), **changes: object) -> Measurement:
    """Make up the cost of a cell of four tokens."""
    row = make_cost(make_cell("int8", tokens=4), {"aten_ops": ops}, gpu_ms=10.0)
    return msgspec.structs.replace(row, parts=parts, **changes)


def outcomes(base: Measurement, head: Measurement) -> dict[str, str]:
    """Compare two cells; the outcome of each metric."""
    return {name: verdict.verdict for name, verdict in verdicts(base, head).items()}


def verdicts(base: Measurement, head: Measurement) -> dict[str, Verdict]:
    """Compare two cells; the verdict on each metric."""
    return {each.verdict.metric: each.verdict for each in compare(make_run(base), make_run(head))}


def compared(folder: Path, base: Run, head: Run) -> Result:
    """Run `whisperbench compare` on two runs."""
    paths = [folder / "base.json", folder / "head.json"]
    for path, run in zip(paths, (base, head), strict=True):
        path.write_text(json.dumps(make_run_file(run)), encoding="utf-8")
    return CliRunner().invoke(app, ["compare", *map(str, paths)])


def test_the_same_is_ok() -> None:
    """Equal figures are ok, each of them; of wall time one process a side tells nothing."""
    found = outcomes(a_cost(), a_cost())
    assert set(found.values()) == {"ok"}
    assert sorted(found) == [
        *("decode_aten_ops", "decode_gpu_time_ms"),
        *("encoder_aten_ops", "encoder_gpu_time_ms"),
    ]
    assert outcomes(make_measurement(), make_measurement())["latency_s"] == "inconclusive"


@pytest.mark.parametrize(("ops", "outcome"), [(101, "regressed"), (99, "improved")])
def test_one_op_more_is_a_regression(ops: int, outcome: str) -> None:
    """An exact count has no tolerance."""
    assert outcomes(a_cost(100), a_cost(ops))["decode_aten_ops"] == outcome


@pytest.mark.parametrize(
    ("factor", "outcome"),
    [(1.0059, "ok"), (1.0061, "regressed"), (0.9941, "ok"), (0.9939, "improved")],
)
def test_a_hundredth_more_gpu_time_is_seen(factor: float, outcome: str) -> None:
    """The medians may differ by 1 % less the 0.4 % that noise may hide of it, either way."""
    head = a_cost()
    slower = tuple(
        msgspec.structs.replace(metric, samples=(10.05 * factor, 10.0 * factor, 9.96 * factor))
        if metric.name == "decode_gpu_time_ms"
        else metric
        for metric in head.metrics
    )
    found = outcomes(a_cost(), msgspec.structs.replace(head, metrics=slower))
    assert found["decode_gpu_time_ms"] == outcome


def test_a_regression_names_its_cause() -> None:
    """The parts that grew most are named, per token, with their module; others' shares are not."""
    base = a_cost(100, (part("aten::to", 8), part("aten::mul", 40), part("aten::add", 4, "Linear")))
    head = a_cost(
        244,
        (
            part("aten::to", 136),
            part("aten::copy_", 400, op="aten::to"),
            part("aten::mul", 40),
            part("aten::add", 20, "Linear"),
            part("aten::to", 999, stage="encoder"),
            part("gemm", 999, kind="kernel"),
        ),
    )
    assert verdicts(base, head)["decode_aten_ops"].sentence == (
        "100 to 244 (+144.00 %): +32 aten::to a token, from Linear8bitLt, "
        "+4 aten::add a token, from Linear"
    )


def test_a_slower_kernel_is_named_by_its_time() -> None:
    """Of GPU time the cause is what took longer, though as many ran."""
    kernel = part("gemm", 40, kind="kernel", op="aten::mm", time_us=400.0)
    other = part("add", 40, kind="kernel", op="aten::add", time_us=100.0)
    base, head = a_cost(parts=(kernel, other)), a_cost()
    slow = msgspec.structs.replace(kernel, time_us=800.0)
    metrics = tuple(
        msgspec.structs.replace(metric, samples=(10.4,)) if metric.samples else metric
        for metric in head.metrics
    )
    head = msgspec.structs.replace(head, parts=(slow, other), metrics=metrics)
    lines = as_text(Comparison(judged=compare(make_run(base), make_run(head))))
    assert (
        "decode_gpu_time_ms: 10 to 10.4 ms (+4.00 %), at most 10.06: +100.0 us gemm a token, from"
        in lines
    )


def test_another_machine_is_not_comparable() -> None:
    """A figure whose conditions differ is not judged, with what differs; one without any is."""
    base = a_cost()
    metrics = tuple(
        msgspec.structs.replace(metric, conditions={"python": "3.14", "device": "x"})
        if metric.name.startswith("decode_aten")
        else metric
        for metric in a_cost(999).metrics
    )
    head = msgspec.structs.replace(a_cost(999), metrics=metrics)
    changes = verdicts(base, head)
    found = changes["decode_aten_ops"]
    assert found.verdict == "not-comparable"
    assert found.sentence == "device was unknown and is x; python was unknown and is 3.14"
    assert changes["encoder_aten_ops"].verdict == "regressed"


def test_what_only_one_side_has_is_said() -> None:
    """A cell or a figure that one run lacks is new or missing, and said once a cell."""
    other = msgspec.structs.replace(a_cost(), cell=make_cell("nf4", tokens=4))
    changes = compare(make_run(a_cost()), make_run(other))
    assert {(row.cell.precision, row.verdict.verdict) for row in changes} == {
        ("nf4", "new"),
        ("int8", "missing"),
    }
    assert as_text(Comparison(judged=changes)).splitlines() == [
        "new: cost, owner/whisper nf4, harbour, 4 tokens: 4 figures: the base did not measure it",
        "missing: cost, owner/whisper int8, harbour, 4 tokens: 4 figures: the head did not measure "
        "it",
        "new: record the baseline anew",
        "missing: measure it; or record the baseline anew",
        "8 figures compared: 4 new, 4 missing",
    ]
    extra = Metric(name="decode_kernels", unit="1", kind="exact", better="lower", value=0.0)
    more = msgspec.structs.replace(a_cost(), metrics=(*a_cost().metrics, extra))
    assert outcomes(a_cost(), more)["decode_kernels"] == "new"
    assert outcomes(more, a_cost())["decode_kernels"] == "missing"


@pytest.mark.parametrize(
    ("head", "exit_code"),
    [(a_cost(), 0), (a_cost(99), 0), (a_cost(101), 1), (make_measurement(), 4)],
)
def test_the_command_exits_with_its_verdict(
    tmp_path: Path, head: Measurement, exit_code: int
) -> None:
    """0 for ok and improved, 1 for a regression, 4 where something is missing."""
    done = compared(tmp_path, make_run(a_cost()), make_run(head))
    assert done.exit_code == exit_code
    assert " figures compared: " in done.stdout.splitlines()[-1]


def test_a_gpu_time_that_wobbles_is_inconclusive(tmp_path: Path) -> None:
    """Executions that differ by more than the tolerance decide nothing, and exit with 3."""
    wobbly = msgspec.structs.replace(
        a_cost(),
        metrics=tuple(
            msgspec.structs.replace(metric, samples=(10.0, 10.0, 10.11))
            if metric.samples
            else metric
            for metric in a_cost().metrics
        ),
    )
    assert outcomes(a_cost(), wobbly)["decode_gpu_time_ms"] == "inconclusive"
    assert outcomes(wobbly, a_cost())["decode_gpu_time_ms"] == "inconclusive"
    done = compared(tmp_path, make_run(a_cost()), make_run(wobbly))
    assert done.exit_code == 3
    assert "the head's own executions differ by 1.1 %; measure it again" in done.stdout


def test_a_figure_of_another_unit_is_not_comparable() -> None:
    """Unit, kind and direction must be the same, or the numbers mean different things."""
    for change in ({"unit": "MiB"}, {"kind": "memory"}, {"better": "higher"}):
        metrics = tuple(msgspec.structs.replace(metric, **change) for metric in a_cost().metrics)
        head = msgspec.structs.replace(a_cost(), metrics=metrics)
        assert "ok" not in outcomes(a_cost(), head).values()


def test_a_cell_that_is_there_twice_is_refused() -> None:
    """Of two measurements of one cell one would go unjudged."""
    with pytest.raises(InputError, match="the head has two measurements of cost"):
        compare(make_run(a_cost()), make_run(a_cost(), a_cost(999)))


def test_what_a_run_did_not_measure_is_no_pass(tmp_path: Path) -> None:
    """A benchmark that failed, and a count that could not be made, exit with 4 though all is ok."""
    done = ManifestEntry(benchmark="test_cost[a]", cell="a", outcome="measured")
    left = ManifestEntry(benchmark="test_cost[x]", cell="x", outcome="skipped", reason="deselected")
    failed = ManifestEntry(benchmark="test_cost[b]", cell="b", outcome="invalid", reason="differed")
    fine = make_run(a_cost(), manifest=(done, left))
    bad = make_run(a_cost(), manifest=(done, failed))
    assert compared(tmp_path, fine, fine).exit_code == 0
    for pair in ((fine, bad), (bad, fine)):
        found = compared(tmp_path, *pair)
        assert found.exit_code == 4
        assert "invalid: test_cost[b]: differed" in found.stdout
    uncounted = msgspec.structs.replace(a_cost(), notes={"not_counted": "no CUPTI"})
    found = compared(tmp_path, make_run(uncounted), make_run(uncounted))
    assert found.exit_code == 4
    assert "not counted: by the base: no CUPTI" in found.stdout


def test_copies_are_told_apart() -> None:
    """A wait's or a copy's cause is of its own direction, with the op that made it."""
    made = [
        part(name, 4 * times, kind=kind, op="aten::item")
        for times, (kind, name) in enumerate(
            [("copy", "dtoh"), ("copy", "htod"), ("sync", "cudaStreamSynchronize")], start=1
        )
    ]
    base, head = a_cost(), a_cost(parts=tuple(made))
    causes = {
        name: causes_of(base, head, f"decode_{name}") for name in ("copies_dtoh", "stream_syncs")
    }
    assert causes == {
        "copies_dtoh": ["+1 copy dtoh in aten::item a token, from Linear8bitLt"],
        "stream_syncs": ["+3 sync cudaStreamSynchronize in aten::item a token, from Linear8bitLt"],
    }
    assert causes_of(base, head, "decode_device_syncs") == []


def test_ops_are_told_apart_by_their_library() -> None:
    """Of torch's ops a grown count names torch's, of bitsandbytes' its own."""
    made = (part("aten::mul", 4), part("bitsandbytes::int8_scaled_mm", 8))
    base, head = a_cost(), a_cost(parts=made)
    assert causes_of(base, head, "decode_aten_ops") == ["+1 aten::mul a token, from Linear8bitLt"]
    assert causes_of(base, head, "decode_other_ops") == [
        "+2 bitsandbytes::int8_scaled_mm a token, from Linear8bitLt"
    ]


def test_grown_calls_name_their_functions() -> None:
    """Of Python calls the functions are the cause, and what is new before what was there."""
    before = {"decode": {"modules.forward": 4, "compiler.inner": 40}}
    after = {"decode": {"modules.forward": 8, "compiler.inner": 48, "hooks.new": 4}}
    base, head = a_cost(calls=before), a_cost(calls=after)
    assert causes_of(base, head, "decode_python_calls") == [
        "+1 hooks.new a token",
        "+2 compiler.inner a token",
        "+1 modules.forward a token",
    ]
    old = a_cost()  # its file keeps no functions
    assert causes_of(old, head, "decode_python_calls") == []
    assert causes_of(head, old, "decode_python_calls") == []


def test_grown_allocations_name_what_allocates() -> None:
    """Of allocations the ops that made them are the cause; of least work no part is known to be."""
    few, many = (part("", count, kind="allocation", op="aten::mul") for count in (8, 16))
    base, head = a_cost(parts=(few,)), a_cost(parts=(many, part("aten::view", 80)))
    assert causes_of(base, head, "decode_allocations") == [
        "+2 allocation in aten::mul a token, from Linear8bitLt"
    ]
    assert causes_of(a_cost(), head, "decode_allocations") == []  # its file keeps none
    assert causes_of(base, head, "decode_gflop") == []
    assert causes_of(base, head, "decode_allocated_peak_mib") == []


def test_nothing_to_compare_is_not_a_pass(tmp_path: Path) -> None:
    """Two runs without a measurement exit with 4; a file that is none with 2, in a line."""
    path = tmp_path / "run.json"
    path.write_text(json.dumps(make_run_file() | {"benchmarks": []}), encoding="utf-8")
    done = CliRunner().invoke(app, ["compare", str(path), str(path)])
    assert done.exit_code == 4
    assert done.stdout.endswith("\n0 figures compared: none\n")
    assert "base, 1 benchmarks were measured, and 0 are in the file" in done.stdout


def a_wall(*seconds: float) -> Measurement:
    """Make up a transcription in several processes."""
    row = make_measurement()
    latency = Metric(name="latency_s", unit="s", kind="wall", better="lower", processes=seconds)
    return msgspec.structs.replace(row, metrics=(latency,))


STEADY = (1.0, 1.01, 0.99, 1.005, 0.995)


def times(factor: float, processes: int = 5) -> tuple[float, ...]:
    """Return so many steady processes that are slower by a factor."""
    return tuple(factor * seconds for seconds in STEADY[:processes])


@pytest.mark.parametrize(
    ("head", "verdict", "said"),
    [
        (times(1.0), "ok", ""),
        (times(1.04), "ok", "(5 processes against 5)"),
        (times(1.1), "regressed", "1 to 1.1 s (+10.00 %), between +"),
        (times(0.9), "improved", ""),
        (times(1.1, processes=1), "inconclusive", "some are slow as a whole; record at least 3"),
        (times(1.0, processes=1), "ok", "(5 processes against 1: where one more would lie)"),
        ((1.0, 1.5, 0.7, 1.2, 0.9), "inconclusive", "may stay unseen, and 8.0 % is the tolerance"),
    ],
)
def test_wall_time_is_judged_by_processes(head: tuple[float, ...], verdict: str, said: str) -> None:
    """Slower, faster, the same within the tolerance, or not to be told: by what processes show."""
    found = verdicts(a_wall(*STEADY), a_wall(*head))["latency_s"]
    assert found.verdict == verdict
    assert said in found.sentence
    assert found.interval is not None


def test_a_derived_figure_is_not_judged() -> None:
    """A rate that is latency, divided, would only be judged twice."""
    row = a_wall(*STEADY)
    rate = Metric(name="rtfx", unit="1", kind="wall", better="higher", value=9.0, derived=True)
    more = msgspec.structs.replace(row, metrics=(*row.metrics, rate))
    assert list(outcomes(more, row)) == ["latency_s"]


@pytest.mark.parametrize(
    ("kind", "before", "most"),
    [("memory", 1000.0, 1028.0), ("quality", 0.1, 0.1), ("exact", 5.0, 5.0)],
)
def test_each_kind_has_its_rule(kind: Kind, before: float, most: float) -> None:
    """Memory may grow by 2 % and 8 MiB; error rates and counts not at all."""

    def row(value: float) -> Measurement:
        metric = Metric(name="x", unit="1", kind=kind, better="lower", value=value)
        return msgspec.structs.replace(make_measurement(), metrics=(metric,))

    found = verdicts(row(before), row(most))["x"]
    assert (found.verdict, found.limit) == ("ok", most)
    assert outcomes(row(before), row(most * 1.001))["x"] == "regressed"


def test_a_tolerance_holds_where_it_matches() -> None:
    """A row of suite.toml widens one figure of one precision; of two rows the last one holds."""
    row = Tolerance(
        metrics=("*_aten_ops",),
        models=("*",),
        precisions=("int8",),
        devices=("*",),
        share=0.02,
        reason="bitsandbytes 0.51 casts once more",
    )
    other = msgspec.structs.replace(row, precisions=("nf4",), share=1.0)
    base, head = make_run(a_cost(100)), make_run(a_cost(102))
    assert {each.verdict.verdict for each in compare(base, head, [row, other])} == {"ok"}
    finer = msgspec.structs.replace(row, share=0.01)
    assert "regressed" in {each.verdict.verdict for each in compare(base, head, [row, finer])}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"metrics": ("decode_aten_opps",)}, "no metric is called 'decode_aten_opps'"),
        ({"precisions": ("int9",)}, "no precision is called 'int9'"),
        ({"models": ("dummy:larger*",)}, "no dummy is called 'dummy:larger.'"),
        ({"models": ("dummy:tiny:5",)}, "no dummy is called 'dummy:tiny:5'"),
        ({"metrics": ("rtfx*",)}, "it is another figure, divided by something"),
        ({"devices": ("NVIDIA*",)}, "no device key is like 'NVIDIA.'"),
        (
            {"metrics": ("latency_s",), "share": 0.001},
            "finer than unchanged code wobbles: set share to 0.02",
        ),
    ],
)
def test_a_tolerance_that_cannot_hold_is_an_error(fields: dict[str, object], message: str) -> None:
    """A misspelt name, or a tolerance finer than the noise, is refused when suite.toml is read."""
    row = {
        "metrics": ["decode_aten_ops"],
        "models": ["*"],
        "precisions": ["*"],
        "devices": ["*"],
        "share": 0.1,
        "reason": "x",
    }
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert(row | fields, Tolerance)


def test_what_must_match_for_a_comparison() -> None:
    """Other tokens, another clip's bytes, another benchmark body or device: not comparable."""
    base = a_wall(*STEADY)
    for change, said in (
        ({"tokens": 32}, "tokens was 64 and is 32"),
        ({"clip_sha256": "fff"}, "clip sha256 was def and is fff"),
    ):
        cell = msgspec.structs.replace(base.cell, **change)
        found = verdicts(base, msgspec.structs.replace(base, cell=cell))["latency_s"]
        assert (found.verdict, found.sentence) == ("not-comparable", said)
    body = msgspec.structs.replace(base, body="another")
    assert "benchmark's code has changed" in verdicts(base, body)["latency_s"].sentence
    elsewhere = msgspec.structs.replace(MACHINE, device_key="nvidia-t4")
    (each,) = compare(make_run(base), make_run(base, machine=elsewhere))
    assert each.verdict.verdict == "not-comparable"
    assert each.verdict.sentence.startswith("device key was")


def test_another_card_of_the_model_widens_the_tolerances() -> None:
    """2 % of GPU time is a regression on one card, and allowed on another of its model."""
    here = msgspec.structs.replace(MACHINE, gpu_uuid="GPU-one")
    head = a_cost()
    metrics = tuple(
        msgspec.structs.replace(metric, samples=(10.2,)) if metric.samples else metric
        for metric in head.metrics
    )
    base = make_run(a_cost(), machine=here)
    head = msgspec.structs.replace(head, metrics=metrics)
    other = msgspec.structs.replace(MACHINE, gpu_uuid="GPU-other", driver="1.2")
    again = make_run(head, machine=here)
    assert "regressed" in {each.verdict.verdict for each in compare(base, again)}
    unknown = compare(base, make_run(head, machine=msgspec.structs.replace(here, gpu_uuid=None)))
    assert "not-comparable" in {each.verdict.verdict for each in unknown}
    there = make_run(head, machine=other)
    assert {each.verdict.verdict for each in compare(base, there)} == {"ok"}
    said = Gate(base, other).circumstances()
    assert said[0].startswith(
        "another card of the same model: tolerances are wider, device time by"
    )
    assert said[1].startswith("driver was")


def test_changed_libraries_are_suspects() -> None:
    """A library that changed is no reason not to compare; it is named."""
    other = msgspec.structs.replace(MACHINE, versions=MACHINE.versions | {"torch": "9.9"})
    (said,) = Gate(make_run(), other).circumstances()
    assert said == f"suspect: torch was {MACHINE.versions['torch']} and is 9.9"


def test_other_formats_say_the_same() -> None:
    """Markdown has a row for each line of text, without markup of the file's; JSON has all."""
    base, head = make_run(a_cost()), make_run(a_cost(101))
    judged = compare(base, head)
    said = ["suspect: a|b of https://x.y"]
    found = Comparison(judged=judged, unmeasured=["head, failed: it"], circumstances=said)
    table = as_markdown(found)
    assert "| regressed | cost, owner/whisper int8, harbour, 4 tokens |" in table
    assert "- suspect: a\\|b of https&#58;//x.y" in table
    assert "- head, failed: it" in table
    content = json.loads(as_json(found))
    assert content["exit_code"] == 1
    assert content["unmeasured"] == ["head, failed: it"]
    assert content["circumstances"] == said
    assert len(content["verdicts"]) == len(judged) == 4
    assert content["verdicts"][0]["cell"]["precision"] == "int8"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("wall", "latency_s"),
        ("device_time", "decode_gpu_time_ms"),
        ("memory", "peak_process_mib"),
        ("exact", "weight_mib"),
        ("exact", "decode_aten_ops"),
    ],
)
def test_what_cannot_be_zero_is_no_improvement(kind: Kind, name: str) -> None:
    """A time, a memory or a count of nothing was not looked at: invalid, on either side."""

    def row(value: float) -> Measurement:
        metric = Metric(name=name, unit="1", kind=kind, better="lower", value=value)
        return msgspec.structs.replace(make_measurement(), metrics=(metric,))

    for before, after in ((5.0, 0.0), (0.0, 5.0), (0.0, 0.0)):
        assert outcomes(row(before), row(after))[name] == "invalid"


def test_processes_that_do_not_agree_are_not_believed() -> None:
    """GPU times that one process has five times over decide nothing; error rates must agree."""

    def row(kind: Kind, *figures: float) -> Measurement:
        metric = Metric(name="x", unit="1", kind=kind, better="lower", processes=figures)
        return msgspec.structs.replace(make_measurement(), metrics=(metric,))

    steady, wild = (10.0, 10.0, 10.0), (10.0, 10.0, 50.0)
    assert outcomes(row("device_time", *steady), row("device_time", *wild)) == {"x": "inconclusive"}
    assert outcomes(row("quality", *steady), row("quality", *wild)) == {"x": "invalid"}


def test_another_checkpoint_is_a_suspect() -> None:
    """Other weights under the same name are named."""
    row = a_wall(*STEADY)
    other = msgspec.structs.replace(row, cell=msgspec.structs.replace(row.cell, checkpoint="new"))
    gate = Gate(make_run(row), MACHINE)
    gate.judge(other)
    assert gate.circumstances() == ["suspect: the checkpoint owner/whisper was abc and is new"]


def test_a_tolerance_that_matched_nothing_is_said() -> None:
    """A row for this device whose names fit no figure is named: perhaps one is misspelt."""
    row = Tolerance(
        metrics=("*_aten_ops",),
        models=("openai/whisper-larg-v3",),
        precisions=("int8",),
        devices=("*",),
        reason="x",
    )
    elsewhere = msgspec.structs.replace(row, devices=("cpu-*",))
    gate = Gate(make_run(a_cost()), MACHINE, [row, elsewhere])
    gate.judge_all([a_cost()])
    (said,) = gate.circumstances()
    assert "openai/whisper-larg-v3 int8 matched nothing here" in said


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_the_smallest_times_do_not_overflow(better: Literal["lower", "higher"]) -> None:
    """A file may hold any finite figure: the farthest apart are judged, and printed, as well."""

    def row(*figures: float) -> Measurement:
        metric = Metric(name="x", unit="s", kind="wall", better=better, processes=figures)
        return msgspec.structs.replace(make_measurement(), metrics=(metric,))

    tiny = row(1e-310, 2e-310, 1.5e-310)
    found = verdicts(tiny, row(1.0, 1.1, 1.2))["x"]
    assert found.verdict == ("regressed" if better == "lower" else "improved")
    assert "nan" not in found.sentence
    slower = verdicts(row(1.0, 1.01, 1.02), row(0.5, 0.51, 0.52))["x"]
    assert slower.verdict == ("improved" if better == "lower" else "regressed")


def test_a_base_of_few_processes_decides_nothing() -> None:
    """One process of the base may be the slow one: neither better nor as good is said by it."""
    for count in (1, 2):
        assert outcomes(a_wall(*times(1.3, count)), a_wall(*STEADY))["latency_s"] == "inconclusive"
    assert outcomes(a_wall(*times(1.3, 3)), a_wall(*STEADY))["latency_s"] == "improved"
