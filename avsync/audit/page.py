"""An audit as one HTML page: no scripts, nothing loaded from elsewhere, every word from data escaped."""

import io
from collections.abc import Iterable
from dataclasses import fields
from fractions import Fraction
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from avsync.audit.leak import Leakage, places
from avsync.audit.report import about, bits, interval, seen_from
from avsync.audit.result import AuditFinding, AuditResult, Verdict
from avsync.audit.verdicts import percent
from avsync.data.pairs import PairSampler
from avsync.metrics import Proportion
from sharding.base.pages import image, text, web_page

# Where windows of both labels begin, drawn; and an interval beside the line of chance. SVG that needs nothing else.

INK, PALE, ACCENT = "#22223b", "#9a9ab0", "#c8553d"
WIDTH, HEIGHT = 220, 26
"""Pixels of an interval's drawing."""
FROM, TO = 0.3, 1.0
"""Accuracies at its sides."""
EDGE = 18
"""Pixels beside it, for what stands at a side."""
MARKS = ((0.5, "chance"), (0.75, "75 %"), (1.0, "100 %"))


def place_chart(law: PairSampler, frames: int, fps: Fraction) -> str:
    """SVG: how often the windows of each label begin at each place of a clip of so many frames."""
    figure, ways = Figure(figsize=(11.0, 2.5), layout="constrained"), law.ways(frames)
    left, right = figure.subplots(1, 2, sharey=True)
    _draw(left, places(ways, ways.sound), fps, "sound")
    _draw(right, places(ways, ways.picture), fps, "picture")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", fontsize=9, frameon=False, ncols=2)
    left.set_ylabel("how often", fontsize=9, color=INK)
    return _svg(figure)


def _draw(axes: Axes, joint: NDArray[np.float64], fps: Fraction, stream: str) -> None:
    out, in_sync = joint / joint.max()
    seconds = np.arange(len(out)) / float(fps)
    axes.fill_between(seconds, in_sync, color=INK, alpha=0.13, linewidth=0, label="in sync")
    axes.plot(seconds, out, color=ACCENT, linewidth=1.8, label="out of sync")
    axes.set(ylim=(0, 1.12), yticks=[], xlim=(0, max(seconds[-1], 1 / float(fps))))
    axes.set_title(f"where the {stream} window begins", loc="left", fontsize=10, color=INK)
    axes.set_xlabel("seconds of the clip", fontsize=9, color=INK)
    axes.tick_params(labelsize=8.5, colors=INK, length=3)
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(PALE)


def _svg(figure: Figure) -> str:
    """Letters as outlines, so that it looks the same everywhere; no date: the same audit gives the same page."""
    sink = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "avsync"}):
        figure.savefig(sink, format="svg", metadata={"Date": None}, transparent=True)
    return sink.getvalue()


def _place(accuracy: float) -> str:
    return f"{WIDTH * (min(max(accuracy, FROM), TO) - FROM) / (TO - FROM):.1f}"


def scale_svg() -> str:
    """The accuracies above a column of intervals."""
    marks = "".join(f'<text x="{_place(mark)}" y="14">{said}</text>' for mark, said in MARKS)
    return f'<svg width="{WIDTH + 2 * EDGE}" height="18" viewBox="-{EDGE} 0 {WIDTH + 2 * EDGE} 18">{marks}</svg>'


def interval_svg(share: Proportion, strict: Proportion, verdict: str) -> str:
    """A dot with its 95 % interval, the strict one as a thin line, and chance dashed; colours come from the page."""
    at, middle = _place, HEIGHT / 2
    told = f"{share.value:.1%}, 95 % interval {share.low:.1%} to {share.high:.1%}"
    lines = (
        f'<line class="axis" x1="0" y1="{middle}" x2="{WIDTH}" y2="{middle}"/>',
        f'<line class="chance" x1="{at(0.5)}" y1="0" x2="{at(0.5)}" y2="{HEIGHT}"/>',
        f'<line class="strict" x1="{at(strict.low)}" y1="{middle}" x2="{at(strict.high)}" y2="{middle}"/>',
        f'<line class="usual" x1="{at(share.low)}" y1="{middle}" x2="{at(share.high)}" y2="{middle}"/>',
        f'<circle cx="{at(share.value)}" cy="{middle}" r="5"/>' if share.count else "",
    )
    return (
        f'<svg class="{verdict}" role="img" aria-label="{told}" width="{WIDTH + 2 * EDGE}" height="{HEIGHT}" '
        f'viewBox="-{EDGE} 0 {WIDTH + 2 * EDGE} {HEIGHT}">{"".join(lines)}</svg>'
    )


