"""The security checklist: the repository keeps each item, and a copy that breaks it is rejected."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.github import code_policy, policy, runner_policy
from tests.github.documents import Repository
from tests.github.policy import Rule
from whisperbench.asked.checkout import ROOT

CI, GATE, GPU = (f".github/workflows/{name}.yml" for name in ("ci", "whisperbench-gate", "gpu"))
ACTION = ".github/actions/measure/action.yml"
SCRIPT = ".github/actions/measure/measure.sh"
FLEET = "docs/examples/fleet.yml"
EXAMPLE = "docs/examples/whisper-gate.yml"
MEASURE = "needs: resolve\n    runs-on: ${{ fromJSON(inputs.runner) }}"


class Break(NamedTuple):
    """A change of one file that breaks an item of the checklist."""

    rule: Rule
    file: str
    old: str
    """The first one is replaced; nothing where the text is a file of its own."""
    new: str


MARK = "cancel-in-progress: "

BREAKS = (
    Break(policy.events_that_reach_a_runner, GPU, "  merge_group:\n", "  pull_request:\n"),
    Break(policy.events_that_reach_a_runner, GPU, "  push:\n    branches: [main]", "  push:"),
    Break(policy.events_that_reach_a_runner, GPU, "[main]", '["**"]'),
    Break(policy.events_that_reach_a_runner, CI, "ubuntu-24.04", "[self-hosted, gpu]"),
    Break(policy.events_that_reach_a_runner, CI, "ubuntu-24.04", "${{ vars.LABEL }}"),
    Break(policy.events_that_reach_a_runner, EXAMPLE, "workflow_dispatch:", "pull_request:"),
    Break(policy.no_dangerous_event, CI, "pull_request:", "pull_request_target:"),
    Break(policy.no_dangerous_event, EXAMPLE, "workflow_dispatch:", "issue_comment:"),
    Break(
        policy.events_that_reach_a_runner,
        GPU,
        "branches: [main]",
        'branches: [main]\n    tags: ["v1"]',
    ),
    Break(policy.events_that_reach_a_runner, GPU, "[main]", '["release-?"]'),
    Break(
        runner_policy.schedules_ask_whether_a_runner_is_there,
        GPU,
        "vars.WHISPERBENCH_RUNNER != ''",
        "vars.WHISPERBENCH_RUNNER == ''",
    ),
    Break(
        runner_policy.schedules_ask_whether_a_runner_is_there,
        GPU,
        "github.event_name == 'workflow_dispatch'",
        "github.event_name != 'x'",
    ),
    Break(
        runner_policy.schedules_ask_whether_a_runner_is_there,
        GPU,
        "    if: ${{ vars",
        "    # ${{ vars",
    ),
    Break(policy.permissions_begin_empty, CI, "permissions: {}", "permissions: read-all"),
    Break(policy.permissions_begin_empty, CI, "permissions: {}\n", ""),
    Break(
        policy.permissions_begin_empty, EXAMPLE, "    permissions: {contents: read", "    #: {c: r"
    ),
    Break(policy.permissions_are_few, CI, "contents: read", "contents: write"),
    Break(policy.permissions_are_few, GATE, "      statuses: write", "      id-token: write"),
    Break(
        policy.permissions_are_few,
        GATE,
        "minutes }}\n    permissions:\n      contents: read",
        "minutes }}\n    permissions:\n      contents: read\n      actions: read",
    ),
    Break(policy.actions_are_pinned, CI, "3d3c42e5aac5ba805825da76410c181273ba90b1", "v7"),
    Break(policy.actions_are_pinned, CI, " # v7.0.1", ""),
    Break(
        policy.actions_are_pinned, ACTION, "bbbca2ddaa5d8feaa63e36b76fdaad77386f024f", "bbbca2dd"
    ),
    Break(policy.actions_are_pinned, EXAMPLE, "@0123456789abcdef", "@"),
    Break(policy.no_expression_in_scripts, CI, "bash .ci/lint", "echo ${{ github.ref }}"),
    Break(
        policy.no_expression_in_scripts,
        ACTION,
        '"$GITHUB_ACTION_PATH',
        '"${{ inputs.base }}$GITHUB',
    ),
    Break(policy.no_expression_in_scripts, ACTION, "shell: bash", 'shell: "${{ inputs.base }}"'),
    Break(policy.credentials_are_not_kept, CI, "persist-credentials: false", "fetch-depth: 1"),
    Break(policy.credentials_are_not_kept, GATE, "persist-credentials: false", "fetch-depth: 1"),
    Break(policy.jobs_end, GATE, "    timeout-minutes: 5\n", ""),
    Break(policy.jobs_end, GATE, "    timeout-minutes: ${{ inputs.minutes }}\n", ""),
    Break(policy.one_measurement_a_card, GATE, f"{MARK}false", f"{MARK}true"),
    Break(
        policy.one_measurement_a_card, GATE, "    concurrency:\n      group:", "    env:\n      g:"
    ),
    Break(policy.one_measurement_a_card, GATE, "${{ inputs.card || github.run_id }}", "gpu"),
    Break(
        policy.runs_are_not_cancelled, GPU, "cancel-in-progress: false", "cancel-in-progress: true"
    ),
    Break(policy.no_secret, GATE, "${{ github.token }}", "${{ secrets.GITHUB_TOKEN }}"),
    Break(policy.no_secret, EXAMPLE, "    with:", "    secrets: inherit\n    with:"),
    Break(policy.no_secret, ACTION, "${{ inputs.base }}", "${{ toJSON(secrets) }}"),
    Break(policy.no_secret, GATE, "    inputs:\n", "    secrets:\n      a: {}\n    inputs:\n"),
    *(
        Break(runner_policy.values_on_a_runner_are_harmless, file, old, f"${{{{ {asked} }}}}")
        for asked in (
            "github.token",
            "github['token']",
            "toJSON(github)",
            "toJSON(secrets)",
            "inputs.base || github.token",
            "needs.*.outputs",
            "env.TOKEN",
        )
        for file, old in (
            (ACTION, "${{ inputs.base }}"),
            (GATE, "${{ inputs.options }}"),
            (GPU, "${{ inputs.head }}"),
            (FLEET, "${{ matrix.card }}"),
        )
    ),
    Break(
        runner_policy.values_on_a_runner_are_harmless,
        GATE,
        "permissions: {}\n",
        "permissions: {}\nenv: {A: '${{ github.token }}'}\n",
    ),
    Break(
        runner_policy.measured_under_the_lock,
        SCRIPT,
        'bash "$suite/scripts/runner/with-card.sh" ',
        "",
    ),
    Break(
        runner_policy.measured_under_the_lock,
        FLEET,
        "run: bash scripts/fleet_shard.sh",
        "run: python3 -m pytest benchmarks/",
    ),
    Break(
        runner_policy.measured_under_the_lock,
        "scripts/fleet_shard.sh",
        "bash scripts/runner/with-card.sh ",
        "",
    ),
    Break(runner_policy.each_commit_has_a_run_of_its_own, GPU, "github.sha }}", "github.ref }}"),
    Break(runner_policy.each_commit_has_a_run_of_its_own, CI, "github.run_id", "github.ref"),
    Break(runner_policy.measured_offline, SCRIPT, "HF_HUB_OFFLINE=1 ", ""),
    Break(
        runner_policy.measured_offline, SCRIPT, "TRANSFORMERS_OFFLINE=1", "TRANSFORMERS_OFFLINE=0"
    ),
    Break(
        runner_policy.what_is_measured_was_named_whole,
        FLEET,
        "ref: ${{ needs.resolve.outputs.head }}",
        "ref: ${{ inputs.head }}",
    ),
    Break(
        policy.no_cache_on_a_runner,
        GATE,
        "      - uses: ./suite/.github",
        "      - uses: actions/cache@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1\n"
        "      - uses: ./suite/.github",
    ),
    Break(policy.no_cache_on_a_runner, GATE, "fetch-depth: 0", "cache: pip"),
    Break(policy.needs_are_checked, GATE, "NEEDS: ${{ toJSON(needs) }}", "NEEDED: all"),
    Break(policy.every_end_is_told, GATE, "  judge:\n    if: ${{ always() }}\n", "  judge:\n"),
    Break(policy.every_end_is_told, GATE, "needs: [resolve, measure]", "needs: [measure]"),
    Break(
        policy.verdicts_come_by_id,
        GATE,
        "artifact-ids: ${{ needs.judge.outputs.verdict }}",
        "name: verdict",
    ),
    Break(
        policy.verdicts_come_by_id,
        GATE,
        "        with:\n          artifact-ids: ${{ needs.judge.outputs.verdict }}\n",
        "",
    ),
    Break(policy.artifacts_stay_packed, GATE, "skip-decompress: true", "skip-decompress: false"),
    Break(
        policy.the_environment_is_not_written,
        GATE,
        "run: bash suite/.github/gate/judge.sh",
        "run: cat measured/variables >> $GITHUB_ENV",
    ),
    Break(
        policy.the_environment_is_not_written,
        ".github/gate/judge.sh",
        "\nset -euo",
        '\ncat measured/path >> "$GITHUB_PATH"\nset -euo',
    ),
    Break(
        policy.only_fetching_may_fail,
        GATE,
        "run: bash suite/.github/gate/judge.sh",
        "run: bash suite/.github/gate/judge.sh\n        continue-on-error: true",
    ),
    Break(policy.only_fetching_may_fail, GATE, MEASURE, f"continue-on-error: true\n    {MEASURE}"),
    Break(
        policy.the_reviewed_head_is_measured,
        GATE,
        "ref: ${{ needs.resolve.outputs.head }}",
        "ref: refs/pull/7/head",
    ),
    Break(
        policy.the_reviewed_head_is_measured,
        GPU,
        "head: ${{ inputs.head }}",
        "head: ${{ github.event.pull_request.head.sha }}",
    ),
    Break(policy.hosted_labels_do_not_move, CI, "ubuntu-24.04", "ubuntu-latest"),
    Break(policy.counts_take_the_baselines_python, CI, '"3.11.7"', '"3.11"'),
    Break(code_policy.no_pickle, "whisperbench/pulls/new.py", "", "import pickle\n"),
    Break(code_policy.no_pickle, "fixtures/new.py", "", "from joblib import load\n"),
    Break(code_policy.no_pickle, "training/new.py", "", "import torch\ntorch.load('a.pt')\n"),
    Break(code_policy.no_pickle, "fixtures/new.py", "", "np.load(path, allow_pickle=True)\n"),
    Break(code_policy.no_remote_code, "fixtures/new.py", "", "load(trust_remote_code=True)\n"),
    Break(code_policy.no_remote_code, "fixtures/new.py", "", "A = {'trust_remote_code': 1}\n"),
    Break(
        code_policy.weights_are_safetensors,
        "whisperbench/whisper/new.py",
        "",
        "WhisperModel.from_pretrained(folder)\n",
    ),
    Break(
        code_policy.revisions_are_pinned,
        "benchmarks/suite.toml",
        "@06f233fe06e710322aca913c1bc4249a0d71fce1",
        "",
    ),
    Break(code_policy.revisions_are_pinned, "benchmarks/suite.toml", '["nano"]', '["a/b@main"]'),
)

RULES = (*policy.RULES, *runner_policy.RULES, *code_policy.RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_repository_keeps(rule: Rule) -> None:
    """Nothing in the workflows, the examples, the scripts and the code breaks the item."""
    assert list(rule(Repository(ROOT))) == []


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The part of the repository that the checklist is about, without its code."""
    for name in (".github", "baselines", "docs/examples", "scripts/runner"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "scripts" / "fleet_shard.sh", tmp_path / "scripts")
    (tmp_path / "benchmarks").mkdir()
    shutil.copy(ROOT / "benchmarks" / "suite.toml", tmp_path / "benchmarks")
    return tmp_path


@pytest.mark.parametrize("broken", BREAKS, ids=lambda each: f"{each.rule.__name__}-{each.file}")
def test_a_copy_that_breaks_it_is_rejected(broken: Break, copy: Path) -> None:
    """One change of one file is enough for the item to name that file."""
    path = copy / broken.file
    if broken.old:
        text = path.read_text(encoding="utf-8")
        assert broken.old in text
        path.write_text(text.replace(broken.old, broken.new, 1), encoding="utf-8")
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(broken.new, encoding="utf-8")
    complaints = list(broken.rule(Repository(copy)))
    assert complaints
    assert all(broken.file in each or each.startswith(GPU) for each in complaints)


def test_each_item_is_broken_by_something() -> None:
    """No item of the checklist is without a copy that it rejects, and none is left out."""
    assert {each.rule for each in BREAKS} == {*RULES}


def test_the_checklist_looks_at_what_reaches_a_runner() -> None:
    """The measuring job is found, also through what calls it, and so is the example's call."""
    found = {(workflow.path, job.name) for workflow, job in Repository(ROOT).reaching_us()}
    assert {(GATE, "measure"), (GPU, "gate"), (EXAMPLE, "gate")} <= found
    assert CI not in {path for path, _ in found}
