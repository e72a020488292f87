"""What is refused rather than waited for, overwritten or passed on: each refusal names its cause and the remedy."""

import os
from pathlib import Path

import pytest

from sharding.errors import RejectError
from sharding.pack import pack
from sharding.probe import open_media, probe
from tests.media import write_video
from tests.sharding.conftest import QUIET, SMALL


@pytest.mark.parametrize("kind", ["pipe", "link to a pipe", "device", "folder"])
def test_what_is_no_regular_file_is_refused_and_not_waited_for(kind: str, tmp_path: Path):
    path = tmp_path / "a.mp4"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link to a pipe":
        os.mkfifo(tmp_path / "pipe")
        path.symlink_to("pipe")
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    for reader in (open_media, probe):
        with pytest.raises(RejectError, match="unreadable: is not a regular file"):
            reader(path)


def test_a_pipe_among_videos_is_a_reject_and_the_others_are_packed(tmp_path: Path):
    write_video(tmp_path / "in" / "good.mp4")
    os.mkfifo(tmp_path / "in" / "pipe.mp4")
    summary = pack(tmp_path / "in", tmp_path / "out", SMALL, QUIET)
    found = [(one.path, one.reason, one.detail) for one in summary.rejects]
    assert found == [("pipe.mp4", "unreadable", "is not a regular file")]
    assert sum(summary.clips.values()) == 1
