"""A curated table, packed: the beep lies on its flash to the sample, nothing is made up, and the rest is left out."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction as F
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from sharding.config import PackConfig
from sharding.errors import InputError
from sharding.format.clip import ClipMeta, Clock, MovedSound
from sharding.format.crop import BoxPath, Knot
from sharding.format.dataset import open_dataset
from sharding.format.index import BOXES, read_info
from sharding.media.decode import OutputSpec, decode_span
from sharding.media.probe import probe
from sharding.pack.pack import NO_OPTIONS, divide, dry_run, pack, pack_share
from sharding.show.sources_csv import write_sources
from sharding.show.survey import read_survey
from sharding.sources.crops import with_boxes, write_boxes
from sharding.sources.curated import CuratedRow, Verdict, boxes_beside, write_curated
from sharding.sources.find import find_sources
from sharding.verify.verify import verify
from tests.media import Video, beep_samples, flash_frames, write_video
from tests.sharding.conftest import QUIET, contents

CONFIG = PackConfig(
    size=32, sample_rate=16_000, clip_s="2", min_clip_s="1", trim_s="0", workers=1, codec="raw", val_percent=0,
    test_percent=0,
)  # fmt: skip
probed = cache(probe)
pytestmark = pytest.mark.usefixtures("in_process")


def kept(path: str, offset_ms: F | int, **more: object) -> CuratedRow:
    verdict = Verdict.KEEP_SHIFTED if offset_ms else Verdict.KEEP
    row = CuratedRow(path=path, verdict=verdict, offset_ms=F(offset_ms), confidence=1.0)
    return replace(row, **more)  # pyright: ignore[reportArgumentType]


def table(folder: Path, *rows: CuratedRow, name: str = "curated.csv") -> Path:
    write_curated(folder / name, rows)
    return folder / name


def clips_of(dataset: Path, split: str = "train") -> list[tuple[ClipMeta, np.ndarray, np.ndarray]]:
    """What each json says, its pictures and its sound."""
    opened, found = open_dataset(dataset, split), list[tuple[ClipMeta, np.ndarray, np.ndarray]]()
    for number in range(len(opened.index)):
        stored, at, form = opened.read(number), opened.location(number), opened.info.form
        meta = form.read_json(stored.json, key=at.key, action=at.action, frames=at.frames)
        shape = form.shape(meta.frames, meta.matrix)
        planes, sound = np.empty(shape.pictures, np.uint8), np.empty(shape.sound, np.int16)
        opened.codec.decode_video(stored.video, range(meta.frames), planes, shape)
        opened.codec.decode_audio(stored.audio, 0, sound, shape)
        found.append((meta, planes, sound))
    return found


def differences(clips: Sequence[tuple[ClipMeta, np.ndarray, np.ndarray]]) -> list[int]:
    """Samples from each flash to its beep."""
    found = list[int]()
    for meta, planes, sound in clips:
        flashes, beeps = flash_frames(planes), beep_samples(sound)
        assert len(flashes) == len(beeps)
        found += [beep - meta.clock.sample_at(frame) for frame, beep in zip(flashes, beeps, strict=True)]
    return found


WAYS = [
    ("30", 16_000, 120),
    ("30000/1001", 44_100, -205),
    ("25", 48_000, 333),
    ("24000/1001", 8_000, -40),
    ("12", 22_050, 1),
]


@pytest.mark.parametrize(("fps", "rate", "late_ms"), WAYS)
def test_the_beep_lies_on_its_flash(fps: str, rate: int, late_ms: int, tmp_path: Path):
    rate_of = F(fps)
    events = tuple(F(round(time * rate_of)) / rate_of for time in (1, F(5, 2), 4))
    late = F(late_ms, 1000)
    video = Video(
        fps=rate_of, seconds=F(6), events=events, beep_delay=late, sample_rate=rate, audio_codec="flac", noise=0.02
    )
    write_video(tmp_path / "videos" / "a.mkv", video)
    config = replace(CONFIG, fps=fps, sample_rate=rate, clip_s="6")
    pack(tmp_path / "videos", tmp_path / "plain", config, QUIET)
    pack(table(tmp_path / "videos", kept("a.mkv", late_ms)), tmp_path / "out", config, QUIET)
    moved = Clock(fps=rate_of, sample_rate=rate).samples_in(late)
    as_found, repaired = (differences(clips_of(tmp_path / name)) for name in ("plain", "out"))
    assert len(as_found) == len(repaired) == len(events)
    assert all(abs(one - moved) <= 1 for one in as_found)
    assert all(abs(one) <= 1 for one in repaired)
    for meta, _, sound in clips_of(tmp_path / "out"):
        assert meta.moved_sound
        assert meta.moved_sound == MovedSound(offset_ms=F(late_ms), samples=moved)
        assert meta.repairs.silence_samples == 0
        # back to the source by what the json says: the very samples of the file
        all_of_it = decode_span(
            probe(tmp_path / "videos" / "a.mkv"),
            first_frame=0,
            frames=int(6 * rate_of),
            spec=OutputSpec(clock=meta.clock, width=32, height=32, channels=1),
        ).audio
        first = meta.clock.sample_at(meta.first_frame) + meta.moved_sound.samples
        assert np.array_equal(sound, all_of_it[first : first + len(sound)])
    verify(tmp_path / "out", 1, decode=True)


@pytest.mark.parametrize("late", [F(0), F(1, 2), F(-1, 2), F(5)], ids=str)
def test_only_sound_that_the_file_has_counts(late: F, tmp_path: Path):
    """Of a file whose picture and sound are 6 s both, and of one whose sound was laid too late as a whole."""
    write_video(tmp_path / "same.mkv", Video(audio_codec="flac"))
    write_video(tmp_path / "laid.mkv", Video(audio_codec="flac", audio_start=F(1, 2), events=()))
    rows = [kept("same.mkv", 1000 * late, action="a"), kept("laid.mkv", 1000 * late, action="b")]
    pack(table(tmp_path, *rows), tmp_path / "out", replace(CONFIG, clip_s="6"), QUIET)
    used = {
        meta.action: (F(meta.first_frame, 30), F(meta.first_frame + meta.frames, 30))
        for meta, *_ in clips_of(tmp_path / "out")
    }
    wanted = {
        "a": (max(F(0), -late), min(F(6), 6 - late)),
        "b": (max(F(0), F(1, 2) - late), min(F(6), F(13, 2) - late)),
    }
    assert used.keys() == {name for name, (start, end) in wanted.items() if end - start >= 1}
    for name, (start, end) in used.items():
        assert 0 <= start - wanted[name][0] < F(1, 10)
        assert 0 <= wanted[name][1] - end < F(1, 10)
    assert not any(meta.repairs.silence_samples for meta, *_ in clips_of(tmp_path / "out"))


def test_an_offset_of_nothing_gives_the_bytes_of_a_plain_pack(tmp_path: Path):
    videos = tmp_path / "videos"
    for name in ("x/a.mkv", "x/b.mkv"):
        write_video(videos / name, Video(seed=len(name) + ord(name[2])))
    pack(videos, tmp_path / "plain", CONFIG, QUIET)
    pack(table(videos, kept("x/a.mkv", 0), kept("x/b.mkv", F(1, 50))), tmp_path / "rows", CONFIG, QUIET)
    assert contents(tmp_path / "rows") == contents(tmp_path / "plain")  # 1/50 ms is less than half a sample
    (videos / "list.csv").write_text("path,action,start_s,end_s\nx/a.mkv,x,1/3,3\nx/a.mkv,x,3,5.5\n")
    pack(videos / "list.csv", tmp_path / "listed", CONFIG, QUIET)
    pieces = [kept("x/a.mkv", 0, start_s=F(1, 3), end_s=F(3)), kept("x/a.mkv", 0, start_s=F(3), end_s=F(11, 2))]
    pack(table(videos, *pieces), tmp_path / "pieces", CONFIG, QUIET)
    assert contents(tmp_path / "pieces") == contents(tmp_path / "listed")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three files, each late by another time. Read only."""
    folder = tmp_path_factory.mktemp("late")
    for number, name in enumerate("abc"):
        write_video(folder / f"{name}.mkv", Video(seed=number, beep_delay=F(number, 10), audio_codec="flac"))
    return folder


