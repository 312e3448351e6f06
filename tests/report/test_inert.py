"""Text that others have written stays text in Markdown."""

from __future__ import annotations

import re
from html import unescape

import pytest

from tests.runs import make_cell
from whisperbench.errors import InputError, printable
from whisperbench.judge.comparison import Comparison
from whisperbench.report.inert import inert, within
from whisperbench.report.verdict_markdown import as_markdown
from whisperbench.results.records import Judged, Verdict

HOSTILE = (
    *("a | b", "`code`", "**bold**", "_x_", "~~x~~", "<img src=x onerror=alert(1)>", "</details>"),
    *("[a](https://x.y)", "![a](https://x.y)", "https://x.y", "www.x.y", "WWW.x.y", "a@b.example"),
    *("@name", "@org/team", "see #1", "GH-1", "gh-12", "owner/name#7", "&lt;b&gt;", "&#64;name"),
    *("$x$", "# big", "- item", "1. one", "2) two", "---", "===", "+ x", "> quote", "\\"),
    *("a\nb", "a\r\n\r\n# b", "a\u2028b", "a\u202eb", "\u2066a", "\x1b[31m", "a\0b", "<!-- x"),
    *("::error::x", "##[error]x", "::set-output name=a::b", ":bug:", ":+1:", "a:bug:b"),
    *("a\u200bb", "a\ufeffb", "a\u200db1", "\u3164", "\U000e0041x", "a\u2060b"),
)


@pytest.mark.parametrize("text", HOSTILE)
def test_text_stays_on_its_line_and_in_its_cell(text: str) -> None:
    """No line ends, no cell ends, no tag, entity, mention or address begins, in any place."""
    written = inert(text)
    assert written.isprintable()
    assert not re.search(r"(?<!\\)[`*_{}\[\]<>|~]", written.replace("<span>$</span>", ""))
    assert not re.search(r"&(?!(amp|#64|#35|#58|#8203);)", written)
    assert not re.match(r"([#+=-]+|\d+[.)])(\s|$)", written)
    # What a reader sees, which is where GitHub looks.
    seen = re.sub(r"\\(.)", r"\1", unescape(written.replace("<span>$</span>", "$")))
    assert not re.search(r"@\w|#\d|gh-\d|://|www\.", seen, re.IGNORECASE)
    assert not re.search(r":[a-z0-9_+-]+:", seen, re.IGNORECASE)
    seen = seen.replace("\u200b", "")
    assert seen == printable(text).strip() or re.search(r"\\(u|U000|x|ufe)", seen)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a\u200bb", r"a\\u200bb"),
        ("\ufeffa", r"\\ufeffa"),
        ("a\u200d", r"a\\u200d"),
        ("pay\u00adpal", r"pay\\xadpal"),
        ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u200c\u062e"),  # Persian is written so,
        ("\u0915\u094d\u200d\u0937", "\u0915\u094d\u200d\u0937"),  # and Hindi
    ],
)
def test_what_takes_no_room_is_shown(text: str, written: str) -> None:
    """Two names that look alike are two; joiners between letters that need them are spelling."""
    assert inert(text) == written


@pytest.mark.parametrize("text", ["+24 aten::mul, from Linear8bitLt", "1.581 to 1.621 ms (+2.5 %)"])
def test_usual_sentences_are_hardly_changed(text: str) -> None:
    """What verdicts usually say needs no signs."""
    assert inert(text) == text


def test_a_table_of_hostile_figures_keeps_its_shape() -> None:
    """Each row has four cells and each remark a line, whatever the file's texts are."""
    judged = [
        Judged(
            f"stage {text}".replace("\n", " "),
            make_cell(model="owner/| <img> @name"),
            Verdict(verdict="regressed", metric="a|b", unit="1", sentence=text),
        )
        for text in HOSTILE
    ]
    found = Comparison(judged=judged, circumstances=[*HOSTILE])
    rows = as_markdown(found).splitlines()
    table = [row for row in rows if row.startswith("|")]
    assert len(table) == 2 * 2 + len(HOSTILE)  # the first in sight, and the others folded
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in table} == {5}
    assert sum(row.startswith("- ") for row in rows) == len(HOSTILE) + 1  # and what to do


def test_markdown_is_cut_after_a_line() -> None:
    """What fits stays as it is; else whole lines are kept, and it is said how many are not."""
    text = "\n".join(f"row {number} ä" for number in range(100))
    assert within(text, len(text.encode()), "see there") == text
    cut = within(text, 200, "see there")
    assert len(cut.encode()) <= 200
    kept, _, said = cut.partition("\n\n")
    lines = kept.splitlines()
    assert lines == text.splitlines()[: len(lines)]
    assert said == f"{100 - len(lines)} lines are left out here for want of room: see there\n"


def test_a_single_line_that_is_too_long() -> None:
    """It is left out, and said to be."""
    assert within("a" * 1000, 100, "see there") == (
        "\n\n1 line is left out here for want of room: see there\n"
    )


def test_an_error_is_a_line() -> None:
    """What our errors quote of a file stays inert, too."""
    assert inert(str(InputError("a\n| b"))) == "a\\\\n\\| b"
