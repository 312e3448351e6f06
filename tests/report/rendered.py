"""Markdown as HTML by a renderer that knows GitHub's tables and addresses, taken apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

from markdown_it import MarkdownIt

_EMPTY = ("br", "hr", "img", "input", "source")


@dataclass
class Rendered(HTMLParser):
    """What comes out of Markdown."""

    tags: list[str] = field(default_factory=list)
    """Names of elements as they begin, and behind a slash as they end."""
    attributes: list[tuple[str, str, str]] = field(default_factory=list)
    """Element, name and value of each."""
    text: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    """Elements that have not ended."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take an element in."""
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in _EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """End an element, which must be the innermost one."""
        self.tags.append(f"/{tag}")
        assert self.open, f"{tag} ends and has not begun"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Take text in."""
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        """Take a comment in."""
        self.comments.append(data)

    def handle_decl(self, decl: str) -> None:
        """Take a declaration in, as if it were a comment."""
        self.comments.append(decl)

    def handle_pi(self, data: str) -> None:
        """Take an instruction in, as if it were a comment."""
        self.comments.append(data)


def rendered(markdown: str) -> Rendered:
    """Render Markdown, with HTML, tables and addresses; what is left open is named in `open`."""
    made = Rendered()
    HTMLParser.__init__(made)
    made.feed(MarkdownIt("gfm-like", {"html": True, "linkify": True}).render(markdown))
    made.close()
    return made
