"""The gate's workflow from the event to the status, with every step of it executed here.

`whisperbench ab` and `pull resolve`, `judge` and `publish` are the real ones, in processes of their
own. GitHub is a server on loopback, and both sides' measurements are played.
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.ab.stand_in import CRASH
from tests.github.documents import Document, Repository
from tests.github.interpreter import Machine, clean_variables
from tests.github.machines import OWNER, PROJECT, checkout, programs, project, suite
from tests.pulls.server import Hub, served
from whisperbench.asked.checkout import ROOT, SUITE_FILE

GATE = ".github/workflows/whisperbench-gate.yml"
PULL = 7
FAST = "--fast"
PAIRS = "--pairs 3"
WALL_REQUIRED = 'require = ["exact", "device_time", "memory", "quality", "wall"]\nreport = []\n'
THRESHOLDS = SUITE_FILE.read_text(encoding="utf-8")


def workflow(path: str) -> Document:
    """Return a workflow of the repository."""
    return next(each for each in Repository(ROOT).documents() if each.path == path)


@dataclass
class Gate:
    """A made-up repository with a pull request, and a machine that runs the workflow."""

    folder: Path
    hub: Hub
    base: str = ""
    head: str = ""
    options: str = FAST
    inputs: dict[str, Any] = field(default_factory=dict)
    event: str = "workflow_dispatch"
    machine: Machine | None = None

    def propose(
        self, base: Mapping[str, Any], head: Mapping[str, Any], thresholds: str | None = THRESHOLDS
    ) -> None:
        """Make both commits, and open a pull request of the head."""
        repository = self.folder / "project"
        self.base, self.head = project(repository, dict(base), dict(head), thresholds=thresholds)
        self.hub.open_pull(PULL, self.head, self.base, self.base)

    def prepare(self) -> Machine:
        """Make the machine: what it is given is what whisperbench-gate.yml is called with."""
        document = workflow(GATE)
        declared = document.events["workflow_call"]["inputs"]
        given = {
            "pull": str(PULL),
            "head": self.head,
            "options": self.options,
            "device": "cpu",
            "arguments": "--model dummy:tiny",
            "thresholds": "bench/suite.toml",
        }
        inputs = {name: each["default"] for name, each in declared.items()} | given | self.inputs
        repositories = {OWNER: suite(self.folder / "suite"), PROJECT: self.folder / "project"}
        locks = self.folder / "locks"
        locks.mkdir()
        own = programs(self.folder / "programs")
        self.machine = Machine(
            folder=self.folder / "machine",
            checkout=lambda *where: checkout(repositories, *where),
            context={
                "github": {"repository": PROJECT, "token": self.hub.variables()["GITHUB_TOKEN"]},
                "inputs": inputs,
                "job": {"workflow_repository": OWNER, "workflow_sha": "f" * 40},
            },
            variables=clean_variables()
            | {name: text for name, text in self.hub.variables().items() if "TOKEN" not in name}
            | {
                "PATH": f"{own}{os.pathsep}{os.environ['PATH']}",
                "GITHUB_EVENT_NAME": self.event,
                "WHISPERBENCH_LOCKS": str(locks),
                "CUDA_VISIBLE_DEVICES": "",
                "OMP_NUM_THREADS": "1",
            },
        )
        return self.machine

    def run(self) -> str | None:
        """Run the workflow; return the state of the reviewed head."""
        machine = self.machine or self.prepare()
        machine.run(workflow(GATE))
        return self.hub.state_of(self.head)

    def description(self) -> str:
        """Return what the last status says."""
        return self.hub.statuses[-1].description


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """A repository without commits, and a server that knows it."""
    with served(Hub()) as hub:
        yield Gate(tmp_path, hub)


def test_a_clean_pass(gate: Gate) -> None:
    """Unchanged figures: every job succeeds, and so does the status; there is one comment."""
    gate.propose({}, {})
    gate.options = PAIRS
    assert gate.run() == "success", gate.machine.log if gate.machine else ""
    assert gate.machine is not None
    assert set(gate.machine.results.values()) == {"success"}
    assert [each.state for each in gate.hub.statuses] == ["pending", "success"]
    assert len(gate.hub.comments) == 1
    assert gate.machine.summary
    with zipfile.ZipFile(gate.machine.artifacts["measured"]) as packed:
        assert {"base.json", "comparison.json", "pair-03-head.json"} <= set(packed.namelist())


def test_a_regression(gate: Gate) -> None:
    """One more op a pass is a failure, which the description and the comment name."""
    gate.propose({}, {"ops": 101})
    assert gate.run() == "failure", gate.machine and gate.machine.log
    assert "2 of 3 figures regressed: encoder_aten_ops +1.00 %" in gate.description()
    assert "100 to 101" in gate.hub.comments[0]["body"]
    assert gate.machine is not None
    assert gate.machine.results["measure"] == "success"
    assert "::error" in gate.machine.log


def test_what_is_not_decided(gate: Gate) -> None:
    """Wall time that the base requires and that wobbles is no pass."""
    required = THRESHOLDS.replace(
        'require = ["exact", "device_time", "memory", "quality"]\nreport = ["wall"]\n',
        WALL_REQUIRED,
    )
    assert required != THRESHOLDS
    gate.propose({}, {"wobble": 0.3}, required)
    gate.options = PAIRS
    assert gate.run() == "failure", gate.machine and gate.machine.log
    assert gate.machine is not None
    assert gate.machine.results["judge"] == "failure"
    assert "inconclusive" in gate.hub.comments[0]["body"]


def test_a_runner_that_lost_its_card(gate: Gate) -> None:
    """A side that cannot start leaves nothing to judge: the measuring job fails, and it is told."""
    gate.propose({}, {"at": {"counts": CRASH}})
    assert gate.run() == "error", gate.machine and gate.machine.log
    assert gate.machine is not None
    assert gate.machine.results["measure"] == "failure"
    assert "measure: failure" in gate.description()


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
    """The same pull request; its measuring job is played, and leaves the same artifact."""
    gate.base, gate.head = json.loads((measured / "commits.json").read_text())
    shutil.copytree(measured / "project", gate.folder / "project")
    gate.hub.open_pull(PULL, gate.head, gate.base, gate.base)
    machine = gate.prepare()
    machine.played["measure"] = "success"
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
    del machine.played["measure"]
    assert replayed.run() == "error"
    assert "fork" in replayed.description()
    assert machine.results["resolve"] == "failure"
    assert machine.results["measure"] == "skipped"


def test_a_fork_that_was_read(replayed: Gate) -> None:
    """With `forks: reviewed` its head is measured like any other."""
    replayed.hub.open_pull(PULL, replayed.head, replayed.base, replayed.base, source="else/project")
    assert replayed.machine is not None
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


def test_the_example_of_the_documentation() -> None:
    """What docs/github.md shows calls the workflow with inputs and permissions that it has."""
    (job,) = workflow("docs/examples/whisper-gate.yml").jobs
    assert job.calls.partition("@")[0] == f"{OWNER}/{GATE}"
    declared = workflow(GATE).events["workflow_call"]["inputs"]
    assert set(job.content["with"]) <= set(declared)
    granted = [each.content["permissions"] for each in workflow(GATE).jobs]
    for name, level in (pair for each in granted for pair in each.items()):
        assert job.content["permissions"][name] in (level, "write")


def test_the_repositorys_own_gate_calls_it() -> None:
    """gpu.yml hands on nothing that whisperbench-gate.yml does not take."""
    (job,) = workflow(".github/workflows/gpu.yml").jobs
    assert job.calls == f"./{GATE}"
    assert set(job.content["with"]) <= set(workflow(GATE).events["workflow_call"]["inputs"])
