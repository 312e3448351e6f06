"""Runs a workflow's jobs here: `run` steps are executed, actions are replaced by their effect.

What is known of the language is what this repository's workflows use of it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.github.documents import Document, Job
from tests.github.expressions import expanded, holds

Checkout = Callable[[str, str, Path], None]
"""Puts a commit of a repository into a folder: owner/name, the hash, which may be empty, where."""


@dataclass
class Machine:
    """What the jobs of a workflow find, and what they have left."""

    folder: Path
    checkout: Checkout
    context: dict[str, Any]
    """github, inputs and vars, and `job.workflow_repository` and `job.workflow_sha`."""
    variables: Mapping[str, str]
    """Of the environment of every step."""
    artifacts: dict[str, Path] = field(default_factory=dict)
    """Zip files, by name; their ids are their names with `id-` before it."""
    played: dict[str, str] = field(default_factory=dict)
    """Jobs that are not executed, and their results."""
    after: dict[str, Callable[[Machine], None]] = field(default_factory=dict)
    """What happens between a job and the next one."""
    timeout_s: float = 120
    """Of a step."""
    results: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    log: str = ""
    """What all steps have written."""
    summary: str = ""

    def run(self, workflow: Document) -> None:
        """Run all jobs, in the order in which they need each other."""
        waiting = workflow.jobs
        while waiting:
            job = next(each for each in waiting if not {*each.needs} - {*self.results})
            waiting.remove(job)
            self.results[job.name] = self.played.get(job.name) or self._job(job)
            if then := self.after.get(job.name):
                then(self)

    def _job(self, job: Job) -> str:
        needs = {
            name: {"result": self.results[name], "outputs": self.outputs.get(name, {})}
            for name in job.needs
        }
        well = all(each["result"] == "success" for each in needs.values())
        running = _Running(self, job, self.context | {"needs": needs, "success": well})
        if not holds(job.content.get("if", "success()"), running.context):
            return "skipped"
        return running.run()


@dataclass
class _Running:
    """A job under way."""

    machine: Machine
    job: Job
    context: dict[str, Any]

    def run(self) -> str:
        """Run its steps; return its result."""
        self.home = self.machine.folder / self.job.name
        self.workspace, self.temp = self.home / "workspace", self.home / "temp"
        for folder in (self.workspace, self.temp):
            folder.mkdir(parents=True, exist_ok=True)
        steps: dict[str, Any] = {}
        context = self.context | {
            "steps": steps,
            "success": True,
            "runner": {"temp": str(self.temp)},
        }
        for step in self.job.steps:
            self._step(step, context, steps)
        said = self.job.content.get("outputs", {})
        self.machine.outputs[self.job.name] = {
            name: text for name, each in said.items() if (text := expanded(each, context))
        }
        return "success" if context["success"] else "failure"

    def _step(
        self, step: Mapping[str, Any], context: dict[str, Any], steps: dict[str, Any]
    ) -> None:
        if not holds(str(step.get("if", "success()")), context):
            return
        outputs: dict[str, str] = {}
        if "run" in step:
            well = self._script(step, context, outputs)
        else:
            given = {
                name: expanded(value, context) if isinstance(value, str) else value
                for name, value in step.get("with", {}).items()
            }
            well = self._action(step["uses"], given, outputs)
        if "id" in step:
            steps[step["id"]] = {"outputs": outputs}
        if not well and not step.get("continue-on-error"):
            context["success"] = False

    def _script(
        self, step: Mapping[str, Any], context: Mapping[str, Any], outputs: dict[str, str]
    ) -> bool:
        """Run a script as the runner does, by `bash -e`, with variables that no step inherits."""
        told = {name: self.home / name for name in ("output", "summary", "env", "path")}
        for path in told.values():
            path.write_text("")
        variables = {
            **self.machine.variables,
            **{f"GITHUB_{name.upper()}": str(path) for name, path in told.items()},
            "GITHUB_STEP_SUMMARY": str(told["summary"]),
            "GITHUB_WORKSPACE": str(self.workspace),
            "RUNNER_TEMP": str(self.temp),
            "HOME": str(self.home),
            **context.get("variables", {}),
            **{name: expanded(str(text), context) for name, text in step.get("env", {}).items()},
        }
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", step["run"]],
            cwd=self.workspace,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=self.machine.timeout_s,
            check=False,
        )
        self.machine.log += f"[{self.job.name}] {step['run'].strip()}\n{done.stdout}"
        assert "Traceback" not in done.stdout, self.machine.log
        assert not told["env"].read_text()
        assert not told["path"].read_text()
        self.machine.summary += told["summary"].read_text()
        for line in told["output"].read_text().splitlines():
            name, _, value = line.partition("=")
            outputs[name] = value
        return done.returncode == 0

    def _action(self, name: str, given: Mapping[str, Any], outputs: dict[str, str]) -> bool:
        """Do what an action does; a composite one of a checkout is run step by step."""
        if name.startswith("./"):
            return self._composite(self.workspace / name, given)
        kind = name.partition("@")[0]
        if kind == "actions/setup-python":
            return True
        place = self.workspace / given.get("path", ".")
        if kind == "actions/checkout":
            repository = given.get("repository") or self.context["github"]["repository"]
            try:
                self.machine.checkout(repository, given.get("ref", ""), place)
            except subprocess.CalledProcessError as error:
                self.machine.log += f"[{self.job.name}] checkout of {given}: {error.stderr}\n"
                return False
            return True
        if kind == "actions/upload-artifact":
            return self._upload(given, place, outputs)
        assert kind == "actions/download-artifact", kind
        return self._download(given, place)

    def _composite(self, folder: Path, given: Mapping[str, Any]) -> bool:
        action = yaml.safe_load((folder / "action.yml").read_text(encoding="utf-8"))
        inputs = {name: each.get("default", "") for name, each in action["inputs"].items()}
        context = {
            "inputs": {**inputs, **given},
            "success": True,
            "runner": {"temp": str(self.temp)},
            "variables": {"GITHUB_ACTION_PATH": str(folder)},
        }
        for step in action["runs"]["steps"]:
            self._step(step, context, {})
        return bool(context["success"])

    def _upload(self, given: Mapping[str, Any], place: Path, outputs: dict[str, str]) -> bool:
        """Keep a file or a folder; a name that is taken stays the first one's."""
        name = given["name"]
        files = [place] if place.is_file() else sorted(filter(Path.is_file, place.rglob("*")))
        if not files and given.get("if-no-files-found") == "ignore":
            return True
        if not files or (name in self.machine.artifacts and not given.get("overwrite")):
            self.machine.log += f"[{self.job.name}] artifact {name}: not uploaded\n"
            return False
        path = self.machine.folder / f"{name}.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for file in files:
                packed.write(file, file.relative_to(place if place.is_dir() else place.parent))
        self.machine.artifacts[name] = path
        outputs["artifact-id"] = f"id-{name}"
        return True

    def _download(self, given: Mapping[str, Any], place: Path) -> bool:
        name = given.get("name") or str(given["artifact-ids"]).removeprefix("id-")
        if name not in self.machine.artifacts:
            self.machine.log += f"[{self.job.name}] artifact {name}: is not there\n"
            return False
        place.mkdir(parents=True, exist_ok=True)
        packed = self.machine.artifacts[name]
        if given.get("skip-decompress"):
            shutil.copy(packed, place)
        else:
            with zipfile.ZipFile(packed) as opened:
                opened.extractall(place)
        return True


def clean_variables() -> dict[str, str]:
    """Return the variables of this process that steps need, and none that says anything else."""
    return {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ}
