"""Gate a made-up repository with transcription code of its own, from the dispatch to the status.

Usage: python scripts/check_github.py [ENVIRONMENTS]. Nothing is played but GitHub and its machines.
The example of docs/github.md calls whisperbench-gate.yml, and `whisperbench ab` measures both
commits on this machine's CPU. A rename must be green, and an extra copy per layer red. ENVIRONMENTS
is a folder in which environments are kept for the next time; the first time takes minutes.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from tests.github.documents import Repository
from tests.github.interpreter import Machine, clean_variables
from tests.github.machines import OWNER, PROJECT, checkout, programs, suite
from tests.pulls.server import Hub, served
from tests.versions.repositories import begin, commit
from whisperbench.asked.checkout import ROOT

LAYER = '''"""This project's decoder layer, in the place of transformers' own."""

from transformers.models.whisper import modeling_whisper


class Layer(modeling_whisper.WhisperDecoderLayer):
    """It works as the one that it replaces."""

    def forward(self, hidden_states, *args, **options):
        """Run the layer."""
        return super().forward(hidden_states, *args, **options)


modeling_whisper.WhisperDecoderLayer = Layer
'''

CHANGES = {
    "a rename": (("*args, **options", "*rest, **named"), "success"),
    "an extra copy per layer": (
        ("(hidden_states, *args", "(hidden_states.clone(), *args"),
        "failure",
    ),
}
"""What a pull request changes, and the status that it must get."""

CELL = "--model dummy:tiny --precision fp32"
PULL = 7
GATE = ".github/workflows/whisperbench-gate.yml"
EXAMPLE = "docs/examples/whisper-gate.yml"


def gated(folder: Path, environments: Path, old: str, new: str) -> tuple[str | None, Hub, Machine]:
    """Make the repository and a pull request, run the example, and return the head's status."""
    repository = begin(folder / "project")
    lock = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    files = {"constraints.txt": lock, "project/__init__.py": "", "project/whisper.py": LAYER}
    base = commit(repository, files)
    head = commit(repository, {"project/whisper.py": LAYER.replace(old, new)})
    with served(Hub()) as hub:
        hub.open_pull(PULL, head, base, base)
        machine = _machine(folder, environments, head, hub)
        machine.run(next(each for each in Repository(ROOT).documents() if each.path == GATE))
        return hub.state_of(head), hub, machine


def _machine(folder: Path, environments: Path, head: str, hub: Hub) -> Machine:
    documents = {each.path: each for each in Repository(ROOT).documents()}
    declared = documents[GATE].events["workflow_call"]["inputs"]
    (job,) = documents[EXAMPLE].jobs
    asked = {
        **{name: each["default"] for name, each in declared.items()},
        **job.content["with"],
        "pull": str(PULL),
        "head": head,
        "device": "cpu",
        "options": "--fast",
        "arguments": f"benchmarks/test_cost.py -p project.whisper {CELL}",
    }
    repositories = {OWNER: suite(folder / "suite", whole=True), PROJECT: folder / "project"}
    locks, dummies = folder / "locks", folder / "dummies"
    for each in (locks, dummies):
        each.mkdir()
    # Both sides' environments are real; the gate's own Python is this one, and installs nothing.
    own = programs(folder / "programs", plays=False)
    cache = folder / "machine" / "measure" / "temp" / "whisperbench" / "cache"
    return Machine(
        folder=folder / "machine",
        checkout=lambda *where: checkout(repositories, *where),
        context={
            "github": {"repository": PROJECT, "token": hub.variables()["GITHUB_TOKEN"]},
            "inputs": asked,
            "job": {"workflow_repository": OWNER, "workflow_sha": "f" * 40},
        },
        variables=clean_variables()
        | {name: text for name, text in hub.variables().items() if "TOKEN" not in name}
        | {name: text for name, text in os.environ.items() if name.startswith(("PIP_", "UV_"))}
        | {
            "PATH": f"{own}{os.pathsep}{os.environ['PATH']}",
            "GITHUB_EVENT_NAME": "workflow_dispatch",
            "WHISPERBENCH_LOCKS": str(locks),
            "CUDA_VISIBLE_DEVICES": "",
            "OMP_NUM_THREADS": "1",
        },
        after={"resolve": lambda _machine: _link(cache, environments)},
        timeout_s=3600,
    )


def _link(cache: Path, environments: Path) -> None:
    """Let the measuring job find the environments of earlier times."""
    environments.mkdir(parents=True, exist_ok=True)
    cache.mkdir(parents=True)
    (cache / "environments").symlink_to(environments)


def main() -> int:
    """Try both changes; return 1 where one does not get the status that it must get."""
    failed = False
    with tempfile.TemporaryDirectory() as own:
        environments = Path(sys.argv[1]).resolve() if sys.argv[1:] else Path(own) / "environments"
        for number, (what, ((old, new), wanted)) in enumerate(CHANGES.items()):
            folder = Path(own) / str(number)
            folder.mkdir()
            found, hub, machine = gated(folder, environments, old, new)
            print(f"{what}: {found}: {hub.statuses[-1].description}", flush=True)
            for each in hub.comments:
                print(each["body"], flush=True)
            if found != wanted:
                failed = True
                print(machine.log, file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
