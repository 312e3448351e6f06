"""What can go wrong between the measuring job and the status: none but the clean pass succeeds.

The measuring job is played, and leaves what a real one has left, but for one change. The steps of
the other jobs are executed.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.github.gates import PULL, Gate
from tests.github.interpreter import Machine
from tests.pulls.server import Hub, served


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a clean pass: the commits, and the artifact that its measuring job has left."""
    folder = tmp_path_factory.mktemp("measured")
    with served(Hub()) as hub:
        made = Gate(folder, hub)
        made.propose({}, {})
        assert made.run() == "success", made.machine and made.machine.log
        (folder / "commits.json").write_text(json.dumps([made.base, made.head]))
    return folder


@pytest.fixture
def replayed(gate: Gate, measured: Path) -> Gate:
    """The same pull request, resolved; its measuring job is played, with the same artifact."""
    gate.base, gate.head = json.loads((measured / "commits.json").read_text())
    shutil.copytree(measured / "project", gate.folder / "project")
    gate.hub.open_pull(PULL, gate.head, gate.base, gate.base)
    machine = gate.prepare()
    machine.played |= {"resolve": "success", "measure": "success"}
    machine.outputs["resolve"] = {"pull": str(PULL), "head": gate.head, "base": gate.base}
    machine.after["resolve"] = lambda it: _leave(it, _files(measured))
    return gate


def _files(measured: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(measured / "machine" / "measured.zip") as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def _leave(machine: Machine, files: Mapping[str, bytes], name: str = "measured") -> None:
    """Leave files as an artifact."""
    machine.folder.mkdir(exist_ok=True)
    path = machine.folder / f"left-{name}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for each, data in files.items():
            packed.writestr(each, data)
    machine.artifacts[name] = path


class Situation(NamedTuple):
    """What happens to a pull request that would pass, and what its reviewed head is told."""

    name: str
    happens: Callable[[Gate, dict[str, bytes]], None]
    """Changes what the measuring job leaves, or what there is."""
    state: str | None
    said: str
    """In the description."""


def _nothing(_gate: Gate, _files: dict[str, bytes]) -> None:
    pass


def _moved(gate: Gate, _files: dict[str, bytes]) -> None:
    gate.hub.move(PULL, "e" * 40)


def _missing(_gate: Gate, files: dict[str, bytes]) -> None:
    files.clear()


def _too_large(_gate: Gate, files: dict[str, bytes]) -> None:
    files["more.json"] = bytes(70 * 2**20)


def _leads_out(_gate: Gate, files: dict[str, bytes]) -> None:
    files["../suite/verdict.json"] = b"{}"


def _other_schema(_gate: Gate, files: dict[str, bytes]) -> None:
    run = json.loads(files["head.json"])
    run["whisperbench"]["schema"] = 99
    files["head.json"] = json.dumps(run).encode()


def _not_a_number(_gate: Gate, files: dict[str, bytes]) -> None:
    files["head.json"] = files["head.json"].replace(b'"value": 100.0', b'"value": NaN')
    files["head.json"] = files["head.json"].replace(b'"value":100.0', b'"value":NaN')
    assert b"NaN" in files["head.json"]


def _other_commits(_gate: Gate, files: dict[str, bytes]) -> None:
    said = json.loads(files["comparison.json"])
    said["head"] = "d" * 40
    files["comparison.json"] = json.dumps(said).encode()


def _forged(gate: Gate, _files: dict[str, bytes]) -> None:
    """The measuring job leaves a verdict of its own, so that the judge's cannot be uploaded."""
    assert gate.machine is not None
    verdict = {"schema": 1, "state": "success", "exit_code": 0, "description": "", "markdown": ""}
    _leave(gate.machine, {"verdict.json": json.dumps(verdict).encode()}, "verdict")


def _played(result: str) -> Callable[[Gate, dict[str, bytes]], None]:
    def happens(gate: Gate, _files: dict[str, bytes]) -> None:
        assert gate.machine is not None
        gate.machine.played["measure"] = result

    return happens


SITUATIONS = (
    Situation("clean", _nothing, "success", ""),
    Situation("head moved during the run", _moved, "error", "moved to eeeeeeeeee"),
    Situation("artifact missing", _missing, "error", "artifact"),
    Situation("artifact too large", _too_large, "error", "too large"),
    Situation("artifact leads out", _leads_out, "error", "artifact"),
    Situation("wrong schema", _other_schema, "error", "schema"),
    Situation("not a number", _not_a_number, "error", "head.json"),
    Situation("other commits", _other_commits, "error", "not "),
    Situation("a verdict of the measuring job", _forged, "error", "no verdict was left"),
    Situation("measuring cancelled", _played("cancelled"), "error", "measure: cancelled"),
    Situation("measuring skipped", _played("skipped"), "error", "measure: skipped"),
    Situation("measuring failed", _played("failure"), "error", "measure: failure"),
)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda each: each.name)
def test_situations(situation: Situation, replayed: Gate, measured: Path) -> None:
    """None but the clean one succeeds, and each says why on the reviewed head."""
    machine = replayed.machine
    assert machine is not None

    def left(machine: Machine) -> None:
        files = _files(measured)
        situation.happens(replayed, files)
        if files:
            _leave(machine, files)

    machine.after["resolve"] = left
    assert replayed.run() == situation.state, machine.log
    assert situation.said in replayed.description()
    assert replayed.hub.state_of("e" * 40) is None
    assert (machine.results["publish"] == "success") == (situation.state == "success")


