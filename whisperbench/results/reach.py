"""What a run has entered of Python code, and what differs between two sides: what reach is of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import msgspec

MODULE = "<module>"
"""Name of a module's body, as Python has it: what an import runs."""

_LIBRARY = re.compile(r"\.(so(\.\d+)*|dylib|dll|pyd)$")

REACH_SCHEMA = 2
"""Of the file of an `Entered`. Raise it on any change."""


class Entered(msgspec.Struct, frozen=True, kw_only=True):
    """The Python functions that a run entered, from its start to its end."""

    schema: int = REACH_SCHEMA
    functions: dict[str, tuple[str, ...]]
    """Names by file. A name is Python's qualified one, such as "Linear8bitLt.forward"; the body of
    a class has the class's name, that of a module `MODULE`, and lambdas and comprehensions have the
    name of what they stand in. A file is a path without links."""
    before: tuple[str, ...] = ()
    """Files of modules that were imported before anything was recorded."""
    asked: tuple[str, ...] = ()
    """Names of packages and modules whose version, or mere presence, was asked for."""
    tried: tuple[str, ...] = ()
    """Names of modules that were to be imported, whether they were found or not."""
    opened: tuple[str, ...] = ()
    """Files other than Python's that were opened, loaded as libraries or looked for, without
    links."""
    listed: tuple[str, ...] = ()
    """Folders whose entries were listed, other than by an import."""
    libraries: bool = False
    """Whether the libraries that were loaded are all in `opened`: the system tells them."""
    unseen: tuple[str, ...] = ()
    """Why calls may have gone unseen, in sentences; nothing where all were seen."""

    def runs(self, path: str, name: str) -> bool:
        """Whether a function ran, or may have."""
        if path in self.before or (self.unseen and self.imports(path)):
            return True
        return name in self.functions.get(path, ())

    def imports(self, path: str) -> bool:
        """Whether anything of a file ran."""
        return path in self.functions or path in self.before

    def count(self) -> int:
        """How many functions were entered."""
        return sum(map(len, self.functions.values()))


def merged(one: Entered, other: Entered) -> Entered:
    """Return what two processes entered together.

    So what either of them had imported before it recorded may have run.
    """
    files = one.functions.keys() | other.functions.keys()
    return Entered(
        functions={
            file: tuple(sorted({*one.functions.get(file, ()), *other.functions.get(file, ())}))
            for file in sorted(files)
        },
        before=tuple(sorted({*one.before, *other.before})),
        asked=tuple(sorted({*one.asked, *other.asked})),
        tried=tuple(sorted({*one.tried, *other.tried})),
        opened=tuple(sorted({*one.opened, *other.opened})),
        listed=tuple(sorted({*one.listed, *other.listed})),
        libraries=one.libraries and other.libraries,
        unseen=tuple(dict.fromkeys((*one.unseen, *other.unseen))),
    )


@dataclass(frozen=True, kw_only=True)
class Change:
    """A function, or the body of a class or module, that two sides do not have alike."""

    file: str
    """For people: relative to the repository or to the installed packages."""
    name: str
    """As in `Entered`."""
    path: str
    """Without links, in the head; where the head has no such file, where it would be."""
    base_path: str
    """The same in the base."""
    kind: Literal["added", "removed", "changed"]
    within: str | None = None
    """The body that runs its definition, where the definition differs too: the name, the arguments
    and their defaults, decorators, base classes."""

    def __str__(self) -> str:
        """Name it for people."""
        return f"{self.file} itself" if self.name == MODULE else f"{self.file}: {self.name}"


@dataclass(frozen=True, kw_only=True)
class ClosedFile:
    """What differs and cannot be looked into: data, a compiled library, an interpreter."""

    file: str
    """For people: relative to the repository or to the installed packages, or in words."""
    path: str = ""
    """Without links, in the head; empty for what no single file tells."""
    on_both: bool = True
    """Whether both sides have it."""

    def __str__(self) -> str:
        """Name it for people."""
        return self.file

    @property
    def is_library(self) -> bool:
        """Whether it is machine code, which the system loads."""
        return bool(_LIBRARY.search(self.file))


@dataclass(frozen=True, kw_only=True)
class Changes:
    """All that differs between the code of two sides."""

    functions: tuple[Change, ...] = ()
    closed: tuple[ClosedFile, ...] = ()
    versions: tuple[str, ...] = ()
    """Packages that are there in one version in the base and in another, or not, in the head."""
    unopened: int = 0
    """Python files that differ, that the run has not imported, and that were not looked into."""

    @property
    def nothing(self) -> bool:
        """Whether the two sides are the same."""
        return not (self.functions or self.closed or self.versions or self.unopened)
