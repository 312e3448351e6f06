"""Does reach tell the truth? Functions are mutated, and what it calls unreached must not act.

    python scripts/check_reach.py mutants [--functions 200] [--singles 3] [--every]
    python scripts/check_reach.py compiled

`mutants` draws functions of transformers, bitsandbytes and the suite, from the files that a cost
pass imports, half of them among those that it enters. Each mutant gets one statement at its
function's start, which writes the mutant's number into a file, makes an op more, and calls Python
functions. For each one reach is asked: the functions that differ between the two texts must be the
mutated one alone, and whether the unchanged program's run entered it says whether it is reached.

A run of the suite for each mutant would take hours. It is not needed. The unreached mutants are
put into one copy and run together, and none of their statements may act: no number is written. Then
not one mutated instruction was executed, so up to its end that run did what each single mutant's
run would do, and what the unchanged program does: the single mutants need no run of their own. That
all counts of that run equal the unchanged program's is checked as well. The reached mutants are put
into another copy, which says how many of them really act; a few of them are run by themselves, and
must change a count or act.

`--every` takes all functions of those files that are called unreached, not just the drawn ones.

`compiled` lets torch.compile and torch.jit.script compile functions, which are then never entered,
and looks whether they count as entered.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scripts.edits import scratch_copy  # noqa: E402 - of this checkout
from whisperbench.judge.compare import compare  # noqa: E402
from whisperbench.judge.reach import reach  # noqa: E402
from whisperbench.measure.reach import VARIABLE, Recording, read_entered  # noqa: E402
from whisperbench.results.reach import Change, Changes, Entered  # noqa: E402
from whisperbench.results.run_file import read_run  # noqa: E402
from whisperbench.versions.functions import differences, units_of  # noqa: E402

if TYPE_CHECKING:
    from whisperbench.results.records import Run

SEED = 18
PARTS = {"packages/transformers": 0.5, "packages/bitsandbytes": 0.2, "suite": 0.3}
"""Where functions are drawn, and which share of them."""

ACT = '''
"""Acts for a mutant: writes its number once, makes an op, and calls Python functions."""
import sys
_acted = set()
def act(number):
    if number not in _acted:
        _acted.add(number)
        with open({path!r}, "a") as file:
            file.write(f"{{number}}\\n")
    torch = sys.modules.get("torch")
    if hasattr(torch, "zeros") and hasattr(torch, "compile"):
        torch.zeros(1)
'''


class Mutant(NamedTuple):
    """A function, and where its statement goes."""

    number: int
    file: Path
    """Relative to the copy."""
    name: str
    line: int
    """Before which the statement is put, from 1."""
    indent: str
    reached: bool


class Copy(NamedTuple):
    """The suite and the packages in a folder, to be mutated and run."""

    folder: Path

    @property
    def acted(self) -> set[int]:
        """The numbers of the mutants that acted."""
        path = self.folder / "acted"
        return set(map(int, path.read_text().split())) if path.exists() else set()

    def run(self, result: Path, **variables: str) -> str:
        """Run the cost pass of the copy; return what it wrote.

        Raises:
            SystemExit: it failed.
        """
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-x"),
                *("benchmarks/test_cost.py", "--model", "dummy:tiny", "--precision", "int8"),
                *("--device", "cpu", "--result", str(result)),
            ],
            cwd=self.folder / "suite",
            env=os.environ | {"PYTHONPATH": str(self.folder / "packages")} | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(done.stdout[-3000:] + done.stderr[-1000:])
        return done.stdout


def make_copy(folder: Path, mutants: Sequence[Mutant]) -> Copy:
    """Copy packages and suite, and mutate functions of them."""
    packages = folder / "packages"
    packages.mkdir(parents=True)
    scratch_copy(packages, None)
    for name in ("benchmarks", "fixtures", "whisperbench"):
        shutil.copytree(
            ROOT / name, folder / "suite" / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / "suite" / name)
    act = ACT.format(path=str(folder / "acted"))
    (packages / "reach_act.py").write_text(act, encoding="utf-8")
    by_file: dict[Path, list[Mutant]] = {}
    for mutant in mutants:
        by_file.setdefault(mutant.file, []).append(mutant)
    for file, own in by_file.items():
        path = folder / file
        text = mutated(path.read_bytes(), own)
        compile(text, path, "exec", dont_inherit=True)
        path.unlink()  # it may be a link
        path.write_bytes(text)
    return Copy(folder)


def mutated(source: bytes, mutants: Sequence[Mutant]) -> bytes:
    """Return a file's text with the statements of mutants."""
    lines = re.split(rb"(?<=\n)", source)
    for mutant in sorted(mutants, key=lambda each: -each.line):
        statement = f"{mutant.indent}__import__('reach_act').act({mutant.number})\n"
        lines.insert(mutant.line - 1, statement.encode())
    return b"".join(lines)


def candidates(copy: Copy, entered: Entered) -> dict[str, list[Mutant]]:
    """Find the functions that can be mutated in files that the run imported, by part."""
    found: dict[str, list[Mutant]] = {part: [] for part in PARTS}
    for part, own in found.items():
        for path in sorted((copy.folder / part).rglob("*.py")):
            real = os.path.realpath(path)
            if not entered.imports(real):
                continue
            lines = path.read_bytes().split(b"\n")
            for name, unit in units_of(path.read_bytes()).items():
                node = unit.nodes[0]
                if len(unit.nodes) > 1 or not isinstance(node, ast.FunctionDef):
                    continue
                if any("script" in ast.dump(each) for each in node.decorator_list):
                    continue  # torch.jit could not compile the statement
                body = node.body[1:] if ast.get_docstring(node, clean=False) else node.body
                if not body:
                    continue
                first = body[0]
                before = lines[first.lineno - 1][: first.col_offset]
                if before.strip():
                    continue  # it stands on the line of the definition
                decorators = getattr(first, "decorator_list", [])
                line = min([first.lineno, *(each.lineno for each in decorators)])
                own.append(
                    Mutant(
                        number=0,
                        file=path.relative_to(copy.folder),
                        name=name,
                        line=line,
                        indent=" " * first.col_offset,
                        reached=entered.runs(real, name),
                    )
                )
    return found


