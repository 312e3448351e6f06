"""Reading a run file fails closed: it is refused in one line, or read as exactly what it says.

Over 300 lines, because it is one subject with one set of helpers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.mutations import Mutator, WrongReadError, check, make_file
from whisperbench.asked.checkout import ROOT
from whisperbench.errors import InputError
from whisperbench.report.summary import summarise
from whisperbench.results.run_file import MAX_BYTES, read_run
from whisperbench.results.schema import SCHEMA

FILES = 3000
ROW = "benchmarks/0/extra_info/whisperbench"
METRIC = f"{ROW}/metrics/0"
CELL = f"{ROW}/cell"
SOUND = json.dumps(make_file())
STEERING = "\x1b[2J\x1b[31mred"
"""Clears a terminal and writes in red."""


def _refusal(path: Path) -> str:
    assert not check(path), "the file was accepted"
    with pytest.raises(InputError) as caught:
        read_run(path)
    return str(caught.value)


def _twice(key: str, again: str) -> str:
    """Say a key a second time, where it first stands."""
    place = f'"{key}": '
    assert place in SOUND
    return SOUND.replace(place, f"{place}{again}, {place}", 1)


def _row_again(file: Any) -> None:
    file["benchmarks"].append(file["benchmarks"][0])


def _metric_again(file: Any) -> None:
    metrics = file["benchmarks"][0]["extra_info"]["whisperbench"]["metrics"]
    metrics.append(metrics[0] | {"samples": [0.5]})


def _rebuilt(damage: Callable[[Any], None]) -> str:
    file = make_file()
    damage(file)
    return json.dumps(file)


def _change(where: str, value: object) -> str:
    file: Any = make_file()
    *parents, last = where.split("/")
    place = file
    for step in parents:
        place = place[int(step)] if step.isdecimal() else place[step]
    place[last] = value
    return json.dumps(file)


BAD: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "truncated"),
    "blank": (" \n\t ", "truncated"),
    "a word": ("run", "malformed"),
    "null": ("null", "Expected `object`, got `null`"),
    "binary": (bytes(range(256)) * 8, "malformed"),
    "zeros": (b"\0" * 4096, "malformed"),
    "utf-16": (SOUND.encode("utf-16"), "malformed"),
    "a byte order mark": (b"\xef\xbb\xbf" + SOUND.encode(), "malformed"),
    "truncated": (SOUND[: len(SOUND) // 2], "truncated"),
    "one bracket short": (SOUND[:-1], "truncated"),
    "two files in one": (SOUND + SOUND, "trailing characters"),
    "invalid UTF-8 of ours": (
        SOUND.replace("harbour", "\udcff").encode(errors="surrogateescape"),
        "utf-8",
    ),
    "invalid UTF-8 of others'": (
        SOUND.replace("c0ffee", "\udcff").encode(errors="surrogateescape"),
        "utf-8",
    ),
    "half a surrogate pair": (SOUND.replace("harbour", "\\ud800"), "malformed: unexpected end"),
    "nested": ("[" * 1_000_000, "got `array`"),
    "nested where others write": (
        _change("commit_info", 0).replace('"commit_info": 0', f'"commit_info": {"[" * 200_000}'),
        "recursion",
    ),
    "no schema": (SOUND.replace('"schema"', '"scheme"'), "missing required field `schema`"),
    "of the future": (_change("whisperbench/schema", SCHEMA + 1), f"schema {SCHEMA + 1}"),
    "of the past": (_change("whisperbench/schema", 0), "schema 0"),
    "schema 1.0": (_change("whisperbench/schema", 1.0), "Expected `int`"),
    "schema true": (_change("whisperbench/schema", True), "Expected `int`"),
    "a huge schema": (_change("whisperbench/schema", 10**4000), "Expected `int`|out of range"),
    "NaN": (_change(f"{METRIC}/samples", [float("nan")]), "malformed"),
    "infinity": (_change(f"{METRIC}/samples", [float("inf")]), "malformed"),
    "NaN where others write": (_change("version", float("nan")), "malformed"),
    "over a double": (SOUND.replace("26.4", "1e400"), "out of range"),
    "a huge figure": (_change(f"{METRIC}/samples", [1e300]), "<= 1e"),
    "a huge count": (_change(f"{CELL}/batch_size", 10**30), "`int` <="),
    "half a batch": (_change(f"{CELL}/batch_size", 1.5), "Expected `int`"),
    "no batch": (_change(f"{CELL}/batch_size", 0), "`int` >= 1"),
    "a negative batch": (_change(f"{CELL}/batch_size", -1), "`int` >= 1"),
    "no tokens": (_change(f"{CELL}/tokens", 0), "`int` >= 1"),
    "no audio": (_change(f"{CELL}/audio_s", 0), "`float` > 0"),
    "a number as text": (_change(f"{CELL}/batch_size", "1"), "Expected `int`, got `str`"),
    "a truth as a number": (_change(f"{CELL}/audio_s", True), "Expected `float`, got `bool`"),
    "a cell missing": (SOUND.replace('"cell"', '"cel"'), "cel"),
    "a device that is none": (_change(f"{CELL}/device", "A GPU"), "a-z"),
    "negative wall time": (_change(f"{METRIC}/samples", [1.0, -1e-9]), "a negative latency_s"),
    "a negative error rate": (
        _change("benchmarks/2/extra_info/whisperbench/metrics/6/processes", [-0.5]),
        "a negative wer",
    ),
    "a cut clip": (
        _change("benchmarks/4/extra_info/whisperbench/found/clips", [["jfk", 22, 1, 110, 3, 25]]),
        "`array` of at least length 7",
    ),
    "no samples": (_change(f"{METRIC}/samples", []), "needs a value or samples"),
    "a kind unknown": (_change(f"{METRIC}/kind", "vibes"), "Invalid enum value 'vibes'"),
    "a steering kind": (_change(f"{METRIC}/kind", STEERING), r"\\x1b\[2J"),
    "an outcome unknown": (_change("whisperbench/manifest/0/outcome", "fine"), "enum value 'fine'"),
    "a steering name": (_change(f"{CELL}/model", STEERING), "without control characters"),
    "a name of two lines": (_change(f"{CELL}/clip", "a\nb"), "without control characters"),
    "a line's end": (_change(f"{CELL}/clip", "a\n"), "without control characters"),
    "writing turned round": (_change(f"{CELL}/model", "a\u202eb"), "without control characters"),
    "a steering reason": (_change("whisperbench/manifest/0/reason", STEERING), "control"),
    "a steering key of calls": (
        _change("benchmarks/2/extra_info/whisperbench/found/calls", {STEERING: {}}),
        r"Invalid enum value \'\\x1b\[2J",
    ),
    "a pass unknown": (_change(f"{ROW}/found/pass", "vibes"), "Invalid value 'vibes'"),
    "what another pass found": (_change(f"{ROW}/found/pass", "cost"), "unknown field"),
    "a field unknown": (_change(f"{CELL}/colour", "red"), "unknown field `colour`"),
    "a steering field": (_change(f"{CELL}/{STEERING}", "red"), r"unknown field `\\x1b\[2J"),
    "a long unknown field": (_change(f"{CELL}/{'x' * 100_000}", 1), "unknown field `xxx"),
    "verdicts misspelt": (SOUND.replace('"verdicts"', '"verdict"', 1), "unknown field `verdict`"),
    "a schema twice": (_twice("schema", "7"), "the key schema stands twice"),
    "a batch size twice": (_twice("batch_size", "4"), "the key batch_size stands twice"),
    "a key twice by an escape": (_twice("model", '"m", "\\u006dodel": "n"'), "model stands twice"),
    "others' key twice": (_twice("dirty", "true"), "the key dirty stands twice"),
    "all twice": (SOUND[:-1] + ", " + SOUND[1:], "stands twice"),
    "a steering key twice": (
        SOUND[:-1] + ', "\\u001b[2J": 1, "\\u001b[2J": 2}',
        r"the key \\x1b\[2J stands twice",
    ),
    "a cell twice": (_rebuilt(_row_again), "two measurements of transcribe, owner/whisper fp16"),
    "a metric twice": (_rebuilt(_metric_again), "two metrics latency_s of transcribe"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused(tmp_path: Path, name: str) -> None:
    """Each kind of bad file is refused in one plain line that says what is wrong."""
    content, word = BAD[name]
    path = tmp_path / "run.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputError, match=word):
        read_run(path)
    _refusal(path)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("commit_info/branch", "a\nb"),
        ("benchmarks/0/options", {"timer": "perf_counter", "deep": [[[1]]]}),
        ("benchmarks/0/extra_info/ours", {"x": 10**400}),
        ("machine_info/node", STEERING),
        ("datetime", "2026-01-01"),
        (f"{ROW}/found/transcripts", [STEERING, "a\nb", "../../etc/passwd", "[bold]x[/bold]"]),
        (f"{CELL}/model", "../[bold]été 你好[/bold]"),
        (f"{CELL}/audio_s", 26),
    ],
)
def test_sound_files_are_accepted(tmp_path: Path, where: str, value: object) -> None:
    """What other tools write beside our parts, and any words of a transcript, may be there."""
    path = tmp_path / "run.json"
    path.write_text(_change(where, value), encoding="utf-8")
    assert check(path)


def test_a_steering_transcript_is_harmless(tmp_path: Path) -> None:
    """A summary shows what is no text in a transcript as escapes, all in one line."""
    path = tmp_path / "run.json"
    file = json.loads(_change(f"{ROW}/found/transcripts", [f"{STEERING}\n0 failed"]))
    file["benchmarks"][0]["extra_info"]["whisperbench"]["cell"]["tokens"] = None
    path.write_text(json.dumps(file), encoding="utf-8")
    lines = summarise(read_run(path)).splitlines()
    assert "owner/whisper fp16, harbour: \\x1b[2J\\x1b[31mred\\n0 failed" in lines


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A folder, a pipe, a device and a missing path are refused, and none is waited for."""
    pipe, loop = tmp_path / "pipe", tmp_path / "loop"
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    for path, word in (
        (tmp_path, "not a regular file"),
        (pipe, "not a regular file"),
        (Path("/dev/zero"), "not a regular file"),
        (tmp_path / "none.json", "No such file"),
        (pipe / "run.json", "Not a directory"),
        (loop, "symbolic links"),
        (tmp_path / ("x" * 256), "name too long"),
    ):
        with pytest.raises(InputError, match=word) as caught:
            read_run(path)
        assert f"{path.name}: " in str(caught.value)


