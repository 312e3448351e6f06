"""The one table of options: README's table and pytest's are made from it."""

from __future__ import annotations

import msgspec
import pytest

from whisperbench.asked.checkout import ROOT
from whisperbench.asked.options import OPTIONS, listed, only, readme_table
from whisperbench.asked.suite import Profile
from whisperbench.errors import InputError


def test_the_readmes_table_is_the_options() -> None:
    """Each row stands there as the options have it, in their order, and no other does."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    begin = readme.index("| option | takes |")
    end = readme.index("", begin)
    assert readme[begin:end] == readme_table()


def test_what_replaces_a_field_names_one_of_a_profile() -> None:
    """A misspelt field would be set on nothing; one of several values is a list there."""
    types = {field.name: field.type for field in msgspec.structs.fields(Profile)}
    for row in OPTIONS:
        if row.field:
            assert row.field in types, row.name
            assert ("tuple" in str(types[row.field])) is row.several, row.name


def test_names_are_given_once() -> None:
    """Two rows of one name would be two options, of which one is forgotten."""
    names = [row.name for row in OPTIONS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("texts", [["a", "b"], ["a", "a"], [""], [" "], ["a\nb"]])
def test_an_option_of_one_value_has_one(texts: list[str]) -> None:
    """Given twice, empty, or of what cannot be printed, it is refused by its name."""
    with pytest.raises(InputError, match="--tokens"):
        only("--tokens", texts)
    assert only("--tokens", []) is None
    assert only("--tokens", ["a"]) == "a"


def test_listed_values_are_those_of_all_times() -> None:
    """Commas and repetition both list; equal ones are kept once; an empty one is refused."""
    assert listed("--clip", ["a, b", "c", "a"]) == ("a", "b", "c")
    with pytest.raises(InputError, match="--clip: an empty value"):
        listed("--clip", ["a,,b"])
