"""Wheels made by hand, so that tests of environments need neither an index nor a build."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path


def make_wheel(
    folder: Path, name: str, version: str, source: str | None = None, needs: Sequence[str] = ()
) -> Path:
    """Make the wheel of a package of one module, and return its path.

    Args:
        folder: where it goes.
        name: of the distribution and of its module.
        version: its version.
        source: of the module; by default it says its version.
        needs: its requirements.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    required = "".join(f"Requires-Dist: {each}\n" for each in needs)
    members = {
        f"{name}.py": f"VERSION = {version!r}\n" if source is None else source,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{required}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\n"
        "Root-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{member},,\n" for member in (*members, f"{info}/RECORD"))
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in (members | {f"{info}/RECORD": record}).items():
            archive.writestr(member, text)
    return path
