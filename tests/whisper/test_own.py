"""People's own transcribers: what they must have, and the line for what is wrong with one."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunSuite
from whisperbench.asked.checkout import CLIPS_FOLDER, ROOT
from whisperbench.asked.clips import Audio, load_audio, read_manifest
from whisperbench.asked.models import ModelSpec
from whisperbench.asked.plan import CheckpointKey
from whisperbench.asked.precisions import PRECISIONS, own_precision
from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.errors import (
    InputError,
    InvalidMeasurementError,
    ModelError,
    NotOfferedError,
    OutOfMemoryError,
)
from whisperbench.measure.cell_request import CellRequest
from whisperbench.measure.latency.startup import measure_startup
from whisperbench.paths import ASKED_FROM_VARIABLE
from whisperbench.results.run_file import read_run
from whisperbench.whisper.checkpoints import Checkpoint, resolve_checkpoint
from whisperbench.whisper.loading import LoadedModel, load_model
from whisperbench.whisper.own import factory_of

NANO = ModelSpec.parse("nano")
SPOKEN = "Yes, of course."

FAULTY = """
RATE = 16000
class Fine:
    weight_bytes = 12
    closed = False
    def __init__(self, folder, device):
        self.told = folder, device
    def transcribe(self, samples, rate, language):
        self.told = *self.told, samples.dtype.name, rate, language
        return " Yes, of course. "
    def close(self):
        Fine.closed = True
class Short(Fine):
    def transcribe(self, samples, rate):
        return "Yes"
class Raising(Fine):
    def transcribe(self, samples, rate):
        return samples[len(samples)]
class Leaving(Fine):
    def transcribe(self, samples, rate):
        raise SystemExit(3)
class Full(Fine):
    def transcribe(self, samples, rate):
        raise MemoryError
class Listing(Fine):
    def transcribe(self, samples, rate):
        return ["Yes"]
class Silent(Fine):
    def transcribe(self, samples, rate):
        return " "
class Weightless(Fine):
    weight_bytes = 0
class Unweighed(Fine):
    @property
    def weight_bytes(self):
        raise RuntimeError("not loaded yet")
class InPlace(Fine):
    def transcribe(self, samples, rate):
        samples *= 0
        return "Yes"
def nothing(folder, device):
    return {}
def failing(folder, device):
    raise OSError("no such weights")
def without_arguments():
    return Fine(1, 2)
"""


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules of somebody's, in the folder that the command is given in."""
    (tmp_path / "theirs.py").write_text(FAULTY, encoding="utf-8")
    (tmp_path / "bad.py").write_text("x = 1\nraise ValueError('not today')\n", encoding="utf-8")
    (tmp_path / "lacking.py").write_text("import webrtcvad_of_no_one\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


def load(name: str) -> LoadedModel:
    """Load somebody's transcriber for nano on the CPU."""
    key = CheckpointKey(model=NANO, precision=own_precision(f"theirs:{name}"), attention="sdpa")
    return load_model(resolve_checkpoint(NANO), key, CpuAccelerator())


@pytest.fixture(scope="module")
def short() -> Audio:
    """A clip of 1.6 s."""
    return load_audio(read_manifest(CLIPS_FOLDER)["yes"])


def test_a_transcriber_is_all_that_a_benchmark_needs(short: Audio) -> None:
    """It is given what it asks for; its text is stripped, counted in tokens, and checked."""
    loaded = load("Fine")
    transcriber = loaded.transcriber([short], bounded=True)
    done = transcriber.transcribe(None)
    own = loaded.model.own
    assert own.told == (resolve_checkpoint(NANO).folder, "cpu", "float32", 16000, "en")
    assert done.texts == (SPOKEN,)
    assert done.token_count(transcriber.end_of_text) == len(transcriber.token_ids(f" {SPOKEN} "))
    assert transcriber.require_words(done, 0.5) == 0
    assert (loaded.weight_bytes, loaded.ran().weights) == (12, {"its own": 12})
    loaded.close()
    assert type(own).closed


def test_what_it_says_is_checked(short: Audio) -> None:
    """Wrong words and none are refused, as of every precision."""
    wrong, silent = (load(name).transcriber([short]) for name in ("Short", "Silent"))
    with pytest.raises(InvalidMeasurementError, match=r"word error rate 0\.67 on yes"):
        wrong.require_words(wrong.transcribe(None), 0.5)
    with pytest.raises(InvalidMeasurementError, match="transcribed yes to nothing"):
        silent.require_done(silent.transcribe(None), None)
    assert wrong.loaded.weight_bytes == 12


def test_what_it_does_to_its_samples_nobody_else_hears(short: Audio) -> None:
    """Precisions of one process share the clip; code that works in place would spoil it."""
    before = short.samples.copy()
    load("InPlace").transcriber([short]).transcribe(None)
    assert (short.samples == before).all()


def test_what_it_does_not_offer_is_named(short: Audio) -> None:
    """A fixed count, a batch, features and modules: each says so in a line of its own."""
    loaded = load("Fine")
    one, two = (loaded.transcriber([short] * count) for count in (1, 2))
    calls: dict[str, Any] = {
        "fixed token count": lambda: one.transcribe(3),
        "batch of several clips": lambda: two.transcribe(None),
        "front end": one.front_end,
        "encoder": one.encoder,
        "single token": lambda: one.token_step(1),
        "layers": one.layers,
    }
    for part, call in calls.items():
        with pytest.raises(NotOfferedError, match=rf"nano-theirs:Fine: .* offers no {part}$"):
            call()


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("thiers:Fine", "there is no module thiers; it is looked for in the current folder ("),
        ("theirs.deeper:Fine", "there is no module theirs.deeper; it is looked for in"),
        ("lacking:make", "lacking imports webrtcvad_of_no_one, which is not there"),
        ("bad:make", "bad cannot be imported: ValueError: not today (line 2 of bad.py)"),
        ("theirs:Nine", "theirs (theirs.py) has no Nine"),
        ("theirs:RATE", "RATE is of type int, which cannot be called; name a function"),
    ],
)
def test_what_is_wrong_with_a_name_is_one_line(name: str, line: str) -> None:
    """No such module, one that does not import, no such function, and none that can be called."""
    with pytest.raises(InputError, match="^" + re.escape(f"--transcriber {name}: {line}")) as told:
        factory_of(name)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "name", ["mine", "mine:", ":make", "mine.py:make", "a b:c", "1:2", "a:b:c"]
)
def test_a_name_of_another_form_is_refused(name: str) -> None:
    """Before anything is imported; and no row of the suite's has the form of one."""
    if name == "mine.py:make":  # a module called py in a package called mine
        assert own_precision(name).name == name
        return
    with pytest.raises(InputError, match=r"is not of the form package\.module:factory"):
        own_precision(name)
    assert not any(":" in row for row in PRECISIONS)


