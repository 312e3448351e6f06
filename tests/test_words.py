"""Scores of transcripts, and what betrays a made-up one."""

from __future__ import annotations

import pytest

from whisperbench.words import Score, compression_ratio, difference_interval, pooled, score, signs


def test_scores_ignore_what_is_not_heard() -> None:
    """Case, marks, and in English spellings and numbers, are the same to Whisper's normalizers."""
    assert score("Ask not, what!", "ask not what", "en").wer == 0.0
    assert score("The harbour, twenty-one.", "the harbor 21", "en").wer == 0.0
    assert score("Ça va ?", "ça va", "fr").wer == 0.0


def test_edits_are_counted() -> None:
    """One substituted and one deleted word of four; of the characters, what that takes."""
    found = score("the hut had bread", "the hat bread", "en")
    assert (found.words, found.word_edits) == (4, 2)
    assert found.wer == 0.5
    found = score("cat", "cut", "en")
    assert (found.characters, found.character_edits) == (3, 1)


def test_languages_without_spaces_are_compared_by_character() -> None:
    """One wrong character of a Chinese sentence is not a wholly wrong sentence."""
    assert score("今天天气很好", "今天天气真好", "zh").wer == pytest.approx(1 / 6)
    assert score("今天天气很好", "今天天气真好", "en").wer == 1.0
    assert score("今日は", "今日わ", "ja").cer == pytest.approx(1 / 3)


def test_a_language_has_no_region() -> None:
    """en-US and EN are English, with its spellings and numbers."""
    for code in ("en-US", "EN", "en_gb"):
        assert score("colour twenty-one", "color 21", code).wer == 0.0


def test_silence_has_no_rate_but_its_words_count() -> None:
    """What is said where nothing is to be heard is an edit of the pool, and of no clip's rate."""
    talked = score("", "thanks for watching", "en")
    assert (talked.wer, talked.cer, talked.word_edits) == (None, None, 3)
    assert pooled([talked, Score(words=10, word_edits=1)]).wer == 0.4


@pytest.mark.parametrize(
    ("reference", "transcript", "found"),
    [
        ("the rain began just as we reached the door", "the rain began as we reached a door", ()),
        ("the rain began just as we reached the door", "", ("empty",)),
        ("the rain began just as we reached the door", "...", ("empty",)),
        ("the rain began just as we reached the door", "the rain", ("length off",)),
        (
            "we walked on and on until the bus arrived",
            "we walked on " * 20,
            ("loops", "length off"),
        ),
        ("yes", "yes, of course", ()),
        ("", "thanks for watching", ("talks in silence",)),
        ("", "[BLANK_AUDIO]", ()),
    ],
)
def test_signs_of_what_was_not_heard(
    reference: str, transcript: str, found: tuple[str, ...]
) -> None:
    """Nothing, loops, too much or too little, and words in silence are named; errors are not."""
    assert signs(reference, transcript, "en") == found


def test_a_text_that_repeats_itself_is_no_loop() -> None:
    """A reference that compresses well makes a right transcript no sign."""
    said = "ask not what your country can do for you " * 12
    assert compression_ratio(said) > 2.4
    assert signs(said, said, "en") == ()


def test_the_interval_of_a_difference() -> None:
    """The same edits differ by nothing; one more in ten clips of ten words lies within bounds."""
    base = [Score(words=10, word_edits=at % 3) for at in range(10)]
    assert difference_interval(base, base) == (0.0, 0.0)
    head = [Score(words=10, word_edits=at % 3 + (at == 4)) for at in range(10)]
    low, high = difference_interval(base, head) or (1.0, 1.0)
    assert low == 0.0
    assert 0.01 < high <= 0.04
    assert difference_interval(base, head) == (low, high)


def test_one_clip_has_no_interval() -> None:
    """Clips are what is drawn from; silence has no rate to differ in."""
    assert difference_interval([Score(words=5)], [Score(words=5, word_edits=5)]) is None
    assert difference_interval([Score(words=5), Score()], [Score(words=5), Score()]) is None


def test_words_in_silence_widen_the_interval() -> None:
    """What is said where nothing is to be heard is in the difference, and so in its bounds."""
    base = [Score(words=10), Score(words=10), Score()]
    head = [Score(words=10), Score(words=10), Score(word_edits=4)]
    low, high = difference_interval(base, head) or (1.0, 0.0)
    assert low == 0.0
    assert high >= 0.2
