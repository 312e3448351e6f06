"""Damaged run files, and what reading one must come to. Shared with scripts/fuzz_loader.py.

Over 300 lines, because it is one subject with one set of helpers.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from tests.runs import (
    cost_of,
    make_cell,
    make_cost,
    make_measurement,
    make_memory,
    make_run,
    make_run_file,
    make_soak,
)
from whisperbench.errors import InputError
from whisperbench.judge.compare import Gate
from whisperbench.judge.comparison import Comparison
from whisperbench.report.verdict_formats import FORMATS
from whisperbench.results.figure import Metric
from whisperbench.results.passes import (
    ClipScore,
    Compilation,
    DeviceConditions,
    Energy,
    LatencyResult,
    MemoryCourse,
    MemoryPhase,
    MemoryResult,
    NumericsResult,
    Part,
    QualityResult,
)
from whisperbench.results.ran import Ran
from whisperbench.results.records import ManifestEntry, Run, Verdict
from whisperbench.results.run_file import read_run

Tree = Any
"""What a JSON document is made of."""

_ABSENT: dict[tuple[str, str], object] = {("$.info", "processes"): 1, ("$.info", "remarks"): []}
"""What stands for a field that is left out, where that is not nothing."""

LONGEST = 700
"""Characters of a refusal: the path and another library's message have 300 each."""

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


class WrongReadError(AssertionError):
    """A file was read as something that it does not say, or refused in a way that is no help."""


