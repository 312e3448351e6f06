"""The commands merge and plan, and `show` of several devices."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from tests.judge.sharded import PRECISIONS, make_shard
from whisperbench.asked.shards import Member, Part, Work
from whisperbench.cli import app
from whisperbench.errors import ExitCode, InputError
from whisperbench.results.run_file import clips_beside, read_run
from whisperbench.scale.planning import ask_work, fewest_within, lengths_s, shortest


def command(*arguments: str) -> Result:
    """Run whisperbench in this process."""
    return CliRunner().invoke(app, arguments)


@pytest.fixture
def shards(tmp_path: Path) -> list[str]:
    """The files of two shards, with what each has heard beside it."""
    paths = [tmp_path / f"shard-{number}.json" for number in (1, 2)]
    for number, path in enumerate(paths, start=1):
        path.write_bytes(make_shard(number).data)
        clips_beside(path).write_text(f'{{"pred_text": "{number}"}}\n', encoding="utf-8")
    return [str(path) for path in paths]


def test_merge_writes_the_run_and_what_was_heard(shards: list[str], tmp_path: Path) -> None:
    """One file of the run, one of its clips, the summary, and exit code 0."""
    path = tmp_path / "new" / "run.json"
    done = command("merge", *shards, "-o", str(path))
    assert done.exit_code == 0, done.output
    assert "5 benchmarks asked for: 4 measured, 1 deselected" in done.output
    assert done.output.endswith(f"result: {path}\n")
    assert [row.cell.precision for row in read_run(path).measurements] == list(PRECISIONS)
    heard = clips_beside(path).read_text(encoding="utf-8").splitlines()
    assert [msgspec.json.decode(line) for line in heard] == [{"pred_text": "1"}, {"pred_text": "2"}]


def test_merge_of_what_makes_no_run_writes_nothing(shards: list[str], tmp_path: Path) -> None:
    """A gap is one line, and no file is left that could pass for a run."""
    path = tmp_path / "run.json"
    done = command("merge", shards[0], "-o", str(path))
    assert isinstance(done.exception, InputError)
    assert "shard 2 of 2 is absent" in str(done.exception)
    assert not path.exists()


def test_merge_does_not_write_over_a_shard(shards: list[str]) -> None:
    """Nor where a file of clips may be; the shard is what it was."""
    before = Path(shards[0]).read_bytes()
    for place, said in ((shards[0], "is one of the shards"), ("x.clips.jsonl", "is a name for")):
        done = command("merge", *shards, "-o", place)
        assert isinstance(done.exception, InputError)
        assert said in str(done.exception)
    assert Path(shards[0]).read_bytes() == before


def test_merge_of_a_failure_is_no_pass(shards: list[str], tmp_path: Path) -> None:
    """The run is written, what failed is named, and the exit code is that of an incomplete run."""
    broken = make_shard(2, outcome="failed", reason="it broke")
    Path(shards[1]).write_bytes(broken.data)
    done = command("merge", *shards, "-o", str(tmp_path / "run.json"))
    assert done.exit_code == ExitCode.INVALID
    assert "it broke" in done.output


def test_two_devices_are_one_table(shards: list[str], tmp_path: Path) -> None:
    """`show` of a run is its summary, and of several a table with a line of each device."""
    whole = tmp_path / "run.json"
    command("merge", *shards, "-o", str(whole))
    other = tmp_path / "other.json"
    text = whole.read_text(encoding="utf-8").replace("nvidia-h200-sm90-140gib", "nvidia-l4-sm89")
    other.write_text(text, encoding="utf-8")
    assert "5 benchmarks asked for" in command("show", str(whole)).output
    table = command("show", str(whole), str(other)).output
    assert "nvidia-h200-sm90-140gib" in table
    assert "nvidia-l4-sm89" in table
    page = command("show", str(whole), str(other), "--format", "markdown").output
    assert page.startswith("| model | device | precision | p50 |")
    done = command("show", str(whole), str(whole))
    assert isinstance(done.exception, InputError)


WORK = Work(
    parts=tuple(
        Part((Member(f"a{took_s}{place}", "", took_s),))
        for place, took_s in enumerate((9.0, 3.0, 3.0, 3.0))
    ),
    loads_s={},
    process_s=10.0,
    guessed=0,
)


def test_the_fewest_cards_within_a_budget() -> None:
    """A split is as long as its longest shard, and each process takes what it takes beside."""
    assert lengths_s(WORK, 2) == [19.0, 19.0]
    assert fewest_within(WORK, 28.0) == 1
    assert fewest_within(WORK, 27.9) == 2
    assert fewest_within(WORK, 18.9) is None
    # More than two gain nothing: the longest benchmark is one.
    assert shortest(WORK) == 2


def test_plan_asks_pytest() -> None:
    """What is split is what pytest collects; what it refuses is one line."""
    work = ask_work(["benchmarks/test_stages.py", "--model", "nano", "--precision", "fp32"], None)
    assert work.benchmarks() == 3
    with pytest.raises(InputError, match=r"collects nothing to split: .*--precision fp99"):
        ask_work(["--precision", "fp99"], None)


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pytest have collected `WORK`."""
    monkeypatch.setattr("whisperbench.scale.planning.ask_work", lambda *_: WORK)


