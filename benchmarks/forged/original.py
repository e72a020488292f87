"""A dataset of nine small clips, held in memory so that anything of it can be changed; then all checksums are made.

Every clip has pictures and sounds of its own: what is read tells which clip, and which moment, it comes from.
"""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from isal.isal_zlib import crc32
from numpy.typing import NDArray

from sharding.base.files import to_json
from sharding.format.clip import FORMAT_VERSION, Clip, ClipMeta, Clock, Repairs
from sharding.format.codec import CODECS, codec_named, members_of
from sharding.format.columns import CLIPS
from sharding.format.index import DatasetInfo
from sharding.format.records import SourceRecord
from sharding.format.tar import BLOCK, END, Layout, member_header, padded

CLOCK = Clock(fps=Fraction(10), sample_rate=8000)
WIDTH, HEIGHT, FRAMES, CHANNELS = 48, 32, 24, 1
SOURCES = ("alpha-0011223344556677", "beta-8899aabbccddeeff", "gamma-0123456789abcdef")
CLIPS_OF_A_SOURCE = 3
SHARD_OF = (0, 0, 1)
"""Of each source."""
ACTIONS = ("drum", "hop")
FORMS = tuple(CODECS)
Jsons = dict[str, Any]


@dataclass(slots=True)
class StoredMembers:
    """One clip: what its three members hold, and what everybody else says of it."""

    key: str
    action: str
    shard: int
    json: bytes
    video: bytes
    audio: bytes
    frames: int = FRAMES

    @property
    def payloads(self) -> tuple[bytes, bytes, bytes]:
        return self.json, self.video, self.audio


def pictures(clip: int) -> NDArray[np.uint8]:
    """(T, H*3/2, W): a brightness of its own for each picture, on a slope."""
    slope = np.arange(WIDTH) // 4 + np.arange(HEIGHT * 3 // 2)[:, None] // 4
    level = 30 + (clip * 53 + np.arange(FRAMES) * 17) % 180
    return (slope + level[:, None, None]).astype(np.uint8)


def sound(clip: int) -> NDArray[np.int16]:
    """(S, C): noise, never twice the same."""
    size = (CLOCK.sample_at(FRAMES), CHANNELS)
    return np.random.default_rng(clip).integers(-3000, 3000, size).astype(np.int16)


def clip_of(number: int) -> Clip:
    """One of the nine, decoded."""
    source, place = divmod(number, CLIPS_OF_A_SOURCE)
    first = place * FRAMES
    meta = ClipMeta(
        key=f"{SOURCES[source]}/{first:08d}",
        source=f"{SOURCES[source]}.mp4",
        group=SOURCES[source],
        action=ACTIONS[source % len(ACTIONS)],
        first_frame=first,
        frames=FRAMES,
        clock=CLOCK,
        width=WIDTH,
        height=HEIGHT,
        channels=CHANNELS,
        boxes=(((0.1, 0.2, 0.5, 0.75),),) * FRAMES if number % 2 else (),
    )
    return Clip(meta=meta, yuv=pictures(number), audio=sound(number))


COUNT = len(SOURCES) * CLIPS_OF_A_SOURCE


@cache
def stored(form: str) -> tuple[tuple[bytes, bytes, bytes], ...]:
    """The members of every clip in a stored form."""
    found = [tuple(members_of(clip_of(number), codec_named(form)).values()) for number in range(COUNT)]
    return tuple((about, video, audio) for about, video, audio in found)