# Over 60 lines: it has something in every field of a result.
def make_file() -> Tree:
    """Make up a run file with something in every field, and what other tools put beside it."""
    cell, cpu = make_cell("int8", tokens=None), make_cell("fp16", device="cpu")
    judged = Verdict(
        verdict="ok",
        metric="peak_process_mib",
        head=3000.5,
        limit=4000.0,
        unit="MiB",
        sentence="peak_process_mib is 3000.5 MiB of at most 4000.0 MiB",
    )
    missing = msgspec.structs.replace(judged, verdict="missing", head=None, absent="fp16")
    undecided = msgspec.structs.replace(
        judged, verdict="inconclusive", interval=(-0.5, 12.5), kind="wall", unseen=0.18
    )
    verdicts = (judged, missing, undecided)
    op = Part(kind="op", name="aten::to", op="", module="Linear", stage="decode", count=32)
    parts = (op, msgspec.structs.replace(op, kind="kernel", time_us=12.5))
    calls = {"decode": {"modules.Linear8bitLt.forward": 160}}
    cost = make_cost(cell, {"aten_ops": 4000, "python_calls": 12_000}, gpu_ms=1.5)
    merged = Metric(name="wer", unit="1", kind="quality", better="lower", processes=(0.25,))
    cost = msgspec.structs.replace(cost, metrics=(*cost.metrics, merged))
    clip = ClipScore(
        name="jfk",
        words=22,
        word_edits=1,
        characters=110,
        character_edits=3,
        tokens=25,
        signs=("loops", "length off"),
    )
    conditions = DeviceConditions(
        others="visible",
        sm_clock_mhz=1980.0,
        lowest_sm_clock_mhz=1755.0,
        highest_temperature_c=-1.0,
        event_reasons="power cap",
        attempts_not_believed="attempt 1, p50 2.00 s: the GPU was slowed down",
    )
    heard = make_measurement(rtfx=27.25, wer=0.05)
    ran = Ran(
        weights={"int8": 1_200_000, "float16": 400_000},
        computes_in="int8",
        layers={"Linear8bitLt of int8": 50, "Linear of float16": 1},
        emulated="bfloat16",
        compiled_graphs=1,
        compiled_calls=3,
        threads=2,
        attention=("cudnn", "flash"),
        products={"bitsandbytes::int8_linear_matmul": 66},
        kernels={"8-bit matrix products": 66},
        graph_launches=3,
    )
    timed = LatencyResult(
        conditions=conditions,
        ran=ran,
        transcripts=("ask not", "été 你好 ‍🙂"),
        energy=Energy(window_s=2.5, calls=12, attempts_not_believed="attempt 1: shared"),
        compilation=Compilation(
            functions=3, graphs=2, seconds=41.5, compiled_anew=("0/0: size mismatch",)
        ),
    )
    quality = QualityResult(
        clips=(clip, msgspec.structs.replace(clip, name="yes")),
        transcripts=("ask not", "yes"),
        normalizer="whisper-english",
        mark_edits=1,
        over_reference=(-0.5, 0.5),
    )
    memory = make_memory(cpu, {"peak_process_mib": 3000.5, "context_mib": -0.5}, verdicts=verdicts)
    watched = MemoryResult(
        judged="process (RSS)",
        polls=3000,
        poll_interval_ms=1.0,
        longest_gap_ms=12.5,
        process_poll_interval_ms=10.5,
        poll_cost_us=8.5,
        ready_s=5.5,
        idle_device_mib=420.5,
        course=MemoryCourse(
            of="process",
            at_s=(0.5, 1.25),
            held_mib=(300.0, 1475.5),
            phases=(MemoryPhase(name="load", start_s=0.0, end_s=1.25),),
        ),
    )
    counted = msgspec.structs.replace(
        cost_of(cost),
        parts=parts,
        calls=calls,
        not_counted="kernels: no CUPTI",
        copies_of_no_bytes=2,
    )
    soak = make_soak(cpu, {"host": 0.5, "drift": 1.02}, calls=20, not_told="malloc is silent.")
    run = make_run(
        msgspec.structs.replace(heard, found=timed),
        msgspec.structs.replace(memory, found=watched),
        msgspec.structs.replace(cost, found=counted),
        make_measurement("load"),
        msgspec.structs.replace(heard, benchmark="quality", found=quality),
        msgspec.structs.replace(
            heard, benchmark="numerics", found=NumericsResult(worst_layer="decoder 3")
        ),
        soak,
        manifest=(
            ManifestEntry(benchmark="test_a[x]", cell="x", outcome="measured"),
            ManifestEntry(benchmark="test_b[x]", cell="x", outcome="skipped", reason="no GPU"),
            ManifestEntry(
                benchmark="test_c[x]", cell="x", outcome="skipped", reason="x", not_offered=True
            ),
        ),
    )
    file = make_run_file(run)
    file["whisperbench"]["remarks"] = ["mine: config.json says use_cache: false, set aside."]
    depends_on = {"device": "nvidia-h200", "python": "3.12"}
    file["benchmarks"][2]["extra_info"]["whisperbench"]["metrics"][0]["conditions"] = depends_on
    for row in file["benchmarks"]:
        row |= {"group": None, "name": "test[x]", "stats": {"min": 0.5, "data": [0.5, 1e-7]}}
    file |= {"commit_info": {"id": "c0ffee", "dirty": False}, "version": "5.2.3"}
    return json.loads(json.dumps(file))  # tuples are lists there


# What reading must come to.


def check(path: Path) -> bool:
    """Read a file, and return whether it was accepted.

    Raises:
        WrongReadError: it was refused in other than one plain line, or accepted as something else
            than Python's own json module reads in it.
    """
    data = path.read_bytes()
    try:
        run = read_run(path)
    except InputError as error:
        _require_plain(str(error), path)
        return False
    _require_same(data, run)
    _require_judged(run)
    return True


def _require_judged(run: Run) -> None:
    """Hold a run against itself, and write what that comes to in each format."""
    try:
        gate = Gate(run, run.machine)
    except InputError:  # two cells that differ only in what must not differ
        return
    judged = gate.judge_all(run.measurements)
    found = Comparison(judged=judged, circumstances=gate.circumstances())
    for form in FORMATS.values():
        if "nan%" in form(found):
            raise WrongReadError("what is no number was written")


