"""The file of a run: what is refused, and how it is written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.runs import make_run_file
from whisperbench.asked.checkout import ROOT
from whisperbench.errors import InputError
from whisperbench.results.run_file import (
    clips_beside,
    read_run,
    require_own_name,
    require_writable,
    write_whole,
)
from whisperbench.results.schema import SCHEMA


def test_a_run_reads_back(tmp_path: Path) -> None:
    """A written run has the machine, the manifest and the measurements that it was made of."""
    path = tmp_path / "run.json"
    path.write_text(json.dumps(make_run_file()), encoding="utf-8")
    run = read_run(path)
    assert run.machine.device_key == "nvidia-h200-sm90-140gib"
    assert run.info.manifest[0].outcome == "measured"
    assert run.measurements[0].metric("latency_s") is not None
    assert run.measurements[0].metric("no such metric") is None


def _change(path: str, value: object) -> str:
    run: Any = make_run_file()
    *parents, last = path.split("/")
    place = run
    for step in parents:
        place = place[int(step)] if step.isdecimal() else place[step]
    place[last] = value
    return json.dumps(run)


METRIC = "benchmarks/0/extra_info/whisperbench/metrics/0"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "not a whisperbench run"),
        ("{}", "not a whisperbench run"),
        ("[1, 2]", "not a whisperbench run"),
        ('{"benchmarks": []}', "not a whisperbench run"),
        ("[" * 100_000, "not a whisperbench run"),
        (
            _change("whisperbench/schema", SCHEMA + 1),
            f"schema {SCHEMA + 1}; .* reads 1 and {SCHEMA}",
        ),
        (_change("whisperbench/schema", "1"), "not a whisperbench run"),
        (_change("benchmarks", {}), "not a whisperbench run"),
        (_change(f"{METRIC}/samples", [0.1, float("nan")]), "not a whisperbench run"),
        (_change(f"{METRIC}/samples", []), "needs a value or samples"),
        (_change(f"{METRIC}/kind", "vibes"), "not a whisperbench run"),
        (_change("whisperbench/manifest/0/outcome", "fine"), "not a whisperbench run"),
    ],
)
def test_what_is_not_a_run_is_refused(tmp_path: Path, text: str, word: str) -> None:
    """Broken files, other schemas, wrong types and NaN are one line that names the file."""
    path = tmp_path / "run.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=word) as caught:
        read_run(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_missing_run(tmp_path: Path) -> None:
    """A file that is not there says so."""
    with pytest.raises(InputError, match="No such file"):
        read_run(tmp_path / "none.json")


def test_a_file_appears_whole(tmp_path: Path) -> None:
    """A write makes missing folders, replaces the old file, and leaves nothing else."""
    path = tmp_path / "new" / "run.json"
    write_whole(path, b"first")
    write_whole(path, b"second")
    assert path.read_bytes() == b"second"
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk fills up, the file that was there stays, and no part lies beside it."""
    path = tmp_path / "run.json"
    write_whole(path, b"old")

    def full_disk(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(InputError, match="No space left on device"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="processes are killed otherwise here")
def test_what_a_killed_writer_left_goes_with_the_next_write(tmp_path: Path) -> None:
    """Its part goes, and of other files, or of a writer that is alive, nothing does."""
    path = tmp_path / "run.json"
    write_whole(path, b"old")
    killed = subprocess.run(
        [
            *(sys.executable, "-c"),
            "import os, signal, sys\n"
            "from pathlib import Path\n"
            "from whisperbench.results.run_file import write_whole\n"
            "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
            "write_whole(Path(sys.argv[1]), b'new')",
            str(path),
        ],
        check=False,
        cwd=ROOT,
    )
    assert killed.returncode == -signal.SIGKILL
    (left,) = set(tmp_path.iterdir()) - {path}
    dead = left.name.split(".")[-2]
    others = {
        tmp_path / name
        for name in (
            f".run.json.{os.getppid()}.part",
            f".run.json.5.{dead}.part",
            f".brun.json.{dead}.part",
            f".run.json.{dead}.part.old",
            f".run.json.{2**70}.part",
        )
    }
    for other in others:
        other.write_bytes(b"x")
    write_whole(path, b"new")
    assert set(tmp_path.iterdir()) == {path, *others}


def test_an_unwritable_place_is_found_before(tmp_path: Path) -> None:
    """A folder in the place of the file, or a file in that of its folder, is an error."""
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(InputError, match="is a folder"):
        require_writable(tmp_path)
    with pytest.raises(InputError, match="cannot be written"):
        require_writable(tmp_path / "file" / "run.json")
    require_writable(tmp_path / "a" / "b" / "run.json")


def test_only_a_regular_file_is_replaced(tmp_path: Path) -> None:
    """A pipe, as /dev/stdout may be, is refused; so is a name that leaves no room for a part."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="is not a regular file"):
        require_writable(tmp_path / "pipe")
    with pytest.raises(InputError, match="File name too long"):
        require_writable(tmp_path / ("a" * 250))
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_results_share_no_clip_by_clip_file() -> None:
    """Whatever two results are called, theirs are two; and none of them is a result's own name."""
    names = [
        *("a.json", "a", "a.x", "a.y", "a.json.json", "a.JSON", ".json", "json", "a-clips.json"),
        *("a.clips", "a.clips.json", "a.jsonl"),
    ]
    beside = [clips_beside(Path("out", name)) for name in names]
    assert beside[0] == Path("out", "a.clips.jsonl")
    assert len(set(beside)) == len(names)
    for path in beside:
        with pytest.raises(InputError, match=r"name a \.json file"):
            require_own_name(path)
    for name in names:
        require_own_name(Path(name))
