"""The tokens that Whisper never decodes, found in a vocabulary. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

_SYMBOLS = (
    *'"#()*+/:;<=>@[\\]^_`{|}~「」『』',
    *("<<", ">>", "<<<", ">>>", "--", "---", "-(", "-[", "('", '("', "((", "))", "(((", ")))"),
    *("[[", "]]", "{{", "}}", "♪♪", "♪♪♪"),
)
_NOTES = "♩♪♫♬♭♮♯"
_CONTROLS = (
    *("<|startoftranscript|>", "<|translate|>", "<|transcribe|>"),
    *("<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|nocaptions|>"),
)


def non_speech(vocabulary: Mapping[str, int]) -> tuple[int, ...]:
    """Return the tokens that annotate instead of saying what is heard, and those that steer.

    Whisper never decodes them by default: `non_speech_tokens` of OpenAI's whisper/tokenizer.py, and
    `_get_suppress_tokens` of its decoding.py.
    """
    found = {vocabulary[token] for token in _CONTROLS if token in vocabulary}
    found |= set(_spelled(vocabulary, (" -", " '"), whole=True))
    both = [spelled for symbol in _SYMBOLS for spelled in (symbol, f" {symbol}")]
    found |= set(_spelled(vocabulary, both, whole=True))
    # Of a note that takes several tokens the first is enough: nothing else begins with it.
    notes = [spelled for note in _NOTES for spelled in (note, f" {note}")]
    found |= set(_spelled(vocabulary, notes, whole=False))
    return tuple(sorted(found))


def _spelled(vocabulary: Mapping[str, int], texts: Iterable[str], *, whole: bool) -> Iterator[int]:
    """Yield the token of each text that is one; else, where that will do, of its longest start."""
    for text in texts:
        letters = "".join(_BYTE_LETTERS[byte] for byte in text.encode())
        for length in range(len(letters), 0, -1):
            if letters[:length] in vocabulary:
                yield vocabulary[letters[:length]]
                break
            if whole:
                break


def _byte_letters() -> dict[int, str]:
    """Return the letter that stands for each byte in a byte-level vocabulary, as GPT-2's has it."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = {byte: chr(byte) for byte in printable}
    return letters | {byte: chr(256 + place) for place, byte in enumerate(others)}


_BYTE_LETTERS = _byte_letters()
