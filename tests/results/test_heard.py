"""`whisperbench score` reads what we and other tools have written, or says what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from whisperbench.cli import app
from whisperbench.errors import InputError

LINE = {"audio_filepath": "a.wav", "duration": 2.0, "text": "Ja, schön.", "pred_text": "ja schon"}
"""As NeMo's tools and those of the Open ASR board write it."""

GERMAN = LINE | {"lang": "de"}
ONE_WRONG = "1 clip, 2 words: WER 50.00 %, CER 12.50 %"
NORMALIZER = "language de, normalizer whisper-basic-keeping-marks"


def scored(path: Path, content: str | bytes, *options: str) -> list[str]:
    """Return the lines that score prints of a file.

    Raises:
        InputError: it refused it.
    """
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    done = CliRunner().invoke(app, ["score", str(path), *options])
    if done.exception is not None:
        raise done.exception
    return done.stdout.splitlines()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a file to be scored is written."""
    return tmp_path / "heard.jsonl"


@pytest.mark.parametrize(
    "changes",
    [
        {"lang": "German", "model": None, "tokens": ["ja"], "wer": float("nan")},
        {"lang": None, "language": "de_DE", "duration": "2.0", "precision": 16, "batch_size": "8"},
        {"lang": "", "target_lang": "deu", "source_lang": "en", "signs": {"odd": True}},
        {"lang": "de", "text": "Ja,\u2028schön.", "attention": ["sdpa"], "cer": "n/a"},
    ],
)
def test_what_is_not_scored_may_be_anything(path: Path, changes: dict[str, object]) -> None:
    """NeMo's and other tools' keys of any type, a NaN and a null refuse no line."""
    line = json.dumps(LINE | changes, ensure_ascii=False)
    assert scored(path, line)[0] == f"all: {ONE_WRONG}; {NORMALIZER}"


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + json.dumps(GERMAN).encode(),
        f"\r\n{json.dumps(GERMAN)}\r\n",
        json.dumps([GERMAN], indent=1),
        json.dumps(GERMAN, indent=4),
        json.dumps({"reference": "Ja, schön.", "hypothesis": "ja schon", "lang": "de-AT"}),
    ],
    ids=["BOM", "CRLF", "array", "indented", "other keys"],
)
def test_other_forms_of_a_file_are_read(path: Path, content: str | bytes) -> None:
    """As other systems and tools write them."""
    assert scored(path, content)[0] == f"all: {ONE_WRONG}; {NORMALIZER}"


def test_names_that_cannot_be_printed_are_escaped(path: Path) -> None:
    """They are shown, and nothing else is done with them."""
    line = GERMAN | {
        "audio_filepath": "\u200ea\n.wav",
        "model": "m\x1b[1m",
        "pred_text": "ne\u202e",
    }
    first, second = scored(path, json.dumps(line))
    assert first.startswith(r"m\x1b[1m: 1 clip, 2 words")
    assert second == r"  \u200ea\n.wav: 2 of 2: ne\u202e"


def test_a_line_without_a_language_needs_one(path: Path) -> None:
    """It is not taken for English; --language says what it is, and a line's own goes before."""
    lines = "\n".join(map(json.dumps, (GERMAN, LINE, LINE | {"lang": None})))
    with pytest.raises(InputError) as refused:
        scored(path, lines)
    assert str(refused.value) == (
        f"{path}: 2 of 3 lines, such as line 2, do not say what language they are in (lang): say "
        "it with --language, as in --language en"
    )
    three = f"all: 3 clips, 6 words: WER 50.00 %, CER 12.50 %; {NORMALIZER}"
    assert scored(path, lines, "--language", "German")[0] == three
    german, english = (
        line for line in scored(path, lines, "--language", "en-GB") if line.startswith("all")
    )
    assert german == f"all: {ONE_WRONG}; {NORMALIZER}"
    assert english.startswith("all: 2 clips, 4 words: WER 0.00 %, CER 0.00 %; language en, ")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "{}: has no lines"),
        ("\n \n", "{}: has no lines"),
        ("[]", "{}: has no lines"),
        ("{", "{}, line 1: is not JSON: "),
        (json.dumps(GERMAN) + '\n{"text": "ja', "{}, line 2: is not JSON: Unterminated string"),
        ("[" * 100_000, "{}, line 1: maximum recursion depth"),
        ("\n3", "{}, line 2: is no JSON object"),
        (json.dumps([GERMAN, "ja"]), "{}, entry 2: is no JSON object"),
        (json.dumps(GERMAN).encode("utf-16"), "{}: is no UTF-8 text; save it as UTF-8"),
        (json.dumps(GERMAN).encode("utf-16-le"), "{}: is no UTF-8 text; save it as UTF-8"),
        ('{"text": "schön"}'.encode("latin-1"), "{}: is no UTF-8 text; save it as UTF-8"),
        (json.dumps(GERMAN | {"text": None}), '{}, line 1: text is null; write "" where '),
        (json.dumps(GERMAN | {"pred_text": None}), '{}, line 1: pred_text is null; write "" '),
        (json.dumps(GERMAN | {"pred_text": ["ja"]}), "{}, line 1: pred_text is no text"),
        (json.dumps(GERMAN | {"lang": ["de"]}), "{}, line 1: its language is no text"),
        (json.dumps(GERMAN | {"lang": "xx"}), "{}, line 1: 'xx' is no language that Whisper knows"),
        (
            json.dumps({"text": "ja", "lang": "de"}),
            "{}, line 1: needs text (what is said) and pred",
        ),
        # whisper.cpp's and openai-whisper's own, which have no reference.
        (
            json.dumps({"result": {"language": "en"}, "transcription": [{"text": "ja"}]}, indent=1),
            "{}, line 1: needs text (what is said) and pred_text (what was heard), or reference "
            "and hypothesis, and has result, transcription; write both into one object, as in ",
        ),
        (
            json.dumps({"text": "ja", "segments": [], "language": "de"}),
            "{}, line 1: needs text (what is said) and pred_text (what was heard), or reference "
            "and hypothesis, and has text, segments, language; ",
        ),
    ],
)
def test_what_cannot_be_scored_is_one_line(path: Path, content: str | bytes, why: str) -> None:
    """It says where, what is wrong, and what to write."""
    with pytest.raises(InputError) as refused:
        scored(path, content)
    assert str(refused.value).startswith(why.format(path))
    assert "\n" not in str(refused.value)


