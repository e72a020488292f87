"""What is made wrong in a dataset whose checksums are all right: by a seeded generator, one lie or a few at a time."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks.forged.encodings import MADE, encoded
from benchmarks.forged.original import ACTIONS, FRAMES, Forgery, Jsons, StoredMembers
from benchmarks.fuzz.layout import LAYOUTS
from benchmarks.fuzz.parts import changed_part
from sharding.format.tar import BLOCK

Rng = np.random.Generator
Columns = dict[str, NDArray[Any]]
MOST_LIES = 3
NUMBERS = (-1, 0, 1, 2, 3, 7, 11, 255, 10**4, 10**8, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, -(2**63), 10**30)
VALUES: tuple[Any, ...] = (
    *NUMBERS, 1.5, 1e308, -1e308, "", "x", "x" * 100_000, "\x1b[31m<script>", "../../etc", None, True, [], {}, [[]],
)  # fmt: skip
FRACTIONS = ("0", "1/0", "-10", "10/1", "9.99", "1/99999999999999999999999999999999999", "1" * 40, "1e999999999", "240")
SPECIAL: dict[str, tuple[Any, ...]] = {
    "fps": FRACTIONS,
    "sample_rate": (8001, 7999, 44_100, 10**15, 1),
    "frames": (FRAMES - 1, FRAMES + 1, 2**40, 10**8),
    "width": (46, 50, 32, 10**9, 4096),
    "height": (30, 34, 48, 10**9, 4096),
    "boxes": ([[]] * (FRAMES - 1), [[[0, 0, 2, 1]]] * FRAMES, [[[0.9, 0, 0.1, 1]]] * FRAMES, [[[0, 0, 1]]] * FRAMES),
    "matrix": ("bt709", "bt2020", "bt601", "rgb"),
    "codec": ("raw", "h264", "h264-fast", "mp3", "../x"),
    "actions": (
        [],
        ["hop"],
        ["hop", "drum"],
        ["drum", "drum"],
        [str(number) for number in range(50_000)],
        list(ACTIONS),
    ),
    "clips": ({"train": 2**60}, {"train": 8}, {"train": 0}, {"other": 9, "train": 9}, {"train": -9}),
}
"""Field -> what it may say besides."""


def lie(forgery: Forgery, rng: Rng) -> tuple[str, str]:
    """Make something wrong; returns the family, and what it was."""
    families = list(LIES)
    family = families[rng.integers(len(families))]
    count = int(rng.integers(1, MOST_LIES + 1)) if rng.integers(3) == 0 else 1
    return family, "; ".join(LIES[family](forgery, rng) for _ in range(count))


def _one(forgery: Forgery, rng: Rng) -> StoredMembers:
    return forgery.clips[rng.integers(len(forgery.clips))]


def _pick(choice: Any, rng: Rng) -> Any:
    return choice[rng.integers(len(choice))]


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every field of a JSON, by its path."""
    found = list[tuple[Any, ...]]()
    if isinstance(value, dict):
        for name in value:
            found += [(*path, name), *_places(value[name], (*path, name))]
    return found


def _change(about: Jsons, rng: Rng) -> str:
    """One field of a JSON says something else, or is gone."""
    places = _places(about)
    if not places:
        return "nothing is left"
    path = _pick(places, rng)
    holder: Any = about
    for name in path[:-1]:
        holder = holder[name]
    if rng.integers(12) == 0:
        del holder[path[-1]]
        return f"no {path}"
    special = SPECIAL.get(path[-1], ())
    value = _pick(special, rng) if special and rng.integers(2) else _pick(VALUES, rng)
    holder[path[-1]] = value
    return f"{path} = {repr(value)[:60]}"


def _json_field(forgery: Forgery, rng: Rng) -> str:
    clip = _one(forgery, rng)
    about = msgspec.json.decode(clip.json)
    what = _change(about, rng)
    try:
        clip.json = msgspec.json.encode(about)
    except msgspec.MsgspecError:
        clip.json = b"null"
    return f"json of {clip.key}: {what}"


