"""Scores of transcripts, and what betrays a made-up one.

Over 300 lines, because it is one subject with one set of helpers.
"""

from __future__ import annotations

import json
import random
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from whisper_normalizer.basic import BasicTextNormalizer

from whisperbench.asked.checkout import CLIPS_FOLDER
from whisperbench.asked.clips import read_manifest
from whisperbench.asked.recordings import find_clips
from whisperbench.errors import InputError
from whisperbench.text.languages import CODES, language_code
from whisperbench.text.normalizers import normalizer
from whisperbench.text.signs import compression_ratio, signs
from whisperbench.text.words import Score, difference_interval, mark_edits, pooled, score

SPEECH = [clip.text or "" for clip in read_manifest(CLIPS_FOLDER).values()]
"""What is said in the suite's clips: 79 s."""


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


@pytest.mark.parametrize(
    ("language", "reference", "transcript", "edits", "words"),
    [
        ("hi", "नदी के किनारे गाँव में आँधी आई", "नदी के किनार गाव में आधी आई", 3, 7),
        ("th", "ที่นี่ดี", "ทีนี่ดู", 2, 3),
        ("lo", "ນ້ຳດີ", "ນ່ຳດີ", 1, 3),
        ("my", "မြန်မာစာ", "မြန်မိစာ", 1, 4),
        ("ar", "كَتَبَ الوَلَدُ", "كُتِبَ الوَلَدُ", 1, 2),
        ("he", "סֵפֶר גדול", "סַפָּר גדול", 1, 2),
        ("ta", "நன்றி வணக்கம்", "நனறி வணக்கம்", 1, 2),
        ("bn", "তুমি কি করো", "তুমি কী করো", 1, 3),
        ("yo", "ẹ̀kọ́ ni", "ẹ́kọ̀ ni", 1, 2),
    ],
)
def test_marks_are_heard(
    language: str, reference: str, transcript: str, edits: int, words: int
) -> None:
    """A wrong vowel sign, tone or point is a wrong word; a right one takes no word apart."""
    assert score(reference, reference, language).word_edits == 0
    found = score(reference, transcript, language)
    assert (found.word_edits, found.words) == (edits, words)
    decomposed = unicodedata.normalize("NFD", reference)
    assert score(decomposed, transcript, language) == found


def test_points_that_were_not_written_are_told_from_wrong_words() -> None:
    """Against a transcript without vowel points each pointed word is wrong, by its marks alone."""
    assert score("كَتَبَ الوَلَدُ رسالة", "كتب الولد", "ar").word_edits == 3
    assert mark_edits("كَتَبَ الوَلَدُ رسالة", "كتب الولد", "ar") == 2
    assert mark_edits("où est l'été", "ou est l'hiver", "fr") == 0


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de", "Die Straße (leise) über die Brücke: schön – 3,5 € [Musik]!"),
        ("fr", "L’été où l´œuvre s'achève, ça va ?"),
        ("pl", "Zażółć gęślą jaźń"),
        ("vi", "Tiếng Việt rất đẹp"),
        ("el", "Η Αθήνα, η πόλη"),
        ("ko", "한국어를 말해요."),
        ("ja", "ガラスの（パン）を食べた。"),
        ("zh", "今天，天气很好！"),
        ("ar", "ذهب الولد إلى المدرسة؟"),
    ],
)
def test_what_has_no_marks_is_whispers_own(language: str, text: str) -> None:
    """Where NFKC leaves no mark, published figures hold, whatever Unicode form a text is in."""
    split = language in ("ja", "zh")
    whispers = " ".join(BasicTextNormalizer(split_letters=split)(text).split())
    for form in ("NFC", "NFD"):
        assert normalizer(language)(unicodedata.normalize(form, text)) == whispers


_LETTERS = st.text(st.characters(categories=["L", "M", "N", "Zs"]), max_size=12)


@given(_LETTERS, st.sampled_from(["de", "hi", "ar", "th", "tr", "my"]))
def test_unicode_forms_are_equal(text: str, language: str) -> None:
    """Composed and decomposed, a text of any script is the same words, and keeps them twice."""
    normalize = normalizer(language)
    once = normalize(unicodedata.normalize("NFC", text))
    assert normalize(unicodedata.normalize("NFD", text)) == once
    assert normalize(once) == once


@pytest.mark.parametrize(
    ("language", "one", "other"),
    [
        ("hi", "क्\u200dष", "क्ष"),
        ("fa", "می\u200cروم", "میروم"),
        ("ml", "\ufeffനന്ദി", "നന്ദി\u200c"),
        ("de", "Donau\u00addampf ❤\ufe0fok 3\ufe0f\u20e3", "donaudampf ok 3"),
        ("fr", "l´été", "l’été"),
        ("tr", "İSTANBUL", "istanbul"),
    ],
)
def test_what_nobody_hears_is_no_mark(language: str, one: str, other: str) -> None:
    """Joiners, selectors and soft hyphens, marks on no letter, and the dot of a capital, go."""
    assert score(one, other, language) == score(other, one, language)
    assert score(one, other, language).word_edits == 0


