"""Thousands of files scored into a file of JSON lines, one appended as each is done; a second call goes on.

A file has the same line whatever else is scored in the same call, in whatever order: files share nothing but the
network. What is in LINES already, of the same content (size and time of change) and the same way of scoring, is not
scored again. Errors are lines, too, and tried again by the next call: what was in the way may be gone. Of two lines of
a file the later one counts.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

from avsync.confidence.curve import OffsetCurve
from avsync.run.paths import full_name
from avsync.score.config import ScoreConfig
from avsync.score.decide import decide, sync_range_ms
from avsync.score.score import Scorer, scorer_of
from avsync.score.set_summary import SetComparison, SetLine, SetSummary, compare, desync, summarise
from sharding.base.console import Bar, open_console
from sharding.base.files import check_output, from_json, to_json, to_json_line, write_json, writing
from sharding.base.text import counted, plain
from sharding.errors import FormatError, InputError, RejectError
from sharding.sources.source import is_video, walk

SEED = 0
"""Of the intervals and of the test."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredSet:
    """What was found about a set, or about two."""

    lines: Path
    scored: int
    """Files of this call; the others were done already."""
    a: SetSummary
    b: SetSummary | None
    comparison: SetComparison | None


def score_set(
    run: Path, given: Sequence[Path], config: ScoreConfig, lines: Path, against: Path | None = None
) -> ScoredSet:
    """Score the videos of `given`, files and folders, into `lines`; and of `against`, and compare.

    A summary is written beside the lines, LINES.summary.json. Raises InputError, FormatError.
    """
    for read in (*given, *([against] if against else [])):
        check_output(
            lines,
            "--json",
            (".jsonl", ".ndjson"),
            never={"a video" if read.is_file() else "a folder of videos": read},
            make=True,
        )
    a, b = named_videos(given), named_videos([against]) if against else {}
    if against and len(given) > 1:
        raise InputError(f"--against {against} compares one folder with another: name one folder, {len(given)} came")
    scorer = scorer_of(run, config)
    known, videos = read_lines(lines), list(dict.fromkeys((*a.values(), *b.values())))
    keys = {video: full_name(video.resolve()) for video in videos}
    todo = [video for video in videos if not _is_done(known.get(keys[video]), video, scorer)]
    if done := len(videos) - len(todo):
        open_console(stderr=True).print(f"{counted(done, 'file')} of {len(videos)} done already", soft_wrap=True)
    with writing(lines, "--json"):
        lines.parent.mkdir(parents=True, exist_ok=True)
        with Bar("scoring", len(todo)) as bar:
            for video in todo:
                line = line_of(scorer, video)
                if line != known.get(line.video):  # an error may come again
                    append_line(lines, line)
                known[line.video] = line
                bar.advance()
    of_a, of_b = ({name: known[keys[video]] for name, video in side.items()} for side in (a, b))
    found = ScoredSet(
        lines=lines,
        scored=len(todo),
        a=summarise(list(of_a.values()), SEED),
        b=summarise(list(of_b.values()), SEED) if against else None,
        comparison=compare(of_a, of_b, SEED) if against else None,
    )
    with writing(lines, "--json"):
        write_json(lines.with_suffix(".summary.json"), found)
    return found


def named_videos(given: Sequence[Path]) -> dict[str, Path]:
    """The videos among files and below folders: each by its path below what was named, without its suffix.

    Raises InputError: nothing is there, a folder cannot be read, or two have one name.
    """
    found = dict[str, Path]()
    for one in given:
        for name, video in _videos_of(one):
            if len(given) > 1:  # they may lie in folders of any names: only the full name tells them apart
                name = str(video)
            if name in found:
                raise InputError(f"{found[name]} and {video} have one name but for their suffixes; move one of them")
            found[name] = video
    if not found:
        raise InputError(f"there is no video in {', '.join(map(str, given))}; name files, or a folder with some")
    return found


