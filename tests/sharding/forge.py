"""Datasets changed on purpose: what is damaged by chance, and what is made wrong so that everything else agrees."""

import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from sharding.base.files import read_json, write_json
from sharding.format.index import Index, read_info
from sharding.format.records import ClipRecord, ShardRecord
from sharding.format.tar import END, Layout, member_header, padded
from sharding.verify.findings import Report
from sharding.verify.verify import inspect
from tests.sharding.conftest import QUIET


def record_of(tar: Path) -> ShardRecord:
    return read_json(tar.with_suffix(".json"), ShardRecord)


def tars(dataset: Path) -> list[Path]:
    """Those that hold a clip."""
    return [tar for tar in sorted(dataset.rglob("*.tar")) if record_of(tar).clips]


def span(clip: ClipRecord) -> range:
    """Its bytes in the tar, from the header of its json to the padding after its sound."""
    return range(clip.offset - 512, clip.offset + clip.size - clip.audio[1] + padded(clip.audio[1]))


def files(dataset: Path) -> list[str]:
    found = [path.relative_to(dataset).as_posix() for path in dataset.rglob("*") if path.is_file()]
    return sorted(name for name in found if name != ".lock")


def check(dataset: Path, *, decode: bool = False) -> Report:
    return inspect(dataset, 1, decode=decode, progress=QUIET)


def reported(dataset: Path, *, decode: bool = False) -> list[tuple[str, str]]:
    return [(str(one.kind), one.file) for one in check(dataset, decode=decode).findings]


def first(dataset: Path) -> Path:
    return tars(dataset)[0]


def edited(path: Path, was: str, now: str) -> None:
    text = path.read_text()
    assert was in text
    path.write_text(text.replace(was, now, 1))


def forge(tar: Path, changed: Mapping[str, bytes], **record: object) -> str:
    """Give the first clip of `tar` other payloads by suffix, then make checksums, side file and index agree with them.

    `record`: what the side file is to say of that clip. Returns the clip's key.
    """
    first, *others = (old := record_of(tar)).clips
    data = tar.read_bytes()
    places = ((0, first.json_bytes), first.video, first.audio)
    payloads = [data[first.offset + start :][:length] for start, length in places]
    names = [data[first.offset + start - 512 :][:100].rstrip(b"\0").decode() for start, _ in places]
    payloads = [changed.get(name.partition(".")[2], payload) for name, payload in zip(names, payloads, strict=True)]
    blocks = [
        member_header(name, len(payload)) + payload + bytes(padded(len(payload)) - len(payload))
        for name, payload in zip(names, payloads, strict=True)
    ]
    layout = Layout.of(*map(len, payloads))
    mine = b"".join(blocks)
    clip = replace(
        first,
        json_bytes=layout.json_bytes,
        video=layout.video,
        audio=layout.audio,
        size=layout.size,
        crc32=zlib.crc32(mine[512:][: layout.size]),
        **record,
    )
    grown = len(mine) - len(span(first))
    moved = tuple(replace(other, offset=other.offset + grown) for other in others)
    whole = mine + data[span(first).stop : -len(END)] + END
    tar.write_bytes(whole)
    sources = (replace(old.sources[0], frames=old.sources[0].frames + clip.frames - first.frames), *old.sources[1:])
    write_json(
        tar.with_suffix(".json"),
        replace(
            old,
            clips=(clip, *moved),
            sources=sources,
            tar_bytes=len(whole),
            sha256=hashlib.sha256(whole).hexdigest(),
        ),
    )
    rebuild_index(tar.parent)
    return clip.key


def rebuild_index(split: Path) -> None:
    """Join the side files of a split anew."""
    shards = ((int(path.stem), read_json(path, ShardRecord)) for path in sorted(split.glob("[0-9]*.json")))
    Index.build(shards, read_info(split.parent).actions).save(split / "index.npz")
