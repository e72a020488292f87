"""Edited MP4 and MOV, decoded: each picture and each sample stands where the edit list plays it.

What is right is told by the same files without edits: their pictures, their samples, and when they are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction as F
from functools import cache
from math import floor
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from sharding.containers.edits import IGNORED
from sharding.containers.fragments import late_by_ffmpeg
from sharding.format.clip import Clock
from sharding.media import stream
from sharding.media.decode import OutputSpec, Span, decode_span, read_spans
from sharding.media.probe import Probe, probe
from tests.edits import Edited, Played, Style, moments, plays, with_edits
from tests.media import Video, beep_samples, flash_frames, write_video
from tests.remux import remux, spoil

SECONDS, FPS, LASTS = F(5), F(30), F(1, 15)
SMALL = Video(seconds=SECONDS, events=(F(1), F(2), F(3), F(4)), flash_s=F(1, 20), width=48, height=32)
MEDIA = {
    "44.mp4": SMALL,
    "48.mp4": replace(SMALL, sample_rate=48_000),
    "opus.mp4": replace(SMALL, audio_codec="libopus", sample_rate=48_000),
    "mp3.mp4": replace(SMALL, audio_codec="libmp3lame"),
    "aac.mov": replace(SMALL, sample_rate=48_000, video_start=F(1, 5)),
    "pcm.mov": replace(SMALL, audio_codec="pcm_s16le"),
}
FRAGMENTS = {"movflags": "frag_keyframe+delay_moov+default_base_moof"}
NEGATIVE = {"movflags": "negative_cts_offsets"}
BOTH = {"movflags": "frag_keyframe+delay_moov+default_base_moof+negative_cts_offsets"}
LISTS = {
    "jump": (plays(("1.5", "0.51"), ("2", "2.77")),) * 2,
    "nothing between": (plays(("1.2", "0.3"), ("0.7", None), ("2", "1.93")),) * 2,
    "repeat": (plays(("1.6", "0.72"), ("1.6", "0.72"), ("1.5", "1.2")),) * 2,
    "backwards": (plays(("1.1", "3.37"), ("1.2", "2.1"), ("1.7", "0.4")),) * 2,
    "each its own": (
        plays(("0.4", None), ("2.2", "1.31"), ("1.6", "0.2")),
        plays(("1.7", "0.9"), ("0.5", None), ("2.5", "2.03")),
    ),
    "sound alone": (None, plays(("1.7", "0.9"), ("2.5", "2.03"))),
    "picture alone": (plays(("1.013", "0.9"), ("2.5", "2.03")), None),
    "sound in one edit": (plays(("1.5", "0.51"), ("2", "2.77")), plays(("0.3", None), ("3", "0"))),
    "past the end": (plays(("1", "0.5"), ("3", "3.5"), ("1.5", "1.1")),) * 2,
    "at once after another": (plays(("2.005", "0.015"), ("0.02", "4.4"), ("0.033", "0.4"), ("2", "2.02")),) * 2,
    "nothing after": (plays(("4", "0.5"), ("1", None)),) * 2,
}
STYLES = (Style(), Style(version=1, timescale=90_000), Style(timescale=600, moov_first=True), Style(long_sizes=True))


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """What a file without edits holds, by media time."""

    times: tuple[F, ...]
    pictures: tuple[bytes, ...]
    sound: NDArray[np.int16]
    """(S,), from media time 0 on"""
    rate: int


def reference(path: Path) -> Reference:
    with av.open(str(path), options=IGNORED) as file:
        shown = [(frame.pts, frame) for frame in file.decode(video=0)]
        tick = file.streams.video[0].time_base
    pictures = tuple(frame.to_ndarray(format="yuv420p").tobytes() for _, frame in shown)
    with av.open(str(path), options=IGNORED) as file:
        rate = file.streams.audio[0].rate
        file.streams.audio[0].codec_context.options = {"flags2": "+skip_manual"}
        resampler = av.AudioResampler("s16", "mono", rate)
        sound = np.zeros(round((SECONDS + 2) * rate), np.int16)
        for frame in file.decode(audio=0):
            (plain,) = resampler.resample(frame)
            samples = plain.to_ndarray()[0]
            assert frame.pts is not None
            assert frame.time_base == F(1, rate)
            sound[frame.pts : frame.pts + len(samples)] = samples
    assert tick is not None
    late = late_by_ffmpeg(path, 1)
    return Reference(
        times=tuple(pts * tick - (late.seconds if late else 0) for pts, _ in shown if pts is not None),
        pictures=pictures,
        sound=sound,
        rate=rate,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("whole")
    files = {name: write_video(folder / name, video) for name, video in MEDIA.items()}
    for name, options in (("fragments.mp4", FRAGMENTS), ("negative.mp4", NEGATIVE), ("both.mp4", BOTH)):
        files[name] = remux(files["48.mp4"], folder / name, lambda packet: True, options=options)
    return files


@pytest.fixture(scope="module")
def references(whole: dict[str, Path]) -> dict[str, Reference]:
    return {name: reference(path) for name, path in whole.items()}


NAMES = (*MEDIA, "fragments.mp4", "negative.mp4", "both.mp4")


def edited(whole: dict[str, Path], name: str, what: str, target: Path) -> Edited:
    video, audio = LISTS[what]
    style = STYLES[(NAMES.index(name) + list(LISTS).index(what)) % len(STYLES)]
    return with_edits(whole[name], target / f"{name}", video=video, audio=audio, style=style)


def spec_of(reference: Reference) -> OutputSpec:
    return OutputSpec(clock=Clock(fps=FPS, sample_rate=reference.rate), width=48, height=32, channels=1)


def length(edits: Edited) -> int:
    """Slots until the longer list is over."""
    ends = [one.start + one.seconds for one in (*edits.video, *edits.audio) if one.seconds < SECONDS]
    return floor(max(ends, default=SECONDS) * FPS)


def pictures_at(played: Sequence[Played], pictures: Reference, slots: int) -> list[bytes]:
    """The picture of every slot, from what is said about edits alone."""
    appear = list[tuple[int, bytes]]()
    for one in played:
        if one.media is None:
            continue
        seen = [n for n, when in enumerate(pictures.times) if when < one.media + one.seconds]
        first = max([n for n in seen if pictures.times[n] <= one.media], default=0)
        for n in seen[first:]:
            when = one.start + max(F(0), pictures.times[n] - one.media)
            appear.append((floor(when * FPS + F(1, 2)), pictures.pictures[n]))
    return [next((shown for when, shown in reversed(appear) if when <= n), appear[0][1]) for n in range(slots)]


def sound_at(played: Sequence[Played], sound: Reference, samples: int) -> NDArray[np.int16]:
    out = np.zeros(samples, np.int16)
    for one in played:
        if one.media is None:
            continue
        first, stop = round(one.start * sound.rate), min(samples, round((one.start + one.seconds) * sound.rate))
        skipped = round((one.media - one.start) * sound.rate)
        there = sound.sound[max(0, first + skipped) : max(0, stop + skipped)]
        out[first : first + len(there)] = there
    return out


Decoded = tuple[Edited, Probe, Span]


@pytest.fixture(scope="module")
def decoded(
    whole: dict[str, Path], references: dict[str, Reference], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], Decoded]:
    """A file with these edits, probed, and all of it; each is made once."""

    @cache
    def made(name: str, what: str) -> Decoded:
        edits = edited(whole, name, what, tmp_path_factory.mktemp("edited"))
        source = probe(edits.path)
        (span,) = read_spans(source, [range(length(edits))], spec_of(references[name]))
        assert span.damage == ""
        return edits, source, span

    return made


def shift_between(heard: NDArray[np.int64], there: NDArray[np.int64]) -> int:
    """By how many samples one must be moved to be most like the other: AAC's decoder draws its noise anew each time."""
    inner = slice(20, -20)
    return min(range(-20, 21), key=lambda by: (np.abs(np.roll(heard, by) - there)[inner].mean(), abs(by)))


