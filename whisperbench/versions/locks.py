"""A revision's lock: constraints.txt or requirements.txt, with the files that it includes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from whisperbench.errors import InputError, one_line, printable
from whisperbench.versions.revisions import Tree

CONSTRAINTS = "constraints.txt"
REQUIREMENTS = "requirements.txt"

_INCLUDE = re.compile(r"(?:(-r|-c)\s*|(--requirement|--constraint)[\s=]\s*)(?P<path>\S.*)")
_COMMENT = re.compile(r"(^|\s)#.*$")
_OWN = re.compile(r"(?:(?:-e|--editable)[\s=]*)?(?:file:)?\./?(?:\[(?P<extras>[^\]]*)\])?")
"""The project itself: `.`, `-e .`, `-e .[audio]`."""
_PLACE = re.compile(r"(?:(?:-f|-i)\s*|--(?:find-links|index-url|extra-index-url)[\s=]\s*)(.+)")
"""Where packages are looked for."""
_LOCAL = re.compile(
    r"(?:-e|--editable)[\s=]*+(?!\w+\+)|[./~]|[^\s@;:]*\.(?:whl|zip|tar\.gz)\b|[\w.-]*/|"
    r"(?:[^@]*@\s*)?file:"
)
"""A requirement that is a path: its text says nothing of what lies there."""


@dataclass(frozen=True, kw_only=True)
class Lock:
    """What a revision says of the versions of its packages, with no file left to include."""

    name: str
    """constraints.txt or requirements.txt."""
    requirements: tuple[str, ...] = ()
    """Lines of what is to be installed, and options of the installer. None in constraints.txt."""
    constraints: tuple[str, ...] = ()
    """Lines of the versions that hold if something is installed."""
    extras: tuple[str, ...] = ()
    """Extras of the project itself, which the lock names with `.`."""

    @property
    def hashed(self) -> bool:
        """Whether each package must have a hash that is listed here."""
        return any(
            "--hash" in line or "--require-hashes" in line
            for line in (*self.requirements, *self.constraints)
        )


def read_lock(tree: Tree) -> Lock:
    """Read the lock of a tree: constraints.txt at its top, or else requirements.txt.

    Raises:
        InputError: it has none, or one that cannot be read, or that speaks of files which may
            change while its text does not.
    """
    for name in (CONSTRAINTS, REQUIREMENTS):
        if (tree.folder / name).is_file():
            return _Reader(tree).read(name)
    raise InputError(
        f"{tree.name}: has neither {CONSTRAINTS} nor {REQUIREMENTS} at its top, so it is not known "
        "with which packages it is to be measured: commit one, or name an interpreter with "
        "--base-python or --head-python"
    )


class _Reader:
    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._top = tree.folder.resolve()
        self._read: set[tuple[Path, bool]] = set()
        self._requirements: list[str] = []
        self._constraints: list[str] = []
        self._extras: list[str] = []

    def read(self, name: str) -> Lock:
        self._take(self._tree.folder / name, name, constrains=name == CONSTRAINTS)
        return Lock(
            name=name,
            requirements=tuple(self._requirements),
            constraints=tuple(self._constraints),
            extras=tuple(dict.fromkeys(self._extras)),
        )

    def _take(self, path: Path, where: str, *, constrains: bool) -> None:
        """Take the lines of a file, and of those that it includes. Twice is once."""
        resolved = path.resolve()
        if not resolved.is_relative_to(self._top):
            raise self._refusal(where, f"{printable(path)} lies outside of the repository")
        if (resolved, constrains) in self._read:
            return
        self._read.add((resolved, constrains))
        name = printable(resolved.relative_to(self._top))
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise self._refusal(where, f"{name} is not UTF-8") from error
        except OSError as error:
            why = one_line(error.strerror)
            raise self._refusal(where, f"{name} cannot be read: {why}") from error
        for number, line in _lines(text):
            self._take_line(line, path, f"{name}, line {number}", constrains=constrains)

    def _take_line(self, line: str, path: Path, where: str, *, constrains: bool) -> None:
        if included := _INCLUDE.fullmatch(line):
            option = included[1] or included[2]
            if "://" in included["path"]:
                raise self._refusal(where, "includes a file of the network, which may change")
            target = path.parent / included["path"].strip("\"'")
            self._take(target, where, constrains=constrains or option.lstrip("-")[0] == "c")
        elif own := _OWN.fullmatch(line):
            # Its code comes from its revision, and what it depends on from its pyproject.toml.
            self._extras += [part.strip() for part in (own["extras"] or "").split(",") if part]
        elif place := _PLACE.fullmatch(line):
            if "://" not in place[1] and not Path(place[1]).is_absolute():
                raise self._refusal(where, "looks for packages in a folder of the repository")
            self._requirements.append(line)
        elif _LOCAL.match(line):
            raise self._refusal(where, f"{printable(line)} is a file and no version")
        elif constrains:
            self._constraints.append(line)
        else:
            self._requirements.append(line)

    def _refusal(self, where: str, why: str) -> InputError:
        return InputError(
            f"{self._tree.name}, {where}: {why}, so no environment can be made of it: name an "
            "interpreter with --base-python or --head-python"
        )


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that say something, with their numbers; a backslash joins two."""
    begun, start = "", 1
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        if not begun:
            start = number
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            begun += line[:-1] + " "
            continue
        whole = _COMMENT.sub("", begun + line).strip()
        begun = ""
        if whole:
            yield start, whole
