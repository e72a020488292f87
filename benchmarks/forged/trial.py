"""One forged dataset goes through the reader of training, then through show and verify, and gets a verdict.

A trial is a task for sharding's workers: who dies, hangs or takes too much memory is known, the others go on.
"""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from av import logging as av_logging
from rich.console import Console

from avsync.config import PairConfig, ViewConfig
from avsync.data.order import Draw
from avsync.data.selection import Selection
from avsync.evaluate.truth import cropped
from avsync.loading.worker import Fetcher, Request
from benchmarks.base.trials import forget_peak, highest_mb
from benchmarks.forged.lies import lie
from benchmarks.forged.original import COUNT, FORMS, Forgery, pictures, sound
from sharding.base.files import from_json
from sharding.base.workers import CRASHES, OUT_OF_MEMORY, OUT_OF_TIME, Report, limit_cpu
from sharding.errors import AvsyncError, SkipClip
from sharding.format.clip import ClipMeta
from sharding.show.contact_sheet import draw_strip, read_sheets
from sharding.show.survey import read_survey
from sharding.verify.verify import inspect

LIMIT_S, WALL_S = 20, 120.0
MOST_MB = 128
"""That a process grows by; an honest dataset takes 20."""
ROOM_BYTES = 2**30
"""Of addresses that a process may take beyond those of its start."""
LOSSY = 8.0
"""Mean difference of a picture from its own, of 255, that H.264 may make of it."""
OPAQUE = ("member bits", "member head", "mp4 boxes", "member length", "tar")
"""Families whose pictures may decode to anything without a word: H.264 has no checksum."""
PAIRS, VIEW = PairConfig(window_s=1, min_shift_s=0.4, max_shift_s=1), ViewConfig()
COMMANDS = {
    "train": "train {data} {out} --steps 2 --batch 2 --validate-every 0 --pairs.window-s 1 --pairs.min-shift-s 0.4 "
    "--pairs.max-shift-s 1 --view.crop 1 --runtime.device cpu --runtime.workers 1 --runtime.error-budget 1000",
    "show": "show {data} --page {out}.html",
    "verify": "verify {data} --decode --jobs 1",
}
"""Said to the real program, now and then."""


class Verdict(StrEnum):
    """What became of a dataset."""

    READ = "read"
    """Every clip."""
    SKIPPED = "skipped"
    """Some clips were, with a reason."""
    REFUSED = "refused"
    """As a whole, in one line."""
    UNTOLD = "untold"
    """Training skips clips, and verify finds nothing."""
    NOISE = "noise"
    """What was read is no clip's pictures or sound."""
    CRASH = "crash"
    """An exception that is no answer: exit code 70."""
    DIED = "died"
    HANG = "hang"
    MEMORY = "memory"


BAD = (Verdict.UNTOLD, Verdict.NOISE, Verdict.CRASH, Verdict.DIED, Verdict.HANG, Verdict.MEMORY)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """A verdict and what it stands on."""

    verdict: Verdict
    family: str
    what: str
    why: str = ""
    skipped: int = 0
    peak_mb: float = 0.0
    cpu_s: float = 0.0


