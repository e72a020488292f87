"""A heat video keeps the source's moments, shape and sound; its heat lies where the network says."""

import errno
import gc
import os
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import get_args
from weakref import ref

import av
import numpy as np
import pytest
import torch
from bright import network
from PIL import Image

from avsync.config import SURE, LocalizeConfig
from avsync.localize.film import LONGEST_SIDE, TICK, FilmWriter, Picture, read_pictures
from avsync.localize.localize import LocalizeResult, localize, localize_with, verdict_words
from avsync.localize.sheet import MOMENTS, Envelope, Moments
from avsync.localize.windows import Cut, as_input, form_of, read_windows, seen_box
from avsync.models import paper
from avsync.run.network import LoadedNetwork
from avsync.run.paths import LocalizeRecord, RunPaths, localize_place, score_place
from sharding.base.files import publish, read_json
from sharding.errors import InputError
from sharding.format.clip import Clock, Fit
from sharding.format.crop import Where
from sharding.media.decode import decode_span
from sharding.media.picture import TURNS
from sharding.media.probe import probe
from tests.media import Video, beep_samples, write_video

CPU = torch.device("cpu")


def run(video: Path, folder: Path, net: LoadedNetwork | None = None, **config: float) -> LocalizeResult:
    settings = replace(LocalizeConfig(), **config)  # type: ignore[arg-type]
    return localize_with(net or network(), video, folder / "out" / "heat.mp4", settings, CPU)


def times_of(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]  # type: ignore[operator]


def sound_of(path: Path) -> np.ndarray:
    """(S, C) int16 on the timeline, the edit list applied."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("s16", "stereo")
        parts = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
        start = round(parts[0].pts * parts[0].time_base * parts[0].sample_rate)  # type: ignore[operator]
        samples = np.concatenate([part.to_ndarray().reshape(-1, 2) for part in parts])
    return samples[max(0, -start) :]


UNEVEN = tuple(Fraction(n, 1000) for n in np.cumsum([0, *[33, 40, 17, 200, 50] * 14]).tolist())


def test_every_picture_keeps_its_own_moment(tmp_path: Path) -> None:
    video = write_video(tmp_path / "uneven.mp4", Video(frame_times=UNEVEN, seconds=UNEVEN[-1] + Fraction(1, 30)))
    got = times_of(run(video, tmp_path).mp4)
    assert len(got) == len(UNEVEN)
    assert max(abs(a - b) for a, b in zip(got, times_of(video), strict=True)) <= TICK


@pytest.mark.parametrize("fps", [Fraction(24), Fraction(30000, 1001), Fraction(60)])
@pytest.mark.parametrize("rate", [44100, 48000])
def test_the_sound_stays_where_it_was(tmp_path: Path, fps: Fraction, rate: int) -> None:
    made = Video(fps=fps, sample_rate=rate, channels=2, seconds=Fraction(5), events=(Fraction(1), Fraction(3)))
    video = write_video(tmp_path / "beeps.mkv", replace(made, audio_codec="flac"))
    result = run(video, tmp_path)
    beeps = beep_samples(sound_of(result.mp4))
    assert [beep / rate for beep in beeps] == pytest.approx([1, 3], abs=0.002)
    with av.open(str(result.mp4)) as container:
        assert container.streams.audio[0].rate == rate
        assert container.streams.audio[0].channels == 2


def test_late_pictures_and_late_sound_stay_late(tmp_path: Path) -> None:
    made = Video(seconds=Fraction(4), video_start=Fraction(1, 2), audio_start=Fraction(1, 4), events=(Fraction(2),))
    result = run(write_video(tmp_path / "late.mkv", replace(made, audio_codec="flac")), tmp_path)
    assert abs(times_of(result.mp4)[0] - Fraction(1, 2)) <= TICK
    assert [beep / 44100 for beep in beep_samples(sound_of(result.mp4))] == pytest.approx([2], abs=0.002)


def test_the_last_picture_stays_as_long_as_it_did(tmp_path: Path) -> None:
    slides = Video(fps=Fraction(2), seconds=Fraction(3), events=())
    source = probe(write_video(tmp_path / "slides.mp4", slides))
    shown = list(read_pictures(probe(run(source.path, tmp_path).mp4)))
    assert len(shown) == 6
    assert {picture.ticks for picture in shown} == {45_000}


def test_the_result_plays_anywhere(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", Video(seconds=Fraction(3), events=(Fraction(1),)))
    result = run(video, tmp_path)
    with av.open(str(result.mp4)) as container:
        picture, sound = container.streams.video[0], container.streams.audio[0]
        assert (picture.codec_context.name, picture.format.name, sound.codec_context.name) == ("h264", "yuv420p", "aac")
        assert (picture.width, picture.height) == (96, 64)
    assert not list(result.mp4.parent.glob("*.part"))


def square_video(path: Path, x: int, y: int, width: int = 160, height: int = 96) -> Path:
    """Dark gray, with a light square of 24 pixels whose middle is at x, y; 3 s at 12 fps with soft noise to hear."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rgb = np.full((height, width, 3), 60, np.uint8)
    rgb[y - 12 : y + 12, x - 12 : x + 12] = 230
    sound = np.random.default_rng(0).integers(-300, 300, (3 * 8000, 1)).astype(np.int16)
    with publish(path) as file, FilmWriter(file, height=height, width=width, rate=8000, channels=1) as film:
        film.sound(sound)
        for number in range(36):
            film.show(Picture(number * 7500, 7500, rgb))
    return path


