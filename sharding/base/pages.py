"""HTML pages: no scripts, nothing loaded from elsewhere, every word from data escaped. Templates are jinja2's.

A page's template lies in the room that makes it, extends page.html.j2 of this one, and fills its blocks. Loaded late,
by who makes a page: jinja2 takes its time. Anyone may import this.
"""

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sharding.base.text import plain

ELSEWHERE = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""What a browser may load for a page: nothing but what is in it."""
SUFFIX = ".html.j2"


def render(template: Path, /, **values: object) -> str:
    """A whole page from a template and what stands in it.

    Every value is escaped but what is Markup already (`image`); what a template names and nobody gives is an error.
    """
    folders = [template.parent, Path(__file__).parent]
    environment = Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_harmless,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template.name).render(elsewhere=ELSEWHERE, **values)


def _harmless(value: object) -> object:
    """Words from data on one line, without what steers a terminal or turns a text round."""
    return value if isinstance(value, Markup) else plain(str(value))


def image(data: bytes, kind: str, shows: str) -> Markup:
    """A picture that stands in the page itself. kind: png, svg+xml, jpeg; shows: for who cannot see it."""
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return Markup('<img alt="{}" src="{}">').format(plain(shows), source)


def web_page(title: str, style: str, body: Sequence[str], made_by: str) -> str:
    """A whole page. title: words; style: CSS; body: HTML, one part after the other; made_by: HTML of the last line."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{ELSEWHERE}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        + "\n".join(filter(None, body))
        + f'\n<p class="pale">Made by {made_by}</p>\n</body>\n</html>\n'
    )


def text(words: str) -> str:
    """Words from data, harmless."""
    return escape(plain(words))
