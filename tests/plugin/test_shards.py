"""`--shard`: what a process of a split run measures, and what is refused."""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec
import pytest

from tests.conftest import RunSuite
from tests.runs import make_measurement, make_run, make_run_file
from whisperbench.asked.shards import WORK_VARIABLE, Work, owners, split
from whisperbench.devices.choosing import key_of, open_device
from whisperbench.record import baselines
from whisperbench.record.runs import RECORDER
from whisperbench.results.records import ManifestEntry, Run
from whisperbench.results.run_file import read_run
from whisperbench.scale.merging import merge_files

COLLECT = ("--collect-only", "-q")
ASKED = (
    *("--model", "nano,dummy:tiny", "--precision", "fp32,bf16,int8,nf4"),
    *("--clip", "yes,bridge", "--all"),
)


def collected(run_here: RunSuite, *more: str) -> list[str]:
    """Return the ids of the benchmarks that a run is left with."""
    done = run_here(*COLLECT, *more)
    assert done.returncode == 0, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if "::test_" in line]


def test_shards_are_the_run(run_here: RunSuite) -> None:
    """Each benchmark is in one of three shards, in the order in which the whole run has it."""
    whole = collected(run_here, *ASKED)
    shards = [collected(run_here, *ASKED, "--shard", f"{number}/3") for number in (1, 2, 3)]
    assert sorted(name for shard in shards for name in shard) == sorted(whole)
    for shard in shards:
        assert shard == [name for name in whole if name in shard]


def test_what_limits_compare_is_in_one_shard(
    run_here: RunSuite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words are over those of the reference precision, and a start-up has a load and a first call.

    So one shard has all precisions of a model's test_quality, and both of a cell's start-up.
    """
    monkeypatch.setenv(WORK_VARIABLE, str(tmp_path / "work.json"))
    collected(run_here, *ASKED)
    work = msgspec.json.decode((tmp_path / "work.json").read_bytes(), type=Work)
    owner = owners(split(work, len(work.parts)))
    where = {name.partition("::")[2]: shard for name, shard in owner.items()}
    heard = [shard for name, shard in where.items() if name.startswith("test_quality[nano")]
    assert (len(heard), len(set(heard))) == (4, 1)
    loads = {name: shard for name, shard in where.items() if name.startswith("test_load")}
    assert loads
    for name, shard in loads.items():
        assert where[name.replace("test_load", "test_first_call")] == shard


def test_memory_stays_beside_what_it_is_a_share_of(run_here: RunSuite) -> None:
    """Weights of int8 are limited to a share of fp16's: both are measured by one process."""
    cards = ("--device", "cuda", "--model", "dummy:large-v3", "--precision", "fp16,int8,nf4")
    asked = ("-k", "test_memory", *cards)
    shards = [collected(run_here, *asked, "--shard", f"{number}/2") for number in (1, 2)]
    held = [{re.findall(r"large-v3-(\w+)-", name)[0] for name in shard} for shard in shards]
    assert sorted(map(sorted, held)) == [["fp16", "int8"], ["nf4"]]


def make_times(folder: Path, times: dict[str, tuple[float, float]]) -> Path:
    """Write a run that says what benchmarks took: set-up, and the rest."""
    manifest = tuple(
        ManifestEntry(benchmark=name, cell="", outcome="measured", setup_s=setup_s, took_s=took_s)
        for name, (setup_s, took_s) in times.items()
    )
    run = make_run(make_measurement(), manifest=manifest)
    info = msgspec.structs.replace(run.info, process_s=100.0)
    path = folder / "times.json"
    path.write_bytes(msgspec.json.encode(make_run_file(msgspec.structs.replace(run, info=info))))
    return path


def test_shards_are_balanced_by_times(run_here: RunSuite, tmp_path: Path) -> None:
    """One benchmark that took as long as all others is a shard of its own, and that is said."""
    asked = (
        "--model",
        "dummy:tiny",
        "--precision",
        "fp32",
        "--clip",
        "yes",
        "--all",
        "-k",
        "stages or cost",
    )
    whole = collected(run_here, *asked)
    times = {name: (0.0, 30.0 if "test_encoder" in name else 10.0) for name in whole}
    path = make_times(tmp_path, times)
    given = (*asked, "--shard-times", str(path))
    shards = [collected(run_here, *given, "--shard", f"{number}/2") for number in (1, 2)]
    alone = [shard for shard in shards if any("test_encoder" in name for name in shard)]
    assert [len(shard) for shard in alone] == [1]
    done = run_here(*COLLECT, *given, "--shard", "1/2")
    # 60 s of the process's 100 s are of benchmarks.
    assert "shard 1 of 2: about 70 s, the longest 70 s" in done.stdout


def test_a_device_has_times_of_its_own(
    run_here: RunSuite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a file of times the device's baseline balances the shards, in a run and in a plan.

    One that says nothing of times, and one of another device, are none.
    """
    monkeypatch.setattr(baselines, "FOLDER", tmp_path / "baselines")
    asked = ("--model", "dummy:tiny", "--precision", "fp32", "--device", "cpu", "-k", "stages")
    sharded = (*COLLECT, *asked, "--shard", "1/2")
    names = collected(run_here, *asked)
    made = make_times(tmp_path, dict.fromkeys(names, (0.0, 10.0))).read_bytes()
    for key in ("cpu-another-64c", key_of(open_device("cpu").facts())):
        assert "shard 1 of 2; --shard-times RUN.json balances" in run_here(*sharded).stdout
        place = baselines.path_of(key)
        place.parent.mkdir(parents=True)
        place.write_bytes(made)
    said = run_here(*sharded).stdout
    times = [each for each in said.splitlines() if "shard 1 of 2: about" in each]
    assert times, said
    assert times[0].endswith(f", by the times of baselines/{key}/default.json")
    monkeypatch.setenv(WORK_VARIABLE, str(tmp_path / "work.json"))
    collected(run_here, *asked)
    work = msgspec.json.decode((tmp_path / "work.json").read_bytes(), type=Work)
    assert (work.source, work.guessed) == (f"baselines/{key}/default.json", 0)
    monkeypatch.delenv(WORK_VARIABLE)
    place.write_bytes(re.sub(rb'"took_s":[0-9.]+', b'"took_s":null', made))
    assert "shard 1 of 2; --shard-times RUN.json balances" in run_here(*sharded).stdout
    place.write_bytes(b"{")
    broken = run_here(*sharded)
    assert broken.returncode == 4
    assert f"{place}: not a whisperbench run" in broken.stdout + broken.stderr


def test_the_times_that_are_not_known_are_said(run_here: RunSuite, tmp_path: Path) -> None:
    """What counts as others do is counted in the line of the shard."""
    asked = ("--model", "dummy:tiny", "--precision", "fp32", "--clip", "yes", "-k", "stages")
    path = make_times(tmp_path, {collected(run_here, *asked)[0]: (0.0, 5.0)})
    done = run_here(*COLLECT, *asked, "--shard", "1/2", "--shard-times", str(path))
    assert "; 2 of 3 are guessed" in done.stdout


def test_what_can_be_split_is_written(
    run_here: RunSuite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`whisperbench plan` learns which checkpoint each benchmark loads, and what it takes."""
    monkeypatch.setenv(WORK_VARIABLE, str(tmp_path / "work.json"))
    names = collected(run_here, *ASKED)
    work = msgspec.json.decode((tmp_path / "work.json").read_bytes(), type=Work)
    assert work.benchmarks() == work.guessed == len(names)
    loading = {member.checkpoint for part in work.parts for member in part.members}
    assert {"", "nano-fp32", "dummy:tiny-int8"} <= loading
    assert set(work.loads_s) == loading - {""}
    held = {
        (member.checkpoint, member.reference)
        for part in work.parts
        for member in part.members
        if "test_numerics" in member.name
    }
    assert ("nano-int8", "nano-fp32") in held


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--shard", "3/2"), "--shard 3/2: must be I/N"),
        (("--shard", "1/2", "--shard", "2/2"), "--shard: was given 2 times"),
        (("--shard", "1/2", "--baseline"), "whisperbench merge, then whisperbench compare"),
        (("--shard", "1/900"), "900 shards of a run of"),
        (("--shard-times", "x.json"), "--shard-times balances shards: give it with --shard"),
        (("--shard", "1/2", "--shard-times", "/no/file.json"), "--shard-times /no/file.json: "),
    ],
)
def test_what_cannot_be_split_is_refused(
    run_here: RunSuite, arguments: tuple[str, ...], said: str
) -> None:
    """It is one line, and pytest's code of wrong usage."""
    done = run_here("-q", "-k", "front_end", "--model", "dummy:tiny", *arguments)
    output = done.stdout + done.stderr
    assert done.returncode == 4
    assert said in output
    assert "Traceback" not in output