@pytest.mark.parametrize(("width", "height"), [(160, 96), (96, 160)])
@pytest.mark.parametrize("fit", get_args(Fit))
@pytest.mark.parametrize(("x", "y"), [(-16, -12), (14, 13), (0, 0)])
def test_heat_lies_on_what_the_network_points_at(
    tmp_path: Path, x: int, y: int, fit: Fit, width: int, height: int
) -> None:
    """However pictures were fitted into the dataset's square ones, heat comes back to its place in the video."""
    x, y = x + width // 2, y + height // 2
    video = square_video(tmp_path / "square.mp4", x, y, width, height)
    result = run(video, tmp_path, network(fit=fit))
    for before, after in list(zip(read_pictures(probe(video)), read_pictures(probe(result.mp4)), strict=True))[::12]:
        change = np.abs(before.rgb.astype(int) - after.rgb).sum(axis=2)
        change[change < 60] = 0  # what the encoder changed
        rows, columns = (change * np.indices(change.shape)).sum(axis=(1, 2)) / change.sum()
        assert columns == pytest.approx(x, abs=8)
        assert rows == pytest.approx(y, abs=8)


def test_a_real_network_runs_end_to_end_and_gives_a_sheet(tmp_path: Path) -> None:
    torch.manual_seed(0)
    video = write_video(tmp_path / "a.mp4", Video(seconds=Fraction(5)))
    with_crop = network()
    model = paper.build(with_crop.spec).eval()
    result = run(video, tmp_path, replace(with_crop, model=model), overlap=0.25)
    assert result.windows == 3
    assert 0 < result.in_sync < 1
    assert result.note == ""
    with Image.open(result.sheet) as sheet:
        assert sheet.format == "PNG"
        assert min(sheet.size) > 400


def test_a_video_shorter_than_a_window_is_filled_up_and_says_so(tmp_path: Path) -> None:
    video = write_video(tmp_path / "blink.mp4", Video(seconds=Fraction(1, 2), events=()))
    result = run(video, tmp_path)
    assert result.windows == 1
    assert "blink.mp4 has 0.50 s, the network looks at 2.00 s" in result.note
    assert len(times_of(result.mp4)) == 15


def test_a_single_picture_is_still_a_video(tmp_path: Path) -> None:
    video = write_video(tmp_path / "one.mp4", Video(frame_times=(Fraction(0),), seconds=Fraction(1, 4), events=()))
    result = run(video, tmp_path)
    assert len(times_of(result.mp4)) == 1
    assert result.sheet.is_file()


def test_large_pictures_are_shrunk_with_their_shape_kept(tmp_path: Path) -> None:
    wide = Video(seconds=Fraction(1, 3), events=(), width=LONGEST_SIDE * 2, height=320)
    first = next(read_pictures(probe(write_video(tmp_path / "wide.mp4", wide))))
    assert first.rgb.shape == (160, LONGEST_SIDE, 3)


