"""Bisection over releases: found among pip's, told with its cause, skipped where it must be."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import msgspec
import pytest
from packaging.version import Version
from typer.testing import CliRunner

from tests.runs import make_cell, make_cost, make_run
from tests.versions.wheels import make_wheel
from whisperbench.bisect import measuring
from whisperbench.bisect.measuring import Measurer
from whisperbench.bisect.releases import Answer, bisect, bisect_releases
from whisperbench.cli import app
from whisperbench.errors import ExitCode, InputError, InvalidMeasurementError, NotInstallableError
from whisperbench.results.passes import Part
from whisperbench.results.records import ManifestEntry, Run
from whisperbench.versions.environment import Environment

PYTHON = Path(sys.executable)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let pip find the wheels of a folder alone; layers and runs are kept in another one."""
    monkeypatch.setenv("WHISPERBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    (tmp_path / "wheels").mkdir()
    return tmp_path / "wheels"


def made_up(calls: float, op: str = "aten::mul") -> Run:
    """Make up a run with so many ops in each stage, all of them one op from one module."""
    row = make_cost(make_cell("int8", tokens=4), {"aten_ops": calls, "python_calls": 10.0})
    parts = tuple(
        Part(kind="op", name=op, op="", module="Linear", stage=stage, count=int(calls))
        for stage in ("encoder", "decode")
    )
    found = msgspec.structs.replace(row.found, parts=parts)
    return make_run(msgspec.structs.replace(row, found=found))


class Bench:
    """Answers for releases with made-up counts; what it has no count of cannot be measured."""

    def __init__(self, counts: dict[str, float]) -> None:
        self.counts = counts
        self.measured: list[str] = []

    def __call__(self, release: Version) -> Run:
        """Return the run of a release."""
        self.measured.append(str(release))
        if str(release) not in self.counts:
            raise NotInstallableError(f"planted {release}: pip cannot install it: no wheel")
        return made_up(self.counts[str(release)])

    def bisect(self, number: int, metric: str | None = None) -> tuple[Answer, list[str]]:
        """Bisect releases 1.0, 1.1 and so on; return the answer and what was said."""
        said: list[str] = []
        releases = [Version(f"1.{each}") for each in range(number)]
        return bisect("planted", releases, self, metric=metric, say=said.append), said


def test_the_release_and_its_cause() -> None:
    """The first bad release is named with what it added, and what else grew elsewhere."""
    bench = Bench({f"1.{each}": 100.0 + (each > 2) + 40 * (each > 9) for each in range(16)})
    answer, said = bench.bisect(16)
    assert answer.decided
    assert answer.first_bad == "1.10"
    assert len(bench.measured) <= 2 + 3 * 4
    assert said[0] == (
        "planted 1.0..1.15: 16 releases; the two ends are measured, then 4 between them, or up to "
        "12 if it grew in several places"
    )
    cell = "owner/whisper int8, harbour, 4 tokens"
    assert said[3] == (
        f"followed: decode_aten_ops of {cell}, which grew from 100 to 141 (+41.00%); "
        "1 other count grew too"
    )
    assert said[4] == "planted 1.7: 101, +1 since 1.0"
    assert answer.lines == (
        "planted 1.10 added most of those looked at, compared with 1.9: 98% of the growth from 1.0 "
        "to 1.15",
        f"  decode_aten_ops of {cell}: 101 to 141 (+39.60%): +10 aten::mul a token, from Linear",
        f"  encoder_aten_ops of {cell}: 101 to 141 (+39.60%): +40 aten::mul, from Linear",
        "planted 1.3 added 1, 2% of it",
    )


def test_one_planted_edit_takes_four_steps() -> None:
    """Where nothing else changed among 16 releases, no more than log2 of them are measured."""
    for first_bad in range(1, 16):
        bench = Bench({f"1.{each}": 100.0 + 9 * (each >= first_bad) for each in range(16)})
        answer, _ = bench.bisect(16)
        assert (answer.first_bad, answer.decided) == (f"1.{first_bad}", True)
        assert len(bench.measured) <= 2 + 4


def test_two_releases() -> None:
    """Between neighbours there is nothing to search, which the first line says."""
    bench = Bench({"1.0": 100.0, "1.1": 110.0})
    answer, said = bench.bisect(2)
    assert said[0] == (
        "planted 1.0..1.1: 2 releases; the two ends are measured, and no other release lies "
        "between them"
    )
    assert answer.lines[0] == (
        "planted 1.1 added most, compared with 1.0: 100% of the growth from 1.0 to 1.1"
    )


def test_packages_that_differ_are_said() -> None:
    """What came in with the release that is named is said under it."""
    bench = Bench({"1.0": 100.0, "1.1": 110.0})
    answer = bisect(
        "planted",
        [Version("1.0"), Version("1.1")],
        bench,
        packages=lambda release: {"planted": str(release), "tokenizers": f"0.{release.minor}"},
        say=lambda _: None,
    )
    assert answer.lines[-1] == (
        "  beside planted, tokenizers 0.0 became 0.1, which may be the cause"
    )


def test_one_that_cannot_be_measured() -> None:
    """A release that does not install is skipped and said; next to the growth none is named."""
    counts = {f"1.{each}": 100.0 + 10 * (each > 4) for each in range(9)}
    answer, said = Bench({each: count for each, count in counts.items() if each != "1.4"}).bisect(9)
    assert "skipped: planted 1.4: pip cannot install it: no wheel" in said
    assert not answer.decided
    assert answer.lines[0] == (
        "not decided: one of planted 1.4, 1.5 added most, 100% of the growth from 1.0 to 1.8; "
        "those before 1.5 could not be measured"
    )
    answer, said = Bench({each: count for each, count in counts.items() if each != "1.2"}).bisect(9)
    assert answer.decided
    for end, which in (("1.0", "good"), ("1.8", "bad")):
        bench = Bench({each: count for each, count in counts.items() if each != end})
        with pytest.raises(
            InvalidMeasurementError, match=f"the {which} end cannot be measured; na"
        ):
            bench.bisect(9)


def test_ctrl_c_says_what_is_known() -> None:
    """Who interrupts a search reads between which two releases it was."""

    class Interrupted(Bench):
        def __call__(self, release: Version) -> Run:
            if len(self.measured) == 4:
                raise KeyboardInterrupt
            return super().__call__(release)

    bench = Interrupted({f"1.{each}": 100.0 + 10 * (each > 4) for each in range(16)})
    said: list[str] = []
    releases = [Version(f"1.{each}") for each in range(16)]
    with pytest.raises(KeyboardInterrupt):
        bisect("planted", releases, bench, say=said.append)
    assert said[-1] == (
        "so far: it grew most from 1.3 to 1.7, by 10; the same command goes on from there"
    )


@pytest.mark.parametrize(
    ("package", "text", "line"),
    [
        ("planted", "1.0", "'1.0' is no range of releases: write GOOD..BAD, as in 5.0.0..5.23.0"),
        ("planted", "1.0...2.0", "'1.0...2.0' is no range of releases: write GOOD..BAD, as in"),
        ("planted", "..2.0", "'..2.0' is no range of releases"),
        ("planted", "2.0..1.0", "2.0..1.0: 2.0 is newer than 1.0; write the older release, which"),
        ("planted", "1.0..1.0.0", "1.0..1.0.0: both ends are the same release"),
        ("planted", "1.0..new", "'new' is no version: write one such as 5.17.0"),
        ("planted", "1.0..2.5", "planted 2.5 is no release that pip finds for this Python; the "),
        ("planted", "1.0..3.0rc1", "planted 3.0rc1 is no release that pip finds for this Python; "),
        ("planted==1.0", "1.0..2.0", "'planted==1.0' is no package's name: give one such as tra"),
        ("--pre", "1.0..2.0", "'--pre' is no package's name"),
        ("absent", "1.0..2.0", "absent: pip cannot install it: No matching distribution found for"),
    ],
)
def test_ends_that_are_none(index: Path, package: str, text: str, line: str) -> None:
    """Each way to name no two releases is one line, before anything is installed."""
    for version in ("1.0", "2.0", "3.0rc1"):
        make_wheel(index, "planted", version)
    measurer = Measurer(python=PYTHON, arguments=[], say=print)
    with pytest.raises(InputError) as raised:
        bisect_releases(package, text, measurer, say=print)
    assert str(raised.value).startswith(line)


def test_a_release_in_an_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A release is installed and the suite run in it once; a failed benchmark is no count."""
    monkeypatch.setenv("WHISPERBENCH_CACHE", str(tmp_path / "cache"))
    python = tmp_path / "layers" / "of-planted" / "bin" / "python"
    ran: list[Path] = []

    def layered(parent: Path, requirements: list[str], _: object, name: str) -> Environment:
        assert (parent, requirements) == (PYTHON, ["planted==1.0"])
        return Environment(python=python, name=name)

    def run_suite(python: Path, suite: Path, arguments: object, result: Path, name: str) -> Run:
        assert (suite, arguments, name) == (tmp_path, ["benchmarks"], "planted 1.0")
        ran.append(python)
        result.write_text("7")
        if len(ran) > 1:
            return made_up(7)
        entry = ManifestEntry(benchmark="cost", cell="", outcome="failed", reason="no ops")
        info = msgspec.structs.replace(made_up(7).info, manifest=(entry,))
        return msgspec.structs.replace(made_up(7), info=info, measurements=())

    monkeypatch.setattr(measuring, "layered", layered)
    monkeypatch.setattr(measuring, "run_suite", run_suite)
    monkeypatch.setattr(measuring, "read_run", lambda path: made_up(float(path.read_text())))
    monkeypatch.setattr(measuring, "versions_in", lambda at: {"planted": at.parts[-3]})
    measurer = Measurer(python=PYTHON, arguments=["benchmarks"], say=print, suite=tmp_path)
    assert measurer.packages_of("planted 1.0") == {}
    with pytest.raises(InvalidMeasurementError, match=r"planted 1\.0: failed: cost: no ops"):
        measurer.run_of("planted==1.0", "planted 1.0")
    for _ in range(2):
        assert measurer.run_of("planted==1.0", "planted 1.0") == made_up(7)
    assert ran == [python] * 2, "a whole run is kept, and one that failed is not"
    assert measurer.packages_of("planted 1.0") == {"planted": "of-planted"}
    (kept,) = (tmp_path / "cache" / "bisect").iterdir()
    os.utime(kept, times=(time.time() - 40 * 86400,) * 2)
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "test_more.py").touch()
    other = Measurer(python=PYTHON, arguments=["benchmarks"], say=print, suite=tmp_path)
    other.run_of("planted==1.0", "planted 1.0")
    assert len(ran) == 3, "another suite counts anew"
    assert not kept.exists(), "nobody asked for it in 40 days"


def test_the_command(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`whisperbench bisect` hands pytest's arguments on, and tells by its exit code."""
    for minor in range(5):
        make_wheel(index, "planted", f"1.{minor}")
    given: list[object] = []

    def run_of(measurer: Measurer, requirement: str, name: str) -> Run:
        given.append((measurer.arguments, requirement))
        if name == "planted 1.2":
            raise NotInstallableError(f"{name}: pip cannot install it: no wheel")
        return made_up(100.0 + 10 * (name >= "planted 1.3"))

    monkeypatch.setattr(Measurer, "run_of", run_of)
    done = CliRunner().invoke(app, ["bisect", "planted", "1.0..1.4", "--", "-k", "int8"])
    assert done.exit_code == ExitCode.INCONCLUSIVE, done.output
    assert "not decided: one of planted 1.2, 1.3 added most, 100% of the growth" in done.output
    assert given[0] == (["-k", "int8"], "planted>=1.0,<=1.0")
    done = CliRunner().invoke(app, ["bisect", "planted", "1.3..1.4"])
    assert isinstance(done.exception, InputError)
    assert given[-1] == (measuring.DEFAULT, "planted>=1.4,<=1.4")