@pytest.mark.parametrize("what", LISTS)
@pytest.mark.parametrize("name", NAMES)
def test_every_picture_and_every_sample_is_where_its_edit_plays_it(
    name: str, what: str, decoded: Callable[[str, str], Decoded], references: dict[str, Reference]
):
    (edits, _, span), reference = decoded(name, what), references[name]
    right = pictures_at(edits.video, reference, len(span.yuv))
    wrong = [slot for slot, shown in enumerate(right) if span.yuv[slot].tobytes() != shown]
    assert not wrong
    heard, there = span.audio[:, 0].astype(int), sound_at(edits.audio, reference, len(span.audio)).astype(int)
    if name == "pcm.mov":
        assert np.array_equal(heard, there)
    for one in edits.audio:
        first, stop = round(one.start * reference.rate), round((one.start + one.seconds) * reference.rate)
        if not there[first:stop].any():
            assert not heard[first:stop].any()
        elif stop - first > 100:
            assert shift_between(heard[first:stop], there[first:stop]) == 0


@pytest.mark.parametrize("what", LISTS)
@pytest.mark.parametrize("name", NAMES)
def test_every_flash_is_seen_and_every_beep_heard_when_the_lists_play_them(
    name: str, what: str, decoded: Callable[[str, str], Decoded], references: dict[str, Reference]
):
    (edits, _, span), rate = decoded(name, what), references[name].rate
    flashes, beeps, last = flash_frames(span.yuv), beep_samples(span.audio), len(span.yuv) / FPS - LASTS
    for event in SMALL.events:
        seen, heard = (moments(track, event, LASTS) for track in (edits.video, edits.audio))
        assert {floor(moment * FPS + F(1, 2)) for moment in seen if moment < last} <= {*flashes}
        for moment in (moment for moment in heard if moment < last):
            assert min(abs(beep - moment * rate) for beep in beeps) < rate / 1000


