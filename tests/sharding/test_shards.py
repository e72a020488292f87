"""The stored form: any tar reader reads it, the index is true, damage is noticed, codecs give back what they got."""

import gc
import hashlib
import io
import json
import shutil
import tarfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from webdataset.compat import WebDataset

from sharding.clip import Clip, ClipMeta, Clock
from sharding.codec import CODECS, members_of
from sharding.dataset import open_dataset
from sharding.errors import RejectError, RejectReason, SkipClip
from sharding.files import read_json
from sharding.index import SPLITS, ShardRecord, read_info
from sharding.pack import pack
from sharding.writer import ShardWriter
from tests.sharding.conftest import QUIET, SMALL, Packed


def clip_of(frames: int = 45, key: str = "a/00000000", fps: Fraction = Fraction(30), channels: int = 1) -> Clip:
    clock = Clock(fps=fps, sample_rate=44_100)
    meta = ClipMeta(
        key=key, source="a.mp4", group="a", action="x", first_frame=0, frames=frames, clock=clock, width=64, height=32,
        channels=channels,
    )  # fmt: skip
    rng = np.random.default_rng(frames)
    ramp = np.add.outer(np.arange(frames) * 3, np.add.outer(np.arange(48), np.arange(64)))
    audio = rng.integers(-9000, 9000, (meta.samples, channels), np.int16)
    return Clip(meta=meta, yuv=(60 + ramp % 64).astype(np.uint8), audio=audio)


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("frames", [range(45), range(0, 1), range(31, 45), range(7, 40)])
def test_a_window_of_a_stored_clip_is_the_window_of_the_clip(name: str, frames: range):
    codec, clip = CODECS[name], clip_of()
    members = members_of(clip, codec)
    yuv = np.empty((len(frames), 48, 64), np.uint8)
    codec.decode_video(members[codec.video_suffix], frames, yuv)
    assert np.abs(yuv.astype(int) - clip.yuv[frames.start : frames.stop]).mean() < 3
    audio = np.empty((len(frames) * 1470, 1), np.int16)
    codec.decode_audio(members[codec.audio_suffix], frames.start * 1470, audio)
    assert np.array_equal(audio, clip.audio[frames.start * 1470 : frames.stop * 1470])


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("fps", [Fraction(30000, 1001), Fraction(25), Fraction(15)])
def test_every_frame_is_found_by_number_at_other_rates(name: str, fps: Fraction):
    codec, clip = CODECS[name], clip_of(fps=fps, channels=2)
    members = members_of(clip, codec)
    one = np.empty((1, 48, 64), np.uint8)
    for frame in range(0, 45, 4):
        codec.decode_video(members[codec.video_suffix], range(frame, frame + 1), one)
        assert np.abs(one[0].astype(int) - clip.yuv[frame]).mean() < 3


@pytest.mark.parametrize("name", CODECS)
def test_more_than_is_stored_is_a_skip_not_a_crash(name: str):
    codec, clip = CODECS[name], clip_of()
    members = members_of(clip, codec)
    with pytest.raises(SkipClip):
        codec.decode_video(members[codec.video_suffix], range(40, 50), np.empty((10, 48, 64), np.uint8))
    with pytest.raises(SkipClip):
        codec.decode_audio(members[codec.audio_suffix], 60_000, np.empty((9_000, 1), np.int16))
    for damaged in (b"", b"junk" * 100, members[codec.video_suffix][:200]):
        with pytest.raises(SkipClip):
            codec.decode_video(damaged, range(10), np.empty((10, 48, 64), np.uint8))
        with pytest.raises(SkipClip):
            codec.decode_audio(damaged, 0, np.empty((100, 1), np.int16))


@pytest.mark.parametrize("name", CODECS)
def test_the_same_clip_encodes_to_the_same_bytes(name: str):
    once = members_of(clip_of(), CODECS[name])
    for size in (10_000, 100_000, 400_000):
        del [np.full(size, 7 * number, np.uint8) for number in range(9)][:]  # so that free memory is not as it was
        assert members_of(clip_of(), CODECS[name]) == once


def test_a_source_taken_back_leaves_no_byte():
    codec = CODECS["raw"]
    plain, mended = io.BytesIO(), io.BytesIO()
    one, other = ShardWriter(plain, codec), ShardWriter(mended, codec)
    one.add(clip_of(key="a/00000000"))
    other.add(clip_of(key="a/00000000"))
    mark = other.mark()
    other.add(clip_of(90, key="bad/00000000"))
    other.take_back(mark)
    for writer in (one, other):
        writer.add(clip_of(key="c/00000000"))
    assert one.finish() == other.finish() == hashlib.sha256(plain.getvalue()).hexdigest()
    assert plain.getvalue() == mended.getvalue()
    assert one.clips == other.clips


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # webdataset leaves its files to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_alone_reads_the_shards(packed: Packed):
    shards = sorted(str(path) for path in (packed.dataset / "train").glob("*.tar"))
    samples = list(WebDataset(shards, shardshuffle=False, empty_check=False))
    gc.collect()
    dataset = open_dataset(packed.dataset, "train")
    assert [sample["__key__"] for sample in samples] == [dataset.key(clip) for clip in range(len(dataset.index))]
    for clip, sample in enumerate(samples):
        stored = dataset.read(clip)
        assert {name for name in sample if not name.startswith("__")} == {"json", "mp4", "flac"}
        assert (sample["json"], sample["mp4"], sample["flac"]) == (stored.json, stored.video, stored.audio)


def test_a_reader_of_tarfile_and_json_alone_gets_every_clip(packed: Packed):
    info = json.loads((packed.dataset / "dataset.json").read_text())
    for split in SPLITS:
        keys = []
        for path in sorted((packed.dataset / split).glob("*.tar")):
            with tarfile.open(path) as tar:
                for member in tar:
                    assert (member.mtime, member.uid, member.gid, member.isfile()) == (0, 0, 0, True)
                    key, _, suffix = member.name.partition(".")
                    if suffix == "json":
                        keys.append(key)
                        payload = tar.extractfile(member)
                        assert payload is not None
                        assert json.load(payload)["key"] == key
        assert len(keys) == info["clips"][split]


def test_side_files_tell_size_and_checksum_of_their_tar(packed: Packed):
    for tar in packed.dataset.rglob("*.tar"):
        record = read_json(tar.with_suffix(".json"), ShardRecord)
        data = tar.read_bytes()
        assert (record.tar_bytes, record.sha256) == (len(data), hashlib.sha256(data).hexdigest())


def test_a_flipped_bit_is_noticed_wherever_it_is(packed: Packed, tmp_path: Path):
    dataset = shutil.copytree(packed.dataset, tmp_path / "out")
    split = next(split for split, count in read_info(dataset).clips.items() if count)
    opened = open_dataset(dataset, split)
    path, start, size = opened.shard_path(0), int(opened.index.offset[0]), int(opened.index.size[0])
    for at in (0, size // 3, size - 1):
        data = bytearray(path.read_bytes())
        data[start + at] ^= 4
        path.write_bytes(data)
        with pytest.raises(SkipClip, match=f"delete {path} and run the same avsync pack again"):
            opened.read(0)
        path.unlink()
        pack(packed.videos, dataset, SMALL, QUIET)
        opened.read(0)


def test_a_reject_keeps_its_reason_on_the_way_between_processes():
    import pickle

    error = pickle.loads(pickle.dumps(RejectError(RejectReason.SILENT, "not a sound")))
    assert (error.reason, error.detail, str(error)) == (RejectReason.SILENT, "not a sound", "silent: not a sound")
