"""The frame of every HTML page: no scripts, nothing loaded from elsewhere, words from data escaped."""

import base64
from collections.abc import Sequence
from html import escape

from sharding.base.text import plain

ELSEWHERE = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""What a browser may load for a page: nothing but what is in it."""


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


def image(data: bytes, kind: str, told: str) -> str:
    """A picture that stands in the page itself. kind: png, svg+xml, jpeg; told: for who cannot see it."""
    return f'<img alt="{text(told)}" src="data:image/{kind};base64,{base64.b64encode(data).decode()}">'
