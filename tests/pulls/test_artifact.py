"""An artifact is data of a stranger: what of it is read, and what is refused."""

from __future__ import annotations

import os
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from whisperbench.pulls.artifact import MAX_BYTES, MAX_FILES, ArtifactError, read_artifact

FILES = {"base.json": b"{}", "pair-01-head.json": b"[1]", "head.log": b"words"}


def folder(tmp_path: Path) -> Path:
    """Make a folder with files."""
    place = tmp_path / "artifact"
    place.mkdir()
    for name, data in FILES.items():
        (place / name).write_bytes(data)
    return place


def packed(tmp_path: Path, *entries: tuple[zipfile.ZipInfo | str, bytes]) -> Path:
    """Make a zip file of entries."""
    path = tmp_path / "artifact.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for info, data in entries:
            archive.writestr(info, data)
    return path


@pytest.mark.parametrize("inside", ["", "20261127T104644Z-ab-ah69g6_t/"])
def test_a_zip_file_and_a_folder_are_read_alike(tmp_path: Path, inside: str) -> None:
    """Files at the top or in one folder are returned by their names."""
    entries = [(f"{inside}{name}", data) for name, data in FILES.items()]
    if inside:
        entries.insert(0, (inside, b""))
    assert read_artifact(packed(tmp_path, *entries)) == FILES
    with zipfile.ZipFile(tmp_path / "artifact.zip") as archive:
        archive.extractall(tmp_path / "unpacked")
    assert read_artifact(tmp_path / "unpacked") == FILES


@pytest.mark.parametrize(
    "name",
    [
        *("../base.json", "a/../../base.json", "/etc/passwd", "C:\\base.json", "..\\base.json"),
        *("a/b/base.json", ".base.json", "base..json", "a//base.json", "./base.json"),
        *(
            "base.json\n",
            "$(id).json",
            "a b.json",
            "`id`",
            "-rf",
            "\u202enosj.json",
            "b\u0430se.json",
        ),
        *("base.json\0.log", "a" * 101, ""),
    ],
)
def test_an_odd_name_is_refused(tmp_path: Path, name: str) -> None:
    """No name leads out of the artifact or needs quoting, and the message has it in ASCII."""
    info = zipfile.ZipInfo("x")
    info.filename = name
    with pytest.raises(ArtifactError, match=r"odd name|folder in a folder") as raised:
        read_artifact(packed(tmp_path, (info, b"{}")))
    assert str(raised.value).isascii()
    assert len(str(raised.value).splitlines()) == 1


def made(tmp_path: Path, **attributes: object) -> Path:
    """Make a zip file of one entry with some attributes."""
    info = zipfile.ZipInfo("base.json")
    for name, value in attributes.items():
        setattr(info, name, value)
    return packed(tmp_path, (info, b"/etc/passwd"))


def encrypted(tmp_path: Path) -> Path:
    """Make a zip file whose entry says that it is encrypted."""
    path = made(tmp_path)
    data = bytearray(path.read_bytes())
    data[6] |= 1
    central = data.index(b"PK\x01\x02")
    data[central + 8] |= 1
    path.write_bytes(data)
    return path


def twice(tmp_path: Path) -> Path:
    """Make a zip file with two entries of one name."""
    with pytest.warns(UserWarning, match="Duplicate name"):
        return packed(tmp_path, ("base.json", b"1"), ("base.json", b"2"))


def bomb(tmp_path: Path) -> Path:
    """Make a small zip file of many zeros."""
    return packed(tmp_path, ("base.json", bytes(MAX_BYTES + 1)))


def lying(tmp_path: Path) -> Path:
    """Make a zip file whose entry is larger than it says."""
    path = packed(tmp_path, ("base.json", bytes(1_000_000)))
    data = path.read_bytes().replace(struct.pack("<L", 1_000_000), struct.pack("<L", 10))
    path.write_bytes(data)
    return path


def many(tmp_path: Path) -> Path:
    """Make a zip file of too many entries."""
    return packed(tmp_path, *((f"{number}.json", b"") for number in range(MAX_FILES + 1)))


def two_folders(tmp_path: Path) -> Path:
    """Make a zip file of files that lie in two folders."""
    return packed(tmp_path, ("base.json", b"{}"), ("more/base.json", b"{}"))


