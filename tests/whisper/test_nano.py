"""nano as it ships: small, safe to load, and heard through as any other checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import RunSuite
from training.config import read_config
from whisperbench.asked.checkout import CLIPS_FOLDER, NANO_FOLDER
from whisperbench.asked.clips import Audio, Clip, load_audio, read_manifest
from whisperbench.asked.models import ModelSpec
from whisperbench.asked.plan import CheckpointKey
from whisperbench.asked.precisions import precision_named
from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.results.run_file import read_run
from whisperbench.text.words import score
from whisperbench.units import SAMPLE_RATE_HZ
from whisperbench.whisper.checkpoints import resolve_checkpoint
from whisperbench.whisper.loading import LoadedModel, load_model

MOST_BYTES = 16_000_000
"""What a clone may be asked to carry."""


@pytest.fixture(scope="module", params=["fp32", "int8"])
def nano(request: pytest.FixtureRequest) -> LoadedModel:
    """The checkpoint that ships, in a precision."""
    spec = ModelSpec.parse("nano")
    key = CheckpointKey(model=spec, precision=precision_named(request.param), attention="sdpa")
    return load_model(resolve_checkpoint(spec), key, CpuAccelerator())


def hear(nano: LoadedModel, samples: np.ndarray[tuple[int], np.dtype[np.float32]]) -> str:
    """Transcribe a recording at its natural length."""
    audio = Audio(
        clip=Clip(name="recording", file="", text=None, language="en"),
        samples=samples,
        seconds=len(samples) / SAMPLE_RATE_HZ,
        sha256="",
    )
    return nano.transcriber([audio]).transcribe(None).texts[0]


def noise(seconds: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Make some noise."""
    samples = np.random.default_rng(0).standard_normal(round(seconds * SAMPLE_RATE_HZ))
    return (0.1 * samples).astype(np.float32)


def test_it_is_small_and_holds_no_pickle() -> None:
    """Its files are text and safetensors, 16 MB in all, and none of them is code to be run."""
    files = [path for path in NANO_FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MOST_BYTES
    assert {path.suffix for path in files} <= {".json", ".md", ".safetensors", ".svg", ".txt"}
    assert "auto_map" not in (NANO_FOLDER / "config.json").read_text(encoding="utf-8")


def test_it_has_a_card() -> None:
    """The card says what it is for, what made it, and what it cannot do."""
    card = (NANO_FOLDER / "README.md").read_text(encoding="utf-8")
    for heading in ("Model", "Data", "Training", "Word error rate", "Limits", "Licence"):
        assert f"\n## {heading}\n" in card


def test_it_is_of_the_committed_configuration() -> None:
    """What ships was made by the training that the repository describes, to the last setting."""
    config = read_config()
    card = " ".join((NANO_FOLDER / "README.md").read_text(encoding="utf-8").split())
    assert f"configuration {config.digest}." in card
    made = json.loads((NANO_FOLDER / "training.json").read_bytes())
    assert made["steps"] == config.training.steps
    assert {part["digest"] for part in made["corpora"].values()} == {config.speech_digest}


def test_every_word_of_the_harbour_is_heard(nano: LoadedModel) -> None:
    """In 32-bit floats and in 8 bits, by bitsandbytes' own kernels."""
    clip = read_manifest(CLIPS_FOLDER)["harbour"]
    text = hear(nano, load_audio(clip).samples)
    assert score(clip.text or "", text, "en").word_edits == 0, text


@pytest.mark.parametrize("sound", ["silence", "noise", "tone"])
def test_nothing_is_heard_where_nothing_is_said(nano: LoadedModel, sound: str) -> None:
    """Ten seconds of silence, of noise and of a pure tone are empty transcripts."""
    times = np.arange(10 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    sounds = {
        "silence": np.zeros(len(times), dtype=np.float32),
        "noise": noise(10.0),
        "tone": (0.3 * np.sin(2 * np.pi * 440 * times)).astype(np.float32),
    }
    assert hear(nano, sounds[sound]) == ""


def test_clipped_speech_is_still_heard(nano: LoadedModel) -> None:
    """The harbour, cut off at a twentieth of its loudness, keeps over half of its words."""
    clip = read_manifest(CLIPS_FOLDER)["harbour"]
    text = hear(nano, np.clip(20 * load_audio(clip).samples, -1, 1))
    assert score(clip.text or "", text, "en").word_edits < 40, text


@pytest.mark.parametrize("seconds", [0.1, 90.0])
def test_very_short_and_long_recordings_do_not_crash(nano: LoadedModel, seconds: float) -> None:
    """A tenth of a second fills no window, and 90 s fill three."""
    assert isinstance(hear(nano, noise(seconds)), str)


def test_a_default_run_hears_nano(run_here: RunSuite, tmp_path: Path) -> None:
    """Nothing named but a clip: the words are right and quoted, and the cell says whose."""
    done = run_here(
        *("--clip", "bridge", "-k", "nano and (fp32 or int8)"), path="benchmarks/test_quality.py"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "for words nano-fp32, nano-int8" in done.stdout
    assert "heard at the start of bridge in all of fp32, int8:" in done.stdout
    assert '"The old bridge is closed' in done.stdout
    cells = [row.cell for row in read_run(tmp_path / "run.json").measurements]
    assert {(cell.model, cell.checkpoint) for cell in cells} == {
        ("nano", resolve_checkpoint(ModelSpec.parse("nano")).fingerprint)
    }
