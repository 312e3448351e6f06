"""The table of contenders: over several files of a device, in every format, and its errors."""

from __future__ import annotations

import json
from collections.abc import Callable

import altair
import msgspec
import pytest

from tests.report.cases import CASES, heard, held, ran_out, timed
from tests.runs import CPU_MACHINE, make_run
from whisperbench.errors import InputError
from whisperbench.report.charts.all import Pictured, charts_of
from whisperbench.report.contenders import instead, sentences
from whisperbench.report.contenders_text import FORMATS, Contenders, contenders_of
from whisperbench.report.page.html import as_html
from whisperbench.report.page.sections import page_of
from whisperbench.report.placing import frontier_of
from whisperbench.report.standing import subjects_of
from whisperbench.results.records import Measurement, Run

QUICKEST = CASES["compiled fp16 is the quickest"]


def one(*runs: Run) -> Contenders:
    """Make the contenders of runs of one model."""
    (found,) = contenders_of([(f"run{place}.json", run) for place, run in enumerate(runs)])
    return found


def test_what_compiling_gives_is_asked_where_the_gpu_waits() -> None:
    """Not where that was measured, where the GPU works most of the time, or on a CPU."""
    hint = "--precision fp16,fp16-compiled measures what torch.compile makes of that"
    told = {
        name: hint in " ".join(" ".join(lines) for _, lines in instead(subjects_of(run), machine))
        for name in ("gpu", "int8 is faster", "compiled fp16 is the quickest", "cpu")
        for run in (CASES[name](),)
        for machine in (run.machine,)
    }
    assert told == {
        "gpu": True,
        "int8 is faster": False,
        "compiled fp16 is the quickest": False,
        "cpu": False,
    }


@pytest.mark.parametrize("written", FORMATS)
def test_golden(written: str, golden: Callable[[str, str], None]) -> None:
    """The table of four contenders, to the letter."""
    text = FORMATS[written](contenders_of([("run.json", QUICKEST())]))
    golden(f"contenders.{written}", text)


def test_contenders_of_several_files_are_one_table() -> None:
    """Passes and precisions may stand in several files; times of several processes differ more."""
    whole = one(QUICKEST())
    times = make_run(*(row for row in QUICKEST().measurements if row.benchmark == "transcribe"))
    rest = make_run(*(row for row in QUICKEST().measurements if row.benchmark != "transcribe"))
    assert one(times, rest) == whole
    near = (timed("fp16", 1.0), held("fp16")), (timed("nf4", 0.85), held("nf4", 3960.0))
    assert not one(make_run(*near[0], *near[1])).rows[1].stands
    assert all(row.stands for row in one(make_run(*near[0]), make_run(*near[1])).rows)


def test_files_of_two_stacks_are_told() -> None:
    """One sentence says it of all that differ alike; an extra that one lacks is no difference."""
    run = QUICKEST()
    rows = run.measurements
    other = msgspec.structs.replace(run.machine, versions={**run.machine.versions, "torch": "2.12"})
    extra = msgspec.structs.replace(run.machine, versions={**run.machine.versions, "torchao": "1"})
    half = msgspec.structs.replace(run, measurements=rows[::2])
    rest = msgspec.structs.replace(run, measurements=rows[1::2])
    later = msgspec.structs.replace(rest, machine=other, measurements=rest.measurements[:1])
    last = msgspec.structs.replace(rest, machine=other, measurements=rest.measurements[1:])
    (found,) = contenders_of([("a.json", half), ("b.json", later), ("c.json", last)])
    said = "b.json and c.json were measured with another stack than a.json: the version of torch "
    assert found.sentences[-1].startswith(said)
    assert not any("another stack" in each for each in found.sentences[:-1])
    with_extra = msgspec.structs.replace(rest, machine=extra)
    for same in (rest, with_extra):
        assert not any("another stack" in each for each in one(half, same).sentences)
    newer = msgspec.structs.replace(run.machine, versions={**run.machine.versions, "torchao": "2"})
    files = [
        ("a.json", half),
        ("b.json", msgspec.structs.replace(later, machine=extra)),
        ("c.json", msgspec.structs.replace(last, machine=newer)),
    ]
    assert contenders_of(files)[0].sentences[-1] == (
        "c.json was measured with another stack than b.json: the version of torchao was 1 and is 2."
    )


def test_what_stands_comes_first_and_the_quickest_of_it() -> None:
    """Those that are beaten come last."""
    rows = one(QUICKEST()).rows
    assert [row.precision for row in rows] == ["fp16-compiled", "nf4", "int8", "fp16"]
    assert [row.stands for row in rows] == [True, True, True, False]


