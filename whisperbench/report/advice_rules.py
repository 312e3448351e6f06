"""The sentence of an answer that says what to take: the first rule that applies speaks."""

from __future__ import annotations

from math import isnan

from whisperbench.report.rule import Rule

ADVICE: tuple[Rule, ...] = (
    Rule(
        "advice",
        lambda case: case.this.ran_out and not case.base.ran_out,
        "So take {base.precision}.",
    ),
    Rule(
        "advice",
        lambda case: case.base.ran_out and bool(case.better.precision),
        "So take {better.precision} here, which beats {this.precision} and needs "
        "{better.peak_mib:size} at the peak.",
    ),
    Rule(
        "advice",
        lambda case: case.base.ran_out and not case.this.ran_out,
        "So take {this.precision} here.",
    ),
    Rule(
        "advice",
        lambda case: bool(case.winner.precision),
        "So take {winner.precision} instead, which beats the {others:count} other precisions: it "
        "takes {winner_times:times} times as long as {base.precision}, and needs "
        "{winner.peak_mib:size} at the peak.",
    ),
    Rule(
        "advice",
        lambda case: bool(case.saver.precision) and case.saver.precision != case.this.precision,
        "So take {saver.precision} instead: it needs {saver_saved:size} less than "
        "{base.precision} at the peak, and takes {saver_times:times} times as long.",
    ),
    Rule(
        "advice",
        lambda case: (
            case.quickest.precision not in ("", case.this.precision)
            and case.smaller.precision not in ("", case.quickest.precision)
        ),
        "So take {quickest.precision} instead, which takes {quickest_times:times} times as long as "
        "{base.precision}; where less than {quickest.peak_mib:size} of {room} is free, "
        "{smaller.precision} needs {smaller.peak_mib:size} and takes {smaller_times:times} times "
        "as long as {base.precision}.",
    ),
    Rule(
        "advice",
        lambda case: case.quickest.precision not in ("", case.this.precision),
        "So take {quickest.precision} instead, which takes {quickest_times:times} times as long as "
        "{base.precision} and needs {quickest.peak_mib:size} at the peak.",
    ),
    Rule(
        "advice",
        lambda case: case.worse_words,
        "So take {base.precision} where the words matter and {base.peak_mib:size} of {room} is "
        "free.",
    ),
    Rule("advice", lambda case: case.worse_words, "So take {base.precision} where words matter."),
    Rule(
        "advice",
        lambda case: case.base.over_memory and not case.this.over_memory,
        "So take {this.precision}: the peak of {base.precision} is {base.peak_mib:size}, over "
        "the limit of {base.limit_mib:size}.",
    ),
    Rule(
        "advice",
        lambda case: case.this.over_memory and not case.base.over_memory,
        "So take {base.precision}: the peak of {this.precision} is {this.peak_mib:size}, over "
        "the limit of {this.limit_mib:size}.",
    ),
    Rule(
        "advice",
        lambda case: case.this.over_memory,
        "So neither fits: the peak of {this.precision} is {this.peak_mib:size} and that of "
        "{base.precision} is {base.peak_mib:size}, over limits of {this.limit_mib:size} and "
        "{base.limit_mib:size}.",
    ),
    Rule(
        "advice",
        lambda case: case.slower and case.smaller.precision not in ("", case.this.precision),
        "So take {base.precision} unless less than {base.peak_mib:size} of {room} is free, and "
        "then {smaller.precision}, which needs {smaller.peak_mib:size} and takes "
        "{smaller_times:times} times as long as {base.precision}.",
    ),
    Rule(
        "advice",
        lambda case: case.slower and case.saved_peak > 0,
        "So take {base.precision} unless less than {base.peak_mib:size} of {room} is free; "
        "{this.precision} needs {this.peak_mib:size}.",
    ),
    Rule(
        "advice",
        lambda case: case.slower and case.saved_peak <= 0,
        "So take {base.precision}: {this.precision} costs time here and saves no memory while "
        "it works.",
    ),
    Rule(
        "advice",
        lambda case: case.slower and case.saved_weights > 0,
        "So take {base.precision} unless its {base.weight_mib:size} of weights are too much for "
        "{room}.",
    ),
    Rule(
        "advice",
        lambda case: case.no_slower and case.saved_peak < 0,
        "So take {this.precision} unless less than {this.peak_mib:size} of {room} is free.",
    ),
    Rule(
        "advice",
        lambda case: case.no_slower and case.saved_weights > 0 and isnan(case.this.wer),
        "So take {this.precision} if its words suit you, which this run did not measure: it saves "
        "memory and costs no time.",
    ),
    Rule(
        "advice",
        lambda case: case.no_slower and case.saved_weights > 0,
        "So take {this.precision}: it saves memory and costs no time.",
    ),
    Rule(
        "advice", lambda case: case.slower and case.saved_weights <= 0, "So take {base.precision}."
    ),
)
"""In the order in which they are tried."""
