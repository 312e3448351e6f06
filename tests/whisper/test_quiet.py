"""Silence for the known messages, and for nothing else."""

from __future__ import annotations

import inspect
import logging
import os
import warnings

import pytest

from whisperbench.asked.checkout import CLIPS_FOLDER
from whisperbench.asked.clips import load_audio, read_manifest
from whisperbench.asked.plan import CheckpointKey
from whisperbench.asked.precisions import PRECISIONS
from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.whisper.checkpoints import Checkpoint
from whisperbench.whisper.loading import load_model
from whisperbench.whisper.quiet import quiet_profiler, quieten


@pytest.fixture
def records(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> pytest.LogCaptureFixture:
    """Everything that transformers and bitsandbytes log."""
    quieten()
    # transformers keeps its records from the root logger, except where CI is set.
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    caplog.set_level(logging.WARNING)
    return caplog


def test_a_transcription_in_int8_is_silent(
    dummy_tiny: Checkpoint, records: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not one line from a call that says thousands by default."""
    key = CheckpointKey(model=dummy_tiny.spec, precision=PRECISIONS["int8"], attention="sdpa")
    loaded = load_model(dummy_tiny, key, CpuAccelerator())
    records.clear()
    loaded.transcriber([load_audio(read_manifest(CLIPS_FOLDER)["yes"])]).transcribe(4)
    assert [record.getMessage() for record in records.records] == []
    assert capfd.readouterr() == ("", "")


def test_other_messages_come_through(records: pytest.LogCaptureFixture) -> None:
    """Another warning of the same loggers is not held back, nor an error of bitsandbytes."""
    logging.getLogger("transformers.generation.utils").warning("Something else happened")
    logging.getLogger("bitsandbytes.autograd._functions").error("Something broke")
    logging.getLogger("bitsandbytes.nn.modules").warning("Something to know")
    assert [record.getMessage() for record in records.records] == [
        "Something else happened",
        "Something broke",
        "Something to know",
    ]


def test_the_quiet_logger_says_nothing_else() -> None:
    """bitsandbytes' module logs one message, so raising its logger's level hides no other."""
    import bitsandbytes.autograd._functions as module

    source = inspect.getsource(module)
    assert source.count("logger.") == 1
    assert "inputs will be cast from" in source


def test_the_profilers_warning_is_held_back() -> None:
    """What torch before 2.13 warns of each profiler is not shown; other warnings are."""
    with warnings.catch_warnings(record=True) as shown, quiet_profiler():
        warnings.warn("Warning: Profiler clears events at the end of each cycle.", stacklevel=1)
        warnings.warn("something else", stacklevel=1)
    assert [str(warning.message) for warning in shown] == ["something else"]


def test_the_profilers_own_lines_are_held_back(capfd: pytest.CaptureFixture[str]) -> None:
    """What torch's libraries write of the profiler is dropped; the rest comes, an error too."""

    def profile_and_fail() -> None:
        with quiet_profiler():
            os.write(
                2, b"USDT:2026-11-22 profiler_start\n[W1122 CPUAllocator.cpp:245] Memory block"
            )
            os.write(2, b" of unknown size was allocated before the profiling started, so what\n")
            os.write(2, b"CUPTI is missing\n")
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        profile_and_fail()
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "CUPTI is missing\nafterwards\n"
