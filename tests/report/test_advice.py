"""Advice: what to take, why, what the figures cannot say, and what would tell more."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Sequence

import msgspec
import pytest

from tests.report.h200 import MODEL, make_h200, make_held, make_timed
from tests.runs import (
    CPU_MACHINE,
    make_cell,
    make_cost,
    make_measurement,
    make_memory,
    make_run,
)
from whisperbench.asked.checkout import ROOT
from whisperbench.asked.precisions import PRECISIONS
from whisperbench.errors import ExitCode, InputError
from whisperbench.report.advice import Advice, advise, exit_code_of
from whisperbench.report.advice_text import FORMATS, WIDTH, as_json, as_markdown, as_text
from whisperbench.report.cards import CARDS, card_named
from whisperbench.report.fitness import Wanted
from whisperbench.results.figure import Metric
from whisperbench.results.passes import ClipScore, QualityResult
from whisperbench.results.records import ManifestEntry, Measurement, Run, Verdict

T4 = card_named("t4")

BATCHES = (
    make_timed("fp16", 1.4, batch_size=8),
    make_timed("int8", 7.0, batch_size=8),
    make_held("fp16", 4300, 4500, 5200, batch_size=8),
    make_held("int8", 3000, 3200, 3950, batch_size=8),
)
"""What larger batches would take: made up."""


def one(run: Run, wanted: Wanted | None = None) -> Advice:
    """Ask for advice on one run of one model."""
    (found,) = advise([("run.json", run)], wanted or Wanted())
    return found


def order(found: Advice) -> list[tuple[str, str, int]]:
    """Name the rows in their order."""
    return [(row.answer, row.candidate.precision, row.candidate.batch_size) for row in found.rows]


def make_heard(
    precision: str, increase: float, interval: tuple[float, float] | None, words: int = 269
) -> Measurement:
    """Make up what words a precision costs."""
    wer = Metric(name="wer", unit="1", kind="quality", better="lower", value=0.04 + increase)
    over = Metric(
        name="wer_over_reference",
        unit="1",
        kind="quality",
        better="lower",
        value=increase,
        derived=True,
    )
    return Measurement(
        benchmark="quality",
        cell=make_cell(precision, model=MODEL, clip="clips", tokens=None),
        metrics=(wer,) if precision == "fp16" else (wer, over),
        found=QualityResult(
            over_reference=interval,
            clips=(
                ClipScore(
                    name="clips",
                    words=words,
                    word_edits=0,
                    characters=9,
                    character_edits=0,
                    tokens=9,
                    signs=(),
                ),
            ),
        ),
    )


def test_a_t4_is_advised_by_what_an_h200_measured() -> None:
    """fp16 fits a T4 with room, so that nothing forces 8 bits upon it: the article's question."""
    found = one(make_h200(), Wanted(card=T4))
    assert order(found)[0] == ("yes", "fp16", 1)
    assert found.elsewhere
    # Torch's peak, the context and libraries, and the driver's share.
    assert found.rows[0].need_mib == 3964 + 615
    said = " ".join(found.sentences)
    assert "it fits, so an NVIDIA T4 needs no fewer bits" in said
    assert "int8 in place of fp16: it takes 1.28 GiB less (29 %); a call took 7.18 times" in said
    assert exit_code_of([found]) == ExitCode.OK


def test_what_does_not_carry_over_is_said() -> None:
    """The context, the driver's share and all times are the measured card's; so it is said."""
    said = " ".join(one(make_h200(), Wanted(card=T4)).not_known)
    assert "up to 756 MiB and 615 MiB of the driver on the NVIDIA H200" in said
    assert "No time carries over." in said
    assert "runs: fp16, fp32, nf4, int8, int8-t0. It does not: bf16." in said
    assert "says nothing of words" in said
    own = " ".join(one(make_h200()).not_known)
    assert "carries over" not in own


@pytest.mark.parametrize("ratio", [0.5, 100.0])
def test_a_time_on_another_card_is_never_a_yes(ratio: float) -> None:
    """However little or much is allowed: it was not measured there, and is not known."""
    found = one(make_h200(), Wanted(card=T4, max_latency_ratio=ratio))
    assert {row.answer for row in found.rows} == {"unknown", "no"}
    assert "its time was not measured on the NVIDIA T4" in found.rows[0].reasons
    assert exit_code_of([found]) == ExitCode.INCONCLUSIVE


