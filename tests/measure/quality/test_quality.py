"""What was heard becomes figures, is judged by limits, and is written clip by clip."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from tests.runs import MACHINE, make_cell, make_measurement, make_run, make_run_file
from whisperbench.asked.suite import Limit, Tolerance
from whisperbench.cli import app
from whisperbench.judge.compare import compare
from whisperbench.judge.limits import applying, judge
from whisperbench.measure.quality.scoring import Quality, rate
from whisperbench.report.summary import WIDTH, summarise
from whisperbench.results.heard import HeardClip, lines_of
from whisperbench.results.metrics import figures as make_figures
from whisperbench.results.passes import NumericsResult, QualityResult
from whisperbench.results.records import Cell, Measurement

TEXT = "the rain began just as we reached the door"


def heard(*transcripts: str, text: str = TEXT) -> list[HeardClip]:
    """Make up clips of one text and what was heard of each."""
    return [
        HeardClip(
            name=f"clip {number}",
            seconds=3.0,
            language="en",
            reference=text,
            transcript=transcript,
            tokens=len(transcript.split()),
        )
        for number, transcript in enumerate(transcripts)
    ]


def figures(quality: Quality) -> dict[str, float]:
    """Return its figures by name."""
    return quality.values


def a_quality(precision: str, *transcripts: str, base: Quality | None = None) -> Measurement:
    """Make up the measurement of what a precision heard."""
    found = rate(heard(*transcripts), base.found.clips if base is not None else None)
    cell = msgspec.structs.replace(make_cell(precision, tokens=None), clip="clips")
    return measured(cell, found)


def measured(cell: Cell, found: Quality) -> Measurement:
    """Make up the measurement of what was heard."""
    metrics = make_figures(found.values, found.conditions)
    return Measurement(benchmark="quality", cell=cell, metrics=metrics, found=found.found)


def quality_of(row: Measurement) -> QualityResult:
    """Return what a quality pass has found."""
    assert isinstance(row.found, QualityResult)
    return row.found


def test_error_rates_are_pooled() -> None:
    """Edits over all words; a clip in silence that was heard as words counts, and is named."""
    found = rate([*heard(TEXT, TEXT.replace("rain", "train")), *heard("you", text="")], None)
    assert figures(found)["wer"] == pytest.approx(2 / 18)
    assert figures(found)["talking_silences"] == 1
    assert figures(found)["empty_clips"] == 0
    assert found.found.clips[2].signs == ("talks in silence",)


def test_the_difference_to_the_reference_has_an_interval() -> None:
    """Two more wrong words of 27, in one of three clips."""
    base = rate(heard(TEXT, TEXT, TEXT), None)
    assert "wer_over_reference" not in figures(base)
    found = rate(heard(TEXT, TEXT, TEXT.replace("rain began", "train")), base.found.clips)
    assert figures(found)["wer_over_reference"] == pytest.approx(2 / 27)
    assert found.found.over_reference == pytest.approx((0.0, 2 / 9))


def limit(metric: str, **bounds: float) -> Limit:
    """Make up a limit on int8."""
    row = {"models": ["*"], "precisions": ["int8"], "devices": ["*"], "reason": "x"}
    return msgspec.convert(row | {"metric": metric} | bounds, Limit)


@pytest.mark.parametrize(
    ("value", "bounds", "verdict"),
    [
        (0.1, {"max": 0.1}, "ok"),
        (0.1001, {"max": 0.1}, "over-limit"),
        (0.9, {"min": 0.9}, "ok"),
        (0.8999, {"min": 0.9}, "over-limit"),
    ],
)
def test_a_limit_is_where_it_is(value: float, bounds: dict[str, float], verdict: str) -> None:
    """At most and at least, to the last digit."""
    (found,) = judge(make_cell("int8"), {"wer": value}, [limit("wer", **bounds)], {}, "fp16")
    assert (found.verdict, found.limit) == (verdict, next(iter(bounds.values())))


def test_what_a_limit_is_on_must_be_measured() -> None:
    """It is missing otherwise; of another pass it is not asked, nor of the reference itself."""
    limits = [limit("wer", max=1), limit("wer_over_reference", max=1), limit("logit_error", max=1)]
    cell = make_cell("int8")
    here = applying(limits, "quality", cell, "cpu-x")
    assert here == limits[:2]
    found = judge(cell, {}, here, {}, "fp16")
    assert [(row.metric, row.verdict, row.absent) for row in found] == [
        ("wer", "missing", None),
        ("wer_over_reference", "missing", "fp16"),
    ]
    assert judge(cell, {}, here[1:], {}, "int8") == ()
    assert applying(limits, "quality", make_cell("nf4"), "cpu-x") == []


def test_what_is_over_a_limit_of_words_is_told_all() -> None:
    """The sentence holds the cell, the figure, the limit, its reason and what to do."""
    cell = make_cell("int8", attention="eager")
    (most,) = judge(cell, {"wer": 0.15}, [limit("wer", max=0.1)], {}, "fp16")
    assert most.sentence == (
        "owner/whisper int8 eager: wer is 0.15, 0.05 over its limit of 0.1 (x); find out why, or "
        "change the limit in benchmarks/suite.toml and say why"
    )
    (least,) = judge(cell, {"top1_agreement": 0.8}, [limit("top1_agreement", min=0.9)], {}, "fp16")
    assert "top1_agreement is 0.8, 0.1 under its limit of 0.9 (x); find out why" in least.sentence


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"metric": "wer*"}, "limit on wer.: no such metric .*; choose one of wer, cer"),
        ({"metric": "wre"}, "choose one of wer, cer"),
        ({"max": None}, "needs one of max, min and max_ratio"),
        ({"min": 0.5}, "needs one of max, min and max_ratio"),
        ({"precisions": ["int9"]}, "no precision is called 'int9'"),
    ],
)
def test_a_limit_that_cannot_hold_is_an_error(fields: dict[str, object], message: str) -> None:
    """Misspelt or empty, it is refused when suite.toml is read."""
    row = {
        "models": ["*"],
        "precisions": ["*"],
        "devices": ["*"],
        "metric": "wer",
        "max": 0.1,
        "reason": "x",
    }
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert(row | fields, Limit)


def test_a_baseline_finds_the_clip_that_is_heard_worse() -> None:
    """Any growth is a regression, with the clips that it comes from; the difference is not one."""
    base = a_quality("int8", TEXT, TEXT)
    head = a_quality("int8", TEXT, TEXT.replace("rain began", "train"))
    changed = {
        each.verdict.metric: each.verdict
        for each in compare(make_run(base), make_run(head), ())
        if each.verdict.verdict != "ok"
    }
    assert set(changed) == {"wer", "cer"}
    assert changed["wer"].verdict == "regressed"
    assert changed["wer"].sentence.endswith(": +2 wrong words in clip 1")


def in_hindi(transcript: str) -> Measurement:
    """Make up the measurement of a clip in Hindi, of which two of three words have marks."""
    clip = msgspec.structs.replace(
        heard(transcript, text="नदी के घर")[0], language="hi", name="river"
    )
    return measured(a_quality("int8", TEXT).cell, rate([clip], None))


def test_the_normalizer_is_in_the_result_and_the_summary() -> None:
    """By its name, with the wrong words that differ by marks alone."""
    assert quality_of(a_quality("int8", TEXT)).normalizer == "whisper-english"
    row = in_hindi("नद के घर")
    assert quality_of(row).normalizer == "whisper-basic-keeping-marks"
    text = summarise(make_run(row))
    assert "\nWords are compared after the normalizer whisper-basic-keeping-marks.\n" in text
    assert "\nint8: 1 of 1 wrong words differ in combining marks alone" in text
    assert "combining" not in summarise(make_run(in_hindi("नदी के घर")))


def test_figures_of_two_normalizers_are_not_compared() -> None:
    """A baseline of before names none: English had the same one, other languages had another."""

    def before(row: Measurement) -> Measurement:
        metrics = tuple(msgspec.structs.replace(each, conditions={}) for each in row.metrics)
        return msgspec.structs.replace(row, metrics=metrics, found=QualityResult())

    def verdicts(base: Measurement, head: Measurement) -> set[tuple[str, str]]:
        return {
            (each.verdict.verdict, each.verdict.sentence)
            for each in compare(make_run(base), make_run(head), ())
        }

    english, hindi = a_quality("int8", TEXT), in_hindi("नदी के घर")
    assert verdicts(before(english), english) == {("ok", "")}
    assert verdicts(hindi, hindi) == {("ok", "")}
    assert verdicts(before(hindi), hindi) == {
        ("not-comparable", "normalizer was unknown and is whisper-basic-keeping-marks")
    }


def test_the_summary_says_what_was_heard() -> None:
    """Rates, the difference with its interval, the clips that differ, and what looks made up."""
    base = rate(heard(TEXT, TEXT), None)
    text = summarise(
        make_run(a_quality("fp16", TEXT, TEXT), a_quality("int8", TEXT, "so " * 90, base=base))
    )
    assert "quality: model owner/whisper, 2 clips, 18 words" in text
    assert "int8: more or fewer wrong words in clip 1 +" in text
    assert "int8: clip 1: loops, length off: so so so" in text
    assert "1 loops, 1 length off" in text
    assert "p50" not in text


def test_the_summary_quotes_what_was_heard(tmp_path: Path) -> None:
    """Once where all heard the same as far as is shown, else what each did; `show` has it too."""
    long = "Three boats waited. " * 9
    alike = summarise(make_run(*(a_quality(name, TEXT, long) for name in ("fp16", "int8", "nf4"))))
    assert f'heard at the start of clip 0 in all of fp16, int8, nf4:\n  "{TEXT}"\n' in alike
    later = f"{long} Or four."
    run = make_run(a_quality("fp16", long), a_quality("int8", later), a_quality("nf4", ""))
    path = tmp_path / "run.json"
    path.write_text(json.dumps(make_run_file(run)), encoding="utf-8")
    shown = CliRunner().invoke(app, ["show", str(path)]).stdout.splitlines()
    at = shown.index("heard at the start of clip 0 in fp16, int8:")
    assert shown[at + 1].startswith('  "Three boats waited. Three')
    assert shown[at + 1].endswith(' boats ..."')
    assert len(shown[at + 1]) <= WIDTH
    assert shown[at + 2 : at + 4] == ["heard at the start of clip 0 in nf4:", '  ""']
    assert "heard at" not in summarise(make_run(make_measurement()))


def test_the_harbour_is_quoted_where_it_was_heard() -> None:
    """Of several clips it is the one that all runs of the suite share."""
    row = a_quality("fp16", "so", TEXT)
    first, second = quality_of(row).clips
    clips = (first, msgspec.structs.replace(second, name="harbour"))
    found = msgspec.structs.replace(quality_of(row), clips=clips)
    text = summarise(make_run(msgspec.structs.replace(row, found=found)))
    assert f'heard at the start of harbour in fp16:\n  "{TEXT}"\n' in text


def test_clips_can_be_scored_again(tmp_path: Path) -> None:
    """The file of what was heard gives the same rates, and so does one of another tool."""
    clips = heard(TEXT, TEXT.replace("rain", "train"))
    path = tmp_path / "run.clips.jsonl"
    lines = lines_of(make_cell("int8", model="tiny.en"), clips, rate(clips, None).found.clips)
    path.write_bytes(b"\n".join(lines))
    done = CliRunner().invoke(app, ["score", str(path)])
    assert done.stdout.splitlines() == [
        "tiny.en int8: 2 clips, 18 words: WER 5.56 %, CER 1.19 %; "
        "language en, normalizer whisper-english",
        "  clip 1: 1 of 9: the train began just as we reached the door",
    ]


def test_numerics_have_a_tolerance() -> None:
    """A logit error may grow by its tolerance in suite.toml, and no further."""

    def row(error: float) -> Measurement:
        return Measurement(
            benchmark="numerics",
            cell=make_cell("int8"),
            metrics=make_figures({"logit_error": error}),
            found=NumericsResult(worst_layer="decoder 1"),
        )

    tolerance = Tolerance(
        metrics=("logit_error",),
        models=("*",),
        precisions=("*",),
        devices=("*",),
        share=0.02,
        reason="x",
    )
    for error, verdict in ((0.0202, "ok"), (0.0206, "regressed"), (0.019, "improved")):
        found = compare(make_run(row(0.02), machine=MACHINE), make_run(row(error)), [tolerance])
        assert [each.verdict.verdict for each in found] == [verdict]
