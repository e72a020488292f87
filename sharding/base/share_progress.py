"""How far a work is that several calls do in shares: a small file of each share, for who watches from outside.

FOLDER/share-00000.json and so on; whole.json of a call that does all of it, or what is left. Written anew, never waited
for: a disk that takes it no more does not end the work. Anyone may import this.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from sharding.base.files import LARGEST_RECORD, Count, Measured, Moment, read_json, write_json
from sharding.base.guarded import make_folder
from sharding.base.housekeeping import below, housekeeping
from sharding.errors import AvsyncError

PROGRESS = "progress"
"""Usual name of such a folder."""
PACK_PROGRESS = f".parts/{PROGRESS}"
"""That of packing, below DATASET; it goes when the dataset is whole."""
BEAT_S, LEAST_S = 5.0, 1.0
"""How long it takes until it is written anew; where a source is done since, and more than that one is left to do."""
_SHARE = re.compile(r"share-(\d{5,7})\.json", re.ASCII)
_WHOLE = "whole.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class ShareProgress:
    """One such file."""

    LARGEST_FILE: ClassVar[int] = LARGEST_RECORD

    updated: Moment = 0.0
    """UNIX seconds."""
    asked: str
    """A digest of what is done: of shares that do something else nothing can be added up."""
    shares: Count = 1
    all_sources: Count
    """Of all shares."""
    sources: Count
    """Of this one ..."""
    done: Count = 0
    """... and what of them is done, by earlier calls, too."""
    source_s: Measured | None = None
    """Seconds a source, by what this call has done; None: it has done none yet."""
    left_s: Measured | None = None
    """Seconds until this share is done; None: nobody knows yet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkProgress:
    """All shares together."""

    sources: int
    done: int
    left_s: float | None = None
    """Seconds to the end, if so many shares go on at a time as do now; None: nobody knows yet."""


class ShareTeller:
    """Writes such a file as the work goes on."""

    def __init__(self, folder: Path, share: int | None, begin: ShareProgress) -> None:
        self._path = folder / (_WHOLE if share is None else _name(share))
        self._now, self._first, self._began = begin, begin.done, time.monotonic()
        self._write(begin)

    def tell(self, more: int, left_s: float | None) -> None:
        """This call has done so many sources; written when it is time to."""
        now, done = time.monotonic(), self._first + more
        news = done > self._now.done
        patience = 0.0 if news and done == self._now.sources else LEAST_S if news else BEAT_S
        if now - self._written >= patience:
            source_s = (now - self._began) / more if more else None
            self._write(replace(self._now, done=done, source_s=source_s, left_s=left_s))

    def _write(self, now: ShareProgress) -> None:
        self._now, self._written = replace(now, updated=time.time()), time.monotonic()
        with housekeeping("write", self._path):
            make_folder(self._path.parent)
            write_json(self._path, self._now, lasting=False)


def read_shares(folder: Path, shares: int) -> dict[int, ShareProgress]:
    """What each of so many shares has told last, as far as they work at the same as the one that told last."""
    found = dict[int, ShareProgress]()
    for path in below(folder, "share-*.json"):
        match = _SHARE.fullmatch(path.name)
        told = _read(path) if match and int(match[1]) < shares else None
        if match and told and told.shares == shares:
            found[int(match[1])] = told
    newest = max(found.values(), key=lambda one: one.updated, default=None)
    return {number: one for number, one in found.items() if newest and _same_work(one, newest)}


def read_share(folder: Path, share: int) -> ShareProgress | None:
    """What one share has told last."""
    return _read(folder / _name(share))


def read_whole(folder: Path) -> ShareProgress | None:
    """What a call without shares has told last."""
    return _read(folder / _WHOLE)


def together(told: Sequence[ShareProgress], running: int) -> WorkProgress | None:
    """What these shares come to. running: how many work at the moment.

    What is left of each, and of those that have not begun by the pace of the others, is shared by as many as run now;
    and the end comes no sooner than that of the share that needs longest.
    """
    if not told:
        return None
    whole, done = told[0].all_sources, sum(one.done for one in told)
    open_ones = [one for one in told if one.done < one.sources]
    unbegun = max(0, whole - sum(one.sources for one in told))
    paces = [one.source_s for one in told if one.source_s is not None]
    if not open_ones and not unbegun:
        return WorkProgress(sources=whole, done=done, left_s=0.0)
    if not paces or not running:
        return WorkProgress(sources=whole, done=done)
    pace = sum(paces) / len(paces)
    each = [one.left_s if one.left_s is not None else pace * (one.sources - one.done) for one in open_ones]
    longest_unbegun = pace * unbegun / max(1, told[0].shares - len(told))
    return WorkProgress(
        sources=whole, done=done, left_s=max((sum(each) + pace * unbegun) / running, *each, longest_unbegun)
    )


def _name(share: int) -> str:
    return f"share-{share:05d}.json"


def _same_work(one: ShareProgress, other: ShareProgress) -> bool:
    return (one.asked, one.all_sources) == (other.asked, other.all_sources)


def _read(path: Path) -> ShareProgress | None:
    try:
        return read_json(path, ShareProgress)
    except AvsyncError:
        return None
