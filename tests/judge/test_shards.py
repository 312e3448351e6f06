"""Shards put together: one run, or a line that says why there is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.judge.sharded import PRECISIONS, SETTINGS, make_shard, name_of
from tests.runs import MACHINE, make_measurement, make_run, make_run_file
from whisperbench.asked.shards import Times
from whisperbench.errors import ExitCode, InputError
from whisperbench.judge.baselines import RecordedRun, merge_runs
from whisperbench.judge.shards import exit_code_of, join_shards
from whisperbench.results.records import DESELECTED, ManifestEntry, Measurement, Run
from whisperbench.results.schema import decode_run


def joined(*files: RecordedRun) -> Run:
    """Put shards together, and read the run."""
    return decode_run(join_shards(files), "joined")


def test_shards_in_any_order_make_the_run() -> None:
    """Manifest and figures are in the order of a run that was not split, and no shard is left."""
    run = joined(make_shard(2), make_shard(1))
    assert run.info.shard is None
    assert [row.cell.precision for row in run.measurements] == list(PRECISIONS)
    expected = [
        *(
            ManifestEntry(
                benchmark=name_of(precision),
                cell=f"m-{precision}",
                outcome="measured",
                setup_s=1.0,
                took_s=float(place),
            )
            for place, precision in enumerate(PRECISIONS)
        ),
        ManifestEntry(benchmark="x", cell="x", outcome="skipped", reason=DESELECTED),
    ]
    assert list(run.info.manifest) == expected
    assert run.unmeasured() == []
    assert exit_code_of(run) is ExitCode.OK
    # What 20 s had beside the longest benchmarks is counted once: 20 - (1 + 0 + 1 + 2).
    assert run.info.process_s == 10.0 + 16.0


def test_merged_runs_make_a_baseline() -> None:
    """Each run of several cards is one process of it, as one of a single card is."""

    def slower(row: Measurement) -> Measurement:
        samples = tuple(2 * each for each in row.metrics[0].samples or ())
        metric = msgspec.structs.replace(row.metrics[0], samples=samples)
        return msgspec.structs.replace(row, metrics=(metric,))

    runs = []
    for name, change in (("a", lambda row: row), ("b", slower)):
        data = join_shards([make_shard(1, change=change), make_shard(2, change=change)])
        runs.append(RecordedRun(name, decode_run(data, name), data))
    made = decode_run(merge_runs(runs), "made")
    assert made.info.processes == 2
    assert [row.metrics[0].processes for row in made.measurements] == [(1.0, 2.0)] * 4
    assert Times(made).knows(name_of("fp32"))


def test_a_shard_alone_is_nowhere_a_whole_run() -> None:
    """What belongs to others was not measured, in a line that says what to do."""
    (line,) = make_shard(1).run.unmeasured()
    assert line == (
        "shard 1 of 2 alone: 2 benchmarks of other shards are not in this file; whisperbench merge "
        "puts the shards together"
    )
    assert exit_code_of(make_shard(1).run) is ExitCode.INVALID


def test_cards_of_one_model_make_one_run() -> None:
    """Each shard may be of a GPU of its own, and the run names all of them."""
    machines = [msgspec.structs.replace(MACHINE, gpu_uuid=f"GPU-{name}") for name in "ab"]
    files = [make_shard(index, machine=one) for index, one in enumerate(machines, start=1)]
    assert joined(*files).machine.gpu_uuid == "GPU-a,GPU-b"
    assert (
        joined(*(make_shard(index, machine=machines[0]) for index in (1, 2))).machine
        == (machines[0])
    )


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        ({"outcome": "failed", "reason": "it broke"}, ExitCode.INVALID),
        ({"outcome": "over-limit", "reason": "too much"}, ExitCode.REGRESSED),
        ({"outcome": "regressed", "reason": "slower"}, ExitCode.REGRESSED),
    ],
)
def test_what_failed_in_a_shard_has_failed_in_the_run(
    outcome: dict[str, Any], code: ExitCode
) -> None:
    """The run is made, says what became of each, and is no pass."""
    run = joined(make_shard(1), make_shard(2, **outcome))
    found = [entry.outcome for entry in run.info.manifest]
    assert found == ["measured", outcome["outcome"], "measured", outcome["outcome"], "skipped"]
    assert exit_code_of(run) is code


def _other(**fields: Any) -> RecordedRun:
    return make_shard(2, machine=msgspec.structs.replace(MACHINE, **fields))


def _with(**fields: str) -> Callable[[Measurement], Measurement]:
    """Change the cell, or the body, of a measurement."""

    def change(row: Measurement) -> Measurement:
        if "body" in fields:
            return msgspec.structs.replace(row, body=fields["body"])
        return msgspec.structs.replace(row, cell=msgspec.structs.replace(row.cell, **fields))

    return change


REFUSED = [
    ("a gap", [make_shard(1)], "shard 2 of 2 is absent"),
    ("two gaps", [make_shard(2, of=3)], "shards 1, 3 of 3 are absent"),
    ("a duplicate", [make_shard(1), make_shard(1), make_shard(2)], "1 of 2 stands twice"),
    ("two splits", [make_shard(1), make_shard(2, of=3)], "merge the shards of one split"),
    ("a number over all", [make_shard(1), make_shard(3)], "merge the shards of one split"),
    ("a device key", [make_shard(1), _other(device_key="nvidia-l4")], "device key was nvidia-h200"),
    ("a driver", [make_shard(1), _other(driver="1")], "driver was 580.1 and is 1"),
    ("threads", [make_shard(1), _other(threads=2)], "threads was 16 and is 2"),
    ("a CPU", [make_shard(1), _other(cpu="Another")], "cpu was Some CPU and is Another"),
    (
        "versions",
        [make_shard(1), _other(versions={})],
        "version of bitsandbytes was 0.50.2 and is absent",
    ),
    (
        "arguments",
        [make_shard(1), make_shard(2, settings=SETTINGS | {"tokens": "64"})],
        "tokens was 32 and is 64",
    ),
    ("times", [make_shard(1), make_shard(2, times="abc")], "split by other times"),
    ("memory", [make_shard(1), _other(memory_mib=9)], "memory mib was 143771 and is 9"),
    ("a system", [make_shard(1), _other(os="Linux 6.2")], "os was Linux 6.1 and is Linux 6.2"),
    ("a commit", [make_shard(1), make_shard(2, commit="decade")], "is of decade, and 1.json is of"),
    (
        "no commit",
        [make_shard(1), make_shard(2, commit=None)],
        "2.json: is of an unknown commit, and 1.json is of c0ffee: measure all shards of one",
    ),
    (
        "a work tree",
        [make_shard(1), make_shard(2, dirty=True)],
        "is of c0ffee with changes that are not committed, and 1.json is of c0ffee",
    ),
    (
        "other benchmarks",
        [make_shard(1), make_shard(2, precisions=("fp32", "fp16", "int8", "bf16"))],
        r"asked for other benchmarks.*such as .*\[m-bf16\]",
    ),
    (
        "fewer benchmarks",
        [make_shard(1), make_shard(2, precisions=PRECISIONS[:3])],
        "asked for other benchmarks",
    ),
    (
        "another owner",
        [make_shard(1), make_shard(2, owner=lambda place: 2 if place else 1)],
        "or split otherwise",
    ),
    ("a checkpoint", [make_shard(1), make_shard(2, change=_with(checkpoint="z"))], "checkpoint"),
    ("a clip", [make_shard(1), make_shard(2, change=_with(clip_sha256="z"))], "the clip harbour"),
    ("a body", [make_shard(1), make_shard(2, change=_with(body="z"))], "code of the benchmark"),
]


@pytest.mark.parametrize(
    ("files", "said"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_what_makes_no_run_is_refused(files: list[RecordedRun], said: str) -> None:
    """Each is one line that names the file and what differs, in whichever order they are given."""
    for ordered in (files, files[::-1]):
        with pytest.raises(InputError) as caught:
            join_shards(ordered)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=said):
        join_shards(files)


@pytest.mark.parametrize(
    ("commit", "dirty", "said"),
    [
        ("c0ffee", True, "of c0ffee with changes that are not committed: nothing says"),
        (None, None, "of an unknown commit: nothing says that all of them are of the same code"),
        (None, True, "of an unknown commit with changes that are not committed"),
    ],
)
def test_code_that_may_differ_is_said(commit: str | None, dirty: bool | None, said: str) -> None:
    """Shards that name no commit, or changes, may be of different code: the run has a remark."""
    files = [make_shard(number, commit=commit, dirty=dirty) for number in (1, 2)]
    (remark,) = joined(*files).info.remarks
    assert said in remark
    assert joined(make_shard(1), make_shard(2)).info.remarks == ()
    assert joined(make_shard(1, of=1, owner=lambda _: 1, commit=None)).info.remarks == ()


def test_a_whole_run_is_no_shard() -> None:
    """It is refused by its name, and so is nothing at all."""
    file = make_run_file(make_run(make_measurement()))
    data = msgspec.json.encode(file)
    whole = RecordedRun("whole.json", decode_run(data, "whole.json"), data)
    with pytest.raises(InputError, match=r"whole\.json: is a whole run and no shard"):
        join_shards([make_shard(1), whole])
    with pytest.raises(InputError, match="no shard is named"):
        join_shards([])


def _forged(change: Callable[[dict[str, Any]], object]) -> RecordedRun:
    """Return the second shard, its file changed by hand."""
    file = msgspec.json.decode(make_shard(2).data)
    change(file)
    data = msgspec.json.encode(file)
    return RecordedRun("2.json", decode_run(data, "2.json"), data)


def test_figures_of_another_shard_are_refused() -> None:
    """A row that belongs elsewhere would be one of two answers to a question, a lost one none."""

    def rename(file: dict[str, Any]) -> None:
        file["benchmarks"][0]["fullname"] = name_of("fp32")

    with pytest.raises(InputError, match=r"2\.json: has figures of .*which does not belong to"):
        join_shards([make_shard(1), _forged(rename)])
    with pytest.raises(InputError, match=r"2\.json: 2 benchmarks measured.*no figures of"):
        join_shards([make_shard(1), _forged(lambda file: file["benchmarks"].pop())])


def test_one_cell_in_two_shards_is_refused() -> None:
    """Two benchmarks that measured one cell under two names make no run."""
    same = make_shard(2, change=_with(precision="fp32"), precisions=PRECISIONS[:2])
    with pytest.raises(InputError, match=r"do not make one run.*two measurements"):
        join_shards([make_shard(1, precisions=PRECISIONS[:2]), same])
