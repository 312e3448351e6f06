"""What was heard, clip by clip, and the file that says so: ours is written, others' are read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from whisperbench.errors import InputError, one_line, printable
from whisperbench.results.passes import ClipScore
from whisperbench.results.records import Cell
from whisperbench.text.languages import language_told


class HeardClip(msgspec.Struct, frozen=True, kw_only=True):
    """A clip, what is said in it, and what was heard."""

    name: str
    seconds: float
    language: str
    reference: str
    transcript: str
    tokens: int
    """That the transcript took, end-of-text left out."""


class ClipLine(msgspec.Struct, omit_defaults=True):
    """A line of the per-clip file, with the keys that NeMo's tools write."""

    audio_filepath: str
    text: str
    pred_text: str
    lang: str
    duration: float | None = None
    model: str = ""
    precision: str = ""
    attention: str = ""
    batch_size: int = 1
    tokens: int = 0
    wer: float | None = None
    cer: float | None = None
    signs: tuple[str, ...] = ()


def lines_of(cell: Cell, heard: Sequence[HeardClip], scores: Sequence[ClipScore]) -> list[bytes]:
    """Write what was heard, a clip and its score each, as JSON lines to be looked at or scored."""
    return [
        msgspec.json.encode(
            ClipLine(
                audio_filepath=clip.name,
                duration=clip.seconds,
                text=clip.reference,
                pred_text=clip.transcript,
                lang=clip.language,
                model=cell.model,
                precision=cell.precision,
                attention=cell.attention,
                batch_size=cell.batch_size,
                tokens=clip.tokens,
                wer=scored.score.wer,
                cer=scored.score.cer,
                signs=scored.signs,
            )
        )
        for clip, scored in zip(heard, scores, strict=True)
    ]


_TEXTS = (("text", "pred_text"), ("reference", "hypothesis"))
"""The keys of what is said and what was heard: NeMo's and the Open ASR board's, and common ones."""

_VISIBLE = re.compile(r"\S")


@dataclass(frozen=True, kw_only=True)
class HeardLine:
    """What is scored of a line of a per-clip file, ours or another tool's."""

    name: str
    """Of the recording."""
    made_by: str
    """Model, precision and the like, as far as the line says so."""
    language: str
    reference: str
    transcript: str


def read_lines(path: Path, language: str | None) -> list[HeardLine]:
    """Read a per-clip file: JSON lines, or an array. What is not scored may be of any type.

    Args:
        path: of the file.
        language: the code of what lines without a language are in; None where nobody said.

    Raises:
        InputError: it cannot be read, a line is not what it should be, or it is not known what
            language one is in.
    """
    name = printable(path)
    found = []
    untold = []
    for where, row in _rows(path, name):
        at = f"{name}, {where}"
        if not isinstance(row, dict):
            raise InputError(f"{at}: is no JSON object")
        reference, transcript = _texts(row, at)
        own = language_told(row, at)
        if own is None:
            untold.append(where)
        found.append(
            HeardLine(
                name=_word(row, "audio_filepath") or where,
                made_by=_made_by(row),
                language=own or language or "",
                reference=reference,
                transcript=transcript,
            )
        )
    if not found:
        raise InputError(f"{name}: has no lines; each recording needs one")
    if untold and language is None:
        raise InputError(
            f"{name}: {len(untold)} of {len(found)} lines, such as {untold[0]}, do not say what "
            "language they are in (lang): say it with --language, as in --language en"
        )
    return found


def _rows(path: Path, name: str) -> Iterator[tuple[str, Any]]:
    """Yield the objects of a file, each with its place: one after the other, or in an array."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{name}: {one_line(error.strerror)}") from error
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise InputError(f"{name}: is no UTF-8 text; save it as UTF-8")
    # Not msgspec: Python's own writes NaN, as of a duration that is not known, and reads it.
    decoder = json.JSONDecoder()
    at, number = 0, 1
    while visible := _VISIBLE.search(text, at):
        start = visible.start()
        number += text.count("\n", at, start)
        try:
            found, at = decoder.raw_decode(text, start)
        except json.JSONDecodeError as error:
            raise InputError(f"{name}, line {error.lineno}: is not JSON: {error.msg}") from error
        except (ValueError, RecursionError) as error:
            raise InputError(f"{name}, line {number}: {one_line(error)}") from error
        if isinstance(found, list):
            yield from ((f"entry {entry}", row) for entry, row in enumerate(found, start=1))
        else:
            yield f"line {number}", found
        number += text.count("\n", start, at)


def _texts(row: dict[str, Any], where: str) -> tuple[str, str]:
    """Find what is said and what was heard."""
    for said, heard in _TEXTS:
        if said in row and heard in row:
            return _text(row, said, where), _text(row, heard, where)
    raise InputError(
        f"{where}: needs text (what is said) and pred_text (what was heard), or reference and "
        f"hypothesis, and has {one_line(', '.join(row) or 'nothing')}; write both into one object, "
        'as in {"text": "Yes.", "pred_text": "yes", "lang": "en"}'
    )


def _text(row: dict[str, Any], key: str, where: str) -> str:
    found = row[key]
    if found is None:
        raise InputError(f'{where}: {key} is null; write "" where there are no words')
    if not isinstance(found, str):
        raise InputError(f"{where}: {key} is no text")
    return found


def _made_by(row: dict[str, Any]) -> str:
    batch_size, attention = row.get("batch_size"), _word(row, "attention")
    batch = f"batch {batch_size}" if isinstance(batch_size, int) and batch_size > 1 else ""
    parts = (
        _word(row, "model"),
        _word(row, "precision"),
        batch,
        "" if attention == "sdpa" else attention,
    )
    return " ".join(filter(None, parts))


def _word(row: dict[str, Any], key: str) -> str:
    """Return what only names a row; nothing where it is of another type."""
    found = row.get(key)
    return printable(found) if isinstance(found, str) else ""
