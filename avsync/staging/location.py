"""A DATASET as a person types it: a folder, or a URL that its files lie behind. Opens any file of it as a stream.

/data/clips    file:///data/clips          a folder
https://host/data    http://...            each file by its name below that
s3://bucket/data                           by way of `aws s3 cp URL -`
pipe:COMMAND with {}                       whatever writes the file {} to its output
gs://... hf://... and what else webdataset knows
"""

import re
import shlex
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Self
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from avsync.staging.streams import ByteStream, command_stream, file_stream, http_stream, webdataset_stream
from sharding.base.text import plain
from sharding.base.written_paths import is_url
from sharding.errors import InputError

PIPE = "pipe:"
PROGRAM = re.compile(r"[\w./+-]+", re.ASCII)
SLOT = "{}"
IN_A_PATH = "/%:@!$&'()*+,;=~"
"""What stays as it was typed in the path of a URL; other characters are written as %XX."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Location:
    """Where a dataset lies."""

    url: str
    """As typed; empty for a folder."""
    folder: Path | None

    @classmethod
    def of(cls, text: str | Path) -> Self:
        """Raises InputError for a URL that cannot be one."""
        if isinstance(text, Path) or not is_url(text):
            return cls(url="", folder=Path(text))
        if text.startswith(PIPE):
            if SLOT not in text:
                raise InputError(
                    f"{_shown_command(text)} has no {SLOT}, which stands for a file's name: "
                    f"write it like 'pipe:ssh host cat /data/{SLOT}'"
                )
            return cls(url=text, folder=None)
        try:
            parts = urlsplit(text)
        except ValueError as error:
            raise InputError(f"{plain(text)} is no URL: {error}; write it like https://host/data") from error
        if parts.scheme == "file":
            return cls(url="", folder=Path(unquote(parts.path)))
        if not parts.netloc:
            raise InputError(f"{plain(text)} names no host or bucket; write it like https://host/data")
        return cls(url=text, folder=None)

    def __str__(self) -> str:
        """For messages and run.json: without a password, what may be a signature, and a command's arguments."""
        if self.folder is not None:
            return str(self.folder)
        if self.url.startswith(PIPE):
            return _shown_command(self.url)
        parts = urlsplit(self.url)
        shown = parts._replace(netloc=parts.netloc.rpartition("@")[2])
        return plain(urlunsplit(shown._replace(query="", fragment="") if _is_http(self.url) else shown))

    def name_of(self, name: str) -> str:
        """A file of it, for messages."""
        if self.url.startswith(PIPE):
            return f"{name} of {self}"
        return f"{str(self).rstrip('/')}/{name}"

    def open(self, name: str, stall_s: float, stop: Event) -> AbstractContextManager[ByteStream]:
        """The file `name` of it, as a stream that never waits longer than `stall_s` for the next bytes.

        A command is not waited for after `stop`.

        Raises OSError; Refused when it cannot be had at all.
        """
        if self.folder is not None:
            return file_stream(self.folder / name)
        if self.url.startswith(PIPE):
            return command_stream(self.url.removeprefix(PIPE).replace(SLOT, shlex.quote(name)), stall_s, stop)
        url = _below(self.url, name)
        if _is_http(url):
            return http_stream(url, stall_s)
        if url.lower().startswith("s3:"):
            return command_stream(f"aws s3 cp --only-show-errors {shlex.quote(url)} -", stall_s, stop)
        return webdataset_stream(url, stall_s, stop)


def _shown_command(url: str) -> str:
    """`pipe:PROGRAM ...`. What comes before and after the program may be a token."""
    try:
        words = shlex.split(url.removeprefix(PIPE))
    except ValueError:  # a quote is left open
        words = []
    program = next((word for word in words if "=" not in word), "")
    return f"{PIPE}{program} ..." if PROGRAM.fullmatch(program) else f"{PIPE}..."


def _is_http(url: str) -> bool:
    return url.lower().startswith(("http:", "https:"))


def _below(url: str, name: str) -> str:
    """The URL of a file. Of HTTP, a query (it may be a signature for the whole folder) stays behind it."""
    if not _is_http(url):
        return f"{url.rstrip('/')}/{name}"
    parts = urlsplit(url)
    path = quote(parts.path, safe=IN_A_PATH).rstrip("/")
    return urlunsplit(parts._replace(path=f"{path}/{name}", fragment=""))
