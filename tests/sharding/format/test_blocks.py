"""A window of a raw clip is read by itself: no more than its blocks, and every byte of it that is used is checked."""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from isal.isal_zlib import crc32, crc32_combine
from msgspec import UNSET
from numpy.typing import NDArray

from sharding.base.files import from_json, to_json
from sharding.errors import SkipClip, WrongClip
from sharding.format import reader
from sharding.format.blocks import BlockTable, PassingBlocks, Unread, block_checksums, checksums_of
from sharding.format.claims import ClipShape
from sharding.format.clip import Clip, ClipMeta, Clock
from sharding.format.codec import CODECS, members_of
from sharding.format.dataset import open_dataset
from sharding.format.form import ClipForm
from sharding.format.reader import ClipLocation, ClipWindow, ShardReader, StoredClip
from sharding.format.tar import BLOCK, Layout, member_header, padded
from tests.sharding.forge import first, forge, reported

BEFORE = Path(__file__).parents[2] / "fixtures" / "before" / "dataset-raw"
RAW = CODECS["raw"]
KINDS = ("json", "picture header", "pictures", "sound header", "sound")


def clip_of(number: int, seconds: int = 10, fps: str = "10", rate: int = 8000, channels: int = 2) -> Clip:
    clock = Clock(fps=Fraction(fps), sample_rate=rate)
    meta = ClipMeta(
        key=f"a/{number:08d}", source="a", group="a", action="x", first_frame=number,
        frames=clock.frames_in(Fraction(seconds)), clock=clock, width=16, height=8, channels=channels,
    )  # fmt: skip
    rng = np.random.default_rng(number)
    return Clip(
        meta=meta,
        yuv=rng.integers(0, 256, (meta.frames, 12, 16), np.uint8),
        audio=rng.integers(-9000, 9000, (meta.samples, channels), np.int16),
    )


def form_of(clip: Clip) -> ClipForm:
    meta = clip.meta
    return ClipForm(codec="raw", clock=meta.clock, width=meta.width, height=meta.height, channels=meta.channels)


@dataclass
class Tar:
    """Clips in one file, one after the other."""

    path: Path
    clips: list[Clip]
    places: list[ClipLocation]

    @classmethod
    def of(cls, folder: Path, clips: Sequence[Clip], told: Callable[[Clip], dict[str, bytes]]) -> "Tar":
        places, data = list[ClipLocation](), b""
        for clip in clips:
            members = told(clip)
            layout, start = Layout.of(*map(len, members.values())), len(data) + BLOCK
            for suffix, payload in members.items():
                data += member_header(f"{clip.meta.key}.{suffix}", len(payload)) + payload
                data += bytes(padded(len(payload)) - len(payload))
            places.append(
                ClipLocation(
                    path=str(folder / "000000.tar"), offset=start, json_bytes=layout.json_bytes,
                    video_bytes=layout.video[1], audio_bytes=layout.audio[1], frames=clip.meta.frames,
                    key=clip.meta.key, action="x", crc32=crc32(data[start : start + layout.size]),
                )
            )  # fmt: skip
        (folder / "000000.tar").write_bytes(data)
        return cls(folder / "000000.tar", list(clips), places)


def packed(clip: Clip) -> dict[str, bytes]:
    return members_of(clip, RAW)


def of_before(clip: Clip) -> dict[str, bytes]:
    return packed(clip) | {"json": to_json(clip.meta)}


def telling(**change: Any) -> Callable[[Clip], dict[str, bytes]]:
    """As packed, but that the blocks are said to be others."""

    def told(clip: Clip) -> dict[str, bytes]:
        about = json.loads((members := packed(clip))["json"])
        about["checksums"] |= {name: make(about["checksums"][name]) for name, make in change.items()}
        return members | {"json": json.dumps(about).encode()}

    return told


@dataclass
class Got:
    stored: StoredClip
    yuv: NDArray[np.uint8]
    sounds: list[NDArray[np.int16]]