def _require_plain(message: str, path: Path) -> None:
    if not message.startswith(f"{path}: ") or len(message) > LONGEST:
        raise WrongReadError(f"too long, or names no file: {message[:2000]!a}")
    if _UNSAFE.search(message) or not message.removeprefix(f"{path}: ").strip():
        raise WrongReadError(f"not one plain line: {message!a}")


def _require_same(data: bytes, run: Run) -> None:
    try:
        file = json.loads(
            data.decode(),
            object_pairs_hook=_distinct,
            parse_constant=_no_constant,
            parse_int=lambda digits: int(digits) if len(digits) < 4000 else digits,
        )
    except ValueError as error:
        raise WrongReadError(f"accepted what is not JSON: {error}") from error
    said = {
        "machine": file["machine_info"]["whisperbench"],
        "info": file["whisperbench"],
        "measurements": [row["extra_info"]["whisperbench"] for row in file["benchmarks"]],
    }
    _require_equal(said, msgspec.json.decode(msgspec.json.encode(run)), "$")
    _require_sense(said["measurements"])


def _distinct(pairs: list[tuple[str, Tree]]) -> dict[str, Tree]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        raise ValueError(f"equal keys among {keys}")
    return dict(pairs)


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _require_equal(said: Tree, read: Tree, where: str) -> None:
    """Hold what a file says against what was read. What it leaves out must be read as nothing."""
    if isinstance(said, dict) and isinstance(read, dict):
        for key in said.keys() | read.keys():
            if _UNSAFE.search(key):
                raise WrongReadError(f"{where}: accepted the key {ascii(key)[:200]}")
            # Metrics and manifest entries leave out again what says nothing.
            absent = _ABSENT.get((where, key))
            _require_equal(said.get(key, absent), read.get(key), f"{where}.{key}")
    elif isinstance(said, list) and isinstance(read, list):
        of_part = len(said) == 6 and len(read) == 7 and read[0] in ("op", "kernel", "copy", "sync")
        expected = [*said, 0.0] if of_part else said
        if len(expected) != len(read):
            raise WrongReadError(f"{where}: {len(said)} said, {len(read)} read")
        for index, pair in enumerate(zip(expected, read, strict=True)):
            _require_equal(*pair, f"{where}[{index}]")
    elif not _same_scalar(said, read):
        raise WrongReadError(f"{where}: {ascii(said)[:200]} was read as {ascii(read)[:200]}")
    if isinstance(said, str) and _UNSAFE.search(said) and ".transcripts" not in where:
        raise WrongReadError(f"{where}: accepted {ascii(said)[:200]}")


def _same_scalar(said: Tree, read: Tree) -> bool:
    if said is None or read is None:
        return said in (None, "", {}, []) and read in (None, "", {}, [])
    if isinstance(said, bool) or isinstance(read, bool):
        return said is read
    if isinstance(said, int | float) and isinstance(read, float):
        return float(said) == read and abs(read) <= 1e18
    return type(said) is type(read) and bool(said == read)


def _require_sense(rows: Tree) -> None:
    cells = [(row["benchmark"], row["cell"]) for row in rows]
    names = [[metric["name"] for metric in row["metrics"]] for row in rows]
    if any(cell in cells[:index] for index, cell in enumerate(cells)):
        raise WrongReadError("accepted two measurements of one cell")
    if any(len(set(of_row)) != len(of_row) for of_row in names):
        raise WrongReadError("accepted two metrics of one name")
    for row in rows:
        below = [row["cell"]["batch_size"] - 1, row["cell"]["audio_s"]]
        for metric in row["metrics"]:
            figures = [
                metric.get("value"),
                *(metric.get("samples") or ()),
                *(metric.get("processes") or ()),
            ]
            if metric["kind"] != "memory" and not metric.get("derived"):
                below += [figure for figure in figures if figure is not None]
        if any(figure < 0 for figure in below):
            raise WrongReadError("accepted less than nothing")


