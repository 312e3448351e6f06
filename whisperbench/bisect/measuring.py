"""A step's counts: an environment with one release or tree of a package, and a run of the suite."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from whisperbench.asked.checkout import ROOT
from whisperbench.errors import InputError, InvalidMeasurementError, NotInstallableError
from whisperbench.record.elsewhere import run_suite
from whisperbench.results.environment import cache_folder
from whisperbench.results.records import Run
from whisperbench.results.run_file import read_run
from whisperbench.versions.layers import KEPT_DAYS, layered, versions_in

DEFAULT = (
    *("benchmarks/test_cost.py", "--model", "dummy:tiny"),
    *("--precision", "int8", "--device", "cpu"),
)
"""What is measured where nothing else is asked for: a real architecture that needs no download, in
the precision that goes through most of transformers and through bitsandbytes as well, on the device
that every machine has."""

_SUITE = ("benchmarks", "fixtures", "whisperbench", "conftest.py")


@dataclass(kw_only=True)
class Measurer:
    """Measures releases and trees of a package over one interpreter."""

    python: Path
    """Whose other packages are shared."""
    arguments: Sequence[str]
    """Of pytest."""
    say: Callable[[str], None]
    suite: Path = ROOT
    _digest: str = field(default="", init=False)
    _pythons: dict[str, Path] = field(default_factory=dict, init=False)

    def run_of(self, requirement: str, name: str) -> Run:
        """Return the run of a release or of a tree.

        Runs are kept: counts of the same packages and the same suite do not change, so that a
        search which was interrupted, or another one over the same releases, goes on from them.

        Args:
            requirement: as `layers.layered` takes it.
            name: for sentences.

        Raises:
            NotInstallableError: pip cannot install it.
            InvalidMeasurementError: the run crashed, or a benchmark of it failed.
            InputError: something is wrong that another release does not mend.
        """
        environment = layered(self.python, [requirement], self.say, name=name)
        self._pythons[name] = environment.python
        layer = environment.python.parents[1].name
        kept = self._kept(layer)
        if kept.exists():
            with suppress(InputError):  # of another schema, or broken: measured again
                kept.touch()  # asked for today
                return _whole(read_run(kept), name)
        part = kept.with_name(f"{kept.stem}.measuring.json")
        try:
            run = _whole(
                run_suite(environment.python, self.suite, self.arguments, part, name=name), name
            )
            part.replace(kept)
        finally:
            part.unlink(missing_ok=True)
        return run

    def packages_of(self, name: str) -> Mapping[str, str]:
        """Return the versions of all packages that a run had, by distribution.

        Args:
            name: that the run was given; of another one nothing is known.
        """
        python = self._pythons.get(name)
        return {} if python is None else versions_in(python)

    def _kept(self, layer: str) -> Path:
        """Return the place of a run: of these packages, this suite and these arguments."""
        if not self._digest:
            # What is counted depends on the device, and a cache folder may be several machines'.
            where = [platform.node(), os.environ.get("CUDA_VISIBLE_DEVICES")]
            text = json.dumps([list(self.arguments), where, list(_contents(self.suite))])
            self._digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        folder = cache_folder().resolve() / "bisect"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{folder}: cannot be made: {error.strerror}") from error
        remove_unasked(folder)
        return folder / f"{layer}-{self._digest}.json"


def _whole(run: Run, name: str) -> Run:
    """Refuse a run of which a benchmark failed: its other counts may be of another program."""
    if missing := run.unmeasured():
        raise InvalidMeasurementError(f"{name}: {missing[0]}")
    return run


def remove_unasked(folder: Path) -> None:
    """Remove runs for which nobody has asked as long as a layer is kept: few of these are left."""
    for path in folder.glob("*.json"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > KEPT_DAYS * 86400:
                path.unlink()


def _contents(suite: Path) -> Iterator[tuple[str, str]]:
    """Digest the files of a suite that decide what is counted."""
    for name in _SUITE:
        top = suite / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.suffix in (".py", ".toml") and path.is_file():
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                yield str(path.relative_to(suite)), digest


SKIPPED = (NotInstallableError, InvalidMeasurementError)
"""What says that a release cannot be measured, and nothing of the next one."""
