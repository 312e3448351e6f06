"""The sentences that an answer is made of: a new one is a row of `RULES`, and nothing else."""

from __future__ import annotations

from math import isnan

from whisperbench.report.advice_rules import ADVICE
from whisperbench.report.case import Case
from whisperbench.report.rule import Rule

GREW = 1.5
"""From this ratio on a count is a reason for a longer time."""

GPU_WAITS = 2 / 3
"""A GPU that works a smaller share of the time than this waits for the host (report/cost.py)."""

COMPARISON = "comparison"
"""The topic of a run that has nothing to compare: where it speaks, nothing else does."""


def always(_case: Case) -> bool:
    """Let a sentence speak wherever its figures were measured."""
    return True


RULES: tuple[Rule, ...] = (
    Rule(
        COMPARISON,
        lambda case: not case.this.precision,
        "This run does not say what 8-bit costs, for it measured {measured} alone: --precision "
        "{base.precision},int8 measures both.",
    ),
    Rule(
        COMPARISON,
        lambda case: not case.this.measured,
        "This run does not say what {this.precision} costs, for none of its benchmarks was "
        "measured: the end of this report says why.",
    ),
    Rule(
        COMPARISON,
        lambda case: not case.base.measured,
        "This run does not say what {this.precision} costs against {base.precision}, for it did "
        "not measure {base.precision}: --precision {base.precision},{this.precision} measures "
        "both.",
    ),
    Rule(
        "memory",
        lambda case: case.base.ran_out and not case.this.ran_out,
        "{this.precision} fits with a peak of {this.peak_mib:size}, and {base.precision} ran "
        "out of memory.",
    ),
    Rule(
        "memory",
        lambda case: case.this.ran_out,
        "{this.precision} ran out of memory.",
    ),
    Rule(
        "memory",
        lambda case: case.saved_weights > 0 and abs(case.saved_peak) < 1.0,  # MiB
        "{this.precision} saves {saved_weights:size} of weights ({saved_weights_share:share} of "
        "{base.precision}'s), and needs as much memory at the peak.",
    ),
    Rule(
        "memory",
        lambda case: case.saved_weights > 0 and case.saved_peak > 0,
        "{this.precision} saves {saved_weights:size} of weights ({saved_weights_share:share} of "
        "{base.precision}'s) and {saved_peak:size} of memory at the peak "
        "({saved_peak_share:share}).",
    ),
    Rule(
        "memory",
        lambda case: case.saved_weights > 0 and case.saved_peak <= 0,
        "{this.precision} saves {saved_weights:size} of weights ({saved_weights_share:share} of "
        "{base.precision}'s), but needs {added_peak:size} ({added_peak_share:share}) more "
        "memory at the peak.",
    ),
    Rule(
        "memory",
        lambda case: case.saved_weights > 0,
        "{this.precision} saves {saved_weights:size} of weights ({saved_weights_share:share} of "
        "{base.precision}'s).",
    ),
    Rule(
        "memory",
        lambda case: case.saved_weights <= 0,
        "{this.precision} saves no weights: they take {this.weight_mib:size}, and "
        "{base.weight_mib:size} in {base.precision}.",
    ),
    Rule(
        "time",
        lambda case: case.slower,
        "{this.precision} takes {times:times} times as long as {base.precision}: "
        "{this.latency_s:time} instead of {base.latency_s:time} {work}; with threshold 0 (int8-t0) "
        "it takes {t0_times:times} times as long.",
    ),
    Rule(
        "time",
        lambda case: case.slower,
        "{this.precision} takes {times:times} times as long as {base.precision}: "
        "{this.latency_s:time} instead of {base.latency_s:time} {work}.",
    ),
    Rule(
        "time",
        lambda case: case.faster,
        "{this.precision} is faster and takes {times:times} times as long as {base.precision}: "
        "{this.latency_s:time} instead of {base.latency_s:time} {work}.",
    ),
    Rule(
        "time",
        always,
        "{this.precision} takes about as long as {base.precision}: {this.latency_s:time} "
        "against {base.latency_s:time} {work}.",
    ),
    Rule(
        "time",
        lambda case: case.slower,
        "A token takes {token_times:times} times as long in {this.precision} as in "
        "{base.precision}: {this.token_s:time} instead of {base.token_s:time}.",
    ),
    Rule(
        "time",
        always,
        "A token takes {token_times:times} times as long in {this.precision} as in "
        "{base.precision}: {this.token_s:time} against {base.token_s:time}.",
    ),
    Rule(
        "reason",
        lambda case: (
            case.slower
            and case.this.gpu_busy < GPU_WAITS
            and case.this.waits > GREW * case.base.waits
        ),
        "That is because the host waits for the GPU {this.waits:count} times a token, against "
        "{base.waits:count} in {base.precision}, and the GPU works only {this.gpu_busy:share} "
        "of the time, against {base.gpu_busy:share}.",
    ),
    Rule(
        "reason",
        lambda case: (
            case.slower
            and case.this.gpu_busy < GPU_WAITS
            and case.this.calls > GREW * case.base.calls
        ),
        "That is because the host makes {this.calls:count} calls of Python functions a token, "
        "against {base.calls:count} in {base.precision}, and the GPU works only "
        "{this.gpu_busy:share} of the time, against {base.gpu_busy:share}.",
    ),
    Rule(
        "reason",
        lambda case: case.slower and case.this.gpu_ms > GREW * case.base.gpu_ms,
        "That is because the GPU works {this.gpu_ms:figure} ms on a token, against "
        "{base.gpu_ms:figure} ms in {base.precision}.",
    ),
    Rule(
        "reason",
        lambda case: (
            case.slower and isnan(case.this.gpu_busy) and case.this.ops > GREW * case.base.ops
        ),
        "That is because a token takes {this.ops:count} operations of torch and "
        "{this.calls:count} calls of Python functions, against {base.ops:count} and "
        "{base.calls:count} in {base.precision}.",
    ),
    Rule(
        "reason",
        lambda case: case.faster and case.this.gpu_ms < case.base.gpu_ms,
        "That is because the GPU works {this.gpu_ms:figure} ms on a token, against "
        "{base.gpu_ms:figure} ms in {base.precision}.",
    ),
    Rule(
        "words",
        lambda case: case.same_texts,
        "The words are unchanged: {unchanged} wrote the same text as {base.precision} in each of "
        "{this.clips:count} clips, with {this.word_edits:count} of {this.words:count} words "
        "wrong.",
    ),
    Rule(
        "words",
        lambda case: case.this.wer == case.base.wer,
        "As many words are wrong in {this.precision} as in {base.precision}: "
        "{this.word_edits:count} of {this.words:count}; the texts differ.",
    ),
    Rule(
        "words",
        lambda case: case.this.over_words,
        "The words of {this.precision} are worse than the limit allows: {this.wer:rate} are "
        "wrong, and {base.wer:rate} in {base.precision}.",
    ),
    Rule(
        "words",
        lambda case: case.growth_low <= 0 <= case.growth_high,
        "In {this.precision} {this.wer:rate} of the words are wrong, and {base.wer:rate} in "
        "{base.precision}: a difference that may be chance in {this.words:count} words.",
    ),
    Rule(
        "words",
        lambda case: case.growth_low > 0,
        "The words of {this.precision} are worse: {this.wer:rate} are wrong, and "
        "{base.wer:rate} in {base.precision}.",
    ),
    Rule(
        "words",
        always,
        "In {this.precision} {this.wer:rate} of the words are wrong, and {base.wer:rate} in "
        "{base.precision}.",
    ),
    Rule(
        "creep",
        always,
        "Memory creeps: it grows by {this.creep_kib:figure} KiB with each call in "
        "{this.precision}, and by {base.creep_kib:figure} KiB in {base.precision}.",
    ),
    Rule(
        "creep",
        always,
        "Memory creeps in {this.precision}: it grows by {this.creep_kib:figure} KiB with each "
        "call.",
    ),
    Rule(
        "creep",
        always,
        "Memory creeps in {base.precision}: it grows by {base.creep_kib:figure} KiB with each "
        "call.",
    ),
    Rule(
        "drift",
        always,
        "A call of {this.precision} takes {this.drift:times} times as long at the end of a soak as "
        "at its beginning.",
    ),
    Rule(
        "drift",
        always,
        "A call of {base.precision} takes {base.drift:times} times as long at the end of a soak as "
        "at its beginning.",
    ),
    Rule("other words", always, "Of {this.words:count} words, {differing} wrong."),
    *ADVICE,
    Rule("lost", always, "{lost} not measured; the end of this report says why."),
    Rule(
        "further",
        always,
        "The tables below show this model in {further} of clip, batch size or attention.",
    ),
)
"""All rules, in the order in which they speak."""
