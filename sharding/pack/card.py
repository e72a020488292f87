"""A dataset card: DATASET/README.md, whose header tells `datasets.load_dataset` of Hugging Face how to read the shards.

Without it, load_dataset takes the side files for data, and knows only what the json of the first five clips has. Its
features are those of ClipMeta, walked field by field, so that none is forgotten.
"""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from fractions import Fraction
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import UnsetType

from sharding.base.files import holds, publish
from sharding.base.text import counted, plain
from sharding.format.clip import ClipMeta
from sharding.format.codec import codec_named
from sharding.format.index import CARD, SPLITS, DatasetInfo, read_info

Feature = dict[str, Any]
SPLIT_NAMES = {"train": "train", "val": "validation", "test": "test"}
"""Ours -> as everybody calls them there."""
SCALARS = {str: "string", int: "int64", float: "float64", bool: "bool", Fraction: "string"}
MEMBERS: dict[str, Feature] = {
    "video.npy": {"list": {"list": {"list": "uint8"}}},
    "audio.npy": {"list": {"list": "int16"}},
}
"""What load_dataset decodes itself; all else is bytes."""


def write_card(dataset: Path) -> str:
    """Write the card of a finished dataset; what a person has written there stays. Returns what to say of that.

    Raises OSError; InputError, FormatError when there is no dataset.
    """
    path, card = dataset / CARD, card_of(read_info(dataset), dataset.resolve().name).encode()
    if (path.exists() or path.is_symlink()) and not holds(path, card):
        return f"{path} is kept as it is; delete it, and --card writes it anew"
    with publish(path) as file:
        file.write(card)
    return ""


def card_of(info: DatasetInfo, name: str) -> str:
    """The whole text."""
    codec, name = codec_named(info.codec), plain(name)
    members: dict[str, Feature] = {"json": {"struct": list(_fields(ClipMeta))}}
    for suffix in (codec.video_suffix, codec.audio_suffix):
        members[suffix] = MEMBERS.get(suffix, {"dtype": "binary"})
    members |= {"__key__": {"dtype": "string"}, "__url__": {"dtype": "string"}}
    splits = ({"split": SPLIT_NAMES[one], "path": f"{one}/*.tar"} for one in SPLITS if info.clips.get(one))
    lines = [
        "---",
        f"pretty_name: {_line(name)}",
        "license: unknown  # fill in what the videos may be used for",
        "configs:",
        "- config_name: default",
        "  data_files:",
        *(f"  - {_line(split)}" for split in splits),
        "dataset_info:",
        "  config_name: default",
        "  features:",
        *(f"  - {_line({'name': member} | kind)}" for member, kind in members.items()),
        "---",
        "",
        f"# {name}",
        "",
        f"Clips of videos with sound, as WebDataset shards: {info.width}x{info.height} pixels at {info.clock.fps} "
        f"pictures a second, {counted(info.channels, 'channel')} of sound at {info.clock.sample_rate} Hz.",
        f"A clip is `json`, `{codec.video_suffix}` and `{codec.audio_suffix}` of one key; sample "
        "`round(k * sample_rate / fps)` is heard when picture `k` appears.",
        "Packed by avsync, whose `docs/data-format.md` says what each field means.",
        "",
        "Fill in: where the videos come from, who is in them, and what may be done with them.",
        "",
    ]
    return "\n".join(lines)


def _line(value: object) -> str:
    """On one line: JSON is YAML."""
    return msgspec.json.encode(value).decode()


def _fields(kind: Any) -> Iterator[Feature]:
    """A feature for each field of a dataclass."""
    hints = get_type_hints(kind)
    for one in fields(kind):
        feature = _feature(hints[one.name])
        yield {"name": one.name} | ({"dtype": feature} if isinstance(feature, str) else feature)


def _feature(kind: Any) -> Feature | str:
    """What a type becomes in JSON: the name of a scalar, a list, or a struct."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return "string"
    if origin is UnionType:
        (kind,) = (one for one in inner if one not in (UnsetType, type(None)))
        return _feature(kind)
    if origin is tuple:  # of one kind each, however long
        return {"list": _feature(inner[0])}
    return {"struct": list(_fields(kind))} if is_dataclass(kind) else SCALARS[kind]
