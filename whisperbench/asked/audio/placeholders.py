"""Files that are no audio but stand in its place: pointers of Git LFS, halves of downloads."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

_SERVER = "such as a server sends for an error; fetch it again"

_BEGINNINGS = (
    (rb"version https://git-lfs\.github\.com/", "a pointer of Git LFS; fetch it with git lfs pull"),
    (rb"(\S*\.git)?/annex/objects/", "a pointer of git-annex; fetch it with git annex get"),
    (rb"\0\x05\x16\x07", "an AppleDouble file, what macOS notes about another; delete it"),
    (rb"(?i:<!doctype html|<html[\s>]|<head>)", f"a web page, {_SERVER}"),
    (rb"(?i:<\?xml\s|<error>\s*<)", f"an XML text, {_SERVER}"),
    (rb"\{\s*\"(?i:errors?|message|detail|code|status|status_?code)\"", f"a JSON text, {_SERVER}"),
    (rb"\{\s*\"(text|transcript|segments)\"", "a JSON text; write what is said alone"),
    (
        rb"PK\x03\x04|\x1f\x8b|BZh[1-9]1AY&SY|\xfd7zXZ\0|\x28\xb5\x2f\xfd|7z\xbc\xaf\x27\x1c",
        "compressed; unpack it",
    ),
)
"""What is found at the beginning of a file in another's place, and what is to be said of it.

Transcripts may begin with noises in brackets of any kind, as <error> beep or {cough}, and with any
name, as Bzhania: what is looked for is what nobody says.
"""

_ARCHIVES = (".7z", ".bz2", ".gz", ".lz4", ".rar", ".tar", ".xz", ".zip", ".zst")

_ENDINGS = {
    **dict.fromkeys(
        (".part", ".partial", ".crdownload", ".download", ".filepart", ".opdownload", ".tmp"),
        "is half a download; fetch it again, or delete it",
    ),
    **dict.fromkeys(
        (".aria2", ".ytdl", ".!ut", ".!qb"),
        "says that a download is not complete; fetch it again, or delete what there is",
    ),
    **dict.fromkeys(_ARCHIVES, "is compressed; unpack it"),
    ".dvc": "is in DVC, not here; fetch it with dvc pull",
    ".icloud": "is in iCloud, not here; download it",
}
"""What is put behind the name of a file that is not there, or not yet."""

_BESIDES = (*_ARCHIVES, ".dvc")
"""Those that may stay beside it."""


def why_no_file(path: Path) -> str | None:
    """Say what is there instead of a file; None where there is one.

    Raises:
        OSError: the name is none that a file can have, or may not be looked at.
    """
    if path.is_file():
        return None
    if path.is_symlink():
        target = path.readlink()
        if path.exists():
            return f"is a link to {target}, which is no file"
        return (
            f"is a link to {target}, which is not there; fetch it (git annex get, dvc pull), mount "
            "its disk, or delete the link"
        )
    if path.exists():
        return "is no file"
    return "is not there: No such file or directory"


def why_no_content(data: bytes) -> str | None:
    """Say what the content of a file is instead of what its name says; None of anything else."""
    if not data:
        return "is empty (0 bytes); copy it again from where it came from"
    if not data.strip(b"\0"):
        return "holds zeros alone, as a download does that was not completed; fetch it again"
    start = data[:500].removeprefix(codecs.BOM_UTF8).lstrip(b" \t\r\n")
    for beginning, what in _BEGINNINGS:
        if re.match(beginning, start):
            return f"is {what}"
    return None


def why_unfinished(path: Path) -> str | None:
    """Say for what a file's name says that another is not there; None of other names."""
    ending = path.suffix.lower()
    if ending in _BESIDES and path.with_suffix("").exists():
        return None
    return _ENDINGS.get(ending)
