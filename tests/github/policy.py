"""The security checklist of the workflows: each item is a function that names what breaks it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.github.documents import Repository
from tests.github.runner_policy import expressions

SAFE_EVENTS = {"workflow_dispatch", "merge_group", "push", "schedule", "workflow_call"}
"""What may start a job on a machine of ours: none of these can a stranger cause."""

DANGEROUS_EVENTS = {"pull_request_target", "issue_comment", "workflow_run"}
"""They run with the rights of the repository on behalf of whoever caused them."""

WRITABLE = {"statuses", "pull-requests"}
"""What a job may be allowed to write, at most."""

Rule = Callable[[Repository], Iterator[str]]


def events_that_reach_a_runner(repository: Repository) -> Iterator[str]:
    """A job on a machine of ours is started by safe events alone, pushes to named branches."""
    for workflow, job in repository.reaching_us():
        for event in sorted(set(workflow.events) - SAFE_EVENTS):
            yield f"{workflow.path}: {job.name}: {event} reaches a runner"
        push = workflow.events.get("push", {"branches": ["none"]}) or {}
        named = push.get("branches") or ["*"]
        # Beside `branches` each other filter adds what it names, tags of any branch among it.
        if set(push) != {"branches"} or any(re.search(r"[*?+!\[]", each) for each in named):
            yield f"{workflow.path}: {job.name}: a push to any branch reaches a runner"


def no_dangerous_event(repository: Repository) -> Iterator[str]:
    """No workflow runs with the repository's rights on behalf of a stranger."""
    for workflow in repository.workflows():
        for event in sorted(set(workflow.events) & DANGEROUS_EVENTS):
            yield f"{workflow.path}: {event}"


def permissions_begin_empty(repository: Repository) -> Iterator[str]:
    """Each workflow starts without permissions, and each job says which it has."""
    for workflow in repository.workflows():
        if workflow.content.get("permissions") != {}:
            yield f"{workflow.path}: does not begin with permissions: {{}}"
        for job in workflow.jobs:
            if not isinstance(job.content.get("permissions"), dict):
                yield f"{workflow.path}: {job.name}: does not list its permissions"


def permissions_are_few(repository: Repository) -> Iterator[str]:
    """Only statuses and pull requests are written, and never by a job on a machine of ours."""
    for workflow in repository.workflows():
        for job in workflow.jobs:
            granted = job.content.get("permissions")
            if not isinstance(granted, dict):
                continue
            written = {name for name, level in granted.items() if level not in ("read", "none")}
            if written - WRITABLE:
                yield f"{workflow.path}: {job.name}: may write {sorted(written - WRITABLE)}"
            if job.self_hosted and granted != {"contents": "read"}:
                yield f"{workflow.path}: {job.name}: may more than read contents"


def actions_are_pinned(repository: Repository) -> Iterator[str]:
    """Actions and workflows of others are named by commit; GitHub's with the version beside it."""
    for document in repository.documents():
        for name, comment in re.findall(r"\buses: *(\S+)(.*)", document.text):
            if name.startswith("./"):
                continue
            if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", name):
                yield f"{document.path}: {name} is not pinned by commit"
            elif name.startswith("actions/") and not re.fullmatch(r" # v\d+(\.\d+){2}", comment):
                yield f"{document.path}: {name} does not say its version"


def no_expression_in_scripts(repository: Repository) -> Iterator[str]:
    """No expression is put into a script's text, where its value would be code."""
    for document in repository.documents():
        for job, step in document.steps():
            if "${{" in step.get("run", "") or "${{" in str(step.get("shell", "")):
                yield f"{document.path}: {job}: an expression stands in run"


def credentials_are_not_kept(repository: Repository) -> Iterator[str]:
    """No checkout leaves the job's token in the repository's settings."""
    for document in repository.documents():
        for job, step in document.steps():
            given = step.get("with", {})
            if "actions/checkout" in step.get("uses", "") and (
                given.get("persist-credentials") is not False
            ):
                yield f"{document.path}: {job}: a checkout keeps the token"


