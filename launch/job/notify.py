"""Tell somebody how a job goes, by webhook or command, as the profile says. A failure to tell never harms the job."""

import os
import signal
import subprocess
import sys
import urllib.request
from dataclasses import dataclass, fields
from urllib.error import HTTPError, URLError

import msgspec

from launch.site.profile import ClusterProfile, Occasion
from sharding.base.current_folder import persons_environment
from sharding.base.text import plain

WEBHOOK_S, COMMAND_S = 10.0, 30.0
"""So long a telling may take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Notification:
    """A message; a webhook gets it as JSON, whose `text` Slack, Mattermost and their like show."""

    kind: Occasion
    name: str
    """Of the job in the queue."""
    run: str
    """Folder of the run, or of the dataset."""
    job: str
    """SLURM's number."""
    step: int
    """Steps that are saved; of pack: parts."""
    reason: str
    """In plain words; may be empty."""
    job_kind: str = ""
    """pack, train, evaluate ...: a folder has several jobs."""

    @property
    def text(self) -> str:
        """One line for a person."""
        why = f": {plain(self.reason)}" if self.reason else ""
        which = f"{self.job_kind} of {plain(self.run)}" if self.job_kind else plain(self.run)
        saved = f"; saved up to {self.step}" if self.step else ""
        return f"avsync {plain(self.name)} (job {self.job}) {self.kind}{why}{saved}; {which}"

    def as_json(self) -> bytes:
        return msgspec.json.encode({**self._values(), "text": self.text})

    def as_variables(self) -> dict[str, str]:
        """AVSYNC_KIND, AVSYNC_RUN ..."""
        values = {**self._values(), "text": self.text}
        return {f"AVSYNC_{key.upper()}": str(value).replace("\0", "") for key, value in values.items()}

    def _values(self) -> dict[str, object]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def tell(profile: ClusterProfile, message: Notification) -> None:
    """Send it where the profile says, if it wants this kind. Never raises: what goes wrong goes to the log."""
    if message.kind not in profile.notify.on:
        return
    for address, send in ((profile.notify.webhook, _webhook), (profile.notify.command, _command)):
        try:
            if address:
                send(address, message)
        except Exception as error:  # a webhook's server may answer anything, and the job must go on
            if isinstance(error, HTTPError):
                error.close()  # it holds the connection
            sys.stderr.write(f"avsync: warning: nobody was told by {send.__name__[1:]}: {_why(error)}\n")


def _webhook(url: str, message: Notification) -> None:
    headers = {"Content-Type": "application/json", "User-Agent": "avsync"}
    request = urllib.request.Request(url, data=message.as_json(), headers=headers, method="POST")
    with urllib.request.urlopen(request, timeout=WEBHOOK_S):
        pass


def _command(command: str, message: Notification) -> None:
    environment = persons_environment() | message.as_variables()
    argv = ["sh", "-c", command]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, env=environment, start_new_session=True)
    try:
        process.communicate(message.as_json(), timeout=COMMAND_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # and what it has started
        process.wait()
        raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, "")


def _why(error: Exception) -> str:
    """Never the error's own text: it may hold the address, and at many sites whoever knows that may write there."""
    match error:
        case HTTPError():
            return f"HTTP {error.code}"
        case URLError():
            return getattr(error.reason, "strerror", None) or type(error.reason).__name__
        case subprocess.TimeoutExpired():
            return f"no end after {error.timeout:.0f} s"
        case subprocess.CalledProcessError():
            return f"exit code {error.returncode}"
        case _:
            return type(error).__name__
