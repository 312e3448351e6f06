"""The tokenizer that nano is trained with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.training.tones import (
    TEXTS,
    written,
)
from training.tokenizer import Vocabulary, train_tokenizer, write_tokenizer


def test_the_tokenizer_is_whispers(vocabulary: Vocabulary, tmp_path: Path) -> None:
    """WhisperTokenizer reads it, makes the same ids, and writes text and time stamps back."""
    from transformers import WhisperTokenizer

    write_tokenizer(vocabulary.tokenizer, tmp_path)
    tokenizer: Any = WhisperTokenizer.from_pretrained(tmp_path)
    assert len(tokenizer) == vocabulary.size
    # Unknown letters are written in bytes.
    for text in (*TEXTS, "Größe — 10 €?"):
        ids = vocabulary.encode(text)
        assert max(ids) < vocabulary.pieces
        assert tokenizer(f" {text}", add_special_tokens=False).input_ids == ids
        stamped = [vocabulary.stamp(0.0), *ids, vocabulary.stamp(1.58), vocabulary.end]
        assert tokenizer.decode(stamped, skip_special_tokens=True) == f" {text}"
        read = tokenizer.decode(stamped, skip_special_tokens=True, output_offsets=True)
        assert read["offsets"] == [{"text": f" {text}", "timestamp": (0.0, 1.58)}]


def test_the_pieces_follow_from_the_texts() -> None:
    """The same texts make the same tokenizer."""
    texts = [text for _, text in written(1, set(), 500)]
    made = [train_tokenizer(texts, 600, 30).to_str() for _ in range(2)]
    assert made[0] == made[1]
