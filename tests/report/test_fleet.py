"""One table of many devices: which precision on which card, what it costs, what fits."""

from __future__ import annotations

import json
import re

import msgspec
import pytest

from tests.runs import MACHINE, make_cell, make_cost, make_measurement, make_memory, make_run
from whisperbench.errors import InputError
from whisperbench.report.fleet import fleet_of
from whisperbench.report.fleet_text import as_json, as_markdown, as_text
from whisperbench.results.records import Machine, Measurement, Run, Verdict

L4 = msgspec.structs.replace(
    MACHINE,
    device_key="nvidia-l4-sm89-24gib",
    device="NVIDIA L4",
    memory_mib=24000,
    versions=MACHINE.versions | {"torch": "2.12.0"},
)

OVER = Verdict(verdict="over-limit", metric="peak_process_mib", unit="MiB", sentence="too much")


def make_device(machine: Machine, slower: float = 1.0, *more: Measurement) -> Run:
    """Make up a run in fp16 and int8: int8 takes three times the time, and half the memory."""
    rows = []
    for precision, seconds, mib in (("fp16", 1.0, 3000.0), ("int8", 3.0, 1500.0)):
        cell = make_cell(precision)
        rows += [
            make_measurement(precision=precision, samples=(seconds * slower,) * 3, rtfx=9.0),
            make_memory(cell, {"weight_mib": 100.0, "peak_process_mib": mib}),
            make_cost(cell, {"aten_ops": 10}, gpu_ms=seconds * 5),
        ]
    return make_run(*rows, *more, machine=machine)


def test_each_precision_of_each_device_has_a_row() -> None:
    """Its p50, what that is of the reference's, its GPU time, its peak and the card's share."""
    fleet = fleet_of([("a", make_device(MACHINE)), ("b", make_device(L4, 4.0))])
    rows = {(row.device, row.precision): row for row in fleet.rows}
    assert len(rows) == 4
    row = rows[L4.device_key, "int8"]
    assert (row.latency_s, row.latency_ratio, row.gpu_time_ms) == (12.0, 3.0, 30.0)
    assert (row.peak_mib, row.peak_share, row.fixed_tokens) == (1500.0, 1500 / 24000, True)
    assert rows[MACHINE.device_key, "fp16"].latency_ratio == 1.0


def test_the_answers_are_said() -> None:
    """Of each device the quickest precision and the smallest, and what the second costs in time."""
    fleet = fleet_of([("a", make_device(MACHINE)), ("b", make_device(L4))])
    assert (
        f"owner/whisper on {L4.device_key}: fp16 is the quickest (1.00 s); int8 takes the least "
        "memory (1500 MiB, 0.50 of fp16's, in 3.00 times the time)"
    ) in fleet.remarks


def test_what_differs_beside_the_device_is_a_suspect() -> None:
    """Other versions may be why figures differ; what is equal is not named."""
    found = fleet_of([("a", make_device(MACHINE)), ("b", make_device(L4))]).remarks
    suspects = [line for line in found if line.startswith("suspect")]
    assert suspects == [
        f"suspect: torch differs: 2.11.0 on {MACHINE.device_key}, 2.12.0 on {L4.device_key}"
    ]


def test_what_does_not_fit_is_said_and_recommended_nowhere() -> None:
    """A cell over its limit, or out of memory, is neither the quickest nor the smallest."""
    over = make_memory(make_cell("nf4"), {"peak_process_mib": 10.0}, verdicts=(OVER,))
    out = make_memory(make_cell("fp32"), {})
    quick = make_measurement(precision="nf4", samples=(0.1, 0.1, 0.1))
    fleet = fleet_of([("a", make_device(MACHINE, 1.0, over, out, quick))])
    rows = {row.precision: row for row in fleet.rows}
    assert rows["nf4"].over_limit == ("peak_process_mib",)
    assert rows["fp32"].over_limit == ("out of memory",)
    assert rows["fp16"].over_limit == ()
    (answer,) = [line for line in fleet.remarks if "quickest" in line]
    assert "fp16 is the quickest" in answer
    assert "over: out of memory" in as_text(fleet)


def test_one_cell_twice_is_refused() -> None:
    """Of two figures for one question one would be forgotten: both files are named."""
    with pytest.raises(InputError, match=r"b: has owner/whisper fp16 on nvidia-h200.*and so has a"):
        fleet_of([("a", make_device(MACHINE)), ("b", make_device(MACHINE))])


def test_what_was_not_measured_is_named() -> None:
    """A run that is not whole is shown with what it lacks."""
    run = make_device(MACHINE)
    entry = msgspec.structs.replace(run.info.manifest[0], outcome="failed", reason="it broke")
    info = msgspec.structs.replace(run.info, manifest=(entry, *run.info.manifest[1:]))
    broken = msgspec.structs.replace(run, info=info)
    assert "a: failed: test[0]: it broke" in fleet_of([("a", broken)]).remarks


def test_times_of_other_lengths_have_no_ratio() -> None:
    """A transcript of natural length takes another time than the fixed number of tokens."""
    natural = make_measurement(precision="fp16", tokens=None)
    fixed = make_measurement(precision="int8")
    rows = fleet_of([("a", make_run(natural, fixed))]).rows
    assert [row.latency_ratio for row in rows] == [1.0, None]


def test_a_baseline_of_several_processes_has_their_middle() -> None:
    """The middle p50, and the highest peak."""
    run = make_device(MACHINE)
    rows = [
        msgspec.structs.replace(
            row,
            metrics=tuple(
                msgspec.structs.replace(metric, value=None, samples=None, processes=(1.0, 2.0, 9.0))
                for metric in row.metrics
            ),
        )
        for row in run.measurements
    ]
    found = fleet_of([("a", msgspec.structs.replace(run, measurements=tuple(rows)))]).rows[0]
    assert (found.latency_s, found.peak_mib) == (2.0, 9.0)


def test_every_format_has_every_row() -> None:
    """Text, Markdown and JSON have the same rows; a column that nothing fills is left out."""
    fleet = fleet_of([("a", make_device(MACHINE)), ("b", make_device(L4))])
    text, page, data = as_text(fleet), as_markdown(fleet), json.loads(as_json(fleet))
    for written in (text, page):
        for key in (MACHINE.device_key, L4.device_key):
            assert sum(key in line for line in written.splitlines()) >= 3
        assert "WER" not in written
    assert max(map(len, text.splitlines()[:8])) <= 120
    assert [row["precision"] for row in data["rows"]] == ["fp16", "int8"] * 2


def test_what_a_file_says_is_no_markup() -> None:
    """A model's or a device's name is data, whoever has written the file."""
    hostile = msgspec.structs.replace(MACHINE, device="<img src=x> @all | `rm`")
    row = make_measurement(model="a|b<img>@me")
    page = as_markdown(fleet_of([("a", make_run(row, machine=hostile))]))
    assert re.search(r"(?<!\\)<", page) is None
    assert "@" not in page
    assert "a\\|b\\<img\\>&#64;&#8203;me" in page
