"""Clips: audio with its reference transcript, checked when it is loaded."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from whisperbench.asked.audio.placeholders import why_no_content, why_no_file
from whisperbench.errors import InputError, one_line
from whisperbench.paths import expanded
from whisperbench.units import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MANIFEST = "clips.toml"


class Clip(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row of a clip manifest, or a file given with `--clip`."""

    name: str
    file: str
    text: str | None
    """The reference transcript, or None where nobody wrote one."""
    language: str | None = None
    seconds: float | None = None
    """What the manifest promises; None for a file that no manifest describes."""
    sha256: str | None = None
    licence: str = ""
    voice: str = ""
    offset_s: float = 0.0
    """Where in the file it begins."""
    duration_s: float | None = None
    """How much of the file it is; None for all that follows."""


class _Manifest(msgspec.Struct, forbid_unknown_fields=True):
    clip: list[Clip]


@dataclass(frozen=True, kw_only=True)
class Audio:
    """A decoded clip.

    `samples` is float32 of shape (n,), mono, at 16 kHz, full scale at 1.0. `seconds` is the real
    duration, before any padding.
    """

    clip: Clip
    samples: NDArray[np.float32]
    seconds: float
    sha256: str
    """Of the file; of the file and the place in it where the clip is a part of one."""
    remarks: tuple[str, ...] = ()
    """Whole sentences about what can be heard, but is odd."""

    @property
    def name(self) -> str:
        """What tables call it."""
        return self.clip.name

    @property
    def language(self) -> str:
        """The language that it is transcribed in; empty where nobody said."""
        return self.clip.language or ""


def read_manifest(folder: Path) -> dict[str, Clip]:
    """Read `clips.toml` of a folder; return its clips by name, file names made absolute.

    Raises:
        InputError: the manifest is missing or is not one.
    """
    path = folder / MANIFEST
    try:
        rows = msgspec.toml.decode(path.read_bytes(), type=_Manifest).clip
    except (OSError, msgspec.DecodeError) as error:
        raise InputError(f"{path}: not a readable clip manifest: {one_line(error)}") from error
    clips = {row.name: msgspec.structs.replace(row, file=str(folder / row.file)) for row in rows}
    if len(clips) != len(rows):
        raise InputError(f"{path}: two clips have the same name; rename one")
    return clips


def find_clip(text: str, manifest: dict[str, Clip]) -> Clip:
    """Read `--clip`: a name of the manifest, or the path of a wav, flac or mp3 file.

    The transcript of a path is the file beside it that ends in .txt, where there is one.

    Raises:
        InputError: neither a known name nor a file.
    """
    if text in manifest:
        return manifest[text]
    path = expanded(text)
    try:
        why = why_no_file(path)
    except OSError as error:  # a name that is too long, a parent that may not be read
        raise InputError(f"--clip {text[:80]}: {one_line(error.strerror)}") from error
    if why is not None:
        raise InputError(
            f"--clip {text}: {why}"
            if os.path.lexists(path)
            else f"--clip {text}: no such file, and not a clip of the suite ({', '.join(manifest)})"
        )
    words = transcript_beside(path)
    if words == "":
        transcript = path.with_suffix(".txt")
        raise InputError(f"{transcript}: is empty; write what is said, or remove it")
    return Clip(name=path.stem, file=str(path), text=words)


def transcript_beside(path: Path) -> str | None:
    """Read the .txt file beside a recording; None where there is none.

    Raises:
        InputError: it is no text.
    """
    transcript = path.with_suffix(".txt")
    if not os.path.lexists(transcript):
        return None
    try:
        if (why := why_no_file(transcript)) is not None:
            raise InputError(f"{transcript} {why}")
        data = transcript.read_bytes()
        # An empty one says that nothing is said.
        if data and (why := why_no_content(data)) is not None:
            raise InputError(f"{transcript} {why}")
        return data.decode("utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{transcript}: not a UTF-8 text: {one_line(error)}") from error


def load_audio(clip: Clip) -> Audio:
    """Decode a clip to 16 kHz mono, the part of its file that it is.

    Channels are averaged and the rate is converted by soxr at its high quality setting.

    Raises:
        InputError: the file is missing, corrupt, cut off, empty, not finite, or not the one that
            the manifest describes; or nothing sensible can be heard in it.
    """
    import numpy as np
    import soxr

    from whisperbench.asked.audio.decoding import decode

    where = f"clip {clip.name}: {clip.file}"
    path = Path(clip.file)
    try:
        if (why := why_no_file(path)) is not None:
            raise InputError(f"{where} {why}")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{where}: {one_line(error.strerror)}") from error
    if (why := why_no_content(data)) is not None:
        raise InputError(f"{where} {why}")
    digest = hashlib.sha256(data).hexdigest()
    if clip.sha256 is not None and digest != clip.sha256:
        raise InputError(
            f"{where} is not the manifest's file (SHA-256 {digest[:12]}, "
            f"expected {clip.sha256[:12]}); restore it with git checkout"
        )
    sound = decode(data, where, clip.offset_s, clip.duration_s)
    seconds = len(sound.samples) / sound.rate_hz
    if clip.seconds is not None and abs(seconds - clip.seconds) > 0.001:
        raise InputError(f"{where} lasts {seconds:.3f} s, the manifest says {clip.seconds:.3f} s")
    remarks = [f"Clip {clip.name} {what}." for what in sound.remarks]
    remarks += sound.levels.remarks(clip.name, clip.file, clip.text)
    samples = sound.samples
    if sound.rate_hz != SAMPLE_RATE_HZ:
        samples = soxr.resample(samples, sound.rate_hz, SAMPLE_RATE_HZ)
    if not len(samples):
        raise InputError(f"{where} is shorter than one sample at {SAMPLE_RATE_HZ} Hz")
    if sound.part is not None:
        digest = hashlib.sha256(f"{digest} {sound.part}".encode()).hexdigest()
    return Audio(
        clip=clip,
        samples=np.ascontiguousarray(samples, dtype=np.float32),
        seconds=seconds,
        sha256=digest,
        remarks=tuple(remarks),
    )