def test_an_unreadable_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may not be read, or breaks off with the disk, says so."""
    path = tmp_path / "run.json"
    path.write_text(SOUND, encoding="utf-8")
    for number, word in ((13, "Permission denied"), (5, "Input/output error")):
        error = OSError(number, os.strerror(number))
        monkeypatch.setattr(Path, "read_bytes", partial(_raise, error))
        with pytest.raises(InputError, match=word):
            read_run(path)


def _raise(error: OSError) -> NoReturn:
    raise error


def test_a_large_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file over the limit is refused by its size alone."""
    path = tmp_path / "run.json"
    with path.open("wb") as stream:
        stream.truncate(2 * MAX_BYTES)
    monkeypatch.setattr(Path, "read_bytes", lambda _path: pytest.fail("was read"))
    with pytest.raises(InputError, match="takes 200 MiB; a run file takes at most 100"):
        read_run(path)


def test_a_steering_file_name_is_harmless(tmp_path: Path) -> None:
    """A file's own name is printed with escapes, and of a long path the end."""
    folder = tmp_path / ("x" * 200) / ("y" * 200)
    for name in (STEERING, "a\nb", "\u202efdp", os.fsdecode(b"\xff")):
        with pytest.raises(InputError, match="No such file") as caught:
            read_run(folder / name)
        message = str(caught.value)
        assert message.isprintable()
        assert len(message) < 400
        assert message.startswith("...")


