"""The whole check: files by name, every shard in threads (digests are C code, without Python's lock), then the indexes.

A plain file hash tells that a tar has changed; this also tells which clips of it, and whether the other files agree.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from av import logging as av_logging
from rich.console import Console
from rich.text import Text

from sharding.base.console import Bar, open_console
from sharding.base.environment import available_cores
from sharding.base.text import counted, first_few, plain
from sharding.errors import AvsyncError, InputError
from sharding.format.codec import codec_named
from sharding.format.index import INFO, SPLITS, DatasetInfo, read_info
from sharding.format.records import ClockSums
from sharding.verify.findings import Finding, FindingKind, Report, kinds, print_findings, remedy
from sharding.verify.folder import Contents, look_around
from sharding.verify.indexes import check_index
from sharding.verify.members import StoredForm
from sharding.verify.shard import Shard, check_shard


class CheckStopped(AvsyncError):
    """The check was asked to stop."""


def verify(
    folder: Path,
    jobs: int | None = None,
    *,
    decode: bool = False,
    console: Console | None = None,
    progress: Console | None = None,
) -> Report:
    """Check a dataset; what is wrong is printed to `console` (stdout), the bar to `progress` (stderr).

    How many sources have a mended clock is printed, too: that is how they were packed, and no damage.
    Raises AvsyncError when anything is wrong, InputError when there is no dataset to check.
    """
    report = inspect(folder, jobs, decode=decode, progress=progress or open_console(stderr=True))
    console = console or open_console()
    if report.findings:
        print_findings(report.findings, console)
    if report.droppings:
        what = counted(len(report.droppings), "file")
        names = plain(first_few(report.droppings))
        console.print(Text(f"{what} of desktops and file servers passed over: {names}"), soft_wrap=True)
    if report.clocks.mended:
        console.print(Text(f"{report.clocks}: avsync show {folder} tells which"), soft_wrap=True)
    if report.findings:
        raise AvsyncError(f"{folder} is not as it was packed ({kinds(report.findings)}); {remedy(report.findings)}")
    return report


def inspect(folder: Path, jobs: int | None, *, decode: bool, progress: Console) -> Report:
    """Check a dataset and report all that is wrong.

    `decode`: every clip from its first to its last frame, not its headers alone. Raises InputError when there is no
    dataset, FormatError when dataset.json is of another version or damaged.
    """
    if jobs is not None and jobs < 0:
        raise InputError(f"--jobs {jobs} must not be below 0; 0 is one for each CPU core")
    form = _form(folder, decode)
    contents = look_around(folder, form.info)
    shards = _check_shards(folder, contents, form, jobs or available_cores(), progress)
    findings = [*contents.findings, *(finding for shard in shards for finding in shard.findings)]
    for split in SPLITS:
        if known := contents.numbers(split):
            whole = [int(shard.name[-6:]) for shard in shards if shard.whole and shard.name.startswith(f"{split}/")]
            clips = form.info.clips.get(split, 0)
            findings += check_index(split, folder, whole, known, clips, form.info.actions)
    findings += _totals(contents, shards, form.info)
    return Report(
        shards=sum(bool(shard.bytes) for shard in shards),
        clips=sum(shard.clips for shard in shards),
        bytes=sum(shard.bytes for shard in shards),
        findings=tuple(findings),
        clocks=sum((shard.clocks for shard in shards), ClockSums()),
        droppings=tuple(contents.droppings),
    )


def _form(folder: Path, decode: bool) -> StoredForm:
    try:
        info = read_info(folder)
    except OSError as error:
        raise InputError(f"cannot read {folder}: {error.strerror}; change its rights, or name another one") from error
    return StoredForm(info=info, codec=codec_named(info.codec), decode=decode)


def _check_shards(folder: Path, contents: Contents, form: StoredForm, jobs: int, console: Console) -> list[Shard]:
    stop = threading.Event()
    turn = threading.Lock()
    total = sum(_size(folder / f"{name}.tar") for name in contents.shards)
    with Bar("checking", total, unit="bytes", console=console) as bar:

        def passed(count: int) -> None:
            if stop.is_set():
                raise CheckStopped("stopped")
            with turn:
                bar.advance(count)

        return _in_threads(folder, contents, form, jobs, passed, stop)


def _in_threads(
    folder: Path, contents: Contents, form: StoredForm, jobs: int, passed: Callable[[int], None], stop: threading.Event
) -> list[Shard]:
    def check(name: str) -> Shard:
        return check_shard(name, folder, contents.around, form, passed)

    av_logging.set_level(None)  # a member that does not open is a finding, not chatter of a decoder
    pool = ThreadPoolExecutor(jobs)
    try:
        return list(pool.map(check, contents.shards))
    finally:
        stop.set()  # after Ctrl-C or an error; otherwise nothing runs any more
        pool.shutdown(cancel_futures=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _totals(contents: Contents, shards: Sequence[Shard], info: DatasetInfo) -> list[Finding]:
    """What dataset.json counts, against the side files, where all of those can be used."""
    if not all(shard.whole for shard in shards):
        return []
    pairs = {"sources": (info.sources, sum(shard.sources for shard in shards))}
    pairs["lost_clips"] = (info.lost_clips, sum(shard.lost_clips for shard in shards))
    for split in SPLITS:
        clips = sum(shard.clips for shard in shards if shard.name.startswith(f"{split}/"))
        pairs[f"clips in {split}"] = (info.clips.get(split, 0), clips)
        pairs[f"shards in {split}"] = (info.shards.get(split, 0), len(contents.numbers(split)))
    return [
        Finding(kind=FindingKind.DISAGREES, file=INFO, wanted=f"{there} {name} as in the side files", found=str(stated))
        for name, (stated, there) in pairs.items()
        if stated != there
    ]