def test_the_card_that_was_measured_is_no_other() -> None:
    """--card h200 over an H200's run is advice from its own figures, times included."""
    found = one(make_h200(), Wanted(card=card_named("H200"), max_latency_ratio=1.2))
    assert not found.elsewhere
    assert {each for each in order(found) if each[0] == "yes"} == {
        ("yes", "fp16", 1),
        ("yes", "fp32", 1),
        ("yes", "bf16", 1),
    }


def test_a_card_without_room_for_the_tensors_is_a_no() -> None:
    """Tensors carry over: what they alone exceed does not fit, whatever the context takes."""
    run = make_run(
        make_timed("fp16", 1.0),
        make_held("fp16", 20_000, 20_500, 21_200),
        machine=make_h200().machine,
    )
    found = one(run, Wanted(card=T4))
    assert order(found) == [("no", "fp16", 1)]
    assert found.rows[0].reasons == ("its tensors alone take 20000 MiB",)
    assert exit_code_of([found]) == ExitCode.REGRESSED


def test_a_card_that_would_be_nearly_full_is_not_known() -> None:
    """What is left for the context must be twice what was measured, or nobody knows."""
    run = make_run(
        make_timed("fp16", 1.0),
        make_held("fp16", 13_000, 13_500, 14_200),
        machine=make_h200().machine,
    )
    (row,) = one(run, Wanted(card=T4)).rows
    assert row.answer == "unknown"
    assert row.reasons == (
        "torch leaves 1860 MiB for the context, libraries and driver of this card",
    )


def test_without_a_memory_pass_a_card_is_not_known() -> None:
    """Weights that fit are no peak that does."""
    run = make_run(make_timed("fp16", 1.0), machine=make_h200().machine)
    found = one(run, Wanted(card=T4))
    assert order(found) == [("unknown", "fp16", 1)]
    assert any("benchmarks/test_memory.py" in line for line in found.to_measure)


@pytest.mark.parametrize(
    ("gib", "answer", "reason"),
    [
        (2.0, "no", "it takes 602 MiB too much"),
        (2.6, "unknown", "it fits by 12 MiB, which is less than runs differ by"),
        (3.0, "yes", ""),
    ],
)
def test_memory_that_may_be_taken(gib: float, answer: str, reason: str) -> None:
    """What fits by less than two runs of unchanged code differ by is not known to fit."""
    run = make_h200(precisions=("int8",))
    (row,) = one(run, Wanted(vram_mib=1024 * gib)).rows
    assert row.answer == answer
    assert row.reasons == ((reason,) if reason else ())


def test_of_what_fits_the_one_that_transcribes_most_is_advised() -> None:
    """Batches count: eight clips in 1.4 s are more audio in a second than one in 0.8 s."""
    found = one(make_h200(*BATCHES))
    assert order(found)[0] == ("yes", "fp16", 8)
    assert found.rows[0].candidate.audio_per_s == pytest.approx(8 * 26.4 / 1.4)
    said = " ".join(found.sentences)
    assert "a single call must be answered soon, take fp16 at batch size 1" in said


def test_a_call_may_take_so_many_times_the_references_smallest() -> None:
    """The bound is on what a caller waits for: a batch of eight takes 1.62 times one of one."""
    found = one(make_h200(*BATCHES), Wanted(max_latency_ratio=1.4))
    answers = {each[1:]: each[0] for each in order(found)}
    assert (answers["fp16", 8], answers["fp16", 1]) == ("no", "yes")
    assert order(found)[0] == ("yes", "fp16", 1)


