"""Films are packed in parts by several processes; what ends in the middle goes on from the parts that are there."""

import csv
import shutil
from dataclasses import replace
from fractions import Fraction as F
from pathlib import Path

import pytest

from sharding.base.files import read_json
from sharding.base.workers import CRASHES, OUT_OF_MEMORY, OUT_OF_TIME
from sharding.config import PackConfig, PackOptions
from sharding.containers.choice import StreamWish
from sharding.errors import AvsyncError, InputError, RejectError, RejectReason
from sharding.format.dataset import open_dataset
from sharding.format.records import ShardRecord
from sharding.media.probe import Probe, probe
from sharding.pack.cut import PART_CLIPS
from sharding.pack.pack import pack
from sharding.pack.schedule import TRIES, Assemble, PackPart, PackTask, Schedule
from sharding.plan.plan import plan_shards
from sharding.sources.source import Source
from tests.media import Video, write_video
from tests.sharding.conftest import QUIET, contents

FILM = Video(seconds=F(73, 2), events=(F(5), F(21), F(33)), width=48, height=32, fps=F(15))
SHORT_CLIPS = PackConfig(
    size=32, fps="15", clip_s="1", min_clip_s="0.5", workers=1, val_percent=0, test_percent=0, sources_per_shard=2
)
"""Of a film of 36 s they make three parts."""


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    videos = tmp_path_factory.mktemp("films")
    for number in range(2):
        write_video(videos / f"film {number}.mp4", replace(FILM, seed=number))
    write_video(videos / "short.mp4", replace(FILM, seconds=F(6), seed=2))
    write_video(videos / "sought badly.avi", replace(FILM, video_codec="mpeg4", audio_codec="pcm_s16le"))
    return videos


