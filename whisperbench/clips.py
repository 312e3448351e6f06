"""Clips: audio with its reference transcript, checked when it is loaded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

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


class _Manifest(msgspec.Struct, forbid_unknown_fields=True):
    clip: list[Clip]


@dataclass(frozen=True, kw_only=True)
class Audio:
    """A decoded clip.

    `samples` is float32 of shape (n,), mono, at 16 kHz, full scale at 1.0. `seconds` is the real
    duration of the file, before any padding.
    """

    clip: Clip
    samples: NDArray[np.float32]
    seconds: float
    sha256: str
    remarks: tuple[str, ...] = ()

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
        if not path.is_file():
            raise InputError(
                f"--clip {text}: no such file, and not a clip of the suite ({', '.join(manifest)})"
            )
    except OSError as error:  # a name that is too long, a parent that may not be read
        raise InputError(f"--clip {text[:80]}: {one_line(error.strerror)}") from error
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
    if not transcript.is_file():
        return None
    try:
        return transcript.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{transcript}: not a UTF-8 text: {one_line(error)}") from error


def load_audio(clip: Clip) -> Audio:
    """Decode a clip to 16 kHz mono.

    Channels are averaged and the rate is converted by soxr at its high quality setting.

    Raises:
        InputError: the file is missing, corrupt, empty, not finite, or not the one that the
            manifest describes.
    """
    import numpy as np
    import soundfile
    import soxr

    try:
        data = Path(clip.file).read_bytes()
    except OSError as error:
        raise InputError(f"clip {clip.name}: {clip.file}: {one_line(error.strerror)}") from error
    digest = hashlib.sha256(data).hexdigest()
    if clip.sha256 is not None and digest != clip.sha256:
        raise InputError(
            f"clip {clip.name}: {clip.file} is not the manifest's file (SHA-256 {digest[:12]}, "
            f"expected {clip.sha256[:12]}); restore it with git checkout"
        )
    try:
        frames, rate = soundfile.read(BytesIO(data), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError, ValueError) as error:
        # Of libsndfile's own errors the whole text names the stream, not the file.
        why = one_line(getattr(error, "error_string", error)).removesuffix(".")
        raise InputError(
            f"clip {clip.name}: {clip.file} is not a readable wav, flac or mp3: {why}; convert it "
            "to flac or wav with ffmpeg"
        ) from error
    if not frames.size:
        raise InputError(f"clip {clip.name}: {clip.file} holds no audio (zero length)")
    if not np.isfinite(frames).all():
        raise InputError(f"clip {clip.name}: {clip.file} holds samples that are not finite numbers")
    seconds = len(frames) / rate
    if clip.seconds is not None and abs(seconds - clip.seconds) > 0.001:
        raise InputError(
            f"clip {clip.name}: {clip.file} lasts {seconds:.3f} s, the manifest says "
            f"{clip.seconds:.3f} s"
        )
    mono = frames.mean(axis=1, dtype=np.float32)
    samples = soxr.resample(mono, rate, SAMPLE_RATE_HZ) if rate != SAMPLE_RATE_HZ else mono
    if not len(samples):
        raise InputError(
            f"clip {clip.name}: {clip.file} is shorter than one sample at {SAMPLE_RATE_HZ} Hz"
        )
    return Audio(
        clip=clip,
        samples=np.ascontiguousarray(samples, dtype=np.float32),
        seconds=seconds,
        sha256=digest,
    )
