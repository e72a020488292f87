"""What lies in a dataset's folder, and what should: by names, plan.json and rejects.csv. No shard is opened."""

import os
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from sharding.base.environment import JOBS
from sharding.base.files import LARGEST_LIST, broken_link, from_json, is_dropping, read_file
from sharding.base.locks import LOCK_NAME
from sharding.base.text import size
from sharding.errors import FormatError
from sharding.format.clip import FORMAT_VERSION
from sharding.format.index import BOXES, CARD, INDEX, INFO, PARTS, PLAN, SPLITS, DatasetInfo
from sharding.format.records import REJECTS, parse_rejects
from sharding.plan.plan import PlanFile
from sharding.verify.findings import Finding, FindingKind
from sharding.verify.shard import ShardContext

_SHARD = re.compile(r"(\d{6})\.(tar|json)", re.ASCII)
_NAME = re.compile(rf"({'|'.join(SPLITS)})/\d{{6}}", re.ASCII)


@dataclass(kw_only=True, slots=True)
class Contents:
    """Shards of a dataset, and what is wrong with the files around them."""

    shards: list[str] = field(default_factory=list[str])
    """`<split>/NNNNNN`, in order: those of plan.json, or of which there is a file."""
    around: ShardContext = field(default_factory=ShardContext)
    findings: list[Finding] = field(default_factory=list[Finding])
    droppings: list[str] = field(default_factory=list[str])
    """What desktops and file servers left: no part of it, and no harm."""

    def numbers(self, split: str) -> list[int]:
        """Of the tars of a split."""
        return [int(name[-6:]) for name in self.shards if name.startswith(f"{split}/")]

    def add(self, kind: FindingKind, file: str, wanted: str, found: str) -> None:
        """Note a finding."""
        self.findings.append(Finding(kind=kind, file=file, wanted=wanted, found=found))


def look_around(folder: Path, info: DatasetInfo) -> Contents:
    """List a dataset's folder. What cannot be read is a finding."""
    contents = Contents()
    contents.around = ShardContext(
        planned=_read_plan(contents, folder, info), rejects=_read_rejects(contents, folder, info)
    )
    for name in _names(contents, folder, ""):
        if name == PARTS:
            contents.add(FindingKind.FOREIGN, name, "nothing", "what a stopped avsync pack left")
        elif is_dropping(name):
            contents.droppings.append(name)
        elif name not in (BOXES, CARD, INFO, JOBS, LOCK_NAME, PLAN, REJECTS, *SPLITS):
            contents.add(FindingKind.FOREIGN, name, "nothing", "a file that no avsync pack writes")
    shards = {shard for split in SPLITS for shard in _shards_in(contents, folder, split)}
    planned = contents.around.planned
    contents.shards = sorted(shards if planned is None else planned, key=_position)
    return contents


def _position(shard: str) -> tuple[int, str]:
    return SPLITS.index(shard.partition("/")[0]), shard


def _names(contents: Contents, folder: Path, split: str) -> list[str]:
    try:
        return sorted(os.listdir(folder / split))
    except FileNotFoundError:
        if why := broken_link(folder / split):
            contents.add(FindingKind.UNREADABLE, split, "a folder", why)
        return []  # each file that should be there is a finding of its own
    except OSError as error:
        contents.add(FindingKind.UNREADABLE, split or ".", "a folder", str(error.strerror))
        return []


def _shards_in(contents: Contents, folder: Path, split: str) -> set[str]:
    """Names of shards that have a tar or a side file here; what belongs to none is a finding."""
    shards, planned = set[str](), contents.around.planned
    for name in _names(contents, folder, split):
        match = _SHARD.fullmatch(name)
        shard = f"{split}/{match.group(1)}" if match else ""
        if match and (planned is None or shard in planned):
            shards.add(shard)
        elif match:
            contents.add(FindingKind.FOREIGN, f"{split}/{name}", "nothing", "a shard that plan.json does not list")
        elif is_dropping(name):
            contents.droppings.append(f"{split}/{name}")
        elif name not in (INDEX, LOCK_NAME):
            what = "half a file" if name.endswith(".part") else "a file that no avsync pack writes"
            contents.add(FindingKind.FOREIGN, f"{split}/{name}", "nothing", what)
    return shards


def _content(contents: Contents, folder: Path, name: str) -> bytes | None:
    try:
        return read_file(folder / name, LARGEST_LIST)
    except FormatError as error:
        contents.add(FindingKind.DAMAGED, name, f"at most {size(LARGEST_LIST)}", str(error))
    except FileNotFoundError:
        contents.add(FindingKind.MISSING, name, "the file", "no such file")
    except OSError as error:
        contents.add(FindingKind.UNREADABLE, name, "the file", str(error.strerror))
    return None


def _read_plan(contents: Contents, folder: Path, info: DatasetInfo) -> Mapping[str, Sequence[str]] | None:
    data = _content(contents, folder, PLAN)
    if data is None:
        return None
    try:
        plan = from_json(data, PlanFile, "it")
    except FormatError as error:
        contents.add(FindingKind.DAMAGED, PLAN, "a plan of this format", str(error))
        return None
    strange = next((name for name in plan.shards if not _NAME.fullmatch(name)), None)
    if plan.format_version != FORMAT_VERSION or strange is not None:
        fact = f"format version {plan.format_version}" if strange is None else f"a shard called {strange!r}"
        contents.add(FindingKind.DAMAGED, PLAN, "a plan of this format", fact)
        return None
    if (plan.settings, plan.written_by) != (info.settings, info.written_by):
        contents.add(FindingKind.DISAGREES, PLAN, "the settings and the software that dataset.json names", "others")
    return plan.shards


def _read_rejects(contents: Contents, folder: Path, info: DatasetInfo) -> Set[tuple[str, ...]] | None:
    data = _content(contents, folder, REJECTS)
    if data is None:
        return None
    try:
        rejects = parse_rejects(data)
    except FormatError as error:
        contents.add(FindingKind.DAMAGED, REJECTS, "rows of path,reason,detail", str(error))
        return None
    if len(rejects) != info.rejects:
        contents.add(FindingKind.DISAGREES, REJECTS, f"{info.rejects} rows as dataset.json says", str(len(rejects)))
        return None
    return {(reject.path, reject.reason, reject.detail) for reject in rejects}
