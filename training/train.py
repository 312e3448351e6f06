"""The training loop: seeded, stopped at any time, gone on with later."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.utils.data import DataLoader

from training.config import Config, Training
from training.corpus import Corpus, Utterance
from training.evaluate import decode, pooled_wer
from training.features import log_mel, mel_filters
from training.model import Learner
from training.sound import augment, lay_out, mask_mel, pad_mel
from training.tokenizer import Vocabulary, train_tokenizer
from training.windows import Plan, Planner
from whisperbench.units import SAMPLE_RATE_HZ

CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"
_TOKENIZER = "tokenizer.json"
_BETAS = (0.9, 0.98)
# Held-out utterances that are transcribed on the way, each to at most so many tokens.
_PROBED = 64
_PROBE_TOKENS = 80


def learning_rate(step: int, settings: Training) -> float:
    """Return a step's learning rate: a linear rise, then half a cosine down to zero."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    done = (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


@dataclass(kw_only=True)
class Progress:
    """How far a training has come."""

    step: int
    """Steps that were made."""
    seconds: float
    """Seconds that they took, evaluation included."""


class Trainer:
    """A training on a device, with its files in a folder."""

    def __init__(self, config: Config, corpora: Path, folder: Path, device: str) -> None:
        """Begin a training, or take up the one that the folder holds.

        Raises:
            ValueError: the folder holds one of another configuration.
        """
        self.config = config
        self.folder = folder
        self.device = device
        folder.mkdir(parents=True, exist_ok=True)
        corpus = Corpus.load(corpora / "train")
        self._heldout = Corpus.load(corpora / "heldout")
        self.vocabulary = _vocabulary(config, corpus, folder)
        self._planner = Planner(config, corpus.utterances, self.vocabulary)
        # The whole corpus fits on a GPU: some 7 GB.
        self._samples = torch.from_numpy(np.array(corpus.samples)).to(device)
        self._filters = mel_filters(config.model.mel_bins, device)
        torch.manual_seed(config.seed)
        self.learner = _learner(config, self.vocabulary).to(device)
        self._optimizer = torch.optim.AdamW(
            _groups(self.learner, config.training.weight_decay),
            lr=0.0,
            betas=_BETAS,
            fused=device != "cpu",
        )
        self.progress = Progress(step=0, seconds=0.0)
        if (folder / CHECKPOINT).is_file():
            self._load()

    def run(self, *, max_seconds: float, workers: int, most_steps: int | None = None) -> bool:
        """Train until all steps are made or the time is up; return whether all are.

        Args:
            max_seconds: after these no step is begun, and a checkpoint is written.
            workers: processes that plan the windows.
            most_steps: stop after so many of this call, likewise.
        """
        settings = self.config.training
        start = time.perf_counter()
        before = self.progress.seconds
        last = min(settings.steps, self.progress.step + (most_steps or settings.steps))
        plans = DataLoader(
            self._planner,
            sampler=range(self.progress.step, last),
            batch_size=None,
            num_workers=workers,
            pin_memory=self.device != "cpu",
        )
        self.learner.train()
        sums: dict[str, torch.Tensor] = {}
        mark, marked = start, self.progress.step
        for step, plan in enumerate(plans, self.progress.step):
            if time.perf_counter() - start > max_seconds:
                break
            for name, value in self.step(step, plan).items():
                sums[name] = sums.get(name, torch.zeros((), device=self.device)) + value
            self.progress.step = made = step + 1
            if made % settings.log_every == 0 or made == settings.steps:
                means = {name: float(total) / (made - marked) for name, total in sums.items()}
                now = time.perf_counter()
                pace = (made - marked) / (now - mark)
                self._log(
                    {
                        "step": made,
                        "seconds": round(before + now - start, 1),
                        "steps_a_second": round(pace, 2),
                        "learning_rate": learning_rate(step, settings),
                        **{name: round(mean, 5) for name, mean in means.items()},
                    }
                )
                if not math.isfinite(means["loss"]):
                    raise FloatingPointError(f"the loss of the steps to {made} is not finite")
                sums, mark, marked = {}, now, made
            if made % settings.evaluate_every == 0:
                self._log({"step": made, "heldout_wer": round(self.probe(), 5)})
                mark = time.perf_counter()
            self.progress.seconds = before + time.perf_counter() - start
            if made % settings.checkpoint_every == 0:
                self.save()
        self.save()
        return self.progress.step >= settings.steps

    def step(self, step: int, plan: Plan) -> dict[str, torch.Tensor]:
        """Make one step; return its losses and the gradient's norm, still on the device."""
        settings = self.config.training
        # Whatever is drawn in a step follows from its number, so nothing needs to be kept.
        torch.manual_seed(self.config.seed * 1_000_003 + step)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(step, settings)
        total = int(plan.count.sum())
        plan = plan.to(self.device)
        mel = self.features(plan, total, step)
        with torch.autocast(torch.device(self.device).type, dtype=torch.bfloat16):
            losses: dict[str, torch.Tensor] = self.learner(mel, plan)
        self._optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.learner.parameters(), settings.clip)
        self._optimizer.step()
        return {**{name: loss.detach() for name, loss in losses.items()}, "gradient": norm.detach()}

    @torch.no_grad()
    def features(self, plan: Plan, total: int, step: int) -> torch.Tensor:
        """Make the log-mel spectrograms of a plan's windows."""
        settings = self.config.augmentation
        generator = torch.Generator(self.device).manual_seed(self.config.seed + 7919 * step)
        size = self.config.model.window_s * SAMPLE_RATE_HZ
        waves = lay_out(self._samples, plan, total, size)
        waves = augment(waves, plan, settings, generator)
        mel = mask_mel(log_mel(waves, self._filters), settings.mel_mask, generator)
        return pad_mel(mel, plan, settings.zero_padded, generator)

    def probe(self) -> float:
        """Transcribe some of what is held out; return the word error rate."""
        corpus = self._heldout
        probed = corpus.utterances[:_PROBED]
        size = self.config.model.window_s * SAMPLE_RATE_HZ
        waves = torch.zeros(len(probed), size)
        for row, utterance in enumerate(probed):
            audio = torch.from_numpy(corpus.audio(utterance))[:size]
            waves[row, : len(audio)] = audio
        self.learner.eval()
        with torch.no_grad():
            mel = log_mel(waves.to(self.device), self._filters)
            texts = decode(self.learner.whisper, self.vocabulary, mel, _PROBE_TOKENS)
        self.learner.train()
        return pooled_wer([utterance.text for utterance in probed], texts)

    def save(self) -> None:
        """Write all that a later call needs to go on as if there had been no break."""
        part = self.folder / f".{CHECKPOINT}.part"
        torch.save(
            {
                "config": self.config.digest,
                "step": self.progress.step,
                "seconds": self.progress.seconds,
                "device": _device_name(self.device),
                "learner": self.learner.state_dict(),
                "optimizer": self._optimizer.state_dict(),
            },
            part,
        )
        part.replace(self.folder / CHECKPOINT)

    def _load(self) -> None:
        state = read_checkpoint(self.config, self.folder, self.device)
        self.learner.load_state_dict(state["learner"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.progress = Progress(step=state["step"], seconds=state["seconds"])
        # What was logged after the checkpoint is logged again.
        kept = [line for line in read_log(self.folder) if line["step"] <= self.progress.step]
        lines = "".join(json.dumps(line) + "\n" for line in kept)
        (self.folder / LOG).write_text(lines, encoding="utf-8")

    def _log(self, line: dict[str, Any]) -> None:
        with (self.folder / LOG).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
        print(" ".join(f"{name}={value:.4g}" for name, value in line.items()), flush=True)


def read_log(folder: Path) -> list[dict[str, float]]:
    """Read what a training logged."""
    path = folder / LOG
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def read_checkpoint(config: Config, folder: Path, device: str) -> dict[str, Any]:
    """Read a training's state.

    Raises:
        ValueError: it is of another configuration.
    """
    state: dict[str, Any] = torch.load(folder / CHECKPOINT, map_location=device, weights_only=True)
    if state["config"] != config.digest:
        raise ValueError(
            f"{folder}: holds a training of another configuration ({state['config']}, this is "
            f"{config.digest}); give another folder, or remove it"
        )
    return state


def trained(config: Config, folder: Path) -> tuple[Any, Vocabulary, dict[str, Any]]:
    """Return the model of a training as far as it has come, its vocabulary, and its state."""
    vocabulary = Vocabulary(Tokenizer.from_file(str(folder / _TOKENIZER)))
    state = read_checkpoint(config, folder, "cpu")
    learner = _learner(config, vocabulary)
    learner.load_state_dict(state["learner"])
    return learner.whisper, vocabulary, state


def _learner(config: Config, vocabulary: Vocabulary) -> Learner:
    settings = config.training
    return Learner(config.model, vocabulary, smoothing=settings.smoothing, ctc=settings.ctc)


def _device_name(device: str) -> str:
    return "a CPU" if device == "cpu" else torch.cuda.get_device_name(device)


def _vocabulary(config: Config, corpus: Corpus, folder: Path) -> Vocabulary:
    """Return the tokenizer of a training; the first call makes it."""
    path = folder / _TOKENIZER
    if not path.is_file():
        made = train_tokenizer(
            _texts(corpus.utterances), config.model.pieces, config.model.window_s
        )
        made.save(str(path))
    return Vocabulary(Tokenizer.from_file(str(path)))


def _texts(utterances: list[Utterance]) -> Iterator[str]:
    return (utterance.text for utterance in utterances)


def _groups(learner: Learner, decay: float) -> list[dict[str, Any]]:
    """Decay the matrices; embeddings, biases and norms are left alone."""
    decayed: list[torch.nn.Parameter] = []
    kept: list[torch.nn.Parameter] = []
    for name, parameter in learner.named_parameters():
        if not parameter.requires_grad:
            continue
        matrix = parameter.ndim >= 2 and "embed" not in name
        (decayed if matrix else kept).append(parameter)
    return [{"params": decayed, "weight_decay": decay}, {"params": kept, "weight_decay": 0.0}]
