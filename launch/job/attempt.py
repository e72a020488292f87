"""One attempt as its batch script sees it: who and where it is, what was before, and how it ends."""

import os
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from launch.job.attempts import Action, Attempt, Event, What, note, now, read_attempts
from launch.job.paths import JobPaths, TaskPaths
from launch.job.progress_on_disk import BLAME_NODES, Past, saved
from launch.job.record import JobRecord
from launch.job.requeue import Decision
from launch.job.srun import StepOutput
from sharding.base.files import open_file
from sharding.base.housekeeping import delete, housekeeping, is_there
from sharding.base.text import LONGEST_MESSAGE, cut

TAIL_LINES, TAIL_LETTERS = 40, 2000
OUTPUT_BYTES = 2**24
"""Of a thousand ranks, each may end with a traceback; what the first of them said comes before these."""
OFFSET = "AVSYNC_SHARE_OFFSET"
"""Of the first task of this piece of an array, in the whole array."""
IN_USE = " is in use by "
"""Of a folder that another process holds (sharding/base/locks.py): a later attempt may find it free."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ThisAttempt:
    """SLURM has started the job, for the first time or again."""

    paths: JobPaths
    record: JobRecord
    share: int | None
    """Number of this task in the whole array; None: it is none."""
    job: str
    restart: int
    nodes: str
    past: Past
    had: int
    """Steps that were saved when it began."""
    log: Path
    log_begins: int
    """Bytes in the log that are of earlier attempts."""

    @classmethod
    def of(cls, paths: JobPaths, record: JobRecord) -> "ThisAttempt":
        """From the variables that SLURM has set."""
        share = int(os.environ[OFFSET]) + int(os.environ["SLURM_ARRAY_TASK_ID"]) if record.array else None
        array = f"{os.environ.get('SLURM_ARRAY_JOB_ID')}_{os.environ.get('SLURM_ARRAY_TASK_ID')}.txt"
        log = paths.log if share is None else paths.logs / array
        return cls(
            paths=paths,
            record=record,
            share=share,
            job=os.environ["SLURM_JOB_ID"],
            restart=int(os.environ.get("SLURM_RESTART_COUNT", "0")),
            nodes=os.environ.get("SLURM_JOB_NODELIST", ""),
            past=Past(_before(paths.task(share).attempts)),
            had=saved(record, share),
            log=log,
            log_begins=log.stat().st_size if is_there(log) else 0,
        )

    @property
    def task(self) -> TaskPaths:
        return self.paths.task(self.share)

    @property
    def called(self) -> str:
        """In SLURM's commands: one task of an array has the number of the whole array for its own."""
        return (
            self.job
            if self.share is None
            else f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
        )

    @property
    def number(self) -> int:
        """1: the first."""
        return self.past.attempts[-1].began.attempt + 1 if self.past.attempts else 1

    def begin(self) -> None:
        """Note it, and first that the one before has left no word, if so. A full disk ends nothing."""
        delete(self.task.stop)
        with housekeeping("note this attempt in", self.task.attempts):
            if self.past.attempts and self.past.attempts[-1].ended is None:
                note(self.task.attempts, _lost(self.past.attempts[-1]))
            note(self.task.attempts, self._event(What.BEGAN))

    def end(self, decision: Decision, action: Action, code: int | None) -> Event:
        """Note how it ended. What cannot be noted for want of room is printed at least."""
        output = self.output() if decision.what in BLAME_NODES else StepOutput("")
        node = output.fault.one_node if output.fault and not output.complaint else ""
        node = output.hung_node if output.hang else node
        event = self._event(decision.what, action, code or 0, decision.why, node)
        with housekeeping("note the end in", self.task.attempts):
            note(self.task.attempts, event)
        return event

    def amend(self, event: Event) -> Event:
        """Its end was noted while it still saved: note what has come of that."""
        if (now_saved := self.saved) > event.saved:
            event = replace(event, saved=now_saved)
            with housekeeping("note the end in", self.task.attempts):
                note(self.task.attempts, event)
        return event

    def output(self) -> StepOutput:
        """What this attempt has printed, the last of it where that is much."""
        try:
            with open_file(self.log) as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(self.log_begins, size - OUTPUT_BYTES))
                return StepOutput((file.read(OUTPUT_BYTES) or b"").decode(errors="replace"))
        except OSError:
            return StepOutput("")

    def tail(self) -> str:
        """Its last lines."""
        return "\n".join(cut(line, TAIL_LETTERS) for line in self.output().text.splitlines()[-TAIL_LINES:])

    @property
    def repeated(self) -> bool:
        """The attempt before ended with the very same words, and neither has brought anything."""
        before, complaint = self.past.fruitless_at(self.had), cut(self.output().complaint, LONGEST_MESSAGE)
        return bool(complaint and before) and before[-1].detail == complaint and IN_USE not in complaint

    @property
    def complaining_node(self) -> str:
        """Where the work has said why it cannot go on; empty: nowhere, on several nodes, or another process is why."""
        output = self.output()
        own = output.complaint and IN_USE not in output.complaint and not output.hang
        return output.fault.one_node if own and output.fault else ""

    @property
    def kept(self) -> str:
        """To go on a line of the log."""
        return f"; saved: {self.had}" if self.had else ""

    @property
    def saved(self) -> int:
        """Steps in the newest checkpoint; of pack: parts on disk."""
        return saved(self.record, self.share)

    @property
    def gained(self) -> int:
        """Beyond what any attempt before had saved, or somebody without a job."""
        return self.saved - max(self.had, self.past.most)

    def _event(
        self, what: What, action: Action = Action.NONE, code: int = 0, detail: str = "", node: str = ""
    ) -> Event:
        return Event(
            what=what,
            attempt=self.number,
            job=self.job,
            restart=self.restart,
            nodes=self.nodes,
            saved=self.saved,
            at=now(),
            action=action,
            exit=code,
            detail=cut(detail, LONGEST_MESSAGE),
            failed_node=node,
        )


def say(text: str) -> None:
    """A line of the log."""
    with suppress(OSError):  # it may lie on a full disk
        sys.stdout.write(f"avsync: {text}\n")
        sys.stdout.flush()


def _before(path: Path) -> list[Attempt]:
    """A record that cannot be read is none: the work itself finds out what is left of it."""
    with housekeeping("read", path):
        return read_attempts(path)
    return []


def _lost(before: Attempt) -> Event:
    """When it was is not known: it is noted now."""
    detail = "without a word: a node failed, or SIGKILL"
    return replace(before.began, what=What.LOST, at=now(), action=Action.BY_SLURM, detail=detail)