@pytest.mark.parametrize("turn", TURNS.values())
def test_turns_are_those_of_packing(tmp_path: Path, turn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What read_pictures shows, shrunk, is what packing stores."""
    video = square_video(tmp_path / "square.mp4", 40, 30, width=64, height=64)
    for reader in ("sharding.media.picture", "avsync.localize.film"):
        monkeypatch.setattr(f"{reader}.turn_of", lambda _: turn)
    source = probe(video)
    stored = decode_span(source, first_frame=0, frames=1, spec=replace(form_of(network()), width=64, height=64))
    luma = stored.yuv[0, :64].astype(float)
    shown = next(read_pictures(source)).rgb.mean(axis=2)
    assert np.corrcoef(luma.ravel(), shown.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("fps", [Fraction(10), Fraction(30000, 1001)])
def test_windows_are_what_packing_would_have_stored(tmp_path: Path, fps: Fraction) -> None:
    net = network(clock=Clock(fps=fps, sample_rate=8000))
    source = probe(write_video(tmp_path / "a.mp4", Video(seconds=Fraction(5))))
    form = form_of(net)
    cuts = [Cut(first=3, starts=[0, 7, 20, 31]), Cut(first=0, starts=[8, 27]), Cut(first=0, starts=[])]
    seen = list[tuple[int, int]]()
    for number, window in read_windows(source, form, cuts, 20):
        want = decode_span(source, first_frame=cuts[number].first + window.start, frames=20, spec=form)
        np.testing.assert_array_equal(window.yuv, want.yuv)
        assert window.audio.shape == want.audio.shape
        differ = (window.audio != want.audio).mean()
        assert differ == 0 if fps == 10 else differ < 0.01  # a piece's first sample may be rounded the other way
        seen.append((cuts[number].first + window.start, number))
    assert seen == sorted(seen)
    assert sorted(seen) == sorted(
        (cut.first + start, number) for number, cut in enumerate(cuts) for start in cut.starts
    )


def test_windows_of_many_parts_read_at_once_are_those_of_each_alone(tmp_path: Path) -> None:
    """Parts of two sizes, on different frames, with gaps; one far into the file."""
    net = network()
    video = Video(seconds=Fraction(50), fps=Fraction(10), audio_codec="flac")  # lossy ones make noise of their own
    source, form = probe(write_video(tmp_path / "a.mkv", video)), form_of(net)
    rng = np.random.default_rng(0)

    def part(width: float) -> Where:
        return lambda moment: (Fraction(int(moment) % 5, 10), Fraction(1, 4), Fraction(width), Fraction(1, 2))

    cuts = [
        Cut(first=int(first), starts=sorted({0, *rng.integers(1, 60, 3).tolist()}), where=where)
        for first, where in ((0, None), (5, part(0.5)), (17, part(0.25)), (430, part(0.5)))
    ]
    together = list(read_windows(source, form, cuts, 20, reach=7))
    assert [window.yuv.shape for _, window in together] == [(20, form.height * 3 // 2, form.width)] * 16
    for number, cut in enumerate(cuts):
        alone = [window for _, window in read_windows(source, form, [cut], 20, reach=7)]
        mine = [window for other, window in together if other == number]
        for one, other in zip(alone, mine, strict=True):
            assert one.start == other.start
            np.testing.assert_array_equal(one.yuv, other.yuv)
            np.testing.assert_array_equal(one.audio, other.audio)


def test_a_part_that_is_over_holds_no_pictures(tmp_path: Path) -> None:
    """A film has thousands of shots, each of them a part."""
    source, form = probe(write_video(tmp_path / "a.mp4", Video(seconds=Fraction(12), events=()))), form_of(network())
    cuts = [Cut(first=first, starts=[0]) for first in range(0, 100, 5)]
    generator = read_windows(source, form, cuts, 5)
    held = [ref(next(generator)[1].yuv) for _ in cuts]
    gc.collect()
    assert sum(one() is not None for one in held) <= 1
    generator.close()


def test_the_network_sees_the_central_crop_as_in_validation(tmp_path: Path) -> None:
    net = network()
    source = probe(square_video(tmp_path / "square.mp4", 80, 48))
    _, window = next(read_windows(source, form_of(net), [Cut(first=0, starts=[0])], 20))
    given = as_input(window.yuv, window.audio[None], source, net, CPU)
    assert given.frames.shape == (1, 3, 20, 40, 40)
    assert given.sounds.shape == (1, 1, 1, 16000)
    assert given.frames[0, :, 0, 20, 20].min() > 0.5  # the square's middle is the crop's middle
    assert seen_box(net, 160, 96) == pytest.approx((4 / 48, 4 / 48, 44 / 48, 44 / 48))


def test_a_film_that_fails_leaves_no_mp4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = write_video(tmp_path / "a.mp4", Video(seconds=Fraction(3), events=()))

    def fail(*_: object) -> None:
        raise RuntimeError("disk full")

    monkeypatch.setattr(FilmWriter, "show", fail)
    with pytest.raises(RuntimeError, match="disk full"):
        run(video, tmp_path)
    assert not list((tmp_path / "out").glob("*.mp4"))


@pytest.mark.parametrize(
    ("name", "made", "fact"),
    [
        ("nothing.mp4", None, "no such file"),
        ("blind.mp4", Video(video_codec=""), "no video stream"),
        ("mute.mp4", Video(audio_codec=""), "no audio stream"),
    ],
)
def test_unusable_videos_are_named_with_the_reason(tmp_path: Path, name: str, made: Video | None, fact: str) -> None:
    if made is not None:
        write_video(tmp_path / name, made)
    with pytest.raises(InputError, match=f"{name}: .*{fact}.*needs a video with picture and sound"):
        run(tmp_path / name, tmp_path)
    assert not (tmp_path / "out").exists()


def test_text_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video at all")
    with pytest.raises(InputError, match=r"text\.mp4: is no video that FFmpeg can open"):
        run(tmp_path / "text.mp4", tmp_path)


def test_the_output_must_be_another_mp4(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", Video(seconds=Fraction(1), events=()))
    (tmp_path / "file").touch()
    (tmp_path / "folder.mp4").mkdir()
    outputs = {
        video: "is the video itself",
        tmp_path / "heat.avi": "must end in .mp4",
        tmp_path: f"is a folder; name a file, like {tmp_path / 'output.mp4'}",
        tmp_path / "folder.mp4": "is a folder; name a file",
        tmp_path / "file" / "heat.mp4": "file is a file, not a folder",
    }
    for output, message in outputs.items():
        with pytest.raises(InputError, match=message):
            localize_with(network(), video, output, LocalizeConfig(), CPU)
        with pytest.raises(InputError, match=message):  # before anything is read: there is no run here
            localize(tmp_path / "run", video, LocalizeConfig(output=str(output)))


def test_heat_of_another_video_of_the_same_name_stands_beside_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("avsync.localize.localize.load_network", lambda *_: network())
    monkeypatch.setattr("avsync.localize.localize.REFINE", {})
    videos = [tmp_path / action / "1.v2.mp4" for action in ("drums", "[guitar]")]
    for video, x in zip(videos, (30, 130), strict=True):
        square_video(video, x, 40)
    drums, guitar, again = (localize(tmp_path / "run", video, LocalizeConfig()) for video in (*videos, videos[0]))
    assert (drums.mp4.name, guitar.mp4.name, again.mp4) == ("1.v2.mp4", "1.v2-2.mp4", drums.mp4)
    record = read_json(guitar.mp4.with_suffix(".json"), LocalizeRecord)
    assert record == LocalizeRecord(
        video=str(videos[1]), step=7, windows=guitar.windows, in_sync=guitar.in_sync,
        listened=guitar.scores.listened, spatial=guitar.scores.spatial,
    )  # fmt: skip
    names = {path.name for path in (tmp_path / "run" / "localize").iterdir()}
    assert names == {f"{stem}.{kind}" for stem in ("1.v2", "1.v2-2") for kind in ("mp4", "png", "json")}


def test_it_says_whether_the_map_listened_and_what_that_means(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("avsync.localize.localize.load_network", lambda *_: network())
    monkeypatch.setattr("avsync.localize.localize.REFINE", {})
    result = localize(tmp_path / "run", square_video(tmp_path / "a.mp4", 30, 40), LocalizeConfig())
    assert result.scores.listened == 0, "its map is what it sees"
    assert result.scores.spatial > 0.36, "a square in the dark"
    shown = " ".join(capsys.readouterr().out.split())
    assert f"windows: {verdict_words(result.in_sync)}" in shown
    assert (
        f"This map listened 0.00, spatial {result.scores.spatial:.2f} (nearly the same map whatever is heard" in shown
    )


@pytest.mark.parametrize("in_sync", [number / 100 for number in range(101)])
def test_only_a_sure_answer_reads_like_a_verdict(in_sync: float) -> None:
    words = verdict_words(in_sync)
    assert words.startswith("can't tell") == (max(in_sync, 1 - in_sync) < SURE)
    assert words.startswith("in sync") == (in_sync >= SURE)
    assert words.startswith("not in sync") == (1 - in_sync >= SURE)


def test_a_record_of_before_maps_were_asked_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"video": "/a.mp4", "step": 7, "windows": 3, "in_sync": 0.5}')
    assert read_json(tmp_path / "a.json", LocalizeRecord).listened is None


def test_any_name_can_be_drawn(tmp_path: Path) -> None:
    video = square_video(tmp_path / "a$b_$c^ [/x].mp4", 40, 40)
    assert run(video, tmp_path).sheet.is_file()


def test_a_name_that_is_no_text_is_kept_as_well_as_json_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avsync.localize.localize.load_network", lambda *_: network())
    monkeypatch.setattr("avsync.localize.localize.REFINE", {})
    video = square_video(tmp_path / "plain.mp4", 30, 40).rename(tmp_path / os.fsdecode(b"caf\xe9.mp4"))
    first, again = (localize(tmp_path / "run", video, LocalizeConfig()) for _ in range(2))
    assert first.mp4 == again.mp4, "the same question again replaces its answer"
    record = read_json(first.mp4.with_suffix(".json"), LocalizeRecord)
    assert record.video == str(tmp_path / r"caf\udce9.mp4")


@pytest.mark.parametrize("place", [localize_place, lambda paths, video: score_place(paths.scored, video)])
@pytest.mark.parametrize("stem", ["b" * 248, "\u00e9" * 124, os.fsdecode(b"\xff" * 248)])
def test_the_longest_name_of_a_video_leaves_room_for_the_names_of_answers(
    tmp_path: Path, stem: str, place: Callable[[RunPaths, Path], Path]
) -> None:
    video = tmp_path / f"{stem}.mp4"
    video.touch()
    answer = place(RunPaths(tmp_path), video).with_suffix(".json")
    answer.parent.mkdir(parents=True)
    answer.with_name(answer.name + ".part-12345").touch()


def test_moments_are_spread_evenly_over_any_film() -> None:
    moments = Moments.over(2.0, 8.0)
    picture = np.zeros((2, 2, 3), np.uint8)
    for number in range(60):
        moments.offer(2 + number / 10, picture)
    chosen = [moment.seconds for moment in moments.chosen()]
    assert len(chosen) == MOMENTS
    assert np.diff(chosen) == pytest.approx(0.5, abs=0.11)
    assert chosen[0] == pytest.approx(2.25, abs=0.11)


def test_the_envelope_does_not_depend_on_how_the_sound_arrives() -> None:
    sound = np.random.default_rng(0).integers(-32768, 32768, (10_000, 2)).astype(np.int16)
    whole, pieces = Envelope(8000), Envelope(8000)
    whole.add(sound)
    for piece in np.array_split(sound, 13):
        pieces.add(piece)
    assert whole.peaks == pieces.peaks
    assert whole.seconds[-1] == pytest.approx(1.25, abs=0.01)


def test_a_video_with_little_sound_is_remarked_upon(tmp_path: Path) -> None:
    made = Video(seconds=Fraction(6), audio_start=Fraction(4), audio_codec="flac")
    assert "has sound for 2.0 of 6.0 s" in run(write_video(tmp_path / "late.mkv", made), tmp_path).note
    assert run(write_video(tmp_path / "whole.mkv", replace(made, audio_start=Fraction(0))), tmp_path).note == ""


def test_a_disk_that_refuses_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = write_video(tmp_path / "a.mp4", Video(seconds=Fraction(3), events=()))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(FilmWriter, "show", full)
    with pytest.raises(InputError, match=r"cannot write .*heat\.mp4: No space left on device; make room"):
        run(video, tmp_path)