SAID: dict[Verdict, str] = {"pass": "Passed", "warning": "Careful", "fail": "Failed"}
STYLE = f"""
:root {{ color-scheme: light; --ink: {INK}; --pale: #6c6c86; --line: #e4e4ee; --accent: {ACCENT};
  --pass: #2f7d4f; --warning: #b07a08; --fail: #b3261e }}
* {{ box-sizing: border-box }}
body {{ margin: 0 auto; max-width: 1180px; padding: 28px 28px 64px; color: var(--ink); background: #fff;
  font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif }}
header {{ padding: 22px 26px; border-radius: 10px; border-left: 10px solid; background: #f6f6fa }}
h1 {{ margin: 0; font-size: 34px; line-height: 1.15 }}
header small {{ color: var(--pale); overflow-wrap: anywhere }}
header p {{ margin: 8px 0 0; font-size: 19px; max-width: 66ch }}
h2 {{ margin: 42px 0 10px; padding-top: 14px; border-top: 1px solid var(--line); font-size: 21px }}
p, dl, ul {{ margin: 8px 0; max-width: 86ch }}
li {{ margin: 6px 0 }}
.pale {{ color: var(--pale); overflow-wrap: anywhere }}
.pass {{ --tone: var(--pass) }} .warning {{ --tone: var(--warning) }} .fail {{ --tone: var(--fail) }}
header, .word {{ border-color: var(--tone) }}
h1, .word {{ color: var(--tone) }}
.word {{ font-weight: 600 }}
.trouble {{ margin: 12px 0; padding: 10px 16px; border-left: 5px solid var(--tone); background: #fafafc }}
.trouble p {{ margin: 2px 0 }}
.scroll {{ overflow-x: auto }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ padding: 8px 16px 8px 0; text-align: left; border-bottom: 1px solid var(--line); vertical-align: middle }}
th {{ color: var(--pale); font-weight: 500; font-size: 13px; vertical-align: bottom }}
td.number, th.number {{ text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums }}
td small {{ display: block; color: var(--pale); font-size: 13px; max-width: 46ch }}
.law table {{ width: auto }}
figure {{ margin: 18px 0 0 }}
img {{ display: block; width: 100%; height: auto }}
figcaption {{ color: var(--pale); font-size: 13px; margin-top: 4px }}
svg {{ display: block }}
svg .axis {{ stroke: var(--line) }}
svg .chance {{ stroke: {PALE}; stroke-dasharray: 3 3 }}
svg .strict {{ stroke: var(--tone); stroke-width: 1.5 }}
svg .usual {{ stroke: var(--tone); stroke-width: 5; stroke-linecap: round; opacity: .55 }}
svg text {{ fill: var(--pale); font-size: 12px; text-anchor: middle }}
svg circle {{ fill: var(--tone) }}
dt {{ font-weight: 600; margin-top: 8px }}
dd {{ margin: 0 }}
code {{ font: 13px/1.6 ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere }}
.settings td, .settings th {{ padding: 3px 24px 3px 0; border: 0 }}
.settings table {{ width: auto }}
"""
READING = (
    ("probe", "A small network or a rule that tries to guess without doing the work: comparing picture with sound."),
    (
        "right",
        "Its share of right guesses on labels of sources that it did not learn from. Guessing blindly gives 50 %.",
    ),
    (
        "interval",
        "The thick bar is the 95 % interval, the thin line the strict one. A verdict is made of the strict one: it is "
        "so wide that a clean dataset fails in one audit of a thousand, all probes together. Both count sources, "
        "because examples of one source are alike.",
    ),
    ("AUC", "The chance that the probe's score puts an example in sync above one out of sync; 0.5 is chance."),
    (
        "seen from",
        "A probe that is right so often would have been noticed; what is below goes unseen in so small a sample.",
    ),
    (
        "place",
        "Where in its file a window lies. It is no label. But who can read it in the picture and in the sound only has "
        "to compare the two: the same place means in sync. So it should not show; in one stream a little of it is a "
        "warning, much of it a fail.",
    ),
)


def page_html(audit: AuditResult, chart: str, seconds: float, repeat: str) -> str:
    """The whole page. chart: SVG of a clip of so many seconds (place_chart); repeat: the command that made all this."""
    parts = (_head(audit), _troubles(audit), _law(audit, chart, seconds), _probes(audit), _reading(), _settings(audit))
    return web_page(f"{audit.dataset}: audit", STYLE, parts, f"<code>{text(repeat)}</code>")


def _word(verdict: Verdict) -> str:
    return f'<span class="word {verdict}">{SAID[verdict]}</span>'


def _head(audit: AuditResult) -> str:
    notes = "".join(f"<p class='pale'>{text(note)}</p>" for note in audit.notes)
    return (
        f'<header class="{audit.verdict}"><small>Audit of {text(audit.dataset)}</small>'
        f"<h1>{SAID[audit.verdict]}</h1>\n<p>{text(audit.sentence)}</p></header>\n"
        f'<p class="pale">{text(about(audit))}</p>\n{notes}'
    )


