"""Limits: which apply to a cell, and what is said of it."""

from __future__ import annotations

import msgspec
import pytest

from tests.judge.made_up_limits import (
    CPU_FIGURES,
    GPU_FIGURES,
    INT8,
    a_limit,
    a_ratio,
    only,
)
from tests.runs import (
    CPU_MACHINE,
    MACHINE,
    make_cell,
)
from whisperbench.asked.suite import Limit
from whisperbench.judge.limits import (
    applying,
    describe,
    judge,
    on_device,
    what_filled,
)
from whisperbench.results.records import Verdict


@pytest.mark.parametrize(
    ("change", "applies"),
    [
        ({}, True),
        ({"models": ("owner/whisper",)}, True),
        ({"models": ("other", "owner/*")}, True),
        ({"models": ("owner",)}, False),
        ({"models": ("OWNER/*",)}, False),
        ({"precisions": ("fp16", "int8")}, True),
        ({"precisions": ("int8-*",)}, False),
        ({"devices": ("nvidia-*-sm90-*",)}, True),
        ({"devices": ("cpu-*",)}, False),
        ({"batch_sizes": (1, 4)}, True),
        ({"batch_sizes": (2, 8)}, False),
    ],
)
def test_a_limit_is_for_the_cells_that_it_names(
    change: dict[str, tuple[str, ...]], applies: bool
) -> None:
    """Each of model, precision, device and batch size must match; no batch size means all."""
    fields = msgspec.structs.asdict(a_limit()) | change
    found = applying(
        [Limit(**fields)],
        "memory",
        make_cell("int8", batch_size=4),
        MACHINE.device_key,
    )
    assert bool(found) is applies


def test_limits_stay_in_the_order_of_the_file() -> None:
    """All that apply are judged, in the order that they were written in."""
    names = ["weight_mib", "context_mib", "peak_process_mib"]
    limits = [a_limit(name) for name in names]
    found = applying(limits, "memory", INT8, "cpu-x-2c")
    assert found == limits
    verdicts = judge(INT8, {}, found, {}, "fp16")
    assert [verdict.metric for verdict in verdicts] == names
    assert judge(INT8, GPU_FIGURES, [], {}, "fp16") == ()


def test_limits_of_a_device() -> None:
    """`on_device` looks at the device key alone."""
    here = msgspec.structs.replace(a_limit(), devices=("nvidia-*", "cpu-*-2c"))
    elsewhere = msgspec.structs.replace(a_limit(), devices=("cpu-*-4c",))
    assert on_device([elsewhere, here], CPU_MACHINE.device_key) == [here]


def test_a_limit_is_described() -> None:
    """A sentence names the cells and the limit."""
    assert describe(a_limit()) == "any model in any precision: peak_process_mib at most 1024 MiB"
    ratio = msgspec.structs.replace(a_ratio(), models=("a", "b*"), batch_sizes=(1, 4))
    assert describe(ratio) == "a, b* in any precision, batch 1, 4: weight_mib at most 0.5 of fp16's"


@pytest.mark.parametrize("actual", [0.0, 1023.9, 1024.0])
def test_at_most_the_limit_is_ok(actual: float) -> None:
    """A figure up to the limit, and exactly at it, keeps it."""
    verdict = only(a_limit(), {"peak_process_mib": actual})
    assert verdict == Verdict(
        verdict="ok",
        metric="peak_process_mib",
        head=actual,
        limit=1024.0,
        unit="MiB",
        sentence=f"peak_process_mib is {actual:.1f} MiB of at most 1024.0 MiB",
    )


def test_a_page_over_the_limit_is_over() -> None:
    """No tolerance is added to a limit: it is where it is."""
    actual = 1024.0 + 4096 / 2**20
    verdict = only(a_limit(), {"peak_process_mib": actual})
    assert verdict.verdict == "over-limit"
    assert (verdict.head, verdict.limit) == (actual, 1024.0)


def test_a_gpu_over_its_limit_is_told_all() -> None:
    """The sentence holds cell, figure, excess, limit, reason, what filled it, and the remedy."""
    verdict = only(a_limit(max_mib=2500.0), GPU_FIGURES)
    assert verdict == Verdict(
        verdict="over-limit",
        metric="peak_process_mib",
        head=2530.0,
        limit=2500.0,
        unit="MiB",
        sentence=(
            "owner/whisper int8: peak_process_mib is 2530.0 MiB, 30.0 MiB over its limit of "
            "2500.0 MiB (it must fit); in it: weights 1500 MiB, other tensors 325 MiB, torch's "
            "cache 175 MiB, context and libraries 530 MiB; find what grew, or raise the limit "
            "in benchmarks/suite.toml and say why"
        ),
    )


