"""Sound whose packets stand far apart has a damaged clock; sound with silence left out has not."""

from dataclasses import replace
from fractions import Fraction as F
from pathlib import Path
from typing import Any

import pytest

from sharding.errors import RejectError, RejectReason
from sharding.media.probe import probe
from tests.media import Video, write_video
from tests.remux import remux

SMALL = Video(seconds=F(6), events=(), width=32, height=32)
CODECS = ("aac", "libmp3lame")
SUFFIXES = ("mp4", "mkv", "mov", "flv", "ts")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("whole")
    return {codec: write_video(folder / f"{codec}.mp4", replace(SMALL, audio_codec=codec)) for codec in CODECS}


@pytest.mark.parametrize("codec", CODECS)
def test_a_clock_of_sound_that_cannot_be_read_costs_the_file(whole: dict[str, Path], codec: str, tmp_path: Path):
    data = bytearray(whole[codec].read_bytes())
    place = data.rindex(b"mdhd")
    assert data.count(b"mdhd") == 2, "picture and sound"
    data[place : place + 4] = b"mdhx"
    path = tmp_path / "a.mp4"
    path.write_bytes(data)
    with pytest.raises(RejectError, match=r"packets of sound stand .* apart and last .* each") as caught:
        probe(path)
    assert caught.value.reason is RejectReason.CORRUPT


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("kept", [2, 6, 29])
def test_gaps_between_bursts_of_sound_pass(whole: dict[str, Path], kept: int, codec: str, suffix: str, tmp_path: Path):
    """Of 30 packets of sound, `kept` are there."""
    count = [0]

    def leave_out(packet: Any) -> bool:
        if packet.stream.type == "video":
            return True
        count[0] += 1
        return (count[0] - 1) % 30 < kept

    probe(remux(whole[codec], tmp_path / f"a.{suffix}", leave_out))


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("rate", [16_000, 24_000, 48_000])
def test_every_rate_of_sound_passes(rate: int, codec: str, tmp_path: Path):
    for suffix in SUFFIXES[:3]:
        probe(write_video(tmp_path / f"a.{suffix}", replace(SMALL, audio_codec=codec, sample_rate=rate)))
