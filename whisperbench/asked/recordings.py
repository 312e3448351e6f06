"""People's own recordings, for the quality pass: a folder, or a manifest of JSON lines."""

from __future__ import annotations

import codecs
import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from whisperbench.asked.audio.placeholders import why_no_file, why_unfinished
from whisperbench.asked.audio.suffixes import OTHER_SUFFIXES, SUFFIXES
from whisperbench.asked.clips import Clip, load_audio, transcript_beside
from whisperbench.errors import InputError, one_line, printable, require_plain
from whisperbench.text.languages import language_told
from whisperbench.text.normalizers import normalizer

_KNOWN = (*SUFFIXES, *OTHER_SUFFIXES)

MANIFEST_SUFFIXES = (".json", ".jsonl")
SHOWN = 10
"""Clips that are named one by one: those that are unreadable, and those that are odd."""


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """Clips that are transcribed together, to be judged together."""

    name: str
    clips: tuple[Clip, ...]
    """Each with a text and a language."""
    seconds: float
    """Of all of them."""
    sha256: str
    """Of all audio and all texts: what was heard, and what it was held against."""
    remarks: tuple[str, ...] = ()
    """Whole sentences about clips that can be heard, but are odd."""

    @property
    def language(self) -> str:
        """The languages that they are transcribed in."""
        return " ".join(sorted({clip.language or "" for clip in self.clips}))


class _Line(msgspec.Struct):
    """A line as NeMo and the Open ASR board's tools write it; what else it says is not needed."""

    audio_filepath: Annotated[str, msgspec.Meta(min_length=1)]
    text: str
    # No recording lasts eleven days, and what is beyond all numbers of samples cannot be counted.
    offset: Annotated[float, msgspec.Meta(ge=0, le=1e6)] | None = None
    duration: Annotated[float, msgspec.Meta(gt=0, le=1e6)] | None = None


_UNIT = r"(_?(at|time|s|sec|secs|seconds|ms|msec|samples?|frames?))?"
_OTHER_CUTS = (
    # What another tool calls the offset, and the end, of a part.
    ("offset", re.compile(rf"(\w+_)?(start|begin|onset|from){_UNIT}|offset_\w+", re.IGNORECASE)),
    ("duration", re.compile(rf"(\w+_)?(end|stop|until){_UNIT}|duration_\w+", re.IGNORECASE)),
)


def find_clips(path: Path) -> list[Clip]:
    """Read `--data`: a folder of audio with .txt files beside it, or a manifest.

    An empty text says that nothing is said.

    A line of a manifest has audio_filepath (relative to the manifest), text, and perhaps lang (or
    language, or target_lang); and offset and duration, in seconds, of a part of a recording.

    Raises:
        InputError: there is neither, or a clip has no text, or a line is not as it should be.
    """
    if path.is_dir():
        return _of_folder(path)
    if path.suffix in MANIFEST_SUFFIXES and path.is_file():
        return _of_manifest(path)
    raise InputError(
        f"--data {path}: neither a folder of recordings nor a manifest (.json, .jsonl)"
    )


def _of_folder(folder: Path) -> list[Clip]:
    entries = sorted(_entries(folder))
    absent = [
        f"{entry.relative_to(folder)} {why}" for entry in entries if (why := _why_absent(entry))
    ]
    if absent:
        more = f" (the first of {len(absent)})" if len(absent) > 1 else ""
        raise InputError(f"--data {folder}: {printable(absent[0])}{more}")
    files = [entry for entry in entries if entry.suffix.lower() in _KNOWN]
    # What another one has been converted to is heard in its place.
    plain = {file.with_suffix("") for file in files if file.suffix.lower() in SUFFIXES}
    files = [
        file
        for file in files
        if file.suffix.lower() in SUFFIXES or file.with_suffix("") not in plain
    ]
    if not files:
        raise InputError(f"--data {folder}: holds no {', '.join(SUFFIXES)} files")
    for file in files:
        require_plain(str(file.relative_to(folder)), f"--data {folder}")
    if len({file.with_suffix("") for file in files}) < len(files):
        raise InputError(f"--data {folder}: two recordings have one text; keep one of them")
    texts = {file: transcript_beside(file) for file in files}
    if untold := [file for file, text in texts.items() if text is None]:
        # That it is not there is the greater lack.
        if gone := [(file, why) for file in untold if (why := _why_no_file(file))]:
            raise InputError(f"--data {folder}: {gone[0][0].relative_to(folder)} {gone[0][1]}")
        raise InputError(
            f"--data {folder}: {len(untold)} of {len(files)} recordings have no text beside them, "
            f"such as {untold[0].with_suffix('.txt').name}"
        )
    return [
        Clip(name=str(file.relative_to(folder)), file=str(file), text=text)
        for file, text in texts.items()
    ]


def _entries(folder: Path) -> Iterator[Path]:
    """Find what lies in a folder and in those within it, linked ones too, each once.

    Raises:
        InputError: one of them cannot be looked into.
    """

    def refuse(error: OSError) -> None:
        raise InputError(f"--data {printable(error.filename)}: {one_line(error.strerror)}")

    seen = {folder.resolve()}
    for place, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        here = Path(place)
        yield from (here / name for name in files)
        inner = sorted(folders)
        folders.clear()
        for name in inner:
            # Links may lead round in a circle. What git and DVC keep to themselves has no texts.
            target = (here / name).resolve()
            if name not in (".git", ".dvc") and target not in seen:
                seen.add(target)
                folders.append(name)


