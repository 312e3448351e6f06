"""Pictures of what a measuring job has left: drawn, or refused in a line; no verdict needs them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from typer.testing import CliRunner

from tests.pulls.artifacts import Left, Side
from tests.pulls.test_hostile import VALUES, places
from whisperbench.asked.checkout import SUITE_FILE
from whisperbench.cli import app
from whisperbench.errors import InputError
from whisperbench.pulls.pictures import draw
from whisperbench.pulls.surroundings import Surroundings

WELL = '{"measure": {"result": "success"}}'
ROUNDS = 25


def job(needs: str = WELL) -> Surroundings:
    """Make up the environment of a job."""
    return Surroundings(variables={"NEEDS": needs})


def elements(path: Path) -> list[str]:
    """Return the names of a picture's elements."""
    root = Xml.fromstring(path.read_text(encoding="utf-8"))  # noqa: S314 - we have made it
    return [element.tag.rpartition("}")[2] for element in root.iter()]


def test_a_comparison_is_drawn(tmp_path: Path) -> None:
    """What changed is a picture, for light and for dark pages; the pairs are one too."""
    left = Left(head=Side(aten_ops=120.0, token_s=(1.2, 1.2, 1.2)))
    measured = left.write(tmp_path / "measured")
    count = draw(job(), measured, SUITE_FILE, tmp_path / "pictures")
    names = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert len(names) == 2 * count
    assert {"changes-light.svg", "changes-dark.svg", "pairs-light.svg"} <= names
    for path in (tmp_path / "pictures").iterdir():
        assert elements(path)[0] == "svg"


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        (WELL, "the artifact is absent|cannot be read"),
        (WELL.replace("success", "cancelled"), r"did not succeed \(measure: cancelled\)"),
        ("{}", "names no job"),
    ],
)
def test_where_nothing_can_be_drawn(tmp_path: Path, needs: str, said: str) -> None:
    """The reason is one line, and no folder is made."""
    with pytest.raises(InputError, match=said):
        draw(job(needs), tmp_path / "measured", SUITE_FILE, tmp_path / "pictures")
    assert not (tmp_path / "pictures").exists()


def test_the_command_never_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pictures it says why, in a line without any command of a runner, and in a file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEEDS", '{"##[group]": {"result": "skipped"}}')
    done = CliRunner().invoke(
        app, ["pull", "pictures", "measured", "pictures", "--suite", str(SUITE_FILE)]
    )
    assert done.exit_code == 0
    assert done.output.startswith("no pictures: ")
    assert len(done.output.splitlines()) == 1
    assert "##[" not in done.output
    # The job uploads what is there, in place of what the measuring job may have called so.
    assert (tmp_path / "pictures" / "none.txt").read_text(encoding="utf-8") == done.output


def test_any_value_in_any_place(tmp_path: Path) -> None:
    """Figures of a stranger are drawn or refused, and put nothing but shapes into a picture."""
    whole = Left().content()
    names = ["base.json", "head.json", "pair-01-head.json"]
    chosen = random.Random(5)
    folder = Left().write(tmp_path / "measured")
    drawn, refused = 0, []
    for number in range(ROUNDS):
        name = chosen.choice(names)
        content = json.loads(whole[name])
        container, key = chosen.choice(list(places(content)))
        container[key] = chosen.choice(VALUES)
        (folder / name).write_text(json.dumps(content))
        place = tmp_path / f"pictures-{number}"
        try:
            drawn += bool(draw(job(), folder, SUITE_FILE, place))
        except InputError as error:
            refused.append(str(error))
        (folder / name).write_bytes(whole[name])
        for path in place.glob("*"):
            assert not {"script", "image", "a", "foreignObject", "style"} & {*elements(path)}
    assert drawn
    assert refused
    assert all(len(line.splitlines()) == 1 for line in refused)
