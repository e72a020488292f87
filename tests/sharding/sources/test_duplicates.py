"""Equal bytes are found whatever their names, and nothing else is taken for equal."""

import os
import random
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharding.sources import duplicates
from sharding.sources.duplicates import END_BYTES, find_duplicates
from sharding.sources.source import Source, source_id

LONG = 3 * END_BYTES


def source(path: Path, start: int | None = None, stop: int | None = None) -> Source:
    span = None if start is None else (Fraction(start), None if stop is None else Fraction(stop))
    return Source(
        id=source_id(path.name, f"@{start}:{stop}"), path=path, rel=path.name, action="a", group=path.name, span=span
    )


def files(folder: Path, contents: dict[str, bytes]) -> list[Source]:
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [source(folder / name) for name in contents]


def found(sources: list[Source], *first: Source) -> dict[str, str]:
    """Name -> name of the one it repeats."""
    names = {one.id: one.rel for one in sources}
    return {names[id]: twin.rel for id, twin in find_duplicates(sources, {one.id for one in first}).items()}


def changed(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize("size", [1, 100, END_BYTES, END_BYTES + 1, 2 * END_BYTES, 2 * END_BYTES + 1, LONG])
def test_equal_bytes_are_found_and_one_changed_bit_anywhere_is_not(size: int, tmp_path: Path):
    content = random.Random(size).randbytes(size)
    places = {place for place in (0, size // 2, size - 1, END_BYTES, size - END_BYTES - 1) if 0 <= place < size}
    others = {f"changed at {place}": changed(content, place) for place in places}
    longer = {"longer": content + b"\0", "shorter": content[:-1]}
    sources = files(tmp_path, {"one": content, **others, "two": content, **longer, "three": content})
    assert found(sources) == {"two": "one", "three": "one"}


def test_the_order_given_decides_who_stays_and_the_dataset_comes_first(tmp_path: Path):
    content = dict.fromkeys("abc", b"same")
    one, two, three = files(tmp_path, content)
    assert found([one, two, three]) == {"b": "a", "c": "a"}
    assert found([three, two, one]) == {"b": "c", "a": "c"}
    assert found([one, two, three], two) == {"a": "b", "c": "b"}
    assert found([one, two, three], three, two) == {"a": "b", "c": "b"}


@pytest.mark.parametrize("link", ["none", "symbolic", "hard", "copy"])
def test_other_seconds_of_one_video_are_no_duplicate_and_the_same_seconds_are(link: str, tmp_path: Path):
    (tmp_path / "a").write_bytes(b"video")
    other = tmp_path / ("a" if link == "none" else "b")
    if link == "symbolic":
        other.symlink_to("a")
    elif link == "hard":
        other.hardlink_to(tmp_path / "a")
    elif link == "copy":
        other.write_bytes(b"video")
    spans = [(None, None), (0, 5), (5, 10), (5, None)]
    first = [source(tmp_path / "a", *span) for span in spans]
    assert found(first) == {}
    again = [source(other, *span) for span in spans]
    twins = find_duplicates(first + [one for one in again if one.id not in {old.id for old in first}])
    assert twins == ({} if link == "none" else dict(zip((one.id for one in again), first, strict=True)))
    assert found([source(tmp_path / "a"), source(other, 0)]) == {other.name: "a"}  # from 0 on is all of it


def test_what_cannot_be_read_repeats_nothing(tmp_path: Path):
    sources = files(tmp_path, {"a": b"x" * LONG, "b": b"x" * LONG, "empty": b"", "nothing": b""})
    for name in ("gone", "lost"):
        sources.append(source(tmp_path / name))
    for name in ("pipe", "queue"):
        os.mkfifo(tmp_path / name)
        sources.append(source(tmp_path / name))
    for name in ("folder", "loop"):
        sources.append(source(tmp_path / name))
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    assert found(sources) == {"b": "a"}


def test_a_file_that_fails_while_it_is_read_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    sources = files(tmp_path, dict.fromkeys("abc", b"x" * LONG))
    whole = duplicates._whole

    def fail(path: Path) -> object:
        if path.name == "a":
            raise OSError(5, "Input/output error")
        return whole(path)

    monkeypatch.setattr(duplicates, "_whole", fail)
    assert found(sources) == {"c": "b"}


def test_files_are_read_no_further_than_needed(tmp_path: Path):
    content = bytes(LONG)
    sources = files(
        tmp_path,
        {
            "alone": bytes(LONG + 1),
            "head": changed(content, 0),
            "middle": changed(content, LONG // 2),
            "plain": content,
        },
    )
    calls: list[tuple[str, int, int]] = []
    assert find_duplicates(sources, progress=lambda *call: calls.append(call)) == {}
    assert calls[-1] == ("bytes", 2, 2)
    assert {(what, total) for what, _, total in calls} == {("sizes", 4), ("ends", 3), ("bytes", 2)}
    assert all(0 < done <= total for _, done, total in calls)


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=12))
def test_what_is_left_has_each_content_once(tmp_path_factory: pytest.TempPathFactory, makings: list[tuple[int, bool]]):
    folder = tmp_path_factory.mktemp("files")
    contents = {f"{n}": (b"%d" % kind) * (LONG if long else 3) for n, (kind, long) in enumerate(makings)}
    sources = files(folder, contents)
    repeats = found(sources)
    left = [name for name in contents if name not in repeats]
    assert sorted({contents[name] for name in left}) == sorted(contents[name] for name in left)
    for name, twin in repeats.items():
        assert contents[name] == contents[twin]
        assert int(twin) < int(name)
        assert twin in left
