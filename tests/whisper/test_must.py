"""What must be true of what ran, held against it: data in, words out."""

from __future__ import annotations

import msgspec
import pytest

from whisperbench.results.ran import Ran
from whisperbench.whisper.must import ATTENTION, Layers, Must, departures

INT8 = Must(
    layers=Layers(name="Linear8bitLt", dtype="int8", bits=8),
    holds=("int8",),
    computes_in=("int8",),
    products=r"library::int8_product$",
    never={r"aten::mm in library::int8_product$": "the library multiplied floats"},
    kernels=("8-bit matrix products",),
    compiled=True,
)

AS_NAMED = Ran(
    weights={"int8": 1000, "float16": 200},
    computes_in="int8",
    layers={"Linear8bitLt of int8": 4, "Linear of float16": 1},
    compiled_graphs=1,
    compiled_calls=3,
    attention=("cudnn", "flash"),
    products={"library::int8_product": 6, "aten::mm": 2},
    kernels={"8-bit matrix products": 6, "moving data": 9},
    graph_launches=3,
)


def test_what_is_as_named_departs_in_nothing() -> None:
    """Neither does what a pass has not looked at."""
    unseen = Ran(weights={"int8": 1000}, computes_in="int8")
    assert list(departures(INT8, "sdpa", AS_NAMED)) == []
    assert list(departures(INT8, "sdpa", unseen)) == []
    assert list(departures(Must(), "sdpa", unseen)) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"weights": {"float16": 2000}},
            "no weights are held in int8: they are held in float16",
        ),
        ({"computes_in": "float32"}, "its layers multiply in float32, not in int8"),
        (
            {"emulated": "bfloat16"},
            "the device has no arithmetic in bfloat16 and emulates it",
        ),
        ({"compiled_graphs": 0}, "torch.compile made no graph, so it ran eagerly"),
        (
            {"compiled_calls": 0},
            "what torch.compile made was never called, so it ran eagerly",
        ),
        (
            {"attention": ("flash", "math")},
            "attention ran as math, which is not what sdpa stands for",
        ),
        (
            {"attention": ()},
            "attention ran as no attention that is known, which is not what sdpa stands for",
        ),
        (
            {"products": {"library::int8_product": 3, "aten::mm": 6}},
            "4 layers multiplied by 3 ops of its kind: 3 library::int8_product, 6 aten::mm",
        ),
        (
            {"products": {"library::int8_product": 6, "aten::mm in library::int8_product": 1}},
            "the library multiplied floats",
        ),
        (
            {"kernels": {"matrix products": 6}},
            "no kernel of the family 8-bit matrix products ran; those that did are matrix products",
        ),
    ],
)
def test_what_is_not_as_named_is_said(changed: dict[str, object], said: str) -> None:
    """Each departure is one clause, with what ran instead."""
    ran = msgspec.structs.replace(AS_NAMED, **changed)
    assert list(departures(INT8, "sdpa", ran)) == [said]


def test_eager_attention_in_a_compiled_graph_is_known_by_its_kernels() -> None:
    """On a GPU a graph's own softmax is all that is seen of it; of sdpa that is a fallback."""
    ran = msgspec.structs.replace(AS_NAMED, attention=("eager", "math"), compiled_calls=3)
    assert "math" not in " ".join(departures(Must(compiled=True), "eager", ran))
    assert "ran as math" in " ".join(departures(Must(), "eager", ran))
    assert "ran as eager, math" in " ".join(departures(Must(compiled=True), "sdpa", ran))


def test_attentions_are_no_other_ones() -> None:
    """What one attention stands for no other does, so that none passes for another."""
    for asked in ATTENTION:
        for other, names in ATTENTION.items():
            ran = msgspec.structs.replace(AS_NAMED, attention=names[:1])
            assert bool(list(departures(INT8, asked, ran))) == (asked != other)


def test_a_library_without_layers_needs_one_product() -> None:
    """Where nobody can say how many layers there are, one op of the kind has to be seen."""
    must = Must(products="library::product$")
    one = Ran(weights={}, computes_in="x", products={"library::product": 1})
    none = Ran(weights={}, computes_in="x", products={"aten::mm": 9})
    assert list(departures(must, "sdpa", one)) == []
    assert list(departures(must, "sdpa", none)) == [
        "1 layer multiplied by 0 ops of its kind: 9 aten::mm"
    ]
