"""Text that others have written, as Markdown in which it stays text."""

from __future__ import annotations

import re
from unicodedata import category

from whisperbench.errors import printable

_BREAK = "&#8203;"
"""A space of no width. GitHub looks for names, numbers and addresses in the text that a reader
would see, so that an entity in place of the sign alone does not keep it from finding one."""

_ACTIVE = re.compile(
    r"[\\`*_{}\[\]<>|~]"  # code, emphasis, links, tags, cells, what is crossed out
    r"|[&$@]"  # entities, formulas, names
    r"|#(?=\d)|\bgh-(?=\d)"  # numbers of issues
    r"|:(?=//)|/(?=/)|\bwww(?=\.)"  # addresses, and what a cut leaves of them
    r"|:(?=[a-z0-9_+-]+:)",  # pictures, as in :bug:
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
    "/": f"/{_BREAK}",
}

_UNSEEN = re.compile(
    r"[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u2060-\u206f\u3164\ufe00-\ufe0f"
    r"\ufeff\uffa0\ufff0-\ufffb\u200c\u200d\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""What takes no room, so that two names look alike: Unicode's Default_Ignorable_Code_Point."""

_JOINERS = "\u200c\u200d"
"""They stay where they stand between letters of Arabic, Hindi and the like, whose spelling needs
them. Between Latin ones they only hide."""

_FIRST_OF_JOINED = 0x0600
"""Arabic. Latin, Greek, Cyrillic and Hebrew stand before it."""

_END = "</details>"

_BLOCK = re.compile(r"([#+=-]+|\d+[.)])(\s|\Z)")
"""What begins a heading, a list or a rule at the start of a line."""


def inert(text: str) -> str:
    r"""Keep text from being read as markup, or as somebody's name, number or address.

    What would end a line, turn the direction of writing or take no room is shown as an escape.

    >>> inert("::error::see @name and <img src=x>")
    ':&#58;&#8203;error::see &#64;&#8203;name and \\<img src=x\\>'
    """
    seen = _UNSEEN.sub(_shown, printable(text)).strip()
    text = _ACTIVE.sub(_instead, seen)
    return f"{_BREAK}{text}" if _BLOCK.match(text) else text


def _instead(found: re.Match[str]) -> str:
    sign = found[0]
    if sign in _INSTEAD:
        return _INSTEAD[sign]
    return f"{sign}{_BREAK}" if len(sign) > 1 else f"\\{sign}"


def _shown(found: re.Match[str]) -> str:
    beside = found.string[max(0, found.start() - 1) : found.end() + 1]
    if (
        found[0] in _JOINERS
        and len(beside) == 3
        and _is_letter(beside[0])
        and _is_letter(beside[2])
    ):
        return found[0]
    return found[0].encode("unicode_escape").decode("ascii")


def _is_letter(sign: str) -> bool:
    """Whether a sign is a letter, or a mark on one, of a script that may need joiners."""
    return ord(sign) >= _FIRST_OF_JOINED and category(sign)[0] in "LM"


def shortened(text: str, most: int) -> str:
    """Cut the middle of a text that is too long out, and say so by an ellipsis.

    >>> shortened("abcdefghij", 5), shortened("abc", 5)
    ('ab…ij', 'abc')
    """
    if len(text) <= most:
        return text
    kept = (most - 1) // 2
    return f"{text[: most - 1 - kept]}…{text[len(text) - kept :]}"


def within(markdown: str, most_bytes: int, remedy: str) -> str:
    """Cut Markdown after a whole line, end what is folded, and say how much was left out.

    Args:
        markdown: paragraphs and tables, no blocks of code.
        most_bytes: of the result, in UTF-8.
        remedy: where the rest is, as a clause.
    """
    if len(markdown.encode()) <= most_bytes:
        return markdown
    lines = markdown.splitlines()
    left_out = f"\n\n{len(lines)} lines are left out here for want of room: {remedy}\n"
    room, kept, is_open = most_bytes - len(left_out.encode()) - len(_END) - 2, 0, False
    for line in lines:
        room -= len(line.encode()) + 1
        if room < 0:
            break
        kept += 1
        # Ours alone: of a text that others have written no line is a tag.
        is_open = line == "<details>" or (is_open and line != _END)
    said = left_out.replace(f"{len(lines)} lines are", _lines(len(lines) - kept), 1)
    return "\n".join([*lines[:kept], *(["", _END] if is_open else [])]) + said


def _lines(count: int) -> str:
    return "1 line is" if count == 1 else f"{count} lines are"