@pytest.mark.parametrize(
    ("most", "processes", "answer"),
    [(1.2, 1, "no"), (1.3, 1, "unknown"), (1.4, 1, "unknown"), (1.5, 1, "yes"), (1.3, 5, "no")],
)
def test_a_time_near_the_bound_takes_more_processes(
    most: float, processes: int, answer: str
) -> None:
    """nf4 takes 1.36 times fp16's time in one process; how near that is to the bound is told."""
    rows = [make_timed("fp16", 0.862), make_timed("nf4", 1.17)]
    rows = [
        msgspec.structs.replace(
            row,
            metrics=tuple(
                msgspec.structs.replace(
                    metric, samples=None, value=None, processes=metric.figures * processes
                )
                for metric in row.metrics
            ),
        )
        for row in rows
    ]
    found = one(make_run(*rows, machine=make_h200().machine), Wanted(max_latency_ratio=most))
    answers = {row.candidate.precision: row.answer for row in found.rows}
    assert answers == {"fp16": "yes", "nf4": answer}
    proposed = any("whisperbench record" in line for line in found.to_measure)
    assert proposed == (answer == "unknown")


def test_times_that_processes_differ_by_decide_nothing() -> None:
    """fp32 is 8 % quicker than fp16 in one process and takes 1.8 times its memory: fp16."""
    found = one(make_h200())
    assert order(found)[0] == ("yes", "fp16", 1)
    assert (
        "fp32 at batch size 1 is as quick within 10 % and takes more memory" in (found.sentences[0])
    )


@pytest.mark.parametrize(
    ("interval", "answer"),
    [((-0.002, 0.004), "yes"), ((-0.01, 0.03), "unknown"), (None, "unknown")],
)
def test_words_are_known_as_far_as_their_interval(
    interval: tuple[float, float] | None, answer: str
) -> None:
    """A difference of nothing over few clips, whose interval reaches past the bound, is no yes."""
    run = make_h200(
        make_heard("fp16", 0.0, None), make_heard("int8", 0.001, interval), precisions=("int8",)
    )
    (row,) = one(run, Wanted(max_wer_increase=0.005)).rows
    assert row.answer == answer


@pytest.mark.parametrize(("words", "answer"), [(269, "unknown"), (599, "unknown"), (601, "yes")])
def test_no_difference_in_few_words_shows_little(words: int, answer: str) -> None:
    """The rule of three: none in 269 words leaves room for 1.1 points, more than half a point."""
    rows = (make_heard("fp16", 0.0, None), make_heard("int8", 0.0, (0.0, 0.0), words))
    found = one(make_h200(*rows, precisions=("fp16", "int8")), Wanted(max_wer_increase=0.005))
    answers = {row.candidate.precision: row.answer for row in found.rows}
    assert answers == {"fp16": "yes", "int8": answer}
    narrowed = any(line.startswith("Words of more recordings") for line in found.to_measure)
    assert narrowed


def test_words_that_cost_too_much_are_a_no() -> None:
    """And words that nobody has compared are not known."""
    rows = (make_heard("fp16", 0.0, None), make_heard("int8", 0.02, (0.01, 0.03)))
    found = one(make_h200(*rows), Wanted(max_wer_increase=0.005))
    answers = {row.candidate.precision: row for row in found.rows}
    assert answers["fp16"].answer == "yes"
    assert answers["int8"].answer == "no"
    assert answers["int8"].reasons == ("it costs +2.00 points of word error rate",)
    assert answers["nf4"].answer == "unknown"


def test_a_cell_that_ran_out_of_memory_is_a_no() -> None:
    """Its figures are of as far as it got, and no need; on another card nobody knows."""
    got_to = make_memory(make_cell("fp32", model=MODEL), {"peak_process_mib": 612.0})
    run = make_run(make_timed("fp32", 1.0), got_to, machine=make_h200().machine)
    (row,) = one(run).rows
    assert (row.answer, row.need_mib) == ("no", None)
    assert row.reasons == ("it ran out of memory where it was measured",)
    assert one(run, Wanted(card=T4)).rows[0].answer == "unknown"


def test_limits_on_memory_are_the_measured_cards_alone() -> None:
    """A cell over a limit is not advised; on another card only limits on words hold."""

    def make_over(metric: str) -> Run:
        over = Verdict(verdict="over-limit", metric=metric, unit="MiB", sentence="too much")
        held = make_held("int8", *(1835, 1894, 2650))
        return make_run(
            make_timed("int8", 6.19),
            msgspec.structs.replace(held, verdicts=(over,)),
            machine=make_h200().machine,
        )

    assert one(make_over("peak_process_mib")).answer == "no"
    assert one(make_over("peak_process_mib"), Wanted(card=T4)).answer == "yes"
    assert one(make_over("wer"), Wanted(card=T4)).answer == "no"