@pytest.fixture(scope="module")
def packed(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    dataset = tmp_path_factory.mktemp("packed") / "dataset"
    pack(films, dataset, SHORT_CLIPS, QUIET)
    return dataset


def test_any_number_of_processes_writes_the_same_films(films: Path, packed: Path, tmp_path: Path):
    pack(films, tmp_path / "out", replace(SHORT_CLIPS, workers=3), QUIET)
    assert contents(tmp_path / "out") == contents(packed)


def test_the_clips_of_a_film_follow_each_other_without_a_gap_across_parts(packed: Path):
    dataset = open_dataset(packed, "train")
    metas = [dataset.read(clip).meta() for clip in range(len(dataset.index))]
    for name in ("film 0.mp4", "film 1.mp4", "sought badly.avi"):
        film = [meta for meta in metas if meta.source == name]
        assert len(film) > 2 * PART_CLIPS
        assert [one.first_frame for one in film[1:]] == [one.first_frame + one.frames for one in film[:-1]]


def test_every_source_is_in_the_side_file_with_its_clips(packed: Path):
    records = [read_json(path, ShardRecord) for path in sorted(packed.glob("train/*.json"))]
    sources = {one.source: one for record in records for one in record.sources}
    assert {name: one.clips for name, one in sources.items()} == {
        "film 0.mp4": 36, "film 1.mp4": 36, "short.mp4": 6, "sought badly.avi": 36,
    }  # fmt: skip
    assert sources["short.mp4"].frames == sum(
        clip.frames for record in records for clip in record.clips if clip.key.startswith("short")
    )


def run(schedule: Schedule, most: int = 10**6) -> int:
    """Do up to `most` tasks here."""
    count = 0
    while count < most and (task := schedule.next()):
        schedule.done(task, task.run(lambda done, of: None))
        count += 1
    return count


def test_whatever_is_there_of_a_film_is_not_made_again(films: Path, packed: Path, tmp_path: Path):
    sources = tuple(
        Source(id=name, path=films / name, rel=name, action="x", group=name) for name in ("film 0.mp4", "film 1.mp4")
    )
    plans = plan_shards(sources, SHORT_CLIPS)
    (tmp_path / "train").mkdir()
    assert run(Schedule(plans, tmp_path, SHORT_CLIPS), most=5) == 5  # a look, three parts of one film, a look
    made = {path: path.stat().st_mtime_ns for path in tmp_path.glob(".parts/*/*.tar")}
    assert len(made) == 3
    (tmp_path / ".parts" / plans[0].digest[:16] / "000000-00001.tar").write_bytes(b"cut")
    left = run(Schedule(plans, tmp_path, SHORT_CLIPS))
    assert left == 1 + 1 + 1 + 3 + 1  # a look and a part again; the other film; the shard
    assert not list(tmp_path.glob(".parts/*"))
    assert (tmp_path / "train" / "000000.tar").exists()


def test_a_part_that_lost_its_bytes_is_made_again(films: Path, packed: Path, tmp_path: Path):
    source = Source(id="film", path=films / "film 0.mp4", rel="film", action="x", group="film")
    plans = plan_shards((source,), SHORT_CLIPS)
    (tmp_path / "train").mkdir()
    run(Schedule(plans, tmp_path, SHORT_CLIPS), most=4)
    whole = (tmp_path / "train" / "whole.tar", tmp_path / "train" / "000000.tar")
    shutil.copytree(tmp_path / ".parts", tmp_path / "copy")
    run(Schedule(plans, tmp_path, SHORT_CLIPS))
    whole[1].rename(whole[0])
    shutil.copytree(tmp_path / "copy", tmp_path / ".parts", dirs_exist_ok=True)
    part = next(tmp_path.glob(".parts/*/000000-00001.tar"))
    part.write_bytes(bytes(part.stat().st_size))  # what a power failure leaves of a file that nobody waited for
    assert run(Schedule(plans, tmp_path, SHORT_CLIPS)) == 4  # the shard, a look, the part, the shard
    assert whole[0].read_bytes() == whole[1].read_bytes()


def test_parts_of_another_look_at_a_film_do_not_hold_it_up(films: Path, tmp_path: Path):
    source = Source(id="film", path=films / "film 0.mp4", rel="film", action="x", group="film")
    plans = plan_shards((source,), SHORT_CLIPS)
    (tmp_path / "train").mkdir()
    schedule = Schedule(plans, tmp_path, SHORT_CLIPS)
    run(schedule, most=3)
    schedule = Schedule(plans, tmp_path, SHORT_CLIPS)
    look = schedule.next()
    assert isinstance(look, PackPart)
    schedule.done(look, look.refuse(RejectError(RejectReason.CORRUPT, "it changed")))
    run(schedule)
    record = read_json(tmp_path / "train" / "000000.json", ShardRecord)
    assert record.rejects == (("film", "corrupt", "it changed"),)


def died_of(code: int, tmp_path: Path) -> tuple[Schedule, list[PackTask]]:
    """A source whose process always ends with `code`; the tasks that were given."""
    write_video(tmp_path / "in" / "bad.mp4")
    source = Source(id="bad", path=tmp_path / "in" / "bad.mp4", rel="bad.mp4", action="x", group="bad")
    (tmp_path / "train").mkdir()
    schedule = Schedule(plan_shards((source,), SHORT_CLIPS), tmp_path, SHORT_CLIPS)
    given: list[PackTask] = []
    while task := schedule.next():
        given.append(task)
        if isinstance(task, Assemble):
            schedule.done(task, task.run(lambda done, of: None))
        else:
            schedule.died(task, code)
    return schedule, given


@pytest.mark.parametrize(
    ("code", "tries", "told"),
    [
        (OUT_OF_TIME, 1, r"no clip came of it in 300 s of CPU time \(--limit-s\)"),
        (OUT_OF_MEMORY, 2, r"decoding it needs more than 2.0 GiB of memory \(--memory-gb\)"),
        (CRASHES[0], 2, r"FFmpeg crashes on it \(signal 11\)"),
    ],
)
def test_a_source_that_ends_its_process_is_a_reject(code: int, tries: int, told: str, tmp_path: Path):
    schedule, given = died_of(code, tmp_path)
    assert [type(task) for task in given] == [PackPart] * tries + [Assemble]
    record = read_json(tmp_path / "train" / "000000.json", ShardRecord)
    [(name, reason, detail)] = record.rejects
    assert (name, reason) == ("bad.mp4", "corrupt")
    with pytest.raises(AvsyncError, match=told):
        raise AvsyncError(detail)
    assert not schedule.given_up


def test_a_source_whose_process_is_killed_from_outside_is_no_reject(tmp_path: Path):
    schedule, given = died_of(-9, tmp_path)
    assert len(given) == TRIES
    assert schedule.given_up == ["bad.mp4"]
    assert not (tmp_path / "train" / "000000.json").exists()


def test_a_video_that_takes_too_much_cpu_time_is_a_reject_and_the_others_are_packed(tmp_path: Path):
    write_video(tmp_path / "in" / "slow.mp4", Video(width=1920, height=1080, fps=F(60), seconds=F(11)))
    write_video(tmp_path / "in" / "good.mp4", Video(seed=1))
    config = PackConfig(size=32, limit_s=1, val_percent=0, test_percent=0, workers=2)
    summary = pack(tmp_path / "in", tmp_path / "out", config, QUIET)
    assert [(one.path, one.reason) for one in summary.rejects] == [("slow.mp4", "corrupt")]
    assert "in 1 s of CPU time" in summary.rejects[0].detail
    assert summary.clips["train"] == 1


def test_a_run_of_failures_stops_the_work_and_gives_them_another_chance(tmp_path: Path, monkeypatch, in_process):
    for number in range(6):
        write_video(tmp_path / "in" / f"{number}.mp4", Video(seed=number))
    config = PackConfig(size=32, workers=1, val_percent=0, test_percent=0, sources_per_shard=3, stop_after=5)
    with monkeypatch.context() as disk:
        disk.setattr("sharding.pack.cut.probe", gone)
        with pytest.raises(InputError, match=r"5 sources in a row could not be read \(5 unreadable; .*--stop-after 0"):
            pack(tmp_path / "in", tmp_path / "out", config, QUIET)
    assert pack(tmp_path / "in", tmp_path / "out", config, QUIET).clips["train"] == 6


@pytest.mark.parametrize(
    ("reason", "options"), [(RejectReason.UNREADABLE, PackOptions()), (RejectReason.CORRUPT, PackOptions(retry=True))]
)
def test_what_could_not_be_read_is_tried_again_and_what_was_corrupt_when_asked(
    reason: RejectReason, options: PackOptions, tmp_path: Path, monkeypatch, in_process
):
    for number in range(4):
        write_video(tmp_path / "in" / f"{number}.mp4", Video(seed=number))
    (tmp_path / "in" / "4.mp4").write_text("never a video")
    config = PackConfig(size=32, workers=1, val_percent=0, test_percent=0, sources_per_shard=2, stop_after=0)
    calls: list[Path] = []

    def once(path: Path, wish: StreamWish) -> Probe:
        calls.append(path)
        if len(calls) == 1:
            raise RejectError(reason, "for once")
        return probe(path, wish)

    monkeypatch.setattr("sharding.pack.cut.probe", once)
    assert pack(tmp_path / "in", tmp_path / "out", config, QUIET).clips["train"] == 3
    again = pack(tmp_path / "in", tmp_path / "out", config, QUIET, options)
    assert (again.shards_packed, again.clips["train"]) == (2 if options.retry else 1, 4)
    assert pack(tmp_path / "in", tmp_path / "out", config, QUIET).shards_packed == 0


def gone(path: Path, wish: StreamWish) -> Probe:
    raise RejectError(RejectReason.UNREADABLE, "Input/output error")


@pytest.mark.parametrize("stop_after", [0, 6])
def test_fewer_failures_than_that_do_not_stop_the_work(stop_after: int, tmp_path: Path):
    for number in range(5):
        (tmp_path / "in" / f"b{number}.mp4").parent.mkdir(exist_ok=True)
        (tmp_path / "in" / f"b{number}.mp4").write_text(f"no video {number}")
    write_video(tmp_path / "in" / "c.mp4")
    config = PackConfig(size=32, workers=1, val_percent=0, test_percent=0, stop_after=stop_after)
    summary = pack(tmp_path / "in", tmp_path / "out", config, QUIET)
    assert len(summary.rejects) == 5
    with (tmp_path / "out" / "rejects.csv").open(newline="") as file:
        assert {row["reason"] for row in csv.DictReader(file)} == {"corrupt"}
