"""The page: its sections and their order, what it leaves out, and that nothing in it runs."""

from __future__ import annotations

import hashlib
import re
import sys
from base64 import b64encode
from html.parser import HTMLParser

import msgspec
import pytest

from tests.report.charts.small import make_pictured, make_small
from tests.report.page.hostile import HOSTILE, make_hostile
from tests.runs import make_measurement, make_run
from whisperbench.errors import InputError
from whisperbench.judge.comparison import hold_against
from whisperbench.report.charts.all import Pictured, charts_of
from whisperbench.report.charts.chart import Table
from whisperbench.report.charts.render import drawn
from whisperbench.report.page.html import as_html
from whisperbench.report.page.section import MOST_ROWS, Captioned, Page, Section
from whisperbench.report.page.sections import page_of
from whisperbench.results.records import DESELECTED, ManifestEntry, Verdict

ACTIVE = {
    *("script", "iframe", "object", "embed", "form", "input", "button", "link", "base", "img"),
    *("foreignobject", "animate", "set", "use", "image", "audio", "video"),
}
"""Elements that run, load or send something."""


class Outline(HTMLParser):
    """What a page is made of."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element."""
        self.elements.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of all elements of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]


def written(about: Pictured) -> str:
    """Write the page of what was measured."""
    return as_html(page_of(about, drawn(charts_of(about))))


@pytest.fixture(scope="module")
def html() -> str:
    """The page of a made-up run with a base and pairs."""
    return written(make_pictured())


def ids(html: str) -> list[str]:
    """Return the ids of the headings of sections, in order."""
    return [str(each["id"]) for each in Outline(html).all("h2")]


def test_sections_stand_in_the_order_that_readers_need(html: str) -> None:
    """Cost first, then what changed, then how it was measured; the environment is last."""
    assert ids(html) == [
        *("missing", "cost", "changes", "rounds", "memory", "soak", "kernels", "times", "pairs"),
        "environment",
    ]


def test_what_a_file_does_not_hold_makes_no_section() -> None:
    """A run of one time has rounds and an environment, and no empty section."""
    page = written(Pictured(run=make_run(make_measurement())))
    assert ids(page) == ["cost", "rounds", "environment"]
    assert ids(written(Pictured(run=make_run()))) == ["environment"]


def test_nothing_in_a_page_runs_or_loads(html: str) -> None:
    """There is no script, no element that loads, and no attribute that runs or leads away."""
    outline = Outline(html)
    assert not {name for name, _ in outline.elements} & ACTIVE
    for name, attributes in outline.elements:
        for attribute, value in attributes.items():
            assert not attribute.startswith("on")
            assert attribute not in ("style", "src", "srcset", "action", "xlink:href", "background")
            if attribute == "href":
                assert name == "a"
                assert str(value).startswith("#")


def test_the_policy_allows_the_style_sheet_alone(html: str) -> None:
    """A browser refuses everything but the one style sheet, which it knows by its digest."""
    policy = next(
        str(each["content"])
        for each in Outline(html).all("meta")
        if each.get("http-equiv") == "Content-Security-Policy"
    )
    sheet = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert sheet is not None
    digest = b64encode(hashlib.sha256(sheet[1].encode()).digest()).decode()
    assert policy.split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def test_tables_say_what_their_cells_are_of(html: str) -> None:
    """Each heading has a scope, each table a name, and each section the name of its heading."""
    outline = Outline(html)
    assert all(each.get("scope") in ("col", "row") for each in outline.all("th"))
    regions = [each for each in outline.all("div") if each.get("class") == "scroll"]
    assert len(regions) == len(outline.all("table")) > 5
    assert all(each.get("aria-label") for each in regions)
    assert [each["aria-labelledby"] for each in outline.all("section")] == ids(html)
    assert {"header", "nav", "main", "footer"} <= {name for name, _ in outline.elements}


def test_hostile_text_adds_no_element() -> None:
    """Names and sentences of a file are text, wherever they stand."""
    hostile, plain = (Outline(written(make_hostile(text))) for text in (HOSTILE, "plain"))
    assert [name for name, _ in hostile.elements] == [name for name, _ in plain.elements]
    assert not {name for name, _ in hostile.elements} & ACTIVE


def test_hostile_text_is_there_and_shows_its_marks() -> None:
    """Nothing of it is swallowed; what turns the direction of writing is shown as an escape."""
    page = written(make_hostile(HOSTILE))
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "<img" not in page
    assert "\u202e" not in page


def test_the_headline_of_a_whole_run() -> None:
    """A run that measured all and passed no limit says so."""
    page = page_of(Pictured(run=make_small()), {})
    assert page.status == "good"
    assert page.headline == "All 8 benchmarks ran. No limit is exceeded."