def test_passes_of_one_device_may_stand_in_several_files() -> None:
    """Times of one file and memory of another are one candidate."""
    times = make_run(make_timed("fp16", 1.0), machine=make_h200().machine)
    memory = make_run(make_held("fp16", 3231, 3272, 3964), machine=make_h200().machine)
    (found,) = advise([("a", times), ("b", memory)], Wanted())
    (row,) = found.rows
    assert (row.candidate.latency_s, row.need_mib) == (1.0, 3964)


def _other_checkpoint() -> Run:
    row = make_held("fp16", 1, 2, 3)
    cell = msgspec.structs.replace(row.cell, checkpoint="another")
    return make_run(msgspec.structs.replace(row, cell=cell), machine=make_h200().machine)


def _other_reference() -> Run:
    run = make_run(make_timed("nf4", 1.0, batch_size=2), machine=make_h200().machine)
    return msgspec.structs.replace(run, info=msgspec.structs.replace(run.info, reference="fp32"))


@pytest.mark.parametrize(
    ("runs", "card", "said"),
    [
        ([make_h200(), make_h200()], None, r"^b: has transcribe of .* and so has a: leave one"),
        ([make_run(make_timed("fp16", 1.0), machine=make_h200().machine), _other_checkpoint()],
         None, r"^b: its dummy:large-v3 is another checkpoint than that of a"),
        ([make_h200(), _other_reference()], None, r"^b: its ratios are against fp32, .* fp16"),
        ([make_run(make_measurement(), machine=CPU_MACHINE)], T4, r"^a: was measured on a CPU"),
        ([make_run(make_measurement("encoder", tokens=None))], None, r"^a: nothing to choose"),
    ],
)  # fmt: skip
def test_runs_that_cannot_be_weighed_together(runs: Sequence[Run], card: object, said: str) -> None:
    """Each is one line that names the file and what to do."""
    wanted = Wanted(card=T4 if card is not None else None)
    with pytest.raises(InputError, match=said) as raised:
        advise([*zip("ab", runs, strict=False)], wanted)
    assert "\n" not in str(raised.value)


def test_what_a_run_lacks_is_not_known() -> None:
    """A benchmark that failed stands among what the figures cannot say, with its reason."""
    run = make_h200()
    failed = ManifestEntry(benchmark="test[x]", cell="x", outcome="failed", reason="it broke")
    info = msgspec.structs.replace(run.info, manifest=(*run.info.manifest, failed))
    found = one(msgspec.structs.replace(run, info=info))
    assert found.not_known[-1] == "run.json: failed: test[x]: it broke"


def test_larger_batches_are_proposed_as_far_as_memory_goes() -> None:
    """From two batch sizes: what each further clip took, and about how many would fit."""
    found = one(make_h200(*BATCHES), Wanted(vram_mib=16 * 1024))
    (line,) = [line for line in found.to_measure if line.startswith("Larger batches")]
    # (5200 - 3964) / 7 MiB a clip.
    assert "fp16 took 177 MiB more for each clip of a batch, by which one of 16 would take" in line
    assert "about 6.5 GiB" in line
    assert line.endswith("--batch-size 16")
    small = one(make_h200(*BATCHES), Wanted(vram_mib=6 * 1024))
    assert not any(line.startswith("Larger batches") for line in small.to_measure)


def test_a_gpu_that_waits_is_named() -> None:
    """Where the cost pass saw it idle, 8 bits' time is said to be the host's for the most part."""
    cost = make_cost(make_cell("int8", model=MODEL), {"aten_ops": 9}, gpu_ms=0.7, wall_ms=10.0)
    said = " ".join(one(make_h200(cost)).sentences)
    assert "the GPU worked in 7 % of its decoding there" in said


