"""The options of `pytest benchmarks/`: one table that --help, the plan and README's table read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

from whisperbench.asked.precisions import PRECISIONS, own_precision
from whisperbench.asked.suite import FEWEST_CALLS, MAX_TOKENS, Attention
from whisperbench.errors import InputError, require_plain
from whisperbench.text.languages import language_code


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option."""

    name: str
    """Without its dashes."""
    metavar: str = ""
    """What --help shows for its value; empty for a switch, which has none."""
    takes: str
    """What it takes and what it is for, as README's table has it."""
    several: bool = False
    """Whether it lists values, with commas or by being given again; else it is given once."""
    optional: bool = False
    """Whether its value may be left out."""
    field: str = ""
    """The field of a suite.toml profile that it replaces; empty where it is for something else."""
    read: Callable[[str], object] = str
    """Makes a value of that field of a text. It raises InputError."""

    @property
    def flag(self) -> str:
        """The option as it is typed."""
        return f"--{self.name}"

    @property
    def help(self) -> str:
        """What --help says, which knows no Markdown."""
        return self.takes.replace("`", "")


def whole_number(option: str, text: str, low: int, high: int | None = None) -> int:
    """Read a whole number within bounds.

    Raises:
        InputError: it is none, or lies outside.
    """
    number = int(text) if text.isascii() and text.isdecimal() else None
    if number is None or number < low or (high is not None and number > high):
        bounds = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise InputError(f"{option} {text}: must be a whole number {bounds}")
    return number


def _attention(text: str) -> str:
    known = get_args(Attention)
    if text not in known:
        raise InputError(f"--attention {text}: unknown; choose from {', '.join(known)}")
    return text


def _listed(names: Iterable[str]) -> str:
    return " ".join(f"`{name}`" for name in names)


OPTIONS = (
    Option(
        name="model",
        metavar="SPEC[,SPEC]",
        takes="hub id `owner/name[@<40-hex revision>]`, folder, `dummy:<size>[:<layers>]`, or "
        "`nano`",
        several=True,
        field="models",
    ),
    Option(
        name="precision",
        metavar="NAME[,NAME]",
        takes=f"{_listed(row.name for row in PRECISIONS.values() if not row.as_saved)}, or "
        "`as-saved`: as the checkpoint was saved",
        several=True,
        field="precisions",
    ),
    Option(
        name="transcriber",
        metavar="MODULE:FACTORY[,...]",
        takes="your own code, measured beside the precisions: docs/transcribers.md",
        several=True,
        field="transcribers",
        read=lambda text: own_precision(text).name,
    ),
    Option(
        name="clip",
        metavar="CLIP[,CLIP]",
        takes="a clip of the suite, or a wav, flac or mp3 file with its text in the .txt beside it",
        several=True,
        field="clips",
    ),
    Option(
        name="data",
        metavar="PATH",
        takes="for `test_quality`: a folder of recordings with .txt files beside them, or a "
        "manifest of JSON lines",
    ),
    Option(
        name="batch-size",
        metavar="N[,N]",
        takes="clips transcribed at once",
        several=True,
        field="batch_sizes",
        read=lambda text: whole_number("--batch-size", text, 1),
    ),
    Option(
        name="attention",
        metavar="NAME[,NAME]",
        takes=_listed(get_args(Attention)),
        several=True,
        field="attention",
        read=_attention,
    ),
    Option(
        name="tokens",
        metavar="N",
        takes=f"tokens of the fixed-length decode, up to {MAX_TOKENS}",
        field="tokens",
        read=lambda text: whole_number("--tokens", text, 1, MAX_TOKENS),
    ),
    Option(
        name="rounds",
        metavar="N",
        takes="timed rounds of each benchmark, neither more nor fewer; of start-up, where each is "
        "a process, at most the profile's",
        field="rounds",
        read=lambda text: whole_number("--rounds", text, 1),
    ),
    Option(
        name="soak-calls",
        metavar="N",
        takes=f"calls of `test_soak`, from {FEWEST_CALLS} on",
        field="soak_calls",
        read=lambda text: whole_number("--soak-calls", text, FEWEST_CALLS),
    ),
    Option(
        name="language",
        metavar="CODE",
        takes="language of the clips, as in `de`, `de-DE` or `German`, for multilingual models",
        field="language",
        read=lambda text: language_code(text, "--language"),
    ),
    Option(
        name="allow-unused",
        takes="measure a model although an adapter or tensors that came with it are not used",
    ),
    Option(
        name="all",
        takes="measure also what the default run leaves out: start-up, durations, the soak, and on "
        "a CPU the stages and what nano hears in bf16 and nf4",
    ),
    Option(
        name="device",
        metavar="DEVICE",
        takes="`cpu`, `cuda` or `cuda:<index>`; by default the first GPU, or the CPU where there "
        "is none",
    ),
    Option(
        name="baseline",
        metavar="PATH",
        takes="a baseline to judge by; without a path this device's own, "
        "`baselines/<device key>/default.json`",
        optional=True,
    ),
    Option(
        name="shard",
        metavar="I/N",
        takes="measure shard I of N of the run alone, from 1 on; `whisperbench merge` puts all N "
        "together",
    ),
    Option(
        name="shard-times",
        metavar="RUN.json",
        takes="a run or a baseline whose times balance the shards; by default the device's own "
        "baseline, and without one all cells count alike",
    ),
    Option(
        name="result",
        metavar="PATH",
        takes="where to write the run's JSON file; by default `results/<time>-<device key>.json`",
    ),
)
"""All of them, in the order in which people are shown them."""


def only(option: str, texts: Sequence[str]) -> str | None:
    """Return the value of an option that takes one; None where it was not given.

    Raises:
        InputError: it was given twice, so that one would be forgotten; or it is empty, or cannot
            be printed.
    """
    if len(texts) > 1:
        raise InputError(
            f"{option}: was given {len(texts)} times (look at addopts and PYTEST_ADDOPTS too); "
            "give it once"
        )
    for text in texts:
        if not text.strip():
            raise InputError(f"{option}: an empty value; give it one, or leave the option out")
        require_plain(text, option)
    return texts[0] if texts else None


def listed(option: str, texts: Sequence[str]) -> tuple[str, ...]:
    """Split repeated and comma-separated values; keep the first of equal ones.

    A path that exists is taken whole: it may have a comma in its name.

    Raises:
        InputError: a value is empty or cannot be printed.
    """
    for text in texts:
        require_plain(text, option)
    values = [
        value.strip()
        for text in texts
        for value in ([text] if os.path.exists(text) else text.split(","))  # noqa: PTH110 - raises never
    ]
    if not all(values):
        raise InputError(f"{option}: an empty value; separate values with single commas")
    return tuple(dict.fromkeys(values))


def readme_table() -> list[str]:
    """Return the lines of README's table of options."""
    rows = []
    for row in OPTIONS:
        value = f" [{row.metavar}]" if row.optional else f" {row.metavar}" if row.metavar else ""
        rows.append(f"| `{row.flag}{value}` | {row.takes} |")
    return ["| option | takes |", "| --- | --- |", *rows]
