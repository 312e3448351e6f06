"""Text and objects of other plugins and libraries, as a result file can hold them."""

from __future__ import annotations

import re
from pathlib import Path

from whisperbench.errors import WhisperbenchError, one_line, printable

_DEEPEST = 50
"""Levels of a file, of which ours have ten."""


def reason_of(failure: BaseException | None) -> str:
    """Write a failure for the result file, which holds nobody's home folder.

    The suite's own sentences stay whole: what to do stands at their end.
    """
    if isinstance(failure, WhisperbenchError):
        return without_home(printable(" ".join(str(failure).split())))
    return without_home(one_line(_text_of(failure)) or type(failure).__name__)


def without_home(text: str) -> str:
    """Write ~ for the home folder, in every path that leads through it."""
    try:
        home = Path.home()
    except RuntimeError:  # nobody knows the user, as in a container
        return text
    if not home.is_absolute() or home == Path(home.anchor):
        return text
    return re.sub(rf"(?<![\w.~-]){re.escape(str(home))}(?![\w-]|\.\w)", "~", text)


def encodable(thing: object, within: tuple[int, ...] = ()) -> object:
    """Return something as JSON can hold it, whatever other plugins have put into it.

    Args:
        thing: anything.
        within: ids of what it is part of. What holds itself ends there.
    """
    if thing is None or isinstance(thing, bool | int | float):
        return thing
    inside = (*within, id(thing))
    if id(thing) in within or len(inside) > _DEEPEST:
        thing = "..."
    if isinstance(thing, dict):
        return {
            str(encodable(key, inside)): encodable(value, inside) for key, value in thing.items()
        }
    if isinstance(thing, list | tuple | set | frozenset):
        return [encodable(value, inside) for value in thing]
    # Not all that Python takes for text is UTF-8.
    return _text_of(thing).encode("utf-8", "backslashreplace").decode()


def _text_of(thing: object) -> str:
    """Return a text as it is, and of another thing what it says of itself, if it can."""
    try:
        return thing if isinstance(thing, str) else str(thing)
    except Exception:  # noqa: BLE001 - of whoever wrote it
        return type(thing).__name__
