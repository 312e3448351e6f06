"""Verdicts as Markdown: in order, within bounds, and inert whatever the files say."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.report.rendered import rendered
from tests.report.test_inert import HOSTILE
from tests.report.verdict_cases import BETTER, FINE, NOISY, SLOWER, VERDICTS, WORSE
from tests.runs import make_measurement, make_run
from whisperbench.judge.comparison import Comparison, hold_against
from whisperbench.pulls.publishing import command
from whisperbench.pulls.verdict_file import Annotation
from whisperbench.report.inert import within
from whisperbench.report.verdict_formats import FORMATS
from whisperbench.report.verdict_markdown import as_baseline_change, as_markdown, in_full
from whisperbench.results.records import Judged, Judgement

OURS = {
    *("p", "strong", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "details", "summary"),
    "h3",
}
TEXTS = st.one_of(
    st.sampled_from(HOSTILE),
    st.lists(
        st.sampled_from((*HOSTILE, " ", "\n", "|", "`", "\\", "<", "&", "\u200b")), max_size=6
    ).map("".join),
    st.text(max_size=40),
    st.sampled_from(HOSTILE).map(lambda text: text * 300),
)


@pytest.mark.parametrize("name", VERDICTS)
def test_a_comparison_as_markdown(golden: Callable[[str, str], None], name: str) -> None:
    """The verdict, what is missing, what changed with causes, and the rest folded."""
    golden(f"verdict-{name.replace(' ', '-')}.md", as_markdown(VERDICTS[name]()))


@pytest.mark.parametrize("written", ["text", "json"])
@pytest.mark.parametrize("name", ["something is worse", "something is missing"])
def test_a_comparison_in_the_other_formats(
    golden: Callable[[str, str], None], name: str, written: str
) -> None:
    """The same verdicts, for a terminal and for a program."""
    golden(f"verdict-{name.replace(' ', '-')}.{written}", FORMATS[written](VERDICTS[name]()))


def test_a_baseline_that_moves(golden: Callable[[str, str], None]) -> None:
    """Old and new, and all that changed in sight."""
    old, new = make_run(make_measurement()), make_run(make_measurement(rtfx=2.0))
    found = hold_against(old, new, None)
    golden("baseline-change.md", as_baseline_change("a/default.json", old, new, found))


@pytest.mark.parametrize("name", VERDICTS)
def test_the_comment_has_the_same(name: str) -> None:
    """All but the verdict's own line, which stands above it there."""
    found = VERDICTS[name]()
    assert as_markdown(found).partition("\n\n")[2] == in_full(found)


def test_what_matters_stands_first() -> None:
    """The worst figure first, then what improved, and what nobody must act on is folded."""
    found = Comparison(judged=[BETTER, NOISY, FINE, WORSE, SLOWER], circumstances=["os was a"])
    sight, _, folded = as_markdown(found).partition("<details>")
    order = [sight.index(text) for text in ("132", "1.12 s", "900 MiB")]
    assert order == sorted(order)
    assert "os was a" in folded
    assert "os was a" not in sight


def with_text(texts: list[str]) -> Comparison:
    """Put texts into all places of a comparison that a file fills."""
    judged = []
    verdicts: tuple[Judgement, ...] = ("regressed", "improved", "missing", "inconclusive")
    for verdict, row in zip(verdicts, (WORSE, BETTER, FINE, NOISY), strict=True):
        cell = msgspec.structs.replace(
            row.cell, model=texts[0], precision=texts[1], clip=texts[2], attention=texts[3]
        )
        own = msgspec.structs.replace(
            row.verdict, verdict=verdict, metric=texts[4], sentence=texts[5]
        )
        judged.append(Judged(texts[6], cell, own))
    return Comparison(
        judged=judged, unmeasured=texts[7:9], circumstances=[f"suspect: {texts[9]}", texts[10]]
    )


PLAIN = [f"plain {number}" for number in range(11)]


@given(st.lists(TEXTS, min_size=11, max_size=11))
@example([*PLAIN[:6], "![a](https://x.y)" * 300, *PLAIN[7:]])
@settings(max_examples=150, deadline=None)
def test_no_element_but_ours_comes_out(texts: list[str]) -> None:
    """Whatever stands in the files, the elements are those of a comparison of plain words."""
    made = rendered(as_markdown(with_text(texts)))
    tags = [tag for tag in made.tags if tag.strip("/") != "span"]
    assert tags == rendered(as_markdown(with_text(PLAIN))).tags
    assert set(tags) <= OURS | {f"/{tag}" for tag in OURS}
    assert made.attributes == []
    assert made.comments == []
    assert made.open == []
    seen = "".join(made.text)
    assert not re.search(r"@\w|#\d|\bgh-\d|://|\bwww\.|:[a-z0-9_+-]+:", seen, re.IGNORECASE)
    assert not re.search("[\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\u2060]", seen)


@given(st.lists(TEXTS, min_size=11, max_size=11), st.integers(200, 6000))
@settings(max_examples=100, deadline=None)
def test_what_is_cut_is_still_ours(texts: list[str], most: int) -> None:
    """Cut anywhere, it is as short as asked for, and what is folded has its end."""
    cut = within(as_markdown(with_text(texts)), most, "see there")
    assert len(cut.encode()) <= most
    made = rendered(cut)
    assert made.open == []
    assert {tag.strip("/") for tag in made.tags} <= OURS | {"span"}


def test_the_renderer_would_tell() -> None:
    """Of text that is not made inert the renderer makes elements: the tests above can fail."""
    made = rendered("<img src=x> [b](https://x.y) <b>c</b>\n\n# d\n\n`e`\n\n<!-- x -->")
    assert {"img", "a", "b", "h1", "code"} <= set(made.tags)
    assert made.comments == [" x "]


@given(TEXTS, TEXTS)
@settings(max_examples=150, deadline=None)
def test_an_annotation_is_one_command(title: str, message: str) -> None:
    """A runner reads one command of one line: its level, a title, and the message."""
    line = command(Annotation("error", title, message))
    assert len(line.splitlines()) == 1
    assert "##[" not in line
    told = re.fullmatch(r"::error title=([^:,]*)::(.*)", line)
    assert told is not None
