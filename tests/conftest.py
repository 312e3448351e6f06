"""Shared by the suite's own tests, which need neither a GPU nor a network."""

from __future__ import annotations

import functools
import gc
import importlib.metadata
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import filelock
import msgspec
import pytest

if os.environ.pop("PYTEST_XDIST_WORKER", None):
    # What the tests start is no worker: benchmarks refuse to run in one. And one thread each:
    # those of two workers would wait for each other's most of the time.
    os.environ["OMP_NUM_THREADS"] = "1"

from tests.speck import make_speck
from whisperbench.asked.checkout import CLIPS_FOLDER, ROOT
from whisperbench.asked.models import ModelSpec
from whisperbench.whisper.checkpoints import Checkpoint
from whisperbench.whisper.dummy import ensure_dummy

RunSuite = Callable[..., "subprocess.CompletedProcess[str]"]

QUICK = ("--model", "dummy:tiny:1", "--tokens", "3", "--rounds", "1", "--clip", "yes")
"""A cell of random weights that is through in seconds: of one layer of each kind."""

TIMEOUT_S = 480.0
"""Far more than a run takes here, also beside others on two slow cores."""

LONGEST = (
    *("plugin/test_run.py", "plugin/test_faults.py", "devices/test_new_accelerator.py"),
    *("scripts/test_slurm.py", "measure/quality/test_hearing.py", "whisper/test_transcriber.py"),
    *("whisper/test_as_named.py", "ab/test_real_pair.py", "whisper/test_blueprint.py"),
    *("plugin/test_gate.py", "plugin/test_shared_baseline.py", "whisper/test_clean_cells.py"),
    *("whisper/test_ctranslate2.py", "whisper/test_own.py"),
)
"""Files in which a single test, or the run that it shares with others, takes over ten seconds."""

