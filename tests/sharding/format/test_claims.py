"""What a clip must be: honest ones are, at any rate and size, and whatever a decoder raises costs the clip alone."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from sharding.base.files import to_json
from sharding.errors import SkipClip, WrongClip
from sharding.format.claims import ClipShape, decoding
from sharding.format.clip import Clip, ClipMeta, Clock, MovedSound
from sharding.format.codec import CODECS
from sharding.format.form import LONGEST_ERROR, ClipForm, largest_json, short_text

RATES = ("1", "10", "12.5", "15", "24000/1001", "25", "30000/1001", "30", "17/13", "100", "119.88", "240")


def noise(fps: str, frames: int, width: int = 32, height: int = 16, rate: int = 8000, channels: int = 1) -> Clip:
    """Nothing takes more bytes."""
    clock, rng = Clock(fps=Fraction(fps), sample_rate=rate), np.random.default_rng(frames)
    meta = ClipMeta(
        key="a/00000000", source="a", group="a", action="x", first_frame=0, frames=frames, clock=clock, width=width,
        height=height, channels=channels,
    )  # fmt: skip
    yuv = rng.integers(0, 256, (frames, height * 3 // 2, width), np.uint8)
    return Clip(meta=meta, yuv=yuv, audio=rng.integers(-(2**15), 2**15, (meta.samples, channels), np.int16))


def shape_of(clip: Clip) -> ClipShape:
    meta = clip.meta
    form = ClipForm(codec="raw", clock=meta.clock, width=meta.width, height=meta.height, channels=meta.channels)
    return form.shape(meta.frames, meta.matrix)


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("fps", RATES)
def test_honest_clips_are_what_they_must_be_at_any_rate(name: str, fps: str):
    codec = CODECS[name]
    for frames in (2, 3, 31, 47):
        clip = noise(fps, frames)
        shape, video, audio = shape_of(clip), codec.encode_video(clip), codec.encode_audio(clip)
        codec.check_video(video, len(video), shape)
        codec.check_audio(audio, len(audio), shape)
        out, sound = np.empty_like(clip.yuv), np.empty_like(clip.audio)
        codec.decode_video(video, range(frames), out, shape)
        codec.decode_video(video, range(frames // 2, frames), out[frames // 2 :], shape)
        codec.decode_audio(audio, 0, sound, shape)
        assert np.array_equal(sound, clip.audio)


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("size", [(16, 16), (34, 18), (66, 34), (256, 128)], ids=str)
def test_no_honest_clip_is_longer_than_a_clip_can_be(name: str, size: tuple[int, int]):
    codec = CODECS[name]
    for frames, rate, channels in ((2, 8000, 1), (20, 192_000, 2)):
        clip = noise("30", frames, *size, rate=rate, channels=channels)
        video, audio = codec.most_bytes(shape_of(clip))
        assert frames <= len(codec.encode_video(clip)) <= video
        assert len(codec.encode_audio(clip)) <= audio


OTHERS = ({"frames": 40}, {"width": 34}, {"height": 18}, {"clock": Clock(fps=Fraction(31), sample_rate=8000)})


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("other", OTHERS, ids=str)
def test_pictures_of_another_shape_are_no_clip_of_it(name: str, other: dict[str, Any]):
    codec, clip = CODECS[name], noise("30", 39)
    shape, video = replace(shape_of(clip), **other), codec.encode_video(clip)
    if name == "raw" and "clock" in other:
        return  # plain numbers have no rate
    with pytest.raises(WrongClip):
        codec.decode_video(video, range(2), np.empty((2, shape.height * 3 // 2, shape.width), np.uint8), shape)


ANSWERS = (
    *(kind("x") for kind in (ValueError, OverflowError, KeyError, IndexError, TypeError, RecursionError)),
    *(AssertionError("a"), OSError(5, "e"), MemoryError("a claim"), UnicodeDecodeError("utf-8", b"x", 0, 1, "u")),
)


@pytest.mark.parametrize("error", ANSWERS, ids=lambda one: type(one).__name__)
def test_whatever_foreign_bytes_raise_costs_their_clip(error: Exception):
    with pytest.raises(WrongClip, match="its video member does not decode"), decoding("video", 1000):
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), SkipClip("as it was")], ids=repr)
def test_what_is_no_fault_of_the_bytes_goes_on(error: BaseException):
    with pytest.raises(type(error)) as caught, decoding("video", 1000):
        raise error
    assert caught.value is error


def test_a_machine_without_memory_is_told_as_such():
    with pytest.raises(MemoryError, match="to decode a clip"), decoding("video", 2**60):
        raise MemoryError


def test_lengths_are_bounded_by_the_form_and_messages_are_short():
    form = ClipForm(codec="h264", clock=Clock(fps=Fraction(30), sample_rate=8000), width=64, height=64, channels=1)
    form.check_lengths(300, 500, 10**5, 10**5)
    for lengths in ((2**32 - 1, 10**5, 10**5), (500, 2**32 - 1, 10**5), (500, 10**5, 2**32 - 1), (500, 299, 10**5)):
        with pytest.raises(WrongClip, match="the index says"):
            form.check_lengths(300, *lengths)
    assert largest_json(300) < largest_json(10**6) == largest_json(10**8)
    assert short_text("a\n\x1b" * 10**6) == short_text("a\n\x1b" * 10**6)[:83]
    with pytest.raises(WrongClip) as caught:
        form.read_json(b'{"key": "' + b"x" * 10**6 + b'"}', key="a/00000000", action="x", frames=300)
    assert len(str(caught.value)) <= LONGEST_ERROR + 3


@pytest.mark.parametrize("offset_ms", ["5", "-40", "1000/3", "-1/7"])
@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_moved_sound_comes_back_and_says_where_its_samples_were(offset_ms: str, rate: int):
    clip = noise("30", 30, rate=rate)
    form = ClipForm(codec="raw", clock=clip.meta.clock, width=32, height=16, channels=1)
    says = {"key": clip.meta.key, "action": "x", "frames": 30}
    moved = MovedSound.of(Fraction(offset_ms), clip.meta.clock)
    assert moved
    assert abs(Fraction(moved.samples, rate) - Fraction(offset_ms) / 1000) <= Fraction(1, 2 * rate)
    written = to_json(replace(clip.meta, moved_sound=moved))
    assert form.read_json(written, **says).moved_sound == moved
    assert not form.read_json(to_json(clip.meta), **says).moved_sound  # as every clip of before
    wrong = to_json(replace(clip.meta, moved_sound=replace(moved, samples=moved.samples + 1)))
    with pytest.raises(WrongClip, match="its json says moved sound"):
        form.read_json(wrong, **says)


def test_less_than_half_a_sample_moves_nothing():
    clock = Clock(fps=Fraction(30), sample_rate=8000)
    assert not MovedSound.of(Fraction(1, 16), clock)
    assert MovedSound.of(Fraction(1, 15), clock)
