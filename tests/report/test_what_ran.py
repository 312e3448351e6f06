"""What ran, as a run's summary shows it. No figure here was measured."""

from __future__ import annotations

import msgspec

from tests.runs import cost_of, make_cell, make_cost, make_measurement, make_run
from whisperbench.report.summary import WIDTH, details
from whisperbench.report.what_ran import in_words
from whisperbench.results.ran import Ran
from whisperbench.results.records import Measurement

INT8 = Ran(
    weights={"int8": 1447 * 2**20, "float16": 134 * 2**20},
    computes_in="int8",
    layers={"Linear8bitLt of int8": 512, "Linear of float16": 1},
)
COUNTED = msgspec.structs.replace(
    INT8,
    attention=("cudnn",),
    products={"bitsandbytes::int8_linear_matmul": 1024, "aten::mm": 3},
    kernels={"8-bit matrix products": 1024, "matrix products": 677, "moving data": 1997},
)
ON_A_CPU = Ran(
    weights={"float32": 2**20},
    computes_in="float32",
    layers={"Linear of float32": 17},
    emulated="float16",
    compiled_graphs=1,
    attention=("flash on a CPU",),
    products={
        "aten::addmm in a compiled graph": 21,
        "aten::linear": 17,
        "aten::mm in library::op": 4,
        "aten::mm": 4,
    },
    graph_launches=3,
)


def section(*rows: Measurement) -> str:
    """Summarise a run and cut out what ran."""
    text = details(make_run(*rows))
    assert max(map(len, text.splitlines())) <= WIDTH
    found = "what ran:" + text.partition("what ran:")[2]
    return "\n".join(line.rstrip() for line in found.splitlines()[:-1])


def cost(what: Ran, precision: str) -> Measurement:
    """Make up a cost, and what ran of it."""
    row = make_cost(make_cell(precision, tokens=4), {"aten_ops": 100})
    return msgspec.structs.replace(row, found=msgspec.structs.replace(cost_of(row), ran=what))


def timed(what: Ran, precision: str) -> Measurement:
    """Make up a transcription, and what ran of it."""
    row = make_measurement(precision=precision)
    return msgspec.structs.replace(row, found=msgspec.structs.replace(row.found, ran=what))


def test_passes_of_one_precision_share_a_row() -> None:
    """The model's own facts come from any pass, what a profile adds from the cost pass."""
    made = section(timed(INT8, "int8"), cost(COUNTED, "int8"), cost(ON_A_CPU, "fp16"))
    assert made == TABLE


TABLE = """\
what ran: model owner/whisper

 precision  weights, MiB  linear layers      multiplied in       attention       products
 ──────────────────────────────────────────────────────────────────────────────────────────────────
 int8       1447 int8     512 Linear8bitLt   int8                cudnn           1024 8-bit matrix
            134 float16   of int8                                                products
                          1 Linear of                                            677 matrix
                          float16                                                products
 fp16       1.00 float32  17 Linear of       float32             flash on a CPU  21 addmm in a
                          float32            emulated                            compiled graph
                                             compiled                            4 mm
                                             3 launched CUDA
                                             graphs

What ran was read from the model in memory, in every pass, and from the cost pass's profile.
Where that is not what the name of the precision stands for, the cell is invalid."""


def test_passes_that_contradict_each_other_are_two_rows() -> None:
    """One that loaded other weights than another is not hidden by it."""
    other = msgspec.structs.replace(INT8, weights={"float16": 2944 * 2**20})
    made = section(timed(INT8, "int8"), cost(other, "int8"))
    assert sum(line.startswith(" int8") for line in made.splitlines()) == 2
    assert "attention" not in made  # which no pass has looked at
    assert "2944 float16" in made


def test_programs_of_several_numbers_of_threads_are_one_row() -> None:
    """A pass that compiles for more threads than another has more graphs, of the same cell."""
    graphs = [msgspec.structs.replace(INT8, compiled_graphs=number) for number in (1, 2)]
    made = section(timed(graphs[0], "fp16-compiled"), cost(graphs[1], "fp16-compiled"))
    assert sum(line.startswith(" fp16") for line in made.splitlines()) == 1
    assert in_words(graphs).endswith("in int8, compiled")


def test_files_of_before_have_no_such_part() -> None:
    """Nothing is said where no file says what ran."""
    assert "what ran" not in details(make_run(make_measurement()))