class NoiseError(Exception):
    """What was read is nobody's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """A dataset and its lies, both told by two numbers; negative numbers are honest ones, a form each."""

    seed: int
    number: int
    folder: Path
    commands: bool = False
    """The real program is asked, too."""

    @property
    def form(self) -> str:
        return FORMS[self.number % len(FORMS)]

    @property
    def path(self) -> Path:
        return self.folder / f"{self.number:06d}"

    def forged(self) -> tuple[Forgery, str, str]:
        """The dataset, the family of its lies, and what they are."""
        forgery = Forgery.honest(self.form)
        if self.number < 0:
            return forgery, "honest", "nothing"
        return forgery, *lie(forgery, np.random.default_rng((self.seed, self.number)))

    def run(self, report: Report) -> Outcome:
        """Never raises but MemoryError."""
        av_logging.set_level(None)
        forgery, family, what = self.forged()
        forgery.write(self.path)
        forget_peak()
        before_mb = highest_mb()
        started = time.process_time()
        limit_cpu(LIMIT_S)
        signal.setitimer(signal.ITIMER_REAL, WALL_S)
        verdict, why, skipped = Verdict.READ, "", 0
        try:
            verdict, why, skipped = self._judged(family)
        except MemoryError as error:
            verdict, why = Verdict.MEMORY, _last_lines(error)
        except NoiseError as error:
            verdict, why = Verdict.NOISE, str(error)
        except Exception as error:  # whatever it is, it is what is looked for
            verdict, why = Verdict.CRASH, _last_lines(error)
        finally:
            limit_cpu(0)
            signal.setitimer(signal.ITIMER_REAL, 0)
        peak_mb, cpu_s = highest_mb() - before_mb, time.process_time() - started
        if peak_mb > MOST_MB and verdict not in BAD:
            verdict, why = Verdict.MEMORY, f"{peak_mb:.0f} MB; {verdict} {why}"
        if self.commands and verdict not in BAD and (trouble := self._said_by_program()):
            verdict, why = Verdict.CRASH, trouble
        return Outcome(
            verdict=verdict, family=family, what=what, why=why, skipped=skipped, peak_mb=peak_mb, cpu_s=cpu_s
        )

    def died(self, code: int) -> Outcome:
        """What the end of its process by `code` means."""
        _, family, what = self.forged()
        if code in (OUT_OF_TIME, -signal.SIGALRM):
            verdict, why = Verdict.HANG, f"more than {LIMIT_S} s of CPU time, or {WALL_S:.0f} s by the clock"
        elif code == OUT_OF_MEMORY:
            verdict, why = Verdict.MEMORY, f"more than {ROOM_BYTES / 2**30:.1f} GiB"
        else:
            verdict = Verdict.DIED if code in CRASHES else Verdict.CRASH
            why = f"its process ended by {code}"
        return Outcome(verdict=verdict, family=family, what=what, why=why)

    def _judged(self, family: str) -> tuple[Verdict, str, int]:
        skips, verdict, why = dict[str, str](), Verdict.READ, ""
        try:
            skips = read_all(self.path, self.form, opaque=family in OPAQUE)
        except AvsyncError as error:
            verdict, why = Verdict.REFUSED, _in_one_line(error)
        if skips:
            verdict, why = Verdict.SKIPPED, next(iter(skips.values()))
        _show(self.path)
        try:
            found = inspect(self.path, 1, decode=True, progress=Console(quiet=True)).findings
        except AvsyncError as error:
            _in_one_line(error)
        else:
            if skips and not found:
                verdict = Verdict.UNTOLD
            for finding in found:
                _in_one_line(str(finding))
        return verdict, why, len(skips)

    def _said_by_program(self) -> str:
        """What is wrong with how the real commands end; empty when nothing is."""
        out = self.path.with_suffix(".out")
        for name, words in COMMANDS.items():
            command = words.format(data=self.path, out=out).split()
            try:
                done = subprocess.run(
                    [sys.executable, "-m", "launch", *command],
                    capture_output=True, text=True, errors="replace", timeout=300, check=False,
                    env=os.environ | {"OMP_NUM_THREADS": "1"},
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                return f"avsync {name}: no end within 300 s"
            finally:
                shutil.rmtree(out, ignore_errors=True)
                out.with_suffix(".out.html").unlink(missing_ok=True)
            if done.returncode not in (0, 1, 2) or "Traceback" in done.stderr:
                return f"avsync {name} ended by {done.returncode}: {' / '.join(done.stderr.splitlines()[-6:])[-600:]}"
        return ""


def limits() -> None:
    """First call in each process: no claim of a file gets more addresses than this."""
    status = Path("/proc/self/status").read_text()
    size = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmSize")) * 1024
    resource.setrlimit(resource.RLIMIT_AS, (size + ROOM_BYTES, resource.RLIM_INFINITY))


def read_all(folder: Path, form: str, *, opaque: bool) -> dict[str, str]:
    """Clips that were skipped, of all that training would read, and why.

    Raises AvsyncError for a dataset that is refused, NoiseError for what is nobody's.
    """
    chosen = Selection.of_folder(folder, "train", PAIRS, VIEW)
    dataset, shape = chosen.dataset, chosen.shape()
    info, skips = dataset.info, dict[str, str]()
    yuv = np.zeros((shape.frames, info.height * 3 // 2, info.width), np.uint8)
    audio = np.zeros((shape.sounds, shape.samples, info.channels), np.int16)
    with Fetcher(info.form) as fetcher:
        for draw in chosen.fixed_draws(chosen.clips[: 4 * COUNT]):
            request = requested(draw, chosen)
            try:
                row = fetcher.fill(request, yuv, audio, lambda _: None)
            except SkipClip as error:
                skips[request.location.key] = _in_one_line(error)
                continue
            meta = from_json(row.json, ClipMeta, "a clip's json")
            if meta.boxes:
                cropped(meta.boxes[request.frames[0]], chosen.view)
            _listen(request, yuv, audio, form, opaque=opaque)
    return skips


def requested(draw: Draw, chosen: Selection) -> Request:
    """A row as the loader asks a worker for it."""
    clock, shape = chosen.dataset.info.clock, chosen.shape()
    location, start = chosen.dataset.location(draw.clip), draw.pair.picture
    last = clock.sample_at(location.frames) - shape.samples
    sounds = tuple((min(clock.sample_at(one.frame), last), clock.sample_at(one.roll)) for one in draw.pair.sounds)
    frames = (start, start + shape.window, shape.every)
    return Request(number=0, slot=0, row=0, location=location, frames=frames, sounds=sounds)


def _listen(request: Request, yuv: np.ndarray, audio: np.ndarray, form: str, *, opaque: bool) -> None:
    """Raises NoiseError when pictures or sound are no clip's own, at that place."""
    frames = slice(*request.frames)
    apart = [np.abs(yuv.astype(int) - pictures(clip)[frames]).mean() for clip in range(COUNT)]
    if min(apart) > LOSSY and not opaque:
        raise NoiseError(f"pictures of {request.location.key} from {request.frames[0]} on are {min(apart):.0f} off")
    if form == "raw" and opaque:
        return  # bits of plain numbers are other numbers
    for (start, _), heard in zip(request.sounds, audio, strict=True):
        if not any(np.array_equal(heard, sound(clip)[start:][: len(heard)]) for clip in range(COUNT)):
            raise NoiseError(f"sound of {request.location.key} from {start} on is nobody's")


def _show(folder: Path) -> None:
    """Everything that `avsync show --page` reads and draws, without the page's text."""
    try:
        survey = read_survey(folder)
        for sheet in read_sheets(survey, 2):
            for view in sheet.views:
                draw_strip(view)
            for note in sheet.notes:
                _in_one_line(note)
    except AvsyncError as error:
        _in_one_line(error)


def _in_one_line(error: AvsyncError | str) -> str:
    text = str(error)
    if "\n" in text or "\x1b" in text or len(text) > 2000:
        raise ValueError(f"no line: {text[:300]!r}")
    return text


def _last_lines(error: BaseException) -> str:
    """Where it was raised, in a line."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [one for one in frames if "/sharding/" in one.filename or "/avsync/" in one.filename]
    where = (ours or frames)[-1]
    return f"{type(error).__name__}: {str(error)[:300]} ({Path(where.filename).name}:{where.lineno} {where.name})"
