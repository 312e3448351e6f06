"""Which functions of a file differ."""

from __future__ import annotations

import ast
import random
import types
from pathlib import Path

import pytest

from whisperbench.measure.reach import function_of
from whisperbench.versions.functions import differences, units_of

BASE = '''"""A module."""
import functools
LIMIT = 3

def plain(a, b=1):
    """Add."""
    return a + b  # their sum

class Layer(object):
    """A layer."""
    size = 4

    @functools.cache
    def forward(self, x):
        def inner(y):
            return [each * 2 for each in y]
        return inner(x)

    @property
    def shape(self):
        return 1

    @shape.setter
    def shape(self, value):
        self.size = value

def every(items):
    yield from items
'''

SAME = (
    ('"""A module."""', '"""Another text."""'),
    ("  # their sum", "  # what they come to"),
    ('    """Add."""\n', ""),
    ("return a + b", "return (a\n        + b)"),
    ("def plain", "\n\n\ndef plain"),
    ('    """A layer."""', '    """A layer.\n\n    Of many.\n    """'),
)

DIFFERENT = (
    ("a + b", "a - b", [("plain", "changed", None)]),
    ("b=1", "b=2", [("plain", "changed", "<module>")]),
    ("LIMIT = 3", "LIMIT = 4", [("<module>", "changed", None)]),
    ("LIMIT = 3", "LIMIT = True + 2", [("<module>", "changed", None)]),
    ("size = 4", "size = 5", [("Layer", "changed", None)]),
    ("(object)", "(dict)", [("Layer", "changed", "<module>")]),
    ("    @functools.cache\n", "", [("Layer.forward", "changed", "Layer")]),
    ("each * 2", "each * 3", [("Layer.forward.<locals>.inner", "changed", None)]),
    ("return inner(x)", "return inner(x + x)", [("Layer.forward", "changed", None)]),
    ("self.size = value", "self.size = 0", [("Layer.shape", "changed", None)]),
    ("yield from items", "return list(items)", [("every", "changed", "<module>")]),
    ("def every", "async def every", [("every", "changed", "<module>")]),
    ("def every(items):\n    yield from items\n", "", [("every", "removed", "<module>")]),
    (
        "    @property",
        "    def extra(self):\n        return lambda: 1\n\n    @property",
        [("Layer.extra", "added", "Layer")],
    ),
)


@pytest.mark.parametrize(("old", "new"), SAME)
def test_comments_docstrings_and_layout_are_no_difference(old: str, new: str) -> None:
    """What Python reads the same is the same."""
    assert old in BASE
    assert differences(BASE.encode(), BASE.replace(old, new).encode()) == []


@pytest.mark.parametrize(("old", "new", "expected"), DIFFERENT)
def test_a_change_is_the_innermost_functions(
    old: str, new: str, expected: list[tuple[str, str, str | None]]
) -> None:
    """A change belongs to the innermost function or body; a definition also to what is around."""
    assert old in BASE
    found = differences(BASE.encode(), BASE.replace(old, new, 1).encode())
    assert [tuple(each) for each in found] == expected


def test_a_form_feed_ends_no_line() -> None:
    """A change in a function's last line is found where a form feed stands before it."""
    base = b"x = 1\n\x0c\x0c\ndef f():\n    y = 1\n    return y\n"
    head = base.replace(b"return y", b"return 2")
    assert [each.name for each in differences(base, head)] == ["f"]


def test_a_global_function_has_the_modules_name() -> None:
    """Python names a function that is declared global as if it stood in the module."""
    source = b"def make():\n    global made\n    def made():\n        return 1\n"
    assert "made" in units_of(source)


def test_an_order_that_matters_is_a_difference() -> None:
    """Of two definitions of one name the last one holds."""
    one = b"def f():\n    return 1\n\ndef f():\n    return 2\n"
    two = b"def f():\n    return 2\n\ndef f():\n    return 1\n"
    assert [each.name for each in differences(one, two)] == ["f"]


def test_what_python_cannot_read_is_refused() -> None:
    """A file of another Python, or a template, is no module of this one."""
    with pytest.raises(SyntaxError):
        differences(b"x = 1", b"print 'x'")


TYPES = ("ParamSpec", "TypeVar", "TypeVarTuple")


def types_in(source: bytes) -> set[str]:
    """Return the names of type parameters and aliases: code that a definition keeps for later."""
    nodes = list(ast.walk(ast.parse(source)))
    aliases = [getattr(node, "name", node) for node in nodes if type(node).__name__ == "TypeAlias"]
    parameters = {str(getattr(node, "name", "")) for node in nodes if type(node).__name__ in TYPES}
    return parameters | {str(getattr(each, "id", "")) for each in aliases}


def names_of(code: types.CodeType) -> set[str]:
    """Return the names that running code can have."""
    nested = (each for each in code.co_consts if isinstance(each, types.CodeType))
    return {function_of(code.co_qualname)}.union(*map(names_of, nested))


def test_functions_have_the_names_that_running_code_has() -> None:
    """In 60 files of the standard library every code object is found by its name."""
    files = sorted(Path(random.__file__).parent.glob("*.py"))
    for file in random.Random(5).sample(files, 60):
        source = file.read_bytes()
        if source:
            code = compile(source, str(file), "exec", dont_inherit=True)
            names = names_of(code) - types_in(source)
            assert names <= set(units_of(source)), file
