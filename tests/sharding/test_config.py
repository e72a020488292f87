"""Settings that cannot work are refused before any file is opened, and the error names the flag and the remedy."""

from fractions import Fraction
from typing import Any

import pytest

from sharding.config import PackConfig
from sharding.errors import InputError

WRONG = {
    "--fps 29,97 is not a number; write it like 30": {"fps": "29,97"},
    "--fps 0 must lie between": {"fps": "0"},
    "--fps 1/0 is not a number": {"fps": "1/0"},
    "--fps 1e999999999 is not a number": {"fps": "1e999999999"},
    "--size 255 must be an even number.*try --size 256": {"size": 255},
    "--width 8 must be an even number.*try --width 16": {"width": 8},
    "--height 101": {"height": 101},
    "--fit stretch is not known; choose squash, crop or pad": {"fit": "stretch"},
    "--sample-rate 44 ": {"sample_rate": 44},
    "--channels 6 must be 1": {"channels": 6},
    "--trim-s -1": {"trim_s": "-1"},
    "--min-clip-s 12 is longer than --clip-s 10.*use --min-clip-s 10": {"min_clip_s": "12"},
    "--min-clip-s 0 is less than two frames": {"min_clip_s": "0"},
    "--val-percent 101": {"val_percent": 101},
    "--val-percent 60 and --test-percent 60": {"val_percent": 60, "test_percent": 60},
    "--max-clips-per-source 0": {"max_clips_per_source": 0},
    "--sources-per-shard 0": {"sources_per_shard": 0},
    "--video-stream -1 must not be below 0; ffprobe numbers": {"video_stream": -1},
    "--audio-stream -2 must not be below 0": {"audio_stream": -2},
    "--workers -1 must not be below 0; 0 is one for each": {"workers": -1},
    r"--codec raw makes clips of 7.0 GiB from 300 pictures of 4096x4096 \(--clip-s, --fps, --size\); 4 GiB": {
        "codec": "raw",
        "size": 4096,
    },
    "stored form 'gif' is not known; choose one of h264, h264-fast, raw": {"codec": "gif"},
}


@pytest.mark.parametrize("message", WRONG)
def test_an_impossible_setting_is_refused_by_name(message: str):
    with pytest.raises(InputError, match=message):
        PackConfig(**WRONG[message])


def test_times_stay_exact():
    config = PackConfig(fps="30000/1001", trim_s="0.1")
    assert config.clock.fps == Fraction(30_000, 1001)
    assert config.trim == Fraction(1, 10)
    assert config.clip_frames == 299


def test_settings_that_change_no_byte_are_no_part_of_a_plan():
    changed = PackConfig(workers=7, val_percent=20, sources_per_shard=5)
    assert changed.decides_bytes() == PackConfig().decides_bytes()
    assert PackConfig(size=128).decides_bytes() != PackConfig().decides_bytes()


LATER = [{"video_stream": 0}, {"audio_stream": 1}, {"strict": True}]


@pytest.mark.parametrize("later", LATER)
def test_settings_that_came_later_stand_in_a_plan_only_where_they_are_set(later: dict[str, Any]):
    before = (
        "fps clip_s min_clip_s trim_s codec width height fit sample_rate channels max_clips_per_source "
        "val_percent test_percent"
    )
    assert list(PackConfig().decides_dataset()) == before.split()
    changed, usual = PackConfig(**later), PackConfig()
    assert changed.decides_dataset() == usual.decides_dataset() | later
    assert changed.decides_bytes() == usual.decides_bytes() | later


def test_no_number_of_workers_and_0_are_one_for_each_core():
    assert PackConfig(workers=0).processes == PackConfig().processes >= 1
