"""AVI counts: a chunk lost, repeated or renamed is told by the file's own accounts; honest files of every kind pass."""

import struct
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction as F
from pathlib import Path

import pytest

from sharding.errors import RejectError, RejectReason
from sharding.media.probe import probe
from tests.avi import Avi, Chunk, read_avi, write_avi, write_long_avi
from tests.media import Video, write_video

SMALL = Video(seconds=F(3), events=(), fps=F(25), width=32, height=32, video_codec="mpeg4", audio_codec="libmp3lame")
PICTURE, SOUND = b"00dc", b"01wb"
CODECS = ("libmp3lame", "mp2", "pcm_s16le", "aac")
LENGTH, SAMPLE_BYTES = 40, 52
"""Where they stand behind strh."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("whole")
    return {codec: write_video(folder / f"{codec}.avi", replace(SMALL, audio_codec=codec)) for codec in CODECS}


def lost(avi: Avi, place: int) -> Avi:
    return replace(avi, chunks=avi.chunks[:place] + avi.chunks[place + 1 :])


def repeated(avi: Avi, place: int) -> Avi:
    return replace(avi, chunks=avi.chunks[: place + 1] + avi.chunks[place:])


def renamed(avi: Avi, place: int) -> Avi:
    other = replace(avi.chunks[place], name=b"\x8f\0wb")
    return replace(avi, chunks=(*avi.chunks[:place], other, *avi.chunks[place + 1 :]))


def exchanged(avi: Avi, place: int) -> Avi:
    """With the next chunk of its stream that is another one."""
    chunks = list(avi.chunks)
    mine = chunks[place]
    other = next(
        n
        for n in range(place + 1, len(chunks))
        if chunks[n].name == mine.name and len(chunks[n].body) != len(mine.body)
    )
    chunks[place], chunks[other] = chunks[other], chunks[place]
    return replace(avi, chunks=tuple(chunks))


def with_field(avi: Avi, stream: int, place: int, value: int) -> Avi:
    """A number in the header of a stream is another one."""
    head, at = bytearray(avi.head), -1
    for _ in range(stream + 1):
        at = head.index(b"strh", at + 1)
    struct.pack_into("<I", head, at + place, value)
    return replace(avi, head=bytes(head))


def uncounted(avi: Avi) -> Avi:
    return with_field(with_field(avi, 0, LENGTH, 0), 1, LENGTH, 0)


def assert_rejected(path: Path, words: str) -> None:
    with pytest.raises(RejectError, match=words) as caught:
        probe(path)
    assert caught.value.reason is RejectReason.CORRUPT


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("name", [PICTURE, SOUND])
@pytest.mark.parametrize("harm", [lost, repeated, renamed])
def test_what_the_index_lists_must_be_there_once(
    whole: dict[str, Path], harm: Callable[[Avi, int], Avi], name: bytes, codec: str, tmp_path: Path
):
    avi = read_avi(whole[codec])
    harmed = harm(avi, avi.places(name)[20])
    kind = "pictures" if name == PICTURE else "blocks of sound"
    assert_rejected(write_avi(tmp_path / "a.avi", harmed, avi.chunks), f"its index lists .* {kind}")
    assert_rejected(write_long_avi(tmp_path / "b.avi", harmed, avi.chunks), f"its index lists .* {kind}")


def test_chunks_in_another_order_than_listed_are_refused(whole: dict[str, Path], tmp_path: Path):
    avi = read_avi(whole["mp2"])
    harmed = exchanged(avi, avi.places(PICTURE)[20])
    assert_rejected(write_avi(tmp_path / "a.avi", harmed, avi.chunks), "its pictures stand in another order")


def test_an_empty_chunk_that_is_lost_is_missed_where_the_index_lists_it(whole: dict[str, Path], tmp_path: Path):
    avi = read_avi(whole["libmp3lame"])
    place = avi.places(PICTURE)[20]
    dropped = replace(avi, chunks=(*avi.chunks[:place], Chunk(name=PICTURE, body=b""), *avi.chunks[place:]))
    dropped = with_field(dropped, 0, LENGTH, len(dropped.places(PICTURE)))
    probe(write_avi(tmp_path / "a.avi", dropped, dropped.chunks))
    harmed = lost(dropped, place)
    fact = f"its index lists {len(dropped.places(PICTURE))} pictures of .* and {len(harmed.places(PICTURE))} of"
    assert_rejected(write_avi(tmp_path / "b.avi", harmed, dropped.chunks), fact)


def test_without_an_index_the_header_counts_pictures(whole: dict[str, Path], tmp_path: Path):
    avi = read_avi(whole["mp2"])
    harmed = lost(avi, avi.places(PICTURE)[20])
    assert_rejected(write_avi(tmp_path / "a.avi", harmed, None), "its header counts 75 pictures, and 74 of")


@pytest.mark.parametrize("codec", CODECS)
def test_without_any_account_a_break_between_chunks_is_refused(whole: dict[str, Path], codec: str, tmp_path: Path):
    avi = uncounted(read_avi(whole[codec]))
    place = avi.places(SOUND)[20]
    path = write_avi(tmp_path / "a.avi", renamed(avi, place), None)
    assert_rejected(path, "no index says what is missing there")
    cut = tmp_path / "b.avi"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert_rejected(cut, "no index says what is missing there")


@pytest.mark.parametrize("codec", CODECS)
def test_honest_files_pass(whole: dict[str, Path], codec: str, tmp_path: Path):
    avi = read_avi(whole[codec])
    first = probe(whole[codec])
    for path in (
        write_avi(tmp_path / "again.avi", avi, avi.chunks),
        write_avi(tmp_path / "no-index.avi", avi, None),
        write_avi(tmp_path / "capture.avi", uncounted(avi), None),
        write_long_avi(tmp_path / "long.avi", avi, avi.chunks),
        write_avi(tmp_path / "rough.avi", with_field(with_field(avi, 0, LENGTH, 80), 1, LENGTH, 7), avi.chunks),
    ):
        assert probe(path).video == first.video, path.name
        assert probe(path).audio == first.audio, path.name


def test_an_index_that_is_damaged_itself_costs_nothing(whole: dict[str, Path], tmp_path: Path):
    avi = read_avi(whole["libmp3lame"])
    for name in (PICTURE, SOUND):
        probe(write_avi(tmp_path / "a.avi", avi, lost(avi, avi.places(name)[20]).chunks))
    path = write_avi(tmp_path / "b.avi", avi, avi.chunks)
    path.write_bytes(path.read_bytes()[:-100])
    probe(path)


def test_dropped_pictures_that_the_index_does_not_list_pass(whole: dict[str, Path], tmp_path: Path):
    avi = read_avi(whole["libmp3lame"])
    place = avi.places(PICTURE)[20]
    empty = Chunk(name=PICTURE, body=b"")
    dropped = replace(avi, chunks=(*avi.chunks[:place], empty, empty, *avi.chunks[place:]))
    probe(write_avi(tmp_path / "a.avi", dropped, [chunk for chunk in avi.chunks if chunk.body]))


def test_many_frames_of_sound_in_a_chunk_pass(whole: dict[str, Path], tmp_path: Path):
    """As VirtualDub writes: sound of a constant bit rate counts bytes."""
    avi = read_avi(whole["mp2"])
    sounds = [avi.chunks[place].body for place in avi.places(SOUND)]
    sounds = [b"".join(sounds[at : at + 9]) for at in range(0, len(sounds), 9)]
    pictures = [avi.chunks[place] for place in avi.places(PICTURE)]
    chunks = list[Chunk]()
    for number, picture in enumerate(pictures):
        chunks += [Chunk(name=SOUND, body=sounds.pop(0))] if number % 5 == 0 and sounds else []
        chunks.append(picture)
    head, at = bytearray(avi.head), avi.head.rindex(b"strh")
    struct.pack_into("<II", head, at + 28, 1, 48_000)
    struct.pack_into("<I", head, at + SAMPLE_BYTES, 1)
    struct.pack_into("<H", head, head.rindex(b"strf") + 20, 1)
    many = replace(avi, head=bytes(head), chunks=tuple(chunks))
    path = write_avi(tmp_path / "a.avi", many, chunks)
    assert probe(path).audio.packets > len(sounds)
    harmed = lost(many, many.places(SOUND)[2])
    assert_rejected(write_avi(tmp_path / "b.avi", harmed, chunks), "its index lists .* blocks of sound")


@pytest.mark.parametrize("codec", CODECS)
def test_what_comes_before_a_break_stays_usable(whole: dict[str, Path], codec: str, tmp_path: Path):
    data = whole[codec].read_bytes()
    path = tmp_path / "a.avi"
    path.write_bytes(data[: len(data) // 2])
    found = probe(path)
    assert found.missing is not None
    assert F(1, 2) < found.shown[0][1] < F(2)


def test_a_few_samples_more_or_less_are_not_heard(whole: dict[str, Path], tmp_path: Path):
    avi = read_avi(whole["pcm_s16le"])
    place = avi.places(SOUND)[20]
    chunk = avi.chunks[place]
    shorter = replace(chunk, body=chunk.body[:-20])
    probe(
        write_avi(
            tmp_path / "a.avi",
            replace(avi, chunks=(*avi.chunks[:place], shorter, *avi.chunks[place + 1 :])),
            avi.chunks,
        )
    )
