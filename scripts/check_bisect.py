"""Does `whisperbench bisect` find a planted edit in one of 16 wheels, in at most four steps?

    python scripts/check_bisect.py --trials 20

Makes wheels of the installed transformers in 16 versions, twice: as it is, and with one edit of
scripts/check_cost.py or of this file. Each trial draws the version that the edit comes with, puts
16 wheels into a folder that pip is pointed at, and bisects. A release's counts follow from what its
wheel holds, so each of the three contents is installed and run once, really; each step opens the
wheel that pip names for its release, and takes the run of its content. That a step installs and
runs a release by itself is seen with transformers' own releases (docs/releases.md).
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import sys
import tempfile
import time
import zipfile
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scripts.check_cost import EDITS  # noqa: E402 - of this checkout
from scripts.edits import WHISPER, Edit  # noqa: E402

if TYPE_CHECKING:
    from whisperbench.results.records import Run

NUMBER = 16
PACKAGE = "transformers"

PLANTED = (
    EDITS["one elementwise op more a layer"],
    Edit(
        WHISPER,
        "        residual = hidden_states\n        hidden_states = self.self_attn_layer_norm(",
        "        (lambda: None)()\n"
        "        residual = hidden_states\n        hidden_states = self.self_attn_layer_norm(",
        "decode_python_calls",
        "modeling_whisper.WhisperDecoderLayer.forward.<lambda>",
    ),
)
"""One more op a layer, and one more call of a Python function: the second changes no op."""


def make_wheels(folder: Path, edit: Edit | None) -> list[Path]:
    """Make the wheels of 16 versions of the installed package, all with the same content."""
    folder.mkdir(parents=True)
    installed = distribution(PACKAGE)
    plain = folder / "content.zip"
    with zipfile.ZipFile(plain, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file in installed.files or ():
            if file.parts[0] != PACKAGE or file.suffix == ".pyc":
                continue
            data = Path(str(installed.locate_file(file))).read_bytes()
            if edit is not None and str(file) == edit.file:
                assert edit.old.encode() in data
                data = data.replace(edit.old.encode(), edit.new.encode())
            archive.writestr(str(file), data)
    metadata = installed.read_text("METADATA") or ""
    head = metadata.partition("\nVersion: ")
    wheels = []
    for number in range(NUMBER):
        version = f"900.{number}"
        info = f"{PACKAGE}-{version}.dist-info"
        path = folder / f"{PACKAGE}-{version}-py3-none-any.whl"
        path.write_bytes(plain.read_bytes())
        with zipfile.ZipFile(path, "a") as archive:
            rest = head[2].partition("\n")[2]
            archive.writestr(f"{info}/METADATA", f"{head[0]}\nVersion: {version}\n{rest}")
            tag = "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            archive.writestr(f"{info}/WHEEL", tag)
            archive.writestr(f"{info}/RECORD", "")
        wheels.append(path)
    return wheels


def content_of(wheel: Path) -> str:
    """Digest what a wheel holds beside its version."""
    with zipfile.ZipFile(wheel) as archive:
        members = [
            (each.filename, each.CRC)
            for each in archive.infolist()
            if each.filename.startswith(f"{PACKAGE}/")
        ]
    return hashlib.sha256(repr(sorted(members)).encode()).hexdigest()


class Contents:
    """The runs of the contents that were seen."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}

    def run_of(self, wheel: Path) -> Run:
        """Return the run of a wheel's content, measured where it is new."""
        from whisperbench.bisect.measuring import DEFAULT, Measurer

        content = content_of(wheel)
        if content not in self._runs:
            measurer = Measurer(python=Path(sys.executable), arguments=DEFAULT, say=print)
            started_s = time.monotonic()
            self._runs[content] = measurer.run_of(str(wheel), wheel.name)
            print(f"{content[:12]}: {time.monotonic() - started_s:.0f} s", flush=True)
        return self._runs[content]


def try_once(
    folder: Path, wheels: list[list[Path]], contents: Contents, first_bad: int, edit: Edit
) -> int:
    """Bisect 16 wheels of which those from one on are edited; return the steps that it took."""
    from whisperbench.bisect.releases import bisect
    from whisperbench.versions.releases import read_range, releases_between, releases_of

    folder.mkdir()
    for number in range(NUMBER):
        wheel = wheels[number >= first_bad][number]
        (folder / wheel.name).symlink_to(wheel)
    os.environ |= {
        "PIP_FIND_LINKS": str(folder),
        "PIP_NO_INDEX": "1",
        "PIP_CONFIG_FILE": os.devnull,
    }
    known = releases_of(Path(sys.executable), PACKAGE)
    releases = releases_between(known, read_range(f"900.0..900.{NUMBER - 1}"), PACKAGE)
    assert len(releases) == NUMBER
    asked: list[Version] = []

    def measure(release: Version) -> Run:
        asked.append(release)
        return contents.run_of(folder / f"{PACKAGE}-{release}-py3-none-any.whl")

    answer = bisect(PACKAGE, releases, measure, say=lambda _: None)
    steps = len(asked) - 2
    named = answer.first_bad == f"900.{first_bad}" and answer.decided
    caused = any(edit.cause in line for line in answer.lines)
    print(
        f"planted in 900.{first_bad}: found {answer.first_bad} in {steps} steps; "
        f"{answer.lines[1].strip()}",
        flush=True,
    )
    if not (named and caused and steps <= 4):
        sys.exit("\n".join(["FAILED", *answer.lines]))
    return steps


def main() -> None:
    """Try so often, and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    seeded = random.Random(given.seed)
    contents = Contents()
    steps = []
    with tempfile.TemporaryDirectory() as scratch:
        plain = make_wheels(Path(scratch) / "plain", None)
        edited = [make_wheels(Path(scratch) / f"edit{n}", edit) for n, edit in enumerate(PLANTED)]
        for wheel in (plain[0], *(each[0] for each in edited)):
            contents.run_of(wheel)
        for trial in range(given.trials):
            which = trial % len(PLANTED)
            steps.append(
                try_once(
                    Path(scratch) / f"trial{trial}",
                    [plain, edited[which]],
                    contents,
                    seeded.randrange(1, NUMBER),
                    PLANTED[which],
                )
            )
    print(f"{len(steps)} of {given.trials} found, in {min(steps)} to {max(steps)} steps")


if __name__ == "__main__":
    main()
