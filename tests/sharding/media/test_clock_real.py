"""Real videos, where there are some: each packs at its true offset, or is refused for its own reason.

The folder is AVSYNC_DATA: `clips/` must all pack, `edge/` holds what must not, and what is odd on purpose.
"""

from collections.abc import Iterator
from fractions import Fraction as F

import pytest

from sharding.base.csv_table import write_csv
from sharding.config import PackConfig, PackOptions
from sharding.format.clip import ClipMeta, Clock
from sharding.format.dataset import open_dataset
from sharding.format.records import Reject
from sharding.media.decode import OutputSpec, decode_span
from sharding.media.probe import probe
from sharding.pack.pack import pack
from sharding.sources.source import is_video
from tests.data import DATA
from tests.sharding.conftest import QUIET

pytestmark = [pytest.mark.slow, pytest.mark.data]

OFFSETS = {  # first sound minus first picture, seconds, as ffprobe tells them; decoders pass over AAC's first 1024
    "clips/clapping/stage_applause.mp4": -0.067,
    "clips/film/ironman_suit.mp4": -0.067,
    "clips/machines/flir_thermal_vfr.mp4": 0.187,
    "clips/music_instruments/guitar_singing.mp4": 0.038 - 1024 / 44_100,
    "clips/music_instruments/opera_orchestra.mp4": 0.032 - 1024 / 44_100,
    "clips/speech_face_crop/moore_talk3_vstart7s.mp4": -7.320,
    "clips/testpattern/av1_testcard.mp4": 0.032 - 1024 / 32_000,
    "edge/derived/audio_late_1s25_WRONG_SYNC.mkv": 1.227,
}
SMALL_OFFSET_S = 0.05
"""All others: an encoder's priming, or less than a picture."""

SHORT = {  # long enough for a clip of 4 s after all
    "edge/too_short/01_ieee01s01.mkv",
    "edge/too_short/sample_amr_8k_15fps.3gp",
}
REASONS = {  # folder -> reason
    "edge/no_audio": "no_audio",
    "edge/silent_audio": "silent",
    "edge/too_short": "too_short",
}
CORRUPT = {
    "edge/corrupt/corrupted.mp4": "no_audio",  # the damage took its second stream
    "edge/corrupt/no_duration_one_frame.webm": "silent",
}


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, ClipMeta], dict[str, Reject]]:
    """First clip of each source, and what is said of those that have none."""
    folder, out = tmp_path_factory.mktemp("listed"), tmp_path_factory.mktemp("real")
    names = sorted(name for part in ("clips", "edge") for name in videos(part) if is_video(name))
    write_csv(folder / "videos.csv", ("path", "action"), [(name, "real") for name in names])
    summary = pack(
        folder / "videos.csv",
        out,
        PackConfig(size=32, val_percent=0, test_percent=0, workers=2),
        QUIET,
        PackOptions(root=DATA),
    )
    dataset = open_dataset(out, "train")
    clips = dict[str, ClipMeta]()
    for clip in range(len(dataset.index)):
        meta = dataset.read(clip).meta()
        clips.setdefault(meta.source, meta)
    return clips, {reject.path: reject for reject in summary.rejects}


def videos(folder: str) -> Iterator[str]:
    return (path.relative_to(DATA).as_posix() for path in (DATA / folder).rglob("*") if path.is_file())


def test_every_real_clip_packs_at_its_true_offset(packed):
    clips, _ = packed
    for name in videos("clips"):
        assert clips[name].stream_offset_s == pytest.approx(
            OFFSETS.get(name, 0), abs=0.001 if name in OFFSETS else SMALL_OFFSET_S
        ), name


def test_every_edge_case_is_refused_for_its_own_reason_or_packs(packed):
    clips, rejects = packed
    expected = CORRUPT | {name: reason for folder, reason in REASONS.items() for name in videos(folder)}
    expected = {name: reason for name, reason in expected.items() if name not in SHORT}
    unexpected = [reject for name, reject in rejects.items() if reject.reason != expected.get(name)]
    assert not unexpected, "with what was said of each"
    assert {name: reject.reason for name, reject in rejects.items()} == expected
    assert SHORT <= set(clips)
    assert set(videos("edge/derived")) <= set(clips)


def test_sound_that_is_late_on_purpose_stays_late(packed):
    clips, _ = packed
    late = clips["edge/derived/audio_late_1s25_WRONG_SYNC.mkv"]
    assert late.stream_offset_s == pytest.approx(1.227, abs=0.001)
    assert late.first_frame >= (F(5, 4) - F(3, 100)) * 30


def test_a_picture_turned_by_its_flag_stands_upright():
    form = OutputSpec(clock=Clock(fps=F(30), sample_rate=44_100), width=32, height=32, channels=1, fit="pad")
    source = probe(DATA / "edge" / "derived" / "rotated90_flag_speech.mp4")
    luma = decode_span(source, first_frame=30, frames=1, spec=form).yuv[0, :32]
    assert luma[:, :4].max() == luma[:, -4:].max() == 16  # a portrait, with bars left and right
    assert luma[:, 4:-4].min(axis=1).max() > 16
