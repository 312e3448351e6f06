"""What is published with nano: scores, a curve, a card and pinned wheels."""

from __future__ import annotations

import tomllib
import xml.etree.ElementTree
from pathlib import Path

from tokenizers import Tokenizer

from training.card import card
from training.config import CONFIG, read_config
from training.corpus import Corpus
from training.curve import curve
from training.evaluate import Report, score, table
from training.sentences import (
    GRAMMAR,
)


def test_scores_and_their_table() -> None:
    """Word errors are counted after Whisper's normalizer, and precisions stand side by side."""
    made = score("clip", ["Yes, of course.", "He nodded."], ["yes of course", "he nods often"])
    assert (made.words, made.errors, made.recordings) == (5, 2, 2)
    assert made.examples == [("He nodded.", "he nods often")]
    reports = [Report(precision=name, device="cpu", scores=[made]) for name in ("fp32", "int8")]
    assert table(reports).splitlines()[-1] == "| clip | 2 | 5 | 40.00 | 40.00 |"


def test_the_curve_is_a_picture() -> None:
    """The curve is well-formed SVG, whether or not anything was logged yet."""
    log = [
        {"step": 50, "said": 5.0, "aligned": 6.0},
        {"step": 100, "said": 1.0, "aligned": 0.5},
        {"step": 100, "heldout_wer": 0.0},
    ]
    for lines in (log, []):
        root = xml.etree.ElementTree.fromstring(curve(lines))  # noqa: S314 - our own text
        assert root.tag.endswith("svg")
    assert curve(log).count("<polyline") == 3


def test_the_card_says_what_it_cannot_do(corpora: Path) -> None:
    """The card has data, licence, word error rate and limits, and says that it knows no people."""
    about = {part: Corpus.load(corpora / part).about for part in ("train", "heldout")}
    made = score("held-out sentences", ["Yes."], ["Yes."])
    text = card(
        read_config(),
        about,
        [Report(precision="fp32", device="cpu", scores=[made])],
        words=1500,
        parameters=7_450_000,
        steps=100,
        seconds=60.0,
        device="a CPU",
    )
    for heading in ("Data", "Training", "Word error rate", "Limits", "Licence"):
        assert f"\n## {heading}\n" in text
    assert "nothing\nmore" in text
    assert "| held-out sentences | 1 | 1 | 0.00 |" in text


def test_what_is_carried_is_pinned() -> None:
    """Every wheel that carry.sh fetches has its version in constraints.txt."""
    root = CONFIG.parents[1]
    script = (root / "training" / "carry.sh").read_text(encoding="utf-8")
    wheels = [line.split()[2:] for line in script.splitlines() if line.startswith("wheel .carry")]
    pins = (root / "constraints.txt").read_text(encoding="utf-8").lower()
    assert [len(names) for names in wheels] == [7, 3, 1]
    for name in (name for names in wheels for name in names):
        assert f"\n{name.lower()}==" in pins
    assert tomllib.loads(GRAMMAR.read_text(encoding="utf-8"))["words"]["clock"]
    assert Tokenizer is not None
