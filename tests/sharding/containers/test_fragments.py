"""Fragmented MP4 with composition offsets below 0: FFmpeg's times, less what it is late, are those of the whole."""

import random
from contextlib import suppress
from fractions import Fraction as F
from pathlib import Path

import av
import pytest

from sharding.containers.fragments import late_by_ffmpeg
from sharding.errors import RejectError
from tests.media import Video, write_video
from tests.remux import remux

NEGATIVE = {
    "fragments": "frag_keyframe+delay_moov+default_base_moof+negative_cts_offsets",
    "dash": "frag_keyframe+dash+delay_moov+negative_cts_offsets",
    "indexed": "frag_keyframe+dash+global_sidx+delay_moov+negative_cts_offsets",
    "cmaf": "cmaf+frag_keyframe+delay_moov",
}
RIGHT = {
    "whole": "negative_cts_offsets",
    "empty header": "frag_keyframe+empty_moov+default_base_moof",
    "no offsets below 0": "frag_keyframe+delay_moov+default_base_moof",
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    video = Video(seconds=F(5), events=(F(1), F(2)), width=48, height=32, sample_rate=48_000)
    return write_video(tmp_path_factory.mktemp("whole") / "a.mp4", video)


def times(path: Path, first: F | None = None) -> list[F]:
    """When FFmpeg shows the pictures; it is sent to `first` before it begins."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        tick = stream.time_base
        assert tick is not None
        if first is not None:
            file.seek(int(first / tick), stream=stream)
            next(file.demux(stream))
            file.seek(0, stream=stream)
        return [frame.pts * tick for frame in file.decode(stream) if frame.pts is not None]


@pytest.mark.parametrize("flags", NEGATIVE.values(), ids=NEGATIVE)
def test_less_what_it_is_late_ffmpeg_is_right(flags: str, whole: Path, tmp_path: Path):
    path = remux(whole, tmp_path / "b.mp4", lambda packet: True, options={"movflags": flags})
    late = late_by_ffmpeg(path, 1)
    assert late is not None
    assert [when - late.seconds for when in times(path, late.met)] == times(whole)
    assert late_by_ffmpeg(path, 2) is None
    assert late_by_ffmpeg(path, 3) is None


@pytest.mark.parametrize("flags", RIGHT.values(), ids=RIGHT)
def test_where_it_is_right_nothing_is_late(flags: str, whole: Path, tmp_path: Path):
    path = remux(whole, tmp_path / "b.mp4", lambda packet: True, options={"movflags": flags})
    assert late_by_ffmpeg(path, 1) is None
    assert late_by_ffmpeg(path, 2) is None
    shown = times(path)
    assert [when - shown[0] for when in shown] == times(whole)


def test_damage_in_fragments_raises_nothing_else(whole: Path, tmp_path: Path):
    path = remux(whole, tmp_path / "b.mp4", lambda packet: True, options={"movflags": NEGATIVE["fragments"]})
    data, rng = path.read_bytes(), random.Random(1)
    places = [data.index(kind) for kind in (b"moov", b"mdhd", b"moof", b"traf", b"tfhd", b"tfdt", b"trun")]
    for number in range(300):
        broken = bytearray(data if number % 4 else data[: rng.randrange(len(data))])
        for _ in range(rng.randrange(1, 4)):
            place = rng.choice(places) + rng.randrange(-4, 40)
            broken[place % max(1, len(broken))] = rng.choice((0, 1, 0x7F, 0xFF, rng.randrange(256)))
        (tmp_path / "c.mp4").write_bytes(broken)
        with suppress(RejectError):
            late_by_ffmpeg(tmp_path / "c.mp4", 1)
