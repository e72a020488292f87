"""What comes from outside stands in one line, as far as anybody would read it, and steers no terminal."""

import io
import re
import sys
import unicodedata

import pytest
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from sharding.base.console import WorkConsole
from sharding.base.text import LONGEST_TEXT, cut, first_few, plain, plain_lines, shown

STEERS = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
"""Unicode's classes of what is no letter: controls of C0, DEL, C1; marks of direction; halves of letters; line ends."""
HOSTILE = "\x1b]52;c;aGk=\x07 \x9b31m \x7f \u202ecod.sj \u2066x \u200b \r\n\u2028 \udc80"


def test_nothing_that_steers_a_terminal_is_plain() -> None:
    strange = [chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) in STEERS]
    assert "\x1b" in strange
    assert plain("".join(strange)).isprintable()
    for letter in ("\x1b", "\x9b", "\x7f", "\n", "\u202e", "\u2067", "\u200f", "\ufeff", "\udc80"):
        assert letter not in plain(f"a{letter}b")


@pytest.mark.parametrize("name", ["été.mp4", "東京 1", "🎻", "a\\b'c", "שלום"])
def test_a_name_in_any_writing_stays_as_it_is(name: str) -> None:
    assert plain(name) == shown(name) == first_few([name]) == name


@pytest.mark.parametrize("most", [30, LONGEST_TEXT])
def test_a_long_text_keeps_its_begin_and_its_end(most: int) -> None:
    assert cut("x" * most, most) == "x" * most
    short = cut("begin" + "x" * 10**6 + "remedy", most)
    assert len(short) == most
    assert short.startswith("begin")
    assert short.endswith("remedy")


def test_names_in_a_message_are_few_short_and_plain_however_many_come() -> None:
    text = first_few([HOSTILE * 1000] * 10**5)
    assert text.isprintable()
    assert len(text) < 10_000


def test_lines_that_are_meant_stay_lines() -> None:
    assert plain_lines("one\ntwo\x1b[2J\n") == "one\ntwo\\x1b[2J\n"


@pytest.mark.parametrize("is_terminal", [False, True])
def test_whatever_a_console_is_given_it_prints_no_control_but_its_own(is_terminal: bool) -> None:
    table = Table(HOSTILE, caption=HOSTILE)
    table.add_row(Text(HOSTILE))
    console = WorkConsole(force_terminal=is_terminal, markup=False, file=io.StringIO())
    for thing in (HOSTILE, Text(HOSTILE, "bold"), table, Panel(HOSTILE, title=HOSTILE)):
        console.print(thing, soft_wrap=True)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert ("\x1b[1m" in text) == is_terminal, "its own colours stay"
    assert re.sub(r"\x1b\[[0-9;]{0,10}m", "", text).replace("\n", "").isprintable()