def read(tar: Tar, number: int, frames: range, *sounds: range, by: ShardReader | None = None) -> Got:
    """A window, as whoever trains gets it."""
    clip = tar.clips[number]
    shape = ClipShape.of(clip.meta)
    out = np.zeros((len(frames), 12, 16), np.uint8)
    heads = RAW.heads(shape)
    assert heads
    window = ClipWindow(shape=shape, heads=heads, frames=frames, out=out, sounds=sounds)
    with (by and nullcontext(by)) or ShardReader(form_of(clip)) as one:
        stored = one.read_window(tar.places[number], window)
    if stored.video:
        RAW.decode_video(stored.video, frames, out, shape)
    heard = [np.zeros((len(sound), shape.channels), np.int16) for sound in sounds]
    for sound, row in zip(sounds, heard, strict=True):
        RAW.decode_audio(stored.audio, sound.start, row, shape)
    return Got(StoredClip(json=stored.json, video=stored.video, audio=stored.audio[:0]), out, heard)


def is_right(tar: Tar, number: int, got: Got, frames: range, *sounds: range) -> bool:
    clip = tar.clips[number]
    same = [np.array_equal(row, clip.audio[one.start : one.stop]) for row, one in zip(got.sounds, sounds, strict=True)]
    return np.array_equal(got.yuv, clip.yuv[frames.start : frames.stop]) and all(same)


def sound_of(clip: Clip, frames: range) -> range:
    return range(clip.meta.clock.sample_at(frames.start), clip.meta.clock.sample_at(frames.stop))


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> list[range]:
    """Which bytes of files the reader has read so far."""
    seen, preadv = list[range](), os.preadv

    def counted(file: int, buffers: Any, offset: int) -> int:
        got = preadv(file, buffers, offset)
        seen.append(range(offset, offset + got))
        return got

    monkeypatch.setattr(reader.os, "preadv", counted)
    return seen


@pytest.mark.parametrize(("fps", "channels", "every"), [("10", 2, 1), ("30000/1001", 1, 7), ("24", 2, 13)])
def test_a_window_anywhere_is_right_and_reads_under_half_of_its_clip(
    tmp_path: Path, spans: list[range], fps: str, channels: int, every: int
):
    tar = Tar.of(tmp_path, [clip_of(0, fps=fps, channels=channels)], packed)
    clip, place = tar.clips[0], tar.places[0]
    length = clip.meta.clock.frames_in(Fraction(4))
    with ShardReader(form_of(clip)) as one:
        for start in range(0, clip.meta.frames - length + 1, every):
            spans.clear()
            frames = range(start, start + length)
            got = read(tar, 0, frames, sound := sound_of(clip, frames), by=one)
            assert is_right(tar, 0, got, frames, sound)
            assert not got.stored.video
            count = sum(map(len, spans))
            assert count == len(set[int]().union(*spans))  # none twice
            assert count < place.layout.size / 2


def test_far_sounds_of_one_picture_window_are_read_and_what_lies_between_is_not(tmp_path: Path, spans: list[range]):
    tar = Tar.of(tmp_path, [clip_of(0)], packed)
    sounds = (range(64_100, 79_990), range(10, 8_010))
    assert is_right(tar, 0, read(tar, 0, range(30, 60), *sounds), range(30, 60), *sounds)
    begin = tar.places[0].offset + tar.places[0].layout.audio[0]
    heard = [span for span in spans if span.stop > begin + 200]
    assert not any(span.start < begin + 4 * 60_000 and span.stop > begin + 4 * 12_000 for span in heard)


def test_a_clip_of_before_or_a_window_of_all_is_read_whole_and_once(tmp_path: Path, spans: list[range]):
    for told, frames in ((of_before, range(40, 60)), (packed, range(100))):
        tar = Tar.of(tmp_path, [clip_of(0)], told)
        sound = sound_of(tar.clips[0], frames)
        spans.clear()
        assert is_right(tar, 0, read(tar, 0, frames, sound), frames, sound)
        assert sum(map(len, spans)) == tar.places[0].layout.size


