"""Releases of a package between two, as pip finds them: in indexes, find-links, local wheels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.version import InvalidVersion, Version

from whisperbench.errors import InputError, printable
from whisperbench.versions.pip import pip_for

_PACKAGE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_AVAILABLE = "Available versions:"


@dataclass(frozen=True, kw_only=True)
class Range:
    """From a release that is good to one that is bad."""

    good: Version
    bad: Version


def read_range(text: str) -> Range:
    """Read GOOD..BAD.

    Raises:
        InputError: it is no such range, or does not go from an older release to a newer one.

    >>> read_range("5.0.0..5.23.0")
    Range(good=<Version('5.0.0')>, bad=<Version('5.23.0')>)
    """
    good, dots, bad = text.partition("..")
    if not (dots and good.strip() and bad.strip()) or bad.startswith("."):
        raise InputError(
            f"{printable(text)!r} is no range of releases: write GOOD..BAD, as in 5.0.0..5.23.0"
        )
    found = Range(good=_version(good), bad=_version(bad))
    if found.good == found.bad:
        raise InputError(f"{printable(text)}: both ends are the same release")
    if found.good > found.bad:
        raise InputError(
            f"{printable(text)}: {found.good} is newer than {found.bad}; write the older release, "
            "which is good, first"
        )
    return found


def _version(text: str) -> Version:
    try:
        return Version(text.strip())
    except InvalidVersion:
        raise InputError(
            f"{printable(text.strip())!r} is no version: write one such as 5.17.0"
        ) from None


def require_package(name: str) -> str:
    """Return a package's name.

    Raises:
        InputError: it is none, as a requirement with a version is not.
    """
    if not _PACKAGE.fullmatch(name):
        raise InputError(f"{printable(name)!r} is no package's name: give one such as transformers")
    return name


def releases_of(python: Path, package: str) -> list[Version]:
    """Return the final releases of a package that an interpreter could install, oldest first.

    Pip is asked, so that its settings hold. Releases for other versions of Python are not among
    them, nor are pre-releases.

    Raises:
        InputError: there is no such package, or no index answers.
    """
    printed = pip_for(python).versions(require_package(package), python)
    line = next((each for each in printed.splitlines() if each.startswith(_AVAILABLE)), "")
    found = {
        Version(each.strip()) for each in line.removeprefix(_AVAILABLE).split(",") if each.strip()
    }
    return sorted(each for each in found if not each.is_prerelease)


def releases_between(known: Sequence[Version], wanted: Range, package: str) -> list[Version]:
    """Return the releases from the good one to the bad one, both included.

    Args:
        known: all there are, oldest first.
        wanted: the ends.
        package: for sentences.

    Raises:
        InputError: an end is no release of the package.
    """
    for each in (wanted.good, wanted.bad):
        if each not in known:
            near = min(known, key=lambda one: _distance(one, each), default=None)
            hint = f"; the nearest is {near}" if near is not None else ""
            raise InputError(f"{package} {each} is no release that pip finds for this Python{hint}")
    return [each for each in known if wanted.good <= each <= wanted.bad]


def _distance(one: Version, other: Version) -> tuple[int, ...]:
    a, b = ((*each.release, 0, 0, 0)[:3] for each in (one, other))
    return tuple(abs(x - y) for x, y in zip(a, b, strict=True))


def requirement_of(package: str, release: Version) -> str:
    """Write the requirement of a release that was not withdrawn.

    A range of one release: pip installs one that was withdrawn (yanked) if it is pinned with `==`
    alone (PEP 592). A local version, such as 5.0+fix, can be named with `==` alone (PEP 440).

    >>> requirement_of("transformers", Version("5.17.0"))
    'transformers>=5.17.0,<=5.17.0'
    """
    if release.local is not None:
        return f"{package}=={release}"
    return f"{package}>={release},<={release}"
