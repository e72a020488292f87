"""Which videos to pack: a folder tree, a CSV, a curated table or a Kinetics list becomes a sorted list of sources.

Looks at names only; no video is opened here.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sharding.base.csv_table import CsvTable
from sharding.base.text import counted, first_few, plain
from sharding.config import PackConfig
from sharding.errors import InputError
from sharding.format.records import Reject
from sharding.sources.crops import with_boxes
from sharding.sources.curated import boxes_beside, curated_sources, is_curated
from sharding.sources.kinetics import is_kinetics, read_kinetics
from sharding.sources.source import (
    SUFFIXES,
    OtherFiles,
    Source,
    SourceList,
    is_video,
    printable,
    source_id,
    tell_unlisted,
    walk,
)
from sharding.sources.table import read_table


def find_sources(videos: Path, root: Path | None = None, config: PackConfig | None = None) -> SourceList:
    """List the sources in a folder tree or CSV; a CSV's files lie below `root`, by default the folder of the CSV.

    The streams that `config` names are those of each source that names none, and its boxes are theirs. Raises
    InputError when there is no source, or a row is wrong.
    """
    config = settled(videos, config) if config else None
    try:
        found = _listed(videos, root, config.min_confidence if config else 0.0)
    except OSError as error:
        raise InputError(f"cannot read {error.filename or videos}: {error.strerror}") from error
    if not found.sources:
        raise InputError(
            f"{videos} holds no videos ({'; '.join((f'other files: {found.ignored}', *found.notes))}); "
            f"known suffixes are {' '.join(sorted(SUFFIXES))}"
        )
    _check_ids(found.sources)
    ordered: Sequence[Source] = sorted(found.sources, key=lambda one: (one.rel, one.id))
    if config is None or config.finds_faces:
        ordered = _told_apart(ordered)
    found = replace(found, sources=tuple(_with_streams(ordered, config) if config else ordered))
    if config is None or config.boxes_table in (None, own_boxes(videos)):
        return found
    return with_boxes(found, config.boxes_table)


def own_boxes(videos: Path) -> Path | None:
    """The table of boxes that belongs to a curated table; None where there is none."""
    if videos.suffix.lower() != ".csv" or not videos.is_file() or not (boxes := boxes_beside(videos)).is_file():
        return None
    try:
        return boxes if is_curated(CsvTable(videos).header) else None
    except OSError:
        return None  # listing it will say why


def settled(videos: Path, config: PackConfig) -> PackConfig:
    """The settings to pack `videos` with: a curated table with tracks names the boxes itself. Raises InputError."""
    boxes = own_boxes(videos)
    if boxes is None or config.boxes_table == boxes:
        return config
    if config.crop:
        raise InputError(f"--crop {config.crop}: {videos} has boxes of its own, {boxes}; leave --crop out")
    return replace(config, crop=str(boxes))


def _told_apart(sources: Sequence[Source]) -> Sequence[Source]:
    """With the number of each among the parts of its file: what is found in two of them must not have one name."""
    parts = defaultdict[str, list[Source]](list)
    for one in sources:
        parts[one.rel].append(one)
    pieces = {
        one.id: (number, len(some))
        for some in parts.values()
        for number, one in enumerate(sorted(some, key=lambda one: (one.span or (0, None))[0]))
    }
    return [one if pieces[one.id] == one.piece else replace(one, piece=pieces[one.id]) for one in sources]


def _with_streams(sources: Sequence[Source], config: PackConfig) -> Sequence[Source]:
    video, audio = config.video_stream, config.audio_stream
    if video is None and audio is None:
        return sources
    return [
        replace(
            one,
            video_stream=video if one.video_stream is None else one.video_stream,
            audio_stream=audio if one.audio_stream is None else one.audio_stream,
        )
        for one in sources
    ]


def base_of(videos: Path, root: Path | None) -> Path:
    """The folder that paths of sources are relative to."""
    return videos if videos.is_dir() else root or videos.parent


def _listed(videos: Path, root: Path | None, min_confidence: float) -> SourceList:
    if videos.is_dir():
        if root is not None:
            raise InputError(f"--root {root} is for a .csv that lists videos; {videos} is a folder: leave --root out")
        if min_confidence:
            raise InputError(
                f"--min-confidence {min_confidence:g} is for a table of avsync curate; {videos} is a folder"
            )
        return _walked(videos)
    if not videos.exists():
        raise InputError(f"{videos} does not exist; name a folder of videos or a .csv that lists them")
    if not videos.is_file() or videos.suffix.lower() != ".csv":
        raise InputError(f"{videos} is neither a folder of videos nor a .csv that lists them; name its folder")
    if root is not None and not root.is_dir():
        raise InputError(f"--root {root} is no folder; name the folder that the videos of {videos} lie in")
    table, root = CsvTable(videos), base_of(videos, root)
    if is_curated(table.header):
        return curated_sources(table, root, min_confidence)
    if min_confidence:
        raise InputError(
            f"--min-confidence {min_confidence:g} is for a table of avsync curate; {videos} is another one"
        )
    if is_kinetics(table.header):
        return read_kinetics(table, root)
    return SourceList(sources=read_table(table, root))


def _check_ids(sources: Sequence[Source]) -> None:
    """Two names with one digest would share their keys; by chance it happens to none."""
    first: dict[str, Source] = {}
    for source in sources:
        twin = first.setdefault(source.id, source)
        if twin is not source:
            raise InputError(f"{twin.rel!r} and {source.rel!r} would both be called {source.id}; rename one of them")


def _walked(videos: Path) -> SourceList:
    sources, ignored, unlisted, outside = list[Source](), OtherFiles(), list[Reject](), list[str]()
    for folder in walk(videos):
        if folder.trouble:
            unlisted.append(folder.reject)
        here, below = videos / folder.below, folder.below
        action = printable(here.name if below else videos.resolve().name)
        for name in folder.names:
            rel = f"{below}/{name}" if below else name
            if not is_video(name):
                ignored.add(rel)
                continue
            known = printable(rel)
            sources.append(Source(id=source_id(rel), path=here / name, rel=known, action=action, group=known))
        outside += (f"{below}/{name}" if below else name for name in folder.outside if is_video(name))
    notes = tell_unlisted(unlisted) + _tell_outside(videos, outside)
    return SourceList(sources=tuple(sources), ignored=ignored, notes=notes, unlisted=tuple(unlisted))


def _tell_outside(videos: Path, outside: Sequence[str]) -> tuple[str, ...]:
    """A stranger's tree may lead by links to what nobody meant to pack."""
    if not outside:
        return ()
    lie = "lies" if len(outside) == 1 else "lie"
    names = first_few([plain(printable(name)) for name in outside])
    return (f"{counted(len(outside), 'video')} {lie} outside of {videos}, behind links: {names}",)
