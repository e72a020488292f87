"""Pages are made by templates in which every word from data is only a word."""

import re
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from sharding.base.pages import image, render
from tests.pages import alone

ROOT = Path(__file__).parents[3]
TEMPLATES = [path for package in ("sharding", "avsync", "launch") for path in sorted((ROOT / package).rglob("*.j2"))]
EVIL = "\x1b[2J</style><script>alert(1)</script><img src=https://evil/x onerror=alert(1)>\u202e"


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "own.html.j2"
    path.write_text(
        '{% extends "page.html.j2" %}{% block title %}{{ word }}{% endblock %}\n'
        '{% block body %}<p title="{{ word }}">{{ word }}</p>{{ picture }}{% endblock %}'
    )
    return path


def test_every_template_stands_on_the_one_page_and_lets_nothing_through() -> None:
    assert len(TEMPLATES) > 3
    for path in TEMPLATES:
        text = path.read_text()
        assert path.name == "page.html.j2" or text.startswith('{% extends "page.html.j2" %}')
        assert not re.search(r"\| *safe|autoescape|<script|https?://", text), path


def test_a_word_is_only_a_word_wherever_it_stands(template: Path) -> None:
    page = alone(render(template, word=EVIL, picture=image(b"png", "png", EVIL)))
    assert page.text.count("<script>alert(1)</script>") == 2
    assert [attributes["alt"] for tag, attributes in page.tags if tag == "img"] == [
        EVIL.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")
    ]
    assert "\x1b" not in page.text
    assert "\u202e" not in page.text


def test_what_a_template_names_and_nobody_gives_is_an_error(template: Path) -> None:
    with pytest.raises(UndefinedError, match="'picture' is undefined"):
        render(template, word="x")
