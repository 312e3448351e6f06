"""Text that others have written, as Markdown in which it stays text."""

from __future__ import annotations

import re

from whisperbench.errors import printable

_BREAK = "&#8203;"
"""A space of no width. GitHub looks for names, numbers and addresses in the text that a reader
would see, so that an entity in place of the sign alone does not keep it from finding one."""

_ACTIVE = re.compile(
    r"[\\`*_{}\[\]<>|~]"  # code, emphasis, links, tags, cells, what is crossed out
    r"|[&$@]"  # entities, formulas, names
    r"|#(?=\d)|\bgh-(?=\d)"  # numbers of issues
    r"|:(?=//)|\bwww(?=\.)",  # addresses
    re.IGNORECASE,
)
"""What GitHub makes something else of than text."""

_INSTEAD = {
    "&": "&amp;",
    # As GitHub's documentation has it: in a tag of its own it begins no formula.
    "$": "<span>$</span>",
    "@": f"&#64;{_BREAK}",
    "#": f"&#35;{_BREAK}",
    ":": f"&#58;{_BREAK}",
}

_BLOCK = re.compile(r"([#+=-]+|\d+[.)])(\s|\Z)")
"""What begins a heading, a list or a rule at the start of a line."""


def inert(text: str) -> str:
    r"""Keep text from being read as markup, or as somebody's name, number or address.

    What would end a line or turn the direction of writing is shown as an escape.

    >>> inert("::error::see @name and <img src=x>")
    '::error::see &#64;&#8203;name and \\<img src=x\\>'
    """
    text = _ACTIVE.sub(_instead, printable(text).strip())
    return f"{_BREAK}{text}" if _BLOCK.match(text) else text


def _instead(found: re.Match[str]) -> str:
    sign = found[0]
    if sign in _INSTEAD:
        return _INSTEAD[sign]
    return f"{sign}{_BREAK}" if len(sign) > 1 else f"\\{sign}"


def within(markdown: str, most_bytes: int, remedy: str) -> str:
    """Cut Markdown after a whole line, and say how much was left out.

    Args:
        markdown: paragraphs and tables, no blocks of code.
        most_bytes: of the result, in UTF-8.
        remedy: where the rest is, as a clause.
    """
    if len(markdown.encode()) <= most_bytes:
        return markdown
    lines = markdown.splitlines()
    left_out = f"\n\n{len(lines)} lines are left out here for want of room: {remedy}\n"
    room, kept = most_bytes - len(left_out.encode()), 0
    for line in lines:
        room -= len(line.encode()) + 1
        if room < 0:
            break
        kept += 1
    said = left_out.replace(f"{len(lines)} lines are", _lines(len(lines) - kept), 1)
    return "\n".join(lines[:kept]) + said


def _lines(count: int) -> str:
    return "1 line is" if count == 1 else f"{count} lines are"
