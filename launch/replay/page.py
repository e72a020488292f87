"""replay.html: verdict first, then figures and tables; one file that any browser opens."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from launch.replay import sentences
from sharding.base.pages import image, text, web_page

if TYPE_CHECKING:
    from avsync.audit.result import AuditFinding
    from avsync.replay.result import ReplayResult, StageResult

STYLE = """
body { margin: 2em auto; max-width: 1100px; padding: 0 1em; font: 16px/1.5 system-ui, sans-serif; color: #22223b }
h2 { margin-top: 2em; border-top: 1px solid #d8d8e4; padding-top: .7em }
.verdict li { margin: .4em 0 }
p, li { max-width: 85ch }
img { max-width: 100%; height: auto }
table { border-collapse: collapse; font-size: 14px }
th, td { padding: 4px 12px 4px 0; text-align: left; border-bottom: 1px solid #d8d8e4; vertical-align: top }
th, .pale { color: #6a6a80; font-weight: 500 }
.fail { color: #b03a20; font-weight: 600 } .pass { color: #2f7a45 } .warning { color: #9a6a00 }
.scroll { overflow-x: auto }
"""
CAPTIONS = {
    "curves": "Training and validation. Where the red line, accuracy with the picture of another clip, follows the "
    "blue one, the network needs no picture: a cheat. Dashed: the alarm. Star: the checkpoint kept as best.",
    "maps": "Maps of the same clips, in sync, each at its hottest moment. White frames are the true sources. A network "
    "that only listens lights whole frames or just anything; one that compares lights what sounds.",
    "join": "A sound that was shifted cyclically: where its end meets its beginning there is a jump. Below right: how "
    "hot the maps are around it, mean over all places and all such windows that were held out.",
}
TERMS = (
    "Right on honest pairs: on two real windows of one clip, where neither stream alone knows the answer. Points: the "
    "hottest point of the map on a true source, in times of what a blind guess hits. Listened: how much the map "
    "changes with the sound, 0 to 1. Spatial: 0 when whole frames are lit, 1 when one cell is. Intervals: 95 %, by "
    "source."
)


def page_html(result: "ReplayResult", pictures: dict[tuple[str, str], bytes]) -> str:
    """The whole page. pictures: (stage, figure) -> PNG."""
    first = result.stages[0]
    parts = (
        "<h1>The thesis replayed</h1>",
        _list(sentences.verdict(first, result), "verdict"),
        *(_stage(stage, result, pictures) for stage in result.stages),
    )
    made_by = "avsync replay; every number here comes from this run of it."
    return web_page("The thesis replayed", STYLE, parts, made_by)


def _stage(stage: "StageResult", result: "ReplayResult", pictures: dict[tuple[str, str], bytes]) -> str:
    counts = ", ".join(f"{count} {split}" for split, count in stage.clips.items())
    parts = [f"<h2>{text(stage.told)}</h2>", f"<p>Clips: {counts}. {stage.steps} steps of training.</p>"]
    parts += [f"<p><b>{text(line)}</b></p>" for line in sentences.warnings(stage)]
    if stage is not result.stages[0]:
        parts.append(_list(sentences.verdict(stage, result)))
    head, *lines = sentences.table(stage)
    parts.append(_table(head, (map(text, line) for line in lines)))
    parts += [f'<p class="pale">{text(TERMS)}</p>', _list(map(sentences.sentence, stage.arms))]
    for name, caption in CAPTIONS.items():
        if png := pictures.get((stage.name, name)):
            parts.append(_figure(png, caption))
    parts += ["<h3>The audits, before any training</h3>", _list(sentences.audits(stage)), _findings(stage)]
    return "\n".join(parts)


def _findings(stage: "StageResult") -> str:
    """A row for each probe, a column for each law."""
    laws = [one.config.pairs.law for one in stage.audits]
    found = {(finding.guesses.probe, law): finding for one, law in zip(stage.audits, laws, strict=True)
             for finding in one.findings}  # fmt: skip
    probes = list(dict.fromkeys(probe for probe, _ in found))
    rows = ((text(probe), *(_cell(found.get((probe, law))) for law in laws)) for probe in probes)
    return _table(("guessed from", *laws), rows)


def _cell(finding: "AuditFinding | None") -> str:
    if finding is None:
        return ""
    share = finding.guesses.accuracy
    shown = sentences.interval(share) if share.count else sentences.percent(share.value)
    return f'<span class="{finding.verdict}" title="{text(finding.reason)}">{text(shown)} {finding.verdict}</span>'


def _figure(png: bytes, caption: str) -> str:
    return f"<figure>{image(png, 'png', caption)}<p>{text(caption)}</p></figure>"


def _list(lines: Iterable[str], kind: str = "") -> str:
    return f'<ul class="{kind}">' + "".join(f"<li>{text(line)}</li>" for line in lines) + "</ul>"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Cells are HTML already."""
    lines = ["".join(f"<th>{text(cell)}</th>" for cell in head)]
    lines += ["".join(f"<td>{cell}</td>" for cell in row) for row in rows]
    return '<div class="scroll"><table>' + "".join(f"<tr>{line}</tr>" for line in lines) + "</table></div>"