@dataclass(slots=True)
class Forgery:
    """A dataset before it is written. What a lie leaves alone is made to agree with what it has changed."""

    form: str
    clips: list[StoredMembers] = field(default_factory=list[StoredMembers])
    info: Jsons = field(default_factory=Jsons)
    on_columns: list[Callable[[dict[str, NDArray[Any]]], None]] = field(default_factory=list)
    """Called with the columns of the index, when all others know of the clips."""
    on_side: list[Callable[[Jsons], None]] = field(default_factory=list)
    on_tar: list[Callable[[bytearray], None]] = field(default_factory=list)
    """Called with a whole tar before its checksums are taken."""
    last_words: list[Callable[[Path], None]] = field(default_factory=list)
    """Called with the folder when all is written."""

    @classmethod
    def honest(cls, form: str) -> "Forgery":
        made = cls(form=form)
        for number, (about, video, audio) in enumerate(stored(form)):
            meta = clip_of(number).meta
            shard = SHARD_OF[number // CLIPS_OF_A_SOURCE]
            made.clips.append(StoredMembers(meta.key, meta.action, shard, about, video, audio))
        info = DatasetInfo(
            format_version=FORMAT_VERSION,
            codec=form,
            clock=CLOCK,
            width=WIDTH,
            height=HEIGHT,
            channels=CHANNELS,
            fit="squash",
            actions=ACTIONS,
            clips={"train": COUNT, "val": 0, "test": 0},
            shards={"train": len(set(SHARD_OF)), "val": 0, "test": 0},
            sources=len(SOURCES),
            lost_clips=0,
            rejects=0,
            settings={},
            written_by="forged",
        )
        made.info = msgspec.json.decode(to_json(info))
        return made

    def write(self, folder: Path) -> None:
        """All files, as pack would have left them."""
        split = folder / "train"
        split.mkdir(parents=True)
        columns: dict[str, list[int]] = {name: [] for name in CLIPS}
        names = sorted({clip.key.rpartition("/")[0] for clip in self.clips})
        for shard, group in groupby(self.clips, lambda clip: clip.shard):
            self._write_shard(split / f"{shard:06d}.tar", list(group), columns, names)
        arrays: dict[str, Any] = {
            "names": np.frombuffer("".join(names).encode(), np.uint8).copy(),
            "name_end": np.cumsum([len(name) for name in names], dtype=np.int64),
            **{name: np.array(column, CLIPS[name]) for name, column in columns.items()},
        }
        for change in self.on_columns:
            change(arrays)
        with (split / "index.npz").open("wb") as file:
            np.savez(file, **arrays)
        shards = {f"train/{shard:06d}": sorted(SOURCES) for shard in {clip.shard for clip in self.clips}}
        plan = {"format_version": FORMAT_VERSION, "written_by": "forged", "settings": {}, "shards": shards}
        (folder / "plan.json").write_bytes(msgspec.json.encode(plan))
        (folder / "rejects.csv").write_text("path,reason,detail\n")
        (folder / "dataset.json").write_bytes(msgspec.json.encode(self.info))
        for change in self.last_words:
            change(folder)

    def _write_shard(
        self, path: Path, clips: list[StoredMembers], columns: dict[str, list[int]], names: list[str]
    ) -> None:
        codec, tar, places = codec_named(self.form), io.BytesIO(), list[tuple[StoredMembers, int, Layout]]()
        for clip in clips:
            layout = Layout.of(*map(len, clip.payloads))
            places.append((clip, tar.tell() + BLOCK, layout))
            for suffix, payload in zip(("json", codec.video_suffix, codec.audio_suffix), clip.payloads, strict=True):
                tar.write(member_header(f"{clip.key}.{suffix}", len(payload)) + payload)
                tar.write(bytes(padded(len(payload)) - len(payload)))
        data = bytearray(tar.getvalue() + END)
        for change in self.on_tar:
            change(data)
        path.write_bytes(data)
        records = list[Jsons]()
        for clip, offset, layout in places:
            checksum = crc32(data[offset : offset + layout.size])
            name, _, first = clip.key.rpartition("/")
            values = {
                "source": names.index(name),
                "first_frame": int(first),
                "frames": clip.frames,
                "shard": clip.shard,
                "offset": offset,
                "json_bytes": layout.json_bytes,
                "video_bytes": layout.video[1],
                "audio_bytes": layout.audio[1],
                "crc32": checksum,
                "action": ACTIONS.index(clip.action),
                "group": names.index(name),
            }
            for column, value in values.items():
                columns[column].append(value)
            about = {"key": clip.key, "action": clip.action, "group": name, "frames": clip.frames, "offset": offset}
            about |= {"size": layout.size, "crc32": checksum, "json_bytes": layout.json_bytes}
            records.append(about | {"video": layout.video, "audio": layout.audio})
        side = {"format_version": FORMAT_VERSION, "plan": "0" * 64, "tar_bytes": len(data), "clips": records}
        side |= {"sha256": hashlib.sha256(data).hexdigest(), "ids": [], "rejects": [], "sources": _sources(clips)}
        for change in self.on_side:
            change(side)
        path.with_suffix(".json").write_bytes(msgspec.json.encode(side))


def _sources(clips: list[StoredMembers]) -> list[Jsons]:
    found = list[Jsons]()
    for name, group in groupby(clips, lambda clip: clip.key.rpartition("/")[0]):
        mine = list(group)
        record = SourceRecord(
            source=f"{name}.mp4",
            action=mine[0].action,
            clips=len(mine),
            frames=sum(clip.frames for clip in mine),
            lost_clips=0,
            damage="",
            stream_offset_s=0.0,
            repairs=Repairs(),
        )
        found.append(msgspec.json.decode(to_json(record)))
    return found
