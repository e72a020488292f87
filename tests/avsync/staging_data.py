"""Datasets of noise: real tars, indexes and dataset.json, but nothing in the clips that anybody could decode."""

import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np

from avsync.staging.fetch import Retries
from avsync.staging.location import Location
from avsync.staging.mirror import fingerprint
from avsync.staging.room import Room
from avsync.staging.scratch import Scratch
from sharding.base.files import write_json
from sharding.format.clip import FORMAT_VERSION, Clock
from sharding.format.dataset import open_dataset
from sharding.format.index import INDEX, INFO, DatasetInfo, Index
from sharding.format.tar import END, Layout, member_header, padded

QUICK = Retries(stall_s=0.4, slowest_bytes=100, tries=3, pause_s=0.01)


def write_noise(folder: Path, *, shards: int = 4, clips: int = 5, clip_bytes: int = 9000, seed: int = 0) -> Path:
    """Train and val split of so many shards of so many clips each."""
    rng = np.random.default_rng(seed)
    for split in ("train", "val"):
        (folder / split).mkdir(parents=True)
        index = _write_split(folder / split, range(shards), clips, clip_bytes, rng)
        index.save(folder / split / INDEX)
    info = DatasetInfo(
        format_version=FORMAT_VERSION, codec="raw", clock=Clock(fps=Fraction(30), sample_rate=44_100), width=32,
        height=32, channels=1, fit="squash", actions=("noise",), clips={"train": shards * clips, "val": shards * clips},
        shards={"train": shards, "val": shards}, sources=1, lost_clips=0, rejects=0, settings={}, written_by="a test",
    )  # fmt: skip
    write_json(folder / INFO, info)
    return folder


def _write_split(folder: Path, shards: range, clips: int, clip_bytes: int, rng: np.random.Generator) -> Index:
    rows: dict[str, list[int]] = {name: [] for name in ("shard", "offset", "json", "video", "audio", "crc32")}
    for shard in shards:
        tar = bytearray()
        for clip in range(clips):
            payloads = [rng.bytes(length) for length in (300 + clip, clip_bytes, 1024)]
            start = len(tar) + 512
            for name, payload in zip(("json", "npy", "flac"), payloads, strict=True):
                tar += member_header(f"noise/{shard * clips + clip:08d}.{name}", len(payload))
                tar += payload.ljust(padded(len(payload)), b"\0")
            layout = Layout.of(*map(len, payloads))
            new = (shard, start, *map(len, payloads), zlib.crc32(tar[start : start + layout.size]))
            for column, value in zip(rows.values(), new, strict=True):
                column.append(value)
        (folder / f"{shard:06d}.tar").write_bytes(tar + END)
    count = len(rows["shard"])
    return Index(
        names=np.frombuffer(b"noise", np.uint8), name_end=np.array([5], np.int64), source=np.zeros(count, np.int32),
        first_frame=np.arange(count, dtype=np.int32), frames=np.full(count, 120, np.int32),
        shard=np.array(rows["shard"], np.int32), offset=np.array(rows["offset"], np.int64),
        json_bytes=np.array(rows["json"], np.uint32), video_bytes=np.array(rows["video"], np.uint32),
        audio_bytes=np.array(rows["audio"], np.uint32), crc32=np.array(rows["crc32"], np.uint32),
        action=np.zeros(count, np.int32), group=np.zeros(count, np.int32),
    )  # fmt: skip


def scratch_for(origin: Path | str, data: Path, scratch: Path, limit: int = 0, retries: Retries = QUICK) -> Scratch:
    """The train split of `data`, which lies at `origin`, on a shelf in `scratch`."""
    room = Room.open(scratch, limit)
    return Scratch(
        location=Location.of(origin), folder=room.dataset_folder(fingerprint(data)),
        dataset=open_dataset(data, "train"), room=room, retries=retries,
    )  # fmt: skip


def tar(data: Path, shard: int) -> bytes:
    return (data / "train" / f"{shard:06d}.tar").read_bytes()


def break_clip(data: Path, clip: int) -> None:
    """One byte of a clip of the train split, in its shard."""
    index = Index.load(data / "train" / INDEX)
    path = data / "train" / f"{index.shard[clip]:06d}.tar"
    content = bytearray(path.read_bytes())
    content[int(index.offset[clip]) + 2000] ^= 1
    path.write_bytes(content)