@pytest.mark.parametrize("wanted", [Wanted(), Wanted(card=T4), Wanted(vram_mib=2000.0)])
def test_every_format_has_every_row(wanted: Wanted) -> None:
    """Text, Markdown and JSON have the same rows and sentences; text fits its width."""
    found = [one(make_h200(*BATCHES), wanted)]
    text, page, data = as_text(found), as_markdown(found), json.loads(as_json(found))
    assert len(data[0]["rows"]) == len(found[0].rows) == 8
    assert data[0]["answer"] == found[0].answer
    for written in (text, page):
        assert sum(bool(re.search(r"\b(yes|no|unknown) .*(fp|bf|int8|nf)", line))
                   for line in written.splitlines()) >= 8  # fmt: skip
    body, _, commands = text.partition("What to measure")
    assert max(map(len, body.splitlines())) <= WIDTH
    assert "\x1b" not in text
    for command in re.findall(r"pytest benchmarks.*", commands):
        assert shlex.split(command)[0] == "pytest"


@pytest.mark.parametrize("written", FORMATS)
@pytest.mark.parametrize(
    ("name", "run", "wanted"),
    [
        ("t4", make_h200(), Wanted(card=T4)),
        ("own", make_h200(*BATCHES), Wanted()),
        ("vram", make_h200(*BATCHES), Wanted(vram_mib=3072.0, max_latency_ratio=2.0)),
        ("none", make_h200(), Wanted(vram_mib=1024.0)),
        (
            "words",
            make_h200(
                make_heard("fp16", 0.0, None),
                make_heard("int8", 0.004, (-0.004, 0.012)),
                make_heard("nf4", 0.03, (0.01, 0.05)),
                precisions=("fp16", "int8", "nf4"),
            ),
            Wanted(vram_mib=3072.0, max_wer_increase=0.01),
        ),
    ],
)
def test_golden(
    name: str, run: Run, wanted: Wanted, written: str, golden: Callable[[str, str], None]
) -> None:
    """The whole of what is written, in each format."""
    golden(f"advice-{name}.{written}", FORMATS[written]([one(run, wanted)]))


def test_what_a_file_says_is_no_markup_and_no_shell() -> None:
    """A model's name is data in Markdown, and one word of a command."""
    run = make_run(make_measurement(model="a|b<img src=x>@me; rm -rf $HOME"))
    found = [one(run)]
    assert re.search(r"(?<!\\)<(?!span>|/span>)", as_markdown(found)) is None
    assert "@" not in as_markdown(found)
    (line, *_) = found[0].to_measure
    assert "a|b<img src=x>@me; rm -rf $HOME" in shlex.split(line.partition(": ")[2])


def test_cards_are_told_by_key_and_memory() -> None:
    """An A100 of 40 GB is none of 80, and each card's own key is known."""
    a100 = msgspec.structs.replace(
        make_h200().machine, device_key="nvidia-a100-sxm4-40gb-sm80-40gib", memory_mib=40960
    )
    assert [name for name, card in CARDS.items() if card.is_same(a100)] == ["a100-40gb"]
    assert [name for name, card in CARDS.items() if card.is_same(make_h200().machine)] == ["h200"]
    assert not CARDS["h200"].is_same(CPU_MACHINE)


def test_what_a_t4_runs() -> None:
    """By the registry of precisions: LLM.int8() needs 7.5, which it has; bfloat16 needs 8.0."""
    refused = {name for name, row in PRECISIONS.items() if row.why_not(T4.capability)}
    of_torchao = {name for name in PRECISIONS if name.startswith("ao-")}
    assert refused == {"bf16", "bf16-compiled"} | of_torchao


@pytest.mark.parametrize("precision", ["as-saved", "fp99"])
def test_a_precision_of_which_nothing_is_known_is_no_yes(precision: str) -> None:
    """One that a later version has, or that the checkpoint decides: on another card, unknown."""
    held = make_memory(
        make_cell(precision, model=MODEL),
        {
            "steady_call_peak_allocated_mib": 1.0,
            "steady_call_peak_reserved_mib": 2.0,
            "steady_call_peak_process_mib": 3.0,
        },
    )
    run = make_run(held, machine=make_h200().machine)
    assert one(run, Wanted(card=T4)).answer == "unknown"
    assert one(run).answer == "yes"


def test_flash_attention_is_none_of_a_t4s() -> None:
    """Its capability is too low, whatever the precision."""
    row = make_measurement(model=MODEL, attention="flash_attention_2")
    found = one(make_run(row, machine=make_h200().machine), Wanted(card=T4))
    assert found.rows[0].reasons == ("flash_attention_2 needs compute capability 8.0",)


