"""The tokenizer: byte-level pieces of the training texts, then the tokens that Whisper adds."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

END_OF_TEXT = "<|endoftext|>"
# In the order of OpenAI's English-only checkpoints; the time stamps must follow <|notimestamps|>.
SPECIAL = (
    END_OF_TEXT,
    "<|startoftranscript|>",
    "<|en|>",
    "<|translate|>",
    "<|transcribe|>",
    "<|startoflm|>",
    "<|startofprev|>",
    "<|nospeech|>",
    "<|notimestamps|>",
)
STEP_S = 0.02
"""Seconds between two time stamps."""


def train_tokenizer(texts: Iterable[str], pieces: int, window_s: int) -> Tokenizer:
    """Learn the pieces of these texts, and add Whisper's special tokens and time stamps.

    Args:
        texts: sentences; each is learnt as it stands inside of a transcript, after a space.
        pieces: how many to learn, the 256 bytes included.
        window_s: the last time stamp.
    """
    learning: Any = Tokenizer(models.BPE())
    learning.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=pieces, initial_alphabet=alphabet, show_progress=False, special_tokens=[]
    )
    learning.train_from_iterator((f" {text}" for text in texts), trainer)
    learnt = json.loads(learning.to_str())["model"]
    return assemble(learnt["vocab"], [(left, right) for left, right in learnt["merges"]], window_s)


def assemble(vocab: dict[str, int], merges: list[tuple[str, str]], window_s: int) -> Tokenizer:
    """Make Whisper's kind of tokenizer from pieces and their merges."""
    tokenizer: Any = Tokenizer(models.BPE(vocab, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in SPECIAL]
    )
    stamps = [f"<|{step * STEP_S:.2f}|>" for step in range(round(window_s / STEP_S) + 1)]
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in stamps])
    made: Tokenizer = tokenizer
    return made


def write_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write the files that WhisperTokenizer reads."""
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    settings = {
        "tokenizer_class": "WhisperTokenizer",
        "processor_class": "WhisperProcessor",
        "bos_token": END_OF_TEXT,
        "eos_token": END_OF_TEXT,
        "pad_token": END_OF_TEXT,
        "unk_token": END_OF_TEXT,
        # transformers takes the id after the last of these for the first time stamp's.
        "additional_special_tokens": list(SPECIAL[1:]),
        "model_max_length": 1024,
        "add_prefix_space": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2), encoding="utf-8")


class Vocabulary:
    """The ids that training needs by name."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.size: int = tokenizer.get_vocab_size(with_added_tokens=True)
        self.end = self.id(END_OF_TEXT)
        self.start = self.id("<|startoftranscript|>")
        self.no_timestamps = self.id("<|notimestamps|>")
        self.first_stamp = self.no_timestamps + 1
        self.pieces = self.end
        """Pieces of text have the ids below this; CTC's blank takes this one."""

    def id(self, token: str) -> int:
        """Return a token's id."""
        found = self.tokenizer.token_to_id(token)
        if found is None:
            raise KeyError(token)
        return int(found)

    def encode(self, text: str) -> list[int]:
        """Return the ids of a sentence as it stands in a transcript, after a space."""
        return list(self.tokenizer.encode(f" {text}").ids)

    def stamp(self, seconds: float) -> int:
        """Return the id of the nearest time stamp."""
        return self.first_stamp + min(round(seconds / STEP_S), self.size - self.first_stamp - 1)
