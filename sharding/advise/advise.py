"""`avsync advise VIDEOS`: a sample of the videos in each stored form, on the disk it would be read from, measured.

Costs are CPU time of one thread; rates are what all cores of this process load together, warm (the system still holds
the files) and cold (it had to fetch them). Everything lies in a temporary folder, removed at the end.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.text import Text

from sharding.advise.advice import Figures, Means, TrainingRate, choose, reason, table
from sharding.advise.trial import WINDOW_S, CodecTrial, FloatTrial, Trial, forget
from sharding.base.console import Bar, open_console
from sharding.base.environment import available_cores
from sharding.base.housekeeping import why_refused
from sharding.base.text import counted, percent
from sharding.config import PackConfig
from sharding.errors import InputError
from sharding.format.clip import Clip
from sharding.format.codec import CODECS
from sharding.pack.sample import Sample, take
from sharding.sources.find import find_sources
from sharding.sources.source import Source

BUDGET_S = 40.0
"""For looking, decoding and encoding; loading takes some seconds more."""
ROUNDS, PATIENCE_S = 3, 4.0
"""Times that everything is loaded, for a median; no new round begins after so many seconds."""
MOST_THREADS = 16
"""There are not many more clips in a sample."""
FOLDER = ".avsync-advise-"
NOTE = (
    f"Loading is reading a whole clip, warm from memory or cold from the disk, and decoding {WINDOW_S} s of it. "
    f"{FloatTrial.name} is what torch.save would write of {WINDOW_S} s, as plain bytes, for comparison."
)


def advise(
    videos: Path,
    disk: Path,
    training: TrainingRate,
    config: PackConfig,
    console: Console | None = None,
    root: Path | None = None,
) -> str:
    """Measure, print the table and a recommendation; returns the name of the recommended form.

    Files of a CSV lie below `root`, its own folder by default. Raises InputError: nothing to measure, or a disk that
    cannot be written.
    """
    console = console or open_console()
    sources = find_sources(videos, root, config).sources
    cores = min(MOST_THREADS, available_cores())
    bar = Bar("looking at the videos", 1.0, unit=None, console=console, passing=True)
    with _room(disk) as folder, bar:
        trials: list[Trial] = [CodecTrial(name, codec, folder) for name, codec in CODECS.items()]
        trials.append(FloatTrial(folder))
        sample = _store(sources, config, trials, bar)
        bar.update(1.0, doing="loading the clips again")
        forms = [_figures(trial, sample, cores) for trial in trials]
    means = Means(
        cores=cores,
        processes=config.processes,
        train_clips_per_s=training.clips_per_s,
        free_bytes=shutil.disk_usage(disk).free,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    )
    console.print(Text(f"Training takes {training.clips_per_s:,.3g} clips/s: {training.source}"), soft_wrap=True)
    return _report(sample, forms, means, console)


@contextmanager
def _room(disk: Path) -> Iterator[Path]:
    """A temporary folder on `disk`; gone afterwards, whatever happens."""
    try:
        holder = tempfile.TemporaryDirectory(prefix=FOLDER, dir=disk, ignore_cleanup_errors=True)
    except OSError as error:
        raise InputError(
            f"--disk {disk} cannot be written: {why_refused(error, 'name a folder of the disk')}"
        ) from error
    with holder as folder:
        yield Path(folder)


def _store(sources: Sequence[Source], config: PackConfig, trials: Sequence[Trial], bar: Bar) -> Sample:
    started = time.monotonic()

    def store(clip: Clip) -> None:
        for trial in trials:
            trial.store(clip)

    def progress(sample: Sample) -> None:
        doing = f"{sample.decoded} clips stored in each form, {sample.looked_at} videos looked at"
        bar.update((time.monotonic() - started) / BUDGET_S, doing=doing)

    return take(sources, config, BUDGET_S, store, progress)


def _figures(trial: Trial, sample: Sample, cores: int) -> Figures:
    """Load everything a trial stored: one thread for the CPU time, all cores for the rates."""
    stored = trial.stored
    seconds = sum(one.seconds for one in stored)
    with ThreadPoolExecutor(cores) as pool:
        warm = _rate(trial, pool, ceil(cores * 4 / len(stored)))
        cold = _rate(trial, pool, 1, lambda: forget([one.path for one in stored]))
    assert warm is not None
    return Figures(
        name=trial.name,
        offered=trial.name in CODECS,
        clips=sample.all_clips,
        clip_bytes=sum(one.bytes for one in stored) / seconds * sample.clip_s,
        pack_cpu_s=sample.clip_cpu_s + sum(one.cpu_s for one in stored) / seconds * sample.clip_s,
        write_bytes_per_s=sum(one.bytes for one in stored) / max(1e-6, sum(one.disk_s for one in stored)),
        load_cpu_s=_load_cpu_s(trial),
        warm=warm,
        cold=cold,
        psnr_db=trial.psnr_db,
    )


def _load_cpu_s(trial: Trial) -> float:
    """Of one window, in this thread; median of some rounds."""
    spent = []
    for _ in range(ROUNDS):
        started = time.thread_time()
        for number in range(len(trial.stored)):
            trial.load(number)
        spent.append((time.thread_time() - started) / len(trial.stored))
    return median(spent)


def _rate(trial: Trial, pool: Executor, times: int, prepare: Callable[[], bool] = lambda: True) -> float | None:
    """Windows a second, median of some rounds of all clips so many times; None when `prepare` fails."""
    rates: list[float] = []
    began = time.monotonic()
    while len(rates) < ROUNDS and time.monotonic() - began < PATIENCE_S:
        if not prepare():
            return None
        work = [*range(len(trial.stored))] * times
        started = time.perf_counter()
        for _ in pool.map(trial.load, work):
            pass
        rates.append(len(work) / (time.perf_counter() - started))
    return median(rates)


def _report(sample: Sample, forms: Sequence[Figures], means: Means, console: Console) -> str:
    """Print everything; returns the name of the recommended form."""
    console.print(
        f"{counted(sample.sources, 'video')}, about {sample.all_of(sample.seconds) / 3600:,.1f} hours in "
        f"{counted(sample.all_clips, 'clip')} of {sample.clip_s:.1f} s, by a look at {sample.looked_at:,} of them; "
        f"{counted(sample.decoded, 'clip')} measured",
        soft_wrap=True,
    )
    if sample.rejects:
        path, reject = sample.rejects[0]
        rejected = len(sample.rejects) / sample.looked_at
        console.print(Text(f"{percent(rejected, digits=0)} would be rejected, like {path}: {reject}"), soft_wrap=True)
    console.print(table(forms, means))
    if any(form.cold is None for form in forms):
        console.print("? the system could not be made to forget files there: how fast the disk is remains unknown")
    console.print(NOTE, soft_wrap=True)
    chosen = choose(forms, means)
    console.print(Text(f"Recommended: --codec {chosen.name}. {reason(chosen, forms, means)}."), soft_wrap=True)
    return chosen.name
