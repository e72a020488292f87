"""A dataset as one HTML page: no scripts, nothing loaded from elsewhere, every word from data escaped."""

import io
from collections.abc import Iterable, Sequence

from sharding.base.pages import image, text, web_page
from sharding.base.text import counted, duration, size
from sharding.format.records import REJECTS
from sharding.show import formatting
from sharding.show.av_clock import TROUBLES, AvClock
from sharding.show.charts import Chart, clock_charts, length_chart
from sharding.show.contact_sheet import ACCENT, INK, LEGEND, ClipView, SplitSheet, caption, draw_strip, heading
from sharding.show.survey import Survey

ACTIONS, REJECTS_SHOWN = 12, 500
"""Largest and smallest actions, and rejects, that are listed."""
STYLE = f"""
:root {{ color-scheme: light; --ink: {INK}; --pale: #6c6c86; --line: #e4e4ee; --accent: {ACCENT} }}
* {{ box-sizing: border-box }}
body {{ margin: 0 auto; max-width: 1400px; padding: 24px 28px 64px; color: var(--ink); background: #fff;
  font: 15px/1.45 system-ui, "DejaVu Sans", sans-serif }}
h1 {{ margin: 0; font-size: 30px; overflow-wrap: anywhere }}
h2 {{ margin: 44px 0 12px; padding-top: 14px; border-top: 1px solid var(--line); font-size: 21px }}
h3 {{ margin: 22px 0 8px; font-size: 16px }}
p {{ margin: 6px 0; max-width: 80ch }}
.pale, figcaption small {{ color: var(--pale) }}
.tiles {{ display: flex; flex-wrap: wrap; gap: 10px; margin: 18px 0 }}
.tiles div {{ padding: 10px 18px; border-radius: 8px; background: #f4f4f9 }}
.tiles b {{ display: block; font-size: 22px }}
.note {{ padding: 8px 14px; border-left: 4px solid var(--accent); background: #fbf1ee }}
.side {{ display: flex; flex-wrap: wrap; gap: 12px 40px; align-items: flex-start }}
.grid {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(400px, 1fr)); gap: 22px }}
.three {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(320px, 1fr)); gap: 12px 32px }}
.wide {{ display: grid; grid-template-columns: 2fr 1fr; gap: 12px 32px; align-items: end }}
@media (max-width: 1000px) {{ .wide {{ grid-template-columns: 1fr }} }}
.wide img, .three img {{ width: 100%; margin-top: 14px }}
figure {{ margin: 0; min-width: 0 }}
img {{ display: block; max-width: 100%; height: auto }}
figcaption {{ display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 12px; margin-bottom: 5px }}
figcaption, small {{ font-size: 13px }}
figcaption small {{ flex-basis: 100%; overflow: hidden; text-overflow: ellipsis; white-space: nowrap }}
.scroll {{ overflow-x: auto }}
table {{ border-collapse: collapse; font-size: 14px }}
th, td {{ padding: 4px 14px 4px 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap }}
th {{ color: var(--pale); font-weight: 500 }}
th:first-child, td:first-child, .left {{ text-align: left; white-space: normal; overflow-wrap: anywhere }}
.bar {{ width: 180px }}
td i {{ display: block; height: 11px; min-width: 1px; background: var(--ink); border-radius: 2px }}
"""


def page_html(survey: Survey, clock: AvClock, sheets: Sequence[SplitSheet]) -> str:
    """The whole page."""
    name = survey.folder.name or str(survey.folder)
    parts = (
        f"<h1>{text(name)}</h1>",
        _head(survey), _contact_sheet(sheets), _inside(survey), _av_clock(survey, clock), _rejects(survey),
    )  # fmt: skip
    made_by = f"avsync show. {text(survey.info.written_by)} packed it."
    return web_page(f"{name}: what is inside", STYLE, parts, made_by)


def _chart(chart: Chart) -> str:
    return f"<figure>{image(chart.svg, 'svg+xml', chart.told)}</figure>"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]], words_at: tuple[int, ...] = ()) -> str:
    """Cells are HTML already. The first column and those at `words_at` are words, the others numbers."""

    def line(cells: Iterable[str], tag: str) -> str:
        kinds = (' class="left"' if place in words_at else "" for place in range(99))
        return (
            "<tr>" + "".join(f"<{tag}{kind}>{cell}</{tag}>" for cell, kind in zip(cells, kinds, strict=False)) + "</tr>"
        )

    lines = [line(head, "th"), *(line(row, "td") for row in rows)]
    return '<div class="scroll"><table>\n' + "\n".join(lines) + "\n</table></div>"


def _head(survey: Survey) -> str:
    info = survey.info
    tiles = (
        (f"{survey.clips:,}", "clips"),
        (duration(survey.seconds), "of picture and sound"),
        (size(survey.bytes), "in tars"),
        (f"{info.sources:,}", "sources"),
        (f"{len(info.actions):,}", "actions"),
        (f"{info.rejects:,}", "sources rejected"),
        (f"{info.lost_clips:,}", "clips lost to damage"),
    )
    shown = "".join(f"<div><b>{much}</b>{what}</div>" for much, what in tiles)
    notes = "".join(f'<p class="note">{text(note)}</p>' for note in survey.notes)
    said = "; ".join(filter(None, (formatting.form(info), formatting.settings(info))))
    return f'<p class="pale">{text(said)}</p>\n<div class="tiles">{shown}</div>\n{notes}'


