"""The command line of nano's training: speak, train, export, evaluate, card."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from training.config import CONFIG, read_config

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)

ConfigFile = Annotated[Path, typer.Option("--config", help="What decides all of it.")]
Corpora = Annotated[Path, typer.Option(help="Where the speech is.")]
Run = Annotated[Path, typer.Option(help="Where the training is.")]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Checkpoint = Annotated[Path, typer.Option(help="The exported checkpoint.")]

_CORPORA = Path("build/nano/speech")
_RUN = Path("build/nano/run")
_CHECKPOINT = Path("build/nano/nano")
_EVALUATION = "evaluation.json"
_ABOUT = "training.json"


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What the card tells of a training besides its configuration."""

    steps: int
    seconds: float
    device: str
    corpora: dict[str, object]


@app.command()
def speak(
    corpora: Corpora = _CORPORA,
    config: ConfigFile = CONFIG,
    processes: Annotated[int, typer.Option(help="How many speak at once.")] = os.cpu_count() or 1,
    limit: Annotated[int | None, typer.Option(help="Only the first so many, to try it.")] = None,
    only: Annotated[str, typer.Option(help="train or heldout: speak this one alone.")] = "",
) -> None:
    """Speak the training and the held-out sentences, by flite and espeak-ng."""
    from training.speech import missing_synthesizers, speak_corpora

    if missing := missing_synthesizers():
        raise typer.BadParameter(
            f"{' and '.join(missing)} not found: apt-get install {' '.join(missing)}"
        )
    speak_corpora(read_config(config), corpora, processes=processes, limit=limit, only=only)


@app.command()
def train(
    corpora: Corpora = _CORPORA,
    run: Run = _RUN,
    config: ConfigFile = CONFIG,
    device: Device = "cuda",
    max_seconds: Annotated[
        float, typer.Option(help="Stop after these; call again to go on.")
    ] = 1e9,
    most_steps: Annotated[int | None, typer.Option(help="Stop after so many, likewise.")] = None,
    workers: Annotated[int, typer.Option(help="Processes that plan the windows.")] = 4,
) -> None:
    """Train, or go on with a training that was stopped."""
    start = time.perf_counter()
    from training.train import Trainer

    settings = read_config(config)
    trainer = Trainer(settings, corpora, run, device)
    # Reading the speech, which takes half a minute of a new machine, is of the call's time too.
    left = max_seconds - (time.perf_counter() - start)
    if trainer.run(max_seconds=left, workers=workers, most_steps=most_steps):
        print(f"done: {settings.training.steps} steps in {trainer.progress.seconds:.0f} s")
    else:
        print(
            f"stopped after {trainer.progress.step} of {settings.training.steps} steps: "
            "the same command goes on"
        )


@app.command()
def export(
    corpora: Corpora = _CORPORA,
    run: Run = _RUN,
    checkpoint: Checkpoint = _CHECKPOINT,
    config: ConfigFile = CONFIG,
) -> None:
    """Write the checkpoint that from_pretrained loads, as far as the training has come."""
    from training.corpus import Corpus
    from training.curve import curve
    from training.model import export as write_checkpoint
    from training.train import read_log, trained

    whisper, vocabulary, state = trained(read_config(config), run)
    write_checkpoint(whisper, vocabulary, checkpoint)
    log = read_log(run)
    (checkpoint / "curve.svg").write_text(curve(log), encoding="utf-8")
    made = Made(
        steps=state["step"],
        seconds=state["seconds"],
        device=state["device"],
        corpora={
            part: msgspec.to_builtins(Corpus.load(corpora / part).about)
            for part in ("train", "heldout")
        },
    )
    (checkpoint / _ABOUT).write_bytes(msgspec.json.encode(made))
    size = sum(path.stat().st_size for path in checkpoint.iterdir())
    print(f"{checkpoint}: {size / 1e6:.2f} MB after {state['step']} steps")


@app.command()
def evaluate(
    corpora: Corpora = _CORPORA,
    checkpoint: Checkpoint = _CHECKPOINT,
    device: Device = "cpu",
    precision: Annotated[str, typer.Option(help="Such as fp32,int8,nf4.")] = "fp32",
    limit: Annotated[int | None, typer.Option(help="Only the first so many.")] = None,
) -> None:
    """Score the checkpoint on what was held out and on the clips; print a table."""
    from training.evaluate import Report, table
    from training.evaluate import evaluate as score_checkpoint

    path = checkpoint / _EVALUATION
    known = msgspec.json.decode(path.read_bytes(), type=list[Report]) if path.is_file() else []
    asked = precision.split(",")
    reports = [one for one in known if one.precision not in asked or one.device != device]
    for name in asked:
        made = score_checkpoint(
            checkpoint, corpora / "heldout", precision=name, device=device, limit=limit
        )
        reports.append(made)
        for row in made.scores:
            for said, heard in row.examples:
                print(f"{name}, {row.name}\n  said:  {said}\n  heard: {heard}")
    path.write_bytes(msgspec.json.encode(reports))
    print(table(reports))


@app.command()
def card(checkpoint: Checkpoint = _CHECKPOINT, config: ConfigFile = CONFIG) -> None:
    """Write the model card from the checkpoint's own files; run it after evaluate."""
    from training.card import card as write
    from training.card import parameters_in, write_card
    from training.corpus import About
    from training.evaluate import Report
    from training.sentences import Grammar

    path = checkpoint / _EVALUATION
    made = msgspec.json.decode((checkpoint / _ABOUT).read_bytes(), type=Made)
    text = write(
        read_config(config),
        {part: msgspec.convert(about, About) for part, about in made.corpora.items()},
        msgspec.json.decode(path.read_bytes(), type=list[Report]) if path.is_file() else [],
        words=len(Grammar.load().words),
        parameters=parameters_in(checkpoint),
        steps=made.steps,
        seconds=made.seconds,
        device=made.device,
    )
    write_card(checkpoint, text)
    print(text)


if __name__ == "__main__":
    app()
