"""The badge: what 8 bits cost, as a small picture."""

from __future__ import annotations

from xml.etree import ElementTree

import msgspec
import pytest

from tests.report.h200 import make_h200, make_timed
from tests.runs import make_measurement, make_run
from whisperbench.errors import InputError
from whisperbench.report.badge import RED, as_svg, badge_of
from whisperbench.results.records import ManifestEntry, Run

SVG = "{http://www.w3.org/2000/svg}"


def make_unmeasured(outcome: str) -> Run:
    """Make up a run of which a benchmark came to nothing."""
    run = make_h200()
    entry = msgspec.convert(
        {"benchmark": "test[x]", "cell": "x", "outcome": outcome, "reason": "it broke"},
        ManifestEntry,
    )
    info = msgspec.structs.replace(run.info, manifest=(*run.info.manifest, entry))
    return msgspec.structs.replace(run, info=info)


def test_it_says_time_and_memory_against_the_reference() -> None:
    """int8 on the H200: 6.19 s against 0.862 s, and 2650 MiB against 3964."""
    made = badge_of("run.json", make_h200())
    assert made.label == "int8 against fp16, dummy:large-v3 on NVIDIA H200"
    assert made.message == "7.18 × time · 0.67 × memory"
    assert made.colour != RED


def test_weights_stand_in_for_memory_that_was_not_watched() -> None:
    """And the word says so."""
    run = make_run(make_timed("fp16", 1.0), make_timed("int8", 2.0))
    assert badge_of("run.json", run).message == "2.00 × time · 0.53 × weights"


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        ("failed", "incomplete"),
        ("invalid", "incomplete"),
        ("skipped", "incomplete"),
        ("over-limit", "1 over a limit or regressed"),
        ("regressed", "1 over a limit or regressed"),
    ],
)
def test_a_run_with_a_trouble_shows_it_and_no_figure(outcome: str, said: str) -> None:
    """What failed or is over a limit is red, whatever its other figures are."""
    made = badge_of("run.json", make_unmeasured(outcome))
    assert (made.message, made.colour) == (said, RED)


@pytest.mark.parametrize(
    ("run", "precision", "model", "said"),
    [
        (make_h200(precisions=("fp16",)), "int8", None, "has not both int8 and its reference fp16"),
        (make_h200(), "fp16", None, "has not both fp16 and its reference fp16"),
        (make_h200(make_measurement()), "int8", None,
         "has dummy:large-v3, owner/whisper: name one with --model"),
        (make_h200(), "int8", "tiny", "--model tiny: run.json has dummy:large-v3"),
    ],
)  # fmt: skip
def test_what_cannot_be_said_is_refused(
    run: Run, precision: str, model: str | None, said: str
) -> None:
    """In one line that names the file and what to do."""
    with pytest.raises(InputError, match=said) as raised:
        badge_of("run.json", run, precision, model)
    assert "\n" not in str(raised.value)


def test_the_picture_is_whole_and_inert() -> None:
    """It is XML without script or link, its text is set to its width, and a name stays text."""
    name = "a<script>alert(1)</script>&\"'"
    run = make_run(make_measurement(model=name), make_measurement(precision="int8", model=name))
    made = badge_of("run.json", run)
    root = ElementTree.fromstring(as_svg(made))  # noqa: S314 - our own
    assert {element.tag for element in root.iter()} == {
        f"{SVG}{tag}" for tag in ("svg", "title", "rect", "g", "text")
    }
    whole = f"{made.label}: {made.message}"
    assert root.get("aria-label") == root.findtext(f"{SVG}title") == whole
    assert [each.text for each in root.iter(f"{SVG}text")] == [made.label, made.message]
    right = max(
        float(each.get("x", "")) + float(each.get("textLength", ""))
        for each in root.iter(f"{SVG}text")
    )
    assert right < float(root.get("width", ""))


def test_it_is_of_the_smallest_batch_size_that_both_have() -> None:
    """What a single call costs, which is what most ask."""
    more = (make_timed("fp16", 1.0, batch_size=8), make_timed("int8", 9.0, batch_size=8))
    assert badge_of("run.json", make_h200(*more)).message.startswith("7.18 × time")
