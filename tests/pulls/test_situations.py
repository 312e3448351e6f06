"""Every situation of a gated pull request, and the status that its reviewed head has at the end.

The commands run one after the other as the workflow's jobs call them: resolve, judge, publish. The
measuring job is what it has left, and its result.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from tests.pulls.artifacts import (
    BASE,
    COST,
    HEAD,
    MEMORY,
    MERGE_BASE,
    OTHER,
    TOKEN,
    Left,
    Side,
)
from tests.pulls.server import Hub
from tests.runs import MACHINE
from whisperbench.asked.checkout import SUITE_FILE
from whisperbench.cli import app
from whisperbench.results.records import Verdict

ANOTHER = msgspec.structs.replace(MACHINE, device_key="nvidia-l4-sm89-23gib", device="NVIDIA L4")
A_CPU = msgspec.structs.replace(MACHINE, device_kind="cpu", device_key="cpu-x-2c", gpu_uuid=None)
OVER = Verdict(verdict="over-limit", metric="peak_process_mib", unit="MiB", sentence="no memory")


@dataclass(kw_only=True)
class Situation:
    """What happens between a review and a status."""

    state: str
    """Of the reviewed head at the end."""
    said: str
    """A part of the status's description."""
    left: Left | None = field(default_factory=Left)
    measure: str = "success"
    """What became of the measuring job."""
    later: Mapping[str, str] = field(default_factory=dict)
    """What has become of jobs by the time that it is published, where that is something else."""
    pull: dict[str, Any] = field(default_factory=dict)
    meanwhile: Callable[[Hub], None] = lambda _: None
    """Happens while it is measured."""
    pack: Callable[[Path], Path] = lambda folder: folder
    """What the artifact becomes on its way."""
    suite: Path = SUITE_FILE
    options: tuple[str, ...] = ()
    """Of the judging command."""


def again(last_ms: float = 10.0, *, times: int = 4, files: Mapping[str, bytes | None] = {}) -> Left:
    """Make a comparison whose head's GPU time is 10.09 ms against 10, with further executions.

    Args:
        last_ms: the head's GPU time in the last of them.
        times: how many they are.
        files: that are otherwise.
    """
    base, slower = Side(kernels=50), Side(kernels=50, gpu_ms=10.09)
    last = Side(kernels=50, gpu_ms=last_ms)
    found: dict[str, bytes | None] = {}
    found |= {f"again-{n:02}-base.json": base.counts() for n in range(1, times + 1)}
    found |= {f"again-{n:02}-head.json": slower.counts() for n in range(1, times)}
    found[f"again-{times:02}-head.json"] = last.counts()
    found |= files
    return Left(base=base, head=slower, compared={"again": times}, files=found)


def zipped(name: str, size: int = 2) -> Callable[[Path], Path]:
    """Make an artifact of one zip file, with one more file in it."""

    def pack(folder: Path) -> Path:
        path = folder.with_suffix(".zip")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in folder.iterdir():
                archive.write(file, file.name)
            archive.writestr(name, bytes(size))
        return path

    return pack


def changed(name: str, old: bytes, new: bytes) -> Left:
    """Return a folder of which one file has other content."""
    data = Left().content()[name]
    assert old in data
    return Left(files={name: data.replace(old, new, 1)})