def _json_bytes(forgery: Forgery, rng: Rng) -> str:
    clip, other = _one(forgery, rng), _one(forgery, rng)
    ways: dict[str, Callable[[], bytes]] = {
        "another clip's": lambda: other.json,
        "nothing": lambda: b"",
        "deep": lambda: b"[" * 200_000,
        "deep in boxes": lambda: clip.json.replace(b'"boxes"', b'"more": ' + b"[" * 5000 + b"]" * 5000 + b', "boxes"'),
        "no UTF-8": lambda: clip.json.replace(b"alpha", b"\xff\xfe\xfa"),
        "half": lambda: clip.json[: len(clip.json) // 2],
        "a megabyte of blanks": lambda: clip.json + b" " * 2**20,
        "three megabytes of boxes": lambda: clip.json.replace(b'"boxes":', b'"old":') + b"," + b"[0,0,0,0]," * 300_000,
        "twice a field": lambda: clip.json.replace(b'"frames"', b'"frames": 7, "frames"'),
        "a bit": lambda: _flipped(clip.json, rng),
    }
    name = _pick(list(ways), rng)
    clip.json = ways[name]()
    return f"json of {clip.key} is {name}"


def _flipped(data: bytes, rng: Rng) -> bytes:
    out = bytearray(data)
    for _ in range(rng.integers(1, 9)):
        if out:
            out[rng.integers(len(out))] ^= 1 << int(rng.integers(8))
    return bytes(out)


def _index_number(forgery: Forgery, rng: Rng) -> str:
    """A number of one row, or of all, is another."""
    row, value, all_of_them = int(rng.integers(100)), int(_pick(NUMBERS[:-1], rng)), rng.integers(8) == 0
    step, pick = int(_pick((1, -1, 24, BLOCK, -BLOCK, 3 * BLOCK), rng)), int(rng.integers(1000))
    said = bool(rng.integers(2))

    def change(columns: Columns) -> None:
        name = list(columns)[pick % len(columns)]
        column = columns[name]
        at = slice(None) if all_of_them else row % max(1, len(column))
        with np.errstate(all="ignore"):
            wanted = (
                np.array([value]).astype(column.dtype)[0] if said else column[at] + np.array(step).astype(column.dtype)
            )
            column[at] = wanted

    forgery.on_columns.append(change)
    return f"column {pick % 13} of the index, row {'all' if all_of_them else row}: {value if said else f'+{step}'}"


def _index_form(forgery: Forgery, rng: Rng) -> str:
    """Rows or whole columns are gone, twice, in another order, or of another type."""
    way = _pick(
        ("shorter", "longer", "type", "two dimensions", "rows exchanged", "row twice", "name twice", "ends"), rng
    )
    pick, one, other = (int(rng.integers(1000)) for _ in range(3))
    ends = np.array([int(_pick(NUMBERS[:-1], rng)) for _ in range(3)], np.int64)

    def change(columns: Columns) -> None:
        name = list(columns)[pick % len(columns)]
        column, rows = columns[name], len(columns["source"])
        if way in ("rows exchanged", "row twice"):
            for name in list(columns)[2:]:
                mine = columns[name].copy()
                mine[one % rows] = columns[name][other % rows]
                if way == "rows exchanged":
                    mine[other % rows] = columns[name][one % rows]
                columns[name] = mine
        elif way == "name twice":
            columns["names"][22:44] = columns["names"][:22]
        elif way == "ends":
            columns["name_end"] = ends
        else:
            made = {"shorter": column[:-1], "longer": np.append(column, column[-1:]), "type": column.astype(np.float64)}
            columns[name] = made.get(way, column[:, None])

    forgery.on_columns.append(change)
    return f"index: {way} ({pick}, {one}, {other})"


def _index_file(forgery: Forgery, rng: Rng) -> str:
    way = _pick(("bits", "half", "empty", "huge"), rng)
    bits = np.random.default_rng(rng.integers(2**32))

    def change(folder: Path) -> None:
        path = folder / "train" / "index.npz"
        if way == "huge" or path.stat().st_size > 2**20:
            os.truncate(path, 2**40)
            return
        data = path.read_bytes()
        path.write_bytes({"bits": _flipped(data, bits), "half": data[: len(data) // 2], "empty": b""}[way])

    forgery.last_words.append(change)
    return f"index.npz: {way}"


def _sparse(forgery: Forgery, rng: Rng) -> str:
    """The index says that a clip is huge, and the tar is, without taking room on a disk."""
    name, size = _pick(("json_bytes", "video_bytes", "audio_bytes"), rng), int(_pick((2**28, 3_500_000_000), rng))

    def claim(columns: Columns) -> None:
        columns[name][-1] = size

    forgery.on_columns.append(claim)
    forgery.last_words.append(lambda folder: os.truncate(sorted((folder / "train").glob("*.tar"))[-1], 8 * 2**30))
    return f"{name} of the last clip is {size}, in a sparse tar"


def _member_bits(forgery: Forgery, rng: Rng) -> str:
    clip, name = _one(forgery, rng), _pick(("video", "audio"), rng)
    setattr(clip, name, _flipped(getattr(clip, name), rng))
    return f"bits of the {name} of {clip.key}"


def _member_head(forgery: Forgery, rng: Rng) -> str:
    """Bits, or whole bytes, where a member declares what it holds."""
    clip, name = _one(forgery, rng), _pick(("video", "audio"), rng)
    data = bytearray(getattr(clip, name))
    room = min(len(data), 1200 if name == "video" else 120)
    start = len(data) - room if name == "video" and rng.integers(2) else 0  # tables stand at the end
    for _ in range(rng.integers(1, 5)):
        at, size = start + int(rng.integers(room)), int(_pick((1, 2, 4), rng))
        data[at : at + size] = _pick((rng.bytes(size), bytes(size), b"\xff" * size), rng)
    setattr(clip, name, bytes(data))
    return f"head of the {name} of {clip.key}"


def _boxes(forgery: Forgery, rng: Rng) -> str:
    """A box of an mp4, as benchmarks.fuzz changes them; a raw member's bits."""
    clip = _one(forgery, rng)
    if forgery.form == "raw":
        return _member_head(forgery, rng)
    change = changed_part("mp4", clip.video, list(LAYOUTS["mp4"](clip.video)), rng)
    clip.video = change.data
    return f"box of {clip.key}: {change.what}"


def _member_swap(forgery: Forgery, rng: Rng) -> str:
    clip, other = _one(forgery, rng), _one(forgery, rng)
    name, theirs = _pick(("video", "audio"), rng), _pick(("video", "audio", "json"), rng)
    setattr(clip, name, getattr(other, theirs))
    return f"{name} of {clip.key} is the {theirs} of {other.key}"


def _member_length(forgery: Forgery, rng: Rng) -> str:
    clip, name = _one(forgery, rng), _pick(("video", "audio"), rng)
    data = getattr(clip, name)
    cut = int(rng.integers(len(data) + 1))
    setattr(clip, name, _pick((data[:cut], data + rng.bytes(600), data[:cut] + data[cut // 2 :], data * 2), rng))
    return f"{name} of {clip.key} is cut, or longer ({cut})"


def _other_encoding(forgery: Forgery, rng: Rng) -> str:
    clip, member = _one(forgery, rng), _pick(("video", "audio"), rng)
    name = _pick(list(MADE[member]), rng)
    content = encoded(member, name)
    if content is not None:
        setattr(clip, member, content)
    return f"{member} of {clip.key} is encoded otherwise: {name}"


def _tar_bytes(forgery: Forgery, rng: Rng) -> str:
    bits = np.random.default_rng(rng.integers(2**32))

    def change(tar: bytearray) -> None:
        header = int(bits.integers(len(tar) // BLOCK)) * BLOCK
        for _ in range(3):
            tar[min(len(tar) - 1, header + int(bits.integers(BLOCK)))] ^= 1 << int(bits.integers(8))

    forgery.on_tar.append(change)
    return "a block of the tar"


def _side_field(forgery: Forgery, rng: Rng) -> str:
    bits = np.random.default_rng(rng.integers(2**32))

    def change(side: Jsons) -> None:
        lists = [side[name] for name in ("clips", "sources") if isinstance(side.get(name), list) and side[name]]
        _change(_pick([side, *(_pick(one, bits) for one in lists)], bits), bits)

    forgery.on_side.append(change)
    return "side file"


def _info_field(forgery: Forgery, rng: Rng) -> str:
    return f"dataset.json: {_change(forgery.info, rng)}"


LIES: dict[str, Callable[[Forgery, Rng], str]] = {
    "json field": _json_field,
    "json bytes": _json_bytes,
    "index number": _index_number,
    "index form": _index_form,
    "index file": _index_file,
    "sparse": _sparse,
    "member bits": _member_bits,
    "member head": _member_head,
    "mp4 boxes": _boxes,
    "member swap": _member_swap,
    "member length": _member_length,
    "other encoding": _other_encoding,
    "tar": _tar_bytes,
    "side file": _side_field,
    "dataset.json": _info_field,
}
