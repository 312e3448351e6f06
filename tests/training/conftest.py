"""What the tests of the training share: corpora, a vocabulary and a trained tiny model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.training.tones import (
    TEXTS,
    tiny_config,
    write_tones,
)
from training.tokenizer import Vocabulary, train_tokenizer
from training.train import Trainer


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Keep threads from waiting for each other over work that is tiny."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a training and a held-out corpus of tones."""
    folder = tmp_path_factory.mktemp("corpora")
    for part in ("train", "heldout"):
        write_tones(folder / part)
    return folder


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    """Make a tokenizer of the tones' texts."""
    return Vocabulary(train_tokenizer(TEXTS, 270, 3))


@pytest.fixture(scope="module")
def unbroken(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a tiny model in one go."""
    folder = tmp_path_factory.mktemp("unbroken")
    assert Trainer(tiny_config(), corpora, folder, "cpu").run(max_seconds=60, workers=0)
    return folder