STEPS = st.lists(st.integers(0, 2**16), min_size=1, max_size=12)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["ok", "missing", "measured", "exact", "memory", "lower", "cpu", "1"])
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def _change_at(tree: Any, steps: list[int], value: object, how: str) -> None:
    """Walk down a document as far as the steps go, and change what is there."""
    for step in steps:
        keys = list(tree) if isinstance(tree, dict) else range(len(tree))
        if not keys:
            return
        place, key = tree, keys[step % len(keys)]
        tree = place[key]
        if not isinstance(tree, dict | list):
            break
    if how == "drop":
        del place[key]
    elif how == "add":
        if isinstance(tree, list):
            tree.append(value)
        elif isinstance(tree, dict):
            tree[str(value)[:20]] = value
    else:
        place[key] = value


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    changes=st.lists(
        st.tuples(STEPS, TREES, st.sampled_from(["replace", "drop", "add"])), min_size=1, max_size=3
    )
)
def test_changed_documents(tmp_path: Path, changes: list[tuple[list[int], Any, str]]) -> None:
    """Whatever is changed, dropped or added in a run, it is refused or read as it stands."""
    file = make_file()
    for steps, value, how in changes:
        _change_at(file, steps, value, how)
    path = tmp_path / "run.json"
    path.write_bytes(json.dumps(file).encode())
    check(path)


def test_damaged_files(tmp_path: Path) -> None:
    """Thousands of damaged files are refused or read as they stand; some of each."""
    mutator, path = Mutator(make_file()), tmp_path / "run.json"
    accepted = 0
    for seed in range(FILES):
        path.write_bytes(mutator.mutate(seed))
        accepted += check(path)
    assert FILES / 20 < accepted < FILES / 2


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (_twice("batch_size", "4"), "equal keys"),
        (_change(f"{ROW}/noted", {"a": 1}), "noted"),
        (_change(f"{CELL}/model", STEERING), "model"),
        (SOUND.replace("26.4", "26"), "audio_s: 26 was read as 26.4"),
        (SOUND.replace("transcribe", "encode"), "benchmark"),
        (_rebuilt(_row_again), "8 said, 7 read"),
    ],
)
def test_the_oracle_sees_a_wrong_acceptance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, word: str
) -> None:
    """A loader that lets a file through as something else is found out."""
    path, sound = tmp_path / "run.json", tmp_path / "sound.json"
    path.write_text(text, encoding="utf-8")
    sound.write_text(SOUND, encoding="utf-8")
    run = read_run(sound)
    monkeypatch.setattr("tests.mutations.read_run", lambda _path: run)
    with pytest.raises(WrongReadError, match=word):
        check(path)


def test_the_long_fuzzer_runs() -> None:
    """scripts/fuzz_loader.py, which is run for longer by hand, works."""
    command = [sys.executable, "scripts/fuzz_loader.py", "--files", "200"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "200 files" in done.stdout