def jobs_end(repository: Repository) -> Iterator[str]:
    """Each job has a timeout of its own."""
    for workflow in repository.workflows():
        for job in workflow.jobs:
            if not job.calls and "timeout-minutes" not in job.content:
                yield f"{workflow.path}: {job.name}: has no timeout"


def one_measurement_a_card(repository: Repository) -> Iterator[str]:
    """A job on a machine of ours ends no other, and waits for none of another run.

    GitHub cancels all but one that wait in a group. The card's lock lets them follow each other.
    """
    for workflow in repository.workflows():
        for job in workflow.jobs:
            group = job.content.get("concurrency")
            if job.self_hosted and not (
                isinstance(group, dict)
                and "${{" in str(group.get("group"))
                and group.get("cancel-in-progress") is False
            ):
                yield f"{workflow.path}: {job.name}: has no group of its own"


def runs_are_not_cancelled(repository: Repository) -> Iterator[str]:
    """A workflow that reaches a machine of ours is not cancelled by the next one."""
    for workflow, job in repository.reaching_us():
        group = workflow.content.get("concurrency", {})
        if isinstance(group, dict) and group.get("cancel-in-progress"):
            yield f"{workflow.path}: {job.name}: is cancelled by the next run"


def no_secret(repository: Repository) -> Iterator[str]:
    """No secret is named or handed on, by any way of writing it."""
    for document in repository.documents():
        if any(re.search(r"\bsecrets\b", each) for each in expressions(document.content)) or any(
            "secrets" in part
            for part in (*(job.content for job in document.jobs), *document.events.values())
            if isinstance(part, dict)
        ):
            yield f"{document.path}: names a secret"


def no_cache_on_a_runner(repository: Repository) -> Iterator[str]:
    """No job on a machine of ours, and no action, restores a cache that another job has filled."""
    for document in repository.documents():
        ours = {job.name for job in document.jobs if job.self_hosted} | {""}
        for job, step in document.steps():
            cached = "cache" in step.get("uses", "") or any(
                "cache" in name for name in step.get("with", {})
            )
            if job in ours and cached:
                yield f"{document.path}: {job}: uses a cache"


def needs_are_checked(repository: Repository) -> Iterator[str]:
    """A job that always runs hands the results of all that it needs to what it runs."""
    for workflow in repository.workflows():
        for job in workflow.jobs:
            given = [step.get("env", {}).get("NEEDS") for step in job.steps]
            if job.always and "${{ toJSON(needs) }}" not in given:
                yield f"{workflow.path}: {job.name}: does not look at what became of its needs"


def every_end_is_told(repository: Repository) -> Iterator[str]:
    """What waits for a machine of ours runs whatever became of it, and waits for all before it."""
    for workflow in repository.workflows():
        ours = {job.name for job in workflow.jobs if job.self_hosted}
        by_name = {job.name: job for job in workflow.jobs}
        for job in workflow.jobs:
            if not ours & set(job.needs):
                continue
            if not job.always:
                yield f"{workflow.path}: {job.name}: is skipped where what it needs failed"
            before = {each for name in job.needs for each in by_name[name].needs}
            if before - set(job.needs):
                yield f"{workflow.path}: {job.name}: does not know of {sorted(before)}"


def verdicts_come_by_id(repository: Repository) -> Iterator[str]:
    """A job that writes takes no artifact by its name, for the measuring job could have made it."""
    for workflow in repository.workflows():
        for job in workflow.jobs:
            granted = job.content.get("permissions", {})
            writes = isinstance(granted, dict) and "write" in granted.values()
            for step in job.steps:
                if (
                    writes
                    and "download-artifact" in step.get("uses", "")
                    and (
                        set(step.get("with", {})) & {"name", "pattern"}
                        or not step.get("with", {}).get("artifact-ids")
                    )
                ):
                    yield f"{workflow.path}: {job.name}: takes an artifact by its name"


def artifacts_stay_packed(repository: Repository) -> Iterator[str]:
    """What a machine of ours has left is unpacked by what has limits, and by nothing before it."""
    for workflow in repository.workflows():
        for job in workflow.jobs:
            for step in job.steps:
                given = step.get("with", {})
                by_name = "name" in given or "pattern" in given
                if (
                    "download-artifact" in step.get("uses", "")
                    and by_name
                    and (given.get("skip-decompress") is not True)
                ):
                    yield f"{workflow.path}: {job.name}: unpacks an artifact without limits"


