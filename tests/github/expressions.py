"""Expressions of GitHub Actions, as far as this repository's workflows use them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_TOKENS = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<op>\|\||&&|==|!=|[(),!])|(?P<name>[A-Za-z_][\w.-]*))"
)

Context = Mapping[str, Any]


class ExpressionError(Exception):
    """An expression that the workflows did not use so far."""


def expanded(text: str, context: Context) -> str:
    """Put the values of all expressions into a text, as `env` and `with` have it."""
    return re.sub(r"\$\{\{(.*?)\}\}", lambda found: _text(value_of(found[1], context)), text)


def holds(text: str, context: Context) -> bool:
    """Whether what stands behind `if` is true; the braces may be left out there."""
    return bool(value_of(text.strip().removeprefix("${{").removesuffix("}}"), context))


def value_of(expression: str, context: Context) -> Any:
    """Return the value of an expression.

    >>> value_of("inputs.a || 'b'", {"inputs": {"a": ""}})
    'b'
    >>> value_of("fromJSON('[1]')", {})
    [1]

    Raises:
        ExpressionError: it is not one of the kind that is known here.
    """
    parser = _Parser(expression, context)
    found = parser.either()
    if parser.rest:
        raise ExpressionError(expression)
    return found


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


class _Parser:
    def __init__(self, expression: str, context: Context) -> None:
        self.context = context
        self.rest: list[str] = []
        at = 0
        while expression[at:].strip():
            found = _TOKENS.match(expression, at)
            if found is None:
                raise ExpressionError(expression)
            self.rest.append(found[0].strip())
            at = found.end()

    def either(self) -> Any:
        """Read operands of `||`."""
        left = self.both()
        while self.takes("||"):
            right = self.both()
            left = left or right
        return left

    def both(self) -> Any:
        """Read operands of `&&`."""
        left = self.equal()
        while self.takes("&&"):
            right = self.equal()
            left = left and right
        return left

    def equal(self) -> Any:
        """Read what is equal, or is not."""
        left = self.one()
        # GitHub takes what there is not for an empty text.
        if self.takes("=="):
            return _text(left) == _text(self.one())
        if self.takes("!="):
            return _text(left) != _text(self.one())
        return left

    def one(self) -> Any:
        """Read a text, a call or a value of the context."""
        word = self.rest.pop(0)
        if word == "(":
            found = self.either()
            self.expect(")")
            return found
        if word.startswith("'"):
            return word[1:-1].replace("''", "'")
        if self.takes("("):
            given = [] if self.rest[0] == ")" else [self.either()]
            self.expect(")")
            return self.call(word, given)
        found = self.context
        for name in word.split("."):
            found = found.get(name) if isinstance(found, Mapping) else None
        return found

    def call(self, name: str, given: list[Any]) -> Any:
        """Return what a function gives."""
        if name == "toJSON":
            return json.dumps(given[0])
        if name == "fromJSON":
            return json.loads(given[0])
        if name in ("always", "success"):
            return name == "always" or self.context["success"]
        raise ExpressionError(name)

    def takes(self, token: str) -> bool:
        """Take a token, if it comes next."""
        if self.rest and self.rest[0] == token:
            del self.rest[0]
            return True
        return False

    def expect(self, token: str) -> None:
        """Take a token that must come next."""
        if not self.takes(token):
            raise ExpressionError(token)
