"""Pages of Ogg that are lost, damaged or contradict their packets cost the file; honest files of every kind pass."""

from collections.abc import Callable, Sequence
from fractions import Fraction as F
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from sharding.errors import RejectError, RejectReason
from sharding.media.probe import probe
from tests.ogg import CHECKSUM, GRANULE, HEAD, NUMBER, SERIAL, pages_of, with_field

RATE = SECOND = 48_000
CODECS = ("libopus", "flac")
SOUND, PICTURE = 1, 0
PICTURES = 25 << 32
"""A second of VP8."""
Pages = list[bytes]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Ten or more pages of each stream."""
    folder = tmp_path_factory.mktemp("whole")
    return {codec: write_ogg(folder / f"{codec}.ogg", codec) for codec in CODECS}


def write_ogg(path: Path, codec: str) -> Path:
    """Four seconds of VP8 and sound; pages of 0.2 s and less."""
    packets, rng = list[Any](), np.random.default_rng(0)
    with av.open(str(path), "w", options={"page_duration": "200000"}) as container:
        pictures: Any = container.add_stream("libvpx", rate=25)
        sound: Any = container.add_stream(codec, rate=RATE, layout="mono")
        pictures.width, pictures.height, pictures.pix_fmt = 48, 32, "yuv420p"
        pictures.codec_context.time_base = F(1, 25)
        for number in range(4 * 25):
            frame = av.VideoFrame.from_ndarray(rng.integers(60, 99, (48, 48), np.uint8), format="yuv420p")
            frame.pts, frame.time_base = number, F(1, 25)
            packets += pictures.encode(frame)
        for start in range(0, 4 * RATE, 960):
            sounds = av.AudioFrame.from_ndarray(rng.integers(-99, 99, (1, 960), np.int16), format="s16", layout="mono")
            sounds.sample_rate, sounds.pts, sounds.time_base = RATE, start, F(1, RATE)
            packets += sound.encode(sounds)
        packets += [*pictures.encode(None), *sound.encode(None)]
        container.mux(sorted(packets, key=lambda one: one.dts * one.time_base))
    return path


def places(pages: Sequence[bytes], stream: int) -> list[int]:
    """Of the pages of one stream's media."""
    serial = pages[stream][SERIAL]
    mine = [place for place, page in enumerate(pages) if page[SERIAL] == serial]
    return [place for place in mine if int.from_bytes(pages[place][GRANULE], "little", signed=True) > 0]


def lost(pages: Pages, place: int) -> Pages:
    return pages[:place] + pages[place + 1 :]


def repeated(pages: Pages, place: int) -> Pages:
    return pages[: place + 1] + pages[place:]


def damaged(pages: Pages, place: int) -> Pages:
    """A byte of the page's packets is another one."""
    page = bytearray(pages[place])
    page[-1] ^= 1
    return [*pages[:place], bytes(page), *pages[place + 1 :]]


def without_mark(pages: Pages, place: int) -> Pages:
    return [*pages[:place], b"oggs" + pages[place][4:], *pages[place + 1 :]]


def changed(pages: Pages, where: Sequence[int], field: slice, add: int) -> Pages:
    return [with_field(page, field, add) if place in where else page for place, page in enumerate(pages)]


def written(target: Path, pages: Sequence[bytes]) -> Path:
    target.write_bytes(b"".join(pages))
    return target


def assert_rejected(path: Path, words: str) -> None:
    with pytest.raises(RejectError, match=words) as caught:
        probe(path)
    assert caught.value.reason is RejectReason.CORRUPT


@pytest.mark.parametrize(("codec", "number"), [("flac", 3), ("flac", 7), ("flac", -2), ("libopus", -2)])
@pytest.mark.parametrize("harm", [lost, damaged, without_mark])
def test_sound_that_is_missing_costs_the_file(
    whole: dict[str, Path], number: int, harm: Callable[[Pages, int], Pages], codec: str, tmp_path: Path
):
    pages = pages_of(whole[codec].read_bytes())
    path = written(tmp_path / "a.ogg", harm(pages, places(pages, SOUND)[number]))
    assert_rejected(path, r"0\.\d\d s of its sound are missing before byte \d+: pages are lost or damaged")