def _contact_sheet(sheets: Sequence[SplitSheet]) -> str:
    if not sheets:
        return ""
    parts = [f"<h2>Contact sheet</h2>\n<p>{LEGEND}</p>"]
    for sheet in sheets:
        parts.append(f"<h3>{text(heading(sheet))}</h3>")
        parts += [f'<p class="note">{text(note)}</p>' for note in sheet.notes]
        parts.append('<div class="grid">' + "\n".join(map(_clip, sheet.views)) + "</div>")
    return "\n".join(parts)


def _clip(view: ClipView) -> str:
    sink = io.BytesIO()
    draw_strip(view).save(sink, "JPEG", quality=88, subsampling=0)
    action, clock = caption(view)
    key = text(view.meta.key)
    told = f'<b>{text(action)}</b><span>{text(clock)}</span><small title="{key}">{key}</small>'
    alt = f"moments of {view.meta.key} above its waveform"
    return f"<figure><figcaption>{told}</figcaption>{image(sink.getvalue(), 'jpeg', alt)}</figure>"


def _inside(survey: Survey) -> str:
    splits = _table(formatting.SPLIT_COLUMNS, map(formatting.split_cells, survey.splits))
    lengths = _chart(length_chart(survey))
    return (
        f'<h2>Splits, lengths, actions</h2>\n<div class="side"><div>{splits}</div>{lengths}</div>\n{_actions(survey)}'
    )


def _actions(survey: Survey) -> str:
    actions = formatting.actions_by_clips(survey)
    most = max((clips for _, clips in actions), default=1) or 1

    def rows(some: Sequence[tuple[str, int]]) -> str:
        bars = (f'<i style="width:{100 * clips / most:.1f}%"></i>' for _, clips in some)
        cells = ((text(name), f"{clips:,}", bar) for (name, clips), bar in zip(some, bars, strict=True))
        return _table(("action", "clips", '<div class="bar"></div>'), cells)

    title = f"<h3>{text(formatting.balance(actions))}</h3>"
    if len(actions) <= 2 * ACTIONS:
        half = -(-len(actions) // 2) if len(actions) > ACTIONS else len(actions)
        tables = (rows(some) for some in (actions[:half], actions[half:]) if some)
        return f'{title}<div class="side">{"".join(f"<div>{table}</div>" for table in tables)}</div>'
    return (
        f'{title}<div class="side"><div><p>The largest</p>{rows(actions[:ACTIONS])}</div>'
        f"<div><p>The smallest</p>{rows(actions[-ACTIONS:])}</div></div>"
    )


def _av_clock(survey: Survey, clock: AvClock) -> str:
    offsets, *others = map(_chart, clock_charts(clock))
    totals = _table(("mended in all clips together", ""), formatting.totals(clock.totals))
    return (
        "<h2>A/V clock</h2>\n<p>Packing has laid picture and sound of every source on one exact timeline. Here is what "
        "it had to mend for that: how far apart the streams began, gaps that became silence, pictures that had to be "
        f'shown again.</p>\n<div class="wide">{offsets}<div>{totals}</div></div>\n'
        f'<div class="three">{"".join(others)}</div>\n{_worst(survey, clock)}'
    )


def _worst(survey: Survey, clock: AvClock) -> str:
    if not clock.worst:
        return f"<p>{formatting.UNTROUBLED}.</p>" if clock.worst is not None and len(survey.sources) else ""
    worst = formatting.worst_table(survey, clock.worst)
    names = (
        text(name) + (f'<br><span class="pale">{text(damage)}</span>' if damage else "")
        for name, damage in zip(worst.names, worst.damage, strict=True)
    )
    rows = ((name, *map(text, cells)) for name, cells in zip(names, worst.rows, strict=True))
    points = ", ".join(f"{trouble.name} {trouble.weight:g}" for trouble in TROUBLES)
    return (
        f"<h3>The worst sources first</h3>\n{_table(('source', *worst.columns), rows, words_at=(2,))}\n"
        f'<p class="pale">The score is the sum of at most: {points}. 0 is a source without trouble.</p>'
    )


def _rejects(survey: Survey) -> str:
    title = f"<h2>Rejects</h2>\n<p>{counted(len(survey.rejects), 'source')} rejected, all in {REJECTS}.</p>\n"
    if not survey.rejects:
        return title
    reasons = (
        (text(one.reason), f"{one.sources:,}", text(f"{one.example.path}: {one.example.detail}"))
        for one in formatting.reject_reasons(survey)
    )
    shown = survey.rejects[:REJECTS_SHOWN]
    everyone = _table(
        ("source", "reason", "detail"),
        ((text(r.path), text(r.reason), text(r.detail)) for r in shown),
        words_at=(1, 2),
    )
    return (
        f"{title}{_table(('reason', 'sources', 'for example'), reasons, words_at=(2,))}\n"
        f"<details><summary>{counted(len(shown), 'source')} with reasons</summary>{everyone}</details>"
    )