def _why_absent(entry: Path) -> str | None:
    """Say why something in a folder stands for recordings that are not there; None if it does not.

    A link that leads nowhere and has the name of a recording is a clip, and named as such.
    """
    suffix = entry.suffix.lower()
    if entry.name.startswith("._") and suffix in _KNOWN:
        return "is an AppleDouble file, what macOS notes about another; delete it"
    inner = entry.with_suffix("").suffix.lower()
    # Folders have names without a dot, or with a number behind it.
    if inner in _KNOWN or (suffix == ".dvc" and not inner[1:2].isalpha()):
        return why_unfinished(entry)
    if not suffix[1:2].isalpha() and entry.is_symlink():
        return _why_no_file(entry)
    return None


def _why_no_file(entry: Path) -> str | None:
    """Say what is there instead of a file, which a folder has; None where there is one."""
    try:
        return why_no_file(entry)
    except OSError as error:  # a link into a folder that may not be read
        return f"cannot be looked at: {one_line(error.strerror)}"


def _of_manifest(path: Path) -> list[Clip]:
    try:
        lines = path.read_bytes().removeprefix(codecs.BOM_UTF8).splitlines()
    except OSError as error:
        raise InputError(f"--data {path}: {one_line(error.strerror)}") from error
    clips = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"--data {path}, line {number}"
        try:
            row = msgspec.json.decode(line, type=_Line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where}: {one_line(error)}") from error
        said = msgspec.json.decode(line)
        _require_known_cut(row, said, where)
        file = path.parent / row.audio_filepath
        require_plain(row.audio_filepath, where)
        inside = file.is_relative_to(path.parent)
        clips.append(
            Clip(
                name=str(file.relative_to(path.parent)) if inside else file.name,
                file=str(file),
                text=row.text,
                language=language_told(said, where),
                offset_s=row.offset or 0.0,
                duration_s=row.duration,
            )
        )
    if not clips:
        raise InputError(f"--data {path}: has no lines")
    # Whether a row that begins at 0 is a part is seen when its file is read.
    rows = Counter(clip.file for clip in clips)
    clips = [
        msgspec.structs.replace(clip, name=_name_of_part(clip))
        if clip.offset_s or rows[clip.file] > 1
        else clip
        for clip in clips
    ]
    if len({clip.name for clip in clips}) < len(clips):
        raise InputError(
            f"--data {path}: names a recording or a part twice, or two that are called alike in "
            "other folders"
        )
    return clips


def _require_known_cut(row: _Line, said: dict[str, object], where: str) -> None:
    """Refuse a part of a recording whose place is told in other words: it would be another part."""
    for ours, theirs in _OTHER_CUTS:
        found = [key for key, value in said.items() if theirs.fullmatch(key) and _is_time(value)]
        if found and getattr(row, ours) is None:
            raise InputError(
                f"{where}: has {printable(found[0])}, as of a part of a recording, and no {ours}; "
                "say offset and duration, in seconds (offset 0 where the file is that part already)"
            )


def _is_time(value: object) -> bool:
    """Whether this is a number other than 0, or a time such as 00:01:30."""
    return re.fullmatch(r"[\d.,:]*[1-9][\d.,:]*", str(value)) is not None


def _name_of_part(clip: Clip) -> str:
    length = "" if clip.duration_s is None else f"+{clip.duration_s:.12g}"
    return f"{clip.name}@{clip.offset_s:.12g}{length}"


def require_words(clips: Iterable[Clip]) -> None:
    """Refuse texts that have no words, but are not empty: they are neither silence nor speech.

    Args:
        clips: each with a language.

    Raises:
        InputError: one has marks alone, or only what Whisper's normalization leaves away.
    """
    for clip in clips:
        if clip.text and not normalizer(clip.language or "en")(clip.text):
            raise InputError(
                f"the text of {clip.name}, {printable(clip.text[:40])!r}, has no words to compare "
                "with; write what is said, or nothing where nothing is said"
            )


def check_clips(
    name: str,
    clips: Sequence[Clip],
    progress: Callable[[Sequence[Clip]], Iterable[Clip]],
) -> DataSet:
    """Decode each clip once, so that one that cannot be read is known before the first is heard.

    Args:
        name: what tables are to call them.
        clips: each with a text and a language.
        progress: passes the clips on, and shows how far it is.

    Raises:
        InputError: some cannot be read; each is named, with the reason.
    """
    digest, seconds = hashlib.sha256(), 0.0
    broken = []
    remarks: list[str] = []
    for clip in progress(clips):
        try:
            audio = load_audio(clip)
        except InputError as error:
            broken.append(str(error))
            continue
        seconds += audio.seconds
        remarks += audio.remarks
        digest.update(f"{audio.sha256} {clip.text}\n".encode())
    if broken:
        more = f"; and {len(broken) - SHOWN} more" if len(broken) > SHOWN else ""
        raise InputError(
            f"{len(broken)} of {len(clips)} clips cannot be used: {'; '.join(broken[:SHOWN])}{more}"
        )
    if len(remarks) > SHOWN:
        remarks[SHOWN:] = [f"{len(remarks) - SHOWN} more remarks on clips are not shown."]
    return DataSet(
        name=name,
        clips=tuple(clips),
        seconds=seconds,
        sha256=digest.hexdigest(),
        remarks=tuple(remarks),
    )