def _videos_of(one: Path) -> list[tuple[str, Path]]:
    if not one.is_dir():
        return [(one.stem, one)]
    try:
        folders = list(walk(one))
    except OSError as error:
        raise InputError(f"cannot read {one}: {error.strerror}") from error
    if troubled := [folder.below for folder in folders if folder.trouble]:
        raise InputError(
            f"cannot read {one / troubled[0]}; a part of a set is no set: let yourself in, or move it away"
        )
    rels = sorted(f"{folder.below}/{name}".lstrip("/") for folder in folders for name in folder.names if is_video(name))
    return [(os.path.splitext(rel)[0], one / rel) for rel in rels]


def line_of(scorer: Scorer, video: Path) -> SetLine:
    """What is found about one file, or why nothing is."""
    size, modified = _content_of(video)
    line = SetLine(
        video=full_name(video.resolve()),
        size=size,
        modified_ns=modified,
        network=_network_of(scorer),
        settings=_settings_of(scorer),
    )
    try:
        answer, evidence = scorer.ask(video)
    except RejectError as error:
        return replace(line, error=error.detail)
    except InputError as error:
        return replace(line, error=str(error))
    decision, votes = decide(evidence, scorer.config, scorer.reading)
    classed = desync(votes) if votes else None
    return replace(
        line,
        seconds=answer.seconds,
        verdict=answer.verdict,
        offset_ms=answer.offset_ms,
        interval_ms=answer.interval_ms,
        confidence=answer.confidence,
        in_sync=_chance(decision.curve, scorer.config) if decision.curve else None,
        windows=len(answer.windows),
        desync_s=None if classed is None else round(classed, 4),
        faces=answer.faces,
    )


def _chance(curve: OffsetCurve, config: ScoreConfig) -> float | None:
    """Of being in sync; None where the file tells nothing."""
    low, high = sync_range_ms(curve, config)
    return round(curve.chance(low / 1000, high / 1000), 4) if curve.tells else None


def read_lines(path: Path) -> dict[str, SetLine]:
    """By the full name of the video. What a killed call left of its last line is passed over.

    Raises InputError when it cannot be read; FormatError, naming the line, for one that is whole and no line of ours.
    """
    try:
        data = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; name another --json") from error
    whole = data.split(b"\n")
    found = dict[str, SetLine]()
    for number, text in enumerate(whole, 1):
        if not text.strip():
            continue
        try:
            line = from_json(text, SetLine, f"{path}, line {number}")
        except FormatError:
            if _is_cut(text):
                continue
            raise
        found[line.video] = line
    return found


def _is_cut(text: bytes) -> bool:
    """A line that was begun and not ended, by a call that was killed."""
    return text.startswith(b'{"') and not text.rstrip().endswith(b"}")


def append_line(path: Path, line: SetLine) -> None:
    """On a line of its own, whatever the last call left; a link is not followed. Raises OSError."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(path, flags, 0o666), "r+b", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        cut = b""
        if end:
            file.seek(end - 1)
            cut = b"" if file.read(1) == b"\n" else b"\n"
        file.write(cut + to_json_line(line) + b"\n")


def _is_done(line: SetLine | None, video: Path, scorer: Scorer) -> bool:
    """Whether this line says it, of this content, scored in this way; an error may be over."""
    if line is None or line.error:
        return False
    same = (line.size, line.modified_ns) == _content_of(video)
    return same and (line.network, line.settings) == (_network_of(scorer), _settings_of(scorer))


def _content_of(video: Path) -> tuple[int, int]:
    """Size and time of change; -1 of what is not there."""
    try:
        status = video.stat()
    except (OSError, ValueError):
        return -1, -1
    return status.st_size, status.st_mtime_ns


def _network_of(scorer: Scorer) -> str:
    return f"{plain(scorer.run.resolve().name)}, step {scorer.network.step}"


def _settings_of(scorer: Scorer) -> str:
    """A digest of all that an answer depends on but the network and the file."""
    config = replace(scorer.config, output="", fix=False, fix_to="", device="auto")
    return blake2b(to_json(config) + to_json(scorer.reading), digest_size=8).hexdigest()