# Damage.

VALUES: tuple[str, ...] = (
    *("null", "true", "false", '""', '"x"', "[]", "{}", "[[]]", '{"a": 1}', '["x", 1]', "[0.5]"),
    *("0", "-0", "1", "-1", "-0.5", "1.0", "1e0", "1.5", "01", "1.", ".5", "+1", "0x1", "1e"),
    *("9007199254740992", "9007199254740993", "18446744073709551616", "1e18", "2e18", "1e308"),
    *("1e309", "-1e400", "1e-400", "5e-324", "0.1000000000000000055511151231257827021181583404541"),
    *("NaN", "Infinity", "-Infinity", "nan", "9" * 400, "9" * 5000, "0." + "9" * 800, "undefined"),
    *('"\\u001b[31mred"', '"a\\nb"', '"a\\n"', '"\\u0000"', '"\x1b"', '"[bold]x[/bold]"'),
    *('"../../etc/passwd"', '"\\u202e"', '"\u2028"', '"\\ud800"', '"\\ud83d\\ude42"', '"\\q"'),
    *('"NaN"', '"1"', '"ok"', '"measured"', '"exact"', '"wall"', '"cpu"', '"' + "y" * 5000 + '"'),
    *("[" * 200 + "]" * 200, "[" * 3000 + "]" * 3000, "[" * 100_000, '{"a":' * 5000, "'x'", ""),
)
"""Texts in the place of a value: of other types, at the edges, and no JSON at all."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:e-?\d+)?|true|false|null|[][{}:,]')


class Mutator:
    """Makes damaged files of a sound one; the same seed gives the same file."""

    def __init__(self, tree: Tree) -> None:
        self.text = json.dumps(tree, ensure_ascii=False)
        self.data = self.text.encode()
        self.tokens = _TOKEN.findall(self.text)

    def mutate(self, seed: int) -> bytes:
        """Damage the file's bytes, its tokens or its tree, in one place or in a few."""
        dice = random.Random(seed)
        how = dice.random()
        damages = 1 if dice.random() < 0.7 else dice.randint(2, 5)
        if how < 0.3:
            data = bytearray(self.data)
            for _ in range(damages):
                dice.choice(_BYTE_DAMAGES)(data, dice)
            return bytes(data)
        if how < 0.5:
            tokens = list(self.tokens)
            for _ in range(damages):
                _damage_token(tokens, dice)
            return " ".join(tokens).encode("utf-8", "surrogatepass")
        tree = json.loads(self.text)
        for _ in range(damages):
            tree = damage_tree(tree, dice)
        return _written(tree).encode("utf-8", "surrogatepass")


def _flip(data: bytearray, dice: random.Random) -> None:
    if data:
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


def _insert(data: bytearray, dice: random.Random) -> None:
    at = dice.randint(0, len(data))
    data[at:at] = dice.choice(
        (dice.randbytes(1), b"\xff", b"\xef\xbb\xbf", b"\x00", b"\xed\xa0\x80")
    )


def _delete(data: bytearray, dice: random.Random) -> None:
    at = dice.randint(0, len(data))
    del data[at : at + dice.choice((1, 1, 2, 8, 200))]


def _splice(data: bytearray, dice: random.Random) -> None:
    start, at = dice.randint(0, len(data)), dice.randint(0, len(data))
    piece = data[start : start + dice.randint(1, 200)]
    data[at : at + len(piece)] = piece


def _truncate(data: bytearray, dice: random.Random) -> None:
    del data[dice.randint(0, len(data)) :]


def _duplicate(data: bytearray, dice: random.Random) -> None:
    start = dice.randint(0, len(data))
    piece = data[start : start + dice.randint(1, 400)]
    data[start:start] = piece


_BYTE_DAMAGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    *(_flip, _insert, _delete, _splice, _truncate, _duplicate),
)


