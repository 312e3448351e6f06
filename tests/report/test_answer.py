"""The answer and its table, as golden text, and what holds of every situation."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec
import pytest

from tests.report.cases import CASES, gpu, timed
from tests.runs import make_run
from whisperbench.report.answer import paragraphs, said, sentences
from whisperbench.report.answer_rules import RULES
from whisperbench.report.case import case_of
from whisperbench.report.look import FEWEST, MOST, Look
from whisperbench.report.standing import subjects_of
from whisperbench.report.summary import details, summarise
from whisperbench.results.records import Run


def answer(run: Run, look: Look | None = None) -> str:
    """Write what stands before the details."""
    text = summarise(run, look or Look())
    return text.removesuffix(details(run, look or Look())).removesuffix("\n\n")


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str, golden: Callable[[str, str], None]) -> None:
    """What each situation says, to the letter."""
    golden(name.replace(" ", "-") + ".txt", answer(CASES[name]()))


def test_every_rule_speaks_somewhere() -> None:
    """No sentence is dead, and none names a figure that a case does not have."""
    spoken = set()
    for make in CASES.values():
        run = make()
        for subject in subjects_of(run):
            for further in (0, 1):
                case = case_of(subject, run.machine, further)
                told = sentences(case)
                spoken |= {rule for rule in RULES if said(rule, case) in told}
    assert [rule.sentence for rule in RULES if rule not in spoken] == []


@pytest.mark.parametrize("name", CASES)
def test_sentences_are_whole_and_few(name: str) -> None:
    """Each is ended by a full stop, and nothing unknown is in them; of one cell they are five."""
    run = CASES[name]()
    for _, text in paragraphs(run, subjects_of(run)):
        assert len(re.findall(r"\.(?= |$)", text)) <= 5 + ("further" in text or "missing" in name)
        assert text.endswith((".", "both."))
        assert not re.search(r"\bnan\b|None|  ", text)


@pytest.mark.parametrize("width", [1, FEWEST, 100, 137, MOST, 999])
@pytest.mark.parametrize("name", CASES)
def test_every_width_holds(name: str, width: int) -> None:
    """From 80 to 200 columns no line is longer, no word is cut and no figure leaves its unit."""
    look = Look(width)
    lines = answer(CASES[name](), look).splitlines()
    assert all(len(line) <= look.width for line in lines)
    assert not any("…" in line or "\x1b" in line for line in lines)
    assert not any(re.match(r"(%|GiB|MiB|ms|s)\b", line) for line in lines)


def test_colour_is_all_that_colour_adds() -> None:
    """Without its escapes a coloured report is the plain one."""
    coloured = answer(gpu(), Look(colour=True))
    assert "\x1b[32mok" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured).split() == answer(gpu()).split()


def test_what_finds_no_room_is_named() -> None:
    """A narrow terminal leaves columns out, and a line says which."""
    assert "Left out" not in answer(gpu())
    left_out = re.search(
        r"The width leaves no room for the columns (.*)\.", answer(gpu(), Look(FEWEST))
    )
    assert left_out is not None
    assert "bar" in left_out[1].split(", ")


def test_a_name_in_a_file_is_no_markup_and_no_format() -> None:
    """What a model is called is text, whatever it looks like."""
    row = timed("fp16", model="[red]{this}%s")
    text = answer(make_run(row, timed("int8", model="[red]{this}%s")))
    assert "[red]{this}%s: int8 saves" in text


def test_times_of_other_token_counts_are_not_divided() -> None:
    """Where precisions wrote other numbers of tokens, no sentence and no column compares them."""
    other = timed("int8")
    cell = msgspec.structs.replace(other.cell, tokens=32)
    run = make_run(timed("fp16"), msgspec.structs.replace(other, cell=cell))
    text = answer(run)
    assert "times as long" not in text
    assert "7.18" not in text