@pytest.mark.parametrize(
    ("name", "kind", "line"),
    [
        ("nothing", InputError, "the factory gives an object of type dict, which has no method"),
        ("failing", ModelError, "the factory raised OSError: no such weights (line "),
        ("without_arguments", ModelError, "the factory raised TypeError: without_arguments() take"),
        ("Weightless", ModelError, "its weight_bytes is 0, no number of bytes"),
        ("Unweighed", ModelError, "its weight_bytes raised RuntimeError: not loaded yet (line "),
    ],
)
def test_what_is_wrong_with_an_object_is_one_line(
    name: str, kind: type[Exception], line: str
) -> None:
    """A factory that raises, that takes other arguments, or gives what transcribes nothing."""
    with pytest.raises(kind, match="^" + re.escape(f"--transcriber theirs:{name}: {line}")):
        load(name)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("Raising", "transcribe() raised IndexError: "),
        ("Leaving", "transcribe() raised SystemExit: 3 (line "),
        ("Listing", "transcribe() returned an object of type list, not a text"),
    ],
)
def test_what_goes_wrong_in_a_call_is_one_line(name: str, line: str, short: Audio) -> None:
    """Whatever it raises, and what is no text, with the place in people's own code."""
    transcriber = load(name).transcriber([short])
    with pytest.raises(ModelError, match="^" + re.escape(f"--transcriber theirs:{name}: {line}")):
        transcriber.transcribe(None)


def test_running_out_of_memory_stays_what_it_is(short: Audio) -> None:
    """It is over a limit, and no fault of somebody's code."""
    from whisperbench.whisper.residency import memory_errors

    transcriber = load("Full").transcriber([short])
    with pytest.raises(OutOfMemoryError), memory_errors("a call", CpuAccelerator()):
        transcriber.transcribe(None)


def test_modules_are_found_where_the_command_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes that `whisperbench ab` and `run` start elsewhere are told from where."""
    there = tmp_path / "there"
    there.mkdir()
    (there / "elsewhere.py").write_text("make = print\n", encoding="utf-8")
    monkeypatch.setattr("sys.path", ["/usr/lib", *__import__("sys").path])
    monkeypatch.setenv(ASKED_FROM_VARIABLE, str(there))
    made = factory_of("elsewhere:make")
    assert getattr(made, "__name__", "") == "print"


def test_a_fresh_process_imports_it_again(speck: Checkpoint) -> None:
    """Start-up loads and calls it in an interpreter of its own, to the end of its text."""
    request = CellRequest(
        model="speck",
        folder=str(speck.folder),
        precision=own_precision("tests.own_code:Saying"),
        attention="sdpa",
        accelerator=CpuAccelerator(),
        clip=read_manifest(CLIPS_FOLDER)["yes"],
        batch_size=1,
        tokens=None,
    )
    sample = measure_startup(request)
    assert sample.ran.computes_in == "its own"
    assert min(sample.load_s, sample.first_call_s) > 0


PAGE = (ROOT / "docs" / "transcribers.md").read_text(encoding="utf-8")


def test_the_example_of_the_documentation_runs(
    run_here: RunSuite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is complete in 40 lines, stands among the precisions, and hears each word."""
    (example,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(example.splitlines()) <= 40
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "vad.py").write_text(example, encoding="utf-8")
    monkeypatch.setenv(ASKED_FROM_VARIABLE, str(tmp_path))
    name = "mine.vad:SpeechAlone"
    done = run_here(
        *("--model", "nano", "--precision", "fp32", "--transcriber", name, "--rounds", "1"),
        *("--clip", "yes,mountain", "-k", "natural and mine"),
    )
    assert done.returncode == 0, done.stdout
    run = read_run(tmp_path / "run.json")
    own = [row for row in run.measurements if row.cell.precision == name]
    assert [row.benchmark for row in own].count("transcribe") == 2
    errors = {metric.value for row in own for metric in row.metrics if metric.name == "wer"}
    assert errors == {0.0}
    assert {row.cell.dtype for row in own} == {"its own"}
    assert f" {name} " in done.stdout


def test_its_row_is_its_own() -> None:
    """It keeps the name that it was asked for by, and no baseline has that of another."""
    row = own_precision("mine.vad:make")
    assert (row.name, row.backend) == ("mine.vad:make", "own")
    assert row != replace(row, options={"factory": "mine.vad:other"})
    assert row.why_not(None) is None