JFK = ROOT.parent / "shared" / "audio" / "jfk.flac"
WORDS = "ask not what your country can do for you, ask what you can do for your country."
TINY_EN = Path(os.environ.get("WHISPERBENCH_TINY_EN", "/nonexistent"))
"""OpenAI's tiny.en in transformers' format; what needs it skips without."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the one flag that writes golden files anew."""
    parser.addoption("--write-golden", action="store_true", help="Write golden files anew.")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let two workers begin with what takes longest, so that neither ends with it alone.

    `--dist worksteal` gives each a half of the tests, in their order.
    """
    folder = Path(__file__).parent
    longest = {folder / name: place for place, name in enumerate(LONGEST)}
    first = sorted((each for each in items if each.path in longest), key=_place_in(longest))
    ones = [each for each in first if longest[each.path] % 2 == 0]
    others = [each for each in first if longest[each.path] % 2 == 1]
    rest = [each for each in items if each.path not in longest]
    kept = max(0, len(items) // 2 - len(ones))
    items[:] = [*ones, *rest[:kept], *others, *rest[kept:]]


def _place_in(longest: dict[Path, int]) -> Callable[[pytest.Item], int]:
    return lambda item: longest[item.path]


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Hold a text against the golden file of a name, in `golden/` beside the test's module.

    `pytest tests/report --write-golden` writes them anew: look at what `git diff` says then.
    """

    def hold(name: str, text: str) -> None:
        path = request.path.parent / "golden" / name
        if request.config.getoption("--write-golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"{text}\n", encoding="utf-8")
        assert text == path.read_text(encoding="utf-8").removesuffix("\n")

    return hold


@pytest.fixture(scope="session", autouse=True)
def ctrl_c() -> None:
    """Let Ctrl-C reach what the tests start, also where they run in the background, ignoring it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True, kw_only=True)
class Shared:
    """A run of the suite whose outcome several tests read."""

    done: subprocess.CompletedProcess[str]
    folder: Path
    """Where its result, run.json, lies."""

    @property
    def result(self) -> Path:
        """The run's file."""
        return self.folder / "run.json"


class _Ended(msgspec.Struct, frozen=True):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture(scope="session")
def shared_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this test session's own, which all workers of pytest-xdist have in common."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if hasattr(request.config, "workerinput") else own


@pytest.fixture(scope="session")
def share(shared_folder: Path, cache: Path) -> Callable[..., Shared]:
    """Run the suite once under a name, whichever workers ask for it, and give all the outcome."""

    def shared(
        name: str, *arguments: str, prepare: Callable[[Path], None] | None = None, **options: str
    ) -> Shared:
        folder = shared_folder / name
        ended = folder / "ended.json"
        with filelock.FileLock(shared_folder / f"{name}.lock"):
            if not ended.exists():
                folder.mkdir(exist_ok=True)
                if prepare is not None:
                    prepare(folder)
                given = [one.replace("{folder}", str(folder)) for one in arguments]
                done = run_in(folder, cache, *given, **options)
                kept = _Ended(done.returncode, done.stdout, done.stderr)
                ended.write_bytes(msgspec.json.encode(kept))
        kept = msgspec.json.decode(ended.read_bytes(), type=_Ended)
        done = subprocess.CompletedProcess([], kept.returncode, kept.stdout, kept.stderr)
        return Shared(done=done, folder=folder)

    return shared


@pytest.fixture(scope="session")
def whole_run(share: Callable[..., Shared]) -> Shared:
    """A cell through every benchmark that is quick, as a user runs it: dummy:tiny:1 in int8."""
    quick = ("-k", "not soak and not durations")
    return share("whole_run", *QUICK, "--precision", "int8", "--all", *quick)


@pytest.fixture(scope="session")
def faulty_run(share: Callable[..., Shared]) -> Shared:
    """A run in which benchmarks fail in as many ways as tests/sabotage.py knows."""

    def prepare(folder: Path) -> None:
        shutil.copy(CLIPS_FOLDER / "yes.flac", folder / "other.flac")
        (folder / "other.txt").write_text("Something else is said here.", encoding="utf-8")

    return share(
        "faulty_run",
        *("--model", "dummy:tiny,nano", "--precision", "int8,bf16,fp32"),
        *("--tokens", "2", "--rounds", "1", "--clip", "{folder}/other.flac"),
        *("-p", "tests.sabotage", "--junit-xml={folder}/junit.xml", "--all"),
        *("-k", "dummy and (memory or fp32 and test_stages) or nano and fp32 and natural"),
        prepare=prepare,
    )


@pytest.fixture(scope="session")
def cache(shared_folder: Path) -> Path:
    """A cache folder of this test session's own."""
    folder = shared_folder / "cache"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def dummy_tiny(cache: Path) -> Checkpoint:
    """The checkpoint of dummy:tiny."""
    return Checkpoint(
        spec=ModelSpec.parse("dummy:tiny"), folder=ensure_dummy("tiny", cache), fingerprint=""
    )


@pytest.fixture(scope="session")
def shallow(cache: Path) -> Checkpoint:
    """The checkpoint of dummy:tiny:1."""
    return Checkpoint(
        spec=ModelSpec.parse("dummy:tiny:1"), folder=ensure_dummy("tiny:1", cache), fingerprint=""
    )


@pytest.fixture(scope="session")
def speck(shared_folder: Path) -> Checkpoint:
    """The checkpoint of tests/speck.py, for what is about a run and not about its model."""
    folder = shared_folder / "speck"
    with filelock.FileLock(shared_folder / "speck.lock"):
        if not folder.exists():
            make_speck(folder)
    return Checkpoint(spec=ModelSpec.parse(str(folder)), folder=folder, fingerprint="")


@pytest.fixture(scope="session")
def quickest(speck: Checkpoint) -> tuple[str, ...]:
    """Options of the quickest cell that there is: through in a second, where torch is imported."""
    return ("--model", str(speck.folder), "--tokens", "2", "--rounds", "1", "--clip", "yes")


@pytest.fixture
def run_suite(cache: Path, tmp_path: Path) -> RunSuite:
    """Run `pytest benchmarks/` with options, as a user does, in a process of its own."""

    def run(*arguments: str, **options: str) -> subprocess.CompletedProcess[str]:
        return run_in(tmp_path, cache, *arguments, **options)

    return run


@pytest.fixture
def run_here(
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> RunSuite:
    """Run `pytest benchmarks/` with options in this process, which has imported torch already.

    For claims about the run that do not need its measurements, or its process.
    """

    def run(
        *arguments: str, path: str = "benchmarks/", plugins: Sequence[object] = ()
    ) -> subprocess.CompletedProcess[str]:
        monkeypatch.chdir(ROOT)
        monkeypatch.setenv("WHISPERBENCH_CACHE", str(cache))
        monkeypatch.setattr(importlib.metadata, "distributions", installed)
        monkeypatch.setattr(importlib.metadata.Distribution, "entry_points", property(entry_points))
        capfd.readouterr()
        # At its end pytest collects garbage ten times over, among all that the tests have imported.
        command = [*as_given(tmp_path, path, arguments), "-p", "no:unraisableexception"]
        gc.freeze()
        code = pytest.main(command, plugins=[*plugins])
        output, errors = capfd.readouterr()
        return subprocess.CompletedProcess(command, int(code), output, errors)

    return run


@functools.cache
def installed() -> tuple[importlib.metadata.Distribution, ...]:
    """List the packages that are there; pytest asks for them once for each of its plugins."""
    return tuple(_distributions())


@functools.cache
def entry_points(package: importlib.metadata.Distribution) -> object:
    """Return what a package offers to pytest and others, read from its file once."""
    return _entry_points.__get__(package)


_distributions = importlib.metadata.distributions
_entry_points = importlib.metadata.Distribution.entry_points


def as_given(folder: Path, path: str, arguments: Sequence[str]) -> list[str]:
    """Return the command line of a run whose result goes into a folder, as run.json."""
    usual = {"--device": "cpu", "--result": str(folder / "run.json")}
    return [
        *(path, "-p", "no:cacheprovider"),
        # Who runs the suite has no hypothesis, whose plugin takes a second to import.
        *("-p", "no:hypothesispytest"),
        # Each may be given once.
        *(text for pair in usual.items() if pair[0] not in arguments for text in pair),
        *arguments,
    ]


def run_in(
    folder: Path, cache: Path, *arguments: str, path: str = "benchmarks/", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run `pytest benchmarks/` with options; its result goes into a folder, as run.json.

    Args:
        folder: of the run; plugins that a test writes lie there too.
        cache: where the suite keeps its dummies.
        *arguments: options of the run.
        path: what is run.
        **variables: of its environment.
    """
    paths = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    inherited = {name: text for name, text in os.environ.items() if "PYTEST" not in name}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *as_given(folder, path, arguments)],
        cwd=ROOT,
        env=inherited
        | {"WHISPERBENCH_CACHE": str(cache), "PYTHONPATH": paths, "CUDA_VISIBLE_DEVICES": ""}
        | variables,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
