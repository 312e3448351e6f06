"""Artifacts with any value in any place: judged or refused, always in words, never by accident."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pulls.artifacts import HEAD, MERGE_BASE, Left, Side
from whisperbench.asked.checkout import SUITE_FILE
from whisperbench.pulls.judging import judge_artifact, judge_job
from whisperbench.pulls.publishing import command
from whisperbench.pulls.rejudging import Expected
from whisperbench.pulls.surroundings import Surroundings
from whisperbench.pulls.verdict_file import PullVerdict, read_verdict, write_verdict

EXPECTED = Expected(base=MERGE_BASE, head=HEAD)
VALUES: tuple[Any, ...] = (
    *(0, -1, 1, 1e18, 1e-320, 2**53, -(2**63), 0.1, True, None, [], {}, [1, 2], {"a": 1}),
    *("", "x", "::error::x", "a | b ` <img src=x> @name #1", "\u202e", "a\nb", "a" * 5000),
)
ROUNDS = 400


def judged(folder: Path) -> PullVerdict:
    """Judge a folder."""
    return judge_artifact((), folder, EXPECTED, SUITE_FILE)


def judged_behind(needs: str, folder: Path) -> PullVerdict:
    """Judge a folder in a job, told what became of the jobs before it."""
    said = {"NEEDS": needs, "WHISPERBENCH_BASE": MERGE_BASE, "WHISPERBENCH_HEAD": HEAD}
    return judge_job(Surroundings(variables=said), folder, SUITE_FILE)


def places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each place of a JSON document, as its container and key."""
    keys = content.keys() if isinstance(content, dict) else range(len(content))
    for key in keys:
        yield content, key
        if isinstance(content[key], dict | list):
            yield from places(content[key])


def test_any_value_in_any_place(tmp_path: Path) -> None:
    """There is a verdict that can be written and read, in lines that are inert."""
    whole = Left().content()
    names = [name for name in whole if name.endswith(".json")]
    chosen = random.Random(7)
    folder = Left().write(tmp_path / "measured")
    states = set()
    for _ in range(ROUNDS):
        name = chosen.choice(names)
        content = json.loads(whole[name])
        container, key = chosen.choice(list(places(content)))
        container[key] = chosen.choice(VALUES)
        (folder / name).write_text(json.dumps(content))
        verdict = judged(folder)
        (folder / name).write_bytes(whole[name])
        states.add(verdict.state)
        write_verdict(tmp_path / "verdict.json", verdict)
        assert read_verdict(tmp_path / "verdict.json") == verdict
        assert verdict.state == "success" or verdict.exit_code
        assert len(verdict.description.splitlines()) == 1
        for line in verdict.markdown.splitlines():
            own = line.replace("<span>$</span>", "")
            if re.fullmatch(r"</?details>|<summary>[A-Za-z0-9 ]+</summary>", own):
                continue
            assert not re.search(r"(?<!\\)[<`]|@\w", own)
        for each in verdict.annotations:
            assert command(each).isprintable()
    assert states == {"success", "failure", "error"}


@pytest.mark.parametrize("name", ["verdicts.json", "base.log"])
def test_what_the_artifact_says_of_itself_decides_nothing(tmp_path: Path, name: str) -> None:
    """Verdicts and logs may say what they like, or be absent."""
    worse = Left(head=Side(aten_ops=101.0))
    verdicts = []
    for place, data in enumerate((b'{"exit_code": 0}', b"::error::", b"\xff\x00", None)):
        worse.files = {name: data}
        verdicts.append(judged(worse.write(tmp_path / str(place))))
    assert {each.state for each in verdicts} == {"failure"}
    assert len({each.markdown for each in verdicts}) == 1


@pytest.mark.parametrize(
    ("field", "worse"),
    [
        ("aten_ops", 100.5),
        ("aten_ops", 0.0),
        ("gpu_ms", 10.2),
        ("gpu_ms", 0.0),
        ("peak_mib", 1100.0),
        ("peak_mib", 0.0),
        ("token_s", (1.2, 1.2, 1.2)),
        ("token_s", (0.0, 0.0, 0.0)),
    ],
)
def test_any_figure_that_is_worse_is_found(tmp_path: Path, field: str, worse: Any) -> None:
    """Growth of each kind of figure is no success, and neither is what measured nothing."""
    left = Left(head=Side(**{field: worse}))
    verdict = judged(left.write(tmp_path / "measured"))
    assert verdict.state == "failure"
    assert verdict.exit_code in (1, 4)


@pytest.mark.parametrize(
    "needs", ["", "{}", "null", "[]", '{"a": 1}', '{"a": {"result": "Success"}}']
)
def test_needs_that_say_nothing(tmp_path: Path, needs: str) -> None:
    """Where no job is said to have succeeded, none has."""
    folder = Left().write(tmp_path / "measured")
    assert judged_behind('{"measure": {"result": "success"}}', folder).state == "success"
    assert judged_behind(needs, folder).state == "error"


def test_one_job_of_many_is_enough_to_fail(tmp_path: Path) -> None:
    """Each need counts, and each that did not succeed is named."""
    folder = Left().write(tmp_path / "measured")
    needs = json.dumps(
        {
            name: {"result": each}
            for name, each in zip("abc", ("success", "skipped", "failure"), strict=True)
        }
    )
    verdict = judged_behind(needs, folder)
    assert verdict.state == "error"
    assert "(b: skipped, c: failure)" in verdict.description


def test_many_regressions_are_told_within_bounds(tmp_path: Path) -> None:
    """Ten annotations at most, of which the last says how many more there are."""
    worse = Left(
        head=Side(aten_ops=101.0, gpu_ms=20.0, peak_mib=2000.0),
        compared={"faults": tuple(f"fault {number}" for number in range(50))},
    )
    verdict = judged(worse.write(tmp_path / "measured"))
    assert len(verdict.annotations) == 10
    assert verdict.annotations[0].title.startswith("regressed: ")
    assert verdict.annotations[-1].message == "46 more are in the run's summary"
    assert "fault 49" in verdict.markdown
