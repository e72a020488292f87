"""Errors a user can cause, and one place that says what each means.

Anyone may import this. The command line prints these without a traceback; any other exception is a bug.

AvsyncError
├── InputError    a file, folder, flag or setting cannot be used
│   └── UsageError    settings and data decide it: no other machine and no later try could do it
├── FormatError   a dataset, checkpoint or run has another format version, or is damaged
├── BusyError     another process holds the folder
├── PeerError     another process of the same run has failed
├── RejectError   one source cannot be packed; its reason goes to the report, the work goes on
└── SkipClip      one stored clip cannot be read; the loader goes on within its budget
    └── WrongClip     its bytes are as packed, and are no clip of this dataset: no other copy could help
"""

from enum import StrEnum


class AvsyncError(Exception):
    """Base of everything a user can cause. The message names the item, the need, the fact and the remedy."""


class InputError(AvsyncError):
    """A file, folder, flag or setting cannot be used."""


class UsageError(InputError):
    """It cannot be, on whatever machine and whenever: settings, data and the number of processes decide it.

    A job that ends by one is not tried again, and what can raise one is asked before a job is queued.
    """


class FormatError(AvsyncError):
    """Stored data has another format version, or is damaged."""


class BusyError(AvsyncError):
    """Another live process holds the folder."""


class PeerError(AvsyncError):
    """Another process of the same run has failed, and says why itself."""


class RejectReason(StrEnum):
    """Why a source is not in the dataset: one machine-readable word each."""

    UNREADABLE = "unreadable"
    CORRUPT = "corrupt"
    NO_VIDEO = "no_video"
    NO_AUDIO = "no_audio"
    SILENT = "silent"
    FROZEN = "frozen"
    TOO_SHORT = "too_short"
    DUPLICATE = "duplicate"
    MENDED = "mended"
    NO_FACE = "no_face"
    BAD_BOX = "bad_box"


FAILURES = (RejectReason.UNREADABLE, RejectReason.CORRUPT)
"""A source rejected for anything else (silent, too short, ...) was read."""


class RejectError(AvsyncError):
    """One source cannot be packed."""

    def __init__(self, reason: RejectReason, detail: str) -> None:
        super().__init__(reason, detail)  # both, so that it survives the way back from a worker process
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


class SkipClip(AvsyncError):
    """One stored clip cannot be read or decoded."""


class WrongClip(SkipClip):
    """One stored clip is whole, and not what its dataset says of it: every copy will be like that."""