@pytest.mark.parametrize(
    ("text", "code"),
    [
        *(("EN", "en"), (" English ", "en"), ("en_US", "en"), ("eng", "en"), ("German", "de")),
        *(("deu", "de"), ("pt-BR", "pt"), ("zh-Hans-CN", "zh"), ("cmn_hans_cn", "zh")),
        *(("Burmese", "my"), ("nb-NO", "no"), ("fil", "tl"), ("jv", "jw"), ("yue-HK", "yue")),
        *(("haitian creole", "ht"), ("iw", "he")),
    ],
)
def test_a_language_has_many_names(text: str, code: str) -> None:
    """Names, ISO 639 codes of two and three letters, and regions lead to Whisper's code."""
    assert language_code(text) == code


def test_every_language_of_whisper_is_known() -> None:
    """By its code and its names, as transformers has them, and no other language is."""
    from transformers.models.whisper.tokenization_whisper import LANGUAGES, TO_LANGUAGE_CODE

    assert set(CODES.values()) == set(LANGUAGES)
    assert {name: language_code(name) for name in TO_LANGUAGE_CODE} == TO_LANGUAGE_CODE


@pytest.mark.parametrize("text", ["klingon", "xx", "auto", "", "-US", "e\u200en", "en de"])
def test_what_is_no_language_is_refused(text: str, tmp_path: Path) -> None:
    """In one line, with what is known; in a manifest with its line; never scored otherwise."""
    with pytest.raises(InputError, match=r"^--language: '.*' is no language that Whisper.* af am"):
        language_code(text, "--language")
    with pytest.raises(InputError, match="is no language"):
        score("one", "one", text)
    path = tmp_path / "data.jsonl"
    line = {"audio_filepath": "a.wav", "text": "one", "lang": text or "?"}
    path.write_text(json.dumps(line), encoding="utf-8")
    with pytest.raises(InputError, match=r"^--data .*, line 1: '.*' is no language"):
        find_clips(path)


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


@pytest.mark.parametrize(
    ("phrase", "times"),
    [
        ("so", 20),
        ("Thank you!", 6),
        ("the rain began", 5),
        ("And I do not know what to say about that.", 3),
        ("A" * 60, 1),
    ],
)
def test_a_loop_in_a_long_recording_is_found(phrase: str, times: int) -> None:
    """A window that says one thing again and again is seen, however much is heard before and after.

    Marks and case do not hide it, and the whole text compresses no further than others do.
    """
    said = " ".join(SPEECH)
    words = said.split()
    looped = ", ".join([phrase, *[phrase.lower()] * (times - 1)])
    heard = " ".join([*words[:120], looped, *words[120:]])
    assert signs(said, heard, "en") == ("loops",)


def test_a_long_window_of_nearly_the_same_is_a_loop() -> None:
    """Counting, where each phrase differs from the one before by a word, is no word for word loop.

    Whisper's threshold on as much text as a window has finds it, where that of the whole does not.
    """
    said = " ".join(SPEECH)
    counted = " ".join(f"and then there was number {name}," for name in "abcdefghijklmno")
    assert signs(said, f"{said} {counted}", "en") == ("loops",)


@pytest.mark.parametrize(
    "said",
    [
        *SPEECH,
        "ask not what your country can do for you, ask what you can do for your country",
        "No, no, no, no, no! It was very, very, very, very cold, and it rained and rained.",
        "Row, row, row your boat, gently down the stream. Merrily, merrily, merrily, merrily.",
        "The number is zero zero zero, zero zero zero, one one one.",
        "今天今天今天天气很好",
    ],
)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_ordinary_speech_is_no_loop(said: str, language: str) -> None:
    """People say a thing twice, and more often: not even what should be another text is a loop."""
    assert "loops" not in signs("something else altogether, as long as that or not", said, language)


def test_an_hour_of_speech_is_no_loop() -> None:
    """It compresses far, by its length alone, and a bit further where rare words are misheard."""
    words = random.Random(3).choices(" ".join(SPEECH).split(), k=9000)
    heard = ["weather" if word == "friendly" else word for word in words]
    assert signs(" ".join(words), " ".join(heard), "en") == ()


def test_a_loop_is_more_than_what_is_said_again() -> None:
    """A refrain may be heard once more often than it is sung, and not ten times."""
    refrain = " we walked on until the bus arrived"
    song = " ".join(SPEECH) + refrain * 3
    assert signs(song, song + refrain, "en") == ()
    assert signs(song, song + refrain * 9, "en") == ("loops",)


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
