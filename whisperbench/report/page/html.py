"""The page written as HTML, by jinja2 of the extra `report`."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

from whisperbench import __version__
from whisperbench.errors import InputError
from whisperbench.report.charts.render import NEEDED
from whisperbench.report.page.section import Page
from whisperbench.report.page.style import style
from whisperbench.report.page.template import TEMPLATE


def as_html(page: Page) -> str:
    """Write a page: one file, which runs no script and loads nothing.

    Raises:
        InputError: jinja2 is not installed.
    """
    try:
        import jinja2
        from markupsafe import Markup
    except ImportError as error:
        raise InputError(f"jinja2 is not installed, and writes the page: {NEEDED}") from error
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    sheet = style()
    return environment.from_string(TEMPLATE).render(
        page=page,
        sections=[section for section in page.sections if not section.is_empty],
        style=Markup(sheet),  # noqa: S704 - it is ours, and holds nothing of a file
        policy=_policy(sheet),
        version=__version__,
    )


def _policy(sheet: str) -> str:
    """Allow this style sheet and nothing else: no script, no picture, no font, no connection."""
    digest = b64encode(sha256(sheet.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