def test_a_fork(replayed: Gate) -> None:
    """A head of a fork is not measured, unless it is said that it was read; its status says so."""
    replayed.hub.open_pull(PULL, replayed.head, replayed.base, replayed.base, source="else/project")
    machine = replayed.machine
    assert machine is not None
    machine.played.clear()
    machine.outputs.clear()
    assert replayed.run() == "error"
    assert "fork" in replayed.description()
    assert machine.results["resolve"] == "failure"
    assert machine.results["measure"] == "skipped"


def test_a_fork_that_was_read(replayed: Gate) -> None:
    """With `forks: reviewed` its head is measured like any other."""
    replayed.hub.open_pull(PULL, replayed.head, replayed.base, replayed.base, source="else/project")
    assert replayed.machine is not None
    del replayed.machine.played["resolve"]
    replayed.machine.context["inputs"]["forks"] = "reviewed"
    assert replayed.run() == "success", replayed.machine.log


def test_a_base_without_the_suite(gate: Gate, measured: Path) -> None:
    """Where the base lacks the suite.toml that is to judge, there is no verdict but an error."""
    gate.propose({}, {}, None)
    machine = gate.prepare()
    machine.played["measure"] = "success"
    files = _files(measured)
    said = json.loads(files["comparison.json"]) | {"base": gate.base, "head": gate.head}
    files["comparison.json"] = json.dumps(said).encode()
    machine.after["resolve"] = lambda it: _leave(it, files)
    assert gate.run() == "error", machine.log
    assert "the base has no suite.toml" in gate.description()


def test_pictures_are_drawn_beside_the_judge(replayed: Gate) -> None:
    """A job of their own draws them; comment and summary say in which artifact they are."""
    machine = replayed.machine
    assert machine is not None
    del machine.played["pictures"]
    _leave(machine, {"evil.svg": b"<script/>"}, "pictures")
    assert replayed.run() == "success", machine.log
    assert machine.results["pictures"] == "success", machine.log
    with zipfile.ZipFile(machine.artifacts["pictures"]) as packed:
        names = packed.namelist()
    assert names
    assert all(name.endswith(("-light.svg", "-dark.svg")) for name in names)
    for text in (machine.summary, replayed.hub.comments[-1]["body"]):
        assert "Pictures of it are in the artifact `pictures` of [the run](" in text
