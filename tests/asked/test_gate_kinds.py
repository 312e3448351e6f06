"""[gate] in suite.toml: what reads, what holds without it, and which mistakes are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from whisperbench.asked.checkout import SUITE_FILE
from whisperbench.asked.gate import DEFAULT_GATE
from whisperbench.asked.suite import read_suite
from whisperbench.errors import InputError
from whisperbench.results.kinds import KINDS

REQUIRE = 'require = ["exact", "device_time", "memory", "quality"]\n'
REPORT = 'report = ["wall"]\n'
REASON = 'reason = "it is so"\n'
GATE = f"[gate]\n{REQUIRE}{REPORT}{REASON}"


def replaced(folder: Path, gate: str) -> Path:
    """Write the committed file with another table [gate]."""
    text = SUITE_FILE.read_text(encoding="utf-8")
    before, _, after = text.partition("[gate]\n")
    path = folder / "suite.toml"
    _, end, rest = after.partition("# What may grow")
    path.write_text(f"{before}{gate}{end}{rest}", encoding="utf-8")
    return path


def test_the_committed_gate_is_the_default(tmp_path: Path) -> None:
    """What suite.toml says is what holds without it: only wall time may be undecided."""
    gate = read_suite().gate
    assert (gate.require, gate.report) == (DEFAULT_GATE.require, DEFAULT_GATE.report)
    assert gate.report == ("wall",)
    assert {*gate.require, *gate.report} == KINDS.keys()
    assert read_suite(replaced(tmp_path, "")).gate is DEFAULT_GATE


def test_wall_time_can_be_required(tmp_path: Path) -> None:
    """A quiet machine's suite may require all kinds, and report none."""
    strict = GATE.replace('"quality"]', '"quality", "wall"]').replace('["wall"]', "[]")
    assert read_suite(replaced(tmp_path, strict)).gate.require == (*DEFAULT_GATE.require, "wall")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('["wall"]', '["walls"]', "no kind is called 'walls'; choose from exact, device_time"),
        ('["wall"]', "[]", "the kind 'wall' stands in neither; put it into require or report"),
        ('["wall"]', '["wall", "exact"]', "the kind 'exact' stands in both"),
        ('["wall"]', '["wall", "wall"]', "the kind 'wall' stands in one of them twice"),
        ('["wall"]', '"wall"', "Expected `array`"),
        (REPORT, "", "missing required field `report`"),
        (REQUIRE, "", "missing required field `require`"),
        (REPORT, REPORT + "fail = []\n", "unknown field `fail`"),
        (REASON, 'reason = ""\n', "length >= 1 - at `$.gate.reason`"),
        (REASON, "", "missing required field `reason`"),
    ],
)
def test_a_mistake_in_the_gate_is_an_error(tmp_path: Path, old: str, new: str, said: str) -> None:
    """An unknown kind, one in both lists or in neither, and a missing key: one line each."""
    assert GATE.count(old) == 1
    path = replaced(tmp_path, GATE.replace(old, new))
    with pytest.raises(InputError) as caught:
        read_suite(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
