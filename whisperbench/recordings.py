"""People's own recordings, for the quality pass: a folder, or a manifest of JSON lines."""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from whisperbench.clips import Clip, load_audio, transcript_beside
from whisperbench.errors import InputError, one_line, require_plain
from whisperbench.words import language_code

SUFFIXES = (".flac", ".mp3", ".ogg", ".opus", ".wav")
"""What is taken for audio in a folder; libsndfile reads all of it."""

OTHER_SUFFIXES = (
    *(".3gp", ".aac", ".ac3", ".aif", ".aiff", ".amr", ".ape", ".au", ".caf", ".m4a", ".m4b"),
    *(".mka", ".mkv", ".mov", ".mp2", ".mp4", ".oga", ".spx", ".webm", ".wma", ".wv"),
)
"""Audio too, and so not to be passed over: what libsndfile does not read is named."""

MANIFEST_SUFFIXES = (".json", ".jsonl")
SHOWN = 10
"""Unreadable clips that are named one by one."""


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

    @property
    def language(self) -> str:
        """The languages that they are transcribed in."""
        return " ".join(sorted({clip.language or "" for clip in self.clips}))


class _Line(msgspec.Struct):
    """A line as NeMo and the Open ASR board's tools write it; what else it says is not needed."""

    audio_filepath: Annotated[str, msgspec.Meta(min_length=1)]
    text: str
    offset: float | None = None
    lang: str | None = None


def find_clips(path: Path) -> list[Clip]:
    """Read `--data`: a folder of audio with .txt files beside it, or a manifest.

    An empty text says that nothing is said.

    A line of a manifest has audio_filepath (relative to the manifest), text, and perhaps lang.

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
    known = (*SUFFIXES, *OTHER_SUFFIXES)
    files = sorted(
        file for file in folder.rglob("*") if file.suffix.lower() in known and file.is_file()
    )
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
        raise InputError(
            f"--data {folder}: {len(untold)} of {len(files)} recordings have no text beside them, "
            f"such as {untold[0].with_suffix('.txt').name}"
        )
    return [
        Clip(name=str(file.relative_to(folder)), file=str(file), text=text)
        for file, text in texts.items()
    ]


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
        if row.offset:
            raise InputError(
                f"{where}: is a part of a recording, from {row.offset:g} s on; cut it out into a "
                "file of its own"
            )
        file = path.parent / row.audio_filepath
        require_plain(row.audio_filepath, where)
        inside = file.is_relative_to(path.parent)
        clips.append(
            Clip(
                name=str(file.relative_to(path.parent)) if inside else file.name,
                file=str(file),
                text=row.text,
                language=language_code(row.lang) if row.lang else None,
            )
        )
    if not clips:
        raise InputError(f"--data {path}: has no lines")
    if len({clip.name for clip in clips}) < len(clips):
        raise InputError(
            f"--data {path}: names a recording twice, or two that are called alike in other folders"
        )
    return clips


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
    digest = hashlib.sha256()
    seconds = 0.0
    broken = []
    for clip in progress(clips):
        try:
            audio = load_audio(clip)
        except InputError as error:
            broken.append(str(error))
            continue
        seconds += audio.seconds
        digest.update(f"{audio.sha256} {clip.text}\n".encode())
    if broken:
        more = f"; and {len(broken) - SHOWN} more" if len(broken) > SHOWN else ""
        raise InputError(
            f"{len(broken)} of {len(clips)} clips cannot be used: {'; '.join(broken[:SHOWN])}{more}"
        )
    return DataSet(name=name, clips=tuple(clips), seconds=seconds, sha256=digest.hexdigest())