def test_the_document_has_the_registrys_cards() -> None:
    """docs/advice.md has each card with its memory, capability and source, and the T4's advice."""
    text = (ROOT / "docs" / "advice.md").read_text(encoding="utf-8")
    for card in CARDS.values():
        capability = ".".join(map(str, card.capability))
        assert f"| `{card.name}` | {card.title} | {card.memory_mib} | {capability} |" in text
        assert card.source in text
    assert as_text([one(make_h200(), Wanted(card=T4))]) in text


def test_a_hosts_memory_needs_more_headroom() -> None:
    """Resident memory of unchanged code differs by up to 25 %: 1000 MiB of 1200 are not known."""
    held = make_memory(make_cell(model=MODEL), {"steady_call_peak_process_mib": 1000.0})
    found = one(make_run(held, machine=CPU_MACHINE), Wanted(vram_mib=1200.0))
    assert found.answer == "unknown"
    assert one(make_run(held, machine=make_h200().machine), Wanted(vram_mib=1200.0)).answer == "yes"


def test_times_are_of_one_clip_and_length() -> None:
    """Of two works that as many candidates were timed on, the one with a fixed token count."""
    natural = make_measurement(model=MODEL, tokens=None, samples=(0.5,) * 3)
    found = one(make_run(natural, make_timed("fp16", 0.862), machine=make_h200().machine))
    assert (found.clip, found.tokens) == ("harbour", 64)
    assert [row.candidate.latency_s for row in found.rows] == [0.862]


def test_memory_of_a_baseline_is_its_highest_processes() -> None:
    """What one of five processes took must fit."""
    held = make_held("fp16", 3231, 3272, 3964)
    metrics = tuple(
        msgspec.structs.replace(
            metric, value=None, processes=(metric.figures[0], metric.figures[0] + 100)
        )
        for metric in held.metrics
    )
    run = make_run(msgspec.structs.replace(held, metrics=metrics), machine=make_h200().machine)
    assert one(run).rows[0].need_mib == 4064


def test_words_are_those_of_the_batch_size_where_it_was_heard() -> None:
    """A batch that hears worse is none of the smaller one's; one that was not heard takes that."""
    worse = make_heard("int8", 0.03, (0.02, 0.04))
    cell = msgspec.structs.replace(worse.cell, batch_size=8)
    run = make_h200(
        *BATCHES,
        make_timed("int8", 4.0, batch_size=4),
        make_heard("int8", 0.001, (0.0, 0.002)),
        msgspec.structs.replace(worse, cell=cell),
    )
    found = {
        row.candidate.batch_size: row.candidate.wer_increase
        for row in one(run).rows
        if row.candidate.precision == "int8"
    }
    assert found == {1: 0.001, 4: 0.001, 8: 0.03}


def test_a_gpu_is_as_busy_as_at_that_batch_size() -> None:
    """A batch of eight says nothing of one."""
    cell = make_cell("int8", model=MODEL, batch_size=8)
    cost = make_cost(cell, {"aten_ops": 9}, gpu_ms=0.7, wall_ms=10.0)
    assert "the GPU worked" not in " ".join(one(make_h200(cost)).sentences)


def test_one_model_without_an_answer_is_enough_for_its_exit_code() -> None:
    """Something will do of the dummy, and nothing of the other: 1."""
    other = make_memory(make_cell(model="big"), {"steady_call_peak_process_mib": 9000.0})
    run = make_h200(other)
    found = advise([("run.json", run)], Wanted(vram_mib=4500.0))
    assert [each.answer for each in found] == ["yes", "no"]
    assert exit_code_of(found) == ExitCode.REGRESSED


def test_what_takes_more_of_everything_is_not_offered() -> None:
    """Where nf4 is advised, int8 takes both more memory and more time."""
    found = one(make_h200(), Wanted(vram_mib=3000.0, max_latency_ratio=9.0))
    assert order(found)[:2] == [("yes", "nf4", 1), ("yes", "int8", 1)]
    assert "in place of" not in " ".join(found.sentences)
