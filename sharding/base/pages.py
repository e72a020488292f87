"""HTML pages: no scripts, nothing loaded from elsewhere, every word from data escaped. Templates are jinja2's.

A page's template lies in the room that makes it, extends page.html.j2 of this one, and fills its blocks. Loaded late,
by who makes a page: jinja2 takes its time. Anyone may import this.
"""

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sharding.base.text import plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
    return environment.get_template(template.name).render(**values)


def _harmless(value: object) -> object:
    """Words from data on one line, without what steers a terminal or turns a text round."""
    return value if isinstance(value, Markup) else plain(str(value))


def image(data: bytes, kind: str, shows: str) -> Markup:
    """A picture that stands in the page itself. kind: png, svg+xml, jpeg; shows: for who cannot see it."""
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return Markup('<img alt="{}" src="{}">').format(plain(shows), source)


def svg(figure: "Figure", *, transparent: bool = False) -> bytes:
    """A drawing of matplotlib's for `image`.

    Letters are outlines, so that it looks the same everywhere; no date, so that the same data give the same bytes.
    """
    from matplotlib import rc_context  # late: not every page has a drawing

    sink = io.BytesIO()
    with rc_context({"svg.fonttype": "path", "svg.hashsalt": "avsync"}):
        figure.savefig(sink, format="svg", metadata={"Date": None}, transparent=transparent)
    return sink.getvalue()
