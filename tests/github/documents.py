"""Workflows and actions of a checkout, parsed: what the policy and the interpreter read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

HOSTED = ("ubuntu-24.04", "ubuntu-24.04-arm")
"""Labels of GitHub's own machines. Whatever else stands in `runs-on` may be a machine of ours."""


@lru_cache
def _parsed(text: str) -> Any:
    return yaml.load(text, Loader=yaml.CSafeLoader)


@dataclass(frozen=True)
class Job:
    """A job of a workflow."""

    name: str
    content: Mapping[str, Any]

    @property
    def steps(self) -> list[Mapping[str, Any]]:
        """Its steps; none where it calls a workflow."""
        return list(self.content.get("steps", ()))

    @property
    def calls(self) -> str:
        """The workflow that it calls; empty where it has steps of its own."""
        return str(self.content.get("uses", ""))

    @property
    def self_hosted(self) -> bool:
        """Whether it may reach a machine of ours."""
        return not self.calls and self.content.get("runs-on") not in HOSTED

    @property
    def needs(self) -> list[str]:
        """The jobs that it waits for."""
        needed = self.content.get("needs", [])
        return [needed] if isinstance(needed, str) else list(needed)

    @property
    def always(self) -> bool:
        """Whether it runs whatever became of the jobs that it needs."""
        return "always()" in str(self.content.get("if", ""))


@dataclass(frozen=True)
class Document:
    """A workflow, or an action."""

    path: str
    """From the top of the checkout."""
    text: str
    content: Mapping[str, Any]

    @property
    def is_workflow(self) -> bool:
        """Whether it has jobs; an action has steps."""
        return "jobs" in self.content

    @property
    def jobs(self) -> list[Job]:
        """The jobs of a workflow."""
        return [Job(name, job) for name, job in self.content.get("jobs", {}).items()]

    @property
    def events(self) -> Mapping[str, Any]:
        """What starts a workflow, with its filters."""
        # YAML 1.1, which PyYAML reads, takes the word for a truth value.
        found = self.content.get("on", self.content.get(True, {}))  # type: ignore[call-overload]
        if isinstance(found, str):
            found = [found]
        return found if isinstance(found, dict) else dict.fromkeys(found)

    def steps(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield all steps, each with the name of its job; that of an action's is empty."""
        for job in self.jobs:
            for step in job.steps:
                yield job.name, step
        for step in self.content.get("runs", {}).get("steps", ()):
            yield "", step


@dataclass(frozen=True)
class Repository:
    """A checkout, or a copy of the part of one that the policy is about."""

    root: Path

    def documents(self) -> list[Document]:
        """Its workflows and actions, and the workflows among the documentation's examples."""
        paths = [
            *self.root.glob(".github/workflows/*.y*ml"),
            *self.root.glob(".github/actions/*/action.y*ml"),
            *self.root.glob("docs/examples/*.y*ml"),
        ]
        found = []
        for path in sorted(paths):
            text = path.read_text(encoding="utf-8")
            if path.parent.name == "examples" and "\njobs:" not in text:
                continue  # of another program
            name = str(path.relative_to(self.root))
            found.append(Document(name, text, _parsed(text)))
        return found

    def workflows(self) -> list[Document]:
        """Those that have jobs."""
        return [each for each in self.documents() if each.is_workflow]

    def reaching_us(self) -> list[tuple[Document, Job]]:
        """The jobs that may reach a machine of ours, with the workflows whose events start them.

        A job that calls a workflow reaches what the called one's jobs do. A workflow of another
        repository is taken to reach a machine of ours.
        """
        found = []
        by_path = {f"./{each.path}": each for each in self.workflows()}
        for workflow in self.workflows():
            for job in workflow.jobs:
                called = by_path.get(job.calls)
                reaches = any(each.self_hosted for each in called.jobs) if called else job.calls
                if job.self_hosted or reaches:
                    found.append((workflow, job))
        return found

    def python(self) -> list[Path]:
        """The files of Python that run where something is measured or judged."""
        folders = ("benchmarks", "fixtures", "training", "whisperbench")
        return sorted(path for name in folders for path in (self.root / name).rglob("*.py"))
