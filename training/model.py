"""The model: transformers' Whisper in nano's sizes, and what training adds to it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)

from training.tokenizer import Vocabulary, write_tokenizer

if TYPE_CHECKING:
    from training.config import Model
    from training.windows import Plan

IGNORED = -100
"""The label of a position that nothing is learnt from."""

FRAMES_A_S = 50
"""The encoder's outputs in a second."""

_POOLED = 2
# Two outputs at once: 25 a second are three times the fastest voice's pieces, at half the cost.


def new_model(sizes: Model, vocabulary: Vocabulary) -> WhisperForConditionalGeneration:
    """Make a Whisper with random weights, from torch's global generator."""
    config = WhisperConfig(
        vocab_size=vocabulary.size,
        num_mel_bins=sizes.mel_bins,
        d_model=sizes.width,
        encoder_layers=sizes.encoder_layers,
        decoder_layers=sizes.decoder_layers,
        encoder_attention_heads=sizes.heads,
        decoder_attention_heads=sizes.heads,
        encoder_ffn_dim=4 * sizes.width,
        decoder_ffn_dim=4 * sizes.width,
        max_source_positions=sizes.window_s * FRAMES_A_S,
        max_target_positions=sizes.max_tokens,
        dropout=sizes.dropout,
        pad_token_id=vocabulary.end,
        bos_token_id=vocabulary.end,
        eos_token_id=vocabulary.end,
        decoder_start_token_id=vocabulary.start,
        # transformers' default names ids of OpenAI's vocabulary.
        begin_suppress_tokens=None,
        suppress_tokens=None,
        architectures=["WhisperForConditionalGeneration"],
    )
    model = WhisperForConditionalGeneration(config)
    model.generation_config = _generation_config(sizes, vocabulary)
    return model


def _generation_config(sizes: Model, vocabulary: Vocabulary) -> GenerationConfig:
    """Say how transcripts are decoded: as OpenAI's English-only checkpoints are.

    Nothing is suppressed: a window without speech has an empty transcript, and the model was
    taught so. For the same reason the first time stamp is free: speech may begin late.
    """
    return GenerationConfig(
        bos_token_id=vocabulary.end,
        eos_token_id=vocabulary.end,
        pad_token_id=vocabulary.end,
        decoder_start_token_id=vocabulary.start,
        no_timestamps_token_id=vocabulary.no_timestamps,
        prev_sot_token_id=vocabulary.id("<|startofprev|>"),
        is_multilingual=False,
        max_length=sizes.max_tokens,
        return_timestamps=False,
    )


class Learner(nn.Module):
    """A Whisper in training: with a layer that names the pieces as the encoder hears them."""

    def __init__(self, sizes: Model, vocabulary: Vocabulary, *, smoothing: float, ctc: float):
        super().__init__()
        self.whisper: Any = new_model(sizes, vocabulary)
        self.pieces = nn.Linear(sizes.width, vocabulary.pieces + 1)
        self._blank = vocabulary.pieces
        self._smoothing = smoothing
        self._ctc = ctc

    def forward(self, mel: torch.Tensor, plan: Plan) -> dict[str, torch.Tensor]:
        """Return the loss, and the two that it is the sum of, each per token."""
        heard = self.whisper.model.encoder(mel).last_hidden_state
        states = self.whisper.model.decoder(
            input_ids=plan.tokens, encoder_hidden_states=heard, use_cache=False
        ).last_hidden_state
        logits = self.whisper.proj_out(states)
        said = functional.cross_entropy(
            logits.flatten(0, 1).float(),
            plan.labels.flatten(),
            ignore_index=IGNORED,
            label_smoothing=self._smoothing,
        )
        aligned = self._alignment(heard, plan)
        return {"loss": said + self._ctc * aligned, "said": said, "aligned": aligned}

    def _alignment(self, heard: torch.Tensor, plan: Plan) -> torch.Tensor:
        """Return the connectionist temporal classification's loss (Graves et al. 2006)."""
        pooled = functional.avg_pool1d(heard.transpose(1, 2), _POOLED).transpose(1, 2)
        scores = self.pieces(pooled).float().log_softmax(-1)
        lengths = (plan.heard_s * (FRAMES_A_S / _POOLED)).ceil().long()
        losses = functional.ctc_loss(
            scores.transpose(0, 1),
            plan.heard,
            lengths.clamp(1, scores.shape[1]),
            plan.heard_lengths,
            blank=self._blank,
            reduction="none",
            zero_infinity=True,
        )
        return losses.sum() / plan.heard_lengths.sum().clamp(min=1)


def export(whisper: Any, vocabulary: Vocabulary, folder: Path) -> None:
    """Write a checkpoint that `from_pretrained` loads, with its weights in 16 bits.

    The folder gets its name when it is complete.
    """
    from safetensors.torch import save_file

    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    tensors = {
        name: tensor.detach().to("cpu", torch.float16).contiguous()
        for name, tensor in whisper.state_dict().items()
        if name != "proj_out.weight"  # tied to the decoder's embedding
    }
    save_file(tensors, part / "model.safetensors", metadata={"format": "pt"})
    (part / "model.safetensors").chmod(0o644)
    config = WhisperConfig.from_dict({**whisper.config.to_dict(), "dtype": "float16"})
    # What was good for training is no part of the model.
    config.dropout = 0.0
    config.save_pretrained(part)
    whisper.generation_config.save_pretrained(part)
    WhisperFeatureExtractor(
        feature_size=config.num_mel_bins, chunk_length=config.max_source_positions // FRAMES_A_S
    ).save_pretrained(part)
    write_tokenizer(vocabulary.tokenizer, part)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
