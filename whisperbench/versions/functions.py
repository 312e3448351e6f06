"""Which functions of a Python file differ between two texts of it, by syntax and not by layout.

A unit is a function, the body of a class, or the body of the module. What is nested in a unit and
has a name is a unit of its own; lambdas and comprehensions belong to what they stand in. Comments,
docstrings and layout are no differences.

The definition of a function or class (its name, arguments with their defaults and annotations, its
decorators and base classes) is executed by the body that it stands in. So a unit whose definition
differs, or that only one side has, says which body that is: that body does something else now,
whether the function is ever called or not.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from whisperbench.results.reach import MODULE

_Named = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_Shape = tuple[object, ...]
_LINE_END = re.compile(rb"\r\n|\r|\n")
"""What ends a line for Python. A form feed does not."""


class Difference(NamedTuple):
    """A unit that differs."""

    name: str
    kind: Literal["added", "removed", "changed"]
    within: str | None
    """The body that its differing definition stands in."""


@dataclass(kw_only=True)
class _Unit:
    """All units of one name: the alternatives of an `if`, a getter and its setter."""

    within: str
    nodes: list[ast.AST] = field(default_factory=list)
    texts: list[bytes] = field(default_factory=list)
    """Their lines: where these are equal, so is the syntax."""
    children: set[str] = field(default_factory=set)
    """Names of the units that are nested in it, without its own name."""


def differences(base: bytes, head: bytes) -> list[Difference]:
    """Compare two texts of a module.

    Args:
        base: one; b"" where there is none.
        head: the other.

    Returns:
        What differs, in the order of names.

    Raises:
        SyntaxError: this Python cannot read one of them.
        ValueError: likewise, for a zero byte or an unknown encoding.
        RecursionError: likewise, for what is nested too deeply.
    """
    before, after = units_of(base), units_of(head)
    found = []
    for name in sorted(before.keys() | after.keys()):
        one, two = before.get(name), after.get(name)
        if one is None or two is None:
            present = one or two
            assert present is not None  # noqa: S101 - it is in one of them
            kind: Literal["added", "removed"] = "added" if one is None else "removed"
            found.append(Difference(name, kind, present.within or None))
        elif one.texts != two.texts:
            changed_within = _definitions(one) != _definitions(two)
            gone = one.children ^ two.children
            if changed_within or _bodies(one, gone) != _bodies(two, gone):
                found.append(Difference(name, "changed", one.within if changed_within else None))
    return found


def units_of(source: bytes) -> Mapping[str, _Unit]:
    """Find the units of a module by their qualified names, as Python makes them."""
    if not source:
        return {}
    tree = ast.parse(source)
    lines = _LINE_END.split(source)
    whole = _Unit(within="", nodes=[tree], texts=[b"\n".join(lines)])
    units = {MODULE: whole}
    _collect(tree, MODULE, "", units, lines)
    return units


def _collect(
    scope: ast.AST, name: str, prefix: str, units: dict[str, _Unit], lines: Sequence[bytes]
) -> None:
    """Add the units that stand in a scope, and theirs."""
    # A name that is declared global is the module's, and its qualified name says so.
    named = list(_named_in(scope))
    global_names = _globals_of(scope)
    for node in named:
        is_global = node.name in global_names
        qualified = node.name if is_global else prefix + node.name
        unit = units.setdefault(qualified, _Unit(within=name))
        first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
        unit.nodes.append(node)
        unit.texts.append(b"\n".join(lines[first - 1 : node.end_lineno]))
        units[name].children.add(node.name)
        inner = "." if isinstance(node, ast.ClassDef) else ".<locals>."
        _collect(node, qualified, qualified + inner, units, lines)


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    """Go through the statements directly within a node, handlers and cases of it included."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield child
        elif isinstance(child, ast.ExceptHandler | ast.match_case):
            yield from _statements(child)


def _named_in(scope: ast.AST) -> Iterator[_Named]:
    """Find the functions and classes that stand in a scope, however deep in its statements."""
    for statement in _statements(scope):
        if isinstance(statement, _Named):
            yield statement
        else:
            yield from _named_in(statement)


def _globals_of(scope: ast.AST) -> set[str]:
    """Return the names that a scope declares global."""
    found: set[str] = set()
    for statement in _statements(scope):
        if isinstance(statement, ast.Global):
            found |= set(statement.names)
        elif not isinstance(statement, _Named):
            found |= _globals_of(statement)
    return found


_DEFINING = ("args", "returns", "decorator_list", "bases", "keywords", "type_params")
"""Fields of a function or class that the body around it executes."""

_NOTHING: Collection[str] = frozenset()


def _definitions(unit: _Unit) -> list[_Shape]:
    """Return the shapes of a unit's definitions: what the body around it executes."""
    return [
        (
            type(node).__name__,
            tuple(_shape(getattr(node, name, None), _NOTHING) for name in _DEFINING),
            not isinstance(node, ast.ClassDef) and _yields(node),
        )
        for node in unit.nodes
        if isinstance(node, _Named)
    ]


def _yields(node: ast.AST) -> bool:
    """Whether a function is a generator, which its caller can see."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(child, _Named | ast.Lambda) and _yields(child):
            return True
    return False


def _bodies(unit: _Unit, gone: Collection[str]) -> list[object]:
    """Return the shapes of a unit's bodies, without nested units that only one side has."""
    return [_shape(getattr(node, "body", []), gone) for node in unit.nodes]


def _shape(value: object, gone: Collection[str]) -> object:
    """Return a nested value that is equal for equal syntax.

    Of a nested function or class only its place is left. A statement that is a constant is one that
    does nothing, such as a docstring.
    """
    if isinstance(value, list):
        return tuple(_shape(each, gone) for each in value if not _is_idle(each, gone))
    if isinstance(value, ast.Constant):
        return type(value.value).__name__, repr(value.value)
    if isinstance(value, _Named):
        return "defines", value.name
    if isinstance(value, ast.AST):
        return (
            type(value).__name__,
            *(_shape(getattr(value, name, None), gone) for name in value._fields),
        )
    return value


def _is_idle(value: object, gone: Collection[str]) -> bool:
    if isinstance(value, _Named):
        return value.name in gone
    return isinstance(value, ast.Pass) or (
        isinstance(value, ast.Expr) and isinstance(value.value, ast.Constant)
    )