def _troubles(audit: AuditResult) -> str:
    if not audit.troubles:
        return ""

    def one(names: str, finding: AuditFinding) -> str:
        note = f'<p class="pale">{text(finding.guesses.note)}</p>' if finding.guesses.note else ""
        return (
            f'<div class="trouble {finding.verdict}"><p>{_word(finding.verdict)}: <b>{text(names)}</b></p>'
            f"<p><i>{text(finding.guesses.asks)}</i></p><p>{text(finding.reason)}</p>{note}</div>"
        )

    return "<h2>Why, and what to do</h2>\n" + "\n".join(one(*trouble) for trouble in audit.troubles)


def _law(audit: AuditResult, chart: str, seconds: float) -> str:
    of_sound, of_picture = (_word(finding.verdict) for finding in audit.by_law)
    rows: tuple[tuple[str, Leakage, str], ...] = (
        ("the sound’s place", audit.leak.sound, of_sound),
        ("the picture’s place", audit.leak.picture, of_picture),
        ("both places", audit.leak.both, "this is the label itself"),
    )
    cells = ((name, bits(told), percent(told.accuracy), said) for name, told, said in rows)
    passing = dict.fromkeys(one.reason for one in audit.by_law if one.verdict == "pass")
    passed = " ".join(f"<p>{text(reason)}</p>" for reason in passing)
    return (
        "<h2>What the law of pairs tells</h2>\n<p>Traces in a file, of an encoder or a fade, can give away where in it "
        "a window lies. If sounds in sync lie at other places than sounds out of sync, that alone tells the label. "
        "This is computed from the law and the clips’ lengths, for a guesser who knows both: nothing is estimated.</p>"
        f'\n<div class="law">{_table(("who knows", "bits of 1", "guesses right", ""), cells, numbers=(1, 2))}</div>\n'
        f"{passed}\n"
        f"<figure>{image(chart.encode(), 'svg+xml', 'how often windows of each label begin at each place')}"
        f"<figcaption>Clips of {seconds:.1f} s, the most frequent length. Where line and area are alike, the place "
        "tells nothing.</figcaption></figure>"
    )


def _probes(audit: AuditResult) -> str:
    def row(finding: AuditFinding) -> tuple[str, ...]:
        guesses = finding.guesses
        said = text(finding.reason) if finding.verdict == "pass" else "see above"
        return (
            f"<b>{text(guesses.probe)}</b><small>{text(guesses.asks)}</small>",
            interval_svg(guesses.accuracy, guesses.strict, finding.verdict),
            f"{percent(guesses.accuracy.value)}<small>{interval(guesses.accuracy)}</small>",
            f"{guesses.auc:.3f}",
            seen_from(finding),
            f"{_word(finding.verdict)}<small>{said}</small>",
        )

    head = ("probe", scale_svg(), "right", "AUC", "seen from", "verdict")
    return (
        "<h2>What probes guess</h2>\n<p>Each tries to get the label, or a window’s place, without comparing picture "
        "and sound. On an honest dataset all stay on the dashed line.</p>\n"
        + _table(head, map(row, audit.by_probes), numbers=(2, 3, 4))
    )


def _table(head: Iterable[str], rows: Iterable[Iterable[str]], numbers: tuple[int, ...] = ()) -> str:
    """Cells are HTML already."""

    def line(cells: Iterable[str], tag: str) -> str:
        kinds = (' class="number"' if place in numbers else "" for place in range(99))
        told = "".join(f"<{tag}{kind}>{cell}</{tag}>" for cell, kind in zip(cells, kinds, strict=False))
        return f"<tr>{told}</tr>"

    lines = [line(head, "th"), *(line(row, "td") for row in rows)]
    return '<div class="scroll"><table>\n' + "\n".join(lines) + "\n</table></div>"


def _reading() -> str:
    items = "".join(f"<dt>{name}</dt><dd>{said}</dd>" for name, said in READING)
    return f"<h2>How to read this</h2>\n<dl>{items}</dl>"


def _settings(audit: AuditResult) -> str:
    rows = ((f"<code>{text(flag)}</code>", f"<code>{text(str(value))}</code>") for flag, value in _flags(audit.config))
    return f'<h2>Settings</h2>\n<div class="settings">{_table((), rows)}</div>'


def _flags(config: Any, before: str = "--") -> Iterable[tuple[str, object]]:
    for field in fields(config):
        value, flag = getattr(config, field.name), before + field.name.replace("_", "-")
        if hasattr(value, "__dataclass_fields__"):
            yield from _flags(value, flag + ".")
        else:
            yield flag, value