@pytest.mark.parametrize("name", NAMES)
def test_a_stretch_is_the_same_however_it_is_reached(
    name: str,
    decoded: Callable[[str, str], Decoded],
    references: dict[str, Reference],
    monkeypatch: pytest.MonkeyPatch,
):
    (_, source, span), spec = decoded(name, "each its own"), spec_of(references[name])
    monkeypatch.setattr(stream, "SEEK_FROM_S", F(1, 10))
    for first, frames in ((20, 15), (60, 40), (75, 1), (100, 22)):
        part = decode_span(source, first_frame=first, frames=frames, spec=spec)
        assert np.array_equal(part.yuv, span.yuv[first : first + frames])
        start, count = spec.clock.sample_at(first), spec.clock.sample_at(frames)
        heard, there = part.audio[:, 0].astype(int), span.audio[start : start + count, 0].astype(int)
        assert shift_between(heard, there) == 0


def test_a_source_begins_and_ends_as_its_lists_say(whole: dict[str, Path], tmp_path: Path):
    video, audio = LISTS["each its own"]
    source = probe(with_edits(whole["44.mp4"], tmp_path / "a.mp4", video=video, audio=audio).path)
    assert (source.video.start, source.video.end) == (F(2, 5), F(21, 5))
    assert (source.audio.start, source.audio.end) == (F(0), F(47, 10))
    assert source.shown == ((F(2, 5), F(21, 5)),)
    assert source.missing is None
    late = plays(("0.5", None), ("1", "0.5"), ("3", "4"))
    source = probe(with_edits(whole["44.mp4"], tmp_path / "b.mp4", video=late, audio=late).path)
    assert abs(source.video.end - F(5, 2)) < F(1, 1000)
    assert abs(source.audio.end - F(5, 2)) < F(1, 20)


def test_a_long_empty_edit_is_a_hole_and_what_follows_is_exact(whole: dict[str, Path], tmp_path: Path):
    gap = plays(("2", "0.5"), ("3600", None), ("2.5", "1.5"))
    edits = with_edits(whole["44.mp4"], tmp_path / "a.mp4", video=gap, audio=gap)
    source = probe(edits.path)
    (before, after) = source.shown
    assert before[1] < 3 < 3602 == after[0]
    spec = OutputSpec(clock=Clock(fps=FPS, sample_rate=44_100), width=48, height=32, channels=1)
    span = decode_span(source, first_frame=3602 * 30, frames=70, spec=spec)
    assert flash_frames(span.yuv) == [15, 45]
    assert [round(beep / 1470) for beep in beep_samples(span.audio)] == [15, 45]


def test_a_tag_that_hides_the_first_samples_hides_none_that_an_edit_plays(
    whole: dict[str, Path], references: dict[str, Reference], tmp_path: Path
):
    early = plays(("1.5", "0"), ("2", "2.5"))
    edits = with_edits(whole["44.mp4"], tmp_path / "a.mp4", video=early, audio=early, style=Style(gapless=9000))
    source = probe(edits.path)
    assert source.audio.start == 0
    span = decode_span(source, first_frame=0, frames=30, spec=spec_of(references["44.mp4"]))
    there = sound_at(edits.audio, references["44.mp4"], len(span.audio)).astype(int)
    assert shift_between(span.audio[:7000, 0].astype(int), there[:7000]) == 0


def test_damage_counts_where_it_is_played(whole: dict[str, Path], references: dict[str, Reference], tmp_path: Path):
    broken = spoil(whole["44.mp4"], tmp_path / "broken.mp4", "audio", F(2), F(2) + F(1, 5))
    video, audio = LISTS["repeat"]
    source = probe(with_edits(broken, tmp_path / "a.mp4", video=video, audio=audio).path)
    spans = list(read_spans(source, [range(n, n + 15) for n in range(0, 135, 15)], spec_of(references["44.mp4"])))
    hurt = [n for n, span in enumerate(spans) if span.repairs.decode_errors or span.damage]
    assert hurt == [2, 5, 6, 8], "media 2.0 to 2.2 s, played from 1.28, 2.88 and 4.0 s on"


def test_a_copy_that_was_stopped_lacks_what_plays_its_end(
    whole: dict[str, Path], references: dict[str, Reference], tmp_path: Path
):
    backwards, first = plays(("2", "3"), ("2.5", "0.5")), Style(moov_first=True)
    path = with_edits(whole["44.mp4"], tmp_path / "a.mp4", video=backwards, audio=backwards, style=first).path
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 5])
    source = probe(path)
    assert source.missing is not None
    spans = list(read_spans(source, [range(15, 45), range(75, 120)], spec_of(references["44.mp4"])))
    assert "the file ends" in spans[0].damage