ROWS = (
    kept("a.mkv", 0, end_s=F(3)),
    kept("a.mkv", 50, start_s=F(3), confidence=0.5),
    kept("b.mkv", 100),
    kept("c.mkv", 200, confidence=0.75),
    CuratedRow(path="c.mkv", verdict=Verdict.DROP, reason="dubbed", end_s=F(1)),
    CuratedRow(path="gone.mkv", verdict=Verdict.CANT_TELL, reason="silent"),
)


def test_every_door_gives_the_same_bytes_and_the_report_counts_what_is_left_out(videos: Path, tmp_path: Path):
    rows, config = table(videos, *ROWS, name="doors.csv"), replace(CONFIG, sources_per_shard=2)
    said = Console(file=io.StringIO(), width=120)
    dry_run(rows, tmp_path / "out", config, said)
    assert not (tmp_path / "out").exists()
    summary = pack(rows, tmp_path / "out", config, said)
    text = said.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    assert summary.moved == 3
    assert (summary.sources, len(summary.rejects)) == (4, 0)  # pieces of a file are no twins
    assert text.count("2 rows of the curated table left out") == 2
    assert text.count("dubbed") == text.count("silent") == 2
    verify(tmp_path / "out", 1)
    whole = contents(tmp_path / "out")

    (tmp_path / "out" / "train" / "000001.tar").unlink()
    (tmp_path / "out" / "dataset.json").unlink()
    assert pack(rows, tmp_path / "out", config, QUIET).shards_packed == 1
    assert contents(tmp_path / "out") == whole

    division = divide(rows, tmp_path / "shared", config, NO_OPTIONS, 2, QUIET)
    for share in range(len(division.shares)):
        pack_share(rows, tmp_path / "shared", config, NO_OPTIONS, share, QUIET)
    pack(rows, tmp_path / "shared", config, QUIET)
    assert contents(tmp_path / "shared") == whole


