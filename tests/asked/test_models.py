"""Model specs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from whisperbench.asked.models import SIZES, ModelSpec, size_named
from whisperbench.errors import InputError

REVISION = "06f233fe06e710322aca913c1bc4249a0d71fce1"


def test_hub_id_with_and_without_revision() -> None:
    """A hub id keeps its owner and name; a revision is kept in full and shown in short."""
    pinned = ModelSpec.parse(f"openai/whisper-large-v3@{REVISION}")
    assert (pinned.kind, pinned.hub_id, pinned.revision) == (
        "hub",
        "openai/whisper-large-v3",
        REVISION,
    )
    assert pinned.name == "openai/whisper-large-v3@06f233fe"
    assert ModelSpec.parse("openai/whisper-tiny").revision is None


def test_folder_is_named_without_its_path(tmp_path: Path) -> None:
    """A folder's name in results is its last part: no result file holds a path."""
    folder = tmp_path / "my-whisper"
    folder.mkdir()
    spec = ModelSpec.parse(str(folder))
    assert (spec.kind, spec.name, spec.folder) == ("folder", "my-whisper", folder)


def test_a_folder_whose_path_cannot_be_printed(tmp_path: Path) -> None:
    """A link to it has a plain name, and the folder's own is what results would hold."""
    (tmp_path / "new\nline").mkdir()
    (tmp_path / "plain").symlink_to(tmp_path / "new\nline")
    with pytest.raises(InputError, match=r"new\\nline cannot be printed; rename it$"):
        ModelSpec.parse(str(tmp_path / "plain"))


def test_existing_folder_wins_over_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is on disk is not looked up on the hub."""
    (tmp_path / "openai" / "whisper-tiny").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert ModelSpec.parse("openai/whisper-tiny").kind == "folder"


def test_nano_is_the_one_that_ships(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`nano` means the suite's own, whatever lies beside it; a folder of that name is `./nano`."""
    (tmp_path / "nano").mkdir()
    monkeypatch.chdir(tmp_path)
    spec = ModelSpec.parse("nano")
    assert (spec.kind, spec.name, spec.folder, spec.trained) == ("nano", "nano", None, True)
    other = ModelSpec.parse("./nano")
    assert (other.kind, other.name, other.folder) == ("folder", "nano", tmp_path / "nano")


@pytest.mark.parametrize("size", SIZES)
def test_dummy_sizes(size: str) -> None:
    """Every size has a dummy, and a dummy counts as untrained."""
    spec = ModelSpec.parse(f"dummy:{size}")
    assert (spec.kind, spec.size, spec.trained) == ("dummy", size, False)


def test_the_first_layers_of_a_dummy() -> None:
    """A number after the size takes that many layers of each stack, and nothing else."""
    size = size_named("large-v3-turbo:2")
    assert (size.encoder_layers, size.decoder_layers) == (2, 2)
    assert replace(size, encoder_layers=32, decoder_layers=4) == SIZES["large-v3-turbo"]
    spec = ModelSpec.parse("dummy:large-v3-turbo:2")
    assert (spec.name, spec.size) == ("dummy:large-v3-turbo:2", "large-v3-turbo:2")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("dummy:huge", "dummy:large-v3-turbo"),
        ("dummy:huge:1", "dummy:large-v3-turbo"),
        ("dummy:large-v3-turbo:5", "a number of layers, 1 to 4"),
        ("dummy:tiny:0", "a number of layers, 1 to 4"),
        ("dummy:tiny:", "a number of layers, 1 to 4"),
        ("dummy:tiny:-1", "a number of layers, 1 to 4"),
        ("dummy:tiny:²", "a number of layers, 1 to 4"),
        ("dummy:tiny:1:1", "a number of layers, 1 to 4"),
        ("openai/whisper-tiny@main", "40 hexadecimal digits"),
        ("openai/whisper-tiny@", "40 hexadecimal digits"),
        ("./missing/folder", "no such folder"),
        ("../missing", "no such folder"),
        ("/missing", "no such folder"),
        ("whisper-tiny", "no such folder"),
        ("a/b/c", "no such folder"),
        ("", "no such folder"),
        (__file__, "is a file"),
        ("a" * 300, "File name too long"),
    ],
)
def test_bad_specs_say_what_is_wrong(text: str, word: str) -> None:
    """A spec that is none is refused with the remedy."""
    with pytest.raises(InputError, match=word):
        ModelSpec.parse(text)