def test_a_recording_is_of_whole_runs(run_here: RunSuite, monkeypatch: pytest.MonkeyPatch) -> None:
    """No baseline is made of a shard, so it is refused before it is measured."""
    monkeypatch.setenv(RECORDER, str(os.getppid()))
    done = run_here("-q", "--shard", "1/2")
    assert done.returncode == 4
    assert "--shard is for runs of their own: whisperbench record, ab" in done.stdout + done.stderr


def test_times_of_an_older_file_are_refused(run_here: RunSuite, tmp_path: Path) -> None:
    """A run that does not say what its benchmarks took balances nothing."""
    path = tmp_path / "old.json"
    path.write_bytes(msgspec.json.encode(make_run_file()))
    done = run_here("-q", "--shard", "1/2", "--shard-times", str(path))
    assert done.returncode == 4
    assert f"--shard-times {path}: it does not say how long" in done.stdout + done.stderr


def test_a_split_run_is_the_run(
    run_here: RunSuite, quickest: tuple[str, ...], tmp_path: Path
) -> None:
    """Two shards that were measured make the manifest of the whole, and each passes by itself."""
    asked = (*quickest, "--all", "-k", "front_end or numerics", "--precision", "fp32,bf16")
    paths = []
    for number in (1, 2):
        paths.append(tmp_path / f"shard-{number}.json")
        done = run_here(*asked, "--shard", f"{number}/2", "--result", str(paths[-1]))
        assert done.returncode == 0, done.stdout
        assert "in other shards" in done.stdout
    merged = merge_files(paths, tmp_path / "merged.json")
    done = run_here(*asked, "--result", str(tmp_path / "whole.json"))
    assert done.returncode == 0, done.stdout
    whole = read_run(tmp_path / "whole.json")
    assert bare(merged) == bare(whole)
    assert {(row.benchmark, row.cell) for row in merged.measurements} == {
        (row.benchmark, row.cell) for row in whole.measurements
    }
    assert merged.unmeasured() == []
    for entry in merged.info.manifest:
        assert (entry.took_s is not None) is (entry.outcome == "measured")


def bare(run: Run) -> list[ManifestEntry]:
    """Return a manifest without what differs between runs."""
    return [
        msgspec.structs.replace(entry, setup_s=None, took_s=None) for entry in run.info.manifest
    ]
