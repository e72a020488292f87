"""A decoder that stays open gives what one of its own gives, bit for bit, and no clip leaves anything for the next."""

import random
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sharding.errors import SkipClip
from sharding.format.claims import ClipShape
from sharding.format.clip import Clip, ClipMeta, Clock, ColorMatrix, Member
from sharding.format.codec import CODECS, Codec
from sharding.format.dataset import open_dataset
from sharding.format.decoded import Decoder
from sharding.format.h264 import H264
from sharding.format.open_decoder import OpenDecoder
from sharding.format.packets import VideoPackets

BEFORE = Path(__file__).parents[2] / "fixtures" / "before" / "dataset-h264"
RATES = ("10", "12.5", "24000/1001", "30", "17/13", "119.88")
Stored = tuple[ClipShape, bytes, bytes]


def stored(
    codec: Codec, seed: int = 0, fps: str = "30", frames: int = 70, size: tuple[int, int] = (64, 48), channels: int = 1,
    rate: int = 16_000, matrix: ColorMatrix = "bt601",
) -> Stored:  # fmt: skip
    """Something that moves, so that pictures are made from earlier and later ones; a tone in noise."""
    rng, (width, height) = np.random.default_rng(seed), size
    clock = Clock(fps=Fraction(fps), sample_rate=rate)
    meta = ClipMeta(
        key="a/00000000", source="a", group="a", action="x", first_frame=0, frames=frames, clock=clock, width=width,
        height=height, channels=channels, matrix=matrix,
    )  # fmt: skip
    texture = rng.integers(30, 220, (height // 2, width // 2), np.uint8).repeat(3, axis=0).repeat(2, axis=1)
    moving = [np.roll(texture, (number // 2, number), axis=(0, 1)) for number in range(frames)]
    yuv = np.stack(moving) + rng.integers(0, 12, (frames, *texture.shape), np.uint8)
    tone = 9000 * np.sin(np.arange(meta.samples) / (5 + seed))[:, None] + rng.integers(
        -500, 500, (meta.samples, channels)
    )
    clip = Clip(meta=meta, yuv=yuv, audio=tone.astype(np.int16))
    shape = ClipShape(frames=frames, width=width, height=height, channels=channels, clock=clock, matrix=matrix)
    return shape, codec.encode_video(clip), codec.encode_audio(clip)


class Counted:
    """A judge that counts how often it was asked."""

    def __init__(self, codec: Codec) -> None:
        self.codec, self.asked = codec, 0

    def decode_video(
        self, member: Member, frames: range, out: NDArray[np.uint8], shape: ClipShape | None = None
    ) -> None:
        self.asked += 1
        self.codec.decode_video(member, frames, out, shape)

    def decode_audio(self, member: Member, start: int, out: NDArray[np.int16], shape: ClipShape | None = None) -> None:
        self.asked += 1
        self.codec.decode_audio(member, start, out, shape)


def pictures(decoder: Decoder, clip: Stored, frames: range | None = None) -> NDArray[np.uint8]:
    shape, video, _ = clip
    out = np.full((len(frames or range(shape.frames)), *shape.pictures[1:]), 7, np.uint8)
    decoder.decode_video(video, frames or range(shape.frames), out, shape)
    return out


def sound(decoder: Decoder, clip: Stored, start: int = 0, stop: int | None = None) -> NDArray[np.int16]:
    shape, _, audio = clip
    out = np.full(((stop or shape.samples) - start, shape.channels), 7, np.int16)
    decoder.decode_audio(audio, start, out, shape)
    return out


def windows(frames: int, seed: int = 0) -> Iterator[range]:
    """All, the ends, and others; some of every second or third picture."""
    rng = random.Random(seed)
    yield from (range(frames), range(1), range(frames - 1, frames), range(0, frames, 3))
    for step in (1, 1, 2, 3):
        first, stop = sorted(rng.sample(range(frames + 1), 2))
        yield range(first, stop, step)


CLIPS: tuple[dict[str, Any], ...] = (
    *({"seed": number, "fps": fps} for number, fps in enumerate(RATES)),
    {"seed": 20, "frames": 3},
    {"seed": 21, "frames": 30},
    {"seed": 22, "frames": 2, "channels": 2},
    {"seed": 23, "size": (34, 66), "channels": 2, "rate": 44_100},
    {"seed": 24, "matrix": "bt709", "rate": 8_000},
    {"seed": 25, "frames": 160, "matrix": "bt2020", "rate": 48_000},
)


@pytest.mark.parametrize("name", CODECS)
def test_one_decoder_gives_of_any_window_of_any_clip_what_each_of_its_own_gives(name: str):
    codec = CODECS[name]
    judge = Counted(codec)
    decoder = OpenDecoder(judge) if isinstance(codec, H264) else codec.decoder()
    clips = [stored(codec, **about) for about in CLIPS]
    rounds = [(clip, window) for number, clip in enumerate(clips) for window in windows(clip[0].frames, number)]
    random.Random(1).shuffle(rounds)
    for clip, window in rounds:
        assert np.array_equal(pictures(decoder, clip, window), pictures(codec, clip, window))
        clock = clip[0].clock
        start, stop = clock.sample_at(window.start), clock.sample_at(window.stop)
        assert np.array_equal(sound(decoder, clip, start, stop), sound(codec, clip, start, stop))
    assert judge.asked == 0


def test_clips_that_earlier_versions_packed_go_through_it_too():
    data = open_dataset(BEFORE, "train")
    judge = Counted(data.codec)
    decoder = OpenDecoder(judge)
    for number in range(len(data.index)):
        read = data.read(number)
        meta = read.meta()
        clip = data.info.form.shape(meta.frames, meta.matrix), bytes(read.video), bytes(read.audio)
        assert np.array_equal(pictures(decoder, clip), pictures(data.codec, clip))
        assert np.array_equal(sound(decoder, clip), sound(data.codec, clip))
    assert judge.asked == 0


X264 = {
    "no B-frames": ("bframes=0", 0),
    "many B-frames": ("bframes=8:b-pyramid=normal:ref=6:b-adapt=2", 0),
    "key frames alone": ("keyint=1", 0),
    "several slices": ("slices=4", 0),
    "parameters inside of packets": ("repeat-headers=1", 1),
    "marks before each picture": ("aud=1", 1),
    "remarks that mean something": ("nal-hrd=vbr:vbv-maxrate=900:vbv-bufsize=900", 1),
}
"""How x264 is told; whether such a clip must be judged as a file of its own."""


@pytest.mark.parametrize("kind", X264)
def test_any_h264_of_our_form_comes_out_right_and_what_would_stay_in_a_decoder_never_gets_into_it(kind: str):
    words, alone = X264[kind]
    codec = H264()
    other, plain = stored(replace(codec, tuning=f"{codec.tuning}:{words}"), 3), stored(codec, 4)
    judge = Counted(codec)
    decoder = OpenDecoder(judge)
    for clip in (plain, other, plain, other):
        assert np.array_equal(pictures(decoder, clip), pictures(codec, clip))
    assert bool(judge.asked) == bool(alone)


def test_a_window_decodes_no_picture_of_another_gop_and_none_behind_it():
    clip = stored(H264(), frames=300)
    shape, video, _ = clip
    packets = VideoPackets.find(memoryview(video), shape)
    assert packets is not None
    keys = packets.numbers[packets.keys].tolist()
    assert len(keys) == 10
    for window in windows(300, 5):
        found = packets.pictures(memoryview(video), window)
        assert found is not None
        numbers = [number for number, _ in found]
        assert set(window) <= set(numbers)
        assert len(numbers) == len(set(numbers))
        assert min(numbers) == max(key for key in keys if key <= window.start)
        assert max(numbers) < min((key for key in keys if key > window[-1]), default=300)
        of_every = packets.pictures(memoryview(video), range(window.start, window.stop))
        assert of_every is not None
        assert len(numbers) <= len(of_every)
    sparse = packets.pictures(memoryview(video), range(0, 300, 10))
    assert sparse is not None
    assert len(sparse) < 200  # what no other picture is made from is left out


def damaged(member: bytes, count: int, seed: int) -> Iterator[bytes]:
    """The first and last bytes, which tell what the member is; others all over it; runs, and ends that are lost."""
    rng = random.Random(seed)
    places = [*range(0, 64, 3), *range(max(64, len(member) - 1400), len(member), 11)]
    places += [rng.randrange(len(member)) for _ in range(count)]
    for place in places:
        yield member[:place] + bytes([member[place] ^ 1 << rng.randrange(8)]) + member[place + 1 :]
    yield from (member[:end] for end in (0, 4, 5, 8, 41, 42))
    for _ in range(5):
        yield member[: rng.randrange(len(member))]
        first, stop = sorted(rng.sample(range(len(member)), 2))
        yield member[:first] + bytes(min(stop - first, 40)) + member[first + min(stop - first, 40) :]


def test_whatever_is_damaged_in_a_clip_its_neighbours_are_as_before():
    codec = H264()
    shape, video, audio = stored(codec, 1, frames=40, size=(32, 32))
    neighbour = stored(codec, 2, frames=12, size=(32, 32))
    whole, heard = pictures(codec, neighbour), sound(codec, neighbour)
    decoder, refused, kept = codec.decoder(), 0, 0
    for bad_video in damaged(video, 60, 1):
        refused += (found := outcome(pictures, decoder, (shape, bad_video, audio))) is None
        kept += found is not None
        alone = outcome(pictures, codec, (shape, bad_video, audio))
        assert alone is None or (found is not None and np.array_equal(found, alone))
        assert np.array_equal(pictures(decoder, neighbour, range(3, 9)), whole[3:9])
    for bad_audio in damaged(audio, 60, 2):
        refused += (found := outcome(sound, decoder, (shape, video, bad_audio))) is None
        alone = outcome(sound, codec, (shape, video, bad_audio))
        assert alone is None or (found is not None and np.array_equal(found, alone))
        assert np.array_equal(sound(decoder, neighbour), heard)
    assert refused > 50
    assert kept > 50


def outcome(read, decoder: Decoder, clip: Stored):
    """What is read; None where the clip is refused."""
    try:
        return read(decoder, clip)
    except SkipClip:
        return None


def test_what_is_kept_open_is_bounded_and_a_decoder_that_refused_is_not_used_again():
    codec = H264()
    decoder = codec.decoder()
    sizes = [(32, 32), (48, 32), (64, 32), (32, 48)]
    for number, size in enumerate(sizes):
        pictures(decoder, stored(codec, number, frames=3, size=size))
    assert len(decoder._video._free) == 2
    shape, video, audio = stored(codec, 9, frames=3, size=sizes[-1])
    place = video.index(b"mdat") + len(video) // 4
    with pytest.raises(SkipClip):
        pictures(decoder, (shape, video[:place] + bytes(len(video) // 5) + video[place + len(video) // 5 :], audio))
    assert len(decoder._video._free) == 1