def test_marks_are_counted_and_named(path: Path) -> None:
    """Three of seven words of Hindi are wrong by their marks."""
    line = {
        "text": "नदी के किनारे गाँव में आँधी आई",
        "pred_text": "नदी के किनार गाव में आधी आई",
        "lang": "hi",
    }
    assert scored(path, json.dumps(line)) == [
        "all: 1 clip, 7 words: WER 42.86 %, CER 10.00 %; "
        "language hi, normalizer whisper-basic-keeping-marks",
        "  line 1: 3 of 7: नदी के किनार गाव में आधी आई",
        "  3 of 3 wrong words differ in combining marks alone, such as vowel signs or points",
    ]


@pytest.mark.parametrize("text", ["...", "[Musik]", "♪ —"])
def test_a_text_without_words_is_silence_and_named(path: Path, text: str) -> None:
    """What was heard there is wrong; an empty text says so itself, and is not named."""
    lines = [GERMAN | {"text": text}, GERMAN | {"audio_filepath": "b.wav", "text": ""}]
    found = scored(path, "\n".join(map(json.dumps, lines)))
    assert found[0].startswith("all: 2 clips, 0 words: no words; ")
    assert found[1] == "  a.wav: 2 of 0: ja schon"
    assert found[-1] == (
        "  1 of the texts, such as that of a.wav, have no words and count as silence: each word "
        "that was heard there is wrong"
    )
