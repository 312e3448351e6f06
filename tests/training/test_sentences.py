"""The sentences that nano is trained on."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from tests.training.tones import (
    clip_texts,
    written,
)
from training.sentences import (
    GRAMMAR,
    Grammar,
    Kind,
    make_texts,
    normal,
    plural,
    taken_by,
    tidy,
    verb_forms,
)


def test_sentences_follow_from_the_seed() -> None:
    """The same seed makes the same texts, another one makes others."""
    first = written(1, set(), 200)
    assert first == written(1, set(), 200)
    assert first != written(2, set(), 200)


@pytest.mark.parametrize("kind", ["patchwork", "scramble", "twister"])
def test_what_has_no_grammar_is_of_the_same_words(kind: str) -> None:
    """Its words are of the list, none twice in a row, with one capital and one mark at the end."""
    grammar, random = Grammar.load(), Random(0)
    words = {word.lower() for word in grammar.words}
    for _ in range(300):
        text = getattr(grammar, kind)(random)
        said = normal(text).split()
        assert {word.removesuffix("'s") for word in said} <= words
        assert all(one != other for one, other in pairwise(said))
        assert text[0].isupper()
        assert text[-1] in ".?"
        assert not set(text[:-1]) & set(".?")


def test_a_twister_is_of_words_that_begin_alike() -> None:
    """Over half of the words of many twisters begin as the one before; of scrambles few do."""
    grammar, random = Grammar.load(), Random(0)

    def alike(make: Callable[[Random], str]) -> float:
        texts = [normal(make(random)).split() for _ in range(300)]
        pairs = [pair for text in texts for pair in pairwise(text)]
        return sum(one[0] == other[0] for one, other in pairs) / len(pairs)

    assert alike(grammar.twister) > 0.5
    assert alike(grammar.scramble) < 0.2


def test_sentences_of_the_clips_and_held_out_ones_are_never_trained_on() -> None:
    """Training texts, held-out texts and the clips' sentences have none in common."""
    clips = taken_by(clip_texts())
    assert {"he nodded", "yes of course"} <= clips
    taken = set(clips)
    train = {normal(text) for _, text in written(20, taken)}
    heldout = {normal(text) for kind, text in written(21, taken) if kind != "word"}
    assert len(heldout) == 3400
    assert all(
        not taken_by([text]) & clips for kind, text in written(22, set(clips)) if kind == "pair"
    )
    assert not clips & (train | heldout)
    assert not train & heldout


def test_the_word_list_has_the_clips_words_and_all_are_said() -> None:
    """Every word of the clips is in the list, and every word of the list in the training."""
    grammar = Grammar.load()
    words = {word.lower() for word in grammar.words}
    assert 1200 <= len(words) <= 1800
    assert set(" ".join(map(normal, clip_texts())).split()) <= words
    counts: dict[Kind, int] = {"sentence": 12_000, "scramble": 8000, "word": 1}
    said = {
        word
        for _, text in make_texts(grammar, counts, seed=20, taken=set())
        for word in normal(text).replace("'s", "").split()
    }
    assert said == words
    assert grammar.ambiguous <= set(grammar.words)


def test_a_rule_that_names_nothing_is_refused(tmp_path: Path) -> None:
    """A slot that nothing defines is an error that names it."""
    path = tmp_path / "grammar.toml"
    path.write_text(GRAMMAR.read_text("utf-8").replace("{handle+ed}", "{handel+ed}"), "utf-8")
    with pytest.raises(ValueError, match=r"names \{handel\+ed\}, which nothing defines"):
        Grammar.load(path)


def test_forms() -> None:
    """Plurals, verb forms, articles and capitals follow English's common rules."""
    assert [plural(noun) for noun in ("cup", "bus", "box", "city", "key", "match")] == [
        "cups",
        "buses",
        "boxes",
        "cities",
        "keys",
        "matches",
    ]
    assert verb_forms("carry") == {
        "": "carry",
        "s": "carries",
        "ed": "carried",
        "en": "carried",
        "ing": "carrying",
    }
    assert verb_forms("like")["ing"] == "liking"
    assert tidy("a hour, a useful a orange.") == "An hour, a useful an orange."