def test_a_table_that_has_changed_is_packed_again_where_it_did(videos: Path, tmp_path: Path):
    config = replace(CONFIG, sources_per_shard=1)
    first = pack(table(tmp_path, *ROWS), tmp_path / "out", config, QUIET, replace(NO_OPTIONS, root=videos))
    assert first.shards_packed == 4
    changed = [row if row.path != "c.mkv" else replace(row, offset_ms=F(199)) for row in ROWS[:4]]
    again = pack(table(tmp_path, *changed), tmp_path / "out", config, QUIET, replace(NO_OPTIONS, root=videos))
    assert (again.shards_packed, again.shards_kept) == (1, 3)
    sure = replace(config, min_confidence=0.7)
    options = replace(NO_OPTIONS, root=videos)
    with pytest.raises(InputError, match=r"has 1 source that your videos do not .*--remove takes the missing ones out"):
        pack(tmp_path / "curated.csv", tmp_path / "out", sure, QUIET, options)
    summary = pack(tmp_path / "curated.csv", tmp_path / "out", sure, QUIET, replace(options, remove=True))
    assert (summary.sources, summary.shards_packed, summary.moved) == (3, 0, 2)
    assert [(one.verdict, one.reason, one.rows) for one in summary.left_out] == [
        ("keep shifted", "confidence below 0.7", 1)
    ]
    verify(tmp_path / "out", 1)


def still(track: int, x: int) -> BoxPath:
    return BoxPath(track=track, faces=2, width=F(32), height=F(32), knots=(Knot(F(0), F(x), F(8)),))


def test_each_track_is_packed_with_an_offset_of_its_own(videos: Path, tmp_path: Path):
    paths = (still(1, 4), still(2, 60))
    rows = (
        kept("a.mkv", 0, track=1),
        kept("a.mkv", 100, track=2),
        kept("b.mkv", 100, track=2, end_s=F(3)),
        kept("b.mkv", 110, track=2, start_s=F(3)),
    )
    path = table(tmp_path, *rows)
    write_boxes(boxes_beside(path), [("a.mkv", paths), ("b.mkv", paths)])
    options = replace(NO_OPTIONS, root=videos)
    summary = pack(path, tmp_path / "out", CONFIG, QUIET, options)
    assert (summary.sources, len(summary.rejects)) == (4, 0)
    clips = clips_of(tmp_path / "out")
    assert {
        (meta.source, meta.crop.track, int(meta.moved_sound.offset_ms) if meta.moved_sound else 0)
        for meta, *_ in clips
        if meta.crop
    } == {("a.mkv", 1, 0), ("a.mkv", 2, 100), ("b.mkv", 2, 100), ("b.mkv", 2, 110)}
    assert all(meta.crop for meta, *_ in clips)
    verify(tmp_path / "out", 1, decode=True)
    # what it was cut by can be read again, each box once, and networks learn that they look at parts of pictures
    found = with_boxes(find_sources(videos), tmp_path / "out" / BOXES)
    assert {one.rel: one.crops for one in found.sources if one.crops} == {"a.mkv": paths, "b.mkv": (paths[1],)}
    assert read_info(tmp_path / "out").settings["crop"] == "boxes"
    division = divide(path, tmp_path / "shared", CONFIG, options, 1, QUIET)
    pack_share(path, tmp_path / "shared", CONFIG, options, len(division.shares) - 1, QUIET)
    pack(path, tmp_path / "shared", CONFIG, QUIET, options)
    assert contents(tmp_path / "shared") == contents(tmp_path / "out")


