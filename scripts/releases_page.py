"""The tables and sentences of docs/releases.md, from what scripts/releases.py has recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from packaging.version import Version

PRECISIONS = {"transformers": ("fp32", "int8"), "bitsandbytes": ("int8",)}
"""What a package takes part in: bitsandbytes does nothing in fp32."""

COLUMNS = {
    "encoder_aten_ops": "encoder: aten ops",
    "encoder_bitsandbytes_ops": "bitsandbytes ops",
    "encoder_python_calls": "Python calls",
    "decode_aten_ops": "a token: aten ops",
    "decode_bitsandbytes_ops": "bitsandbytes ops",
    "decode_python_calls": "Python calls",
}
"""What is counted, and what stands over its column. Of a token it is the whole of a run's four
tokens, divided by four."""

Counts = Mapping[str, Mapping[str, float]]
"""By precision and column."""


def tables(found: Mapping[str, Any]) -> Iterator[str]:
    """Write the page's tables and the sentences under them, a package after the other."""
    for package, data in found.items():
        over = ", ".join(f"{name} {version}" for name, version in data["over"].items())
        yield from (f"## {package}", "", f"Over {over.replace('machine ', '')}.", "")
        for precision in PRECISIONS[package]:
            yield from _table(data["releases"], precision, data["not measured"])
        yield from (f"**What changed** from one release of {package} to the next:", "")
        yield from _sentences(data)
        yield ""
        if data["not measured"]:
            yield from (f"Not measured yet: {', '.join(data['not measured'])}.", "")
        if data["skipped"]:
            yield "Skipped:"
            yield from (f"- {each}: {reason}" for each, reason in data["skipped"].items())
        else:
            yield f"No release of {package} was skipped."
        yield ""


def _table(
    releases: Mapping[str, Counts], precision: str, unmeasured: Sequence[str]
) -> Iterator[str]:
    """Write a table with a row for each run of releases that cost the same.

    A row holds neighbours: it ends where a release comes that was not measured.
    """
    yield from (f"In {precision}:", "", f"| releases | {' | '.join(COLUMNS.values())} |")
    yield f"| --- |{' ---: |' * len(COLUMNS)}"
    known = sorted([*releases, *unmeasured], key=Version)
    for counts, group in groupby(known, lambda each: _figures(releases, each, precision)):
        names = list(group)
        if counts is None:
            continue
        figures = " | ".join(f"{counts[column]:.10g}" for column in COLUMNS)
        named = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
        yield f"| {named} | {figures} |"
    yield ""


def _figures(releases: Mapping[str, Counts], name: str, precision: str) -> dict[str, float] | None:
    """Return what a release was counted at, if it was."""
    return dict(releases[name][precision]) if name in releases else None


_THINGS = {
    "aten_ops": "aten ops",
    "bitsandbytes_ops": "bitsandbytes ops",
    "python_calls": "Python calls",
}


def _sentences(data: Mapping[str, Any]) -> Iterator[str]:
    """Say of each change how much it is, where, and what it is made of."""
    for change in data["changes"]:
        before, after = (data["releases"][change[end]] for end in ("from", "to"))
        said = []
        for column, causes in change["causes"].items():
            amounts: dict[float, list[str]] = {}
            for precision in before.keys() & after.keys():
                by = round(after[precision][column] - before[precision][column], 6)
                if by:
                    amounts.setdefault(by, []).append(precision)
            said.append(_amount(column, amounts) + (f" ({'; '.join(causes)})" if causes else ""))
        yield f"- Compared with {change['from']}, {_which(data, change)} {'; '.join(said)}."


def _which(data: Mapping[str, Any], change: Mapping[str, Any]) -> str:
    """Name what a change came with: one release, or several if those between were not measured."""
    one, two = Version(change["from"]), Version(change["to"])
    between = sorted(
        each for each in map(Version, [*data["not measured"], *data["skipped"]]) if one < each < two
    )
    if not between:
        return f"**{two}** takes"
    return f"**{between[0]} to {two}**, of which only {two} was measured, take"


def _amount(column: str, amounts: Mapping[float, Sequence[str]]) -> str:
    """Write how much more or fewer there are of something, by precision."""
    stage, _, count = column.partition("_")
    where = "a token" if stage == "decode" else "in the encoder"
    said: list[str] = []
    for by, precisions in sorted(amounts.items()):
        how = "more" if by > 0 else "fewer"
        things = _THINGS[count] if abs(by) != 1 else _THINGS[count].removesuffix("s")
        what = "" if said else f" {things} {where}"
        said.append(f"{abs(by):.10g} {how}{what} in {' and in '.join(sorted(precisions))}")
    return " and ".join(said)


START, END = "<!-- made by scripts/releases.py -->", "<!-- end -->"


def page_with(text: str, found: Mapping[str, Any]) -> str:
    """Return a page with its tables replaced."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    made = "\n".join([START, "", *tables(found), END])
    return f"{before}{made}{after}"
