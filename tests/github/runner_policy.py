"""The part of the security checklist that is about what happens on a machine of ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.github.documents import Document, Repository
from tests.github.expressions import ExpressionError, expanded, holds

VALUES = (
    r"inputs\.\w+",
    r"matrix\.\w+",
    r"needs\.resolve\.outputs\.\w+",
    r"job\.workflow_(repository|sha)",
    r"runner\.temp",
    r"github\.run_id",
)
"""What a job on a machine of ours, or an action, may ask for: none of it holds a token."""

HANDED_ON = (
    r"inputs\.\w+",
    r"vars\.\w+",
    r"github\.(event_name|sha)",
    r"github\.event\.merge_group\.base_sha",
)
"""What a job may hand to a workflow that reaches a machine of ours."""

FUNCTIONS = {"always", "fromJSON"}
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
LOCK = "with-card.sh"
_MEASURES = re.compile(r"(?<![\w-])pytest\s|whisperbench[\"']?\s+(ab|bisect|run|record)\b")


def values_on_a_runner_are_harmless(repository: Repository) -> Iterator[str]:
    """A job on a machine of ours, an action, and what calls either ask for listed values alone.

    A list of what is forbidden would miss `toJSON(github)` and `github['token']`.
    """
    for document in repository.documents():
        if not document.is_workflow:
            yield from _unlisted(document.path, document.content, VALUES)
        ours = [job for job in document.jobs if job.self_hosted]
        around = {name: each for name, each in document.content.items() if name != "jobs"}
        for job in ours:
            yield from _unlisted(f"{document.path}: {job.name}", job.content, VALUES)
            yield from _unlisted(f"{document.path}: {job.name}", around.get("env"), VALUES)
    for workflow, job in repository.reaching_us():
        if job.calls:
            yield from _unlisted(f"{workflow.path}: {job.name}", job.content, HANDED_ON)


def schedules_ask_whether_a_runner_is_there(repository: Repository) -> Iterator[str]:
    """Without a runner's labels in a variable, nothing but a dispatch queues a job for one."""
    for workflow, job in repository.reaching_us():
        for event in sorted(set(workflow.events) - {"workflow_dispatch", "workflow_call"}):
            context = {"github": {"event_name": event}, "inputs": {}, "vars": {}}
            try:
                queued = holds(str(job.content.get("if", "always()")), context)
            except ExpressionError as error:
                yield f"{workflow.path}: {job.name}: cannot be decided: {error}"
                continue
            if queued:
                yield f"{workflow.path}: {job.name}: a {event} queues it where there is no runner"


def measured_under_the_lock(repository: Repository) -> Iterator[str]:
    """What measures on a machine of ours holds the lock of its card."""
    for name, text in _scripts(repository):
        for line in _commands(text):
            if _MEASURES.search(line) and LOCK not in line.partition("pytest")[0]:
                yield f"{name}: measures without {LOCK}: {line.strip()[:60]}"


def measured_offline(repository: Repository) -> Iterator[str]:
    """What measures on a machine of ours is told to fetch no model."""
    for name, text in _scripts(repository):
        if any(_MEASURES.search(line) for line in _commands(text)):
            exported = " ".join(line for line in _commands(text) if line.startswith("export "))
            for variable in OFFLINE:
                if f" {variable}=1" not in exported:
                    yield f"{name}: measures without {variable}"


def what_is_measured_was_named_whole(repository: Repository) -> Iterator[str]:
    """A commit that somebody types in is checked to be one before a checkout takes it."""
    for workflow in repository.workflows():
        for job in workflow.jobs:
            if not job.self_hosted:
                continue
            for step in job.steps:
                typed = "inputs." in str(step.get("with", {}).get("ref", "")).replace(
                    "inputs.suite", ""
                )
                if typed and "actions/checkout" in step.get("uses", ""):
                    yield f"{workflow.path}: {job.name}: takes any ref, and not a checked commit"


def each_commit_has_a_run_of_its_own(repository: Repository) -> Iterator[str]:
    """Of two pushes, or two merge groups, neither run waits for the other or ends it.

    Each is held against the commit before it, so that a regression whose run is cancelled is never
    counted.
    """
    for workflow in repository.workflows():
        group = workflow.content.get("concurrency", {})
        text = str(group.get("group", "") if isinstance(group, dict) else group)
        for event in sorted(set(workflow.events) & {"push", "merge_group"}):
            of_main = {"event_name": event, "ref": "refs/heads/main", "repository": "o/p"}
            two = [of_main | {"run_id": each, "sha": each} for each in ("1", "2")]
            found = {expanded(text, {"github": each, "inputs": {}}) for each in two}
            if text and len(found) == 1:
                yield f"{workflow.path}: a {event} waits for the one before it, or ends it"


RULES = (
    each_commit_has_a_run_of_its_own,
    values_on_a_runner_are_harmless,
    schedules_ask_whether_a_runner_is_there,
    measured_under_the_lock,
    measured_offline,
    what_is_measured_was_named_whole,
)


def expressions(content: Any) -> Iterator[str]:
    """Yield all expressions of a part of a document; what stands behind `if` is one as a whole."""
    if isinstance(content, dict):
        for name, each in content.items():
            if name == "if" and "${{" not in str(each):
                yield str(each)
            else:
                yield from expressions(each)
    elif isinstance(content, list):
        for each in content:
            yield from expressions(each)
    elif isinstance(content, str):
        yield from re.findall(r"\$\{\{(.*?)\}\}", content, re.DOTALL)


def _unlisted(place: str, content: Any, allowed: tuple[str, ...]) -> Iterator[str]:
    for expression in expressions(content):
        bare = re.sub(r"'(?:[^']|'')*'", "''", expression)
        if re.search(r"[\[\]*]", bare):
            yield f"{place}: an expression reaches in by an index: {expression.strip()}"
        for name, call in re.findall(r"([A-Za-z_][\w.-]*)\s*(\(?)", bare):
            listed = (
                name in FUNCTIONS if call else any(re.fullmatch(each, name) for each in allowed)
            )
            if not listed:
                yield f"{place}: asks for {name}"


def _scripts(repository: Repository) -> Iterator[tuple[str, str]]:
    """Yield what runs on a machine of ours: steps, and the scripts that they name."""
    for document in repository.documents():
        ours = {job.name for job in document.jobs if job.self_hosted} | {""}
        for text in (
            step["run"] for job, step in document.steps() if job in ours and "run" in step
        ):
            yield document.path, text
            for path in _named(repository, document, text):
                yield str(path.relative_to(repository.root)), path.read_text(encoding="utf-8")


def _named(repository: Repository, document: Document, text: str) -> Iterator[Path]:
    here = (repository.root / document.path).parent
    for name in re.findall(r"[\w./-]+\.sh\b", text.replace("$GITHUB_ACTION_PATH/", "./")):
        for path in (here / name, repository.root / name.removeprefix("suite/")):
            if path.is_file():
                yield path.resolve()
                break


def _commands(text: str) -> list[str]:
    """Return the lines of a script, those that go on put together, and none that is a comment."""
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [line.strip() for line in lines if not line.strip().startswith("#")]