def the_environment_is_not_written(repository: Repository) -> Iterator[str]:
    """No script writes what later steps take for their environment."""
    scripts = [
        *((each.path, step.get("run", "")) for each in repository.documents()
          for _, step in each.steps()),
        *(
            (str(path.relative_to(repository.root)), path.read_text(encoding="utf-8"))
            for folder in (".github", "scripts/runner")
            for path in (repository.root / folder).rglob("*")
            if path.is_file() and path.read_bytes().startswith(b"#!")
        ),
    ]  # fmt: skip
    for name, text in scripts:
        for variable in ("GITHUB_ENV", "GITHUB_PATH", "::set-env", "::add-path"):
            if variable in text:
                yield f"{name}: writes {variable}"


def only_fetching_may_fail(repository: Repository) -> Iterator[str]:
    """No step that measures, judges or tells may fail unnoticed."""
    for document in repository.documents():
        for job in document.jobs:
            if job.content.get("continue-on-error"):
                yield f"{document.path}: {job.name}: may fail"
        for name, step in document.steps():
            fetches = re.match(r"actions/(checkout|download-artifact)@", step.get("uses", ""))
            if step.get("continue-on-error") and not fetches:
                yield f"{document.path}: {name}: a step may fail"


def the_reviewed_head_is_measured(repository: Repository) -> Iterator[str]:
    """What is measured is what `resolve` has checked, and nothing that a pull request says."""
    for workflow, job in repository.reaching_us():
        said = json.dumps(workflow.content, default=str)
        for name in ("github.head_ref", "github.event.pull_request", "github.event.issue"):
            if name in said:
                yield f"{workflow.path}: {job.name}: takes {name}"
        for step in job.steps:
            given: Mapping[str, Any] = step.get("with", {})
            ref = str(given.get("ref", ""))
            checkout = "actions/checkout" in step.get("uses", "")
            heads = checkout and given.get("path") == "repository"
            if heads and ref != "${{ needs.resolve.outputs.head }}":
                yield f"{workflow.path}: {job.name}: measures {ref or 'what the event names'}"


def hosted_labels_do_not_move(repository: Repository) -> Iterator[str]:
    """A machine of GitHub's is named by its version: `-latest` is another one next year."""
    for workflow in repository.workflows():
        for job in workflow.jobs:
            if str(job.content.get("runs-on", "")).endswith("-latest"):
                yield f"{workflow.path}: {job.name}: runs on {job.content['runs-on']}"


def counts_take_the_baselines_python(repository: Repository) -> Iterator[str]:
    """A job that holds counts against a shared baseline has the Python that made it.

    Patch releases of Python differ in how often their standard library calls itself.
    """
    (baseline,) = repository.root.glob("baselines/cpu-x86-64-avx2/default.json")
    held = 0
    wanted = json.loads(baseline.read_text(encoding="utf-8"))["machine_info"]["python_version"]
    for workflow in repository.workflows():
        for job in workflow.jobs:
            if any("--baseline" in str(step.get("run", "")) for step in job.steps):
                held += 1
                has = [
                    step.get("with", {}).get("python-version")
                    for step in job.steps
                    if "setup-python" in str(step.get("uses", ""))
                ]
                if has != [wanted]:
                    yield f"{workflow.path}: {job.name}: Python {has}, and not {wanted}"
    if not held:
        yield "no job holds counts against the committed baseline"


RULES: tuple[Rule, ...] = (
    events_that_reach_a_runner,
    no_dangerous_event,
    permissions_begin_empty,
    permissions_are_few,
    actions_are_pinned,
    no_expression_in_scripts,
    credentials_are_not_kept,
    jobs_end,
    one_measurement_a_card,
    runs_are_not_cancelled,
    no_secret,
    no_cache_on_a_runner,
    needs_are_checked,
    every_end_is_told,
    verdicts_come_by_id,
    artifacts_stay_packed,
    the_environment_is_not_written,
    only_fetching_may_fail,
    the_reviewed_head_is_measured,
    hosted_labels_do_not_move,
    counts_take_the_baselines_python,
)
