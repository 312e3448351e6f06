"""The gate's workflow from the event to the status, with every step of it executed here.

`whisperbench ab` and `pull resolve`, `judge` and `publish` are the real ones, in processes of their
own. GitHub is a server on loopback, and both sides' measurements are played.
"""

from __future__ import annotations

import zipfile

import pytest

from tests.ab.stand_in import CRASH
from tests.github.gates import GATE, PAIRS, THRESHOLDS, Gate, workflow
from tests.github.machines import OWNER
from tests.pulls.server import Status
from whisperbench.asked.checkout import ROOT

WALL_REQUIRED = 'require = ["exact", "device_time", "memory", "quality", "wall"]\nreport = []\n'


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
    assert gate.base[:10] in gate.hub.comments[0]["body"]
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


@pytest.mark.parametrize("event", ["merge_group", "push"])
def test_events_without_a_pull_request(event: str, gate: Gate) -> None:
    """A merge group and a push are held against what they grew from, and no comment is written."""
    gate.propose({}, {"ops": 101})
    gate.event = event
    gate.inputs = {"pull": "", "head": ""}
    gate.payload = {
        "merge_group": {"head_sha": gate.head, "base_sha": gate.base},
        "ref": "refs/heads/main",
        "repository": {"default_branch": "main"},
        "before": gate.base,
        "after": gate.head,
    }
    assert gate.run() == "failure", gate.machine and gate.machine.log
    assert [each.state for each in gate.hub.statuses] == ["pending", "failure"]
    assert "2 of 3 figures regressed" in gate.description()
    assert not gate.hub.comments


def test_a_schedule_holds_a_commit_against_itself(gate: Gate) -> None:
    """It shows whether the runner still tells the truth: nothing differs, and nothing is worse.

    The gate's status, which the commit has earned against another one, stays as it is.
    """
    gate.propose({}, {"ops": 101})
    gate.event = "schedule"
    gate.inputs = {"pull": "", "head": ""}
    gate.hub.statuses.append(Status(gate.head, "failure", "worse than its base", ""))
    assert gate.run() == "failure", gate.machine and gate.machine.log
    assert gate.hub.state_of(gate.head, "whisperbench/runner") == "success", gate.description()
    assert gate.machine is not None
    assert gate.machine.log.count(f"base: {gate.head[:10]}\nhead: {gate.head[:10]}\n") == 1


def test_the_example_of_the_documentation() -> None:
    """What docs/github.md shows calls the workflow with inputs and permissions that it has."""
    (job,) = workflow("docs/examples/whisper-gate.yml").jobs
    assert job.calls.partition("@")[0] == f"{OWNER}/{GATE}"
    declared = workflow(GATE).events["workflow_call"]["inputs"]
    assert set(job.content["with"]) <= set(declared)
    granted = [each.content["permissions"] for each in workflow(GATE).jobs]
    for name, level in (pair for each in granted for pair in each.items()):
        assert job.content["permissions"][name] in (level, "write")


def test_no_base_is_guessed() -> None:
    """Without a base from the first job there is none: a head held against itself is no pass."""
    text = (ROOT / GATE).read_text(encoding="utf-8")
    assert "needs.resolve.outputs.base }}" in text
    assert "outputs.base ||" not in text


def test_the_documentation_shows_the_example_as_it_is() -> None:
    """The YAML of docs/github.md is the file that the policy reads."""
    shown = (ROOT / "docs" / "github.md").read_text(encoding="utf-8")
    example = (ROOT / "docs" / "examples" / "whisper-gate.yml").read_text(encoding="utf-8")
    assert f"```yaml\n{example}```\n" in shown


def test_every_input_is_in_the_documentation() -> None:
    """The table of docs/github.md has a row for each input of the workflow."""
    shown = (ROOT / "docs" / "github.md").read_text(encoding="utf-8")
    for name in workflow(GATE).events["workflow_call"]["inputs"]:
        assert f"`{name}`" in shown


def test_the_repositorys_own_gate_calls_it() -> None:
    """gpu.yml hands on nothing that whisperbench-gate.yml does not take."""
    (job,) = workflow(".github/workflows/gpu.yml").jobs
    assert job.calls == f"./{GATE}"
    assert set(job.content["with"]) <= set(workflow(GATE).events["workflow_call"]["inputs"])