def cut(name: str) -> Left:
    """Return a folder of which one file lacks its second half."""
    data = Left().content()[name]
    return Left(files={name: data[: len(data) // 2]})


def moved(hub: Hub) -> None:
    """Push to the pull request."""
    hub.move(7, OTHER)


SLOW = Left(head=Side(token_s=(1.2, 1.2, 1.2)), compared={"exit_code": 1})
FAST = Left(base=Side(token_s=()), head=Side(token_s=()))
WORSE = Left(head=Side(aten_ops=101.0), compared={"exit_code": 1})
APART = Left(
    base=Side(token_s=(1.0, 1.0)),
    head=Side(aten_ops=100.0, token_s=(1.0, 1.1), gpu_ms=10.0),
)
LOST = Left(
    head=Side(failed={COST: "CUDA error: the GPU has fallen off the bus"}),
    compared={"exit_code": 4},
)

SITUATIONS: Mapping[str, Situation] = {
    "clean pass": Situation(state="success", said="no worse than the base's"),
    "clean pass as a zip file": Situation(
        state="success", said="no worse than the base's", pack=zipped("more.log")
    ),
    "clean pass without wall time, as was asked": Situation(
        state="success", said="5 figures no worse", left=FAST, options=("--fast",)
    ),
    "clean pass of the arguments that were asked for": Situation(
        state="success",
        said="no worse than the base's",
        left=Left(compared={"arguments": ("--clip", "yes")}),
        options=("--", "--clip", "yes"),
    ),
    "without wall time, which the base requires": Situation(
        state="failure",
        said="incomplete: wall time was not measured, and the base's suite.toml requires it",
        left=FAST,
        options=("--fast",),
        suite=Path("required.toml"),
    ),
    "without wall time, and with pairs": Situation(
        state="error",
        said="wall time was left out, and pairs of processes are said to exist",
        left=Left(compared={"fast": True}),
        options=("--fast",),
    ),
    "more pairs than a comparison takes": Situation(
        state="error",
        said="19 pairs are more than a comparison takes",
        left=Left(compared={"pairs": 19}),
    ),
    "a last look that no rule knows": Situation(
        state="error",
        said="no comparison has 99 pairs at most",
        left=Left(compared={"largest": 99}),
    ),
    "a baseline in place of a run": Situation(
        state="error",
        said="base.json: is a baseline of 5 runs, not a run",
        left=changed("base.json", b'"processes":1', b'"processes":5'),
    ),
    "a run that was asked for nothing": Situation(
        state="error",
        said="head.json: says nothing of what was to be measured",
        left=Left(files={"head.json": Side(left_out=(COST, MEMORY)).counts()}),
    ),
    "a benchmark that stands for another": Situation(
        state="error",
        said="head.json: holds a benchmark that was not asked for, or one twice",
        left=changed("head.json", b'"fullname":"benchmarks/m', b'"fullname":"benchmarks/c'),
    ),
    "a figure of which no share can be worked out": Situation(
        state="error",
        said="no share of it can be worked out",
        left=Left(base=Side(peak_mib=1e-318, gpu_ms=1e-318), head=Side(peak_mib=9e17, gpu_ms=9e17)),
    ),
    "regression": Situation(
        state="failure",
        said="2 of 6 figures regressed: encoder_aten_ops +1.00 % (cost, dummy:tiny int8",
        left=WORSE,
        measure="failure",
    ),
    "regression of wall time": Situation(
        state="failure", said="1 of 6 figures regressed: latency_s", left=SLOW, measure="failure"
    ),
    "a regression that the measuring job has not told": Situation(
        state="failure", said="2 of 6 figures regressed", left=Left(head=Side(aten_ops=101.0))
    ),
    "inconclusive": Situation(
        state="failure",
        said="inconclusive: latency_s",
        left=APART,
        suite=Path("required.toml"),
    ),
    "over the base's limit": Situation(
        state="failure",
        said="1 of 7 figures over-limit: peak_process_mib",
        left=Left(base=Side(peak_mib=99_990.0), head=Side(peak_mib=99_990.0)),
        suite=Path("limited.toml"),
    ),
    "out of memory, as the head says itself": Situation(
        state="failure", said="over-limit", left=Left(head=Side(verdicts=(OVER,)))
    ),
    "head moved during the run": Situation(
        state="error",
        said="the head of the pull request moved to 4444444444 while 1111111111 was measured",
        meanwhile=moved,
    ),
    "pull request gone during the run": Situation(
        state="error",
        said="whether the head has moved is not known: pull request 7: GitHub answers with 404",
        meanwhile=lambda hub: hub.pulls.clear(),
    ),
    "artifact missing": Situation(
        state="error", said="the artifact cannot be read: No such file or directory", left=None
    ),
    "artifact empty": Situation(
        state="error",
        said="the artifact is empty",
        left=Left(files=dict.fromkeys(Left().content())),
    ),
    "artifact too large": Situation(
        state="error",
        said="the artifact is too large: over 64 MiB",
        pack=zipped("more.log", 65 * 2**20),
    ),
    "zip with ../": Situation(
        state="error",
        said="the artifact has a file of an odd name: '../base.json'",
        pack=zipped("../base.json"),
    ),
    "wrong schema": Situation(
        state="error",
        said="head.json: is of result schema 9",
        left=changed("head.json", b'"schema":2', b'"schema":9'),
    ),
    "wrong schema of the comparison": Situation(
        state="error",
        said="comparison.json: is not as expected: Invalid enum value 2",
        left=changed("comparison.json", b'"schema": 1', b'"schema": 2'),
    ),
    "measure job cancelled": Situation(
        state="error",
        said="a job that this one needs did not succeed (measure: cancelled)",
        measure="cancelled",
    ),
    "measure job skipped": Situation(state="error", said="(measure: skipped)", measure="skipped"),
    "both jobs cancelled once a success was left": Situation(
        state="error",
        said="(measure: cancelled, judge: cancelled), although a success was left",
        later={"measure": "cancelled", "judge": "cancelled"},
    ),
    "judge job failed once a success was left": Situation(
        state="error", said="(judge: failure), although a success", later={"judge": "failure"}
    ),
    "measure job failed, and nothing is wrong": Situation(
        state="error",
        said="(measure: failure), although the figures that it left pass",
        measure="failure",
    ),
    "measure job failed without a comparison": Situation(
        state="error",
        said="(measure: failure); comparison.json is absent",
        left=Left(files={"comparison.json": None}),
        measure="failure",
    ),
    "fork": Situation(
        state="error",
        said="not measured: pull request 7 comes from a fork",
        pull={"source": "stranger/project"},
    ),
    "closed before the run": Situation(
        state="error", said="pull request 7 is closed", pull={"state": "closed"}
    ),
    "another head than the reviewed one": Situation(
        state="error", said="the head of pull request 7 is 4444444444", pull={"head": OTHER}
    ),
    "a base without the suite": Situation(
        state="error", said="the base has no suite.toml", suite=Path("absent/suite.toml")
    ),
    "a base whose suite cannot be read": Situation(
        state="error", said="broken.toml: ", suite=Path("broken.toml")
    ),
    "a runner that lost its card while it measured": Situation(
        state="failure", said="missing", left=LOST, measure="failure"
    ),
    "a runner that lost its card before": Situation(
        state="error",
        said="it ran on cpu, not on cuda: has the runner lost its card?",
        left=Left(base=Side(machine=A_CPU), head=Side(machine=A_CPU)),
    ),
    "NaN": Situation(
        state="error",
        said="head.json: not a whisperbench run",
        left=changed("head.json", b'"value":100.0', b'"value":NaN'),
    ),
    "a number beyond all": Situation(
        state="error",
        said="head.json: not a whisperbench run",
        left=changed("head.json", b'"value":100.0', b'"value":1e400'),
    ),
    "missing cell": Situation(
        state="failure",
        said="missing: peak_process_mib",
        left=Left(head=Side(failed={MEMORY: "it broke"}), compared={"exit_code": 4}),
        measure="failure",
    ),
    "cell missing on both sides": Situation(
        state="failure",
        said="incomplete (and 1 other fault): base, failed: benchmarks/m.py::a: it broke",
        left=Left(base=Side(failed={MEMORY: "it broke"}), head=Side(failed={MEMORY: "it broke"})),
    ),
    "cell measured and not in the file": Situation(
        state="failure",
        said="missing",
        left=changed(
            "head.json",
            Left().content()["head.json"].partition(b'"benchmarks":')[2],
            b"[]}",
        ),
    ),
    "a benchmark of wall time that failed in every pair": Situation(
        state="failure",
        said="1 of 6 figures missing: latency_s",
        left=Left(
            head=Side(),
            files={
                f"pair-0{n}-head.json": Side(failed={TOKEN: "it broke"}).pair(n) for n in (1, 2, 3)
            },
        ),
    ),
    "other device key": Situation(
        state="error",
        said="the head ran on another machine than the base: device key was nvidia-h200-sm90",
        left=Left(head=Side(machine=ANOTHER)),
    ),
    "clean pass, of GPU time that differed alone and was as before later": Situation(
        state="success", said="", left=again()
    ),
    "GPU time that differed alone, each time": Situation(
        state="failure", said="gpu_time_ms", left=again(10.09)
    ),
    "fewer executions than GPU time takes": Situation(
        state="error",
        said="2 executions after the first are none, or not all 4",
        left=again(times=2),
    ),
    "an execution again of which one side is absent": Situation(
        state="error",
        said="again-04-head.json is absent",
        left=again(files={"again-04-head.json": None}),
    ),
    "an execution again on another device": Situation(
        state="error",
        said="the base of again 1 ran on another machine",
        left=again(files={"again-01-base.json": Side(machine=ANOTHER).counts()}),
    ),
    "a pair on another device": Situation(
        state="error",
        said="the head of pair 2 ran on another machine",
        left=Left(files={"pair-02-head.json": Side(machine=ANOTHER).pair(2)}),
    ),
    "a pair with other versions": Situation(
        state="error",
        said="the base of pair 2 has another stack than its counts have: the version of bitsand",
        left=Left(
            files={
                "pair-02-base.json": Side(
                    machine=msgspec.structs.replace(MACHINE, versions={"torch": "2.10.0"})
                ).pair(2)
            }
        ),
    ),
    "truncated pair": Situation(
        state="error",
        said="pair-03-head.json: not a whisperbench run",
        left=cut("pair-03-head.json"),
    ),
    "a pair of which one side is absent": Situation(
        state="error",
        said="pair-02-base.json is absent",
        left=Left(files={"pair-02-base.json": None}),
    ),
    "more pairs than were measured": Situation(
        state="error",
        said="pair 3 is there, and 2 were measured",
        left=Left(compared={"pairs": 2}),
    ),
    "a pair under another power limit": Situation(
        state="error",
        said="the head of pair 3 ran on another machine than the base: power limit w was None and",
        left=Left(
            files={
                "pair-03-head.json": Side(
                    machine=msgspec.structs.replace(MACHINE, power_limit_w=350.0)
                ).pair(3)
            }
        ),
    ),
    "a benchmark that the head has added": Situation(
        state="failure",
        said="1 of 6 figures new: peak_process_mib",
        left=Left(
            files={"base.json": Side(left_out=(MEMORY,)).counts()}, compared={"exit_code": 4}
        ),
        measure="failure",
    ),
    "a benchmark that the head has removed, and a regression": Situation(
        state="failure",
        said="2 of 6 figures regressed: encoder_aten_ops",
        left=Left(
            files={"head.json": Side(aten_ops=101.0, left_out=(MEMORY,)).counts()},
            compared={"exit_code": 1},
        ),
        measure="failure",
    ),
    "a benchmark that the head has removed": Situation(
        state="failure",
        said="1 of 6 figures missing: peak_process_mib",
        left=Left(files={"head.json": Side(left_out=(MEMORY,)).counts()}),
    ),
    "a benchmark of wall time that the head has added": Situation(
        state="failure",
        said="1 of 7 figures new: latency_s",
        left=Left(head=Side(added=True)),
    ),
    "a cell that one side alone names, without a figure": Situation(
        state="failure",
        said="incomplete (and 1 other fault): the counts: the base alone was asked for benchm",
        left=changed("base.json", b'"cell":"benchmarks/m', b'"cell":"benchmarks/n'),
    ),
    "a side with another reference": Situation(
        state="error",
        said="the counts: ratios are against fp16 in the base, and against int8 in the head",
        left=changed("head.json", b'"reference":"fp16"', b'"reference":"int8"'),
    ),
    "wall time left out": Situation(
        state="error",
        said="wall time was left out, and was to be measured",
        left=FAST,
    ),
    "no pair at all": Situation(
        state="error",
        said="no pair of processes was measured",
        left=Left(base=Side(token_s=()), head=Side(token_s=()), compared={"fast": False}),
    ),
    "another base": Situation(
        state="error",
        said=f"the base that was measured is the commit {OTHER}, not {MERGE_BASE}",
        left=Left(compared={"base": OTHER}),
    ),
    "another head": Situation(
        state="error",
        said=f"the head that was measured is the commit {BASE}, not {HEAD}",
        left=Left(compared={"head": BASE}),
    ),
    "a work tree with changes": Situation(
        state="error",
        said="the head that was measured is no commit",
        left=Left(compared={"head": None}),
    ),
    "other arguments": Situation(
        state="error",
        said="the arguments of pytest were --model nano, not none",
        left=Left(compared={"arguments": ("--model", "nano")}),
    ),
    "code that was not run": Situation(
        state="failure",
        said="incomplete: unreached: none of 2 changed functions",
        left=Left(compared={"faults": ("unreached: none of 2 changed functions were run",)}),
    ),
    "an exit code that the figures do not explain": Situation(
        state="failure",
        said="whisperbench ab ended with the exit code 3",
        left=Left(compared={"exit_code": 3}),
    ),
}


@pytest.fixture
def suites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Suites of bases, in the folder that the commands run in."""
    monkeypatch.chdir(tmp_path)
    own = SUITE_FILE.read_text()
    gate = '["exact", "device_time", "memory", "quality"]'
    assert gate in own
    required = own.replace(gate, gate[:-1] + ', "wall"]').replace(
        'report = ["wall"]', "report = []"
    )
    Path("required.toml").write_text(required)
    limit = 'metric = "peak_process_mib"\nmax = 99980\nreason = "the card"'
    who = 'models = ["*"]\nprecisions = ["*"]\ndevices = ["*"]'
    Path("limited.toml").write_text(f"{own}\n[[limit]]\n{who}\n{limit}\n")
    Path("broken.toml").write_text("schema = ")


@dataclass
class Job:
    """Runs commands as jobs do, on one server."""

    hub: Hub
    folder: Path
    monkeypatch: pytest.MonkeyPatch

    def run(self, *arguments: str, **variables: str) -> tuple[int, str]:
        """Run a command; return its exit code and what it printed."""
        with self.monkeypatch.context() as patch:
            for name, value in (self.hub.variables() | variables).items():
                patch.setenv(name, value)
            done = CliRunner().invoke(app, ["pull", *arguments])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            return getattr(done.exception, "exit_code", 99), str(done.exception)
        return done.exit_code, done.output

    def outputs(self) -> dict[str, str]:
        """Return what resolve has written for the jobs behind it."""
        path = self.folder / "output"
        lines = path.read_text().splitlines() if path.exists() else []
        return dict(line.split("=", 1) for line in lines)


@pytest.fixture
def job(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """Commands that find the server."""
    return Job(hub, tmp_path, monkeypatch)


def gate(job: Job, situation: Situation) -> tuple[int, ...]:
    """Go through all jobs of a situation; return the exit codes of their commands."""
    opened: dict[str, Any] = {"head": HEAD, "base": BASE, "merge_base": MERGE_BASE}
    job.hub.open_pull(**({"number": 7} | opened | situation.pull))
    resolved, _ = job.run(
        "resolve",
        GITHUB_EVENT_NAME="workflow_dispatch",
        WHISPERBENCH_PULL="7",
        WHISPERBENCH_HEAD=HEAD,
        GITHUB_OUTPUT=str(job.folder / "output"),
    )
    artifact = job.folder / "artifact"
    if resolved == 0 and situation.left is not None:
        artifact = situation.pack(situation.left.write(artifact))
    situation.meanwhile(job.hub)
    measure = situation.measure if resolved == 0 else "skipped"
    needs = {
        "resolve": {"result": "success" if resolved == 0 else "failure", "outputs": {}},
        "measure": {"result": measure, "outputs": {}},
    }
    outputs = job.outputs()
    said = {
        "NEEDS": json.dumps(needs),
        "WHISPERBENCH_PULL": outputs.get("pull", ""),
        "WHISPERBENCH_HEAD": outputs.get("head", ""),
        "WHISPERBENCH_BASE": outputs.get("base", ""),
        "GITHUB_STEP_SUMMARY": str(job.folder / "summary.md"),
    }
    options = ("--suite", str(situation.suite), "--device", "cuda", *situation.options)
    judged, _ = job.run("judge", str(artifact), *options, **said)
    needs["judge"] = {"result": "success" if judged == 0 else "failure", "outputs": {}}
    needs |= {name: {"result": each} for name, each in situation.later.items()}
    published, _ = job.run("publish", **said | {"NEEDS": json.dumps(needs)})
    return resolved, judged, published


@pytest.mark.usefixtures("suites")
@pytest.mark.parametrize("name", SITUATIONS)
def test_a_situation_and_its_status(job: Job, name: str) -> None:
    """The head begins as pending where it is measured, and only a clean pass ends as a success."""
    situation = SITUATIONS[name]
    codes = gate(job, situation)
    last = job.hub.statuses[-1]
    assert (last.commit, last.state) == (HEAD, situation.state)
    assert situation.said in last.description
    passed = name.startswith("clean pass")
    assert (situation.state == "success") == passed
    assert (codes == (0, 0, 0)) == passed
    late = situation.later or situation.meanwhile is not Situation.meanwhile
    assert codes[1] > 0 or passed or late
    assert codes[2] > 0 or passed
    assert {each.commit for each in job.hub.statuses} == {HEAD}
    if codes[0] == 0:
        assert job.hub.statuses[0].state == "pending"
        if 7 in job.hub.pulls:
            (comment,) = job.hub.comments
            assert comment["body"].count(HEAD[:10]) >= 1


@pytest.mark.usefixtures("suites")
@pytest.mark.parametrize(
    ("name", "heading"),
    [
        ("clean pass", "no worse than the base"),
        ("regression", "worse than the base"),
        ("over the base's limit", "over a limit"),
        ("inconclusive", "not shown to be as good as the base"),
        ("a benchmark that the head has added", "not shown to be as good as the base"),
        ("NaN", "nothing can be said"),
    ],
)
def test_the_heading_of_the_comment(job: Job, name: str, heading: str) -> None:
    """It tells what is worse from what is over a limit, and from what was not decided."""
    gate(job, SITUATIONS[name])
    (comment,) = job.hub.comments
    assert comment["body"].splitlines()[1] == f"### whisperbench: {heading}"


@pytest.mark.usefixtures("suites")
def test_a_job_behind_one_that_resolved_nothing(job: Job) -> None:
    """What keeps it from judging is the job before, and not the commits that it lacks."""
    needs = json.dumps({"resolve": {"result": "failure"}, "measure": {"result": "skipped"}})
    code, said = job.run("judge", "absent", "--suite", "absent.toml", NEEDS=needs)
    assert code == 4
    assert "(resolve: failure, measure: skipped)" in said
    needs = json.dumps({"measure": {"result": "success"}})
    code, said = job.run("judge", "absent", "--suite", "absent.toml", NEEDS=needs)
    assert code == 4
    assert said.startswith("error: WHISPERBENCH_BASE is not set")