@pytest.mark.usefixtures("planned")
def test_plan_prints_the_split_and_its_time() -> None:
    """A line a shard, the longest, and what one process would take."""
    done = command("plan", "--gpus", "2")
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        "shard 1/2: 19 s, 3 benchmarks, loads nothing itself",
        "shard 2/2: 19 s, 1 benchmark, loads nothing itself",
        "2 shards: 19 s; in one process 28 s, 1.47 times as long",
    ]


@pytest.fixture
def untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pytest have collected `WORK`, of which no times are known."""
    work = msgspec.structs.replace(WORK, process_s=None, guessed=WORK.benchmarks())
    monkeypatch.setattr("whisperbench.scale.planning.ask_work", lambda *_: work)


@pytest.mark.usefixtures("untimed")
def test_a_plan_without_times() -> None:
    """The split is printed without a time; a budget is refused, with what to do about it."""
    done = command("plan", "--gpus", "2")
    assert done.exit_code == 0
    *shards, line = done.output.splitlines()
    assert [re.sub(r"\d benchmarks?", "N", each) for each in shards] == [
        "shard 1/2: N, loads nothing itself",
        "shard 2/2: N, loads nothing itself",
    ]
    assert line.startswith("no times are known, so none can be predicted")
    done = command("plan", "--gpus", "4", "--budget", "15m")
    assert isinstance(done.exception, InputError)
    assert done.exception.exit_code == 2
    assert "whisperbench record, or name a run of such a device with --times" in str(done.exception)


def test_a_plan_says_whose_times_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no file was named, the baseline is."""
    work = msgspec.structs.replace(WORK, source="baselines/key/default.json", guessed=1)
    monkeypatch.setattr("whisperbench.scale.planning.ask_work", lambda *_: work)
    done = command("plan", "--gpus", "2", "--budget", "15m")
    assert done.exit_code == 0
    assert done.output.splitlines()[-3:-1] == [
        "the times are of baselines/key/default.json, this device's baseline",
        "1 benchmark of 4 are not in those times, and count as the middle one of their function",
    ]


@pytest.mark.usefixtures("planned")
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--budget", "19s"), 0, "within the budget of 19s; the fewest cards that are enough: 2"),
        (
            ("--gpus", "4", "--budget", "1m"),
            0,
            "within the budget of 1m; the fewest cards that are enough: 1",
        ),
        (("--gpus", "1", "--budget", "20s"), 1, "over the budget of 20s: 2 cards would be enough"),
        (("--budget", "0.3m"), 1, "over the budget of 0.3m: no number of cards is enough"),
    ],
)
def test_a_budget_is_kept_or_not(arguments: tuple[str, ...], code: int, said: str) -> None:
    """Over the budget is an exit code of its own, with how many cards would do."""
    done = command("plan", *arguments)
    assert (done.exit_code, done.output.splitlines()[-1]) == (code, said)


@pytest.mark.usefixtures("planned")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "say --gpus N, --budget TIME, or both"),
        (("--budget", "15"), "must be a time such as 90s, 15m or 1h"),
        (("--budget", "0s"), "must be a time"),
        (("--gpus", "5"), "5 shards of a run of 4 parts"),
        (("--gpus", "2", "--shard", "1/2"), "--shard: drop it"),
    ],
)
def test_what_cannot_be_planned_is_refused(arguments: tuple[str, ...], said: str) -> None:
    """Each is one line."""
    done = command("plan", *arguments)
    assert isinstance(done.exception, InputError)
    assert said in str(done.exception)