def test_what_failed_is_the_first_thing() -> None:
    """A run with a failure is not good, and the first section says what failed, and why."""
    entries = (
        ManifestEntry(benchmark="test_a", cell="a", outcome="measured"),
        ManifestEntry(benchmark="test_b", cell="b", outcome="failed", reason="no such clip"),
    )
    page = page_of(Pictured(run=make_run(make_measurement(), manifest=entries)), {})
    assert page.status == "bad"
    assert page.sections[0].id == "missing"
    assert page.sections[0].lines == ("failed: test_b: no such clip",)
    assert "1 of 2 benchmarks" in page.headline


def test_what_nothing_judged_is_not_said_to_have_passed() -> None:
    """A run without a limit or a base is neither good nor bad."""
    assert page_of(Pictured(run=make_run(make_measurement())), {}).status == "open"


def test_a_part_of_a_suite_is_not_said_to_be_the_whole() -> None:
    """Benchmarks that -k took away are counted, in the headline and below it."""
    run = make_small()
    away = ManifestEntry(benchmark="test_z", cell="z", outcome="skipped", reason=DESELECTED)
    info = msgspec.structs.replace(run.info, manifest=(*run.info.manifest, away))
    page = page_of(Pictured(run=msgspec.structs.replace(run, info=info)), {})
    assert page.status == "open"
    assert "1 other left out by -k or -m" in page.headline
    assert page.sections[0].paragraphs == ("1 benchmark left out on purpose, by -k or -m.",)


def test_a_limit_that_could_not_be_judged_is_no_pass() -> None:
    """Its sentence stands under what is missing, and the headline counts it."""
    unknown = Verdict(
        verdict="missing", metric="weight_mib", unit="MiB", sentence="no weight_mib of fp16"
    )
    row = msgspec.structs.replace(make_measurement(), verdicts=(unknown,))
    page = page_of(Pictured(run=make_run(row)), {})
    assert page.status == "open"
    assert "1 limit could not be judged" in page.headline
    assert "no weight_mib of fp16" in page.sections[0].lines[0]


def test_what_the_head_lacks_is_missing_on_the_page() -> None:
    """Figures that only the base has are in the first section, and not in the table alone."""
    base, head = make_small(), make_run(make_measurement())
    page = page_of(Pictured(run=head, base=base, compared=hold_against(base, head, None)), {})
    assert any(line.startswith("missing: ") for line in page.sections[0].lines)


def test_a_run_of_nothing_has_not_passed() -> None:
    """A run that measured nothing is bad."""
    assert page_of(Pictured(run=make_run()), {}).status == "bad"


def test_a_comparison_is_judged_by_its_verdicts() -> None:
    """Against a base the headline is the comparison's; its worst figure is named."""
    about = make_pictured()
    page = page_of(about, {})
    assert page.status == "bad"
    assert page.headline.startswith("Worse than the base: ")
    run = make_small()
    alike = page_of(Pictured(run=run, base=run, compared=hold_against(run, run, None)), {})
    assert alike.status == "good"
    assert "; wall time of 8 figures is not decided" in alike.headline
    nothing = make_run()
    empty = Pictured(run=nothing, base=nothing, compared=hold_against(nothing, nothing, None))
    assert page_of(empty, {}).status == "bad"


def test_a_change_stands_with_its_cause_and_its_interval() -> None:
    """The table of changes has the sentence of each verdict, the worst first."""
    section = next(each for each in page_of(make_pictured(), {}).sections if each.id == "changes")
    (told,) = section.tables
    assert told.rows[0][0] == "regressed"
    assert "400 to 600" in next(row for row in told.rows if row[2] == "decode_kernels")[-1]


def test_the_environment_says_what_differs() -> None:
    """Beside a base each fact stands twice, and what differs is marked."""
    about = make_pictured()
    base = msgspec.structs.replace(
        about.run, machine=msgspec.structs.replace(about.run.machine, driver="555.5")
    )
    section = page_of(Pictured(run=about.run, base=base), {}).sections[-1]
    rows = {row[0]: row[1:] for row in section.tables[0].rows}
    assert rows["driver"] == ("555.5", "580.1", "differs")
    assert rows["torch"][-1] == ""


def test_long_tables_are_cut_and_say_so() -> None:
    """A page stays small: what a table leaves out is counted."""
    table = Captioned(
        caption="many",
        table=make_table(MOST_ROWS + 7),
    )
    page = Page(
        title="t",
        subtitle="s",
        status="good",
        headline="h",
        sections=(Section(id="many", title="Many", tables=(table,)),),
    )
    html = as_html(page)
    assert len(Outline(html).all("tr")) == MOST_ROWS + 1
    assert "7 more rows are left out here" in html


def make_table(rows: int) -> Table:
    """Make a table of so many rows."""
    return Table(headings=("a", "b"), rows=tuple((str(at), "x") for at in range(rows)))


def test_without_jinja_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has not installed the extra is told how."""
    page = page_of(Pictured(run=make_run()), {})
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(InputError, match=r"pip install -e '.\[report\]'"):
        as_html(page)
