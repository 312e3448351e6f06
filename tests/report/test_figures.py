"""Every figure of a run as a line: CSV and JSON lines, with documented columns."""

from __future__ import annotations

import csv
import json
import re
from io import StringIO

import msgspec
import pytest

from tests.runs import make_cell, make_cost, make_measurement, make_memory, make_run
from whisperbench.asked.checkout import ROOT
from whisperbench.report.figures import COLUMNS, FORMATS, as_csv, as_jsonl
from whisperbench.results.figure import Metric
from whisperbench.results.records import ManifestEntry, Measurement, Run, Shard, Verdict

DOCUMENT = ROOT / "docs" / "results-columns.md"


def lines_of(written: str, text: str) -> list[dict[str, str]]:
    """Read lines of either format, every value as text."""
    if written == "csv":
        return list(csv.DictReader(StringIO(text)))
    rows = [json.loads(line) for line in text.splitlines()]
    return [
        {name: "" if value is None else json.dumps(value).strip('"') for name, value in row.items()}
        for row in rows
    ]


def make_three() -> Run:
    """Make up a run of three benchmarks."""
    return make_run(
        make_measurement(samples=(1.0, 1.5, 3.0), tokens=None, weight_mib=100.0),
        make_memory(make_cell(), {"steady_call_peak_process_mib": 3000.0}),
        make_cost(make_cell(), {"aten_ops": 10}),
    )


@pytest.mark.parametrize("written", FORMATS)
def test_every_figure_has_a_line(written: str) -> None:
    """As many lines as the file has metrics, each with its cell, unit, kind and value."""
    run = make_three()
    lines = lines_of(written, FORMATS[written]([("run.json", run)]))
    assert len(lines) == sum(len(row.metrics) for row in run.measurements)
    (latency,) = [line for line in lines if line["metric"] == "latency_s"]
    assert {name: latency[name] for name in ("value", "samples", "lowest", "highest")} == {
        "value": "1.5",
        "samples": "3",
        "lowest": "1.0",
        "highest": "3.0",
    }
    assert (latency["file"], latency["unit"], latency["kind"]) == ("run.json", "s", "wall")
    assert (latency["tokens"], latency["batch_size"], latency["derived"]) == ("", "1", "false")
    assert latency["device_key"] == run.machine.device_key


@pytest.mark.parametrize("written", FORMATS)
def test_both_formats_have_the_columns_of_the_registry(written: str) -> None:
    """In its order, in every line."""
    (first, *_) = lines_of(written, FORMATS[written]([("run.json", make_three())]))
    assert [*first] == [column.name for column in COLUMNS]


def test_the_document_has_the_registrys_columns() -> None:
    """docs/results-columns.md names every column in its order, and says what the registry says."""
    text = DOCUMENT.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", text, flags=re.MULTILINE)
    assert rows == [(column.name, column.means) for column in COLUMNS]


@pytest.mark.parametrize("written", FORMATS)
def test_what_was_not_measured_has_a_line(written: str) -> None:
    """A benchmark that failed stands there with its reason; one that was deselected does not."""
    entries = (
        ManifestEntry(benchmark="test[0]", cell="0", outcome="measured"),
        ManifestEntry(benchmark="test[1]", cell="1", outcome="failed", reason="it broke"),
        ManifestEntry(benchmark="test[2]", cell="2", outcome="skipped", reason="deselected"),
    )
    run = make_run(make_measurement(), manifest=entries)
    lines = lines_of(written, FORMATS[written]([("run.json", run)]))
    assert [line["outcome"] for line in lines] == ["measured", "failed"]
    assert (lines[-1]["benchmark"], lines[-1]["reason"]) == ("test[1]", "it broke")
    assert lines[-1]["value"] == ""


def test_memory_that_ran_out_is_not_measured() -> None:
    """Peaks of as far as a cell got are marked: they are no peak of a transcription."""
    run = make_run(make_memory(make_cell(), {"load_peak_process_mib": 612.0}))
    (line,) = lines_of("csv", as_csv([("run.json", run)]))
    assert (line["outcome"], line["value"]) == ("over-limit", "612.0")


def test_the_worst_verdict_stands_beside_its_figure() -> None:
    """Of two limits on one metric the one that was broken, and none beside other metrics."""

    def make_verdict(verdict: str, limit: float) -> Verdict:
        made = Verdict(
            verdict="ok", metric="steady_call_peak_process_mib", unit="MiB", sentence="x"
        )
        return msgspec.convert(msgspec.to_builtins(made) | {"verdict": verdict, "limit": limit},
                               Verdict)  # fmt: skip

    row = make_memory(
        make_cell(),
        {"steady_call_peak_process_mib": 30.0, "weight_mib": 1.0},
        verdicts=(make_verdict("ok", 40.0), make_verdict("over-limit", 20.0)),
    )
    lines = lines_of("csv", as_csv([("run.json", make_run(row))]))
    assert [(line["verdict"], line["limit"]) for line in lines] == [
        ("over-limit", "20.0"),
        ("", ""),
    ]


def test_a_baselines_processes_are_its_samples() -> None:
    """Their middle, and how many there are."""
    metric = Metric(
        name="latency_s", unit="s", kind="wall", better="lower", processes=(1.0, 2.0, 9.0)
    )
    row = msgspec.structs.replace(make_measurement(), metrics=(metric,))
    (line,) = lines_of("csv", as_csv([("run.json", make_run(row))]))
    assert (line["value"], line["samples"], line["highest"]) == ("2.0", "3", "9.0")


HOSTILE = '=cmd|" /C calc"!A0,\'x'


def make_hostile() -> Measurement:
    """Make up a measurement of a model whose name a spreadsheet would run."""
    return make_measurement(model=HOSTILE)


def test_a_spreadsheet_takes_no_name_for_a_formula() -> None:
    """An apostrophe stands before it in CSV; commas and quotes stay within their cell."""
    (line,) = lines_of("csv", as_csv([("+1.json", make_run(make_hostile()))]))
    assert (line["model"], line["file"]) == (f"'{HOSTILE}", "'+1.json")


def test_json_lines_keep_a_name_as_it_is() -> None:
    """For a program there are no formulas."""
    (line,) = as_jsonl([("run.json", make_run(make_hostile()))]).splitlines()
    assert json.loads(line)["model"] == HOSTILE


def test_several_runs_are_one_table() -> None:
    """One line of headings, and each line names its file."""
    lines = lines_of("csv", as_csv([("a.json", make_three()), ("b.json", make_three())]))
    assert {line["file"] for line in lines} == {"a.json", "b.json"}
    assert len(lines) == 2 * len(lines_of("csv", as_csv([("a.json", make_three())])))


def test_what_other_shards_measure_is_none_of_this_files() -> None:
    """A shard's file has no lines for the others' benchmarks."""
    entries = (
        ManifestEntry(benchmark="test[0]", cell="0", outcome="measured", shard=1),
        ManifestEntry(benchmark="test[1]", cell="1", outcome="skipped", reason="x", shard=2),
    )
    run = make_run(make_measurement(), manifest=entries)
    shard = Shard(index=1, of=2, times="", settings={})
    run = msgspec.structs.replace(run, info=msgspec.structs.replace(run.info, shard=shard))
    lines = lines_of("csv", as_csv([("run.json", run)]))
    assert [line["benchmark"] for line in lines] == ["transcribe"]
