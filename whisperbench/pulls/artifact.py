"""The files that a measuring job has left: data of a stranger, read into memory and nowhere else.

Nothing is unpacked: no name of the artifact ever becomes a path. Whatever is odd is refused.
"""

from __future__ import annotations

import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from whisperbench.errors import InputError, one_line
from whisperbench.units import counted

MAX_BYTES = 64 * 2**20
"""Of all files together, unpacked. Those of all precisions of two models take a few MiB."""

MAX_FILES = 400

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")
_MAX_NAME = 100
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Ways of packing that GitHub's own actions use."""

_ENCRYPTED = 0x1


class ArtifactError(InputError):
    """An artifact of which nothing can be believed."""


def read_artifact(path: Path) -> Mapping[str, bytes]:
    """Read the files of an artifact.

    They lie at its top, or all in one folder there.

    Args:
        path: the folder that it was unpacked to, or the zip file.

    Returns:
        The content of each file, by its name without the folder.

    Raises:
        ArtifactError: it is absent, empty or too large; or holds a link, a device, a path that
            leads out of it, two files of one name, or a name that needs quoting.
    """
    try:
        facts = path.lstat()
        if stat.S_ISDIR(facts.st_mode):
            found = dict(_of_folder(path))
        elif stat.S_ISREG(facts.st_mode):
            found = _of_zip(path, facts.st_size)
        else:
            raise ArtifactError("the artifact is neither a folder nor a file")
    except OSError as error:
        raise ArtifactError(f"the artifact cannot be read: {one_line(error.strerror)}") from error
    if not found:
        raise ArtifactError("the artifact is empty")
    folders = {name.rpartition("/")[0] for name in found}
    if len(folders) > 1:
        raise ArtifactError("the artifact's files do not lie in one folder")
    return {name.rpartition("/")[2]: data for name, data in found.items()}


class _Budget:
    """How much may still be read."""

    def __init__(self) -> None:
        self.bytes, self.files = MAX_BYTES, MAX_FILES

    def take(self, size: int) -> None:
        """Take a file's size off.

        Raises:
            ArtifactError: that is too much.
        """
        self.bytes -= size
        self.files -= 1
        if self.bytes < 0:
            raise ArtifactError(f"the artifact is too large: over {MAX_BYTES // 2**20} MiB")
        if self.files < 0:
            raise ArtifactError(f"the artifact is too large: over {counted(MAX_FILES, 'file')}")


def _require_plain(name: str) -> None:
    """Refuse a name that is a path out of the artifact, or that a shell or a terminal may misread.

    Raises:
        ArtifactError: it is one.
    """
    if not all(_NAME.fullmatch(part) for part in name.split("/")) or len(name) > _MAX_NAME:
        raise ArtifactError(
            f"the artifact has a file of an odd name: {one_line(ascii(name))[:120]}"
        )
    if len(PurePosixPath(name).parts) > 2:
        raise ArtifactError("the artifact has a folder in a folder")


def _of_folder(top: Path) -> Iterator[tuple[str, bytes]]:
    budget, folders = _Budget(), [top]
    for folder in folders:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name if folder is top else f"{folder.name}/{entry.name}"
                _require_plain(name)
                facts = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(facts.st_mode) and folder is top:
                    folders.append(Path(entry.path))
                elif stat.S_ISREG(facts.st_mode):
                    budget.take(facts.st_size)
                    yield name, _content(Path(entry.path), facts.st_size)
                else:
                    raise ArtifactError(f"the artifact has what is no plain file: {name}")
                if len(folders) > MAX_FILES:
                    raise ArtifactError("the artifact has too many folders")


def _content(path: Path, size: int) -> bytes:
    """Read a file of a size that was taken off the budget, and follow no link."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(size)


def _of_zip(path: Path, size: int) -> dict[str, bytes]:
    if size > MAX_BYTES:
        raise ArtifactError(f"the artifact is too large: over {MAX_BYTES // 2**20} MiB")
    try:
        with zipfile.ZipFile(path) as archive:
            return _unpacked(archive)
    except (
        *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError),
        *(NotImplementedError, RuntimeError, ValueError),
    ) as error:
        raise ArtifactError(
            f"the artifact is no zip file that can be read: {one_line(error)}"
        ) from (error)


def _unpacked(archive: zipfile.ZipFile) -> dict[str, bytes]:
    budget = _Budget()
    found: dict[str, bytes] = {}
    for info in archive.infolist():
        # As it stands in the file: zipfile turns backslashes around and cuts at a zero byte.
        name = info.orig_filename
        _require_plain(name.removesuffix("/"))
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or info.flag_bits & _ENCRYPTED:
            raise ArtifactError(f"the artifact has what is no plain file: {name}")
        budget.take(info.file_size)
        if info.is_dir():
            continue
        if info.compress_type not in _METHODS:
            raise ArtifactError(f"the artifact has a file that is packed unusually: {name}")
        if name in found:
            raise ArtifactError(f"the artifact has two files of one name: {name}")
        # zipfile reads no more than the size that was taken off, and checks the sum over it.
        found[name] = archive.read(info)
    return found
