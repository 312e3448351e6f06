"""Undecided wall time in words: one line for all of its figures, in every format."""

from __future__ import annotations

import json

import pytest

from tests.runs import make_cell
from whisperbench.judge.comparison import Comparison
from whisperbench.report.undecided import undecided_lines
from whisperbench.report.verdict_markdown import as_markdown
from whisperbench.report.verdicts import as_json, as_text
from whisperbench.results.kinds import Kind
from whisperbench.results.records import Judged, Verdict

AB = "whisperbench ab decides it in about 6 minutes"
FEW = "1 process against 1 tells too little of how processes differ, so any growth may be hidden"
OTHER = "2 processes against 1 tell too little of how processes differ"
SAID = "0.5 to 0.6 s (+20.00 %), between -88.0 % and over +1000 %"


def undecided(
    unseen: float | None = None,
    *,
    few: bool = True,
    benchmark: str = "encoder",
    low: float = -0.1,
    head: float = 1.2,
    kind: Kind = "wall",
    sentence: str = SAID,
) -> Judged:
    """Make up a figure that is not decided."""
    verdict = Verdict(
        verdict="inconclusive",
        metric="latency_s",
        unit="s",
        sentence=sentence,
        base=1.0,
        head=head,
        interval=(low, 0.5) if unseen is not None or not few else None,
        kind=kind,
        unseen=unseen,
    )
    return Judged(benchmark, make_cell(), verdict)


FINE = Judged(
    "cost", make_cell(), Verdict(verdict="ok", metric="x", unit="1", sentence="", kind="exact")
)


@pytest.mark.parametrize(
    ("judged", "said"),
    [
        (
            [undecided(0.18)] * 10,
            f"wall time of 10 figures is not decided: a growth under 18 % may be hidden; {AB}",
        ),
        (
            [undecided(0.1234)],
            f"wall time of 1 figure is not decided: a growth under 13 % may be hidden; {AB}",
        ),
        (
            [undecided(0.12), undecided(1.131), undecided(0.5)],
            "wall time of 3 figures is not decided: a growth under 12 % to 114 %, depending on the "
            f"figure, may be hidden; {AB}",
        ),
        (
            [undecided(few=False), undecided(few=False, sentence="another")],
            f"wall time of 2 figures is not decided: any growth may be hidden; {AB}",
        ),
        (
            [undecided(0.3), undecided(few=False)],
            "wall time of 2 figures is not decided: a growth under 30 % may be hidden; any growth "
            f"may be hidden in 1 of them; {AB}",
        ),
        (
            [undecided(sentence=FEW)] * 4,
            f"wall time of 4 figures is not decided: {FEW}; {AB}",
        ),
        (
            [undecided(sentence=FEW), undecided(sentence=OTHER), undecided(0.3)],
            "wall time of 3 figures is not decided: a growth under 30 % may be hidden; any growth "
            f"may be hidden in 2 of them; {AB}",
        ),
        (
            [undecided(0.3), undecided(0.3, low=0.2, head=2.0), undecided(0.3, low=0.1)],
            "wall time of 3 figures is not decided: a growth under 30 % may be hidden; 2 of them "
            "look worse than the base, most of all encoder, owner/whisper fp16, harbour, 64 tokens "
            f"(+100 %), and 3 or more processes would tell; {AB}",
        ),
    ],
)
def test_one_line_tells_of_all(judged: list[Judged], said: str) -> None:
    """How many, what growth may be hidden, which look worse, and what decides it: in one line."""
    found = Comparison(judged=[FINE, *judged], remedy=AB)
    assert undecided_lines(found) == [said]
    assert as_text(found).splitlines()[0] == said
    (bullet,) = [
        line
        for line in as_markdown(found).splitlines()
        if line.startswith("- ") and "not decided" in line
    ]
    assert bullet == f"- {said}"
    assert "| inconclusive |" not in as_markdown(found)
    content = json.loads(as_json(found))
    assert content["undecided"] == [said]
    assert content["exit_code"] == 0
    each = [verdict for verdict in content["verdicts"] if verdict["verdict"] == "inconclusive"]
    assert [verdict["sentence"] for verdict in each] == [row.verdict.sentence for row in judged]
    assert [verdict.get("unseen") for verdict in each] == [row.verdict.unseen for row in judged]
    assert {verdict["kind"] for verdict in each} == {"wall"}


def test_what_is_decided_has_no_such_line() -> None:
    """Nothing undecided, nothing said."""
    assert undecided_lines(Comparison(judged=[FINE], remedy=AB)) == []
    assert undecided_lines(Comparison(judged=[])) == []


def test_no_remedy_is_made_up() -> None:
    """Where nothing would decide it, the line ends with what may be hidden."""
    (line,) = undecided_lines(Comparison(judged=[FINE, undecided(0.18)]))
    assert line.endswith("a growth under 18 % may be hidden")


def test_what_is_required_is_listed_as_well() -> None:
    """Each undecided figure that fails has its own line, and the one line says why."""
    found = Comparison(judged=[FINE, *[undecided(0.18)] * 2], require=["wall"], remedy=AB)
    lines = as_text(found).splitlines()
    assert lines[0].startswith("inconclusive: encoder, owner/whisper fp16")
    assert lines[1].startswith("wall time of 2 figures is not decided, and suite.toml requires it:")
    assert "| inconclusive | encoder" in as_markdown(found)
    assert json.loads(as_json(found))["require"] == ["wall"]


def test_other_kinds_keep_their_own_line() -> None:
    """GPU time that may be undecided says itself why it is: it is no matter of processes."""
    row = undecided(kind="device_time", sentence="the head's own executions differ by 40.0 %")
    found = Comparison(judged=[FINE, row], require=["exact"])
    assert undecided_lines(found) == []
    assert as_text(found).startswith("inconclusive: encoder")
    assert found.exit_code == 0


def test_nothing_decided_is_said() -> None:
    """A comparison of wall time alone, of which nothing is decided, says why it does not pass."""
    found = Comparison(judged=[undecided(0.18)], remedy=AB)
    assert undecided_lines(found)[1:] == [
        "no figure was decided, and a comparison that decides nothing is no pass"
    ]
    assert found.exit_code == 3
