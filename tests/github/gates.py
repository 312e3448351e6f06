"""A made-up repository with a pull request, and a machine that runs the gate's workflow for it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.github.documents import Document, Repository
from tests.github.interpreter import Machine, clean_variables
from tests.github.machines import OWNER, PROJECT, checkout, programs, project, suite
from tests.pulls.server import Hub
from whisperbench.asked.checkout import ROOT, SUITE_FILE

GATE = ".github/workflows/whisperbench-gate.yml"
PULL = 7
FAST = "--fast"
PAIRS = "--pairs 3"
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
    payload: dict[str, Any] = field(default_factory=dict)
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
        payload = self.folder / "event.json"
        payload.write_text(json.dumps(self.payload))
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
                "GITHUB_EVENT_PATH": str(payload),
                "GITHUB_SHA": self.head,
                "WHISPERBENCH_LOCKS": str(locks),
                "CUDA_VISIBLE_DEVICES": "",
                "OMP_NUM_THREADS": "1",
            },
        )
        # No verdict depends on them, and they take seconds: a test of their own draws them.
        self.machine.played["pictures"] = "success"
        return self.machine

    def run(self) -> str | None:
        """Run the workflow; return the state of the reviewed head."""
        machine = self.machine or self.prepare()
        machine.run(workflow(GATE))
        return self.hub.state_of(self.head)

    def description(self) -> str:
        """Return what the last status says."""
        return self.hub.statuses[-1].description
