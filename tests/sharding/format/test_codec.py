"""Stored forms at every size: what goes in comes out, and the same bytes each time."""

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from sharding.format.clip import Clip, ClipMeta, Clock
from sharding.format.codec import CODECS

SIZES = [(64, 32), (34, 66), (98, 98), (66, 34), (128, 64)]
"""Multiples of 4 and not, of 16 and not, and of the width at which x264 may look ahead."""


def clip_of(width: int, height: int, frames: int = 40) -> Clip:
    """Drifting texture, other pictures in luma and in each chroma plane."""
    rng = np.random.default_rng(width)
    texture = rng.integers(40, 200, (height * 3 // 2 // 4 + 1, width // 4 + 1), np.uint8)
    picture = texture.repeat(4, axis=0).repeat(4, axis=1)[: height * 3 // 2, :width]
    yuv = np.stack([np.roll(picture, number // 3, axis=1) for number in range(frames)])
    clock = Clock(fps=Fraction(30), sample_rate=8_000)
    meta = ClipMeta(
        key="a/00000000", source="a.mp4", group="a", action="x", first_frame=0, frames=frames, clock=clock,
        width=width, height=height, channels=1,
    )  # fmt: skip
    return Clip(meta=meta, yuv=yuv, audio=rng.integers(-9000, 9000, (meta.samples, 1), np.int16))


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_luma_and_both_chroma_planes_come_back_at_any_even_size(name: str, size: tuple[int, int]):
    clip, (_, height) = clip_of(*size), size
    back = np.empty_like(clip.yuv)
    CODECS[name].decode_video(CODECS[name].encode_video(clip), range(len(back)), back)
    error = np.abs(back.astype(int) - clip.yuv)
    assert error[:, :height].mean() < 4
    assert error[:, height:].mean() < 4


@pytest.mark.parametrize("name", CODECS)
def test_a_clip_that_is_a_view_of_another_array_is_stored_like_its_copy(name: str):
    clip = clip_of(64, 32)
    wide = np.zeros((*clip.yuv.shape[:2], 96), np.uint8)
    wide[:, :, :64] = clip.yuv
    view = Clip(meta=clip.meta, yuv=wide[:, :, :64], audio=clip.audio)
    assert CODECS[name].encode_video(view) == CODECS[name].encode_video(clip)


PROGRAM = """
import hashlib
from sharding.format.codec import CODECS
from tests.sharding.format.test_codec import SIZES, clip_of
for name, codec in CODECS.items():
    print(name, [hashlib.sha256(codec.encode_video(clip_of(*size))).hexdigest() for size in SIZES])
"""


def test_fresh_memory_of_any_content_changes_no_byte():
    said = set[str]()
    for filling in ("0", "85", "255"):
        environment = {"MALLOC_PERTURB_": filling, "PYTHONPATH": "."}  # glibc fills what it hands out
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, env=environment
        )
        said.add(run.stdout)
    assert len(said) == 1
    assert said.pop().count("\n") == len(CODECS)
