"""Real edits of transformers and bitsandbytes in a scratch copy, to see what the suite says."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

if TYPE_CHECKING:
    from whisperbench.results.records import Run

WHISPER = "transformers/models/whisper/modeling_whisper.py"


class Edit(NamedTuple):
    """A change of real code, and what must be said of it."""

    file: str
    old: str
    new: str
    metric: str
    cause: str
    """Something that the sentence on the metric names."""


def scratch_copy(folder: Path, edit: Edit | None) -> None:
    """Make a folder that holds the edited packages, and links to all of their other files.

    Raises:
        SystemExit: this version of the package has no such place to edit.
    """
    for package in ("transformers", "bitsandbytes"):
        found = importlib.util.find_spec(package)
        assert found is not None
        assert found.origin is not None
        source = Path(found.origin).parent
        shutil.copytree(
            source,
            folder / package,
            copy_function=os.symlink,
            ignore=shutil.ignore_patterns("*.pyc"),
        )
    if edit is None:
        return
    target = folder / edit.file
    text = target.read_text(encoding="utf-8")
    if edit.old not in text:
        sys.exit(f"{edit.file}: this version has no place for the edit: {edit.old!r}")
    target.unlink()
    target.write_text(text.replace(edit.old, edit.new), encoding="utf-8")


def run_suite(folder: Path | None, result: Path, *arguments: str, fails: bool = False) -> Run:
    """Run benchmarks in a fresh process with the packages of a folder; return what was measured.

    Args:
        folder: edited packages.
        result: where the run's file goes.
        arguments: of pytest.
        fails: whether a run that failed, over a limit perhaps, is looked at as well.
    """
    from whisperbench.results.run_file import read_run

    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("--result", str(result), *arguments),
        ],
        cwd=ROOT,
        env=with_packages(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and not fails:
        sys.exit(done.stdout[-3000:] + done.stderr[-1000:])
    return read_run(result)


def with_packages(folder: Path | None) -> dict[str, str]:
    """Return an environment in which packages are looked for in a folder first."""
    paths = [*([str(folder)] if folder else []), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