def test_a_cpu_over_its_limit_is_told_all() -> None:
    """Where torch keeps no count, the process is taken apart as far as can be."""
    sentence = only(a_limit(max_mib=500.0), CPU_FIGURES).sentence
    assert sentence == (
        "owner/whisper int8: peak_process_mib is 551.0 MiB, 51.0 MiB over its limit of "
        "500.0 MiB (it must fit); in it: weights 144 MiB, interpreter and libraries 274 MiB, "
        "everything else 133 MiB; find what grew, or raise the limit in "
        "benchmarks/suite.toml and say why"
    )


@pytest.mark.parametrize(
    ("metric", "clause"),
    [
        (
            "peak_device_mib",
            "weights 1500 MiB, other tensors 325 MiB, torch's cache 175 MiB, "
            "context and libraries 540 MiB",
        ),
        ("peak_reserved_mib", "weights 1500 MiB, other tensors 325 MiB, torch's cache 175 MiB"),
        ("peak_allocated_mib", "weights 1500 MiB, other tensors 325 MiB"),
        (
            "load_peak_process_mib",
            "weights 1500 MiB, other tensors 100 MiB, torch's cache 100 MiB, "
            "context and libraries 550 MiB",
        ),
        ("load_peak_allocated_mib", "weights 1500 MiB, other tensors 100 MiB"),
    ],
)
def test_a_peak_is_taken_apart_into_what_lies_inside_it(metric: str, clause: str) -> None:
    """A figure of torch's own names nothing that lies outside it; a phase's is the phase's."""
    assert what_filled(metric, GPU_FIGURES) == f"; in it: {clause}"


@pytest.mark.parametrize("figures", [GPU_FIGURES, CPU_FIGURES])
def test_the_parts_make_the_whole(figures: dict[str, float]) -> None:
    """Whatever the peak, its parts add up to it."""
    for metric in (name for name in figures if "peak_" in name):
        clause = what_filled(metric, figures)
        parts = [float(words.split()[-2]) for words in clause.split(", ")]
        assert sum(parts) == pytest.approx(figures[metric], abs=len(parts))


def test_nothing_is_said_of_parts_that_are_not_there() -> None:
    """A part of no size is left out."""
    figures = GPU_FIGURES | {"peak_reserved_mib": 1825.0}
    assert "torch's cache" not in what_filled("peak_process_mib", figures)


@pytest.mark.parametrize("metric", ["weight_mib", "context_mib", "driver_reserved_mib"])
def test_a_figure_that_is_no_peak_is_not_taken_apart(metric: str) -> None:
    """Weights over their limit are not explained by themselves."""
    sentence = only(a_limit(metric, 10.0), GPU_FIGURES).sentence
    assert "(it must fit); find what grew" in sentence
    assert "in it" not in sentence


@pytest.mark.parametrize("prefix", ["", "load_"])
@pytest.mark.parametrize("max_mib", [2500.0, 2000.0])
def test_a_hidden_process_is_judged_by_the_device(prefix: str, max_mib: float) -> None:
    """Where the driver hides what a process holds, the device's growth stands in, and says so."""
    metric = f"{prefix}peak_process_mib"
    hidden = {name: value for name, value in GPU_FIGURES.items() if "process" not in name}
    hidden[f"{prefix}peak_device_mib"] = 2400.0
    verdict = only(a_limit(metric, max_mib), hidden)
    assert verdict.verdict == ("ok" if max_mib == 2500.0 else "over-limit")
    assert (verdict.metric, verdict.head) == (f"{prefix}peak_device_mib", 2400.0)
    assert f"(in place of {metric}, which hides)" in verdict.sentence


def test_a_process_that_is_seen_is_judged_itself() -> None:
    """The device's figure stands in for nothing that is there."""
    verdict = only(a_limit(max_mib=2535.0), GPU_FIGURES)
    assert (verdict.verdict, verdict.metric) == ("ok", "peak_process_mib")


@pytest.mark.parametrize("metric", ["peak_process_mib", "peak_reserved_mib", "driver_reserved_mib"])
def test_what_was_not_measured_has_not_passed(metric: str) -> None:
    """A limit on a figure that is not there is `missing`, with the cell and the condition."""
    verdict = only(a_limit(metric), {"weight_mib": 1.0})
    assert verdict == Verdict(
        verdict="missing",
        metric=metric,
        head=None,
        limit=1024.0,
        unit="MiB",
        sentence=(
            f"owner/whisper int8: {metric} at most 1024 MiB could not be judged: {metric} was "
            "not measured"
        ),
    )
