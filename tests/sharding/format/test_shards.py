"""The stored form: any tar reader reads it, the index is true, damage is noticed, codecs give back what they got."""

import gc
import hashlib
import json
import os
import shutil
import tarfile
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from webdataset.compat import WebDataset

from sharding.base.files import read_json
from sharding.errors import InputError, RejectError, RejectReason, SkipClip
from sharding.format.clip import Clip, ClipMeta, Clock
from sharding.format.codec import CODECS, codec_named, members_of
from sharding.format.dataset import open_dataset
from sharding.format.index import SPLITS, read_info
from sharding.format.records import ShardRecord
from sharding.pack.pack import pack
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


def filled(dataset: Path) -> list[str]:
    return [split for split, count in read_info(dataset).clips.items() if count]


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # webdataset leaves its files to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_alone_reads_the_shards(form: Path):
    for split in filled(form):
        shards = sorted(str(path) for path in (form / split).glob("*.tar"))
        samples = list(WebDataset(shards, shardshuffle=False, empty_check=False))
        gc.collect()
        dataset = open_dataset(form, split)
        assert [sample["__key__"] for sample in samples] == [dataset.key(clip) for clip in range(len(dataset.index))]
        video, audio = dataset.codec.video_suffix, dataset.codec.audio_suffix
        for clip, sample in enumerate(samples):
            stored = dataset.read(clip)
            assert {name for name in sample if not name.startswith("__")} == {"json", video, audio}
            assert (sample["json"], sample[video], sample[audio]) == (stored.json, stored.video, stored.audio)


def test_a_member_on_its_own_opens_in_what_reads_its_kind(form: Path, tmp_path: Path):
    for shard in (form / "train").glob("*.tar"):
        with tarfile.open(shard) as tar:
            tar.extractall(tmp_path, filter="data")
    about = [json.loads(path.read_text()) for path in tmp_path.rglob("*.json")]
    codec = codec_named(read_info(form).codec)
    assert len(about) == read_info(form).clips["train"]
    for clip in about:
        video, audio = (tmp_path / f"{clip['key']}.{suffix}" for suffix in (codec.video_suffix, codec.audio_suffix))
        samples = round(clip["frames"] * clip["clock"]["sample_rate"] / Fraction(clip["clock"]["fps"]))
        assert OPENED[video.suffix](video) == (clip["frames"], clip["height"], clip["width"])
        assert OPENED[audio.suffix](audio) == (samples, clip["channels"])


def _shape_of_mp4(path: Path) -> tuple[int, ...]:
    with av.open(str(path)) as container:
        pictures = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    return np.shape(pictures)


def _shape_of_flac(path: Path) -> tuple[int, ...]:
    with av.open(str(path)) as container:
        blocks = [frame.to_ndarray().reshape(-1, frame.layout.nb_channels) for frame in container.decode(audio=0)]
    return np.concatenate(blocks).shape


def _shape_of_npy(path: Path) -> tuple[int, ...]:
    array = np.load(path)
    return array.shape if array.dtype == np.int16 else (len(array), array.shape[1] * 2 // 3, array.shape[2])


OPENED = {".mp4": _shape_of_mp4, ".flac": _shape_of_flac, ".npy": _shape_of_npy}


def test_a_reader_of_tarfile_and_json_alone_gets_every_clip(form: Path):
    """Written from docs/data-format.md: names and places come from the side files, the bytes from the tars."""
    info = json.loads((form / "dataset.json").read_text())
    assert info["format_version"] == 2
    for split in SPLITS:
        shards, clips = sorted((form / split).glob("*.tar")), 0
        assert len(shards) == info["shards"][split]
        for path in shards:
            side = json.loads(path.with_suffix(".json").read_text())
            with tarfile.open(path) as tar:
                members = iter(tar.getmembers())
                for clip, *triple in zip(side["clips"], members, members, members, strict=True):
                    clips += 1
                    assert [member.name.partition(".")[0] for member in triple] == [clip["key"]] * 3
                    assert all((one.mtime, one.uid, one.gid, one.isfile()) == (0, 0, 0, True) for one in triple)
                    payloads = [tar.extractfile(member) for member in triple]
                    about, video, audio = (payload.read() for payload in payloads if payload is not None)
                    told = json.loads(about)
                    assert {name: told[name] for name in ("key", "action", "group", "frames")} == {
                        name: clip[name] for name in ("key", "action", "group", "frames")
                    }
                    data = path.read_bytes()[clip["offset"] :][: clip["size"]]
                    for start, payload in zip(
                        (0, clip["video"][0], clip["audio"][0]), (about, video, audio), strict=True
                    ):
                        assert data[start : start + len(payload)] == payload
                    assert zlib.crc32(data) == clip["crc32"]
        assert clips == info["clips"][split]


def test_side_files_tell_size_and_checksum_of_their_tar(packed: Packed):
    for tar in packed.dataset.rglob("*.tar"):
        record = read_json(tar.with_suffix(".json"), ShardRecord)
        data = tar.read_bytes()
        assert (record.tar_bytes, record.sha256) == (len(data), hashlib.sha256(data).hexdigest())


def test_a_flipped_bit_is_noticed_wherever_it_is(packed: Packed, tmp_path: Path):
    dataset = shutil.copytree(packed.dataset, tmp_path / "out")
    split = next(split for split, count in read_info(dataset).clips.items() if count)
    opened = open_dataset(dataset, split)
    path, start, size = opened.shard_path(0), int(opened.index.offset[0]), opened.index.layout(0).size
    for at in (0, size // 3, size - 1):
        data = bytearray(path.read_bytes())
        data[start + at] ^= 4
        path.write_bytes(data)
        with pytest.raises(SkipClip, match=f"delete {path}: .* shard is made again by the same avsync pack"):
            opened.read(0)
        path.unlink()
        pack(packed.videos, dataset, SMALL, QUIET)
        opened.read(0)


@pytest.mark.timeout(60)
def test_what_is_no_file_is_refused_and_not_waited_for(packed: Packed, tmp_path: Path):
    dataset = shutil.copytree(packed.dataset, tmp_path / "out")
    opened = open_dataset(dataset, "train")
    for path in (opened.shard_path(0), dataset / "train" / "index.npz", dataset / "train" / "000000.json"):
        path.unlink()
        os.mkfifo(path)
    with pytest.raises(SkipClip, match=f"cannot read {opened.shard_path(0)}: not a regular file"):
        opened.read(0)
    with pytest.raises(InputError, match=r"cannot read .*index.npz: not a regular file"):
        open_dataset(dataset, "train")
    with pytest.raises(InputError, match=r"cannot read .*000000.json: not a regular file"):
        read_json(dataset / "train" / "000000.json", ShardRecord)


def test_a_reject_keeps_its_reason_on_the_way_between_processes():
    import pickle

    error = pickle.loads(pickle.dumps(RejectError(RejectReason.SILENT, "not a sound")))
    assert (error.reason, error.detail, str(error)) == (RejectReason.SILENT, "not a sound", "silent: not a sound")
