"""The mutants that reach is checked with."""

from __future__ import annotations

from pathlib import Path

from scripts.check_reach import Copy, candidates, mutated
from whisperbench.results.reach import MODULE, Entered
from whisperbench.versions.functions import differences

CODE = b'''def plain():
    """Say something."""
    return 1

class Thing:
    def method(self):
        @decorated
        def inner():
            return 2
        return inner

    def one_line(self): return 3

if True:
    def twice(): return 4
else:
    def twice():
        return 5
'''


def test_a_mutant_differs_in_its_function_alone(tmp_path: Path) -> None:
    """Each function that can take a statement is found, and the statement makes that differ."""
    file = tmp_path / "suite" / "a.py"
    file.parent.mkdir()
    file.write_bytes(CODE)
    entered = Entered(functions={str(file.resolve()): (MODULE, "plain")})
    found = candidates(Copy(tmp_path), entered)["suite"]
    assert {each.name: each.reached for each in found} == {
        "plain": True,
        "Thing.method": False,
        "Thing.method.<locals>.inner": False,
    }
    for each in found:
        compile(mutated(CODE, [each]), "a.py", "exec")
        assert [tuple(one) for one in differences(CODE, mutated(CODE, [each]))] == [
            (each.name, "changed", None)
        ]