def draw(found: dict[str, list[Mutant]], count: int) -> list[Mutant]:
    """Draw mutants of every part, half of them among those that were entered."""
    source = random.Random(SEED)
    drawn: list[Mutant] = []
    for part, share in PARTS.items():
        for reached in (True, False):
            of_kind = [each for each in found[part] if each.reached is reached]
            wanted = min(len(of_kind), round(count * share / 2))
            drawn += source.sample(of_kind, wanted)
    return [each._replace(number=number) for number, each in enumerate(drawn)]


def as_told(copy: Copy, mutant: Mutant, entered: Entered) -> bool:
    """Ask reach of one mutant; whether it is reached.

    Raises:
        SystemExit: what differs is not the mutated function alone.
    """
    path = copy.folder / mutant.file
    before = path.read_bytes()
    found = differences(before, mutated(before, [mutant]))
    if [tuple(each) for each in found] != [(mutant.name, "changed", None)]:
        sys.exit(f"{mutant.file}: {mutant.name}: told as {found}")
    real = os.path.realpath(path)
    change = Change(
        file=str(mutant.file), name=mutant.name, path=real, base_path=real, kind="changed"
    )
    return not reach(Changes(functions=(change,)), entered).unreached


def differing_counts(one: Run, two: Run) -> list[str]:
    """Return sentences on the counts that differ."""
    judged = compare(one, two)
    if not judged:
        sys.exit("the two runs have nothing in common")
    return [each.verdict.sentence for each in judged if each.verdict.verdict != "ok"]


def check_mutants(options: argparse.Namespace) -> bool:
    """Draw mutants, and run those that are called unreached; whether none of them acted."""
    good = True
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        plain = Copy(folder / "plain")
        if not (folder / "plain.json").exists():
            plain = make_copy(folder / "plain", [])
            plain.run(folder / "none.json", **{VARIABLE: str(folder / "reach.json")})
            plain.run(folder / "plain.json")
        entered = read_entered(folder / "reach.json")
        unchanged = read_run(folder / "plain.json")
        print(f"{entered.count()} functions of {len(entered.functions)} files were entered")
        found = candidates(plain, entered)
        drawn = draw(found, options.functions)
        for mutant in drawn:
            assert as_told(plain, mutant, entered) == mutant.reached, mutant
        unreached = [each for each in drawn if not each.reached]
        reached = [each for each in drawn if each.reached]
        print(f"{len(drawn)} mutants: {len(reached)} reached, {len(unreached)} unreached")
        if options.every:
            all_of_them = [each for part in found.values() for each in part if not each.reached]
            unreached = [each._replace(number=n) for n, each in enumerate(all_of_them)]
            print(f"with all others of these files: {len(unreached)} unreached")
        together = make_copy(folder / "unreached", unreached)
        together.run(folder / "unreached.json")
        good &= not _told_wrongly(together.acted, unreached)
        changed = differing_counts(unchanged, read_run(folder / "unreached.json"))
        print(f"unreached: {len(together.acted)} acted, {len(changed)} counts differ")
        good &= not changed
        acting = make_copy(folder / "reached", reached)
        acting.run(folder / "reached.json")
        print(f"reached: {len(acting.acted)} of {len(reached)} acted")
        for number, mutant in enumerate(random.Random(SEED).sample(reached, options.singles)):
            single = make_copy(folder / f"single{number}", [mutant])
            single.run(folder / "single.json")
            changed = differing_counts(unchanged, read_run(folder / "single.json"))
            print(
                f"{mutant.file}: {mutant.name}, by itself: "
                f"{'acted' if single.acted else 'did not act'}, {len(changed)} counts differ"
            )
            good &= bool(single.acted) or not changed
    return good


def _told_wrongly(acted: set[int], unreached: Sequence[Mutant]) -> bool:
    """Name the mutants that were called unreached and acted; whether there are any."""
    wrong = [each for each in unreached if each.number in acted]
    for each in wrong:
        print(f"NOT unreached: {each.file}: {each.name}")
    return bool(wrong)


def check_compiled(_: argparse.Namespace) -> bool:
    """Let torch compile functions; whether they count as entered."""
    import torch
    import torch._dynamo

    from tests.measure import compiled

    recording = Recording()
    torch.jit.script(compiled.scripted)
    torch.compile(compiled.outer, backend="eager")(torch.ones(2))
    entered = recording.stop()
    found = set(entered.functions.get(os.path.realpath(compiled.__file__), ()))
    print(f"torch {torch.__version__}: of what it compiled {', '.join(sorted(found))} were seen")
    return {"scripted", "helper", "outer", "inlined"} <= found and not entered.unseen


def main() -> None:
    """Run the part that is asked for."""
    parts: dict[str, Callable[[argparse.Namespace], bool]] = {
        "mutants": check_mutants,
        "compiled": check_compiled,
    }
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("part", choices=parts)
    parser.add_argument("--functions", type=int, default=200)
    parser.add_argument("--singles", type=int, default=3)
    parser.add_argument(
        "--keep", type=Path, help="a folder for the copies; the unchanged one is not run again"
    )
    parser.add_argument("--every", action="store_true")
    options = parser.parse_args()
    if not parts[options.part](options):
        sys.exit("failed")
    print("as expected")


if __name__ == "__main__":
    main()
