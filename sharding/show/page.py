"""A dataset as one HTML page, by show.html.j2: what stands in it, and where."""

import io
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from sharding.base.pages import image, render
from sharding.base.text import counted, duration, size
from sharding.format.records import REJECTS
from sharding.show import formatting
from sharding.show.av_clock import TROUBLES, AvClock
from sharding.show.charts import Chart, clock_charts, length_chart
from sharding.show.contact_sheet import ACCENT, INK, LEGEND, ClipView, SplitSheet, caption, draw_strip, heading
from sharding.show.survey import Survey

TEMPLATE = Path(__file__).with_name("show.html.j2")
ACTIONS, REJECTS_SHOWN = 12, 500
"""Largest and smallest actions, and rejects, that are listed."""


def page_html(survey: Survey, clock: AvClock, sheets: Sequence[SplitSheet]) -> str:
    """The whole page."""
    info, actions = survey.info, formatting.actions_by_clips(survey)
    return render(
        TEMPLATE,
        name=survey.folder.name or str(survey.folder),
        survey=survey,
        form="; ".join(filter(None, (formatting.form(info), formatting.settings(info)))),
        tiles=_tiles(survey),
        sheets=sheets,
        legend=LEGEND,
        heading=heading,
        caption=caption,
        strip=_strip,
        split_columns=formatting.SPLIT_COLUMNS,
        splits=map(formatting.split_cells, survey.splits),
        length_chart=_image(length_chart(survey)),
        balance=formatting.balance(actions),
        action_tables=_action_tables(actions),
        most_clips=max((clips for _, clips in actions), default=1) or 1,
        clock_charts=[*map(_image, clock_charts(clock))],
        totals=formatting.totals(clock.totals),
        worst=formatting.worst_table(survey, clock.worst) if clock.worst else None,
        untroubled=formatting.UNTROUBLED if clock.worst is not None and len(survey.sources) else "",
        chosen_title=formatting.chosen_title(clock),
        stream_columns=formatting.STREAM_COLUMNS,
        chosen=formatting.chosen_cells(survey, clock),
        score=", ".join(f"{trouble.name} {trouble.weight:g}" for trouble in TROUBLES),
        counted=counted,
        rejects_file=REJECTS,
        reject_reasons=[
            (one.reason, f"{one.sources:,}", f"{one.example.path}: {one.example.detail}")
            for one in formatting.reject_reasons(survey)
        ],
        rejects=[(one.path, one.reason, one.detail) for one in survey.rejects[:REJECTS_SHOWN]],
        ink=INK,
        accent=ACCENT,
    )


def _tiles(survey: Survey) -> list[tuple[str, str]]:
    info = survey.info
    return [
        (f"{survey.clips:,}", "clips"),
        (duration(survey.seconds), "of picture and sound"),
        (size(survey.bytes), "in tars"),
        (f"{info.sources:,}", "sources"),
        (f"{len(info.actions):,}", "actions"),
        (f"{info.rejects:,}", "sources rejected"),
        (f"{info.lost_clips:,}", "clips lost to damage"),
    ]


def _action_tables(actions: list[tuple[str, int]]) -> list[tuple[str, list[tuple[str, int]]]]:
    """(title, lines) of tables that stand side by side."""
    if len(actions) > 2 * ACTIONS:
        return [("The largest", actions[:ACTIONS]), ("The smallest", actions[-ACTIONS:])]
    half = -(-len(actions) // 2) if len(actions) > ACTIONS else len(actions)
    return [("", some) for some in (actions[:half], actions[half:]) if some]


def _image(chart: Chart) -> Markup:
    return image(chart.svg, "svg+xml", chart.in_words)


def _strip(view: ClipView) -> Markup:
    sink = io.BytesIO()
    draw_strip(view).save(sink, "JPEG", quality=88, subsampling=0)
    return image(sink.getvalue(), "jpeg", f"moments of {view.meta.key} above its waveform")