def cut(tmp_path: Path) -> Path:
    """Make the first half of a zip file."""
    path = packed(tmp_path, ("base.json", os.urandom(1000)))
    path.write_bytes(path.read_bytes()[:500])
    return path


def damaged(tmp_path: Path) -> Path:
    """Make a zip file whose content does not fit its sum."""
    path = tmp_path / "artifact.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("base.json", b"figure 100")
    path.write_bytes(path.read_bytes().replace(b"figure 100", b"figure 101", 1))
    return path


def large(tmp_path: Path) -> Path:
    """Make a file that is too large before it is unpacked."""
    path = tmp_path / "artifact.zip"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    return path


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda at: made(at, external_attr=(stat.S_IFLNK | 0o777) << 16), "no plain file"),
        (lambda at: made(at, external_attr=(stat.S_IFIFO | 0o644) << 16), "no plain file"),
        (lambda at: made(at, compress_type=zipfile.ZIP_LZMA), "packed unusually"),
        (encrypted, "no plain file"),
        (twice, "two files of one name"),
        (bomb, "too large: over 64 MiB"),
        (large, "too large: over 64 MiB"),
        (lying, "no zip file that can be read: Bad CRC-32"),
        (many, "too large: over 400 files"),
        (two_folders, "do not lie in one folder"),
        (cut, "no zip file that can be read"),
        (damaged, "no zip file that can be read: Bad CRC-32"),
        (packed, "the artifact is empty"),
        (lambda at: at / "absent", "cannot be read: No such file"),
        (lambda _: Path("/dev/null"), "neither a folder nor a file"),
    ],
)
def test_what_is_no_artifact(tmp_path: Path, make: Callable[[Path], Path], said: str) -> None:
    """Links, bombs, lies about sizes, damage and absence are refused in one line."""
    with pytest.raises(ArtifactError, match=said) as raised:
        read_artifact(make(tmp_path))
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (lambda at: (at / "more.json").symlink_to("/etc/passwd"), "no plain file: more.json"),
        (lambda at: (at / "more").symlink_to("/etc"), "no plain file: more"),
        (lambda at: os.mkfifo(at / "more.json"), "no plain file: more.json"),
        (lambda at: (at / "a b").touch(), "odd name"),
        (lambda at: (at / "more" / "still").mkdir(parents=True), "no plain file: more/still"),
        (lambda at: ((at / "x").mkdir(), (at / "x" / "y").touch()), "do not lie in one folder"),
    ],
)
def test_what_a_folder_must_not_hold(
    tmp_path: Path, plant: Callable[[Path], object], said: str
) -> None:
    """Nor are links followed, pipes opened or deeper folders entered where it is unpacked."""
    place = folder(tmp_path)
    plant(place)
    with pytest.raises(ArtifactError, match=said):
        read_artifact(place)


def test_a_folder_has_the_same_bounds(tmp_path: Path) -> None:
    """Too many bytes or files are refused before they are read, in a folder as in a zip file."""
    place = folder(tmp_path)
    with (place / "large.log").open("wb") as file:
        file.truncate(MAX_BYTES)
    with pytest.raises(ArtifactError, match="too large: over 64 MiB"):
        read_artifact(place)
    (place / "large.log").unlink()
    for number in range(MAX_FILES):
        (place / f"{number}.log").touch()
    with pytest.raises(ArtifactError, match="too large: over 400 files"):
        read_artifact(place)


def test_a_link_is_no_artifact(tmp_path: Path) -> None:
    """The artifact itself is no link to something else."""
    (tmp_path / "link").symlink_to(folder(tmp_path))
    with pytest.raises(ArtifactError, match="neither a folder nor a file"):
        read_artifact(tmp_path / "link")


def test_random_damage_is_one_line(tmp_path: Path) -> None:
    """A zip file with any byte changed is read as it was, or refused; nothing else happens."""
    path = packed(tmp_path, *FILES.items())
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            found = read_artifact(path)
        except ArtifactError:
            continue
        assert set(found.values()) <= set(FILES.values())


def test_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a zip file makes no file."""
    monkeypatch.chdir(tmp_path)
    path = packed(tmp_path, *FILES.items())
    read_artifact(path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_large_but_allowed_file(tmp_path: Path) -> None:
    """What is within the budget is read in full."""
    data = os.urandom(2**20)
    assert read_artifact(packed(tmp_path, ("base.json", data))) == {"base.json": data}