def test_of_two_precisions_the_command_has_a_table_and_the_summary_no_section() -> None:
    """What 8-bit costs is told of two; what to take instead takes a third."""
    run = make_run(timed("fp16"), held("fp16"), timed("int8"), held("int8"))
    assert len(one(run).rows) == 2
    assert frontier_of(subjects_of(run)[0], on_host=False) is None


def test_who_ran_out_of_memory_is_named() -> None:
    """It is not placed, and no sentence calls it beaten."""
    run = make_run(*map(timed, ("fp16", "int8", "nf4")), ran_out("fp16"), held("int8"), held("nf4"))
    said = " ".join(one(run).sentences)
    assert "fp16 ran out of memory, and is not placed" in said
    assert "nf4 beats int8" in said


def with_tokens(row: Measurement, tokens: int | None) -> Measurement:
    """Return what was timed, of another number of tokens."""
    return msgspec.structs.replace(row, cell=msgspec.structs.replace(row.cell, tokens=tokens))


def test_times_of_other_work_are_not_placed() -> None:
    """Who decoded another number of tokens than most did is named, and neither beats nor loses."""
    other = with_tokens(timed("int8", 0.01), 32)
    run = make_run(timed("fp16"), other, timed("nf4"), *map(held, ("fp16", "int8", "nf4")))
    found = one(run)
    assert found.tokens == 64
    assert "int8 is not placed: its time was not measured." in found.sentences
    lost = next(row for row in found.rows if row.precision == "int8")
    assert (lost.stands, lost.beaten_by, lost.time_s) == (False, {}, None)


def test_who_has_natural_length_alone_is_held_against_others_at_it() -> None:
    """People's own transcribers have no fixed count: natural length, which all have, counts."""
    natural = {"fp16": 2.0, "int8": 9.0, "fp16-compiled": 1.0}
    rows = [
        *(timed(name) for name in ("fp16", "int8")),
        *(with_tokens(timed(name, seconds), None) for name, seconds in natural.items()),
    ]
    run = make_run(*rows, *map(held, ("fp16", "int8", "fp16-compiled")))
    found = one(run)
    assert found.tokens is None
    assert {row.precision: row.time_s for row in found.rows} == natural
    assert found.rows[0].times == 0.5


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ((QUICKEST(), QUICKEST()), "run1.json: has transcribe of owner/whisper fp16, and so has"),
        ((QUICKEST(), make_run(machine=CPU_MACHINE)), "run1.json: is of cpu-"),
        ((make_run(heard("fp16")),), "run0.json: has no contenders: no transcription was timed"),
        (
            (
                QUICKEST(),
                msgspec.structs.replace(
                    make_run(), info=msgspec.structs.replace(make_run().info, reference="fp32")
                ),
            ),
            "run1.json: its ratios are against fp32",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(runs: tuple[Run, ...], said: str) -> None:
    """Another device, another reference, one cell twice: one line, with the file's name."""
    with pytest.raises(InputError) as caught:
        one(*runs)
    assert str(caught.value).startswith(said)


def test_the_picture_and_the_page_say_who_is_beaten() -> None:
    """A beaten point is hollow, its hover text and the description name the winner."""
    about = Pictured(run=QUICKEST())
    chart = charts_of(about)["time-memory"]
    values = chart.specification["data"]["values"]
    hollow = [row["precision"] for row in values if row["kind"] == "beaten"]
    assert hollow == ["fp16"]
    assert "fp16 takes 862 ms and 3.87 GiB and is beaten by fp16-compiled" in chart.alt
    assert any("hollow point is beaten" in note for note in chart.notes)
    assert "beaten by" in chart.table.headings
    altair.Chart.from_dict(chart.specification)
    marks = [layer["mark"] for layer in chart.specification["layer"]]
    assert any(mark.get("filled") is False for mark in marks)
    page = as_html(page_of(about, {}))
    assert "And what should I take instead?" in page
    assert "fp16-compiled beats fp16" in page


def test_names_in_files_are_no_markup() -> None:
    """A precision that a file names strangely is text in Markdown, and valid JSON."""
    rows = [
        msgspec.structs.replace(
            row, cell=msgspec.structs.replace(row.cell, precision="a|b<i>`" + row.cell.precision)
        )
        for row in QUICKEST().measurements
    ]
    found = contenders_of([("run.json", make_run(*rows))])
    assert "<i>" not in FORMATS["markdown"](found)
    assert json.loads(FORMATS["json"](found))[0]["rows"]


def test_every_case_has_whole_sentences() -> None:
    """Nothing unknown is in them, and each ends with a full stop."""
    for make in CASES.values():
        run = make()
        for subject in subjects_of(run):
            found = frontier_of(subject, on_host=run.machine.on_host, fewest=2)
            for sentence in sentences(subject, found) if found and found.standing else ():
                assert sentence.endswith(".")
                assert "nan" not in sentence.replace("nano", "")
