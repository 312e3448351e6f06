"""All cards of a host at once. The cards are made up, and so is what their processes measure."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner, Result

from tests.judge.sharded import PRECISIONS
from whisperbench.cli import app
from whisperbench.devices.cards import Card
from whisperbench.errors import DeviceError, ExitCode, InputError, InvalidMeasurementError
from whisperbench.results.run_file import read_run
from whisperbench.scale.host import Slot, run_shards, slots_of

ASKED = ("benchmarks/test_transcribe.py", "-p", "tests.scale.stand_in")


def told(folder: Path, number: int) -> dict[str, Any]:
    """Return what the process of a shard was given."""
    found: dict[str, Any] = json.loads((folder / f"shard-{number}.told").read_text("utf-8"))
    return found


def run(
    folder: Path, *doing: str, cpus: Sequence[frozenset[int]] = (), times: Path | None = None
) -> tuple[list[Path], list[str]]:
    """Run as many stand-ins as there are things to do; return the files and what was said."""
    said: list[str] = []
    slots = [
        Slot(
            name=f"card {number}",
            arguments=("--device", "cuda"),
            environment={"STAND_IN": ",".join(doing), "CUDA_VISIBLE_DEVICES": f"GPU-{number}"},
            cpus=cpus[number - 1] if cpus else frozenset(),
        )
        for number in range(1, len(doing) + 1)
    ]
    return run_shards(slots, ASKED, folder, said.append, times=times), said


def test_each_card_has_a_process_with_a_shard(tmp_path: Path) -> None:
    """Each is given its card alone, its shard, its file and what balances them."""
    paths, said = run(tmp_path, "measure", "measure", times=tmp_path / "times.json")
    assert [path.name for path in paths] == ["shard-1.json", "shard-2.json"]
    for number in (1, 2):
        found = told(tmp_path, number)
        assert found["visible"] == f"GPU-{number}"
        line = " ".join(found["arguments"])
        assert f"--shard {number}/2 --shard-times {tmp_path}/times.json --device cuda" in line
        assert found["arguments"][0] == "benchmarks/test_transcribe.py"
    assert said[0] == "shard 1 of 2 on card 1: begins, on any core"
    assert any("shard 2 of 2 on card 2: done in" in line for line in said)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs")
def test_each_process_has_cores_of_its_own(tmp_path: Path) -> None:
    """It is pinned before it begins, and what starts it is not pinned in the end."""
    before = os.sched_getaffinity(0)
    first, second = sorted(before)[:2]
    run(tmp_path, "measure", "measure", cpus=[frozenset({first}), frozenset({second})])
    assert [told(tmp_path, number)["cpus"] for number in (1, 2)] == [[first], [second]]
    assert os.sched_getaffinity(0) == before


def test_one_that_fails_is_named_and_ends_no_other(tmp_path: Path) -> None:
    """The line has its card, how it ended, its last words, and how to go on."""
    with pytest.raises(InvalidMeasurementError) as caught:
        run(tmp_path, "die", "measure", "refuse")
    text = str(caught.value)
    assert "\n" not in text
    assert "shard 1 of 3 on card 1 was ended by SIGKILL: it said nothing" in text
    assert (
        "shard 3 of 3 on card 3 exited with 4 and measured nothing: ERROR: the clip cannot be read"
        in text
    )
    assert "shard-*.json -o RUN.json" in text
    assert "shard 2" not in text
    assert (tmp_path / "shard-2.json").is_file()


def test_ctrl_c_ends_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No process is left behind, which would measure on beside what comes next."""
    monkeypatch.setattr("whisperbench.scale.host.LAST_WORDS_S", 0.4)

    def interrupt() -> None:
        deadline_s = time.monotonic() + 60
        while time.monotonic() < deadline_s:
            if all((tmp_path / f"shard-{number}.told").is_file() for number in (1, 2)):
                break
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, "sleep", "sleep")
    for number in (1, 2):
        assert not psutil.pid_exists(told(tmp_path, number)["pid"])


def make_cards(*names: str) -> list[Card]:
    """Make up cards, each near one CPU of this machine where there are as many."""
    cpus = sorted(os.sched_getaffinity(0))
    near = [frozenset({cpu}) for cpu in cpus] if len(cpus) >= len(names) else []
    return [
        Card(uuid=f"GPU-{place}", name=name, near=near[place] if near else frozenset())
        for place, name in enumerate(names)
    ]


def test_cards_of_several_models_are_refused() -> None:
    """One run is of one device key, so it is refused before anything is measured."""
    with pytest.raises(InputError, match=r"not of one model \(H100, L4\).*CUDA_VISIBLE_DEVICES"):
        slots_of(make_cards("H100", "L4"))


def test_a_slot_is_a_card() -> None:
    """Its process sees that card alone, by its UUID; without pinning it runs anywhere."""
    (slot,) = slots_of(make_cards("H100"))
    assert slot.environment == {"CUDA_VISIBLE_DEVICES": "GPU-0"}
    assert slot.arguments == ("--device", "cuda")
    assert slot.cpus
    assert not slots_of(make_cards("H100"), pinned=False)[0].cpus


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Run `whisperbench run` on two made-up cards, with stand-ins that do what is said."""
    monkeypatch.setattr(
        "whisperbench.devices.cards.cards", lambda: make_cards("H100", "H100", "H100")[:2]
    )
    monkeypatch.setattr("whisperbench.asked.checkout.RESULTS", tmp_path / "results")

    def invoke(doing: str, *arguments: str) -> Result:
        monkeypatch.setenv("STAND_IN", doing)
        return CliRunner().invoke(app, ["run", *arguments, "--", *ASKED])

    return invoke


def test_run_measures_and_merges(command: Any, tmp_path: Path) -> None:
    """The run of all cards is written whole, its summary printed, and the exit code is 0."""
    done = command(
        "measure,measure", "--gpus", "all", "--not-pinned", "-o", str(tmp_path / "r.json")
    )
    assert done.exit_code == 0, done.output
    assert "5 benchmarks asked for: 4 measured, 1 deselected" in done.output
    found = read_run(tmp_path / "r.json")
    assert [row.cell.precision for row in found.measurements] == list(PRECISIONS)
    assert found.info.shard is None


def test_what_failed_on_a_card_is_no_pass(command: Any, tmp_path: Path) -> None:
    """The run is written all the same, beside its shards, and the exit code says so."""
    done = command("measure,fail", "--gpus", "2", "--not-pinned")
    assert done.exit_code == ExitCode.INVALID, done.output
    assert "failed: benchmarks/test_transcribe.py" in done.output
    (path,) = (tmp_path / "results").glob("*-shards-*/run.json")
    assert len(read_run(path).unmeasured()) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--gpus", "3"), "--gpus 3: must be a whole number from 1 to 2"),
        (("--gpus", "none"), "--gpus none: must be a whole number"),
        (("--gpus", "all", "--shard", "1/2"), "--shard: drop it"),
        (("--gpus", "all", "--device=cpu"), "--device: drop it"),
        (("--gpus", "all", "--baseline"), "--baseline: drop it"),
    ],
)
def test_what_cannot_be_run_is_refused(
    command: Any, arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    """It is one line, and no process begins."""
    done = command("die,die", *arguments)
    assert isinstance(done.exception, InputError)
    assert said in str(done.exception)
    assert not (tmp_path / "results").exists()


def test_a_host_without_cards_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said is that there are none, and where one could have been."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    done = CliRunner().invoke(app, ["run", "--gpus", "all"])
    assert isinstance(done.exception, DeviceError)
    assert "CUDA_VISIBLE_DEVICES hides every GPU" in str(done.exception)
