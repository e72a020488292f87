"""MP4 and MOV that say of some pictures when they are shown, and nothing of the others."""

import struct
from pathlib import Path

import pytest

from sharding.containers.movie_boxes import MOST_BOXES
from sharding.errors import RejectError, RejectReason
from sharding.media.probe import probe
from tests.media import Video, write_video

SMALL = Video(width=48, height=32, b_frames=2)


def offsets_of(file: bytes | bytearray) -> tuple[int, list[tuple[int, int]]]:
    """Where the first row of the picture's composition offsets stands; samples and offset of each row."""
    at = file.index(b"ctts") + 8
    rows = int.from_bytes(file[at : at + 4])
    return at + 4, list(struct.iter_unpack(">Ii", file[at + 4 : at + 4 + 8 * rows]))


@pytest.mark.parametrize("container", ["mp4", "mov"])
@pytest.mark.parametrize("last", ["count of rows", "samples of the first row", "samples of the last row"])
def test_a_table_of_offsets_that_ends_too_early_is_no_clock(container, last, tmp_path):
    path = write_video(tmp_path / f"short.{container}", SMALL)
    probe(path)
    file = bytearray(path.read_bytes())
    at, rows = offsets_of(file)
    samples, row = sum(count for count, _ in rows), 0
    if last == "count of rows":
        file[at - 4 : at] = (len(rows) - 1).to_bytes(4)
        wanted = samples - rows[-1][0]
    else:
        row = next(n for n, (count, _) in enumerate(rows) if count > 1) if "first" in last else len(rows) - 1
        file[at + 8 * row : at + 8 * row + 4] = (rows[row][0] - 1).to_bytes(4)
        wanted = samples - 1
    path.write_bytes(file)
    with pytest.raises(RejectError) as caught:
        probe(path)
    assert caught.value.reason is RejectReason.CORRUPT
    assert f"of {wanted} of {samples} packets of video" in str(caught.value)


def test_a_table_that_covers_more_than_there_is_harms_nothing(tmp_path: Path):
    path = write_video(tmp_path / "long.mp4", SMALL)
    before, file = probe(path), bytearray(path.read_bytes())
    at, rows = offsets_of(file)
    file[at + 8 * len(rows) - 8 : at + 8 * len(rows) - 4] = (rows[-1][0] + 5).to_bytes(4)
    path.write_bytes(file)
    assert probe(path).video == before.video


def test_a_file_of_very_many_boxes_is_no_lie(tmp_path: Path):
    path = write_video(tmp_path / "day.mp4", SMALL)
    before = probe(path).video
    path.write_bytes(path.read_bytes() + b"\0\0\0\x08free" * (MOST_BOXES + 1))
    assert probe(path).video == before