@pytest.mark.parametrize("crop", ["faces", "other.csv"])
def test_tracks_of_its_own_stand_against_another_crop(crop: str, videos: Path, tmp_path: Path):
    path = table(tmp_path, kept("a.mkv", 0, track=1))
    write_boxes(boxes_beside(path), [("a.mkv", (still(1, 4),))])
    with pytest.raises(InputError, match=rf"--crop {crop}: .*has boxes of its own"):
        pack(path, tmp_path / "out", replace(CONFIG, crop=crop), QUIET, replace(NO_OPTIONS, root=videos))
    assert not (tmp_path / "out").exists()


def test_show_and_verify_know_of_moved_sound(videos: Path, tmp_path: Path):
    out = tmp_path / "out"
    pack(
        table(tmp_path, kept("a.mkv", 0), kept("b.mkv", F(-201, 2))),
        out,
        CONFIG,
        QUIET,
        replace(NO_OPTIONS, root=videos),
    )
    write_sources(tmp_path / "sources.csv", read_survey(out))
    with (tmp_path / "sources.csv").open(newline="") as file:
        assert {row["source"]: float(row["moved_ms"]) for row in csv.DictReader(file)} == {"a.mkv": 0, "b.mkv": -100.5}
    side = out / "train" / "000000.json"
    honest = side.read_text()
    side.write_text(honest.replace('"offset_ms": "-201/2"', '"offset_ms": "-101"'))
    with pytest.raises(Exception, match="disagrees"):
        verify(out, 1)
    side.write_text(honest)
    verify(out, 1)


STRETCH = st.tuples(st.integers(0, 40), st.integers(1, 20)).map(lambda one: (F(one[0], 2), F(one[0] + one[1], 2)))


@given(
    parts=st.lists(st.tuples(STRETCH, STRETCH), max_size=4), runs=st.lists(STRETCH, max_size=3), late=st.integers(-9, 9)
)
def test_wherever_there_is_picture_there_is_its_sound(
    parts: list[tuple[tuple[F, F], tuple[F, F]]], runs: list[tuple[F, F]], late: int, videos: Path
):
    """Of each moment that is shown, on a grid, with its sound moved by any time: both are there, and no moment less."""
    found, later = replace(probed(videos / "a.mkv"), parts=tuple(parts), runs=tuple(runs)), F(late, 2)

    def within(time: F, stretches: Iterable[tuple[F, F]]) -> bool:
        return any(start <= time < end for start, end in stretches)

    for time in (F(number, 4) + F(1, 8) for number in range(-10, 150)):
        pairs = any(within(time, [seen]) and within(time + later, [heard]) for seen, heard in parts)
        assert within(time, found.shown_with(later)) == (pairs and within(time, runs))


@pytest.mark.parametrize("late_ms", [0, 800, -800])
def test_what_a_file_that_breaks_off_lacks_is_lost_whichever_way_its_sound_is_moved(late_ms: int, tmp_path: Path):
    write_video(tmp_path / "whole.mkv", Video(seconds=F(12), events=(), audio_codec="flac", noise=0.1))
    data = (tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "a.mkv").write_bytes(data[: len(data) * 2 // 3])
    found = probe(tmp_path / "a.mkv")
    assert found.missing
    pack(table(tmp_path, kept("a.mkv", late_ms)), tmp_path / "out", CONFIG, QUIET)
    clips = clips_of(tmp_path / "out")
    assert not any(meta.repairs.silence_samples for meta, *_ in clips)
    end = found.missing[0] - max(F(0), F(late_ms, 1000))
    assert 0 <= end - F(clips[-1][0].first_frame + clips[-1][0].frames, 30) < F(1, 2)
    assert read_info(tmp_path / "out").lost_clips >= 1
