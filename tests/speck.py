"""The smallest Whisper that the suite takes: random weights, one layer of each half, one head.

A round of nano's or of dummy:tiny:1's takes half a second on a slow core, nearly all of it in the
encoder. Where a claim is about the run and not about its model, this one takes a tenth of that.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from whisperbench.asked.checkout import NANO_FOLDER
from whisperbench.whisper.quiet import quieten

WIDTH = 64
"""Of one head, as every Whisper's heads are."""

LAYERS = ("encoder_layers", "decoder_layers")
HEADS = ("encoder_attention_heads", "decoder_attention_heads")
FEED_FORWARD = ("encoder_ffn_dim", "decoder_ffn_dim")

OUTLIERS = 6
"""Hidden dimensions in which activations are as large as a trained model's outliers."""


def make_speck(folder: Path) -> Path:
    """Write the checkpoint into a new folder: nano's vocabulary, its own weights."""
    import torch
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    fields = json.loads((NANO_FOLDER / "config.json").read_text(encoding="utf-8"))
    fields |= {"d_model": WIDTH, **dict.fromkeys((*LAYERS, *HEADS), 1)}
    fields |= dict.fromkeys(FEED_FORWARD, 4 * WIDTH)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = WhisperForConditionalGeneration(WhisperConfig(**fields)).half()
    for half in (model.model.encoder, model.model.decoder):
        half.layers[0].self_attn_layer_norm.bias.data[:OUTLIERS] = 10.0
        half.layers[0].final_layer_norm.bias.data[:OUTLIERS] = 10.0
    quieten()  # a bar of progress would leave a thread behind
    model.save_pretrained(folder)
    for name in ("generation_config", "preprocessor_config", "tokenizer", "tokenizer_config"):
        shutil.copy(NANO_FOLDER / f"{name}.json", folder)
    return folder