def kinds_of(place: ClipLocation) -> dict[str, range]:
    layout = place.layout
    (video, length), (audio, rest) = layout.video, layout.audio
    heads = [len(head) for head in RAW.heads(ClipShape.of(clip_of(0).meta)) or ()]
    ends = (0, layout.json_bytes, video + heads[0], video + length, audio + heads[1], audio + rest)
    return {kind: range(*pair) for kind, pair in zip(KINDS, pairwise(ends), strict=True)}


@pytest.mark.parametrize("told", [packed, of_before])
@pytest.mark.parametrize("frames", [range(33, 47), range(1), range(88, 100)])
def test_damage_is_found_wherever_it_is_used_and_costs_no_neighbour(
    tmp_path: Path, spans: list[range], told: Callable[[Clip], dict[str, bytes]], frames: range
):
    """Some of all bytes: of json, headers, and every block of pictures and of sound."""
    tar = Tar.of(tmp_path, [clip_of(number) for number in range(3)], told)
    place, sound = tar.places[1], sound_of(tar.clips[1], frames)
    read(tar, 1, frames, sound)
    used = set[int]().union(*spans)
    rng, found, missed = np.random.default_rng(frames.start), set[str](), set[str]()
    with ShardReader(form_of(tar.clips[0])) as one, tar.path.open("r+b", buffering=0) as file:
        for kind, where in kinds_of(place).items():
            step = max(1, len(where) // 200)
            for at in range(where.start, where.stop, step):
                position = place.offset + at
                byte = os.pread(file.fileno(), 1, position)
                os.pwrite(file.fileno(), bytes([byte[0] ^ 1 << int(rng.integers(8))]), position)
                if position in used:
                    found.add(kind)
                    with pytest.raises(SkipClip, match="are not those that were packed"):
                        read(tar, 1, frames, sound, by=one)
                else:
                    missed.add(kind)
                    assert is_right(tar, 1, read(tar, 1, frames, sound, by=one), frames, sound)
                if at % 7 == 0:
                    assert is_right(tar, 0, read(tar, 0, frames, sound, by=one), frames, sound)
                    assert is_right(tar, 2, read(tar, 2, frames, sound, by=one), frames, sound)
                os.pwrite(file.fileno(), byte, position)
    assert found == set(KINDS)
    assert missed == ({"pictures", "sound"} if told is packed else set())


def test_another_clip_of_the_same_lengths_is_not_taken_for_this_one(tmp_path: Path):
    """As a copy of a shard that was packed again: all its checksums are right among themselves."""
    tar = Tar.of(tmp_path, [clip_of(0)], packed)
    other = Tar.of(tmp_path, [replace(clip_of(1), meta=clip_of(0).meta)], packed)
    assert other.places[0].layout == tar.places[0].layout
    with pytest.raises(SkipClip, match="are not those that were packed"):
        read(tar, 0, range(10), range(8000))


HOSTILE = {
    "too few": {"video": lambda was: was[:-8]},
    "too many": {"audio": lambda was: was + "00000000"},
    "none": {"audio": lambda _: ""},
    "no digits": {"video": lambda was: "xyz!" * (len(was) // 4)},
    "capitals": {"video": lambda was: "ABCDEF00" * (len(was) // 8)},
    "blocks of nothing": {"frames": lambda _: 0},
    "blocks below nothing": {"samples": lambda _: -2000},
    "blocks too small": {"samples": lambda _: 1},
    "blocks too large": {"frames": lambda _: 2**62},
    "blocks beyond all": {"samples": lambda _: 2**70},
    "enormous": {"audio": lambda _: "0" * 10**6},
}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_table_that_no_clip_can_have_costs_that_clip_alone(tmp_path: Path, hostile: str):
    tar = Tar.of(tmp_path, [clip_of(0)], telling(**HOSTILE[hostile]))
    got = read(tar, 0, range(20, 40), range(8000))
    assert is_right(tar, 0, got, range(20, 40), range(8000))  # read as a whole
    place = tar.places[0]
    with pytest.raises(
        WrongClip, match=r"its json says checksums .* where the dataset says one for each block"
    ) as error:
        form_of(tar.clips[0]).read_json(bytes(got.stored.json), key=place.key, action="x", frames=place.frames)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize("hostile", [{"frames": lambda _: "8"}, {"video": lambda _: None}])
def test_a_table_that_is_none_costs_that_clip_alone(tmp_path: Path, hostile: dict[str, Any]):
    tar = Tar.of(tmp_path, [clip_of(0)], telling(**hostile))
    got = read(tar, 0, range(20, 40), range(8000))
    with pytest.raises(WrongClip, match="its json is damaged"):
        form_of(tar.clips[0]).read_json(bytes(got.stored.json), key="a/00000000", action="x", frames=100)


@pytest.mark.parametrize("name", ["video", "audio"])
def test_checksums_that_lie_are_not_believed(tmp_path: Path, name: str):
    tar = Tar.of(tmp_path, [clip_of(0)], telling(**{name: lambda was: "0" * len(was)}))
    got = read(tar, 0, range(20, 40), range(8000))
    assert is_right(tar, 0, got, range(20, 40), range(8000))
    assert len(got.stored.video) == tar.places[0].video_bytes  # the one checksum of the clip has decided


def test_clips_that_earlier_versions_packed_are_read_by_the_window_too():
    data = open_dataset(BEFORE, "train")
    for number in range(len(data.index)):
        place = data.location(number)
        whole = data.read(number)
        assert whole.meta().checksums is UNSET
        shape = data.info.form.shape(place.frames)
        heads, frames, out = RAW.heads(shape), range(2, 6), np.zeros((4, *shape.pictures[1:]), np.uint8)
        assert heads
        window = ClipWindow(shape=shape, heads=heads, frames=frames, out=out, sounds=(range(100, 900),))
        with ShardReader(data.info.form) as one:
            got = one.read_window(place, window)
            assert got.audio == whole.audio
        wanted = np.empty_like(out)
        RAW.decode_video(whole.video, frames, wanted, shape)
        assert np.array_equal(out, wanted)


@pytest.mark.parametrize("wrong", ["", "video", "audio"])
def test_verify_holds_blocks_against_their_checksums(tmp_path: Path, wrong: str):
    dataset = shutil.copytree(BEFORE, tmp_path / "dataset")
    data = open_dataset(dataset, "train")
    stored = data.read(0)
    meta = stored.meta()
    heads = RAW.heads(shape := ClipShape.of(meta))
    assert heads
    told = block_checksums(shape, stored.video[len(heads[0]) :], stored.audio[len(heads[1]) :])
    about = json.loads(to_json(replace(meta, checksums=told)))
    if wrong:
        about["checksums"][wrong] = f"{int(getattr(told, wrong)[:8], 16) ^ 1:08x}" + getattr(told, wrong)[8:]
    forge(first(dataset / "train"), {"json": to_json(from_json(json.dumps(about).encode(), ClipMeta, "it"))})
    assert reported(dataset) == ([("damaged", "train/000000.tar")] if wrong else [])


@given(data=st.data())
def test_what_is_read_and_what_is_left_join_to_all(data: st.DataObject):
    content = data.draw(st.binary(min_size=1, max_size=400))
    block = data.draw(st.integers(1, 450))
    at = st.integers(0, len(content))
    pairs = data.draw(st.lists(st.tuples(at, at).map(sorted), min_size=1, max_size=3))
    wanted = [range(*pair) for pair in pairs]
    table = BlockTable(block, len(content), checksums_of(memoryview(content), block))
    crc = position = 0
    for run in table.around(wanted):
        if isinstance(run, Unread):
            crc, stop = crc32_combine(crc, run.crc32, run.bytes), position + run.bytes
            assert not any(set(span) & set(range(position, stop)) for span in wanted)
        else:
            assert run.start == position
            crc, stop = crc32(content[run.start : run.stop], crc), run.stop
        position = stop
    assert (position, crc) == (len(content), crc32(content))
    passing, head = PassingBlocks(table, 3), b"abc"
    pieces = head + content + b"rest"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(pieces)), max_size=4)))
    for start, stop in zip([0, *cuts], [*cuts, len(pieces)], strict=True):
        passing.take(memoryview(pieces)[start:stop])
    assert passing.wrong == []