@pytest.mark.parametrize("harm", [lost, damaged, without_mark])
def test_opus_that_is_missing_is_a_hole_where_ffmpeg_finds_its_way(
    whole: dict[str, Path], harm: Callable[[Pages, int], Pages], tmp_path: Path
):
    pages = pages_of(whole["libopus"].read_bytes())
    first = probe(whole["libopus"])
    found = probe(written(tmp_path / "a.ogg", harm(pages, places(pages, SOUND)[3])))
    assert (found.audio.start, found.audio.end) == (first.audio.start, first.audio.end)
    assert found.audio.packets < first.audio.packets


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("stream", [SOUND, PICTURE])
def test_a_page_that_comes_twice_costs_the_file(whole: dict[str, Path], stream: int, codec: str, tmp_path: Path):
    pages = pages_of(whole[codec].read_bytes())
    path = written(tmp_path / "a.ogg", repeated(pages, places(pages, stream)[4]))
    assert_rejected(path, r"s more of (sound|picture) than its time says")


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(("stream", "second"), [(SOUND, SECOND), (PICTURE, PICTURES)])
def test_a_single_wrong_time_costs_the_file(
    whole: dict[str, Path], stream: int, second: int, codec: str, tmp_path: Path
):
    pages = pages_of(whole[codec].read_bytes())
    path = written(tmp_path / "a.ogg", changed(pages, [places(pages, stream)[4]], GRANULE, second))
    assert_rejected(path, r"s more of (sound|picture) than its time says")


@pytest.mark.parametrize("codec", CODECS)
def test_honest_files_pass(whole: dict[str, Path], codec: str, tmp_path: Path):
    pages = pages_of(whole[codec].read_bytes())
    sounds, pictures = places(pages, SOUND), places(pages, PICTURE)
    assert min(len(sounds), len(pictures)) >= 10
    first = probe(whole[codec])
    assert probe(written(tmp_path / "numbers.ogg", changed(pages, sounds[5:], NUMBER, 9))).audio == first.audio
    assert probe(written(tmp_path / "trimmed.ogg", changed(pages, sounds[-1:], GRANULE, -2000))).video == first.video
    probe(written(tmp_path / "joined.ogg", [*pages, *changed(pages, range(len(pages)), SERIAL, 1)]))
    probe(written(tmp_path / "cut off.ogg", pages[: len(pages) * 2 // 3]))
    hole = changed(changed(pages, sounds[5:], GRANULE, SECOND), pictures[5:], GRANULE, PICTURES)
    probe(written(tmp_path / "hole.ogg", hole))


def test_a_stream_that_was_cut_out_of_a_longer_one_passes(whole: dict[str, Path], tmp_path: Path):
    """Its first page of media is not the first of all, nor does its time begin at 0."""
    pages = pages_of(whole["libopus"].read_bytes())
    gone = {*places(pages, SOUND)[:4], *places(pages, PICTURE)[:4]}
    probe(written(tmp_path / "a.ogg", [page for place, page in enumerate(pages) if place not in gone]))


def test_bytes_between_pages_cost_nothing(whole: dict[str, Path], tmp_path: Path):
    pages = pages_of(whole["libopus"].read_bytes())
    place = places(pages, SOUND)[4]
    first = probe(whole["libopus"])
    found = probe(written(tmp_path / "a.ogg", [*pages[:place], b"OggS" + bytes(99), *pages[place:]]))
    assert (found.audio, found.video) == (first.audio, first.video)


def test_pages_made_here_are_those_of_the_file(whole: dict[str, Path]):
    data = whole["libopus"].read_bytes()
    pages = pages_of(data)
    assert b"".join(pages) == data
    assert all(len(page) > HEAD for page in pages)
    assert [with_field(page, GRANULE, 0)[CHECKSUM] for page in pages] == [page[CHECKSUM] for page in pages]