def _damage_token(tokens: list[str], dice: random.Random) -> None:
    at = dice.randrange(len(tokens))
    what = dice.random()
    if what < 0.2:
        del tokens[at]
    elif what < 0.4:
        tokens.insert(at, dice.choice(tokens))
    elif what < 0.6:
        other = dice.randrange(len(tokens))
        tokens[at], tokens[other] = tokens[other], tokens[at]
    elif what < 0.8:
        tokens[at] = dice.choice(VALUES)
    else:
        tokens[at] = dice.choice(tokens)


class Text(str):
    """A text that stands in the file as it is, be it JSON or not."""

    __slots__ = ()


class Pairs(list[tuple[str, Tree]]):
    """An object whose keys may be equal."""


def damage_tree(tree: Tree, dice: random.Random) -> Tree:
    """Damage a document in one place: a value or a key of it."""
    place, key = dice.choice(_places(tree))
    what = dice.random()
    if what < 0.35:
        place[key] = Text(dice.choice(VALUES))
    elif what < 0.5:
        other, its_key = dice.choice(_places(tree))
        place[key] = json.loads(_written(other[its_key])) if _is_plain(other[its_key]) else None
    elif what < 0.65:
        del place[key]
    elif isinstance(place, list):
        place.insert(key, place[key])
    else:
        _damage_key(tree, place, key, dice)
    return tree


def _damage_key(tree: Tree, place: dict[str, Tree], key: str, dice: random.Random) -> None:
    """Rename a key, add one, or say it twice, plainly or by an escape."""
    what = dice.random()
    if what < 0.3:
        place[dice.choice((key + "s", key.upper(), "\x1b[2J", "x", ""))] = place.pop(key)
    elif what < 0.5:
        place[dice.choice(("extra", "a\nb", "\u202e"))] = Text(dice.choice(VALUES))
    else:
        again = Text(dice.choice(VALUES)) if dice.random() < 0.5 else place[key]
        pairs = Pairs([*place.items(), (key, again)])
        dice.shuffle(pairs)
        _put_in_place(tree, place, pairs)


def _put_in_place(tree: Tree, old: Tree, new: Tree) -> None:
    for place, key in _places(tree):
        if place[key] is old:
            place[key] = new
            return


def _places(tree: Tree) -> list[tuple[Tree, Any]]:
    """List every place of a document that holds a value."""
    found: list[tuple[Tree, Any]] = []
    waiting = [tree]
    while waiting:
        place = waiting.pop()
        if isinstance(place, dict):
            keys: list[Any] = list(place)
        elif isinstance(place, list) and not isinstance(place, Pairs):
            keys = list(range(len(place)))
        else:
            continue
        found += [(place, key) for key in keys]
        waiting += [place[key] for key in keys]
    return found or [([None], 0)]


def _is_plain(tree: Tree) -> bool:
    below = [tree, *(place[key] for place, key in _places(tree))]
    return not any(isinstance(value, Text | Pairs) for value in below)


def _written(tree: Tree) -> str:
    if isinstance(tree, Text):
        return str(tree)
    if isinstance(tree, Pairs):
        keys = [json.dumps(key) for key, _ in tree]
        # Two spellings of one key: the second by an escape.
        keys = [
            f'"\\u{ord(tree[at][0][0]):04x}{key[2:]}'
            if key in keys[:at] and tree[at][0][:1].isalpha() and at % 2
            else key
            for at, key in enumerate(keys)
        ]
        values = [_written(value) for _, value in tree]
        return "{" + ", ".join(map(": ".join, zip(keys, values, strict=True))) + "}"
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{json.dumps(k)}: {_written(v)}" for k, v in tree.items()) + "}"
    if isinstance(tree, list):
        return "[" + ", ".join(map(_written, tree)) + "]"
    return json.dumps(tree, ensure_ascii=False)
