"""What ran, held against the baseline's. No figure here was measured."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import pytest

from tests.judge.compared import a_cost
from tests.runs import CPU_MACHINE, MACHINE, make_cell, make_memory, make_run
from whisperbench.errors import ExitCode
from whisperbench.judge.comparison import hold_against
from whisperbench.judge.what_ran import WHAT_RAN, judge_what_ran
from whisperbench.results.ran import Ran
from whisperbench.results.records import Machine, Measurement, Verdict

OLD = Ran(
    weights={"int8": 3 * 2**20, "float16": 2**20},
    computes_in="int8",
    layers={"Linear8bitLt of int8": 50, "Linear of float16": 1},
    compiled_graphs=2,
    attention=("cudnn",),
)

OTHER_MACHINE = msgspec.structs.replace(MACHINE, device_key="nvidia-h100-sm90-80gib")


def ran(what: Ran | None, **changes: object) -> Measurement:
    """Make up a cost of a cell, and what ran of it."""
    changed = msgspec.structs.replace(what, **changes) if what is not None else None
    return a_cost(ran=changed)


def alone(what: Ran, **changes: object) -> Measurement:
    """The same of a cell that had a process to itself, whose graphs are its own."""
    row = make_memory(make_cell("int8"), {})
    changed = msgspec.structs.replace(what, **changes)
    return msgspec.structs.replace(row, found=msgspec.structs.replace(row.found, ran=changed))


def judged(
    head: Measurement, base: Measurement | None = None, machine: Machine = MACHINE
) -> Verdict | None:
    """Judge what ran of a head by the old one's, or another base's."""
    return judge_what_ran(base or ran(OLD), head, MACHINE, machine)


def test_what_ran_alike_gives_no_verdict() -> None:
    """Nor does a base of before, which does not say what ran; its cells are judged as they were."""
    assert judged(ran(OLD)) is None
    assert judged(ran(OLD), ran(None)) is None
    assert judged(ran(None), ran(None)) is None


@dataclass
class Case:
    """What ran otherwise, and what becomes of it."""

    changes: dict[str, object]
    outcome: str
    said: str


CASES = {
    "more weights": Case(
        {"weights": {"float32": 8 * 2**20}},
        "regressed",
        "the weights were 3 MiB of int8, 1 MiB of float16 and are 8 MiB of float32",
    ),
    "less weights": Case(
        {"weights": {"int8": 3 * 2**20}},
        "improved",
        "the weights were 3 MiB of int8, 1 MiB of float16 and are 3 MiB of int8",
    ),
    "other weights": Case(
        {"weights": {"int8": 3 * 2**20, "bfloat16": 2**20}},
        "regressed",
        "the weights were 3 MiB of int8, 1 MiB of float16 and are 3 MiB of int8, 1 MiB of bfloat16",
    ),
    "other layers": Case(
        {"layers": {"Linear8bitLt of int8": 51}},
        "regressed",
        "linear layers were 50 Linear8bitLt of int8, 1 Linear of float16 and are 51 Linear8bitLt "
        "of int8",
    ),
    "another type": Case(
        {"computes_in": "float32"}, "regressed", "layers multiplied in int8 and do in float32"
    ),
    "emulated": Case({"emulated": "bfloat16"}, "regressed", "nothing was emulated and bfloat16 is"),
    "more graphs": Case(
        {"compiled_graphs": 5}, "regressed", "torch.compile made 2 graphs and makes 5"
    ),
    "fewer graphs": Case(
        {"compiled_graphs": 1}, "improved", "torch.compile made 2 graphs and makes 1"
    ),
    "no graphs": Case(
        {"compiled_graphs": 0}, "regressed", "torch.compile made 2 graphs and makes 0"
    ),
    "math": Case(
        {"attention": ("cudnn", "math")}, "regressed", "attention was cudnn and is cudnn and math"
    ),
    "another kernel": Case(
        {"attention": ("flash",)}, "regressed", "attention was cudnn and is flash"
    ),
    "threads": Case({"threads": 2}, "regressed", "the library's own threads were None and are 2"),
    "not looked at": Case(
        {"attention": None}, "missing", "the head did not look at what attention ran"
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_ran_otherwise_is_worse_unless_it_is_surely_better(case: Case) -> None:
    """As of a count, a change has a verdict, and the sentence names it."""
    found = judged(alone(OLD, **case.changes), alone(OLD))
    assert found is not None
    assert (found.verdict, found.sentence) == (case.outcome, case.said)


def test_a_better_change_beside_a_worse_one_is_no_improvement() -> None:
    """All that changed is said in one sentence."""
    found = judged(alone(OLD, compiled_graphs=1, computes_in="float32"), alone(OLD))
    assert found is not None
    assert found.verdict == "regressed"
    assert found.sentence == (
        "layers multiplied in int8 and do in float32; torch.compile made 2 graphs and makes 1"
    )


def test_graphs_of_a_model_that_cells_share_are_not_compared() -> None:
    """They are counted from its loading on: a selection of batch sizes has fewer of them."""
    assert judged(ran(OLD, compiled_graphs=1)) is None
    assert judged(ran(OLD, compiled_graphs=5)) is None


def test_weights_that_are_not_told_are_no_other_weights() -> None:
    """People's own code that begins or ceases to tell its weights has none more or less."""
    own = Ran(weights={}, computes_in="its own")
    told = msgspec.structs.replace(own, weights={"its own": 2**20})
    assert judged(ran(told), ran(own)) is None
    assert judged(ran(own), ran(told)) is None


def test_fused_attention_in_place_of_plain_products_is_better() -> None:
    """A kernel that torch has learned in between is no regression."""
    found = judged(ran(OLD), ran(OLD, attention=("eager",)))
    assert found is not None
    assert found.verdict == "improved"


def test_another_device_may_choose_another_kernel() -> None:
    """Attention and what is emulated are the device's, weights and types are not."""
    head = ran(OLD, attention=("flash",), emulated="bfloat16")
    assert judged(head, machine=OTHER_MACHINE) is None
    found = judged(ran(OLD, computes_in="float32"), machine=OTHER_MACHINE)
    assert found is not None
    assert found.verdict == "regressed"


def test_a_head_that_does_not_say_what_ran_is_missing_it() -> None:
    """Where the base says it: a gate is not opened by silence."""
    found = judged(ran(None))
    assert found is not None
    assert (found.verdict, found.sentence) == ("missing", "the head does not say what ran")


def test_what_ran_is_gated_like_a_count() -> None:
    """A comparison of equal figures whose attention is another one does not pass, nor gets lost."""
    base = make_run(ran(OLD))
    head = make_run(ran(OLD, attention=("math",)))
    same = hold_against(base, base, None)
    assert same.exit_code == ExitCode.OK
    found = hold_against(base, head, None)
    assert found.exit_code == ExitCode.REGRESSED
    (failing,) = found.failing
    assert (failing.verdict.metric, failing.verdict.verdict) == (WHAT_RAN, "regressed")
    silent = hold_against(base, make_run(ran(None)), None)
    assert silent.exit_code == ExitCode.INVALID


def test_hosts_are_each_others_devices_no_more_than_gpus() -> None:
    """What one CPU emulates another one need not; its attention is not compared with it."""
    one = make_run(ran(OLD), machine=CPU_MACHINE)
    other = msgspec.structs.replace(CPU_MACHINE, device_key="cpu-other-8c")
    two = make_run(ran(OLD, emulated="float16"), machine=other)
    metrics = {each.verdict.metric for each in hold_against(one, two, None).judged}
    assert WHAT_RAN not in metrics
