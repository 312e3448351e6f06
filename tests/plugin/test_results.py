"""What a result file says, and what it must not."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.runs import make_cell
from whisperbench.asked.models import ModelSpec
from whisperbench.asked.plan import CheckpointKey
from whisperbench.asked.precisions import precision_named
from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.errors import ModelError
from whisperbench.measure.quality.references import NumericReferences
from whisperbench.measure.quality.scoring import rate
from whisperbench.plugin.result_file import is_of_ours
from whisperbench.plugin.written import encodable, without_home
from whisperbench.results.heard import HeardClip, lines_of
from whisperbench.whisper.residency import ModelCache


@pytest.mark.parametrize(
    ("home", "text", "written"),
    [
        ("/root", "/root/a.wav: no", "~/a.wav: no"),
        ("/root/", "in /root, '/root' and file:///root/a", "in ~, '~' and file://~/a"),
        ("/root", "/rootless/a /root-2/a /root.old/a /mnt/root/a", None),
        ("/home/me", "/home/me/a and /home/mel/b", "~/a and /home/mel/b"),
        ("/", "change the limit in benchmarks/suite.toml", None),
        ("//", "/a/b", None),
        ("", "/a/b", None),
        ("a", "a/b in a bag", None),
    ],
)
def test_the_home_folder_is_not_written(
    monkeypatch: pytest.MonkeyPatch, home: str, text: str, written: str | None
) -> None:
    """It is ~ as the beginning of a path and nowhere else; and / is nobody's home."""
    monkeypatch.setenv("HOME", home)
    assert without_home(text) == (text if written is None else written)


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody knows the user, as in a container, reasons stay as they are."""

    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobody)
    assert without_home("/root/a") == "/root/a"


def test_what_json_cannot_hold_stands_there_as_text() -> None:
    """Text that is no UTF-8, keys that are no text and what has no end are written all the same."""

    class Mute:
        """Cannot say what it is."""

        def __str__(self) -> str:
            raise RuntimeError

    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    thing: dict[Any, Any] = {"\udce9": (1, 2.5, None, True), (1, 2): Mute(), "set": {3}}
    thing |= {"itself": thing, "twice": [thing["set"], thing["set"]], "deep": deep}
    made: Any = encodable(thing)
    json.dumps(made).encode()
    assert made.pop("deep")
    assert made == {
        r"\udce9": [1, 2.5, None, True],
        "[1, 2]": "Mute",
        "set": [3],
        "itself": "...",
        "twice": [[3], [3]],
    }


def test_only_files_of_ours_are_taken_away(tmp_path: Path) -> None:
    """What was heard by an earlier run is; other tools' lines, notes and empty files are not."""
    path = tmp_path / "run.clips.jsonl"
    heard = HeardClip(
        name="a", seconds=1.0, language="en", reference="yes", transcript="yes", tokens=1
    )
    path.write_bytes(b"\n".join(lines_of(make_cell(), [heard], rate([heard], None).found.clips)))
    assert is_of_ours(path)
    for text in ("", "notes", '{"audio_filepath": "a.wav", "text": "a", "pred_text": "a"}'):
        path.write_text(text, encoding="utf-8")
        assert not is_of_ours(path)


@pytest.mark.parametrize("error", [RuntimeError("on two\ndevices"), KeyError("x"), MemoryError()])
def test_a_failed_reference_fails_the_numerics_alone(error: Exception) -> None:
    """Whatever a library raises, preparing goes on, and each numerics ends with the same line."""
    key = CheckpointKey(
        model=ModelSpec.parse("nano"), precision=precision_named("int8"), attention="sdpa"
    )

    def load(_key: CheckpointKey) -> Any:
        raise error

    cache: ModelCache[CheckpointKey, Any] = ModelCache(load, CpuAccelerator())
    references = NumericReferences(CpuAccelerator(), (), cache, {("nano", "sdpa")})
    references.prepare(key)
    audio: Any = SimpleNamespace(name="yes")
    lines = []
    for _ in range(2):
        with pytest.raises(Exception, match="nano-fp32") as caught:
            references[audio]
        lines.append(str(caught.value))
        assert caught.value.__context__ is None
    assert lines[0] == lines[1]
    assert "\n" not in lines[0]
    if isinstance(error, RuntimeError):
        assert isinstance(caught.value, ModelError)
        assert lines[0].endswith("held against, failed with RuntimeError: on two devices")
