"""Every command: what `avsync --help` says of it, and which class builds it. A new command is a class, and a line here.

Classes are named, not imported: `avsync --help` must come at once, on any login node.
"""

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from launch.commands.parse import Command

DATA, TRAIN = "launch.commands.data", "launch.commands.train"
SUBMIT, WATCH = "launch.submit.command", "launch.watch.commands"


class Entry(NamedTuple):
    """A line of `avsync --help`, and where its command is built."""

    usage: str
    does: str
    module: str
    """Of its class ..."""
    kind: str
    """... whose name is this."""
    resumes: bool = False
    """The same command again goes on from what a stopped one left."""
    several: bool = False
    """It may be started as several processes, which work as one."""


COMMANDS = {
    "demo": Entry("[FOLDER]", "the whole path on generated scenes; about 10 minutes", TRAIN, "Demo", True),
    "replay": Entry("[FOLDER]", "the thesis's history: a cheat, caught and cured; no GPU", TRAIN, "Replay", True),
    "scenes": Entry("FOLDER", "generated videos whose sound sources are known", DATA, "Scenes", True),
    "pack": Entry("VIDEOS DATASET", "videos with sound -> dataset of shards", DATA, "Pack", True),
    "faces": Entry("VIDEOS TABLE", "the faces of videos as a table of boxes, to look at and pack by", DATA, "Faces"),
    "curate": Entry(
        "VIDEOS TABLE", "what of videos is in sync, off by how much, or no material", TRAIN, "Curate", True
    ),
    "advise": Entry("VIDEOS", "which stored form suits these videos, this disk and a GPU; measured", DATA, "Advise"),
    "show": Entry(
        "DATASET|RUN|VIDEO",
        "what is inside, rejects, A/V clock; clips of a run; streams of a video",
        DATA,
        "Show",
    ),
    "verify": Entry("DATASET", "is every byte as it was packed; what is not, by file and clip", DATA, "Verify"),
    "audit": Entry("DATASET", "can a network cheat on the labels? before any training", TRAIN, "Audit"),
    "train": Entry("DATASET RUN", "train a network; the same command again resumes", TRAIN, "Train", True, True),
    "evaluate": Entry(
        "RUN DATASET", "accuracy with its confidence interval, per action and per shift", TRAIN, "Evaluate"
    ),
    "localize": Entry("RUN VIDEO", "heat-map video: where the sound comes from", TRAIN, "Localize"),
    "separate": Entry("RUN VIDEO", "the sound of what is seen only, and the rest, as videos", TRAIN, "Separate"),
    "score": Entry("RUN VIDEO ...", "in sync or not, by how much, and where", TRAIN, "Score"),
    "finetune": Entry(
        "RUN DATASET OUT", "recognise actions with learned features, beside from scratch", TRAIN, "Finetune", True
    ),
    "submit": Entry("COMMAND ...", "work of every kind as SLURM jobs that survive", SUBMIT, "Submit"),
    "status": Entry("[RUN ...]", "how jobs stand: queue, step, ETA, restarts and why", WATCH, "Status"),
    "logs": Entry("RUN", "what a job printed; -f follows it", WATCH, "Logs"),
    "cancel": Entry("RUN", "end a job, and let it save", WATCH, "Cancel"),
    "resubmit": Entry("RUN", "queue a job again that ended", SUBMIT, "Resubmit"),
    "board": Entry("[RUN ...]", "TensorBoard on a free port, and the ssh line to reach it", WATCH, "Board"),
    "doctor": Entry("", "what a cluster does to jobs, and what to set", "launch.doctor.command", "Doctor"),
}


def command_class(name: str) -> "type[Command]":
    """The class of a command, with the settings that it can have."""
    return getattr(import_module(COMMANDS[name].module), COMMANDS[name].kind)
