"""Limits in suite.toml: what reads, and which mistakes are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runs import (
    CPU_MACHINE,
    make_cell,
)
from whisperbench.asked.checkout import SUITE_FILE
from whisperbench.asked.suite import read_suite
from whisperbench.errors import InputError
from whisperbench.judge.limits import (
    applying,
)


def test_the_committed_file_reads() -> None:
    """The limits that ship have their types, and the out-of-the-box cells have one."""
    suite = read_suite()
    for precision in suite.profile["cpu"].precisions:
        cell = make_cell(precision, model=suite.profile["cpu"].models[0])
        assert applying(suite.limit, "memory", cell, CPU_MACHINE.device_key)


ABSOLUTE = """
[[limit]]
models = ["dummy:tiny"]
precisions = ["int8*"]
devices = ["cpu-*"]
batch_sizes = [1]
metric = "peak_process_mib"
max = 1024
reason = "it must fit"
"""
RATIO = ABSOLUTE.replace("max = 1024", 'max_ratio = 0.55\nof = "fp16"')


def with_limit(tmp_path: Path, table: str) -> Path:
    """Append a limit to the committed file."""
    path = tmp_path / "suite.toml"
    path.write_text(SUITE_FILE.read_text(encoding="utf-8") + table, encoding="utf-8")
    return path


def test_both_kinds_of_limit_read(tmp_path: Path) -> None:
    """A limit may be a whole number; batch sizes may be left out."""
    before = len(read_suite().limit)
    absolute, ratio = read_suite(with_limit(tmp_path, ABSOLUTE + RATIO)).limit[before:]
    assert (absolute.max, absolute.max_ratio, absolute.of) == (1024.0, None, None)
    assert (ratio.max, ratio.max_ratio, ratio.of) == (None, 0.55, "fp16")
    assert absolute.batch_sizes == (1,)
    everywhere = read_suite(with_limit(tmp_path, ABSOLUTE.replace("batch_sizes = [1]\n", "")))
    assert everywhere.limit[-1].batch_sizes == ()


@pytest.mark.parametrize(
    ("table", "old", "new", "word"),
    [
        (ABSOLUTE, "max =", "max_mib =", "unknown field `max_mib`"),
        (ABSOLUTE, "max = 1024\n", "", "needs one of max, min and max_ratio"),
        (RATIO, "max_ratio", "max = 5\nmax_ratio", "needs one of max, min and max_ratio"),
        (RATIO, "max_ratio", "min = 5\nmax_ratio", "needs one of max, min and max_ratio"),
        (ABSOLUTE, "[[limit]]", "[[ceiling]]", "[[ceiling]] is [[limit]] now: rename the table"),
        (RATIO, 'of = "fp16"\n', "", "max_ratio and of go together"),
        (ABSOLUTE, "reason", 'of = "fp16"\nreason', "max_ratio and of go together"),
        (RATIO, '"fp16"', '"fp17"', "fp17"),
        (
            ABSOLUTE,
            '"int8*"',
            '"int8", "int9*"',
            "no precision is called 'int9*'; choose from fp32",
        ),
        (ABSOLUTE, "1024", "0", "max must be > 0, for everything takes some memory"),
        (ABSOLUTE, "1024", "-1", ">= 0"),
        (ABSOLUTE, "1024", "nan", ">= 0"),
        (ABSOLUTE, "1024", "inf", "max"),
        (ABSOLUTE, "1024", '"1024"', "max"),
        (RATIO, "0.55", "0", "> 0"),
        (RATIO, "0.55", "inf", "max_ratio"),
        (RATIO, '"fp16"', '"fp*"', "of = 'fp*' is not a precision"),
        (ABSOLUTE, "peak_process_mib", "peak_proces_mib", "metric"),
        (ABSOLUTE, '"it must fit"', '""', "reason"),
        (ABSOLUTE, 'reason = "it must fit"\n', "", "missing required field `reason`"),
        (ABSOLUTE, '["dummy:tiny"]', "[]", "models"),
        (ABSOLUTE, '["dummy:tiny"]', '["dummy:tiny", ""]', "models"),
        (ABSOLUTE, '["int8*"]', "[]", "precisions"),
        (ABSOLUTE, '["cpu-*"]', "[]", "devices"),
        (ABSOLUTE, '["cpu-*"]', '[""]', "devices"),
        (ABSOLUTE, '["cpu-*"]', '"cpu-*"', "devices"),
        (ABSOLUTE, "[1]", "[0]", "batch_sizes"),
        (ABSOLUTE, 'metric = "peak_process_mib"\n', "", "missing required field `metric`"),
    ],
)
def test_a_mistake_in_a_limit_is_an_error(
    tmp_path: Path, table: str, old: str, new: str, word: str
) -> None:
    """A limit that says nothing, says two things or can never apply is refused by file name."""
    assert table.count(old) == 1
    path = with_limit(tmp_path, table.replace(old, new))
    with pytest.raises(InputError) as caught:
        read_suite(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert word in str(caught.value).removeprefix(f"{path}: ")
    assert "\n" not in str(caught.value)
